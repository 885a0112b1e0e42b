"""Sparse attention: indexers that choose what a query reads, and attention over a compressed cache."""

from __future__ import annotations

import math
from dataclasses import replace

from .model import Matrix, Mixer, Stream


def index_stream(n_heads: float, head_dim: float, *, stride: float = 1, own: str = "fp8_g128") -> Stream:
    """The cache of an indexer: one small key per token (or per compressed entry), all of it read by every query.

    Whatever the cache's format, DeepSeek's keys are kept in 8 bits with a 4-byte scale for each 128 numbers (vLLM
    `DeepseekV32IndexerCache`, SGLang `NSATokenToKVPool`).
    """
    flops = 2 * n_heads * head_dim
    return Stream(
        name="index",
        elements=head_dim,
        decode_flops=flops,
        prefill_flops=flops,
        stride=stride,
        precision="index",
        own=own,
    )


def compressed(
    *,
    d_model: float,
    n_heads: float,
    head_dim: float,
    q_lora_rank: float,
    o_groups: float,
    o_lora_rank: float,
    window: float,
    ratio: float = 0,
    top_k: float = math.inf,
    index_n_heads: float = 0,
    index_head_dim: float = 0,
    rope_head_dim: float = 64,
    hyper_streams: float = 0,
    extra_parameters: float = 0,
) -> Mixer:
    """Compressed attention (DeepSeek V4): one shared key-and-value vector per token serves all heads.

    A query reads the last `window` tokens as they are, and, where `ratio` is given, older context pooled into one
    entry per `ratio` tokens. With an indexer (V4's ratio 4) it reads the `top_k` best entries, which the indexer
    finds with small keys pooled the same way; without (V4's ratio 128) it reads all of them. Pooling with an indexer
    overlaps two windows, which doubles its projections. Beside the entries, a layer keeps the projections of tokens
    whose window has not closed (`open`, in 4 bytes): each is written once and read once, when its entry is made.
    In an 8-bit cache an entry keeps its `rope_head_dim` rotary numbers in 16 bits and a 1-byte scale for each 64 of
    the others (and one to pad): 584 bytes (vLLM `DeepseekCompressor`, "fp8_ds_mla"). Pages there hold 256 tokens of
    entries, 64 of the window, and 4 or 8 of projections.

    The output projection is low-rank in `o_groups` groups of heads, which tensor parallelism must not split.
    `hyper_streams` parallel residual streams are mixed before and after the attention and the feed-forward part;
    both mixings are counted here, in the component "norm", since the feed-forward part never comes alone.

    >>> v4 = compressed(d_model=7168, n_heads=128, head_dim=512, q_lora_rank=1536, o_groups=16, o_lora_rank=1024,
    ...                 window=128, ratio=4, top_k=1024, index_n_heads=64, index_head_dim=128)
    >>> [(s.name, s.elements, s.stride, s.top_k) for s in v4.streams[:3]]
    [('window', 512, 1, inf), ('compressed', 512, 4, 1024), ('index', 128, 4, inf)]
    """
    matrices = [
        Matrix(name="q_a", d_in=d_model, d_out=q_lora_rank, shard="replicated"),
        Matrix(name="q_b", d_in=q_lora_rank, d_out=n_heads * head_dim),
        Matrix(name="kv", d_in=d_model, d_out=head_dim, shard="replicated"),
        Matrix(name="o_a", d_in=n_heads * head_dim / o_groups, d_out=o_lora_rank, count=o_groups),
        Matrix(name="o_b", d_in=o_groups * o_lora_rank, d_out=d_model),
    ]
    flops = 2 * n_heads * (head_dim + head_dim)
    narrow = head_dim + rope_head_dim + (head_dim - rope_head_dim) / 64 + 1
    entry = Stream(name="window", elements=head_dim, decode_flops=flops, prefill_flops=flops, narrow_bytes=narrow)
    streams = [replace(entry, window=window, page=64)]
    extra = n_heads + q_lora_rank + head_dim + extra_parameters  # sinks and two norms
    overlap = 2 if index_n_heads else 1
    if ratio:
        matrices.append(Matrix(name="pool", d_in=d_model, d_out=overlap * head_dim, count=2, shard="replicated"))
        streams.append(replace(entry, name="compressed", stride=ratio, top_k=top_k, page=256))
        extra += ratio * overlap * head_dim + head_dim
        open_elements = 2 * overlap * head_dim
        if index_n_heads:
            matrices += [
                Matrix(name="index_pool", d_in=d_model, d_out=2 * index_head_dim, count=2, shard="replicated"),
                Matrix(name="index_q", d_in=q_lora_rank, d_out=index_n_heads * index_head_dim, shard="replicated"),
                Matrix(name="index_weights", d_in=d_model, d_out=index_n_heads, shard="replicated"),
            ]
            streams.append(replace(index_stream(index_n_heads, index_head_dim, stride=ratio), page=256))
            extra += ratio * 2 * index_head_dim + index_head_dim
            open_elements += 4 * index_head_dim
        streams.append(
            Stream(
                name="open", elements=open_elements, decode_flops=0, prefill_flops=0, window=overlap * ratio,
                top_k=1, precision="state", page=4 if index_n_heads else 8,
            )
        )  # fmt: skip
    if hyper_streams:
        matrices.append(
            Matrix(
                name="hyper", d_in=hyper_streams * d_model, d_out=(2 + hyper_streams) * hyper_streams, count=2,
                shard="replicated", component="norm",
            )
        )  # fmt: skip
    return Mixer(
        kind="compressed", matrices=tuple(matrices), streams=tuple(streams), heads=o_groups, extra_parameters=extra,
        kernels=6 + (3 if ratio else 0) + (4 if index_n_heads else 0) + (4 if hyper_streams else 0),
    )  # fmt: skip
