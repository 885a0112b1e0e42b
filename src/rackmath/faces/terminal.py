"""Any answer on a terminal. A face of answers: it knows blocks, not commands.

Screens set by hand stand in `faces.screens` by command; the others are drawn block by block.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.text import Text
from rich.tree import Tree

from ..answers.lanes import Lanes
from ..answers.maps import Map
from ..answers.parts import Answer, Bar, Chart, Code, Column, Figure, Figures, Frame, Say, Table
from ..answers.ranges import Ranges
from ..answers.terms import LONGEST, Term
from ..answers.text import cell
from ..text import legible
from . import braille, letters, ranges
from .show import BETWEEN, bar, heading, indented, line, notes, numbers, wants_colour

TONES = {"good": "green", "fair": "yellow", "bad": "red"}
LOOKS = {"strong": "bold green", "faint": "dim"}

SMALL = 0.05
"""On a screen, a term below this share of the sum it belongs to is shown without its own terms."""


def screen(c: Console, answer: Answer) -> None:
    """Print an answer: title, blocks, notes."""
    c.print(_styled(answer.title, "bold"))
    if answer.subtitle:
        c.print(Text(answer.subtitle, style="dim"))
    if answer.blocks and isinstance(answer.blocks[0], Say) and not answer.blocks[0].title:
        c.print()
    opening = True  # a table after nothing but the title and sentences stands off from them
    drawn = [b for b in answer.blocks if not isinstance(b, Chart) or b.lines]
    for before, block in zip([None, *drawn], drawn, strict=False):
        if block.title:
            heading(c, block.title, block.aside)
        elif (opening and isinstance(block, Table)) or (isinstance(before, Chart) and isinstance(block, Say)):
            c.print()
        opening = opening and isinstance(block, Say) and not block.title
        draw(block, c)
    notes(c, (*answer.notes, *answer.remarks))


def _styled(say: Say, strong: str = "bold", style: str = "") -> Text:
    text = Text(style=style)
    for words, loud in say.pieces:
        text.append(words, style=strong if loud else "")
    return text


@singledispatch
def draw(block: Any, c: Console) -> None:
    """One block on a console."""
    raise TypeError(f"no way is known to print a {type(block).__name__}")


@draw.register
def _(block: Say, c: Console) -> None:
    text = _styled(block, style="dim" if block.faint else "")
    c.print(Padding(text, (0, 0, 0, 2), expand=False))


@draw.register
def _(block: Frame, c: Console) -> None:
    colour = "green" if block.good else "red"
    text = Text("\n").join(_styled(say, f"bold {colour}", "dim" if say.faint else "") for say in block.says)
    c.print(Panel(text, title=block.head, title_align="left", border_style=colour, expand=False))


@draw.register
def _(block: Code, c: Console) -> None:
    for row in legible(block.text, "\n").splitlines():
        c.print(f"  {row}", markup=False, highlight=False, soft_wrap=True)


@draw.register
def _(block: Bar, c: Console) -> None:
    bar(c, block.parts, unit=block.unit, total=block.whole)


@draw.register
def _(block: Chart, c: Console) -> None:
    if not block.title:
        c.print()
    if not block.lines:
        return
    drawn = braille.draw(dict(block.spec), width=c.width, height=block.lines, color=wants_colour(c))
    c.print(Text.from_ansi(drawn))


@draw.register
def _(block: Lanes, c: Console) -> None:
    letters.lanes(c, block)


@draw.register
def _(block: Map, c: Console) -> None:
    letters.regions(c, block)


@draw.register
def _(block: Figures, c: Console) -> None:
    base = next((f for f in block.figures if f.key == block.against), None)
    spans, bounds, objectives, notes = block.columns
    bounds = bounds and base is None
    heads = ["", block.head, *([BETWEEN] if spans else []), *([f"x {base.label}"] if base else [])]
    heads += [*(["bound", OVER] if bounds else []), *(["objective"] if objectives else [])]
    table = numbers(*heads, title_width=28 if bounds else 20)
    if not block.head:
        table.show_header = False
    table.add_column("")
    for i, f in enumerate(block.figures):
        if i in block.groups:
            table.add_section()
        cells: list[Any] = [
            Text(f.words, style="bold" if bounds else ""),
            *([f.interval] if spans else []),
            *([_times(f, base)] if base else []),
            *([cell(f.bound, f.unit), Text(cell(f.over, "times"), style="dim")] if bounds else []),
            *([f.objective] if objectives else []),
        ]
        table.add_row(f.label, *cells, Text(f.note, style="dim"), style="bold" if f.strong else None)
    if not notes:
        table.columns.pop()
    if not block.title:
        c.print()
    indented(c, table, drop=(OVER,))
    if block.aside and not block.title:
        line(c, f"[dim]{escape(block.aside)}[/]")


OVER = "x bound"
"""Head of a column: how many times the bound."""


def _times(figure: Figure, base: Figure) -> str:
    if figure.unit != base.unit or not base.value or figure.value is None:
        return ""
    return f"{figure.value / base.value:.2f}"


@draw.register
def _(block: Table, c: Console) -> None:
    rows = block.visible
    columns = [k for k in block.columns if k.unit != "yes" or not all(r.get(k.key, True) for r in rows)]
    table = numbers(*(k.head for k in columns))
    table.show_header = not block.headless
    for i, (k, made) in enumerate(zip(columns, table.columns, strict=True)):
        made.justify = "left" if k.unit in ("", "yes") else "right"
        made.no_wrap = made.no_wrap if i == 0 else True
        made.style = LOOKS.get(k.look, "")
    if block.marks:
        table.add_column("", no_wrap=True)
    for i, row in enumerate(rows):
        head = i in block.heads
        if head and i:
            table.add_row()
        style = "bold" if head or i == block.strong else "dim" if i in block.faint else None
        marks = [block.marks.get(i, "")] if block.marks else []
        table.add_row(*(_toned(k, row) for k in columns), *marks, style=style)
    if block.total is not None:
        table.add_section()
        table.add_row(*(k.words(block.total) for k in columns), style="bold")
    optional = sorted((k for k in columns if k.optional), key=lambda k: k.optional)
    indented(c, table, drop=[k.head for k in optional])


def _toned(column: Column, row: Mapping[str, Any]) -> str | Text:
    words = column.words(row)
    return Text(words, style=TONES.get(column.tones.get(words, ""), "")) if column.tones else words


@draw.register
def _(block: Ranges, c: Console) -> None:
    ranges.draw(block, c)


# --- the tree of terms ----------------------------------------------------------------------------------------------


def tree(c: Console, term: Term) -> None:
    """Print a tree of terms, and the sources it numbers."""
    sources: list[str] = []
    c.print(_branch(term, set(), sources, True))
    if sources:
        c.print(Text("\nSources", style="bold cyan"))
    for i, source in enumerate(sources, 1):
        c.print(Padding(Text(f"[{i}] {source}", style="dim"), (0, 0, 0, 2), expand=False))


def _branch(term: Term, seen: set[int], sources: list[str], full: bool) -> Tree:
    label = _label(term, sources)
    grown = Tree(label, guide_style="dim")
    if not full or (term.children and id(term) in seen):
        if term.children and full:
            label.append("  as above", style="dim")
        return grown
    seen.add(id(term))
    whole = abs(term.value) if term.value else 0.0
    many = len(term.terms) > LONGEST
    for child in term.children:
        told = term.rule and not many and not (child.children or child.source or child.note)
        if not told:  # a bare number stands in the formula already
            small = term.rule == "sum" and many and abs(child.value or 0.0) < SMALL * whole
            grown.children.append(_branch(child, seen, sources, not small))
    return grown


def _label(term: Term, sources: list[str]) -> Text:
    label = Text(term.name, style="bold" if term.children else "")
    if term.value is not None:
        label.append(f"  {term.shown}", style="cyan")
    if term.rule and len(term.terms) <= LONGEST:
        label.append(f"  = {term.formula}")
        if term.worked != term.formula and len(term.terms) > 1:
            label.append(f" = {term.worked}", style="dim")
    elif term.rule:
        label.append(f"  = {term.rule} of {len(term.terms)} terms")
    if term.note:
        label.append(f"  {term.note}", style="dim italic")
    if term.source:
        if term.source not in sources:
            sources.append(term.source)
        label.append(f"  [{sources.index(term.source) + 1}]", style="dim")
    return label
