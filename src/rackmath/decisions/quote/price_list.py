"""An API price list computed from cost: every price with its floor, interval, basis and sensitivity.

One rule makes every price (`rule`). Cost is what the tokens of a steady state cost at full load (`economics.cost`).
Rental is paid by the hour, and traffic that comes in waves leaves a share `idle` of the hours empty, so

    price = cost / (1 - idle) / (1 - margin)

and the standard traffic, sold at these prices, leaves exactly the margin over the rent of all its hours. The floor
is the cost at the roofline bound: a bound of whole requests, split over their tokens as the estimate is, since the
time of a prefill can hide behind decoding and no token has a bound of its own. Prices in dollars per million tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...economics.cost import energy_mtok
from ...economics.pricelist import margin as gross_margin
from ...search.choice import Plan
from ...search.context import price_step
from ...search.grid import Column, Question
from ...search.trust import Span
from ...world.workload import Objectives
from ..modes.offers import BatchOffer, batch_offer
from . import tiers
from .lines import PriceLine, lines_of, write_line
from .rule import span
from .terms import SellerTerms, check
from .tiers import PriceTier
from .writes import Holding, holdings

LONG = 128_000.0
"""Prompt length at which the long tier is computed, where the model takes so many tokens."""

ABOVE = (32_000.0, 64_000.0, 128_000.0, 200_000.0, 272_000.0, 512_000.0)
"""Thresholds of long tiers: those of public lists, from 128,000 tokens, and two below for models that need one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A price list. `standard`: the plan behind it. `offer`: batch work's output, with energy as its floor.

    `growth` over `lengths`: the cost of longer prompts over what standard prices charge for them; `crossing`: where
    it has grown by the step, infinite where it never does; `threshold`: where the long tier begins, NaN where there
    is none.
    """

    terms: SellerTerms
    objectives: Objectives
    standard: Plan
    tiers: tuple[PriceTier, ...]
    lines: tuple[PriceLine, ...]
    holdings: tuple[Holding, ...]
    offer: BatchOffer
    lengths: Column
    growth: Column
    crossing: float
    threshold: float

    def tier(self, name: str) -> PriceTier:
        return next(t for t in self.tiers if t.name == name)

    def of(self, tier: str) -> tuple[PriceLine, ...]:
        """The lines of a tier; empty where it cannot be served."""
        return tuple(line for line in self.lines if line.tier == tier)

    def line(self, tier: str, name: str) -> PriceLine:
        return next(line for line in self.of(tier) if line.name == name)

    @property
    def request_cost(self) -> float:
        """Dollars that a standard request costs, its share of the idle hours included."""
        return float(self.standard.cost.request) / (1 - self.terms.idle)

    @property
    def request_span(self) -> Span | None:
        """5 % to 95 % of `request_cost`."""
        found = span(self.standard, float(self.standard.cost.request))
        return None if found is None else (found[0] / (1 - self.terms.idle), found[1] / (1 - self.terms.idle))

    @property
    def request_floor(self) -> float:
        """`request_cost` at the roofline bound of the plan."""
        return self.request_cost * float(self.standard.cost.bound_share)

    @property
    def batch_discount(self) -> float:
        """How much less a standard request pays in the batch tier than in the standard one, as a share."""
        return 1 - self.revenue("batch") / self.revenue()

    def revenue(self, tier: str = "standard", *, listed: bool = True) -> float:
        """Dollars that a standard request pays in a tier, at listed prices or before rounding."""
        prices = {line.name: line.listed if listed else line.price for line in self.of(tier)}
        return tiers.dollars(self.standard.question.traffic, prices["input"], prices.get("cached read", 0.0), prices["output"])

    def margin(self, *, listed: bool = True) -> float:
        """Gross margin on the standard traffic."""
        return float(gross_margin(self.revenue(listed=listed), self.request_cost))

    @property
    def margin_span(self) -> Span | None:
        """The margin of the list over the interval of the cost."""
        found = self.request_span
        return None if found is None else (1 - found[1] / self.revenue(), 1 - found[0] / self.revenue())

    @property
    def margin_at_threshold(self) -> float | None:
        """What is left at standard prices of a request just below the long tier; None where there is no threshold."""
        if not math.isfinite(self.threshold):
            return None
        known = np.isfinite(self.growth)
        grown = np.interp(math.log(self.threshold), np.log(self.lengths[known]), self.growth[known])
        return 1 - float(grown) * (1 - self.terms.margin)

    @property
    def grown(self) -> tuple[int, ...]:
        """Places of a few of `lengths` beyond the threshold, the longest among them."""
        beyond = [i for i in range(len(self.lengths)) if self.lengths[i] > self.threshold and self.growth[i] > 0]
        return tuple(beyond[::-3][::-1])

    @property
    def sensitivity(self) -> tuple[tuple[str, dict[str, float]], ...]:
        """Changes worth telling, each with the relative change of every standard price, by the names of the lines.

        The last one is half the idle hours: it moves every price by (1 - idle) / (1 - idle / 2) - 1.
        """
        lines, idle = self.of("standard"), self.terms.idle
        found = {name: {one.name: dict(one.moves).get(name, 0.0) for one in lines} for name, _ in lines[0].moves}
        if idle > 0:
            half = (1 - idle) / (1 - idle / 2) - 1
            found[f"{idle / 2:.0%} of paid hours idle, not {idle:.0%}"] = {one.name: half for one in lines}
        return tuple(found.items())


# --- the list -------------------------------------------------------------------------------------------------------


def quote(question: Question, objectives: Objectives, terms: SellerTerms) -> Quote:
    """The list for a question with a priced machine; `Infeasible` where the standard traffic cannot be served."""
    check(question, terms)
    first = tiers.standard(question, objectives)
    of = first.plan
    assert of is not None
    last, lengths, growth, crossing, beyond = _long(of, objectives, terms)
    every = (first, last, tiers.fast(of, objectives, terms.fast), tiers.batch(of))
    slow = every[-1].plan
    assert slow is not None
    energy = float(energy_mtok(slow.serving, slow.machine, slow.question.traffic, terms.per_kwh))
    offer = batch_offer(float(slow.cost.output_mtok), terms.idle, filled=terms.filled, floor=energy)
    kept = holdings(of, terms)
    lines = [line for tier in every for line in lines_of(tier, terms)]
    after_input = 1 + max(i for i, line in enumerate(lines) if line.tier == "standard" and line.name != "output")
    lines[after_input:after_input] = [write_line(first, h, i, terms) for i, h in enumerate(kept)]
    return Quote(
        terms=terms,
        objectives=objectives,
        standard=of,
        tiers=every,
        lines=tuple(lines),
        holdings=kept,
        offer=offer,
        lengths=lengths,
        growth=growth,
        crossing=crossing,
        threshold=beyond,
    )


def _long(of: Plan, objectives: Objectives, terms: SellerTerms) -> tuple[PriceTier, Column, Column, float, float]:
    """The long tier, the growth of the cost over lengths, where that passes the step, and where the tier begins."""
    q = of.question
    isl, most = float(q.traffic.isl), q.model.max_context - float(q.traffic.osl)
    above = terms.long_above
    longest = min(max(LONG, 2 * (above or 0.0)), most) if terms.long_isl is None else terms.long_isl
    none = np.array([isl]), np.ones(1), math.nan, math.nan
    if not longest > isl:
        why = f"standard prompts are as long as {q.model.name} takes or as the {LONG:,.0f} tokens of the tier"
        return PriceTier(name="long", plan=None, why=why), *none
    lengths, growth = tiers.growth(of, objectives, longest)
    crossing = price_step(lengths, growth, isl, terms.step).covers_to
    if above is None and not math.isfinite(crossing):
        grown = float(np.nanmax(growth)) - 1 if np.isfinite(growth).any() else math.nan
        why = f"up to {longest:,.0f} tokens cost grows by {grown:.0%} at most over what standard prices charge"
        return PriceTier(name="long", plan=None, why=f"{why}: one price will do"), lengths, growth, crossing, math.nan
    begins = above if above is not None else next((t for t in ABOVE if crossing <= t < longest), crossing)
    tier = tiers.long(of, objectives, longest)
    return tier, lengths, growth, crossing, math.nan if tier.served is None else begins
