"""The verbs of memory and context: words in, answers out. No arithmetic here.

>>> round(memory("meta-llama/Llama-3.1-70B", "8xh100").memory.drain * 1e3, 1)
23.9
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import BadInput, unknown
from ..units import parse

if TYPE_CHECKING:
    from ..questions.resolve import Quantity
    from ..search.context import ContextCurves, PriceStep
    from ..search.memory import Drain, Memory
    from ..world.machine import Machine
    from ..world.model import Model
    from .export import Face

KINDS = ("dense", "window", "sqrt", "top-k")
"""Kinds of attention a model can be asked about beside its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainAnswer:
    """Drain times of machines and of the tiers behind them."""

    drains: tuple[Drain, ...]
    notes: tuple[str, ...] = ()

    def face(self) -> Face:
        from . import show_memory

        return show_memory.drain_face(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryAnswer:
    """A model in the memory of a machine."""

    memory: Memory
    notes: tuple[str, ...]

    def face(self) -> Face:
        from . import show_memory

        return show_memory.face(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextAnswer:
    """Cost and pace against context. `steps`: by kind, of the estimate; `limit_steps`: of the lecture's limit.

    `list_mtok`: a listed price in dollars per million output tokens up to the threshold, for margins; None if none
    was given. `described`: the kinds beside the own one, in words.
    """

    curves: ContextCurves
    steps: Mapping[str, PriceStep]
    limit_steps: Mapping[str, PriceStep]
    step: float
    list_mtok: float | None
    described: tuple[str, ...]
    notes: tuple[str, ...]

    def face(self) -> Face:
        from . import show_context

        return show_context.face(self)


def drains(on: str | Machine | None = None) -> DrainAnswer:
    """Drain times of one machine, or of every machine of the catalogue."""
    from ..search.memory import drains as of_machine
    from ..world import catalog

    if on is not None:
        machine = catalog.machine(on) if isinstance(on, str) else on
        return DrainAnswer(drains=of_machine(machine), notes=machine.notes)
    return DrainAnswer(
        drains=tuple(d for one in catalog.machines() for d in of_machine(catalog.machine(one.name))),
    )


def memory(
    model: str | Model,
    on: str | Machine,
    *,
    context: Quantity | None = None,
    contexts: str | Sequence[Quantity] | None = None,
    extrapolate: bool = False,
    layout: str | None = None,
    precision: str | None = None,
    kv: str | None = None,
    price: str | None = None,
    engine: str | None = None,
    sets: Mapping[str, Quantity] | None = None,
) -> MemoryAnswer:
    """Drain time, weights' share of HBM, the step at that fill, and the users that fit at each context.

    `context` is the reference that displaced users are counted in, 8K or the model's limit if that is less;
    `contexts` are the rows, by default powers of two up to that limit. The layout is the one for the reference, or
    for the longest of the rows where only they were named.
    """
    import numpy as np

    from ..questions.resolve import parse_layout, question
    from ..search.memory import memory as of_model
    from ..search.preferred import Policy, preferred_layout
    from ..world.lengths import longest, within
    from ..world.workload import Traffic

    q, notes = question(
        model, on, traffic=Traffic(isl=1024, osl=1), precision=precision, kv=kv, price=price, engine=engine,
        sets=sets, personal=True,
    )  # fmt: skip
    limit = longest(q.model)
    reference = min(8192.0, limit) if context is None else _length(context, "context")
    named = contexts.split(",") if isinstance(contexts, str) else contexts
    if named is None:
        rows = [2.0**i for i in range(10 if limit >= 8192 else 7, 41) if 2.0**i <= limit]
        rows = sorted({*rows, limit, reference})
    else:
        rows = sorted({_length(one, "contexts") for one in named})
    given = "context" if max(rows) <= reference else "contexts"
    notes += within(q.model, max(*rows, reference), given, extrapolate=extrapolate)
    asked = max(rows) if context is None and contexts is not None else reference
    used = q.precisions[0]
    chosen = parse_layout(layout, q) if layout else preferred_layout(q, used, asked, Policy())
    found = of_model(q, used, np.asarray(rows), reference=reference, layout=chosen)
    return MemoryAnswer(memory=found, notes=tuple(dict.fromkeys(notes)))


def context(
    model: str | Model,
    on: str | Machine,
    *,
    max_context: Quantity | None = None,
    extrapolate: bool = False,
    kinds: str | Sequence[str] = KINDS,
    window: Quantity = 4096,
    local: Quantity = 5,
    top_k: Quantity = 2048,
    index_dim: Quantity = 128,
    threshold: Quantity | None = None,
    step: Quantity = 0.5,
    list_price: Quantity | None = None,
    max_tpot: Quantity | None = None,
    min_interactivity: Quantity | None = None,
    batch: Quantity | None = None,
    layout: str | None = None,
    precision: str | None = None,
    kv: str | None = None,
    price: str | None = None,
    engine: str | None = None,
    sets: Mapping[str, Quantity] | None = None,
    points: int = 1000,
) -> ContextAnswer:
    """Cost per million output tokens and TPOT against context, for the model's own attention and other kinds.

    The batch is as many sequences as fit, at most `batch`, and no more than keep `max_tpot`. `threshold` and `step`:
    where a second price begins and how much dearer it is; `list_price`: the first price, per million output tokens.
    """
    from ..questions.resolve import layout_taken, max_tpot_of, question
    from ..search.context import SHORTEST, context_curves, price_step
    from ..search.preferred import Policy, preferred_layout
    from ..world.lengths import longest, within
    from ..world.workload import Traffic

    q, notes = question(
        model, on, traffic=Traffic(isl=1024, osl=1), precision=precision, kv=kv, price=price, engine=engine, sets=sets
    )
    end = longest(q.model) if max_context is None else _length(max_context, "max_context", least=2)
    notes += within(q.model, end, "max_context", extrapolate=extrapolate)
    border = 200e3 if end >= 400e3 else max(end / 4, min(SHORTEST, end / 2))
    if threshold is not None:
        border = _length(threshold, "threshold")
    policy = Policy(
        max_tpot=max_tpot_of(max_tpot, min_interactivity),
        batch=math.inf if batch is None else parse(batch, "count", name="batch"),
    )
    models, described = _models(
        q.model,
        kinds,
        window=parse(window, "count", name="window"),
        local=parse(local, "count", name="local"),
        top_k=parse(top_k, "count", name="top_k"),
        index_dim=parse(index_dim, "count", name="index_dim"),
    )
    listed = None if list_price is None else parse(list_price, "$", name="list_price")
    if listed is not None and not 0 < listed <= 1e9:
        raise BadInput(f"list_price = {list_price!r} is out of range; give dollars per million output tokens above 0")
    used = q.precisions[0]
    chosen = layout_taken(layout, q, lambda: preferred_layout(q, used, border, policy), notes)
    extra = parse(step, "share", name="step")
    curves = context_curves(
        q, used, models, longest=end, threshold=border, policy=policy, layout=chosen, points=points
    )
    return ContextAnswer(
        curves=curves,
        steps={c.kind: price_step(curves.context, c.cost_mtok, border, extra) for c in curves.curves},
        limit_steps={c.kind: price_step(curves.context, c.limit_mtok, border, extra) for c in curves.curves},
        step=extra,
        list_mtok=listed,
        described=described,
        notes=tuple(dict.fromkeys(notes)),
    )


def _models(
    model: Model, kinds: str | Sequence[str], *, window: float, local: float, top_k: float, index_dim: float
) -> tuple[dict[str, Model], tuple[str, ...]]:
    """The model itself, then every kind asked for that differs from it, and what each of those is in words."""
    from ..world import kinds as of

    makes: dict[str, Callable[[], Model]] = {
        "dense": lambda: of.dense(model),
        "window": lambda: of.windowed(model, window=window, local=local),
        "sqrt": lambda: of.square_root(model),
        "top-k": lambda: of.indexed(model, top_k=top_k, index_dim=index_dim),
    }
    words = kinds.split(",") if isinstance(kinds, str) else kinds
    asked = [word.strip().lower().replace("topk", "top-k") for word in words if word.strip()]
    found = {"own": model}
    for word in dict.fromkeys(asked):
        if word not in makes:
            raise unknown("kind of attention", word, makes)
        made = makes[word]()
        if not _reads_alike(made, model):
            found[word] = made
    said = {
        "dense": "dense: every token reads all earlier ones",
        "window": f"window: {local:g} layers of {window:,.0f} tokens for each that keeps all",
        "sqrt": "sqrt: one summary per block and one block of sqrt(context) tokens are read",
        "top-k": f"top-k: {top_k:,.0f} tokens are read, chosen by {index_dim:,.0f}-wide keys of all",
    }
    return found, tuple(said[word] for word in found if word in said)


def _reads_alike(one: Model, other: Model) -> bool:
    """Whether two models keep and read the same caches."""
    return [g.mixer and g.mixer.streams for g in one.groups] == [g.mixer and g.mixer.streams for g in other.groups]


def _length(value: Quantity, name: str, *, least: float = 1) -> float:
    found = parse(value, "count", name=name)
    if not least <= found <= 1e9:
        raise BadInput(f"{name} = {value!r} is out of range; give tokens from {least:g} to 1e9")
    return found
