"""One pool or two: the same question answered both ways, on one front, and why one of them is cheaper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..economics.cost import HOUR
from ..units import show
from .disaggregated import Point, PoolPlan, spent
from .plan import Answer, Plan

TIE = 1e-3
"""Relative difference in cost below which one pool, the simpler, is preferred."""


def merged(points: Sequence[Point]) -> tuple[Point, ...]:
    """The points of all modes that nobody beats in speed for the user and in dollars, fastest first."""
    found: list[Point] = []
    for p in sorted(points, key=lambda p: (-p.interactivity, p.blended_mtok)):
        if not found or p.blended_mtok < found[-1].blended_mtok:
            found.append(p)
    return tuple(found)


def kept(points: Sequence[Point], max_ttft: float) -> tuple[Point, ...]:
    """The points that keep the TTFT; all where none does."""
    return tuple(p for p in points if p.ttft <= max_ttft) or tuple(points)


def aggregated_points(answers: Sequence[Answer]) -> tuple[Point, ...]:
    """The fronts of plans with one pool."""
    return tuple(
        Point(
            mode="aggregated",
            machine=a.question.machine.name,
            layout=a.by_price.layouts[i].label(),
            gpus=float(a.by_price.layouts[i].gpus),
            batch=float(a.by_price.batch[i]),
            interactivity=float(a.by_price.interactivity[i]),
            ttft=float(a.by_price.ttft[i]),
            tput_per_gpu=float(a.by_price.tput_per_gpu[i]),
            blended_mtok=float(a.by_price.blended_mtok[i]),
        )
        for a in answers
        for i in range(len(a.by_price.batch))
    )


def why(one: Plan, two: PoolPlan, *, one_spent: float) -> str:
    """What makes the dearer of the two dearer: the part of a request's cost that differs most, and its reason."""
    paid = float(two.cost.replica_hour) > 0 and float(one.cost.replica_hour) > 0
    out_two = spent(two) * _decode_part(two)
    parts = {
        "output": (one_spent * float(one.serving.decode_share), out_two),
        "input": (one_spent * (1 - float(one.serving.decode_share)), spent(two) - out_two),
    }
    dearer = spent(two) > one_spent
    sign = 1 if dearer else -1
    name = max(parts, key=lambda k: sign * (parts[k][1] - parts[k][0]))
    a, b = parts[name]
    relative = abs(spent(two) / one_spent - 1)
    if relative < TIE:
        return "both cost the same within 0.1 %: one pool is simpler"
    unit = "$" if paid else "s"
    scale = 1000.0 if paid else HOUR
    of = "1,000 requests" if paid else "a request"
    head = (
        f"two pools are {relative:.0%} {'dearer' if dearer else 'cheaper'}: the {name} of {of} takes"
        f" {show(b * scale, unit)} instead of {show(a * scale, unit)}"
    )
    return f"{head}; {_reason(name, one, two, dearer)}"


def _decode_part(p: PoolPlan) -> float:
    """The decode pool's part of the cost."""
    from ..economics.pools import billed
    from .disaggregated import prices

    devices, hours = billed(p.serving, p.machines), prices(*p.machines)
    mine = float(devices[1]) * hours[1]
    return mine / (float(devices[0]) * hours[0] + mine)


def _reason(name: str, one: Plan, two: PoolPlan, dearer: bool) -> str:
    s, pools = one.serving, two.serving
    loss = spent(two) / two.matched_exactly - 1
    per_one, per_two = one.batch / float(s.gpus), float(pools.decode.batch) / float(pools.decode.layout.gpus)
    if dearer and loss > 0.05:
        return f"whole numbers of replicas waste {loss:.0%} against rates matched exactly"
    if name == "output" and not dearer:
        return (
            f"steps without prefill leave time for {per_two:,.0f} sequences on a GPU instead of {per_one:,.0f}"
            f" (in one pool {float(s.mixed):.0%} of the steps carry prefill)"
            if per_two > per_one
            else f"in one pool {float(s.mixed):.0%} of the steps carry prefill and hold decoding up"
        )
    if name == "output":
        return f"{per_two:,.0f} sequences decode on a GPU instead of {per_one:,.0f}"
    load = f"replicas of {pools.prefill.layout.label()}, busy {float(pools.prefill.load):.0%} of the time"
    if dearer:
        return f"prompts need their own {load}, and pass over weights that steps in one pool read anyway"
    return f"prompts run in {load}, cut for prefill alone"


def closest(points: Sequence[Point], speed: float) -> Point | None:
    """The cheapest point at least so fast."""
    fast = [p for p in points if p.interactivity >= speed]
    return min(fast, key=lambda p: p.blended_mtok) if fast else None


def times_cheaper(points: Sequence[Point]) -> tuple[float, float]:
    """Largest factor by which one pool beats two and the other way round, over the speeds both reach."""
    by = {mode: [p for p in points if p.mode == mode] for mode in ("aggregated", "disaggregated")}
    if not all(by.values()):
        return 1.0, 1.0
    factors = []
    for p in points:
        a, b = (closest(by[mode], p.interactivity * (1 - 1e-9)) for mode in by)
        if a is not None and b is not None:
            factors.append(b.blended_mtok / a.blended_mtok)
    found = np.array(factors or [1.0])
    return float(max(found.max(), 1.0)), float(max((1 / found).max(), 1.0))
