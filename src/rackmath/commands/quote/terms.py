"""The terms of a quote: every price from its cost, the idle hours and the margin, and every cost from its request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...answers.terms import Term, count, difference, given, product, quotient, stated, total
from ...decisions.quote.lines import KINDS
from ...economics.cost import billed_devices
from ...views.machine_terms import of_machine

if TYPE_CHECKING:
    from ...decisions.quote.lines import PriceLine
    from ...decisions.quote.price_list import Quote
    from ...decisions.quote.tiers import PriceTier
    from ...decisions.quote.writes import Holding
    from ...search.choice import Plan


def tree(quote: Quote) -> Term:
    """The standard request, the tiers with their lines, and the growth of the cost with length."""
    q = quote.standard.question
    every = [_tier(quote, t) for t in quote.tiers]
    paid = _request(quote, every[0])
    name = f"quote: {q.model.name} on {q.machine.name}"
    return Term(name=name, children=(paid, *every, *([_growth(quote)] if len(quote.lengths) > 1 else [])))


def _tier(quote: Quote, tier: PriceTier) -> Term:
    if tier.pools is not None:
        return _pools(quote, tier)
    p = tier.plan
    if p is None:
        return Term(name=f"{tier.name}: not offered", note=tier.why)
    request, terms = _cost_of_request(p), quote.terms
    idle, margin = given("idle share", terms.idle, "share"), given("margin", terms.margin, "share")
    used = difference("hours used", "share", count("1", 1.0), idle)
    if tier.name == "batch":
        work = product("filled by batch work", "share", given("filled share of it", terms.filled, "share"), idle)
        used = total("hours used with batch work", "share", used, work)
    kept = difference("cost's share of the price", "share", count("1", 1.0), margin)
    costs = {name: _token(p, name, request) for name in KINDS}
    share = count("bound over estimate", float(p.cost.bound_share), "cost of the request at the roofline bound")

    def priced(line: PriceLine) -> Term:
        held = next((h for h in quote.holdings if line.name == f"cache write, {h.words}"), None)
        cost = costs[line.name] if held is None else _write(costs["input"], held)
        price = stated("quotient", "price", line.price, "$", cost, used, kept)
        floor = product("floor", "$", costs["input" if held is not None else line.name], share)
        if held is not None:
            floor = total("floor", "$", floor, Term(name="keeping", value=held.premium_mtok, unit="$"))
        on_list = Term(name="on the list", value=line.listed, unit="$", note="two significant digits" if terms.rounded else "")
        return Term(name=f"{line.name}, $ per M tokens", children=(price, floor, on_list))

    words = f"{tier.name}: {tier.says}"
    return Term(name=words, children=tuple(priced(line) for line in quote.of(tier.name)))


def _pools(quote: Quote, tier: PriceTier) -> Term:
    """A tier on two pools: its costs are those of `plan --mode disaggregated`, which has their terms."""
    idle, margin = quote.terms.idle, quote.terms.margin

    def priced(line: PriceLine) -> Term:
        used = difference("hours used", "share", count("1", 1.0), given("idle share", idle, "share"))
        kept = difference("cost's share of the price", "share", count("1", 1.0), given("margin", margin, "share"))
        cost = Term(name=f"cost of {line.name}", value=line.cost, unit="$", note="explain plan --mode disaggregated")
        price = stated("quotient", "price", line.price, "$", cost, used, kept)
        on_list = Term(name="on the list", value=line.listed, unit="$", note="two significant digits" if quote.terms.rounded else "")
        floor = Term(name="floor", value=line.floor, unit="$", note="cost of the request at the roofline bound")
        return Term(name=f"{line.name}, $ per M tokens", children=(price, floor, on_list))

    return Term(name=f"{tier.name}: {tier.says}", children=tuple(priced(line) for line in quote.of(tier.name)))


def _cost_of_request(p: Plan) -> Term:
    """Dollars per request at full load."""
    s, machine = p.serving, p.machine
    paid = Term(
        name="devices paid for",
        value=float(billed_devices(s.gpus, machine)),
        note="replicas are packed into domains, which are paid for whole",
    )
    price = of_machine(machine, "price_per_hour", f"price ({machine.price_kind.replace('_', '-')})")
    rate = Term(name="request rate", value=float(s.request_rate), unit="/s", note="explain plan shows its terms")
    hour = product("replica-hour", "$/h", paid, price)
    return stated("quotient", "cost of a request", float(p.cost.request), "$", hour, count("s/h", 3600.0), rate)


def _token(p: Plan, name: str, request: Term) -> Term:
    """Dollars per million tokens of one kind: its share of the request over its tokens."""
    s, traffic, million = p.serving, p.question.traffic, count("1M", 1e6)
    output = Term(name="share of output", value=float(s.decode_share), unit="share", note="what a decode-only step would take")
    cached = Term(
        name="share of cached input",
        value=float(s.cached_share),
        unit="share",
        note="prefill time that would vanish without the cached prefix",
    )
    isl, osl = given("isl", float(traffic.isl)), given("osl", float(traffic.osl))
    part = given("cached", float(traffic.cached), "share")
    fresh = difference("share not cached", "share", count("1", 1.0), part)
    share, tokens = {
        "input": (difference("share of input", "share", count("1", 1.0), output, cached), product("fresh tokens", "", isl, fresh)),
        "cached read": (cached, product("cached tokens", "", isl, part)),
        "output": (output, osl),
    }[name]
    charged = product("charged", "$", request, share, million)
    if not tokens.value:
        return Term(name=f"cost of {name}", value=0.0, unit="$")
    return stated("quotient", f"cost of {name}", float(getattr(p.cost, KINDS[name])), "$", charged, tokens)


def _write(plain: Term, held: Holding) -> Term:
    """Input, and one prefix in its place for a lifetime."""
    place = held.place
    write = Term(name="writing the prefix", value=float(place.write), unit="$", note="explain tiers shows its terms")
    hold = product("holding", "$", Term(name="a second", value=float(place.rate), unit="$/s"), given("lifetime", held.lifetime, "s"))
    fetch = product("fetches", "$", Term(name="one", value=float(place.fetch), unit="$"), given("hits", held.reuse))
    whole = product("for 1M prefixes", "$", total(f"a prefix in {place.label}", "$", write, hold, fetch), count("1M", 1e6))
    keeping = stated("quotient", "keeping", held.premium_mtok, "$", whole, count("tokens of the prefix", held.tokens))
    return total("cost of a cached write", "$", plain, keeping)


def _request(quote: Quote, standard: Term) -> Term:
    """What a standard request costs and pays before rounding, and the margin between."""
    traffic = quote.standard.question.traffic
    prices = {line.name: line.price for line in quote.of("standard")}
    tokens = {
        "input": float(traffic.isl) * (1 - float(traffic.cached)),
        "cached read": float(traffic.isl) * float(traffic.cached),
        "output": float(traffic.osl),
    }
    parts = [
        product(name, "$", Term(name="$ per M tokens", value=prices[name], unit="$"), count("M tokens", n / 1e6))
        for name, n in tokens.items()
        if name in prices
    ]
    paid = stated("sum", "paid", quote.revenue(listed=False), "$", *parts)
    request = next(n for n in standard.walk() if n.name == "cost of a request")
    used = next(n for n in standard.walk() if n.name == "hours used")
    cost = stated("quotient", "cost with idle hours", quote.request_cost, "$", request, used)
    share = quotient("cost over price", "share", cost, paid)
    margin = stated("difference", "gross margin", quote.margin(listed=False), "share", count("1", 1.0), share)
    return Term(name="a standard request", children=(margin,))


def _growth(quote: Quote) -> Term:
    """Cost over what standard prices charge, at each length."""
    points = zip(quote.lengths.tolist(), quote.growth.tolist(), strict=True)
    nodes = tuple(Term(name=f"{isl:,.0f} tokens in", value=g, note="" if g == g else "nothing serves it") for isl, g in points)
    return Term(name="cost of longer prompts over standard prices at cost", children=nodes)
