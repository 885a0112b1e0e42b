"""The verbs of memory: words in, answers out. No arithmetic here.

>>> round(memory("meta-llama/Llama-3.1-70B", "8xh100").memory.drain * 1e3, 1)
23.9
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import BadInput
from ..units import parse

if TYPE_CHECKING:
    from ..questions.resolve import Quantity
    from ..search.memory import Drain, Memory
    from ..world.machine import Machine
    from ..world.model import Model
    from .export import Face


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


def _length(value: Quantity, name: str, *, least: float = 1) -> float:
    found = parse(value, "count", name=name)
    if not least <= found <= 1e9:
        raise BadInput(f"{name} = {value!r} is out of range; give tokens from {least:g} to 1e9")
    return found
