"""Seconds of the layers of a model for one micro-batch on one device, by phase: kernels, and collectives by kind.

A layer's backward pass splits into the gradient of its input and that of its weights, which schedules place apart.
Every product runs three times: forward, for its input's gradient and for its weights' gradient. Kernels take the
times of `kernel.achieved`; collectives those of `layout.collectives` with the constants of NCCL.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np

from ..arrays import Number
from ..kernel import achieved
from ..kernel.achieved import FreshTokens, Routed
from ..kernel.counts import attended_sum
from ..kernel.efficiency import Efficiency, bare
from ..layout.collectives import CollectiveTime, GroupLinks, all_gather, all_reduce, links, reduce_scatter, seconds_per_copy
from ..layout.experts import destinations
from ..layout.job import SWITCHED
from ..layout.parallelism import kv_heads_of
from ..world.machine import Machine
from ..world.model import FeedForward, LayerGroup, Matrix, Mixer, Model
from .constants import TrainConstants
from .job import Batch, Recipe, TrainLayout

FORWARD, INPUT, WEIGHT = 0, 1, 2
"""The three products of a matrix."""

FLASH_BACKWARD = 2.5 / 0.8
"""Backward pass of attention that never writes its scores, in forward passes: five products where forward has two, at
0.8 of its rate (FlashAttention-2 and 3: 0.75 to 0.85, arXiv 2307.08691 and 2407.08608)."""

NORM_FORWARD, NORM_BACKWARD = 20.0, 16.0
"""Bytes of memory traffic for each hidden value of a layer in 16 bits: two norms and two residual additions."""

DROPOUT_FORWARD, DROPOUT_BACKWARD = 2.0, 10.0
"""Bytes more with dropout, for its mask and its backward pass."""

SCORE_FORWARD, SCORE_BACKWARD = 8.0, 12.0
"""Bytes moved for each written attention score: the products' own side 4, scaling and softmax 4 (8 backward)."""

SCORE_DROPOUT_FORWARD, SCORE_DROPOUT_BACKWARD = 5.0, 7.0
"""Bytes more for each score with dropout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phases:
    """Seconds (or any other quantity) of one layer, or a sum of layers, for one micro-batch on one device.

    `scores`: of the forward pass, the part that unfused attention takes; `expert`: of all kernels, the part of routed
    experts. `peak`: forward compute at 100 % of peak. `tp`, `ep`, `cp`: collectives forward and backward; `up` and
    `out`: their least traffic at full link rate over all phases.
    """

    forward: Number = 0.0
    input_grad: Number = 0.0
    weight_grad: Number = 0.0
    scores: Number = 0.0
    expert: Number = 0.0
    peak: Number = 0.0
    tp_forward: Number = 0.0
    tp_backward: Number = 0.0
    ep_forward: Number = 0.0
    ep_backward: Number = 0.0
    cp_forward: Number = 0.0
    cp_backward: Number = 0.0
    up: Number = 0.0
    out: Number = 0.0

    def __add__(self, other: Phases) -> Phases:
        return Phases(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    def times(self, factor: Number) -> Phases:
        return Phases(**{f.name: getattr(self, f.name) * factor for f in fields(self)})


class StepWork:
    """What every part of a step needs, so that no function takes nine arguments."""

    __slots__ = ("batch", "constants", "efficiency", "layout", "machine", "model", "recipe", "tokens")

    def __init__(
        self, model: Model, machine: Machine, layout: TrainLayout, recipe: Recipe, batch: Batch, constants: TrainConstants
    ) -> None:
        self.model, self.machine, self.layout = model, machine, layout
        self.recipe, self.batch, self.constants = recipe, batch, constants
        self.efficiency: Efficiency = bare(machine.generation)
        self.tokens: Number = layout.micro_batch * batch.seq / layout.cp  # of a micro-batch on a device

    def links(self, n: Number, stride: Number = 1.0) -> GroupLinks:
        """The links of a group of n devices under NCCL."""
        if self.machine.vendor in SWITCHED:
            kernel = self.efficiency.kernel("all_reduce", "nccl")
            return links(self.machine, n, kernel.memory_share, stride=stride, kernel=kernel)
        return links(self.machine, n, self.efficiency.link_share, stride=stride)

    @property
    def hidden(self) -> Number:
        """Bytes of a micro-batch's hidden vectors on a device, in 16 bits."""
        return self.tokens * self.model.d_model * 2.0

    @property
    def norm_tokens(self) -> Number:
        """Tokens whose norms and residuals a device computes: a share with sequence parallelism."""
        return self.tokens / self.layout.tp if self.layout.sequence_parallel else self.tokens


def layers(work: StepWork) -> Phases:
    """All layers of the model, as if one device held a tensor-parallel part of each."""
    total = Phases()
    for group in work.model.groups:
        total = total + _layer(group, work).times(group.count)
    return total


def _layer(group: LayerGroup, work: StepWork) -> Phases:
    total = _norms(work)
    if group.mixer:
        total = total + products(work, group.mixer.matrices, kv_heads_of(group.mixer.streams))
        total = total + _attention(group.mixer, work) + _tensor_parallel(work)
    if group.ffn:
        total = total + products(work, group.ffn.matrices, 1.0) + _activation(group.ffn, work)
        if group.ffn.n_experts:
            total = total + _experts(group.ffn, work)
        if group.ffn.d_dense or not group.ffn.n_experts:
            total = total + _tensor_parallel(work)
    return total


# --- kernels ------------------------------------------------------------------------------------------------------


def products(work: StepWork, matrices: Iterable[Matrix], kv_heads: float) -> Phases:
    """The three products of each matrix on the tokens of a micro-batch."""
    phases: list[Number] = [0.0, 0.0, 0.0]
    peak_seconds: Number = 0.0
    for m in matrices:
        fmt = work.recipe.precision.of(m.component)
        rate = work.machine.rate(fmt.compute)
        kernel = work.efficiency.kernel("gemm")
        cut: Number = 1.0
        if m.shard != "replicated":
            cut = work.layout.tp if m.shard == "split" else np.minimum(work.layout.tp, kv_heads)
        row = (m.d_out == work.model.d_model and m.d_in != work.model.d_model) or m.name == "o"
        d_in, d_out = (m.d_in / cut, m.d_out) if row else (m.d_in, m.d_out / cut)
        at_peak = 2 * work.tokens * d_in * d_out * m.count / rate
        peak_seconds = peak_seconds + at_peak
        narrow = fmt.bytes if fmt.compute != "bf16" and work.machine.multiplies(fmt.compute) else 2.0
        sides = (work.tokens * d_in, work.tokens * d_out, d_in * d_out)  # input, output, weights
        sizes = (
            narrow * (sides[0] + sides[2]) + 2 * sides[1],
            narrow * (sides[1] + sides[2]) + 2 * sides[0],
            narrow * (sides[0] + sides[1]) + 2 * work.recipe.gradient_bytes * sides[2],
        )
        for phase, outputs in ((FORWARD, sides[1]), (INPUT, sides[0]), (WEIGHT, sides[2])):
            spent = achieved.gemm(
                kernel,
                compute=at_peak,
                bytes=sizes[phase] * m.count,
                bandwidth=work.machine.hbm_bandwidth,
                outputs=outputs,
                kernels=m.count,
            )
            phases[phase] = phases[phase] + spent.seconds
        if narrow < 2.0:  # cast input and gradient, each with its transpose
            phases[FORWARD] = phases[FORWARD] + passed(work, (2 + 2 * narrow) * sides[0])
            phases[INPUT] = phases[INPUT] + passed(work, (2 + 2 * narrow) * sides[1] * m.count)
    return Phases(forward=phases[FORWARD], input_grad=phases[INPUT], weight_grad=phases[WEIGHT], peak=peak_seconds)


def passed(work: StepWork, size: Number, kernels: float = 1.0) -> Number:
    """Seconds to pass `size` bytes through memory in `kernels` launches."""
    kernel = work.efficiency.kernel("elementwise")
    return achieved.elementwise(kernel, bytes=size, bandwidth=work.machine.hbm_bandwidth, kernels=kernels).seconds


def _norms(work: StepWork) -> Phases:
    values = work.norm_tokens * work.model.d_model
    dropped = 1.0 if work.recipe.dropout else 0.0
    return Phases(
        forward=passed(work, (NORM_FORWARD + dropped * DROPOUT_FORWARD) * values, 4.0),
        input_grad=passed(work, (NORM_BACKWARD + dropped * DROPOUT_BACKWARD) * values, 4.0),
    )


def _activation(ffn: FeedForward, work: StepWork) -> Phases:
    """The non-linear function of a dense part, read and written in 16 bits."""
    ups = [m for m in ffn.matrices if m.name == "up"]
    inner = sum(m.d_out * m.count for m in ups)
    if not inner:
        return Phases()
    out = sum(m.d_out for m in ups)
    values = work.tokens / work.layout.tp
    return Phases(forward=passed(work, 2 * (inner + out) * values), input_grad=passed(work, 2 * (2 * inner + out) * values))


def _attention(mixer: Mixer, work: StepWork) -> Phases:
    """The core of attention over all streams, and of a recurrence."""
    total = Phases()
    tp, seq, rate = work.layout.tp, work.batch.seq, work.machine.peak("bf16")
    bandwidth = work.machine.hbm_bandwidth
    for stream in mixer.streams:
        if not stream.prefill_flops:  # a buffer that is kept, and multiplied with nothing
            continue
        if work.recipe.attention == "unfused":
            total = total + _unfused(mixer, stream.prefill_flops, work)
            continue
        pairs = attended_sum(stream, seq) / seq
        at_peak = work.tokens * pairs * stream.prefill_flops / tp / rate
        heads = np.maximum(mixer.heads / tp, 1.0)
        pair_flops = stream.prefill_flops / mixer.heads
        entries = work.tokens * stream.elements / np.minimum(tp, stream.heads) * 2.0
        kernel = work.efficiency.kernel("mla_prefill" if stream.heads <= 1 else "attention_prefill")
        fresh = FreshTokens(pair_flops=pair_flops, queries=seq / work.layout.cp, keys=pairs, heads=heads, prompts=work.layout.micro_batch)
        moved = entries + work.tokens * heads * pair_flops
        forward, backward = (
            achieved.attention_prefill(kernel, compute=factor * at_peak, bytes=factor * moved, bandwidth=bandwidth, fresh=fresh).seconds
            / work.constants.attention
            for factor in (1.0, FLASH_BACKWARD)
        )
        total = total + Phases(forward=forward, input_grad=backward, peak=at_peak)
        total = total + _context_parallel(stream.elements / np.minimum(tp, stream.heads), work)
    if mixer.scan_flops:
        cut = np.minimum(tp, mixer.heads)
        at_peak = work.tokens * mixer.scan_flops / cut / rate
        kernel = work.efficiency.kernel("scan_prefill")
        one = achieved.scan(
            kernel, compute=at_peak, bytes=2 * work.tokens * work.model.d_model / cut * 2, bandwidth=bandwidth, longest=seq
        ).seconds
        total = total + Phases(forward=one, input_grad=2 * one, peak=at_peak)
    return total


def _unfused(mixer: Mixer, pair_flops: float, work: StepWork) -> Phases:
    """Attention that writes all scores, masked ones too: two products forward, four backward, and passes between."""
    seq, tp = work.batch.seq, work.layout.tp
    scores = work.tokens * seq * mixer.heads / tp
    at_peak = work.tokens * seq * pair_flops / tp / work.machine.peak("bf16")
    dropped = 1.0 if work.recipe.dropout else 0.0
    kernel = work.efficiency.kernel("gemm")
    product = achieved.gemm(
        kernel, compute=at_peak, bytes=4 * scores, bandwidth=work.machine.hbm_bandwidth, outputs=scores, kernels=2
    ).seconds
    forward = product + passed(work, (SCORE_FORWARD - 4 + dropped * SCORE_DROPOUT_FORWARD) * scores, 2.0)
    backward = 2 * product + passed(work, (SCORE_BACKWARD - 8 + dropped * SCORE_DROPOUT_BACKWARD) * scores, 2.0)
    return Phases(forward=forward, input_grad=backward, scores=forward, peak=at_peak / 2)  # a causal mask keeps half


def _experts(ffn: FeedForward, work: StepWork) -> Phases:
    """Routed experts on one device, and the exchange that brings tokens to them and back."""
    layout, fmt = work.layout, work.recipe.precision.of("experts")
    multiplies = work.machine.multiplies(fmt.compute)
    rate = work.machine.rate(fmt.compute)
    one = sum(m.parameters for m in ffn.expert)
    rows = work.tokens / layout.tp * ffn.top_k
    held = ffn.n_experts / layout.ep
    at_peak = 2 * rows * one / rate
    width = ffn.d_dispatch or work.model.d_model
    routed = Routed(rows=rows, touched=held, row_bytes=rows * 2 * (width + ffn.d_expert), token_bytes=work.tokens / layout.tp * 2 * width)
    kernels = achieved.experts(
        work.efficiency.kernel("experts"),
        compute=at_peak,
        bytes=held * one * (fmt.bytes if multiplies else 2.0),
        bandwidth=work.machine.hbm_bandwidth,
        routed=routed,
    )
    spent = kernels.seconds / work.constants.experts
    there, up, out = _exchange(ffn, work, width)
    return Phases(
        forward=spent,
        input_grad=spent,
        weight_grad=spent,
        expert=3 * spent,
        peak=at_peak,
        ep_forward=there,
        ep_backward=there,
        up=2 * up,
        out=2 * out,
    )


# --- collectives --------------------------------------------------------------------------------------------------


def _tensor_parallel(work: StepWork) -> Phases:
    """What the ranks of a block tell each other: one all-reduce each way, or its halves with sequence parallelism.

    With sequence parallelism the backward pass gathers the block's input once more, for the weights' gradient.
    """
    on, size = work.links(work.layout.tp), work.hidden
    if work.layout.sequence_parallel:
        half, rest = reduce_scatter(size, on), all_gather(size, on)
        forward = _only(work.layout.tp, half.time + rest.time)
        backward = _only(work.layout.tp, half.time + 2 * rest.time)
        least: CollectiveTime = all_reduce(size, on)
    else:
        least = all_reduce(size, on)
        forward = backward = _only(work.layout.tp, least.time)
    return Phases(tp_forward=forward, tp_backward=backward, up=2 * least.up, out=2 * least.out)


def _exchange(ffn: FeedForward, work: StepWork, width: float) -> tuple[Number, Number, Number]:
    """Seconds of dispatch and combine, and the least traffic of both on the two levels."""
    ep = work.layout.ep
    share = work.efficiency.kernel("all_to_all", "nvlink").memory_share
    on = links(work.machine, ep, share)
    devices = destinations(ep, ffn)
    domains = np.maximum(destinations(on.across, ffn), devices / on.inside)
    own = work.tokens / work.layout.tp * width
    size = own * (2.0 + 2.0)
    best: Number = np.inf
    for scheme in ("direct", "hierarchical"):
        each, latency = seconds_per_copy(scheme, devices, domains, on)
        best = np.minimum(best, size * each / share + 2 * latency)
    crossing = np.asarray(on.across) > 1
    up = np.where(crossing, 0.0, own * 2.0 * devices * (1 - 1 / ep) / on.up_rate)
    out = own * 2.0 * destinations(on.across, ffn) * (1 - 1 / on.across) / on.out_rate
    return _only(ep, best), up, out


def _context_parallel(elements: Number, work: StepWork) -> Phases:
    """Keys and values of the whole sequence reach every rank; backward again, and their gradients return."""
    cp = work.layout.cp
    size = work.tokens * cp * elements * 2.0
    once = _only(cp, all_gather(size, work.links(cp, work.layout.tp)).time)
    return Phases(cp_forward=once, cp_backward=2 * once)


def _only(n: Number, seconds: Number) -> Number:
    """Seconds where a group has several devices, else none."""
    return np.where(np.asarray(n) > 1, seconds, 0.0)
