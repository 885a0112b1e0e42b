"""The verbs `lab memory` and `lab parallel`: words in, answers out. No arithmetic here.

>>> [d.layers for d in memory(recorded=True).memory.depths if d.way == "reversible"]
[4, 8, 16, 32]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ..errors import BadInput
from ..questions.resolve import Quantity, whole
from ..units import parse
from .progress_bar import Hear, silent

if TYPE_CHECKING:
    from ..experiments.results import Memory, Parallel
    from .export import Face


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryAnswer:
    """What reversibility saves and costs, and what a reader must know."""

    memory: Memory
    notes: tuple[str, ...]

    def face(self) -> Face:
        from . import show_lab_memory

        return show_lab_memory.face(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelAnswer:
    """Networks and ciphers under the same questions, and what a reader must know."""

    parallel: Parallel
    notes: tuple[str, ...]

    def face(self) -> Face:
        from . import show_lab_parallel

        return show_lab_parallel.face(self)


def memory(
    *,
    depths: str | Sequence[int] = (2, 4, 8, 16),
    width: Quantity = 64,
    context: Quantity = 64,
    batch: Quantity = 8,
    steps: Quantity = 0,
    seeds: Quantity = 4,
    recorded: bool = False,
    progress: Hear = silent,
) -> MemoryAnswer:
    """Memory and time of a training step against depth, error of the rebuilt input, and loss curves if `steps`."""
    layers = tuple(whole(d, "depths", 1, 512) for d in _several(depths, "depths"))
    if len(set(layers)) < 2:
        raise BadInput(f"depths = {depths!r} is one depth; give two or more, such as 4,8,16")
    wide = whole(width, "width", 4, 4096)
    if wide % 4:
        raise BadInput(f"width = {width!r} is no multiple of the 4 heads; give one that is")
    length, sequences = whole(context, "context", 2, 1 << 14), whole(batch, "batch", 1, 4096)
    trained, runs = whole(steps, "steps", 0, 100_000), whole(seeds, "seeds", 2, 100)
    if recorded:
        from ..experiments.results import recorded_memory

        return MemoryAnswer(memory=recorded_memory(), notes=_notes(recorded=True))
    _needs("torch")
    from ..experiments.measure import memory as measure

    made = measure(
        width=wide, context=length, batch=sequences, depths=tuple(sorted(set(layers))), steps=trained, seeds=runs,
        hear=progress,
    )  # fmt: skip
    return MemoryAnswer(memory=made, notes=_notes(recorded=False))


def parallel(
    *,
    sizes: str | Sequence[float] = (0.05, 0.1, 0.2, 0.3),
    epochs: Quantity = 20,
    seed: Quantity = 0,
    recorded: bool = False,
    progress: Hear = silent,
) -> ParallelAnswer:
    """How differences spread in networks and ciphers, and which difference changes the answer."""
    changes = tuple(parse(s, "share", name="sizes") for s in _several(sizes, "sizes"))
    for change in changes:
        if not 0 < change <= 1:
            raise BadInput(f"sizes = {sizes!r} holds {change:g}; pixels go from 0 to 1, so give shares above 0 to 1")
    passes, start = whole(epochs, "epochs", 1, 1000), whole(seed, "seed", 0, 1 << 31)
    if recorded:
        from ..experiments.results import recorded_parallel

        return ParallelAnswer(parallel=recorded_parallel(), notes=())
    _needs("torch", "sklearn")
    from ..experiments.parallel import parallel as measure

    return ParallelAnswer(parallel=measure(epochs=passes, sizes=changes, seed=start, hear=progress), notes=())


def _notes(*, recorded: bool) -> tuple[str, ...]:
    times = "times are of the processor on one thread, or of the CUDA device where there is one"
    return (times,) if recorded else (times, "small networks on a busy machine vary by some percent from run to run")


def _needs(*packages: str) -> None:
    if any(find_spec(name) is None for name in packages):
        raise BadInput(
            "networks need PyTorch, which is not installed; run pip install 'rackmath[lab]', or add --recorded for"
            " figures measured before"
        )


def _several(given: str | Sequence[float], name: str) -> list[Quantity]:
    found: list[Quantity] = list(given.split(",")) if isinstance(given, str) else list(given)
    if not found or not all(str(one).strip() for one in found):
        raise BadInput(f"{name} = {given!r} is not a list; give numbers with commas between them")
    return found
