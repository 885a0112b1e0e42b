"""One pool or two: the same question answered both ways, on one front, and why one of them is cheaper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..economics.cost import HOUR
from ..economics.fleet import Fleet
from ..economics.pools import billed
from ..units import show
from .choice import Plan, plan_cost, unit_cost
from .disaggregated import PoolPlan, ServingPoint, pools_cost
from .grid import price_or_time
from .plan import Planned
from .ranking import TIE


def merged(points: Sequence[ServingPoint]) -> tuple[ServingPoint, ...]:
    """The points of all modes that nobody beats in speed for the user and in cost, fastest first.

    Cost is dollars, or device time where a machine of any of them has no price.
    """

    def cost(p: ServingPoint) -> float:
        return p.blended_mtok if paid else p.hours_mtok

    paid = all(p.priced for p in points)
    found: list[ServingPoint] = []
    for p in sorted(points, key=lambda p: (-p.interactivity, cost(p))):
        if not found or cost(p) < cost(found[-1]):
            found.append(p)
    return tuple(found)


def kept(points: Sequence[ServingPoint], max_ttft: float) -> tuple[ServingPoint, ...]:
    """The points that keep the TTFT; all where none does."""
    return tuple(p for p in points if p.ttft <= max_ttft) or tuple(points)


def aggregated_points(answers: Sequence[Planned]) -> tuple[ServingPoint, ...]:
    """The fronts of plans with one pool."""
    return tuple(
        ServingPoint(
            mode="aggregated",
            machine=a.question.machine.name,
            layout=a.by_price.layouts[i].label(),
            gpus=float(a.by_price.layouts[i].gpus),
            batch=float(a.by_price.batch[i]),
            interactivity=float(a.by_price.interactivity[i]),
            ttft=float(a.by_price.ttft[i]),
            tput_per_gpu=float(a.by_price.tput_per_gpu[i]),
            blended_mtok=float(a.by_price.blended_mtok[i]),
            hours_mtok=float(a.by_price.blended_mtok[i]) / float(price_or_time(a.question.machine)),
            priced=float(a.question.machine.price_per_hour) > 0,
        )
        for a in answers
        for i in range(len(a.by_price.batch))
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolComparison:
    """What a request costs in one pool and in two, in the same unit: dollars, or device-hours where not `paid`."""

    one: float
    two: float
    two_output: float  # the decode pool's part
    paid: bool
    unpriced: tuple[str, ...]  # machines without a price

    @property
    def winner(self) -> str:
        """The cheaper mode; one pool where both cost the same within `TIE`."""
        return "disaggregated" if self.two < self.one * (1 - TIE) else "aggregated"


def compared(one: Plan, two: PoolPlan, fleets: tuple[Fleet, Fleet] | None = None) -> PoolComparison:
    """Both plans' cost of a request, of whole fleets where those of two pools are given.

    Where a machine of either plan has no price, device time is compared: dollars and hours are never mixed.
    """
    machines = (one.machine, *two.machines)
    paid = all(float(m.price_per_hour) > 0 for m in machines)
    hours = [float(m.price_per_hour) if paid else 1.0 for m in two.machines]
    if fleets is None:
        devices = [float(d) for d in billed(two.serving, two.machines)]
        rate = float(two.serving.request_rate) * float(two.questions[0].traffic.utilisation)
    else:
        devices, rate = [float(f.billed) for f in fleets], fleets[0].rate
    parts = [d * hour / HOUR / rate for d, hour in zip(devices, hours, strict=True)]
    per_hour = 1.0 if paid else float(price_or_time(one.machine))
    return PoolComparison(
        one=(plan_cost(one) if fleets is not None else unit_cost(one)) / per_hour,
        two=sum(parts),
        two_output=parts[1],
        paid=paid,
        unpriced=tuple(dict.fromkeys(m.name for m in machines if not float(m.price_per_hour) > 0)),
    )


def why(one: Plan, two: PoolPlan, costs: PoolComparison) -> str:
    """What makes the dearer of the two dearer: the part of a request's cost that differs most, and its reason."""
    share = float(one.serving.decode_share)
    parts = {"output": (costs.one * share, costs.two_output), "input": (costs.one * (1 - share), costs.two - costs.two_output)}
    dearer = costs.two > costs.one
    sign = 1 if dearer else -1
    name = max(parts, key=lambda k: sign * (parts[k][1] - parts[k][0]))
    a, b = parts[name]
    relative = abs(costs.two / costs.one - 1)
    basis = "" if costs.paid else f"; device time is compared, as {' and '.join(costs.unpriced)} has no price"
    if relative < TIE:
        return f"both cost the same within {TIE:.1%}: one pool is simpler{basis}"
    unit = "$" if costs.paid else "s"
    scale = 1000.0 if costs.paid else HOUR
    of = "1,000 requests" if costs.paid else "a request"
    head = (
        f"two pools are {relative:.0%} {'dearer' if dearer else 'cheaper'}: the {name} of {of} takes"
        f" {show(b * scale, unit)} instead of {show(a * scale, unit)}{'' if costs.paid else ' of device time'}"
    )
    return f"{head}; {_reason(name, one, two, dearer)}{basis}"


def _reason(name: str, one: Plan, two: PoolPlan, dearer: bool) -> str:
    s, pools = one.serving, two.serving
    loss = pools_cost(two) / two.matched_exactly - 1
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
