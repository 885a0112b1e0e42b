"""Schedules of training as trees of terms."""

from __future__ import annotations

from ..training.compare import Compared
from ..views.machine_terms import Node, count, given, product, quotient, stated, total
from .ask_schedule import ScheduleAnswer


def tree(answer: ScheduleAnswer) -> Node:
    """The step of a schedule as work and idle time; of all schedules where none was named."""
    shown = answer.compared if answer.chosen is None else (answer.chosen,)
    s = answer.setting
    counts = (count("p, stages", s.stages), count("m, micro-batches", s.micro_batches), count("v, chunks", s.chunks))
    hop = given("c, a hop", s.hop, answer.unit)
    kept = given("k, share of activations kept until the weight gradient", s.kept, "share")
    steps = tuple(_step(row, answer) for row in shown if not row.why)
    if answer.chosen is not None:
        return Node(name=answer.chosen.schedule.title, children=(*counts, hop, kept, *steps))
    return Node(name=f"pipeline schedules on {s.stages} stages", children=(*counts, hop, kept, *steps))


def _step(row: Compared, answer: ScheduleAnswer) -> Node:
    s, unit, one = answer.setting, answer.unit, row.schedule
    each = total(
        "t, a micro-batch on a device", unit, given("f, forward", s.forward, unit),
        given("b, input gradient", s.input_grad, unit), given("w, weight gradient", s.weight_grad, unit),
    )  # fmt: skip
    work = product("work", unit, count("m", s.micro_batches), each)
    bubble = Node(name="bubble", value=row.step - s.work, unit=unit, note=one.formula, source=one.source)
    step = stated("sum", "step by formula", row.step, unit, work, bubble, note=one.holds)
    share = quotient("idle share by formula", "share", bubble, step)
    held = Node(name="activations on the first device, in micro-batches", value=row.first, source=one.source)
    found = [step, share, held]
    if row.run is not None:
        idle = Node(name="idle on the busiest device", value=row.run.step - s.work, unit=unit)
        found.append(stated("sum", "step simulated", row.run.step, unit, work, idle))
    return Node(name=one.name, children=tuple(found))
