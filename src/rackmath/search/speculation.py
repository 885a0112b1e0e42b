"""Where speculative decoding pays: speed-up and cost against batch, context and depth, for one layout.

More tokens per pass amortise what a pass reads; they cost multiplications, and with routed experts further reads.
Small batches therefore gain, large ones lose, and a mixture of experts may lose in between. At a fixed batch the
cost of a token falls by the same factor as its time; at a fixed pace it falls by more, since the faster pass leaves
room for a larger batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..arrays import Number
from ..economics.cost import HOUR, MTOK
from ..kernel.counts import Pass
from ..kernel.roofline import PassTime
from ..layout.footprint import footprint
from ..layout.forward import forward
from ..layout.parallelism import Layout
from ..serving.speculative import Speculation, beside, drafting, with_drafts
from ..world.precision import Precision
from .grid import Column, Question

DEPTHS = tuple(range(1, 9))
"""Depths tried when the best one is looked for."""

LARGEST = 1e6
"""Largest batch at which a break-even is looked for, whatever memory holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEven:
    """The largest batch at which speculation pays, for one context.

    Memory is left out: `batch` is infinite where it pays up to `LARGEST`, and 0 where it never pays. `alone` is the
    speed-up at batch 1, `fits` the sequences that memory holds beside the drafting model.
    """

    context: float
    batch: float
    alone: float
    best: float
    best_batch: float
    fits: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeculationCurve:
    """Columns over `batch` (sequences in the replica): seconds, tokens, dollars per million output tokens."""

    question: Question
    layout: Layout
    precision: Precision
    speculation: Speculation
    context: float
    batch: Column
    plain: PassTime
    checked: PassTime  # the wider pass alone
    whole: PassTime  # the same with the drafting
    tpot: Column
    plain_tpot: Column
    tpot_bound: Column
    speedup: Column
    same_pace: Column  # cost of a token at the pace of plain decoding over plain's; nan beyond the curve
    cost_mtok: Column
    plain_cost_mtok: Column
    best_depth: Column
    best_speedup: Column
    capacity: float
    plain_capacity: float
    break_even: tuple[BreakEven, ...]

    @property
    def pays(self) -> tuple[tuple[float, float], ...]:
        """Stretches of batch at which speculation is faster; an end at the largest batch looked at is infinite."""
        return stretches(self.batch, self.speedup)


def stretches(batch: Column, speedup: Column) -> tuple[tuple[float, float], ...]:
    """Intervals of batch with a speed-up above 1, ends read off between the points (on a log scale).

    >>> [(start, round(end, 1)) for start, end in stretches(np.array([1.0, 10, 100]), np.array([1.2, 1.1, 0.9]))]
    [(1.0, 31.6)]
    >>> stretches(np.array([1.0, 10.0]), np.array([0.9, 0.8])), stretches(np.array([1.0, 4.0]), np.array([2.0, 2.0]))
    ((), ((1.0, inf),))
    """
    above = speedup > 1
    found: list[tuple[float, float]] = []
    start: float | None = float(batch[0]) if above[0] else None
    for i in range(1, len(batch)):
        if above[i] == above[i - 1]:
            continue
        share = (1 - speedup[i - 1]) / (speedup[i] - speedup[i - 1])
        edge = float(np.exp(np.log(batch[i - 1]) + share * (np.log(batch[i]) - np.log(batch[i - 1]))))
        if start is None:
            start = edge
        else:
            found.append((start, edge))
            start = None
    if start is not None:
        found.append((start, float("inf")))
    return tuple(found)


def speculation_curve(
    question: Question,
    layout: Layout,
    precision: Precision,
    speculation: Speculation,
    context: float,
    contexts: tuple[float, ...],
    *,
    largest: float | None = None,
    points: int = 160,
) -> SpeculationCurve:
    """Speculative against plain decoding of one layout at `context` cached tokens, and where it stops paying.

    `contexts` are the further ones a break-even batch is wanted for. Decode steps only: prefill is not in them.
    """
    room = footprint(question.model, question.machine, precision, layout, question.engine, context)
    with_draft = beside(room, speculation, layout, context)
    fits = float(room.batch_max)
    top = largest or float(np.clip(4 * fits, 1024.0, 65536.0))
    batch = np.unique(np.round(np.geomspace(1.0, top, points)))
    plain, checked, whole = _passes(question, layout, precision, speculation, batch, context)
    tpot = np.asarray(whole.estimate / speculation.kept)
    plain_tpot = np.asarray(plain.estimate)
    dollars = float(layout.gpus) * float(question.machine.price_per_hour) / HOUR * MTOK
    cost, plain_cost = dollars * tpot / batch, dollars * plain_tpot / batch
    same = np.interp(plain_tpot, tpot, tpot / batch, left=np.nan, right=np.nan) / (plain_tpot / batch)
    best, depth = _best(question, layout, precision, speculation, batch, context)
    return SpeculationCurve(
        question=question,
        layout=layout,
        precision=precision,
        speculation=speculation,
        context=context,
        batch=batch,
        plain=plain,
        checked=checked,
        whole=whole,
        tpot=tpot,
        plain_tpot=plain_tpot,
        tpot_bound=np.asarray(whole.bound / speculation.width),
        speedup=plain_tpot / tpot,
        same_pace=same,
        cost_mtok=cost,
        plain_cost_mtok=plain_cost,
        best_depth=depth,
        best_speedup=best,
        capacity=float(with_draft.batch_max),
        plain_capacity=fits,
        break_even=tuple(_break_even(question, layout, precision, speculation, c) for c in contexts),
    )


def _passes(
    question: Question, layout: Layout, precision: Precision, speculation: Speculation, batch: Number, context: Number
) -> tuple[PassTime, PassTime, PassTime]:
    """A plain pass, the wider one that checks drafts, and the latter with the drafting."""
    q = question
    micro = np.maximum(batch / layout.pp, 1.0)
    narrow = Pass(decode=micro, context=context)
    wide = replace(narrow, width=speculation.width)
    plain = forward(q.model, q.machine, precision, layout, narrow, q.efficiency)
    checked = forward(q.model, q.machine, precision, layout, wide, q.efficiency)
    return plain, checked, with_drafts(checked, speculation, q.machine, layout, wide, q.efficiency)


def _best(
    question: Question, layout: Layout, precision: Precision, speculation: Speculation, batch: Column, context: float
) -> tuple[Column, Column]:
    """The largest speed-up over `DEPTHS`, and the depth that has it (0 where plain decoding is faster)."""
    found = []
    for depth in DEPTHS:
        deep = replace(speculation, depth=float(depth))
        plain, _, whole = _passes(question, layout, precision, deep, batch, context)
        found.append(np.asarray(plain.estimate * deep.kept / whole.estimate))
    gains = np.stack([np.ones_like(batch), *found])
    best = gains.argmax(axis=0)
    return gains.max(axis=0), np.concatenate([[0.0], DEPTHS])[best]


def _break_even(question: Question, layout: Layout, precision: Precision, speculation: Speculation, context: float) -> BreakEven:
    batch = np.unique(np.round(np.geomspace(1.0, LARGEST, 240)))
    plain, _, whole = _passes(question, layout, precision, speculation, batch, context)
    speedup = np.asarray(plain.estimate * speculation.kept / whole.estimate)
    found = stretches(batch, speedup)
    best = int(speedup.argmax())
    room = footprint(question.model, question.machine, precision, layout, question.engine, context)
    return BreakEven(
        context=context,
        batch=found[-1][1] if found else 0.0,
        alone=float(speedup[0]),
        best=float(speedup[best]),
        best_batch=float(batch[best]),
        fits=float(beside(room, speculation, layout, context).batch_max),
    )


def draft_share(curve: SpeculationCurve) -> Column:
    """Share of a step spent on making drafts."""
    q = curve.question
    work = Pass(decode=np.maximum(curve.batch / curve.layout.pp, 1.0), context=curve.context)
    drafts = drafting(curve.speculation, q.machine, curve.layout, work, q.efficiency)
    whole = np.asarray(curve.whole.estimate)
    return np.zeros_like(whole) if drafts is None else np.asarray(drafts.estimate) / whole
