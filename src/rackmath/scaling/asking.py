"""What laws are asked, and what each of them answers: names and numbers in, one row for each law out.

>>> found = answers([law("besiroglu")], {"flops": 1e21}, {})
>>> found.asked.kind, round(float(found.rows[0].point.tokens_per_param), 1)
('optimum', 21.5)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays import Number
from ..errors import BadInput, Infeasible
from . import drift, points
from .fit import FittedLaw
from .laws import Law, law
from .points import FEWEST_TOKENS, GRANULARITY, HIGHEST_LOSS, LawPoint

DRAWS = 1000
ENDS: Mapping[str, tuple[float, float, str]] = {
    "params": (500.0, 1e14, "70B for 70 billion"),
    "tokens": (1e3, 1e20, "1.4T for trillions of tokens"),
    "flops": (1e12, 1e35, "6 N D, like 5.76e23"),
    "unique": (1e3, 1e20, "1.4T for trillions of tokens"),
    "experts": (0.0, 1e6, "64, say"),
    "granularity": (0.0, 1e6, "8, say"),
}
"""Least and most of what is taken for meant, and what to write instead; beyond it is a slip of units."""

ASKS: Mapping[frozenset[str], str] = {
    frozenset({"params", "tokens"}): "loss",
    frozenset({"params", "flops"}): "loss",
    frozenset({"tokens", "flops"}): "loss",
    frozenset({"flops"}): "optimum",
    frozenset({"loss"}): "cheapest",
    frozenset({"params"}): "balanced",
    frozenset({"tokens"}): "balanced",
    frozenset({"params", "loss"}): "tokens",
    frozenset({"tokens", "loss"}): "params",
}
"""What two numbers, or one, ask for."""

SPAN = ("params", "tokens", "tokens_per_param", "loss", "flops")

HEAD: Mapping[str, str] = {
    "loss": "loss",
    "optimum": "tokens_per_param",
    "balanced": "tokens_per_param",
    "cheapest": "flops",
    "tokens": "tokens",
    "params": "params",
}
"""The quantity that answers a question of each kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LawQuestion:
    """A question: `kind` is what is asked, one of the values of `ASKS` or "worth"; numbers of it may be columns."""

    kind: str
    given: Mapping[str, Number]
    inputs: Mapping[str, Number]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertWorth:
    """What a routed model is worth: parameters of the dense model of the same loss, and all it holds.

    Clark's models have experts in every second layer, those of later laws in all. `span`: 5 to 95 % of `effective`
    beyond the box of the law.
    """

    effective: float
    total: float
    cutoff: float
    span: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LawRow:
    """One law's answer. `spans`: 5 to 95 % of what it answers, where the law has draws or is asked beyond its box."""

    law: Law
    point: LawPoint
    spans: Mapping[str, tuple[float, float]]
    worth: ExpertWorth | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SilentLaw:
    """A law that does not answer: `why` is "loss" (nothing reaches it) or "form" (it knows no such thing)."""

    law: Law
    why: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LawAnswers:
    """Answers of laws to a question; the laws themselves where nothing was asked."""

    asked: LawQuestion | None
    laws: tuple[Law, ...]
    rows: tuple[LawRow, ...] = ()
    silent: tuple[SilentLaw, ...] = ()
    fitted: FittedLaw | None = None

    @property
    def disagreement(self) -> float | None:
        """The largest answer of a law of dense models over the smallest, where they can be compared."""
        a = self.asked
        if a is None or a.kind == "worth" or "loss" in (HEAD[a.kind], *a.given):
            return None
        values = [float(getattr(row.point, HEAD[a.kind])) for row in self.rows if row.law.active == 1]
        return max(values) / min(values) if len(values) > 1 else None


def answers(
    chosen: Sequence[Law], given: Mapping[str, float], inputs: Mapping[str, float], *, strict: bool = False, fitted: FittedLaw | None = None
) -> LawAnswers:
    """What the chosen laws say to the numbers given; a `strict` question is refused where one does not answer.

    Two of `params`, `tokens`, `flops` and `loss` ask for the rest; one alone for the compute-optimal run. With
    experts among `inputs`, parameters (and tokens, where the law knows them) ask what a routed model is worth.
    """
    if not given:
        if inputs:
            raise BadInput(f"{', '.join(inputs)} alone ask nothing; give parameters too, like --params 370M")
        return LawAnswers(asked=None, laws=tuple(chosen), fitted=fitted)
    asked = LawQuestion(kind=_kind(given, inputs), given=given, inputs=inputs)
    _slips({**given, **inputs})
    rows, silent = _rows(chosen, asked, strict=len(chosen) == 1 or strict)
    return LawAnswers(asked=asked, laws=tuple(chosen), rows=tuple(rows), silent=tuple(silent), fitted=fitted)


def _kind(question: Mapping[str, float], inputs: Mapping[str, float]) -> str:
    """What is asked."""
    if "experts" in inputs and set(question) in ({"params"}, {"params", "tokens"}):
        return "worth"
    if "experts" in inputs and set(question) == {"loss"}:
        return "params"
    kind = ASKS.get(frozenset(question))
    if kind is None:
        raise BadInput(
            f"{', '.join(question)} together are no question; give one of params, tokens, flops and loss, or two of"
            " them (a loss with parameters or tokens)"
        )
    return kind


def _slips(given: Mapping[str, float]) -> None:
    """Refuse what is most likely a slip of units, in one sentence."""
    n, d = given.get("params"), given.get("tokens")
    if n is not None and d is not None and d < FEWEST_TOKENS * n:
        raise BadInput(f"tokens = {d:.3g} are few beside params = {n:.3g}; are they swapped? write 1.4T for trillions of tokens")
    if n is not None and d is not None and d > 1e8 * n:
        raise BadInput(f"params = {n:.3g} are few beside tokens = {d:.3g}; write 70B for billions of parameters")
    for key, (least, most, instead) in ENDS.items():
        if key in given and not least <= given[key] <= most:
            many = "less" if given[key] < least else "more"
            raise BadInput(f"{key} = {given[key]:.3g} is {many} than any run has; write {instead}")
    if given.get("loss", 1.0) > HIGHEST_LOSS:
        raise BadInput(f"loss = {given['loss']:.3g} is no loss in nats per token; give the log of a perplexity")


def _rows(chosen: Sequence[Law], asked: LawQuestion, *, strict: bool) -> tuple[list[LawRow], list[SilentLaw]]:
    """The answers; a law that was named and does not answer is an error, others are left out with their reason."""
    rows, silent = [], []
    for one in chosen:
        try:
            rows.append(_row(one, asked))
        except (BadInput, Infeasible) as error:
            if strict:
                raise
            why = "loss" if isinstance(error, Infeasible) else "form"
            silent.append(SilentLaw(law=one, why=why, reason=str(error)))
    if not rows:
        first = min(silent, key=lambda one: ("loss", "form").index(one.why))
        kind = Infeasible if first.why == "loss" else BadInput
        raise kind(f"none of {len(chosen)} laws answers; the first of them: {first.reason}")
    return rows, silent


def _row(one: Law, asked: LawQuestion) -> LawRow:
    if asked.kind == "worth":
        return _worth(one, asked)
    point = point_of(one, asked)
    _reached(one, asked, point)
    spans = {}
    wide = drift.wider(one, drift.edge(one, point.params, point.tokens, point.flops), DRAWS)
    if wide is not None:
        many = point_of(wide, asked)
        known = [key for key in SPAN if key not in asked.given and np.all(np.isfinite(getattr(point, key)))]
        spans = {key: span_of(getattr(many, key)) for key in known}
    return LawRow(law=one, point=point, spans=spans)


def point_of(one: Law, asked: LawQuestion) -> LawPoint:
    """The law's answer to the question; numbers of it may be columns."""
    given, more = asked.given, asked.inputs
    n, d, c, loss = (given.get(key) for key in ("params", "tokens", "flops", "loss"))
    if asked.kind == "loss" and c is not None:
        return points.of_budget(one, c, params=n, tokens=d, **more)
    if asked.kind == "loss" and n is not None:
        return points.at(one, n, d, **more)
    if asked.kind == "optimum" and c is not None:
        return points.optimum(one, c, **more)
    if asked.kind == "balanced":
        return points.balanced(one, params=n, tokens=d, **more)
    assert loss is not None
    if asked.kind == "cheapest":
        return points.cheapest(one, loss, **more)
    return points.tokens_for(one, loss, n, **more) if n is not None else points.params_for(one, loss, d, **more)


def span_of(column: Number) -> tuple[float, float]:
    """5 and 95 % of draws; one that reaches its target nowhere counts as endless."""
    found = np.quantile(np.where(np.isnan(column), np.inf, column), [0.05, 0.95], method="inverted_cdf")
    return float(found[0]), float(found[1])


def _reached(one: Law, asked: LawQuestion, point: LawPoint) -> None:
    """Refuse a loss that nothing reaches."""
    sought = (point.params,) if asked.kind == "params" else (point.params, point.tokens)
    if "loss" not in asked.given or all(np.all(np.isfinite(value)) for value in sought):
        return
    fixed = {key: asked.given[key] for key in ("params", "tokens") if key in asked.given}
    least = float(points.floor(one, **fixed, **asked.inputs))
    what = " and ".join(f"{value:.3g} {key}" for key, value in fixed.items())
    raise Infeasible(
        f"under {one.name} nothing reaches a loss of {asked.given['loss']:g}{f' with {what}' if what else ''}:"
        f" it approaches {least:.6g}; give a higher loss{' or more ' + ' and '.join(fixed) if fixed else ''}"
    )


def _worth(one: Law, asked: LawQuestion) -> LawRow:
    params, experts = asked.given["params"], asked.inputs["experts"]
    tokens, fine = asked.given.get("tokens"), asked.inputs.get("granularity", GRANULARITY)
    worth = points.effective_params(one, params, experts, tokens, fine)
    point = points.worth_of(one, params, experts, tokens)
    wide = drift.wider(one, drift.edge(one, params, point.tokens, point.flops), DRAWS)
    every = 2.0 if one.form == "routed" else 1.0
    made = ExpertWorth(
        effective=float(worth),
        total=float(points.routed_total(params, experts, every=every)),
        cutoff=float(points.cutoff(one)),
        span=None if wide is None else span_of(points.effective_params(wide, params, experts, tokens, fine)),
    )
    return LawRow(law=one, point=point, spans={}, worth=made)


__all__ = ["ASKS", "HEAD", "ExpertWorth", "LawAnswers", "LawQuestion", "LawRow", "SilentLaw", "answers", "law", "point_of", "span_of"]
