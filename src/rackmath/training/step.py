"""Seconds of one optimizer step, as named terms that add up, and the bound below it.

The slowest stage sets the pace: its micro-batches one after the other, then the schedule's bubble, which the other
stages cause, then what the data-parallel ranks must still exchange, then the update. Collectives hide behind kernels
by the shares in `TrainConstants`, never longer than the kernels last. The bound grants every kernel its peak, perfect
overlap, no recomputation and no bubble.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from ..arrays import Number
from ..layout.collectives import all_gather, all_reduce, point_to_point
from ..world.machine import Machine
from ..world.model import Matrix, Model
from .activations import kept_share
from .constants import TrainConstants, constants
from .job import Batch, Recipe, TrainLayout
from .layer import StepWork, layers, passed, products
from .memory import PLACES, layers_of
from .microbatch import LayerTimes, times
from .schedules import bubble_time, chunks, messages
from .update import data_parallel, update

LOGIT_FORWARD, LOGIT_BACKWARD = 22.0, 10.0
"""Bytes moved for each logit: written, widened to 32 bits, maximum, exponentials and their sum; then its gradient."""


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
        return np.maximum(np.maximum(self.least_compute, self.least_memory), np.maximum(self.least_up, self.least_out))

    @property
    def tokens_per_second(self) -> Number:
        return self.tokens / self.seconds


TERMS = tuple(f.name for f in fields(Step))[:15]
"""The named terms of a step."""


def step(model: Model, machine: Machine, layout: TrainLayout, recipe: Recipe, batch: Batch, of: TrainConstants | None = None) -> Step:
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
    work = StepWork(model, machine, layout, recipe, batch, of or constants(generation=machine.generation))
    micro = batch.global_batch / (layout.dp * layout.micro_batch)
    every_layer = layers(work)
    phases = times(every_layer, work)
    ends = _ends(work)
    slow = _slowest(work, phases, ends)
    hops, bubble = _pipelined(work, micro, phases, ends, slow)
    dp, least = data_parallel(work, phases, micro, slow.layers)
    renewed = update(work)
    per = micro * slow.layers / model.n_layers
    terms: dict[str, Number] = {name: per * value for name, value in phases.terms.items()}
    terms["vocabulary"] = micro * slow.ends
    terms |= {"hops": hops, "bubble": bubble, "dp": dp, "optimizer": renewed.seconds + work.constants.optimizer}
    total: Number = 0.0
    for value in terms.values():
        total = total + value
    terms["straggler"] = work.constants.straggler * total
    mean_micro = micro / layout.pp
    return Step(
        **{name: terms[name] for name in TERMS},
        least_compute=mean_micro * 3 * (every_layer.peak + ends.peak),
        least_memory=renewed.least,
        least_up=mean_micro * every_layer.up + least[0],
        least_out=mean_micro * every_layer.out + least[1],
        micro_batches=micro,
        tokens=batch.tokens,
    )


def _pipelined(work: StepWork, micro: Number, phases: LayerTimes, ends: _Ends, slow: _Stage) -> tuple[Number, Number]:
    """Seconds of messages between stages that nothing hides, and of the bubble.

    The bubble is what the other stages need for one micro-batch, by phase.
    """
    layout = work.layout
    others = (phases.total + ends.total - slow.seconds) / np.maximum(layout.pp - 1, 1.0)
    mean = (phases.total + ends.total) / layout.pp
    scale = others / np.maximum(mean, 1e-30) / layout.pp
    f, b, w = ((x + y) * scale for x, y in zip(phases.phases, ends.phases, strict=True))
    v, kept = chunks(layout.schedule, layout.interleave), kept_share(work.model, layout, work.recipe, work.batch)

    def idle(hop: Number) -> Number:
        return bubble_time(layout.schedule, layout.pp, micro, v, (f, b, w), hop, kept=kept)

    bubble, hop = idle(0.0), _hop(work)
    held_up = (1 - work.constants.pp) * messages(layout.schedule, layout.pp, micro, layout.interleave) * hop
    return np.maximum(idle(hop) - bubble, held_up), bubble


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


def _ends(work: StepWork) -> _Ends:
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


def _slowest(work: StepWork, phases: LayerTimes, ends: _Ends) -> _Stage:
    layout, n = work.layout, work.model.n_layers
    first_layers, full, last_layers = (layers_of(work.model, layout, place) for place in PLACES)
    each = phases.total / n
    last, first = last_layers * each + ends.head, first_layers * each + ends.embedding
    middle = np.where(full > last_layers, full * each, 0.0)
    alone = np.asarray(layout.pp) <= 1
    most = np.maximum(np.maximum(first, last), middle)
    is_last, is_first = last >= most, first >= most
    held = np.where(is_last, last_layers, np.where(is_first, first_layers, full))
    own = np.where(is_last, ends.head, np.where(is_first, ends.embedding, 0.0))
    return _Stage(
        layers=np.where(alone, n, held), ends=np.where(alone, ends.total, own), seconds=np.where(alone, phases.total + ends.total, most)
    )


def _hop(work: StepWork) -> Number:
    """Seconds of one hop of a micro-batch to the next stage.

    Tensor-parallel ranks send a share each and gather inside their domain (with sequence parallelism there is nothing
    to gather).
    """
    layout = work.layout
    crosses = np.asarray(layout.devices) > work.machine.domain
    hop = point_to_point(work.hidden / layout.tp, work.machine, work.links(2.0).share, crosses=crosses).time
    if layout.sequence_parallel:
        return hop
    return hop + np.where(np.asarray(layout.tp) > 1, all_gather(work.hidden, work.links(layout.tp)).time, 0.0)
