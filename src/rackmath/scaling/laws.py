"""A scaling law as a record: coefficients, what they count, the runs behind them, and what the law refuses to say.

Everything stands in `data/facts/laws.toml`; draws of two laws stand in `data/fitted/law_draws.csv`, written by
`tools/law_draws.py` from the published runs.

>>> law("besiroglu").exponent
0.5126...
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import shipped
from ..arrays import Mask, Number
from ..errors import BadInput, unknown
from ..units import show
from .forms import FORMS, Coefficients, Form

Column = NDArray[np.float64]

UNITS = {"params": "params", "tokens": "tokens", "flops": "FLOP"}
"""Units of the quantities of a box; the others are pure numbers."""

WORDS = {
    "params": "parameters",
    "tokens": "tokens",
    "flops": "training compute",
    "tokens_per_param": "tokens per parameter",
    "experts": "experts",
    "granularity": "granularity",
    "sparsity": "sparsity",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """One law. Coefficients may be columns: `draws` makes such a law.

    `params`: which parameters N counts; `active`: the active ones over those counted, None where that is unknown;
    `box`: quantity to the ends of the runs fitted; `refuses`: quantity to the reason; `sample`: fits of resampled
    runs, a column for each coefficient.
    """

    name: str
    title: str
    form: str
    coefficients: Coefficients
    params: str
    data: str
    source: str
    date: str
    standing: str
    box: Mapping[str, tuple[float, float]]
    active: float | None = None
    printed: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, float] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    refuses: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    sample: Mapping[str, Column] | None = None

    @property
    def family(self) -> Form:
        return FORMS[self.form]

    @property
    def exponent(self) -> Number | None:
        """a in N* ~ C^a, where the law has one."""
        c = self.coefficients
        if self.form == "frontier":
            return 1 - c["exponent"]
        if self.family.terms is None or "flops" in self.refuses:
            return None
        return c["beta"] / (c["alpha"] + c["beta"])


@cache
def laws() -> Mapping[str, Law]:
    """Every packaged law by name, in the order of the file."""
    raw = shipped.read(shipped.FACTS / "laws.toml")
    rows = list(csv.DictReader((shipped.FITTED / "law_draws.csv").read_text(encoding="utf-8").splitlines()))
    return {name: _law(name, given, [row for row in rows if row["law"] == name]) for name, given in raw.items()}


def _law(name: str, given: Mapping[str, Any], drawn: list[dict[str, str]]) -> Law:
    form = FORMS[given["form"]]
    missing = set(form.coefficients) ^ set(given["coefficients"])
    if missing:
        raise BadInput(f"law {name} has other coefficients than its form {form.name}: {', '.join(sorted(missing))}")
    changes = {
        "box": {key: (float(ends[0]), float(ends[1])) for key, ends in given["box"].items()},
        "intervals": {key: (float(ends[0]), float(ends[1])) for key, ends in given.get("intervals", {}).items()},
        "notes": tuple(given.get("notes", ())),
    }
    if drawn:
        changes["sample"] = {key: np.array([float(row[key]) for row in drawn]) for key in form.coefficients}
    return Law(name=name, **(dict(given) | changes))


def law(name: str | Law) -> Law:
    """The law of this name.

    >>> law("hofman")
    Traceback (most recent call last):
    ...
    rackmath.errors.BadInput: unknown law 'hofman'; did you mean hoffmann?; rackmath law lists all
    """
    if isinstance(name, Law):
        return name
    found = laws().get(name.strip().lower())
    if found is None:
        raise unknown("law", name, laws(), hint="; rackmath law lists all")
    return found


def as_printed(given: Law) -> Law:
    """The law with the rounded coefficients of its paper.

    >>> as_printed(law("hoffmann")).coefficients["beta"]
    0.28
    """
    if not given.printed:
        raise BadInput(f"{given.name} has no coefficients printed otherwise; leave out --printed")
    return replace(given, title=f"{given.title}, as printed", coefficients=dict(given.coefficients) | dict(given.printed), sample=None)


def draws(given: Law, n: int = 1000, seed: int = 0) -> Law:
    """The law with n draws of its coefficients as columns, for intervals: fits of resampled runs.

    >>> many = draws(law("besiroglu"), 4, seed=1)
    >>> many.coefficients["alpha"].shape
    (4,)
    """
    if given.sample is None:
        raise BadInput(
            f"{given.name} was published without the runs or a covariance of its coefficients, so it has no"
            f" interval; compare it with other laws, or take one of {', '.join(drawn())}"
        )
    rng = np.random.default_rng(seed)
    size = len(next(iter(given.sample.values())))
    rows = rng.permutation(size)[:n] if n <= size else rng.integers(0, size, n)
    return replace(given, coefficients={key: column[rows] for key, column in given.sample.items()}, sample=None)


def drawn() -> tuple[str, ...]:
    """Names of the packaged laws that have draws."""
    return tuple(name for name, one in laws().items() if one.sample is not None)


# --- the box --------------------------------------------------------------------------------------------------------


def inside(given: Law, quantities: Mapping[str, Number]) -> Mask:
    """Whether quantities lie within the box; those it does not name, or that are not known, do."""
    within: Mask = np.bool_(_sized(given))
    for key in given.box:
        if key in quantities:
            within = within & _within(given, key, quantities[key])
    return within


def beyond(given: Law, quantities: Mapping[str, Number]) -> tuple[str, ...]:
    """One clause for each quantity that leaves the box, somewhere in its column; empty within.

    >>> beyond(law("besiroglu"), {"params": 70e9, "tokens": 1e11})
    ('parameters 70.0 B, fitted on 57.3 M to 16.2 B',)
    """
    found = [] if _sized(given) else ["the sizes of its runs are not known"]
    for key in given.box:
        if key in quantities and not np.all(_within(given, key, quantities[key])):
            low, high = given.box[key]
            least, most = (float(end(np.asarray(quantities[key], dtype=float))) for end in (np.nanmin, np.nanmax))
            told = amount(most if most > high else least, key)
            found.append(f"{WORDS[key]} {told}, fitted on {amount(low, key)} to {amount(high, key)}")
    return tuple(found)


def _sized(given: Law) -> bool:
    """Whether the box says how large the runs were."""
    return "params" in given.box or "flops" in given.box


def _within(given: Law, key: str, value: Number) -> Mask:
    low, high = given.box[key]
    return ~np.asarray((value < low * (1 - 1e-9)) | (value > high * (1 + 1e-9)))


def amount(value: float, key: str) -> str:
    """A quantity for people.

    >>> amount(1.4e12, "tokens"), amount(5.76e23, "flops"), amount(20.4, "tokens_per_param")
    ('1.40 T', '5.76e+23', '20.4')
    """
    if key == "flops":
        return f"{value:.3g}"
    unit = UNITS.get(key, "")
    if not unit:
        return f"{value:,.0f}" if float(value).is_integer() else show(float(value))
    return show(float(value), unit).removesuffix(f" {unit}").removesuffix(unit)
