"""Beyond the box of a law its interval is widened, the more the farther: exponents are taken to drift.

Within the runs a law's interval is that of its coefficients. Nothing says that its exponents hold beyond, and the
exponents of published laws differ from each other far more than their errors tell. So beyond the edge of the box each
exponent is drawn anew, `DRIFT` of itself to either side as a standard deviation. The curve bends at the edge, not
before it: loss and, where the form has a floor to take up the difference, slope stay what they were there. So an
interval is continuous at the edge of the box and grows with the logarithm of the distance.

`DRIFT` is how far the exponents of two laboratories are apart: a in N* ~ C^a has a standard deviation of 0.036 over
seven published laws of dense models, so 0.051 between two of them, which is what 15 % on alpha and on beta gives; a
law's growth from the edge on then holds that of another in 9 of 10 cases (`tests/scaling/test_drift.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..arrays import Number
from .forms import Coefficients
from .laws import Law, draws

Column = NDArray[np.float64]

DRIFT = 0.15
"""Standard deviation of the logarithm of an exponent beyond the box."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """The point of a law's box nearest to a question, and which quantities of the question are `out` of the box."""

    params: float = np.nan
    tokens: float = np.nan
    flops: float = np.nan
    out: tuple[str, ...] = ()


def edge(given: Law, params: Number, tokens: Number, flops: Number = np.nan) -> Edge:
    """Where a question left the box: parameters, tokens and compute held to it, one after the other.

    >>> from rackmath.scaling.laws import law
    >>> edge(law("besiroglu"), 100e9, 1e11)
    Edge(params=16200000000.0, tokens=100000000000.0, flops=nan, out=('params',))
    """
    n, d, c = float(params), float(tokens), float(flops)
    ratio = given.box.get("tokens_per_param", (0.0, np.inf))
    near_n, near_c = _held(n, given.box.get("params")), _held(c, given.box.get("flops"))
    near_d = _held(_held(d, given.box.get("tokens")), (ratio[0] * near_n, ratio[1] * near_n))
    asked, near = {"params": n, "tokens": d, "flops": c}, {"params": near_n, "tokens": near_d, "flops": near_c}
    return Edge(**near, out=tuple(key for key, value in asked.items() if not _same(value, near[key])))


def _held(value: float, ends: tuple[float, float] | None) -> float:
    return value if ends is None or not np.isfinite(value) else min(max(value, ends[0]), ends[1])


def _same(a: float, b: float) -> bool:
    return not np.isfinite(a) or abs(b / a - 1) < 1e-9


def wider(given: Law, at: Edge, n: int = 1000, seed: int = 0) -> Law | None:
    """The law as n draws for an interval at a point beyond its box: its own draws, if it has any, and drift.

    None where there is nothing to draw: a law without draws, asked within its box, or one whose box says no sizes.

    >>> from rackmath.scaling.laws import law
    >>> far = Edge(params=16e9, out=("params",))
    >>> wider(law("hoffmann"), Edge()) is None, wider(law("hoffmann"), far).coefficients["alpha"].shape
    (True, (1000,))
    """
    bend = BENDS.get(given.form)
    bent = bend is not None and bool(at.out)
    if given.sample is None and not bent:
        return None
    of = given if given.sample is None else draws(given, n, seed)
    if not bent or bend is None:
        return of
    rng = np.random.default_rng([seed, 1])
    z = {name: rng.standard_normal(n) for name in ("params", "tokens", "flops")}
    changed = bend(of.coefficients, at, z)
    columns = {key: np.broadcast_to(value, (n,)) for key, value in (dict(of.coefficients) | changed).items()}
    return replace(of, coefficients=columns, sample=None)


# --- one function for each form -------------------------------------------------------------------------------------


def _term(factor: Number, exponent: Number, start: float, z: Column) -> tuple[Number, Number, Number]:
    """Factor and exponent of a falling term beyond `start`, and what the floor takes up.

    The slope at `start` is that of factor / x^exponent, and so is the value with the floor's share.
    """
    other = exponent * np.exp(DRIFT * z)
    scale = exponent / other * start ** (other - exponent)
    return factor * scale, other, factor * start**-exponent * (1 - exponent / other)


def _additive(c: Coefficients, at: Edge, z: Mapping[str, Column]) -> dict[str, Number]:
    found: dict[str, Number] = {"E": c["E"]}
    for factor, exponent, name in (("A", "alpha", "params"), ("B", "beta", "tokens")):
        if name in at.out:
            found[factor], found[exponent], floor = _term(c[factor], c[exponent], getattr(at, name), z[name])
            found["E"] = found["E"] + floor
    return found


def _granular(c: Coefficients, at: Edge, z: Mapping[str, Column]) -> dict[str, Number]:
    """As the sum of two terms, the factor of parameters being of one expert; g follows it."""
    found = _additive({**c, "A": c["A"] + c["g"]}, at, z)
    if "A" in found:
        scale = found["A"] / (c["A"] + c["g"])
        found |= {"A": c["A"] * scale, "g": c["g"] * scale}
    return found


def _kaplan(c: Coefficients, at: Edge, z: Mapping[str, Column]) -> dict[str, Number]:
    """No floor takes up the difference: the value at the edge is kept, not the slope."""
    found: dict[str, Number] = {}
    for factor, exponent, start, name in (("N_c", "alpha_N", at.params, "params"), ("D_c", "alpha_D", at.tokens, "tokens")):
        if name in at.out:
            found[exponent] = c[exponent] * np.exp(DRIFT * z[name])
            found[factor] = start * (c[factor] / start) ** (c[exponent] / found[exponent])
    return found


def _routed(c: Coefficients, at: Edge, z: Mapping[str, Column]) -> dict[str, Number]:
    """How the gain of experts changes with size, from the edge on."""
    if "params" not in at.out:
        return {}
    other = c["c"] * np.exp(DRIFT * z["params"])
    return {"c": other, "b": c["b"] + (c["c"] - other) * np.log10(at.params)}


def _frontier(c: Coefficients, at: Edge, z: Mapping[str, Column]) -> dict[str, Number]:
    """The exponent of D* ~ C^b: what drift of alpha and beta does to it, a b (d ln alpha - d ln beta)."""
    if "flops" not in at.out:
        return {}
    b = c["exponent"]
    other = b + b * (1 - b) * DRIFT * np.sqrt(2) * z["flops"]
    return {"exponent": other, "factor": c["factor"] * at.flops ** (b - other)}


def _leverage(c: Coefficients, at: Edge, z: Mapping[str, Column]) -> dict[str, Number]:
    """How the gain grows with compute, from the edge on."""
    if "flops" not in at.out:
        return {}
    other = c["d"] * np.exp(DRIFT * z["flops"])
    return {"d": other, "a": c["a"] + (c["d"] - other) * np.log10(at.flops)}


BENDS: Mapping[str, Callable[[Coefficients, Edge, Mapping[str, Column]], dict[str, Number]]] = {
    "additive": _additive,
    "granular": _granular,
    "repeated": _additive,
    "kaplan": _kaplan,
    "routed": _routed,
    "frontier": _frontier,
    "leverage": _leverage,
}
"""What drifts, by form; the sparse form's box says no sizes, so there is no edge to drift from."""
