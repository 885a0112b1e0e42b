"""A map: which of several names holds where, over two logarithmic axes; a block, and its Vega-Lite specification."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from .charts import Spec, dress, sketch
from .scale import Axis, Scale

WIDE = 0.8
"""Share of a region's longest row above which a row may bear its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Map:
    """Regions of names over `x` and `y`, both logarithmic with their limits given.

    `cells`: rows of places in `names`, from the lowest y up, each from the lowest x to the highest.

    >>> axes = {"x": Axis("Size", log=True, low=1, high=100), "y": Axis("Hits", log=True, low=1, high=10)}
    >>> one = Map(names=("a", "b"), cells=[[0, 0, 1, 1], [0, 1, 1, 1]], **axes)
    >>> [(p["series"], p["x"], round(p["x2"], 3)) for p in one.spec["datasets"]["points"]][:2]
    [('a', 1.0, 10.0), ('b', 10.0, 100.0)]
    """

    names: Sequence[str]
    cells: Sequence[Sequence[int]]
    x: Axis
    y: Axis
    key: str = ""
    title: str = ""
    aside: str = ""

    @property
    def present(self) -> list[int]:
        """The names that hold somewhere."""
        return sorted({i for row in self.cells for i in row})

    @property
    def across(self) -> Scale:
        """The scale of x."""
        return Scale(self.x.low or 1.0, self.x.high or 10.0, True)

    @property
    def up(self) -> Scale:
        """The scale of y."""
        return Scale(self.y.low or 1.0, self.y.high or 10.0, True)

    def record(self) -> dict[str, Any]:
        """The axes, and whose name holds where."""
        return {
            "x": [self.x.low, self.x.high],
            "y": [self.y.low, self.y.high],
            "names": list(self.names),
            "cells": [list(row) for row in self.cells],
        }

    @property
    def spec(self) -> Spec:
        """One area for each region, with its name inside."""
        frame = sketch([], title=self.title, x=self.x, y=self.y)
        colour = {"field": "series", "type": "nominal", "sort": None, "scale": {"domain": list(self.names)}, "legend": None}
        layers: list[Spec] = [
            {
                "name": "regions",
                "mark": {"type": "area", "orient": "horizontal", "opacity": 0.75, "clip": True, "line": False},
                "encoding": {
                    "x2": {"field": "x2"},
                    "color": colour,
                    "detail": {"field": "run"},
                    "tooltip": {"field": "series", "type": "nominal", "title": "here"},
                },
            },
            *(self._label(i, row, column) for i, row, column in centres(self.cells)),
        ]
        names = ", ".join(self.names[i] for i in self.present)
        return dress(
            frame
            | {
                "description": f"{self.title}: {self.y.heading} against {self.x.heading}; regions: {names}",
                "datasets": {"points": list(self._points()), "marks": []},
                "layer": layers,
            }
        )

    def _place(self, row: float, column: float) -> tuple[float, float]:
        return (self.across.value(column / len(self.cells[0])), self.up.value(row / max(1, len(self.cells) - 1)))

    def _points(self) -> Iterator[Spec]:
        """A row for each region at each y; a region that comes again further up is an area of its own."""
        run, before = dict.fromkeys(range(len(self.names)), 0), set[int]()
        for r, cells in enumerate(self.cells):
            present, at = set[int](), 0
            for i, found in groupby(cells):
                end = at + len(list(found))
                (x, y), (x2, _) = self._place(r, at), self._place(r, end)
                name = self.names[i]
                if i not in before and i not in present:
                    run[i] += 1
                yield {"series": name, "run": f"{name} {run[i]}", "y": y, "x": x, "x2": x2}
                present, at = present | {i}, end
            before = present

    def _label(self, i: int, row: int, column: int) -> Spec:
        text = {"type": "text", "text": self.names[i], "baseline": "middle", "align": "center"}
        x, y = self._place(row, column)
        return {
            "name": f"region label {i}",
            "data": {"values": [{"x": x, "y": y}]},
            "layer": [{"mark": text | {"style": [style]}} for style in ("halo", "label")],
        }


def centres(cells: Sequence[Sequence[int]]) -> list[tuple[int, int, int]]:
    """For each region a row and a column well inside it: the middle of its widest rows.

    >>> centres([[0, 0, 0, 1], [0, 0, 1, 1]])
    [(0, 0, 1), (1, 1, 3)]
    """
    runs: dict[int, list[tuple[int, int, int]]] = {}
    for r, row in enumerate(cells):
        at = 0
        for i, found in groupby(row):
            n = len(list(found))
            runs.setdefault(i, []).append((n, r, at + n // 2))
            at += n
    spots = []
    for i, rows in sorted(runs.items()):
        longest = max(n for n, _, _ in rows)
        wide = [(r, c) for n, r, c in rows if n > WIDE * longest]
        spots.append((i, *wide[len(wide) // 2]))
    return spots
