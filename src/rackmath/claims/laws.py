"""The claim about routed models: what experts are worth, by the law of Clark et al. under its three routers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..scaling import drift
from ..scaling.laws import law
from ..scaling.points import effective_params, routed_total
from .ledger import Claim, Outcome, Part
from .rules import Compute, Values, by_conditions, near

ROUTERS = {"S-BASE": "clark-s-base", "RL-R": "clark-rl-r", "HASH": "clark-hash"}


def _routed(claim: Claim, x: Values) -> Outcome:
    assert claim.lecture is not None
    worth = {router: _worth(name, x["params"], x["experts"]) for router, name in ROUTERS.items()}
    total = float(routed_total(1.0, x["experts"], every=x["every"], mlp_over_d=x["mlp_over_d"]))
    ours = worth["S-BASE"]
    others = " and ".join(f"{value:.3g} with {router}" for router, value in worth.items() if router != "S-BASE")
    return by_conditions(
        ours,
        {
            f"the best router is worth about {claim.lecture:.3g}x the active parameters (S-BASE {ours:.3g})": near(claim, ours),
            f"the other routers were too (they are worth {others})": all(near(claim, v) for v in worth.values()),
            f"the total were {x['claimed_total']:.0f}x (experts replace the MLP of one layer in {x['every']:.0f}, so"
            f" it is {total:.3g}x, {total * x['params'] / 1e9:.2g}B)": abs(total / x["claimed_total"] - 1) <= claim.tolerance,
        },
        Part(name="total over active parameters", value=total, unit="x"),
        Part(name="the figure's dense model", value=x["dense"] / x["params"], unit="x"),
        *(Part(name=f"worth with {router}", value=value, unit="x") for router, value in worth.items()),
        *_far(x["large"], x["experts"]),
    )


def _worth(name: str, params: float, experts: float) -> float:
    """Effective parameters over those active; the claim's inputs may lie beyond the runs behind the law."""
    return float(effective_params(law(name), params, experts)) / params


def _far(params: float, experts: float) -> tuple[Part, ...]:
    """What experts are worth to a large model, far beyond the fit: by Clark's law, and by one that knows tokens."""
    found = []
    for said, name, tokens in (("S-BASE", ROUTERS["S-BASE"], None), ("Tian et al.", "tian", 20 * params)):
        one = law(name)
        flops = np.nan if tokens is None else 6 * params * tokens
        wide = drift.wider(one, drift.edge(one, params, np.nan, flops))
        at = f"worth at {params / 1e9:.0f}B parameters, {said}"
        value = float(effective_params(one, params, experts, tokens)) / params
        found.append(Part(name=at, value=value, unit="x"))
        if wide is not None:
            ends = np.quantile(effective_params(wide, params, experts, tokens) / params, [0.05, 0.95])
            found += [Part(name=f"{at}, {share} %", value=float(end), unit="x") for share, end in zip((5, 95), ends, strict=True)]
    return tuple(found)


LAWS: Mapping[str, Compute] = {"17": _routed}
