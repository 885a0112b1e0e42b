"""Speculative decoding as a transform of decode: drafts are guessed cheaply, then one pass checks them all.

A pass computes `depth` + 1 tokens for each sequence: the drafts and the one that follows the last kept draft. Drafts
form a chain; each is kept with probability `acceptance` if all before it were, so a pass keeps on average

    1 + a + a^2 + ... + a^depth = (1 - a^(depth + 1)) / (1 - a)       tokens.

Drafts come from the model's own multi-token-prediction layers, from a smaller model on the same devices (either
costs `depth` passes one after the other), or from n-grams of the text so far (free). The bound grants that every
draft is kept. Experts that a wider pass touches beyond those of a narrow one need no term of their own: the pass has
more tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from ..arrays import Number
from ..errors import BadInput
from ..kernel.counts import Pass
from ..kernel.efficiency import Efficiency
from ..kernel.roofline import TIMES, PassTime
from ..layout.footprint import Footprint, device_cache_bytes, device_weight_bytes, seats
from ..layout.forward import forward
from ..layout.parallelism import Layout
from ..world.machine import Machine
from ..world.model import Model
from ..world.precision import Precision

DEEPEST = 64
"""Longest chain of drafts accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speculation:
    """How drafts are made and how often they are kept; `depth` and `acceptance` may be columns.

    `step`: the model that makes one draft, None where drafts are free. `held`: what memory keeps of it.
    """

    kind: Literal["mtp", "model", "ngram"]
    depth: Number
    acceptance: Number
    step: Model | None = None
    held: Model | None = None
    precision: Precision | None = None

    @property
    def width(self) -> Number:
        """Tokens computed for each sequence and pass."""
        return self.depth + 1

    @property
    def kept(self) -> Number:
        """Tokens kept of them on average."""
        return tokens_per_pass(self.acceptance, self.depth)


def tokens_per_pass(acceptance: Number, depth: Number) -> Number:
    """Expected tokens of one pass over a chain of drafts: (1 - a^(depth+1)) / (1 - a).

    Each draft is kept with the same probability a, independently. Leviathan et al. 2023 (arXiv 2211.17192), eq. 1.

    >>> [round(float(tokens_per_pass(a, 3)), 3) for a in (0.8, 1.0, 0.0)]
    [2.952, 4.0, 1.0]
    """
    miss = np.maximum(1.0 - np.asarray(acceptance, dtype=float), 1e-12)
    # -expm1(n log1p(-miss)) keeps its digits where a is close to 1
    with np.errstate(divide="ignore"):
        chain = -np.expm1((depth + 1) * np.log1p(-np.minimum(miss, 1.0)))
    found: Number = np.minimum(chain / miss, depth + 1)
    return found


def own_layers(model: Model, precision: Precision, *, depth: Number, acceptance: Number) -> Speculation:
    """Drafts by the model's own multi-token-prediction layers; one module makes one draft, and is used again.

    A draft also passes the output head, which it shares with the model.
    """
    if not model.draft:
        raise BadInput(f"{model.name} has no multi-token-prediction layers; give a draft model with --draft, or --draft ngram")
    modules = model.draft[0].count
    one = tuple(replace(g, count=g.count / modules) for g in model.draft)
    shared = replace(model, draft=(), embedding_parameters=0.0, tied_embeddings=True, norm_parameters=0.0)
    return Speculation(
        kind="mtp",
        depth=depth,
        acceptance=acceptance,
        precision=precision,
        step=replace(shared, groups=one),
        held=replace(shared, groups=model.draft),
    )


def other_model(draft: Model, precision: Precision, *, depth: Number, acceptance: Number) -> Speculation:
    """Drafts by another model on the same devices."""
    return Speculation(kind="model", depth=depth, acceptance=acceptance, precision=precision, step=draft, held=draft)


def ngrams(*, depth: Number, acceptance: Number) -> Speculation:
    """Drafts looked up in the text so far, at no cost."""
    return Speculation(kind="ngram", depth=depth, acceptance=acceptance)


def speculation_keeping(kept: float, width: float) -> Speculation | None:
    """Free drafts with the acceptance at which a pass of `width` tokens keeps `kept` of them; None for one of one.

    >>> s = speculation_keeping(1.8, 2.0)
    >>> round(float(s.acceptance), 6), round(float(s.kept), 6)
    (0.8, 1.8)
    """
    if kept <= 1:
        return None
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if tokens_per_pass(middle, width - 1) < kept else (low, middle)
    return ngrams(depth=width - 1, acceptance=high)


def checked(depth: float, acceptance: float) -> None:
    """Refuse depths and acceptances that mean nothing."""
    if not 1 <= depth <= DEEPEST or depth != int(depth):
        raise BadInput(f"depth = {depth:g} is out of range; give a whole number of drafts from 1 to {DEEPEST}")
    if not 0 <= acceptance <= 1:
        raise BadInput(f"acceptance = {acceptance:g} is out of range; give the share of drafts kept, from 0 to 1")


def draft_layout(speculation: Speculation, layout: Layout) -> Layout:
    """How the drafting model lies on the devices of a stage.

    Own layers are cut as the model is. Another model is cut over as many tensor-parallel ranks as divide its heads
    and widths, and the others wait; its experts, if any, are cut over the stage.
    """
    if speculation.kind == "mtp" or speculation.step is None:
        return replace(layout, pp=1.0)
    tp = np.asarray(layout.tp, dtype=np.int64)
    for group in speculation.step.groups:
        if group.mixer:
            tp = np.gcd(tp, int(group.mixer.heads))
        if group.ffn and group.ffn.d_dense:
            tp = np.gcd(tp, int(group.ffn.d_dense))
    return Layout(tp=_like(layout.tp, tp), dp=layout.dp)


def _like(given: Number, found: np.ndarray) -> Number:
    return found.astype(float) if isinstance(given, np.ndarray) else float(found)


def drafting(speculation: Speculation, machine: Machine, layout: Layout, work: Pass, efficiency: Efficiency) -> PassTime | None:
    """Time of making the drafts for one pass; None where they are free.

    `depth` passes of one token each, one after the other; prompt tokens that the pass prefills go through the
    drafting model once too, since it keeps a cache of its own. Drafts are made inside an engine's step, so its fixed
    cost is not paid again, launches are.
    """
    step, precision = speculation.step, speculation.precision
    if step is None or precision is None:
        return None
    inside = replace(efficiency, step_overhead=0.0)
    on = draft_layout(speculation, layout)
    narrow = replace(work, width=1.0)
    decode_only = forward(step, machine, precision, on, replace(narrow, prefill=0.0), inside)
    if isinstance(work.prefill, float | int) and not work.prefill:
        return _sum(decode_only, None, speculation.depth)
    return _sum(decode_only, forward(step, machine, precision, on, narrow, inside), speculation.depth - 1)


def with_drafts(time: PassTime, speculation: Speculation, machine: Machine, layout: Layout, work: Pass, efficiency: Efficiency) -> PassTime:
    """A pass and the making of the drafts it checks, as one time; `work` is the checking pass."""
    drafts = drafting(speculation, machine, layout, work, efficiency)
    return time if drafts is None else _sum(drafts, time, 1.0)


def _sum(one: PassTime, other: PassTime | None, times: Number) -> PassTime:
    """`times` x one + other, field by field; single operations are kept of the other only."""
    total: dict[str, Any] = {n: times * getattr(one, n) + (getattr(other, n) if other is not None else 0.0) for n in TIMES}
    return PassTime(**total, terms=other.terms if other is not None else ())


def beside(holds: Footprint, speculation: Speculation, layout: Layout, context: Number) -> Footprint:
    """What a device holds with the drafting model's weights and cache beside the model's own."""
    if speculation.held is None or speculation.precision is None:
        return holds
    on = draft_layout(speculation, layout)
    weights = holds.weights + device_weight_bytes(speculation.held, speculation.precision, on)
    each = holds.per_sequence + device_cache_bytes(speculation.held, speculation.precision, on, context)
    free = np.maximum(holds.capacity - weights - holds.reserved, 0.0)
    room = seats(free, np.maximum(each, 1.0), holds.prompt, holds.prompts)
    return replace(holds, weights=weights, per_sequence=each, batch_max=room * layout.dp)
