"""What holds for all tests: no test depends on the clock, and without PyTorch what needs it is left out and named."""

from importlib.util import find_spec

from hypothesis import HealthCheck, settings

settings.register_profile("unhurried", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

NEEDS_TORCH = ["tests/experiments"] + [
    f"src/rackmath/experiments/{name}.py"
    for name in ("reversible", "model", "measure", "text", "parallel", "digits", "record")
]
collect_ignore = [] if find_spec("torch") else NEEDS_TORCH


def pytest_terminal_summary(terminalreporter):
    if collect_ignore:
        terminalreporter.write_line("not run: the lab's networks need PyTorch, which make test-lab installs apart")
