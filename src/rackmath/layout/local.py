"""What llama.cpp and its kin hold on a device: weights as the file has them, the cache asked for, and little else.

No server's share is kept back. Memory is the layers' weights and the head (the table of embeddings stays with the
host, unless host and device share their memory), a cache of the whole context of every slot, the compute buffer of
one step, and what the driver keeps for a process. The compute buffer is the larger of two moments of a step of
`ubatch` tokens, in 32 bits (checked on logs, tests/world/test_home.py):

    logits:  ubatch x (vocab + d_model)                  + mask
    a layer: ubatch x 4 d_model + [heads x cells x ubatch] + mask        [without flash attention]

The mask has a number for each token and cell of the cache. Cards that hold different layers work on different parts
of a prompt at once, and keep four copies of what passes between them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..arrays import Number
from ..world.engine import Engine
from ..world.machine import Machine
from ..world.model import LayerGroup, Model
from ..world.precision import Precision
from .parallelism import Layout

CELLS = 256.0
"""Cells of the cache are allotted in steps of so many."""

COPIES = 4.0
"""Copies of a step's inputs where several cards work on a prompt in turn (GGML_SCHED_MAX_COPIES)."""


DRIVER = 0.5 * 2**30
"""Bytes of the driver's context and its libraries on a card: 0.3 to 0.7 GiB by generation."""


def resident(model: Model) -> Model:
    """The model as far as a device holds it: no table of embeddings, and a head even where it is tied."""
    head = model.head_parameters or model.vocab * model.d_model
    return replace(model, tied_embeddings=False, embedding_parameters=0.0, head_parameters=head)


def host_bytes(model: Model, precision: Precision) -> float:
    """Bytes of weights that stay with the host: the table of embeddings, all of it (a tied head is a copy).

    >>> from rackmath.world import catalog, gguf
    >>> qwen = catalog.model("Qwen/Qwen3-8B")
    >>> round(host_bytes(qwen, gguf.in_file(qwen, "q8_0")) / 2**20, 1)
    630.6
    """
    return model.embedding_parameters * precision.embedding.bytes


def shared_bytes(model: Model, precision: Precision) -> float:
    """Bytes beside the device's where host and device share one memory: the table, less what a tied head reads."""
    head = model.vocab * model.d_model if model.tied_embeddings else 0.0
    return max(model.embedding_parameters - head, 0.0) * precision.embedding.bytes


def padded(model: Model, ubatch: float) -> Model:
    """The model with windows as wide as they are kept: a step's tokens beside them, in whole cells."""

    def group(one: LayerGroup) -> LayerGroup:
        if one.mixer is None:
            return one
        streams = tuple(replace(s, window=float(cells(s.window + ubatch))) if s.window < np.inf else s for s in one.mixer.streams)
        return replace(one, mixer=replace(one.mixer, streams=streams))

    return replace(model, groups=tuple(group(g) for g in model.groups))


def cells(tokens: Number) -> Number:
    """Cells allotted for so many tokens.

    >>> float(cells(2300.0))
    2304.0
    """
    found: Number = np.ceil(np.asarray(tokens) / CELLS) * CELLS
    return found


def compute_buffer(model: Model, layout: Layout, engine: Engine, context: Number) -> Number:
    """Bytes of scratch of one step on the card that holds the head, with `context` tokens in all slots together.

    >>> from rackmath.world import catalog
    >>> from rackmath.world.engine import Engine
    >>> older = Engine(chunk_tokens=512, flash=False, mask_bytes=4)
    >>> llama = catalog.model("meta-llama/Llama-3.1-8B")
    >>> float(compute_buffer(llama, Layout(), older, 8192.0)) / 2**20      # logged: 560 MiB
    560.0
    """
    u, room = engine.chunk_tokens, cells(context)
    if engine.on_device:
        return _lazy_buffer(model, u, room)
    copies = np.where((np.asarray(layout.pp) > 1) & engine.pipelined, COPIES, 1.0)
    heads = max((g.mixer.heads for g in model.groups if g.mixer and g.mixer.streams), default=0.0)
    mask, hidden = u * room * engine.mask_bytes, 4 * u * model.d_model
    logits = 4 * u * model.vocab + copies * (mask + hidden)
    scores = 0.0 if engine.flash else 4 * u * heads * room
    passed = np.where(copies > 1, copies * (mask + hidden), mask)
    layer = scores + passed + 4 * hidden
    found: Number = np.maximum(logits, layer)
    return found


SCORES = 4.5
"""Bytes of a score of latent attention in MLX, which does not fuse it: 16 bits before and after the softmax."""


def _lazy_buffer(model: Model, ubatch: float, room: Number) -> Number:
    """MLX's: logits of one token alone; a layer's widest moment in 16 bits, and latent attention's scores."""
    latent = max((g.mixer.heads for g in model.groups if g.mixer and g.mixer.kind == "mla"), default=0.0)
    wide = max((max(g.ffn.d_dense, g.ffn.top_k * g.ffn.d_expert) for g in model.groups if g.ffn), default=0.0)
    found: Number = ubatch * (2 * (4 * model.d_model + 3 * wide) + SCORES * latent * room)
    return found


def driver_bytes(machine: Machine) -> float:
    """What the driver keeps for a process: nothing to speak of where host and device share their memory."""
    return 0.0 if machine.unified else DRIVER
