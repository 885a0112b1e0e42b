"""The terms of `tiers`: what every option costs, from rents, bytes and bandwidths, each with its source."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from ...answers.terms import Term, count, given, product, quotient, stated, total
from ...decisions.modes.prefix import Prefix, by_rate, kept
from ...economics import caching
from ...serving import kvtiers
from ...views.machine_terms import of_machine

if TYPE_CHECKING:
    from ...economics.caching import Option
    from ...world.machine import Tier


def tree(answer: Prefix) -> Term:
    """Each option's write, hold and fetch; the break-even hold times; drain times."""
    e, m = answer.entry, answer.machine
    name = f"cache of {float(e.tokens):,.0f} tokens: {answer.plan.question.model.name} on {m.name}"
    size = Term(name="prefix", value=float(e.bytes), unit="B", source="one copy, counted from the model")
    in_hbm = Term(name="prefix in device memory", value=float(e.hbm_bytes), unit="B", source="every copy that the layout keeps")
    if not answer.options:
        return Term(name=name, children=(size, *(_drain(t) for t in answer.tiers)))
    second = quotient("rent of a device", "$/s", of_machine(m, "price_per_hour", "price"), count("s/h", 3600.0))
    paid = [_option(o, answer, size, in_hbm, second) for o in kept(answer)]
    again = stated(
        "product",
        "recompute, a hit",
        float(answer.again.fetch),
        "$",
        given("tokens", float(e.tokens)),
        Term(
            name="$ per input token",
            value=float(answer.plan.cost.input_mtok) / 1e6,
            unit="$",
            source="rackmath explain plan with this isl and osl",
        ),
    )
    ends = []
    reuse = answer.reuses[0]
    ordered = by_rate(answer)
    for dear, cheap in pairwise(ordered):
        at = float(caching.break_even(dear, cheap, reuse))
        note = f"of write and {reuse:g} fetches, over the difference of holding rates"
        ends.append(Term(name=f"{dear.label} before {cheap.label}, up to", value=at, unit="s", note=note))
    drains = Term(name="drain times", children=tuple(_drain(t) for t in answer.tiers))
    even = Term(name=f"break-even hold times of neighbours, {reuse:g} hits", children=tuple(ends))
    return Term(name=name, children=(size, in_hbm, again, *paid, even, drains))


def _drain(tier: Tier) -> Term:
    source = ""
    if tier.source is not None:
        source = tier.source.text + (f", {tier.source.date}" if tier.source.date else "")
        source += "" if tier.source.verified else ", unverified"
    capacity = Term(name="capacity", value=tier.capacity, unit="B", source=source)
    bandwidth = Term(name="bandwidth", value=tier.bandwidth, unit="B/s", source=source)
    return stated("quotient", f"{tier.name} drains in", kvtiers.drain(tier), "s", capacity, bandwidth)


def _option(o: Option, answer: Prefix, size: Term, in_hbm: Term, second: Term) -> Term:
    m, tier = answer.machine, o.tier
    assert tier is not None
    hour = count("s/h", 3600.0)
    if tier.price_per_byte_month is None:
        share = quotient("share of a device", "", in_hbm, of_machine(m, "hbm_capacity", "capacity"))
        return Term(name=o.label, children=(product("held for an hour", "$", share, second, hour),))
    text = tier.source.text + (f", {tier.source.date}" if tier.source and tier.source.date else "")  # type: ignore[union-attr]
    byte = Term(name="$ per GB and month", value=tier.price_per_byte_month * 1e9, unit="$", source=text)
    gigabytes = quotient("prefix in GB", "", size, count("B/GB", 1e9))
    month = Term(name="s/month", value=caching.MONTH, note="730 h")
    rate = quotient("holding", "$/s", product("a month", "$", gigabytes, byte), month)
    drained = _drain(tier)
    moved = product("the tier while bytes move", "$", rate, drained)
    put, get = moved, moved
    if caching.is_store(tier):
        fee = "list price of standard object storage, recalled, unverified"
        n = count("requests", max(float(answer.entry.bytes) / caching.STORE_PART, 1.0), "of 64 MB")
        put = product("writing", "$", n, Term(name="a request", value=caching.STORE_PUT, unit="$", source=fee))
        get = product("reading", "$", n, Term(name="a request", value=caching.STORE_GET, unit="$", source=fee))
    into = quotient("through HBM", "s", in_hbm, of_machine(m, "hbm_bandwidth", "bandwidth"))
    out = quotient("out of HBM", "s", size, of_machine(m, "hbm_bandwidth", "bandwidth"))
    wide = product(
        "links", "B/s", Term(name="bandwidth", value=tier.bandwidth, unit="B/s", source=text), count("links", float(answer.entry.links))
    )
    wait = total("fetch time", "s", Term(name="latency", value=tier.latency, unit="s", source=text), quotient("transfer", "s", size, wide))
    share = quotient("share of a device", "", in_hbm, of_machine(m, "hbm_capacity", "capacity"))
    landed = product("HBM bandwidth taken", "$", into, second)
    room = product("HBM room that waits", "$", share, second, wait)
    return Term(
        name=o.label,
        children=(
            stated("sum", "write", float(o.write), "$", put, product("HBM bandwidth taken", "$", out, second)),
            stated("product", "held for an hour", float(o.rate) * 3600, "$", rate, hour),
            stated("sum", "fetch, a hit", float(o.fetch), "$", get, landed, room),
        ),
    )
