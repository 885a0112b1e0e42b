"""Cost and pace of decoding against context length, for a model's own attention and for other kinds of it.

Every sequence of the batch has the same length L. The batch is a policy: by default as many sequences as memory
holds, which is the cheapest; with a limit on the time per output token, the largest batch that keeps it. Beside the
estimate and the bound stands the lecture's limit: weights amortised over any number of sequences, attention FLOPs
dropped, memory without end, so that only multiplying the weights and reading the cache are left (LECTURE
section 16). Prefill is not in these numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..arrays import Number
from ..economics.cost import HOUR, MTOK, billed_devices
from ..errors import BadInput
from ..kernel.counts import cache_bytes, context_of_equal_flops, read_bytes
from ..layout.parallelism import Layout
from ..world.machine import Machine
from ..world.model import Model
from ..world.precision import Precision
from .balance import balance, balance_context, full_context, limit_time
from .grid import Column, Question, price_or_time
from .preferred import Policy, pace, preferred_layout, served

SHORTEST = 1024.0
"""Contexts below this are not drawn: the cache plays no part there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KindCurve:
    """One kind of attention: columns over the contexts. NaN where not one sequence fits or keeps the pace.

    Seconds, sequences of a replica, dollars per million output tokens (device-seconds x 1e6 / 3600 where the machine
    has no price), bytes of one sequence in all layers, one copy.
    """

    kind: str
    model: Model
    capacity: Column
    batch: Column
    tpot: Column
    tpot_bound: Column
    cost_mtok: Column
    bound_cost_mtok: Column
    limit_mtok: Column  # the lecture's limit
    stored: Column
    read: Column
    balance_context: float  # L*: reading the cache takes as long as multiplying by the weights
    flops_context: float  # where attention FLOPs overtake weight FLOPs
    full_context: float  # where B* sequences fill the memory, weights held once


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextCurves:
    """All kinds over one column of contexts, on one layout."""

    question: Question
    layout: Layout
    precision: Precision
    policy: Policy
    balance: float  # B*, weights only
    context: Column
    threshold: float
    curves: tuple[KindCurve, ...]

    @property
    def own(self) -> KindCurve:
        return self.curves[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceStep:
    """One price up to `threshold`, another above: what the second must be and how far it carries.

    `base`: the dearest token up to the threshold, which the first price must cover. `needed`: cost at the end of the
    range over `base`. `covers_to`: the first context above the threshold that costs more than base x (1 + step),
    infinite where none does in the range.
    """

    threshold: float
    step: float
    base: float
    end: float
    needed: float
    covers_to: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoPrices:
    """Curves beside an offer of one price up to the threshold and of one that is `step` dearer above it.

    `steps`: by kind, of the estimate; `limit_steps`: of the lecture's limit. `list_mtok`: the listed price in dollars
    per million output tokens up to the threshold; None where none was given.
    """

    curves: ContextCurves
    steps: Mapping[str, PriceStep]
    limit_steps: Mapping[str, PriceStep]
    step: float
    list_mtok: float | None

    @property
    def listed(self) -> Column | None:
        """The listed price at every context: the second one above the threshold."""
        if self.list_mtok is None:
            return None
        above = self.curves.context > self.curves.threshold
        return np.where(above, self.list_mtok * (1 + self.step), self.list_mtok)

    def margin(self, one: KindCurve) -> Column | None:
        """Implied gross margin of the listed price over the cost of decoding, a share."""
        return None if self.listed is None else 1 - one.cost_mtok / self.listed


# --- curves -------------------------------------------------------------------------------------------------------


def context_curves(
    question: Question,
    precision: Precision,
    kinds: Mapping[str, Model],
    *,
    longest: float,
    threshold: float,
    policy: Policy,
    layout: Layout | None = None,
    points: int = 1000,
) -> ContextCurves:
    """Curves of every kind from 1K to `longest` tokens; `kinds` maps names to models, the model's own first.

    Powers of two and the threshold are among the contexts. Without a layout the preferred one at the
    threshold is taken, for the model's own attention, and kept throughout.
    """
    shortest = min(SHORTEST, longest / 2)
    powers = [2.0**i for i in range(31)]
    context = np.unique([*np.geomspace(shortest, longest, points), *powers, longest, threshold])
    context = context[(context >= shortest) & (context <= longest)]
    chosen = layout or preferred_layout(question, precision, threshold, policy)
    at_balance = balance(question.model, question.machine, precision)
    return ContextCurves(
        question=question,
        layout=chosen,
        precision=precision,
        policy=policy,
        balance=at_balance,
        context=context,
        threshold=threshold,
        curves=tuple(
            _kind_curve(replace(question, model=model), kind, precision, chosen, context, policy, at_balance)
            for kind, model in kinds.items()
        ),
    )


def _kind_curve(
    question: Question, kind: str, precision: Precision, layout: Layout, context: Column, policy: Policy, at_balance: float
) -> KindCurve:
    model, machine = question.model, question.machine
    capacity, batch, time = served(question, precision, layout, context, policy)
    runs = batch >= 1
    stages = pace(model, layout)
    dollars = _dollars(billed_devices(layout.gpus, machine), machine)
    tpot = np.where(runs, time.estimate * stages, np.nan)
    bound = np.where(runs, time.bound * np.ones_like(context), np.nan)
    batch = np.where(runs, batch, np.nan)
    return KindCurve(
        kind=kind,
        model=model,
        capacity=capacity,
        batch=batch,
        tpot=tpot,
        tpot_bound=bound,
        cost_mtok=dollars * tpot / batch,
        bound_cost_mtok=dollars * bound / batch,
        limit_mtok=np.asarray(_dollars(1.0, machine) * limit_time(model, machine, precision, context)),
        stored=np.asarray(cache_bytes(model, context, precision)) * np.ones_like(context),
        read=np.asarray(read_bytes(model, context, precision)) * np.ones_like(context),
        balance_context=balance_context(model, machine, precision),
        flops_context=context_of_equal_flops(model),
        full_context=full_context(model, machine, precision, at_balance),
    )


def _dollars(devices: Number, machine: Machine) -> Number:
    """Dollars per second of so many devices, times a million tokens."""
    return devices * price_or_time(machine) / HOUR * MTOK


# --- the price step -----------------------------------------------------------------------------------------------


def price_step(context: Column, cost: Column, threshold: float, step: float) -> PriceStep:
    """What a second price above `threshold` must be, and up to which length one of (1 + `step`) covers cost.

    The lecture's idealised cost, flat to 200K and linear beyond: a tier 50 % dearer carries to 300K, and 1M costs
    five times as much (LECTURE section 17a).

    >>> lengths = np.geomspace(1e3, 1e6, 2000)
    >>> found = price_step(lengths, np.maximum(1.0, lengths / 200e3), 200e3, 0.5)
    >>> round(found.covers_to, -3), round(found.needed, 2)
    (300000.0, 5.0)
    """
    if not 0 <= step <= 1e6:
        raise BadInput(f"step = {step:g} is out of range; give the extra above the threshold, such as 50% or 1")
    if not context[0] <= threshold <= context[-1]:
        raise BadInput(
            f"the threshold of {threshold:,.0f} tokens lies outside the {context[0]:,.0f} to {context[-1]:,.0f} that"
            " are drawn; choose one inside"
        )
    known = np.isfinite(cost)
    x, y = context[known], cost[known]
    below = x <= threshold
    if not below.any():
        nan = math.nan
        return PriceStep(threshold=threshold, step=step, base=nan, end=nan, needed=nan, covers_to=nan)
    at_threshold = np.interp(np.log(threshold), np.log(x), np.log(y))
    base = float(max(y[below].max(), np.exp(at_threshold)))
    return PriceStep(
        threshold=threshold,
        step=step,
        base=base,
        end=float(x[-1]),
        needed=float(y[-1]) / base,
        covers_to=_first_above(x, y, threshold, base * (1 + step)),
    )


def two_prices(curves: ContextCurves, step: float, list_mtok: float | None = None) -> TwoPrices:
    """The curves beside two prices, the second `step` dearer."""
    x, border = curves.context, curves.threshold
    return TwoPrices(
        curves=curves,
        steps={c.kind: price_step(x, c.cost_mtok, border, step) for c in curves.curves},
        limit_steps={c.kind: price_step(x, c.limit_mtok, border, step) for c in curves.curves},
        step=step,
        list_mtok=list_mtok,
    )


def _first_above(x: Column, y: Column, start: float, limit: float) -> float:
    """Where y first exceeds `limit` beyond `start`, straight lines between points on logarithmic axes."""
    above = np.flatnonzero((x > start) & (y > limit * (1 + 1e-12)))
    if not len(above):
        return math.inf
    i = int(above[0])
    if i == 0 or x[i - 1] < start:
        return float(start)
    x0, x1, y0, y1 = (math.log(v) for v in (x[i - 1], x[i], y[i - 1], y[i]))
    share = 0.0 if y1 <= y0 else max(0.0, (math.log(limit) - y0) / (y1 - y0))
    return math.exp(x0 + share * (x1 - x0))
