"""The claim about routed models: what experts are worth, by the law of Clark et al. under its three routers."""

from __future__ import annotations

from collections.abc import Mapping

from ..scaling.laws import law
from ..scaling.points import effective_params, routed_total
from .ledger import Claim, Outcome, Part
from .rules import Compute, Values, by_conditions, near

ROUTERS = {"S-BASE": "clark-s-base", "RL-R": "clark-rl-r", "HASH": "clark-hash"}


def _routed(claim: Claim, x: Values) -> Outcome:
    assert claim.lecture is not None
    worth = {router: _worth(name, x["params"], x["experts"]) for router, name in ROUTERS.items()}
    total = float(routed_total(1.0, x["experts"], every=x["every"], mlp_over_d=x["mlp_over_d"]))
    large = _worth(ROUTERS["S-BASE"], x["large"], x["experts"])
    ours = worth["S-BASE"]
    others = " and ".join(f"{value:.3g} with {router}" for router, value in worth.items() if router != "S-BASE")
    return by_conditions(
        ours,
        {
            f"the best router is worth about {claim.lecture:.3g}x the active parameters (S-BASE {ours:.3g})":
            near(claim, ours),
            f"the other routers were too (they are worth {others})": all(near(claim, v) for v in worth.values()),
            f"the total were {x['claimed_total']:.0f}x (experts replace the MLP of one layer in {x['every']:.0f}, so"
            f" it is {total:.3g}x, {total * x['params'] / 1e9:.2g}B)":
            abs(total / x["claimed_total"] - 1) <= claim.tolerance,
        },
        Part(name="total over active parameters", value=total, unit="x"),
        Part(name="the figure's dense model", value=x["dense"] / x["params"], unit="x"),
        *(Part(name=f"worth with {router}", value=value, unit="x") for router, value in worth.items()),
        Part(name=f"worth at {x['large'] / 1e9:.0f}B parameters (S-BASE, far beyond the fit)", value=large, unit="x"),
    )  # fmt: skip


def _worth(name: str, params: float, experts: float) -> float:
    """Effective parameters over those active; the claim's inputs may lie beyond the runs behind the law."""
    return float(effective_params(law(name), params, experts, extrapolate=True)) / params


LAWS: Mapping[str, Compute] = {"17": _routed}
