"""Sparse attention: indexers that choose what a query reads, and attention over a compressed cache."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from .model import Matrix, Mixer, Stream


def index_stream(n_heads: float, head_dim: float, *, stride: float = 1, own: str = "fp8_g128") -> Stream:
    """The cache of an indexer: one small key per token (or per compressed entry), all of it read by every query.

    Whatever the cache's format, DeepSeek's keys are kept in 8 bits with a 4-byte scale for each 128 numbers (vLLM
    `DeepseekV32IndexerCache`, SGLang `NSATokenToKVPool`).
    """
    flops = 2 * n_heads * head_dim
    return Stream(name="index", elements=head_dim, decode_flops=flops, prefill_flops=flops, stride=stride, precision="index", own=own)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressedAttention:
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

    >>> v4 = CompressedAttention(d_model=7168, n_heads=128, head_dim=512, q_lora_rank=1536, o_groups=16,
    ...                          o_lora_rank=1024, window=128, ratio=4, top_k=1024, index_n_heads=64,
    ...                          index_head_dim=128).block()
    >>> [(s.name, s.elements, s.stride, s.top_k) for s in v4.streams[:3]]
    [('window', 512, 1, inf), ('compressed', 512, 4, 1024), ('index', 128, 4, inf)]
    """

    d_model: float
    n_heads: float
    head_dim: float
    q_lora_rank: float
    o_groups: float
    o_lora_rank: float
    window: float
    ratio: float = 0
    top_k: float = math.inf
    index_n_heads: float = 0
    index_head_dim: float = 0
    rope_head_dim: float = 64
    hyper_streams: float = 0
    extra_parameters: float = 0

    def block(self) -> Mixer:
        pooled = bool(self.ratio)
        indexed = bool(pooled and self.index_n_heads)
        matrices, streams = self._projections(), [replace(self._entry(), window=self.window, page=64)]
        extra = self.n_heads + self.q_lora_rank + self.head_dim + self.extra_parameters  # sinks and two norms
        if pooled:
            matrices.append(self._whole("pool", self.d_model, self._overlap * self.head_dim, count=2))
            entry = replace(self._entry(), name="compressed")
            streams.append(replace(entry, stride=self.ratio, top_k=self.top_k, page=256))
            extra += self.ratio * self._overlap * self.head_dim + self.head_dim
        if indexed:
            matrices += self._index_matrices()
            indexer = index_stream(self.index_n_heads, self.index_head_dim, stride=self.ratio)
            streams.append(replace(indexer, page=256))
            extra += self.ratio * 2 * self.index_head_dim + self.index_head_dim
        if pooled:
            streams.append(self._open())
        if self.hyper_streams:
            matrices.append(self._residual_mixing())
        kernels = 6 + (3 if pooled else 0) + (4 if self.index_n_heads else 0) + (4 if self.hyper_streams else 0)
        return Mixer(
            kind="compressed",
            matrices=tuple(matrices),
            streams=tuple(streams),
            heads=self.o_groups,
            extra_parameters=extra,
            kernels=kernels,
        )

    @property
    def _overlap(self) -> int:
        """Windows that an entry is pooled from."""
        return 2 if self.index_n_heads else 1

    def _whole(self, name: str, d_in: float, d_out: float, count: float = 1) -> Matrix:
        return Matrix(name=name, d_in=d_in, d_out=d_out, count=count, shard="replicated")

    def _projections(self) -> list[Matrix]:
        heads = self.n_heads * self.head_dim
        return [
            self._whole("q_a", self.d_model, self.q_lora_rank),
            Matrix(name="q_b", d_in=self.q_lora_rank, d_out=heads),
            self._whole("kv", self.d_model, self.head_dim),
            Matrix(name="o_a", d_in=heads / self.o_groups, d_out=self.o_lora_rank, count=self.o_groups),
            Matrix(name="o_b", d_in=self.o_groups * self.o_lora_rank, d_out=self.d_model),
        ]

    def _entry(self) -> Stream:
        """The shared vector of one token, or of the tokens pooled into one."""
        flops = 2 * self.n_heads * (self.head_dim + self.head_dim)
        narrow = self.head_dim + self.rope_head_dim + (self.head_dim - self.rope_head_dim) / 64 + 1
        return Stream(name="window", elements=self.head_dim, decode_flops=flops, prefill_flops=flops, narrow_bytes=narrow)

    def _index_matrices(self) -> tuple[Matrix, ...]:
        return (
            self._whole("index_pool", self.d_model, 2 * self.index_head_dim, count=2),
            self._whole("index_q", self.q_lora_rank, self.index_n_heads * self.index_head_dim),
            self._whole("index_weights", self.d_model, self.index_n_heads),
        )

    def _open(self) -> Stream:
        """Projections of tokens whose window has not closed, for entries and for the indexer's keys."""
        indexed = bool(self.index_n_heads)
        return Stream(
            name="open",
            elements=2 * self._overlap * self.head_dim + (4 * self.index_head_dim if indexed else 0),
            decode_flops=0,
            prefill_flops=0,
            window=self._overlap * self.ratio,
            top_k=1,
            precision="state",
            page=4 if indexed else 8,
        )

    def _residual_mixing(self) -> Matrix:
        n = self.hyper_streams
        mixing = self._whole("hyper", n * self.d_model, (2 + n) * n, count=2)
        return replace(mixing, component="norm")
