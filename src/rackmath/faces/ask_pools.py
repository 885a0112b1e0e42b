"""`plan --mode`: one pool that prefills and decodes, two that share the work, or whichever is cheaper."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..errors import BadInput, unknown
from ..questions.resolve import Quantity, lora_model, max_tpot_of, named, question, with_prices
from ..units import parse

if TYPE_CHECKING:
    from ..economics.fleet import Fleet, FleetNeed
    from ..search.disaggregated import Point, PoolAnswer, PoolPlan
    from ..search.grid import Question
    from ..search.plan import Plan
    from ..world.machine import Machine
    from ..world.model import Model
    from ..world.workload import Objectives, Traffic
    from .ask import PlanAnswer
    from .export import Face

MODES = ("aggregated", "disaggregated", "any")


@dataclass(frozen=True, slots=True, kw_only=True)
class OnMachine:
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
    questions: tuple[Question, Question]
    objectives: Objectives
    pools: PoolAnswer
    aggregated: PlanAnswer | None
    winner: str | None
    why: str
    front: tuple[Point, ...]
    points: tuple[Point, ...]  # the front of each mode apart
    fleets: tuple[Fleet, Fleet] | None
    notes: tuple[str, ...]
    machines: tuple[OnMachine, ...] = ()  # where several were asked about

    @property
    def best(self) -> Any:
        """The plan of the winner: a `Plan` or a `PoolPlan`."""
        if self.winner == "disaggregated":
            return self.pools.best
        return None if self.winner is None or self.aggregated is None else self.aggregated.best

    def face(self) -> Face:
        from . import explain_pools, records_pools, show_pools
        from .export import Face

        return Face(
            record=lambda: records_pools.answer(self),
            rows=lambda: records_pools.front(self),
            screen=lambda c: show_pools.screen(c, self),
            tree=lambda: explain_pools.tree(self),
            chart=(lambda: show_pools.chart(self)) if self.front else None,
        )


def check_mode(mode: str) -> str:
    """The mode asked for; a misspelled one is refused with the nearest.

    >>> check_mode("ANY")
    'any'
    """
    if mode.strip().lower() not in MODES:
        raise unknown("mode", mode, MODES)
    return mode.strip().lower()


def machines_of(on: str | Machine | Sequence[str | Machine], max_domain: Quantity | None) -> list[str | Machine]:
    """The machines asked about, their scale-up domains cut to at most `max_domain` devices."""
    from ..world import catalog

    found = [on] if isinstance(on, str) or not isinstance(on, Sequence) else list(on)
    if not found:
        raise BadInput("no machine was given; name one like 8xh200 or gb200-nvl72")
    if max_domain is None:
        return found
    most = parse(max_domain, "count", name="max_domain")
    if not most >= 1 or most != int(most):
        raise BadInput(f"max_domain = {max_domain!r} is out of range; give a whole number of devices, 1 or more")
    return [_cut(catalog.machine(m) if isinstance(m, str) else m, most) for m in found]


def _cut(machine: Machine, most: float) -> Machine:
    if most >= machine.domain:
        return machine
    note = f"scale-up domains of {machine.name} are used as if they had {most:g} devices, not {machine.domain:g}"
    return replace(machine, domain=most, notes=(*machine.notes, note))


def plan(
    model: str | Model,
    on: str | Machine | Sequence[str | Machine],
    *,
    mode: str = "aggregated",
    prefill_on: str | Machine | Sequence[str | Machine] | None = None,
    max_domain: Quantity | None = None,
    lora: str | None = None,
    sets: Mapping[str, Quantity] | None = None,
    **options: Any,
) -> PlanAnswer | ModesAnswer:
    """The cheapest plan in one mode or in either; `options` are those of `ask.plan`.

    `mode`: "aggregated" (every replica prefills and decodes), "disaggregated" (a pool for each, the prefill pool on
    `prefill_on` where given), or "any": the cheaper one, with both on one front. `max_domain` cuts scale-up domains
    to so many devices; `lora` adds adapters: "rank=16,adapters=64".

    >>> answer = plan("meta-llama/Llama-3.1-8B", "8xh100", mode="any", max_tpot="20ms")
    >>> answer.winner in MODES
    True
    """
    from . import ask

    mode = check_mode(mode)
    if mode != "aggregated" and options.get("draft") is not None:
        raise BadInput("drafts are planned for one pool of replicas; leave --mode aggregated with --draft")
    if mode != "aggregated" and options.get("users") is not None:
        raise BadInput(
            "a fixed number of users is planned for one pool of replicas; leave --mode aggregated with --users"
        )
    if mode != "aggregated" and options.get("engine") is None:
        options = {**options, "engine": "typical"}  # two pools are a server's
    if mode == "aggregated" and prefill_on is not None:
        raise BadInput("prefill_on names the machine of a prefill pool; give --mode disaggregated or any with it")
    machines = machines_of(on, max_domain)
    model, sets = lora_model(model, lora, sets)
    one = None
    if mode != "disaggregated":
        one = ask.plan(model, machines, sets=sets, **options)
        if mode == "aggregated":
            return one
    first = [] if prefill_on is None else machines_of(prefill_on, max_domain)
    traffic, objectives = asked(options)
    choices = {k: options.get(k) for k in ("precision", "kv", "gpus", "price", "engine")} | {"sets": sets}
    more = {k: options[k] for k in ("spare", "power_limit", "extrapolate") if k in options}
    return _plan_pools(
        model, machines, first, traffic, objectives, mode=mode, aggregated=one, choices=choices, **more
    )


def asked(options: Mapping[str, Any]) -> tuple[Traffic, Objectives]:
    """Traffic and objectives from the words of a plan.

    >>> traffic, limits = asked({"isl": "4k", "max_tpot": "40ms"})
    >>> traffic.isl, traffic.osl, limits.max_tpot
    (4000.0, 1024.0, 0.04)
    """
    from ..world.workload import Objectives, Traffic

    ttft, rate = options.get("max_ttft"), options.get("rate")
    traffic = Traffic(
        isl=parse(options.get("isl", 8192), "count", name="isl"),
        osl=parse(options.get("osl", 1024), "count", name="osl"),
        cached=parse(options.get("cached", 0.0), "share", name="cached"),
        utilisation=parse(options.get("utilisation", 1.0), "share", name="utilisation"),
        rate=None if rate is None else parse(rate, "1/s", name="rate"),
    )
    return traffic, Objectives(
        max_ttft=math.inf if ttft is None else parse(ttft, "s", name="max_ttft"),
        max_tpot=max_tpot_of(options.get("max_tpot"), options.get("min_interactivity")),
    )


def _plan_pools(
    model: str | Model,
    machines: Sequence[str | Machine],
    prefill_machines: Sequence[str | Machine],
    traffic: Traffic,
    objectives: Objectives,
    *,
    mode: str,
    aggregated: PlanAnswer | None,
    choices: Mapping[str, Any],
    spare: int = 1,
    power_limit: Quantity | None = None,
    extrapolate: bool = False,
) -> ModesAnswer:
    """The cheapest pair of pools over all pairs of machines, against the plan with one pool where there is one.

    Without `prefill_machines` both pools run on the same kind of machine. `choices` are those of `question`.
    """
    from ..search.disaggregated import search
    from ..world.lengths import within
    from .ask import fleet_need

    pairs: list[tuple[Question, Question]] = []
    price, several = choices["price"], len(machines) > 1
    machines, notes = with_prices(machines, price)
    if prefill_machines:
        prefill_machines, also = with_prices(prefill_machines, price)
        notes += also
    paid = {**choices, "price": None if several else price}
    paid_first = {**choices, "price": None if len(prefill_machines) > 1 else price}
    for machine in machines:
        own, said = question(model, machine, traffic=traffic, **paid)
        notes += named(said, own.machine) if several else said
        for other in prefill_machines or [machine]:
            first, also = (own, []) if other is machine else question(model, other, traffic=traffic, **paid_first)
            notes += also
            pairs.append((first, own))
    needed = float(traffic.isl) + float(traffic.osl)
    notes += within(pairs[0][0].model, needed, "isl or osl", extrapolate=extrapolate)
    need = fleet_need(traffic.rate, spare, power_limit)
    answers = [(pair, _within(search(pair, objectives), need)) for pair in pairs]
    found = [(pair, a) for pair, a in answers if a.best is not None]
    pair, pools = min(found, key=lambda f: _rank(f[1].best)) if found else answers[0]
    pools = replace(
        pools,
        evaluated=sum(a.evaluated for _, a in answers),
        reasons=() if found else tuple(dict.fromkeys(r for _, a in answers for r in a.reasons)),
    )
    fleets = None if pools.best is None or need is None else _fleets(pools.best, need)
    judged = _judged(
        mode, pair, objectives, pools, aggregated, fleets, tuple(p for _, a in answers for p in a.front), notes
    )
    if len(machines) < 2:
        return judged
    width = len(answers) // len(machines)
    each = [answers[k : k + width] for k in range(0, len(answers), width)]
    return replace(judged, machines=tuple(_on(aggregated, one, need) for one in each))


def _on(
    aggregated: PlanAnswer | None, pools: Sequence[tuple[tuple[Question, Question], PoolAnswer]],
    need: FleetNeed | None,
) -> OnMachine:  # fmt: skip
    """The best plan on one machine: of its pairs of pools, and of one pool where that was asked for as well."""
    from ..economics.fleet import fleet_of
    from ..search.serving_modes import compared

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
    fleets = None if two is None or need is None else _fleets(two, need)
    if one is not None and (two is None or compared(one, two, fleets).winner == "aggregated"):
        sized = () if need is None else (fleet_of(one.serving, one.machine, one.question.traffic, need),)
        return OnMachine(machine=machine, best=one, fleets=sized, reasons=())
    kept = () if two is not None else tuple(dict.fromkeys(reasons))
    return OnMachine(machine=machine, best=two, fleets=fleets or (), reasons=kept)


def _rank(p: PoolPlan | None) -> tuple[bool, float]:
    from ..search.disaggregated import spent

    if p is None:
        return True, math.inf
    return not all(float(m.price_per_hour) > 0 for m in p.machines), spent(p)


def _within(a: PoolAnswer, need: FleetNeed | None) -> PoolAnswer:
    """The answer with the cheapest pair whose fleets stay within the power limit; without one, how much they draw."""
    from ..units import show

    if a.best is None or need is None or need.power_limit == math.inf:
        return a
    drawn = [sum(float(f.power) for f in _fleets(p, need)) for p in a.ranked]
    kept = [p for p, watts in zip(a.ranked, drawn, strict=True) if watts <= need.power_limit]
    if kept:
        return replace(a, best=kept[0], runner_up=kept[1] if len(kept) > 1 else None)
    least = min(range(len(drawn)), key=drawn.__getitem__)
    reason = (
        f"two pools of {a.ranked[least].label()} draw {show(drawn[least], 'W')} for {show(need.rate)} requests/s with"
        f" {need.spare} spare in each pool; the limit is {show(need.power_limit, 'W')}"
    )
    return replace(a, best=None, runner_up=None, nearest=a.ranked[least], reasons=(reason,))


def _fleets(p: PoolPlan, need: FleetNeed) -> tuple[Fleet, Fleet]:
    """A fleet for each pool; the power limit is for both together."""
    from ..economics.fleet import fleet

    s, traffic = p.serving, p.questions[0].traffic
    return (
        fleet(s.prefill.rate, s.prefill.layout.gpus, p.machines[0], traffic, need),
        fleet(s.decode.rate, s.decode.layout.gpus, p.machines[1], traffic, need),
    )


def _about_shown(aggregated: PlanAnswer, shown: PoolPlan | None, fleets: tuple[Fleet, Fleet] | None) -> list[str]:
    """The notes of a plan with one pool; those on formats are about the two pools where they are `shown` instead."""
    from ..search.plan import spent
    from ..search.serving_modes import compared
    from .ask import QUALITY, narrower_note

    if shown is None:
        return list(aggregated.notes)
    best, other = aggregated.best, aggregated.narrower
    own = {QUALITY, *narrower_note(other, None if best is None else spent(best))}
    notes = [n for n in aggregated.notes if n not in own]
    if shown.precision != shown.questions[1].model.precision:
        notes.append(QUALITY)
    if other is not None:
        costs = compared(other, shown, fleets)
        notes += narrower_note(other, costs.two) if costs.paid else []
    return notes


def _judged(
    mode: str, pair: tuple[Question, Question], objectives: Objectives, pools: PoolAnswer,
    aggregated: PlanAnswer | None, fleets: tuple[Fleet, Fleet] | None, points: tuple[Point, ...], notes: list[str],
) -> ModesAnswer:  # fmt: skip
    from ..search.serving_modes import aggregated_points, compared, kept, merged, why

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
