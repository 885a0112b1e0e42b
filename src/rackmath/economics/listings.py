"""Price lists as records, and the files they come from.

`data/facts/price_snapshot.csv` is written by tools/price_snapshot.py from two price packages; the dated rows of
`data/facts/list_prices.toml` are checked by hand and win. Prices are dollars per million tokens.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from .. import shipped
from ..errors import BadInput, unknown
from .listprice import ListPrice as ListPrice
from .listprice import PriceList as PriceList

SNAPSHOT = shipped.FACTS / "price_snapshot.csv"
SOURCES = ("snapshot", "genai-prices")
COLUMNS = (
    "model",
    "mode",
    "above_input_tokens",
    "since",
    "until",
    "input_mtok",
    "cache_read_mtok",
    "cache_write_5m_mtok",
    "cache_write_1h_mtok",
    "output_mtok",
    "speed",
    "context_window",
    "weights",
    "source",
)
"""The columns of the snapshot."""

PRICES = ("input_mtok", "cache_read_mtok", "cache_write_5m_mtok", "cache_write_1h_mtok", "output_mtok")
"""The prices of an entry, in the order of a price list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderListing:
    """Every entry of one model at one provider; `weights` beside each, empty where they are not open or not known."""

    model: str
    entries: tuple[ListPrice, ...]
    weights: tuple[str, ...]
    context_window: float | None = None

    @property
    def bare(self) -> set[str]:
        """Names it goes by without its provider, in lower case: its own, and those of its weights."""
        names = {self.model.partition("/")[2], *filter(None, self.weights)}
        return {part.lower() for name in names for part in (name, name.rpartition("/")[2])}


@functools.cache
def list_prices() -> tuple[ListPrice, ...]:
    """The entries checked by hand, in the order of their file."""
    given = table()
    found = []
    for row in given["price"]:
        values = {("since" if k == "from" else k): v for k, v in row.items()}
        found.append(ListPrice(**values, read=given["read"]))
    return tuple(found)


def on_day(listing: ProviderListing, day: str) -> PriceList:
    """What a listing asks on a day."""
    now = [i for i, entry in enumerate(listing.entries) if holds(entry, day)]
    standard = [i for i in now if listing.entries[i].mode == "standard"]
    if not standard:
        known = min(e.since for e in listing.entries if e.mode == "standard")
        raise BadInput(f"no standard price of {listing.model} is known on {day}; give a day from {known} on")
    return PriceList(
        model=listing.model,
        day=day,
        entries=tuple(listing.entries[i] for i in now),
        history=listing.entries,
        context_window=listing.context_window,
        weights=listing.weights[standard[0]],
    )


def holds(entry: ListPrice, day: str) -> bool:
    """Whether an entry is in force on a day."""
    return entry.since <= day and (not entry.until or day < entry.until)


@functools.cache
def listings(source: str) -> Mapping[str, ProviderListing]:
    """Every listing by its name in lower case; entries checked by hand replace others of their model and mode."""
    if source not in SOURCES:
        raise unknown("source of price lists", source, SOURCES)
    found = _snapshot()
    if source == "genai-prices":
        return _installed(found)
    checked: dict[str, list[ListPrice]] = {}
    for entry in list_prices():
        checked.setdefault(entry.model.lower(), []).append(entry)
    for key, rows in checked.items():
        found[key] = _checked(found.get(key), rows)
    return found


def _snapshot() -> dict[str, ProviderListing]:
    day = today("snapshot")
    entries: dict[str, list[ListPrice]] = {}
    more: dict[str, list[tuple[str, str]]] = {}
    with SNAPSHOT.open(encoding="utf-8", newline="") as file:
        next(file)  # the day and the credit
        rows = csv.reader(file)
        next(rows)
        for model, mode, above, since, until, fresh, read, five, hour, out, speed, window, weights, source in rows:
            entry = ListPrice(
                model=model,
                mode=mode,
                above_input_tokens=float(above or 0),
                since=since,
                until=until,
                input_mtok=float(fresh),
                cache_read_mtok=float(read) if read else None,
                cache_write_5m_mtok=float(five) if five else None,
                cache_write_1h_mtok=float(hour) if hour else None,
                output_mtok=float(out),
                speed=float(speed or 1),
                source=source,
                read=day,
            )
            entries.setdefault(model.lower(), []).append(entry)
            more.setdefault(model.lower(), []).append((window, weights))
    return {
        key: ProviderListing(
            model=rows[0].model,
            entries=tuple(rows),
            weights=tuple(w for _, w in more[key]),
            context_window=float(more[key][0][0]) if more[key][0][0] else None,
        )
        for key, rows in entries.items()
    }


def _checked(listing: ProviderListing | None, rows: Sequence[ListPrice]) -> ProviderListing:
    """The listing with the entries checked by hand, and those of the snapshot that had ended before them."""
    first = {mode: min(e.since for e in rows if e.mode == mode) for mode in {e.mode for e in rows}}
    if listing is None:
        return ProviderListing(model=rows[0].model, entries=tuple(rows), weights=("",) * len(rows))
    kept = [
        (entry, weights)
        for entry, weights in zip(listing.entries, listing.weights, strict=True)
        if entry.mode not in first or (entry.until and entry.until <= first[entry.mode])
    ]
    now = next((w for e, w in zip(listing.entries, listing.weights, strict=True) if not e.until), "")
    both = [*kept, *((entry, now) for entry in rows)]
    return ProviderListing(
        model=listing.model, entries=tuple(e for e, _ in both), weights=tuple(w for _, w in both), context_window=listing.context_window
    )


def _installed(known: Mapping[str, ProviderListing]) -> dict[str, ProviderListing]:
    """The listings of an installed genai-prices; the weights are as the snapshot says."""
    from . import pricelist_genai

    windows = pricelist_genai.context_windows()
    found: dict[str, list[ListPrice]] = {}
    for entry in pricelist_genai.entries():
        found.setdefault(entry.model.lower(), []).append(entry)
    return {
        key: ProviderListing(
            model=rows[0].model,
            entries=tuple(rows),
            context_window=windows.get(rows[0].model),
            weights=(known[key].weights[-1] if key in known else "",) * len(rows),
        )
        for key, rows in found.items()
        if any(e.mode == "standard" for e in rows)
    }


@functools.cache
def today(source: str) -> str:
    """The day a source was read: that of the snapshot, or today for an installed package."""
    if source == "genai-prices":
        return date.today().isoformat()
    with SNAPSHOT.open(encoding="utf-8") as file:
        return file.readline().split()[2].rstrip(";")


def day_of(text: str) -> str:
    """An ISO day, checked."""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise BadInput(f"{text!r} is not a day; write it like 2026-03-13") from None


@functools.cache
def table() -> Mapping[str, Any]:
    """The file checked by hand."""
    return shipped.read(shipped.FACTS / "list_prices.toml")
