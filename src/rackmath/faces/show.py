"""Parts that every screen is built of: console, headings, tables of numbers, bars, notes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from shutil import get_terminal_size
from typing import IO, Any

from rich.box import SIMPLE_HEAD, Box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.errors import MarkupError
from rich.markup import escape
from rich.measure import Measurement
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

from ..answers.text import cell
from ..text import legible
from ..units import show

WIDEST = 110
"""Tables and bars do not grow beyond this many columns; lines of more are hard to read."""

LEAST = 40
"""Below this many columns nothing can be laid out; lines are then left to the terminal."""

NARROW = 72
"""Below this many columns words give way to numbers."""

SLIM: Box = SIMPLE_HEAD

CLOSE = (0, 1, 0, 0)
"""Padding of a table that lacks room."""


_FILLS = "█▓▒░·"
_COLOURS = ("blue", "yellow", "green", "magenta", "bright_black")


class Legible(Console):
    """A console on which text from files cannot obey: whatever is no letter stands as an escape.

    All that is printed passes through `render`, so this is the one door; a table is laid out with the escapes.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            text = segment.text
            if segment.control or text.isprintable():
                yield segment
            else:
                yield Segment(legible(text, keep="\n"), segment.style)

    def render_str(self, text: str, **options: Any) -> Text:
        text = legible(text, keep="\n")
        try:
            return super().render_str(text, **options)
        except MarkupError:  # brackets of somebody else's
            return super().render_str(text, **options | {"markup": False})

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console(file: IO[str] | None = None, *, width: int | None = None) -> Console:
    """A console as wide as the terminal, `LEAST` to `WIDEST`; colour only on a terminal and without NO_COLOR."""
    terminal = None if file is None else False
    made = Legible(file=file or sys.stdout, width=width, highlight=False, emoji=False, force_terminal=terminal)
    if width is None:
        made.width = min(max(made.width, LEAST), WIDEST)
    return made


def heading(c: Console, title: str, aside: str = "") -> None:
    """A line that opens a block: bold words, then an aside."""
    text = Text("\n")
    text.append(legible(title), style="bold cyan")
    if aside:
        text.append(f"  {legible(aside)}", style="dim")
    c.print(text)


def line(c: Console, markup: str, *, indent: int = 2) -> None:
    """A paragraph, wrapped with its indent kept."""
    c.print(Padding(c.render_str(legible(markup)), (0, 0, 0, indent), expand=False))


class Numbers(Table):
    """A table whose first column is words, shown as they are; cells of the others may be marked up."""

    def add_row(self, *cells: RenderableType | None, **of: Any) -> None:
        super().add_row(*(escape(cell) if isinstance(cell, str) else cell for cell in cells[:1]), *cells[1:], **of)


def numbers(*columns: str, title_width: int | None = None) -> Table:
    """A table whose first column is words and whose others are right-aligned numbers.

    On a narrow terminal the words are wrapped, and `title_width`, their least width, is given up: numbers stay whole.
    """
    table = Numbers(box=SLIM, pad_edge=False, show_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    roomy = get_terminal_size().columns >= NARROW
    table.add_column(columns[0], min_width=title_width if roomy else 12, no_wrap=roomy)
    for name in columns[1:]:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def indented(c: Console, table: Table, *, by: int = 2, drop: Sequence[str] = ()) -> None:
    """Print a table with whole columns only: what does not fit is left out, and a line says so.

    Columns first move closer. Left out then are those of `drop`, in that order, then the last ones; words are wrapped
    before those.
    """
    left_out = _fit(c, table, c.width - by, drop)
    c.print(Padding(table, (0, 0, 0, by), expand=False))
    if left_out:
        line(c, f"[dim]Columns hidden at this width: {escape(', '.join(left_out))}.[/]", indent=by)


def _fit(c: Console, table: Table, width: int, drop: Sequence[str]) -> list[str]:
    """Take columns out of a table until the rest fits; the names of those taken, in the order of the table."""
    first, names = table.columns[0], [str(column.header) for column in table.columns]
    if _width(c, table) > width and first.min_width:
        longest = max(Measurement.get(c, c.options, cell).maximum for cell in (first.header, *first.cells))
        first.min_width = min(first.min_width, 12, longest)
    if _width(c, table) > width:
        table.padding = CLOSE
    for name in [name for name in drop if name in names]:
        if _width(c, table) > width:
            _without(table, name)
    if _width(c, table) > width:
        for column in table.columns:
            column.no_wrap = column.no_wrap and column.justify != "left"
            column.min_width = max(column.min_width or 0, _least(c, column))  # words are wrapped, not cut
    while _width(c, table) > width and len(table.columns) > 2:
        _without(table, str(table.columns[-1].header))
    kept = {str(column.header) for column in table.columns}
    return [name for name in names if name and name not in kept]


def _width(c: Console, table: Table) -> int:
    """Cells the table needs so that nothing in it is cut; columns that wrap need their longest word."""
    total = 0
    for column in table.columns:
        total += max(_least(c, column), column.min_width or 0)
    gap = table.padding[1] + bool(table.box)
    return total + gap * (len(table.columns) - 1)


def _least(c: Console, column: Column) -> int:
    sizes = [Measurement.get(c, c.options, cell) for cell in (column.header, *column.cells)]
    return max(size.maximum if column.no_wrap else size.minimum for size in sizes)


def _without(table: Table, name: str) -> None:
    table.columns[:] = [column for column in table.columns if str(column.header) != name]
    for i, column in enumerate(table.columns):
        column._index = i


def bar(c: Console, parts: Mapping[str, float], *, unit: str, total: float | None = None) -> None:
    """One bar split into named parts, and under it what each part is; fills tell them apart without colour."""
    whole = total or sum(parts.values()) or 1.0
    parts = {name: value for name, value in parts.items() if value > 0}
    width = min(c.width - 4, 72)
    cells = _cells([max(v, 0.0) / whole for v in parts.values()], width)
    drawn, legend = Text("  "), []
    for (name, value), n, fill, colour in zip(parts.items(), cells, _FILLS, _COLOURS, strict=False):
        drawn.append(fill * n, style=colour)
        label = cell(value, unit) if unit else f"{value / whole:.0%}"
        legend.append(f"[{colour}]{fill}[/] {escape(name)} {label}")
    c.print(drawn)
    over = sum(parts.values()) - whole
    if total and over > 1e-9 * whole:
        legend.append(f"[bold red]{show(over, unit)} too much[/]")
    line(c, "   ".join(legend))


def _cells(shares: Sequence[float], width: int) -> list[int]:
    """Whole cells for shares of a bar: at least one for each part that is there, at most `width` in all."""
    cells = [max(1, round(s * width)) if s > 0 else 0 for s in shares]
    while sum(cells) > width:
        cells[cells.index(max(cells))] -= 1
    return cells


def notes(c: Console, found: Sequence[str]) -> None:
    """What a reader must know, one dim line each."""
    if not found:
        return
    c.print()
    for note in found:
        c.print(Padding(Text.assemble(("• ", "dim"), (legible(note), "dim")), (0, 0, 0, 2), expand=False))


BETWEEN = "5 to 95 %"
"""Head of a column of intervals."""


def wants_colour(c: Console | None = None) -> bool:
    """Whether a chart may use colour on this console, or else on stdout."""
    c = c or console()
    return c.is_terminal and not c.no_color
