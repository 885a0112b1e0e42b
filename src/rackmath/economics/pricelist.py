"""Public API list prices: look one up, and see what gross margin it leaves over a computed cost.

A few dated rows in `data/list_prices.toml`, each with its source. Prices are dollars per million tokens.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ..arrays import Number
from ..errors import BadInput, unknown

DATA = Path(__file__).resolve().parent.parent / "data" / "list_prices.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPrice:
    """One price list entry, dollars per million tokens; None where the provider names no such price.

    It holds for requests of more than `above_input_tokens` input tokens, up to the model's next entry. `speed` is
    the output speed against the standard mode. `since` and `until` (exclusive) are ISO dates, empty where open.
    """

    model: str
    input_mtok: float
    output_mtok: float
    cache_read_mtok: float | None = None
    cache_write_5m_mtok: float | None = None
    cache_write_1h_mtok: float | None = None
    mode: str = "standard"
    above_input_tokens: float = 0.0
    speed: float = 1.0
    since: str = ""
    until: str = ""
    source: str = ""
    read: str = ""

    @property
    def premiums(self) -> dict[float, float]:
        """Lifetime in seconds -> dollars per million tokens that a cached write costs beyond plain input.

        >>> list_price("anthropic/claude-opus-4-6").premiums
        {300.0: 1.25, 3600.0: 5.0}
        """
        written = {300.0: self.cache_write_5m_mtok, 3600.0: self.cache_write_1h_mtok}
        return {life: price - self.input_mtok for life, price in written.items() if price is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceList:
    """What one provider asks for one model on one day.

    `entries` are in force that day, one for each mode and threshold; `history` holds every known entry, older ones
    too. `weights` names the model in the catalogue where its weights are open, else empty. `output_speed` (tokens per
    second a user sees) and `ttft` (seconds) are measured, where known. Prices are dollars per million tokens.
    """

    model: str  # provider/name
    day: str
    entries: tuple[ListPrice, ...]
    history: tuple[ListPrice, ...] = ()
    context_window: float | None = None
    weights: str = ""
    output_speed: float | None = None
    ttft: float | None = None

    @property
    def provider(self) -> str:
        return self.model.partition("/")[0]

    @property
    def standard(self) -> ListPrice:
        """The standard price of short requests."""
        return self.mode("standard")[0]

    @property
    def long(self) -> ListPrice | None:
        """The first standard entry for longer requests; None where length does not matter."""
        return next(iter(self.mode("standard")[1:]), None)

    @property
    def modes(self) -> tuple[str, ...]:
        """The modes on offer, standard first."""
        return tuple(dict.fromkeys(["standard", *sorted(e.mode for e in self.entries)]))

    def mode(self, name: str) -> tuple[ListPrice, ...]:
        """The entries of a mode by threshold; empty where it is not offered."""
        return tuple(sorted((e for e in self.entries if e.mode == name), key=lambda e: e.above_input_tokens))


@dataclass(frozen=True, slots=True, kw_only=True)
class Medium:
    """Where a provider says that cached prefixes lie."""

    provider: str
    says: str
    source: str


def list_price(model: str, *, mode: str = "standard", input_tokens: float = 0.0, on: str | None = None) -> ListPrice:
    """The price in force for a request of `input_tokens` on a day (the day the list was read, if not given).

    >>> list_price("google/gemini-3.1-pro-preview", input_tokens=250e3).input_mtok
    4.0
    >>> list_price("claude-opus-4-6", input_tokens=250e3).input_mtok  # the surcharge above 200K ended in March 2026
    5.0
    >>> list_price("claude-opus-4-6", input_tokens=250e3, on="2026-03-01").input_mtok
    10.0
    """
    day = _day(on) if on is not None else _table()["read"]
    named = [p for p in list_prices() if model.lower() in (p.model, p.model.partition("/")[2])]
    if not named:
        raise unknown("list price", model, sorted({p.model for p in list_prices()}))
    modal = [p for p in named if p.mode == mode]
    if not modal:
        raise unknown(f"mode of {named[0].model}", mode, sorted({p.mode for p in named}))
    valid = [p for p in modal if p.since <= day and (not p.until or day < p.until)]
    if not valid:
        raise BadInput(f"no {mode} price of {named[0].model} is known on {day}; give a later day")
    return max((p for p in valid if p.above_input_tokens <= input_tokens), key=lambda p: p.above_input_tokens)


def margin(price: Number, cost: Number) -> Number:
    """Gross margin that a price leaves over a cost: 1 - cost / price; negative where the price does not cover it.

    LECTURE section 17c: prefill at $0.06 per million tokens against $5 listed.

    >>> round(margin(5.0, 0.06), 3)
    0.988
    """
    return 1 - cost / price


@functools.cache
def list_prices() -> tuple[ListPrice, ...]:
    """Every entry, in the order of the file."""
    given = _table()
    found = []
    for row in given["price"]:
        values = {("since" if k == "from" else k): v for k, v in row.items()}
        found.append(ListPrice(**values, read=given["read"]))
    return tuple(found)


def medium(model: str) -> Medium | None:
    """Where the provider of a listed model says that its cache lies; None where nothing is known.

    >>> medium("anthropic/claude-opus-4-6").says.startswith("the cache is held in memory only")
    True
    """
    provider = model.partition("/")[0]
    row = _table()["medium"].get(provider)
    return None if row is None else Medium(provider=provider, says=row["says"], source=row["source"])


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise BadInput(f"{text!r} is not a day; write it like 2026-03-13") from None


@functools.cache
def _table() -> Mapping[str, Any]:
    return tomllib.loads(DATA.read_text(encoding="utf-8"))
