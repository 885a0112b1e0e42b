"""The families of scaling laws: loss from parameters and tokens, and back. Arithmetic only, on numbers or columns.

Most laws are one shape, with terms that other inputs may change:

    L = (E + A / N^alpha + B / D^beta)^power

Kaplan's law is that shape with a power and no E, a mixture of experts changes A. Others put something else in place
of N and D (repeated data), or know no D at all (routed models), or no loss (a frontier).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ..arrays import Number

Coefficients = Mapping[str, Number]
Inputs = Mapping[str, Number]
"""What a law takes beside parameters and tokens: experts, granularity, sparsity, unique tokens."""

LOW, HIGH = 1.0, 1e40
"""Ends between which a quantity is searched."""


@dataclass(frozen=True, slots=True)
class LossTerms:
    """The shape that most laws share: the floor E, A / N^alpha and B / D^beta, all to a power."""

    E: Number
    A: Number
    alpha: Number
    B: Number
    beta: Number
    power: Number = 1.0

    def of_params(self, n: Number) -> Number:
        return self.A * n**-self.alpha

    def of_tokens(self, d: Number) -> Number:
        return self.B * d**-self.beta

    def loss(self, n: Number, d: Number) -> Number:
        return (self.E + self.of_params(n) + self.of_tokens(d)) ** self.power

    def above(self, loss: Number) -> Number:
        """What the terms of N and D must add up to."""
        return loss ** (1 / self.power) - self.E

    def split(self, product: Number) -> tuple[Number, Number]:
        """Parameters and tokens of the least loss, where their product is given."""
        g = (self.alpha * self.A / (self.beta * self.B)) ** (1 / (self.alpha + self.beta))
        n = g * product ** (self.beta / (self.alpha + self.beta))
        return n, product / n


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A family: its formula, the coefficients it needs, further inputs with the values they take if not given.

    `loss` is None where a family has no loss, `split` where it says nothing about a budget; a family of the common
    shape has `terms`.
    """

    name: str
    formula: str
    coefficients: tuple[str, ...]
    inputs: Mapping[str, float]
    loss: Callable[[Coefficients, Number, Number, Inputs], Number] | None = None
    split: Callable[[Coefficients, Number, Inputs], tuple[Number, Number]] | None = None
    terms: Callable[[Coefficients, Inputs], LossTerms] | None = None
    uses_tokens: bool = True


def _common(name: str, formula: str, coefficients: str, terms: Callable[[Coefficients, Inputs], LossTerms], **inputs: float) -> Form:
    return Form(
        name=name,
        formula=formula,
        coefficients=tuple(coefficients.split()),
        inputs=inputs,
        loss=lambda c, n, d, x: terms(c, x).loss(n, d),
        split=lambda c, k, x: terms(c, x).split(k),
        terms=terms,
    )


def _additive(c: Coefficients, x: Inputs) -> LossTerms:
    return LossTerms(c["E"], c["A"], c["alpha"], c["B"], c["beta"])


def _granular(c: Coefficients, x: Inputs) -> LossTerms:
    return LossTerms(c["E"], c["g"] * x["granularity"] ** -c["gamma"] + c["A"], c["alpha"], c["B"], c["beta"])


def _kaplan(c: Coefficients, x: Inputs) -> LossTerms:
    over = c["alpha_N"] / c["alpha_D"]
    return LossTerms(0.0, c["N_c"] ** over, over, c["D_c"], 1.0, c["alpha_D"])


# --- repeated data -------------------------------------------------------------------------------------------------


def fading(unique: Number, given: Number, half: Number) -> Number:
    """What `given` is worth where only `unique` of it is new and the rest loses value: never above unique (1 + half).

    >>> round(float(fading(1.0, 4.0, 15.387756)), 2), float(fading(1.0, 0.5, 15.4))
    (3.73, 0.5)
    """
    fresh = np.minimum(unique, given)
    worth: Number = fresh * (1 + half * -np.expm1(-(given / fresh - 1) / half))
    return worth


def _repeated_loss(c: Coefficients, n: Number, d: Number, x: Inputs) -> Number:
    fresh = np.minimum(x["unique"], d)
    enough = (c["alpha"] * c["A"] / (c["beta"] * c["B"]) * fresh ** c["beta"]) ** (1 / c["alpha"])
    limited = np.isfinite(x["unique"])  # `enough`: the parameters for which so many tokens have the least loss
    tokens = fading(fresh, d, c["R_D"])
    params = np.where(limited, fading(enough, n, c["R_N"]), n)
    return _additive(c, x).loss(params, tokens)


def _repeated_split(c: Coefficients, product: Number, x: Inputs) -> tuple[Number, Number]:
    free, tokens = _additive(c, x).split(product)
    if np.all(np.isinf(x["unique"])):
        return free, tokens
    n = least(lambda m: _repeated_loss(c, m, product / m, x), free * 1e-4, free * 1e4)
    return n, product / n


# --- routed models -------------------------------------------------------------------------------------------------


def saturated(c: Coefficients, experts: Number) -> Number:
    """The experts a law counts: E_start for a dense model, never above E_max."""
    start = 1 / (1 / c["E_start"] - 1 / c["E_max"])
    found: Number = 1 / (1 / (experts - 1 + start) + 1 / c["E_max"])
    return found


def _routed_loss(c: Coefficients, n: Number, d: Number, x: Inputs) -> Number:
    size, experts = np.log10(n), np.log10(saturated(c, x["experts"]))
    found: Number = 10 ** (c["a"] * size + c["b"] * experts + c["c"] * size * experts + c["d"])
    return found


def effective(c: Coefficients, n: Number, experts: Number) -> Number:
    """Parameters of the dense model with the same loss."""
    start = np.log10(c["E_start"])
    many = np.log10(saturated(c, experts))
    size = np.log10(n)
    found: Number = 10 ** ((c["a"] * size + c["b"] * (many - start) + c["c"] * size * many) / (c["a"] + c["c"] * start))
    return found


def leverage(c: Coefficients, activation: Number, granularity: Number, flops: Number) -> Number:
    """Compute of the dense run over that of the routed one of the same loss: Tian et al. 2025, equations 10 and 13.

    `activation`: experts used over all; `flops`: of the routed run. The paper does not name its logarithms: with
    base 10 of compute and 2 of granularity its two printed results come out, 7x at 1e22 FLOPs (3.1 %, granularity 12)
    and the best granularity near 12; with no others.
    """
    start = 1 / (1 / c["A_start"] - 1 / c["A_max"])
    saturated_activation = 1 / (1 / (activation + start) + 1 / c["A_max"])
    fine = np.log2(granularity)
    power = c["a"] + c["d"] * np.log10(flops) + c["gamma"] * fine**2 + c["beta"] * fine
    found: Number = saturated_activation**power
    return found


# --- sparsity, frontiers --------------------------------------------------------------------------------------------


def _sparse_loss(c: Coefficients, n: Number, d: Number, x: Inputs) -> Number:
    active = 1 - x["sparsity"]
    found: Number = (
        c["a"] * n ** -c["alpha"]
        + c["b"] * d ** -c["beta"]
        + c["c"] * active ** -c["lambda"]
        + c["d"] * active ** -c["delta"] * n ** -c["gamma"]
        + c["e"]
    )
    return found


def _frontier(c: Coefficients, product: Number, x: Inputs) -> tuple[Number, Number]:
    d = c["factor"] * (6 * product) ** c["exponent"]
    return product / d, d


FORMS: Mapping[str, Form] = {
    form.name: form
    for form in (
        _common("additive", "L = E + A / N^alpha + B / D^beta", "E A B alpha beta", _additive),
        _common("granular", "L = E + (g / G^gamma + A) / N^alpha + B / D^beta", "E A B alpha beta g gamma", _granular, granularity=1.0),
        _common("kaplan", "L = ((N_c / N)^(alpha_N / alpha_D) + D_c / D)^alpha_D", "N_c D_c alpha_N alpha_D", _kaplan),
        Form(
            name="repeated",
            formula="L = E + A / N'^alpha + B / D'^beta; D' = U (1 + R_D (1 - e^(-(D/U - 1) / R_D))), N' alike",
            coefficients=("E", "A", "B", "alpha", "beta", "R_D", "R_N"),
            inputs={"unique": np.inf},
            loss=_repeated_loss,
            split=_repeated_split,
        ),
        Form(
            name="routed",
            formula="log L = a log N + b log E^ + c log N log E^ + d; E^ from E_start (dense) up to E_max; base 10",
            coefficients=("a", "b", "c", "d", "E_start", "E_max"),
            inputs={"experts": 1.0},
            loss=_routed_loss,
            uses_tokens=False,
        ),
        Form(
            name="leverage",
            formula="EL = A^^(a + d log10 C + gamma (log2 G)^2 + beta log2 G); A^ from A = used / experts",
            coefficients=("a", "d", "gamma", "beta", "A_start", "A_max"),
            inputs={"experts": 1.0, "granularity": 8.0},
        ),
        Form(
            name="sparse",
            formula="L = a / N^alpha + b / D^beta + c / (1 - S)^lambda + d / ((1 - S)^delta N^gamma) + e",
            coefficients=("a", "b", "c", "d", "e", "alpha", "beta", "gamma", "delta", "lambda"),
            inputs={"sparsity": 0.0},
            loss=_sparse_loss,
        ),
        Form(
            name="frontier",
            formula="D* = factor x C^exponent, N* = C / (6 D*)",
            coefficients=("factor", "exponent"),
            inputs={},
            split=_frontier,
        ),
    )
}


# --- two searches ---------------------------------------------------------------------------------------------------


def crossing(f: Callable[[Number], Number], target: Number, *, rising: bool) -> Number:
    """Where a monotone function of a positive number meets a target, by halving in its logarithm; else NaN.

    >>> round(float(crossing(lambda x: x**0.5, 1e6, rising=True)))
    1000000000000
    """
    low, high = np.log(LOW), np.log(HIGH)
    low, high = low + 0 * target, high + 0 * target
    sign = 1.0 if rising else -1.0
    for _ in range(100):
        middle = (low + high) / 2
        below = sign * f(np.exp(middle)) < sign * target
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    found = np.exp((low + high) / 2)
    reached = (sign * f(HIGH + 0 * target) >= sign * target) & (sign * f(LOW + 0 * target) <= sign * target)
    return np.where(reached, found, np.nan)


def least(f: Callable[[Number], Number], low: Number, high: Number) -> Number:
    """Where a function of one positive number with a single valley is least, by golden sections of its logarithm."""
    golden = (np.sqrt(5) - 1) / 2
    a, b = np.log(low), np.log(high)
    for _ in range(90):
        c, d = b - golden * (b - a), a + golden * (b - a)
        left = f(np.exp(c)) < f(np.exp(d))
        a, b = np.where(left, a, c), np.where(left, d, b)
    return np.exp((a + b) / 2)
