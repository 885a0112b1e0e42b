"""The blocks models are made of: architecture facts in, `Mixer` and `FeedForward` records out.

Each function is one kind of block in our own schema (see `description`): its keyword arguments are the facts, so
a model written by hand and a model read from a config.json take the same path. FLOPs count a multiply-add as 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from .model import FeedForward, Matrix, Mixer, Stream
from .recurrent import gated_delta, kda, lightning, mamba1, mamba2
from .sparse import compressed, index_stream


def gqa(
    *,
    d_model: float,
    n_heads: float,
    n_kv_heads: float | None = None,
    head_dim: float | None = None,
    v_head_dim: float | None = None,
    window: float = math.inf,
    chunk: float = math.inf,
    output_gate: bool = False,
    head_gate: bool = False,
    v_is_k: bool = False,
    shares_cache: bool = False,
    top_k: float = math.inf,
    index_n_heads: float = 0,
    index_head_dim: float = 0,
    extra_parameters: float = 0,
) -> Mixer:
    """Softmax attention with grouped KV heads (MHA and MQA are its ends).

    Without `n_kv_heads` every head has its own keys and values; `head_dim` is d_model / n_heads, `v_head_dim` the
    same as `head_dim`. A layer keeps the last `window` tokens; with `chunk` its context restarts every so many.
    `output_gate` scales every output element, `head_gate` every head. With `top_k` and an indexer it is sparse: a
    query reads `top_k` tokens per KV head, chosen with one small key per token (MiniMax M3, in blocks of tokens).
    `v_is_k`: no value projection, the key's serves (Gemma 4 global layers); the cache still holds both.
    `shares_cache`: the layer reads an earlier layer's cache and has no key and value projections.

    >>> mixer = gqa(d_model=8192, n_heads=64, n_kv_heads=8)      # Llama-3.1-70B
    >>> mixer.streams[0].elements * 2 * 80                       # BF16 bytes per token in 80 layers
    327680.0
    """
    kv = n_kv_heads or n_heads
    d_qk = head_dim or d_model / n_heads
    d_v = v_head_dim or d_qk
    matrices = [Matrix(name="q", d_in=d_model, d_out=n_heads * d_qk * (2 if output_gate else 1))]
    if not shares_cache:
        matrices.append(Matrix(name="k", d_in=d_model, d_out=kv * d_qk, shard="kv"))
        if not v_is_k:
            matrices.append(Matrix(name="v", d_in=d_model, d_out=kv * d_v, shard="kv"))
    matrices.append(Matrix(name="o", d_in=n_heads * d_v, d_out=d_model))
    if head_gate:
        matrices.append(Matrix(name="gate", d_in=d_model, d_out=n_heads))
    per_entry = 2 * n_heads * (d_qk + d_v)
    stream = Stream(
        name="kv", elements=kv * (d_qk + d_v), decode_flops=per_entry, prefill_flops=per_entry, heads=kv,
        window=window, chunk=chunk, top_k=top_k, stored=not shares_cache,
    )  # fmt: skip
    streams = [stream]
    if index_n_heads:
        matrices += [
            Matrix(name="index_q", d_in=d_model, d_out=index_n_heads * index_head_dim, shard="kv"),
            Matrix(name="index_k", d_in=d_model, d_out=index_head_dim, shard="replicated"),
        ]
        streams.append(index_stream(index_n_heads, index_head_dim, own="bf16"))
    return Mixer(
        kind="gqa", matrices=tuple(matrices), streams=tuple(streams), heads=n_heads,
        extra_parameters=extra_parameters, kernels=2 + (3 if index_n_heads else 0),
    )  # fmt: skip


def linear(*, d_model: float) -> Mixer:
    """One square matrix where attention stood (Nemotron NAS): no cache, no mixing of tokens."""
    matrix = Matrix(name="linear", d_in=d_model, d_out=d_model)
    return Mixer(kind="linear", matrices=(matrix,), heads=d_model, kernels=1)


def mla(
    *,
    d_model: float,
    n_heads: float,
    kv_lora_rank: float,
    qk_nope_head_dim: float,
    qk_rope_head_dim: float,
    v_head_dim: float,
    q_lora_rank: float | None = None,
    top_k: float = math.inf,
    index_n_heads: float = 0,
    index_head_dim: float = 0,
    output_gate: bool = False,
    extra_parameters: float = 0,
) -> Mixer:
    """Multi-head latent attention: one latent vector per token serves all heads.

    Decoding multiplies by the latent directly (absorbed): kv_lora_rank + rope wide keys and kv_lora_rank wide
    values for every head. Prefill expands keys and values (not absorbed). The matrices are the same either way.
    With `top_k` it is DeepSeek sparse attention, which prefills absorbed too, since every query reads entries of its
    own. Its indexer reads every cached token's small key; a layer without one reuses an earlier layer's choice.
    An 8-bit cache of it keeps a 4-byte scale for each 128 latent numbers and the rotary part in 16 bits (656 bytes a
    token; vLLM and SGLang, "fp8_ds_mla"). Without `q_lora_rank` the query is one full matrix.

    >>> mixer = mla(d_model=7168, n_heads=128, q_lora_rank=1536, kv_lora_rank=512, qk_nope_head_dim=128,
    ...             qk_rope_head_dim=64, v_head_dim=128)         # DeepSeek-V3
    >>> mixer.streams[0].elements * 2 * 61                       # BF16 bytes per token in 61 layers
    70272
    >>> mixer.streams[0].decode_flops                            # 2 * 128 * (576 + 512)
    278528
    """
    d_qk = qk_nope_head_dim + qk_rope_head_dim
    if q_lora_rank:
        matrices = [
            Matrix(name="q_a", d_in=d_model, d_out=q_lora_rank, shard="replicated"),
            Matrix(name="q_b", d_in=q_lora_rank, d_out=n_heads * d_qk),
        ]
    else:
        matrices = [Matrix(name="q", d_in=d_model, d_out=n_heads * d_qk)]
    matrices += [
        Matrix(name="kv_a", d_in=d_model, d_out=kv_lora_rank + qk_rope_head_dim, shard="replicated"),
        Matrix(name="kv_b", d_in=kv_lora_rank, d_out=n_heads * (qk_nope_head_dim + v_head_dim)),
        Matrix(name="o", d_in=n_heads * v_head_dim, d_out=d_model),
    ]
    if output_gate:
        matrices.append(Matrix(name="gate", d_in=d_model, d_out=n_heads * v_head_dim))
    latent = kv_lora_rank + qk_rope_head_dim
    absorbed = 2 * n_heads * (latent + kv_lora_rank)
    streams = [
        Stream(
            name="latent",
            elements=latent,
            decode_flops=absorbed,
            prefill_flops=2 * n_heads * (d_qk + v_head_dim) if top_k == math.inf else absorbed,
            top_k=top_k,
            narrow_bytes=0 if top_k == math.inf else kv_lora_rank * (1 + 4 / 128) + 2 * qk_rope_head_dim,
        )
    ]
    if index_n_heads:
        matrices += [
            Matrix(
                name="index_q",
                d_in=q_lora_rank or d_model,
                d_out=index_n_heads * index_head_dim,
                shard="replicated",
            ),
            Matrix(name="index_k", d_in=d_model, d_out=index_head_dim, shard="replicated"),
            Matrix(name="index_weights", d_in=d_model, d_out=index_n_heads, shard="replicated"),
        ]
        streams.append(index_stream(index_n_heads, index_head_dim))
    return Mixer(
        kind="mla", matrices=tuple(matrices), streams=tuple(streams), heads=n_heads,
        extra_parameters=extra_parameters,
        kernels=5 + (3 if index_n_heads else 0),
    )  # fmt: skip


def mlp(
    *,
    d_model: float,
    d_ff: float,
    gated: bool = True,
    d_side: float = 0,
    n_side: float = 2,
    extra_parameters: float = 0,
) -> FeedForward:
    """A dense feed-forward part: two matrices, or three with a gate.

    Beside it may stand `n_side` narrow matrices of d_model x `d_side` (Gemma 3n and 4: the gate and projections of
    per-layer inputs).

    >>> sum(m.parameters for m in mlp(d_model=4096, d_ff=14336).matrices)      # Llama-3.1-8B
    176160768
    """
    matrices = _mlp_matrices(d_model, d_ff, gated, "mlp")
    if d_side:
        side = Matrix(name="side", d_in=d_model, d_out=d_side, count=n_side, shard="replicated", component="mlp")
        matrices = (*matrices, side)
    return FeedForward(
        kind="mlp", matrices=matrices, d_dense=d_ff, extra_parameters=extra_parameters, kernels=2,
    )  # fmt: skip


def projection(*, d_model: float, d_in: float) -> FeedForward:
    """One matrix in front of a layer: multi-token prediction joins a token's embedding and its hidden state."""
    matrix = Matrix(name="projection", d_in=d_in, d_out=d_model, shard="replicated", component="mlp")
    return FeedForward(kind="projection", matrices=(matrix,), kernels=1)


def moe(
    *,
    d_model: float,
    n_experts: float,
    top_k: float,
    d_expert: float,
    gated: bool = True,
    n_shared: float = 0,
    d_shared: float = 0,
    shared_gate: bool = False,
    d_latent: float | None = None,
    d_dense: float = 0,
    node_limit: float = math.inf,
    node_groups: float = 0,
    extra_parameters: float = 0,
    expert_extra_parameters: float = 0,
) -> FeedForward:
    """A mixture of experts: a router, routed experts, and optionally shared experts or a dense MLP beside them.

    `d_shared` is the width of all shared experts together. `d_latent`: experts work in a narrower space, with a
    projection down before and up after them. `extra_parameters` holds biases of router and dense part,
    `expert_extra_parameters` those of one expert. The router picks experts from at most `node_limit` of
    `node_groups` groups of experts.

    >>> v3 = moe(d_model=7168, n_experts=256, top_k=8, d_expert=2048, n_shared=1, d_shared=2048)
    >>> sum(m.parameters for m in v3.expert)
    44040192
    """
    d_inner = d_latent or d_model
    matrices = [
        Matrix(name="router", d_in=d_model, d_out=n_experts, shard="replicated", component="router"),
        *_mlp_matrices(d_model, d_shared, gated, "shared_experts"),
        *_mlp_matrices(d_model, d_dense, gated, "mlp"),
    ]
    if shared_gate:
        matrices.append(
            Matrix(name="shared_gate", d_in=d_model, d_out=1, shard="replicated", component="shared_experts")
        )
    if d_latent:
        matrices += [
            Matrix(
                name="latent_down",
                d_in=d_model,
                d_out=d_latent,
                shard="replicated",
                component="shared_experts",
            ),
            Matrix(name="latent_up", d_in=d_latent, d_out=d_model, shard="replicated", component="shared_experts"),
        ]
    return FeedForward(
        kind="moe",
        matrices=tuple(matrices),
        expert=_mlp_matrices(d_inner, d_expert, gated, "experts"),
        n_experts=n_experts,
        top_k=top_k,
        d_dispatch=d_inner,
        d_expert=d_expert,
        d_dense=d_shared + d_dense,
        n_shared=n_shared,
        node_limit=node_limit,
        node_groups=node_groups,
        extra_parameters=extra_parameters,
        expert_extra_parameters=expert_extra_parameters,
        kernels=5,
    )


def _mlp_matrices(d_model: float, d_ff: float, gated: bool, component: str) -> tuple[Matrix, ...]:
    if not d_ff:
        return ()
    return (
        Matrix(name="up", d_in=d_model, d_out=d_ff, count=2 if gated else 1, component=component),
        Matrix(name="down", d_in=d_ff, d_out=d_model, component=component),
    )


MIXERS: dict[str, Callable[..., Mixer]] = {
    "gqa": gqa, "mla": mla, "linear": linear, "compressed": compressed, "gated_delta": gated_delta, "kda": kda,
    "lightning": lightning, "mamba1": mamba1, "mamba2": mamba2,
}  # fmt: skip
FFNS: dict[str, Callable[..., FeedForward]] = {"mlp": mlp, "moe": moe, "projection": projection}
