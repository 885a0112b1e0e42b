"""What a law answers: the loss of a run, and the run of a budget, of a loss, of a model or of a data set.

Numbers or columns go in; a `LawPoint` comes out, which says whether it lies in the box of the runs behind the law,
and in words what leaves it. How much wider an interval must be there is `drift`'s matter. What has no meaning is
refused.

A run of D tokens takes 6 N D FLOPs, N being active parameters. Where nothing meets a target, values are NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..arrays import Mask, Number
from ..errors import BadInput
from .forms import Form, Inputs, LossTerms, crossing, effective, leverage
from .laws import Law, beyond, inside, law, laws

MOST_PARAMS, FEWEST_TOKENS, HIGHEST_LOSS = 1e14, 0.1, 20.0
"""More parameters, fewer tokens for each of them, or a higher loss (nats per token) are taken for a slip of units."""

ENDLESS = 1e200
"""Parameters or tokens so many that more change nothing."""


GRANULARITY = 8.0
"""2 d_model / d_expert of usual fine-grained experts: 7 in DeepSeek-V3, 7 in Kimi K2, 8 in Ling 2.0."""

WORTHS = ("routed", "leverage")
"""Forms that say what experts are worth in dense parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LawPoint:
    """A run under a law. Numbers the law does not know are NaN.

    `params`: as the law counts them; `flops`: of training, on active parameters; `inputs`: what else the law took;
    `within`: whether the box holds it; `outside`: what leaves the box, in words.
    """

    params: Number
    tokens: Number
    loss: Number
    flops: Number
    inputs: Inputs
    within: Mask
    outside: tuple[str, ...]

    @property
    def tokens_per_param(self) -> Number:
        return self.tokens / self.params


def loss(name: str | Law, params: Number, tokens: Number | None = None, **inputs: Number) -> Number:
    """Loss in nats per token; `at` says whether the law was fitted there.

    >>> round(float(loss("besiroglu", 1e9, 20e9)), 3)
    2.529
    """
    return at(name, params, tokens, **inputs).loss


def at(name: str | Law, params: Number, tokens: Number | None = None, **inputs: Number) -> LawPoint:
    """The run of these parameters on these tokens.

    >>> at("hoffmann", 70e9, 1.4e12).outside
    ('parameters 70.0 B, fitted on 70.0 M to 16.0 B', 'tokens 1.40 T, fitted on 5.00 B to 500 B')
    """
    one, x = _asked(name, inputs, "loss")
    if one.family.loss is None:
        raise _refused(one, "loss")
    if one.family.uses_tokens and tokens is None:
        raise BadInput(f"{one.name} needs tokens beside parameters; give both")
    if tokens is not None and "tokens" in one.refuses:
        raise _refused(one, "tokens")
    positive(params=params, **({} if tokens is None else {"tokens": tokens}))
    d = np.nan if tokens is None else tokens
    return _point(one, params, d, x)


def of_budget(name: str | Law, flops: Number, *, params: Number | None = None, tokens: Number | None = None, **inputs: Number) -> LawPoint:
    """The run of a budget where its parameters, or its tokens, are given too."""
    one, _ = _asked(name, inputs, "flops", "loss")
    given = params if params is not None else tokens
    assert given is not None
    positive(flops=flops, given=given)
    if one.active is None:
        raise _refused(one, "flops")
    other = flops / (6 * one.active) / given
    n, d = (given, other) if params is not None else (other, given)
    return at(one, n, d, **inputs)


def floor(name: str | Law, params: Number = ENDLESS, tokens: Number = ENDLESS, **inputs: Number) -> Number:
    """The loss that more tokens, or more parameters, or more of both approach.

    >>> round(float(floor("besiroglu")), 5), round(float(floor("besiroglu", params=1e9)), 3)
    (1.81686, 2.174)
    """
    one, x = _asked(name, inputs, "loss")
    family = _with_loss(one)
    assert family.loss is not None
    return family.loss(one.coefficients, params, tokens, x)


def optimum(name: str | Law, flops: Number, **inputs: Number) -> LawPoint:
    """The run of least loss for a budget of training FLOPs.

    >>> best = optimum("besiroglu", 1e21)
    >>> round(float(best.tokens_per_param), 1)
    21.5
    """
    one, x = _asked(name, inputs, "flops")
    positive(flops=flops)
    n, d = _split(one, flops, x)
    return _point(one, n, d, x)


def tokens_for(name: str | Law, loss: Number, params: Number, **inputs: Number) -> LawPoint:
    """The fewest tokens that bring so many parameters to a loss; NaN where no number of tokens does."""
    one, x = _asked(name, inputs, "loss", "tokens")
    positive(loss=loss, params=params)
    family, c = _with_loss(one), one.coefficients
    assert family.loss is not None
    if family.terms is not None:
        t = family.terms(c, x)
        d = _inverse(t.above(loss) - t.of_params(params), t.B, t.beta)
    else:
        f = family.loss
        d = crossing(lambda v: f(c, params, v, x), loss + 0 * params, rising=False)
    return _point(one, params + 0 * d, d, x)


def params_for(name: str | Law, loss: Number, tokens: Number | None = None, **inputs: Number) -> LawPoint:
    """The fewest parameters that reach a loss on so many tokens; NaN where no number of parameters does."""
    one, x = _asked(name, inputs, "loss")
    family, c = _with_loss(one), one.coefficients
    assert family.loss is not None
    if family.uses_tokens and tokens is None:
        raise BadInput(f"{one.name} needs tokens beside a loss; give both")
    positive(loss=loss, **({} if tokens is None else {"tokens": tokens}))
    d = np.nan if tokens is None else tokens
    if family.terms is not None:
        t = family.terms(c, x)
        n = _inverse(t.above(loss) - t.of_tokens(d), t.A, t.alpha)
    else:
        f = family.loss
        fixed = d if family.uses_tokens else 1.0
        n = crossing(lambda v: f(c, v, fixed, x), loss + 0 * fixed, rising=False)
    return _point(one, n, d + 0 * n, x)


def cheapest(name: str | Law, loss: Number, **inputs: Number) -> LawPoint:
    """The run of the fewest training FLOPs that reaches a loss."""
    one, x = _asked(name, inputs, "flops", "loss")
    family = _with_loss(one)
    positive(loss=loss)

    def reached(flops: Number) -> Number:
        assert family.loss is not None
        return family.loss(one.coefficients, *_split(one, flops, x), x)

    n, d = _split(one, crossing(reached, loss, rising=False), x)
    return _point(one, n, d, x)


def balanced(name: str | Law, *, params: Number | None = None, tokens: Number | None = None, **inputs: Number) -> LawPoint:
    """The optimum of the budget at which it has these parameters, or these tokens.

    >>> round(float(balanced("besiroglu", params=1e9).tokens) / 1e9, 1)
    22.6
    """
    one, x = _asked(name, inputs, "flops")
    if (params is None) == (tokens is None):
        raise BadInput("give parameters or tokens, one of them")
    given = params if params is not None else tokens
    assert given is not None
    positive(**{"params" if params is not None else "tokens": given})
    which = 0 if params is not None else 1
    n, d = _split(one, crossing(lambda flops: _split(one, flops, x)[which], given, rising=True), x)
    return _point(one, n, d, x)


# --- serving counts too ---------------------------------------------------------------------------------------------


def elasticities(name: str | Law, params: Number, tokens: Number, **inputs: Number) -> tuple[Number, Number]:
    """By what share loss falls as parameters, or tokens, grow: -d log L / d log N and -d log L / d log D."""
    one, x = _asked(name, inputs, "loss")
    t = _terms(one, x)
    whole = t.E + t.of_params(params) + t.of_tokens(tokens)
    return t.power * t.alpha * t.of_params(params) / whole, t.power * t.beta * t.of_tokens(tokens) / whole


def implied_inference(name: str | Law, params: Number, tokens: Number, **inputs: Number) -> Number:
    """Tokens served over tokens trained on for which this run is the cheapest of its loss, training and serving.

    Least 6 N D + 2 N T at one loss asks for eps_N / eps_D = 1 + T / (3 D). Below 0: too few tokens even if nothing is
    ever served.

    >>> round(float(implied_inference("besiroglu", 8e9, 15e12)), 1)
    12.7
    """
    of_params, of_tokens = elasticities(name, params, tokens, **inputs)
    return 3 * (of_params / of_tokens - 1)


def lifetime(name: str | Law, loss: Number, served: Number, **inputs: Number) -> LawPoint:
    """The run that reaches a loss with the fewest FLOPs over its life, 6 N D + 2 N x `served` tokens.

    >>> round(float(lifetime("besiroglu", 2.2, 0.0).tokens / cheapest("besiroglu", 2.2).tokens), 6)
    1.0
    """
    one, x = _asked(name, inputs, "flops", "loss")
    positive(loss=loss)
    t = _terms(one, x)
    room = t.above(loss)
    low, high = np.zeros_like(room + 0 * served), np.ones_like(room + 0 * served)
    for _ in range(60):  # the share of the room that the term of N takes
        share = (low + high) / 2
        d = _inverse(room * (1 - share), t.B, t.beta)
        short = t.alpha * share < t.beta * (1 - share) * (1 + served / (3 * d))
        low, high = np.where(short, share, low), np.where(short, high, share)
    share = (low + high) / 2
    n, d = _inverse(room * share, t.A, t.alpha), _inverse(room * (1 - share), t.B, t.beta)
    return _point(one, n, d, x)


# --- routed models --------------------------------------------------------------------------------------------------


def effective_params(
    name: str | Law, params: Number, experts: Number, tokens: Number | None = None, granularity: Number = GRANULARITY
) -> Number:
    """Parameters of the dense model that a routed one is worth: `params` of them work on a token.

    `experts`: of a layer over those a token uses. `tokens` and `granularity` (2 d_model / d_expert) count where the
    law knows them; it compares models trained on the same tokens.

    >>> round(float(effective_params("clark-s-base", 370e6, 64)) / 370e6, 2)
    3.67
    >>> round(float(effective_params("tian", 1 / 6e12 * 1e22, 1 / 0.031, 1e12, 12)) * 6e12 / 1e22, 2)
    7.24
    """
    one = law(name)
    if one.form not in WORTHS:
        able = ", ".join(name for name, other in laws().items() if other.form in WORTHS)
        raise BadInput(f"{one.name} knows no effective parameters; ask one of {able}")
    positive(params=params, experts=experts, granularity=granularity)
    if one.form == "routed":
        if tokens is not None:
            raise _refused(one, "tokens")
        return effective(one.coefficients, params, experts)
    if tokens is None:
        raise BadInput(f"{one.name} needs tokens beside parameters: what experts are worth grows with training")
    positive(tokens=tokens)
    return params * leverage(one.coefficients, 1 / experts, granularity, 6 * params * tokens)


def worth_of(name: str | Law, params: Number, experts: Number, tokens: Number | None = None) -> LawPoint:
    """The run that `effective_params` speaks of, with what leaves the box of the law."""
    one = law(name)
    if one.form == "routed":
        return at(one, params, experts=experts)
    _, x = _asked(one, {"experts": experts})
    return _point(one, params, np.nan if tokens is None else tokens, x)


def cutoff(name: str | Law) -> Number:
    """Parameters above which more experts make a routed model worse: where b + c log N = 0; endless under others."""
    one = law(name)
    if one.form != "routed":
        return np.inf
    found: Number = 10 ** (-one.coefficients["b"] / one.coefficients["c"])
    return found


def routed_total(params: Number, experts: Number, *, every: Number = 2.0, mlp_over_d: Number = 4.0) -> Number:
    """Parameters of a routed model with `params` active: each `every`th layer has its MLP once per expert.

    Attention holds 4 d^2 of a layer and the MLP 2 d x d_ff; embeddings and the router are left out.

    >>> float(routed_total(1.0, 64.0))
    22.0
    """
    mlp = 2 * mlp_over_d / (4 + 2 * mlp_over_d)
    return params * (1 + (experts - 1) * mlp / every)


# --- shared ---------------------------------------------------------------------------------------------------------


def positive(**given: Number) -> None:
    """Refuse what is not a finite number above 0."""
    for name, value in given.items():
        if not np.all(np.isfinite(value) & (np.asarray(value) > 0)):
            raise BadInput(f"{name} = {value} is not a number above 0; give one")


def _asked(name: str | Law, inputs: Mapping[str, Number], *wanted: str) -> tuple[Law, Inputs]:
    """The law, and its further inputs with those not given; refused where the law does not answer."""
    one = law(name)
    known = one.family.inputs
    for key, value in inputs.items():
        if key not in known:
            takes = f"it takes {', '.join(known)}" if known else "it takes parameters and tokens only"
            raise BadInput(f"{one.name} knows no {key}: {takes}")
        if key == "sparsity":
            if not np.all((np.asarray(value) >= 0) & (np.asarray(value) < 1)):
                raise BadInput(f"sparsity = {value} is not a share below 1; give one like 0.9")
        elif not np.all(np.asarray(value) > 0):
            raise BadInput(f"{key} = {value} is not a number above 0; give one")
        if key in ("experts", "granularity") and not np.all(np.asarray(value) >= 1):
            raise BadInput(f"{key} = {value} is below 1; give 1 or more")
    for quantity in wanted:
        if quantity in one.refuses:
            raise _refused(one, quantity)
    if "flops" in wanted and one.family.split is None:
        raise _refused(one, "flops")
    return one, dict(known) | dict(inputs)


def _refused(one: Law, quantity: str) -> BadInput:
    what = {"loss": "losses", "flops": "budgets of compute", "tokens": "tokens"}[quantity]
    why = one.refuses.get(quantity) or one.refuses.get("tokens", "its form has none")
    return BadInput(f"{one.name} does not answer questions about {what}: {why}")


def _with_loss(one: Law) -> Form:
    if one.family.loss is None:
        raise _refused(one, "loss")
    return one.family


def _terms(one: Law, x: Inputs) -> LossTerms:
    if one.family.terms is None:
        raise BadInput(f"{one.name} is not a sum of a term of parameters and one of tokens; ask besiroglu or another")
    return one.family.terms(one.coefficients, x)


def _split(one: Law, flops: Number, x: Inputs) -> tuple[Number, Number]:
    assert one.family.split is not None
    if one.active is None:
        raise _refused(one, "flops")
    return one.family.split(one.coefficients, flops / (6 * one.active), x)


def _inverse(rest: Number, factor: Number, exponent: Number) -> Number:
    """x where factor / x^exponent is `rest`; NaN where nothing is left."""
    left = np.where(rest > 0, rest, np.nan)
    found: Number = (factor / left) ** (1 / exponent)
    return found


def _point(one: Law, n: Number, d: Number, x: Inputs) -> LawPoint:
    flops = np.nan if one.active is None else 6 * one.active * n * d
    quantities = {"params": n, "tokens": d, "tokens_per_param": d / n, "flops": flops} | dict(x)
    outside = beyond(one, quantities)
    found = np.nan + 0 * n if one.family.loss is None else one.family.loss(one.coefficients, n, d, x)
    return LawPoint(params=n, tokens=d, loss=found, flops=flops, inputs=x, within=inside(one, quantities), outside=outside)
