"""Limits of numbers that people give: one record, and one table of the largest of each dimension.

A number outside its limits is a slip of units or of a key, never a question, so it is refused with the limits in the
sentence. Fields of descriptions and machines keep tables of the same records (`world.description`, `world.spec`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .errors import BadInput, shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A number from `least` to `most`; `whole`: without a fraction; `endless`: infinity stands for no end."""

    least: float = 0.0
    most: float = 1e15
    whole: bool = False
    endless: bool = False

    def words(self) -> str:
        """What may be given.

        >>> Limit(least=1, most=4096, whole=True).words()
        'a whole number from 1 to 4,096'
        """
        kind = "a whole number" if self.whole else "a number"
        return f"{kind} from {_plain(self.least)} to {_plain(self.most)}"

    def check(self, value: object, where: str) -> float:
        """The number itself, or the error; text, booleans, NaN and infinity are refused.

        >>> Limit(least=1, most=9, whole=True).check(2.5, "x: layers")
        Traceback (most recent call last):
        ...
        rackmath.errors.BadInput: x: layers = 2.5 is not a whole number; give a whole number from 1 to 9
        """
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadInput(f"{where} = {shown(value)} is not a number; give {self.words()}")
        if self.endless and value == math.inf:
            return value
        if not self.least <= value <= self.most:  # also NaN
            raise BadInput(f"{where} = {shown(value)} is out of range; give {self.words()}")
        if self.whole and value != int(value):
            raise BadInput(f"{where} = {shown(value)} is not a whole number; give {self.words()}")
        return value


def _plain(number: float) -> str:
    return f"{number:,.0f}" if number == int(number) and abs(number) < 1e10 else f"{number:g}"


LEAST_SIZE = 1e-18
"""Quantities nearer to zero than this, and not zero, are slips: no time, price or share is so small."""

DIMENSION_MOST: dict[str, float] = {
    "bytes": 1e21,
    "bytes/s": 1e21,
    "FLOP/s": 1e24,
    "s": 1e12,
    "$/h": 1e12,
    "$": 1e18,
    "W": 1e15,
    "1/s": 1e12,
    "count": 1e33,
    "share": 1e6,
}
"""No quantity is larger than this, by its dimension in SI units; counts include the FLOPs of a training run."""

SETTINGS: dict[str, Limit] = {
    "bytes": Limit(most=1e15),
    "s": Limit(most=3600),
    "share": Limit(least=1e-6, most=1),
    "count": Limit(most=1e6),
    "engine.chunk_tokens": Limit(least=1, most=1e9),
    "efficiency.imbalance": Limit(least=1, most=1e4),
    "efficiency.overlap": Limit(most=1),
    "efficiency.spread": Limit(most=1),
}
"""Limits of what --set gives engines and efficiencies, by its whole name, or else by its dimension.

An `imbalance` is the load of the busiest rank over the mean. `overlap`: a pass is split into two half batches or it
is not. `spread`: no more tokens than there are choose their experts. Models, machines and training have their own.
"""


def check_setting(value: float, dimension: str, name: str) -> float:
    """A value that --set gives, within the limits of its name or of its dimension."""
    return (SETTINGS.get(name) or SETTINGS[dimension]).check(value, name)


def check_size(value: float, given: object, dimension: str, name: str) -> float:
    """A quantity within the limits of its dimension; inputs of questions state tighter ones (`questions.fields`).

    >>> check_size(1e300, "1e300/s", "1/s", "rate")
    Traceback (most recent call last):
    ...
    rackmath.errors.BadInput: rate = '1e300/s' is out of range; give at most 1e+12 in 1/s
    """
    most = DIMENSION_MOST[dimension]
    unit = "" if dimension in ("count", "share") else f" in {dimension}"
    if not abs(value) <= most:
        end = f"at most {_plain(most)}" if value > 0 else f"at least {_plain(-most)}"
        raise BadInput(f"{name} = {shown(given)} is out of range; give {end}{unit}")
    if 0 < abs(value) < LEAST_SIZE:
        raise BadInput(f"{name} = {shown(given)} is out of range; give at least {LEAST_SIZE:g}{unit}, or 0")
    return value
