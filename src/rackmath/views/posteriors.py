"""Priors and posteriors in words, as lines of blocks, as pictures and as plain rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..answers.charts import Axis, Mark, Series, curve
from ..answers.text import between, money
from ..decisions.backwards.density import densities
from ..decisions.backwards.inverse import Inference, Posterior
from ..decisions.backwards.likelihood import Observation
from ..units import show

Record = dict[str, Any]

QUANTILES = ("p5", "p25", "p50", "p75", "p95")
BLOCKS = " ▁▂▃▄▅▆▇█"
POINTS = 160
"""Points of a density that is drawn."""

DRAWN = {
    "active_params": Axis("Active parameters", log=True),
    "total_params": Axis("Total parameters", log=True),
    "kv_bytes": Axis("Cache bytes per token", "bytes", log=True),
    "margin": Axis("Price of a request over its cost", "x", log=True),
}


# --- in words -----------------------------------------------------------------------------------------------------


def listed(o: Observation) -> str:
    """An observation in words."""
    if o.unit == "$/M":
        return f"{o.name.replace('_', ' ')} {money(o.value)}"
    if o.unit == "x":
        return f"{o.says} {o.value:.3g}x"
    return f"{o.says} {show(o.value, o.unit)}"


def value(p: Posterior, number: float) -> str:
    """A value of an unknown."""
    if not math.isfinite(number):
        return "-"
    if p.unit == "share":
        return f"{number:.0%}" if number > -9.995 else "below -900%"
    if p.unit == "$/h":
        return money(number)
    if p.unit == "bytes":
        return show(number, "B")
    if p.name.endswith("_params"):
        return show(number, "params").removesuffix(" params")
    return f"{round(number):,}" if number >= 10 else f"{number:.2g}"


def span(p: Posterior, low: float, high: float) -> str:
    """An interval of an unknown."""
    if p.unit in ("share", "$/h"):
        return f"{value(p, low)} to {value(p, high).removeprefix('$')}"
    if p.unit == "bytes":
        return between(low, high, "B")
    first, _, scale = value(p, low).partition(" ")
    return f"{first if value(p, high).endswith(f' {scale}') else value(p, low)} to {value(p, high)}"


# --- as pictures --------------------------------------------------------------------------------------------------


def sparks(p: Posterior, r: Inference, cells: int = 14) -> tuple[str, str]:
    """Prior and posterior as one line of blocks each, on one scale."""
    _, prior, posterior = densities(p, cells, r.effective, r.draws)
    return blocks(prior), blocks(posterior)


def blocks(parts: NDArray[np.float64]) -> str:
    """Densities as blocks of a height in proportion.

    >>> blocks(np.array([0.0, 0.5, 1.0]))
    ' ▄█'
    """
    most = float(parts.max()) or 1.0
    return "".join(BLOCKS[math.floor(float(v) / most * 8 + 0.5)] for v in parts)


def pictures(r: Inference, truth: Mapping[str, float]) -> list[dict[str, Any]]:
    """Prior and posterior density of the model's size, its cache and the margin."""
    drawn = []
    for name, axis in DRAWN.items():
        p = r[name]
        if p.known or not math.isfinite(p.median):
            continue
        at, prior, posterior = densities(p, POINTS, r.effective, r.draws)
        series = [Series("posterior", at.tolist(), posterior.tolist()), Series("prior", at.tolist(), prior.tolist(), look="dashed")]
        marks = [Mark("truth", truth[name])] if truth.get(name) else []
        y = Axis("Density over the logarithm", low=0.0)
        drawn.append(curve(series, title=f"{axis.title}: {p.bits:.2f} bits", x=axis, y=y, marks=marks))
    return drawn


# --- as plain rows ------------------------------------------------------------------------------------------------


def record(p: Posterior, truth: float | None = None) -> Record:
    """One unknown: quantiles of prior and posterior, bits, and the histogram behind the picture."""
    return {
        "unit": p.unit,
        "prior": dict(zip(QUANTILES, p.prior, strict=True)),
        "posterior": dict(zip(QUANTILES, p.posterior, strict=True)),
        "bits": p.bits,
        "known": p.known,
        "truth": truth,
        "histogram": {"edges": p.edges, "prior": p.before, "posterior": p.after},
    }


def rows(r: Inference, truth: Mapping[str, float]) -> list[Record]:
    """One row for each unknown, then one for each kind of each choice."""
    found: list[Record] = [
        {"unknown": p.name, "unit": p.unit, "kind": None}
        | {"prior_p5": p.prior[0], "prior_p50": p.prior[2], "prior_p95": p.prior[4]}
        | {"p5": p.low, "p50": p.median, "p95": p.high, "bits": p.bits, "truth": truth.get(p.name)}
        for p in r.unknowns.values()
    ]
    for o in r.odds.values():
        found += [{"unknown": o.name, "kind": k, "prior_odds": o.prior[k], "odds": o.posterior[k], "bits": o.bits} for k in o.prior]
    return found
