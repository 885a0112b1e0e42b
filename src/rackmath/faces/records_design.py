"""The answer of `design` as plain mappings and rows: the shape of its `--json` and `--csv`. Dollars and SI units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..decisions.design import Candidate
    from .ask_design import DesignAnswer

Record = dict[str, Any]


def record(answer: DesignAnswer) -> Record:
    """{question, loss, best, reference, candidates, fell_out, weak, notes}."""
    d = answer.design
    n = d.need
    return {
        "question": {
            "quality_of": n.model.name, "tokens": n.tokens, "tokens_source": answer.tokens_source, "law": n.law.name,
            "routed_law": n.routed.name, "machine": n.machine.name, "rate": n.rate, "months": n.months,
            "isl": n.traffic.isl, "osl": n.traffic.osl, "cached": n.traffic.cached,
            "max_tpot": n.objectives.max_tpot, "precision": n.precision.name,
            "price_per_gpu_hour": float(n.machine.price_per_hour),
        },
        "loss": d.loss,
        "best": rows(answer)[0] | {"description": d.best.model.description},
        "reference": None if d.reference is None else row(d.reference),
        "candidates": rows(answer),
        "cheapest_in": d.shares,
        "experts_worth": d.worths,
        "fell_out": dict(d.fell_out),
        "weak": list(d.weak),
        "notes": list(answer.notes),
    }  # fmt: skip


def row(c: Candidate) -> Record:
    """A candidate in one row."""
    return {
        "model": c.model.name, "active": c.active, "experts_over_used": c.member.expansion if c.member else None,
        "kv": c.member.kv if c.member else None, "effective": c.effective, "tokens": c.tokens,
        "tokens_per_param": c.tokens / c.active, "training_dollars": c.training, "serving_dollars": c.serving,
        "dollars": c.total, "mfu": c.run.mfu, "training_layout": c.run.layout.label(),
        "serving_layout": c.plan.layout.label(), "output_mtok": float(c.plan.cost.output_mtok),
        "input_mtok": float(c.plan.cost.input_mtok), "interactivity": 1 / float(c.plan.serving.tpot),
    }  # fmt: skip


def rows(answer: DesignAnswer) -> list[Record]:
    """All candidates, cheapest first."""
    d = answer.design
    return [row(c) | {"dollars_low": low, "dollars_high": high}
            for c, (low, high) in zip(d.candidates, d.ends, strict=True)]  # fmt: skip
