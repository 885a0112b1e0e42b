"""The terms of a split: FLOP of each part from its tokens, what they cost, and over-training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..answers.terms import Term, count, given, quotient, stated
from ..decisions.allocation.split import MONTH, RULE_OF_THUMB, SERVE_FLOPS, TRAIN_FLOPS
from .machine_terms import of_machine

if TYPE_CHECKING:
    from ..decisions.allocation.case import Allocation


def terms(answer: Allocation) -> Term:
    """The split of the mode asked about."""
    p, s = answer.problem, answer.best
    law = p.law
    params = Term(name="active parameters N", value=float(s.params), unit="params", note=_why(answer))
    tokens = Term(name="tokens trained on D", value=float(s.tokens), unit="tokens", note=RULES[answer.mode])
    efficiency = given(
        "efficiency of decode-heavy work", float(p.efficiency), by="found by search" if answer.rates else "given, or a usual 0.3"
    )
    pre = stated("product", "pre-training", float(s.pre), "FLOP", count("FLOP per parameter and token", TRAIN_FLOPS), params, tokens)
    per_rl = stated(
        "quotient",
        "FLOP of training for an RL token",
        float(p.rl_flops / p.efficiency),
        "",
        given("RL FLOP per parameter and token", float(p.rl_flops)),
        efficiency,
    )
    rl = stated("product", "RL", float(s.rl), "FLOP", per_rl, params, Term(name="RL tokens", value=float(s.rl_tokens), unit="tokens"))
    once = stated(
        "quotient",
        "FLOP of training for an output token",
        float(SERVE_FLOPS / p.efficiency),
        "",
        count("FLOP per parameter and token", SERVE_FLOPS),
        efficiency,
    )
    per_served = stated(
        "product",
        "FLOP of training for a token served",
        float(p.serve_flops),
        "",
        once,
        count("cost of a token served over an output token", float(p.weight)),
    )
    inference = stated("product", "inference", float(s.inference), "FLOP", per_served, params, _served(answer))
    total = stated("sum", "compute", float(s.total), "FLOP", pre, rl, inference)
    peak, mfu = (
        of_machine(answer.priced, "peak_bf16", "peak"),
        given("MFU of training", float(p.mfu), by="found by search" if answer.rates else "given, or a usual 0.4"),
    )
    hour = of_machine(answer.priced, "price_per_hour", "price of a device-hour")
    hours = quotient("device-hours", "", total, count("seconds of an hour", 3600.0), peak, mfu)
    dollars = stated("product", "cost", float(s.dollars), "$", hours, hour)
    per = stated("quotient", "tokens per parameter", float(s.tokens_per_param), "", tokens, params)
    own = Term(name="tokens that suit N by the law", value=float(s.balanced_tokens), unit="tokens", source=law.source)
    over = stated("quotient", "over 20 per parameter", float(s.over_rule), "", per, count("rule of thumb", RULE_OF_THUMB))
    over_law = stated("quotient", "over the law's own", float(s.over_law), "", tokens, own)
    coefficients = tuple(Term(name=key, value=float(value), source=law.source) for key, value in law.coefficients.items())
    return Term(
        name=f"compute split by the rule {answer.mode}",
        children=(
            dollars,
            over,
            over_law,
            Term(name="loss", value=float(s.loss), unit="nats per token", source=law.source),
            Term(name=f"law {law.name}: {law.family.formula}", children=coefficients),
        ),
    )


RULES = {
    "equal": "costs in the shares begun from",
    "exponent": "A x^-p + B x^q is least where A / B = q / p",
    "optimum": "least N (6 D + K) at the loss of the equal split",
    "same-cost": "least loss at the cost of the equal split",
}
"""How each mode finds its tokens."""


def _why(answer: Allocation) -> str:
    if answer.mode != "equal":
        return "found with D"
    return "given" if answer.problem.active is not None else "solved"


def _served(answer: Allocation) -> Term:
    p, s = answer.problem, answer.best
    if p.rate is None:
        return Term(name="tokens served", value=float(s.served), unit="tokens", note="what the budget leaves for it")
    return stated(
        "product",
        "tokens served",
        float(s.served),
        "tokens",
        given("tokens per second", float(p.rate)),
        given("months", float(p.months)),
        count("seconds of a month", MONTH),
        given("probability of shipping", float(p.ship)),
    )
