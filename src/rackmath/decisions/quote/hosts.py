"""Public price lists of one model beside a quote: what each host asks, and the margin our cost implies for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...economics.breakeven import break_even
from ...economics.pricelist import PriceList, margin
from .price_list import Quote
from .tiers import dollars


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One host's prices of standard requests, dollars per million tokens; a cached read without a price is input.

    `request`: dollars that the standard request pays there. `margin`: gross margin if its cost were ours, idle hours
    included, from `low` to `high` over the interval of our cost; None where nothing is charged. `break_even`:
    requests per second from which on our machines, whole and without spare ones, cost less than this host; None where
    they never do.
    """

    provider: str
    model: str
    day: str
    input_mtok: float
    cache_read_mtok: float | None
    output_mtok: float
    request: float
    margin: float | None
    low: float | None
    high: float | None
    break_even: float | None
    output_speed: float | None
    ttft: float | None


def hosts(quote: Quote, lists: Sequence[PriceList]) -> tuple[Host, ...]:
    """Every host of the lists, cheapest request first."""
    found = [_host(quote, one) for one in lists]
    return tuple(sorted(found, key=lambda h: (h.request, h.provider)))


def _host(quote: Quote, of: PriceList) -> Host:
    traffic = quote.standard.question.traffic
    entry = of.at(float(traffic.isl))
    read = entry.input_mtok if entry.cache_read_mtok is None else entry.cache_read_mtok
    paid = dollars(traffic, entry.input_mtok, read, entry.output_mtok)
    known, free = quote.request_span, not paid > 0
    return Host(
        provider=of.provider,
        model=of.model,
        day=of.day,
        input_mtok=entry.input_mtok,
        cache_read_mtok=entry.cache_read_mtok,
        output_mtok=entry.output_mtok,
        request=paid,
        margin=None if free else float(margin(paid, quote.request_cost)),
        low=None if free or known is None else float(margin(paid, known[1])),
        high=None if free or known is None else float(margin(paid, known[0])),
        break_even=None if free else _break_even(quote, paid),
        output_speed=of.output_speed,
        ttft=of.ttft,
    )


def _break_even(quote: Quote, request: float) -> float | None:
    """The volume at which our machines cost what a host asks for a request; None where they never do."""
    p = quote.standard
    if not float(p.machine.price_per_hour) > 0:
        return None
    capacity = float(p.serving.request_rate) * (1 - quote.terms.idle)
    met = break_even(request, capacity, float(p.layout.gpus), p.machine)
    return None if met.never else met.first


def cheaper(quote: Quote, found: Sequence[Host]) -> int:
    """How many hosts ask less than our list for the standard request."""
    return sum(h.request < quote.revenue() for h in found)
