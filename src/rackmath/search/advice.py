"""What a reader of a plan should know beside it: what quicker answers or narrower number formats would cost."""

from __future__ import annotations

from ..units import show
from ..world.workload import Objectives
from .choice import Plan, plan_cost
from .plan import Planned, plan

QUALITY = "a change of precision may change answers: quality is not modelled"

INTERACTIVE = 30.0
"""Tokens per second and user that feel quick to a reader: offered where no objective was given."""


def interactive_note(answer: Planned) -> list[str]:
    """Where no objective was given: what the plan is best at, and what quicker answers would cost."""
    best = answer.best
    assert best is not None
    speed = float(best.serving.interactivity)
    said = f"no objective was given: this is the plan with the cheapest tokens, {speed:.3g} tok/s for each user"
    if speed >= INTERACTIVE:
        return [said]
    quick = plan([best.question], Objectives(max_tpot=1 / INTERACTIVE)).best
    if quick is None:
        return [f"{said}; no plan on {best.machine.name} gives {INTERACTIVE:g}"]
    price, ratio = float(quick.cost.blended_mtok), plan_cost(quick) / plan_cost(best)
    cost = f"{show(price, '$')} per million tokens, {ratio:.2g}x" if price else f"{ratio:.2g}x the device time"
    return [f"{said}; for interactive use add --min-interactivity {INTERACTIVE:g}, at {cost}"]


def narrower_note(other: Plan | None, cost: float | None) -> list[str]:
    """A hint where narrower number formats would be cheaper than `cost`, or feasible where nothing is (None)."""
    if other is None:
        return []
    words = f"{other.precision.name} weights with a {other.precision.kv.name} cache"
    if cost is None:
        return [f"{words} would meet the limits: --precision any --kv any tries them (answers may change)"]
    saved = 1 - plan_cost(other) / cost
    if saved < 0.03:
        return []
    if other.question.engine.local:
        speed = f"{float(other.serving.interactivity):.3g} tok/s"
        return [f"{words} would give {speed}: --precision any --kv any (answers may change)"]
    price = float(other.cost.blended_mtok)
    dollars = f"{show(price, '$')} per million tokens, " if price else ""
    return [f"{words} would cost {dollars}{saved:.0%} less: --precision any --kv any (answers may change)"]
