"""The layers of a picture: lines, dots, intervals, notes under the mouse, marks."""

from __future__ import annotations

from itertools import cycle
from typing import Any

from .scale import HEIGHT, WIDTH, Axis, text_width

Spec = dict[str, Any]

_SHAPES = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down")
_DASHES = ([6, 4], [2, 3], [9, 3, 2, 3], [4, 2], [1, 3])


def layers_of(rows: dict[str, list[Spec]], marks: list[Spec], x: Axis, y: Axis) -> list[Spec]:
    """Lines below dots below marks; colour, dash and shape share one legend above the plot."""
    looks = {name: found[0]["look"] for name, found in rows.items()}
    by = _by_series(looks)
    tooltip = _tooltip(rows, x, y)
    layers: list[Spec] = []
    if any("low" in row for found in rows.values() for row in found):
        layers.append(_intervals(by))
    if any(look != "dots" for look in looks.values()):
        layers.append(_lines(by))
    if any(look == "dots" for look in looks.values()):
        layers.append(_dots(by, tooltip))
    if any(look != "dots" for look in looks.values()):
        layers.append(_hover(tooltip))
    return layers + _mark_layers(marks) + ([] if rows else [_NOTHING])


def _by_series(looks: dict[str, str]) -> dict[str, Spec]:
    """Channels that tell series apart: colour, dash and shape, with one legend."""
    names = list(looks)
    size = 70 if "dots" in looks.values() else 340
    legend: Spec | None = {"title": None, "symbolSize": size} if len(names) > 1 else None
    entries = [text_width(name) + 50 for name in names]
    if legend and sum(entries) > WIDTH:
        legend["columns"] = max(1, int(WIDTH / max(entries)))
    shapes, dashes = cycle(_SHAPES), cycle(_DASHES)
    ranges: dict[str, list[Any] | None] = {
        "color": None,
        "shape": [next(shapes) if look == "dots" else "stroke" for look in looks.values()],
        "strokeDash": [next(dashes) if look == "dashed" else [1, 0] for look in looks.values()],
    }

    def channel(values: list[Any] | None) -> Spec:
        scale: Spec = {"domain": names} | ({"range": values} if values is not None else {})
        return {"field": "series", "type": "nominal", "sort": None, "scale": scale, "legend": legend}

    return {name: channel(values) for name, values in ranges.items()}


def _tooltip(rows: dict[str, list[Spec]], x: Axis, y: Axis) -> list[Spec]:
    titles = {"series": "series", "x text": x.title, "y text": y.title}
    if any("point" in row for found in rows.values() for row in found):
        titles = {"series": "series", "point": "point", "x text": x.title, "y text": y.title}
    return [{"field": name, "type": "nominal", "title": title} for name, title in titles.items()]


def _intervals(by: dict[str, Spec]) -> Spec:
    ends: Spec = {"y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}, "color": by["color"]}
    return {
        "name": "intervals",
        "transform": [{"filter": "isValid(datum.low)"}],
        "mark": {"type": "rule", "strokeWidth": 5, "opacity": 0.22, "clip": True},
        "encoding": ends,
    }


def _lines(by: dict[str, Spec]) -> Spec:
    width = {"condition": {"test": "datum.look === 'dashed'", "value": 1.6}, "value": 2.4}
    return {
        "name": "lines",
        "transform": [{"filter": "datum.look !== 'dots'"}],
        "mark": {"type": "line", "clip": True, "strokeJoin": "round"},
        "encoding": {"color": by["color"], "strokeDash": by["strokeDash"], "strokeWidth": width},
    }


def _dots(by: dict[str, Spec], tooltip: list[Spec]) -> Spec:
    return {
        "name": "dots",
        "transform": [{"filter": "datum.look === 'dots'"}],
        "mark": {"type": "point", "filled": True, "size": 55, "opacity": 0.85, "clip": True},
        "encoding": {"color": by["color"], "shape": by["shape"], "tooltip": tooltip},
    }


def _hover(tooltip: list[Spec]) -> Spec:
    """Points of lines, seen only under the mouse."""
    seen = {"condition": {"param": "hover", "empty": False, "value": 1}, "value": 0}
    under = {"type": "point", "on": "pointerover", "clear": "pointerout"}
    return {
        "name": "hover",
        "transform": [{"filter": "datum.look !== 'dots'"}],
        "params": [{"name": "hover", "select": under}],
        "mark": {"type": "point", "filled": True, "size": 90, "clip": True, "style": ["spot"]},
        "encoding": {"opacity": seen, "tooltip": tooltip},
    }


_NOTHING: Spec = {
    "name": "nothing",
    "data": {"values": [{}]},
    "mark": {"type": "text", "text": "no finite point to draw", "style": ["label"], "align": "center"},
    "encoding": {"x": {"value": WIDTH / 2}, "y": {"value": HEIGHT / 2}},
}


def _mark_layers(marks: list[Spec]) -> list[Spec]:
    rules, points = [m for m in marks if "y" not in m], [m for m in marks if "y" in m]
    layers: list[Spec] = []
    if rules:
        y: Spec = {"value": 0}
        layers.append(
            {
                "name": "rules",
                "data": {"values": rules},
                "mark": {"type": "rule", "style": ["rule-mark"]},
                "encoding": {"y": y, "y2": {"value": "height"}},
            }
        )
        layers.append({"name": "rule labels", "layer": [_text(m, {"y": y}) for m in rules]})
    if points:
        layers.append(
            {
                "name": "rings",
                "data": {"values": points},
                "mark": {"type": "point", "shape": "circle", "size": 110, "style": ["ring"]},
                "encoding": {"tooltip": {"field": "label", "type": "nominal", "title": "marked"}},
            }
        )
        layers.append({"name": "point labels", "layer": [_text(m, {}) for m in points]})
    return layers


def _text(mark: Spec, encoding: Spec) -> Spec:
    """One label: a halo in the colour of the ground below the letters keeps it readable across a line."""
    place = {"align": mark["align"], "dx": mark["dx"], "dy": mark["dy"], "baseline": "middle", "text": mark["label"]}
    return {
        "data": {"values": [mark]},
        "encoding": encoding,
        "layer": [{"mark": {"type": "text", "style": [style]} | place} for style in ("halo", "label")],
    }
