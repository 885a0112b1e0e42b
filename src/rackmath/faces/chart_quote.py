"""A price list as dots on one axis of dollars: floor, cost with its interval, price and hosts; also in letters."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..answers.text import money
from ..answers.theme import config
from .braille import _paint, column_of
from .charts import SCHEMA

if TYPE_CHECKING:
    from ..decisions.quote.price_list import Line
    from .ask_quote import QuoteAnswer

Spec = dict[str, Any]

KINDS = ("floor", "cost", "price", "host")
_ORDER = ("floor", "host", "cost", "price")  # the last one drawn is on top
_SHAPES = ("triangle-right", "circle", "diamond", "cross")
_LETTERS = {"floor": "▸", "cost": "●", "price": "◆", "host": "+"}
_COLOURS = {"floor": 90, "cost": 34, "price": 33, "host": 32}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A price in dollars per million tokens on the row of a line; `who` asks it, or what it is."""

    kind: str
    value: float
    who: str


def label(line: Line) -> str:
    """The name of a row."""
    return line.name if line.tier == "standard" else f"{line.tier}: {line.name}"


def dots(answer: QuoteAnswer, line: Line) -> list[Dot]:
    """Everything on a line's row that can be drawn; hosts stand on standard rows only."""
    found = [
        Dot(kind="floor", value=line.floor, who="cost at the bound"),
        Dot(kind="cost", value=line.cost, who="our cost"),
        Dot(kind="price", value=line.listed, who="our price"),
    ]
    field = {"input": "input_mtok", "cached read": "cache_read_mtok", "output": "output_mtok"}.get(line.name)
    if field and line.tier == "standard":
        asked = [(h, getattr(h, field)) for h in answer.hosts or ()]
        found += [Dot(kind="host", value=value, who=h.provider) for h, value in asked if value is not None]
    return [d for d in found if d.value > 0]


def spec(answer: QuoteAnswer) -> Spec:
    """The list for a picture or a page."""
    quote = answer.quote
    order = [label(line) for line in quote.lines]
    points = [
        {"line": label(line), "kind": d.kind, "value": d.value, "who": d.who, "text": f"{money(d.value)}/M tokens"}
        for line in quote.lines
        for d in sorted(dots(answer, line), key=lambda d: _ORDER.index(d.kind))
    ]
    bars = [
        {"line": label(line), "low": line.low, "high": line.high}
        for line in quote.lines
        if line.low is not None and line.low > 0
    ]
    low, high = _ends(answer)
    ticks = _ticks(low, high)
    x = {
        "type": "quantitative",
        "title": "Dollars per million tokens",
        "scale": {"type": "log", "domain": [low, high], "nice": False},
        "axis": {"values": ticks, "labelExpr": "'$' + format(datum.value, '~r')", "orient": "bottom"},
    }
    used = [k for k in KINDS if any(p["kind"] == k for p in points)]
    shapes = [_SHAPES[KINDS.index(k)] for k in used]
    kind = {"field": "kind", "type": "nominal", "sort": None, "legend": {"title": None}}
    tip = [
        {"field": f, "type": "nominal", "title": t} for f, t in (("line", "price"), ("who", "what"), ("text", "is"))
    ]
    soft = config("light")["axis"]["labelColor"]
    q = quote.standard.question
    title = f"Price list: {q.model.name} on {q.machine.name}"
    return {
        "$schema": SCHEMA,
        "description": f"{title}: floor, cost, price{' and hosts' if answer.hosts else ''} of {', '.join(order)}",
        "title": {"text": [title], "subtitle": ["Bars: 5 to 95 % of the cost; floors: the cost at the bound"],
                  "subtitleColor": soft},
        "width": 520,
        "height": {"step": 24},
        "encoding": {"y": {"field": "line", "type": "nominal", "sort": order, "scale": {"domain": order},
                           "title": None, "axis": {"labelLimit": 220, "ticks": False, "grid": True}}},
        "layer": [
            {"name": "intervals", "data": {"values": bars},
             "mark": {"type": "rule", "strokeWidth": 5, "opacity": 0.3, "color": soft},
             "encoding": {"x": x | {"field": "low"}, "x2": {"field": "high"}}},
            {"name": "dots", "data": {"values": points},
             "mark": {"type": "point", "filled": True, "size": 75, "opacity": 0.9},
             "encoding": {"x": x | {"field": "value"}, "shape": kind | {"scale": {"domain": used, "range": shapes}},
                          "color": kind | {"scale": {"domain": used}}, "tooltip": tip}},
        ],
        "config": config("light"),
    }  # fmt: skip


def _ends(answer: QuoteAnswer) -> tuple[float, float]:
    """The smallest and the largest price drawn, with a little room."""
    every = [d.value for line in answer.quote.lines for d in dots(answer, line)]
    every += [v for line in answer.quote.lines for v in (line.low, line.high) if v is not None and v > 0]
    return min(every) / 1.15, max(every) * 1.15


def _ticks(low: float, high: float) -> list[float]:
    """Ones, twos and fives between the ends; ones alone over many decades."""
    steps = (1.0, 2.0, 5.0) if high / low < 3e3 else (1.0,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [float(f"{s}e{k}") for k in powers for s in steps if low <= float(f"{s}e{k}") <= high]


def draw(answer: QuoteAnswer, *, width: int, color: bool) -> str:
    """The list in letters, one row for each price."""
    lines = answer.quote.lines
    gutter = max(len(label(line)) for line in lines) + 1
    columns = max(24, width - gutter - 3)
    low, high = _ends(answer)

    def at(value: float) -> int:
        return column_of(value, (low, high), columns)

    def row(line: Line) -> str:
        cells = [(" ", 0)] * columns
        if line.low is not None and line.high is not None and line.low > 0:
            for i in range(at(line.low), at(line.high) + 1):
                cells[i] = ("─", 90)
        found = dots(answer, line)
        for kind in _ORDER:
            for d in found:
                if d.kind == kind:
                    cells[at(d.value)] = (_LETTERS[kind], _COLOURS[kind])
        text = "".join(_paint(letter, code if color and code else None) for letter, code in cells)
        return f"{label(line):>{gutter}} │{text}".rstrip()

    kinds = [k for k in KINDS if k != "host" or answer.hosts]
    key = "   ".join(_paint(_LETTERS[k], _COLOURS[k] if color else None) + f" {k}" for k in kinds)
    key += "   " + _paint("─", 90 if color else None) + " 5 to 95 % of the cost"
    under, below = _below([(at(v), f"${v:g}") for v in _ticks(low, high)], columns)
    foot = [f"{'':>{gutter}} └{under}", f"{'':>{gutter}}  {below}"]
    return "\n".join([f"  {key}", *map(row, lines), *(f.rstrip() for f in foot)])


def _below(ticks: Iterable[tuple[int, str]], columns: int) -> tuple[str, str]:
    """An axis with its ticks, and the line of their labels: those that would run into another are left out."""
    under: list[str] = ["─"] * columns
    labels: list[str] = [" "] * (columns + 8)
    end = -2
    for column, text in ticks:
        start = max(0, column - len(text) // 2)
        if start > end + 1 and start + len(text) <= columns + 2:
            under[column] = "┬"
            labels[start : start + len(text)] = text
            end = start + len(text)
    return "".join(under), "".join(labels)
