"""Why a plan is the one that it is, and why another is not: in words, with their numbers."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..arrays import take
from ..economics.cost import billed_devices
from ..kernel.counts import weight_bytes
from ..layout.footprint import footprint
from ..layout.parallelism import Layout
from ..serving.speculative import beside
from ..units import plural, show
from ..world.workload import Objectives
from .choice import Plan, evaluate_plan, plan_cost
from .grid import Candidates, Question
from .hosted import host_too_small


def violation(candidate: Plan, objectives: Objectives) -> float:
    return max(float(candidate.serving.ttft) / objectives.max_ttft, float(candidate.serving.tpot) / objectives.max_tpot)


def closest(table: Candidates, possible: NDArray[np.bool_], objectives: Objectives) -> int:
    worst = np.maximum(table.ttft / objectives.max_ttft, table.tpot / objectives.max_tpot)
    return int(np.argmin(np.where(possible, worst, np.inf)))


def missed(nearest: Plan, table: Candidates, possible: NDArray[np.bool_], objectives: Objectives) -> tuple[str, ...]:
    """Which objective cannot be met, by how much, and what the best alone would be."""
    reasons = []
    for name, limit in (("tpot", objectives.max_tpot), ("ttft", objectives.max_ttft)):
        column = getattr(table, name)
        least = float(column[possible].min())
        if least > limit:
            reasons.append(
                f"{name.upper()} of {show(limit, 's')} is out of reach: the fastest layout takes {show(least, 's')},"
                f" {least / limit:.2f}x as long"
            )
    if not reasons:
        s = nearest.serving
        reasons.append(
            f"TTFT and TPOT can each be met, not both: the nearest plan has TTFT {show(float(s.ttft), 's')} and"
            f" TPOT {show(float(s.tpot), 's')}"
        )
    return tuple(reasons)


def too_slow(question: Question) -> str:
    """Why no batch can be kept full although the model fits."""
    traffic = question.traffic
    return (
        f"prefill cannot keep pace: {float(traffic.isl):,.0f} input for {float(traffic.osl):,.0f} output tokens"
        " take a larger chunk per step than the engine's chunk_tokens allow; raise engine.chunk_tokens"
    )


def does_not_fit(question: Question, every: Layout) -> str:
    """Why no layout holds the model and one sequence: the layout that comes closest, and the shortfall.

    What is counted is what `footprint` counts for a plan with one sequence.
    """
    model, machine = question.model, question.machine
    context = float(question.traffic.isl + question.traffic.osl)
    stories = []
    for precision in question.precisions:
        room = footprint(model, machine, precision, every, question.engine, context)
        if question.speculation is not None:
            room = beside(room, question.speculation, every, context)
        need = room.weights + room.reserved + room.per_sequence
        row = int(np.argmin(need))
        kept = {name: float(np.broadcast_to(value, np.shape(need))[row]) for name, value in room.terms.items()}
        terms = ", ".join(f"{name} {show(value, 'B')}" for name, value in kept.items() if value > 0)
        one = take(every, row)
        whole = weight_bytes(model, precision)
        have = float(one.gpus) * float(machine.hbm_capacity)
        short = float(np.asarray(need)[row])
        text = (
            f"{model.name} in {precision.name} does not fit on {machine.name}: its weights are {show(whole, 'B')};"
            f" the roomiest layout ({one.label()}) needs {show(short, 'B')} per device"
            f" (weights {show(float(np.asarray(room.weights)[row]), 'B')},"
            f" one sequence of {context:,.0f} tokens {show(float(np.asarray(room.per_sequence)[row]), 'B')};"
            f" reserved by the {question.engine.name} engine: {terms}) of {show(float(machine.hbm_capacity), 'B')}:"
            f" {show(max(short - float(machine.hbm_capacity), 0.0), 'B')} short"
        )
        if whole > have:
            together = "device holds" if one.gpus == 1 else f"{one.gpus:.0f} devices hold"
            text += f" (the {together} {show(have, 'B')}{'' if one.gpus == 1 else ' together'})"
        stories.append((float(np.asarray(need)[row]), text))
    host = host_too_small(question, every)
    return min(stories)[1] + (f"; {host}" if host else "")


def why(best: Plan, other: Plan, objectives: Objectives) -> str:
    """What makes the runner-up dearer: where its device time per request goes, against the winner's."""

    def per_request(p: Plan) -> dict[str, float]:
        each = 1 / float(p.serving.request_rate)
        scale = float(p.serving.gpus) * each / float(p.serving.tpot)
        idle = (float(billed_devices(p.serving.gpus, p.machine)) - float(p.serving.gpus)) * each
        return {k: float(v) * scale for k, v in p.serving.shares.items()} | {"idle": idle}

    mine, its = per_request(best), per_request(other)
    worst = max(its, key=lambda k: its[k] - mine[k])
    dearer = plan_cost(other) / plan_cost(best) - 1
    if dearer < 5e-4:
        return (
            f"costs the same within 0.1 %, on {plural(float(other.layout.gpus), 'device')} instead of {best.layout.gpus:.0f}"
            if other.layout.gpus != best.layout.gpus
            else "costs the same within 0.1 %"
        )
    words = {
        "compute": "computing",
        "weights": "reading weights",
        "cache": "reading the cache",
        "network": "collectives",
        "overhead": "launches and step overhead",
        "idle": "devices that are paid for and idle",
    }
    text = (
        f"{dearer:.1%} dearer: per request it spends {show(its[worst], 's')} of device time on {words[worst]},"
        f" the winner {show(mine[worst], 's')}"
    )
    limit = _stopped_by(other, objectives)
    return f"{text}; a larger batch is stopped by {limit}" if limit else text


def _stopped_by(p: Plan, objectives: Objectives) -> str:
    """What a batch 10 % larger would break, in words; empty if nothing."""
    if p.question.traffic.users is not None:
        return ""
    unit = float(p.layout.dp) * float(p.layout.pp)
    rank = p.batch / unit
    larger = (math.ceil(rank * 1.1 + 1e-9) if rank >= 1 else rank * 1.1) * unit
    more = evaluate_plan(p.question, p.layout, p.precision, larger).serving
    if not bool(more.fits):
        return "memory"
    if not bool(more.keeps_pace):
        return "prefill capacity"
    if more.tpot > objectives.max_tpot:
        return "the TPOT objective"
    if more.ttft > objectives.max_ttft:
        return "the TTFT objective"
    return ""
