"""What one equation says of one unknown, and how far its inputs let it vary.

A `Reading` is a quotient of products, or one less such a quotient; its terms are list prices, facts of a machine and
assumptions with a range. Each term stands in it once, so the ends of its interval are those of its terms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...errors import BadInput
from ...units import show


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    """A number that goes into a reading, from `low` to `high`, with its source or the reason for it.

    `listed`: a figure of the price list, which is not assumed. Units: "" (a pure number), "tokens", "params", "B",
    "B/s", "FLOP/s", "FLOP", "s", "share", "$/h", "$" (dollars per million tokens).
    """

    name: str
    value: float
    low: float
    high: float
    unit: str = ""
    why: str = ""
    listed: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.value <= self.high < math.inf:
            raise BadInput(
                f"{self.name} = {self.value:g} between {self.low:g} and {self.high:g} is impossible; give finite"
                " numbers above 0 in this order: low, value, high"
            )

    @property
    def shown(self) -> str:
        """The value with its unit.

        >>> fixed("active parameters", 100e9, "params").shown, fixed("threshold", 2e5, "tokens").shown
        ('100B', '200,000')
        """
        return number(self.value, self.unit)

    @property
    def ranges(self) -> bool:
        """Whether it is known only between two ends."""
        return self.low < self.high


def fixed(name: str, value: float, unit: str = "", why: str = "", *, listed: bool = False) -> Assumption:
    """A number that is known."""
    return Assumption(name=name, value=value, low=value, high=value, unit=unit, why=why, listed=listed)


def number(value: float, unit: str = "") -> str:
    """A number of an equation.

    >>> number(100e9, "params"), number(-0.4, "share"), number(625), number(1250.4), number(3.75, "$")
    ('100B', '−40%', '625', '1,250', '$3.75')
    """
    if not math.isfinite(value):
        return "no limit" if value > 0 else "unknown"
    if value < 0:
        return f"−{number(-value, unit)}"
    if unit == "params":
        return f"{value / 1e12:.3g}T" if value >= 1e12 else f"{value / 1e9:.3g}B"
    if unit == "share":
        return f"{value * 100:.3g}%"
    if unit == "$" and (value >= 1 or round(value, 2) == value):
        return f"${value:,.2f}"
    if unit == "$":
        return show(value, unit).rstrip("0")
    if unit and unit not in ("tokens", "x"):
        return show(value, unit)
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{text}x" if unit == "x" else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one equation says of one unknown: `value`, and the ends that its assumptions allow.

    `over` and `under` are its terms, value = product(over) / product(under), or 1 less that where `complement`;
    both are empty where another function of the library makes the value, and `formula` says which. `needs` names the
    prices it takes; where the list lacks one, `absent` says so and the numbers are NaN. `says` puts it in words.
    """

    key: str
    name: str
    unknown: str
    unit: str = ""
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    formula: str = ""
    over: tuple[Assumption, ...] = ()
    under: tuple[Assumption, ...] = ()
    complement: bool = False
    needs: tuple[str, ...] = ()
    absent: str = ""
    says: str = ""

    @property
    def assumptions(self) -> tuple[Assumption, ...]:
        """The terms that are not prices of the list."""
        return tuple(a for a in (*self.over, *self.under) if not a.listed)

    @property
    def ranging(self) -> tuple[Assumption, ...]:
        """The assumptions that make its interval."""
        return tuple(a for a in self.assumptions if a.ranges)

    def overlaps(self, other: Reading) -> bool:
        """Whether some value lies in both intervals."""
        return self.low <= other.high * (1 + 1e-9) and other.low <= self.high * (1 + 1e-9)

    def apart(self, other: Reading) -> float:
        """The factor between two values, 1 or more; infinite where one of them is 0."""
        small, large = sorted((abs(self.value), abs(other.value)))
        return large / small if small else math.inf


def derive(
    key: str,
    name: str,
    unknown: str,
    unit: str,
    over: Sequence[Assumption],
    under: Sequence[Assumption] = (),
    *,
    needs: Sequence[str] = (),
    says: str = "",
) -> Reading:
    """A reading from its terms.

    >>> active = Assumption(name="active parameters", value=100e9, low=50e9, high=300e9, unit="params")
    >>> rate, context = fixed("multiplies per byte", 300), fixed("tokens", 200e3, "tokens")
    >>> found = derive("kv", "context step", "kv_bytes_per_token", "B", [active], [rate, context])
    >>> found.formula
    '100B active parameters / (300 multiplies per byte x 200,000 tokens)'
    >>> round(found.value), round(found.low), round(found.high)
    (1667, 833, 5000)
    """
    value = _quotient([a.value for a in over], [a.value for a in under])
    low = _quotient([a.low for a in over], [a.high for a in under])
    high = _quotient([a.high for a in over], [a.low for a in under])
    return Reading(
        key=key,
        name=name,
        unknown=unknown,
        unit=unit,
        value=value,
        low=low,
        high=high,
        formula=_written(over, under),
        over=tuple(over),
        under=tuple(under),
        needs=tuple(needs),
        says=says,
    )


def complement(of: Reading) -> Reading:
    """One minus a reading."""
    return replace(of, value=1 - of.value, low=1 - of.high, high=1 - of.low, formula="1 − " + of.formula, complement=True)


def lacking(key: str, name: str, unknown: str, needs: Sequence[str], why: str) -> Reading:
    """A reading that the list, or what is known beside it, does not allow."""
    return Reading(key=key, name=name, unknown=unknown, needs=tuple(needs), absent=why)


def _quotient(over: Sequence[float], under: Sequence[float]) -> float:
    return math.prod(over) / math.prod(under)


def _written(over: Sequence[Assumption], under: Sequence[Assumption]) -> str:
    above = " x ".join(_term(a) for a in over)
    if not under:
        return above
    below = " x ".join(_term(a) for a in under)
    return f"{above} / ({below})" if len(under) > 1 else f"{above} / {below}"


def _term(a: Assumption) -> str:
    return f"{a.shown} {a.name}".strip()
