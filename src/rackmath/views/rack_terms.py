"""The tree behind an answer about racks: placement, exchanges, what crossing costs, weight floors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..answers.terms import Term, product, quotient, stated
from ..answers.terms import count as number
from .machine_terms import of_machine

if TYPE_CHECKING:
    from ..layout.experts import Placement
    from ..search.domains import DomainStep
    from ..search.racks import FabricCase, RackComparison


def rack_terms(r: RackComparison) -> Term:
    """Placement, the exchange of each case with its copies, the crossing factors, and the weight floors."""
    nodes = [] if r.placed is None else [_placement(r.placed, r.resident)]
    nodes += [_case(r, c) for c in r.cases]
    nodes += _crossing(r)
    nodes += [_floor(r, s) for s in r.steps]
    return Term(name=f"{r.question.model.name} over the racks of {r.question.machine.name}", children=tuple(nodes))


def _placement(p: Placement, resident: float) -> Term:
    each, devices = number("per device", p.per_device), number("devices", p.devices)
    return Term(
        name="placement",
        note=f"shared experts {p.shared}",
        children=(
            stated("product", "slots for experts", p.slots, "", each, devices),
            number("experts", p.n_experts),
            number("copies", p.redundant),
            number("idle", p.idle),
            Term(name="experts on one device", value=resident, unit="B"),
        ),
    )


def _case(r: RackComparison, c: FabricCase) -> Term:
    """One layout on one machine: the exchange, the pass and its bound, the rate, and dollars with a price."""
    parts = tuple(Term(name=k, value=float(v), unit="s") for k, v in c.time.shares.items())
    time = stated("sum", "pass", float(c.time.estimate), "s", *parts)
    stages = number("stages", float(c.layout.pp))
    under_way = product("tokens under way", "", number("tokens in a pass", c.tokens), stages)
    terms = [
        *_exchange(r, c),
        Term(name="bound of the pass", value=float(c.time.bound), unit="s"),
        stated("quotient", "tokens per second", c.rate, "tok/s", under_way, time),
    ]
    if c.mtok == c.mtok:
        price = of_machine(r.question.machine, "price_per_hour", "price")
        paid = product("dollars an hour", "$", number("GPUs", float(c.layout.gpus)), price)
        million = quotient("per token", "$", paid, number("3600", 3600.0), number("tokens per second", c.rate))
        terms.append(stated("product", "$/M tokens", c.mtok, "$", million, number("1e6", 1e6)))
    return Term(name=f"{c.label}: {c.layout.label()}, domains {c.domains:g}", children=tuple(terms))


def _exchange(r: RackComparison, c: FabricCase) -> Iterator[Term]:
    if c.moved is None:
        return
    sent, back, efficiency = r.precision.sent, r.precision.combine, r.question.efficiency
    ways = (
        Term(name=name, value=float(v), unit="s", note="taken" if name == c.scheme else "")
        for name, v in c.moved.times.items()
        if float(v) < float("inf")
    )
    yield Term(
        name="dispatch and combine of one layer",
        value=c.exchange,
        unit="s",
        note=c.scheme,
        children=(
            Term(name="tokens a device sends", value=float(c.moved.own)),
            Term(name="distinct devices of a token", value=float(c.moved.devices)),
            Term(name="distinct domains of a token", value=float(c.moved.domains)),
            Term(name="bytes per value, out and back", value=sent.bytes + back.bytes, note=f"{sent.name} and {back.name}"),
            Term(name="imbalance", value=efficiency.imbalance, source=efficiency.source),
            *ways,
        ),
    )


def _crossing(r: RackComparison) -> Iterator[Term]:
    """How much longer exchange and pass take than in one domain."""
    if not (r.cases[0].crosses and r.cases[0].exchange > 0 and len(r.cases) > 1):
        return
    here, one = r.cases[0], r.cases[1]
    for name, factor, lies, would in (
        ("exchange", r.exchange_factor, here.exchange, one.exchange),
        ("pass", r.pass_factor, float(here.time.estimate), float(one.time.estimate)),
    ):
        as_it_lies = Term(name="as it lies", value=lies, unit="s")
        in_one = Term(name="in one domain", value=would, unit="s")
        yield stated("quotient", f"crossing: {name}", factor, "", as_it_lies, in_one)


def _floor(r: RackComparison, s: DomainStep) -> Term:
    size = s.floor * s.devices * float(s.machine.hbm_bandwidth)
    weights = Term(name="weights, one copy", value=size, unit="B", source=r.question.model.source)
    domain = of_machine(s.machine, "domain", "domain")
    bandwidth = of_machine(s.machine, "hbm_bandwidth", "memory bandwidth")
    return stated("quotient", f"weight floor on {s.machine.name}", s.floor, "s", weights, domain, bandwidth)
