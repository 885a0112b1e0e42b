"""Dollars per million tokens.

The rule. A request costs its replica's price over the rate of requests and the utilisation. Of a step's time, what
a decode-only step would have taken is charged to output; the rest is prefill and charged to input; of that, the
part that would vanish if the cached prefix were not there to attend to is charged to cached tokens. The three
charges sum to the whole. Machines are paid for whole: a replica of 64 devices in a rack of 72 pays for 72.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import Number
from ..serving.steady import Serving
from ..world.machine import Machine
from ..world.workload import Traffic

HOUR = 3600.0
MTOK = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Dollars: per request, and per million fresh input, cached input and output tokens; `blended` over all tokens.

    `bound_share` is the cost at the bound over the estimate: no engine can push the price below that share.
    """

    request: Number
    input_mtok: Number
    cache_read_mtok: Number
    output_mtok: Number
    blended_mtok: Number
    bound_share: Number
    replica_hour: Number
    joules_per_token: Number  # facility joules per token, input and output alike
    tokens_per_s_mw: Number  # tokens per second per facility megawatt; 0, like the joules, where power is unknown


def billed_devices(gpus: Number, machine: Machine) -> Number:
    """Devices paid for by a replica of `gpus`: replicas are packed into scale-up domains, which are paid for whole.

    >>> rack = Machine(name="rack", accelerator="a", n_devices=72, domain=72)
    >>> float(billed_devices(12.0, rack)), float(billed_devices(64.0, rack))     # six to a rack, one to a rack
    (12.0, 72.0)
    """
    unit = np.minimum(machine.domain, machine.n_devices)
    paid: Number = np.where(gpus <= unit, unit / np.maximum(np.floor(unit / gpus), 1.0), np.ceil(gpus / unit) * unit)
    return paid


def request_cost(serving: Serving, machine: Machine, traffic: Traffic, per_hour: Number) -> Number:
    """Price of a request at `per_hour` dollars per device-hour: the replica's price over what it serves."""
    paid: Number = billed_devices(serving.gpus, machine) * per_hour
    return paid / HOUR / serving.request_rate / traffic.utilisation


def cost(serving: Serving, machine: Machine, traffic: Traffic) -> Cost:
    """What the tokens of a steady state cost at the machine's price and the traffic's utilisation."""
    billed = billed_devices(serving.gpus, machine)
    replica_hour = billed * machine.price_per_hour
    request = request_cost(serving, machine, traffic, machine.price_per_hour)
    to_output = serving.decode_share
    to_cached = serving.cached_share
    to_input = np.maximum(1 - to_output - to_cached, 0.0)
    fresh = np.maximum(traffic.isl * (1 - traffic.cached), 1.0)
    held = np.maximum(traffic.isl * traffic.cached, 1e-300)
    watts = billed * machine.power * machine.overhead_power
    tokens = serving.request_rate * (traffic.isl + traffic.osl)
    return Cost(
        request=request,
        input_mtok=request * to_input / fresh * MTOK,
        cache_read_mtok=np.where(np.asarray(traffic.cached) > 0, request * to_cached / held * MTOK, 0.0),
        output_mtok=request * to_output / traffic.osl * MTOK,
        blended_mtok=request / (traffic.isl + traffic.osl) * MTOK,
        bound_share=serving.request_rate / serving.request_rate_bound,
        replica_hour=replica_hour,
        joules_per_token=watts / tokens,
        tokens_per_s_mw=np.where(watts > 0, tokens / np.maximum(watts, 1e-3) * 1e6, 0.0),
    )


def energy_mtok(serving: Serving, machine: Machine, traffic: Traffic, per_kwh: float) -> Number:
    """Dollars of energy in a million output tokens at `per_kwh` dollars: what they add where the hour is paid anyway.

    The whole facility power of the replica, over its output rate and the share of time that decoding takes; 0 where
    the machine's power is unknown.
    """
    watts = serving.gpus * machine.power * machine.overhead_power
    joules = watts / serving.request_rate * serving.decode_share / traffic.osl
    return joules / 3.6e6 * per_kwh * MTOK
