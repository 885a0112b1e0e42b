"""What holds for all tests: no test depends on the clock; what needs PyTorch or gguf is left out without it."""

from importlib.util import find_spec

from hypothesis import HealthCheck, settings

settings.register_profile("unhurried", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

NEEDS_TORCH = ["tests/experiments"] + [
    f"src/rackmath/experiments/{name}.py" for name in ("reversible", "model", "measure", "text", "parallel", "digits", "record")
]
collect_ignore = [] if find_spec("torch") else NEEDS_TORCH
NEEDS_GGUF = [] if find_spec("gguf") else ["src/rackmath/world/gguf_reader.py"]
collect_ignore = [*collect_ignore, *NEEDS_GGUF]


def pytest_terminal_summary(terminalreporter):
    if not find_spec("torch"):
        terminalreporter.write_line("not run: the lab's networks need PyTorch, which make test-lab installs apart")
    if NEEDS_GGUF:
        terminalreporter.write_line("not run: headers of .gguf files need the gguf package, an extra")
