"""Speculative decoding as questions ask for it: what makes drafts, how many, and how many are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from ..serving import speculative as sp
from ..units import parse
from ..world import catalog
from .fields import count, share, words
from .settings import Quantity

if TYPE_CHECKING:
    from ..world.model import Model
    from ..world.precision import Precision

DRAFTS = "Drafts"
"""Panel of the help."""

Draft = Annotated[
    Any,
    words(
        "What makes drafts: mtp (the model's own layers), ngram (free), or the name of a smaller model.",
        "DRAFT",
        panel=DRAFTS,
        complete="models",
    ),
]
Depth = Annotated[int, count("Drafts before each check.", least=1, most=sp.DEEPEST, whole=True, panel=DRAFTS)]
Acceptance = Annotated[float, share("Share of drafts that are kept, of those whose predecessors were: 0.7 or 70%.", panel=DRAFTS)]


def speculation_of(
    model: Model, precision: Precision, draft: str | Model, *, depth: Quantity, acceptance: Quantity
) -> tuple[sp.Speculation, str]:
    """The speculation that words ask for, and what makes its drafts in words."""
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
