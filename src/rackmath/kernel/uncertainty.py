"""How far to trust a number: an interval and the reason for its width."""

from __future__ import annotations

from dataclasses import dataclass

from ..arrays import Number


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """5 % to 95 % of where the truth lies, or None with the reason where nothing has been learned yet."""

    low: Number | None = None
    high: Number | None = None
    reason: str = "not calibrated"


NOT_CALIBRATED = Interval()
