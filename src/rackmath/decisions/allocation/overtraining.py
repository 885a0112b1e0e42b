"""Over-training estimated twice: by the share of pre-training under a law, and by the traffic.

The two agree only where the numbers happen to: a share fixes over-training by the law's exponent alone, traffic fixes
it by tokens and parameters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...arrays import Number
from ...scaling import drift
from ...scaling.laws import Law
from .ranges import Ends, quantiles
from .split import Problem, balanced_tokens, equal


def over_training(share: Number, beta: Number) -> Number:
    """Tokens over D_chin(N) for which a pre-training share is the optimum: (D / D_chin)^beta = 1 / share.

    >>> round(over_training(1 / 3, 0.36585), 1), round(over_training(1 / 3, 0.2849083), 1)
    (20.1, 47.3)
    """
    return (1 / share) ** (1 / beta)


def optimal_share(over: Number, beta: Number) -> Number:
    """The pre-training share for which so much over-training is the optimum.

    >>> round(optimal_share(100.0, 0.36585), 3)
    0.185
    """
    return over**-beta


@dataclass(frozen=True, slots=True, kw_only=True)
class Tension:
    """Over-training of one law by the share of pre-training, beside that which the traffic gives.

    `balanced`: the law's own tokens per parameter at this size. `by_share`: share to over-training. `needed`:
    over-training to the share for which it is the optimum. `by_share_ends`, `needed_ends`: 5 to 95 % of them, over
    draws of the law and drift of its exponent beyond its box; empty where it has neither.
    """

    law: Law
    balanced: float
    by_share: dict[float, float]
    needed: dict[float, float]
    by_share_ends: dict[float, Ends]
    needed_ends: dict[float, Ends]


def tension(of: Problem, shares: tuple[float, ...], factors: tuple[float, ...]) -> Tension:
    """What a law says of over-training at shares of pre-training, and of shares at factors of over-training."""
    assert of.active is not None
    beta = of.terms.beta
    start = equal(of)
    wide = drift.wider(of.law, drift.edge(of.law, start.params / of.active_share, start.tokens))
    betas = None if wide is None else replace(of, law=wide).terms.beta
    return Tension(
        law=of.law,
        balanced=float(balanced_tokens(of, of.active) / of.active),
        by_share={s: float(over_training(s, beta)) for s in shares},
        needed={f: float(optimal_share(f, beta)) for f in factors},
        by_share_ends={} if betas is None else {s: quantiles(over_training(s, betas)) for s in shares},
        needed_ends={} if betas is None else {f: quantiles(optimal_share(f, betas)) for f in factors},
    )
