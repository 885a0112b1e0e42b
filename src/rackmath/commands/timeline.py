"""What each device does in a step: computing, reading memory, exchanging, hops, bubbles; stage by stage.

Group: Serving
Example: rackmath timeline deepseek-ai/DeepSeek-V3 --on gb200-nvl72 --layout 'TP1 DP64 EP64' --batch 2048

The pieces are the operations of the estimate in order, so every lane adds up to the step. -o FILE.trace.json writes
the step as a Chrome trace, for chrome://tracing or ui.perfetto.dev.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from ..answers.lanes import BarKind, Lanes, TimeBar
from ..answers.parts import Answer, Block, Column, Say, Table
from ..answers.terms import Term, stated
from ..answers.terms import count as number
from ..answers.text import cell
from ..errors import BadInput
from ..kernel.counts import Pass
from ..layout.footprint import footprint
from ..layout.pipeline import disconnected
from ..questions.common import CHOICES, LayoutWords, OnMachine
from ..questions.fields import count, tokens
from ..questions.layouts import layout_taken
from ..questions.resolve import asked_of
from ..search.grid import Question
from ..search.preferred import layout_for_pass
from ..serving import pieces
from ..serving import timeline as times
from ..serving.pieces import KINDS, Piece
from ..serving.timeline import lane, pass_of, totals
from ..serving.trace import trace
from ..units import show
from ..views import pass_terms, setting
from ..views.setting import formats
from ..world.lengths import within
from ..world.precision import Precision
from ..world.workload import Traffic

LETTERS = dict(zip(KINDS, "█▓▒x+>░·", strict=True))
MOST_BLOCKS = 2
LEAST_SHARE = 0.1
"""Kinds of layer below this share of a pass are not drawn on their own."""


@dataclass(frozen=True, kw_only=True)
class StepInTime(OnMachine):
    """What is decoded and prefilled, and how it is cut."""

    batch: Annotated[float, count("Sequences that decode one token each.")] = 64
    context: Annotated[float, tokens("Tokens already in each sequence.", least=0)] = 8192
    prefill: Annotated[float, tokens("Prompt tokens processed in the same pass.", least=0)] = 0
    layout: LayoutWords = None
    micro_batches: Annotated[
        int | None,
        count("Cut the batch into so many. As many as pipeline stages if not given.", least=1, most=256, whole=True, panel=CHOICES),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Laid:
    """A step laid out in time. `batch`: sequences in all micro-batches together."""

    question: Question
    precision: Precision
    batch: float
    timeline: times.Timeline
    notes: tuple[str, ...]


def answer(q: StepInTime) -> Answer:
    """The lanes of every stage, and of one layer of the kinds that take longest."""
    a = _laid(q)
    t = a.timeline
    return Answer(
        title=Say("One step of *{model}* on *{machine}*", {"model": a.question.model.name, "machine": a.question.machine.name}),
        subtitle=f"{t.layout.label()}, {formats(a.precision)} · {_load(a)}",
        blocks=tuple(_blocks(a)),
        table="segments",
        data=_data(a),
        terms=lambda: _terms(a),
        notes=a.notes,
        saves={".trace.json": lambda: trace(t)},
        subject=a,
    )


def _laid(q: StepInTime) -> Laid:
    if not q.batch and not q.prefill:
        raise BadInput("batch and prefill are both 0: the step is empty; give at least one token")
    asked, notes = asked_of(q, Traffic(isl=max(q.context, 1.0), osl=1))
    longer = "context" if q.context >= q.prefill else "prefill"
    notes += within(asked.model, max(q.context, q.prefill), longer, extrapolate=q.extrapolate)
    used = asked.precisions[0]
    whole = Pass(decode=q.batch, context=q.context, prefill=q.prefill, prompt=max(q.prefill, 1.0))
    chosen = layout_taken(q.layout, asked, lambda: layout_for_pass(asked, used, whole), notes)
    if reason := disconnected(asked.machine, chosen):
        raise BadInput(f"{reason}; give its bandwidth with --set machine.scaleout_bandwidth=50GB/s, or fewer devices")
    m = _micro_batches(q, int(chosen.pp))
    holds = footprint(asked.model, asked.machine, used, chosen, asked.engine, q.context)
    if not holds.used(q.batch, chosen) <= holds.capacity:
        notes.append("this batch does not fit in memory: the times are arithmetic only")
    notes += _said(m, int(chosen.pp), q.prefill)
    work = pass_of(chosen, q.batch, q.context, q.prefill, m)
    made = times.timeline(asked.model, asked.machine, used, chosen, asked.efficiency, work, micro_batches=m)
    return Laid(question=asked, precision=used, batch=q.batch, timeline=made, notes=tuple(dict.fromkeys(notes)))


def _micro_batches(q: StepInTime, stages: int) -> int:
    if q.micro_batches is None:
        return stages if not q.batch else max(1, min(stages, int(q.batch)))
    if q.batch and q.micro_batches > q.batch:
        raise BadInput(f"{q.micro_batches} micro-batches need as many sequences; the batch has {q.batch:g}")
    return q.micro_batches


def _said(m: int, stages: int, prefill: float) -> Iterator[str]:
    if m < stages:
        yield f"{m} micro-batches for {stages} stages: stages idle {1 - m / stages:.0%} of the time for want of more"
    if m > stages:
        yield f"{m} micro-batches for {stages} stages: a sequence waits until all others have had their turn"
    if stages > 1:
        yield "every stage is drawn with an equal share of each kind of layer, as the estimate takes it"
        if prefill:
            yield "every micro-batch carries the prompt tokens"


def _load(a: Laid) -> str:
    work, parts = a.timeline.work, []
    if a.batch:
        many = "1 sequence decodes" if a.batch == 1 else f"{cell(a.batch, 'count')} sequences decode"
        few = f"a sequence at a time decodes, {a.batch:.0%} of the time"
        parts.append(f"{few if a.batch < 1 else many} at {cell(float(work.context), 'count')} tokens")
    if float(work.prefill):
        parts.append(f"{cell(float(work.prefill), 'count')} prompt tokens")
    return " + ".join(parts)


# --- the record ---------------------------------------------------------------------------------------------------


def _data(a: Laid) -> dict[str, Any]:
    t = a.timeline
    return {
        "layout": setting.layout(t.layout),
        "precision": setting.precision(a.precision),
        "step": t.step,
        "estimate": t.time.estimate,
        "bound": t.time.bound,
        "micro_batches": t.micro_batches,
        "sequences_per_micro_batch": a.batch / t.micro_batches,
        "hop": t.hop,
        "stages": [
            {"stage": s + 1, "layers": t.stage_layers[s], "per_micro_batch": t.busy[s], "seconds": totals(t, s)} for s in range(t.stages)
        ],
        "blocks": [
            {"name": b.name, "layers": b.layers, "seconds": b.seconds, "pieces": [_piece(p, b) for p in b.pieces]} for b in t.blocks
        ],
        "segments": _segments(t),
    }


def _piece(p: Piece, b: pieces.Block) -> dict[str, Any]:
    return {
        "name": p.name,
        "kind": p.kind,
        "seconds": p.seconds,
        "share": p.seconds / b.layer if b.layer else None,
        "computing": p.computing,
        "moving": p.moving,
        "sending": p.sending,
    }


def _segments(t: times.Timeline) -> list[dict[str, Any]]:
    """One row for each segment of each stage, alike layers together."""
    return [
        {
            "stage": stage + 1,
            "start": s.start,
            "seconds": s.seconds,
            "kind": s.piece.kind,
            "name": s.piece.name,
            "layers": s.block,
            "micro_batch": s.micro + 1 if s.micro >= 0 else None,
        }
        for stage in range(t.stages)
        for s in lane(t, stage)
    ]


# --- blocks -------------------------------------------------------------------------------------------------------


def _blocks(a: Laid) -> Iterator[Block]:
    t = a.timeline
    yield _step(a)
    means = {k: sum(totals(t, s)[k] for s in range(t.stages)) / t.stages for k in KINDS}
    aside = "all devices of a stage do alike; alike layers drawn together"
    if t.stages == 1:
        found = {"every GPU": [_stretch(s) for s in lane(t, 0)]}
        yield Lanes(lanes=found, kinds=_kinds(), span=t.step, key="seconds", amounts=means, title="The step", aside=aside)
    else:
        turns = {f"stage {s + 1}": [_stretch(x, turn=True) for x in lane(t, s)] for s in range(t.stages)}
        yield Lanes(lanes=turns, kinds=_kinds(), span=t.step, labels="micro-batches", legend=False, title="The step", aside=aside)
        first = [s for s in lane(t, 0) if s.micro == 0]
        span = sum(s.seconds for s in first)
        yield Lanes(
            lanes={"every GPU": _in_a_row(s.piece for s in first)},
            kinds=_kinds(),
            span=span,
            key="seconds",
            amounts=means,
            title="One micro-batch in the first stage",
            aside=f"{show(span, 's')}; below, the mean of a stage in a step",
        )
    for block in _largest(t.blocks):
        yield _layer(block)
        yield _operations(block)


def _step(a: Laid) -> Say:
    t = a.timeline
    values = {
        "step": t.step,
        "bound": t.time.bound,
        "gpus": t.layout.gpus,
        "micro": t.micro_batches,
        "each": a.batch / t.micro_batches,
        "stages": t.stages,
        "hop": t.hop,
    }
    text = "*{step:s}* a step   estimate; bound {bound:s}; "
    if t.stages == 1 and t.micro_batches == 1:
        return Say(text + "{gpus:count} GPUs", values)
    text += "{micro:count} micro-batch" + "es" * (t.micro_batches > 1)
    text += " of {each:count} sequences" if a.batch else ""
    text += ", {stages:count} stage" + ("s, {hop:s} a hop" if t.stages > 1 else "")
    return Say(text, values)


def _kinds() -> dict[str, BarKind]:
    return {name: BarKind(LETTERS[name], said) for name, said in KINDS.items()}


def _stretch(s: times.Segment, *, turn: bool = False) -> TimeBar:
    label = str(s.micro + 1) if turn and s.micro >= 0 else ""
    return TimeBar(s.start, s.end, s.piece.kind, s.piece.name, label)


def _in_a_row(pieces: Iterable[Piece], part: str = "seconds") -> list[TimeBar]:
    """Pieces one after the other; `part` of each: the seconds that something is at work, from its start."""
    found, at = [], 0.0
    for p in pieces:
        if (seconds := getattr(p, part)) > 0:
            found.append(TimeBar(at, at + seconds, p.kind, p.name))
        at += p.seconds
    return found


def _largest(blocks: Sequence[pieces.Block]) -> list[pieces.Block]:
    """The kinds of layer that take longest, in order of the pass."""
    inner = [b for b in blocks if b.name not in ("start", "end")]
    enough = LEAST_SHARE * sum(b.seconds for b in blocks)
    kept = sorted((b for b in inner if b.seconds >= enough), key=lambda b: -b.seconds)[:MOST_BLOCKS]
    return [b for b in inner if any(b is k for k in kept)]


def _layer(block: pieces.Block) -> Lanes:
    found = {"held by": _in_a_row(block.pieces)}
    for label, part in (("tensor cores", "computing"), ("memory", "moving"), ("links", "sending")):
        found[label] = _in_a_row(block.pieces, part)
    return Lanes(
        lanes=found,
        kinds=_kinds(),
        span=block.layer,
        legend=False,
        levels=frozenset(("tensor cores", "memory", "links")),
        title=f"One of {block.layers:g} layers: {block.name}",
        aside=f"{show(block.layer, 's')} each, {show(block.seconds, 's')} in all",
    )


def _operations(block: pieces.Block) -> Table:
    """The pieces with all launches as one."""
    rows = [_piece(p, block) for p in block.pieces]
    shown = [row for row in rows if row["kind"] != "overhead"]
    if launches := [row for row in rows if row["kind"] == "overhead"]:
        summed = {name: sum(row[name] or 0.0 for row in launches) for name in ("seconds", "share")}
        shown.append({"name": f"launches before {len(launches)} of them", "kind": "overhead"} | summed)
    columns = (Column("name", "operation"), Column("seconds", "seconds", "s"), Column("share", "share", "percent"), Column("doing", ""))
    said = [row | {"doing": f"{LETTERS[row['kind']]} {KINDS[row['kind']]}"} for row in shown]
    return Table(key="", columns=columns, rows=rows, shown=said, title=f"Operations of {block.name}")


# --- terms --------------------------------------------------------------------------------------------------------


def _terms(a: Laid) -> Term:
    """Each stage's lane as a sum of kinds, and the pass it is made of."""
    t = a.timeline
    stages = []
    for s in range(t.stages):
        parts = [Term(name=KINDS[k], value=v, unit="s") for k, v in totals(t, s).items() if v > 0]
        name = f"stage {s + 1}, {t.stage_layers[s]:g} layers" if t.stages > 1 else "every device"
        stages.append(stated("sum", name, t.step, "s", *parts))
    sequences = float(t.work.decode) / float(t.layout.dp)
    made = pass_terms.pass_nodes("estimate of a pass", t.time, a.question, a.precision, sequences)
    return Term(
        name=f"a step of {a.question.model.name} on {a.question.machine.name}, {t.layout.label()}",
        value=t.step,
        unit="s",
        children=(number("micro-batches", t.micro_batches), *stages, made, pass_terms.bound(t.time)),
    )
