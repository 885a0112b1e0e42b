"""The answer of `readings` as plain mappings and rows: the shape of its `--json` and `--csv`.

SI units; "$" is dollars per million tokens. Numbers of an absent reading are None, and `absent` says why.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..decisions.reading import Assumption, Reading
    from .ask_readings import ReadingsAnswer

Record = dict[str, Any]


def record(answer: ReadingsAnswer) -> Record:
    """{question, prices, readings, spread, tiers, splits, conflicts, references, notes}."""
    r = answer.readings
    s = r.setting
    return {
        "question": {
            "model": r.prices.model,
            "day": r.prices.day,
            "machine": s.machine.name,
            "price_per_gpu_hour": s.machine.price_per_hour or None,
            "active_parameters": ends(s.active),
            "prefill_mfu": ends(s.mfu),
            "context": s.threshold,
            "batch": s.batch,
            "weights": s.known.name if s.known else None,
        },
        "prices": [{k: v for k, v in asdict(e).items() if k != "model"} for e in r.prices.entries],
        "readings": [reading(one) for one in r.readings],
        "spread": spread(answer),
        "tiers": tiers(answer),
        "splits": [asdict(one) | {"cache_share": one.cache_share} for one in r.splits],
        "conflicts": conflicts(answer),
        "medium": asdict(r.medium) if r.medium else None,
        "references": [asdict(one) for one in answer.references],
        "notes": list(answer.notes),
    }


def ends(a: Assumption) -> Record:
    return {"value": a.value, "low": a.low, "high": a.high, "why": a.why}


def reading(one: Reading) -> Record:
    """One reading, with what it assumes."""
    head: Record = {"key": one.key, "name": one.name, "unknown": one.unknown, "unit": one.unit or None,
                    "value": one.value, "low": one.low, "high": one.high}  # fmt: skip
    tail: Record = {"formula": one.formula or None, "says": one.says or None, "needs": list(one.needs),
                    "absent": one.absent or None}  # fmt: skip
    assumed = [
        {"name": a.name, "value": a.value, "low": a.low, "high": a.high, "unit": a.unit or None, "why": a.why}
        for a in one.assumptions
    ]
    return head | {"assumes": assumed} | tail


def spread(answer: ReadingsAnswer) -> Record | None:
    found = answer.readings.spread
    if found is None:
        return None
    return {
        "smallest": found.smallest.key, "largest": found.largest.key, "smallest_bytes": found.smallest.value,
        "largest_bytes": found.largest.value, "factor": found.factor, "low": found.low, "high": found.high,
        "one_value_in_all_intervals": found.common,
    }  # fmt: skip


def tiers(answer: ReadingsAnswer) -> list[Record]:
    """One row for each memory tier: its drain time, its rent, and what the holding rate would hold there."""
    return [
        {
            "label": t.label, "name": t.tier.name, "capacity": t.tier.capacity, "bandwidth": t.tier.bandwidth,
            "drain_seconds": t.drain, "usd_per_byte_second": t.rent, "bytes_per_token": t.bytes_per_token,
            "lifetimes_by_drain": list(t.lifetimes),
        }
        for t in answer.readings.tiers
    ]  # fmt: skip


def conflicts(answer: ReadingsAnswer) -> list[Record]:
    return [
        {
            "key": c.key, "name": c.name, "first": c.first.key, "first_value": c.first.value, "second": c.second.key,
            "second_value": c.second.value, "unit": c.first.unit or None, "factor": c.factor,
            "intervals_overlap": c.overlap, "why": c.why,
        }
        for c in answer.readings.conflicts
    ]  # fmt: skip


def rows(answer: ReadingsAnswer) -> list[Record]:
    """One row for each reading."""
    found = []
    for one in answer.readings.readings:
        row = reading(one)
        row["assumes"] = "; ".join(a.name for a in one.ranging)
        row["needs"] = "; ".join(one.needs)
        found.append(row)
    return found
