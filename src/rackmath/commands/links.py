"""Scale-up over scale-out bandwidth of every machine, or of one.

Group: Catalogue
Example: rackmath links --on gb200-nvl72
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

from ..answers.parts import Answer, Column, Say, Table
from ..answers.terms import Term, quotient
from ..questions.fields import words
from ..search.racks import Ratio, link_ratio
from ..views.machine_terms import of_machine
from ..world import catalog


@dataclass(frozen=True, kw_only=True)
class Links:
    """Which machines."""

    on: Annotated[str | None, words("One machine. All that have both links if not given.", "MACHINE", flag="--on", complete="machines")] = (
        None
    )


def answer(q: Links) -> Answer:
    """A row for each machine; a person is shown each chip on its links once, newest first."""
    if q.on is not None:
        ratios = [link_ratio(catalog.machine(q.on))]
        notes = ratios[0].machine.notes
    else:
        every = (link_ratio(catalog.machine(one.name)) for one in catalog.machines())
        ratios, notes = [r for r in every if r.ratio == r.ratio], ()
    kept: dict[tuple[Any, ...], Ratio] = {}
    for r in ratios:  # a system of the same chips on the same links is left out: chips come first
        m = r.machine
        kept.setdefault((m.accelerator, m.domain, m.scaleup_bandwidth, m.scaleout_bandwidth), r)
    shown = sorted(kept.values(), key=lambda r: (-r.machine.year, r.machine.vendor, r.machine.name))
    return Answer(
        title=Say("Scale-up over scale-out bandwidth"),
        subtitle="Per device and one way. The lecture's figure is 8.",
        blocks=(_table(ratios, shown), Say("domain: packages that the scale-up fabric joins", faint=True)),
        table="links",
        terms=lambda: _terms(ratios),
        notes=notes,
    )


def _table(ratios: list[Ratio], shown: list[Ratio]) -> Table:
    columns = (
        Column("machine", "machine"),
        Column("domain", "domain", "whole"),
        Column("scaleup_bandwidth", "scale-up", "B/s"),
        Column("scaleout_bandwidth", "scale-out", "B/s"),
        Column("ratio", "ratio", "number"),
    )
    return Table(
        key="links",
        columns=columns,
        rows=[_row(r) for r in ratios],
        shown=[_row(r) | ({} if math.isfinite(r.ratio) else {"ratio": "-"}) for r in shown],
        marks={i: _aside(r) for i, r in enumerate(shown)},
    )


def _row(r: Ratio) -> dict[str, Any]:
    m = r.machine
    found = [m.sources.get(f"scale{way}_bandwidth") for way in ("up", "out")]
    return {
        "machine": m.name,
        "accelerator": m.accelerator,
        "year": m.year or None,
        "domain": m.domain,
        "packages_times_dies": float(m.domain) * float(m.dies),
        "scaleup_bandwidth": m.scaleup_bandwidth,
        "scaleout_bandwidth": m.scaleout_bandwidth,
        "ratio": r.ratio,
        "verified": r.verified,
        "source": "; ".join(dict.fromkeys(s.text for s in found if s)),
    }


def _aside(r: Ratio) -> str:
    m = r.machine
    dies = f"{float(m.domain) * float(m.dies):g} dies" if float(m.dies) > 1 else ""
    doubt = "" if r.verified or not math.isfinite(r.ratio) else "unverified"
    return ", ".join(word for word in (dies, doubt) if word)


def _terms(ratios: list[Ratio]) -> Term:
    """Every ratio with the sources of both links."""
    nodes = []
    for r in ratios:
        if r.ratio != r.ratio:
            nodes.append(Term(name=r.machine.name, note="lacks one of the two links, or is a domain of its own"))
            continue
        up = of_machine(r.machine, "scaleup_bandwidth", "scale-up bandwidth")
        out = of_machine(r.machine, "scaleout_bandwidth", "scale-out bandwidth")
        nodes.append(quotient(r.machine.name, "", up, out))
    return Term(name="scale-up over scale-out, per device, one way", children=tuple(nodes))
