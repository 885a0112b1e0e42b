"""Where PyTorch is not installed, what needs it is left out of the tests, and one line says so."""

from importlib.util import find_spec

NEEDS_TORCH = ["tests/lab"] + [
    f"src/rackmath/lab/{name}.py"
    for name in ("reversible", "model", "measure", "text", "parallel", "digits", "record")
]
collect_ignore = [] if find_spec("torch") else NEEDS_TORCH


def pytest_terminal_summary(terminalreporter):
    if collect_ignore:
        terminalreporter.write_line("not run: the lab's networks need PyTorch, which make test-lab installs apart")
