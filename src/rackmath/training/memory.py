"""Bytes on a device while it trains: weights, gradients, optimizer states, activations in flight, buffers.

The first stage holds the embedding and has most micro-batches in flight, the last one holds the head; a device's peak
is the larger of both. `fragmentation` is a factor on all but the runtime.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from ..arrays import Mask, Number
from ..layout.parallelism import kv_heads_of, split
from ..world.machine import Machine
from ..world.model import COMPONENTS, LayerGroup, Model
from .activations import activations, kept_share
from .constants import TrainConstants, constants
from .flops import forward_flops
from .job import RECOMPUTE, Batch, Recipe, TrainLayout, spare_slots
from .schedules import chunks, in_flight, weight_copies

ONES = dict.fromkeys(COMPONENTS, 1.0)

LIVE_COPIES = 2.0
"""Gradients of hidden vectors alive at once while a layer's backward pass runs, in hidden vectors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageMemory:
    """Bytes on a device of one stage by what they hold; the sum is before fragmentation."""

    weights: Number
    gradients: Number
    optimizer: Number
    activations: Number
    buffers: Number

    @property
    def total(self) -> Number:
        return self.weights + self.gradients + self.optimizer + self.activations + self.buffers


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingMemory:
    """Peak bytes on a device of the first, the second and the last stage, and what was in flight.

    The second stage has a layer more than the first where the embedding takes a layer's place.
    """

    first: StageMemory
    second: StageMemory
    last: StageMemory
    in_flight: Number  # micro-batches whose activations the first stage keeps at its peak
    fragmentation: float
    reserved: float
    capacity: Number

    @property
    def peak(self) -> Number:
        """Bytes on the fullest device, fragmentation and runtime included."""
        most = np.maximum(np.maximum(self.first.total, self.second.total), self.last.total)
        return most * self.fragmentation + self.reserved

    @property
    def fits(self) -> Mask:
        return self.peak <= self.capacity

    @property
    def fullest(self) -> StageMemory:
        """The fullest of the three stages; scalars only."""
        return max((self.first, self.second, self.last), key=lambda stage: float(stage.total))


def memory(
    model: Model, machine: Machine, layout: TrainLayout, recipe: Recipe, batch: Batch, of: TrainConstants | None = None
) -> TrainingMemory:
    """Peak memory of a training step.

    Parameters and optimizer of GPT-3 175B on 64 devices take 18 bytes a parameter; 45.6 GiB in the paper:

    >>> from rackmath.training.job import layout_of, recipe_named
    >>> from rackmath.world import catalog
    >>> from rackmath.world.description import build
    >>> gpt = build({"name": "gpt-3", "d_model": 12288, "vocab": 51200, "groups": [{"count": 96,
    ...     "mixer": {"kind": "gqa", "n_heads": 96}, "ffn": {"kind": "mlp", "d_ff": 49152, "gated": False}}]})
    >>> cut, sizes = layout_of("TP8 PP8 interleave 3"), Batch(seq=2048, global_batch=64)
    >>> m = memory(gpt, catalog.machine("a100"), cut, recipe_named("bf16"), sizes)
    >>> round(float(m.first.weights + m.first.gradients + m.first.optimizer) / 2**30, 1)
    46.9
    """
    given = of or constants(generation=machine.generation)
    micro = np.maximum(np.floor(batch.global_batch / (layout.dp * layout.micro_batch)), 1.0)
    v = chunks(layout.schedule, layout.interleave)
    places = (0.0 * layout.pp, np.minimum(layout.pp - 1.0, 1.0), layout.pp - 1.0)
    kept = kept_share(model, layout, recipe, batch)
    flying = [in_flight(layout.schedule, layout.pp, micro, v, place, kept=kept) for place in places]
    first, second, last = (_stage(model, layout, recipe, batch, held, place) for held, place in zip(flying, PLACES, strict=True))
    return TrainingMemory(
        first=first,
        second=second,
        last=last,
        in_flight=flying[0],
        fragmentation=given.fragmentation,
        reserved=given.reserved,
        capacity=machine.hbm_capacity,
    )


PLACES = ("first", "second", "last")
"""Stages looked at: the second stands for all between; with one or two stages it is one of the others."""


def _stage(model: Model, layout: TrainLayout, recipe: Recipe, batch: Batch, flying: Number, place: str) -> StageMemory:
    dense, routed = stage_parameters(model, layout, place)
    over, over_experts = layout.dp * layout.cp, layout.stage / layout.ep
    copies = weight_copies(layout.schedule)

    def held(size: float, stage: int) -> Number:
        """Bytes of `size` for each parameter, sharded from ZeRO stage `stage` on."""
        if layout.zero < stage:
            return copies * size * (dense + routed)
        return copies * size * (dense / over + routed / over_experts)

    tokens = layout.micro_batch * batch.seq / layout.cp
    here = layers_of(model, layout, place)
    kept, live = activations(model, layout, recipe, batch, here)
    embeds, heads = _ends(layout, place)
    narrow = layout.tp if layout.sequence_parallel else 1.0
    mask = flying * tokens * model.d_model / narrow if recipe.dropout else 0.0
    head = tokens * (4.0 * model.d_model / narrow + (4.0 + 2.0) * model.vocab / layout.tp)  # logits in 32 and 16 bits
    buffers = tokens * model.d_model * 2.0 * LIVE_COPIES + live
    if layout.zero == 3:  # two layers' weights are whole at once, and one layer's gradients
        per_layer = (dense + routed) / np.maximum(here, 1.0)
        buffers = buffers + per_layer * (2 * recipe.weight_bytes + recipe.gradient_bytes)
    return StageMemory(
        weights=held(recipe.weight_bytes, 3),
        gradients=held(recipe.gradient_bytes, 2),
        optimizer=held(recipe.optimizer_bytes, 1),
        activations=flying * kept + embeds * mask + heads * head,
        buffers=buffers,
    )


def _ends(layout: TrainLayout, place: str) -> tuple[Number, Number]:
    """1 where a stage holds the embedding, and where it holds the head, else 0."""
    pp = np.asarray(layout.pp)
    alone: Number = np.where(pp <= 1, 1.0, 0.0)
    two: Number = np.where(pp <= 2, 1.0, 0.0)
    if place == "first":
        return 1.0, alone
    return alone, two if place == "second" else 1.0


def layers_of(model: Model, layout: TrainLayout, place: str) -> Number:
    """Layers of a stage; where places are spare, first the last stage has one less, then the first."""
    spare = spare_slots(model, layout)
    full = (model.n_layers + spare) / layout.pp
    last = full - np.minimum(spare, 1.0)
    if place == "first":
        return np.where(np.asarray(layout.pp) > 1, full - np.clip(spare - 1.0, 0.0, 1.0), model.n_layers)
    if place == "second":
        return np.where(np.asarray(layout.pp) > 2, full, np.where(np.asarray(layout.pp) > 1, last, model.n_layers))
    return np.where(np.asarray(layout.pp) > 1, last, model.n_layers)


def stage_parameters(model: Model, layout: TrainLayout, place: str) -> tuple[Number, Number]:
    """Dense and routed parameters on a device of a stage; a tied table is there once for each end."""
    dense, routed = layer_parameters(model.groups, layout)
    share = layers_of(model, layout, place) / model.n_layers
    embeds, heads = _ends(layout, place)
    head: Number = model.vocab * model.d_model if model.tied_embeddings else model.head_parameters
    if model.tied_embeddings:
        heads = heads * (1 - embeds)
    ends = (embeds * model.embedding_parameters + heads * head) / layout.tp
    return dense * share + ends + model.norm_parameters, routed * share


def layer_parameters(groups: Iterable[LayerGroup], layout: TrainLayout) -> tuple[Number, Number]:
    """Dense and routed parameters of all layers, as one tensor- and expert-parallel rank holds them."""
    dense: Number = 0.0
    routed: Number = 0.0
    for group in groups:
        one: Number = group.norm_parameters
        if group.mixer:
            one = one + split(group.mixer.matrices, ONES, kv_heads_of(group.mixer.streams), layout.tp)
            one = one + group.mixer.extra_parameters
        if group.ffn:
            one = one + split(group.ffn.matrices, ONES, 1.0, layout.tp) + group.ffn.extra_parameters
            expert = sum(m.parameters for m in group.ffn.expert) + group.ffn.expert_extra_parameters
            routed = routed + group.stored * group.ffn.n_experts * expert / layout.ep
        dense = dense + group.stored * one
    return dense, routed


# --- the frontier -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationPolicy:
    """One way to keep activations: peak bytes, and forward passes computed again, in shares of one step's compute."""

    recompute: str
    peak: Number
    activations: Number
    extra_compute: float


def frontier(
    model: Model, machine: Machine, layout: TrainLayout, recipe: Recipe, batch: Batch, of: TrainConstants | None = None
) -> tuple[ActivationPolicy, ...]:
    """Memory against compute: all kept, scores or layers recomputed, reversible blocks, host memory.

    A step is three passes' worth of compute, so one more forward pass is 1/3 of it: 4/3 in all. Reversible blocks
    compute inputs back from outputs, so what they keep does not grow with depth. Offloading computes nothing again
    but sends every activation over the host's link and back.

    >>> from rackmath.training.job import layout_of, recipe_named
    >>> from rackmath.world import catalog
    >>> llama, h100 = catalog.model("llama-3.1-8b"), catalog.machine("h100")
    >>> found = frontier(llama, h100, layout_of("TP2"), recipe_named("bf16"), Batch(seq=8192, global_batch=8))
    >>> [(c.recompute, round(float(c.activations) / 1e9, 1), round(c.extra_compute, 2)) for c in found]
    [('none', 26.0, 0.0),
     ('full', 6.3, 0.33),
     ('reversible', 4.3, 0.33),
     ('offload', 4.8, 0.0),
     ('every 6', 8.1, 0.33)]
    """
    deep = max(round(float(model.n_layers) ** 0.5), 2)
    words = [w for w in RECOMPUTE if w != "selective" or recipe.attention == "unfused"]
    found = []
    for word in (*words, f"every {deep}"):
        now = replace(layout, recompute=word)
        m = memory(model, machine, now, recipe, batch, of)
        found.append(
            ActivationPolicy(
                recompute=word,
                peak=m.peak,
                activations=m.first.activations + m.first.buffers,
                extra_compute=_extra(word, model, recipe, batch),
            )
        )
    return tuple(found)


def _extra(recompute: str, model: Model, recipe: Recipe, batch: Batch) -> float:
    if recompute in ("none", "offload"):
        return 0.0
    weights, attention = forward_flops(model, float(np.max(batch.seq)), causal=recipe.attention == "flash")
    return float(attention / (3 * (weights + attention))) if recompute == "selective" else 1 / 3
