"""The machines of the catalogue, or one of them: every value with its unit, source and date.

Group: Catalogue
Example: rackmath machines gb200-nvl72

Values are those of one device; bandwidths of links one way. What follows from them: multiplies per weight fetched,
and the time that reading all memory once takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from ..answers.parts import Answer, Block, Column, Figure, Figures, Say, Table
from ..answers.terms import Term, count, product, quotient, stated
from ..kernel.roofline import drain_time, ratios
from ..questions.fields import words
from ..views.machine_terms import of_machine
from ..world import catalog
from ..world.boxes import LEAST
from ..world.machine import Machine
from ..world.precision import FORMATS
from ..world.spec import DIMENSIONS

LABELS = {
    "n_devices": "devices",
    "domain": "devices in one scale-up domain",
    "dies": "dies per device",
    "peak_bf16": "peak BF16, dense",
    "peak_fp8": "peak FP8, dense",
    "peak_fp4": "peak FP4, dense",
    "peak_int8": "peak INT8, dense",
    "hbm_nominal": "memory, on the box",
    "hbm_capacity": "memory, as the driver shows it",
    "hbm_reserved": "of it kept by the driver",
    "hbm_bandwidth": "memory bandwidth",
    "scaleup_bandwidth": "scale-up, one way",
    "scaleup_latency": "scale-up latency",
    "scaleout_bandwidth": "scale-out, one way",
    "scaleout_latency": "scale-out latency",
    "power": "power of a device",
    "overhead_power": "facility watts per device watt",
    "host_capacity": "memory of the host",
    "host_bandwidth": "bandwidth of that memory",
    "host_compute": "FLOP/s of its processors",
    "price_per_hour": "price in force",
}

LISTED = (*LEAST, "power", "price_per_hour")
"""Values of a machine in the listing."""

UNITS = {"bytes": "B", "bytes/s": "B/s", "count": "number"}
"""How dimensions of the catalogue become words, where that is not their name."""

PRICES = ("on_demand", "reserved", "spot", "owned")


@dataclass(frozen=True, kw_only=True)
class Machines:
    """Which machine."""

    name: Annotated[str | None, words("One machine. All if not given.", "NAME", argument=True, complete="machines")] = None


def answer(q: Machines) -> Answer:
    """A row for each machine, or every value of one."""
    return _listing() if q.name is None else _one(catalog.machine(q.name))


# --- all of them ----------------------------------------------------------------------------------------------------


def _listing() -> Answer:
    rows = [_columns(catalog.machine(one.name)) | {"summary": one.summary} for one in catalog.machines()]
    columns = (
        Column("name", "machine"),
        Column("peak_bf16", "BF16", "FLOP/s"),
        Column("hbm_capacity", "memory", "B"),
        Column("hbm_bandwidth", "bandwidth", "B/s"),
        Column("domain", "domain", "whole"),
        Column("price_per_hour", "price", "$/h"),
        Column("year", "year", optional=1),
        Column("accelerator", "accelerator", optional=2),
    )
    return Answer(
        title=Say("*{machines} machines*", {"machines": len(rows)}),
        subtitle="Peak, memory and price of one device; domain: devices that the scale-up fabric joins.",
        blocks=(Table(key="machines", columns=columns, rows=rows), Say("rackmath machines NAME shows one of them.", faint=True)),
        table="machines",
        data={"count": len(rows)},
    )


def _columns(m: Machine) -> dict[str, Any]:
    """Values of one device in SI units; None where unknown."""
    about = {"name": m.name, "vendor": m.vendor, "year": m.year or None}
    size = {"devices": m.n_devices, "domain": m.domain}
    return about | size | {f: float(getattr(m, f)) or None for f in LISTED} | {"price_kind": m.price_kind, "accelerator": m.accelerator}


# --- one of them ----------------------------------------------------------------------------------------------------


def _one(m: Machine) -> Answer:
    many = "{devices:whole} x " if m.n_devices > 1 else ""
    about = (m.vendor, str(m.year) if m.year else "", m.memory_type, m.generation)
    return Answer(
        title=Say("*{name}*  " + many + "{accelerator}", {"name": m.name, "devices": float(m.n_devices), "accelerator": m.accelerator}),
        subtitle=" · ".join(word for word in about if word),
        blocks=tuple(_blocks(m)),
        table="values",
        data=_data(m),
        terms=lambda: terms(m),
        notes=m.notes,
        subject=m,
    )


def _data(m: Machine) -> dict[str, Any]:
    return {
        "name": m.name,
        "accelerator": m.accelerator,
        "vendor": m.vendor,
        "year": m.year or None,
        "memory_type": m.memory_type,
        "price_kind": m.price_kind,
        "values": {row["name"]: {k: v for k, v in row.items() if k != "name"} for row in values(m)},
    }


def values(m: Machine) -> list[dict[str, Any]]:
    """One row for each value: name, value, unit, source, date, and whether it was verified."""
    rows = []
    for name, unit in DIMENSIONS.items():
        value = float(getattr(m, name))
        source = m.sources.get(f"prices.{m.price_kind}" if name == "price_per_hour" else name)
        if value or source is not None:
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


def _blocks(m: Machine) -> Iterator[Block]:
    rows = values(m)
    sources = list(dict.fromkeys((r["source"], r["date"], r["verified"]) for r in rows if r["source"]))
    figures = []
    for r in rows:
        where = f"[{sources.index((r['source'], r['date'], r['verified'])) + 1}]" if r["source"] else ""
        doubt = " unverified" if r["verified"] is False else ""
        unit = DIMENSIONS[r["name"]]
        figures.append(Figure(key=r["name"], label=LABELS[r["name"]], value=r["value"], unit=UNITS.get(unit, unit), note=where + doubt))
    yield Figures(
        key="", title="Values", aside="per device; the number in brackets is the source below", figures=tuple(figures), head="value"
    )
    yield from _derived(m)
    if m.tiers:
        yield _tiers(m)
    for i, (text, date, verified) in enumerate(sources, 1):
        said = f"[{i}] {text}{f' ({date})' if date else ''}{'' if verified else ', unverified'}"
        yield Say("{source}", {"source": said}, faint=True, title="Sources" if i == 1 else "")


def _derived(m: Machine) -> Iterator[Block]:
    found = ratios(m)
    told = ", ".join(f"{name.upper()} {{{name}:whole}}" for name in found)
    yield Say("R, multiplies per weight fetched: " + told, found, key="derived.r", title="What follows")
    drain = float(drain_time(m.box, m.hbm_bandwidth))
    yield Say("drain time, all memory read once: {drain_seconds:s}", {"drain_seconds": drain}, key="derived")
    known = {kind: getattr(m.prices, kind) for kind in PRICES}
    told = ", ".join(f"{kind.replace('_', '-')} {{{kind}:$}}" for kind, price in known.items() if price is not None)
    yield Say("price per GPU-hour: " + (told or "none known"), known, key="prices")


def _tiers(m: Machine) -> Table:
    rows = [
        {
            "name": t.name,
            "capacity": t.capacity,
            "bandwidth": t.bandwidth,
            "latency": t.latency,
            "price_per_byte_month": t.price_per_byte_month,
            "drain_seconds": t.capacity / t.bandwidth,
            "price_per_gb_month": None if t.price_per_byte_month is None else t.price_per_byte_month * 1e9,
        }
        for t in m.tiers
    ]
    return Table(
        key="tiers",
        title="Memory behind it",
        aside="a device's share",
        rows=rows,
        columns=(
            Column("name", "tier"),
            Column("capacity", "capacity", "B"),
            Column("bandwidth", "bandwidth", "B/s"),
            Column("latency", "latency", "s", optional=1),
            Column("price_per_gb_month", "$/GB-month", "$"),
            Column("drain_seconds", "drain", "s"),
        ),
    )


def terms(m: Machine) -> Term:
    """Every value with its source; R for each format, and the drain time."""
    leaves = {row["name"]: of_machine(m, row["name"], LABELS[row["name"]]) for row in values(m)}
    bandwidth = leaves["hbm_bandwidth"]
    half = count("2", 2.0, "a multiply-add is two FLOPs")
    each = [
        stated(
            "quotient",
            f"R in {name.upper()}",
            value,
            "",
            product(
                "peak x bytes",
                "",
                leaves[f"peak_{name}"],
                Term(name="bytes per weight", value=FORMATS[name].bytes, source=f"format {name}"),
            ),
            half,
            bandwidth,
            note="multiplies per weight fetched",
        )
        for name, value in ratios(m).items()
    ]
    drain = quotient("drain time", "s", leaves["hbm_nominal"], bandwidth)
    listed = Term(name="values", children=tuple(leaves.values()))
    return Term(name=m.name, children=(listed, *each, drain))
