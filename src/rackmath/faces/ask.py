"""The public verbs: words and records in, answers out. No arithmetic here.

>>> answer = plan("meta-llama/Llama-3.1-8B", "8xh100", isl=4000, osl=1000, max_tpot="40ms")
>>> answer.best.machine.name
'8xh100'
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from ..questions.resolve import (
    Quantity,
    all_at_home,
    max_tpot_of,
    named,
    precisions,
    question,
    with_prices,
)
from ..units import parse

if TYPE_CHECKING:
    from ..economics.fleet import Fleet, FleetNeed
    from ..search.plan import Answer, Plan
    from ..world.machine import Machine
    from ..world.model import Model
    from ..world.workload import Objectives


QUALITY = "a change of precision may change answers: quality is not modelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanAnswer:
    """What `plan` answers, with the fleet where a rate was given, and what a reader must know."""

    answer: Answer
    fleet: Fleet | None
    notes: tuple[str, ...]
    narrower: Plan | None = None  # the plan in the narrowest formats, where formats were left open

    @property
    def best(self) -> Any:
        return self.answer.best


def plan(
    model: str | Model,
    on: str | Machine | Sequence[str | Machine],
    *,
    isl: Quantity = 8192,
    osl: Quantity = 1024,
    cached: Quantity = 0.0,
    max_ttft: Quantity | None = None,
    max_tpot: Quantity | None = None,
    min_interactivity: Quantity | None = None,
    precision: str | Sequence[str] | None = None,
    kv: str | Sequence[str] | None = None,
    utilisation: Quantity = 1.0,
    rate: Quantity | None = None,
    users: Quantity | None = None,
    spare: int = 1,
    power_limit: Quantity | None = None,
    gpus: Quantity | None = None,
    price: str | None = None,
    draft: str | Model | None = None,
    depth: Quantity = 1,
    acceptance: Quantity = 0.7,
    engine: str | None = None,
    sets: Mapping[str, Quantity] | None = None,
    extrapolate: bool = False,
) -> PlanAnswer:
    """The cheapest layout, batch and precision for a model on one machine or the best of several.

    `model`: a catalogue name, a config.json, or a `Model`. Quantities may be text with a unit ("2s", "40ms",
    "30/s", "5MW"). `precision` and `kv`: formats to try, "any" for all the machine multiplies natively; by default
    as published. `sets` overrides single values, e.g. {"machine.hbm_bandwidth": "8TB/s"}. `draft` decodes
    speculatively ("mtp", "ngram" or a smaller model), `depth` drafts a pass, each kept with chance `acceptance`.
    `users`: so many people who each send the next request when the last is answered, 1 on a home machine; otherwise
    requests arrive at random and fill what they are given.
    """
    from ..economics.fleet import fleet_of
    from ..questions.drafts import speculation_of
    from ..search import plan as search
    from ..world.lengths import within
    from ..world.workload import Objectives, Traffic

    traffic = Traffic(
        isl=parse(isl, "count", name="isl"),
        osl=parse(osl, "count", name="osl"),
        cached=parse(cached, "share", name="cached"),
        utilisation=parse(utilisation, "share", name="utilisation"),
        rate=None if rate is None else parse(rate, "1/s", name="rate"),
        users=None if users is None else parse(users, "count", name="users"),
        closed=users is not None,
    )
    if users is not None and rate is not None:
        raise BadInput("users and a rate say two things about the same load; give one of them")
    objectives = Objectives(
        max_ttft=math.inf if max_ttft is None else parse(max_ttft, "s", name="max_ttft"),
        max_tpot=max_tpot_of(max_tpot, min_interactivity),
    )
    machines = [on] if isinstance(on, str) or not isinstance(on, Sequence) else list(on)
    if not machines:
        raise BadInput("no machine was given; name one like 8xh200 or gb200-nvl72")
    need = fleet_need(traffic.rate, spare, power_limit)
    machines, unpriced = with_prices(machines, price)
    paid: dict[str, Any] = {"price": price if len(machines) == 1 else None}
    personal = draft is None and rate is None and (len(machines) == 1 or all_at_home(machines))
    questions, notes = [], unpriced
    for machine in machines:
        q, said = question(
            model,
            machine,
            traffic=traffic,
            precision=precision,
            kv=kv,
            gpus=gpus,
            engine=engine,
            sets=sets,
            need=need,
            personal=personal,
            **paid,
        )
        if q.engine.local and q.traffic.users is None:
            q = replace(q, traffic=replace(traffic, users=1.0, closed=True))
        if draft is not None:
            spec, by = speculation_of(q.model, q.precisions[0], draft, depth=depth, acceptance=acceptance)
            q = replace(q, speculation=spec)
            said.append(f"decoding speculatively: {float(spec.depth):g} drafts a pass by {by},"
                        f" {float(spec.kept):.3g} tokens kept on average")  # fmt: skip
        questions.append(q)
        notes += said if len(machines) == 1 else named(said, q.machine)
    needed = float(traffic.isl) + float(traffic.osl)
    notes += within(questions[0].model, needed, "isl or osl", extrapolate=extrapolate)
    answer = search.plan(questions, objectives)
    best = answer.best
    if best is not None and best.precision != best.question.model.precision:
        notes.append(QUALITY)
    if best is not None and objectives == Objectives() and best.question.traffic.users is None:
        notes += interactive_note(answer)
    narrow = _narrower(answer, objectives) if precision is None and kv is None else None
    notes += narrower_note(narrow, None if best is None else search.spent(best))
    sized = None
    if best is not None and need is not None:
        sized = fleet_of(best.serving, best.machine, traffic, need)
    return PlanAnswer(answer=answer, fleet=sized, notes=tuple(dict.fromkeys(notes)), narrower=narrow)


def fleet_need(rate: float | None, spare: int, power_limit: Quantity | None) -> FleetNeed | None:
    """What is asked of a fleet; None without a rate."""
    from ..economics.fleet import FleetNeed

    if spare < 0:
        raise BadInput(f"spare = {spare} replicas is impossible; give 0 or more")
    if rate is None:
        if power_limit is not None:
            raise BadInput("a power limit needs a rate of requests to size the fleet; give one like --rate 30/s")
        return None
    limit = math.inf if power_limit is None else parse(power_limit, "W", name="power_limit")
    return FleetNeed(rate=rate, spare=spare, power_limit=limit)


INTERACTIVE = 30.0
"""Tokens per second and user that feel quick to a reader: offered where no objective was given."""


def interactive_note(answer: Answer) -> list[str]:
    """Where no objective was given: what the plan is best at, and what quicker answers would cost."""
    from ..search import plan as search
    from ..units import show
    from ..world.workload import Objectives

    best = answer.best
    assert best is not None
    speed = float(best.serving.interactivity)
    said = f"no objective was given: this is the plan with the cheapest tokens, {speed:.3g} tok/s for each user"
    if speed >= INTERACTIVE:
        return [said]
    quick = search.plan([best.question], Objectives(max_tpot=1 / INTERACTIVE)).best
    if quick is None:
        return [f"{said}; no plan on {best.machine.name} gives {INTERACTIVE:g}"]
    price, ratio = float(quick.cost.blended_mtok), search.spent(quick) / search.spent(best)
    cost = f"{show(price, '$')} per million tokens, {ratio:.2g}x" if price else f"{ratio:.2g}x the device time"
    return [f"{said}; for interactive use add --min-interactivity {INTERACTIVE:g}, at {cost}"]


def _narrower(answer: Answer, objectives: Objectives) -> Plan | None:
    """The plan in any number formats that the machine multiplies."""
    from ..search import plan as search

    q = answer.question
    return search.plan(
        [replace(q, precisions=precisions(q.model, q.machine, "any", "any", local=q.engine.local))], objectives
    ).best


def narrower_note(other: Plan | None, spent: float | None) -> list[str]:
    """A hint where narrower number formats would be cheaper than what is `spent`, or feasible where nothing is."""
    from ..search import plan as search
    from ..units import show

    if other is None:
        return []
    words = f"{other.precision.name} weights with a {other.precision.kv.name} cache"
    if spent is None:
        return [f"{words} would meet the limits: --precision any --kv any tries them (answers may change)"]
    saved = 1 - search.spent(other) / spent
    if saved < 0.03:
        return []
    if other.question.engine.local:
        speed = f"{float(other.serving.interactivity):.3g} tok/s"
        return [f"{words} would give {speed}: --precision any --kv any (answers may change)"]
    price = float(other.cost.blended_mtok)
    cost = f"{show(price, '$')} per million tokens, " if price else ""
    return [f"{words} would cost {cost}{saved:.0%} less: --precision any --kv any (answers may change)"]
