"""Prior and posterior of an unknown as smooth densities: kernel estimates from the histograms of its draws."""

from __future__ import annotations

import math

import numpy as np

from .inverse import Column, Posterior

TAIL = 0.005  # of prior and posterior beyond either end of a picture


def densities(p: Posterior, points: int, effective: float, draws: float) -> tuple[Column, Column, Column]:
    """Points evenly spaced on a logarithmic scale, and the prior and the posterior density over that scale.

    Margins are taken as price over cost, 1 / (1 - margin). The bandwidth is Silverman's rule of thumb (Density
    Estimation, 1986, eq. 3.31) on `draws` of the prior and the `effective` sample size of the posterior. Each density
    integrates to 1 over the natural logarithm of the unknown, less what its kernel carries past the ends.

    >>> edges = np.exp(np.linspace(-3.0, 3.0, 121))
    >>> mass = np.diff(np.exp(-np.log(edges) ** 2))
    >>> mass = np.abs(mass) / np.abs(mass).sum()
    >>> even = np.full(120, 1 / 120)
    >>> one = Posterior(name="active_params", unit="count", says="", prior=(0,) * 5, posterior=(0,) * 5, bits=0.0,
    ...                 edges=edges, before=even, after=mass)
    >>> at, prior, posterior = densities(one, 100, 1000.0, 1000.0)
    >>> areas = [float(np.trapezoid(part, np.log(at))) for part in (prior, posterior)]
    >>> [0.93 < area < 1.001 for area in areas]
    [True, True]
    """
    edges, markup = np.asarray(p.edges), p.name.startswith("margin")
    scale = -np.log1p(-np.minimum(edges, 1 - 1e-9)) if markup else np.log(np.maximum(edges, 1e-300))
    heads = [np.concatenate([[0.0], np.cumsum(part)]) for part in (p.before, p.after)]
    low = max(min(float(np.interp(TAIL, head, scale)) for head in heads), float(scale[1]))
    high = min(max(float(np.interp(1 - TAIL, head, scale)) for head in heads), float(scale[-2]))
    grid = np.linspace(low, high, points)
    smooth = [_kernel(head, scale, grid, n) for head, n in zip(heads, (draws, effective), strict=True)]
    return np.exp(grid), smooth[0], smooth[1]


def _kernel(head: Column, scale: Column, grid: Column, n: float) -> Column:
    """A Gaussian kernel estimate on a grid, from a cumulative histogram."""
    fine = np.linspace(grid[0] - 1.0, grid[-1] + 1.0, 1024)
    mass = np.diff(np.interp(fine, scale, head))
    middle = (fine[1:] + fine[:-1]) / 2
    lower, upper = (float(np.interp(q, head, scale)) for q in (0.25, 0.75))
    mean = float(mass @ middle) / max(float(mass.sum()), 1e-300)
    deviation = math.sqrt(max(float(mass @ (middle - mean) ** 2) / max(float(mass.sum()), 1e-300), 1e-300))
    step = float(fine[1] - fine[0])
    width = max(0.9 * min(deviation, (upper - lower) / 1.34 or deviation) * max(n, 1.0) ** -0.2, step)
    reach = (grid[:, None] - middle[None, :]) / width
    found: Column = np.exp(-(reach**2) / 2) @ mass / (width * math.sqrt(2 * math.pi))
    return found
