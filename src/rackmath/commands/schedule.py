"""Pipeline schedules of training: idle share, activations held and messages, by formula and by simulation.

Group: Training and size
Example: rackmath schedule zb-1p --stages 4 --micro-batches 8 --hop 0.05

With a NAME also its timeline, device by device; -o FILE.trace.json writes that as a Chrome trace, for
chrome://tracing or ui.perfetto.dev. Times are all with a unit, or all without.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from ..answers.charts import Axis, Mark, Series, sketch
from ..answers.lanes import BarKind, Lanes, TimeBar
from ..answers.parts import Answer, Block, Chart, Column, Say, Table
from ..answers.terms import Term, given, product, quotient, stated, total
from ..answers.terms import count as number
from ..answers.text import cell
from ..errors import BadInput
from ..questions.fields import Field, count, words
from ..training.compare import ComparedSchedule, ScheduleSetting, comparison, verdict
from ..training.schedules import ALL, schedule_named, why_not
from ..training.simulate import MOST, SimulatedStep, trace
from ..units import parse, plural

TIMES = "Times of one micro-batch on one device"
MOST_STAGES = 1024
SHORTEST, LONGEST = 1e-12, 1e9
"""Least and greatest time of a pass or a message, whatever its unit."""

Time = Any
"""Words with a unit, or a bare number: only both together say which unit all times have."""


@dataclass(frozen=True, kw_only=True)
class Schedules:
    """How many stages and micro-batches, and how long the passes of one take."""

    name: Annotated[
        str | None,
        words(
            "gpipe, 1f1b, interleaved, zb-1p, zb-h2, zb-2p, zb-v, v-half, v-min, dualpipe or dualpipe-v. All of them"
            " side by side if not given.",
            "[NAME]",
            argument=True,
        ),
    ] = None
    stages: Annotated[int, count("Devices of the pipeline, p.", least=1, most=MOST_STAGES, whole=True)] = 8
    micro_batches: Annotated[int, count("Micro-batches of a step, m.", least=1, most=MOST, whole=True)] = 32
    chunks: Annotated[int, count("Chunks of layers on a device, v, where the schedule leaves it open.", least=1, most=MOST, whole=True)] = 2
    forward: Annotated[Time, words("Forward pass, f: 12ms, or a bare number.", "TIME", panel=TIMES)] = "1"
    backward: Annotated[Time, words("Gradient of the input, b.", "TIME", panel=TIMES)] = "1"
    weight: Annotated[Time, words("Gradient of the weights, w.", "TIME", panel=TIMES)] = "1"
    hop: Annotated[Time, words("A message to the next device, c.", "TIME", panel=TIMES)] = "0"
    kept: Annotated[
        float,
        Field(
            help="Activations a micro-batch holds until its weight gradient. Others go with the input gradient.",
            unit="share",
            above=0,
            most=1,
            metavar="SHARE",
            panel="Memory",
        ),
    ] = 1


def answer(q: Schedules) -> Answer:
    """Every schedule by formula and simulated; the one that is named in detail."""
    one = None if q.name is None else schedule_named(q.name)
    setting, unit = _setting(q)
    if one is not None and (reason := why_not(one.name, setting.stages, setting.micro_batches, setting.chunks)):
        raise BadInput(f"{reason}; give other counts or another schedule")
    found = comparison(ALL, setting)
    chosen = None if one is None else next(row for row in found if row.schedule is one)
    run = None if chosen is None else chosen.run
    blocks = _compared(found, chosen, setting, unit)
    if chosen is not None and run is not None:
        blocks = [*_detail(chosen, run, setting, unit), _drawn(chosen, run, setting, unit), *blocks]
    else:
        blocks = [_verdict(found, setting), *blocks, _field(found, setting)]
    return Answer(
        title=Say("*" + ("Pipeline schedules of training" if one is None else one.title) + "*"),
        subtitle=_subtitle(setting, unit, run, one is None),
        blocks=tuple(blocks),
        table="compared" if run is None else "operations",
        data=_data(chosen, run, setting, unit),
        terms=lambda: _terms(found if chosen is None else (chosen,), chosen, setting, unit),
        notes=_notes(found),
        saves={".trace.json": lambda: _trace(run)},
        subject=found,
    )


def _setting(q: Schedules) -> tuple[ScheduleSetting, str]:
    passes = q.stages * q.micro_batches * max(q.chunks, 2)
    if passes > MOST:
        raise BadInput(
            f"{q.stages} stages x {q.micro_batches} micro-batches x {max(q.chunks, 2)} chunks are more than the"
            f" {MOST:,} passes that are simulated; give fewer"
        )
    given = {"forward": q.forward, "backward": q.backward, "weight": q.weight, "hop": q.hop}
    unit = _unit(given)
    seconds = {word: _time(value, unit, word) for word, value in given.items()}
    setting = ScheduleSetting(
        stages=q.stages,
        micro_batches=q.micro_batches,
        chunks=q.chunks,
        forward=seconds["forward"],
        input_grad=seconds["backward"],
        weight_grad=seconds["weight"],
        hop=seconds["hop"],
        kept=q.kept,
    )
    return setting, unit


def _bare(given: Time) -> bool:
    try:
        float(given)
    except (ValueError, TypeError, OverflowError):
        return False
    return True


def _unit(given: dict[str, Time]) -> str:
    """Seconds where every time that is not 0 carries a unit, nothing where none does."""
    counted = {name: value for name, value in given.items() if not (_bare(value) and float(value) == 0)}
    bare = [name for name, value in counted.items() if _bare(value)]
    other = [name for name in counted if name not in bare]
    if bare and other:
        raise BadInput(
            f"{other[0]} = {given[other[0]]!r} has a unit and {bare[0]} = {given[bare[0]]!r} has none; give all times with one, or none"
        )
    return "s" if other else ""


def _time(given: Time, unit: str, name: str) -> float:
    found = float(given) if _bare(given) else parse(given, "s", name=name)
    least = "0 or more" if name == "hop" else "above 0"
    if not (found > 0 or (name == "hop" and found == 0)):
        raise BadInput(f"{name} = {given!r} is not a time; give a number {least}, such as {'12ms' if unit else 1}")
    if found and not SHORTEST <= found <= LONGEST:
        raise BadInput(f"{name} = {given!r} is out of range; give {SHORTEST:g} to {LONGEST:g}{' seconds' * bool(unit)}")
    return found


def _trace(run: SimulatedStep | None) -> dict[str, Any]:
    if run is None:
        raise BadInput("a Chrome trace is of one schedule; name it, such as rackmath schedule 1f1b")
    return trace(run)


def _notes(found: tuple[ComparedSchedule, ...]) -> tuple[str, ...]:
    notes = [
        "a step lasts until each device can begin its next one; with a barrier all wait for the last one, as for a"
        " gradient norm before the update, which zero-bubble schedules put off until after it",
        "activations count micro-batches through all layers of one device",
    ]
    return (*notes, *(f"not shown: {one.why}" for one in found if one.why))


# --- the record ---------------------------------------------------------------------------------------------------


def _data(chosen: ComparedSchedule | None, run: SimulatedStep | None, s: ScheduleSetting, unit: str) -> dict[str, Any]:
    found: dict[str, Any] = {"schedule": chosen and chosen.schedule.name, "unit": unit or None, "work": s.work}
    if chosen is not None and run is not None:
        one = chosen.schedule
        found |= {"title": one.title, "formula": one.formula, "holds": one.holds, "source": one.source}
        found |= {"devices": _devices(run), "operations": _operations(run)}
    return found


def _row(row: ComparedSchedule, s: ScheduleSetting) -> dict[str, Any]:
    """One schedule by formula and by simulation; without what it cannot do."""
    run = row.run
    simulated = None if run is None else (row.share(s), run.step, run.makespan, run.peaks[0], run.peaks[-1])
    by_formula = None if run is None else (1 - s.work / row.step, row.step, row.first, row.last)
    share, step, barrier, first, last = simulated or (None,) * 5
    f_share, f_step, f_first, f_last = by_formula or (None,) * 4
    return {
        "schedule": row.schedule.name,
        "possible": not row.why,
        "why_not": row.why or None,
        "idle_share": share,
        "step": step,
        "step_with_barrier": barrier,
        "formula_idle_share": f_share,
        "formula_step": f_step,
        "activations_first": first,
        "activations_last": last,
        "formula_activations_first": f_first,
        "formula_activations_last": f_last,
        "weight_copies": row.schedule.copies,
        "messages": row.sent,
    }


def _devices(run: SimulatedStep) -> list[dict[str, Any]]:
    """What each device does in a step."""
    return [
        {
            "device": d + 1,
            "start": done[0].start,
            "end": done[-1].end,
            "busy": run.busy[d],
            "idle": run.idle[d],
            "activations": run.peaks[d],
            "messages": run.sent[d],
        }
        for d, done in enumerate(run.devices)
    ]


def _operations(run: SimulatedStep) -> list[dict[str, Any]]:
    """One row for each pass of a micro-batch through a chunk of a device."""
    return [
        {"device": d + 1, "kind": o.kind, "micro_batch": o.micro + 1, "chunk": o.chunk + 1, "start": o.start, "end": o.end}
        for d, done in enumerate(run.devices)
        for o in done
    ]


# --- blocks -------------------------------------------------------------------------------------------------------


def _subtitle(s: ScheduleSetting, unit: str, run: SimulatedStep | None, every: bool) -> str:
    held = s.chunks if run is None else run.plan.chunks
    counts = _counts(s)
    counts += f", {'interleaved: ' * every}{plural(held, 'chunk')} a device" if held > 1 else ""
    said = {"forward": s.forward, "input gradient": s.input_grad, "weight gradient": s.weight_grad, "hop": s.hop}
    parts = [f"{word} {cell(value, unit or 'number')}" for word, value in said.items() if value]
    if s.kept < 1:
        parts.append(f"{s.kept:.0%} of activations kept until the weight gradient")
    return " · ".join([counts, *parts])


def _counts(s: ScheduleSetting) -> str:
    return f"{plural(s.stages, 'stage')}, {s.micro_batches:,} micro-batch{'es' * (s.micro_batches > 1)}"


def _detail(one: ComparedSchedule, run: SimulatedStep, s: ScheduleSetting, unit: str) -> Iterator[Block]:
    time, schedule = unit or "number", one.schedule
    text = f"*{{idle_share:share}} of the step idle*   {{step:{time}}} a step, of which {{work:{time}}} work"
    yield Say(text, {"idle_share": one.share(s), "step": run.step, "work": s.work})
    rows: list[tuple[str, float | None, float | None, str]] = [
        ("step", run.step, one.step, time),
        ("idle", run.step - s.work, one.step - s.work, time),
        ("step with a barrier at its end", run.makespan, None, time),
        ("activations on the first device", run.peaks[0], one.first, "number"),
        ("activations on the last device", run.peaks[-1], one.last, "number"),
    ]
    if s.stages > 2:
        rows.append(("messages of a device in the middle", run.sent[s.stages // 2], one.sent, "whole"))
    rows.append(("copies of the weights", None, schedule.copies, "whole"))
    columns = (Column("what", ""), Column("simulated", "simulated", "row"), Column("formula", "by formula", "row"))
    named = ("what", "simulated", "formula", "unit")
    yield Table(
        key="simulated_and_formula",
        columns=columns,
        rows=[dict(zip(named, r, strict=True)) for r in rows],
        title="Simulated, and by formula",
    )
    yield Say(f"idle = {schedule.formula}; {schedule.holds}", faint=True)


def _verdict(found: tuple[ComparedSchedule, ...], s: ScheduleSetting) -> Say:
    """Which schedule idles least, which holds least, and which idles least in the memory of 1F1B."""
    quick, lean, within = verdict(found)
    parts = ["*{quickest}* idles least, {quickest_idle:share} of the step, holding {quickest_held}"]
    values: dict[str, Any] = _best("quickest", quick, s)
    if lean is not quick:
        parts.append("*{leanest}* holds least, {leanest_held}, and idles {leanest_idle:share}")
        values |= _best("leanest", lean, s)
    if within not in (quick, lean):
        parts.append("in the memory of 1F1B *{within_1f1b}* idles {within_1f1b_idle:share}")
        values |= _best("within_1f1b", within, s)
    return Say("; ".join(parts), values, key="verdict")


def _best(role: str, one: ComparedSchedule, s: ScheduleSetting) -> dict[str, Any]:
    assert one.run is not None
    most = max(one.run.peaks)
    return {role: one.schedule.name, f"{role}_idle": one.share(s), f"{role}_held": f"{most:.4g} micro-batch{'es' * (most != 1)}"}


def _compared(found: tuple[ComparedSchedule, ...], chosen: ComparedSchedule | None, s: ScheduleSetting, unit: str) -> list[Block]:
    ran = [one for one in found if one.run is not None]
    time = unit or "number"
    columns = (
        Column("schedule", "schedule"),
        Column("idle_share", "idle", "share"),
        Column("formula_idle_share", "formula", "share", optional=3),
        Column("step", "step", time),
        Column("step_with_barrier", "barrier", time),
        Column("activations_first", "first", "number"),
        Column("activations_last", "last", "number"),
        Column("weight_copies", "weights", "x", optional=2),
        Column("messages", "messages", "whole", optional=1),
    )
    strong = next((i for i, one in enumerate(ran) if one is chosen), None)
    rows, shown = ([_row(one, s) for one in some] for some in (found, ran))
    return [
        Table(
            key="compared",
            columns=columns,
            rows=rows,
            shown=shown,
            strong=strong,
            title="All schedules",
            aside="simulated; activations on the first and the last device",
        )
    ]


def _field(found: tuple[ComparedSchedule, ...], s: ScheduleSetting) -> Chart:
    """What all of them idle against what they hold."""
    points = [(row.schedule.name, row.run.peaks[0], 100 * row.share(s)) for row in found if row.run]
    names, held, idle = zip(*points, strict=True)
    spec = sketch(
        [Series("schedules", held, idle, labels=names)],
        title=f"Idle time against memory, {_counts(s)}",
        x=Axis("Activations on the first device, micro-batches", log=True),
        y=Axis("Idle share of the step, %"),
        marks=[Mark(*point) for point in points],
        auto="dots",
    )
    return Chart(title="Idle time against memory", spec=spec, lines=17)


def _drawn(one: ComparedSchedule, run: SimulatedStep, s: ScheduleSetting, unit: str) -> Lanes:
    """The step, device by device."""
    kinds = {"F": BarKind("F", "forward"), "B": BarKind("B", "backward")}
    if one.schedule.split:
        kinds |= {"B": BarKind("B", "input gradient"), "W": BarKind("W", "weight gradient")}
    later = "small letters: from the other end" if one.schedule.copies > 1 else "small letters: later chunks"
    return Lanes(
        lanes={f"device {d + 1}": list(_stretches(run, d, one.schedule.split)) for d in range(len(run.devices))},
        kinds=kinds | {"idle": BarKind("·", "idle")},
        span=run.makespan,
        unit=unit,
        title="The step",
        aside="device by device",
        cell=s.work / s.micro_batches / 3 / run.plan.chunks,
        more=later if one.schedule.copies > 1 or run.plan.chunks > 1 else "",
    )


def _stretches(run: SimulatedStep, device: int, split: bool) -> Iterator[TimeBar]:
    """Each pass and each wait of a device."""
    at, tiny = 0.0, 1e-9 * run.makespan
    for o in run.devices[device]:
        if o.start > at + tiny:
            yield TimeBar(at, o.start, "idle")
        name = f"{o.kind}{o.micro + 1}" + f", chunk {o.chunk + 1}" * (run.plan.chunks > 1)
        kind = o.kind if split else o.kind.replace("W", "B")
        yield TimeBar(o.start, o.end, kind, name, small=bool(o.chunk))
        at = o.end
    if at < run.makespan - tiny:
        yield TimeBar(at, run.makespan, "idle")


# --- terms --------------------------------------------------------------------------------------------------------


def _terms(shown: tuple[ComparedSchedule, ...], chosen: ComparedSchedule | None, s: ScheduleSetting, unit: str) -> Term:
    """The step of a schedule as work and idle time; of all schedules where none was named."""
    counts = (number("p, stages", s.stages), number("m, micro-batches", s.micro_batches), number("v, chunks", s.chunks))
    hop = given("c, a hop", s.hop, unit)
    kept = given("k, share of activations kept until the weight gradient", s.kept, "share")
    steps = tuple(_step(row, s, unit) for row in shown if not row.why)
    name = f"pipeline schedules on {s.stages} stages" if chosen is None else chosen.schedule.title
    return Term(name=name, children=(*counts, hop, kept, *steps))


def _step(row: ComparedSchedule, s: ScheduleSetting, unit: str) -> Term:
    one = row.schedule
    each = total(
        "t, a micro-batch on a device",
        unit,
        given("f, forward", s.forward, unit),
        given("b, input gradient", s.input_grad, unit),
        given("w, weight gradient", s.weight_grad, unit),
    )
    work = product("work", unit, number("m", s.micro_batches), each)
    bubble = Term(name="bubble", value=row.step - s.work, unit=unit, note=one.formula, source=one.source)
    step = stated("sum", "step by formula", row.step, unit, work, bubble, note=one.holds)
    share = quotient("idle share by formula", "share", bubble, step)
    held = Term(name="activations on the first device, in micro-batches", value=row.first, source=one.source)
    found = [step, share, held]
    if row.run is not None:
        idle = Term(name="idle on the busiest device", value=row.run.step - s.work, unit=unit)
        found.append(stated("sum", "step simulated", row.run.step, unit, work, idle))
    return Term(name=one.name, children=tuple(found))
