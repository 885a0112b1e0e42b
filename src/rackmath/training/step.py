"""Seconds of one optimizer step, as named terms that add up, and the bound below it.

The slowest stage sets the pace: its micro-batches one after the other, then the schedule's bubble, which the other
stages cause, then what the data-parallel ranks must still exchange, then the update. Collectives hide behind kernels
by the shares in `TrainConstants`, never longer than the kernels last. The bound grants every kernel its peak, perfect
overlap, no recomputation and no bubble.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from ..arrays import Number
from ..layout.collectives import all_gather, all_reduce, point_to_point, reduce_scatter
from ..world.machine import Machine
from ..world.model import Matrix, Model
from .constants import TrainConstants, constants
from .job import Batch, Recipe, TrainLayout, every, spare_slots
from .layer import Phases, Work, layers, passed, products
from .memory import kept_share, layer_parameters, stage_parameters
from .schedules import bubble_time, chunks, messages

LOGIT_FORWARD, LOGIT_BACKWARD = 22.0, 10.0
"""Bytes moved for each logit: written, widened to 32 bits, maximum, exponentials and their sum; then its gradient."""

GRADIENT_PASSES = 2.0
"""Times gradients cross memory beside the update: their norm, and clipping."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Seconds of a step by cause; they add up to `seconds`.

    Kernels of the slowest stage over all micro-batches: `forward`, `input_grad`, `weight_grad`, `recompute`,
    `vocabulary` (embedding, head and loss), `imbalance` of routed experts. Collectives nothing hides: `tp`, `ep`,
    `cp`, `hops` between stages, `dp`. `host`: waiting for launches. `bubble`, `optimizer`, `straggler`.
    """

    forward: Number
    input_grad: Number
    weight_grad: Number
    recompute: Number
    vocabulary: Number
    imbalance: Number
    host: Number
    tp: Number
    ep: Number
    cp: Number
    hops: Number
    bubble: Number
    dp: Number
    optimizer: Number
    straggler: Number
    least_compute: Number
    least_memory: Number
    least_up: Number
    least_out: Number
    micro_batches: Number
    tokens: Number

    @property
    def terms(self) -> dict[str, Number]:
        """The terms by name, in the order they stand in a step."""
        return {name: getattr(self, name) for name in TERMS}

    @property
    def seconds(self) -> Number:
        total: Number = 0.0
        for value in self.terms.values():
            total = total + value
        return total

    @property
    def bound(self) -> Number:
        """max(compute, memory, network) of the whole step: nothing is faster."""
        return np.maximum(
            np.maximum(self.least_compute, self.least_memory), np.maximum(self.least_up, self.least_out)
        )

    @property
    def tokens_per_second(self) -> Number:
        return self.tokens / self.seconds


TERMS = tuple(f.name for f in fields(Step))[:15]
"""The named terms of a step."""


def step(
    model: Model,
    machine: Machine,
    layout: TrainLayout,
    recipe: Recipe,
    batch: Batch,
    of: TrainConstants | None = None,
) -> Step:
    """Time of one optimizer step of `batch` on `layout.devices` devices.

    GPT-3 175B on 64 A100s, whole layers recomputed; measured 18.13 s (Korthikanti et al. 2022, Table 5):

    >>> from rackmath.training.job import layout_of, recipe_named
    >>> from rackmath.world import catalog
    >>> from rackmath.world.description import build
    >>> gpt = build({"name": "gpt-3", "d_model": 12288, "vocab": 51200, "groups": [{"count": 96,
    ...     "mixer": {"kind": "gqa", "n_heads": 96}, "ffn": {"kind": "mlp", "d_ff": 49152, "gated": False}}]})
    >>> cut = layout_of("TP8 PP8 interleave 3 full")
    >>> recipe = recipe_named("bf16", attention="unfused", dropout=True)
    >>> found = step(gpt, catalog.machine("a100"), cut, recipe, Batch(seq=2048.0, global_batch=64.0))
    >>> bool(5 < found.bound < found.seconds < 25)
    True
    """
    given = of or constants(generation=machine.generation)
    work = Work(model, machine, layout, recipe, batch, given)
    micro = batch.global_batch / (layout.dp * layout.micro_batch)
    every_layer = layers(work)
    phases = _times(every_layer, work)
    ends = _ends(work)
    slow = _slowest(work, phases, ends)
    # the bubble is what the other stages need for one micro-batch, by phase
    several = np.maximum(layout.pp - 1, 1.0)
    others = (phases.total + ends.total - slow.seconds) / several
    mean = (phases.total + ends.total) / layout.pp
    scale = others / np.maximum(mean, 1e-30) / layout.pp
    hop = _hop(work)
    pipe = _Pipe(
        schedule=layout.schedule, p=layout.pp, m=micro, v=chunks(layout.schedule, layout.interleave),
        times=tuple((x + y) * scale for x, y in zip(phases.phases, ends.phases, strict=True)),
        kept=kept_share(model, layout, recipe, batch),
    )  # fmt: skip
    bubble = pipe.idle(0.0)
    held_up = (1 - given.pp) * messages(layout.schedule, layout.pp, micro, layout.interleave) * hop
    hops = np.maximum(pipe.idle(hop) - bubble, held_up)
    dp, least = _data_parallel(work, phases, micro, slow.layers)
    update = _update(work)
    per = micro * slow.layers / model.n_layers
    terms: dict[str, Number] = {name: per * value for name, value in phases.terms.items()}
    terms["vocabulary"] = micro * slow.ends
    terms |= {"hops": hops, "bubble": bubble, "dp": dp, "optimizer": update.seconds + given.optimizer}
    total: Number = 0.0
    for value in terms.values():
        total = total + value
    terms["straggler"] = given.straggler * total
    mean_micro = micro / layout.pp
    return Step(
        **{name: terms[name] for name in TERMS},
        least_compute=mean_micro * 3 * (every_layer.peak + ends.peak),
        least_memory=update.least,
        least_up=mean_micro * every_layer.up + least[0],
        least_out=mean_micro * every_layer.out + least[1],
        micro_batches=micro,
        tokens=batch.tokens,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pipe:
    """A schedule with its stages, micro-batches, chunks, and a stage's seconds by phase."""

    schedule: str
    p: Number
    m: Number
    v: Number
    times: tuple[Number, ...]
    kept: Number

    def idle(self, hop: Number) -> Number:
        """Seconds a device idles when a message takes `hop`."""
        f, b, w = self.times
        return bubble_time(self.schedule, self.p, self.m, self.v, f, b, w, hop, kept=self.kept)


# --- one micro-batch through all layers ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Times:
    """Seconds of all layers for one micro-batch by phase, exposed collectives and the host's part included."""

    forward: Number
    input_grad: Number
    weight_grad: Number
    terms: Mapping[str, Number]

    @property
    def phases(self) -> tuple[Number, Number, Number]:
        return self.forward, self.input_grad, self.weight_grad

    @property
    def total(self) -> Number:
        return self.forward + self.input_grad + self.weight_grad


def _times(of: Phases, work: Work) -> _Times:
    given, layout = work.constants, work.layout
    forward, input_grad, weight_grad = (x / given.kernels for x in (of.forward, of.input_grad, of.weight_grad))
    again, repeats = _again(of, work, forward)
    shares = {"tp": given.tp, "ep": given.ep, "cp": given.cp}
    there = {"tp": of.tp_forward, "ep": of.ep_forward, "cp": of.cp_forward}
    back = {"tp": of.tp_backward, "ep": of.ep_backward, "cp": of.cp_backward}
    back = {kind: back[kind] + repeats * there[kind] for kind in back}
    shown = _exposed(there, shares, forward)
    shown_back = _exposed(back, shares, input_grad + weight_grad + again)
    uneven = given.imbalance * of.expert / given.kernels * np.where(np.asarray(layout.ep) > 1, 1.0, 0.0)
    first = forward + sum(shown.values()) + uneven / 3
    second = input_grad + again + sum(shown_back.values()) + uneven / 3
    third = weight_grad + uneven / 3
    device = first + second + third
    waiting = _waiting(device, given, work.model)
    longer = 1 + waiting / device
    terms = {
        "forward": forward, "input_grad": input_grad, "weight_grad": weight_grad, "recompute": again,
        "imbalance": uneven, "host": waiting, **{kind: shown[kind] + shown_back[kind] for kind in shown},
    }  # fmt: skip
    return _Times(forward=first * longer, input_grad=second * longer, weight_grad=third * longer, terms=terms)


def _waiting(device: Number, of: TrainConstants, model: Model) -> Number:
    """Seconds the device waits for the host: a smooth maximum of both, less the device's own."""
    host = (of.layer + (of.routed_layer if model.has_experts else 0.0)) * model.n_layers
    k = of.layer_power
    if not host:
        return 0.0 * device
    waiting: Number = host * np.power(1 + np.power(device / host, k), 1 / k) - device
    return waiting


def _again(of: Phases, work: Work, forward: Number) -> tuple[Number, float]:
    """Seconds computed twice (or waited for, where activations come back from the host), and collectives repeated."""
    word = work.layout.recompute
    if every(word) or word == "reversible":
        return forward, 1.0
    if word == "selective":
        return of.scores / work.constants.kernels, 0.0
    if word == "offload":
        from .memory import layer_activations

        size = work.model.n_layers * layer_activations(work.model, work.layout, work.recipe, work.batch)
        rate = max((t.bandwidth for t in work.machine.tiers), default=0.0)
        if not rate:
            return np.inf + 0.0 * forward, 0.0
        both = 2 * size / rate  # out beside the forward pass, back beside the backward pass
        return np.maximum(both - 3 * forward, 0.0), 0.0
    return 0.0 * forward, 0.0


def _exposed(comm: Mapping[str, Number], shares: Mapping[str, float], kernels: Number) -> dict[str, Number]:
    """What is left of each collective when its share runs beside kernels, never longer than those last."""
    hidden: Number = 0.0
    for kind, seconds in comm.items():
        hidden = hidden + shares[kind] * seconds
    room = np.minimum(1.0, kernels / np.maximum(hidden, 1e-30))
    return {kind: seconds * (1 - shares[kind] * room) for kind, seconds in comm.items()}


# --- ends of the model, stages ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ends:
    """Seconds of embedding (`embedding`) and of head and loss by phase, for one micro-batch; `peak` of the head."""

    embedding: Number
    head: Number
    forward: Number
    input_grad: Number
    weight_grad: Number
    peak: Number

    @property
    def phases(self) -> tuple[Number, Number, Number]:
        return self.forward, self.input_grad, self.weight_grad

    @property
    def total(self) -> Number:
        return self.embedding + self.head


def _ends(work: Work) -> _Ends:
    model, layout = work.model, work.layout
    matrix = Matrix(name="head", d_in=model.d_model, d_out=model.vocab, component="head")
    head = products(work, (matrix,), 1.0)
    logits = work.tokens * model.vocab / layout.tp
    on = work.links(layout.tp)
    meet = np.where(np.asarray(layout.tp) > 1, all_reduce(work.hidden, on).time, 0.0)
    k = work.constants.kernels
    forward = (head.forward + passed(work, LOGIT_FORWARD * logits, 4.0)) / k
    input_grad = (head.input_grad + passed(work, LOGIT_BACKWARD * logits, 2.0)) / k + meet
    weight_grad = head.weight_grad / k
    lookup = passed(work, 3 * work.hidden, 2.0) / k
    return _Ends(
        embedding=2 * lookup + meet,
        head=forward + input_grad + weight_grad,
        forward=forward + lookup + meet,
        input_grad=input_grad + lookup,
        weight_grad=weight_grad,
        peak=head.peak,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """The slowest stage: its layers, the seconds of the ends it holds, and all its seconds, for one micro-batch."""

    layers: Number
    ends: Number
    seconds: Number


def _slowest(work: Work, phases: _Times, ends: _Ends) -> _Stage:
    layout, n = work.layout, work.model.n_layers
    spare = spare_slots(work.model, layout)
    full = (n + spare) / layout.pp
    last_layers = full - np.minimum(spare, 1.0)
    first_layers = full - np.minimum(np.maximum(spare - 1.0, 0.0), 1.0)
    each = phases.total / n
    last, first = last_layers * each + ends.head, first_layers * each + ends.embedding
    middle = np.where((np.asarray(layout.pp) > 2) & (np.asarray(spare) > 0), full * each, 0.0)
    alone = np.asarray(layout.pp) <= 1
    most = np.maximum(np.maximum(first, last), middle)
    is_last, is_first = last >= most, first >= most
    held = np.where(is_last, last_layers, np.where(is_first, first_layers, full))
    own = np.where(is_last, ends.head, np.where(is_first, ends.embedding, 0.0))
    return _Stage(
        layers=np.where(alone, n, held),
        ends=np.where(alone, ends.total, own),
        seconds=np.where(alone, phases.total + ends.total, most),
    )


def _hop(work: Work) -> Number:
    """Seconds of one hop of a micro-batch to the next stage.

    Tensor-parallel ranks send a share each and gather inside their domain (with sequence parallelism there is nothing
    to gather), unless the framework has every one of them send all.
    """
    layout = work.layout
    crosses = np.asarray(layout.devices) > work.machine.domain
    share = work.links(2.0).share
    parts: Number = 1.0 if work.constants.whole_hops else layout.tp
    hop = point_to_point(work.hidden / parts, work.machine, share, crosses=crosses).time
    if work.constants.whole_hops or layout.sequence_parallel:
        return hop
    return hop + np.where(np.asarray(layout.tp) > 1, all_gather(work.hidden, work.links(layout.tp)).time, 0.0)


# --- what happens once a step -------------------------------------------------------------------------------------


def _data_parallel(
    work: Work, phases: _Times, micro: Number, stage_layers: Number
) -> tuple[Number, tuple[Number, Number]]:
    """Seconds of gradients and weights between data-parallel ranks that nothing hides; and their least traffic.

    Gradients are reduced behind the last micro-batch's backward pass, and weights gathered before the first forward
    pass; with ZeRO 3 both happen for every micro-batch and hide behind all of it.
    """
    layout, given, recipe = work.layout, work.constants, work.recipe
    dense, routed = stage_parameters(work.model, layout, "first")
    groups = (
        (dense, layout.dp * layout.cp, layout.tp),
        (routed, layout.stage / layout.ep, layout.ep),
    )
    least_dense, least_routed = layer_parameters(work.model.groups, layout)
    backward: Number = 0.0
    forward: Number = 0.0
    up: Number = 0.0
    out: Number = 0.0
    for (size, n, stride), fewest in zip(groups, (least_dense, least_routed), strict=True):
        on = work.links(n, stride)
        several = np.asarray(n) > 1
        if not work.model.has_experts and fewest is least_routed:
            continue
        gradients = size * recipe.gradient_bytes
        if layout.zero == 0:
            backward = backward + np.where(several, all_reduce(gradients, on).time, 0.0)
        else:
            weights = np.where(several, all_gather(size * 2.0, on).time, 0.0)
            backward = backward + np.where(several, reduce_scatter(gradients, on).time, 0.0)
            forward = forward + weights
            backward = backward + (weights if layout.zero == 3 else 0.0)
        least = reduce_scatter(fewest / layout.pp * 2.0, on)
        up, out = up + np.where(several, least.up, 0.0), out + np.where(several, least.out, 0.0)
    times = micro if layout.zero == 3 else 1.0
    share = stage_layers / work.model.n_layers
    before = np.minimum(given.dp * forward, phases.forward * share)
    behind = np.minimum(given.dp * backward, (phases.input_grad + phases.weight_grad) * share)
    return times * (forward - before + backward - behind), (up, out)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Update:
    seconds: Number
    least: Number


def _update(work: Work) -> _Update:
    """The optimizer's traffic through memory, and the least a step moves: weights twice, states in and out."""
    layout, recipe = work.layout, work.recipe
    dense, routed = stage_parameters(work.model, layout, "first")
    over = 1.0 if layout.zero == 0 else layout.dp * layout.cp
    over_experts = 1.0 if layout.zero == 0 else layout.stage / layout.ep
    own = dense / over + routed / over_experts
    gradients = (1 + GRADIENT_PASSES) * recipe.gradient_bytes
    size = own * (2 * recipe.optimizer_bytes + gradients + recipe.weight_bytes)
    fewest, fewest_routed = layer_parameters(work.model.groups, layout)
    narrow = min(work.recipe.precision.mlp.bytes, 2.0)
    states = (fewest / over + fewest_routed / over_experts) * 2 * recipe.optimizer_bytes
    read = 0.0 if work.model.has_experts else 2 * narrow * fewest
    return _Update(
        seconds=passed(work, size, 4.0),
        least=(read + states) / layout.pp / work.machine.hbm_bandwidth,
    )
