"""Readings of a price list as plain rows: SI units; "$" is dollars per million tokens."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ..decisions.backwards.reading import Assumption, Reading
from ..decisions.backwards.readings import Readings

Record = dict[str, Any]


def record(r: Readings, beside: list[Record]) -> Record:
    """Everything that is read. Numbers of an absent reading are None, and `absent` says why."""
    s = r.setting
    return {
        "setting": {
            "model": r.prices.model,
            "day": r.prices.day,
            "machine": s.machine.name,
            "price_per_gpu_hour": s.machine.price_per_hour or None,
            "active_parameters": _ends(s.active),
            "prefill_mfu": _ends(s.mfu),
            "context": s.threshold,
            "batch": s.batch,
            "weights": s.known.name if s.known else None,
        },
        "prices": [{k: v for k, v in asdict(e).items() if k != "model"} for e in r.prices.entries],
        "readings": [reading(one) for one in r.readings],
        "spread": _spread(r),
        "tiers": tier_rows(r),
        "splits": [asdict(one) | {"cache_share": one.cache_share} for one in r.splits],
        "conflicts": _conflict_rows(r),
        "medium": asdict(r.medium) if r.medium else None,
        "references": beside,
    }


def _ends(a: Assumption) -> Record:
    return {"value": a.value, "low": a.low, "high": a.high, "why": a.why}


def reading(one: Reading) -> Record:
    """One reading, with what it assumes."""
    head = {"key": one.key, "name": one.name, "unknown": one.unknown, "unit": one.unit or None}
    ends = {"value": one.value, "low": one.low, "high": one.high}
    assumed = [
        {"name": a.name, "value": a.value, "low": a.low, "high": a.high, "unit": a.unit or None, "why": a.why} for a in one.assumptions
    ]
    tail = {"formula": one.formula or None, "says": one.says or None, "needs": list(one.needs)}
    return head | ends | {"assumes": assumed} | tail | {"absent": one.absent or None}


def flat(one: Reading) -> Record:
    """The same in words and numbers alone."""
    return reading(one) | {"assumes": "; ".join(a.name for a in one.ranging), "needs": "; ".join(one.needs)}


def _spread(r: Readings) -> Record | None:
    found = r.spread
    if found is None:
        return None
    return {
        "smallest": found.smallest.key,
        "largest": found.largest.key,
        "smallest_bytes": found.smallest.value,
        "largest_bytes": found.largest.value,
        "factor": found.factor,
        "low": found.low,
        "high": found.high,
        "one_value_in_all_intervals": found.common,
    }


def tier_rows(r: Readings) -> list[Record]:
    """One row for each memory tier: its drain time, its rent, and what the holding rate would hold there."""
    return [
        {
            "label": t.label,
            "name": t.tier.name,
            "capacity": t.tier.capacity,
            "bandwidth": t.tier.bandwidth,
            "drain_seconds": t.drain,
            "usd_per_byte_second": t.rent,
            "usd_per_gb_month": t.usd_per_gb_month,
            "bytes_per_token": t.bytes_per_token,
            "lifetimes_by_drain": list(t.lifetimes),
        }
        for t in r.tiers
    ]


def _conflict_rows(r: Readings) -> list[Record]:
    return [
        {
            "key": c.key,
            "name": c.name,
            "first": c.first.key,
            "first_value": c.first.value,
            "second": c.second.key,
            "second_value": c.second.value,
            "unit": c.first.unit or None,
            "factor": c.factor,
            "intervals_overlap": c.overlap,
            "why": c.why,
        }
        for c in r.conflicts
    ]
