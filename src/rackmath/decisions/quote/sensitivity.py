"""The sensitivity of a tier: its plan after each change of machine, request or pace that is worth telling."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from ...search.choice import Plan, evaluate_plan
from ...search.disaggregated import PoolPlan
from ...search.disaggregated import search as search_pools
from ...search.grid import Question
from ...world.workload import Objectives

Search = Callable[[Question, Objectives], Plan | None]

HARDWARE: Mapping[str, Mapping[str, float]] = {
    "machine hours 10 % cheaper": {"price_per_hour": 0.9},
    "10 % more FLOP/s": {"peak_bf16": 1.1, "peak_fp8": 1.1, "peak_fp4": 1.1, "peak_int8": 1.1},
    "10 % more HBM bandwidth": {"hbm_bandwidth": 1.1},
    "10 % faster links": {"scaleup_bandwidth": 1.1, "scaleout_bandwidth": 1.1},
}
"""Changes of the machine whose effect on each price is told: factors on its values."""


def same_formats(of: Plan) -> Question:
    """The plan's question in its own number formats: the tiers of one list serve the same answers."""
    return replace(of.question, precisions=(of.precision,))


def _on(q: Question, factors: Mapping[str, float]) -> Question:
    """The question with values of its machine multiplied."""
    return replace(q, machine=replace(q.machine, **{k: getattr(q.machine, k) * x for k, x in factors.items()}))


def moved(p: Plan, objectives: Objectives, search: Search) -> dict[str, Plan]:
    """A plan after each change: of the machine, with layout and batch kept; of request or pace, planned anew."""
    q = same_formats(p)
    found = {}
    for name, factors in HARDWARE.items():
        found[name] = evaluate_plan(_on(q, factors), p.layout, p.precision, p.batch)
    share = float(q.traffic.cached)
    other = other_share(share)
    again = search(replace(q, traffic=replace(q.traffic, cached=other)), objectives)
    if again is not None:
        found[f"{other:.0%} of the input cached, not {share:.0%}"] = again
    if objectives.max_tpot < math.inf:
        speed = 1 / objectives.max_tpot
        slower = search(q, replace(objectives, max_tpot=2 / speed))
        if slower is not None:
            found[f"{speed / 2:.3g} tok/s/user, not {speed:.3g}"] = slower
    return found


def other_share(cached: float) -> float:
    """Another cached share to compare with: 30 points more where there is room, else less.

    >>> other_share(0.5), round(other_share(0.9), 9)
    (0.8, 0.6)
    """
    return cached + 0.3 if cached <= 0.6 else cached - 0.3


def pools_moved(p: PoolPlan, wanted: Objectives) -> dict[str, PoolPlan]:
    """Two pools after each change of the machine, planned anew: their ratio follows it."""
    found = {}
    q = p.questions[0]
    for name, factors in HARDWARE.items():
        other = _on(q, factors)
        best = search_pools((other, other), wanted).best
        if best is not None:
            found[name] = best
    return found
