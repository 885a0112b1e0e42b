"""rackmath: latency, throughput, memory and cost of large language models, from first principles.

Every command is a function: `rackmath.plan("deepseek-ai/DeepSeek-V3", on="gb200-nvl72", isl=8192)`.
"""

from typing import Any

__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    """A command as a function, loaded when it is first named."""
    if name.startswith("_"):
        raise AttributeError(f"module 'rackmath' has no attribute {name!r}")
    from .faces.python import verb

    found = verb(name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    from .faces.python import names

    return sorted({*globals(), *names()})
