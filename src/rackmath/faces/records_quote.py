"""`quote` as plain mappings and rows: the shape of its `--json` and `--csv`.

SI values; prices end in `_mtok`: dollars per million tokens. None: unknown, infinite, or not offered.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..decisions.quote.hosts import cheaper
from ..views import plans, setting

if TYPE_CHECKING:
    from ..decisions.quote.hosts import Host
    from ..decisions.quote.price_list import Holding, Line, Quote
    from .ask_quote import QuoteAnswer

Record = dict[str, Any]


def record(answer: QuoteAnswer) -> Record:
    """{question, terms, plan, lines, tiers, long, cache_writes, batch, request, hosts, notes}."""
    quote = answer.quote
    p, q = quote.standard, quote.standard.question
    return {
        "question": {
            "model": q.model.name, "machine": q.machine.name, "engine": setting.engine(q.engine),
            "isl": q.traffic.isl, "osl": q.traffic.osl, "cached": q.traffic.cached,
            "max_ttft": quote.objectives.max_ttft, "max_tpot": quote.objectives.max_tpot,
            "price_kind": q.machine.price_kind, "price_per_gpu_hour": setting.known_price(q.machine),
        },
        "terms": asdict(quote.terms),
        "plan": plans.chosen(p),
        "lines": [line(one) for one in quote.lines],
        "tiers": [
            {
                "name": t.name, "reason": t.why or None,
                "layout": None if t.plan is None else setting.layout(t.plan.layout),
                "pools": None if t.pools is None else t.pools.label(),
                "batch": t.plan.batch if t.plan else None if t.pools is None else t.pools.serving.decode.batch,
                "interactivity": None if t.served is None else t.served.serving.interactivity,
                "ttft": None if t.served is None else t.served.serving.ttft,
                "isl": None if t.served is None else t.isl,
            }
            for t in quote.tiers
        ],
        "long": {
            "threshold": quote.threshold,
            "needed_from": quote.crossing,
            "step": quote.terms.step,
            "margin_at_threshold": quote.margin_at_threshold,
            "growth": [{"isl": a, "cost_over_standard": b} for a, b in zip(quote.lengths, quote.growth, strict=True)],
        },
        "cache_writes": [holding(h) for h in quote.holdings],
        "batch": asdict(quote.offer),
        "request": request(quote),
        "hosts": None if answer.hosts is None else [host(h) for h in answer.hosts],
        "hosts_cheaper": None if answer.hosts is None else cheaper(quote, answer.hosts),
        "notes": list(answer.notes),
    }  # fmt: skip


def line(of: Line) -> Record:
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
        "floor": quote.request_cost * float(quote.standard.cost.bound_share),
        "paid": quote.revenue(),
        "gross_margin": quote.margin(),
        "gross_margin_before_rounding": quote.margin(listed=False),
        "gross_margin_low": margins[0],
        "gross_margin_high": margins[1],
    }


def rows(answer: QuoteAnswer) -> list[Record]:
    """One row for each price of the list, then for each price of every host that was compared."""
    found, name = [], answer.quote.standard.question.model.name
    for one in answer.quote.lines:
        told = line(one)
        moves = told.pop("moves")
        found.append({"seller": "quote", "model": name} | told | moves)
    for h in answer.hosts or ():
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
    return [
        seller | {"name": name, "listed_mtok": price} | shared for name, price in prices.items() if price is not None
    ]
