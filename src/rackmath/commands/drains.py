"""Drain times: how long it takes to read all of a memory once, of every machine and the tiers behind, or of one.

Group: Catalogue
Example: rackmath drains --on 8xh100

The drain time, capacity over bandwidth, is the longest useful memory time of a decode step. It is not its floor: that
is the time to read the weights once. What a model makes of a memory: rackmath memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from ..answers.charts import Axis, Mark, Series, scatter
from ..answers.parts import Answer, Block, Chart, Column, Say, Table
from ..answers.terms import Term
from ..answers.text import cell
from ..questions.fields import Field
from ..search.memory import Drain
from ..search.memory import drains as of_machine
from ..views import memories
from ..world import catalog
from ..world.machine import Source

NAMED = {
    "a100": "A100",
    "h100": "H100",
    "h200": "H200",
    "gb200": "GB200",
    "gb300": "GB300",
    "rubin": "Rubin",
    "mi300x": "MI300X",
    "tpu7x": "TPU7x",
}
"""Devices named in the picture."""


@dataclass(frozen=True, kw_only=True)
class Drains:
    """Which machines."""

    on: Annotated[Any, Field(help="One machine. All if not given.", flag="--on", metavar="MACHINE", complete="machines")] = None


def answer(q: Drains) -> Answer:
    """A row for each memory of each machine; a person is shown each kind of device and each tier once."""
    if q.on is not None:
        machine = catalog.machine(q.on) if isinstance(q.on, str) else q.on
        found, notes, where = of_machine(machine), machine.notes, f", on {machine.name}"
    else:
        found = tuple(d for one in catalog.machines() for d in of_machine(catalog.machine(one.name)))
        notes, where = (), ""
    return Answer(
        title=Say("*Drain times*: all of a memory read once, C / M" + where),
        subtitle="The longest useful memory time of a step, not its floor: that is reading the weights once.",
        blocks=tuple(_blocks(found)),
        table="drains",
        terms=lambda: Term(name="drain times", children=tuple(memories.drain(d) for d in found)),
        notes=notes,
        subject=found,
    )


def _blocks(found: tuple[Drain, ...]) -> Iterator[Block]:
    near, tiers = _kinds(found)
    many = len(near) > 1
    sources = {s: i for i, s in enumerate(dict.fromkeys(s for d in [*near, *tiers] for s in d.sources), 1)}
    yield Chart(spec=_devices_chart(near), lines=16) if many else Chart(spec=_tiers_chart([*near, *tiers]), lines=0)
    size = (Column("capacity", "capacity", "B"), Column("bandwidth", "bandwidth", "B/s"), Column("drain", "drain", "s"))
    yield Table(
        key="drains",
        title="Device memory",
        aside="per device; the number in brackets is the source below",
        rows=[memories.row(d) for d in found],
        shown=[memories.row(d) for d in near],
        columns=(Column("machine", "machine"), Column("tier", "memory"), *size),
        marks={i: _cited(d, sources) for i, d in enumerate(near)},
    )
    if tiers:
        counted = (Column("machines", "machines", "whole"),) if many else ()
        aside = "a device's share" + ("; machines with such a tier" if many else "")
        yield Table(
            key="tiers",
            title="Memory tiers behind it",
            aside=aside,
            rows=[
                {"tier": d.tier, "capacity": d.capacity, "bandwidth": d.bandwidth, "drain": d.drain, "machines": n}
                for d, n in tiers.items()
            ],
            columns=(Column("tier", "tier"), *size, *counted),
            marks={i: _cited(d, sources) for i, d in enumerate(tiers)},
        )
    for source, i in sources.items():
        date = f" ({source.date})" if source.date else ""
        said = f"[{i}] {source.text}{date}{'' if source.verified else ', unverified'}"
        yield Say("{source}", {"source": said}, faint=True, title="Sources" if i == 1 else "")


def _kinds(found: tuple[Drain, ...]) -> tuple[list[Drain], dict[Drain, int]]:
    """The devices' own memories, quickest first, each kind of device once; and the distinct tiers behind them."""
    near: dict[tuple[str, float, float], Drain] = {}
    behind: dict[tuple[str, float, float], list[Drain]] = {}
    seen: set[str] = set()
    for d in found:
        if d.machine not in seen:
            seen.add(d.machine)
            near.setdefault((d.accelerator, d.capacity, d.bandwidth), d)
        else:
            behind.setdefault((d.tier, d.capacity, d.bandwidth), []).append(d)
    tiers = sorted(behind.values(), key=lambda same: same[0].drain)
    return sorted(near.values(), key=lambda d: d.drain), {same[0]: len(same) for same in tiers}


def _cited(d: Drain, sources: dict[Source, int]) -> str:
    where = "".join(f"[{sources[s]}]" for s in d.sources) or "no source"
    return where + ("" if d.verified else " unverified")


def _tiers_chart(every: list[Drain]) -> dict[str, Any]:
    """Drain time against capacity, of every memory of one machine."""
    return scatter(
        [Series("tiers", [d.capacity for d in every], [d.drain for d in every], labels=[d.tier for d in every])],
        title=f"Drain time of every memory of {every[0].machine}",
        x=Axis("Capacity per device", "B", log=True),
        y=Axis("Drain time", "s", log=True),
        marks=[Mark(f"{d.tier}: {cell(d.drain, 's')}", d.capacity, d.drain) for d in every],
    )


def _devices_chart(near: list[Drain]) -> dict[str, Any]:
    """Drain time against capacity, of every device with high-bandwidth memory."""
    groups: dict[str, list[Drain]] = {}
    for d in near:
        if d.tier.startswith("HBM"):
            groups.setdefault(d.tier[:4].replace("HBM", "HBM ").strip(), []).append(d)
    return scatter(
        [
            Series(name, [d.capacity for d in groups[name]], [d.drain for d in groups[name]], labels=[d.machine for d in groups[name]])
            for name in sorted(groups)
        ],
        title="Drain time of high-bandwidth memory",
        x=Axis("Capacity per device", "B", log=True),
        y=Axis("Drain time", "s"),
        marks=[Mark(NAMED[d.machine], d.capacity, d.drain) for d in near if d.machine in NAMED],
    )
