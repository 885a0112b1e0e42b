"""The blocks models are made of: architecture facts in, `Mixer` and `FeedForward` records out.

Each class is one kind of block in our own schema (see `description`): its fields are the facts, so a model written
by hand and a model read from a config.json take the same path, and `block()` is what they come to. FLOPs count a
multiply-add as 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from .gated import CrossAttention, GatedLinearRecurrence, MatrixMemory, RwkvTimeMix, ShortConvolution
from .model import FeedForward, Matrix, Mixer, Stream
from .recurrent import GatedDeltaNet, KimiDeltaAttention, LightningAttention, Mamba1, Mamba2
from .sparse import CompressedAttention, index_stream

B_co = TypeVar("B_co", covariant=True)


class BlockFacts(Protocol[B_co]):
    """Facts of one kind of block."""

    def block(self) -> B_co:
        """What they come to: matrices, cache entries, state."""


Kinds = dict[str, Callable[..., BlockFacts[B_co]]]
"""Kinds of block by the name that a description calls them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedQueryAttention:
    """Softmax attention with grouped KV heads (MHA and MQA are its ends).

    Without `n_kv_heads` every head has its own keys and values; `head_dim` is d_model / n_heads, `v_head_dim` the
    same as `head_dim`. A layer keeps the last `window` tokens; with `chunk` its context restarts every so many.
    `output_gate` scales every output element, `head_gate` every head. With `top_k` and an indexer it is sparse: a
    query reads `top_k` tokens per KV head, chosen with one small key per token (MiniMax M3, in blocks of tokens).
    `v_is_k`: no value projection, the key's serves (Gemma 4 global layers); the cache still holds both.
    `d_source`: the width of what queries, keys and values are made from, where it is not the model's (Zamba: twice).
    `shares_cache`: the layer reads an earlier layer's cache and has no key and value projections.

    >>> mixer = GroupedQueryAttention(d_model=8192, n_heads=64, n_kv_heads=8).block()      # Llama-3.1-70B
    >>> mixer.streams[0].elements * 2 * 80                       # BF16 bytes per token in 80 layers
    327680.0
    """

    d_model: float
    n_heads: float
    n_kv_heads: float | None = None
    head_dim: float | None = None
    v_head_dim: float | None = None
    window: float = math.inf
    chunk: float = math.inf
    output_gate: bool = False
    head_gate: bool = False
    v_is_k: bool = False
    shares_cache: bool = False
    d_source: float | None = None
    top_k: float = math.inf
    index_n_heads: float = 0
    index_head_dim: float = 0
    extra_parameters: float = 0

    def block(self) -> Mixer:
        kv = self.n_kv_heads or self.n_heads
        d_qk = self.head_dim or self.d_model / self.n_heads
        d_v = self.v_head_dim or d_qk
        return Mixer(
            kind="gqa",
            matrices=(*self._projections(kv, d_qk, d_v), *self._index_matrices()),
            streams=(self._cache(kv, d_qk, d_v), *self._index_streams()),
            heads=self.n_heads,
            extra_parameters=self.extra_parameters,
            kernels=2 + (3 if self.index_n_heads else 0),
        )

    def _projections(self, kv: float, d_qk: float, d_v: float) -> list[Matrix]:
        q_width = self.n_heads * d_qk * (2 if self.output_gate else 1)
        source = self.d_source or self.d_model
        matrices = [Matrix(name="q", d_in=source, d_out=q_width)]
        if not self.shares_cache:
            matrices.append(Matrix(name="k", d_in=source, d_out=kv * d_qk, shard="kv"))
            if not self.v_is_k:
                matrices.append(Matrix(name="v", d_in=source, d_out=kv * d_v, shard="kv"))
        matrices.append(Matrix(name="o", d_in=self.n_heads * d_v, d_out=self.d_model))
        if self.head_gate:
            matrices.append(Matrix(name="gate", d_in=self.d_model, d_out=self.n_heads))
        return matrices

    def _cache(self, kv: float, d_qk: float, d_v: float) -> Stream:
        per_entry = 2 * self.n_heads * (d_qk + d_v)
        return Stream(
            name="kv",
            elements=kv * (d_qk + d_v),
            decode_flops=per_entry,
            prefill_flops=per_entry,
            heads=kv,
            window=self.window,
            chunk=self.chunk,
            top_k=self.top_k,
            stored=not self.shares_cache,
        )

    def _index_matrices(self) -> tuple[Matrix, ...]:
        if not self.index_n_heads:
            return ()
        q_width = self.index_n_heads * self.index_head_dim
        return (
            Matrix(name="index_q", d_in=self.d_model, d_out=q_width, shard="kv"),
            Matrix(name="index_k", d_in=self.d_model, d_out=self.index_head_dim, shard="replicated"),
        )

    def _index_streams(self) -> tuple[Stream, ...]:
        return (index_stream(self.index_n_heads, self.index_head_dim, own="bf16"),) if self.index_n_heads else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearMixer:
    """One square matrix where attention stood (Nemotron NAS): no cache, no mixing of tokens."""

    d_model: float

    def block(self) -> Mixer:
        matrix = Matrix(name="linear", d_in=self.d_model, d_out=self.d_model)
        return Mixer(kind="linear", matrices=(matrix,), heads=self.d_model, kernels=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentAttention:
    """Multi-head latent attention: one latent vector per token serves all heads.

    Decoding multiplies by the latent directly (absorbed): kv_lora_rank + rope wide keys and kv_lora_rank wide
    values for every head. Prefill expands keys and values (not absorbed). The matrices are the same either way.
    With `top_k` it is DeepSeek sparse attention, which prefills absorbed too, since every query reads entries of its
    own. Its indexer reads every cached token's small key; a layer without one reuses an earlier layer's choice.
    An 8-bit cache of it keeps a 4-byte scale for each 128 latent numbers and the rotary part in 16 bits (656 bytes a
    token; vLLM and SGLang, "fp8_ds_mla"). Without `q_lora_rank` the query is one full matrix. A layer keeps the last
    `window` tokens; the indexer's keys may be pooled, one for `index_ratio` tokens (GLM-5 Next).

    >>> mixer = LatentAttention(d_model=7168, n_heads=128, q_lora_rank=1536, kv_lora_rank=512, qk_nope_head_dim=128,
    ...                         qk_rope_head_dim=64, v_head_dim=128).block()         # DeepSeek-V3
    >>> mixer.streams[0].elements * 2 * 61                       # BF16 bytes per token in 61 layers
    70272
    >>> mixer.streams[0].decode_flops                            # 2 * 128 * (576 + 512)
    278528
    """

    d_model: float
    n_heads: float
    kv_lora_rank: float
    qk_nope_head_dim: float
    qk_rope_head_dim: float
    v_head_dim: float
    q_lora_rank: float | None = None
    top_k: float = math.inf
    index_n_heads: float = 0
    index_head_dim: float = 0
    index_ratio: float = 1
    window: float = math.inf
    output_gate: bool = False
    extra_parameters: float = 0

    def block(self) -> Mixer:
        index = index_stream(self.index_n_heads, self.index_head_dim, stride=self.index_ratio)
        indexer = (index,) if self.index_n_heads else ()
        return Mixer(
            kind="mla",
            matrices=(*self._query(), *self._keys_and_values(), *self._index_matrices()),
            streams=(self._latent(), *indexer),
            heads=self.n_heads,
            extra_parameters=self.extra_parameters,
            kernels=5 + (3 if self.index_n_heads else 0),
        )

    def _query(self) -> tuple[Matrix, ...]:
        width = self.n_heads * (self.qk_nope_head_dim + self.qk_rope_head_dim)
        if not self.q_lora_rank:
            return (Matrix(name="q", d_in=self.d_model, d_out=width),)
        return (
            Matrix(name="q_a", d_in=self.d_model, d_out=self.q_lora_rank, shard="replicated"),
            Matrix(name="q_b", d_in=self.q_lora_rank, d_out=width),
        )

    def _keys_and_values(self) -> list[Matrix]:
        """Down to the latent vector, up from it, the output, and its gate where there is one."""
        latent, values = self.kv_lora_rank + self.qk_rope_head_dim, self.n_heads * self.v_head_dim
        up = self.n_heads * (self.qk_nope_head_dim + self.v_head_dim)
        matrices = [
            Matrix(name="kv_a", d_in=self.d_model, d_out=latent, shard="replicated"),
            Matrix(name="kv_b", d_in=self.kv_lora_rank, d_out=up),
            Matrix(name="o", d_in=values, d_out=self.d_model),
        ]
        if self.output_gate:
            matrices.append(Matrix(name="gate", d_in=self.d_model, d_out=values))
        return matrices

    def _latent(self) -> Stream:
        latent, sparse = self.kv_lora_rank + self.qk_rope_head_dim, self.top_k != math.inf
        absorbed = 2 * self.n_heads * (latent + self.kv_lora_rank)
        expanded = 2 * self.n_heads * (self.qk_nope_head_dim + self.qk_rope_head_dim + self.v_head_dim)
        return Stream(
            name="latent",
            elements=latent,
            decode_flops=absorbed,
            prefill_flops=absorbed if sparse else expanded,
            window=self.window,
            top_k=self.top_k,
            narrow_bytes=self.kv_lora_rank * (1 + 4 / 128) + 2 * self.qk_rope_head_dim if sparse else 0,
        )

    def _index_matrices(self) -> tuple[Matrix, ...]:
        if not self.index_n_heads:
            return ()
        d_in, q_width = self.q_lora_rank or self.d_model, self.index_n_heads * self.index_head_dim
        return (
            Matrix(name="index_q", d_in=d_in, d_out=q_width, shard="replicated"),
            Matrix(name="index_k", d_in=self.d_model, d_out=self.index_head_dim, shard="replicated"),
            Matrix(name="index_weights", d_in=self.d_model, d_out=self.index_n_heads, shard="replicated"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseMlp:
    """A dense feed-forward part: two matrices, or three with a gate.

    Beside it may stand `n_side` narrow matrices of d_model x `d_side` (Gemma 3n and 4: the gate and projections of
    per-layer inputs).

    >>> sum(m.parameters for m in DenseMlp(d_model=4096, d_ff=14336).block().matrices)      # Llama-3.1-8B
    176160768
    """

    d_model: float
    d_ff: float
    gated: bool = True
    d_side: float = 0
    n_side: float = 2
    extra_parameters: float = 0

    def block(self) -> FeedForward:
        matrices = _mlp_matrices(self.d_model, self.d_ff, self.gated, "mlp")
        if self.d_side:
            side = Matrix(name="side", d_in=self.d_model, d_out=self.d_side, shard="replicated", component="mlp")
            matrices = (*matrices, replace(side, count=self.n_side))
        return FeedForward(kind="mlp", matrices=matrices, d_dense=self.d_ff, extra_parameters=self.extra_parameters, kernels=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """One matrix in front of a layer: multi-token prediction joins a token's embedding and its hidden state."""

    d_model: float
    d_in: float

    def block(self) -> FeedForward:
        matrix = Matrix(name="projection", d_in=self.d_in, d_out=self.d_model, shard="replicated", component="mlp")
        return FeedForward(kind="projection", matrices=(matrix,), kernels=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureOfExperts:
    """A mixture of experts: a router, routed experts, and optionally shared experts or a dense MLP beside them.

    `d_shared` is the width of all shared experts together. `d_latent`: experts work in a narrower space, with a
    projection down before and up after them. `extra_parameters` holds biases of router and dense part,
    `expert_extra_parameters` those of one expert. The router picks experts from at most `node_limit` of
    `node_groups` groups of experts. Beside `n_experts` it may know `n_zero` that compute nothing (LongCat Flash): of
    a token's `top_k` choices a proportional share falls on them, which balancing aims at.

    >>> v3 = MixtureOfExperts(d_model=7168, n_experts=256, top_k=8, d_expert=2048, n_shared=1, d_shared=2048)
    >>> sum(m.parameters for m in v3.block().expert)
    44040192
    """

    d_model: float
    n_experts: float
    top_k: float
    d_expert: float
    gated: bool = True
    n_shared: float = 0
    d_shared: float = 0
    shared_gate: bool = False
    d_latent: float | None = None
    d_dense: float = 0
    node_limit: float = math.inf
    node_groups: float = 0
    n_zero: float = 0
    extra_parameters: float = 0
    expert_extra_parameters: float = 0

    def block(self) -> FeedForward:
        d_inner = self.d_latent or self.d_model
        return FeedForward(
            kind="moe",
            matrices=tuple(self._for_every_token()),
            expert=_mlp_matrices(d_inner, self.d_expert, self.gated, "experts"),
            n_experts=self.n_experts,
            top_k=self.top_k * self.n_experts / (self.n_experts + self.n_zero) if self.n_zero else self.top_k,
            d_dispatch=d_inner,
            d_expert=self.d_expert,
            d_dense=self.d_shared + self.d_dense,
            n_shared=self.n_shared,
            node_limit=self.node_limit,
            node_groups=self.node_groups,
            extra_parameters=self.extra_parameters,
            expert_extra_parameters=self.expert_extra_parameters,
            kernels=5,
        )

    def _for_every_token(self) -> list[Matrix]:
        """The matrices beside the routed experts."""

        def whole(name: str, d_in: float, d_out: float, component: str = "shared_experts") -> Matrix:
            return Matrix(name=name, d_in=d_in, d_out=d_out, shard="replicated", component=component)

        matrices = [
            whole("router", self.d_model, self.n_experts + self.n_zero, "router"),
            *_mlp_matrices(self.d_model, self.d_shared, self.gated, "shared_experts"),
            *_mlp_matrices(self.d_model, self.d_dense, self.gated, "mlp"),
        ]
        if self.shared_gate:
            matrices.append(whole("shared_gate", self.d_model, 1))
        if self.d_latent:
            matrices.append(whole("latent_down", self.d_model, self.d_latent))
            matrices.append(whole("latent_up", self.d_latent, self.d_model))
        return matrices


def _mlp_matrices(d_model: float, d_ff: float, gated: bool, component: str) -> tuple[Matrix, ...]:
    if not d_ff:
        return ()
    return (
        Matrix(name="up", d_in=d_model, d_out=d_ff, count=2 if gated else 1, component=component),
        Matrix(name="down", d_in=d_ff, d_out=d_model, component=component),
    )


MIXERS: Kinds[Mixer] = {
    "gqa": GroupedQueryAttention,
    "mla": LatentAttention,
    "linear": LinearMixer,
    "compressed": CompressedAttention,
    "gated_delta": GatedDeltaNet,
    "kda": KimiDeltaAttention,
    "lightning": LightningAttention,
    "mamba1": Mamba1,
    "mamba2": Mamba2,
    "short_conv": ShortConvolution,
    "rg_lru": GatedLinearRecurrence,
    "mlstm": MatrixMemory,
    "rwkv": RwkvTimeMix,
    "cross": CrossAttention,
}
FFNS: Kinds[FeedForward] = {"mlp": DenseMlp, "moe": MixtureOfExperts, "projection": Projection}
