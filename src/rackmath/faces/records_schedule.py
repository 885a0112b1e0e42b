"""Schedules of training as plain data."""

from __future__ import annotations

from typing import Any

from ..training.compare import Compared, Setting
from ..training.simulate import Run
from .ask_schedule import ScheduleAnswer

Record = dict[str, Any]


def record(answer: ScheduleAnswer) -> Record:
    """{question, schedule, compared, devices, operations, notes}; the last but one only of a named schedule."""
    s, one = answer.setting, answer.chosen
    found: Record = {"question": question(s, answer.unit), "schedule": one and one.schedule.name}
    if one is not None and one.run is not None:
        found["title"], found["formula"] = one.schedule.title, one.schedule.formula
        found["holds"], found["source"] = one.schedule.holds, one.schedule.source
        found["devices"] = devices(one.run)
        found["operations"] = operations(one.run)
    found["compared"] = [line(row, s) for row in answer.compared]
    return found | {"notes": list(answer.notes)}


def question(s: Setting, unit: str) -> Record:
    """The setting; times in seconds, or in a unit of their own where none was given."""
    return {
        "stages": s.stages,
        "micro_batches": s.micro_batches,
        "chunks": s.chunks,
        "forward": s.forward,
        "input_grad": s.input_grad,
        "weight_grad": s.weight_grad,
        "hop": s.hop,
        "kept": s.kept,
        "unit": unit or None,
    }


def line(row: Compared, s: Setting) -> Record:
    """One schedule by formula and by simulation; without what it cannot do."""
    one, run = row.schedule, row.run
    found: Record = {
        "schedule": one.name,
        "possible": not row.why,
        "why_not": row.why or None,
        "idle_share": None,
        "step": None,
        "step_with_barrier": None,
        "formula_idle_share": None,
        "formula_step": None,
        "activations_first": None,
        "activations_last": None,
        "formula_activations_first": None,
        "formula_activations_last": None,
        "weight_copies": one.copies,
        "messages": row.sent,
    }
    if run is not None:
        found |= {
            "idle_share": row.share(s),
            "step": run.step,
            "step_with_barrier": run.makespan,
            "formula_idle_share": 1 - s.work / row.step,
            "formula_step": row.step,
            "activations_first": run.peaks[0],
            "activations_last": run.peaks[-1],
            "formula_activations_first": row.first,
            "formula_activations_last": row.last,
        }
    return found


def devices(run: Run) -> list[Record]:
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


def operations(run: Run) -> list[Record]:
    """One row for each pass of a micro-batch through a chunk of a device."""
    return [
        {
            "device": d + 1, "kind": o.kind, "micro_batch": o.micro + 1, "chunk": o.chunk + 1, "start": o.start,
            "end": o.end,
        }
        for d, done in enumerate(run.devices)
        for o in done
    ]  # fmt: skip


def rows(answer: ScheduleAnswer) -> list[Record]:
    """The operations of a named schedule, or a row for each schedule."""
    one = answer.chosen
    if one is not None and one.run is not None:
        return operations(one.run)
    return [line(row, answer.setting) for row in answer.compared]
