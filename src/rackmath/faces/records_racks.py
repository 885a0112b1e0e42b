"""Answers of `racks` as plain mappings and rows. SI units; None where unknown."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING

from .ask_racks import RacksAnswer, RatioAnswer
from .records import Record, known_price, layout, precision

if TYPE_CHECKING:
    from ..search.domains import Step
    from ..search.racks import Case


def ratio_rows(answer: RatioAnswer) -> list[Record]:
    """One row for each machine."""
    rows: list[Record] = []
    for r in answer.ratios:
        m = r.machine
        found = [m.sources.get(f"scale{way}_bandwidth") for way in ("up", "out")]
        rows.append(
            {
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
        )
    return rows


def racks(answer: RacksAnswer) -> Record:
    """{question, placement, layouts, crossing, domains, beside, notes}."""
    r = answer.racks
    q = r.question
    f = r.floors
    reached = f.reaching(r.target) if r.target else None
    return {
        "question": {"model": q.model.name, "machine": q.machine.name, **asdict(r.work)},
        "precision": precision(r.precision),
        "dispatch": r.precision.sent.name,
        "combine": r.precision.combine.name,
        "imbalance": q.efficiency.imbalance,
        "overlap": bool(q.efficiency.overlap),
        "price_per_gpu_hour": known_price(q.machine),
        "link_ratio": r.ratio,
        "placement": None if r.placed is None else asdict(r.placed) | {"expert_bytes_per_device": r.resident},
        "layouts": [case(c) for c in r.cases],
        "crossing": {
            "exchange_factor": r.exchange_factor,
            "pass_factor": r.pass_factor,
            "links_alone": r.least_factor,
        },
        "domains": floor_rows(answer),
        "target": None
        if r.target is None
        else {"interactivity": r.target, "domain": None if reached is None else f.devices[reached]},
        "beside": [step(s) for s in r.steps],
        "notes": list(answer.notes),
    }


def case(c: Case) -> Record:
    """One layout on one fabric."""
    moved = c.moved
    return {
        "case": c.label,
        "layout": layout(c.layout) | {"redundant": c.layout.redundant},
        "domain": c.machine.domain,
        "domains": c.domains,
        "exchange": c.exchange if c.scheme else None,
        "exchange_by": c.scheme or None,
        "exchanges": None if moved is None else {k: finite(float(v)) for k, v in moved.times.items()},
        "distinct_devices": None if moved is None else moved.devices,
        "distinct_domains": None if moved is None else moved.domains,
        "hidden": c.time.hidden,
        "time": c.time.estimate,
        "time_bound": c.time.bound,
        "tokens": c.tokens,
        "tokens_per_second": c.rate,
        "tokens_per_second_per_gpu": c.rate / float(c.layout.gpus),
        "mtok": finite(c.mtok),
        "memory": c.memory,
        "fits": c.fits,
    }


def floor_rows(answer: RacksAnswer) -> list[Record]:
    """One row for each domain size."""
    f = answer.racks.floors
    return [
        {
            "domain": f.devices[i],
            "layout": f.layouts[i].label(),
            "weights": f.weights[i],
            "tpot_bound": f.bound[i],
            "tpot": f.estimate[i],
            "network": f.network[i],
            "overhead": f.overhead[i],
            "interactivity": 1 / f.estimate[i],
            "fits": bool(f.fits[i]),
        }
        for i in range(len(f.devices))
    ]


def step(s: Step) -> Record:
    """The weight floor of one machine's domain."""
    return {
        "machine": s.machine.name,
        "domain": s.devices,
        "floor": s.floor,
        "times": s.times,
        "by_domain": s.by_domain,
        "by_chip": s.by_chip,
        "fits": s.fits,
    }


def finite(value: float) -> float | None:
    """The value, or None where it is not a number or without end."""
    return value if math.isfinite(value) else None
