"""Pictures of beliefs before and after prices: densities on a line of letters, and as a chart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from . import charts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..decisions.inverse import Posterior
    from ..evidence.blind import Blind
    from .ask_infer import InferAnswer

BLOCKS = " ▁▂▃▄▅▆▇█"
TAIL = 0.005  # of prior and posterior beyond either end of a picture

DRAWN = {
    "active_params": charts.Axis("Active parameters", log=True),
    "total_params": charts.Axis("Total parameters", log=True),
    "kv_bytes": charts.Axis("Cache bytes per token", "bytes", log=True),
    "margin": charts.Axis("List price over cost", "x", log=True),
}


def densities(p: Posterior, cells: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Middles of equal cells, and how much of prior and posterior lies in each; margins as price over cost."""
    edges, markup = np.asarray(p.edges), p.name.startswith("margin")
    scale = -np.log1p(-np.minimum(edges, 1 - 1e-9)) if markup else np.log(np.maximum(edges, 1e-300))
    heads = [np.concatenate([[0.0], np.cumsum(part)]) for part in (p.before, p.after)]
    low = max(min(float(np.interp(TAIL, head, scale)) for head in heads), float(scale[1]))
    high = min(max(float(np.interp(1 - TAIL, head, scale)) for head in heads), float(scale[-2]))
    grid = np.linspace(low, high, cells + 1)
    before, after = (np.diff(np.interp(grid, scale, head)) for head in heads)
    return np.exp((grid[1:] + grid[:-1]) / 2), before, after


def sparks(p: Posterior, cells: int = 14) -> tuple[str, str]:
    """Prior and posterior as one line of blocks each, on one scale."""
    _, before, after = densities(p, cells)
    return blocks(before), blocks(after)


def blocks(parts: NDArray[np.float64]) -> str:
    """Shares as blocks of a height in proportion.

    >>> blocks(np.array([0.0, 0.5, 1.0]))
    ' ▄█'
    """
    most = float(parts.max()) or 1.0
    return "".join(BLOCKS[math.floor(float(v) / most * 8 + 0.5)] for v in parts)


def chart(answer: InferAnswer) -> dict[str, Any]:
    """Prior and posterior of the model's size, its cache and the margin, one above the other."""
    drawn = []
    for name, axis in DRAWN.items():
        p = answer.inference[name]
        if p.known or not math.isfinite(p.median):
            continue
        at, before, after = densities(p, 60)
        truth = answer.truth.get(name)
        drawn.append(
            charts.curve(
                [charts.Series("with the prices", at.tolist(), (after * 60).tolist()),
                 charts.Series("before", at.tolist(), (before * 60).tolist(), look="dashed")],
                title=f"{p.says}: {p.bits:.2f} bits",
                x=axis,
                y=charts.Axis("density"),
                marks=[charts.Mark("truth", truth)] if truth else [],
            )
        )  # fmt: skip
    return charts.stack(drawn, title=f"{answer.prices.model}: beliefs before and after its prices")


def blind(found: Blind, unknown: str) -> dict[str, Any]:
    """Median said against the truth, one dot for each model (the middle of its hosts), by half."""
    series = []
    for half in dict.fromkeys(one.half for one in found.lists):
        of_model: dict[str, list[float]] = {}
        truth = {}
        for one in found.lists:
            if one.half == half:
                of_model.setdefault(one.weights, []).append(math.log(one.readings[unknown].median))
                truth[one.weights] = one.readings[unknown].truth
        names = list(of_model)
        series.append(
            charts.Series(
                f"{half} half", [truth[n] for n in names],
                [math.exp(float(np.median(of_model[n]))) for n in names], look="dots", labels=names,
            )
        )  # fmt: skip
    every = [v for s in series for v in (*s.x, *s.y)]
    ends = [min(every), max(every)]
    series.append(charts.Series("exact", ends, ends, look="dashed"))
    title = {
        "active_params": "Active parameters",
        "total_params": "Total parameters",
        "kv_bytes": "Cache bytes per token",
    }
    unit = "bytes" if unknown == "kv_bytes" else ""
    return charts.scatter(
        series,
        title=f"{title[unknown]}: read from prices alone against the truth",
        x=charts.Axis("truth", unit, log=True),
        y=charts.Axis("median read from prices", unit, log=True),
    )
