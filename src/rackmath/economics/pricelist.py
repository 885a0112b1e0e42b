"""Public API list prices: look one up, and see what gross margin it leaves over a computed cost.

Prices are dollars per million tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..arrays import Number
from ..errors import BadInput, unknown
from ..world.meaning import not_found
from .listings import ListPrice as ListPrice
from .listings import PriceList as PriceList
from .listings import day_of, holds, listings, on_day, table, today
from .listings import list_prices as list_prices

RESELLERS = ("azure", "cursor", "github-copilot", "openrouter", "quicksilverpro")
"""Providers left aside where a bare name is sold by others too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Medium:
    """Where a provider says that cached prefixes lie."""

    provider: str
    says: str
    source: str


def price_list(name: str, *, on: str | None = None, source: str = "snapshot") -> PriceList:
    """What a model costs on a day: "anthropic/claude-opus-4-6", or "claude-opus-4-6" where one provider sells it.

    `on`: an ISO day; the day the lists were read, if not given. `source`: "snapshot", which comes with this package,
    or "genai-prices", an installed copy of that package.

    >>> price_list("claude-opus-4-6").standard.output_mtok
    25.0
    >>> price_list("gemini-3.1-pro-preview").long.above_input_tokens
    200000
    >>> price_list("groq/openai/gpt-oss-120b").weights
    'openai/gpt-oss-120b'
    """
    day = day_of(on) if on is not None else today(source)
    every, key = listings(source), name.strip().lower()
    if key in every:
        return on_day(every[key], day)
    named = [one for one in every.values() if key in one.bare]
    found = [one for one in named if one.model.partition("/")[0] not in RESELLERS] or named
    if len(found) == 1:
        return on_day(found[0], day)
    if not found:
        names = [m for one in every.values() for m in (one.model, *one.bare)]
        sells = any(one.startswith(f"{key}/") for one in every)
        hint = f"; rackmath prices --provider {key} lists what it sells" if sells else "; rackmath prices lists all"
        raise not_found("price", "list price", name, names, hint=hint)
    told = ", ".join(one.model for one in found[:6])
    more = f" or {len(found) - 6} more, which rackmath prices {name} shows" if len(found) > 6 else ""
    raise BadInput(f"{name!r} has {len(found)} price lists; name one of them: {told}{more}")


def price_lists(weights: str, *, on: str | None = None, source: str = "snapshot") -> tuple[PriceList, ...]:
    """Every list of a model of the catalogue whose weights are open, the cheapest output first; empty where none is.

    >>> {one.provider for one in price_lists("deepseek-ai/DeepSeek-R1")} >= {"aws", "novita", "nebius"}
    True
    """
    found = [one for one in all_lists(on=on, source=source) if one.weights.lower() == weights.strip().lower()]
    return tuple(sorted(found, key=lambda one: (one.standard.output_mtok, one.standard.input_mtok, one.model)))


def all_lists(*, on: str | None = None, source: str = "snapshot") -> tuple[PriceList, ...]:
    """Every list in force on a day, by name."""
    day = day_of(on) if on is not None else today(source)
    every = listings(source).values()
    return tuple(on_day(one, day) for one in every if any(holds(e, day) for e in one.entries if e.mode == "standard"))


def sold(source: str = "snapshot") -> tuple[str, ...]:
    """The names of all models with a price list, provider first.

    >>> "openai/gpt-5.4" in sold()
    True
    """
    return tuple(one.model for one in listings(source).values())


def list_price(model: str, *, mode: str = "standard", input_tokens: float = 0.0, on: str | None = None) -> ListPrice:
    """The price in force for a request of `input_tokens` on a day (the day the list was read, if not given).

    >>> list_price("google/gemini-3.1-pro-preview", input_tokens=250e3).input_mtok
    4.0
    >>> list_price("claude-opus-4-6", input_tokens=250e3).input_mtok  # the surcharge above 200K ended in March 2026
    5.0
    >>> list_price("claude-opus-4-6", input_tokens=250e3, on="2026-03-01").input_mtok
    10.0
    """
    found = price_list(model, on=on)
    if not found.mode(mode):
        modes = sorted({p.mode for p in found.history})
        if mode not in modes:
            raise unknown(f"mode of {found.model}", mode, modes)
        raise BadInput(f"no {mode} price of {found.model} is known on {found.day}; give a later day")
    return found.at(input_tokens, mode)


def margin(price: Number, cost: Number) -> Number:
    """Gross margin that a price leaves over a cost: 1 - cost / price; negative where the price does not cover it.

    LECTURE section 17c: prefill at $0.06 per million tokens against $5 listed.

    >>> round(margin(5.0, 0.06), 3)
    0.988
    """
    return 1 - cost / price


def medium(model: str) -> Medium | None:
    """Where the provider of a listed model says that its cache lies; None where nothing is known.

    >>> medium("anthropic/claude-opus-4-6").says.startswith("the cache is held in memory only")
    True
    """
    provider = model.partition("/")[0]
    row = table()["medium"].get(provider)
    return None if row is None else Medium(provider=provider, says=row["says"], source=row["source"])
