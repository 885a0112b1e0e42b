"""Bound, estimate and binding term of a pass, from operations that know their FLOPs and bytes.

The **bound** is the larger of compute, memory and network time of the whole pass at 100 % of peak, everything
overlapped: nothing is faster. Beside it stand the **per-operation sum** (each operation at its own roofline, one
after the other) and the **plain sum** (nothing overlaps): assumptions, not bounds. The **estimate** gives every
operation the time its kernels achieve (`kernel.achieved`) and adds the engine's gaps between kernels and its work
around a step.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields

import numpy as np

from ..arrays import Mask, Number
from ..world.machine import Machine
from ..world.precision import FORMATS
from .achieved import Achieved
from .efficiency import Efficiency

NOTHING = Achieved()
"""No time at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """One operation of one layer on one device; `layers` of them run in a pass.

    `compute`: seconds at 100 % of peak. `bytes`: read and written in memory, `least_bytes` the fewest that would do
    (for the bound). `spent`: seconds its kernels take, by cause. `kernels`: launches, between which an engine leaves
    gaps.
    `network`: seconds a collective takes; `up` and `out`: its seconds at full link rate on the scale-up and
    scale-out fabric, without latency, for the bound.
    """

    name: str
    kind: str  # key of the efficiency table; "cache" kinds read the cache, the others weights
    layers: Number = 1.0
    flops: Number = 0.0
    compute: Number = 0.0
    spent: Achieved = NOTHING
    bytes: Number = 0.0
    least_bytes: Number | None = None
    network: Number = 0.0
    up: Number = 0.0
    out: Number = 0.0
    kernels: Number = 1.0
    hideable: Number = 0.0  # seconds of `network` that another half batch's computing can hide

    @property
    def computes(self) -> Mask:
        """Whether computing holds it back, rather than memory."""
        return np.asarray(self.spent.compute >= self.spent.memory + self.spent.moved)


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
    places: tuple[tuple[str, Number], ...] = ()  # seconds of the estimate in each of unequal memories

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
        return dict(zip(BINDING, (self.by_compute, self.by_weights, self.by_cache, self.by_network, self.by_overhead), strict=True))


TIMES = tuple(f.name for f in fields(PassTime) if f.name not in ("terms", "places"))
"""What of a pass adds up where several run one after the other."""


def pass_time(
    ops: Iterable[Op], *, bandwidth: Number, efficiency: Efficiency, step_overhead: Number = 0.0, host: Number = 0.0, keep: bool = False
) -> PassTime:
    """Sum operations into a pass on one device with `bandwidth` B/s of memory.

    `host` seconds per launch where no graph holds them: the host then needs so long whatever the device does, and the
    slower of both sets the pace (a smooth maximum, fourth powers). `keep` retains each operation with its estimated
    seconds, for `explain`.

    >>> spent = Achieved(launch=2e-6, compute=1.25e-3, memory=1.1e-3)
    >>> op = Op(name="weights", kind="gemm", compute=1e-3, spent=spent, bytes=3.35e9, kernels=0)
    >>> t = pass_time([op], bandwidth=3.35e12, efficiency=Efficiency())
    >>> float(t.bound), bool(t.estimate > t.bound)
    (0.001, True)
    """
    sums = PassSums()
    launches: Number = 0.0
    kernels: Number = 0.0
    terms: list[tuple[Op, Number]] = []
    for op in ops:
        launch = op.spent.launch + op.kernels * efficiency.launch
        launches = launches + op.layers * launch
        kernels = kernels + op.layers * op.kernels
        if op.kind == "network":
            sums.exchange(op)
        else:
            sums.kernel(op, bandwidth)
        if keep:
            terms.append((op, _seconds(op, launch)))
    overhead = launches + step_overhead
    if np.any(np.asarray(host) > 0):
        device = sums.by_compute + sums.by_weights + sums.by_cache + sums.by_network + overhead
        overhead = overhead + np.sqrt(np.sqrt(device**4 + (host * kernels) ** 4)) - device
    totals = {f.name: getattr(sums, f.name) for f in fields(PassSums)}
    return PassTime(**totals, by_overhead=overhead, terms=tuple(terms))


def _seconds(op: Op, launch: Number) -> Number:
    """Estimated seconds of an operation in all its layers."""
    n = op.layers
    return n * (op.network + launch) if op.kind == "network" else n * op.spent.busy + n * launch


@dataclass(slots=True)
class PassSums:
    """Sums over the operations of a pass, as `PassTime` names them."""

    compute: Number = 0.0
    memory: Number = 0.0
    up: Number = 0.0
    out: Number = 0.0
    per_operation: Number = 0.0
    by_compute: Number = 0.0
    by_weights: Number = 0.0
    by_cache: Number = 0.0
    by_network: Number = 0.0
    flops: Number = 0.0
    bytes: Number = 0.0
    hideable: Number = 0.0

    def exchange(self, op: Op) -> None:
        """A collective, as often as there are layers."""
        n = op.layers
        self.up = self.up + n * op.up
        self.out = self.out + n * op.out
        self.per_operation = self.per_operation + n * np.maximum(op.up, op.out)
        self.by_network = self.by_network + n * op.network
        self.hideable = self.hideable + n * op.hideable

    def kernel(self, op: Op, bandwidth: Number) -> None:
        """Any other operation, as often as there are layers."""
        n = op.layers
        at_peak = (op.bytes if op.least_bytes is None else op.least_bytes) / bandwidth
        self.compute = self.compute + n * op.compute
        self.memory = self.memory + n * at_peak
        self.per_operation = self.per_operation + n * np.maximum(op.compute, at_peak)
        self.flops = self.flops + n * op.flops
        self.bytes = self.bytes + n * op.bytes
        seconds = n * op.spent.busy
        held = op.computes
        self.by_compute = self.by_compute + np.where(held, seconds, 0.0)
        waiting = np.where(held, 0.0, seconds)
        if op.kind in CACHE_KINDS:
            self.by_cache = self.by_cache + waiting
        else:
            self.by_weights = self.by_weights + waiting


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


def ratios(machine: Machine) -> dict[str, float]:
    """R of a machine for each format it multiplies in a tensor path of its own.

    >>> from rackmath.world import catalog
    >>> ratios(catalog.machine("gb200-nvl72"))["fp4"]
    312.5
    """
    named = (("bf16", "bf16"), ("fp8", "fp8"), ("int8", "int8"), ("fp4", "fp4"))
    return {
        name: float(ratio(getattr(machine, f"peak_{kind}"), FORMATS[name].bytes, machine.hbm_bandwidth))
        for name, kind in named
        if float(getattr(machine, f"peak_{kind}")) > 0
    }


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
