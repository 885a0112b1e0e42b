"""How sure an allocation is: draws of the law and of what nobody knows well, and one input at a time moved.

A range is a low end, a value and a high end. Draws take the value as their median and the ends as 5 and 95 %, each
side a half of a normal distribution in the logarithm. All draws go through the rules at once, as columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import BadInput, unknown
from ...scaling import drift
from ...scaling.laws import Law
from .split import TRAIN_FLOPS, Problem, Split, split

Column = NDArray[np.float64]
Ends = tuple[float, float]

AT_95 = 1.6449
"""Standard deviations from the median to the 95 % point of a normal distribution."""

QUANTITIES = ("params", "tokens", "rl_tokens", "served", "tokens_per_param", "over_rule", "over_law", "share", "total", "dollars", "loss")

USUAL: Mapping[str, Ends] = {"rl_flops": (2.0, 6.0), "efficiency": (0.2, 0.5), "share": (0.2, 0.5)}
"""Low and high ends where none are given."""

FACTORS: Mapping[str, Ends] = {
    "rate": (0.5, 2.0),
    "months": (0.5, 2.0),
    "active": (0.5, 2.0),
    "flops": (0.5, 2.0),
    "dollars": (0.5, 2.0),
    "ship": (0.5, 1.0),
    "mfu": (0.75, 1.25),
    "per_hour": (0.6, 1.5),
}
"""Ends over the value, where none are given."""

UNSURE = ("rl_flops", "efficiency", "mfu", "per_hour")
"""Inputs that nobody states exactly: they are drawn. The others are what is asked, and are only moved."""

ASKED_AS: Mapping[str, str] = {"rate": "traffic", "dollars": "budget", "per_hour": "price"}
"""What inputs are called where one asks, if otherwise."""

AT_MOST_ONE = ("share", "ship", "mfu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Swing:
    """One input moved to its ends, all others kept: what the answer becomes. `ends` are None for the law."""

    name: str
    ends: Ends | None
    low: float
    high: float
    labels: tuple[str, str] = ("", "")

    @property
    def size(self) -> float:
        """Factor between the two answers."""
        return max(self.low, self.high) / min(self.low, self.high)


def value_of(of: Problem, name: str) -> float | None:
    """The value of an input; "share" is that of pre-training in the split begun from."""
    found = of.shares[0] if name == "share" else getattr(of, name)
    return None if found is None else float(found)


def changed(of: Problem, values: Mapping[str, Any]) -> Problem:
    """The problem with inputs replaced; another share of pre-training leaves RL and inference in proportion."""
    rest = dict(values)
    share = rest.pop("share", None)
    if share is not None:
        pre, rl, inference = of.shares
        scale = (1 - share) / (1 - pre)
        rest["shares"] = (share, rl * scale, inference * scale)
    return replace(of, **rest)


def ranges(of: Problem, given: Mapping[str, Ends] | None = None) -> dict[str, Ends]:
    """Low and high ends of every input that this problem has."""
    own = dict(given or {})
    known = (*USUAL, *FACTORS)
    for name in own:
        if name not in known:
            raise unknown("input with a range", name, [ASKED_AS.get(one, one) for one in known])
    found = {}
    for name in known:
        value, called = value_of(of, name), ASKED_AS.get(name, name)
        if value is None or value <= 0:
            if name in own:
                raise BadInput(f"a range of {called} is given, but {called} plays no part here; leave it out")
            continue
        if name in own:
            low, high = own[name]
            if low <= 0:
                raise BadInput(f"the range of {called} begins at {low:g}; give ends above 0")
        elif name in USUAL:
            low, high = min(USUAL[name][0], value), max(USUAL[name][1], value)
        else:
            low, high = (value * factor for factor in FACTORS[name])
        if name in AT_MOST_ONE:
            high = min(high, 1.0)
        if not 0 < low <= value <= high:
            raise BadInput(f"the range {low:g}..{high:g} of {called} does not hold its value {value:g}; widen it")
        found[name] = (low, high)
    return found


def drawn(of: Problem, mode: str, names: Iterable[str], ends: Mapping[str, Ends], n: int, seed: int = 0) -> Problem:
    """The problem with n draws of its law, wider beyond the law's box, and of the inputs named, as columns."""
    rng = np.random.default_rng(seed)
    values: dict[str, Any] = {}
    for name in names:
        value = value_of(of, name)
        assert value is not None
        values[name] = _sampled(value, ends[name], rng.standard_normal(n))
        if name in AT_MOST_ONE:
            values[name] = np.minimum(values[name], 1.0)
    return changed(replace(of, law=_drawn_law(of, mode, n, seed) or of.law), values)


def _drawn_law(of: Problem, mode: str, n: int, seed: int = 0) -> Law | None:
    """Draws of the law for the run of a split: its own, and drift of its exponents beyond its box."""
    at = split(of, mode)
    return drift.wider(of.law, drift.edge(of.law, at.params / of.active_share, at.tokens), n, seed)


def _sampled(value: float, ends: Ends, z: Column) -> Column:
    """Draws around a value: its median, the ends at 5 and 95 %."""
    down, up = np.log(value / ends[0]) / AT_95, np.log(ends[1] / value) / AT_95
    made: Column = value * np.exp(np.where(z < 0, down, up) * z)
    return made


def intervals(
    of: Problem, mode: str, ends: Mapping[str, Ends], *, chosen: Iterable[str] = (), n: int = 10_000, seed: int = 0
) -> dict[str, Ends]:
    """5 and 95 % of every quantity of a split, over draws of the law, of `UNSURE` inputs and of those chosen.

    Beyond the box of the law its exponents drift (`scaling.drift`), so intervals grow with the distance.
    """
    names = [name for name in ends if name in UNSURE or name in chosen]
    found = split(drawn(of, mode, names, ends, n, seed), mode)
    return {key: quantiles(getattr(found, key)) for key in QUANTITIES}


def quantiles(column: Any) -> Ends:
    """5 and 95 %; NaN where more than a twentieth of the draws have no answer."""
    values = np.atleast_1d(np.asarray(column, dtype=float))
    known = values[np.isfinite(values)]
    if len(known) < 0.95 * len(values):
        return (float("nan"), float("nan"))
    low, high = np.quantile(known, [0.05, 0.95])
    return float(low), float(high)


def tornado(
    of: Problem, mode: str, quantity: str, ends: Mapping[str, Ends], others: Iterable[Law] = (), *, n: int = 2000
) -> tuple[Swing, ...]:
    """What a quantity depends on, the strongest first: inputs moved to their ends, the law's coefficients drawn, and
    other laws in its place."""

    def asked(problem: Problem) -> float:
        return float(getattr(split(problem, mode), quantity))

    found = [
        Swing(name=name, ends=pair, low=asked(changed(of, {name: pair[0]})), high=asked(changed(of, {name: pair[1]})))
        for name, pair in ends.items()
    ]
    many = _drawn_law(of, mode, n)
    if many is not None:
        low, high = quantiles(getattr(split(replace(of, law=many), mode), quantity))
        found.append(Swing(name="coefficients of the law", ends=None, low=low, high=high, labels=("5 %", "95 %")))
    by_law = {one.name: asked(replace(of, law=one)) for one in (of.law, *others)}
    by_law = {name: value for name, value in by_law.items() if np.isfinite(value)}
    if len(by_law) > 1:
        first, last = min(by_law, key=lambda k: by_law[k]), max(by_law, key=lambda k: by_law[k])
        found.append(Swing(name="the law", ends=None, low=by_law[first], high=by_law[last], labels=(first, last)))
    known = [s for s in found if np.isfinite(s.low) and np.isfinite(s.high) and s.size > 1 + 1e-6]
    return tuple(sorted(known, key=lambda s: -s.size))


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Cost at one loss against tokens per parameter, as columns in FLOP of training."""

    tokens_per_param: Column
    params: Column
    pre: Column
    rest: Column  # RL and inference

    @property
    def total(self) -> Column:
        return self.pre + self.rest


def curve(of: Problem, start: Split, *, points: int = 200) -> Curve:
    """Models of the loss of `start`, from as small as can reach it to twice the size that trains for least."""
    t = of.terms
    room = t.above(start.loss)
    share = np.linspace(0.02, 0.98, 20 * points)  # of the room that the term of parameters takes
    params = (t.A / (room * share)) ** (1 / t.alpha) * of.active_share
    tokens = (t.B / (room * (1 - share))) ** (1 / t.beta)
    k = (start.rl + start.inference) / start.params
    total = params * (TRAIN_FLOPS * tokens + k)
    near = np.flatnonzero(total < 4 * total.min())
    rows = np.unique(near[np.round(np.linspace(0, len(near) - 1, points)).astype(int)])
    return Curve(
        tokens_per_param=(tokens / params)[rows], params=params[rows], pre=(TRAIN_FLOPS * params * tokens)[rows], rest=(k * params)[rows]
    )
