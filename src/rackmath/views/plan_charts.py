"""Pictures of a plan: fronts, and the field of candidates with their prices; the chosen plan marked."""

from __future__ import annotations

from typing import Any

from ..answers.charts import Axis, Mark, Series, sketch
from ..search.choice import Plan
from ..search.disaggregated import PoolPlan, ServingPoint
from ..search.either import ModesAnswer
from ..search.plan import Planned as Found
from . import plans, pools, setting

Record = dict[str, Any]

MODES = ("aggregated", "disaggregated")


def front(found: Found) -> dict[str, Any]:
    """The front as a chart: throughput against speed, the chosen plan marked."""
    front, q = found.by_throughput, found.question
    marks = []
    if found.best is not None:
        s = found.best.serving
        marks.append(Mark("chosen", float(s.interactivity), float(s.tput_per_gpu)))
    return sketch(
        [Series("Pareto front", front.interactivity.tolist(), front.tput_per_gpu.tolist(), labels=front.labels)],
        title=f"{q.model.name} on {q.machine.name}",
        x=Axis("Speed for one user", "tok/s/user", log=True),
        y=Axis("Input + output tokens", "tok/s/GPU", log=True),
        marks=marks,
        auto="dots",
    )


def field(found: Found, best: Plan, candidates: list[Record]) -> dict[str, Any]:
    """Price against speed: candidates with their intervals beside the front, the chosen plan marked."""
    front, q = found.by_price, best.question
    paid = setting.known_price(q.machine) is not None
    mine = plans.price_point(best)
    every = [mine, *candidates]
    known = all(c["low"] is not None for c in every)
    series = [
        Series(
            "candidates",
            [c["interactivity"] for c in every],
            [c["price"] for c in every],
            look="dots",
            labels=[c["label"] for c in every],
            low=[c["low"] for c in every] if known else (),
            high=[c["high"] for c in every] if known else (),
        ),
        Series("Pareto front", front.interactivity.tolist(), front.blended_mtok.tolist(), look="line", labels=front.labels),
    ]
    return sketch(
        series,
        title=f"{q.model.name} on {q.machine.name}: candidates and their price",
        x=Axis("Speed for one user", "tok/s/user", log=True),
        y=Axis("Price of a million tokens" if paid else "Device-hours for a million tokens", "$" if paid else "", log=True),
        marks=[Mark("chosen", mine["interactivity"], mine["price"])],
        auto="dots",
    )


NAMES = {"aggregated": "one pool", "disaggregated": "two pools"}


def _marks(a: ModesAnswer, y: float | None) -> list[Mark]:
    return [] if a.best is None or y is None else [Mark("chosen", float(a.best.serving.interactivity), y)]


def both_fronts(a: ModesAnswer) -> dict[str, Any]:
    """Throughput against speed: a line for each mode, the chosen plan marked."""
    q = a.questions[1]
    series = [
        Series(NAMES[mode], [p.interactivity for p in rows], [p.tput_per_gpu for p in rows], labels=tuple(p.layout for p in rows))
        for mode in MODES
        if (rows := _upper([p for p in a.points if p.mode == mode]))
    ]
    return sketch(
        series,
        title=f"{q.model.name} on {q.machine.name}: {'one pool and two' if a.aggregated else 'two pools'}",
        x=Axis("Speed for one user", "tok/s/user", log=True),
        y=Axis("Input + output tokens", "tok/s/GPU", log=True),
        marks=_marks(a, None if a.best is None else float(a.best.serving.tput_per_gpu)),
        auto="dots",
    )


def both_prices(a: ModesAnswer) -> dict[str, Any]:
    """Price against speed: the candidates of each mode, the chosen plan with its interval."""
    q = a.questions[1]
    paid = all(p.priced for p in a.points)
    series = [
        Series(
            NAMES[mode],
            [p.interactivity for p in rows],
            [p.blended_mtok if paid else p.hours_mtok for p in rows],
            labels=tuple(p.layout for p in rows),
        )
        for mode in MODES
        if (rows := [p for p in a.points if p.mode == mode])
    ]
    price = float(a.best.cost.blended_mtok) if paid and a.best is not None else None
    if price is not None:
        spans = pools.spans(a.best) if isinstance(a.best, PoolPlan) else plans.spans(a.best)
        low, high = spans["blended_mtok"] or (price, price)
        speed = float(a.best.serving.interactivity)
        series.append(Series("chosen, 5 to 95 %", [speed], [price], look="dots", low=[low], high=[high]))
    return sketch(
        series,
        title=f"{q.model.name} on {q.machine.name}: price against speed",
        x=Axis("Speed for one user", "tok/s/user", log=True),
        y=Axis("Price of a million tokens" if paid else "Device-hours for a million tokens", "$" if paid else "", log=True),
        marks=_marks(a, price),
        auto="dots",
    )


def _upper(points: list[ServingPoint]) -> list[ServingPoint]:
    """Points that no faster one beats in throughput."""
    found: list[ServingPoint] = []
    for p in sorted(points, key=lambda p: -p.interactivity):
        if not found or p.tput_per_gpu > found[-1].tput_per_gpu:
            found.append(p)
    return found
