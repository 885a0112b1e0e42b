"""The lines of a price list: what each kind of token costs in a tier, its floor, its interval and its price."""

from __future__ import annotations

from dataclasses import dataclass

from ...search.choice import Plan
from ...search.disaggregated import PoolPlan
from ...units import plural
from .rule import asked, on_the_list, span
from .terms import SellerTerms
from .tiers import PriceTier
from .writes import Holding, holdings, kept

KINDS = {"input": "input_mtok", "cached read": "cache_read_mtok", "output": "output_mtok"}
"""Names of the tokens of a request, and of their prices in a `Cost`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceLine:
    """One price: `cost` at full load, its `floor` at the bound and its interval (None where not calibrated).

    `price` follows from the rule, `listed` is what the list says. `moves`: relative change of the price after each
    change, by its name.
    """

    tier: str
    name: str
    floor: float
    cost: float
    low: float | None
    high: float | None
    price: float
    listed: float
    rests_on: str
    moves: tuple[tuple[str, float], ...]


def lines_of(tier: PriceTier, terms: SellerTerms) -> list[PriceLine]:
    """Input, cached reads and output of a tier; cached reads only where the traffic has some."""
    p, found = tier.served, []
    if p is None:
        return []
    traffic = p.questions[0].traffic if isinstance(p, PoolPlan) else p.question.traffic
    for name, field in KINDS.items():
        if name == "cached read" and not float(traffic.cached) > 0:
            continue
        cost = float(getattr(p.cost, field))
        floor = cost * float(p.cost.bound_share)
        price = asked(tier.name, cost, terms)
        moves = {n: float(getattr(other.cost, field)) / cost - 1 for n, other in tier.moved.items()} if cost else {}
        low, high = span(p, cost, floor) or (None, None)
        found.append(
            PriceLine(
                tier=tier.name,
                name=name,
                floor=floor,
                cost=cost,
                low=low,
                high=high,
                price=price,
                listed=on_the_list(price, terms),
                rests_on=_rests_on(name, p),
                moves=tuple(moves.items()),
            )
        )
    return found


def _rests_on(name: str, p: Plan | PoolPlan) -> str:
    if isinstance(p, PoolPlan):
        pool = "decode" if name == "output" else "prefill"
        return f"the {pool} pool of {p.label()}"
    s, traffic = p.serving, p.question.traffic
    decode, cached = float(s.decode_share), float(s.cached_share)
    if name == "input":
        fresh = float(traffic.isl) * (1 - float(traffic.cached))
        share = 1 - decode - cached
        return f"prefill of {plural(fresh, 'fresh token')} a request takes {share:.0%} of the replica's time"
    if name == "cached read":
        return f"attention of fresh tokens over cached ones takes {cached:.0%} of the replica's time; the writes pay for keeping them"
    return f"decoding {plural(p.batch, 'sequence')} at once takes {decode:.0%} of the replica's time"


def write_line(tier: PriceTier, held: Holding, index: int, terms: SellerTerms) -> PriceLine:
    """A cached write: plain input, and its place for a lifetime with the fetches expected of it."""
    p = tier.plan
    assert p is not None

    def cost_of(other: Plan) -> float:
        return float(other.cost.input_mtok) + holdings(other, terms)[index].premium_mtok

    plain, extra = float(p.cost.input_mtok), held.premium_mtok
    floor = plain * float(p.cost.bound_share) + extra
    known = span(p, plain, plain * float(p.cost.bound_share))
    low, high = (None, None) if known is None else (known[0] + extra, known[1] + extra)
    price = asked(tier.name, plain + extra, terms)
    return PriceLine(
        tier=tier.name,
        name=f"cache write, {held.words}",
        floor=floor,
        cost=plain + extra,
        low=low,
        high=high,
        price=price,
        listed=on_the_list(price, terms),
        rests_on=kept(held),
        moves=tuple((n, cost_of(other) / (plain + extra) - 1) for n, other in tier.moved.items() if isinstance(other, Plan)),
    )
