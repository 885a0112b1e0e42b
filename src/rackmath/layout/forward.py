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
from ..kernel import achieved
from ..kernel.achieved import Achieved, FreshTokens
from ..kernel.counts import Pass, attended_entries, attended_sum, entry_bytes, entry_format, experts_touched
from ..kernel.efficiency import Efficiency
from ..kernel.roofline import Op, PassTime, pass_time
from ..world.lora import adapter
from ..world.machine import Machine
from ..world.model import LayerGroup, Matrix, Mixer, Model, Stream
from ..world.precision import Format, Precision
from .collectives import all_gather, all_reduce, point_to_point, reduce_scatter
from .experts import expert_ops
from .job import PassJob
from .overlap import overlapped
from .parallelism import Layout, kv_heads_of, split
from .spread import apart, in_turn

ELEMENTWISE_PASSES = 10.0
"""Times a layer's hidden vector crosses memory in norms, residual additions and activations (estimate only)."""


def forward(
    model: Model, machine: Machine, precision: Precision, layout: Layout, work: Pass, efficiency: Efficiency, *, keep: bool = False
) -> PassTime:
    """Time of one pass through all stages of one replica, as its busiest device sees it.

    With pipeline stages `work` is one micro-batch, and the time is that of its whole way through the stages.
    `keep` retains the single operations for `explain`. With `efficiency.overlap` the engine may split the pass into
    two half batches where that is faster.
    """

    if apart(machine, layout):
        return in_turn(model, machine, precision, layout, work, efficiency, operations, keep=keep)

    def timed(part: Pass) -> PassTime:
        return pass_time(
            operations(model, machine, precision, layout, part, efficiency),
            bandwidth=machine.hbm_bandwidth,
            efficiency=efficiency,
            step_overhead=efficiency.step_overhead + efficiency.sequence_overhead * part.decode / layout.dp,
            host=efficiency.host * np.where(np.asarray(part.prefill) > 0, 1.0, 0.0),
            keep=keep,
        )

    whole = timed(work)
    layers = sum(g.count for g in model.groups if g.ffn and g.ffn.n_experts)
    if not efficiency.overlap or not layers:
        return whole
    half = timed(replace(work, decode=work.decode / 2, prefill=work.prefill / 2))
    return overlapped(whole, half, layers, efficiency)


def operations(model: Model, machine: Machine, precision: Precision, layout: Layout, work: Pass, efficiency: Efficiency) -> Iterator[Op]:
    """The operations of one pass on the busiest device, layer group by layer group."""
    # tokens one device's attention and dense parts see: its share of decode, and the busiest rank's prefill
    rank_tokens = work.decode * work.width / layout.dp + work.prefill * work.busiest / layout.cp
    job = PassJob(model, machine, precision, layout, work, efficiency, rank_tokens)
    for group in model.groups:
        yield from _group_ops(group, job)
    yield from _end_ops(job)


def _product(job: PassJob, name: str, matrices: tuple[Matrix, ...], kv_heads: float, tokens: Number, count: float, kernels: float) -> Op:
    """One operation for all projections of a block on one device, in `kernels` launches."""
    tp, bandwidth = job.layout.tp, job.machine.hbm_bandwidth
    components = {m.component for m in matrices}
    formats = {job.precision.of(c) for c in components}
    flops: Number = 0.0
    compute: Number = 0.0
    size: Number = 0.0
    spent = Achieved()
    for fmt in sorted(formats, key=lambda f: f.name):
        own = {c: float(job.precision.of(c) == fmt) for c in components}
        parts = tuple(m for m in matrices if own[m.component])
        parameters = split(parts, own, kv_heads, tp)
        share = kernels * sum(m.count for m in parts) / sum(m.count for m in matrices)
        peak, run, type_ = job.rate(fmt)
        work = 2 * tokens * parameters
        outputs = tokens * sum(m.d_out * m.count for m in parts) / sum(m.count for m in parts) / tp
        crossing = tokens * sum(_activations(m, job.model.d_model, fmt, tp) for m in parts)
        one = achieved.gemm(
            job.efficiency.kernel("gemm", type_),
            compute=work / run,
            bytes=parameters * fmt.bytes + crossing,
            bandwidth=bandwidth,
            outputs=outputs,
            kernels=share,
        )
        flops, compute, size = flops + work, compute + work / peak, size + parameters * fmt.bytes
        spent = spent + one
    return Op(name=name, kind="gemm", layers=count, flops=flops, compute=compute, spent=spent, bytes=size, kernels=kernels)


def _activations(m: Matrix, d_model: float, fmt: Format, tp: Number) -> Number:
    """Bytes of one token's input and output of a product; the side that is not the hidden vector is cut over tp."""
    narrow = 2.0 if fmt.compute == "bf16" else fmt.bytes
    cut = 1.0 if m.shard == "replicated" else tp
    sides = ((m.d_in, narrow), (m.d_out, 2.0))
    return m.count * sum(d * size / (1.0 if d == d_model else cut) for d, size in sides)


def _group_ops(group: LayerGroup, job: PassJob) -> Iterator[Op]:
    n, tokens, tp = group.count, job.rank_tokens, job.layout.tp
    label = f" {group.name}" if group.name else ""
    hidden = tokens * job.model.d_model * job.precision.activation_bytes
    if group.mixer and group.mixer.matrices:
        yield _product(
            job, f"attention projections{label}", group.mixer.matrices, kv_heads_of(group.mixer.streams), tokens, n, group.mixer.kernels
        )
    yield from _adapter_ops(group, job, n, label)
    if group.mixer:
        yield from _mixing_ops(group.mixer, job, n, label)
        if not _alone(job.layout.cp):
            yield from _context_ops(group.mixer, job, n, label)
        if not _alone(job.layout.dcp):
            yield _shared_cache_op(group.mixer, job, n, label)
        yield _all_reduce(job, f"all-reduce after attention{label}", hidden, tp, n)
    if group.ffn:
        if group.ffn.matrices:
            yield _product(job, f"feed-forward{label}", group.ffn.matrices, 1.0, tokens, n, group.ffn.kernels)
        if group.ffn.n_experts:
            yield from expert_ops(group.ffn, job, n, label)
        else:
            yield _all_reduce(job, f"all-reduce after feed-forward{label}", hidden, tp, n)
    yield _elementwise(job, f"norms and residuals{label}", ELEMENTWISE_PASSES * hidden, n, 2.0)


def _elementwise(job: PassJob, name: str, size: Number, count: float, kernels: float) -> Op:
    """Something that only passes `size` bytes through memory, which a fused kernel would not."""
    k = job.efficiency.kernel("elementwise")
    spent = achieved.elementwise(k, bytes=size, bandwidth=job.machine.hbm_bandwidth, kernels=kernels)
    return Op(name=name, kind="elementwise", layers=count, bytes=size, least_bytes=0.0, spent=spent, kernels=kernels)


def _adapter_ops(group: LayerGroup, job: PassJob, n: float, label: str) -> Iterator[Op]:
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
    compute, size, kernels = flops / job.machine.peak("bf16"), in_use * one * lora.bytes, 2.0 * len(matrices)
    spent = achieved.gemm(
        job.efficiency.kernel("gemm", "bf16"),
        compute=compute,
        bytes=size,
        bandwidth=job.machine.hbm_bandwidth,
        outputs=job.rank_tokens * lora.rank,
        kernels=kernels,
    )
    yield Op(
        name=f"adapters{label}",
        kind="gemm",
        layers=n,
        flops=flops,
        compute=compute,
        spent=spent,
        bytes=size,
        least_bytes=one * lora.bytes,
        kernels=kernels,
    )


def _mixing_ops(mixer: Mixer, job: PassJob, n: float, label: str) -> Iterator[Op]:
    work, layout = job.work, job.layout
    sequences = work.decode / layout.dp
    prefill = work.prefill * work.busiest
    for stream in mixer.streams:
        yield from _stream_ops(stream, mixer, job, sequences, prefill, n, label)
    if mixer.state_elements or mixer.scan_flops:
        cut = np.minimum(layout.tp, mixer.heads)
        tokens = job.rank_tokens
        flops = tokens * mixer.scan_flops / cut
        state = mixer.state_elements * mixer.state_bytes / cut
        touched = sequences + work.prompts * work.busiest
        compute, size = flops / job.machine.peak("bf16"), 2 * state * touched
        longest = np.where(np.asarray(work.prefill) > 0, np.minimum(prefill, work.prompt), 0.0)
        of = job.efficiency
        one = achieved.scan(
            of.kernel("scan"),
            compute=sequences * work.width * mixer.scan_flops / cut / job.machine.peak("bf16"),
            bytes=2 * state * sequences,
            bandwidth=job.machine.hbm_bandwidth,
            longest=0.0,
        )
        whole = achieved.scan(
            of.kernel("scan_prefill"),
            compute=prefill * mixer.scan_flops / cut / job.machine.peak("bf16"),
            bytes=2 * state * work.prompts * work.busiest,
            bandwidth=job.machine.hbm_bandwidth,
            longest=longest,
            kernels=np.where(np.asarray(work.prefill) > 0, 1.0, 0.0),
        )
        yield Op(
            name=f"recurrent state{label}", kind="scan", layers=n, flops=flops, compute=compute, spent=one + whole, bytes=size, kernels=2.0
        )


def _stream_ops(stream: Stream, mixer: Mixer, job: PassJob, sequences: Number, prefill: Number, n: float, label: str) -> Iterator[Op]:
    """Attention over one cache stream: decoding sequences, then prefill tokens."""
    work, tp, cp, dcp, bandwidth = job.work, job.layout.tp, job.layout.cp, job.layout.dcp, job.machine.hbm_bandwidth
    fmt = entry_format(stream, job.precision)
    entry = entry_bytes(stream, job.precision) / np.minimum(tp, stream.heads)  # on this device
    # Engines multiply attention in 16 bits unless the cache is narrower; only the bound grants the narrow peak.
    peak, safe = job.machine.peak(fmt.compute), job.machine.peak("bf16")
    entries, prefill = attended_entries(stream, work.context) / cp, prefill / cp  # each cp rank keeps its part
    latent = stream.heads <= 1  # one entry serves all query heads, as in latent attention
    flops = sequences * work.width * entries * stream.decode_flops / tp
    written = sequences * work.width / stream.stride if stream.stored else 0.0
    group = np.maximum(mixer.heads / np.maximum(tp, stream.heads), 1.0) * work.width  # query heads on a key head
    group = group * dcp  # a rank meets its part of the cache with the queries of its whole group: as many FLOPs
    if not _none(work.decode):
        size = (sequences * entries + written) / dcp * entry
        spent = achieved.attention_decode(
            job.efficiency.kernel("mla_decode" if latent else "attention_decode", fmt.kernel),
            compute=flops / safe,
            bytes=size,
            bandwidth=bandwidth,
            sequences=sequences,
            entry_bytes=entry,
            group=group,
            kernels=_any(work.decode),
        )
        yield Op(
            name=f"{stream.name} attention, decode{label}",
            kind="attention_decode",
            layers=n,
            flops=flops,
            compute=flops / peak,
            spent=spent,
            bytes=size,
            kernels=_any(work.decode),
        )
    if _none(work.prefill):
        return
    fresh = np.maximum(work.prompt - work.prompt_cached, 1.0)
    pairs = (attended_sum(stream, work.prompt) - attended_sum(stream, work.prompt_cached)) / fresh
    flops = prefill * pairs * stream.prefill_flops / tp
    size = _met(stream, work, prefill * cp) * entry
    heads = np.maximum(mixer.heads / tp, 1.0)
    pair_flops = stream.prefill_flops / mixer.heads
    if pair_flops:
        spent = achieved.attention_prefill(
            job.efficiency.kernel("mla_prefill" if latent else "attention_prefill"),
            compute=flops / safe,
            bytes=size + prefill * heads * pair_flops,  # queries and outputs
            bandwidth=bandwidth,
            fresh=FreshTokens(
                pair_flops=pair_flops,
                queries=np.maximum(np.minimum(prefill, fresh), 1.0),
                keys=np.maximum(pairs, 1.0),
                heads=heads,
                prompts=np.maximum(prefill / fresh, 1.0),
            ),
            kernels=_any(work.prefill),
        )
    else:  # a buffer that is kept, and multiplied with nothing
        spent = achieved.elementwise(job.efficiency.kernel("elementwise"), bytes=size, bandwidth=bandwidth, kernels=_any(work.prefill))
    yield Op(
        name=f"{stream.name} attention, prefill{label}",
        kind="attention_prefill",
        layers=n,
        flops=flops,
        compute=flops / peak,
        spent=spent,
        bytes=size,
        least_bytes=prefill / stream.stride * entry if stream.stored else 0.0,
        kernels=_any(work.prefill),
    )


def _none(tokens: Number) -> bool:
    """Whether there is known to be no such work: a scalar 0, never a column."""
    return isinstance(tokens, float | int) and not tokens


def _any(tokens: Number) -> Number:
    """1 where there is such work, 0 where a column has none: nothing is launched for it."""
    return 1.0 if isinstance(tokens, float | int) else np.where(np.asarray(tokens) > 0, 1.0, 0.0)


def _alone(ways: Number) -> bool:
    """Whether a cut is known to be into one part: a scalar 1, never a column."""
    return isinstance(ways, float | int) and ways == 1


def _context_ops(mixer: Mixer, job: PassJob, n: float, label: str) -> Iterator[Op]:
    """What context-parallel ranks tell each other in a layer.

    While prefilling, every rank's queries meet all entries the tokens before them left: those are gathered (or passed
    round a ring, the same bytes). While decoding, ranks attend to their own entries and sum the partial results. The
    bound grants both free: queries could travel instead of entries, or windows only.
    """
    work, layout, cp = job.work, job.layout, job.layout.cp
    on = job.links(cp, layout.tp)
    prefill = work.prefill * work.busiest
    size: Number = 0.0
    for stream in mixer.streams:
        entry = entry_bytes(stream, job.precision) / np.minimum(layout.tp, stream.heads)
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


def _shared_cache_op(mixer: Mixer, job: PassJob, n: float, label: str) -> Op:
    """What ranks of a decode-context-parallel group tell each other in a layer.

    While decoding, queries of all their heads are gathered, then the logarithms of the sums of weights (LSE, four
    bytes a head) that scale each rank's result, and the results are summed and scattered: three collectives, as
    vLLM's default does. While prefilling, entries of earlier chunks and of cached prefixes are gathered. The bound
    grants them free: a query needs to visit a rank only where that has entries it attends to.
    """
    work, layout = job.work, job.layout
    on, size = job.links(layout.dcp), job.precision.activation_bytes
    tokens = work.decode * work.width / layout.dp
    heads = mixer.heads / layout.tp * layout.dcp
    numbers = sum(s.decode_flops for s in mixer.streams) / 2 / mixer.heads  # of a head's query and result
    half = tokens * heads * numbers / 2 * size
    sums = all_gather(tokens * heads * layout.dcp * 4, on)
    decode = all_gather(half, on).time + sums.time + reduce_scatter(half, on).time
    decode = decode + 3 * job.efficiency.exchange_latency
    earlier: Number = 0.0
    chunk = np.minimum(work.prefill * work.busiest, work.prompt - work.prompt_cached)
    for stream in mixer.streams:
        entry = entry_bytes(stream, job.precision) / np.minimum(layout.tp, stream.heads)
        met = np.maximum((work.prompt + work.prompt_cached - chunk) / 2, 0.0) / stream.stride
        earlier = earlier + work.prompts * work.busiest * met * entry
    prefill = all_gather(earlier, on).time + job.efficiency.exchange_latency
    several, decodes, prefills = (np.asarray(x) > y for x, y in ((layout.dcp, 1), (work.decode, 0), (earlier, 0)))
    return Op(
        name=f"shared cache exchange{label}",
        kind="network",
        layers=n,
        network=np.where(several, np.where(decodes, decode, 0.0) + np.where(prefills, prefill, 0.0), 0.0),
        kernels=np.where(several, 3.0 * decodes + prefills, 0.0),
    )


def _met(stream: Stream, work: Pass, prefill: Number) -> Number:
    """Entries that a rank's prefill tokens meet: earlier ones of their prompts, and their own."""
    # Each prompt's earlier entries are read once per chunk: on average those of half of its uncached part.
    middle = (work.prompt + work.prompt_cached) / 2
    union = np.minimum(np.minimum(middle, stream.window), stream.chunk) / stream.stride
    return work.prompts * work.busiest * union + (prefill / stream.stride if stream.stored else 0.0)


def _all_reduce(job: PassJob, name: str, size: Number, n_devices: Number, count: float) -> Op:
    cost = all_reduce(size, job.links(n_devices))
    several = np.asarray(n_devices) > 1
    return Op(
        name=name,
        kind="network",
        layers=count,
        network=np.where(several, cost.time + job.efficiency.exchange_latency, 0.0),
        up=np.where(several, cost.up, 0.0),
        out=np.where(several, cost.out, 0.0),
        kernels=1.0,
    )


def _end_ops(job: PassJob) -> Iterator[Op]:
    """The output head, for tokens that need logits, the embedding, and the hops between pipeline stages."""
    model, layout, work = job.model, job.layout, job.work
    head = Matrix(name="head", d_in=model.d_model, d_out=model.vocab, component="head")
    wanted = (work.decode * work.width) / layout.dp + work.prompts * work.busiest
    yield _product(job, "output head", (head,), 1.0, wanted, 1.0, 1.0)
    row = model.d_model * job.precision.of("embedding").bytes
    yield _elementwise(job, "embedding lookup", 2 * job.rank_tokens * row, 1.0, 1.0)
    size = job.rank_tokens * model.d_model * job.precision.activation_bytes / layout.tp
    crosses = np.asarray(layout.gpus) > job.machine.domain
    hop = point_to_point(size, job.machine, job.efficiency.link_share, crosses=crosses)
    hops = np.maximum(layout.pp - 1, 0.0)
    yield Op(name="pipeline hops", kind="network", network=hops * hop.time, up=hops * hop.up, out=hops * hop.out, kernels=0.0)
