"""The answer of `allocate` as plain mappings and rows: the shape of its `--json` and `--csv`.

FLOP are of training: device time times what training makes of it. Intervals are 5 to 95 %.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..decisions.allocation import Split
    from ..decisions.allocation_ranges import Ends
    from .ask_allocate import AllocateAnswer

Record = dict[str, Any]


def record(answer: AllocateAnswer) -> Record:
    """{question, mode, modes, intervals, tornado, over_training, curve, machine, extrapolated, notes}."""
    p = answer.problem
    return {
        "question": {
            "law": p.law.name, "dollars": p.dollars, "flops": p.flops, "rate": p.rate,
            "months": p.months if p.rate is not None else None, "active": p.active, "shares": list(p.shares),
            "rl_flops": p.rl_flops, "efficiency": p.efficiency, "ship": p.ship, "input_share": p.input_share,
            "cached_share": p.cached_share, "input_weight": p.input_weight, "cached_weight": p.cached_weight,
            "price_per_gpu_hour": p.per_hour, "peak": p.peak, "mfu": p.mfu, "flop_price": p.flop_price,
        },
        "mode": answer.mode,
        "modes": {mode: split(s) for mode, s in answer.splits.items()},
        "intervals": {key: list(ends) for key, ends in answer.intervals.items()},
        "ranges": {key: list(ends) for key, ends in answer.ranges.items()},
        "tornado": [
            {"input": s.name, "ends": None if s.ends is None else list(s.ends),
             "labels": list(s.labels) if s.labels[0] else None, "low": s.low, "high": s.high,
             "of": "tokens_per_param"}
            for s in answer.swings
        ],
        "over_training": [
            {"law": t.law.name, "balanced_tokens_per_param": t.balanced,
             "by_share": [{"share": k, "over_law": v, "interval": _ends(t.by_share_ends.get(k))}
                          for k, v in t.by_share.items()],
             "needed_share": [{"over_law": k, "share": v, "interval": _ends(t.needed_ends.get(k))}
                              for k, v in t.needed.items()]}
            for t in answer.tensions
        ],
        "curve": {
            "tokens_per_param": answer.curve.tokens_per_param, "params": answer.curve.params,
            "pre": answer.curve.pre, "rl_and_inference": answer.curve.rest,
        },
        "machine": answer.priced.name,
        "searched": answer.rates is not None,
        "extrapolated": list(answer.outside),
        "notes": list(answer.notes),
    }  # fmt: skip


def split(s: Split) -> Record:
    """One mode."""
    return {
        "params": s.params, "tokens": s.tokens, "rl_tokens": s.rl_tokens, "served_tokens": s.served,
        "tokens_per_param": s.tokens_per_param, "over_20_per_param": s.over_rule, "over_law": s.over_law,
        "loss": s.loss, "share_pre": s.share, "flops_pre": s.pre, "flops_rl": s.rl, "flops_inference": s.inference,
        "flops": s.total, "dollars_pre": s.pre * s.flop_price, "dollars_rl": s.rl * s.flop_price,
        "dollars_inference": s.inference * s.flop_price, "dollars": s.dollars,
    }  # fmt: skip


def rows(answer: AllocateAnswer) -> list[Record]:
    """A row for each mode."""
    return [{"mode": mode} | split(s) for mode, s in answer.splits.items()]


def _ends(of: Ends | None) -> list[float] | None:
    return None if of is None else list(of)
