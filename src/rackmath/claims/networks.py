"""The claims about ciphers and networks, rows 29, 30 and 32 of the lecture's table: from measured figures."""

from __future__ import annotations

from collections.abc import Mapping

from .ledger import Claim, Outcome, Part
from .rules import Compute, Values, by_conditions, near

STEP = 4 / 3
"""Time of a reversible step over an ordinary one where a backward pass takes as long as two forward ones."""


def _mixing(claim: Claim, x: Values) -> Outcome:
    cipher, net, touched = x["cipher_flipped"], x["net_flipped"], x["touched"]
    return by_conditions(
        cipher,
        {
            f"one bit flips half of a cipher's bits ({cipher:.0%})": near(claim, cipher),
            f"one pixel reaches every token of trained networks with residuals ({touched:.0%})": touched > 0.99,
            f"it flips less than half as much there ({net:.1%} of the signs)": net < cipher / 2,
        },
        Part(name="signs flipped in a trained network", value=net, unit="share"),
        Part(name="tokens touched", value=touched, unit="share"),
    )


def _reversible(claim: Claim, x: Values) -> Outcome:
    ours, step = x["reversible_growth"], x["step_ratio"]
    return by_conditions(
        ours,
        {
            f"stored activations do not grow ({ours:.2f}x at {x['depth_growth']:.0f}x the depth,"
            f" {x['stored_growth']:.1f}x without inverting)": near(claim, ours) and x["stored_growth"] > 2,
            f"a step takes about 4/3 as long ({step:.2f}x)": abs(step / STEP - 1) <= 0.15,
            f"training ends alike (losses {x['twin_difference']:.1g} apart, seeds ±{x['twin_noise']:.2g})": x["twin_difference"]
            <= x["twin_noise"],
            f"48 layers invert exactly in integers and nearly in floats ({x['error_fp32']:.0e} off in FP32,"
            f" {x['error_fp16']:.0e} in FP16)": x["error_fixed"] == 0 and x["error_fp32"] < 1e-3,
        },
        Part(name="time of a step over an ordinary one", value=step, unit="x"),
        Part(name="growth of stored activations without inverting", value=x["stored_growth"], unit="x"),
        Part(name="error of the rebuilt input, 48 layers, FP16", value=x["error_fp16"]),
    )


def _differential(claim: Claim, x: Values) -> Outcome:
    one, own, chance = x["answers_differential"], x["answers_gradient"], x["answers_random"]
    return by_conditions(
        one / own,
        {
            f"one difference found the cipher's way changes answers as random ones do not ({one:.0%} against {chance:.0%})": one
            >= 3 * chance,
            f"it does at least half of what each image's own gradient does ({own:.0%})": one >= own / 2,
            f"it carries over to images it was not chosen on ({x['differential_chosen']:.0%} there,"
            f" {x['differential_unseen']:.0%} on others)": x["differential_unseen"] >= x["differential_chosen"] / 2,
        },
        Part(name="answers changed by one difference for all", value=one, unit="share"),
        Part(name="answers changed by each image's own gradient sign", value=own, unit="share"),
        Part(name="answers changed by random signs", value=chance, unit="share"),
    )


NETWORKS: Mapping[str, Compute] = {"29": _mixing, "30": _reversible, "32": _differential}
