"""One pool, two, or whichever is cheaper, over several machines: a plan in every mode, and which mode wins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..economics.fleet import Fleet, FleetNeed, fleet, fleet_of
from ..units import show
from ..world.machine import Machine
from ..world.workload import Objectives
from .advice import QUALITY, narrower_note
from .choice import Plan, plan_cost
from .disaggregated import PoolAnswer, PoolPlan, ServingPoint, pools_cost
from .disaggregated import search as search_pools
from .grid import Question
from .plan import Planned
from .serving_modes import aggregated_points, compared, kept, merged, why

Pair = tuple[Question, Question]
"""The questions of a prefill and a decode pool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanAnswer:
    """What `plan` answers, with the fleet where a rate was given, and what a reader must know."""

    answer: Planned
    fleet: Fleet | None
    notes: tuple[str, ...]
    narrower: Plan | None = None  # the plan in the narrowest formats, where formats were left open

    @property
    def best(self) -> Any:
        return self.answer.best


@dataclass(frozen=True, slots=True, kw_only=True)
class BestOn:
    """The best plan on one of several machines, in one pool or two; None and the reasons where there is none."""

    machine: Machine
    best: Plan | PoolPlan | None
    fleets: tuple[Fleet, ...]  # one, or one for each pool
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModesAnswer:
    """What `plan` answers where two pools may serve. `aggregated` is None where only two pools were asked for.

    `winner` is the cheaper mode that meets the objectives, None where neither does. `fleets` are those of the prefill
    and the decode pool, where a rate was given.
    """

    mode: str
    questions: Pair
    objectives: Objectives
    pools: PoolAnswer
    aggregated: PlanAnswer | None
    winner: str | None
    why: str
    front: tuple[ServingPoint, ...]
    points: tuple[ServingPoint, ...]  # the front of each mode apart
    fleets: tuple[Fleet, Fleet] | None
    notes: tuple[str, ...]
    machines: tuple[BestOn, ...] = ()  # where several were asked about

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why there is no plan: of both modes, where both were asked for."""
        one = () if self.aggregated is None else self.aggregated.answer.reasons
        return tuple(dict.fromkeys((*one, *self.pools.reasons)))

    @property
    def evaluated(self) -> int:
        """Configurations that were evaluated, of both modes."""
        return self.pools.evaluated + (0 if self.aggregated is None else self.aggregated.answer.evaluated)

    @property
    def best(self) -> Any:
        """The plan of the winner: a `Plan` or a `PoolPlan`."""
        if self.winner == "disaggregated":
            return self.pools.best
        return None if self.winner is None or self.aggregated is None else self.aggregated.best


def plan_modes(
    pairs: Sequence[Pair],
    objectives: Objectives,
    *,
    mode: str,
    machines: int,
    aggregated: PlanAnswer | None,
    need: FleetNeed | None,
    notes: Sequence[str] = (),
) -> ModesAnswer:
    """The cheapest pair of pools over all pairs, against the plan with one pool where there is one.

    `pairs` go through `machines` decode machines, each with as many prefill machines as there are.
    """
    answers = [(pair, _within(search_pools(pair, objectives), need)) for pair in pairs]
    found = [(pair, a) for pair, a in answers if a.best is not None]
    pair, pools = min(found, key=lambda f: _rank(f[1].best)) if found else answers[0]
    pools = replace(
        pools,
        evaluated=sum(a.evaluated for _, a in answers),
        reasons=() if found else tuple(dict.fromkeys(r for _, a in answers for r in a.reasons)),
    )
    fleets = None if pools.best is None or need is None else fleets_of(pools.best, need)
    points = tuple(p for _, a in answers for p in a.front)
    judged = _judged(mode, pair, objectives, pools, aggregated, fleets, points, list(notes))
    if machines < 2:
        return judged
    width = len(answers) // machines
    each = [answers[k : k + width] for k in range(0, len(answers), width)]
    return replace(judged, machines=tuple(_on(aggregated, one, need) for one in each))


def _on(aggregated: PlanAnswer | None, pools: Sequence[tuple[Pair, PoolAnswer]], need: FleetNeed | None) -> BestOn:
    """The best plan on one machine: of its pairs of pools, and of one pool where that was asked for as well."""
    machine = pools[0][0][1].machine
    reasons = [r for _, a in pools for r in a.reasons]
    one: Plan | None = None
    if aggregated is not None:
        mine = [a for a in (aggregated.answer, *aggregated.answer.others) if a.question.machine.name == machine.name]
        one = mine[0].best if mine else None
        # Where no machine has a plan, one answer speaks for all and names each.
        said = aggregated.answer.reasons if aggregated.best is None else (mine[0].reasons if mine else ())
        head = f"{machine.name}: "
        reasons = [s.removeprefix(head) for s in said if aggregated.best is not None or s.startswith(head)] + reasons
    two = min((a.best for _, a in pools), key=_rank)
    fleets = None if two is None or need is None else fleets_of(two, need)
    if one is not None and (two is None or compared(one, two, fleets).winner == "aggregated"):
        sized = () if need is None else (fleet_of(one.serving, one.machine, one.question.traffic, need),)
        return BestOn(machine=machine, best=one, fleets=sized, reasons=())
    why_not = () if two is not None else tuple(dict.fromkeys(reasons))
    return BestOn(machine=machine, best=two, fleets=fleets or (), reasons=why_not)


def _rank(p: PoolPlan | None) -> tuple[bool, float]:
    if p is None:
        return True, math.inf
    return not all(float(m.price_per_hour) > 0 for m in p.machines), pools_cost(p)


def _within(a: PoolAnswer, need: FleetNeed | None) -> PoolAnswer:
    """The answer with the cheapest pair whose fleets stay within the power limit; without one, how much they draw."""
    if a.best is None or need is None or need.power_limit == math.inf:
        return a
    drawn = [sum(float(f.power) for f in fleets_of(p, need)) for p in a.ranked]
    inside = [p for p, watts in zip(a.ranked, drawn, strict=True) if watts <= need.power_limit]
    if inside:
        return replace(a, best=inside[0], runner_up=inside[1] if len(inside) > 1 else None)
    least = min(range(len(drawn)), key=drawn.__getitem__)
    reason = (
        f"two pools of {a.ranked[least].label()} draw {show(drawn[least], 'W')} for {show(need.rate)} requests/s with"
        f" {need.spare} spare in each pool; the limit is {show(need.power_limit, 'W')}"
    )
    return replace(a, best=None, runner_up=None, nearest=a.ranked[least], reasons=(reason,))


def fleets_of(p: PoolPlan, need: FleetNeed) -> tuple[Fleet, Fleet]:
    """A fleet for each pool; the power limit is for both together."""
    s, traffic = p.serving, p.questions[0].traffic
    return (
        fleet(s.prefill.rate, s.prefill.layout.gpus, p.machines[0], traffic, need),
        fleet(s.decode.rate, s.decode.layout.gpus, p.machines[1], traffic, need),
    )


def _about_shown(aggregated: PlanAnswer, shown: PoolPlan | None, fleets: tuple[Fleet, Fleet] | None) -> list[str]:
    """The notes of a plan with one pool; those on formats are about the two pools where they are `shown` instead."""
    if shown is None:
        return list(aggregated.notes)
    best, other = aggregated.best, aggregated.narrower
    own = {QUALITY, *narrower_note(other, None if best is None else plan_cost(best))}
    notes = [n for n in aggregated.notes if n not in own]
    if shown.precision != shown.questions[1].model.precision:
        notes.append(QUALITY)
    if other is not None:
        costs = compared(other, shown, fleets)
        notes += narrower_note(other, costs.two) if costs.paid else []
    return notes


def _judged(
    mode: str,
    pair: Pair,
    objectives: Objectives,
    pools: PoolAnswer,
    aggregated: PlanAnswer | None,
    fleets: tuple[Fleet, Fleet] | None,
    points: tuple[ServingPoint, ...],
    notes: list[str],
) -> ModesAnswer:
    one = None if aggregated is None else aggregated.best
    two = pools.best
    winner, said = None, ""
    if one is not None and two is not None:
        costs = compared(one, two, fleets)
        winner, said = costs.winner, why(one, two, costs)
    elif one is not None or two is not None:
        winner = "aggregated" if one is not None else "disaggregated"
        if aggregated is not None:
            reasons = pools.reasons if two is None else aggregated.answer.reasons
            said = f"{'two pools' if two is None else 'one pool'} cannot meet the limits: {'; '.join(reasons)}"
    if aggregated is not None:
        notes = [*_about_shown(aggregated, two if winner == "disaggregated" else None, fleets), *notes]
        points += aggregated_points((aggregated.answer, *aggregated.answer.others))
    points = kept(points, objectives.max_ttft)
    return ModesAnswer(
        mode=mode,
        questions=pair,
        objectives=objectives,
        pools=pools,
        aggregated=aggregated,
        winner=winner,
        why=said,
        front=merged(points),
        points=points,
        fleets=fleets,
        notes=tuple(dict.fromkeys(notes)),
    )
