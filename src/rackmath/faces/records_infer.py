"""The answers of `infer` as plain mappings and rows: the shape of its `--json` and `--csv`. SI units."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..decisions.inverse import Posterior
    from .ask_infer import BlindAnswer, InferAnswer

Record = dict[str, Any]
QUANTILES = ("p5", "p25", "p50", "p75", "p95")


def record(answer: InferAnswer) -> Record:
    """{model, day, seller, listed, known, beliefs, seller_machines, unknowns, choices, weights, draws, ...}."""
    r = answer.inference
    return {
        "model": answer.prices.model,
        "day": answer.prices.day,
        "seller": answer.seller,
        "listed": [{"name": o.name, "value": o.value, "unit": o.unit, "says": o.says} for o in r.seen],
        "known": dict(answer.known),
        "beliefs": dict(answer.priors),
        "seller_machines": sold(answer),
        "unknowns": {k: unknown(p, answer.truth.get(k)) for k, p in r.unknowns.items()},
        "choices": {
            k: {"prior": dict(o.prior), "posterior": dict(o.posterior), "bits": o.bits, "known": o.known}
            for k, o in r.odds.items()
        },
        "weights": [
            {"observation": w.observation.name, "total_bits": w.total, "bits": dict(w.bits)} for w in r.weights
        ],
        "draws": r.draws,
        "effective_draws": r.effective,
    }


def sold(answer: InferAnswer) -> Record | None:
    """What is known of the seller's machines, and the reading without it."""
    s, r = answer.sold, answer.without
    if s is None:
        return None
    return {
        "seller": s.name, "says": s.says, "firm": s.firm, "source": s.source, "date": s.date,
        "absent": list(s.absent),
        "without": None if r is None else {
            "hardware": dict(r.odds["hardware"].posterior),
            "unknowns": {k: dict(zip(QUANTILES, p.posterior, strict=True)) for k, p in r.unknowns.items()},
        },
    }  # fmt: skip


def unknown(p: Posterior, truth: float | None = None) -> Record:
    """One unknown: quantiles before and after, bits, and the histogram behind the picture."""
    return {
        "unit": p.unit,
        "prior": dict(zip(QUANTILES, p.prior, strict=True)),
        "posterior": dict(zip(QUANTILES, p.posterior, strict=True)),
        "bits": p.bits,
        "known": p.known,
        "truth": truth,
        "histogram": {"edges": p.edges, "prior": p.before, "posterior": p.after},
    }


def rows(answer: InferAnswer) -> list[Record]:
    """One row for each unknown, then one for each kind of each choice."""
    r = answer.inference
    found: list[Record] = [
        {
            "unknown": p.name, "unit": p.unit, "kind": None, "prior_p5": p.prior[0], "prior_p50": p.prior[2],
            "prior_p95": p.prior[4], "p5": p.low, "p50": p.median, "p95": p.high, "bits": p.bits,
            "truth": answer.truth.get(p.name),
        }
        for p in r.unknowns.values()
    ]  # fmt: skip
    for o in r.odds.values():
        found += [
            {"unknown": o.name, "kind": k, "prior_odds": o.prior[k], "odds": o.posterior[k], "bits": o.bits}
            for k in o.prior
        ]
    return found


def blind(answer: BlindAnswer) -> Record:
    """{verdicts, lists, refused}."""
    from ..evidence import blind as evidence

    b = answer.blind
    return {
        "verdicts": [asdict(v) for v in b.verdicts],
        "lists": [evidence.flat(one) for one in b.lists],
        "refused": list(b.refused),
    }
