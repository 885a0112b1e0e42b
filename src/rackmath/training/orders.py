"""The order in which each device carries out forward passes, input gradients and weight gradients, by schedule.

A part is (kind, micro-batch, chunk): kind F, B or W. A block is parts that run as one, with one result at its end:
a whole backward pass is (B, W), and DualPipe runs a forward and a backward pass of two micro-batches as one. An order
is the blocks of a device, first to last. These orders are the same for all times; `fold` makes those that are not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import BadInput
from .schedules import Schedule

Part = tuple[str, int, int]
Block = tuple[Part, ...]
Order = list[Block]
FORWARD, INPUT, WEIGHT = "F", "B", "W"


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Seconds of one micro-batch through one device's layers, or one for each device; `hop`: of a message."""

    forward: float | Sequence[float] = 1.0
    input_grad: float | Sequence[float] = 1.0
    weight_grad: float | Sequence[float] = 1.0
    hop: float = 0.0

    def of(self, stages: int, chunks: int) -> list[dict[str, float]]:
        """Seconds of a chunk on each device, by kind.

        >>> Times(forward=[1.0, 2.0]).of(2, 2)
        [{'F': 0.5, 'B': 0.5, 'W': 0.5}, {'F': 1.0, 'B': 0.5, 'W': 0.5}]
        """
        found: list[dict[str, float]] = [{} for _ in range(stages)]
        for kind, given in zip("FBW", (self.forward, self.input_grad, self.weight_grad), strict=True):
            each = [float(given)] * stages if isinstance(given, int | float) else list(given)
            if len(each) != stages:
                raise BadInput(f"{len(each)} times were given for {stages} stages; give one time, or one for each")
            for device, seconds in zip(found, each, strict=True):
                device[kind] = seconds / chunks
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineOrder:
    """A schedule spelt out. `chunks`: pieces a device's layers are cut into; `orders`: one for each device."""

    schedule: Schedule
    stages: int
    micro_batches: int
    chunks: int
    orders: tuple[tuple[Block, ...], ...]

    def way(self, micro: int) -> tuple[tuple[int, int], ...]:
        """The (device, chunk) pairs a micro-batch passes, first layer to last."""
        return way(self.schedule, self.stages, self.chunks, backwards=2 * micro >= self.micro_batches)


def way(schedule: Schedule, p: int, chunks: int, *, backwards: bool = False) -> tuple[tuple[int, int], ...]:
    """The way through the devices: once down, v times down, a V, or DualPipe's second half of micro-batches up."""
    down = [(d, 0) for d in range(p)]
    if schedule.copies == 2:
        return tuple(down if not backwards else [(d, 1) for d in reversed(range(p))])
    if schedule.chunks == 2:
        return (*down, *((d, 1) for d in reversed(range(p))))
    return tuple((d, k) for k in range(chunks) for d in range(p))


def _f(micro: int, chunk: int = 0) -> Block:
    return ((FORWARD, micro, chunk),)


def _b(micro: int, chunk: int = 0) -> Block:
    return ((INPUT, micro, chunk),)


def _w(micro: int, chunk: int = 0) -> Block:
    return ((WEIGHT, micro, chunk),)


def _back(micro: int, chunk: int = 0) -> Block:
    """A whole backward pass."""
    return (*_b(micro, chunk), *_w(micro, chunk))


# --- one direction ------------------------------------------------------------------------------------------------


def _gpipe(p: int, m: int, v: int, d: int) -> Order:
    return [_f(i) for i in range(m)] + [_back(i) for i in range(m)]


def _in_turn(forward: Sequence[tuple[int, int]], backward: Sequence[tuple[int, int]], ahead: int) -> Order:
    """`ahead` forward passes, then one forward and one backward in turn, then the backward passes that are left."""
    ahead = min(ahead, len(forward))
    found = [_f(*x) for x in forward[:ahead]]
    for j, done in enumerate(backward):
        if ahead + j < len(forward):
            found.append(_f(*forward[ahead + j]))
        found.append(_back(*done))
    return found


def _one_f_one_b(p: int, m: int, v: int, d: int) -> Order:
    every = [(i, 0) for i in range(m)]
    return _in_turn(every, every, p - d - 1)


def _interleaved(p: int, m: int, v: int, d: int) -> Order:
    """p micro-batches pass a chunk, then the next chunk, and so on; then the next p."""
    groups = range(0, m, p)
    down = [(g + i, k) for g in groups for k in range(v) for i in range(p)]
    up = [(g + i, k) for g in groups for k in reversed(range(v)) for i in range(p)]
    return _in_turn(down, up, 2 * (p - d - 1) + (v - 1) * p)


def _late_weights(m: int, ahead: int, late: int) -> Order:
    """`ahead` forward passes, then B, the W of `late` micro-batches before, and F in turn; W that are left last."""
    ahead = min(ahead, m)
    found = [_f(i) for i in range(ahead)]
    for i in range(m):
        found.append(_b(i))
        if i >= late:
            found.append(_w(i - late))
        if ahead + i < m:
            found.append(_f(ahead + i))
    return found + [_w(i) for i in range(max(0, m - late), m)]


def _zb_1p(p: int, m: int, v: int, d: int) -> Order:
    """p micro-batches in flight everywhere: later devices have fewer forward passes ahead and keep more W back."""
    return _late_weights(m, p - d, d)


def _zb_h2(p: int, m: int, v: int, d: int) -> Order:
    return _late_weights(m, 2 * (p - d) - 1, 2 * d)


# --- two directions -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Both:
    """What one device of DualPipe has done: `side` 0 is what it sees first, 1 what has passed the others before."""

    micro: Callable[[int, int], tuple[int, int]]
    found: Order
    forward: list[int]
    backward: list[int]
    kept: list[tuple[int, int]]

    def f(self, side: int) -> Block:
        self.forward[side] += 1
        return _f(*self.micro(side, self.forward[side] - 1))

    def b(self, side: int, *, keep: bool = False) -> Block:
        """A backward pass; `keep`: its weight gradient comes later."""
        self.backward[side] += 1
        done = self.micro(side, self.backward[side] - 1)
        if keep:
            self.kept.append(done)
            return _b(*done)
        return _back(*done)

    def w(self) -> Block:
        return _w(*self.kept.pop(0))


def _two_sided(half: int, q: int, each: int, micro: Callable[[int, int], tuple[int, int]]) -> Order:
    """The eight phases of DualPipe on the q-th of `half` devices from the end, with `each` micro-batches a side."""
    on = _Both(micro, [], [0, 0], [0, 0], [])
    do, inner = on.found.append, half - q - 1
    for _ in range(2 * inner):
        do(on.f(0))
    for _ in range(q + 1):
        do(on.f(0))
        do(on.f(1))
    for _ in range(inner):
        do(on.b(1, keep=True))
        do(on.w())
        do(on.f(1))
    for i in range(each - 2 * half + q + 1):
        if i == 0 and inner == 0:  # the middle: apart, so that its neighbour starts sooner
            do(on.f(0))
            do(on.b(1))
        else:
            do((*on.f(0), *on.b(1)))
        do((*on.f(1), *on.b(0)))
    for _ in range(inner):
        do(on.b(1))
        do((*on.f(1), *on.b(0)))
    for n in range(2 * (q + 1)):  # the second half of these keep their weight gradients back
        do(on.b((n + 1) % 2, keep=n > q))
    for _ in range(inner):
        do(on.w())
        do(on.b(0, keep=True))
    while on.kept:
        do(on.w())
    return on.found


def _dualpipe(p: int, m: int, v: int, d: int) -> Order:
    half = m // 2

    def micro(side: int, i: int) -> tuple[int, int]:
        direction = side ^ (d >= p // 2)
        return i + half * direction, direction

    return _two_sided(p // 2, min(d, p - 1 - d), half, micro)


def _dualpipe_v(p: int, m: int, v: int, d: int) -> Order:
    return _two_sided(p, d, m, lambda side, i: (i, side))


FIXED: dict[str, Callable[[int, int, int, int], Order]] = {
    "gpipe": _gpipe,
    "1f1b": _one_f_one_b,
    "interleaved": _interleaved,
    "zb-1p": _zb_1p,
    "zb-h2": _zb_h2,
    "dualpipe": _dualpipe,
    "dualpipe-v": _dualpipe_v,
}


def fixed(schedule: Schedule, p: int, m: int, chunks: int) -> PipelineOrder:
    """The plan of a schedule whose order does not depend on times.

    >>> from .schedules import schedule_named
    >>> plan = fixed(schedule_named("1f1b"), 2, 3, 1)
    >>> [" ".join("".join(f"{kind}{i}" for kind, i, _ in block) for block in order) for order in plan.orders]
    ['F0 F1 B0W0 F2 B1W1 B2W2', 'F0 B0W0 F1 B1W1 F2 B2W2']
    """
    orders = tuple(tuple(FIXED[schedule.name](p, m, chunks, d)) for d in range(p))
    return PipelineOrder(schedule=schedule, stages=p, micro_batches=m, chunks=chunks, orders=orders)
