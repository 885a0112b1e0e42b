"""Machines of one's own beside an API: the volume from which on they cost less, as data, words and a picture."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..answers.charts import Axis, Mark, Series, curve
from ..answers.parts import Frame, Say
from ..economics.breakeven import MONTH, VolumeBreakEven, break_even, month
from ..search.choice import Plan
from . import setting
from .plans import spans

Record = dict[str, Any]
Ends = tuple[float | None, float | None]


def met(p: Plan, dollars: float, spare: int) -> tuple[VolumeBreakEven, Ends]:
    """Where the machines of a plan cost what an API does at `dollars` a request, and the 5 to 95 % of that volume.

    A replica's rate is as sure as its price of a token.
    """

    def at(factor: float) -> VolumeBreakEven:
        capacity = float(p.serving.request_rate) * p.question.traffic.utilisation / factor
        return break_even(dollars, capacity, float(p.layout.gpus), p.machine, spare)

    span = spans(p)["blended_mtok"]
    if span is None:
        return at(1.0), (None, None)
    low, high = (at(end / float(p.cost.blended_mtok)).first for end in span)
    return at(1.0), (low, high)


def record(b: VolumeBreakEven, p: Plan, between: Ends) -> Record:
    """What machines and an API cost, and where they meet; volumes in requests per second, null where never."""
    low, high = between
    return {
        "model": p.question.model.name,
        "machine": p.machine.name,
        "layout": setting.layout(p.layout),
        "precision": setting.precision(p.precision),
        "batch": p.batch,
        "price_per_gpu_hour": setting.known_price(p.machine),
        "rate": b.first,
        "rate_low": low,
        "rate_high": high,
        "rate_always": b.always,
        "requests_month": b.first * MONTH,
        "month_dollars": None if b.never else b.month_dollars,
        "replicas": None if b.never else b.replicas,
        "requests_per_replica": b.capacity,
        "api_request": b.dollars,
        "own_request": b.full,
    }


def frame(b: VolumeBreakEven, p: Plan, between: Ends) -> Frame:
    """The volume in a sentence, and which machines are meant."""
    values: Record = record(b, p, between) | {"month": b.first * MONTH}
    if b.never:
        says = ["*At no volume*: full replicas serve a request for {own_request:$}, the API for {api_request:exact}"]
    else:
        says = [
            "Cheaper from *{rate:number} requests a second* on, {month:number} a month" + _between(values),
            "{replicas:whole} replicas are {month_dollars:dollars} a month then; full ones serve a request for"
            " {own_request:$}, the API for {api_request:exact}",
        ]
        if b.always > b.first * (1 + 1e-9) and math.isfinite(b.always):
            says.append("Beyond {rate_always:number} a second never dearer")
    where = f"{p.question.model.name} on {p.machine.name}, {p.layout.label()}, {setting.formats(p.precision)}"
    return Frame(head="machines of one's own", good=not b.never, says=(*(Say(text, values) for text in says), Say(where)))


def _between(values: Record) -> str:
    """The interval of the volume in words, where it is known."""
    low, high = values["rate_low"], values["rate_high"]
    if low is None or (high is not None and high <= low * 1.01):
        return ""
    if high is None or math.isinf(high):
        return " (5 to 95 %: from {rate_low:number} to never)" if math.isfinite(low) else ""
    return " (5 to 95 %: {rate_low:number} to {rate_high:number} a second)"


def chart(b: VolumeBreakEven, p: Plan, spare: int) -> dict[str, Any]:
    """Dollars a month against requests per second: a line by API, a staircase on machines."""
    far = 4 * b.capacity if b.never else max(2.5 * b.first, min(1.3 * b.always, 6 * b.first), 2 * b.capacity)
    steps = np.arange(0.0, min(math.ceil(far / b.capacity), 200) + 1, dtype=np.float64) * b.capacity
    x = np.repeat(steps, 2)[1:-1]
    y = np.repeat(np.asarray(month(steps[1:], b.capacity, float(p.layout.gpus), p.machine, spare)), 2)
    marks = [] if b.never else [Mark("break-even", b.first)]
    return curve(
        [
            Series("machines", x.tolist(), y.tolist()),
            Series("API", [0.0, float(steps[-1])], [0.0, b.dollars * MONTH * float(steps[-1])], look="dashed"),
        ],
        title="A month by API and on machines",
        x=Axis("Requests per second"),
        y=Axis("Dollars a month", "$"),
        marks=marks,
    )
