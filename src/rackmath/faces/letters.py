"""Lanes of bars, and regions of a map, on a terminal: in letters and block elements."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from ..answers.lanes import Lanes, TimeBar
from ..answers.maps import Map, centres
from ..answers.scale import Scale
from ..answers.text import cell
from ..text import legible
from ..units import show
from .show import line

GUTTER, WIDEST = 14, 88
MOST_LANES = 24
LEVELS = " ▂▄▆█"
TURNS = "123456789abcdefghijklmnopqrstuvwxyz"
COLOURS = ("blue", "yellow", "green", "magenta", "red", "cyan", "bright_black")


def lanes(c: Console, block: Lanes) -> None:
    """Every lane from left to right, the axis of time above, what letters mean below."""
    width = max(30, min(c.width - GUTTER - 4, WIDEST))
    window = width * block.cell
    if block.span <= window * 1.05:
        _axis(c, block, width)
        _lanes(c, block, 0.0, block.span, width)
    else:
        line(c, f"[dim]the first {show(window, block.unit)} of {show(block.span, block.unit)}[/]")
        _lanes(c, block, 0.0, window, width)
        line(c, f"[dim]the last {show(window, block.unit)}[/]")
        _lanes(c, block, block.span - window, window, width)
    if block.labels:
        turns = sorted({int(s.label) for bars in block.lanes.values() for s in bars if s.label})
        ends = [TURNS[(turn - 1) % len(TURNS)] for turn in (turns[0], turns[-1])]
        line(c, f"[dim]{' to '.join(dict.fromkeys(ends))}: {block.labels}[/]")
    if block.legend:
        _legend(c, block)


def _axis(c: Console, block: Lanes, width: int) -> None:
    """The times at the start, in the middle and at the end."""
    middle, right = show(block.span / 2, block.unit, digits=2), show(block.span, block.unit, digits=3)
    text = "0" + middle.rjust(width // 2 + len(middle) // 2 - 1)
    c.print(Text("  " + " " * GUTTER + text + right.rjust(width - len(text)), style="dim"))


def _lanes(c: Console, block: Lanes, start: float, span: float, width: int) -> None:
    shown = list(block.lanes.items())[:MOST_LANES]
    for name, bars in shown:
        drawn = _levels(bars, span, width) if name in block.levels else _letters(block, bars, start, span, width)
        label = Text("  ") + Text(name[: GUTTER - 1].ljust(GUTTER), style="dim")
        c.print(label + drawn, no_wrap=True, crop=True)
    if (left := len(block.lanes) - len(shown)) > 0:
        line(c, f"[dim]{left} more lanes[/]")


def _letters(block: Lanes, bars: Sequence[TimeBar], start: float, span: float, width: int) -> Text:
    drawn = Text()
    for bar in cells(bars, start, span, width):
        kind = block.idle if bar is None else bar.kind
        letter = block.kinds[kind].letter
        if bar is not None and bar.label:
            turn = int(bar.label) - 1
            drawn.append(TURNS[turn % len(TURNS)], style=COLOURS[turn % 4])
        else:
            drawn.append(letter.lower() if bar is not None and bar.small else letter, style=_colour(block, kind))
    return drawn


def _colour(block: Lanes, kind: str) -> str:
    place = list(block.kinds).index(kind)
    return "bright_black" if kind == block.idle else COLOURS[min(place, len(COLOURS) - 1)]


def cells(bars: Sequence[TimeBar], start: float, span: float, width: int) -> list[TimeBar | None]:
    """The bar that fills most of each cell of a lane; None where nothing does.

    >>> [bar and bar.kind for bar in cells([TimeBar(0, 1, "a"), TimeBar(1, 4, "b")], 0.0, 6.0, 3)]
    ['a', 'b', None]
    """
    found: list[TimeBar | None] = []
    i, step = 0, span / width
    for place in range(width):
        low, high = start + place * step, start + (place + 1) * step
        while i < len(bars) and bars[i].end <= low:
            i += 1
        best, most, left, j = None, 0.0, step, i
        while j < len(bars) and bars[j].start < high:
            inside = min(bars[j].end, high) - max(bars[j].start, low)
            best, most = (bars[j], inside) if inside > most else (best, most)
            left, j = left - inside, j + 1
        found.append(best if most >= left * (1 - 1e-6) else None)
    return found


def _levels(bars: Sequence[TimeBar], span: float, width: int) -> Text:
    """How much of each cell something is at work."""
    step, busy = span / width, [0.0] * width
    for bar in bars:
        for place in range(int(bar.start / step), min(width - 1, int(bar.end / step)) + 1):
            busy[place] += max(0.0, min(bar.end, (place + 1) * step) - max(bar.start, place * step)) / step
    return Text("".join(LEVELS[min(len(LEVELS) - 1, round(b * (len(LEVELS) - 1)))] for b in busy))


def _legend(c: Console, block: Lanes) -> None:
    """What the letters mean, in rows none of whose entries is broken."""
    parts = []
    for name, kind in block.kinds.items():
        if block.amounts and not block.amounts.get(name):
            continue
        text = f"[{_colour(block, name)}]{escape(kind.letter)}[/] {escape(kind.words)}"
        if block.amounts:
            amount = block.amounts[name]
            text += f" [bold]{cell(amount, block.unit or 'number')}[/] ({amount / sum(block.amounts.values()):.0%})"
        parts.append(text)
    rows: list[str] = []
    for part in [*parts, *([f"[dim]{escape(block.more)}[/]"] if block.more else [])]:
        joined = f"{rows[-1]}   {part}" if rows else part
        if rows and Text.from_markup(joined).cell_len <= c.width - 4:
            rows[-1] = joined
        else:
            rows.append(part)
    for row in rows:
        line(c, row)


# --- regions ------------------------------------------------------------------------------------------------------

FILLS = "░▓▒█·:+x"
MAP_ROWS, MAP_GUTTER = 14, 7


def regions(c: Console, block: Map) -> None:
    """A map in letters: each region its own fill, with its name inside where that fits."""
    columns, rows = max(30, c.width - MAP_GUTTER - 2), MAP_ROWS
    cells = _sampled(block, columns, rows)
    letters = [[FILLS[i % len(FILLS)] for i in row] for row in cells]
    for i, r, middle in centres(cells):
        name = f" {legible(block.names[i])} "
        start = middle - len(name) // 2
        if start >= 0 and set(cells[r][start : start + len(name)]) == {i} and start + len(name) <= columns:
            letters[r][start : start + len(name)] = name
    c.print(Text(f"  {block.y.heading}", style="dim"))
    marked = {round(block.up.place(v) * (rows - 1)): f"{v:g}" for v in _decades(block.up)}
    for r in reversed(range(rows)):
        line_ = Text(f"{marked.get(r, ''):>{MAP_GUTTER}}{'┤' if r in marked else '│'}")
        for column, i in enumerate(cells[r]):
            line_.append(letters[r][column], style=_hue(i))
        c.print(line_, no_wrap=True, crop=True)
    _under(c, block, columns)
    key = Text(" " * MAP_GUTTER)
    for i in block.present:
        key.append(FILLS[i % len(FILLS)] * 2, style=_hue(i)).append(f" {legible(block.names[i])}   ")
    c.print(key)


def _hue(i: int) -> str:
    return ("blue", "yellow", "green", "magenta", "cyan", "red", "bright_blue", "bright_black")[i % 8]


def _sampled(block: Map, columns: int, rows: int) -> list[list[int]]:
    high, wide = len(block.cells), len(block.cells[0])
    return [[block.cells[round(r * (high - 1) / (rows - 1))][int((k + 0.5) * wide / columns)] for k in range(columns)] for r in range(rows)]


def _decades(scale: Scale) -> list[float]:
    return [v for v in (10.0**n for n in range(-9, 13)) if scale.holds(v)]


def _under(c: Console, block: Map, columns: int) -> None:
    """The line under a map with its ticks, their words, and what the axis measures."""
    line_, labels, end = ["─"] * columns, [" "] * (columns + 6), -1
    for at, text in block.x.ticks or tuple((v, f"{v:g}") for v in _decades(block.across)):
        if not block.across.holds(at):
            continue
        column = min(columns - 1, round(block.across.place(at) * (columns - 1)))
        line_[column] = "┬"
        start = max(0, column - len(text) // 2)
        if start > end and start + len(text) <= columns:
            labels[start : start + len(text)] = text
            end = start + len(text)
    c.print(Text(" " * MAP_GUTTER + "└" + "".join(line_)), no_wrap=True, crop=True)
    c.print(Text(" " * (MAP_GUTTER + 1) + "".join(labels).rstrip()), no_wrap=True, crop=True)
    c.print(Text(f"{block.x.title:^{c.width}}".rstrip()))
