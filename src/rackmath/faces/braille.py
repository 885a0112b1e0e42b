"""A chart in a terminal: braille dots for lines, ordinary letters for everything else.

It reads the specification that `rackmath.faces.charts` builds, and nothing else, so that the terminal, the page and
the picture show the same points, limits, ticks and marks.
"""

from __future__ import annotations

import math
import os
import shutil
import sys
from itertools import groupby, pairwise
from typing import Any

from ..errors import BadInput
from ..text import legible, legible_in

_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of a braille cell, four rows of two
_COLORS = (34, 33, 32, 35, 36, 31, 94, 90)
_GLYPHS = "●■▲✚✖★"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class _Canvas:
    """A grid of cells: braille dots, over which text can be put; the last colour put on a cell wins."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.dots = [[0] * columns for _ in range(rows)]
        self.text = [[""] * columns for _ in range(rows)]
        self.color: list[list[int | None]] = [[None] * columns for _ in range(rows)]

    def dot(self, x: int, y: int, color: int | None) -> None:
        """Set one dot; there are twice as many dots across as cells, and four times as many down."""
        if 0 <= x < 2 * self.columns and 0 <= y < 4 * self.rows:
            self.dots[y // 4][x // 2] |= _BITS[y % 4][x % 2]
            self.color[y // 4][x // 2] = color

    def put(self, column: int, row: int, text: str, color: int | None = None) -> None:
        for i, letter in enumerate(text):
            if 0 <= column + i < self.columns and 0 <= row < self.rows:
                self.text[row][column + i] = letter
                self.color[row][column + i] = color

    def busy(self, column: int, row: int, width: int) -> int:
        """How much a text of this width would cover here; 1,000 for each cell outside, 50 for each other text."""
        total = 0
        for c in range(column, column + width):
            if not (0 <= c < self.columns and 0 <= row < self.rows):
                total += 1000
            else:
                total += 50 * bool(self.text[row][c] not in ("", "┊")) + bool(self.dots[row][c] or self.text[row][c])
        return total

    def lines(self, paint: bool) -> list[str]:
        out = []
        for dots, text, colors in zip(self.dots, self.text, self.color, strict=True):
            cells = [t or (chr(0x2800 + d) if d else " ") for d, t in zip(dots, text, strict=True)]
            runs = groupby(zip(cells, colors, strict=True), key=lambda cell: cell[1] if paint else None)
            out.append("".join(_paint("".join(c for c, _ in run), color) for color, run in runs))
        return out


def _paint(text: str, color: int | None) -> str:
    return text if color is None or text.isspace() else f"\x1b[{color}m{text}\x1b[0m"


def draw(spec: dict[str, Any], width: int | None = None, height: int | None = None, color: bool | None = None) -> str:
    """The chart as `height` lines of at most `width` characters, 40 by 12 at least; a long legend adds lines.

    Without a width the terminal's is taken, without a height half as many lines as fit the width well. Colour
    is used on a terminal where NO_COLOR is not set, unless `color` says otherwise; without colour each line
    carries its letter from the legend.
    """
    try:
        meta, points = spec["usermeta"]["rackmath"], spec["datasets"]["points"]
        marks, axis_x, axis_y, names = spec["datasets"]["marks"], meta["x"], meta["y"], meta["series"]
    except (KeyError, TypeError) as error:
        raise BadInput("this is not a chart of rackmath; build one with charts.curve or charts.scatter") from error
    said = {name: legible(name) for name in names}
    points = [point | {"series": said[point["series"]]} for point in points]  # of a point only the series is words
    meta, marks, axis_x, axis_y, names = map(legible_in, (meta, marks, axis_x, axis_y, names))
    paint = color if color is not None else _colorful()
    wide = max(40, width if width is not None else min(100, shutil.get_terminal_size().columns))
    tall = max(12, height if height is not None else min(28, wide // 4 + 2))
    legend = _legend(names, points, wide, paint) if len(names) > 1 else []
    gutter = max([len(text) for _, text in axis_y["ticks"]], default=0) + 1
    canvas = _Canvas(wide - gutter - 1, max(8, tall - len(legend) - 5))
    for i, name in reversed(list(enumerate(names))):
        _series(canvas, [p for p in points if p["series"] == name], i, axis_x, axis_y, paint)
    for column in {_cell(axis_x, m["x"], canvas.columns) for m in marks if "y" not in m}:
        for row in range(canvas.rows):
            if not canvas.dots[row][column] and not canvas.text[row][column]:
                canvas.put(column, row, "┊", 90)
    _marks(canvas, marks, axis_x, axis_y)
    if not points:
        canvas.put(2, canvas.rows // 2, "no finite point to draw")
    at_row = {canvas.rows - 1 - _cell(axis_y, v, canvas.rows): text for v, text in axis_y["ticks"]}
    body = [f"{at_row.get(row, '').rjust(gutter)}{'┤' if row in at_row else '│'}{line}" for row, line in enumerate(canvas.lines(paint))]
    under, labels = _below(axis_x, canvas.columns)
    foot = [" " * gutter + "└" + under, " " * (gutter + 1) + labels, axis_x["title"].center(wide)]
    head = [_fit(meta["title"], wide), *legend, _fit(axis_y["title"], wide)]
    return "\n".join(line.rstrip() for line in head + body + foot)


def _colorful() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _fit(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _place(axis: dict[str, Any], value: float) -> float:
    """A value's place between the limits of the axis, from 0 to 1."""
    low, high = axis["low"], axis["high"]
    if axis["log"]:
        return math.log(value / low) / math.log(high / low)
    return float((value - low) / (high - low))


def _cell(axis: dict[str, Any], value: float, cells: int) -> int:
    return min(cells - 1, max(0, round(_place(axis, value) * (cells - 1))))


def _legend(names: list[str], points: list[dict[str, Any]], width: int, paint: bool) -> list[str]:
    """Each series with the sign it is drawn with, wrapped to the width."""
    looks = {p["series"]: p["look"] for p in points}
    lines: list[tuple[int, str]] = [(0, "")]
    for i, name in enumerate(names):
        sign = _sign(i) if looks[name] == "dots" else ("╌╌" if looks[name] == "dashed" else "──")
        if looks[name] != "dots" and not paint:
            sign = f"{sign}{_LETTERS[i % 26]}{sign}"
        text = _fit(name, width - len(sign) - 1)
        size, line = lines[-1]
        if size and size + 3 + len(sign) + 1 + len(text) > width:
            lines.append((0, ""))
            size, line = lines[-1]
        gap = "   " if size else ""
        entry = f"{_paint(sign, _hue(i)) if paint else sign} {text}"
        lines[-1] = (size + len(gap) + len(sign) + 1 + len(text), line + gap + entry)
    return [line for _, line in lines]


def _hue(index: int) -> int:
    return _COLORS[index % len(_COLORS)]


def _sign(index: int) -> str:
    return _GLYPHS[index % len(_GLYPHS)]


def _series(canvas: _Canvas, rows: list[dict[str, Any]], index: int, x: dict[str, Any], y: dict[str, Any], paint: bool) -> None:
    """Dots as signs, lines as braille; without colour the line carries its letter a few times."""
    if rows[0]["look"] == "dots":
        for row in rows:
            if 0 <= _place(x, row["x"]) <= 1 and 0 <= _place(y, row["y"]) <= 1:
                column, line = _cell(x, row["x"], canvas.columns), _cell(y, row["y"], canvas.rows)
                canvas.put(column, canvas.rows - 1 - line, _sign(index), _hue(index))
        return
    across, down = 2 * canvas.columns - 1, 4 * canvas.rows - 1
    path = [(_place(x, r["x"]) * across, (1 - _place(y, r["y"])) * down) for r in rows]
    drawn: list[tuple[int, int]] = []
    for (x0, y0), (x1, y1) in pairwise(path):
        steps = min(5000, max(1, math.ceil(max(abs(x1 - x0), abs(y1 - y0)))))
        drawn += [(round(x0 + (x1 - x0) * i / steps), round(y0 + (y1 - y0) * i / steps)) for i in range(steps + 1)]
    drawn = [p for p in dict.fromkeys(drawn) if 0 <= p[0] <= across and 0 <= p[1] <= down]
    for i, (px, py) in enumerate(drawn):
        if rows[0]["look"] != "dashed" or i % 6 < 3:
            canvas.dot(px, py, _hue(index))
    if not paint:
        for i in range(10 + 7 * index, len(drawn), 48):
            canvas.put(drawn[i][0] // 2, drawn[i][1] // 4, _LETTERS[index % 26])


def _marks(canvas: _Canvas, marks: list[dict[str, Any]], x: dict[str, Any], y: dict[str, Any]) -> None:
    """Labels of rules at the top, labels of points beside them, each where it covers least."""
    spots = [(m, _cell(x, m["x"], canvas.columns), None if "y" not in m else _cell(y, m["y"], canvas.rows)) for m in marks]
    for _, column, level in spots:
        if level is not None:
            canvas.put(column, canvas.rows - 1 - level, "◆", 1)
    for mark, column, level in spots:
        size = len(mark["label"])
        if level is None:
            choices = [(c, row) for row in range(4) for c in (column + 2, column - 1 - size)]
        else:
            row = canvas.rows - 1 - level
            choices = [(c, row + r) for r in (0, -1, 1, -2, 2) for c in (column + 2, column - 1 - size)]
            choices += [(column - size // 2, row + r) for r in (-1, 1, -2, 2)]
        left, row = min(choices, key=lambda c: canvas.busy(c[0], c[1], size))
        canvas.put(max(0, min(left, canvas.columns - size)), row, mark["label"], 1)


def _below(axis: dict[str, Any], columns: int) -> tuple[str, str]:
    """The line under the plot with its ticks, and the labels that fit under it."""
    line, labels = ["─"] * columns, [" "] * columns
    end = -1
    for value, text in axis["ticks"]:
        at = _cell(axis, value, columns)
        line[at] = "┬"
        start = min(max(0, at - len(text) // 2), columns - len(text))
        if start > end and start >= 0:
            labels[start : start + len(text)] = text
            end = start + len(text)
    return "".join(line), "".join(labels)
