"""Networks measured now, which needs PyTorch, or as they were measured before.

>>> [d.layers for d in memory(recorded=True).depths if d.way == "reversible"]
[4, 8, 16, 32]
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from ..errors import BadInput
from .results import Parallel, ReversibleMemory, recorded_memory, recorded_parallel

HEADS = 4
"""Attention heads of the networks."""


def memory(*, recorded: bool = False, depths: Sequence[int] = (2, 4, 8, 16), width: int = 64, **size: Any) -> ReversibleMemory:
    """Memory and time of a training step against depth; `size` is that of `measure.memory`."""
    if len(set(depths)) < 2:
        one = f"= {depths[0]} is one depth" if depths else "is empty"
        raise BadInput(f"depths {one}; give two or more, such as 4,8,16")
    if width % HEADS:
        raise BadInput(f"width = {width} is no multiple of the {HEADS} heads; give one that is")
    if recorded:
        return recorded_memory()
    _needs("torch")
    from .measure import memory as measure

    return measure(depths=tuple(sorted(set(depths))), width=width, **size)


def parallel(*, recorded: bool = False, sizes: Sequence[float] = (0.05, 0.1, 0.2, 0.3), **size: Any) -> Parallel:
    """How differences spread in networks and ciphers; `size` is that of `parallel.parallel`."""
    if not sizes:
        raise BadInput("sizes is empty; give shares above 0, at most 1, such as 0.1,0.2")
    if recorded:
        return recorded_parallel()
    _needs("torch", "sklearn")
    from .parallel import parallel as measure

    return measure(sizes=sizes, **size)


def _needs(*packages: str) -> None:
    if any(find_spec(name) is None for name in packages):
        raise BadInput(
            "networks need PyTorch, which is not installed; run pip install 'rackmath[lab]', or add --recorded for figures measured before"
        )
