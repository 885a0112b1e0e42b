"""Fit L(N, D) = E + A / N^alpha + B / D^beta to runs of one's own. Needs the extra `fit` (scipy).

As in Hoffmann et al. 2022, section 3.3, and Besiroglu et al. 2024: the Huber loss of the difference of logarithms,
with a turn at 1e-3, summed over the runs and minimised by a quasi-Newton method from many starts. Intervals come
from fits of the runs drawn again with replacement, each started at the fit.

The unknowns are log E, alpha, beta and the logarithms of the terms of N and D at the mean run (on a logarithmic
scale), so that all stay positive and hardly depend on one another: log A and alpha themselves correlate by 0.999.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput
from .laws import Law

Column = NDArray[np.float64]

TURN = 1e-3
"""Difference of logarithms at which the Huber loss turns from a parabola into a line."""

LEAST_RUNS = 10
LEAST_FALL, LEAST_EXPONENT, CLOSEST = 1.01, 1e-3, 0.9999
"""Runs that tell nothing: the highest loss over the lowest, an exponent of the fit, and the correlation of the
logarithms of parameters and tokens."""

NAMES = ("E", "A", "B", "alpha", "beta")


@dataclass(frozen=True, slots=True, kw_only=True)
class LawRuns:
    """Finished training runs, as columns: parameters, tokens, loss in nats per token."""

    params: Column
    tokens: Column
    loss: Column

    def __len__(self) -> int:
        return len(self.loss)


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedLaw:
    """A law fitted to runs. `residuals`: log of the loss fitted over the loss measured, for each run."""

    law: Law
    runs: LawRuns
    residuals: Column
    resamples: int

    def interval(self, name: str, share: float = 0.9) -> tuple[float, float]:
        """The ends between which this share of the resampled fits lies."""
        assert self.law.sample is not None
        low, high = np.quantile(self.law.sample[name], [(1 - share) / 2, (1 + share) / 2])
        return float(low), float(high)


def fit(runs: LawRuns, *, name: str = "fit", resamples: int = 200, seed: int = 0) -> FittedLaw:
    """The law of these runs, with fits of resampled runs as its sample.

    >>> n, d = (np.repeat(np.geomspace(1e8, 1e10, 5), 5), np.tile(np.geomspace(1e9, 1e12, 5), 5))
    >>> made = fit(LawRuns(params=n, tokens=d, loss=1.8 + 480 / n**0.35 + 2100 / d**0.37), resamples=2)
    >>> round(float(made.law.coefficients["beta"]), 3)
    0.37
    """
    _fit_for_it(runs)
    mean = np.log(runs.params).mean(), np.log(runs.tokens).mean()
    logs = np.log(runs.params) - mean[0], np.log(runs.tokens) - mean[1], np.log(runs.loss)
    best = _from_many_starts(*logs)
    _falls(best)
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(resamples):
        weights = np.bincount(rng.integers(0, len(runs), len(runs)), minlength=len(runs)).astype(float)
        found.append(_minimised(best, *logs, weights).x)
    predicted, _ = _predicted(best, logs[0], logs[1])
    made = Law(
        name=name,
        title=f"fitted to {len(runs)} runs",
        form="additive",
        coefficients={key: float(value) for key, value in zip(NAMES, _plain(best, *mean), strict=True)},
        params="as in the runs",
        data="as in the runs",
        active=1.0,
        box={"params": _ends(runs.params), "tokens": _ends(runs.tokens), "tokens_per_param": _ends(runs.tokens / runs.params)},
        source=name,
        date="",
        standing="fitted here",
    )
    if found:
        columns = _plain(np.array(found).T, *mean)
        made = replace(made, sample=dict(zip(NAMES, columns, strict=True)))
    return FittedLaw(law=made, runs=runs, residuals=predicted - logs[2], resamples=resamples)


def _fit_for_it(runs: LawRuns) -> None:
    for name, column in (("params", runs.params), ("tokens", runs.tokens), ("loss", runs.loss)):
        if not np.all(np.isfinite(column) & (column > 0)):
            raise BadInput(
                f"{name} of run {int(np.argmin(np.isfinite(column) & (column > 0))) + 1} is not a number"
                " above 0; correct or leave out that run"
            )
    if len(runs) < LEAST_RUNS:
        few = "1 run is" if len(runs) == 1 else f"{len(runs)} runs are"
        raise BadInput(f"{few} too few for five coefficients; give at least {LEAST_RUNS}")
    for name, column in (("parameters", runs.params), ("tokens", runs.tokens)):
        if column.max() < 3 * column.min():
            raise BadInput(
                f"{name} range from {column.min():.3g} to {column.max():.3g}, less than threefold, so their exponent"
                " cannot be seen; add runs of other sizes"
            )
    if runs.loss.max() < LEAST_FALL * runs.loss.min():
        raise BadInput(
            f"losses range from {runs.loss.min():.4g} to {runs.loss.max():.4g}, so no exponent can be seen; add runs that end apart"
        )
    if abs(np.corrcoef(np.log(runs.params), np.log(runs.tokens))[0, 1]) > CLOSEST:
        raise BadInput(
            "parameters and tokens of the runs grow together, so their terms cannot be told apart; add runs with other tokens per parameter"
        )


def _falls(x: Column) -> None:
    """Refuse a fit in which more parameters, or more tokens, do not lower the loss."""
    for name, value in (("parameters", x[3]), ("tokens", x[4])):
        if not value > LEAST_EXPONENT:
            raise BadInput(
                f"the loss of these runs does not fall with {name} (exponent {value:.2g}); are the columns right? give runs of other sizes"
            )


def _ends(column: Column) -> tuple[float, float]:
    return float(column.min()), float(column.max())


def _plain(x: Column, n: float, d: float) -> Column:
    """E, A, B, alpha, beta from the unknowns; n and d are the mean logarithms of parameters and tokens."""
    return np.stack([np.exp(x[2]), np.exp(x[0] + x[3] * n), np.exp(x[1] + x[4] * d), x[3], x[4]])


def _predicted(x: Column, n: Column, d: Column) -> tuple[Column, Column]:
    """The logarithm of the loss, and the share of each term in the loss."""
    terms = np.stack([x[0] - x[3] * n, x[1] - x[4] * d, np.full_like(n, x[2])])
    top = terms.max(axis=0)
    shares = np.exp(terms - top)
    total = shares.sum(axis=0)
    return top + np.log(total), shares / total


def _objective(x: Column, n: Column, d: Column, y: Column, weights: Column) -> tuple[float, Column]:
    """The summed Huber loss over its turn, and its gradient."""
    predicted, p = _predicted(x, n, d)
    off = (predicted - y) / TURN
    size = np.abs(off)
    loss = TURN * np.where(size <= 1, 0.5 * off**2, size - 0.5)
    g = p * np.clip(off, -1, 1) * weights
    return float((loss * weights).sum()), np.array([*g.sum(axis=1), -(g[0] * n).sum(), -(g[1] * d).sum()])


def _minimised(start: Column, n: Column, d: Column, y: Column, weights: Column) -> Any:
    try:
        from scipy.optimize import minimize
    except ImportError as error:
        raise BadInput("fitting needs scipy; install it with: pip install 'rackmath[fit]'") from error
    options = {"gtol": 1e-6, "maxiter": 500}
    return minimize(_objective, start, args=(n, d, y, weights), jac=True, method="BFGS", options=options)


def _from_many_starts(n: Column, d: Column, y: Column) -> Column:
    """The best of fits from a grid of starts, taken up once more where it stopped."""
    ones = np.ones_like(y)
    starts = [np.array([a, b, y.min() - e, 0.3, 0.3]) for a, b, e in product((-2.0, -0.5), (-2.0, -0.5), (0.1, 0.7))]
    best = min((_minimised(x, n, d, y, ones) for x in starts), key=lambda one: float(one.fun))
    found: Column = _minimised(best.x, n, d, y, ones).x
    return found


def distances(fitted: FittedLaw) -> Mapping[str, float]:
    """How well the law meets its runs: in relative loss, the median and the largest distance."""
    off = np.abs(np.expm1(fitted.residuals))
    return {"median": float(np.median(off)), "largest": float(off.max())}
