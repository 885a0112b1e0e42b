"""What an engine keeps of a device's memory beside weights and cache, as named terms.

    driver       what the driver keeps from programs
    unfilled     the part that the engine's share leaves alone
    runtime      the device's context and libraries, outside the framework
    links        buffers of collectives, where tensor parallelism has any
    activations  the peak of the largest step
    graphs       captured graphs, where the engine counts them inside its share

The peak of a step is reached in one of two places. In a layer, it is the inner vectors of the widest part of all
tokens of the step, beside a few copies of the hidden vector; tensor parallelism cuts the inner vectors. Where logits
become tokens, it is the vocabulary times the sequences that may be sampled at once, in the bytes that the sampler
needs; every rank holds all of it, and only the last pipeline stage does. With a small vocabulary or few sequences the
first is the larger, in servers of large devices (1,024 sequences) mostly the second.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Number
from ..world.engine import Engine
from ..world.machine import Machine
from ..world.model import Matrix, Model
from ..world.precision import Precision
from .parallelism import Layout

MIB = 2.0**20

MOE_TOKENS = 16384.0
"""Most tokens whose experts' workspace is alive at once: engines run more in parts."""


def reserve(
    model: Model,
    machine: Machine,
    precision: Precision,
    layout: Layout,
    engine: Engine,
    weights: Number,
    context: Number,
    *,
    last: bool = True,
) -> dict[str, Number]:
    """Bytes of each term on a device of the last stage, or of the first where `last` is False.

    `weights`: bytes of weights on the device, which a share of what is left depends on. `context`: tokens of the
    longest prompt, for engines that take prompts in one step. Terms that a device has no memory for are not cut down.
    """
    usable = machine.usable
    runtime = np.minimum(engine.runtime_bytes, engine.runtime_share * usable)
    links = link_buffers(machine, layout, engine)
    tokens, sequences = largest_step(engine, machine, context)
    peak = activation_peak(model, precision, layout, engine, tokens, sequences, last=last)
    graphs = graph_buffers(model, precision, layout, engine, sequences)
    share = share_in_force(engine, machine, layout, context)
    if engine.share_of == "free":  # activations and graphs live in what the share leaves
        free = usable - runtime - links
        return {"driver": machine.hbm_reserved, "runtime": runtime, "links": links, "activations and graphs": (1 - share) * free}
    whole = usable
    if engine.share_of == "left":
        whole = np.maximum(usable - runtime - links - peak - graphs - weights, 0.0)
    return {
        "driver": machine.hbm_reserved,
        "unfilled": (1 - share) * whole,
        "runtime": runtime,
        "links": links,
        "activations": peak,
        "graphs": graphs,
    }


PLAIN_LINKS = 0.15 * 2.0**30
"""Most bytes of buffers between devices that meet over their host: nothing is kept to speed such links up."""

FAST = 100e9
"""Bytes per second and way from which devices are joined by more than their host."""


def link_buffers(machine: Machine, layout: Layout, engine: Engine) -> Number:
    """Bytes of collectives' buffers on a device, where tensor parallelism has collectives.

    >>> from rackmath.world.engine_names import engine
    >>> nvlink, host = (Machine(name="m", accelerator="m", domain=8, scaleup_bandwidth=x) for x in (450e9, 32e9))
    >>> [round(float(link_buffers(m, Layout(tp=2.0), engine("vllm@0.19"))) / 2**30) for m in (nvlink, host)]
    [2, 0]
    """
    tp = np.asarray(layout.tp)
    fast = (np.asarray(machine.scaleup_bandwidth) >= FAST) | (tp > machine.domain)
    kept = engine.link_bytes + engine.link_more_bytes * np.maximum(tp - 2, 0.0)
    return np.where(tp > 1, np.where(fast, kept, np.minimum(kept, PLAIN_LINKS)), 0.0)


def largest_step(engine: Engine, machine: Machine, context: Number) -> tuple[Number, Number]:
    """Tokens and sequences of the largest step that an engine keeps memory for on a device.

    >>> from rackmath.world.engine_names import engine
    >>> big, small = (Machine(name="m", accelerator="m", hbm_capacity=g * 2**30) for g in (79.19, 23.58))
    >>> [tuple(map(float, largest_step(engine("vllm@0.19"), m, 8192.0))) for m in (big, small)]
    [(8192.0, 1024.0), (2048.0, 256.0)]
    """
    steps = engine.steps if machine.generation not in engine.small_steps else engine.steps[:1]
    tokens: Number = steps[0][1]
    sequences: Number = steps[0][2]
    for least, more, many in steps[1:]:
        large = np.asarray(machine.hbm_capacity) >= least
        tokens, sequences = np.where(large, more, tokens), np.where(large, many, sequences)
    if engine.step_tokens:
        tokens = engine.step_tokens
    elif engine.whole_prompts:
        tokens = np.maximum(tokens, context)
    return tokens, engine.sequences or sequences


def activation_peak(
    model: Model, precision: Precision, layout: Layout, engine: Engine, tokens: Number, sequences: Number, *, last: bool = True
) -> Number:
    """Bytes of the largest step's activations on a device of the last stage, or of the first of several.

    Llama 3.1 8B with 8,192 tokens and 256 sequences: vLLM 0.6.5 logs 1.26 GiB; with 1,024, vLLM 0.11 logs 4.76.
    """
    size = precision.activation_bytes
    layer, experts = layer_peak(model, precision, layout, engine, tokens)
    logits = np.minimum(sequences, tokens) * model.vocab * engine.logit_bytes + tokens * model.d_model * size
    logits = logits + engine.expert_share * experts
    both = np.maximum(layer, logits)
    return both if last else np.where(np.asarray(layout.pp) > 1, layer, both)


def layer_peak(model: Model, precision: Precision, layout: Layout, engine: Engine, tokens: Number) -> tuple[Number, Number]:
    """Bytes alive inside the widest layer for so many tokens, and those of them that are the experts' workspace."""
    size, d = precision.activation_bytes, model.d_model
    inner: Number = 0.0
    experts: Number = 0.0
    for group in model.groups:
        if group.mixer:
            inner = np.maximum(inner, _inner(group.mixer.matrices, d) / layout.tp)
        if group.ffn:
            inner = np.maximum(inner, _inner(group.ffn.matrices, d) / layout.tp)
            if group.ffn.n_experts:
                routed = np.minimum(tokens * layout.dp, MOE_TOKENS) * group.ffn.top_k / layout.ep
                width = group.ffn.d_expert / layout.moe_tp
                each = np.maximum(2 * width, group.ffn.d_dispatch) + width
                experts = np.maximum(experts, routed * each * size)
    hidden = engine.hidden_copies * d
    return np.maximum(tokens * (inner + hidden) * size, experts + tokens * hidden * size), experts


GRAPH = 4 * MIB
"""Bytes of one captured size without experts."""

LARGEST_GRAPH = 512.0
"""Most tokens of a captured step."""


def graph_buffers(model: Model, precision: Precision, layout: Layout, engine: Engine, sequences: Number) -> Number:
    """Bytes that an engine allows for captured graphs inside its share.

    One graph for each size, up to 512 tokens or twice the sequences, of layers apart and up to the sequences of whole
    steps. vLLM takes each to cost what the second largest costs; with experts that is about their workspace,
    far more than graphs that share one pool take in the end. GLM-5.2 with 192 sequences: 41 and 25 logged, 43
    and 27 here; two dense models with 51 and 35: 0.64 and 0.78 GiB logged.
    """
    if not engine.graph_copies:
        return engine.graph_bytes
    widest = np.minimum(2 * sequences, LARGEST_GRAPH)
    graphs = _sizes(widest) + _sizes(np.minimum(sequences, LARGEST_GRAPH))
    _, experts = layer_peak(model, precision, layout, engine, widest)
    return engine.graph_bytes + graphs * (GRAPH + engine.graph_copies * experts)


def _sizes(tokens: Number) -> Number:
    """Sizes of captured steps: 1, 2, 4, every eighth up to 256 and every sixteenth beyond."""
    return 3 + np.minimum(tokens, 256) / 8 + np.maximum(tokens - 256, 0) / 16


def _inner(matrices: tuple[Matrix, ...], d_model: float) -> float:
    """Numbers of a token's vectors inside a part: one for each row or column that its matrices join to the hidden."""
    return sum(m.parameters for m in matrices) / d_model


def share_in_force(engine: Engine, machine: Machine, layout: Layout, context: Number = 0.0) -> Number:
    """The engine's share, worked out by its own rule where none is set (SGLang: server_args.py).

    The rule keeps room in MiB: 512, 1.5 for each token of a step, 2 for each sequence of a graph, 128 for each
    device of a replica, more with attention-DP, and at least 10 GiB on devices above 60.

    >>> from rackmath.world.engine_names import engine
    >>> h100 = Machine(name="h100", accelerator="H100", hbm_capacity=81559 * MIB)
    >>> round(float(share_in_force(engine("sglang"), h100, Layout(tp=8.0))), 3)
    0.818
    """
    if engine.memory_share > 0:
        return engine.memory_share
    total = machine.hbm_capacity / MIB
    tokens, graphs = largest_step(engine, machine, context)
    graphs = np.where((np.asarray(layout.tp) >= 4) & (total > 60 * 1024), 512.0, graphs)
    kept = 512 + 1.5 * np.maximum(tokens, 2048.0) + 2 * graphs + 128 * layout.tp * layout.pp
    dp = np.where(np.asarray(layout.dp) > 1, layout.dp, 0.0)
    kept = kept + graphs * dp * np.where(graphs > 300, 4.5, 3.0)
    kept = np.where(total > 60 * 1024, np.maximum(kept, 10 * 1024), kept)
    return np.clip(1 - kept / total, 0.05, 0.99)
