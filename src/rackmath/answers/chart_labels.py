"""Marks of a chart, and where their labels go: over neither lines nor other labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from .scale import HEIGHT, LINE, WIDTH, Ink, Scale, beside, rule_rows, text_width

Spec = dict[str, Any]


@dataclass(frozen=True)
class Mark:
    """A labelled point, or a labelled vertical rule where `y` is None."""

    label: str
    x: float
    y: float | None = None


def rule_places(rules: Sequence[Mark], across: Scale) -> list[tuple[int, bool]]:
    """The row of each rule's label, and whether it stands left of the rule."""
    return rule_rows([(across.place(m.x) * WIDTH, text_width(m.label)) for m in rules])


def labelled_marks(
    shown: list[Mark], rules: list[Mark], places: list[tuple[int, bool]], across: Scale, up: Scale, rows: dict[str, list[Spec]]
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
