"""Cached writes: the prefix of a standard request kept for a lifetime in the cheapest place that is quick enough."""

from __future__ import annotations

from dataclasses import dataclass

from ...economics.caching import Option, in_hbm, in_tier
from ...economics.cost import MTOK
from ...search.choice import Plan
from ...serving.kvtiers import entry
from ...units import show
from .terms import SellerTerms

LIFETIMES = {"5 min": 300.0, "1 h": 3600.0}
"""How long a cached write is kept, in seconds: the two lifetimes that lists offer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A cached prefix of `tokens` kept for `lifetime` seconds (`words`) in the cheapest place, and hit `reuse` times.

    Only places that bring it back within `limit` seconds count. `premium_mtok` is what it costs beyond plain input;
    `again_mtok` what prefilling it again at every hit would.
    """

    words: str
    lifetime: float
    reuse: float
    limit: float
    tokens: float
    place: Option
    premium_mtok: float
    again_mtok: float


def holdings(p: Plan, terms: SellerTerms) -> tuple[Holding, ...]:
    """The cached prefix of a standard request kept for each lifetime; none where the traffic has no cached part."""
    share = float(p.question.traffic.cached)
    if not share > 0 or not float(entry(p.question.model, p.precision, p.layout, 1.0).bytes) > 0:
        return ()
    tokens = float(p.question.traffic.isl) * share
    held = entry(p.question.model, p.precision, p.layout, tokens)
    limit = float(p.serving.ttft) if terms.max_fetch is None else terms.max_fetch
    reuse = share / (1 - share) if terms.reuse is None else terms.reuse
    priced = [t for t in p.machine.tiers if t.price_per_byte_month is not None]
    places = [in_hbm(held, p.machine), *(in_tier(held, t, p.machine, gpus=p.layout.gpus) for t in priced)]
    quick = [o for o in places if float(o.seconds) <= limit]
    found = []
    for words, lifetime in LIFETIMES.items():
        best = min(quick, key=lambda o: float(o.cost(lifetime, reuse)))
        found.append(
            Holding(
                words=words,
                lifetime=lifetime,
                reuse=reuse,
                limit=limit,
                tokens=tokens,
                place=best,
                premium_mtok=float(best.cost(lifetime, reuse)) / tokens * MTOK,
                again_mtok=float(p.cost.input_mtok) * reuse,
            )
        )
    return tuple(found)


def kept(held: Holding) -> str:
    """Where a written prefix waits, in a sentence."""
    wait = "at hand" if not float(held.place.seconds) else f"fetched in {show(float(held.place.seconds), 's')}"
    text = (
        f"input, and {show(held.premium_mtok, '$')} for its place in {held.place.label}: {wait} (at most"
        f" {show(held.limit, 's')}), {held.reuse:.3g}"
        f" {'hit' if held.reuse == 1 else 'hits'} expected of each token"
    )
    return f"{text}; prefilling it again would be cheaper" if held.again_mtok < held.premium_mtok else text
