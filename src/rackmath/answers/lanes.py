"""Lanes of bars against time, who does what and when: a block of an answer, and its Vega-Lite specification."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import wrap
from typing import Any

from ..units import show
from .charts import SCHEMA
from .scale import WIDTH
from .theme import config

Spec = dict[str, Any]

ROW = 26
"""Height of a lane in pixels."""

LEAST_LABELLED = 0.02
"""Share of the span below which a bar's label is not written on it."""

_UNITS = ((1e-6, "ns", 1e9), (1e-3, "µs", 1e6), (1.0, "ms", 1e3), (float("inf"), "s", 1.0))


@dataclass(frozen=True, slots=True)
class BarKind:
    """What can go on in a lane: the letter it is drawn with where there are only letters, and its words."""

    letter: str
    words: str


@dataclass(frozen=True, slots=True)
class TimeBar:
    """One bar from `start` to `end`. `label`: whose turn it is ("3"); `small`: drawn with a small letter."""

    start: float
    end: float
    kind: str
    name: str = ""
    label: str = ""
    small: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Lanes:
    """Bars in lanes from 0 to `span`, in order and without overlap; `unit`: "s", or "" for times without one.

    `kinds`: of all bars, `idle` among them. `labels`: what the labels of bars are ("micro-batches"). `levels`: lanes
    that say how much of the time something is at work. `amounts`: time of each kind, for the legend and the record.
    `cell`: most time one letter may stand for; a longer span is drawn in letters by its start and its end. `more`:
    words behind the legend.

    >>> a = Lanes(lanes={"stage 1": [TimeBar(0.0, 2e-3, "idle")]}, kinds={"idle": BarKind("·", "idle")}, span=2e-3)
    >>> a.spec["layer"][0]["encoding"]["x"]["title"]
    'Time (ms)'
    """

    lanes: Mapping[str, Sequence[TimeBar]]
    kinds: Mapping[str, BarKind]
    span: float
    unit: str = "s"
    idle: str = "idle"
    key: str = ""
    title: str = ""
    aside: str = ""
    labels: str = ""
    levels: frozenset[str] = frozenset()
    amounts: Mapping[str, float] = field(default_factory=dict)
    legend: bool = True
    cell: float = float("inf")
    more: str = ""

    def record(self) -> dict[str, Any]:
        """Time of each kind."""
        return dict(self.amounts)

    @property
    def spec(self) -> Spec:
        """One row for each lane in order of appearance, under one axis of time."""
        word, scale = next((word, scale) for limit, word, scale in _UNITS if self.span < limit)
        word, scale = (word, scale) if self.unit else ("", 1.0)
        title = self.title + (f"; numbers: {self.labels}" if self.labels else "")
        spec: Spec = {
            "$schema": SCHEMA,
            "description": f"{title}: {', '.join(self.lanes)} against time",
            "title": {"text": wrap(title, 70) or [""]},
            "width": WIDTH,
            "height": max(2, len(self.lanes)) * ROW,
            "data": {"values": list(self._rows(scale))},
            "layer": [self._bars(scale, f"Time ({word})" if word else "Time")],
            "config": config("light"),
            "usermeta": {"rackmath": {"title": title, "series": [kind.words for kind in self.kinds.values()]}},
        }
        if written := list(self._written()):
            spec["layer"].append(self._texts(written, scale))
        return spec

    def _rows(self, scale: float) -> Iterator[Spec]:
        for lane, bars in self.lanes.items():
            for bar in bars:
                yield {
                    "lane": lane,
                    "kind": self.kinds[bar.kind].words,
                    "name": bar.name or self.kinds[bar.kind].words,
                    "start": bar.start * scale,
                    "end": bar.end * scale,
                    "takes": show(bar.end - bar.start, self.unit),
                }

    def _bars(self, scale: float, title: str) -> Spec:
        kinds = [kind.words for kind in self.kinds.values()]
        found = {bar.kind for bars in self.lanes.values() for bar in bars}
        used = [kind.words for name, kind in self.kinds.items() if name in found]
        x: Spec = {"field": "start", "type": "quantitative", "title": title, "scale": self._time(scale)}
        legend = {"title": None, "values": used, "symbolType": "square", "symbolSize": 120, "columns": 4}
        color = {"field": "kind", "type": "nominal", "scale": {"domain": kinds}, "legend": legend}
        heads = {"name": "doing", "kind": "kind", "takes": "takes", "lane": "where"}
        pale = self.kinds[self.idle].words if self.idle in self.kinds else ""
        opacity = {"condition": {"test": f"datum.kind === '{pale}'", "value": 0.3}, "value": 1}
        tip = [{"field": name, "type": "nominal", "title": head} for name, head in heads.items()]
        encoding = {"x": x, "x2": {"field": "end"}, "y": self._where(), "color": color, "opacity": opacity}
        return {"name": "bars", "mark": {"type": "bar", "clip": True}, "encoding": encoding | {"tooltip": tip}}

    def _time(self, scale: float) -> Spec:
        return {"domain": [0, self.span * scale], "nice": False}

    def _where(self) -> Spec:
        return {"field": "lane", "type": "nominal", "sort": list(self.lanes), "title": None, "scale": {"paddingInner": 0.25}}

    def _texts(self, written: list[tuple[str, float, str]], scale: float) -> Spec:
        at = {"x": {"field": "at", "type": "quantitative", "scale": self._time(scale)}, "y": self._where()}
        mark = {"type": "text", "baseline": "middle"}
        return {
            "name": "texts",
            "data": {"values": [{"lane": lane, "at": at * scale, "text": text} for lane, at, text in written]},
            "encoding": at | {"text": {"field": "text", "type": "nominal"}},
            "layer": [{"mark": mark | {"style": [style]}} for style in ("halo", "label")],
        }

    def _written(self) -> Iterator[tuple[str, float, str]]:
        """Labels, each in the middle of bars in a row that share it."""
        for lane, bars in self.lanes.items():
            runs: list[tuple[str, float, float]] = []
            for bar in bars:
                if bar.label and runs and runs[-1][0] == bar.label and abs(runs[-1][2] - bar.start) < 1e-9 * self.span:
                    runs[-1] = (bar.label, runs[-1][1], bar.end)
                elif bar.label:
                    runs.append((bar.label, bar.start, bar.end))
            for label, start, end in runs:
                if end - start > LEAST_LABELLED * self.span:
                    yield lane, (start + end) / 2, label
