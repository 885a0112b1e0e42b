"""Bound, estimate and binding term of a pass, from operations that know their FLOPs and bytes.

The **bound** is the larger of compute, memory and network time of the whole pass at 100 % of peak, everything
overlapped: nothing is faster. Beside it stand the **per-operation sum** (each operation at its own roofline, one
after the other) and the **plain sum** (nothing overlaps): assumptions, not bounds. The **estimate** gives every
operation its achieved share of peak and adds launches and step overhead.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from ..arrays import Number
from .efficiency import Efficiency


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """One operation of one layer on one device; `layers` of them run in a pass.

    `compute`: seconds at 100 % of peak. `achieved`: the same divided by the achieved share of peak.
    `bytes`: read and written in memory, `least_bytes` the fewest that would do (for the bound).
    `network`: seconds a collective takes; `up` and `out`: its seconds at full link rate on the scale-up and
    scale-out fabric, without latency, for the bound.
    """

    name: str
    kind: str  # key of the efficiency table; "cache" kinds read the cache, the others weights
    layers: float = 1.0
    flops: Number = 0.0
    compute: Number = 0.0
    achieved: Number = 0.0
    bytes: Number = 0.0
    least_bytes: Number | None = None
    network: Number = 0.0
    up: Number = 0.0
    out: Number = 0.0
    kernels: float = 1.0
    hideable: Number = 0.0  # seconds of `network` that another half batch's computing can hide


BINDING = ("compute", "weights", "cache", "network", "overhead")
"""The resources an estimate's time is charged to; the largest is the binding term."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassTime:
    """Times of one pass in seconds; `shares` splits the estimate by what held each operation back."""

    compute: Number
    memory: Number
    up: Number
    out: Number
    per_operation: Number
    by_compute: Number
    by_weights: Number
    by_cache: Number
    by_network: Number
    by_overhead: Number
    flops: Number
    bytes: Number
    hideable: Number = 0.0  # seconds of collectives that could be hidden, and of `by_network` those that are
    hidden: Number = 0.0
    terms: tuple[tuple[Op, Number], ...] = field(default=(), repr=False)

    @property
    def bound(self) -> Number:
        """max(compute, memory, network) over the whole pass."""
        return np.maximum(np.maximum(self.compute, self.memory), np.maximum(self.up, self.out))

    @property
    def plain_sum(self) -> Number:
        return self.compute + self.memory + self.up + self.out

    @property
    def estimate(self) -> Number:
        return self.by_compute + self.by_weights + self.by_cache + self.by_network + self.by_overhead

    @property
    def shares(self) -> dict[str, Number]:
        """The estimate split by resource, in the order of `BINDING`."""
        return dict(
            zip(
                BINDING,
                (self.by_compute, self.by_weights, self.by_cache, self.by_network, self.by_overhead),
                strict=True,
            )
        )


def pass_time(
    ops: Iterable[Op], *, bandwidth: Number, efficiency: Efficiency, step_overhead: Number = 0.0, keep: bool = False
) -> PassTime:
    """Sum operations into a pass on one device with `bandwidth` B/s of memory.

    `keep` retains each operation with its estimated seconds, for `explain`.

    >>> op = Op(name="weights", kind="gemm", compute=1e-3, achieved=1.25e-3, bytes=3.35e9, kernels=0)
    >>> t = pass_time([op], bandwidth=3.35e12, efficiency=Efficiency())
    >>> float(t.bound), bool(t.estimate > t.bound)
    (0.001, True)
    """
    compute: Number = 0.0
    memory: Number = 0.0
    up: Number = 0.0
    out: Number = 0.0
    per_operation: Number = 0.0
    by_compute: Number = 0.0
    by_weights: Number = 0.0
    by_cache: Number = 0.0
    by_network: Number = 0.0
    hideable: Number = 0.0
    flops: Number = 0.0
    total_bytes: Number = 0.0
    launches = 0.0
    terms: list[tuple[Op, Number]] = []
    for op in ops:
        n = op.layers
        launches += n * op.kernels
        if op.kind == "network":
            up = up + n * op.up
            out = out + n * op.out
            per_operation = per_operation + n * np.maximum(op.up, op.out)
            by_network = by_network + n * op.network
            hideable = hideable + n * op.hideable
            if keep:
                terms.append((op, n * (op.network + op.kernels * efficiency.launch)))
            continue
        least = op.bytes if op.least_bytes is None else op.least_bytes
        at_peak = least / bandwidth
        compute = compute + n * op.compute
        memory = memory + n * at_peak
        per_operation = per_operation + n * np.maximum(op.compute, at_peak)
        flops = flops + n * op.flops
        total_bytes = total_bytes + n * op.bytes
        moving = op.bytes / (bandwidth * efficiency.memory(op.kind))
        seconds = n * np.maximum(op.achieved, moving)
        held = op.achieved >= moving
        by_compute = by_compute + np.where(held, seconds, 0.0)
        waiting = np.where(held, 0.0, seconds)
        if op.kind in CACHE_KINDS:
            by_cache = by_cache + waiting
        else:
            by_weights = by_weights + waiting
        if keep:
            terms.append((op, seconds + n * op.kernels * efficiency.launch))
    return PassTime(
        compute=compute,
        memory=memory,
        up=up,
        out=out,
        per_operation=per_operation,
        by_compute=by_compute,
        by_weights=by_weights,
        by_cache=by_cache,
        by_network=by_network,
        by_overhead=launches * efficiency.launch + step_overhead,
        flops=flops,
        bytes=total_bytes,
        hideable=hideable,
        terms=tuple(terms),
    )


CACHE_KINDS = frozenset({"attention_decode", "attention_prefill", "scan"})


def binding(time: PassTime) -> str:
    """The resource that takes the largest part of the estimate (scalars only)."""
    return max(time.shares, key=lambda name: float(time.shares[name]))


def ratio(machine_peak: Number, weight_bytes: Number, bandwidth: Number) -> Number:
    """The lecture's R: multiplies per weight fetched, (F/2) w / M.

    >>> ratio(10e15, 0.5, 8e12), round(ratio(1979e12, 1.0, 3.35e12))
    (312.5, 295)
    """
    return machine_peak / 2 * weight_bytes / bandwidth


def balance_batch(r: Number, total: Number, active: Number) -> Number:
    """B*, the batch at which reading the weights takes as long as multiplying by them: R x total / active.

    >>> round(balance_batch(300, 671e9, 37e9))
    5441
    """
    return r * total / active


def drain_time(capacity: Number, bandwidth: Number) -> Number:
    """Seconds to read all of a memory once. The lecture's preset, 288 GB at 20 TB/s:

    >>> drain_time(288e9, 20e12)
    0.0144
    """
    return capacity / bandwidth
