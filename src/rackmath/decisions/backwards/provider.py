"""What a provider's tokens cost: the forward model behind reading prices backwards.

One short closed form over columns, one row for each supposition about the model, the machine and how it is run. It
is the lecture's arithmetic with the shares of peak that engines reach (`mfu`, `mbu`, seconds of overhead): weights
and cache are read while the products run, a replica runs the batch that gives its users their speed or fills its
memory, and rental is paid in idle hours too. `plan` answers the same question exactly where model and machine are
known; the tests compare the two.

Units: parameters, bytes, FLOP/s, bytes/s, seconds, dollars per device-hour; costs in dollars per million tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...arrays import Number
from ...economics.cost import HOUR, MTOK

USABLE = 0.9  # share of device memory that weights and cache may fill
SLOWEST = 1.25  # a replica's pass takes at least so many readings of its weights: below it batch buys no speed
LINK = 50e9  # bytes/s per device from host memory: PCIe 5.0 x16


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """A model, a machine and a way of running it: numbers or columns.

    `weight_bytes`: per parameter. `kv_bytes`: stored per token of context, as it is held; `read_share`: of it that a
    decoded token reads. `attention_flops`: per token and cached token in prefill; `decode_attention` times as many in
    decoding. `overhead`: seconds of a pass outside its products and reads. `speed`: tokens per second that users are
    to see. `spread`: devices of a replica over the fewest that hold it. `per_pass`: tokens kept from a pass.
    `hold_rate`: dollars per byte and second of holding a cache. `idle`: share of paid hours without work.
    """

    active: Number
    total: Number
    weight_bytes: Number
    kv_bytes: Number
    read_share: Number
    attention_flops: Number
    decode_attention: Number
    peak: Number
    hbm_bandwidth: Number
    hbm_capacity: Number
    price_per_hour: Number
    mfu: Number
    mbu: Number
    overhead: Number
    context: Number
    cached: Number
    speed: Number
    spread: Number
    per_pass: Number
    hold_rate: Number
    reuse: Number
    idle: Number


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """A decode pass of one replica: devices, sequences, seconds, and tokens per second that a user sees."""

    devices: Number
    batch: Number
    seconds: Number
    speed: Number
    output_mtok: Number


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Dollars per million tokens, idle hours included: fresh input, a cached read, output; and the decode pass."""

    input_mtok: Number
    cache_read_mtok: Number
    output_mtok: Number
    decoding: Decoding


def costs(s: Supply) -> Costs:
    """What a provider's tokens cost.

    Prefill of 100B active parameters on a B200 at $2 an hour, FP8 at 40 % of peak (LECTURE section 17c: $0.06):

    >>> one = Supply(active=100e9, total=100e9, weight_bytes=1.0, kv_bytes=1e5, read_share=1.0, attention_flops=0.0,
    ...     decode_attention=1.0, peak=4.5e15, hbm_bandwidth=8e12, hbm_capacity=180e9, price_per_hour=2.0, mfu=0.4,
    ...     mbu=0.6, overhead=2e-3, context=8192, cached=0.0, speed=40, spread=1, per_pass=1.0, hold_rate=0.0,
    ...     reuse=1.0, idle=0.0)
    >>> round(float(costs(one).input_mtok), 3)
    0.062
    """
    hour = s.price_per_hour / HOUR / (1 - s.idle) * MTOK
    second_of_product = hour / (s.peak * s.mfu)
    fresh = s.context * (1 - s.cached)
    decoding = decode(s)
    moved = s.kv_bytes / LINK * hour + s.kv_bytes * s.hold_rate * WAIT / s.reuse * MTOK
    return Costs(
        input_mtok=second_of_product * (2 * s.active + s.attention_flops * s.read_share * fresh / 2),
        cache_read_mtok=second_of_product * s.attention_flops * s.read_share * fresh + moved,
        output_mtok=decoding.output_mtok,
        decoding=decoding,
    )


WAIT = 300.0  # seconds that a cached prefix is held between two uses


def holding(s: Supply, seconds: float) -> Number:
    """Dollars per million tokens of keeping their cache for so long."""
    return s.kv_bytes * s.hold_rate * seconds * MTOK


def decode(s: Supply) -> Decoding:
    """The pass that gives users `speed`, or as near as weights and memory allow.

    t = overhead + sqrt((c B)^2 + (w + k B)^2): products of B sequences, and reading the weights and B caches. B
    solves it for the time wanted; no more sequences run than memory holds. At small B few experts are read.
    """
    stored = s.weight_bytes * s.total
    fewest = np.exp2(np.ceil(np.log2(np.maximum(stored / (0.7 * USABLE * s.hbm_capacity), 1.0))))
    devices = fewest * s.spread
    compute = (2 * s.active + s.attention_flops * s.decode_attention * s.read_share * s.context) / (devices * s.peak * s.mfu)
    rate = devices * s.hbm_bandwidth * s.mbu
    weights = stored / rate
    cache = s.kv_bytes * s.read_share * s.context / rate
    room = np.maximum((USABLE * devices * s.hbm_capacity - stored) / (s.kv_bytes * s.context), 1.0)
    wanted = np.maximum(s.per_pass / s.speed - s.overhead, SLOWEST * weights)
    a = compute * compute + cache * cache
    b = weights * cache
    batch = (np.sqrt(b * b + a * (wanted * wanted - weights * weights)) - b) / a
    batch = np.minimum(np.maximum(batch, 1.0), room)
    touched = -np.expm1(batch * np.log1p(-np.minimum(s.active / s.total, 1 - 1e-9)))
    seconds = s.overhead + np.hypot(compute * batch, weights * touched + cache * batch)
    paid = s.price_per_hour / HOUR / (1 - s.idle)
    return Decoding(
        devices=devices,
        batch=batch,
        seconds=seconds,
        speed=s.per_pass / seconds,
        output_mtok=devices * paid * seconds / (batch * s.per_pass) * MTOK,
    )


def longer(s: Supply, context: Number) -> Supply:
    """The same provider serving requests of another length."""
    return replace(s, context=context)


def faster(s: Supply, times: Number) -> Supply:
    """The same provider giving users `times` the speed it now reaches, by batch alone."""
    return replace(s, speed=decode(s).speed * times)
