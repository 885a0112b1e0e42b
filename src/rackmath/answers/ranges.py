"""Intervals and marked values of several rows on one axis: readings, prices beside others, a sensitivity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import wrap
from typing import Any

from ..text import legible
from .columns import Column
from .record import Record
from .scale import Axis, Scale, scale_of, tick_labels, ticks, usable
from .text import cell
from .theme import config

Spec = dict[str, Any]

SHAPES = ("circle", "ring", "diamond", "cross", "triangle-right", "square")
"""Signs of marked values; a ring is an empty circle."""


@dataclass(frozen=True, slots=True)
class Point:
    """A marked value: `kind` is one of the block's, `name` who or what it is."""

    kind: str
    value: float
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A row: an interval and values on it; `cells` are values of the block's columns. `faint`: to compare with."""

    name: str
    points: tuple[Point, ...] = ()
    low: float | None = None
    high: float | None = None
    cells: Mapping[str, Any] = field(default_factory=dict)
    faint: bool = False


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """Rows with intervals and marked values on one axis, linear or logarithmic.

    `kinds`: the sign of each kind of value, one of `SHAPES`, in the order of the legend; the last lies on top.
    `interval`: what a bar is, for the legend. `at`: a value that a line through all rows marks. `columns`: what
    stands between name and bar. `picture`: title of the picture. `written`: whether each row's first value stands
    in it in words.

    >>> rows = (Range(name="input", low=1.0, high=4.0, points=(Point("cost", 2.0),)),)
    >>> Ranges(rows=rows, axis=Axis("Price", "$"), kinds={"cost": "circle"}, interval="5 to 95 %").record()
    [{'name': 'input', 'low': 1.0, 'high': 4.0, 'points': [{'kind': 'cost', 'value': 2.0, 'name': ''}]}]
    """

    rows: tuple[Range, ...]
    axis: Axis
    kinds: Mapping[str, str]
    key: str = ""
    title: str = ""
    aside: str = ""
    interval: str = ""
    at: float | None = None
    columns: tuple[Column, ...] = ()
    picture: str = ""
    written: bool = False

    def record(self) -> list[Record]:
        """A row for each: name, the values of its columns, ends and points."""
        return [
            {"name": r.name, **r.cells, "low": r.low, "high": r.high}
            | {"points": [{"kind": p.kind, "value": p.value, "name": p.name} for p in r.points]}
            for r in self.rows
        ]

    table = record

    @property
    def used(self) -> list[str]:
        """The kinds that occur, in the order of the legend."""
        seen = {p.kind for r in self.rows for p in r.points}
        return [kind for kind in self.kinds if kind in seen]

    def ends(self, row: Range) -> tuple[float, float] | None:
        """The interval of a row, where both ends can be drawn."""
        if row.low is None or row.high is None or not (self._drawn(row.low) and self._drawn(row.high)):
            return None
        return min(row.low, row.high), max(row.low, row.high)

    def points(self, row: Range) -> list[Point]:
        """The values of a row that can be drawn, the one on top last."""
        order = list(self.kinds)
        return sorted((p for p in row.points if self._drawn(p.value)), key=lambda p: order.index(p.kind))

    def _drawn(self, value: float) -> bool:
        return usable(value, self.axis.log)

    @property
    def scale(self) -> Scale:
        """Limits that hold every row, with a little room."""
        values = [p.value for r in self.rows for p in self.points(r)]
        values += [end for r in self.rows for end in self.ends(r) or ()]
        values += [self.at] if self.at is not None and self._drawn(self.at) else []
        return scale_of(self.axis, values, 0.03)

    @property
    def spec(self) -> Spec:
        """The picture as a Vega-Lite specification."""
        return _spec(self)


def _spec(block: Ranges) -> Spec:
    order = _names(block.rows)
    bars = [
        {"name": name, "low": ends[0], "high": ends[1], "interval": _between(block, ends)}
        for name, r in zip(order, block.rows, strict=True)
        if (ends := block.ends(r))
    ]
    points = [
        {"name": name, "kind": p.kind, "value": p.value, "who": p.name or p.kind, "text": _text(block, p.value)}
        for name, r in zip(order, block.rows, strict=True)
        for p in block.points(r)
    ]
    title = block.picture or block.title
    used = block.used
    y = {"field": "name", "type": "nominal", "sort": order, "scale": {"domain": order}, "title": None}
    said = [f"bars: {block.interval}"] if block.interval and bars else []
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "description": f"{title}: {', '.join(used)} of {', '.join(order)}",
        "title": {"text": wrap(title, 70) or [""], "subtitle": said, "subtitleColor": _soft()},
        "width": 560,
        "height": {"step": 26 if block.written else 24},
        "encoding": {"y": y | {"axis": {"labelLimit": 260, "ticks": False, "grid": True}}},
        "layer": _layers(block, bars, points, used),
        "config": config("light"),
    }


def _names(rows: Sequence[Range]) -> list[str]:
    """A label for each row; those of one name are numbered, since an axis holds each label once."""
    found: list[str] = []
    for row in rows:
        name, n = row.name, 2
        while name in found:
            name, n = f"{row.name} ({n})", n + 1
        found.append(name)
    return found


def _layers(block: Ranges, bars: list[Spec], points: list[Spec], used: list[str]) -> list[Spec]:
    x = _x(block)
    shapes = [block.kinds[kind] for kind in used]
    legend: Spec | None = {"title": None} if len(used) > 1 else None
    kind: Spec = {"field": "kind", "type": "nominal", "sort": None, "legend": legend}
    shape = kind | {"scale": {"domain": used, "range": ["circle" if s == "ring" else s for s in shapes]}}
    color = kind | {"scale": {"domain": used}}
    tip = [{"field": f, "type": "nominal", "title": t} for f, t in (("name", "row"), ("who", "what"), ("text", "is"))]
    layers: list[Spec] = []
    if bars:
        told = [{"field": f, "type": "nominal", "title": f} for f in ("name", "interval")]
        layers.append(
            {
                "name": "intervals",
                "data": {"values": bars},
                "mark": {"type": "rule", "strokeWidth": 5, "opacity": 0.3, "color": _soft()},
                "encoding": {"x": x | {"field": "low"}, "x2": {"field": "high"}, "tooltip": told},
            }
        )
    if block.at is not None and usable(block.at, block.axis.log):
        layers.append(
            {
                "name": "rule",
                "data": {"values": [{"at": block.at}]},
                "mark": {"type": "rule", "style": ["rule-mark"]},
                "encoding": {"x": x | {"field": "at"}, "y": None},
            }
        )
    for name, filled in (("dots", True), ("rings", False)):
        mine = [p for p in points if (block.kinds[p["kind"]] != "ring") is filled]
        if mine:
            layers.append(
                {
                    "name": name,
                    "data": {"values": mine},
                    "mark": {"type": "point", "filled": filled, "size": 75, "opacity": 0.9, "strokeWidth": 2},
                    "encoding": {"x": x | {"field": "value"}, "shape": shape, "color": color, "tooltip": tip},
                }
            )
    if block.written:
        firsts = list({p["name"]: p for p in reversed(points)}.values())
        layers.append(
            {
                "name": "numbers",
                "data": {"values": firsts},
                "mark": {"type": "text", "dy": -9, "fontSize": 10.5, "style": ["label"]},
                "encoding": {"x": x | {"field": "value"}, "text": {"field": "text"}},
            }
        )
    return layers


def _x(block: Ranges) -> Spec:
    scale = block.scale
    major, _ = ticks(scale)
    texts = tick_labels(major, block.axis.unit)
    kind: Spec = {"type": "log" if scale.log else "linear", "domain": [scale.low, scale.high], "nice": False}
    if not scale.log:
        kind["zero"] = False
    shown = f"{texts!r}[indexof({major!r}, datum.value)]"
    axis = {"values": major, "labelExpr": shown, "orient": "bottom"}
    return {"type": "quantitative", "title": block.axis.heading, "scale": kind, "axis": axis}


def _soft() -> str:
    return str(config("light")["axis"]["labelColor"])


def _text(block: Ranges, value: float) -> str:
    return legible(cell(value, block.axis.unit or "number"))


def _between(block: Ranges, ends: tuple[float, float]) -> str:
    return " to ".join(_text(block, end) for end in ends)
