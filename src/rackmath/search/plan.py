"""The cheapest plan under the objectives, the front of what is possible, and what stood in the way of the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..units import show
from ..world.workload import Objectives
from .choice import Plan, movers, plan_at, plan_cost
from .grid import Candidates, Question, chunks, join, layouts
from .hosted import asked, may_spill, spilled
from .ranking import Front, by_power, candidates, front, meeting, power, ranking, refine
from .reasons import closest, does_not_fit, missed, too_slow, violation, why


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What `plan` found. `best` is None where nothing meets the objectives; then `nearest` and `reasons` speak."""

    question: Question
    objectives: Objectives
    best: Plan | None
    runner_up: Plan | None
    runner_up_why: str
    nearest: Plan | None
    reasons: tuple[str, ...]
    by_price: Front
    by_throughput: Front
    evaluated: int
    candidates: Front | None = None  # the cheapest batch of layouts, from the best to the worst
    movers: tuple[tuple[str, float], ...] = ()
    others: tuple[Planned, ...] = ()  # the answers for the other machines, where several were asked about


def plan(questions: Sequence[Question], objectives: Objectives) -> Planned:
    """The cheapest plan over all questions (one per machine).

    Cost is dollars per request at the stated utilisation, or where a fleet is asked for, of the whole fleet. A
    machine without a price comes after those with one. Costs within `TIE` of each other count as equal: then the
    simpler layout wins. After the first pass the batches around the best layouts are tried one by one.
    """
    answers = [_plan_one(q, objectives) for q in questions]
    evaluated = sum(a.evaluated for a in answers)
    found = [a for a in answers if a.best is not None]
    if found:
        best = min(found, key=lambda a: (not float(a.question.machine.price_per_hour) > 0, plan_cost(a.best)))  # type: ignore[arg-type]
        return replace(best, evaluated=evaluated, others=tuple(a for a in answers if a is not best))
    best = min(answers, key=lambda a: math.inf if a.nearest is None else violation(a.nearest, objectives))
    if best.nearest is None:
        best = replace(best, nearest=_on_more_devices(best.question, objectives))
    names = [f"{a.question.machine.name}: " if len(answers) > 1 else "" for a in answers]
    reasons = dict.fromkeys(name + reason for name, a in zip(names, answers, strict=True) for reason in a.reasons)
    return replace(best, evaluated=evaluated, reasons=tuple(reasons))


def _on_more_devices(question: Question, objectives: Objectives) -> Plan | None:
    """The plan on the fewest times as many devices, up to 32, that holds the model; None if even that does not.

    It meets the objectives where that is possible with so many devices, and comes closest to them where not.
    """
    machine = question.machine
    for times in () if machine.cards else (2, 3, 4, 6, 8, 16, 32):
        n = machine.n_devices * times
        many = replace(machine, name=f"{n:g}x{machine.accelerator}", n_devices=n)
        found = _plan_one(replace(question, machine=many, max_gpus=n), objectives)
        if found.best or found.nearest:
            return found.best or found.nearest
    return None


def _plan_one(question: Question, objectives: Objectives) -> Planned:
    if float(question.traffic.osl) < 2:
        objectives = replace(objectives, max_tpot=math.inf)  # there is no second token to wait for
    every = layouts(question.model, question.machine, question.max_gpus, question.engine)
    if not len(np.asarray(every.tp)):
        return _nothing(question, objectives, ("no layout divides this model over this machine",))
    every = asked(question, every)
    table = join([c for c in chunks(question, every) if len(c)])
    if not table.fits.any() and may_spill(question):
        table = join([table, *(c for c in chunks(question, spilled(question, every)) if len(c))])
    possible = table.fits & table.keeps_pace
    if not possible.any():
        reason = does_not_fit(question, every) if not table.fits.any() else too_slow(question)
        return _nothing(question, objectives, (reason,), evaluated=len(table))
    meets = possible & meeting(table, objectives)
    in_time = possible & (table.ttft <= objectives.max_ttft)
    shown = in_time if in_time.any() else possible
    by_price = front(question, table, shown, table.request_cost)
    by_throughput = front(question, table, shown, -table.tput_per_gpu)
    if meets.any() and not np.isfinite(table.objective[meets]).any():
        # Batches of the first pass may all draw too much where one between them does not.
        refined = refine(question, table, by_power(question, table, np.flatnonzero(meets)), objectives, keep=24)
        if not len(refined):
            return _over_power(question, objectives, table, meets)
        table = join([table, refined])
        possible, meets = table.fits & table.keeps_pace, table.fits & table.keeps_pace & meeting(table, objectives)
    meets = meets & np.isfinite(table.objective)
    if not meets.any():
        near = closest(table, possible, objectives)
        nearest = plan_at(question, table, near)
        return Planned(
            question=question,
            objectives=objectives,
            best=None,
            runner_up=None,
            runner_up_why="",
            nearest=nearest,
            reasons=missed(nearest, table, possible, objectives),
            evaluated=len(table),
            by_price=by_price,
            by_throughput=by_throughput,
        )
    order = ranking(question, table, meets)
    refined = refine(question, table, order, objectives)
    best, evaluated = plan_at(question, refined, 0), len(table) + len(refined)
    runner_up = plan_at(question, refined, 1) if len(refined) > 1 else None
    return Planned(
        question=question,
        objectives=objectives,
        best=best,
        runner_up=runner_up,
        runner_up_why=why(best, runner_up, objectives) if runner_up else "",
        nearest=None,
        reasons=(),
        evaluated=evaluated,
        movers=movers(best),
        by_price=by_price,
        by_throughput=by_throughput,
        candidates=candidates(question, table, order),
    )


def _over_power(question: Question, objectives: Objectives, table: Candidates, meets: NDArray[np.bool_]) -> Planned:
    """No fleet stays within the power limit: the one that draws least, and what it draws."""
    need = question.need
    assert need is not None
    rows = np.flatnonzero(meets)
    drawn = power(question, table, rows)
    least = int(np.argmin(drawn))
    reason = (
        f"{need.rate:,.4g} requests a second with {need.spare} spare draw at least"
        f" {show(float(np.asarray(drawn)[least]), 'W')} on {question.machine.name}; the limit is"
        f" {show(need.power_limit, 'W')}"
    )
    nearest = plan_at(question, table, int(rows[least]))
    return replace(_nothing(question, objectives, (reason,), evaluated=len(table)), nearest=nearest)


def _nothing(question: Question, objectives: Objectives, reasons: tuple[str, ...], *, evaluated: int = 0) -> Planned:
    none = np.zeros(0)
    empty = Front(interactivity=none, tput_per_gpu=none, blended_mtok=none, ttft=none, batch=none, labels=())
    return Planned(
        question=question,
        objectives=objectives,
        best=None,
        runner_up=None,
        runner_up_why="",
        nearest=None,
        reasons=reasons,
        by_price=empty,
        by_throughput=empty,
        evaluated=evaluated,
    )
