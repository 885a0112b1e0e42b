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


def listing_columns(kind: str, lines: Iterable[Listing]) -> list[Record]:
    """A listing as a table of numbers: one row for each model or machine, every entry read in full."""
    from ..world import catalog

    if kind == "models":
        return [_model_columns(catalog.model(one.name)) for one in lines]
    return [_machine_columns(catalog.machine(one.name)) for one in lines]


def _model_columns(m: Model) -> Record:
    """Parameters (active: with the output head), cache bytes of a token in 16 bits, weight bytes as stored."""
    from ..kernel.counts import active_parameters, kv_bytes_per_token, total_parameters, weight_bytes
    from ..world.precision import Precision

    return {
        "name": m.name,
        "family": m.family,
        "layers": m.n_layers,
        "d_model": m.d_model,
        "total_parameters": total_parameters(m),
        "active_parameters": active_parameters(m)["with one"],
        "kv_bytes_per_token_bf16": kv_bytes_per_token(m, Precision(name="bf16")),
        "weight_bytes": weight_bytes(m),
        "max_context": m.max_context,
        "source": m.source,
    }


def _machine_columns(m: Machine) -> Record:
    """Values of one device in SI units; bandwidths of links one way; empty where unknown."""
    fields = (
        "peak_bf16", "peak_fp8", "peak_fp4", "peak_int8", "hbm_nominal", "hbm_capacity", "hbm_bandwidth",
        "scaleup_bandwidth", "scaleout_bandwidth", "power", "price_per_hour",
    )  # fmt: skip
    about = {"name": m.name, "vendor": m.vendor, "year": m.year or None, "devices": m.n_devices, "domain": m.domain}
    return about | {f: float(getattr(m, f)) or None for f in fields} | {"price_kind": m.price_kind}


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
        "derived": {"r": ratios(m), "drain_seconds": float(m.box) / float(m.hbm_bandwidth)},
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
