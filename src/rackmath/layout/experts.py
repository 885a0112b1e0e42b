"""Routed experts on many devices: where they lie, how tokens reach them, and what that costs.

A token visits `top_k` experts. Their devices are fewer than `top_k` (several experts share one) and their domains
fewer still, so an exchange is priced by the expected *distinct* destinations of a token. Four ways to exchange are
known by name, see `SCHEMES`; the cheapest is taken unless one is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..arrays import Number
from ..errors import BadInput
from ..kernel import achieved
from ..kernel.achieved import Routed
from ..kernel.counts import experts_touched
from ..kernel.efficiency import Efficiency
from ..kernel.roofline import Op
from ..world.machine import Machine
from ..world.model import FeedForward
from ..world.precision import Precision
from .collectives import GroupLinks, all_gather, all_reduce, distinct_groups, links, seconds_per_copy
from .parallelism import Layout, slots

if TYPE_CHECKING:
    from .job import PassJob

SCHEMES = {
    "direct": "each copy over the link that joins sender and receiver: scale-up inside a domain, scale-out between",
    "hierarchical": "one copy for each domain over scale-out, forwarded inside it over scale-up",
    "scale-out": "every copy over the network, the scale-up links idle",
    "all-gather": "every device gets every token; results come back by reduce-scatter",
}
"""The ways to bring tokens to experts and results back. Inside one domain direct and hierarchical are the same."""


# --- where experts lie --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Experts of one layer on `devices`: `per_device` slots each, `redundant` of all slots hold second copies.

    `fullest` and `emptiest` are different experts on a device if no copies were made. A shared expert is on every
    device ("replicated") or takes slots like a routed one that every token visits ("placed").
    """

    n_experts: float
    devices: float
    per_device: float
    redundant: float
    idle: float  # slots left without an expert
    fullest: float
    emptiest: float
    n_shared: float
    shared: str

    @property
    def slots(self) -> float:
        return self.per_device * self.devices

    @property
    def remainder(self) -> float:
        """Experts left over after an even split."""
        return self.n_experts % self.devices

    @property
    def resident(self) -> float:
        """Experts, shared ones included, whose weights the fullest device holds; idle slots hold none."""
        return self.per_device - self.idle // self.devices + (self.n_shared if self.shared == "replicated" else 0.0)


def placement(
    ffn: FeedForward, devices: float, *, redundant: float | None = None, per_device: float | None = None, shared: str = "replicated"
) -> Placement:
    """Routed and shared experts of one layer on `devices` devices.

    Without `redundant` the slots left by an uneven split are filled with second copies; with it so many copies are
    made, and slots beyond them stay idle. `per_device` limits the slots of a device. DeepSeek's own two layouts,
    decode on 144 devices with 2 routed experts and the shared one each, and prefill on 32 with 9:

    >>> from rackmath.world.blocks import MixtureOfExperts
    >>> v3 = MixtureOfExperts(d_model=7168, n_experts=256, top_k=8, d_expert=2048, n_shared=1, d_shared=2048).block()
    >>> decode, prefill = placement(v3, 144), placement(v3, 32, redundant=32)
    >>> (decode.per_device, decode.redundant, decode.resident), (prefill.per_device, prefill.resident)
    ((2.0, 32.0, 3.0), (9.0, 10.0))
    """
    n, g = float(ffn.n_experts), float(devices)
    if not n:
        raise BadInput("the model has no routed experts to place; name a mixture of experts")
    if not (g >= 1 and g == int(g)):
        raise BadInput(f"experts cannot be placed on {devices:g} devices; give a whole number, 1 or more")
    if shared not in ("replicated", "placed"):
        raise BadInput(f"shared = {shared!r} is no placement of shared experts; give 'replicated' or 'placed'")
    if redundant is not None and not (0 <= redundant == int(redundant)):
        raise BadInput(f"redundant = {redundant:g} is no number of copies; give a whole number, 0 or more")
    wanted = n + (ffn.n_shared if shared == "placed" else 0.0)
    asked = wanted + (redundant or 0.0)
    each = float(np.ceil(asked / g))
    if per_device is not None:
        if not (per_device >= 1 and per_device == int(per_device)):
            raise BadInput(f"{per_device:g} experts on a device are impossible; give a whole number, 1 or more")
        if per_device * g < asked:
            more = " with their copies" if redundant else ""
            raise BadInput(
                f"{asked:g} experts{more} cannot be placed on {g:g} devices with {per_device:g} each;"
                f" give {each:g} a device, or {np.ceil(asked / per_device):g} devices"
            )
        each = float(per_device)
    copies = each * g - wanted if redundant is None else float(redundant)
    return Placement(
        n_experts=n,
        devices=g,
        per_device=each,
        redundant=copies,
        idle=each * g - wanted - copies,
        fullest=float(np.ceil(wanted / g)),
        emptiest=float(np.floor(wanted / g)),
        n_shared=float(ffn.n_shared),
        shared=shared,
    )


def imbalance_of(loads: Sequence[Sequence[float]] | Sequence[float], devices: int, redundant: int = 0) -> float:
    """The busiest device's load over the mean, from measured loads of experts, one row for each layer.

    The hottest experts get the `redundant` copies, which share their load; experts then go heaviest first to the
    least loaded device that has a free slot. Layers run one after the other, so their busiest devices add up.

    >>> imbalance_of([4, 1, 1, 2], 2), imbalance_of([6, 1, 1, 2], 2), imbalance_of([6, 1, 1, 2], 2, redundant=2)
    (1.25, 1.4, 1.0)
    """
    rows = np.atleast_2d(np.asarray(loads, dtype=float))
    n = rows.shape[1]
    if not np.isfinite(rows).all() or (rows < 0).any() or not (rows.sum(axis=1) > 0).all():
        raise BadInput("loads of experts must be numbers of 0 or more, and not all 0 in any layer")
    if devices > n + redundant:
        raise BadInput(f"{n} experts with {redundant} copies cannot fill {devices} devices; add copies")
    busiest = sum(_busiest(row / row.sum(), devices, redundant) for row in rows)
    return float(max(busiest * devices / len(rows), 1.0))


def _busiest(loads: np.ndarray, devices: int, redundant: int) -> float:
    copies = np.ones(len(loads))
    for _ in range(redundant):
        copies[np.argmax(loads / copies)] += 1
    parts = np.sort(np.repeat(loads / copies, copies.astype(int)))[::-1]
    room = np.full(devices, -(-len(parts) // devices))
    held = np.zeros(devices)
    for part in parts:
        to = int(np.argmin(np.where(room > 0, held, np.inf)))
        held[to] += part
        room[to] -= 1
    return float(held.max())


# --- how far tokens travel ----------------------------------------------------------------------------------------


def destinations(parts: Number, ffn: FeedForward) -> Number:
    """Expected distinct parts a token's experts lie in, out of `parts` equal ones.

    A router limited to `node_limit` of `node_groups` groups draws all experts from those, so a token reaches only
    that share of the parts; where a part holds whole groups, it reaches at most `node_limit` parts.

    >>> from rackmath.world.blocks import MixtureOfExperts
    >>> from dataclasses import replace
    >>> facts = MixtureOfExperts(d_model=7168, n_experts=256, top_k=8, d_expert=2048)
    >>> free, v3 = facts.block(), replace(facts, node_limit=4, node_groups=8).block()
    >>> [(round(float(destinations(n, v3)), 2), round(float(destinations(n, free)), 2)) for n in (4.0, 18.0, 64.0)]
    [(3.61, 3.61), (5.59, 6.68), (7.36, 7.68)]
    """
    free = distinct_groups(np.maximum(parts, 1.0), ffn.n_experts, ffn.top_k)
    if not np.isfinite(ffn.node_limit):
        return free
    limited = np.minimum(free, ffn.node_limit)
    if not ffn.node_groups > ffn.node_limit:
        return limited
    share = ffn.node_limit / ffn.node_groups
    inside = distinct_groups(np.maximum(parts * share, 1.0), ffn.n_experts * share, ffn.top_k)
    return np.where(np.asarray(parts) > ffn.node_groups, inside, limited)


def crossing_ratio(
    link_ratio: Number,
    experts: Number,
    layers_per_stage: Number = 1.0,
    *,
    dispatch_bytes: Number = 2.0,
    combine_bytes: Number = 2.0,
    hop_bytes: Number = 2.0,
) -> Number:
    """Time of a stage's expert exchanges inside a rack over the time of the hop to the next rack.

    At 1 or more the rack boundary does not hold a pipeline back. `experts` are the distinct devices a token visits
    (at most its activated experts), and a stage exchanges once in each of its layers, out and back, while the hop
    carries the token once. With 8 experts at links 8 and 18 apart:

    >>> crossing_ratio(8, 8), round(crossing_ratio(18, 8), 2), round(crossing_ratio(18, 8, 2), 2)
    (2.0, 0.89, 1.78)
    """
    return experts * layers_per_stage * (dispatch_bytes + combine_bytes) / hop_bytes / link_ratio


def least_layers(link_ratio: Number, experts: Number, **widths: Number) -> Number:
    """Fewest layers in a stage at which `crossing_ratio` reaches 1.

    >>> float(least_layers(18, 8)), float(least_layers(8, 4))
    (2.0, 1.0)
    """
    return np.maximum(np.ceil(link_ratio / crossing_ratio(1.0, experts, 1.0, **widths) - 1e-9), 1.0)


def crossing_factor(domains: Number, link_ratio: Number) -> Number:
    """How much longer an all-to-all over `domains` domains takes than inside one, at the least: (1 - 1/n) x ratio.

    That share of the copies leaves over links `link_ratio` times slower, and while they do nothing else holds.

    >>> [float(crossing_factor(*pair)) for pair in ((2, 8), (1, 8), (4, 9))]
    [4.0, 1.0, 6.75]
    """
    return np.maximum((1 - 1 / domains) * link_ratio, 1.0)


# --- operations of a pass -----------------------------------------------------------------------------------------


def expert_ops(ffn: FeedForward, job: PassJob, n: float, label: str) -> Iterator[Op]:
    """Routed experts on one device, and the exchange that brings tokens to them and back."""
    layout, work = job.layout, job.work
    tokens = work.tokens
    fmt = job.precision.of("experts")
    peak, run, type_ = job.rate(fmt)
    one = sum(m.parameters for m in ffn.expert)
    size = one * fmt.bytes / layout.moe_tp
    flops = 2 * tokens * ffn.top_k * one / layout.stage
    uneven = _uneven(layout, job.efficiency)
    apart = np.maximum(tokens * job.efficiency.spread, np.minimum(tokens, 1.0))  # choose as if independently
    touched = slots(ffn, layout) / layout.ep * experts_touched(ffn.n_experts, ffn.top_k, apart)
    rows = np.maximum(tokens * ffn.top_k / layout.ep, 1.0)
    width = ffn.d_dispatch or job.model.d_model
    spent = achieved.experts(
        job.efficiency.kernel("experts", type_),
        compute=flops * uneven / run,
        bytes=touched * size,
        bandwidth=job.machine.hbm_bandwidth,
        routed=Routed(
            rows=rows,
            touched=touched,
            row_bytes=rows * 2 * (width + ffn.d_expert / layout.moe_tp),
            token_bytes=tokens * 2 * width / (layout.dp * layout.cp),
        ),
    )
    yield Op(
        name=f"routed experts{label}",
        kind="experts",
        layers=n,
        flops=flops,
        compute=flops / peak,
        spent=spent,
        bytes=touched * size,
        least_bytes=ffn.top_k / layout.ep * size,
        kernels=3.0,
    )
    yield _exchange_op(ffn, job, n, label)


def _uneven(layout: Layout, efficiency: Efficiency) -> Number:
    return np.where(np.asarray(layout.ep) > 1, efficiency.imbalance, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Dispatch and combine of one layer in seconds: `times` estimated, by scheme; `up`, `out` for the bound.

    `own`: tokens a device sends. `devices`, `domains`: distinct ones a token reaches, itself among them.
    """

    times: Mapping[str, Number]
    up: Number
    out: Number
    own: Number
    devices: Number
    domains: Number

    def chosen(self, scheme: str) -> Number:
        """Seconds of the scheme asked for, or of the fastest."""
        if scheme == "cheapest":
            *others, last = self.times.values()
            for one in others:
                last = np.minimum(last, one)
            return last
        return self.times[scheme]


def exchange(
    ffn: FeedForward,
    machine: Machine,
    precision: Precision,
    layout: Layout,
    efficiency: Efficiency,
    d_model: float,
    *,
    own: Number,
    tokens: Number,
) -> Exchange:
    """What it takes to bring `own` tokens of every device to their experts and back; `tokens` of all devices.

    Copies travel in the dispatch format and return in the combine format. The busiest expert rank receives
    `efficiency.imbalance` times the mean, and all wait for it. The bound grants the narrower of each format and the
    experts' own, and between domains only the copies that must cross.
    """
    stage = layout.stage
    on = links(machine, stage, efficiency.link_share)
    there, back = precision.sent.bytes, precision.combine.bytes
    width = ffn.d_dispatch or d_model
    devices = destinations(layout.ep, ffn)
    ranks = devices * layout.moe_tp  # every rank that holds a part of an expert needs the whole token
    least_domains = destinations(on.across, ffn)
    domains = np.maximum(least_domains, ranks / on.inside)
    times = _times(own * width * (there + back), ranks, domains, on, _uneven(layout, efficiency))
    spread = all_gather(tokens * width, on)  # of one byte wide values
    gathered = all_gather(tokens * width * there, on).time + all_gather(tokens * width * back, on).time
    apart = np.asarray(layout.ep) > 1
    times = {name: np.where(apart, time, gathered) for name, time in times.items()}
    times["all-gather"] = gathered
    expert_bytes = precision.of("experts").bytes
    narrow = min(there, expert_bytes) + min(back, expert_bytes)
    crossing = np.asarray(on.across) > 1
    up = np.where(crossing, 0.0, own * width * devices * (1 - 1 / layout.ep) / on.up_rate)
    out = own * width * least_domains * (1 - 1 / on.across) / on.out_rate
    return Exchange(
        times=times,
        up=narrow * np.minimum(up, spread.up),
        out=narrow * np.minimum(out, spread.out),
        own=own,
        devices=devices,
        domains=domains,
    )


def _times(size: Number, ranks: Number, domains: Number, on: GroupLinks, uneven: Number) -> dict[str, Number]:
    """Seconds there and back of each all-to-all scheme, for `size` bytes if every token made one copy."""
    found: dict[str, Number] = {}
    for scheme in ("direct", "hierarchical", "scale-out"):
        each, latency = seconds_per_copy(scheme, ranks, domains, on)
        found[scheme] = size * each * uneven / on.share + 2 * latency
    return found


def _exchange_op(ffn: FeedForward, job: PassJob, n: float, label: str) -> Op:
    """Dispatch and combine as one operation.

    Where every rank holds every token (neither attention DP nor context parallelism) partial results are summed by
    an all-reduce. Else tokens are exchanged; tensor-parallel ranks send a share of their common tokens each, and
    gather the results.
    """
    layout, work, machine = job.layout, job.work, job.machine
    width = job.precision.activation_bytes
    own = work.decode * work.width / layout.stage + work.prefill * work.busiest / (layout.tp * layout.cp)
    moved = exchange(ffn, machine, job.precision, layout, job.efficiency, job.model.d_model, own=own, tokens=work.tokens)
    hidden = job.rank_tokens * job.model.d_model * width
    gather = all_gather(hidden, job.links(layout.tp))
    own_latency = job.efficiency.exchange_latency
    time = moved.chosen(job.efficiency.exchange) + np.where(np.asarray(layout.tp) > 1, 2 * gather.time, 0.0)
    reduce = all_reduce(hidden, job.links(layout.stage))
    shared = np.asarray(layout.dp * layout.cp) > 1  # ranks hold different tokens
    alone = np.asarray(layout.stage) <= 1
    return Op(
        name=f"expert exchange{label}",
        kind="network",
        layers=n,
        network=np.where(alone, 0.0, np.where(shared, time + own_latency, reduce.time) + own_latency),
        up=np.where(alone, 0.0, np.where(shared, moved.up, reduce.up)),
        out=np.where(alone, 0.0, np.where(shared, moved.out, reduce.out)),
        kernels=2.0,
        hideable=np.where(shared & ~alone, time, 0.0),
    )
