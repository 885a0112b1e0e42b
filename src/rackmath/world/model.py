"""What a model is: groups of alike layers, each a token mixer and a feed-forward part.

Every layer is described by what costs something: the weight matrices a token is multiplied by, the entries it
leaves in the cache and reads back (`Stream`), and a recurrent state of fixed size. Families of models differ in
the numbers, not in the mechanism, so a new kind of attention is a new combination, not new code.
There is no hardware in this module and no precision: see `precision` for bytes per weight.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .precision import Precision

Shard = Literal["split", "kv", "replicated"]
"""How tensor parallelism treats a matrix: split over all ranks, over at most the KV heads, or copied to each."""

COMPONENTS = ("embedding", "head", "attention", "mlp", "experts", "shared_experts", "router", "norm")
"""The components parameters are counted by."""

TARGETS = ("attention", "mlp", "shared_experts")
"""Those that low-rank adapters sit on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """`count` weight matrices of shape (d_in, d_out), each applied once to every token that reaches its block."""

    name: str
    d_in: float
    d_out: float
    count: float = 1
    shard: Shard = "split"
    component: str = "attention"

    @property
    def parameters(self) -> float:
        return self.d_in * self.d_out * self.count


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One kind of cache entry: what a token leaves behind and what later tokens read.

    A query at position L (tokens so far) attends `min((min(L, window) / stride) ** power, top_k)` entries; the layer
    stores `min(L, window) / stride` entries per sequence. `chunk` restarts the context every `chunk` tokens
    (Llama 4's chunked layers): inside the first chunk everything is attended, later half a chunk on average.
    `own`: the format of its entries where the precision names none. `narrow_bytes`: bytes of an entry in an 8-bit
    cache that has a layout of its own (scales, a rotary part in 16 bits); 0 where it has none. `page`: tokens in a
    page of an engine with one pool, where its kernels fix that.
    """

    name: str
    elements: float  # numbers per entry, all heads together
    decode_flops: float  # FLOPs per query token and attended entry, all heads, while decoding
    prefill_flops: float  # the same while prefilling (absorbed attention costs more per entry)
    heads: float = 1  # heads the entry can be split over by tensor parallelism; beyond it, it is replicated
    stride: float = 1  # tokens per entry: above 1 where the cache is compressed along the sequence
    window: float = math.inf  # entries of older tokens are dropped
    chunk: float = math.inf
    top_k: float = math.inf  # at most so many entries are read by one query
    power: float = 1  # below 1 where a query reads a power of the entries: 0.5 reads the square root of them
    stored: bool = True  # False where the layer reads the cache another layer keeps
    precision: Literal["kv", "index", "state"] = "kv"  # "state": a buffer of fixed size, whatever the cache's format
    own: str = "bf16"
    narrow_bytes: float = 0
    page: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixer:
    """How a layer mixes tokens: attention of any kind, a state-space model, or a linear recurrence."""

    kind: str
    matrices: tuple[Matrix, ...] = ()
    streams: tuple[Stream, ...] = ()
    heads: float = 1  # tensor parallelism must divide this
    state_elements: float = 0  # recurrent state per sequence, read and written by every decoded token
    state_bytes: float = 4  # bytes per state element
    scan_flops: float = 0  # FLOPs per token of the recurrence, beside the matrices
    extra_parameters: float = 0  # norms, biases, sinks, convolutions: counted, never a cost of their own
    kernels: float = 4  # launches per pass outside the attention core


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedForward:
    """A dense MLP, a mixture of experts, or both side by side.

    `matrices` act on every token (dense MLP, shared experts, router). `expert` are the matrices of ONE routed
    expert, of which every token uses `top_k` out of `n_experts`.
    """

    kind: str
    matrices: tuple[Matrix, ...] = ()
    expert: tuple[Matrix, ...] = ()
    n_experts: float = 0
    top_k: float = 0
    d_dispatch: float = 0  # width of the vector sent to an expert (d_model, or a latent width)
    d_expert: float = 0  # inner width of an expert: tensor parallelism inside experts must divide it
    d_dense: float = 0  # inner width of the dense part
    n_shared: float = 0
    node_limit: float = math.inf  # a token's experts lie in at most so many groups of devices
    node_groups: float = 0  # of so many groups the router knows; 0: as many as there are domains
    extra_parameters: float = 0  # biases and norms of the dense part and router
    expert_extra_parameters: float = 0  # biases of one expert
    kernels: float = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerGroup:
    """`count` layers with the same description. A layer may lack a mixer or a feed-forward part.

    `uses`: so many of them share one set of weights (the shared blocks of Zamba, models applied in loops), which is
    stored once and read by each.
    """

    count: float
    mixer: Mixer | None = None
    ffn: FeedForward | None = None
    norm_parameters: float = 0  # per layer
    uses: float = 1
    name: str = ""

    @property
    def stored(self) -> float:
        """Layers whose weights are stored."""
        return self.count / self.uses


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """Adapters beside a model: `adapters` of one `rank` on the matrices of components `on`; `bytes` a parameter."""

    rank: float
    adapters: float
    on: tuple[str, ...] = TARGETS
    bytes: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A language model: what it stores, what a token costs it, and in which precision it was published.

    `groups` are in order of first appearance; the order of layers inside a pass does not matter to any count.
    `draft` are the multi-token-prediction layers, which plain decoding does not run.
    """

    name: str
    d_model: float
    vocab: float
    groups: tuple[LayerGroup, ...]
    precision: Precision
    tied_embeddings: bool = False
    embedding_parameters: float = 0  # every input embedding table: tokens, positions, per-layer
    head_parameters: float = 0  # output head with its bias; 0 where it is tied
    norm_parameters: float = 0  # the final norm and anything else outside the layers
    max_context: float = math.inf
    draft: tuple[LayerGroup, ...] = ()
    lora: Lora | None = None  # adapters served beside the model
    family: str = ""
    notes: tuple[str, ...] = ()  # what a reader should know, e.g. "vision encoder not costed"
    source: str = ""
    description: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def has_experts(self) -> bool:
        """Whether any layer routes tokens to experts."""
        return any(g.ffn is not None and g.ffn.n_experts > 0 for g in self.groups)

    @property
    def n_layers(self) -> float:
        return sum(g.count for g in self.groups)
