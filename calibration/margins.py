"""Markups of hosts over cost, fitted on half of the open models: python -m calibration.margins.

The architecture of an open model is known, so its lists show what hosts ask over cost. Everything else (machine,
price, batch, idle hours) stays a supposition: the likelihood of a list is the mean over suppositions that agree with
the architecture. Common markup, its spread, each product's own, and two powers by which costs exceed the closed form
are those that make the chosen half likeliest, each model counting once however many hosts sell it. Writes
`data/fitted/price_margins.toml`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rackmath.decisions.backwards.beliefs import draw
from rackmath.decisions.backwards.likelihood import DATA, Margins, Residuals, log_likelihood, observations, residuals
from rackmath.evidence.open_models import OpenList, Truth, open_lists

DRAWS = 4096
LEAST_NOISE = 0.25  # prices are round numbers and follow each other: no product's own markup is surer than this
FITTED = ("input", "cache_read", "output")

JUDGED = {
    "write_5m": (0.5, "few lists have one, and those follow one maker's 1.25"),
    "write_1h": (0.7, "as above, 2.0"),
    "long_input": (1.0, "steps are round numbers, 1.5 or 2, and cover costs only in part: LECTURE section 17a"),
    "long_output": (1.0, "the same"),
    "batch": (0.3, "nearly every batch price is half the standard one"),
    "fast": (0.7, "a fast mode is priced for what it is worth as well as for its batch"),
    "speed": (0.2, "a measured median speed against the steady state"),
    "ttft": (0.8, "queueing and the network are not in it"),
}
"""What no open list can fit: its noise, a deviation of logarithms, and why. None has a bias."""

MAKER = {
    "dearer": (0.7, "judged: DeepSeek put its list at 6.5 times its cost; the only seller need not meet a rival's price"),
    "spread": (0.9, "judged: from half to ten times a host's usual markup"),
}
"""Makers of closed models: logarithms beyond a host's level, spread of their common markup, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One list's residuals over suppositions, their weights, and how much the list counts."""

    residuals: Residuals
    log_weight: NDArray[np.float64]
    truth: Truth
    counts: float

    def under(self, m: Margins) -> float:
        """Logarithm of the list's likelihood."""
        into, out = (math.log(float(f)) for f in m.excess(self.truth.active_params, self.truth.total_params))
        off = np.array([[out if name == "output" else into] for name in self.residuals.names])
        moved = replace(self.residuals, logs=self.residuals.logs - off)
        return float(np.logaddexp.reduce(log_likelihood(moved, m) + self.log_weight))


def main() -> None:
    """Fit and write."""
    lists = [one for one in open_lists() if one.half == "chosen"]
    found, value = fit(cases(lists))
    models = {one.truth.name for one in lists}
    DATA.write_text(text(found, len(lists), len(models)), encoding="utf-8")
    print(f"{len(lists)} lists of {len(models)} models, log-likelihood per model {value:.3f}: {found}")


def cases(lists: Sequence[OpenList]) -> list[Case]:
    """Residuals of every list over suppositions that agree with its model's architecture."""
    of_model = Counter(one.truth.architecture for one in lists)
    found = []
    for i, one in enumerate(lists):
        t = one.truth
        known = {"active_params": t.active_params, "total_params": t.total_params, "kv_bytes": t.kv_bytes, "layers": t.layers}
        draws = draw(DRAWS, np.random.default_rng(i), known)
        seen = [o for o in observations(one.prices) if o.name in FITTED]
        weight = draws.log_weight - np.logaddexp.reduce(draws.log_weight)
        found.append(Case(residuals=residuals(seen, draws, PLAIN), log_weight=weight, truth=t, counts=1 / of_model[t.architecture]))
    return found


def fit(every: Sequence[Case]) -> tuple[Margins, float]:
    """The markups that make the lists likeliest, and the mean log-likelihood of a model."""
    from scipy.optimize import minimize

    total = sum(case.counts for case in every)

    def loss(x: NDArray[np.float64]) -> float:
        m = unpacked(x)
        return -sum(case.under(m) * case.counts for case in every) / total

    start = np.array([1.0, 0.0, 0.0, 0.0, -0.5, -0.5, -0.5, 0.0, 0.0])
    noise = (math.log(LEAST_NOISE), 1.0)
    bounds = [(-3, 6), noise, (-3, 3), (-3, 3), noise, noise, noise, (0, 1), (0, 1)]
    best = minimize(loss, start, method="L-BFGS-B", bounds=bounds, options={"eps": 1e-4})
    return unpacked(best.x), -float(best.fun)


def unpacked(x: NDArray[np.float64]) -> Margins:
    """Level, log spread, biases of cached reads and output over input, log noises of the three, the two powers."""
    return Margins(
        level=float(x[0]),
        spread=float(np.exp(x[1])),
        bias={"input": 0.0, "cache_read": float(x[2]), "output": float(x[3])},
        noise=dict(zip(FITTED, np.exp(x[4:7]).tolist(), strict=True)) | {k: noise for k, (noise, _) in JUDGED.items()},
        sparsity=float(x[7]),
        output_size=float(x[8]),
    )


PLAIN = Margins(level=0.0, spread=1.0, bias={}, noise={})


def text(m: Margins, lists: int, models: int) -> str:
    """The data file."""
    lines = [
        f"# Logarithms of list price over cost, fitted on {lists} lists of {models} open models (the chosen half).",
        "# Written by `python -m calibration.margins`; what no open list shows is judged, as said.",
        f"level = {m.level:.3f}",
        f"spread = {m.spread:.3f}",
        "",
        "[excess]",
        f"sparsity = {m.sparsity:.3f}",
        f"output_size = {m.output_size:.3f}",
        "",
        "[maker]",
        *(f"{k} = {v}  # {why}" for k, (v, why) in MAKER.items()),
        "",
        "[bias]",
        *(f"{k} = {v:.3f}" for k, v in m.bias.items()),
        "",
        "[noise]",
        *(f"{k} = {m.noise[k]:.3f}" for k in FITTED),
        *(f"{k} = {noise}  # {why}" for k, (noise, why) in JUDGED.items()),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
