"""From which volume on one's own machines cost less than an API.

An API is paid by the request, machines by the hour: replica by replica, whole domains and spare ones included
(`economics.fleet`). So the cost of machines is a staircase over the volume, and that of an API a straight line from
nothing. They may meet several times: from the first on machines can cost less, from the last on they always do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..arrays import Number
from ..world.machine import Machine
from .cost import HOUR, billed_devices
from .fleet import HOURS_PER_MONTH, billed

MOST = 4096
"""Replicas up to which the staircase is climbed; beyond it is a straight line."""

MONTH = HOURS_PER_MONTH * HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeBreakEven:
    """Where machines cost what an API costs; volumes in requests per second, infinite where they never do.

    `dollars`: of a request by API. `capacity`: requests per second of a replica, at the share of time it carries
    load. `first`: the least volume at which machines cost no more, with the replicas and dollars a month that it
    takes; `always`: beyond it they never cost more. `full`: dollars of a request where all replicas are full.
    """

    dollars: float
    capacity: float
    first: float
    always: float
    replicas: float
    month_dollars: float
    full: float

    @property
    def never(self) -> bool:
        return math.isinf(self.first)


def month(rate: Number, capacity: float, gpus: float, machine: Machine, spare: int) -> Number:
    """Dollars a month of machines for `rate` requests per second, of which a replica serves `capacity`.

    >>> box = Machine(name="8xh100", accelerator="h100", n_devices=8, domain=8, price_per_hour=2.0)
    >>> [float(month(rate, 3.0, 8.0, box, 0)) for rate in (0.1, 3.0, 3.1)]       # one box at $16 an hour, or two
    [11680.0, 11680.0, 23360.0]
    """
    replicas = np.maximum(np.ceil(np.asarray(rate) / capacity - 1e-9), 1.0) + spare
    return billed(replicas, gpus, machine) * machine.price_per_hour * HOURS_PER_MONTH


def break_even(dollars: float, capacity: float, gpus: float, machine: Machine, spare: int = 0) -> VolumeBreakEven:
    """The volumes at which machines cost what an API does at `dollars` a request.

    One box at $16 an hour that serves 3 requests a second, against $0.01 a request: 0.44 a second pay for it. At a
    hundredth of that no fleet does.

    >>> box = Machine(name="8xh100", accelerator="h100", n_devices=8, domain=8, price_per_hour=2.0)
    >>> round(break_even(0.01, 3.0, 8.0, box).first, 3), break_even(1e-4, 3.0, 8.0, box).never
    (0.444, True)
    """
    steps = np.arange(1.0, MOST + 1)
    cost = np.asarray(month(steps * capacity, capacity, gpus, machine, spare))
    met = cost / (dollars * MONTH)  # where the line passes each step
    begins, ends = (steps - 1) * capacity, steps * capacity
    below = met <= ends * (1 + 1e-12)
    full = float(billed_devices(gpus, machine) * machine.price_per_hour) / HOUR / capacity
    if not below.any():
        return VolumeBreakEven(
            dollars=dollars, capacity=capacity, first=math.inf, always=math.inf, replicas=0.0, month_dollars=0.0, full=full
        )
    i = int(np.argmax(below))
    lost = np.flatnonzero(met > begins * (1 + 1e-12))  # steps on whose first part the API costs less
    last = int(lost[-1])
    always = float(met[last]) if last < MOST - 1 else math.inf
    return VolumeBreakEven(
        dollars=dollars,
        capacity=capacity,
        first=float(max(met[i], begins[i])),
        always=always,
        replicas=float(steps[i]) + spare,
        month_dollars=float(cost[i]),
        full=full,
    )
