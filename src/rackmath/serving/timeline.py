"""What each device does in a step: the operations of a pass laid out in time, stage by stage.

The pieces are the terms of `forward(..., keep=True)`, one after the other as the estimate takes them: layer group by
layer group, dispatch before the experts and combine after them. With pipeline stages every lane is a stage (all its
devices do alike, the busiest is shown), holding its share of every group, as the estimate has it. Micro-batch j
enters the first stage j spacings after the start of the step; the picture repeats every step, so what runs past its
end is drawn at its beginning. Each lane adds up to the step, which is the estimate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import BadInput
from ..kernel.counts import Pass
from ..kernel.efficiency import Efficiency
from ..kernel.roofline import PassTime
from ..layout.forward import forward
from ..layout.parallelism import Layout, stage_share
from ..world.machine import Machine
from ..world.model import Model
from ..world.precision import Precision
from .pieces import HOPS, KINDS, Block, Piece, blocks_of


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
    blocks = blocks_of(model, machine, precision, layout, efficiency, work, time)
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
    return tuple(wrapped(cycle, t0 % t.step, t.step))


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
    pieces = (Piece(name="a fuller stage is awaited", kind="idle", seconds=fuller), Piece(name="hop", kind="hop", seconds=hops))
    return tuple(p for p in pieces if p.seconds > least)


def wrapped(cycle: Sequence[tuple[str, int, Piece]], t0: float, period: float) -> list[Segment]:
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


def pass_of(layout: Layout, batch: float, context: float, prefill: float, micro_batches: int) -> Pass:
    """The work of one micro-batch: its share of the batch, and the same prefill tokens in each."""
    return Pass(
        decode=batch / micro_batches,
        context=context,
        prefill=prefill,
        prompt=max(prefill, 1.0),
        busiest=1 / float(layout.dp) if prefill else 1.0,
    )
