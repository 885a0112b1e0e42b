"""The tiers of a price list, each with the cheapest steady state that serves it, and the sensitivity of its cost.

Standard is the cheapest plan under the objectives. Long serves prompts of a stated length under the same pace, in one
pool of replicas or in two, whichever is cheaper: a chunk of a long prompt takes as long as many steps of decoding, so
in one pool hardly anything can decode beside it. Fast serves the standard traffic at a multiple of its speed. Batch
fills the hours that interactive traffic leaves idle, so it runs on the standard replica, with as many sequences
as fit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ...economics.cost import MTOK, Cost
from ...errors import Infeasible
from ...search.choice import Plan, evaluate_plan
from ...search.disaggregated import PoolPlan
from ...search.disaggregated import search as search_pools
from ...search.grid import Column, Question
from ...search.plan import plan
from ...units import plural, show
from ...world.workload import Objectives, Traffic
from ..modes.menu import menu
from .sensitivity import moved, pools_moved, same_formats

LONG_TTFT = 30.0
"""Seconds that the first token of a long prompt may take at the median, where something can keep to that: two pools
queue prompts, and nobody waits minutes for the last percent of cost."""

LENGTHS = 8
"""Input lengths at which the growth of the cost is computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceTier:
    """One tier of a list: its plan, or `why` there is none. `says` tells in a few words what it runs on.

    `pools`: the plan of two pools, where that is cheaper; then there is no `plan`. `moved`: the plan after each of
    the changes worth telling, by their names.
    """

    name: str
    plan: Plan | None
    says: str = ""
    why: str = ""
    pools: PoolPlan | None = None
    moved: Mapping[str, Plan | PoolPlan] = field(default_factory=dict)

    @property
    def served(self) -> Plan | PoolPlan | None:
        """What serves the tier, one pool or two."""
        return self.plan if self.pools is None else self.pools

    @property
    def isl(self) -> float:
        """Tokens of its prompts."""
        of = self.plan.question if self.pools is None and self.plan is not None else None
        if of is None:
            assert self.pools is not None
            of = self.pools.questions[0]
        return float(of.traffic.isl)


def standard(question: Question, objectives: Objectives) -> PriceTier:
    """The cheapest plan; infeasible with the reasons where there is none."""
    found = plan([question], objectives)
    if found.best is None:
        raise Infeasible("; ".join(found.reasons))
    return _served("standard", found.best, objectives)


def fast(of: Plan, objectives: Objectives, ratio: float) -> PriceTier:
    """The cheapest plan at `ratio` times the speed of the standard one."""
    speed = ratio * float(of.serving.interactivity)
    wanted = replace(objectives, max_tpot=1 / speed)
    found = plan([same_formats(of)], wanted)
    if found.best is None:
        return PriceTier(name="fast", plan=None, why=f"{show(speed)} tok/s/user: {'; '.join(found.reasons)}")
    return _served("fast", found.best, wanted)


def long(of: Plan, objectives: Objectives, isl: float) -> PriceTier:
    """What serves prompts of `isl` tokens cheapest: same output, same cached share, `LONG_TTFT` where it can be."""
    question = at_length(same_formats(of), isl)
    one, two, wanted = _either(question, objectives)
    if two is not None and (one is None or float(two.cost.request) < float(one.cost.request)):
        return PriceTier(name="long", plan=None, pools=two, says=_pool_words(two), moved=pools_moved(two, wanted))
    if one is None:
        reasons = plan([question], wanted).reasons
        return PriceTier(name="long", plan=None, why=f"prompts of {isl:,.0f} tokens: {'; '.join(reasons)}")
    return _served("long", one, wanted)


def _either(question: Question, objectives: Objectives) -> tuple[Plan | None, PoolPlan | None, Objectives]:
    """The cheapest of one pool and of two, at the pace of the objectives and, if possible, within `LONG_TTFT`."""
    for limit in (LONG_TTFT, math.inf):
        wanted = replace(objectives, max_ttft=limit)
        one, two = plan([question], wanted).best, search_pools((question, question), wanted).best
        if one is not None or two is not None:
            return one, two, wanted
    return None, None, wanted


def _pool_words(p: PoolPlan) -> str:
    s = p.serving
    return (
        f"two pools, {p.label()}, {plural(float(s.decode.batch), 'sequence')} on a decode replica, each at"
        f" {1 / float(s.tpot):.3g} tok/s, first token after {show(float(s.ttft), 's')}"
    )


def batch(of: Plan) -> PriceTier:
    """The standard replica with no limit on latency."""

    def search(question: Question, _: Objectives) -> Plan:
        return _fullest(evaluate_plan(question, of.layout, of.precision, of.batch))

    slow = _fullest(of)
    return PriceTier(name="batch", plan=slow, says=_words(slow), moved=moved(slow, Objectives(), search))


def _fullest(of: Plan) -> Plan:
    """The same replica with the number of sequences at which output is cheapest."""
    same = menu(of, chips=()).same
    if not len(same.batch):
        return of
    return evaluate_plan(of.question, of.layout, of.precision, float(same.batch[int(np.argmin(same.output_mtok))]))


def _cheapest(question: Question, objectives: Objectives) -> Plan | None:
    return plan([question], objectives).best


def _served(name: str, p: Plan, objectives: Objectives) -> PriceTier:
    return PriceTier(name=name, plan=p, says=_words(p), moved=moved(p, objectives, _cheapest))


def _words(p: Plan) -> str:
    return f"{p.layout.label()} with {plural(p.batch, 'sequence')}, each at {float(p.serving.interactivity):.3g} tok/s"


def at_length(question: Question, isl: float) -> Question:
    """The question with prompts of another length."""
    return replace(question, traffic=replace(question.traffic, isl=isl))


# --- growth with length --------------------------------------------------------------------------------------------


def dollars(traffic: Traffic, input_mtok: float, cache_read_mtok: float, output_mtok: float) -> float:
    """Dollars that a request pays at prices per million tokens.

    >>> dollars(Traffic(isl=1e6, osl=1e6, cached=0.75), 4.0, 0.4, 10.0)
    11.3
    """
    fresh = max(float(traffic.isl) * (1 - float(traffic.cached)), 1.0)
    held = float(traffic.isl) * float(traffic.cached)
    return (fresh * input_mtok + held * cache_read_mtok + float(traffic.osl) * output_mtok) / MTOK


def at_cost(traffic: Traffic, cost: Cost) -> float:
    """Dollars that a request pays at the prices of a `Cost`."""
    return dollars(traffic, float(cost.input_mtok), float(cost.cache_read_mtok), float(cost.output_mtok))


def growth(of: Plan, objectives: Objectives, longest: float) -> tuple[Column, Column]:
    """Input lengths from the standard one to `longest`, and at each the cost over what standard prices charge.

    Both at cost, for whole requests on the cheapest plan of that length: 1 at the standard length by construction,
    NaN where nothing serves such prompts. More input changes the mix of tokens, and this ratio is free of that.
    """
    q = same_formats(of)
    start = float(q.traffic.isl)
    lengths = np.geomspace(start, longest, LENGTHS)
    found = [1.0]
    for isl in lengths[1:]:
        asked = at_length(q, float(isl))
        one, two, _ = _either(asked, objectives)
        costs = [float(p.cost.request) for p in (one, two) if p is not None]
        found.append(min(costs, default=math.nan) / at_cost(asked.traffic, of.cost))
    return lengths, np.array(found)
