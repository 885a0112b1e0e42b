"""The question of a plan as records, and the search."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...economics.fleet import FleetNeed, fleet_of
from ...errors import BadInput
from ...questions.drafts import speculation_of
from ...questions.formats import precisions
from ...questions.machines import all_at_home, machine_of, machines_of, named, with_prices
from ...questions.resolve import for_fleet, max_tpot_of, on_devices, question
from ...questions.settings import lora_model
from ...search.advice import QUALITY, interactive_note, narrower_note
from ...search.choice import Plan, plan_cost
from ...search.either import ModesAnswer, Pair, PlanAnswer, plan_modes
from ...search.plan import Planned as Found
from ...search.plan import plan
from ...units import plural
from ...world.lengths import within
from ...world.workload import Objectives, Traffic

if TYPE_CHECKING:
    from . import Planning


def found(q: Planning) -> PlanAnswer | ModesAnswer:
    """The cheapest plan in one mode or in either."""
    two = q.mode != "aggregated"
    if two and q.draft is not None:
        raise BadInput("drafts are planned for one pool of replicas; leave --mode aggregated with --draft")
    if two and q.users is not None:
        raise BadInput("a fixed number of users is planned for one pool of replicas; leave --mode aggregated with --users")
    if q.users is not None and q.rate is not None:
        raise BadInput("users and a rate say two things about the same load; give one of them")
    if not two and q.prefill_on:
        raise BadInput("prefill_on names the machine of a prefill pool; give --mode disaggregated or any with it")
    traffic = Traffic(
        isl=q.isl, osl=q.osl, cached=q.cached, utilisation=q.utilisation, rate=q.rate, users=q.users, closed=q.users is not None
    )
    limit = math.inf if q.max_ttft is None else q.max_ttft
    objectives = Objectives(max_ttft=limit, max_tpot=max_tpot_of(q.max_tpot, q.min_interactivity))
    need = _need(q)
    model, sets = lora_model(q.model, q.lora, q.sets)
    choices = {
        "traffic": traffic,
        "precision": q.precision or None,
        "kv": q.kv or None,
        "sets": sets,
        "engine": "typical" if two and q.engine is None else q.engine,  # two pools are a server's
    }
    machines, unpriced = with_prices(machines_of(q.on, q.max_domain), q.price)
    if not two:
        return _one(q, model, machines, objectives, need, choices, unpriced)
    one = None if q.mode == "disaggregated" else _one(q, model, machines, objectives, need, choices, unpriced)
    return _two(q, model, machines, objectives, need, choices, unpriced, one)


def _need(q: Planning) -> FleetNeed | None:
    """What is asked of a fleet; None without a rate."""
    if q.rate is None:
        if q.power_limit is not None:
            raise BadInput("a power limit needs a rate of requests to size the fleet; give one like --rate 30/s")
        return None
    limit = math.inf if q.power_limit is None else q.power_limit
    return FleetNeed(rate=q.rate, spare=q.spare, power_limit=limit)


def _one(
    q: Planning,
    model: Any,
    machines: Sequence[Any],
    objectives: Objectives,
    need: FleetNeed | None,
    choices: Mapping[str, Any],
    unpriced: Sequence[str],
) -> PlanAnswer:
    """The cheapest layout, batch and precision on one machine or the best of several, each replica doing both."""
    several = len(machines) > 1
    personal = q.draft is None and q.rate is None and (not several or all_at_home(machines))
    price = None if several else q.price
    questions, notes = [], list(unpriced)
    for machine in machines:
        asked, said = question(model, machine_of(machine, price), personal=personal, **choices)
        asked = for_fleet(on_devices(asked, q.gpus), need)
        if asked.engine.local and asked.traffic.users is None:
            asked = replace(asked, traffic=replace(choices["traffic"], users=1.0, closed=True))
        asked = replace(asked, gpu_layers=q.gpu_layers, cpu_moe=math.inf if q.cpu_moe else q.n_cpu_moe)
        if q.draft is not None:
            drafts, by = speculation_of(asked.model, asked.precisions[0], q.draft, depth=q.depth, acceptance=q.acceptance)
            asked = replace(asked, speculation=drafts)
            said.append(
                f"decoding speculatively: {plural(float(drafts.depth), 'draft')} a pass by {by},"
                f" {float(drafts.kept):.3g} tokens kept on average"
            )
        questions.append(asked)
        notes += named(said, asked.machine) if several else said
    notes += within(questions[0].model, q.isl + q.osl, "isl or osl", extrapolate=q.extrapolate)
    plans = plan(questions, objectives)
    best = plans.best
    if best is not None and best.precision != best.question.model.precision:
        notes.append(QUALITY)
    if best is not None and objectives == Objectives() and best.question.traffic.users is None:
        notes += interactive_note(plans)
    narrow = None if q.precision or q.kv else _narrower(plans, objectives)
    notes += narrower_note(narrow, None if best is None else plan_cost(best))
    sized = None
    if best is not None and need is not None:
        sized = fleet_of(best.serving, best.machine, choices["traffic"], need)
    return PlanAnswer(answer=plans, fleet=sized, notes=tuple(dict.fromkeys(notes)), narrower=narrow)


def _narrower(plans: Found, objectives: Objectives) -> Plan | None:
    """The plan in any number formats that the machine multiplies."""
    q = plans.question
    formats = precisions(q.model, q.machine, "any", "any", local=q.engine.local)
    return plan([replace(q, precisions=formats)], objectives).best


def _two(
    q: Planning,
    model: Any,
    machines: Sequence[Any],
    objectives: Objectives,
    need: FleetNeed | None,
    choices: Mapping[str, Any],
    unpriced: Sequence[str],
    one: PlanAnswer | None,
) -> ModesAnswer:
    """The cheapest pair of pools over all pairs of machines; on the same kind of machine where none is named."""
    several, notes = len(machines) > 1, list(unpriced)
    firsts: list[Any] = []
    if q.prefill_on:
        firsts, also = with_prices(machines_of(q.prefill_on, q.max_domain), q.price)
        notes += also
    pairs: list[Pair] = []
    for machine in machines:
        own, said = question(model, machine_of(machine, None if several else q.price), **choices)
        own = on_devices(own, q.gpus)
        notes += named(said, own.machine) if several else said
        for other in firsts or [machine]:
            first, also = own, []
            if other is not machine:
                first, also = question(model, machine_of(other, None if len(firsts) > 1 else q.price), **choices)
                first = on_devices(first, q.gpus)
            notes += also
            pairs.append((first, own))
    notes += within(pairs[0][0].model, q.isl + q.osl, "isl or osl", extrapolate=q.extrapolate)
    return plan_modes(pairs, objectives, mode=q.mode, machines=len(machines), aggregated=one, need=need, notes=notes)
