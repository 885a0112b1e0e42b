"""Times of collectives on a two-level fabric: devices of one scale-up domain, and a scale-out network between them.

Sizes are bytes, rates are B/s one way per device, latencies seconds. `n` is the number of devices taking part; a
group larger than the domain is laid out domain by domain. Each function returns a `CollectiveTime`: seconds as
estimated (with latency, at the achieved share of the links) and the seconds of its traffic at full rate on each
level, which the bound uses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import Mask, Number
from ..kernel.achieved import Kernel
from ..world.machine import Machine


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectiveTime:
    """Seconds of a collective: `time` estimated; `up` and `out` its least traffic at full link rate."""

    time: Number
    up: Number
    out: Number


PLAIN = Kernel()
"""An all-reduce of which nothing was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLinks:
    """The links a group of `n` devices uses: `inside` devices per domain, over `across` domains."""

    inside: Number
    across: Number
    up_rate: Number
    out_rate: Number
    up_latency: Number
    out_latency: Number
    share: float
    kernel: Kernel = PLAIN  # of an all-reduce; without one a phase takes the latency of one step


STEP_LATENCY = 2e-6
"""Seconds of a step on the fabric whose collectives were measured; on others a collective's start scales with
theirs."""


def links(machine: Machine, n: Number, share: float, *, stride: Number = 1.0, kernel: Kernel = PLAIN) -> GroupLinks:
    """How a group of n devices lies on the fabric. `stride` > 1: every stride-th device belongs to the group.

    `kernel`: constants of the engine's all-reduce (`kernel.achieved`): how long it takes to start, and how a message
    is cut into pieces.
    """
    inside = np.minimum(n, np.maximum(machine.domain / stride, 1.0))
    # A device with no fabric of either kind cannot take part in a group: the rate falls to nothing, the time to
    # "never" stays finite only because search excludes such layouts; 1 B/s keeps arithmetic free of divisions by 0.
    return GroupLinks(
        inside=inside,
        across=n / inside,
        up_rate=np.maximum(machine.scaleup_bandwidth, 1.0),
        out_rate=np.maximum(machine.scaleout_bandwidth, 1.0),
        up_latency=machine.scaleup_latency,
        out_latency=machine.scaleout_latency,
        share=share,
        kernel=kernel,
    )


def all_reduce(size: Number, on: GroupLinks) -> CollectiveTime:
    """Every device ends with the sum of `size` bytes.

    Hierarchical ring: reduce-scatter inside the domain, all-reduce across, all-gather inside. 2(n-1)/n of the size
    crosses a device's link. With reduction in the switch half of that would do, so the bound takes half.

    >>> h100 = Machine(name="8xh100", accelerator="h100", domain=8, scaleup_bandwidth=450e9, scaleup_latency=2e-6)
    >>> cost = all_reduce(64e6, links(h100, 8.0, 1.0))
    >>> round(cost.time * 1e6), round(cost.up * 1e6)     # 2 x 7/8 x 64 MB / 450 GB/s + 4 us, and half of it
    (253, 124)
    """
    return _scaled(_phase(size, on), 2.0, on)


def reduce_scatter(size: Number, on: GroupLinks) -> CollectiveTime:
    """Every device ends with its n-th of the sum of `size` bytes: half of an all-reduce."""
    return _scaled(_phase(size, on), 1.0, on)


all_gather = reduce_scatter
"""Every device ends with all n parts of `size` bytes in sum: the same traffic as a reduce-scatter, reversed."""


def _phase(size: Number, on: GroupLinks) -> tuple[Number, Number]:
    """Seconds of one ring phase at full rate, inside and across."""
    up = (on.inside - 1) / on.inside * size / on.up_rate
    out = (on.across - 1) / on.across * (size / on.inside) / on.out_rate
    return up, out


def _scaled(phase: tuple[Number, Number], phases: float, on: GroupLinks) -> CollectiveTime:
    up, out = phase
    k = on.kernel
    each: Number = on.up_latency
    if k.latency:
        each = (k.latency + k.hop * on.inside) / 2 * on.up_latency / STEP_LATENCY
    start: Number = np.where(np.asarray(on.inside) > 1, phases * each, 0.0)
    pieces = k.ramp * np.sqrt(start * (phases * up / on.share)) if k.ramp else 0.0
    latency = start + pieces + phases * on.out_latency * np.log2(np.maximum(on.across, 1.0))
    return CollectiveTime(time=phases * (up + out) / on.share + latency, up=up, out=out)


def seconds_per_copy(scheme: str, ranks: Number, domains: Number, on: GroupLinks) -> tuple[Number, Number]:
    """Seconds per byte of a token one way in an all-to-all, at full link rate; and the latency of that way.

    A token goes to `ranks` distinct devices in `domains` distinct domains, the sender itself counted among them if
    it is one; both links work at once. "direct": every copy over the link that joins the two devices.
    "hierarchical": one copy per domain crosses, to the device at the sender's own place in that domain, and is
    forwarded inside. "scale-out": every copy over the network, also inside the domain; never within one domain.

    >>> nodes = Machine(name="n", accelerator="h", domain=8, scaleup_bandwidth=400e9, scaleout_bandwidth=50e9)
    >>> two = links(nodes, 16.0, 1.0)
    >>> ways = ("direct", "hierarchical", "scale-out")
    >>> [round(float(seconds_per_copy(way, 8.0, 2.0, two)[0]) * 50e9, 3) for way in ways]
    [4.0, 1.0, 7.5]
    """
    several, crossing = np.asarray(on.inside) > 1, np.asarray(on.across) > 1
    up_latency = np.where(several, on.up_latency, 0.0)
    if scheme == "direct":
        up, out = ranks / on.across * (1 - 1 / on.inside), ranks * (1 - 1 / on.across)
        return np.maximum(up / on.up_rate, out / on.out_rate), np.where(crossing, on.out_latency, up_latency)
    if scheme == "hierarchical":
        up, out = ranks * (1 - 1 / on.inside), domains * (1 - 1 / on.across)
        return np.maximum(up / on.up_rate, out / on.out_rate), up_latency + np.where(crossing, on.out_latency, 0.0)
    every = ranks * (1 - 1 / (on.inside * on.across)) / on.out_rate
    return np.where(crossing, every, np.inf), on.out_latency


def point_to_point(size: Number, machine: Machine, share: float, *, crosses: Mask) -> CollectiveTime:
    """One message of `size` bytes to a neighbour stage, over scale-out where `crosses` is true."""
    up = size / np.maximum(machine.scaleup_bandwidth, 1.0)
    out = size / np.maximum(machine.scaleout_bandwidth, 1.0)
    time = np.where(crosses, out / share + machine.scaleout_latency, up / share + machine.scaleup_latency)
    return CollectiveTime(time=time, up=np.where(crosses, 0.0, up), out=np.where(crosses, out, 0.0))


MOST_DRAWS = 256
"""Above so many experts per token the draw is taken with replacement: no difference, and no long loop."""


def distinct_groups(groups: Number, n_experts: float, top_k: float) -> Number:
    """Expected distinct groups that hold a token's `top_k` experts, out of `groups` equal ones (hypergeometric).

    8 of 256 experts on 64 devices (LECTURE section 11):

    >>> round(float(distinct_groups(64.0, 256.0, 8.0)), 2)
    7.68
    """
    size = n_experts / np.asarray(groups, dtype=float)
    if top_k > MOST_DRAWS:
        return groups * (1 - np.exp(top_k * np.log1p(-np.minimum(size / n_experts, 1 - 1e-15))))
    missed: Number = np.ones_like(size)
    for j in range(int(top_k)):
        missed = missed * np.maximum(n_experts - size - j, 0.0) / (n_experts - j)
    return groups * (1 - missed)
