"""The verb of price lists: words in, answers out. No arithmetic here.

>>> prices("claude-opus-4-6").prices.standard.input_mtok
5.0
>>> len(prices("openai/gpt-oss-120b").lists) > 10
True
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BadInput, unknown

if TYPE_CHECKING:
    from ..economics.pricelist import Medium, PriceList
    from ..questions.resolve import Quantity
    from ..world.machine import Machine
    from .export import Face


@dataclass(frozen=True, slots=True, kw_only=True)
class ListAnswer:
    """One price list. `hosts`: how many lists its weights have in all, 0 where they are not open or not known."""

    prices: PriceList
    medium: Medium | None
    hosts: int

    def face(self) -> Face:
        from . import show_prices

        return show_prices.of_list(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostsAnswer:
    """The lists of one open model, the cheapest output first."""

    weights: str
    lists: tuple[PriceList, ...]

    def face(self) -> Face:
        from . import show_prices

        return show_prices.of_hosts(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListsAnswer:
    """Every list that was asked for, by name."""

    lists: tuple[PriceList, ...]

    def face(self) -> Face:
        from . import show_prices

        return show_prices.of_lists(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class HoursAnswer:
    """Machines with a price of a device-hour, by name."""

    machines: tuple[Machine, ...]

    def face(self) -> Face:
        from . import show_hours

        return show_hours.face(self)


PricesAnswer = ListAnswer | HostsAnswer | ListsAnswer | HoursAnswer


def prices(
    name: str | None = None,
    *,
    provider: str | None = None,
    open_weights: bool = False,
    machines: bool = False,
    on_date: str | None = None,
    source: str = "snapshot",
) -> PricesAnswer:
    """Public price lists: one by its name or the path of its file, the hosts of an open model, or all.

    `provider` and `open_weights` narrow the lists down; `on_date` is an ISO day; `source` is "snapshot" or
    "genai-prices". With `machines`, prices of device-hours instead, of one machine or of all.
    """
    if machines:
        if provider or open_weights or on_date or source != "snapshot":
            raise BadInput(
                "device-hours have no provider, day or source to choose; give --machines alone or with a name"
            )
        return HoursAnswer(machines=_machines(name))
    if name is not None and (provider or open_weights):
        raise BadInput(f"{name!r} names a list already; leave out the provider and --open, or the name")
    if name is None:
        return ListsAnswer(lists=_lists(provider, open_weights, on_date, source))
    return _named(name, on_date, source)


def _named(name: str, on_date: str | None, source: str) -> ListAnswer | HostsAnswer:
    """The list of this name, or every list of an open model of this name."""
    from ..economics.pricelist import all_lists, medium, price_lists
    from ..economics.pricelist_file import ENDINGS, find

    if name.lower().endswith(ENDINGS):
        found = find(name, on=on_date, source=source)
        return ListAnswer(prices=found, medium=None, hosts=0)
    every = all_lists(on=on_date, source=source)
    key = name.strip().lower()
    if all(one.model.lower() != key for one in every):
        weights = {one.weights for one in every if one.weights}
        chosen = [w for w in weights if key in (w.lower(), w.lower().rpartition("/")[2])]
        if len(chosen) == 1:
            return HostsAnswer(weights=chosen[0], lists=price_lists(chosen[0], on=on_date, source=source))
    found = find(name, on=on_date, source=source)
    hosts = sum(bool(found.weights) and one.weights == found.weights for one in every)
    return ListAnswer(prices=found, medium=medium(found.model), hosts=hosts)


def _lists(provider: str | None, open_weights: bool, on_date: str | None, source: str) -> tuple[PriceList, ...]:
    from ..economics.pricelist import all_lists

    every = all_lists(on=on_date, source=source)
    if not every:
        raise BadInput(f"no price list is known on {on_date}; give a later day")
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


def _machines(name: str | None) -> tuple[Machine, ...]:
    from ..world import catalog

    if name is not None:
        one = catalog.machine(name)
        if one.price_kind == "none":
            raise BadInput(f"no price of {one.name} is known; rackmath prices --machines lists those that have one")
        return (one,)
    every = (catalog.machine(listing.name) for listing in catalog.machines())
    return tuple(one for one in every if one.price_kind != "none")


def list_meant(
    name: str | Path | PriceList | None,
    listed: Mapping[str, Quantity],
    on_date: str | None = None,
    source: str = "snapshot",
    unit: str | None = None,
) -> PriceList:
    """The list meant: by name, from a file, a record, or single prices as given."""
    from ..economics import pricelist_file

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
        keys = {"input": "input_mtok", "output": "output_mtok", "cache_read": "cache_read_mtok",
                "write_5m": "cache_write_5m_mtok", "write_1h": "cache_write_1h_mtok"}  # fmt: skip
        for key in listed:
            if key not in keys:
                raise unknown("price", key, keys)
        return pricelist_file.from_prices(**{keys[k]: v for k, v in listed.items()}, unit=unit)
    return pricelist_file.find(str(name), on=on_date, source=source) if isinstance(name, str | Path) else name
