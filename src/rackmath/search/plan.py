"""The cheapest plan under the objectives, the front of what is possible, and what stood in the way of the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..arrays import take
from ..economics.cost import HOUR, Cost, billed_devices, cost, request_cost
from ..economics.fleet import fleet, fleet_of
from ..kernel.counts import weight_bytes
from ..layout.footprint import footprint
from ..layout.parallelism import Layout
from ..serving.speculative import beside
from ..serving.steady import Serving, steady
from ..units import plural, show
from ..world.machine import Machine
from ..world.precision import Precision
from ..world.workload import Objectives
from .grid import Candidates, Question, chunks, evaluate, join, layouts, price_or_time
from .trust import Trust, trust


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One choice, evaluated in full (scalars)."""

    question: Question
    layout: Layout
    precision: Precision
    batch: float
    serving: Serving
    cost: Cost
    intervals: Trust

    @property
    def machine(self) -> Machine:
        return self.question.machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """Pareto-optimal points, fastest for the user first: tok/s/user, tok/s/GPU and dollars per million tokens."""

    interactivity: NDArray[np.float64]
    tput_per_gpu: NDArray[np.float64]
    blended_mtok: NDArray[np.float64]
    ttft: NDArray[np.float64]
    batch: NDArray[np.float64]
    labels: tuple[str, ...]
    layouts: tuple[Layout, ...] = ()
    precisions: tuple[Precision, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
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
    others: tuple[Answer, ...] = ()  # the answers for the other machines, where several were asked about


def plan(questions: Sequence[Question], objectives: Objectives) -> Answer:
    """The cheapest plan over all questions (one per machine).

    Cost is dollars per request at the stated utilisation, or where a fleet is asked for, of the whole fleet. A
    machine without a price comes after those with one. Costs within `TIE` of each other count as equal: then the
    simpler layout wins. After the first pass the batches around the best layouts are tried one by one.
    """
    answers = [_plan_one(q, objectives) for q in questions]
    evaluated = sum(a.evaluated for a in answers)
    found = [a for a in answers if a.best is not None]
    if found:
        best = min(found, key=lambda a: (not float(a.question.machine.price_per_hour) > 0, spent(a.best)))  # type: ignore[arg-type]
        return replace(best, evaluated=evaluated, others=tuple(a for a in answers if a is not best))
    best = min(answers, key=lambda a: math.inf if a.nearest is None else _violation(a.nearest, objectives))
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
    for times in (2, 3, 4, 6, 8, 16, 32):
        n = machine.n_devices * times
        many = replace(machine, name=f"{n:g}x{machine.accelerator}", n_devices=n)
        found = _plan_one(replace(question, machine=many, max_gpus=n), objectives)
        if found.best or found.nearest:
            return found.best or found.nearest
    return None


def _plan_one(question: Question, objectives: Objectives) -> Answer:
    if float(question.traffic.osl) < 2:
        objectives = replace(objectives, max_tpot=math.inf)  # there is no second token to wait for
    every = layouts(question.model, question.machine, question.max_gpus, question.engine)
    if not len(np.asarray(every.tp)):
        return _nothing(question, objectives, ("no layout divides this model over this machine",))
    table = join([c for c in chunks(question, every) if len(c)])
    possible = table.fits & table.keeps_pace
    if not possible.any():
        reason = does_not_fit(question, every) if not table.fits.any() else _too_slow(question)
        return _nothing(question, objectives, (reason,), evaluated=len(table))
    meets = possible & _meets(table, objectives)
    in_time = possible & (table.ttft <= objectives.max_ttft)
    shown = in_time if in_time.any() else possible
    by_price = _front(question, table, shown, table.request_cost)
    by_throughput = _front(question, table, shown, -table.tput_per_gpu)
    if meets.any() and not np.isfinite(table.objective[meets]).any():
        # Batches of the first pass may all draw too much where one between them does not.
        refined = _refine(question, table, _by_power(question, table, np.flatnonzero(meets)), objectives, keep=24)
        if not len(refined):
            return _over_power(question, objectives, table, meets)
        table = join([table, refined])
        possible, meets = table.fits & table.keeps_pace, table.fits & table.keeps_pace & _meets(table, objectives)
    meets = meets & np.isfinite(table.objective)
    if not meets.any():
        near = _closest(table, possible, objectives)
        nearest = realise(question, table, near)
        return Answer(
            question=question, objectives=objectives, best=None, runner_up=None, runner_up_why="", nearest=nearest,
            reasons=_missed(nearest, table, possible, objectives), evaluated=len(table), by_price=by_price,
            by_throughput=by_throughput,
        )  # fmt: skip
    order = _ranking(question, table, meets)
    refined = _refine(question, table, order, objectives)
    best = realise(question, refined, 0)
    evaluated = len(table) + len(refined)
    runner_up = realise(question, refined, 1) if len(refined) > 1 else None
    return Answer(
        question=question, objectives=objectives, best=best, runner_up=runner_up,
        runner_up_why=_why(best, runner_up, objectives) if runner_up else "", nearest=None, reasons=(),
        evaluated=evaluated, movers=movers(best), by_price=by_price, by_throughput=by_throughput,
        candidates=_candidates(question, table, order),
    )  # fmt: skip


def realise(question: Question, table: Candidates, row: int) -> Plan:
    """A row of the search as a plan, recomputed as scalars with every term kept."""
    return evaluate_plan(
        question, take(table.layout, row), question.precisions[int(table.precision[row])], float(table.batch[row])
    )


def evaluate_plan(question: Question, layout: Layout, precision: Precision, batch: float) -> Plan:
    """One chosen layout, precision and batch, in full."""
    served = steady(question.replica(precision, layout), question.traffic, batch, keep=True)
    return Plan(
        question=question,
        layout=layout,
        precision=precision,
        batch=batch,
        serving=served,
        cost=cost(served, question.machine, question.traffic),
        intervals=trust(
            question, devices=layout.gpus, context=question.traffic.isl + question.traffic.osl,
            users=served.concurrency, dcp=layout.dcp,
        ),
    )  # fmt: skip


# --- choosing -----------------------------------------------------------------------------------------------------


def _meets(table: Candidates, objectives: Objectives) -> NDArray[np.bool_]:
    met: NDArray[np.bool_] = (table.ttft <= objectives.max_ttft) & (table.tpot <= objectives.max_tpot)
    return met


TIE = 5e-3
"""Costs closer than this share count as equal: the simpler layout then wins."""


def _ranking(question: Question, table: Candidates, allowed: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Allowed rows, cheapest first. Equal ones (`TIE`): fewer stages, even experts, fewer devices, then the cost."""
    rows = np.flatnonzero(allowed)
    layout = take(table.layout, rows)
    uneven = np.zeros(len(rows), dtype=bool)
    for group in question.model.groups:
        if group.ffn and group.ffn.n_experts:
            uneven |= group.ffn.n_experts % np.asarray(layout.ep) != 0
    price = np.round(np.log(table.objective[rows]) / TIE)
    keys = (table.request_cost[rows], np.asarray(layout.gpus), uneven, np.asarray(layout.pp), price)
    return rows[np.lexsort(keys)]


def _key(table: Candidates, row: int) -> tuple[float, ...]:
    one = take(table.layout, row)
    return (float(one.tp), float(one.pp), float(one.dp), float(one.ep), float(table.precision[row]))


def _refine(
    question: Question, table: Candidates, order: NDArray[np.intp], objectives: Objectives, *, keep: int = 8
) -> Candidates:
    """The best batch of each of the best distinct layouts, tried one by one; best layout first."""
    seen: dict[tuple[float, ...], int] = {}
    for row in order:
        seen.setdefault(_key(table, int(row)), int(row))
        if len(seen) == keep:
            break
    parts = []
    for row in seen.values():
        unit = float(np.asarray(table.layout.dp)[row] * np.asarray(table.layout.pp)[row])
        rank = float(table.batch[row]) / unit
        spread = np.geomspace(rank / 1.5, rank * 2.05, 400)
        tries = np.unique(np.append(np.where(spread < 1, spread, np.round(spread)), rank)) * unit
        if question.traffic.users is not None:
            tries = table.batch[row : row + 1]
        one = take(table.layout, np.full(len(tries), row))
        rows = evaluate(question, int(table.precision[row]), one, tries)
        good = rows.fits & rows.keeps_pace & _meets(rows, objectives) & np.isfinite(rows.objective)
        parts.append(take(rows, _ranking(question, rows, good)[:1]))
    refined = join(parts)
    return take(refined, _ranking(question, refined, np.ones(len(refined), dtype=bool)))


def _front(
    question: Question, table: Candidates, possible: NDArray[np.bool_], minimise: NDArray[np.float64]
) -> Front:
    """Points nobody beats in both interactivity and the minimised column."""
    rows = np.flatnonzero(possible)
    rows = rows[np.lexsort((minimise[rows], table.tpot[rows]))]
    best = np.minimum.accumulate(minimise[rows])
    keep = np.concatenate([[True], best[1:] < best[:-1]]) if len(rows) else np.zeros(0, dtype=bool)
    return _points(question, table, rows[keep])


CANDIDATES = 20
"""Layouts that are kept beside the winner."""


def _candidates(question: Question, table: Candidates, order: NDArray[np.intp]) -> Front:
    """The first row of distinct layouts and formats of a ranking, from the best to the worst."""
    layout = take(table.layout, order)
    keys = np.asarray(table.precision[order], dtype=np.int64)
    for column in (layout.tp, layout.pp, layout.dp, layout.ep):
        keys = keys * 8192 + np.asarray(column, dtype=np.int64)
    first = np.sort(np.unique(keys, return_index=True)[1])
    ranks = np.unique(np.geomspace(1, len(first), CANDIDATES).round().astype(int)) - 1  # denser among the best
    first = first[ranks]
    return _points(question, table, order[first])


def _points(question: Question, table: Candidates, rows: NDArray[np.intp]) -> Front:
    per_mtok = 1e6 / (question.traffic.isl + question.traffic.osl)
    return Front(
        interactivity=1 / table.tpot[rows],
        tput_per_gpu=table.tput_per_gpu[rows],
        blended_mtok=table.request_cost[rows] * per_mtok,
        ttft=table.ttft[rows],
        batch=table.batch[rows],
        labels=tuple(
            f"{take(table.layout, int(r)).label()} {question.precisions[int(table.precision[r])].name}" for r in rows
        ),
        layouts=tuple(take(table.layout, int(r)) for r in rows),
        precisions=tuple(question.precisions[int(table.precision[r])] for r in rows),
    )


def unit_cost(p: Plan) -> float:
    """Dollars per request of a replica at its load; device-hours where the machine has no price."""
    return float(request_cost(p.serving, p.machine, p.question.traffic, price_or_time(p.machine)))


def spent(p: Plan) -> float:
    """What the search minimises: `unit_cost`, or where a fleet is asked for, the fleet's cost per request served."""
    need = p.question.need
    if need is None:
        return unit_cost(p)
    sized = fleet_of(p.serving, p.machine, p.question.traffic, need)
    return float(sized.billed) * float(price_or_time(p.machine)) / HOUR / need.rate


# --- saying why -----------------------------------------------------------------------------------------------------


def _violation(candidate: Plan, objectives: Objectives) -> float:
    return max(
        float(candidate.serving.ttft) / objectives.max_ttft, float(candidate.serving.tpot) / objectives.max_tpot
    )


def _closest(table: Candidates, possible: NDArray[np.bool_], objectives: Objectives) -> int:
    worst = np.maximum(table.ttft / objectives.max_ttft, table.tpot / objectives.max_tpot)
    return int(np.argmin(np.where(possible, worst, np.inf)))


def _missed(nearest: Plan, table: Candidates, possible: NDArray[np.bool_], objectives: Objectives) -> tuple[str, ...]:
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


def _power(question: Question, table: Candidates, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """Watts at the facility of the fleet of each row."""
    need = question.need
    assert need is not None
    gpus = take(table.layout, rows).gpus
    rate = billed_devices(gpus, question.machine) / table.request_cost[rows]  # proportional to requests per second
    scale = price_or_time(question.machine) / HOUR / question.traffic.utilisation
    return np.asarray(fleet(rate * scale, gpus, question.machine, question.traffic, need).power)


def _by_power(question: Question, table: Candidates, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """The rows, those whose fleet draws least first; of equal ones the cheapest."""
    return rows[np.lexsort((table.request_cost[rows], _power(question, table, rows)))]


def _over_power(question: Question, objectives: Objectives, table: Candidates, meets: NDArray[np.bool_]) -> Answer:
    """No fleet stays within the power limit: the one that draws least, and what it draws."""
    need = question.need
    assert need is not None
    rows = np.flatnonzero(meets)
    drawn = _power(question, table, rows)
    least = int(np.argmin(drawn))
    reason = (
        f"{need.rate:,.4g} requests a second with {need.spare} spare draw at least"
        f" {show(float(np.asarray(drawn)[least]), 'W')} on {question.machine.name}; the limit is"
        f" {show(need.power_limit, 'W')}"
    )
    nearest = realise(question, table, int(rows[least]))
    return replace(_nothing(question, objectives, (reason,), evaluated=len(table)), nearest=nearest)


def _too_slow(question: Question) -> str:
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
    return min(stories)[1]


def _why(best: Plan, other: Plan, objectives: Objectives) -> str:
    """What makes the runner-up dearer: where its device time per request goes, against the winner's."""

    def per_request(p: Plan) -> dict[str, float]:
        each = 1 / float(p.serving.request_rate)
        scale = float(p.serving.gpus) * each / float(p.serving.tpot)
        idle = (float(billed_devices(p.serving.gpus, p.machine)) - float(p.serving.gpus)) * each
        return {k: float(v) * scale for k, v in p.serving.shares.items()} | {"idle": idle}

    mine, its = per_request(best), per_request(other)
    worst = max(its, key=lambda k: its[k] - mine[k])
    dearer = spent(other) / spent(best) - 1
    if dearer < 5e-4:
        return (
            f"costs the same within 0.1 %, on {plural(float(other.layout.gpus), 'device')} instead of"
            f" {best.layout.gpus:.0f}"
            if other.layout.gpus != best.layout.gpus
            else "costs the same within 0.1 %"
        )
    words = {
        "compute": "computing", "weights": "reading weights", "cache": "reading the cache",
        "network": "collectives", "overhead": "launches and step overhead",
        "idle": "devices that are paid for and idle",
    }  # fmt: skip
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


def movers(best: Plan) -> tuple[tuple[str, float], ...]:
    """Sensitivity of the price: relative change of cost per request with 10 % more of each resource, best first."""
    machine, base = best.machine, unit_cost(best)

    def change(q: Question) -> float:
        return unit_cost(evaluate_plan(q, best.layout, best.precision, best.batch)) / base - 1

    def with_machine(**changes: float) -> float:
        scaled = {k: getattr(machine, k) * f for k, f in changes.items()}
        return change(replace(best.question, machine=replace(machine, **scaled)))

    eff = best.question.efficiency
    fixed = ("launch", "step_overhead", "sequence_overhead", "host")
    leaner = replace(best.question, efficiency=replace(eff, **{name: getattr(eff, name) / 1.1 for name in fixed}))
    found = {
        "10 % more FLOP/s": with_machine(peak_bf16=1.1, peak_fp8=1.1, peak_fp4=1.1, peak_int8=1.1),
        "10 % more HBM bandwidth": with_machine(hbm_bandwidth=1.1),
        "10 % faster links": with_machine(scaleup_bandwidth=1.1, scaleout_bandwidth=1.1),
        "10 % less launch and step overhead": unit_cost(
            evaluate_plan(leaner, best.layout, best.precision, best.batch)
        )
        / base
        - 1,
    }
    return tuple(sorted(found.items(), key=lambda item: item[1]))


def _nothing(question: Question, objectives: Objectives, reasons: tuple[str, ...], *, evaluated: int = 0) -> Answer:
    none = np.zeros(0)
    empty = Front(interactivity=none, tput_per_gpu=none, blended_mtok=none, ttft=none, batch=none, labels=())
    return Answer(
        question=question, objectives=objectives, best=None, runner_up=None, runner_up_why="", nearest=None,
        reasons=reasons, by_price=empty, by_throughput=empty, evaluated=evaluated,
    )  # fmt: skip
