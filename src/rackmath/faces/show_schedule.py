"""The faces of `schedule`: lanes of letters in a terminal, a table of all schedules, bars in a picture, a trace."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from ..serving.timeline import Piece, Segment, event
from ..training.compare import Compared, Setting
from ..training.simulate import Operation, Run
from ..units import plural, show
from . import charts, explain_schedule, records_schedule
from .ask_schedule import ScheduleAnswer
from .chart_timeline import Bar, lanes, page
from .export import Face, plain
from .show import heading, indented, line, notes, numbers
from .show_timeline import LABELS, MOST_LANES, axis, cells, row

Record = dict[str, Any]

COLOURS = {"F": "blue", "B": "green", "W": "yellow", "·": "bright_black"}
KINDS = {
    "F": "forward",
    "B": "backward, or its input gradient",
    "W": "weight gradient",
    "idle": "idle",
}


def face(answer: ScheduleAnswer) -> Face:
    """The faces of one schedule, or of all of them."""
    return Face(
        record=lambda: records_schedule.record(answer),
        rows=lambda: records_schedule.rows(answer),
        screen=lambda c: screen(c, answer),
        tree=lambda: explain_schedule.tree(answer),
        chart=lambda: chart(answer),
    )


def write_trace(answer: ScheduleAnswer, file: Path) -> None:
    """Save the simulated step in the format of chrome://tracing and Perfetto."""
    assert answer.chosen is not None
    assert answer.chosen.run is not None
    text = json.dumps(plain(trace(answer.chosen.run)), allow_nan=False)
    charts.save(str(file), text.encode() + b"\n")


def trace(run: Run) -> Record:
    """Events of each device, one process each; times in microseconds."""
    events: list[Record] = []
    for d, done in enumerate(run.devices):
        label = f"device {d + 1} of {run.plan.stages}"
        events.append({"ph": "M", "name": "process_name", "pid": d, "tid": 0, "args": {"name": label}})
        for o in done:
            args: Record = {"micro_batch": o.micro + 1, "chunk": o.chunk + 1}
            name = f"{o.kind}{o.micro + 1}"
            events.append(event(name, KINDS[o.kind], d, 0, o.start, o.end - o.start, args))
    return {"traceEvents": events, "displayTimeUnit": "ms"}


# --- terminal -----------------------------------------------------------------------------------------------------


def screen(c: Console, answer: ScheduleAnswer) -> None:
    """Print one schedule in detail, and all of them side by side."""
    s, unit, one = answer.setting, answer.unit, answer.chosen
    counts = _counts(s)
    held = s.chunks if one is None or one.run is None else one.run.plan.chunks
    counts += f", {'interleaved: ' * (one is None)}{plural(held, 'chunk')} a device" if held > 1 else ""
    words = [("forward", s.forward), ("input gradient", s.input_grad), ("weight gradient", s.weight_grad)]
    words += [("hop", s.hop)] * (s.hop > 0)
    times = " · ".join(f"{word} {show(value, unit)}" for word, value in words)
    times += f" · {s.kept:.0%} of activations kept until the weight gradient" * (s.kept < 1)
    title = "Pipeline schedules of training" if one is None else one.schedule.title
    c.print(Text(title, style="bold"))
    c.print(Text(f"{counts} · {times}", style="dim"))
    if one is not None and one.run is not None:
        _detail(c, answer, one, one.run)
        _drawn(c, answer, one, one.run)
    else:
        c.print()
        line(c, _verdict(answer), indent=0)
    _table(c, answer)
    notes(c, answer.notes)


def _counts(s: Setting) -> str:
    return f"{plural(s.stages, 'stage')}, {s.micro_batches:,} micro-batch{'es' * (s.micro_batches > 1)}"


def _detail(c: Console, answer: ScheduleAnswer, one: Compared, run: Run) -> None:
    s, unit = answer.setting, answer.unit
    c.print()
    line(
        c,
        f"[bold]{one.share(s):.1%} of the step idle[/]   [dim]{show(run.step, unit)} a step, of which"
        f" {show(s.work, unit)} work[/]",
        indent=0,
    )
    c.print()
    table = numbers("", "simulated", "by formula")
    table.add_row("step", show(run.step, unit), show(one.step, unit))
    table.add_row("idle", show(run.step - s.work, unit), show(one.step - s.work, unit))
    table.add_row("step with a barrier at its end", show(run.makespan, unit), "")
    for label, peak, said in (("first", run.peaks[0], one.first), ("last", run.peaks[-1], one.last)):
        table.add_row(f"activations on the {label} device", f"{peak:.4g}", f"{said:.4g}")
    if s.stages > 2:
        table.add_row("messages of a device in the middle", f"{run.sent[s.stages // 2]:,}", f"{one.sent:,.0f}")
    table.add_row("copies of the weights", "", f"{one.schedule.copies}")
    indented(c, table)
    line(c, f"[dim]idle = {one.schedule.formula}; {one.schedule.holds}[/]")


def _verdict(answer: ScheduleAnswer) -> str:
    """Which schedule idles least, which holds least, and which idles least in the memory of 1F1B."""
    s = answer.setting
    ran = [(one, one.run) for one in answer.compared if one.run is not None]
    quick, fast = min(ran, key=lambda pair: (pair[1].step, max(pair[1].peaks)))
    small, lean = min(ran, key=lambda pair: (max(pair[1].peaks), pair[1].step))
    room = next(max(run.peaks) for one, run in ran if one.schedule.name == "1f1b")
    fits = [one for one, run in ran if max(run.peaks) <= room and one.schedule.copies == 1]
    best = min(fits, key=lambda one: one.share(s))
    words = f"[bold]{quick.schedule.name}[/] idles least, {quick.share(s):.1%} of the step, holding {_held(fast)}"
    if small is not quick:
        words += f"; [bold]{small.schedule.name}[/] holds least, {_held(lean)}, and idles {small.share(s):.1%}"
    if best not in (quick, small):
        words += f"; in the memory of 1F1B [bold]{best.schedule.name}[/] idles {best.share(s):.1%}"
    return words


def _held(run: Run) -> str:
    most = max(run.peaks)
    return f"{most:.4g} micro-batch{'es' * (most != 1)}"


def _table(c: Console, answer: ScheduleAnswer) -> None:
    s, unit = answer.setting, answer.unit
    heading(c, "All schedules", "simulated; activations on the first and the last device")
    table = numbers("schedule", "idle", "formula", "step", "barrier", "first", "last", "weights", "messages")
    for one in answer.compared:
        if one.run is None:
            continue
        style = "bold" if one is answer.chosen else None
        run = one.run
        table.add_row(
            one.schedule.name, f"{one.share(s):.1%}", f"{1 - s.work / one.step:.1%}", show(run.step, unit),
            show(run.makespan, unit), f"{run.peaks[0]:.4g}", f"{run.peaks[-1]:.4g}", f"{one.schedule.copies}x",
            f"{one.sent:,.0f}", style=style,
        )  # fmt: skip
    indented(c, table, drop=("messages", "weights", "formula"))


def _drawn(c: Console, answer: ScheduleAnswer, one: Compared, run: Run) -> None:
    """The lanes of the step, whole where a pass fills a letter, else its start and its end."""
    s, unit = answer.setting, answer.unit
    width = max(30, min(c.width - LABELS - 4, 88))
    window = width * s.work / s.micro_batches / 3 / run.plan.chunks
    heading(c, "The step", "device by device")
    if run.makespan <= window * 1.05:
        _lanes(c, run, one, 0.0, run.makespan, width)
        axis(c, run.makespan, width, unit)
    else:
        line(c, f"[dim]the first {show(window, unit)} of {show(run.makespan, unit)}[/]")
        _lanes(c, run, one, 0.0, window, width)
        line(c, f"[dim]the last {show(window, unit)}[/]")
        _lanes(c, run, one, run.makespan - window, window, width)
    _legend(c, one, run)


def _lanes(c: Console, run: Run, one: Compared, start: float, span: float, width: int) -> None:
    shown = min(len(run.devices), MOST_LANES)
    for d in range(shown):
        drawn = Text()
        for cell in cells(list(_segments(run.devices[d], one, start, span)), span, width):
            drawn.append(cell.piece.name, style=COLOURS[cell.piece.kind])
        row(c, f"device {d + 1}", drawn)
    if shown < len(run.devices):
        line(c, f"[dim]{len(run.devices) - shown} further devices[/]")


def _segments(done: Sequence[Operation], one: Compared, start: float, span: float) -> Iterator[Segment]:
    """What a device does between two times, without a gap; names are letters, those of later chunks small."""
    at = start
    for o in done:
        first, last = max(o.start, start), min(o.end, start + span)
        if last <= first:
            continue
        if first > at:
            yield _segment("·", "·", at - start, first - at)
        kind = o.kind if one.schedule.split else o.kind.replace("W", "B")
        yield _segment(kind, kind.lower() if o.chunk else kind, first - start, last - first)
        at = last
    if at < start + span:
        yield _segment("·", "·", at - start, start + span - at)


def _segment(kind: str, letter: str, start: float, seconds: float) -> Segment:
    return Segment(start=start, piece=Piece(name=letter, kind=kind, seconds=seconds))


def _legend(c: Console, one: Compared, run: Run) -> None:
    words = {"F": "forward", "B": "backward", "·": "idle"}
    if one.schedule.split:
        words = {"F": "forward", "B": "input gradient", "W": "weight gradient", "·": "idle"}
    parts = [f"[{COLOURS[letter]}]{letter}[/] {word}" for letter, word in words.items()]
    if one.schedule.copies > 1:
        parts.append("small letters: from the other end")
    elif run.plan.chunks > 1:
        parts.append("small letters: later chunks")
    line(c, "   ".join(parts))


# --- picture ------------------------------------------------------------------------------------------------------


def chart(answer: ScheduleAnswer) -> Record:
    """The step of the named schedule, device by device; or what all of them idle against what they hold."""
    s, one = answer.setting, answer.chosen
    words = _counts(s)
    if one is None or one.run is None:
        found = [(row.schedule.name, row.run.peaks[0], 100 * row.share(s)) for row in answer.compared if row.run]
        names, held, idle = zip(*found, strict=True)
        return charts.scatter(
            [charts.Series("schedules", held, idle, labels=names)],
            title=f"Idle time against memory, {words}",
            x=charts.Axis("Activations on the first device, micro-batches", log=True),
            y=charts.Axis("Idle share of the step, %"),
            marks=[charts.Mark(*one) for one in found],
        )
    bars = list(_bars(one.run))
    title = f"{one.schedule.title.partition(':')[0]}, {words}: {one.share(s):.1%} idle"
    part = lanes(bars, KINDS, title="A step, device by device", span=one.run.makespan, unit=answer.unit)
    return page([part], title=title, description=title)


def _bars(run: Run) -> Iterator[Bar]:
    """A bar for each pass and each wait."""
    for d, done in enumerate(run.devices):
        lane, at = f"device {d + 1}", 0.0
        for o in done:
            name = f"{o.kind}{o.micro + 1}" + f", chunk {o.chunk + 1}" * (run.plan.chunks > 1)
            if o.start > at + 1e-9 * run.makespan:
                yield Bar(lane, "idle", "idle", at, o.start)
            at = o.end
            yield Bar(lane, o.kind, name, o.start, o.end)
        if at < run.makespan * (1 - 1e-9):
            yield Bar(lane, "idle", "idle", at, run.makespan)
