"""What fits: bytes of weights, cache and reserve on the fullest device, and the batch that fills it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..arrays import Number
from ..kernel.counts import entry_bytes, stored_entries
from ..world.engine import Engine
from ..world.lora import adapter
from ..world.machine import Machine
from ..world.model import COMPONENTS, FeedForward, Model
from ..world.padding import PLAIN, Padding, padding
from ..world.precision import Precision
from . import local
from .pages import ahead_of, request_bytes
from .parallelism import Layout, kv_heads_of, slots, split, stage_share
from .reserve import reserve


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """Bytes on the fullest device of a replica, and the most sequences the replica can hold."""

    weights: Number
    reserved: Number
    per_sequence: Number
    capacity: Number
    batch_max: Number
    prompt: Number = 0.0  # cache of one prompt being prefilled
    prompts: Number = 0.0  # most of them at once
    terms: Mapping[str, Number] = field(default_factory=dict)  # of `reserved`

    @property
    def room(self) -> Number:
        """Bytes left for cache; 0 where weights and reserve leave none."""
        return np.maximum(self.capacity - self.weights - self.reserved, 0.0)

    def prefilling(self, rank: Number) -> Number:
        """Bytes of prompts in progress beside `rank` decoding sequences: at most as many, and none beside one alone.

        A sequence alone on its rank is its own prompt first and decodes after.
        """
        return np.where(np.asarray(rank) > 1, np.minimum(self.prompts, rank), 0.0) * self.prompt

    def used(self, batch: Number, layout: Layout) -> Number:
        """Bytes in use with `batch` sequences in the replica, spread evenly over its attention-DP groups."""
        rank = np.ceil(batch / layout.dp)
        return self.weights + self.reserved + self.prefilling(rank) + rank * self.per_sequence


def seats(room: Number, per_sequence: Number, prompt: Number, prompts: Number) -> Number:
    """Most sequences a rank decodes in `room` bytes beside the prompts then in progress (`Footprint.prefilling`).

    >>> [float(seats(room, 1.0, 1.0, 4.0)) for room in (0.5, 1.0, 3.0, 4.0, 8.0, 12.0)]
    [0.0, 1.0, 1.0, 2.0, 4.0, 8.0]
    """
    each = np.maximum(per_sequence, 1e-300)
    many = np.floor(np.maximum(room - prompts * prompt, 0.0) / each)
    few = np.minimum(np.floor(room / (each + prompt)), prompts)
    return np.maximum(np.maximum(many, few), np.minimum(np.floor(room / each), 1.0))


def footprint(
    model: Model,
    machine: Machine,
    precision: Precision,
    layout: Layout,
    engine: Engine,
    context: Number,
    prompt: Number = 0.0,
) -> Footprint:
    """What a replica holds when its sequences average `context` tokens and prompts of `prompt` tokens are prefilled.

    `reserved` is what the engine keeps out of the cache's reach, the sum of the terms of `layout.reserve`. As many
    prompts as fill a step, at least one, are in progress on every attention-DP rank, but no more than decode there.
    """
    if engine.local:
        return _local(model, machine, precision, layout, engine, context)
    weights = device_weight_bytes(model, precision, layout, padding(engine, machine.generation, precision.experts))
    per_sequence = request_bytes(model, precision, layout, engine, context)
    longest = np.maximum(context, prompt)
    terms = reserve(model, machine, precision, layout, engine, weights, longest)
    reserved = sum(terms.values(), 0.0 * layout.tp)
    filled = np.asarray(prompt) > 0
    prompts = np.where(filled, np.maximum(np.floor(engine.chunk_tokens / np.maximum(prompt, 1.0)), 1.0), 0.0)
    one = np.where(filled, request_bytes(model, precision, layout, engine, prompt, ahead_of(engine, prompt)), 0.0)
    free = np.maximum(machine.hbm_capacity - weights - reserved, 0.0)
    return Footprint(
        weights=weights,
        reserved=reserved,
        per_sequence=per_sequence,
        capacity=machine.hbm_capacity,
        batch_max=seats(free, np.maximum(per_sequence, 1.0), one, prompts) * layout.dp,
        prompt=one,
        prompts=prompts,
        terms=terms,
    )


def admitted_bytes(
    model: Model, precision: Precision, layout: Layout, engine: Engine, held: Footprint, context: Number
) -> Number:
    """Bytes of cache that a device needs to admit a sequence of `context` tokens: what it takes while prefilled.

    As much as it takes while it decodes, but for layers that keep a window: those hold the tokens of the steps under
    way too. vLLM divides the room by it and logs the "maximum concurrency".
    """
    if engine.local:
        return held.per_sequence
    return np.maximum(
        held.per_sequence, request_bytes(model, precision, layout, engine, context, ahead_of(engine, context))
    )


def concurrency(
    model: Model, precision: Precision, layout: Layout, engine: Engine, held: Footprint, context: Number
) -> Number:
    """Sequences of `context` tokens that the cache of a replica admits, whole ones or not, as vLLM logs it."""
    one = admitted_bytes(model, precision, layout, engine, held, context)
    return held.room / np.maximum(one, 1e-300) * layout.dp


def _local(
    model: Model, machine: Machine, precision: Precision, layout: Layout, engine: Engine, context: Number
) -> Footprint:
    """The same under a local engine, whose slots have room for `context` tokens each, prompt and answer alike."""
    weights = device_weight_bytes(local.resident(model), precision, layout)
    if engine.on_device or machine.unified:
        weights = weights + local.shared_bytes(model, precision)
    kept = local.padded(model, engine.chunk_tokens)
    per_sequence = device_cache_bytes(kept, precision, layout, local.cells(context))
    driver = local.driver_bytes(machine)
    # scratch grows with the cells of all slots: what one slot adds counts with its cache
    one = local.compute_buffer(model, layout, engine, context)
    more = local.compute_buffer(model, layout, engine, 2 * context) - one
    terms = {"driver": machine.hbm_capacity - machine.usable, "runtime": driver, "compute buffer": one - more}
    reserved = sum(terms.values(), 0.0)
    free = machine.hbm_capacity - weights - reserved
    return Footprint(
        weights=weights,
        reserved=reserved,
        per_sequence=per_sequence + more,
        capacity=machine.hbm_capacity,
        batch_max=np.floor(np.maximum(free, 0.0) / np.maximum(per_sequence + more, 1.0)),
        terms=terms,
    )


def device_weight_bytes(model: Model, precision: Precision, layout: Layout, padded: Padding = PLAIN) -> Number:
    """Bytes of weights on the fullest device: its stage's layers, plus embedding or head.

    The first stage holds the embedding and the last the head; with one stage a device holds both. Both are split
    over tp. Pipeline stages hold at most ceil(layers / pp) layers, taken as that share of every group. `padded`: what
    the engine rounds up while it loads the experts.
    """
    size = {c: precision.of(c).bytes for c in COMPONENTS}
    tp = layout.tp
    layers: Number = 0.0
    for group in model.groups:
        per: Number = size["norm"] * group.norm_parameters
        if group.mixer:
            kv = kv_heads_of(group.mixer.streams)
            per = per + split(group.mixer.matrices, size, kv, tp)
            per = per + size["norm"] * group.mixer.extra_parameters
        if group.ffn:
            per = per + split(group.ffn.matrices, size, 1.0, tp) + size["norm"] * group.ffn.extra_parameters
            if group.ffn.n_experts:
                one = _expert_bytes(group.ffn, precision, layout.moe_tp, padded)
                per = per + slots(group.ffn, layout) / layout.ep * one
        if model.lora is not None:
            added = adapter(group, model.lora)
            kv = kv_heads_of(group.mixer.streams) if group.mixer else 1.0
            ones = dict.fromkeys((m.component for m in added), model.lora.bytes * model.lora.adapters)
            per = per + split(added, ones, kv, tp)
        layers = layers + group.stored * per
    head = model.head_parameters or model.vocab * model.d_model
    embedding = size["embedding"] * model.embedding_parameters / tp
    output = size["head"] * (0.0 if model.tied_embeddings else head) / tp
    ends = np.where(np.asarray(layout.pp) > 1, np.maximum(embedding, size["head"] * head / tp), embedding + output)
    return layers * stage_share(model, layout) + ends + size["norm"] * model.norm_parameters


def _expert_bytes(ffn: FeedForward, precision: Precision, ways: Number, padded: Padding) -> Number:
    """Bytes of one expert on one of the `ways` devices it is cut over."""
    each = sum((padded.bytes(m, precision.experts, ffn.d_dispatch, ways) for m in ffn.expert), 0.0 * ways)
    return each + precision.norm.bytes * ffn.expert_extra_parameters / ways


def device_cache_bytes(model: Model, precision: Precision, layout: Layout, context: Number) -> Number:
    """Bytes of cache and state one sequence of `context` tokens has on one device of its attention-DP group.

    What an engine sets aside for it is more: see `layout.pages.request_bytes`.

    KV heads are split over tp and replicated beyond; a latent cache is one head, so every rank keeps all of it.
    Context-parallel ranks keep a part of the entries each, and so do ranks of a decode-context-parallel group.
    A recurrent state has no tokens to share.

    DeepSeek-V3's latent entries, 61 x 576 numbers of 16 bits a token, are copied to each of TP8 and shared with DCP8.

    >>> from rackmath.world import catalog
    >>> v3 = catalog.model("deepseek-ai/DeepSeek-V3")
    >>> [float(device_cache_bytes(v3, v3.precision, Layout(tp=8.0, dcp=n), 1000.0)) / 1000 for n in (1.0, 8.0)]
    [70272.0, 8784.0]
    """
    total: Number = 0.0 * context
    for group in model.groups:
        if group.mixer is None:
            continue
        for stream in group.mixer.streams:
            size = group.count * entry_bytes(stream, precision)
            kept = stored_entries(stream, context) / (layout.cp * layout.dcp)
            total = total + size * kept / np.minimum(layout.tp, stream.heads)
        state = group.count * group.mixer.state_elements * group.mixer.state_bytes
        total = total + state / np.minimum(layout.tp, group.mixer.heads)
    return total * stage_share(model, layout)
