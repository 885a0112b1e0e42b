"""The faces of `timeline`: lanes of letters in a terminal, bars in a picture, a Chrome trace."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from ..serving.timeline import KINDS, Block, Piece, Segment, lane, totals, trace
from ..units import show
from ..views import pass_terms, setting
from ..views.machine_terms import Node, count, stated
from ..views.setting import formats
from .ask_timeline import TimelineAnswer
from .chart_timeline import Bar, lanes, page
from .export import Face, plain
from .show import decoding, heading, indented, line, notes, numbers, tokens

Record = dict[str, Any]

FILLS = {
    "compute": ("█", "blue"),
    "weights": ("▓", "yellow"),
    "cache": ("▒", "green"),
    "all-to-all": ("x", "magenta"),
    "all-reduce": ("+", "magenta"),
    "hop": (">", "cyan"),
    "overhead": ("░", "bright_black"),
    "idle": ("·", "bright_black"),
}
"""A letter and a colour for each kind; letters tell them apart without colour."""

LEVELS = " ▂▄▆█"
LABELS = 14
MOST_LANES = 24
MOST_BLOCKS = 2
LEAST_SHARE = 0.1
"""Kinds of layer below this share of a pass are not drawn on their own."""


def face(answer: TimelineAnswer) -> Face:
    """The faces of a step laid out in time."""
    return Face(
        record=lambda: record(answer),
        rows=lambda: rows(answer),
        screen=lambda c: screen(c, answer),
        tree=lambda: tree(answer),
        chart=lambda: chart(answer),
    )


def write_trace(answer: TimelineAnswer, file: Path) -> None:
    """Save the step in the format of chrome://tracing and Perfetto."""
    from .charts import save

    save(str(file), json.dumps(plain(trace(answer.timeline)), allow_nan=False).encode() + b"\n")


# --- plain data ---------------------------------------------------------------------------------------------------


def record(answer: TimelineAnswer) -> Record:
    """{question, step, estimate, bound, stages, blocks, segments, notes}; seconds."""
    t, q = answer.timeline, answer.question
    return {
        "question": {
            "model": q.model.name, "machine": q.machine.name, "batch": answer.batch,
            "context": t.work.context, "prefill": t.work.prefill,
        },
        "layout": setting.layout(t.layout),
        "precision": setting.precision(answer.precision),
        "step": t.step,
        "estimate": t.time.estimate,
        "bound": t.time.bound,
        "micro_batches": t.micro_batches,
        "hop": t.hop,
        "stages": [
            {"stage": s + 1, "layers": t.stage_layers[s], "per_micro_batch": t.busy[s], "seconds": totals(t, s)}
            for s in range(t.stages)
        ],
        "blocks": [_block(b) for b in t.blocks],
        "segments": rows(answer),
        "notes": list(answer.notes),
    }  # fmt: skip


def _block(b: Block) -> Record:
    pieces = [{"name": p.name, "kind": p.kind, "seconds": p.seconds, "computing": p.computing, "moving": p.moving,
               "sending": p.sending} for p in b.pieces]  # fmt: skip
    return {"name": b.name, "layers": b.layers, "seconds": b.seconds, "pieces": pieces}


def rows(answer: TimelineAnswer) -> list[Record]:
    """One row for each segment of each stage, alike layers together."""
    t = answer.timeline
    return [
        {
            "stage": stage + 1, "start": s.start, "seconds": s.seconds, "kind": s.piece.kind, "name": s.piece.name,
            "layers": s.block, "micro_batch": s.micro + 1 if s.micro >= 0 else None,
        }
        for stage in range(t.stages)
        for s in lane(t, stage)
    ]  # fmt: skip


def tree(answer: TimelineAnswer) -> Node:
    """Each stage's lane as a sum of kinds, and the pass it is made of."""
    t = answer.timeline
    stages = []
    for s in range(t.stages):
        found = totals(t, s)
        parts = [Node(name=KINDS[k], value=v, unit="s") for k, v in found.items() if v > 0]
        name = f"stage {s + 1}, {t.stage_layers[s]:g} layers" if t.stages > 1 else "every device"
        stages.append(stated("sum", name, t.step, "s", *parts))
    sequences = float(t.work.decode) / float(t.layout.dp)
    made = pass_terms.pass_nodes("estimate of a pass", t.time, answer.question, answer.precision, sequences)
    return Node(
        name=f"a step of {answer.question.model.name} on {answer.question.machine.name}, {t.layout.label()}",
        value=t.step,
        unit="s",
        children=(count("micro-batches", t.micro_batches), *stages, made, pass_terms.bound(t.time)),
    )


# --- terminal -----------------------------------------------------------------------------------------------------


def screen(c: Console, answer: TimelineAnswer) -> None:
    """Print the lanes of a step."""
    t, q = answer.timeline, answer.question
    c.print(Text.assemble("One step of ", (q.model.name, "bold"), " on ", (q.machine.name, "bold")))
    c.print(Text(f"{t.layout.label()}, {formats(answer.precision)} · {_load(answer)}", style="dim"))
    c.print()
    line(
        c,
        f"[bold]{show(t.step, 's')}[/] a step   [dim]estimate; bound {show(float(t.time.bound), 's')};"
        f" {_each(answer)}[/]",
        indent=0,
    )
    width = max(30, min(c.width - LABELS - 4, 88))
    heading(c, "The step", "all devices of a stage do alike; alike layers drawn together")
    axis(c, t.step, width)
    shown = min(t.stages, MOST_LANES)
    for s in range(shown):
        found = lane(t, s)
        label = f"stage {s + 1}" if t.stages > 1 else "every GPU"
        if t.stages > 1:
            row(c, label, _numbers(found, t.step, width))
        else:
            row(c, label, _kinds(found, t.step, width))
    if shown < t.stages:
        line(c, f"[dim]{t.stages - shown} further stages alike[/]")
    if t.stages > 1:
        line(c, f"[dim]1{'' if t.micro_batches == 1 else f' to {_letter(t.micro_batches - 1)}'}: micro-batches[/]")
        _slot(c, answer, width)
    _legend(c, answer)
    for block in _largest(t.blocks):
        _layer(c, answer, block, width)
    notes(c, answer.notes)


def _load(answer: TimelineAnswer) -> str:
    work, parts = answer.timeline.work, []
    if answer.batch:
        parts.append(f"{decoding(answer.batch)} at {tokens(float(work.context))} tokens")
    if float(work.prefill):
        parts.append(f"{tokens(float(work.prefill))} prompt tokens")
    return " + ".join(parts)


def _each(answer: TimelineAnswer) -> str:
    t = answer.timeline
    if t.stages == 1 and t.micro_batches == 1:
        return f"{t.layout.gpus:g} GPUs"
    each = answer.batch / t.micro_batches
    work = f" of {tokens(each)} sequences" if answer.batch else ""
    hop = f", {show(t.hop, 's')} a hop" if t.stages > 1 else ""
    plural = "s" if t.micro_batches > 1 else ""
    return f"{t.micro_batches} micro-batch{'e' * bool(plural)}{plural}{work}, {t.stages} stages{hop}"


def axis(c: Console, span: float, width: int, unit: str = "s") -> None:
    """The times at the start, in the middle and at the end of a lane."""
    left, middle, right = "0", show(span / 2, unit, digits=2), show(span, unit, digits=3)
    text = left + middle.rjust(width // 2 + len(middle) // 2 - 1)
    c.print(Text("  " + " " * LABELS + text + right.rjust(width - len(text)), style="dim"))


def row(c: Console, label: str, drawn: Text) -> None:
    """One lane with its label."""
    c.print(Text("  ") + Text(label[: LABELS - 1].ljust(LABELS), style="dim") + drawn, no_wrap=True, crop=True)


def cells(segments: Sequence[Segment], span: float, width: int) -> list[Segment]:
    """The segment that fills most of each cell."""
    found, i = [], 0
    step = span / width
    for cell in range(width):
        low, high = cell * step, (cell + 1) * step
        while i + 1 < len(segments) and segments[i].end <= low:
            i += 1
        best, most, j = segments[i], -1.0, i
        while j < len(segments) and segments[j].start < high:
            inside = min(segments[j].end, high) - max(segments[j].start, low)
            if inside > most:
                best, most = segments[j], inside
            j += 1
        found.append(best)
    return found


def _kinds(segments: Sequence[Segment], span: float, width: int) -> Text:
    drawn = Text()
    for s in cells(segments, span, width):
        drawn.append(*FILLS[s.piece.kind])
    return drawn


def _letter(micro: int) -> str:
    return "123456789abcdefghijklmnopqrstuvwxyz"[micro % 35]


def _numbers(segments: Sequence[Segment], span: float, width: int) -> Text:
    """Which micro-batch a stage works on."""
    drawn = Text()
    for s in cells(segments, span, width):
        if s.micro < 0:
            drawn.append(*FILLS[s.piece.kind])
        else:
            drawn.append(_letter(s.micro), style=("blue", "yellow", "green", "magenta")[s.micro % 4])
    return drawn


def _slot(c: Console, answer: TimelineAnswer, width: int) -> None:
    """One micro-batch in the first stage."""
    found = [s for s in lane(answer.timeline, 0) if s.micro == 0]
    span = sum(s.seconds for s in found)
    heading(c, "One micro-batch in the first stage", show(span, "s"))
    axis(c, span, width)
    row(c, "every GPU", _kinds(found, span, width))


def _legend(c: Console, answer: TimelineAnswer) -> None:
    t = answer.timeline
    means = {k: sum(totals(t, s)[k] for s in range(t.stages)) / t.stages for k in KINDS}
    parts = []
    for kind, seconds in means.items():
        if seconds > 0:
            letter, colour = FILLS[kind]
            parts.append(
                f"[{colour}]{letter}[/] {KINDS[kind]} [bold]{show(seconds, 's')}[/] ({seconds / t.step:.0%})"
            )
    for row in _wrapped(parts, c.width - 4):
        line(c, row)


def _wrapped(parts: Sequence[str], width: int) -> list[str]:
    """Entries of a legend in rows of at most so many cells, none of them broken."""
    found: list[str] = []
    for part in parts:
        joined = f"{found[-1]}   {part}" if found else part
        if found and Text.from_markup(joined).cell_len <= width:
            found[-1] = joined
        else:
            found.append(part)
    return found


def _largest(blocks: Iterable[Block]) -> list[Block]:
    """The kinds of layer that take longest, in order of the pass."""
    every = list(blocks)
    inner = [b for b in every if b.name not in ("start", "end")]
    enough = LEAST_SHARE * sum(b.seconds for b in every)
    kept = sorted((b for b in inner if b.seconds >= enough), key=lambda b: -b.seconds)[:MOST_BLOCKS]
    return [b for b in inner if any(b is k for k in kept)]


def _spread(block: Block) -> list[Segment]:
    """The pieces of one layer in their places."""
    found, at = [], 0.0
    for p in block.pieces:
        found.append(Segment(start=at, piece=p, block=block.name))
        at += p.seconds
    return found


def _layer(c: Console, answer: TimelineAnswer, block: Block, width: int) -> None:
    span = block.layer
    aside = f"{show(span, 's')} each, {show(block.seconds, 's')} in all"
    heading(c, f"One of {block.layers:g} layers: {block.name}", aside)
    segments = _spread(block)
    axis(c, span, width)
    row(c, "held by", _kinds(segments, span, width))
    for label, part in (("tensor cores", "computing"), ("memory", "moving"), ("links", "sending")):
        row(c, label, Text(_levels(segments, part, span, width)))
    table = numbers("operation", "seconds", "share", title_width=30)
    table.add_column("")
    for p in _operations(block.pieces):
        letter, colour = FILLS[p.kind]
        words = Text(f"{letter} ", style=colour) + Text(KINDS[p.kind], style="dim")
        table.add_row(p.name, show(p.seconds, "s"), f"{p.seconds / span:.0%}", words)
    c.print()
    indented(c, table)


def _operations(pieces: Sequence[Piece]) -> list[Piece]:
    """The pieces with all launches as one."""
    launches = [p for p in pieces if p.kind == "overhead"]
    run = [p for p in pieces if p.kind != "overhead"]
    if launches:
        total = sum(p.seconds for p in launches)
        run.append(Piece(name=f"launches before {len(launches)} of them", kind="overhead", seconds=total))
    return run


def _levels(segments: Sequence[Segment], part: str, span: float, width: int) -> str:
    """How much of each cell a resource is at work; it starts with its operation."""
    step, busy = span / width, [0.0] * width
    for s in segments:
        start, end = s.start, s.start + getattr(s.piece, part)
        for cell in range(int(start / step), min(width - 1, int(end / step)) + 1):
            busy[cell] += max(0.0, min(end, (cell + 1) * step) - max(start, cell * step)) / step
    return "".join(LEVELS[min(len(LEVELS) - 1, round(b * (len(LEVELS) - 1)))] for b in busy)


def _micro_batches(answer: TimelineAnswer) -> list[tuple[str, float, str]]:
    """The number of each micro-batch in the middle of its longest stretch in each stage."""
    t, found = answer.timeline, []
    for stage in range(t.stages):
        runs: list[tuple[int, float, float]] = []
        for s in lane(t, stage):
            if s.micro >= 0 and runs and runs[-1][0] == s.micro and abs(runs[-1][2] - s.start) < 1e-9 * t.step:
                runs[-1] = (s.micro, runs[-1][1], s.end)
            elif s.micro >= 0:
                runs.append((s.micro, s.start, s.end))
        wide = [r for r in runs if r[2] - r[1] > 0.02 * t.step]
        found += [(f"stage {stage + 1}", (a + b) / 2, str(micro + 1)) for micro, a, b in wide]
    return found


# --- picture ------------------------------------------------------------------------------------------------------


def chart(answer: TimelineAnswer) -> Record:
    """The lanes of the step, and one layer of the kinds that take longest."""
    t, q = answer.timeline, answer.question
    bars = []
    for s in range(t.stages):
        label = f"stage {s + 1}" if t.stages > 1 else "every GPU"
        found = lane(t, s)
        bars += [Bar(label, x.piece.kind, x.piece.name, x.start, x.end) for x in found]
    texts = _micro_batches(answer) if t.stages > 1 else []
    named = "; numbers: micro-batches" if texts else ""
    parts = [lanes(bars, KINDS, title=f"The step, alike layers together{named}", span=t.step, texts=texts)]
    if t.stages > 1:
        first = [Bar("stage 1", x.piece.kind, x.piece.name, x.start, x.end)
                 for x in lane(t, 0) if x.micro == 0]  # fmt: skip
        parts.append(lanes(first, KINDS, title="One micro-batch in the first stage", span=first[-1].end))
    for block in _largest(t.blocks):
        bars = []
        segments = _spread(block)
        for label, part in (("held by", "seconds"), ("tensor cores", "computing"), ("memory", "moving"),
                            ("links", "sending")):  # fmt: skip
            for x in segments:
                if (seconds := getattr(x.piece, part)) > 0:
                    bars.append(Bar(label, x.piece.kind, x.piece.name, x.start, x.start + seconds))
        parts.append(lanes(bars, KINDS, title=f"One of {block.layers:g} layers: {block.name}", span=block.layer))
    title = f"{q.model.name} on {q.machine.name}, {t.layout.label()}: a step of {show(t.step, 's')}"
    return page(parts, title=title, description=f"{title}; what each stage does, in order")
