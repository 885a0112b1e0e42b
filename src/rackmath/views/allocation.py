"""A compute split as plain data, and its inputs in words.

FLOP are of training: device time times what training makes of it. Intervals are 5 to 95 %.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..answers.text import between, money
from ..units import show

if TYPE_CHECKING:
    from ..decisions.allocation.case import Allocation
    from ..decisions.allocation.ranges import Ends, Swing
    from ..decisions.allocation.split import Split

Record = dict[str, Any]

NAMES = {
    "rate": "traffic",
    "months": "months",
    "active": "active parameters",
    "flops": "budget",
    "dollars": "budget",
    "ship": "probability of shipping",
    "mfu": "MFU of training",
    "per_hour": "price of an hour",
    "rl_flops": "RL FLOP per token",
    "efficiency": "efficiency of decoding",
    "share": "share of pre-training",
}
"""Inputs in words."""


def record(a: Allocation) -> Record:
    """{case, mode, modes, intervals, ranges, tornado, over_training, curve, machine, searched, extrapolated}."""
    p = a.problem
    return {
        "case": {
            "law": p.law.name,
            "dollars": p.dollars,
            "flops": p.flops,
            "rate": p.rate,
            "months": p.months if p.rate is not None else None,
            "active": p.active,
            "shares": list(p.shares),
            "rl_flops": p.rl_flops,
            "efficiency": p.efficiency,
            "ship": p.ship,
            "input_share": p.input_share,
            "cached_share": p.cached_share,
            "input_weight": p.input_weight,
            "cached_weight": p.cached_weight,
            "price_per_gpu_hour": p.per_hour,
            "peak": p.peak,
            "mfu": p.mfu,
            "flop_price": p.flop_price,
        },
        "mode": a.mode,
        "modes": {mode: split(s) for mode, s in a.splits.items()},
        "intervals": {key: list(ends) for key, ends in a.intervals.items()},
        "ranges": {key: list(ends) for key, ends in a.ranges.items()},
        "tornado": [
            {
                "input": s.name,
                "ends": None if s.ends is None else list(s.ends),
                "labels": list(s.labels) if s.labels[0] else None,
                "low": s.low,
                "high": s.high,
                "of": "tokens_per_param",
            }
            for s in a.swings
        ],
        "over_training": [
            {
                "law": t.law.name,
                "balanced_tokens_per_param": t.balanced,
                "by_share": [{"share": k, "over_law": v, "interval": _ends(t.by_share_ends.get(k))} for k, v in t.by_share.items()],
                "needed_share": [{"over_law": k, "share": v, "interval": _ends(t.needed_ends.get(k))} for k, v in t.needed.items()],
            }
            for t in a.tensions
        ],
        "curve": {
            "tokens_per_param": a.curve.tokens_per_param,
            "params": a.curve.params,
            "pre": a.curve.pre,
            "rl_and_inference": a.curve.rest,
        },
        "machine": a.priced.name,
        "searched": a.rates is not None,
        "extrapolated": list(a.outside),
    }


def split(s: Split) -> Record:
    """One mode."""
    return {
        "params": s.params,
        "tokens": s.tokens,
        "rl_tokens": s.rl_tokens,
        "served_tokens": s.served,
        "tokens_per_param": s.tokens_per_param,
        "over_20_per_param": s.over_rule,
        "over_law": s.over_law,
        "loss": s.loss,
        "share_pre": s.share,
        "share_rl": s.rl / s.total,
        "share_inference": s.inference / s.total,
        "flops_pre": s.pre,
        "flops_rl": s.rl,
        "flops_inference": s.inference,
        "flops": s.total,
        "dollars_pre": s.pre * s.flop_price,
        "dollars_rl": s.rl * s.flop_price,
        "dollars_inference": s.inference * s.flop_price,
        "dollars": s.dollars,
    }


def _ends(of: Ends | None) -> list[float] | None:
    return None if of is None else list(of)


def ends_text(s: Swing) -> str:
    """Between which values an input is moved."""
    if s.ends is None:
        return f"{s.labels[0]}, {s.labels[1]}"
    low, high = s.ends
    if s.name in ("share", "ship", "mfu"):
        return f"{low:.0%} to {high:.0%}"
    if s.name == "dollars":
        return f"{money(low / 1e6)} to {money(high / 1e6)} M"
    if s.name == "flops":
        return f"{low:.2g} to {high:.2g}"
    if s.name == "per_hour":
        return between(low, high, "$/h")
    unit = {"rate": "tok/s", "active": "params"}.get(s.name, "")
    first, last = (show(e, unit, digits=2).removesuffix(" params") for e in s.ends)
    return f"{first} to {last}"
