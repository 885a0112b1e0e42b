"""A price list as plain mappings and rows: the shape of `--json` and `--csv`.

SI values; prices end in `_mtok`: dollars per million tokens. None: unknown, infinite, or not offered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ...decisions.quote.hosts import cheaper
from ...views import plans, setting

if TYPE_CHECKING:
    from ...decisions.quote.hosts import Host
    from ...decisions.quote.lines import PriceLine
    from ...decisions.quote.price_list import Quote
    from ...decisions.quote.tiers import PriceTier
    from ...decisions.quote.writes import Holding

Record = dict[str, Any]


def data(quote: Quote, sellers: Sequence[Host] | None) -> Record:
    """What no block holds: the whole list, its tiers and what they were computed from; hosts, if any were asked."""
    p, q = quote.standard, quote.standard.question
    return {
        "setting": plans.setting_of(q) | {"max_tpot": quote.objectives.max_tpot},
        "terms": asdict(quote.terms),
        "plan": plans.chosen(p),
        "lines": [line(one) for one in quote.lines],
        "tiers": [_tier(one) for one in quote.tiers],
        "long": {
            "threshold": quote.threshold,
            "needed_from": quote.crossing,
            "step": quote.terms.step,
            "margin_at_threshold": quote.margin_at_threshold,
            "growth": [{"isl": a, "cost_over_standard": b} for a, b in zip(quote.lengths, quote.growth, strict=True)],
        },
        "cache_writes": [holding(h) for h in quote.holdings],
        "batch": asdict(quote.offer) | {"request_discount": quote.batch_discount},
        "request": request(quote),
        "hosts": None if sellers is None else [host(h) for h in sellers],
        "hosts_cheaper": None if sellers is None else cheaper(quote, sellers),
    }


def _tier(of: PriceTier) -> Record:
    """What serves a tier, or why nothing does."""
    at, one, two = of.served, of.plan, of.pools
    return {
        "name": of.name,
        "reason": of.why or None,
        "layout": None if one is None else setting.layout(one.layout),
        "pools": None if two is None else two.label(),
        "batch": one.batch if one else None if two is None else two.serving.decode.batch,
        "interactivity": None if at is None else at.serving.interactivity,
        "ttft": None if at is None else at.serving.ttft,
        "isl": None if at is None else of.isl,
    }


def line(of: PriceLine) -> Record:
    """One price with everything known of it."""
    return {
        "tier": of.tier,
        "name": of.name,
        "listed_mtok": of.listed,
        "price_mtok": of.price,
        "cost_mtok": of.cost,
        "cost_low_mtok": of.low,
        "cost_high_mtok": of.high,
        "floor_mtok": of.floor,
        "rests_on": of.rests_on,
        "moves": dict(of.moves),
    }


def holding(of: Holding) -> Record:
    """A cached write: where it waits and what that costs."""
    return {
        "name": of.words,
        "hold": of.lifetime,
        "reuse": of.reuse,
        "max_fetch": of.limit,
        "tokens": of.tokens,
        "place": of.place.label,
        "fetch_seconds": of.place.seconds,
        "premium_mtok": of.premium_mtok,
        "recompute_mtok": of.again_mtok,
    }


def request(quote: Quote) -> Record:
    """A standard request: its cost with the idle hours, what it pays, and the margin with its interval."""
    low, high = quote.request_span or (None, None)
    margins = quote.margin_span or (None, None)
    return {
        "cost": quote.request_cost,
        "cost_low": low,
        "cost_high": high,
        "floor": quote.request_floor,
        "paid": quote.revenue(),
        "gross_margin": quote.margin(),
        "gross_margin_before_rounding": quote.margin(listed=False),
        "gross_margin_low": margins[0],
        "gross_margin_high": margins[1],
    }


def rows(quote: Quote, sellers: Sequence[Host]) -> list[Record]:
    """One row for each price of the list, then for each price of every host that was compared."""
    found, name = [], quote.standard.question.model.name
    for one in quote.lines:
        told = line(one)
        moves = told.pop("moves")
        found.append({"seller": "quote", "model": name} | told | moves)
    for h in sellers:
        found += host_rows(h)
    return found


def host(of: Host) -> Record:
    """A host's list, and the margin that our cost implies for it."""
    found = asdict(of)
    margins = {"gross_margin": found.pop("margin"), "gross_margin_low": found.pop("low")}
    margins["gross_margin_high"] = found.pop("high")
    return found | margins


def host_rows(of: Host) -> list[Record]:
    """A host's prices in the columns of the list."""
    told = host(of)
    prices = {"input": of.input_mtok, "cached read": of.cache_read_mtok, "output": of.output_mtok}
    shared = {k: told[k] for k in ("request", "gross_margin", "gross_margin_low", "gross_margin_high")}
    seller = {"seller": of.provider, "model": of.model, "tier": "standard"}
    return [seller | {"name": name, "listed_mtok": price} | shared for name, price in prices.items() if price is not None]
