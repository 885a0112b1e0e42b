"""Compute split between pre-training, RL and inference: three rules for it, on one law, at one quality.

Per parameter, pre-training takes 6 D FLOP, RL a few FLOP for each of its tokens, inference 2 for each token served.
Decode-heavy work reaches a fraction of training's utilisation, so its FLOP count for more. FLOP here are those of
training: device time times what training makes of it.

- *equal*: the three cost the same (or stand in the shares given).
- *exponent*: from there, larger models train for less and serve for more. Were both costs power laws of the model's
  size, A x^-p + B x^q, the least sum would have A / B = q / p. q is 1, p the slope the law has at the equal split.
- *optimum*: the least N (6 D + K) at the loss of the equal split, K being the FLOP per parameter of RL and inference.
  Its first-order condition is (D / D_chin(N))^beta = 1 / share of pre-training, D_chin(N) being the tokens for which
  N parameters are the best use of training compute alone.
- *same-cost*: the least loss at the cost of the equal split and at the same K.

Every number may be a column, so that draws of a law go through at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...arrays import Number
from ...economics.cost import HOUR
from ...errors import BadInput
from ...scaling.forms import LossTerms
from ...scaling.laws import Law, beyond, laws
from ...scaling.points import lifetime

MODES = ("equal", "exponent", "optimum", "same-cost")
MONTH = 30 * 86400.0
"""Seconds of a month of use, as the lecture counts it; machines are billed by `economics.fleet.HOURS_PER_MONTH`."""
RULE_OF_THUMB = 20.0
"""Tokens per parameter that over-training is counted from."""

TRAIN_FLOPS, SERVE_FLOPS = 6.0, 2.0
"""FLOP per parameter and token: forward and backward; forward alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is to be allocated.

    Given is a budget (`flops` of training, or `dollars`), or a `rate` of tokens per second over `months`, or both;
    and perhaps `active` parameters. `shares`: of pre-training, RL and inference in the split begun from; RL keeps its
    cost over inference's in all modes. `rl_flops`: FLOP per parameter and RL token. `efficiency`: utilisation of
    decode-heavy work over training's. `ship`: probability that the model is served at all. `input_share`: of the
    tokens served; `cached_share`: of that input; their weights are costs over an output token's. `per_hour`: dollars
    of a device; `peak`: its FLOP/s; `mfu`: of training.
    """

    law: Law
    flops: Number | None = None
    dollars: Number | None = None
    rate: Number | None = None
    months: Number = 2.0
    active: Number | None = None
    shares: tuple[Number, Number, Number] = (1 / 3, 1 / 3, 1 / 3)
    rl_flops: Number = 3.0
    efficiency: Number = 0.3
    ship: Number = 1.0
    input_share: Number = 0.0
    cached_share: Number = 0.0
    input_weight: Number = 0.2
    cached_weight: Number = 0.02
    per_hour: Number = 0.0
    peak: Number = 1e15
    mfu: Number = 0.4

    @property
    def flop_price(self) -> Number:
        """Dollars of a FLOP of training."""
        return self.per_hour / HOUR / (self.peak * self.mfu)

    @property
    def budget(self) -> Number | None:
        """FLOP of training that may be spent in all."""
        return self.flops if self.dollars is None else self.dollars / self.flop_price

    @property
    def weight(self) -> Number:
        """Cost of a token served over that of an output token."""
        fresh = self.cached_weight * self.cached_share + self.input_weight * (1 - self.cached_share)
        return 1 - self.input_share + self.input_share * fresh

    @property
    def served(self) -> Number:
        """Tokens expected to be served, of every kind."""
        assert self.rate is not None
        return self.rate * self.months * MONTH * self.ship

    @property
    def serve_flops(self) -> Number:
        """FLOP of training that a token served costs for each parameter."""
        return SERVE_FLOPS / self.efficiency * self.weight

    @property
    def active_share(self) -> float:
        """Active parameters over those the law counts."""
        assert self.law.active is not None
        return self.law.active

    @property
    def terms(self) -> LossTerms:
        """The law's terms of parameters and tokens."""
        made = self.law.family.terms
        assert made is not None
        return made(self.law.coefficients, self.law.family.inputs)

    def of_params(self, active: Number) -> Number:
        """The law's term of parameters times its exponent: the slope of the loss in log N."""
        t = self.terms
        return t.alpha * t.of_params(active / self.active_share)

    def of_tokens(self, tokens: Number) -> Number:
        t = self.terms
        return t.beta * t.of_tokens(tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """One mode's answer. FLOP are of training; `served` are expected tokens of every kind; NaN: no such split."""

    mode: str
    params: Number
    tokens: Number
    rl_tokens: Number
    served: Number
    pre: Number
    rl: Number
    inference: Number
    loss: Number
    balanced_tokens: Number  # D_chin of these parameters
    flop_price: Number

    @property
    def total(self) -> Number:
        return self.pre + self.rl + self.inference

    @property
    def share(self) -> Number:
        """Of pre-training in the whole."""
        return self.pre / self.total

    @property
    def tokens_per_param(self) -> Number:
        return self.tokens / self.params

    @property
    def over_rule(self) -> Number:
        """Over-training against 20 tokens per parameter."""
        return self.tokens_per_param / RULE_OF_THUMB

    @property
    def over_law(self) -> Number:
        """Over-training against the tokens that suit these parameters by the law."""
        return self.tokens / self.balanced_tokens

    @property
    def dollars(self) -> Number:
        return self.total * self.flop_price


def answers(given: Law) -> bool:
    """Whether a law can split compute: a sum of a term of N and one of D that knows what training takes."""
    return given.family.terms is not None and given.active is not None and not {"flops", "loss"} & set(given.refuses)


def usable(given: Law) -> Law:
    """The law, where it can split compute.

    >>> from rackmath.scaling.laws import law
    >>> usable(law("clark-hash"))
    Traceback (most recent call last):
    ...
    rackmath.errors.BadInput: clark-hash cannot split compute, which takes a loss of parameters and tokens; ask
    besiroglu, hoffmann, sardana, besiroglu-outliers, sardana-500, sardana-250, sardana-100, krajewski-dense,
    krajewski-moe
    """
    if not answers(given):
        able = ", ".join(name for name, one in laws().items() if answers(one))
        raise BadInput(f"{given.name} cannot split compute, which takes a loss of parameters and tokens; ask {able}")
    return given


# --- the rules ------------------------------------------------------------------------------------------------------


def power_split(p: Number, q: Number) -> Number:
    """Share of the falling cost where A x^-p + B x^q is least: A / B = q / p, so equal only for p = q.

    >>> power_split(1.0, 1.0), round(power_split(2.0, 1.0), 3)
    (0.5, 0.333)
    """
    return q / (p + q)


def balanced_tokens(of: Problem, active: Number) -> Number:
    """D_chin: tokens for which these parameters are the best use of training compute alone."""
    t = of.terms
    return (t.beta * t.B / of.of_params(active)) ** (1 / t.beta)


def equal(of: Problem) -> Split:
    """The split in the given shares, thirds if none are given.

    Parameters, where nothing fixes them, are those for which this split is the optimum too.

    >>> from rackmath.scaling.laws import law
    >>> found = equal(Problem(law=law("besiroglu"), rate=50e6, active=100e9, efficiency=1 / 3))
    >>> round(found.tokens / found.served, 9), round(found.tokens / found.rl_tokens, 9), round(found.over_rule)
    (1.0, 1.5, 130)
    """
    pre, rl, inference = of.shares
    t = of.terms
    if of.rate is not None:
        per_param = of.serve_flops * of.served  # FLOP of inference
        tokens = per_param * pre / inference / TRAIN_FLOPS
        if of.active is not None:
            params = of.active
        elif of.budget is not None:
            params = of.budget * inference / per_param
        else:
            size = pre * t.alpha * t.A / of.of_tokens(tokens)
            params = size ** (1 / t.alpha) * of.active_share
    else:
        assert of.budget is not None
        product = of.budget * pre / TRAIN_FLOPS
        if of.active is not None:
            params = of.active
        else:
            size = pre * t.alpha * t.A * (product / of.active_share) ** t.beta / (t.beta * t.B)
            params = size ** (1 / (t.alpha + t.beta)) * of.active_share
        tokens = product / params
        per_param = TRAIN_FLOPS * tokens * inference / pre
    return _split(of, "equal", params, tokens, per_param * rl / inference, per_param)


def exponent(of: Problem, start: Split) -> Split:
    """The exponent-weighted rule, from the slopes the law has at the split `start`.

    At one loss 6 N D falls as N^-p with p = u / v - 1, u and v the slopes of the loss in log N and log D. NaN where
    training does not get cheaper with size: at or below the law's own optimum.
    """
    p = of.of_params(start.params) / of.of_tokens(start.tokens) - 1
    p = np.where(p > 0, p, np.nan)
    size = (p * start.pre / (start.rl + start.inference)) ** (1 / (p + 1))
    params = start.params * size
    tokens = start.pre * size**-p / (TRAIN_FLOPS * params)
    return _split(of, "exponent", params, tokens, start.rl / start.params, start.inference / start.params)


def optimum(of: Problem, start: Split) -> Split:
    """The least cost at the loss of `start`, for the same tokens of RL and inference."""
    k_rl, k_inference = start.rl / start.params, start.inference / start.params
    found = lifetime(of.law, start.loss, (k_rl + k_inference) / SERVE_FLOPS)
    return _split(of, "optimum", found.params * of.active_share, found.tokens, k_rl, k_inference)


def same_cost(of: Problem, start: Split) -> Split:
    """The least loss at the cost of `start`, for the same tokens of RL and inference.

    Where N (6 D + K) is fixed, the slope of the loss in log D over that in log N must be the share of pre-training.
    """
    k_rl, k_inference = start.rl / start.params, start.inference / start.params
    most = start.total / (k_rl + k_inference)  # parameters that leave nothing to train them with
    low, high = np.log(most) - 40.0, np.log(most)
    for _ in range(60):
        params = np.exp((low + high) / 2)
        pre = start.total * -np.expm1((low + high) / 2 - np.log(most))
        tokens = pre / (TRAIN_FLOPS * params)
        small = of.of_tokens(tokens) * start.total < of.of_params(params) * pre
        low, high = np.where(small, (low + high) / 2, low), np.where(small, high, (low + high) / 2)
    return _split(of, "same-cost", params, tokens, k_rl, k_inference)


def split(of: Problem, mode: str) -> Split:
    """The split of one mode."""
    start = equal(of)
    return start if mode == "equal" else {"exponent": exponent, "optimum": optimum, "same-cost": same_cost}[mode](of, start)


def allocate(of: Problem) -> dict[str, Split]:
    """All modes side by side."""
    usable(of.law)
    return {mode: split(of, mode) for mode in MODES}


def outside(of: Problem, found: dict[str, Split]) -> tuple[str, ...]:
    """What leaves the box of the law in any mode, in words."""
    said: dict[str, str] = {}
    for one in found.values():
        if np.all(np.isfinite(one.tokens)):
            quantities = {
                "params": one.params / of.active_share,
                "tokens": one.tokens,
                "tokens_per_param": one.tokens * of.active_share / one.params,
            }
            for clause in beyond(of.law, quantities):
                said.setdefault(clause.partition(" ")[0] + clause.partition("fitted")[2], clause)
    return tuple(said.values())


def _split(of: Problem, mode: str, params: Number, tokens: Number, k_rl: Number, k_inference: Number) -> Split:
    """A split from parameters, tokens and the FLOP per parameter of RL and inference."""
    return Split(
        mode=mode,
        params=params,
        tokens=tokens,
        rl_tokens=k_rl * of.efficiency / of.rl_flops,
        served=k_inference / of.serve_flops,
        pre=TRAIN_FLOPS * params * tokens,
        rl=k_rl * params,
        inference=k_inference * params,
        loss=of.terms.loss(params / of.active_share, tokens),
        balanced_tokens=balanced_tokens(of, params),
        flop_price=of.flop_price,
    )
