"""Standard scores that suppositions are made of, drawn from the prior or nearer to where prices are likely.

Every belief turns one standard normal score into a value, so a prior over suppositions is a standard normal in as
many dimensions. Where few prior draws count, a normal is laid over those that do (their likelihood tempered until
enough of them count), and draws come from a mixture of it and the prior, weighed by the ratio of the densities. A
part of all draws is still of the prior, so no weight grows beyond one over that part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]

OF_PRIOR = 0.25
WIDER = 1.15  # deviations of a proposal over those of the draws it was laid over
ENOUGH = 600.0  # effective draws that a proposal is laid over


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A normal over scores: mean, and the lower triangle whose product with its transpose is the covariance."""

    mean: Column
    triangle: Column


def scores(n: int, dimensions: int, rng: np.random.Generator, proposal: Proposal | None) -> tuple[Column, Column]:
    """Scores (dimensions, n), and the logarithm of the prior's density over that of what they were drawn from.

    >>> there = Proposal(mean=np.array([2.0, 0.0]), triangle=np.eye(2))
    >>> z, weight = scores(50_000, 2, np.random.default_rng(0), there)
    >>> round(float(np.average(z[0], weights=np.exp(weight))), 1), round(float(np.exp(weight).max()))
    (0.0, 4)
    """
    z = rng.standard_normal((dimensions, n))
    if proposal is None:
        return z, np.zeros(n)
    moved = rng.random(n) >= OF_PRIOR
    z = np.where(moved, proposal.mean[:, None] + proposal.triangle @ z, z)
    inner = np.linalg.solve(proposal.triangle, z - proposal.mean[:, None])
    nearer = -0.5 * np.sum(inner * inner, axis=0) - float(np.sum(np.log(np.diag(proposal.triangle))))
    ratio = nearer + 0.5 * np.sum(z * z, axis=0)
    return z, -np.logaddexp(np.log(OF_PRIOR), np.log1p(-OF_PRIOR) + ratio)


def effective(log_weight: Column) -> float:
    """Draws that would say as much if all counted alike: (sum w)^2 / sum w^2.

    >>> round(effective(np.zeros(100)), 6), round(effective(np.array([0.0, -50.0])), 6)
    (100.0, 1.0)
    """
    top = log_weight.max(initial=-np.inf)
    if not np.isfinite(top):
        return 0.0
    w = np.exp(log_weight - top)
    return float(w.sum() ** 2 / np.sum(w * w))


def adapted(z: Column, prior: Column, likelihood: Column) -> tuple[Proposal | None, float]:
    """A proposal over the draws that count, and the power to which their likelihood had to be tempered; 1 for not.

    `prior`: logarithms of the weights without prices; `likelihood`: logarithms of the likelihood. None where not even
    the prior's weights leave enough draws.
    """
    alike = np.where(np.isfinite(likelihood), likelihood, -np.inf)
    power = 1.0
    while effective(prior + power * alike) < ENOUGH and power > 1e-3:
        power *= 0.75
    log_weight = prior + power * alike
    if effective(log_weight) < len(z) * 4:
        return None, power
    w = np.exp(log_weight - log_weight.max())
    w /= w.sum()
    mean = z @ w
    off = z - mean[:, None]
    covariance = WIDER**2 * (off * w) @ off.T + 1e-3 * np.eye(len(z))
    return Proposal(mean=mean, triangle=np.linalg.cholesky(covariance)), power
