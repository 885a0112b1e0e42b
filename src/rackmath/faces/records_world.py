"""Entries of the catalogue as plain mappings and rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..world.catalog import Listing
    from ..world.machine import Machine
    from ..world.model import Model

Record = dict[str, Any]


def listing(lines: Iterable[Listing]) -> list[Record]:
    return [{"name": one.name, "summary": one.summary} for one in lines]


def editable(model: Model) -> Record:
    """The description the model was built from: edit it and give it back in place of a name."""
    return dict(model.description) or {"name": model.name}


def model_rows(model: Model) -> list[Record]:
    """Parameters, format and bytes by component."""
    from ..kernel.counts import parameters

    rows = []
    for part, count in parameters(model).items():
        fmt = model.precision.of(part)
        rows.append({"component": part, "parameters": count, "format": fmt.name, "bytes": count * fmt.bytes})
    return rows


def machine(m: Machine) -> Record:
    """Every value with its unit and source, and what follows from them."""
    return {
        "name": m.name,
        "accelerator": m.accelerator,
        "vendor": m.vendor,
        "year": m.year or None,
        "memory_type": m.memory_type,
        "price_kind": m.price_kind,
        "values": {row["name"]: {k: v for k, v in row.items() if k != "name"} for row in machine_rows(m)},
        "derived": {"r": ratios(m), "drain_seconds": float(m.hbm_capacity) / float(m.hbm_bandwidth)},
        "prices": {kind: getattr(m.prices, kind) for kind in ("on_demand", "reserved", "spot", "owned")},
        "tiers": [
            {"name": t.name, "capacity": t.capacity, "bandwidth": t.bandwidth, "latency": t.latency,
             "price_per_byte_month": t.price_per_byte_month}
            for t in m.tiers
        ],
        "notes": list(m.notes),
    }  # fmt: skip


def ratios(m: Machine) -> dict[str, float]:
    """R, multiplies per weight fetched, for each format the machine multiplies in its own tensor path."""
    from ..kernel.roofline import ratio
    from ..world.precision import FORMATS

    named = (("bf16", "bf16"), ("fp8", "fp8"), ("int8", "int8"), ("fp4", "fp4"))
    return {
        name: float(ratio(getattr(m, f"peak_{kind}"), FORMATS[name].bytes, m.hbm_bandwidth))
        for name, kind in named
        if float(getattr(m, f"peak_{kind}")) > 0
    }


def machine_rows(m: Machine) -> list[Record]:
    """One row for each value: name, value, unit, source, date, and whether it was verified."""
    from ..world.spec import DIMENSIONS

    rows = []
    for name, unit in DIMENSIONS.items():
        value = float(getattr(m, name))
        key = f"prices.{m.price_kind}" if name == "price_per_hour" else name
        source = m.sources.get(key)
        if not value and source is None:
            continue
        rows.append(
            {
                "name": name,
                "value": value,
                "unit": "" if unit == "count" else unit,
                "source": source.text if source else "",
                "date": source.date if source else "",
                "verified": source.verified if source else None,
            }
        )
    return rows
