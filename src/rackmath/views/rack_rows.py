"""Rows of an answer about racks, as they stand in its record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import setting

if TYPE_CHECKING:
    from ..search.domains import DomainStep
    from ..search.racks import FabricCase, RackComparison


def case_row(c: FabricCase) -> dict[str, Any]:
    """A layout on a machine: its exchange, its pass, its rate."""
    moved = c.moved
    return {
        "case": c.label,
        "layout": setting.layout(c.layout) | {"redundant": c.layout.redundant},
        "domain": c.machine.domain,
        "domains": c.domains,
        "exchange": c.exchange if c.scheme else None,
        "exchange_by": c.scheme or None,
        "exchanges": None if moved is None else {k: float(v) for k, v in moved.times.items()},
        "distinct_devices": None if moved is None else moved.devices,
        "distinct_domains": None if moved is None else moved.domains,
        "hidden": c.time.hidden,
        "time": c.time.estimate,
        "time_bound": c.time.bound,
        "tokens": c.tokens,
        "tokens_per_second": c.rate,
        "tokens_per_second_per_gpu": c.rate / float(c.layout.gpus),
        "mtok": c.mtok,
        "memory": c.memory,
        "fits": c.fits,
    }


def floor_row(r: RackComparison, i: int) -> dict[str, Any]:
    """A decode step in a domain of one size."""
    f = r.floors
    return {
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


def step_row(s: DomainStep) -> dict[str, Any]:
    """A machine's weights read once by one domain."""
    names = ("floor", "times", "by_domain", "by_chip", "fits")
    return {"machine": s.machine.name, "domain": s.devices} | {name: getattr(s, name) for name in names}
