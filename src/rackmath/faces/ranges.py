"""Rows with intervals and marked values on a terminal: a sign for each value on a bar, and the axis below."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from ..answers.ranges import Range, Ranges
from ..answers.scale import Scale, tick_labels, ticks

SIGNS = {"circle": "●", "ring": "○", "diamond": "◆", "cross": "+", "triangle-right": "▸", "square": "■"}
COLOURS = ("blue", "yellow", "green", "magenta", "cyan", "red")
LEAST, MOST = 24, 72
"""Columns of the bars."""


def draw(block: Ranges, c: Console) -> None:
    """Legend, rows, axis."""
    if len(block.rows) == 0:
        return
    cells = _cells(block, c.width)
    gutter = sum(len(part) + 2 for part in cells[0])
    columns = min(MOST, max(LEAST, c.width - gutter - 4))
    scale = block.scale
    _legend(block, c)
    head, *body = cells
    if any(part.strip() for part in head):
        c.print(Text(_line(head).rstrip(), style="dim"))
    for row, texts in zip(block.rows, body, strict=True):
        text = Text(_line(texts), style="dim" if row.faint else "")
        text.append("│", style="dim").append_text(_bar(block, row, scale, columns))
        text.rstrip()
        c.print(text, no_wrap=True, overflow="crop")
    for under in _axis(block, scale, columns):
        c.print(Text(" " * (gutter + 2) + under, style="dim"), no_wrap=True, overflow="crop")


def _cells(block: Ranges, width: int) -> list[list[str]]:
    """Heads and rows of names and columns, padded; optional columns go first where the bars would have no room."""
    columns = list(block.columns)
    while True:
        found = [["", *(k.head for k in columns)]]
        found += [[r.name, *(k.words(r.cells) for k in columns)] for r in block.rows]
        widths = [max(len(row[i]) for row in found) for i in range(len(found[0]))]
        over = sum(widths) + 2 * len(widths) + 4 + LEAST - width
        optional = sorted((k for k in columns if k.optional), key=lambda k: k.optional)
        if over <= 0 or not optional:
            break
        columns.remove(optional[0])
    longest = max(8, widths[0] - max(0, over))
    for row in found:
        row[0] = _shortened(row[0], longest).ljust(min(widths[0], longest))
        for i, k in enumerate(columns, 1):
            row[i] = row[i].rjust(widths[i]) if k.unit else row[i].ljust(widths[i])
    return found


def _line(texts: list[str]) -> str:
    return "  " + "".join(f"{part}  " for part in texts)


def _legend(block: Ranges, c: Console) -> None:
    used = block.used
    parts = [(SIGNS[block.kinds[kind]], kind, COLOURS[i % len(COLOURS)]) for i, kind in enumerate(used)]
    if block.interval and any(block.ends(r) for r in block.rows):
        parts.append(("├─┤", block.interval, "bright_black"))
    if len(parts) < 2:
        return
    text = Text("  ")
    for sign, words, colour in parts:
        text.append(sign, style=colour).append(f" {words}   ")
    text.rstrip()
    c.print(text)


def _bar(block: Ranges, row: Range, scale: Scale, columns: int) -> Text:
    """The interval with its ends, then the values, the one on top last."""
    cells = [(" ", "")] * columns

    def at(value: float) -> int:
        return min(columns - 1, max(0, round(scale.place(value) * (columns - 1))))

    ends = block.ends(row)
    if ends and at(ends[1]) > at(ends[0]):
        first, last = at(ends[0]), at(ends[1])
        for i in range(first, last + 1):
            cells[i] = ("├" if i == first else "┤" if i == last else "─", "bright_black")
    if block.at is not None:
        middle = at(block.at)
        cells[middle] = ("┼" if cells[middle][0] == "─" else "│", "bright_black")
    used = block.used
    for p in block.points(row):
        style = "dim" if row.faint else COLOURS[used.index(p.kind) % len(COLOURS)]
        cells[at(p.value)] = (SIGNS[block.kinds[p.kind]], style)
    return Text.assemble(*cells)


def _axis(block: Ranges, scale: Scale, columns: int) -> list[str]:
    """The line under the rows with its ticks, the numbers that fit under it, and what they are."""
    major, _ = ticks(scale)
    under, labels, end = ["─"] * columns, [" "] * (columns + 8), -2
    for value, text in zip(major, tick_labels(major, block.axis.unit), strict=True):
        column = round(scale.place(value) * (columns - 1))
        start = max(0, column - len(text) // 2)
        if 0 <= column < columns and start > end + 1 and start + len(text) <= columns + 1:
            under[column] = "┬"
            labels[start : start + len(text)] = text
            end = start + len(text)
    heading = [block.axis.heading.center(columns)] if block.axis.title else []
    return [line.rstrip() for line in ("└" + "".join(under), " " + "".join(labels), *(" " + h for h in heading))]


def _shortened(text: str, longest: int) -> str:
    """Whole words of a label, as many as fit.

    >>> _shortened("22 Cache prices for 5 minutes and 1 hour", 20)
    '22 Cache prices for'
    """
    if len(text) <= longest:
        return text
    cut = text[: longest + 1].rpartition(" ")[0]
    return cut or text[:longest]
