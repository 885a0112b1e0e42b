"""Laws and their answers as plain data, as rows of a table and as terms.

Parameters and tokens are counts, FLOPs those of training, losses nats per token; what a law does not know is None.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..answers.terms import Term, count, given, product, quotient, stated
from ..scaling.fit import NAMES, distances

if TYPE_CHECKING:
    from ..scaling.asking import LawAnswers, LawRow
    from ..scaling.fit import FittedLaw
    from ..scaling.laws import Law

Record = dict[str, Any]


def law(one: Law) -> Record:
    """Everything a law is."""
    return {
        "law": one.name,
        "title": one.title,
        "form": one.form,
        "formula": one.family.formula,
        "coefficients": dict(one.coefficients),
        "printed": dict(one.printed) or None,
        "standard_errors": dict(one.errors) or None,
        "intervals_95": {key: list(ends) for key, ends in one.intervals.items()} or None,
        "exponent_a": one.exponent,
        "counts": one.params,
        "data": one.data,
        "active_over_counted": one.active,
        "box": {key: list(ends) for key, ends in one.box.items()},
        "refuses": dict(one.refuses) or None,
        "draws": 0 if one.sample is None else len(next(iter(one.sample.values()))),
        "source": one.source,
        "date": one.date,
        "standing": one.standing,
        "notes": list(one.notes),
    }


def answered(row: LawRow) -> Record:
    """One law's answer; intervals are of 5 to 95 %."""
    p = row.point
    found: Record = {
        "law": row.law.name,
        "params": p.params,
        "tokens": p.tokens,
        "tokens_per_param": p.tokens_per_param,
        "flops": p.flops,
        "loss": p.loss,
        "within_box": bool(p.within),
        "outside": list(p.outside),
        "intervals": {key: list(ends) for key, ends in row.spans.items()} or None,
    }
    if row.worth is not None:
        w = row.worth
        found |= {
            "effective_params": w.effective,
            "effective_interval": None if w.span is None else list(w.span),
            "effective_over_active": w.effective / float(p.params),
            "total_params": w.total,
            "total_over_active": w.total / float(p.params),
            "cutoff_params": w.cutoff,
        }
    return found


def fitted(one: FittedLaw) -> Record:
    """A law fitted to runs, with the covariance of log E, log A, log B, alpha and beta over resampled runs."""
    sample = one.law.sample
    assert sample is not None
    unknowns = np.stack([np.log(sample[k]) if k in "EAB" else sample[k] for k in NAMES])
    return {
        "law": law(one.law),
        "runs": len(one.runs),
        "resamples": one.resamples,
        "intervals_90": {key: list(one.interval(key)) for key in NAMES},
        "covariance": {"of": ["log E", "log A", "log B", "alpha", "beta"], "matrix": np.cov(unknowns).tolist()},
        "distance": dict(distances(one)),
    }


def flat_answer(row: LawRow) -> Record:
    """One law's answer in columns: the ends of intervals beside what they are of."""
    flat = answered(row)
    spans = flat.pop("intervals") or {}
    flat["outside"] = "; ".join(flat["outside"])
    for key, ends in spans.items():
        flat |= {f"{key}_low": ends[0], f"{key}_high": ends[1]}
    return flat


def flat_law(one: Law) -> Record:
    """A law in columns: its coefficients and the ends of its box."""
    flat = law(one)
    head = {key: flat[key] for key in ("law", "title", "form", "counts", "data", "draws", "source", "date", "standing")}
    for key, ends in one.box.items():
        head |= {f"{key}_low": ends[0], f"{key}_high": ends[1]}
    return head | dict(one.coefficients)


# --- terms ----------------------------------------------------------------------------------------------------------


def terms(answer: LawAnswers) -> Term:
    """What each term of a loss contributes, with the source of coefficients; a law alone as its coefficients."""
    if answer.asked is None:
        return _law(answer.laws[0])
    return Term(name=f"what laws say: {answer.asked.kind}", children=tuple(_row(row) for row in answer.rows))


def _law(one: Law) -> Term:
    source = f"{one.source} ({one.date}), {one.standing}"
    coefficients = tuple(
        Term(name=key, value=float(value), source=source, note=_error(one, key)) for key, value in one.coefficients.items()
    )
    return Term(name=f"{one.name}: {one.family.formula}", children=coefficients)


def _error(one: Law, key: str) -> str:
    return f"standard error {one.errors[key]:.4g}" if key in one.errors else ""


def _row(row: LawRow) -> Term:
    nodes = [*_loss(row), *_budget(row), *_worth(row)]
    note = f"beyond its runs: {'; '.join(row.point.outside)}" if row.point.outside else "within its runs"
    return Term(name=row.law.name, children=(*nodes, _law(row.law)), note=note)


def _loss(row: LawRow) -> list[Term]:
    """The loss: a sum of terms where the law has the common shape without a power, else a value with its formula."""
    p, one = row.point, row.law
    if not math.isfinite(float(p.loss)):
        return []
    if one.family.terms is None:
        return [Term(name="loss", value=float(p.loss), note=one.family.formula)]
    t = one.family.terms(one.coefficients, p.inputs)
    n, d = float(p.params), float(p.tokens)
    floor = Term(name="E", value=float(t.E), note="the floor")
    of_params = Term(name="term of parameters", value=float(t.of_params(p.params)), note=f"{float(t.A):.5g} / {n:.4g}^{float(t.alpha):.4g}")
    of_tokens = Term(name="term of tokens", value=float(t.of_tokens(p.tokens)), note=f"{float(t.B):.5g} / {d:.4g}^{float(t.beta):.4g}")
    if float(t.power) == 1:
        return [stated("sum", "loss", float(p.loss), "", floor, of_params, of_tokens)]
    inner = float(t.E + t.of_params(p.params) + t.of_tokens(p.tokens))
    whole = stated("sum", "inner sum", inner, "", of_params, of_tokens)
    return [Term(name="loss", value=float(p.loss), children=(whole,), note=f"the sum to the power {float(t.power):g}")]


def _budget(row: LawRow) -> list[Term]:
    p, one = row.point, row.law
    if one.active is None or not math.isfinite(float(p.flops)):
        return []
    n = given("parameters", float(p.params), by=f"as {one.name} counts: {one.params}")
    d = count("tokens", float(p.tokens))
    parts = [count("FLOPs per parameter and token", 6.0), n, d]
    if one.active != 1:
        parts.insert(1, count("active over counted parameters", one.active))
    return [product("training FLOPs", "", *parts), quotient("tokens per parameter", "", d, n)]


def _worth(row: LawRow) -> list[Term]:
    w, n = row.worth, float(row.point.params)
    if w is None:
        return []
    active = given("active parameters", n)
    worth = Term(name="effective parameters", value=w.effective, note="the dense model of the same loss")
    experts = Term(name="total parameters", value=w.total, note="N (1 + (E - 1) x MLP's share 2/3 / every 2nd layer)")
    return [quotient("effective over active", "", worth, active), quotient("total over active", "", experts, active)]
