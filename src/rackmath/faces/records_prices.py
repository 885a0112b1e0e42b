"""Price lists and prices of device-hours as plain mappings and rows: the shape of `prices --json` and `--csv`.

Prices ending in `_mtok` are dollars per million tokens. None: not listed, or unknown.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

from ..economics.listings import PRICES as PRICES

if TYPE_CHECKING:
    from ..economics.pricelist import ListPrice, PriceList
    from ..world.machine import Machine
    from .ask_prices import HostsAnswer, HoursAnswer, ListAnswer, ListsAnswer

Record = dict[str, Any]

KINDS = ("on_demand", "reserved", "spot", "owned")


# --- one list -----------------------------------------------------------------------------------------------------


def of_list(answer: ListAnswer) -> Record:
    """Everything known about one list."""
    p = answer.prices
    return {
        "model": p.model,
        "day": p.day,
        "context_window": p.context_window,
        "weights": p.weights or None,
        "hosts": answer.hosts or None,
        "output_speed": p.output_speed,
        "ttft": p.ttft,
        "prices": entries(p),
        "ratios": ratios(p),
        "history": changes(p),
        "medium": None if answer.medium is None else answer.medium.says,
        "medium_source": None if answer.medium is None else answer.medium.source,
    }


def in_order(p: PriceList) -> list[ListPrice]:
    """The entries in force, standard first, each mode by threshold."""
    return [entry for mode in p.modes for entry in p.mode(mode)]


def entries(p: PriceList) -> list[Record]:
    """One row for each mode and threshold."""
    return [
        {"model": p.model, "mode": e.mode, "above_input_tokens": e.above_input_tokens}
        | {price: getattr(e, price) for price in PRICES}
        | {"speed": stated_speed(e), "since": e.since or None, "until": e.until or None, "source": e.source,
           "read": e.read or None}
        for e in in_order(p)
    ]  # fmt: skip


def stated_speed(entry: ListPrice) -> float | None:
    """Output speed over that of the standard mode, where the provider states one."""
    return 1.0 if entry.mode == "standard" else None if entry.speed == 1 else entry.speed


def ratios(p: PriceList) -> list[Record]:
    """Each entry's prices over its own input price, and over the standard price of short requests."""
    rows = []
    base = p.standard
    for e in in_order(p):
        over = {
            f"{name.removesuffix('_mtok')}_over_input": None if (v := getattr(e, name)) is None else v / e.input_mtok
            for name in ("output_mtok", "cache_read_mtok", "cache_write_5m_mtok", "cache_write_1h_mtok")
        }
        rows.append(
            {"mode": e.mode, "above_input_tokens": e.above_input_tokens}
            | over
            | {"input_over_standard": e.input_mtok / base.input_mtok,
               "output_over_standard": e.output_mtok / base.output_mtok}
        )  # fmt: skip
    return rows


def changes(p: PriceList) -> list[Record]:
    """Every day on which a price changed or a tier ended, the newest first; a day after the list's is planned."""
    found = []
    for mode, above in dict.fromkeys((e.mode, e.above_input_tokens) for e in p.history):
        rows = sorted(
            (e for e in p.history if (e.mode, e.above_input_tokens) == (mode, above)), key=lambda e: e.since
        )
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


# --- several lists ------------------------------------------------------------------------------------------------


def row(p: PriceList) -> Record:
    """One list in a line: standard prices of short requests, and what else there is."""
    s = p.standard
    return {
        "model": p.model,
        "provider": p.provider,
        "input_mtok": s.input_mtok,
        "cache_read_mtok": s.cache_read_mtok,
        "output_mtok": s.output_mtok,
        "output_over_input": s.output_mtok / s.input_mtok,
        "long_above": p.long.above_input_tokens if p.long else None,
        "modes": " ".join(m for m in p.modes if m != "standard") or None,
        "context_window": p.context_window,
        "weights": p.weights or None,
        "source": s.source,
        "read": s.read or None,
    }


def of_lists(answer: ListsAnswer) -> Record:
    """Every list in a line."""
    return {"day": answer.lists[0].day, "lists": [row(p) for p in answer.lists]}


def of_hosts(answer: HostsAnswer) -> Record:
    """The hosts of one model and how far apart they are."""
    return {
        "weights": answer.weights,
        "day": answer.lists[0].day,
        "spread": {price: spread(answer.lists, price) for price in ("input_mtok", "cache_read_mtok", "output_mtok")},
        "hosts": [row(p) for p in answer.lists],
    }


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


# --- device-hours -------------------------------------------------------------------------------------------------


def hours(answer: HoursAnswer) -> list[Record]:
    """One row for each price of a device-hour, the cheapest device first; `also`: machines of the same device."""
    of_device: dict[tuple[Any, ...], list[Machine]] = {}
    for m in answer.machines:
        of_device.setdefault((m.accelerator, *_hour_prices(m)), []).append(m)
    rows = []
    for same in sorted(of_device.values(), key=lambda ms: (_least(ms[0]), ms[0].name)):
        m, *others = sorted(same, key=lambda m: (len(m.name), m.name))
        also = " ".join(other.name for other in others) or None
        for kind, value in zip(KINDS, _hour_prices(m), strict=True):
            if value is not None:
                source = m.sources.get(f"prices.{kind}")
                rows.append(
                    {"machine": m.name, "kind": kind, "usd_per_device_hour": value,
                     "source": source.text if source else "", "date": source.date if source else "",
                     "verified": source.verified if source else None, "also": also}
                )  # fmt: skip
    return rows


def _hour_prices(m: Machine) -> tuple[float | None, ...]:
    return tuple(getattr(m.prices, kind) for kind in KINDS)


def _least(m: Machine) -> float:
    """The lowest rent, or what an owner pays where it is not for rent."""
    *rents, owned = _hour_prices(m)
    return min((r for r in rents if r is not None), default=owned or 0.0)
