"""Charts as Vega-Lite specifications: plain dicts with their data inside.

`curve` and `scatter` build a specification; faces draw it in a terminal, save it as SVG, PNG, self-contained HTML or
JSON, or show it in a notebook or a page. All geometry that matters (limits, ticks,
where a label goes) is decided here, so every face shows the same chart. Colours live only in the `config` of the
specification, so that `themed` turns a light chart into a dark one.

Importing this module loads the standard library only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, pairwise
from textwrap import wrap
from typing import Any

from ..errors import BadInput, did_you_mean
from ..units import show
from .scale import (
    HEIGHT,
    LINE,
    PREFIXED,
    WIDTH,
    Axis,
    Ink,
    Scale,
    beside,
    number,
    rule_rows,
    scale_of,
    text_width,
    tick_labels,
    ticks,
    trim,
    usable,
)
from .theme import config

__all__ = ["Axis", "Mark", "Series", "curve", "dress", "number", "scatter", "sketch", "stack"]

Spec = dict[str, Any]

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
_LOOKS = ("auto", "line", "dashed", "dots")
_SHAPES = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down")
_DASHES = ([6, 4], [2, 3], [9, 3, 2, 3], [4, 2], [1, 3])


@dataclass(frozen=True)
class Series:
    """A named run of points.

    `look` is "line", "dashed" or "dots"; "auto" is a line in a `curve` and dots in a `scatter`. `labels`, one for
    each point, say what a point is when the mouse rests on it. `low` and `high`: ends of the interval of each y. A
    point with a coordinate that is not finite, or not positive on a logarithmic axis, is left out.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    look: str = "auto"
    labels: Sequence[str] = ()
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True)
class Mark:
    """A labelled point, or a labelled vertical rule where `y` is None."""

    label: str
    x: float
    y: float | None = None


def curve(series: Sequence[Series], *, title: str, x: Axis, y: Axis, marks: Sequence[Mark] = ()) -> Spec:
    """Lines of y against x; the first series lies on top.

    >>> spec = curve([Series("estimate", [1, 10, 100], [0.01, 0.011, 0.03])], title="Step time",
    ...              x=Axis("Batch", log=True), y=Axis("Time per step", "s", log=True), marks=[Mark("B*", 30)])
    >>> [layer["name"] for layer in spec["layer"]]
    ['lines', 'hover', 'rules', 'rule labels']
    """
    return _chart(series, "line", title, x, y, marks)


def scatter(series: Sequence[Series], *, title: str, x: Axis, y: Axis, marks: Sequence[Mark] = ()) -> Spec:
    """Dots of y against x, one colour and shape for each series; a marked point gets a ring and its label.

    >>> spec = scatter([Series("aggregated", [20, 50], [900, 400])], title="Plans",
    ...                x=Axis("Interactivity", "tok/s/user"), y=Axis("Output", "tok/s/GPU"))
    >>> spec["usermeta"]["rackmath"]["x"]["title"]
    'Interactivity (tok/s/user)'
    """
    return _chart(series, "dots", title, x, y, marks)


def stack(specs: Sequence[Spec], *, title: str) -> Spec:
    """Several charts one above the other as one specification; a terminal draws them one at a time.

    Panels over the same x axis share it: only the last one writes it, and three or more are lower.

    >>> one = curve([Series("a", [1, 2], [3, 4])], title="One", x=Axis("x"), y=Axis("y"))
    >>> [len(part["data"]["values"]) for part in stack([one, one], title="Two")["vconcat"]]
    [2, 2]
    """
    parts = []
    for i, spec in enumerate(map(dress, specs)):
        if "datasets" not in spec:  # ranges and lanes hold their data themselves
            whole_only = ("$schema", "description", "config", "layer", "usermeta")
            kept = {k: v for k, v in spec.items() if k not in whole_only}
            parts.append(kept | {"layer": [_renamed(layer, str(i)) for layer in spec["layer"]]})
            continue
        part = {k: spec[k] for k in ("title", "width", "height", "encoding")}
        part["layer"] = [_renamed(layer, str(i)) for layer in spec["layer"]]
        parts.append(part | {"data": {"values": spec["datasets"][spec["data"]["name"]]}})
    ends = [spec.get("usermeta", {}).get("rackmath", {}).get("x") for spec in specs]
    if ends[0] and all(end == ends[0] for end in ends):
        parts = _over_one_axis(parts)
    whole = {
        "$schema": SCHEMA,
        "description": f"{title}: " + "; ".join(spec["description"] for spec in specs),
        "title": {"text": wrap(title, 70) or [""]},
        "vconcat": parts,
        "config": specs[0]["config"],
    }
    named = [set(spec.get("usermeta", {}).get("rackmath", {}).get("series", ())) for spec in specs]
    if not all(names and names <= named[0] for names in named):  # one legend would mix lines of several charts
        apart = dict.fromkeys(("color", "strokeDash", "shape"), "independent")
        whole["resolve"] = {"scale": apart, "legend": apart}
    return whole


LOW = 240
"""Height of one of three or more panels over one axis, in pixels."""


def _over_one_axis(parts: list[Spec]) -> list[Spec]:
    """The panels, of which only the last writes the x axis that they share."""
    found = []
    for i, part in enumerate(parts):
        x = part["encoding"]["x"]
        bare = x["axis"] if i == len(parts) - 1 else x["axis"] | {"title": None, "labels": False}
        shared = {"encoding": part["encoding"] | {"x": x | {"axis": bare}}}
        found.append(part | shared | ({"height": LOW} if len(parts) > 2 else {}))
    return found


def _renamed(layer: Spec, tail: str) -> Spec:
    """The layer under a name of its own: views and parameters of one specification must not share any."""
    named = layer | {"name": f"{layer['name']} {tail}"}
    if layer["name"] == "hover":
        opacity = layer["encoding"]["opacity"]
        opacity = opacity | {"condition": opacity["condition"] | {"param": f"hover_{tail}"}}
        named["params"] = [layer["params"][0] | {"name": f"hover_{tail}"}]
        named["encoding"] = layer["encoding"] | {"opacity": opacity}
    return named


def _axis(axis: Axis, scale: Scale, orient: str) -> Spec:
    """The Vega-Lite axis: ticks chosen here, labels written here, fine lines between the decades."""
    major, every = ticks(scale)
    written = dict(zip(major, tick_labels(major, axis.unit), strict=True))
    if axis.ticks:
        written = {at: text for at, text in axis.ticks if scale.low <= at <= scale.high}
        major = every = list(written)
    texts = [written.get(v, "") for v in every]
    strong = {"condition": {"test": f"indexof({json.dumps(major)}, datum.value) >= 0", "value": 1}, "value": 0.4}
    return {
        "title": axis.heading,
        "orient": orient,
        "values": every,
        "labelExpr": f"{json.dumps(texts)}[indexof({json.dumps(every)}, datum.value)]",
        "labelOverlap": False,
        "labelFlush": False,
        "gridOpacity": strong,
        "tickOpacity": strong,
    }


def _points(series: Series, look: str, x: Axis, y: Axis) -> list[Spec]:
    """The rows of one series, without points that cannot be drawn."""
    xs, ys, labels = list(series.x), list(series.y), list(series.labels)
    if len(xs) != len(ys):
        raise BadInput(f"series {series.name!r} has {len(xs)} x values and {len(ys)} y values; give one y for each x")
    if labels and len(labels) != len(xs):
        raise BadInput(f"series {series.name!r} has {len(xs)} points and {len(labels)} labels; give one for each")
    rows = []
    for i, (a, b) in enumerate(zip(xs, ys, strict=True)):
        a, b = float(a), float(b)
        if usable(a, x.log) and usable(b, y.log):
            row: Spec = {"series": series.name, "look": look, "x": a, "y": b}
            if series.low and usable(series.low[i], y.log) and usable(series.high[i], y.log):
                row |= {"low": float(series.low[i]), "high": float(series.high[i])}
            rows.append(row | ({"point": str(labels[i])} if labels else {}))
    return rows


def _exact(value: float, axis: Axis) -> str:
    """A value for the note beside the mouse, with its unit."""
    if axis.unit == "share" or axis.unit in PREFIXED or axis.unit.startswith("$"):
        return show(value, axis.unit)
    return f"{trim(show(value))} {axis.unit}".strip()


def sketch(
    series: Sequence[Series], *, title: str, x: Axis, y: Axis, marks: Sequence[Mark] = (), auto: str = "line"
) -> Spec:
    """A chart as a terminal needs it: points, limits, ticks and marks. `dress` makes the picture of it.

    >>> bare = sketch([Series("a", [1, 2], [3, 4])], title="t", x=Axis("x"), y=Axis("y"))
    >>> "layer" in bare, dress(bare) == curve([Series("a", [1, 2], [3, 4])], title="t", x=Axis("x"), y=Axis("y"))
    (False, True)
    """
    rows = _rows(series, auto, x, y)
    every = [row for found in rows.values() for row in found]
    shown = [m for m in marks if usable(m.x, x.log) and (m.y is None or usable(m.y, y.log))]
    pad = 0.04 if any(row["look"] == "dots" for row in every) else 0.0
    across = scale_of(x, [row["x"] for row in every] + [m.x for m in shown], pad)
    shown = [m for m in shown if across.holds(m.x)]
    heights = [row[k] for row in every for k in ("y", "low", "high") if k in row]
    up = scale_of(y, heights + [m.y for m in shown if m.y is not None], 0.05)
    shown = [m for m in shown if m.y is None or up.holds(m.y)]
    places = _rule_places([m for m in shown if m.y is None], across)
    if places and y.high is None:  # clear rows at the top for the labels of the rules
        room = (1 + max(row for row, _ in places)) * LINE + 6
        up = Scale(up.low, up.value(1 / (1 - room / HEIGHT)), up.log)
    names = list(rows)
    named = [{"label": m.label, "x": m.x} | ({} if m.y is None else {"y": m.y}) for m in shown]
    return {
        "$schema": SCHEMA,
        "description": _describe(title, x, y, names, shown),
        "title": {"text": wrap(title, 70) or [""]},
        "width": WIDTH,
        "height": HEIGHT,
        "datasets": {"points": [row for name in reversed(names) for row in rows[name]], "marks": named},
        "data": {"name": "points"},
        "encoding": {"x": _channel("x", x, across, "bottom"), "y": _channel("y", y, up, "left")},
        "config": config("light"),
        "usermeta": {"rackmath": {"x": _meta(x, across), "y": _meta(y, up), "title": title, "series": names}},
    }


def dress(spec: Spec) -> Spec:
    """The whole picture of a sketch: layers, notes beside the mouse, and places for labels; others as they are."""
    if "datasets" not in spec or "layer" in spec:
        return spec
    meta = spec["usermeta"]["rackmath"]
    x, y = (Axis(meta[end]["name"], meta[end]["unit"], meta[end]["log"]) for end in "xy")
    across, up = (Scale(meta[end]["low"], meta[end]["high"], meta[end]["log"]) for end in "xy")
    rows: dict[str, list[Spec]] = {name: [] for name in meta["series"]}
    for row in spec["datasets"]["points"]:
        texts = {"x text": _exact(row["x"], x), "y text": _exact(row["y"], y)}
        rows[row["series"]].append(row | texts)
    shown = [Mark(m["label"], m["x"], m.get("y")) for m in spec["datasets"]["marks"]]
    rules = [m for m in shown if m.y is None]
    labelled = _labelled(shown, rules, _rule_places(rules, across), across, up, rows)
    points = [row for name in reversed(meta["series"]) for row in rows[name]]
    return spec | {"datasets": {"points": points, "marks": labelled}, "layer": _layers(rows, labelled, x, y)}


def _chart(series: Sequence[Series], auto: str, title: str, x: Axis, y: Axis, marks: Sequence[Mark]) -> Spec:
    return dress(sketch(series, title=title, x=x, y=y, marks=marks, auto=auto))


def _rows(series: Sequence[Series], auto: str, x: Axis, y: Axis) -> dict[str, list[Spec]]:
    """The points of every series that has any."""
    rows: dict[str, list[Spec]] = {}
    for one in series:
        if one.look not in _LOOKS:
            raise BadInput(f"look {one.look!r} of series {one.name!r} is unknown{did_you_mean(one.look, _LOOKS)}")
        if one.name in rows:
            raise BadInput(f"two series are called {one.name!r}; give each its own name")
        rows[one.name] = _points(one, auto if one.look == "auto" else one.look, x, y)
    rows = {name: found for name, found in rows.items() if found}
    for found in rows.values():
        if len(found) == 1:
            found[0]["look"] = "dots"  # a line of one point would not be seen
    return rows


def _rule_places(rules: Sequence[Mark], across: Scale) -> list[tuple[int, bool]]:
    return rule_rows([(across.place(m.x) * WIDTH, text_width(m.label)) for m in rules])


def _channel(name: str, axis: Axis, scale: Scale, orient: str) -> Spec:
    kind: Spec = {"type": "log" if scale.log else "linear", "domain": [scale.low, scale.high], "nice": False}
    if not scale.log:
        kind["zero"] = False
    return {"field": name, "type": "quantitative", "scale": kind, "axis": _axis(axis, scale, orient)}


def _meta(axis: Axis, scale: Scale) -> Spec:
    major, _ = ticks(scale)
    labels = [list(pair) for pair in zip(major, tick_labels(major, axis.unit), strict=True)]
    if axis.ticks:
        labels = [list(pair) for pair in axis.ticks if scale.low <= pair[0] <= scale.high]
    return {
        "title": axis.heading,
        "name": axis.title,
        "unit": axis.unit,
        "low": scale.low,
        "high": scale.high,
        "log": scale.log,
        "ticks": labels,
    }


def _describe(title: str, x: Axis, y: Axis, names: list[str], marks: list[Mark]) -> str:
    """The chart in a sentence, for readers who cannot see it."""
    text = f"{title}: {y.heading} against {x.heading}; series: {', '.join(names) or 'none'}"
    return text + (f"; marked: {', '.join(f'{m.label} at {_exact(m.x, x)}' for m in marks)}" if marks else "")


def _labelled(
    shown: list[Mark],
    rules: list[Mark],
    places: list[tuple[int, bool]],
    across: Scale,
    up: Scale,
    rows: dict[str, list[Spec]],
) -> list[Spec]:
    """The rows of the marks with the place of each label, chosen so that it covers neither lines nor labels."""
    ink = Ink(_sampled(rows, across, up))
    out: list[Spec] = []
    for mark, (row, left) in zip(rules, places, strict=True):
        at, width = across.place(mark.x) * WIDTH, text_width(mark.label)
        ink.dots.extend((at, float(y)) for y in range(0, HEIGHT, 4))
        top = 4 + row * LINE
        ink.boxes.append((at - 4 - width if left else at + 4, top, at - 4 if left else at + 4 + width, top + LINE))
        out.append({"label": mark.label, "x": mark.x, "dx": -5 if left else 5, "dy": top + LINE / 2})
        out[-1]["align"] = "right" if left else "left"
    spots = [(m, (across.place(m.x) * WIDTH, (1 - up.place(m.y)) * HEIGHT)) for m in shown if m.y is not None]
    ink.boxes.extend((px - 6, py - 6, px + 6, py + 6) for _, (px, py) in spots)
    ink.marked.extend(at_point for _, at_point in spots)
    for mark, at_point in spots:
        dx, dy, align = beside(at_point, text_width(mark.label), ink)
        out.append({"label": mark.label, "x": mark.x, "y": mark.y, "dx": dx, "dy": dy, "align": align})
    return out


def _sampled(rows: dict[str, list[Spec]], across: Scale, up: Scale, step: float = 5.0) -> list[tuple[float, float]]:
    """Pixels along every line and at every dot."""
    dots: list[tuple[float, float]] = []
    for found in rows.values():
        path = [(across.place(row["x"]) * WIDTH, (1 - up.place(row["y"])) * HEIGHT) for row in found]
        dots.append(path[0])
        for (x0, y0), (x1, y1) in pairwise(path):
            parts = min(200, max(1, int(max(abs(x1 - x0), abs(y1 - y0)) / step))) if found[0]["look"] != "dots" else 1
            dots.extend((x0 + (x1 - x0) * i / parts, y0 + (y1 - y0) * i / parts) for i in range(1, parts + 1))
    return dots


def _layers(rows: dict[str, list[Spec]], marks: list[Spec], x: Axis, y: Axis) -> list[Spec]:
    """Lines below dots below marks; colour, dash and shape share one legend above the plot."""
    looks = {name: found[0]["look"] for name, found in rows.items()}
    names = list(rows)
    size = 70 if "dots" in looks.values() else 340
    legend: Spec | None = {"title": None, "symbolSize": size} if len(names) > 1 else None
    entries = [text_width(name) + 50 for name in names]
    if legend and sum(entries) > WIDTH:
        legend["columns"] = max(1, int(WIDTH / max(entries)))
    shapes, dashes = cycle(_SHAPES), cycle(_DASHES)
    shape = [next(shapes) if looks[n] == "dots" else "stroke" for n in names]
    dash = [next(dashes) if looks[n] == "dashed" else [1, 0] for n in names]

    def by_series(values: list[Any] | None) -> Spec:
        scale: Spec = {"domain": names} | ({"range": values} if values is not None else {})
        return {"field": "series", "type": "nominal", "sort": None, "scale": scale, "legend": legend}

    color = by_series(None)
    tooltip: list[Spec] = [{"field": "series", "type": "nominal", "title": "series"}]
    if any("point" in row for found in rows.values() for row in found):
        tooltip.append({"field": "point", "type": "nominal", "title": "point"})
    tooltip += [
        {"field": "x text", "type": "nominal", "title": x.title},
        {"field": "y text", "type": "nominal", "title": y.title},
    ]
    layers: list[Spec] = []
    if any("low" in row for found in rows.values() for row in found):
        ends: Spec = {"y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}, "color": color}
        layers.append(
            {
                "name": "intervals",
                "transform": [{"filter": "isValid(datum.low)"}],
                "mark": {"type": "rule", "strokeWidth": 5, "opacity": 0.22, "clip": True},
                "encoding": ends,
            }
        )
    if any(look != "dots" for look in looks.values()):
        width = {"condition": {"test": "datum.look === 'dashed'", "value": 1.6}, "value": 2.4}
        layers.append(
            {
                "name": "lines",
                "transform": [{"filter": "datum.look !== 'dots'"}],
                "mark": {"type": "line", "clip": True, "strokeJoin": "round"},
                "encoding": {"color": color, "strokeDash": by_series(dash), "strokeWidth": width},
            }
        )
    if any(look == "dots" for look in looks.values()):
        layers.append(
            {
                "name": "dots",
                "transform": [{"filter": "datum.look === 'dots'"}],
                "mark": {"type": "point", "filled": True, "size": 55, "opacity": 0.85, "clip": True},
                "encoding": {"color": color, "shape": by_series(shape), "tooltip": tooltip},
            }
        )
    if any(look != "dots" for look in looks.values()):
        seen = {"condition": {"param": "hover", "empty": False, "value": 1}, "value": 0}
        layers.append(
            {
                "name": "hover",
                "transform": [{"filter": "datum.look !== 'dots'"}],
                "params": [
                    {"name": "hover", "select": {"type": "point", "on": "pointerover", "clear": "pointerout"}}
                ],
                "mark": {"type": "point", "filled": True, "size": 90, "clip": True, "style": ["spot"]},
                "encoding": {"opacity": seen, "tooltip": tooltip},
            }
        )
    return layers + _mark_layers(marks) + ([] if rows else [_NOTHING])


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
