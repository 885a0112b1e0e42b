"""Charts of `allocate`: what the answer depends on, and cost at one loss against tokens per parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import charts
from .braille import column_of

if TYPE_CHECKING:
    from ..decisions.allocation_ranges import Swing
    from .ask_allocate import AllocateAnswer

Spec = dict[str, Any]

NAMES = {
    "rate": "traffic", "months": "months", "active": "active parameters", "flops": "budget", "dollars": "budget",
    "ship": "probability of shipping", "mfu": "MFU of training", "per_hour": "price of an hour",
    "rl_flops": "RL FLOP per token", "efficiency": "efficiency of decoding", "share": "share of pre-training",
}  # fmt: skip
"""Inputs in words."""


def name_of(swing: Swing) -> str:
    """What was moved."""
    return NAMES.get(swing.name, swing.name)


def swing_text(swing: Swing, value: float, ends: tuple[float, float], columns: int) -> str:
    """A bar from the answer at the low end (○) to that at the high end (●), the answer itself as a stroke.

    >>> from rackmath.decisions.allocation_ranges import Swing
    >>> swing_text(Swing(name="rate", ends=(1, 4), low=10.0, high=1000.0), 100.0, (10.0, 1000.0), 9)
    '○───┼───●'
    """

    def at(v: float) -> int:
        return column_of(v, ends, columns) if ends[1] > ends[0] else round((columns - 1) / 2)

    cells = [" "] * columns
    low, high = at(swing.low), at(swing.high)
    for i in range(min(low, high), max(low, high) + 1):
        cells[i] = "─"
    middle = at(value)
    cells[middle] = "┼" if min(low, high) < middle < max(low, high) else "│"
    cells[low], cells[high] = "○", "●"
    return "".join(cells)


def span(answer: AllocateAnswer) -> tuple[float, float]:
    """The least and the largest answer of all swings."""
    every = [v for s in answer.swings for v in (s.low, s.high)] + [float(answer.best.tokens_per_param)]
    return min(every), max(every)


def tornado(answer: AllocateAnswer) -> Spec:
    """Horizontal bars, the widest on top, each from the answer at the low end of an input to that at the high end."""
    value = float(answer.best.tokens_per_param)
    rows = [
        {"name": name_of(s), "low": float(f"{s.low:.5g}"), "high": float(f"{s.high:.5g}"),
         "low end": s.labels[0] or f"{s.ends[0]:.4g}" if s.ends else s.labels[0],
         "high end": s.labels[1] or f"{s.ends[1]:.4g}" if s.ends else s.labels[1]}
        for s in answer.swings
    ]  # fmt: skip
    low, high = span(answer)
    x: Spec = {"type": "quantitative", "title": "Tokens per parameter",
               "scale": {"type": "log", "domain": [low / 1.15, high * 1.15], "nice": False}}  # fmt: skip
    y: Spec = {"field": "name", "type": "nominal", "sort": [r["name"] for r in rows], "title": None,
               "axis": {"labelLimit": 220, "ticks": False}}  # fmt: skip
    tip = [{"field": f, "type": "nominal"} for f in ("name", "low end", "low", "high end", "high")]
    return {
        "title": {"text": [f"What the answer of mode {answer.mode} depends on: one input at a time"]},
        "width": 560,
        "height": {"step": 24},
        "data": {"values": rows},
        "layer": [
            {"name": "swings", "mark": {"type": "bar", "height": 11, "opacity": 0.55},
             "encoding": {"x": x | {"field": "low"}, "x2": {"field": "high"}, "y": y, "tooltip": tip}},
            {"name": "low ends", "mark": {"type": "point", "filled": False, "size": 60},
             "encoding": {"x": x | {"field": "low"}, "y": y, "tooltip": tip}},
            {"name": "high ends", "mark": {"type": "point", "filled": True, "size": 60},
             "encoding": {"x": x | {"field": "high"}, "y": y, "tooltip": tip}},
            {"name": "answer", "mark": {"type": "rule", "style": ["rule-mark"]}, "data": {"values": [{"at": value}]},
             "encoding": {"x": x | {"field": "at"}}},
        ],
    }  # fmt: skip


def cost(answer: AllocateAnswer) -> Spec:
    """Training, RL with inference, and their sum at the loss of the equal split, against tokens per parameter."""
    c, price = answer.curve, float(answer.problem.flop_price)
    x = c.tokens_per_param.tolist()
    lines = [
        charts.Series(name, x, (column * price / 1e6).tolist(), look=look)
        for name, column, look in (
            ("all", c.total, "line"), ("pre-training", c.pre, "dashed"), ("RL and inference", c.rest, "dashed")
        )
    ]  # fmt: skip
    marks = [
        charts.Mark(mode, float(s.tokens_per_param), float(s.dollars) / 1e6)
        for mode, s in answer.splits.items()
        if mode in ("equal", "optimum") and np.isfinite(s.dollars)
    ]
    if answer.solved:  # the equal split is the optimum
        marks = marks[-1:]
    return charts.curve(
        lines,
        title=f"Cost of one quality: loss {float(answer.splits['equal'].loss):.4g} under {answer.problem.law.name}",
        x=charts.Axis("Tokens per parameter", log=True),
        y=charts.Axis("Cost", "M$", log=True),
        marks=marks,
    )


def both(answer: AllocateAnswer) -> Spec:
    """The cost curve, and what the answer depends on below it."""
    whole = charts.stack([cost(answer)], title="Compute between pre-training, RL and inference")
    whole["vconcat"].append(tornado(answer))
    return whole
