"""Parameters, FLOPs, bytes and cache entries of a model: no hardware and no layout in here.

Contexts are in tokens, caches in elements or bytes per sequence; every function takes a number or a column.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from ..arrays import Number
from ..world.model import FeedForward, LayerGroup, Model, Stream
from ..world.precision import Format, Precision, format_named

# --- parameters -------------------------------------------------------------------------------------------------


def parameters(model: Model) -> dict[str, float]:
    """Parameters by component (see `rackmath.world.model.COMPONENTS`); draft layers are not in them.

    >>> from rackmath.world.description import build
    >>> llama = build({"name": "llama-3.1-8b", "d_model": 4096, "vocab": 128256, "groups": [{"count": 32,
    ...     "mixer": {"kind": "gqa", "n_heads": 32, "n_kv_heads": 8}, "ffn": {"kind": "mlp", "d_ff": 14336}}]})
    >>> round(sum(parameters(llama).values()))
    8030261248
    """
    total = defaultdict(float, layer_parameters(model.groups))
    total["embedding"] += model.embedding_parameters
    total["head"] += model.head_parameters
    total["norm"] += model.norm_parameters
    return dict(total)


def layer_parameters(groups: Iterable[LayerGroup]) -> dict[str, float]:
    """Parameters of layer groups by component."""
    total: defaultdict[str, float] = defaultdict(float)
    for group in groups:
        total["norm"] += group.stored * group.norm_parameters
        if group.mixer:
            for matrix in group.mixer.matrices:
                total[matrix.component] += group.stored * matrix.parameters
            total["attention"] += group.stored * group.mixer.extra_parameters
        if group.ffn:
            for matrix in group.ffn.matrices:
                total[matrix.component] += group.stored * matrix.parameters
            total[_extra_component(group.ffn)] += group.stored * group.ffn.extra_parameters
            total["experts"] += group.stored * group.ffn.n_experts * expert_parameters(group.ffn)
    return dict(total)


def _extra_component(ffn: FeedForward) -> str:
    return "router" if ffn.n_experts else "mlp"


def expert_parameters(ffn: FeedForward) -> float:
    """Parameters of one routed expert."""
    return sum(m.parameters for m in ffn.expert) + ffn.expert_extra_parameters


def total_parameters(model: Model) -> float:
    """All parameters of the text model, multi-token-prediction layers apart."""
    return sum(parameters(model).values())


def active_parameters(model: Model) -> dict[str, float]:
    """Parameters one token uses, under the three definitions in use.

    `with both`: input embedding and output head counted (tied tables once); `with one`: the head only;
    `with none`: layers only. Multiplications are `with one`, since looking up an embedding multiplies nothing.
    """
    layers = sum(sum(layer_parameters([g]).values()) - idle_expert_parameters(g) for g in model.groups)
    none = layers + model.norm_parameters
    head = model.head_parameters or model.vocab * model.d_model
    both = none + model.embedding_parameters + model.head_parameters
    return {"with both": both, "with one": none + head, "with none": none}


def idle_expert_parameters(group: LayerGroup) -> float:
    """Parameters of the experts a token is not routed to, over all layers of a group."""
    if group.ffn is None:
        return 0.0
    return group.count * (group.ffn.n_experts - group.ffn.top_k) * expert_parameters(group.ffn)


def weight_bytes(model: Model, precision: Precision | None = None) -> float:
    """Bytes of all weights as stored (one copy)."""
    chosen = precision or model.precision
    return sum(n * chosen.of(component).bytes for component, n in parameters(model).items())


# --- cache ------------------------------------------------------------------------------------------------------


def entry_format(stream: Stream, precision: Precision) -> Format:
    """The format a stream's entries are kept in."""
    if stream.precision == "index":
        return precision.index or format_named(stream.own)
    return precision.of(stream.precision)


def entry_bytes(stream: Stream, precision: Precision) -> float:
    """Bytes of one entry, all heads together.

    >>> from rackmath.world.sparse import index_stream
    >>> entry_bytes(index_stream(64, 128), Precision(name="bf16"))     # a key of DeepSeek V3.2: 128 and its scale
    132.0
    """
    fmt = entry_format(stream, precision)
    if stream.narrow_bytes and 0.75 < fmt.bytes < 1.5:
        return stream.narrow_bytes
    return stream.elements * fmt.bytes


def stored_entries(stream: Stream, context: Number) -> Number:
    """Entries one sequence keeps at `context` tokens."""
    if not stream.stored:
        return 0.0 * context
    return np.minimum(np.minimum(context, stream.window), stream.chunk) / stream.stride


def attended_entries(stream: Stream, context: Number) -> Number:
    """Entries a query reads when `context` tokens precede it.

    A chunked layer reads everything inside the first chunk; later the mean over where in a chunk the query may stand.

    >>> chunked = Stream(name="kv", elements=1, decode_flops=1, prefill_flops=1, chunk=8192)
    >>> [float(attended_entries(chunked, n)) for n in (8000.0, 100000.0)]
    [8000.0, 4096.0]
    """
    entries = np.minimum(context, stream.window) / stream.stride
    if stream.power != 1:
        entries = np.power(entries, stream.power)
    entries = np.minimum(entries, stream.top_k)
    if stream.chunk == np.inf:
        return entries
    return np.where(np.asarray(context) <= stream.chunk, entries, _unchunked(stream, stream.chunk) / stream.chunk)


def attended_sum(stream: Stream, context: Number) -> Number:
    """Entries attended by all queries at positions 0 to `context`: the integral of `attended_entries`.

    Of a chunked layer it is exact: whole chunks and the one begun.

    >>> dense = Stream(name="kv", elements=1, decode_flops=1, prefill_flops=1)
    >>> float(attended_sum(dense, 1000.0))
    500000.0
    >>> chunked = Stream(name="kv", elements=1, decode_flops=1, prefill_flops=1, chunk=400)
    >>> float(attended_sum(chunked, 1000.0))            # 2 x 400 x 400 / 2 + 200 x 200 / 2
    180000.0
    """
    if stream.chunk == np.inf:
        return _unchunked(stream, context)
    whole = np.floor(context / stream.chunk)
    return whole * _unchunked(stream, stream.chunk) + _unchunked(stream, context - whole * stream.chunk)


def _unchunked(stream: Stream, context: Number) -> Number:
    """The same inside one chunk."""
    p = stream.power
    cap: float = min((stream.window / stream.stride) ** p, stream.top_k)  # beyond it a query reads no more
    if cap == np.inf:
        return _ramp(context, stream.stride, p)
    ramp: Number = np.minimum(context, cap ** (1 / p) * stream.stride)
    return _ramp(ramp, stream.stride, p) + cap * (context - ramp)


def _ramp(context: Number, stride: float, power: float) -> Number:
    """The integral of (x / stride) ** power from 0 to `context`."""
    if power == 1:
        return context * context / (2 * stride)
    return context * np.power(context / stride, power) / (power + 1)


def cache_bytes(model: Model, context: Number, precision: Precision | None = None) -> Number:
    """Bytes of cache and recurrent state one sequence keeps at `context` tokens, all layers, one copy."""
    return _entries_and_state(model, context, precision or model.precision, stored_entries)


def _entries_and_state(model: Model, context: Number, precision: Precision, entries: Callable[[Stream, Number], Number]) -> Number:
    """Bytes of one sequence's entries, as `entries` counts them in a stream, and of its recurrent state."""
    total: Number = 0.0 * context
    for group in model.groups:
        if group.mixer is None:
            continue
        for stream in group.mixer.streams:
            size = group.count * entry_bytes(stream, precision)
            total = total + size * entries(stream, context)
        total = total + group.count * group.mixer.state_elements * group.mixer.state_bytes
    return total


def kv_bytes_per_token(model: Model, precision: Precision | None = None) -> float:
    """Cache bytes a token adds while every window is still filling; states of fixed size are not in it.

    The field's own definition, e.g. 327,680 for Llama-3.1-70B in BF16. Shared caches count once.
    """
    chosen = precision or model.precision
    return sum(
        g.count * entry_bytes(s, chosen) / s.stride
        for g in model.groups
        if g.mixer
        for s in g.mixer.streams
        if s.stored and s.precision != "state"
    )


def state_bytes(model: Model) -> float:
    """Bytes of recurrent state one sequence keeps, whatever its length."""
    return sum(g.count * g.mixer.state_elements * g.mixer.state_bytes for g in model.groups if g.mixer)


def read_bytes(model: Model, context: Number, precision: Precision | None = None) -> Number:
    """Bytes one decoded token reads from cache and state at `context` tokens, one copy."""
    return _entries_and_state(model, context, precision or model.precision, attended_entries)


# --- FLOPs ------------------------------------------------------------------------------------------------------


def weight_flops(model: Model) -> float:
    """FLOPs of multiplying one token by every matrix it uses, output head included."""
    total = 2.0 * (model.head_parameters or model.vocab * model.d_model)
    for group in model.groups:
        if group.mixer:
            total += group.count * (2 * sum(m.parameters for m in group.mixer.matrices) + group.mixer.scan_flops)
        if group.ffn:
            dense = sum(m.parameters for m in group.ffn.matrices)
            routed = group.ffn.top_k * sum(m.parameters for m in group.ffn.expert)
            total += group.count * 2 * (dense + routed)
    return total


def attention_flops(model: Model, context: Number) -> Number:
    """FLOPs of one decoded token's attention over `context` cached tokens (absorbed where the model allows)."""
    total: Number = 0.0 * context
    for group in model.groups:
        if group.mixer:
            for stream in group.mixer.streams:
                total = total + group.count * stream.decode_flops * attended_entries(stream, context)
    return total


def context_of_equal_flops(model: Model) -> float:
    """Context at which a decoded token's attention costs as many FLOPs as its weights; infinite if never.

    LECTURE section 1: about 4.4K tokens for DeepSeek-V3 with absorbed MLA and 53K for Llama-3-70B.
    """
    target = weight_flops(model)
    low, high = 0.0, 1.0
    while attention_flops(model, high) < target:
        high *= 2
        if high > 1e12:
            return float("inf")
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if attention_flops(model, middle) < target else (low, middle)
    return high


def experts_touched(n_experts: Number, top_k: Number, tokens: Number) -> Number:
    """Expected share of experts that at least one of `tokens` tokens is routed to: 1 - (1 - k/n)^tokens.

    Uniform, independent routing. 8 of 256 at batch 64:

    >>> round(float(experts_touched(256.0, 8.0, 64.0)), 2)
    0.87
    """
    share = np.minimum(np.asarray(top_k, dtype=float) / n_experts, 1 - 1e-15)
    touched: Number = -np.expm1(tokens * np.log1p(-share))
    return touched


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One forward pass of a replica.

    `decode` sequences get `width` new tokens each over a mean context of `context` tokens. `prefill` prompt
    tokens are processed beside them, drawn from prompts of `prompt` tokens of which `prompt_cached` were found in
    a prefix cache. `busiest` is the largest share of the prefill tokens one attention-DP rank holds.
    """

    decode: Number = 0.0
    context: Number = 0.0
    width: Number = 1.0
    prefill: Number = 0.0
    prompt: Number = 1.0
    prompt_cached: Number = 0.0
    busiest: Number = 1.0

    @property
    def tokens(self) -> Number:
        return self.decode * self.width + self.prefill

    @property
    def prompts(self) -> Number:
        """Prompts the prefill tokens belong to: at least one where there are any."""
        share = self.prefill / np.maximum(self.prompt - self.prompt_cached, 1.0)
        return np.where(self.prefill > 0, np.maximum(share, 1.0), 0.0)
