"""From one replica to a fleet: replicas for a rate of requests, dollars per month, megawatts.

A replica carries its steady rate of requests times the traffic's utilisation; a fleet has `spare` replicas more than
that needs (N+1 by default). Machines are paid for whole: replicas are packed into scale-up domains, and every device
of a domain in use is billed and powered.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Number
from ..errors import BadInput
from ..serving.steady import Serving
from ..world.machine import Machine
from ..world.workload import Traffic

HOURS_PER_MONTH = 730.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetNeed:
    """What is asked of a fleet: requests per second, spare replicas, and facility watts it may draw."""

    rate: float
    spare: int = 1
    power_limit: float = math.inf

    def __post_init__(self) -> None:
        if not 0 < self.rate < math.inf:
            raise BadInput(f"rate = {self.rate!r} is out of range; give requests per second above 0")
        if not self.power_limit > 0:
            raise BadInput(f"power_limit = {self.power_limit!r} is impossible; give watts above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """A fleet for `rate` requests per second. Watts are at the facility; columns or scalars.

    `devices` work in replicas, `billed` are paid for and powered (whole domains). `utilisation` is of all replicas,
    spare included. Power and energy are 0 where the machine's power is unknown.
    """

    rate: float
    replicas: Number
    spare: int
    devices: Number
    billed: Number
    machines: Number
    utilisation: Number
    month_dollars: Number
    power: Number
    tokens_per_s: float
    tokens_per_s_mw: Number
    joules_per_token: Number
    within_power: Number

    @property
    def mtok(self) -> float:
        """Dollars per million tokens of the requests, the idle share included."""
        return float(self.month_dollars) / (self.tokens_per_s * HOURS_PER_MONTH * 3600.0) * 1e6


def fleet(request_rate: Number, gpus: Number, machine: Machine, traffic: Traffic, need: FleetNeed) -> Fleet:
    """The fleet of replicas that serve `request_rate` requests per second each on `gpus` devices.

    >>> from rackmath.world.machine import Machine
    >>> box = Machine(name="8xh100", accelerator="h100", n_devices=8, domain=8, price_per_hour=2.0, power=700)
    >>> f = fleet(3.0, 4, box, Traffic(isl=1000, osl=100), FleetNeed(rate=10))
    >>> float(f.replicas), float(f.billed), float(f.month_dollars)     # 4 and a spare, in 3 boxes of 2 replicas
    (5.0, 24.0, 35040.0)
    """
    replicas = np.ceil(need.rate / (request_rate * traffic.utilisation) - 1e-9) + need.spare
    paid = billed(replicas, gpus, machine)
    power: Any = paid * machine.power * machine.overhead_power
    tokens = need.rate * (float(traffic.isl) + float(traffic.osl))
    return Fleet(
        rate=need.rate,
        replicas=replicas,
        spare=need.spare,
        devices=replicas * gpus,
        billed=paid,
        machines=paid / np.minimum(machine.domain, machine.n_devices),
        utilisation=need.rate / (replicas * request_rate),
        month_dollars=paid * machine.price_per_hour * HOURS_PER_MONTH,
        power=power,
        tokens_per_s=tokens,
        tokens_per_s_mw=np.where(power > 0, tokens / np.maximum(power, 1e-3) * 1e6, 0.0),
        joules_per_token=power / tokens,
        within_power=power <= need.power_limit,
    )


def billed(replicas: Number, gpus: Number, machine: Machine) -> Number:
    """Devices that so many replicas of `gpus` pay for: they are packed into scale-up domains, which are paid whole.

    >>> box = Machine(name="8xh100", accelerator="h100", n_devices=8, domain=8)
    >>> float(billed(5.0, 4.0, box)), float(billed(2.0, 12.0, box))
    (24.0, 32.0)
    """
    unit = np.minimum(machine.domain, machine.n_devices)
    inside = np.maximum(np.floor(unit / gpus), 1.0)  # replicas in a domain
    spanned = np.ceil(gpus / unit)  # domains of a replica
    found: Number = np.where(np.asarray(gpus) <= unit, np.ceil(replicas / inside), replicas * spanned) * unit
    return found


def fleet_of(serving: Serving, machine: Machine, traffic: Traffic, need: FleetNeed) -> Fleet:
    """The fleet of replicas in a steady state."""
    return fleet(serving.request_rate, serving.gpus, machine, traffic, need)
