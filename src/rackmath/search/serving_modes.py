"""One pool or two: the same question answered both ways, on one front, and why one of them is cheaper."""

from __future__ import annotations

from collections.abc import Sequence

from ..economics.cost import HOUR
from ..units import show
from .disaggregated import Point, PoolPlan, spent
from .plan import TIE, Answer, Plan


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
        return f"both cost the same within {TIE:.1%}: one pool is simpler"
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
    mine, its = (
        f"{show(batch / float(layout.gpus))} sequences on a GPU ({layout.label()})"
        for batch, layout in ((one.batch, one.layout), (float(pools.decode.batch), pools.decode.layout))
    )
    if dearer and loss > 0.05:
        return f"whole numbers of replicas waste {loss:.0%} against rates matched exactly"
    if name == "output":
        mixed = f"; in one pool {float(s.mixed):.0%} of the steps carry prefill" if float(s.mixed) >= 0.005 else ""
        return f"steps decode {its} instead of {mine}{mixed}"
    own = f"replicas of their own ({pools.prefill.layout.label()}, busy {float(pools.prefill.load):.0%} of the time)"
    if dearer:
        return f"prompts need {own}, which read weights that the steps of one pool read anyway"
    return f"prompts run in {own}, cut for prefill alone"
