"""Price lists from an installed copy of genai-prices (MIT licence): every entry with its tiers, dates and hours.

Their prices are functions of the moment and of what a request asks for. Each is asked for once between any two
moments at which it can change, so that their own rules decide what holds when.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any

from ..errors import BadInput, unknown
from .listprice import ListPrice

FIELDS = {
    "input_mtok": "input_mtok",
    "cache_read_mtok": "cache_read_mtok",
    "cache_write_5m_mtok": "cache_write_mtok",
    "cache_write_1h_mtok": "cache_write_1h_mtok",
    "output_mtok": "output_mtok",
}
MODES = {
    "standard": {},
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
    "fast": {"speed": "fast"},
}
NOON = time(12)


def entries(provider: str | None = None) -> tuple[ListPrice, ...]:
    """Every list price of one provider, or of all; models without a price for both input and output are left out.

    Where the hour of the day matters, an entry holds in the cheaper hours and one of the mode "peak" in the dearer.

    >>> [p.output_mtok for p in entries("anthropic") if p.model == "anthropic/claude-opus-4-6" and not p.until][:1]
    [25.0]
    """
    return tuple(entry for one in _providers(provider) for model in one.models for entry in _of_model(f"{one.id}/{model.id}", model))


def context_windows() -> dict[str, float]:
    """The largest context of every model that names one, in tokens."""
    return {f"{p.id}/{m.id}": float(m.context_window) for p in _providers(None) for m in p.models if m.context_window}


def version() -> str:
    """The installed version."""
    return str(_package().__version__)


@functools.cache
def _package() -> Any:
    try:
        import genai_prices
        import genai_prices.data
    except ImportError:
        raise BadInput("the source genai-prices needs the package of that name; install it with: pip install 'rackmath[prices]'") from None
    return genai_prices


def _providers(name: str | None) -> list[Any]:
    found = list(_package().data.providers)
    if name is None:
        return found
    chosen = [p for p in found if p.id == name]
    if not chosen:
        raise unknown("provider of genai-prices", name, [p.id for p in found])
    return chosen


def _of_model(name: str, model: Any) -> Iterator[ListPrice]:
    """The entries of one model by mode, threshold and day; equal ones of neighbouring spans of time are one."""
    days, hours = _turns(model)
    found: dict[tuple[str, float], list[ListPrice]] = {}
    for since, until in pairwise([None, *days, None]):
        day = since or (until - timedelta(days=1) if until else date(2000, 1, 1))
        for entry in _on_day(name, model, day, hours):
            entry = _between(entry, since, until)
            rows = found.setdefault((entry.mode, entry.above_input_tokens), [])
            if rows and _prices(rows[-1]) == _prices(entry) and rows[-1].until == entry.since:
                entry = _between(entry, date.fromisoformat(rows[-1].since) if rows[-1].since else None, until)
                rows.pop()
            rows.append(entry)
    for key in found:
        yield from found[key]


def _turns(model: Any) -> tuple[list[date], list[time]]:
    """The days and the times of day at which a price can change."""
    limits: list[Any] = [p.constraint for p in (*_conditions(model), *(model.price_variants or ()))]
    days = {c.start_date for c in limits if hasattr(c, "start_date")}
    hours = {t for c in limits if hasattr(c, "start_time") for t in (c.start_time, c.end_time)}
    return sorted(days), sorted(hours) or [NOON]


def _conditions(model: Any) -> Iterable[Any]:
    return model.prices if isinstance(model.prices, list) else ()


def _on_day(name: str, model: Any, day: date, hours: list[time]) -> Iterator[ListPrice]:
    for mode, context in MODES.items():
        if context and not any(_holds(v, context, day) for v in model.price_variants or ()):
            continue
        by_hour = [_rows(name, mode, model.get_prices(_moment(day, hour), context), len(hours) > 1) for hour in hours]
        by_hour.sort(key=lambda rows: rows[0].output_mtok if rows else 0.0)
        yield from by_hour[0]
        if mode == "standard" and by_hour[0] and by_hour[0] != by_hour[-1]:
            yield from (replace(r, mode="peak", source=r.source.replace("off-peak", "peak")) for r in by_hour[-1])


def _holds(variant: Any, context: dict[str, str], day: date) -> bool:
    limit = variant.constraint
    return variant.when.items() <= context.items() and (limit is None or limit.active(_moment(day, NOON)))


def _moment(day: date, hour: time) -> datetime:
    return datetime.combine(day, hour.replace(tzinfo=None), tzinfo=hour.tzinfo or UTC)


def _rows(name: str, mode: str, prices: Any, hourly: bool) -> list[ListPrice]:
    """One entry for each threshold of a set of prices; none where input or output has no price."""
    given = {ours: getattr(prices, theirs, None) for ours, theirs in FIELDS.items()}
    if given["cache_write_5m_mtok"] is None:
        given["cache_write_5m_mtok"] = getattr(prices, "cache_write_5m_mtok", None)
    starts = sorted({0.0} | {float(t.start) for p in given.values() for t in getattr(p, "tiers", ())})
    found = []
    for start in starts:
        at = {field: _at(price, start) for field, price in given.items()}
        if not at["input_mtok"] or not at["output_mtok"]:
            return []
        source = f"genai-prices {version()} (MIT)" + (", off-peak hours" if hourly else "")
        found.append(ListPrice(model=name, mode=mode, above_input_tokens=start, source=source, **at))  # type: ignore[arg-type]
    return found


def _at(price: Any, start: float) -> float | None:
    """A price above so many input tokens; a price without tiers holds at every length."""
    if price is None:
        return None
    passed = [t.price for t in getattr(price, "tiers", ()) if t.start <= start]
    return float(passed[-1] if passed else getattr(price, "base", price))


def _between(entry: ListPrice, since: date | None, until: date | None) -> ListPrice:
    return replace(entry, since=since.isoformat() if since else "", until=until.isoformat() if until else "")


def _prices(entry: ListPrice) -> tuple[float | None, ...]:
    return tuple(getattr(entry, field) for field in FIELDS)
