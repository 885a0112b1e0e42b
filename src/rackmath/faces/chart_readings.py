"""Estimates of cache bytes per token on a logarithmic scale, each with its interval: for terminal and picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..answers.theme import config
from ..decisions.reading import number
from .braille import column_of
from .charts import SCHEMA

if TYPE_CHECKING:
    from .ask_readings import ReadingsAnswer

Spec = dict[str, Any]

NARROWEST = 20
"""Fewest columns a scale is drawn on."""


@dataclass(frozen=True)
class Bar:
    """One line of the picture: a value and its ends, in bytes; `kind` is "estimate" or "open model"."""

    name: str
    value: float
    low: float
    high: float
    kind: str


def bars(answer: ReadingsAnswer) -> list[Bar]:
    """The estimates, then open models to compare with."""
    found = [Bar(r.name, r.value, r.low, r.high, "estimate") for r in answer.readings.estimates]
    others = [
        Bar(r.name.rpartition("/")[2], r.kv_bytes_per_token, r.kv_bytes_per_token, r.kv_bytes_per_token, "open model")
        for r in answer.references
    ]
    return found + others


def limits(found: list[Bar]) -> tuple[float, float]:
    """Whole powers of ten around everything drawn."""
    low, high = min(b.low for b in found), max(b.high for b in found)
    return 10.0 ** math.floor(math.log10(low) + 1e-9), 10.0 ** math.ceil(math.log10(high) - 1e-9)


def bar_text(bar: Bar, ends: tuple[float, float], columns: int) -> str:
    """A bar with a dot at its value, and no more than the dot where nothing ranges.

    >>> bar_text(Bar("kv", 1e3, 1e2, 1e4, "estimate"), (100.0, 1e6), 21)
    '├────●────┤          '
    """
    cells = [" "] * columns
    first, last = column_of(bar.low, ends, columns), column_of(bar.high, ends, columns)
    if last > first:
        cells[first : last + 1] = ["├", *"─" * (last - first - 1), "┤"]
    cells[column_of(bar.value, ends, columns)] = "●" if bar.kind == "estimate" else "○"
    return "".join(cells)


def scale_text(ends: tuple[float, float], columns: int) -> tuple[str, str]:
    """Labels of the powers of ten, and the line below them, as many as fit."""
    labels, under, free = [" "] * (columns + 6), ["─"] * columns, -1
    for power in range(round(math.log10(ends[0])), round(math.log10(ends[1])) + 1):
        at = column_of(10.0**power, ends, columns)
        under[at] = "┬"
        text = _label(10.0**power)
        start = max(0, at - len(text) // 2)
        if start > free and start + len(text) <= len(labels):
            labels[start : start + len(text)] = text
            free = start + len(text)
    return "".join(labels).rstrip(), "".join(under)


def _label(value: float) -> str:
    """A power of ten in bytes, short: "10 kB"."""
    for size, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= size:
            return f"{value / size:g} {unit}"
    return f"{value:g} B"


def spec(answer: ReadingsAnswer) -> Spec:
    """The picture: a line for each estimate from its low to its high end, a dot at its value, open models below."""
    r, found = answer.readings, bars(answer)
    ends, order = limits(found), [b.name for b in found]
    powers = [10.0**k for k in range(round(math.log10(ends[0])), round(math.log10(ends[1])) + 1)]
    values = [{"name": b.name, "value": _round(b.value), "low": _round(b.low), "high": _round(b.high), "kind": b.kind,
               "text": number(b.value, "B")} for b in found]  # fmt: skip
    x: Spec = {
        "type": "quantitative",
        "scale": {"type": "log", "domain": list(ends), "nice": False},
        "axis": {"values": powers, "labelExpr": f"{[_label(p) for p in powers]!r}[indexof({powers!r}, datum.value)]",
                 "grid": True},
        "title": "Cache bytes per token",
    }  # fmt: skip
    y: Spec = {"field": "name", "type": "nominal", "sort": order, "title": None,
               "axis": {"labelLimit": 260, "ticks": False, "labelFontSize": 12}}  # fmt: skip
    colour: Spec = {"field": "kind", "type": "nominal", "scale": {"domain": ["estimate", "open model"]},
                    "legend": {"title": None}}  # fmt: skip
    title = f"Cache bytes per token read from the prices of {r.prices.model}, {r.prices.day}"
    apart = f": {number(r.spread.factor, 'x')} from the smallest to the largest" if r.spread else ""
    return {
        "$schema": SCHEMA,
        "description": title + apart,
        "title": {"text": [title + apart] if len(title + apart) < 80 else [title, apart.removeprefix(": ")]},
        "width": 560,
        "height": {"step": 26},
        "data": {"values": values},
        "encoding": {"y": y, "color": colour},
        "layer": [
            {"name": "intervals", "mark": {"type": "rule", "strokeWidth": 3.5, "opacity": 0.5, "strokeCap": "round"},
             "encoding": {"x": x | {"field": "low"}, "x2": {"field": "high"}}},
            {"name": "values", "mark": {"type": "point", "filled": True, "size": 80, "opacity": 1},
             "encoding": {"x": x | {"field": "value"}}},
            {"name": "numbers", "mark": {"type": "text", "dy": -9, "fontSize": 10.5, "style": ["label"]},
             "encoding": {"x": x | {"field": "value"}, "text": {"field": "text"}}},
        ],
        "config": config("light"),
    }  # fmt: skip


def _round(value: float) -> float:
    return float(f"{value:.6g}")
