"""What fits: bytes of weights, cache and reserve on the fullest device, and the batch that fills it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ..arrays import Mask, Number
from ..kernel.counts import entry_bytes, stored_entries
from ..world.engine import Engine
from ..world.lora import adapter
from ..world.machine import Machine
from ..world.model import COMPONENTS, FeedForward, Model
from ..world.padding import PLAIN, Padding, padding
from ..world.precision import Precision
from . import local, spread
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
    host_weights: Number = 0.0  # of the computer's own memory, where it holds a part of the model
    host_per_sequence: Number = 0.0
    host_capacity: Number = 0.0

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

    def host_used(self, batch: Number) -> Number:
        """Bytes of the host's memory in use with `batch` sequences in the replica."""
        return self.host_weights + np.ceil(batch) * self.host_per_sequence

    def holds(self, batch: Number, layout: Layout) -> Mask:
        """Whether devices and host have room for `batch` sequences."""
        here = np.asarray(self.used(batch, layout) <= self.capacity)
        return here & np.asarray(self.host_used(batch) <= self.host_capacity)


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
    model: Model, machine: Machine, precision: Precision, layout: Layout, engine: Engine, context: Number, prompt: Number = 0.0
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


def admitted_bytes(model: Model, precision: Precision, layout: Layout, engine: Engine, held: Footprint, context: Number) -> Number:
    """Bytes of cache that a device needs to admit a sequence of `context` tokens: what it takes while prefilled.

    As much as it takes while it decodes, but for layers that keep a window: those hold the tokens of the steps under
    way too. vLLM divides the room by it and logs the "maximum concurrency".
    """
    if engine.local:
        return held.per_sequence
    return np.maximum(held.per_sequence, request_bytes(model, precision, layout, engine, context, ahead_of(engine, context)))


def concurrency(model: Model, precision: Precision, layout: Layout, engine: Engine, held: Footprint, context: Number) -> Number:
    """Sequences of `context` tokens that the cache of a replica admits, whole ones or not, as vLLM logs it."""
    one = admitted_bytes(model, precision, layout, engine, held, context)
    return held.room / np.maximum(one, 1e-300) * layout.dp


def _local(model: Model, machine: Machine, precision: Precision, layout: Layout, engine: Engine, context: Number) -> Footprint:
    """The same under a local engine, whose slots have room for `context` tokens each, prompt and answer alike."""
    on, host = spread.parted(model, layout) if spread.left(layout) else (model, None)
    weights = device_weight_bytes(local.resident(on), precision, layout)
    if engine.on_device or machine.unified:
        weights = weights + local.shared_bytes(model, precision)
    kept = local.padded(on, engine.chunk_tokens)
    per_sequence = device_cache_bytes(kept, precision, layout, local.cells(context))
    driver = local.driver_bytes(machine)
    # scratch grows with the cells of all slots: what one slot adds counts with its cache
    one = local.compute_buffer(model, layout, engine, context)
    more = local.compute_buffer(model, layout, engine, 2 * context) - one
    terms = {"driver": machine.hbm_capacity - machine.usable, "runtime": driver, "compute buffer": one - more}
    reserved = sum(terms.values(), 0.0)
    capacity = machine.hbm_capacity
    if machine.cards:
        weights, per_sequence, capacity = _tightest(on, kept, machine, precision, layout, local.cells(context))
    free = capacity - weights - reserved
    seated = np.floor(np.maximum(free, 0.0) / np.maximum(per_sequence + more, 1.0))
    found = Footprint(
        weights=weights, reserved=reserved, per_sequence=per_sequence + more, capacity=capacity, batch_max=seated, terms=terms
    )
    return found if host is None else _beside_host(found, model, host, machine, precision, engine, context)


def _tightest(
    on: Model, kept: Model, machine: Machine, precision: Precision, layout: Layout, cells: Number
) -> tuple[Number, Number, Number]:
    """Weights, cache of a sequence and memory of that of unequal cards which has least room left."""
    whole, alone = local.resident(on), Layout()
    layers = device_weight_bytes(spread.headless(on), precision, alone)
    ends = device_weight_bytes(whole, precision, alone) - layers
    each = device_cache_bytes(kept, precision, alone, cells)
    shares = spread.units_on(on, machine, replace(layout, host_layers=0.0))
    rows = []
    for i, (card, (units, last)) in enumerate(zip(machine.cards, shares, strict=True)):
        output = np.where(last, 1.0, 0.0)
        share = (units - output) / np.maximum(on.n_layers, 1.0)
        used = layers * share + ends * output
        here = np.asarray(i < np.asarray(layout.pp))
        room = float(card.usable) - (float(card.hbm_capacity) - float(card.usable))
        slack = np.where(here, room - used - each * share, np.inf)
        rows.append(np.broadcast_arrays(slack, used, each * share, float(card.usable)))
    least = np.argmin(np.stack([row[0] for row in rows]), axis=0)
    weights, cache, capacity = (np.choose(least, [row[k] for row in rows]) for k in (1, 2, 3))
    return weights, cache, capacity


def _beside_host(
    found: Footprint, model: Model, host: Model, machine: Machine, precision: Precision, engine: Engine, context: Number
) -> Footprint:
    """The same with the host's part: its layers and experts, the table of embeddings, and its layers' cache."""
    weights = device_weight_bytes(host, precision, Layout()) + local.host_bytes(model, precision)
    each = device_cache_bytes(local.padded(host, engine.chunk_tokens), precision, Layout(), local.cells(context))
    room = np.maximum(machine.host_capacity - spread.KEEPS, 0.0)
    seated = np.floor(np.maximum(room - weights, 0.0) / np.maximum(each, 1.0))
    return replace(
        found,
        host_weights=weights,
        host_per_sequence=each,
        host_capacity=room,
        batch_max=np.where(weights <= room, np.minimum(found.batch_max, seated), 0.0),
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
