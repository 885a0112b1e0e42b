"""The same model with another kind of attention: transformed records, so that a hypothesis takes the usual path.

Every function keeps the weights, the layers without attention and the sharing of caches between layers, and changes
only what a query reads and what a token leaves behind. An indexer's own matrices (below 2 % of the active
parameters of DeepSeek V3.2) are left out, and the choice matters to decoding only: quality is not modelled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..errors import BadInput, unknown
from .model import LayerGroup, Mixer, Model, Stream
from .sparse import index_stream


def main_stream(mixer: Mixer | None) -> Stream | None:
    """The cache of keys and values itself, without indexers, pooled copies and buffers; None without attention."""
    if mixer is None:
        return None
    return next((s for s in mixer.streams if s.precision == "kv"), None)


def dense(model: Model) -> Model:
    """Every query reads every earlier token; caches are neither windowed, pooled nor chosen from.

    >>> from .description import build
    >>> gemma = build({"name": "g", "d_model": 2560, "vocab": 1000, "groups": [{"count": 5, "mixer":
    ...     {"kind": "gqa", "n_heads": 8, "n_kv_heads": 4, "head_dim": 256, "window": 1024}}]})
    >>> dense(gemma).groups[0].mixer.streams[0].window
    inf
    """
    return _with_streams(model, lambda main, mixer: (main,))


def windowed(model: Model, *, window: float = 4096, local: float = 5) -> Model:
    """`local` layers that keep the last `window` tokens for each layer that keeps all (Gemma 3: 5 and 1,024).

    Layers are dealt in turn over the groups, the last of each `local` + 1 being global; at least one is.

    >>> from .description import build
    >>> llama = build({"name": "l", "d_model": 4096, "vocab": 1000, "groups": [{"count": 32, "mixer":
    ...     {"kind": "gqa", "n_heads": 32, "n_kv_heads": 8}}]})
    >>> [(g.count, g.mixer.streams[0].window) for g in windowed(llama).groups]
    [(27.0, 4096), (5.0, inf)]
    """
    _above("window", window, 1)
    _above("local", local, 0)
    period, seen, groups = math.floor(local) + 1, 0.0, list[LayerGroup]()
    last = max((i for i, g in enumerate(model.groups) if main_stream(g.mixer)), default=-1)
    for i, group in enumerate(dense(model).groups):
        if main_stream(group.mixer) is None:
            groups.append(group)
            continue
        whole = (seen + group.count) // period - seen // period
        seen += group.count
        if i == last and seen < period:
            whole = 1
        near = group.count - whole
        if near:
            groups.append(_renamed(_streams(group, lambda main, mixer: (replace(main, window=window),)), near, "local"))
        if whole:
            groups.append(_renamed(group, whole, "global"))
    return replace(model, groups=tuple(groups))


def square_root(model: Model) -> Model:
    """A query reads the square root of the context twice: one summary per block, and one block of that size.

    With L tokens in blocks of sqrt(L), the L / sqrt(L) summaries and one whole block balance (LECTURE section 16).
    All tokens stay stored. Summaries are as wide as entries; their own storage, 1 / sqrt(L) of the tokens', is left
    out: 0.3 % at 128K.

    >>> from .description import build
    >>> llama = build({"name": "l", "d_model": 4096, "vocab": 1000, "groups": [{"count": 32, "mixer":
    ...     {"kind": "gqa", "n_heads": 32, "n_kv_heads": 8}}]})
    >>> [(s.name, s.power, s.stored) for s in square_root(llama).groups[0].mixer.streams]
    [('kv', 0.5, True), ('summary', 0.5, False)]
    """

    def change(main: Stream, mixer: Mixer) -> tuple[Stream, ...]:
        block = replace(main, power=0.5)
        return (block, replace(block, name="summary", stored=False))

    return _with_streams(model, change)


def indexed(model: Model, *, top_k: float = 2048, index_dim: float = 128) -> Model:
    """A query reads the `top_k` best tokens, which an indexer finds by reading a small key of every token.

    As in DeepSeek V3.2: keys `index_dim` wide, half as many index heads as query heads. The indexer still reads
    the whole context, so the cost stays linear in it (LECTURE section 16).

    >>> from .description import build
    >>> llama = build({"name": "l", "d_model": 4096, "vocab": 1000, "groups": [{"count": 32, "mixer":
    ...     {"kind": "gqa", "n_heads": 32, "n_kv_heads": 8}}]})
    >>> [(s.name, s.elements, s.top_k) for s in indexed(llama).groups[0].mixer.streams]
    [('kv', 2048.0, 2048), ('index', 128, inf)]
    """
    _above("top_k", top_k, 1)
    _above("index_dim", index_dim, 1)

    def change(main: Stream, mixer: Mixer) -> tuple[Stream, ...]:
        return (replace(main, top_k=top_k), index_stream(max(1.0, mixer.heads // 2), index_dim))

    return _with_streams(model, change)


NAMES = ("dense", "window", "sqrt", "top-k")
"""Kinds of attention a model can be asked about beside its own."""


def variants(model: Model, names: Sequence[str], *, window: float, local: float, top_k: float, index_dim: float) -> dict[str, Model]:
    """The model itself as "own", then each kind named that keeps or reads other caches than it does."""
    makes: dict[str, Callable[[], Model]] = {
        "dense": lambda: dense(model),
        "window": lambda: windowed(model, window=window, local=local),
        "sqrt": lambda: square_root(model),
        "top-k": lambda: indexed(model, top_k=top_k, index_dim=index_dim),
    }
    found = {"own": model}
    for name in names:
        if name not in makes:
            raise unknown("kind of attention", name, makes)
        made = makes[name]()
        if not _alike(made, model):
            found[name] = made
    return found


def _alike(one: Model, other: Model) -> bool:
    """Whether two models keep and read the same caches."""
    return [g.mixer and g.mixer.streams for g in one.groups] == [g.mixer and g.mixer.streams for g in other.groups]


def _with_streams(model: Model, change: Callable[[Stream, Mixer], tuple[Stream, ...]]) -> Model:
    if not any(main_stream(g.mixer) for g in model.groups):
        raise BadInput(f"{model.name} has no attention cache to change; choose a model with attention layers")
    return replace(model, groups=tuple(_streams(group, change) for group in model.groups))


def _streams(group: LayerGroup, change: Callable[[Stream, Mixer], tuple[Stream, ...]]) -> LayerGroup:
    main = main_stream(group.mixer)
    if main is None or group.mixer is None:
        return group
    plain = replace(main, window=math.inf, chunk=math.inf, top_k=math.inf, stride=1, power=1)
    return replace(group, mixer=replace(group.mixer, streams=change(plain, group.mixer)))


def _renamed(group: LayerGroup, count: float, word: str) -> LayerGroup:
    return replace(group, count=count, name=f"{group.name} {word}".strip())


def _above(name: str, value: float, least: float) -> None:
    if not least <= value <= 1e9:
        raise BadInput(f"{name} = {value:g} is out of range; give a number from {least:g} to 1e9")
