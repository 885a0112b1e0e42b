"""What each device does in a step: the operations of a pass laid out in time, stage by stage.

The pieces are the terms of `forward(..., keep=True)`, one after the other as the estimate takes them: layer group by
layer group, dispatch before the experts and combine after them. With pipeline stages every lane is a stage (all its
devices do alike, the busiest is shown), holding its share of every group, as the estimate has it. Micro-batch j
enters the first stage j spacings after the start of the step; the picture repeats every step, so what runs past its
end is drawn at its beginning. Each lane adds up to the step, which is the estimate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import BadInput
from ..kernel.counts import Pass
from ..kernel.efficiency import Efficiency
from ..kernel.roofline import CACHE_KINDS, Op, PassTime
from ..layout.forward import forward, operations
from ..layout.parallelism import Layout, stage_share
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
        return replace(
            self, seconds=self.seconds * n, computing=self.computing * n, moving=self.moving * n,
            sending=self.sending * n,
        )  # fmt: skip


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A piece in its place: seconds from the start of the step; `micro`: its micro-batch, -1 where there is none."""

    start: float
    piece: Piece
    block: str = ""
    micro: int = -1

    @property
    def seconds(self) -> float:
        return self.piece.seconds

    @property
    def end(self) -> float:
        return self.start + self.piece.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """A step of a replica. `step`: seconds between two tokens of a sequence; `hop`: of one hop between stages."""

    layout: Layout
    work: Pass
    time: PassTime
    step: float
    micro_batches: int
    blocks: tuple[Block, ...]
    stage_layers: tuple[float, ...]
    hop: float

    @property
    def stages(self) -> int:
        return len(self.stage_layers)

    @property
    def busy(self) -> tuple[float, ...]:
        """Seconds each stage works on one micro-batch."""
        whole = sum(b.seconds for b in self.blocks)
        layers = sum(self.stage_layers)
        return tuple(whole * n / layers for n in self.stage_layers)

    @property
    def spacing(self) -> float:
        """Seconds from one micro-batch to the next."""
        return self.step / max(self.micro_batches, self.stages)


def timeline(
    model: Model,
    machine: Machine,
    precision: Precision,
    layout: Layout,
    efficiency: Efficiency,
    work: Pass,
    *,
    micro_batches: int | None = None,
) -> Timeline:
    """The step in which every one of `micro_batches` micro-batches, each with the `work` of a pass, moves on once.

    By default there are as many as stages. With fewer, stages idle; with more, a sequence waits for its turn.
    """
    stages = int(layout.pp)
    m = stages if micro_batches is None else micro_batches
    if m < 1:
        raise BadInput(f"{m} micro-batches are impossible; give 1 or more")
    if stages > model.n_layers:
        raise BadInput(f"{stages} stages are more than the {model.n_layers:g} layers of {model.name}; give fewer")
    time = forward(model, machine, precision, layout, work, efficiency, keep=True)
    blocks = _blocks(model, machine, precision, layout, efficiency, work, time)
    hops = sum(float(seconds) for op, seconds in time.terms if op.name == HOPS)
    each = hops / (stages - 1) if stages > 1 else 0.0
    whole = sum(b.seconds for b in blocks)
    most = float(np.ceil(model.n_layers / stages))
    full = round(model.n_layers - stages * (most - 1))  # so many stages hold one layer more than the others
    pace = float(stage_share(model, layout)) * stages
    return Timeline(
        layout=layout,
        work=work,
        time=time,
        step=max(float(time.estimate) * pace, m * whole * most / model.n_layers),
        micro_batches=m,
        blocks=blocks,
        stage_layers=tuple(most if s < full else most - 1 for s in range(stages)),
        hop=each,
    )


HOPS = "pipeline hops"


def _blocks(
    model: Model,
    machine: Machine,
    precision: Precision,
    layout: Layout,
    efficiency: Efficiency,
    work: Pass,
    time: PassTime,
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


# --- lanes --------------------------------------------------------------------------------------------------------


def lane(t: Timeline, stage: int, *, layerwise: bool = False) -> tuple[Segment, ...]:
    """What one stage does from the start of the step to its end, without a gap; durations add up to the step.

    Alike layers are one run of pieces, unless `layerwise` and the replica has one stage: then each is drawn.
    """
    t0 = sum(t.busy[:stage]) + stage * t.hop
    cycle: list[tuple[str, int, Piece]] = []
    for j in range(t.micro_batches):
        cycle += [(block, j, piece) for block, piece in _share(t, stage, layerwise=layerwise)]
        cycle += [("", -1, piece) for piece in _gap(t, stage)]
    if t.micro_batches < t.stages:
        spare = (t.stages - t.micro_batches) * t.spacing
        cycle.append(("", -1, Piece(name="too few micro-batches", kind="idle", seconds=spare)))
    return tuple(_wrapped(cycle, t0 % t.step, t.step))


def _share(t: Timeline, stage: int, *, layerwise: bool) -> Iterator[tuple[str, Piece]]:
    """A stage's pieces for one micro-batch."""
    share = t.stage_layers[stage] / sum(t.stage_layers)
    for block in t.blocks:
        if layerwise and t.stages == 1 and block.layers == int(block.layers):
            for _ in range(int(block.layers)):
                yield from ((block.name, piece) for piece in block.pieces)
        else:
            yield from ((block.name, piece.times(block.layers * share)) for piece in block.pieces)


def _gap(t: Timeline, stage: int) -> tuple[Piece, ...]:
    """What a stage waits for before the next micro-batch: a fuller stage, then hops."""
    fuller = max(t.busy) - t.busy[stage]
    hops = t.spacing - max(t.busy)
    least = 1e-12 * t.step
    pieces = (
        Piece(name="a fuller stage is awaited", kind="idle", seconds=fuller),
        Piece(name="hop", kind="hop", seconds=hops),
    )
    return tuple(p for p in pieces if p.seconds > least)


def _wrapped(cycle: Sequence[tuple[str, int, Piece]], t0: float, period: float) -> list[Segment]:
    """Pieces one after the other from t0 on, those beyond the period moved to its start; cut where they cross it."""
    found: list[Segment] = []
    at = t0
    for block, micro, piece in cycle:
        at = at - period if at >= period else at
        room = period - at
        if piece.seconds > room * (1 + 1e-9):
            part = room / piece.seconds
            found.append(Segment(start=at, piece=piece.times(part), block=block, micro=micro))
            found.append(Segment(start=0.0, piece=piece.times(1 - part), block=block, micro=micro))
            at = piece.seconds - room
        else:
            found.append(Segment(start=at, piece=piece, block=block, micro=micro))
            at += piece.seconds
    return sorted((s for s in found if s.seconds > 0), key=lambda s: s.start)


def totals(t: Timeline, stage: int) -> dict[str, float]:
    """Seconds of the step by kind for one stage; they add up to the step."""
    found = dict.fromkeys(KINDS, 0.0)
    for segment in lane(t, stage):
        found[segment.piece.kind] += segment.seconds
    return found


# --- Chrome trace -------------------------------------------------------------------------------------------------

TRACKS = ("step", "tensor cores", "memory", "links")


def trace(t: Timeline) -> dict[str, object]:
    """The step as events that chrome://tracing and Perfetto read: one process per stage, times in microseconds.

    The track "step" holds what each stage does, within its micro-batch; the others how long tensor cores, memory
    and links are at work during an operation (they start with it, together). Hops are on the links of the sender.
    """
    events: list[dict[str, object]] = []
    for stage in range(t.stages):
        names = [("process_name", 0, _stage_name(t, stage))]
        names += [("thread_name", i, track) for i, track in enumerate(TRACKS)]
        events += [{"ph": "M", "name": n, "pid": stage, "tid": i, "args": {"name": v}} for n, i, v in names]
        for segment in lane(t, stage, layerwise=True):
            events += _events(segment, stage)
        events += _hops(t, stage)
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def _stage_name(t: Timeline, stage: int) -> str:
    devices = f"each of {float(t.layout.gpus) / t.stages:g} GPUs"
    return devices if t.stages == 1 else f"stage {stage + 1} of {t.stages}, {devices}"


def _events(s: Segment, stage: int) -> Iterator[dict[str, object]]:
    args: dict[str, object] = {"layers": s.block} if s.block else {}
    if s.micro >= 0:
        args["micro_batch"] = s.micro + 1
    parts = (s.seconds, s.piece.computing, s.piece.moving, s.piece.sending)
    for track, seconds in enumerate(parts):
        if seconds > 0:
            yield event(s.piece.name, s.piece.kind, stage, track, s.start, seconds, args)


def _hops(t: Timeline, stage: int) -> Iterator[dict[str, object]]:
    """Sending each micro-batch's result on; a hop across the end of the step goes on at its beginning."""
    if stage == t.stages - 1 or not t.hop:
        return
    ends = sum(t.busy[: stage + 1]) + stage * t.hop
    for j in range(t.micro_batches):
        cycle = [("", j, Piece(name="hop", kind="hop", seconds=t.hop, sending=t.hop))]
        for s in _wrapped(cycle, (ends + j * t.spacing) % t.step, t.step):
            yield event("hop", "hop", stage, 3, s.start, s.seconds, {"micro_batch": j + 1})


def event(
    name: str, kind: str, pid: int, tid: int, start: float, seconds: float, args: dict[str, object]
) -> dict[str, object]:
    """Something that lasts, on track `tid` of process `pid`."""
    return {
        "ph": "X", "name": name, "cat": kind, "pid": pid, "tid": tid, "ts": start * 1e6, "dur": seconds * 1e6,
        "args": args,
    }  # fmt: skip


def pass_of(layout: Layout, batch: float, context: float, prefill: float, micro_batches: int) -> Pass:
    """The work of one micro-batch: its share of the batch, and the same prefill tokens in each."""
    return Pass(
        decode=batch / micro_batches,
        context=context,
        prefill=prefill,
        prompt=max(prefill, 1.0),
        busiest=1 / float(layout.dp) if prefill else 1.0,
    )
