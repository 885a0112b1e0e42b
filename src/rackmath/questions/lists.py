"""Which price list is meant: by name, from a file, or single prices as given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from ..economics import pricelist_file
from ..economics.listings import PriceList
from ..economics.pricelist import all_lists, price_lists
from ..errors import BadInput, unknown
from ..world import catalog
from ..world.machine import Machine
from .fields import Field, words
from .settings import Quantity

LISTED = "Prices, in place of a list"

KEYS = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cache_read": "cache_read_mtok",
    "write_5m": "cache_write_5m_mtok",
    "write_1h": "cache_write_1h_mtok",
}
"""Single prices by the words that name them."""


def _price(help: str) -> Field:
    return words(help, "PRICE", panel=LISTED)


@dataclass(frozen=True, kw_only=True)
class SinglePrices:
    """Prices in place of a list, in dollars per million tokens or as the unit says."""

    input_price: Annotated[Any, _price("Dollars per million input tokens.")] = None
    output_price: Annotated[Any, _price("Dollars per million output tokens.")] = None
    cached_price: Annotated[Any, _price("The same for a cached read.")] = None
    write_5m_price: Annotated[Any, _price("For a cache write of 5 minutes.")] = None
    write_1h_price: Annotated[Any, _price("For a cache write of 1 hour.")] = None
    unit: Annotated[str | None, words("What the prices are per: 1M (the default), 1K or token.", "UNIT", panel=LISTED)] = None

    @property
    def listed(self) -> dict[str, Any]:
        """The prices that were given, by the words that name them."""
        every = (self.input_price, self.output_price, self.cached_price, self.write_5m_price, self.write_1h_price)
        return {key: value for key, value in zip(KEYS, every, strict=True) if value is not None}


def list_meant(
    name: str | Path | PriceList | None,
    listed: Mapping[str, Quantity],
    on_date: str | None = None,
    source: str = "snapshot",
    unit: str | None = None,
) -> PriceList:
    """The list meant: by name, from a file, a record, or single prices as given."""
    if name is None and not listed:
        raise BadInput("no price list was given; name a model or a file, or give --input-price and --output-price")
    if name is not None and listed:
        raise BadInput(f"both a list ({name}) and single prices were given; give one of them")
    if name is not None and unit is not None:
        raise BadInput(f"the unit {unit} is of single prices; leave it out, or say it in the file of {name}")
    if name is None:
        if on_date is not None or source != "snapshot":
            raise BadInput("single prices have no day and no source; leave those out, or name a list")
        if not listed.keys() >= {"input", "output"}:
            raise BadInput("an input and an output price are needed; give both --input-price and --output-price")
        for key in listed:
            if key not in KEYS:
                raise unknown("price", key, KEYS)
        return pricelist_file.from_prices(**{KEYS[k]: v for k, v in listed.items()}, unit=unit)
    return pricelist_file.find(str(name), on=on_date, source=source) if isinstance(name, str | Path) else name


def list_or_hosts(name: str, on: str | None, source: str) -> PriceList | tuple[PriceList, ...]:
    """The list of this name, or every list of an open model of this name."""
    if name.lower().endswith(pricelist_file.ENDINGS):
        return pricelist_file.find(name, on=on, source=source)
    every = all_lists(on=on, source=source)
    key = name.strip().lower()
    if all(one.model.lower() != key for one in every):
        weights = {one.weights for one in every if one.weights}
        chosen = [w for w in weights if key in (w.lower(), w.lower().rpartition("/")[2])]
        if len(chosen) == 1:
            return price_lists(chosen[0], on=on, source=source)
    return pricelist_file.find(name, on=on, source=source)


def sellers_of(p: PriceList, on: str | None, source: str) -> int:
    """How many lists the weights of a list have in all; 0 where they are not open or not known."""
    return sum(bool(p.weights) and one.weights == p.weights for one in all_lists(on=on, source=source))


def lists_chosen(provider: str | None, open_weights: bool, on: str | None, source: str) -> tuple[PriceList, ...]:
    """Every list of a day, of one provider or with open weights where that is asked."""
    every = all_lists(on=on, source=source)
    if not every:
        raise BadInput(f"no price list is known on {on}; give a later day")
    if provider is not None:
        sellers = sorted({one.provider for one in every})
        if provider.lower() not in sellers:
            raise unknown("provider", provider, sellers, hint="; rackmath prices --csv names them all")
        every = tuple(one for one in every if one.provider == provider.lower())
    if open_weights:
        every = tuple(one for one in every if one.weights)
        if not every:
            raise BadInput(f"{provider} lists no open model that the catalogue knows; leave out --open")
    return every


def priced_machines(name: str | None) -> tuple[Machine, ...]:
    """One machine, or all whose device-hours have a price."""
    if name is not None:
        one = catalog.machine(name)
        if one.price_kind == "none":
            raise BadInput(f"no price of {one.name} is known; rackmath prices --machines lists those that have one")
        return (one,)
    every = (catalog.machine(listing.name) for listing in catalog.machines())
    return tuple(one for one in every if one.price_kind != "none")
