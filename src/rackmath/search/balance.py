"""Where weights, cache and arithmetic balance on a machine: B*, L*, and how much memory holds. Closed forms.

Everything is for the whole machine and one copy of the weights, at peak rates; layouts are not in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..arrays import Number
from ..kernel.counts import cache_bytes, layer_parameters, read_bytes, weight_bytes, weight_flops
from ..kernel.roofline import ratio
from ..world.machine import Machine
from ..world.model import Model
from ..world.precision import Format, Precision

FURTHEST = 1e12
"""A context beyond this is never reached: a crossing there is reported as infinite."""


def weight_format(model: Model, precision: Precision) -> Format:
    """The format most weights are kept in: that of the experts where there are any."""
    return precision.of("experts" if model.has_experts else "mlp")


def multiplies_per_weight(model: Model, machine: Machine, precision: Precision) -> float:
    """R of the format most weights are kept in."""
    f = weight_format(model, precision)
    return float(ratio(machine.peak(f.compute), f.bytes, machine.hbm_bandwidth))


def balance(model: Model, machine: Machine, precision: Precision) -> float:
    """B*, sequences at which reading the weights takes as long as multiplying by them (LECTURE section 5).

    With one format throughout this is R x total / active, where both leave out the input embedding.
    """
    return streamed_bytes(model, precision) / float(machine.hbm_bandwidth) / multiply_time(model, machine, precision)


def streamed_bytes(model: Model, precision: Precision) -> float:
    """Bytes of weights a pass reads once every expert is in use: all but the input embedding, the head included."""
    head = precision.of("head").bytes * (model.head_parameters or model.vocab * model.d_model)
    norm = precision.of("norm").bytes * model.norm_parameters
    layers = sum(precision.of(c).bytes * n for c, n in layer_parameters(model.groups).items())
    return layers + norm + head


def balance_with_cache(model: Model, machine: Machine, precision: Precision, context: float) -> float:
    """B* where weights and cache together take as long to read as to multiply; infinite beyond L*."""
    bandwidth = float(machine.hbm_bandwidth)
    weights = streamed_bytes(model, precision)
    per_token = multiply_time(model, machine, precision) - float(read_bytes(model, context, precision)) / bandwidth
    return weights / bandwidth / per_token if per_token > 0 else math.inf


def balance_context(model: Model, machine: Machine, precision: Precision) -> float:
    """L*, the context in tokens whose cache takes as long to read as the weights take to multiply; infinite if never.

    For a dense cache 2 N_act M / (F q), LECTURE sections 2 and 16. The lecture's reading of a price step, backwards:
    100B active parameters, 300 multiplies per byte and 1,667 bytes per token balance at 200K.

    >>> round(2 * 100e9 / (600 * 1667))
    199960
    """
    target = multiply_time(model, machine, precision) * float(machine.hbm_bandwidth)
    return crossing(lambda length: float(read_bytes(model, length, precision)), target)


def full_context(model: Model, machine: Machine, precision: Precision, batch: float) -> float:
    """The context at which `batch` sequences fill the memory of all devices beside one copy of the weights.

    0 where the weights leave no room, infinite where the cache stops growing before the memory is full.
    """
    room = float(machine.hbm_capacity) * float(machine.n_devices) - weight_bytes(model, precision)
    if room <= 0:
        return 0.0
    return crossing(lambda length: batch * float(cache_bytes(model, length, precision)), room)


def sequences_held(model: Model, machine: Machine, precision: Precision, context: Number) -> Number:
    """B_max = (C - w N) / (L q): sequences in the memory of all devices beside one copy of the weights, no reserve.

    An upper limit: engines keep a reserve, replicas repeat weights, tensor parallelism may repeat caches.
    """
    room = float(machine.hbm_capacity) * float(machine.n_devices) - weight_bytes(model, precision)
    held: Number = max(room, 0.0) / np.maximum(cache_bytes(model, context, precision), 1.0)
    return held


def limit_time(model: Model, machine: Machine, precision: Precision, context: Number) -> Number:
    """Device-seconds of one output token in the lecture's limit: max(weights multiplied, cache read) at peak rates.

    A lower limit of the cost at any batch; flat up to L*, then proportional to what is read.
    """
    read = read_bytes(model, context, precision) / float(machine.hbm_bandwidth)
    return np.maximum(multiply_time(model, machine, precision), read)


def multiply_time(model: Model, machine: Machine, precision: Precision) -> float:
    """Device-seconds to multiply one token by all weights it uses, at the peak of the format most are kept in."""
    return weight_flops(model) / float(machine.peak(weight_format(model, precision).compute))


def crossing(f: Callable[[float], float], target: float) -> float:
    """The smallest context at which the growing function `f` reaches `target`; infinite beyond `FURTHEST`.

    >>> round(crossing(lambda x: 2 * x, 5e5))
    250000
    """
    low, high = 0.0, 1.0
    while f(high) < target:
        low, high = high, high * 2
        if high > FURTHEST:
            return math.inf
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if f(middle) < target else (low, middle)
    return high
