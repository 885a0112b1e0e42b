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
from textwrap import wrap
from typing import Any

from ..errors import BadInput, did_you_mean
from ..units import show
from .chart_labels import Mark, labelled_marks, rule_places
from .chart_layers import layers_of
from .scale import HEIGHT, LINE, PREFIXED, WIDTH, Axis, Scale, number, scale_of, tick_labels, ticks, trim, usable
from .theme import config

__all__ = ["Axis", "Mark", "Series", "curve", "dress", "number", "scatter", "sketch"]

Spec = dict[str, Any]

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
_LOOKS = ("auto", "line", "dashed", "dots")


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


def sketch(series: Sequence[Series], *, title: str, x: Axis, y: Axis, marks: Sequence[Mark] = (), auto: str = "line") -> Spec:
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
    places = rule_places([m for m in shown if m.y is None], across)
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
    labelled = labelled_marks(shown, rules, rule_places(rules, across), across, up, rows)
    points = [row for name in reversed(meta["series"]) for row in rows[name]]
    return spec | {"datasets": {"points": points, "marks": labelled}, "layer": layers_of(rows, labelled, x, y)}


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
