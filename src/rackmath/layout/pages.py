"""Bytes of cache one request takes on a device, in whole blocks of an engine's pool.

Engines hand out memory in blocks of so many tokens. Where caches of several kinds live in one pool (vLLM: windows
beside full attention, recurrent states beside caches, the buffers of a compressed cache), its blocks have one size,
that of a page of every layer that keeps everything; layers of another kind share such blocks, as many as fit, and
what they need less is lost. A state takes one page of its layer: where it is larger than a page of attention,
pages are made larger (those of a 92-layer hybrid hold 1,056 tokens).

A windowed layer gives blocks back step by step, so while a prompt is prefilled it holds its window and the tokens of
the steps under way. With small pages that is most of what a short request takes: DeepSeek V4 keeps the projections of
unfinished entries in pages of 4 and 8 tokens, each of which takes a block.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..arrays import Number
from ..kernel.counts import entry_bytes, stored_entries
from ..world.engine import Engine
from ..world.model import Model, Stream
from ..world.paging import Paging, paging
from ..world.precision import Precision
from .parallelism import Layout, stage_share

STATE_STEP = 16.0
"""Tokens that a block grows by until a page of attention holds a recurrent state."""

PACKED = 4096.0
"""Bytes that blocks of a pool with pages of several sizes are rounded up to."""


@dataclass(slots=True)
class CacheKind:
    """Caches whose pages hold the same tokens and are given back alike: (bytes of a page, layers) of each."""

    tokens: Number
    keeps: float  # tokens that a request keeps of it; infinite: all
    pages: list[tuple[Number, float]] = field(default_factory=list)

    @property
    def size(self) -> Number:
        """Bytes of a page of every layer."""
        total: Number = sum((page * layers for page, layers in self.pages), 0.0 * self.tokens)
        return total

    def blocks(self, context: Number, ahead: Number) -> Number:
        """Pages of a layer for a request of `context` tokens, the last `ahead` of them in steps under way."""
        whole: Number = np.ceil(np.asarray(context) / self.tokens)
        if self.keeps == np.inf:
            return whole
        kept = np.minimum(self.keeps - 1 + ahead, context)
        # a window need not begin where a page does
        some: Number = np.minimum(np.ceil(kept / self.tokens) + np.where(np.asarray(self.tokens) > 1, 1.0, 0.0), whole)
        return some


def request_bytes(model: Model, precision: Precision, layout: Layout, engine: Engine, context: Number, ahead: Number = 1.0) -> Number:
    """Bytes of cache and state a request of `context` tokens takes on one device of its attention-DP group.

    `ahead`: tokens of it in steps under way; 1 while it decodes. Heads are split and copied, and ranks of context
    parallelism keep a part each, as in `layout.footprint.device_cache_bytes`.

    >>> from rackmath.world import catalog
    >>> from rackmath.world.engine_names import engine
    >>> v4 = catalog.model("deepseek-ai/DeepSeek-V4-Flash")
    >>> narrow = v4.precision.with_kv("fp8")
    >>> each = [request_bytes(v4, narrow, Layout(tp=2.0), engine("vllm 0.22"), 30000.0, n) for n in (1.0, 16384.0)]
    >>> [round(float(size) / 2**30, 2) for size in each]                # decoding, and while it is prefilled
    [0.14, 6.66]
    """
    how = paging(engine)
    kinds, state, layers = _kinds(model, precision, layout, how)
    if how.shared and kinds:
        total = _pooled(kinds, how, context, ahead, layers)
    else:
        total = _apart(kinds, context, ahead) + _buffers(model, precision, layout, context) + state
    held: Number = total * stage_share(model, layout)
    return held


def ahead_of(engine: Engine, prompt: Number) -> Number:
    """Tokens of a prompt that are in steps under way while it is prefilled."""
    return np.minimum(paging(engine).steps * engine.chunk_tokens, np.maximum(prompt, 1.0))


def _kinds(model: Model, precision: Precision, layout: Layout, how: Paging) -> tuple[list[CacheKind], Number, float]:
    """The kinds of caches, bytes of recurrent state on a device, and layers that have one."""
    state: Number = 0.0
    largest: Number = 0.0
    layers = 0.0
    token: Number = np.inf
    for group in model.groups:
        if group.mixer is None:
            continue
        if group.mixer.state_elements:
            one = group.mixer.state_elements * group.mixer.state_bytes / np.minimum(layout.tp, group.mixer.heads)
            state, largest, layers = state + group.count * one, np.maximum(largest, one), layers + group.count
        for stream in group.mixer.streams:
            if stream.stored and stream.precision == "kv":
                token = np.minimum(token, _held(stream, precision, layout) / stream.stride)
    tokens: Number = how.tokens
    if how.shared and layers and np.all(np.isfinite(token)):
        tokens = np.maximum(tokens, np.ceil(largest / token / STATE_STEP) * STATE_STEP)
    found: dict[tuple[float, float], CacheKind] = {}
    for group in model.groups:
        for stream in group.mixer.streams if group.mixer else ():
            if not stream.stored or (stream.precision == "state" and not how.shared):
                continue
            # a chunk is given back as a whole: it is held with the steps under way, from its beginning on
            keeps = min(stream.window, stream.chunk)
            fixed = stream.page if how.shared else 0.0
            in_page: Number = fixed or np.maximum(tokens, stream.stride)
            kind = found.setdefault((fixed or max(how.tokens, stream.stride), keeps), CacheKind(tokens=in_page, keeps=keeps))
            page = _held(stream, precision, layout) * in_page / stream.stride
            if stream.page:
                page = np.ceil(page / how.align) * how.align
            kind.pages.append((page, group.count))
    return list(found.values()), state, layers


def _held(stream: Stream, precision: Precision, layout: Layout) -> Number:
    return entry_bytes(stream, precision) / np.minimum(layout.tp, stream.heads) / (layout.cp * layout.dcp)


def _apart(kinds: list[CacheKind], context: Number, ahead: Number) -> Number:
    """Every kind in a pool of its own."""
    return sum((kind.blocks(context, ahead) * kind.size for kind in kinds), 0.0 * context)


def _buffers(model: Model, precision: Precision, layout: Layout, context: Number) -> Number:
    """Buffers of fixed size, which engines with a pool for each kind keep as they are."""
    total: Number = 0.0 * context
    for group in model.groups:
        for stream in group.mixer.streams if group.mixer else ():
            if stream.precision == "state":
                held = _held(stream, precision, layout)
                total = total + group.count * held * stored_entries(stream, context)
    return total


def _pooled(kinds: list[CacheKind], how: Paging, context: Number, ahead: Number, state_layers: float) -> Number:
    """All kinds in one pool."""
    first = max(kinds, key=lambda kind: kind.keeps)
    others = [kind for kind in kinds if kind is not first]
    if how.tuples and any(len(_sizes(kind)) > 1 for kind in kinds):
        several = _even([_layers(kind) for kind in kinds], _layers(first))
        size = several * sum(_sizes(first), 0.0)
        parts: list[Number] = [np.ceil(_layers(kind) / several) for kind in others]
    else:
        size = first.size
        if others and len(_sizes(first)) > 1:
            size = np.ceil(size / PACKED) * PACKED
        parts = [np.ceil(kind.size / size - 1e-9) for kind in others]
    blocks: Number = first.blocks(context, ahead)
    for kind, part in zip(others, parts, strict=True):
        blocks = blocks + part * kind.blocks(context, ahead)
    total: Number = size * (blocks + np.ceil(state_layers / _layers(first) - 1e-9))
    return total


def _sizes(kind: CacheKind) -> list[Number]:
    """The different sizes of a kind's pages (a layer's own may be of several)."""
    found: dict[float, Number] = {}
    for page, _ in kind.pages:
        found.setdefault(float(np.max(page)), page)
    return list(found.values())


def _layers(kind: CacheKind) -> float:
    """Most layers with a page of one size."""
    count: dict[float, float] = {}
    for page, layers in kind.pages:
        count[float(np.max(page))] = count.get(float(np.max(page)), 0.0) + layers
    return max(count.values())


def _even(counts: list[float], least: float) -> float:
    """The number of layers, at least `least`, that all counts are rounded up to multiples of with the least lost."""
    tries = range(int(least), int(max(counts)) + 1)
    return float(min(tries, key=lambda d: (sum(-c % d for c in counts), -d)))
