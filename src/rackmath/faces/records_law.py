"""The answer of `law` as plain mappings and rows: the shape of its `--json` and `--csv`.

Parameters and tokens are counts, FLOPs those of training, losses nats per token; what a law does not know is None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..scaling.fit import NAMES, distances

if TYPE_CHECKING:
    from ..scaling.fit import Fitted
    from ..scaling.laws import Law
    from .ask_law import LawAnswer, Row

Record = dict[str, Any]


def record(answer: LawAnswer) -> Record:
    """{question, answers, silent, fit} of a question, {laws, fit} of none."""
    fit = None if answer.fitted is None else fitted(answer.fitted)
    if answer.asked is None:
        return {"laws": [law(one) for one in answer.laws], "fit": fit}
    a = answer.asked
    return {
        "question": {"asks": a.kind, **a.given, **a.inputs},
        "answers": [answered(row) for row in answer.rows],
        "silent": [{"law": one.law.name, "why": one.why, "reason": one.reason} for one in answer.silent],
        "fit": fit,
    }


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


def answered(row: Row) -> Record:
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
            "total_params": w.total, "total_over_active": w.total / float(p.params), "cutoff_params": w.cutoff,
        }  # fmt: skip
    return found


def fitted(one: Fitted) -> Record:
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


def rows(answer: LawAnswer) -> list[Record]:
    """One row for each law."""
    if answer.asked is None:
        return [_listed(one) for one in answer.laws]
    found = []
    for row in answer.rows:
        flat = answered(row)
        spans = flat.pop("intervals") or {}
        flat["outside"] = "; ".join(flat["outside"])
        for key, ends in spans.items():
            flat |= {f"{key}_low": ends[0], f"{key}_high": ends[1]}
        found.append(flat)
    return found


def _listed(one: Law) -> Record:
    """A law in one line: its coefficients and the ends of its box as columns."""
    flat = law(one)
    head = {
        key: flat[key] for key in ("law", "title", "form", "counts", "data", "draws", "source", "date", "standing")
    }
    for key, ends in one.box.items():
        head |= {f"{key}_low": ends[0], f"{key}_high": ends[1]}
    return head | dict(one.coefficients)
