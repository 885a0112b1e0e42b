"""Dollars per million tokens of two pools: prefill is charged to input, decode to output.

The rule. A request costs both pools' price over its rate and the utilisation. What the prefill pool costs goes to
input; of that, the part of its passes that would vanish without the cached prefix goes to cached tokens. What the
decode pool costs goes to output. The three sum to the whole, whatever the ratio of the pools.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Number
from ..serving.disaggregated import Disaggregated
from ..world.machine import Machine
from ..world.workload import Traffic
from .cost import HOUR, MTOK, Cost, billed_devices


def billed(served: Disaggregated, machines: tuple[Machine, Machine]) -> tuple[Number, Number]:
    """Devices paid for in the prefill and the decode pool of one unit: scale-up domains are paid for whole."""
    return (
        served.n_prefill * billed_devices(served.prefill.layout.gpus, machines[0]),
        served.n_decode * billed_devices(served.decode.layout.gpus, machines[1]),
    )


def pool_cost(served: Disaggregated, machines: tuple[Machine, Machine], traffic: Traffic) -> Cost:
    """What the tokens of two pools cost; `machines` are those of the prefill and the decode pool.

    `replica_hour` is the price of one unit: the smallest whole numbers of replicas of both pools that match.
    """
    prefill, decode = machines
    in_devices, out_devices = billed(served, machines)
    in_hour, out_hour = in_devices * prefill.price_per_hour, out_devices * decode.price_per_hour
    each = 1 / HOUR / served.request_rate / traffic.utilisation
    to_cached = in_hour * served.prefill.cached_share
    fresh = np.maximum(traffic.isl * (1 - traffic.cached), 1.0)
    held = np.maximum(traffic.isl * traffic.cached, 1e-300)
    watts = in_devices * prefill.power * prefill.overhead_power
    watts = watts + out_devices * decode.power * decode.overhead_power
    tokens = served.request_rate * (traffic.isl + traffic.osl)
    request = (in_hour + out_hour) * each
    least = in_hour / (served.n_prefill * served.prefill.rate_bound)
    least = least + out_hour / (served.n_decode * served.decode.rate_bound)
    spent = (in_hour + out_hour) / served.request_rate
    return Cost(
        request=request,
        input_mtok=(in_hour - to_cached) * each / fresh * MTOK,
        cache_read_mtok=np.where(np.asarray(traffic.cached) > 0, to_cached * each / held * MTOK, 0.0),
        output_mtok=out_hour * each / traffic.osl * MTOK,
        blended_mtok=request / (traffic.isl + traffic.osl) * MTOK,
        bound_share=np.where(spent > 0, least / np.maximum(spent, 1e-300), 1.0),
        replica_hour=in_hour + out_hour,
        joules_per_token=watts / tokens,
        tokens_per_s_mw=np.where(watts > 0, tokens / np.maximum(watts, 1e-3) * 1e6, 0.0),
    )
