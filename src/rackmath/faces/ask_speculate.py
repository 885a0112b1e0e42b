"""The verb of speculative decoding: words in, an answer out. No arithmetic here.

>>> answer = speculate("deepseek-ai/DeepSeek-V3", "8xh200", depth=1, acceptance=0.85)
>>> bool(1 < answer.curve.speedup[0] < 1.85)     # at batch 1; 1.85 tokens are kept of a pass
True
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import BadInput
from ..units import parse

if TYPE_CHECKING:
    from ..questions.resolve import Quantity
    from ..search.speculation import SpeculationCurve
    from ..serving.speculative import Speculation
    from ..world.machine import Machine
    from ..world.model import Model
    from ..world.precision import Precision
    from .export import Face


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeculationAnswer:
    """Speculative against plain decoding. `draft`: what makes the drafts, in words."""

    curve: SpeculationCurve
    draft: str
    notes: tuple[str, ...]

    def face(self) -> Face:
        from . import show_speculate

        return show_speculate.face(self)


def speculate(
    model: str | Model,
    on: str | Machine,
    *,
    draft: str | Model = "mtp",
    depth: Quantity = 3,
    acceptance: Quantity = 0.7,
    context: Quantity = 8192,
    contexts: str | Sequence[Quantity] | None = None,
    layout: str | None = None,
    precision: str | None = None,
    kv: str | None = None,
    price: str | None = None,
    engine: str | None = None,
    sets: Mapping[str, Quantity] | None = None,
    extrapolate: bool = False,
) -> SpeculationAnswer:
    """Speed-up and cost of speculative decoding against batch, for one layout (the preferred one by default).

    `draft`: "mtp", "ngram", or a model. `acceptance`: the share of drafts kept, of those whose predecessors were.
    """
    from ..questions.resolve import layout_taken, question
    from ..search.preferred import layout_for_curve
    from ..search.speculation import speculation_curve
    from ..world.lengths import longest, within
    from ..world.workload import Traffic

    q, notes = question(
        model, on, traffic=Traffic(isl=1024, osl=1), precision=precision, kv=kv, price=price, engine=engine, sets=sets
    )
    used = q.precisions[0]
    length = _length(context, "context")
    given = contexts.split(",") if isinstance(contexts, str) else contexts
    named = [_length(x, "contexts") for x in given] if given else []
    notes += within(q.model, length, "context", extrapolate=extrapolate)
    notes += within(q.model, max([*named, 0.0]), "contexts", extrapolate=extrapolate)
    rows = named or [row for row in (1024.0 * 4**i for i in range(8)) if row <= longest(q.model)]
    rows = sorted({*rows, length})
    spec, words = speculation_of(q.model, used, draft, depth=depth, acceptance=acceptance)
    chosen = layout_taken(layout, q, lambda: layout_for_curve(q, used, length), notes)
    curve = speculation_curve(q, chosen, used, spec, length, tuple(rows))
    notes.append("acceptance is given, not predicted; drafts are a chain, kept independently of each other")
    if spec.kind == "model" and spec.step is not None and spec.step.vocab != q.model.vocab:
        notes.append(f"{spec.step.name} has {spec.step.vocab:,.0f} tokens and the model {q.model.vocab:,.0f}: drafts"
                     " of another vocabulary must be translated")  # fmt: skip
    if curve.capacity < 1:
        notes.append("with the drafting model beside it, not one sequence of this context fits")
    return SpeculationAnswer(curve=curve, draft=words, notes=tuple(dict.fromkeys(notes)))


def speculation_of(
    model: Model, precision: Precision, draft: str | Model, *, depth: Quantity, acceptance: Quantity
) -> tuple[Speculation, str]:
    """The speculation that words ask for, and what makes its drafts in words."""
    from ..serving import speculative as sp
    from ..world import catalog

    k = parse(depth, "count", name="depth")
    a = parse(acceptance, "share", name="acceptance")
    sp.checked(k, a)
    if isinstance(draft, str):
        word = draft.strip().lower()
        if word == "mtp":
            layers = "the model's own multi-token-prediction layers"
            return sp.own_layers(model, precision, depth=k, acceptance=a), layers
        if word in ("ngram", "n-gram", "ngrams"):
            return sp.ngrams(depth=k, acceptance=a), "n-grams of the text so far"
    other = catalog.model(draft) if isinstance(draft, str) else draft
    return sp.other_model(other, other.precision, depth=k, acceptance=a), other.name


def _length(value: Quantity, name: str) -> float:
    found = parse(value, "count", name=name)
    if not 1 <= found <= 1e9:
        raise BadInput(f"{name} = {value!r} is out of range; give tokens from 1 to 1e9")
    return found
