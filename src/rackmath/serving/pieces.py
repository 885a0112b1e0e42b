"""The operations of a pass as pieces of time: what starts them, what holds them back, in the order they run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..kernel.counts import Pass
from ..kernel.efficiency import Efficiency
from ..kernel.roofline import CACHE_KINDS, Op, PassTime
from ..layout.forward import operations
from ..layout.parallelism import Layout
from ..world.machine import Machine
from ..world.model import LayerGroup, Model
from ..world.precision import Precision

KINDS = {
    "compute": "computing",
    "weights": "reading weights",
    "cache": "reading the cache",
    "all-to-all": "exchanging tokens",
    "all-reduce": "all-reduce",
    "hop": "waiting for a hop between stages",
    "overhead": "launches and step overhead",
    "idle": "idle",
}
"""What a device can be doing, in words. Reading weights includes hidden vectors that norms pass through memory."""

NETWORK = ("all-to-all", "all-reduce", "hop")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One operation: `seconds` it takes, and of these the seconds that tensor cores, memory and links are at work."""

    name: str
    kind: str
    seconds: float
    computing: float = 0.0
    moving: float = 0.0
    sending: float = 0.0

    def times(self, n: float) -> Piece:
        """The same for n layers, or for a share of it."""
        return replace(self, seconds=self.seconds * n, computing=self.computing * n, moving=self.moving * n, sending=self.sending * n)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """`layers` layers that do the same: the pieces of one of them, in order."""

    name: str
    layers: float
    pieces: tuple[Piece, ...]

    @property
    def layer(self) -> float:
        """Seconds of one layer."""
        return sum(p.seconds for p in self.pieces)

    @property
    def seconds(self) -> float:
        return self.layers * self.layer


HOPS = "pipeline hops"


def blocks_of(
    model: Model, machine: Machine, precision: Precision, layout: Layout, efficiency: Efficiency, work: Pass, time: PassTime
) -> tuple[Block, ...]:
    """The terms of the pass as blocks of alike layers, between what happens once at its start and its end."""

    def made(terms: Sequence[tuple[Op, object]]) -> list[tuple[Op, tuple[Piece, Piece]]]:
        return [(op, _pieces(op, float(s), layout, efficiency)) for op, s in terms]  # type: ignore[arg-type]

    bare = replace(model, groups=())
    ends = list(operations(bare, machine, precision, layout, work, efficiency))
    terms, blocks, at = time.terms, [], 0
    for group in model.groups:
        alone = replace(model, groups=(group,))
        n = sum(1 for _ in operations(alone, machine, precision, layout, work, efficiency)) - len(ends)
        pieces = _in_order(made(terms[at : at + n]))
        blocks.append(Block(name=_named(group), layers=float(group.count), pieces=tuple(pieces)))
        at += n
    once = {op.name: pieces for op, pieces in made(terms[at:])}
    step = [
        Piece(name=name, kind="overhead", seconds=seconds)
        for name, seconds in around(time, efficiency, float(work.decode) / float(layout.dp)).items()
    ]
    start = Block(name="start", layers=1.0, pieces=_some(*step, *once.get("embedding lookup", ())))
    rest = [p for name, pair in once.items() if name not in ("embedding lookup", HOPS) for p in pair]
    return (start, *blocks, Block(name="end", layers=1.0, pieces=_some(*rest)))


def _named(group: LayerGroup) -> str:
    """What a group of layers is called: by its own name, or by what its layers are made of."""
    parts = [part.kind for part in (group.mixer, group.ffn) if part is not None]
    return group.name or " + ".join(parts) or "layers"


def _some(*pieces: Piece) -> tuple[Piece, ...]:
    return tuple(p for p in pieces if p.seconds > 0)


STEP, SEQUENCES, HOST = "step overhead", "work for each sequence", "waiting for the host"
"""What a pass takes around its operations, in words."""


def around(time: PassTime, efficiency: Efficiency, sequences: float) -> dict[str, float]:
    """Seconds of a kept pass that belong to no operation, by cause; with them its terms add up to the estimate.

    `sequences`: those a rank decodes. What is left is time in which the device waits for the host, in passes with
    prefill.
    """
    rest = float(time.estimate) - sum(float(seconds) for _, seconds in time.terms)
    found = {STEP: float(efficiency.step_overhead), SEQUENCES: float(efficiency.sequence_overhead) * sequences}
    waiting = rest - sum(found.values())
    return found | ({HOST: waiting} if waiting > 1e-12 * float(time.estimate) else {})


def launching(op: Op, efficiency: Efficiency) -> float:
    """Seconds one layer's kernels take to start: their own latency, and the engine's gaps between them."""
    return float(op.spent.launch + op.kernels * efficiency.launch)


def _pieces(op: Op, seconds: float, layout: Layout, efficiency: Efficiency) -> tuple[Piece, Piece]:
    """One layer's operation: its launches, then its run, named after what holds it back."""
    n = float(op.layers)
    launch = launching(op, efficiency)
    run = max(seconds / n - launch, 0.0)
    first = Piece(name=f"launch: {op.name}", kind="overhead", seconds=launch)
    if op.kind == "network":
        exchanged = not op.name.startswith("all-reduce") and float(layout.gpus / layout.tp / layout.pp) > 1
        kind = "all-to-all" if exchanged else "all-reduce"
        return first, Piece(name=op.name, kind=kind, seconds=run, sending=run)
    held = "compute" if op.computes else "cache" if op.kind in CACHE_KINDS else "weights"
    computing, moving = float(op.spent.compute), float(op.spent.memory + op.spent.moved)
    piece = Piece(name=op.name, kind=held, seconds=run, computing=min(computing, run), moving=min(moving, run))
    return first, piece


def _in_order(terms: Sequence[tuple[Op, tuple[Piece, Piece]]]) -> Iterator[Piece]:
    """The pieces of a layer as they run: half of an expert exchange, the dispatch, comes before the experts."""
    held: list[Piece] = []
    for op, (launch, run) in terms:
        if op.name.startswith("routed experts"):
            held = [launch, run]
            continue
        if op.name.startswith("expert exchange") and run.kind == "all-to-all":
            half, start = run.times(0.5), launch.times(0.5)
            label = op.name.removeprefix("expert exchange")
            yield from _some(replace(start, name=f"launch: dispatch{label}"), replace(half, name=f"dispatch{label}"))
            yield from _some(*held)
            yield from _some(replace(start, name=f"launch: combine{label}"), replace(half, name=f"combine{label}"))
        else:
            yield from _some(*held, launch, run)
        held = []
    yield from _some(*held)
