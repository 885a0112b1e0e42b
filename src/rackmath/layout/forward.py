"""One forward pass of a sharded model: its operations on one device, and their time.

Every layer group contributes a handful of operations, whatever its kind: projections, attention over the cache
while decoding and while prefilling, the feed-forward part, routed experts, norms, and the collectives the layout
needs. Projections of one block share a batch and are summed into one operation: their ratio of FLOPs to bytes is
the same, so the roofline of the sum is the sum of the rooflines.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ..arrays import Number
from ..kernel.counts import Pass, attended_entries, attended_sum, experts_touched
from ..kernel.efficiency import Efficiency
from ..kernel.roofline import Op, PassTime, pass_time
from ..world.lora import adapter
from ..world.machine import Machine
from ..world.model import LayerGroup, Matrix, Mixer, Model, Stream
from ..world.precision import Precision
from .collectives import all_gather, all_reduce, links, point_to_point
from .experts import expert_ops
from .overlap import overlapped
from .parallelism import Layout, kv_heads_of, split

ELEMENTWISE_PASSES = 10.0
"""Times a layer's hidden vector crosses memory in norms, residual additions and activations (estimate only)."""


def forward(
    model: Model,
    machine: Machine,
    precision: Precision,
    layout: Layout,
    work: Pass,
    efficiency: Efficiency,
    *,
    keep: bool = False,
) -> PassTime:
    """Time of one pass through all stages of one replica, as its busiest device sees it.

    With pipeline stages `work` is one micro-batch, and the time is that of its whole way through the stages.
    `keep` retains the single operations for `explain`. With `efficiency.overlap` the engine may split the pass into
    two half batches where that is faster.
    """

    def timed(part: Pass) -> PassTime:
        return pass_time(
            operations(model, machine, precision, layout, part, efficiency),
            bandwidth=machine.hbm_bandwidth,
            efficiency=efficiency,
            step_overhead=efficiency.step_overhead,
            keep=keep,
        )

    whole = timed(work)
    layers = sum(g.count for g in model.groups if g.ffn and g.ffn.n_experts)
    if not efficiency.overlap or not layers:
        return whole
    half = timed(replace(work, decode=work.decode / 2, prefill=work.prefill / 2))
    return overlapped(whole, half, layers, efficiency)


def operations(
    model: Model, machine: Machine, precision: Precision, layout: Layout, work: Pass, efficiency: Efficiency
) -> Iterator[Op]:
    """The operations of one pass on the busiest device, layer group by layer group."""
    # tokens one device's attention and dense parts see: its share of decode, and the busiest rank's prefill
    rank_tokens = work.decode * work.width / layout.dp + work.prefill * work.busiest / layout.cp
    job = Job(model, machine, precision, layout, work, efficiency, rank_tokens)
    for group in model.groups:
        yield from _group_ops(group, job)
    yield from _end_ops(job)


class Job:
    """What every operation of a pass needs, so that no function takes nine arguments."""

    __slots__ = ("efficiency", "layout", "machine", "model", "precision", "rank_tokens", "work")

    def __init__(
        self,
        model: Model,
        machine: Machine,
        precision: Precision,
        layout: Layout,
        work: Pass,
        efficiency: Efficiency,
        rank_tokens: Number,
    ) -> None:
        self.model, self.machine, self.precision = model, machine, precision
        self.layout, self.work, self.efficiency = layout, work, efficiency
        self.rank_tokens = rank_tokens

    def rates(self, kind: str, component: str) -> tuple[float | Number, float | Number]:
        """Peak FLOP/s for a component's operand type, and what an operation kind achieves of it.

        A type the machine does not multiply is widened to 16 bits by engines (weights only); the bound grants the
        narrowest type that would do.
        """
        compute = self.precision.of(component).compute
        run = compute if self.machine.multiplies(compute) else "bf16"
        return self.machine.peak(compute), self.machine.peak(run) * self.efficiency.compute(kind, run)


def _product(job: Job, name: str, matrices: tuple[Matrix, ...], kv_heads: float, tokens: Number, count: float) -> Op:
    """One operation for all projections of a block on one device."""
    components = {m.component for m in matrices}
    rates = {c: job.rates("gemm", c) for c in components}
    tp = job.layout.tp
    parameters = split(matrices, dict.fromkeys(components, 1.0), kv_heads, tp)
    size = split(matrices, {c: job.precision.of(c).bytes for c in components}, kv_heads, tp)
    at_peak = split(matrices, {c: 2 / float(r[0]) for c, r in rates.items()}, kv_heads, tp)
    achieved = split(matrices, {c: 2 / float(r[1]) for c, r in rates.items()}, kv_heads, tp)
    return Op(
        name=name,
        kind="gemm",
        layers=count,
        flops=2 * tokens * parameters,
        compute=tokens * at_peak,
        achieved=tokens * achieved,
        bytes=size,
        kernels=len(matrices),
    )


def _group_ops(group: LayerGroup, job: Job) -> Iterator[Op]:
    n, tokens, tp = group.count, job.rank_tokens, job.layout.tp
    label = f" {group.name}" if group.name else ""
    hidden = tokens * job.model.d_model * job.precision.activation_bytes
    if group.mixer and group.mixer.matrices:
        yield _product(
            job, f"attention projections{label}", group.mixer.matrices, kv_heads_of(group.mixer.streams), tokens, n
        )
    yield from _adapter_ops(group, job, n, label)
    if group.mixer:
        yield from _mixing_ops(group.mixer, job, n, label)
        if not _alone(job.layout.cp):
            yield from _context_ops(group.mixer, job, n, label)
        yield _all_reduce(job, f"all-reduce after attention{label}", hidden, tp, n)
    if group.ffn:
        if group.ffn.matrices:
            yield _product(job, f"feed-forward{label}", group.ffn.matrices, 1.0, tokens, n)
        if group.ffn.n_experts:
            yield from expert_ops(group.ffn, job, n, label)
        else:
            yield _all_reduce(job, f"all-reduce after feed-forward{label}", hidden, tp, n)
    yield Op(
        name=f"norms and residuals{label}",
        kind="elementwise",
        layers=n,
        bytes=ELEMENTWISE_PASSES * hidden,
        least_bytes=0.0,
        kernels=2.0,
    )


def _adapter_ops(group: LayerGroup, job: Job, n: float, label: str) -> Iterator[Op]:
    """Low-rank adapters of a layer: their own multiplications, and one reading of every adapter in use.

    Sequences are spread evenly and at random over the adapters; tensor parallelism cuts those like their matrices.
    """
    lora, work = job.model.lora, job.work
    matrices = adapter(group, lora)
    if lora is None or not matrices:
        return
    kv = kv_heads_of(group.mixer.streams) if group.mixer else 1.0
    one = split(matrices, dict.fromkeys((m.component for m in matrices), 1.0), kv, job.layout.tp)
    sequences = work.decode / job.layout.dp + work.prompts * work.busiest
    in_use = lora.adapters * experts_touched(lora.adapters, 1.0, sequences)
    flops = 2 * job.rank_tokens * one
    peak = job.machine.peak("bf16")
    yield Op(
        name=f"adapters{label}",
        kind="gemm",
        layers=n,
        flops=flops,
        compute=flops / peak,
        achieved=flops / (peak * job.efficiency.compute("gemm", "bf16")),
        bytes=in_use * one * lora.bytes,
        least_bytes=one * lora.bytes,
        kernels=2.0 * len(matrices),
    )


def _mixing_ops(mixer: Mixer, job: Job, n: float, label: str) -> Iterator[Op]:
    work, layout = job.work, job.layout
    sequences = work.decode / layout.dp
    prefill = work.prefill * work.busiest
    for stream in mixer.streams:
        yield from _stream_ops(stream, job, sequences, prefill, n, label)
    if mixer.state_elements or mixer.scan_flops:
        cut = np.minimum(layout.tp, mixer.heads)
        tokens = job.rank_tokens
        flops = tokens * mixer.scan_flops / cut
        state = mixer.state_elements * mixer.state_bytes / cut
        touched = sequences + work.prompts * work.busiest
        peak = job.machine.peak("bf16")
        yield Op(
            name=f"recurrent state{label}",
            kind="scan",
            layers=n,
            flops=flops,
            compute=flops / peak,
            achieved=flops / (peak * job.efficiency.compute("scan", "bf16")),
            bytes=2 * state * touched,
            kernels=2.0,
        )


def _stream_ops(stream: Stream, job: Job, sequences: Number, prefill: Number, n: float, label: str) -> Iterator[Op]:
    """Attention over one cache stream: decoding sequences, then prefill tokens."""
    work, tp = job.work, job.layout.tp
    fmt = job.precision.of(stream.precision)
    entry = stream.elements * fmt.bytes / np.minimum(tp, stream.heads)
    # Engines multiply attention in 16 bits unless the cache is narrower; only the bound grants the narrow peak.
    peak, safe = job.machine.peak(fmt.compute), job.machine.peak("bf16")
    entries = attended_entries(stream, work.context)
    entries, prefill = entries / job.layout.cp, prefill / job.layout.cp  # each context-parallel rank keeps its part
    flops = sequences * work.width * entries * stream.decode_flops / tp
    written = sequences * work.width / stream.stride if stream.stored else 0.0
    if not _none(work.decode):
        yield Op(
            name=f"{stream.name} attention, decode{label}",
            kind="attention_decode",
            layers=n,
            flops=flops,
            compute=flops / peak,
            achieved=flops / (safe * job.efficiency.compute("attention_decode", "bf16")),
            bytes=(sequences * entries + written) * entry,
        )
    if _none(work.prefill):
        return
    fresh = np.maximum(work.prompt - work.prompt_cached, 1.0)
    pairs = (attended_sum(stream, work.prompt) - attended_sum(stream, work.prompt_cached)) / fresh
    flops = prefill * pairs * stream.prefill_flops / tp
    yield Op(
        name=f"{stream.name} attention, prefill{label}",
        kind="attention_prefill",
        layers=n,
        flops=flops,
        compute=flops / peak,
        achieved=flops / (safe * job.efficiency.compute("attention_prefill", "bf16")),
        bytes=_met(stream, work, prefill * job.layout.cp) * entry,
        least_bytes=prefill / stream.stride * entry if stream.stored else 0.0,
    )


def _none(tokens: Number) -> bool:
    """Whether there is known to be no such work: a scalar 0, never a column."""
    return isinstance(tokens, float | int) and not tokens


def _alone(ways: Number) -> bool:
    """Whether a cut is known to be into one part: a scalar 1, never a column."""
    return isinstance(ways, float | int) and ways == 1


def _context_ops(mixer: Mixer, job: Job, n: float, label: str) -> Iterator[Op]:
    """What context-parallel ranks tell each other in a layer.

    While prefilling, every rank's queries meet all entries the tokens before them left: those are gathered (or passed
    round a ring, the same bytes). While decoding, ranks attend to their own entries and sum the partial results. The
    bound grants both free: queries could travel instead of entries, or windows only.
    """
    work, layout, cp = job.work, job.layout, job.layout.cp
    on = links(job.machine, cp, job.efficiency.link_share, stride=layout.tp)
    prefill = work.prefill * work.busiest
    size: Number = 0.0
    for stream in mixer.streams:
        entry = stream.elements * job.precision.of(stream.precision).bytes / np.minimum(layout.tp, stream.heads)
        size = size + _met(stream, work, prefill) * entry
    partial = work.decode * work.width / layout.dp * job.model.d_model * job.precision.activation_bytes / layout.tp
    time = np.where(work.prefill > 0, all_gather(size, on).time, 0.0)
    time = time + np.where(work.decode > 0, all_reduce(partial, on).time, 0.0)
    yield Op(
        name=f"context exchange{label}",
        kind="network",
        layers=n,
        network=np.where(np.asarray(cp) > 1, time + job.efficiency.launch, 0.0),
        kernels=0.0,
    )


def _met(stream: Stream, work: Pass, prefill: Number) -> Number:
    """Entries that a rank's prefill tokens meet: earlier ones of their prompts, and their own."""
    # Each prompt's earlier entries are read once per chunk: on average those of half of its uncached part.
    middle = (work.prompt + work.prompt_cached) / 2
    union = np.minimum(np.minimum(middle, stream.window), stream.chunk) / stream.stride
    return work.prompts * work.busiest * union + (prefill / stream.stride if stream.stored else 0.0)


def _all_reduce(job: Job, name: str, size: Number, n_devices: Number, count: float) -> Op:
    cost = all_reduce(size, links(job.machine, n_devices, job.efficiency.link_share))
    several = np.asarray(n_devices) > 1
    return Op(
        name=name,
        kind="network",
        layers=count,
        network=np.where(several, cost.time, 0.0),
        up=np.where(several, cost.up, 0.0),
        out=np.where(several, cost.out, 0.0),
        kernels=1.0,
    )


def _end_ops(job: Job) -> Iterator[Op]:
    """The output head, for tokens that need logits, the embedding, and the hops between pipeline stages."""
    model, layout, work = job.model, job.layout, job.work
    head = Matrix(name="head", d_in=model.d_model, d_out=model.vocab, component="head")
    wanted = (work.decode * work.width) / layout.dp + work.prompts * work.busiest
    yield _product(job, "output head", (head,), 1.0, wanted, 1.0)
    row = model.d_model * job.precision.of("embedding").bytes
    yield Op(name="embedding lookup", kind="elementwise", bytes=2 * job.rank_tokens * row, least_bytes=0.0)
    size = job.rank_tokens * model.d_model * job.precision.activation_bytes / layout.tp
    crosses = np.asarray(layout.gpus) > job.machine.domain
    hop = point_to_point(size, job.machine, job.efficiency.link_share, crosses=crosses)
    hops = np.maximum(layout.pp - 1, 0.0)
    yield Op(
        name="pipeline hops",
        kind="network",
        network=hops * hop.time,
        up=hops * hop.up,
        out=hops * hop.out,
        kernels=0.0,
    )
