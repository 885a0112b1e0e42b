"""What price lists say of themselves and beside each other: ratios, changes, spread; and what device-hours cost.

Prices ending in `_mtok` are dollars per million tokens; None: not listed, or unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import median, quantiles
from typing import Any

from ..world.machine import Machine
from .listings import ListPrice, PriceList

Record = dict[str, Any]

KINDS = ("on_demand", "reserved", "spot", "owned")
"""Ways to pay for a device-hour."""


def in_order(p: PriceList) -> list[ListPrice]:
    """The entries in force, standard first, each mode by threshold."""
    return [entry for mode in p.modes for entry in p.mode(mode)]


def stated_speed(entry: ListPrice) -> float | None:
    """Output speed over that of the standard mode, where the provider states one."""
    return 1.0 if entry.mode == "standard" else None if entry.speed == 1 else entry.speed


def ratios(p: PriceList) -> list[Record]:
    """Each entry's prices over its own input price, and over the standard price of short requests.

    >>> from rackmath.economics.pricelist import price_list
    >>> [r["output_over_input"] for r in ratios(price_list("gemini-3.1-pro-preview"))][:2]
    [6.0, 4.5]
    """
    base = p.standard
    priced = ("output_mtok", "cache_read_mtok", "cache_write_5m_mtok", "cache_write_1h_mtok")
    rows = []
    for e in in_order(p):
        over = {
            f"{name.removesuffix('_mtok')}_over_input": None if (v := getattr(e, name)) is None else v / e.input_mtok for name in priced
        }
        against = {"input_over_standard": e.input_mtok / base.input_mtok, "output_over_standard": e.output_mtok / base.output_mtok}
        rows.append({"mode": e.mode, "above_input_tokens": e.above_input_tokens} | over | against)
    return rows


def changes(p: PriceList) -> list[Record]:
    """Every day on which a price changed or a tier ended, the newest first; a day after the list's is planned."""
    found = []
    for mode, above in dict.fromkeys((e.mode, e.above_input_tokens) for e in p.history):
        mine = (e for e in p.history if (e.mode, e.above_input_tokens) == (mode, above))
        rows = sorted(mine, key=lambda e: e.since)
        about = {"mode": mode, "above_input_tokens": above}
        for old, new in pairwise(rows):
            found.append({"day": new.since, **about} | _change(old, new, p))
        if rows[-1].until:
            found.append({"day": rows[-1].until, **about} | _change(rows[-1], None, p))
    return sorted(found, key=lambda r: (r["day"], -r["above_input_tokens"]), reverse=True)


def _change(old: ListPrice, new: ListPrice | None, p: PriceList) -> Record:
    """What one entry became: each price before, after, and the change as a share; None after where it ended."""
    day = old.until if new is None else new.since
    record: Record = {"planned": day > p.day, "ended": new is None}
    for price in ("input_mtok", "cache_read_mtok", "output_mtok"):
        before, after = getattr(old, price), None if new is None else getattr(new, price)
        share = None if before is None or after is None else after / before - 1
        name = price.removesuffix("_mtok")
        record |= {f"{name}_before": before, f"{name}_after": after, f"{name}_change": share}
    return record


def by_weights(lists: Iterable[PriceList]) -> dict[str, list[PriceList]]:
    """The lists of each open model, by its name."""
    found: dict[str, list[PriceList]] = {}
    for p in lists:
        if p.weights:
            found.setdefault(p.weights, []).append(p)
    return dict(sorted(found.items(), key=lambda pair: pair[0].lower()))


def spread(lists: Iterable[PriceList], price: str) -> Record | None:
    """Least, quartiles and greatest of a standard price over the lists that have it; quartiles need four of them."""
    found = sorted(v for p in lists if (v := getattr(p.standard, price)) is not None)
    if not found:
        return None
    quarters = quantiles(found, n=4, method="inclusive") if len(found) >= 4 else [None, None, None]
    return {
        "lists": len(found),
        "least": found[0],
        "lower_quarter": quarters[0],
        "median": median(found),
        "upper_quarter": quarters[2],
        "greatest": found[-1],
        "greatest_over_least": found[-1] / found[0],
    }


def device_hours(machines: Sequence[Machine]) -> list[Record]:
    """One row for each price of a device-hour, the cheapest device first; `also`: machines of the same device.

    >>> from rackmath.world import catalog
    >>> [(r["kind"], r["usd_per_device_hour"]) for r in device_hours([catalog.machine("h800")])]
    [('on_demand', 2.0)]
    """
    of_device: dict[tuple[Any, ...], list[Machine]] = {}
    for m in machines:
        of_device.setdefault((m.accelerator, *_prices(m)), []).append(m)
    rows = []
    for same in sorted(of_device.values(), key=lambda ms: (_least(ms[0]), ms[0].name)):
        m, *others = sorted(same, key=lambda m: (len(m.name), m.name))
        also = " ".join(other.name for other in others) or None
        for kind, value in zip(KINDS, _prices(m), strict=True):
            if value is None:
                continue
            source = m.sources.get(f"prices.{kind}")
            about = {
                "source": source.text if source else "",
                "date": source.date if source else "",
                "verified": source.verified if source else None,
            }
            rows.append({"machine": m.name, "kind": kind, "usd_per_device_hour": value} | about | {"also": also})
    return rows


def _prices(m: Machine) -> tuple[float | None, ...]:
    return tuple(getattr(m.prices, kind) for kind in KINDS)


def _least(m: Machine) -> float:
    """The lowest rent, or what an owner pays where it is not for rent."""
    *rents, owned = _prices(m)
    return min((r for r in rents if r is not None), default=owned or 0.0)
