"""The claims about compute between pre-training, RL and inference, each from the equal split and a law."""

from __future__ import annotations

from collections.abc import Mapping

from ..decisions.allocation.overtraining import Tension, optimal_share, tension
from ..decisions.allocation.split import RULE_OF_THUMB, SERVE_FLOPS, TRAIN_FLOPS, Problem, equal
from ..scaling.laws import law
from .ledger import Claim, Outcome, Part
from .rules import Compute, Values, by_conditions, by_distance, near

LAWS = ("besiroglu", "hoffmann")


def _problem(x: Values, name: str = LAWS[0]) -> Problem:
    return Problem(
        law=law(name), rate=x["rate"], months=x["months"], active=x["active"], rl_flops=x["rl_flops"], efficiency=x["efficiency"]
    )


def _over_trained(claim: Claim, x: Values) -> Outcome:
    assert claim.lecture is not None
    share = x["share"]
    said = x["said_tokens"] / (RULE_OF_THUMB * x["active"])
    traffic = float(equal(_problem(x)).over_rule)
    rumour = x["rumour"] / (RULE_OF_THUMB * x["active"])
    found = {name: tension(_problem(x, name), (share,), ()) for name in LAWS}
    by_law = {name: t.by_share[share] for name, t in found.items()}
    needed = {name: float(optimal_share(claim.lecture, _problem(x, name).terms.beta)) for name in LAWS}
    ours = by_law[LAWS[0]]
    return by_conditions(
        ours,
        {
            f"{x['said_tokens'] / 1e12:.0f} T tokens over {RULE_OF_THUMB:.0f} per parameter are {said:.0f}x": near(claim, said),
            f"the traffic were not rounded down first (it gives {traffic:.0f}x)": near(claim, traffic),
            f"a share of {share:.0%} asked for it (it is the optimum at {ours:.0f}x what the law finds best, or"
            f" {by_law[LAWS[1]]:.0f}x by the older law)": any(near(claim, v) for v in by_law.values()),
        },
        Part(name="by the traffic, not rounded", value=traffic, unit="x"),
        Part(name="by the rumoured tokens", value=rumour, unit="x"),
        *(part for name, t in found.items() for part in _ranged(f"by a share of {share:.0%}, {name}", t, share)),
        *(Part(name=f"share that asks for {claim.lecture:.0f}x, {name}", value=v, unit="share") for name, v in needed.items()),
    )


def _ranged(name: str, of: Tension, share: float) -> tuple[Part, ...]:
    """What a law says, and the interval of that: the claim's run lies far beyond the runs behind the law."""
    ends = of.by_share_ends.get(share)
    said = Part(name=name, value=of.by_share[share], unit="x")
    if ends is None:
        return (said,)
    return (said, *(Part(name=f"{name}, {at} %", value=v, unit="x") for at, v in zip((5, 95), ends, strict=True)))


def _served(claim: Claim, x: Values) -> Outcome:
    ours = float(_problem({**x, "active": 1e9, "rl_flops": 3.0, "efficiency": 1.0}).served)
    return by_distance(
        claim,
        ours,
        f"{x['rate'] / 1e6:.0f} M tokens a second for {x['months'] * 30:.0f} days are"
        f" {ours / 1e12:.0f} T; the rounding takes away {1 - (claim.lecture or 0) / ours:.0%}",
    )


def _rl(claim: Claim, x: Values) -> Outcome:
    least, most = x["least"] / x["efficiency"] / TRAIN_FLOPS, x["most"] / x["efficiency"] / TRAIN_FLOPS
    served = x["least"] / SERVE_FLOPS, x["most"] / SERVE_FLOPS
    slow = 1 / x["efficiency"]

    def spans(low: float, high: float) -> bool:
        return abs(low / x["least"] - 1) <= claim.tolerance and abs(high / x["most"] - 1) <= claim.tolerance

    return by_conditions(
        most,
        {
            f"an RL token costs {x['least']:.0f} to {x['most']:.0f} times one of pre-training (with decoding"
            f" {slow:.1f} times less efficient it costs {least:.1f} to {most:.1f} times)": spans(least, most),
            f"{x['least']:.0f} to {x['most']:.0f} are a factor (they are FLOP per parameter and token:"
            f" {served[0]:.0f} to {served[1]:.0f} times a forward pass)": spans(*served),
        },
        Part(name="an RL token over one of pre-training, least", value=least, unit="x"),
        Part(name="the same, most", value=most, unit="x"),
        Part(name="inefficiency of decode-heavy work", value=slow, unit="x"),
    )


def _equal_tokens(claim: Claim, x: Values) -> Outcome:
    split = equal(_problem({**x, "rate": 1.0, "months": 1.0, "active": 1e9}))
    rl, served = float(split.tokens / split.rl_tokens), float(split.tokens / split.served)
    ours = max(rl, served)
    return by_distance(
        claim,
        ours,
        f"at equal cost D_pre = {rl:.3g} D_RL = {served:.3g} D_inf, whatever the model's size",
        Part(name="pre-training over RL tokens", value=rl, unit="x"),
        Part(name="pre-training over tokens served", value=served, unit="x"),
    )


ALLOCATION: Mapping[str, Compute] = {"25": _over_trained, "26": _served, "27": _rl, "28": _equal_tokens}
