"""How far to trust a step's seconds and a device's memory: errors on reported runs, each source weighing the same."""

from __future__ import annotations

from ..kernel.uncertainty import NOT_CALIBRATED, Interval
from .constants import fitted


def training_interval(quantity: str = "step", without: str = "") -> Interval:
    """5 % to 95 % of measured over predicted: of a "step" or of "memory"; `without` leaves one source out.

    >>> found = training_interval()
    >>> bool(0.5 < found.low < 1 < found.high < 3)
    True
    """
    table = fitted().get("interval", {}).get(quantity, {})
    found = table.get(without) or table.get("all")
    if found is None:
        return NOT_CALIBRATED
    reason = f"errors of {found['sources']} sources of reported runs"
    return Interval(low=found["low"], high=found["high"], reason=reason)
