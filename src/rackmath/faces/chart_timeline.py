"""Lanes of bars against time as a Vega-Lite specification: who does what, when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..answers.scale import WIDTH
from ..answers.theme import config
from ..units import show
from .charts import SCHEMA

Spec = dict[str, Any]

ROW = 26
"""Height of a lane in pixels."""

_UNITS = ((1e-6, "ns", 1e9), (1e-3, "µs", 1e6), (1.0, "ms", 1e3), (float("inf"), "s", 1.0))


@dataclass(frozen=True)
class Bar:
    """One bar: its lane, kind, name, first and last second."""

    lane: str
    kind: str
    name: str
    start: float
    end: float


def lanes(
    bars: Sequence[Bar],
    kinds: Mapping[str, str],
    *,
    title: str,
    span: float,
    texts: Sequence[tuple[str, float, str]] = (),
    unit: str = "s",
) -> Spec:
    """One row for each lane in order of appearance, time from 0 to `span` seconds; `kinds` are colours in words.

    `texts`: lane, second and what is written there. `unit`: "s", or nothing for times without one.

    >>> bars = [Bar("stage 1", "idle", "waiting", 0.0, 2e-3)]
    >>> lanes(bars, {"idle": "idle"}, title="A step", span=2e-3)["layer"][0]["encoding"]["x"]["title"]
    'Time (ms)'
    """
    named, scale = next((word, scale) for limit, word, scale in _UNITS if span < limit) if unit else ("", 1.0)
    names = list(dict.fromkeys(bar.lane for bar in bars))
    used = [words for kind, words in kinds.items() if any(bar.kind == kind for bar in bars)]
    rows = [
        {
            "lane": bar.lane,
            "kind": kinds[bar.kind],
            "name": bar.name,
            "start": bar.start * scale,
            "end": bar.end * scale,
            "seconds": show(bar.end - bar.start, unit),
        }
        for bar in bars
    ]
    every = list(kinds.values())
    y: Spec = {"field": "lane", "type": "nominal", "sort": names, "title": None, "scale": {"paddingInner": 0.25}}
    x_scale = {"domain": [0, span * scale], "nice": False}
    title_x = f"Time ({named})" if unit else "Time"
    x: Spec = {"field": "start", "type": "quantitative", "title": title_x, "scale": x_scale}
    legend = {"title": None, "values": used, "symbolType": "square", "symbolSize": 120, "columns": 4}
    color = {"field": "kind", "type": "nominal", "scale": {"domain": every}, "legend": legend}
    tip = [{"field": f, "type": "nominal", "title": t} for f, t in (("name", "doing"), ("kind", "kind"),
           ("seconds", "takes"), ("lane", "where"))]  # fmt: skip
    pale = {"condition": {"test": f"datum.kind === '{kinds.get('idle', '')}'", "value": 0.3}, "value": 1}
    encoding = {"x": x, "x2": {"field": "end"}, "y": y, "color": color, "opacity": pale, "tooltip": tip}
    layers: list[Spec] = [{"name": "bars", "mark": {"type": "bar", "clip": True}, "encoding": encoding}]
    if texts:
        at = {"x": {"field": "at", "type": "quantitative", "scale": x_scale}, "y": y}
        written = [{"lane": lane, "at": second * scale, "text": text} for lane, second, text in texts]
        layers.append(
            {
                "name": "texts",
                "data": {"values": written},
                "encoding": at | {"text": {"field": "text", "type": "nominal"}},
                "layer": [
                    {"mark": {"type": "text", "baseline": "middle", "style": [style]}} for style in ("halo", "label")
                ],
            }
        )
    return {
        "title": title,
        "width": WIDTH,
        "height": max(2, len(names)) * ROW,
        "data": {"values": rows},
        "layer": layers,
    }


def page(parts: Sequence[Spec], *, title: str, description: str) -> Spec:
    """Several such charts one above the other, each with its own span of time, for `charts.write`."""
    return {
        "$schema": SCHEMA,
        "description": description,
        "title": {"text": [title]},
        "vconcat": [
            part | {"layer": [layer | {"name": f"{layer['name']} {i}"} for layer in part["layer"]]}
            for i, part in enumerate(parts)
        ],
        "resolve": {"scale": {"color": "shared", "x": "independent", "y": "independent"}},
        "config": config("light"),
    }
