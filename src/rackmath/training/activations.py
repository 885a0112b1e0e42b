"""Bytes that layers keep for their backward pass.

Korthikanti et al. 2022 (arXiv 2205.05198, equations 1 to 4): with 16-bit values, dropout, as many key heads as query
heads and unfused attention a layer keeps s b h (34 + 5 a s / h) bytes; of the 34, 24 are cut by tensor parallelism,
the other 10 by sequence parallelism only. Here every part is counted from the layer's own matrices, so grouped and
latent attention, gated and routed feed-forward parts follow the same rule: what a matrix reads is kept for its
weights' gradient, and what a non-linear function reads for its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from ..arrays import Number
from ..layout.parallelism import kv_heads_of
from ..world.model import FeedForward, LayerGroup, Matrix, Mixer, Model
from .job import Batch, Recipe, TrainLayout, every


def activations(model: Model, layout: TrainLayout, recipe: Recipe, batch: Batch, here: Number) -> tuple[Number, Number]:
    """Bytes that `here` layers keep of one micro-batch, and bytes alive besides while one of them runs backward."""
    whole = layer_activations(model, layout, recipe, batch)
    inputs = layout.micro_batch * batch.seq / layout.cp * model.d_model * 2.0
    if layout.sequence_parallel:
        inputs = inputs / layout.tp
    apart = every(layout.recompute)
    if apart:
        return np.ceil(here / apart) * inputs, np.minimum(apart, here) * whole
    if layout.recompute == "reversible":
        return 2.0 * inputs, whole  # the last outputs of both halves, whatever the depth
    if layout.recompute == "offload":
        return 0.0 * here, 2.0 * whole  # one layer in use, one on its way
    return here * whole, 0.0 * here


def layer_activations(model: Model, layout: TrainLayout, recipe: Recipe, batch: Batch) -> Number:
    """Bytes one layer keeps of one micro-batch for its backward pass: the mean over the model's layers.

    Korthikanti's formula for GPT-3 on 8 tensor-parallel devices, s b h (10 + 24/8 + 5 a s / (8 h)):

    >>> from rackmath.training.job import layout_of, recipe_named
    >>> from rackmath.world.description import build
    >>> gpt = build({"name": "gpt-3", "d_model": 12288, "vocab": 51200, "groups": [{"count": 96,
    ...     "mixer": {"kind": "gqa", "n_heads": 96}, "ffn": {"kind": "mlp", "d_ff": 49152, "gated": False}}]})
    >>> old = recipe_named("bf16", attention="unfused", dropout=True)
    >>> found = layer_activations(gpt, layout_of("TP8"), old, Batch(seq=2048, global_batch=1))
    >>> float(found) / (2048 * 12288), 10 + 24 / 8 + 5 * 96 * 2048 / 12288 / 8
    (23.0, 23.0)
    """
    total: Number = 0.0
    for group in model.groups:
        total = total + group.count * _layer(group, model, layout, recipe, batch)
    return total / model.n_layers


def kept_share(model: Model, layout: TrainLayout, recipe: Recipe, batch: Batch) -> Number:
    """Share of a layer's activations that its weight gradients need; scores and masks go with its input gradient.

    Without attention's scores 32 of 34 bytes of GPT-3's (Qi et al. 2024, section 2.3):

    >>> from rackmath.training.job import layout_of, recipe_named
    >>> from rackmath.world.description import build
    >>> gpt = build({"name": "gpt-3", "d_model": 12288, "vocab": 51200, "groups": [{"count": 96,
    ...     "mixer": {"kind": "gqa", "n_heads": 96}, "ffn": {"kind": "mlp", "d_ff": 49152, "gated": False}}]})
    >>> recipe = recipe_named("bf16", dropout=True)
    >>> round(34 * float(kept_share(gpt, layout_of("TP1"), recipe, Batch(seq=2048, global_batch=1))), 1)
    32.0
    """
    if layout.recompute not in ("none", "selective"):
        return 1.0  # what is computed again is there for one layer only
    whole = layer_activations(model, layout, recipe, batch)
    plain = replace(recipe, attention="flash", dropout=False)
    return np.minimum(layer_activations(model, layout, plain, batch) / whole, 1.0)


def _layer(group: LayerGroup, model: Model, layout: TrainLayout, recipe: Recipe, batch: Batch) -> Number:
    tokens = layout.micro_batch * batch.seq / layout.cp
    blocks = (1 if group.mixer else 0) + (1 if group.ffn else 0)
    # of each block: its norm's input, its matrices' input and, with dropout, a mask of one byte
    beside: Number = tokens * model.d_model * blocks * (5.0 if recipe.dropout else 4.0)
    if layout.sequence_parallel:
        beside = beside / layout.tp
    inside: Number = 0.0
    if group.mixer:
        inside = inside + tokens * _mixer(group.mixer, layout, recipe, batch)
    if group.ffn:
        inside = inside + tokens * _dense(group.ffn.matrices, model, layout)
        inside = inside + tokens / layout.tp * group.ffn.top_k * _expert(group.ffn, model)
    return beside + inside


def _mixer(mixer: Mixer, layout: TrainLayout, recipe: Recipe, batch: Batch) -> Number:
    """Bytes a token leaves inside attention or a recurrence on a device."""
    kv, tp = kv_heads_of(mixer.streams), layout.tp
    kept: Number = 0.0
    for m in mixer.matrices:
        if m.name in ("o", "o_b"):
            kept = kept + 2.0 * m.d_in / tp
        elif m.shard == "replicated":
            kept = kept + 4.0 * m.d_out * m.count  # normed before its next use: both sides are kept
        else:
            kept = kept + 2.0 * m.d_out * m.count / (np.minimum(tp, kv) if m.shard == "kv" else tp)
    if not mixer.streams:
        return kept
    scores = mixer.heads / tp * batch.seq
    if recipe.attention == "unfused" and layout.recompute != "selective":
        kept = kept + (5.0 if recipe.dropout else 2.0) * scores
    if recipe.attention == "flash":
        kept = kept + 4.0 * mixer.heads / tp  # the logarithm of each row's sum
    return kept


def _dense(matrices: Iterable[Matrix], model: Model, layout: TrainLayout) -> Number:
    """Bytes a token leaves inside a dense feed-forward part: before and after its non-linear function."""
    kept: Number = 0.0
    for m in matrices:
        cut = 1.0 if m.shard == "replicated" else layout.tp
        kept = kept + 2.0 * (m.d_in if m.d_out == model.d_model else m.d_out * m.count) / cut
    return kept


def _expert(ffn: FeedForward, model: Model) -> float:
    """Bytes a token leaves at each expert it visits: its input there, both sides of the function, and its output."""
    if not ffn.n_experts:
        return 0.0
    width = ffn.d_dispatch or model.d_model
    inner = sum(m.d_out * m.count + m.d_out for m in ffn.expert if m.name == "up")
    return 2.0 * (2.0 * width + inner)
