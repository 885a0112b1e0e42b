"""From one replica to a fleet: replicas for a rate of requests, dollars per month, megawatts."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import BadInput
from ..serving.steady import Serving
from ..world.machine import Machine
from ..world.workload import Traffic

HOURS_PER_MONTH = 730.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """A fleet that serves `served` requests per second out of `rate`; watts are at the facility."""

    rate: float
    served: float
    replicas: int  # including the spare
    spare: int
    devices: float
    utilisation: float  # of the replicas, spare included
    month_dollars: float
    power: float
    tokens_per_s: float
    tokens_per_s_mw: float
    joules_per_token: float
    limited_by_power: bool


def fleet(
    serving: Serving, machine: Machine, traffic: Traffic, *, spare: int = 1, power_limit: float = math.inf
) -> Fleet:
    """Replicas for `traffic.rate` requests per second, with `spare` more than needed (N+1), under a power limit.

    A replica carries its steady rate times the traffic's utilisation.
    """
    if traffic.rate is None:
        raise BadInput("a fleet needs a rate of requests; give one like --rate 30/s")
    one = float(serving.request_rate) * traffic.utilisation
    watts = float(serving.gpus) * float(machine.power) * machine.overhead_power
    needed = max(1, math.ceil(traffic.rate / one - 1e-9)) + spare
    most = math.floor(power_limit / watts) if watts > 0 and power_limit < math.inf else needed
    if most <= spare:
        raise BadInput(
            f"a power limit of {power_limit / 1e3:,.1f} kW is below the {watts * (1 + spare) / 1e3:,.1f} kW that one"
            f" replica and {spare} spare draw; raise the limit or choose a smaller layout"
        )
    replicas = min(needed, most)
    served = min(traffic.rate, (replicas - spare) * one)
    devices = replicas * float(serving.gpus)
    power = replicas * watts
    tokens = served * (float(traffic.isl) + float(traffic.osl))
    return Fleet(
        rate=traffic.rate,
        served=served,
        replicas=replicas,
        spare=spare,
        devices=devices,
        utilisation=served / (replicas * float(serving.request_rate)),
        month_dollars=devices * float(machine.price_per_hour) * HOURS_PER_MONTH,
        power=power,
        tokens_per_s=tokens,
        tokens_per_s_mw=tokens / power * 1e6 if power else 0.0,
        joules_per_token=power / tokens if tokens else 0.0,
        limited_by_power=replicas < needed,
    )
