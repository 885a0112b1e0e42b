"""Times of a model's passes as a table: thousands of steps a millisecond, from a few columns of `layout.forward`.

A pass's estimate is a sum over operations, so it is split into three parts, each read off a table linear in between:

    decode(n, mean context)  +  prompts(n, prefill tokens)  +  attention(prefill tokens, earlier tokens each meets)

The first is a decode-only pass, the second what prefill tokens with next to nothing before them add, the third what
their attention adds. Exact where the estimate is such a sum (no half batches in turn, `Efficiency.overlap`).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput
from ..kernel.counts import Pass
from ..kernel.efficiency import Efficiency
from ..layout.forward import forward
from ..layout.parallelism import Layout, stage_share
from ..world.machine import Machine
from ..world.model import Model
from ..world.precision import Precision
from .simulate import StepLoad

REFERENCE = 64.0
"""Earlier tokens each prefill token meets in the second table: so few that attention to them costs nothing."""


NONE = 1 / 64
"""Sequences that stand for none: a pass of nothing has no shape to look a kernel's time up by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeTable:
    """Values at the knots of a grid, linear in between and constant beyond its ends."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]

    def at(self, x: float, y: float) -> float:
        i, u = _place(self.x, x)
        j, v = _place(self.y, y)
        low, high = self.values[i], self.values[i + 1]
        return (1 - u) * ((1 - v) * low[j] + v * low[j + 1]) + u * ((1 - v) * high[j] + v * high[j + 1])


def _place(knots: tuple[float, ...], x: float) -> tuple[int, float]:
    i = min(max(bisect_right(knots, x) - 1, 0), len(knots) - 2)
    low = knots[i]
    return i, min(max((x - low) / (knots[i + 1] - low), 0.0), 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PassTimes:
    """Seconds of any step of one replica; call it with a `StepLoad`.

    With attention DP sequences and prompts are spread over the ranks: a step with fewer prompts than ranks is timed
    between one busy rank and all of them. With `pp` stages a step is a round: every stage's micro-batch once.
    """

    decode: TimeTable
    alone: TimeTable  # prefill of one rank: prompts(n, tokens)
    spread: TimeTable  # prefill of all ranks
    attention: TimeTable
    dp: float
    pp: float

    def __call__(self, work: StepLoad) -> float:
        n = work.decode / self.pp
        mean = work.context / work.decode if work.decode else 1.0
        took = self.decode.at(n, mean)
        if not work.prefill:
            return took
        tokens = work.prefill / self.pp
        busiest = max(1 / self.dp, 1 / max(work.prompts, 1))
        added = self.spread.at(n, tokens)
        if self.dp > 1 and work.prompts < self.dp:
            one = (busiest - 1 / self.dp) / (1 - 1 / self.dp)
            added = (1 - one) * added + one * self.alone.at(n, tokens)
        return took + added + self.attention.at(tokens * busiest, work.pairs / work.prefill)


def pass_times(
    model: Model,
    machine: Machine,
    precision: Precision,
    layout: Layout,
    efficiency: Efficiency,
    *,
    sequences: float,
    context: float,
    budget: float,
) -> PassTimes:
    """Tables for up to `sequences` decoding at once, `context` tokens each, and `budget` prefill tokens in a step."""
    for name, value in (("sequences", sequences), ("context", context), ("budget", budget)):
        if not 1 <= value < np.inf:
            raise BadInput(f"{name} = {value!r} is out of range; give at least 1")
    pp, dp = float(layout.pp), float(layout.dp)
    uneven = float(stage_share(model, layout)) * pp  # >= 1: the fullest stage sets the pace

    def seconds(work: Pass) -> Column:
        return uneven * np.asarray(forward(model, machine, precision, layout, work, efficiency).estimate)

    def beside(n: Column, p: Column, met: Column, busiest: float) -> Column:
        # prompts as long as give each of their tokens `met` earlier ones: whole ones, or chunks of longer ones
        fresh = np.minimum(p * busiest, 2 * met)
        one = np.ones_like(n)
        return seconds(
            Pass(decode=np.maximum(n, NONE), context=one, prefill=p, prompt=met + fresh / 2, prompt_cached=met - fresh / 2, busiest=busiest)
        )

    n_knots = np.concatenate([[0.0], _spaced(1.0, max(sequences / pp, 2.0))])
    c_knots = _spaced(1.0, max(context, 2.0))
    p_knots = _spaced(1.0, max(budget / pp, 2.0))
    m_knots = _spaced(REFERENCE / 2, max(context, REFERENCE))

    def prompts(busiest: float) -> TimeTable:
        n, p = _grid(n_knots, p_knots)
        flat = np.full_like(n, REFERENCE)
        without = seconds(Pass(decode=np.maximum(n, NONE), context=np.ones_like(n)))
        return _from_zero(_table(n_knots, p_knots, beside(n, p, flat, busiest) - without))

    n, c = _grid(n_knots, c_knots)
    p, met = _grid(p_knots, m_knots)
    one = np.ones_like(p)
    extra = beside(one, p * dp, met, 1 / dp) - beside(one, p * dp, np.full_like(p, REFERENCE), 1 / dp)
    return PassTimes(
        decode=_table(n_knots, c_knots, seconds(Pass(decode=np.maximum(n, NONE), context=c))),
        alone=prompts(1.0) if dp > 1 else prompts(1 / dp),
        spread=prompts(1 / dp),
        attention=_table(p_knots, m_knots, extra),
        dp=dp,
        pp=pp,
    )


Column = NDArray[np.float64]


def _spaced(low: float, high: float) -> Column:
    """Knots from low to high, five to an octave."""
    return np.geomspace(low, high, int(np.ceil(5 * np.log2(high / low))) + 1)


def _grid(x: Column, y: Column) -> tuple[Column, Column]:
    return np.repeat(x, len(y)), np.tile(y, len(x))


def _table(x: Column, y: Column, flat: Column) -> TimeTable:
    rows = flat.reshape(len(x), len(y))
    return TimeTable(x=tuple(x.tolist()), y=tuple(y.tolist()), values=tuple(tuple(r) for r in rows.tolist()))


def _from_zero(table: TimeTable) -> TimeTable:
    """The same, with nothing added by 0 tokens."""
    return TimeTable(x=table.x, y=(0.0, *table.y), values=tuple((0.0, *row) for row in table.values))
