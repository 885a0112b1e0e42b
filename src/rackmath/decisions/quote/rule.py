"""The one rule behind every price: cost at full load over the hours that earn and the share that cost may take.

    price = cost / (1 - idle) / (1 - margin)

Prices in dollars per million tokens.
"""

from __future__ import annotations

import numpy as np

from ...arrays import Number
from ...search.choice import Plan
from ...search.disaggregated import PoolPlan
from ...search.trust import Span, time_span
from ..modes.offers import batch_offer
from .terms import SellerTerms


def price(cost: Number, *, margin: Number = 0.0, idle: Number = 0.0) -> Number:
    """The price that leaves a gross margin over a cost at full load, where a share of the paid hours is idle.

    Three fifths of the hours earn, and three fifths of what they earn is cost:

    >>> round(price(0.9, margin=0.4, idle=0.4), 9)
    2.5
    """
    found: Number = cost / (1 - idle) / (1 - margin)
    return found


def listed(price: Number) -> Number:
    """A price as lists state it: two significant digits.

    >>> [float(listed(p)) for p in (0.2987, 0.0449, 12.6, 134.0, 0.0)]
    [0.3, 0.045, 13.0, 130.0, 0.0]
    """
    price = np.asarray(price, dtype=float)
    places = 1 - np.floor(np.log10(np.where(price > 0, price, 1.0)))
    scale = 10.0 ** np.abs(places)
    rounded: Number = np.where(places > 0, np.round(price * scale) / scale, np.round(price / scale) * scale)
    return rounded


def span(p: Plan | PoolPlan, cost: float, floor: float = 0.0) -> Span | None:
    """5 % to 95 % of a cost that goes with the plan's time per token."""
    return time_span(p.intervals.tpot, cost, floor)


def asked(tier: str, cost: float, terms: SellerTerms) -> float:
    """The price of a tier's token: batch work pays for the hours it fills as interactive work does for its own."""
    if tier == "batch":
        return float(price(batch_offer(cost, terms.idle, filled=terms.filled).together, margin=terms.margin))
    return float(price(cost, margin=terms.margin, idle=terms.idle))


def on_the_list(price: float, terms: SellerTerms) -> float:
    """A price as the list states it: rounded or exact."""
    return float(listed(price)) if terms.rounded else price
