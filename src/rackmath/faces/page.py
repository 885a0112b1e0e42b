"""Any answer as HTML: for a notebook, the page and a saved report. Plain elements with classes; no script."""

from __future__ import annotations

import json
from functools import singledispatch
from html import escape
from typing import Any

from ..answers.charts import dress
from ..answers.lanes import Lanes
from ..answers.maps import Map
from ..answers.parts import Answer, Bar, Chart, Code, Column, Figure, Figures, Frame, Say, Table
from ..answers.ranges import Ranges
from ..answers.terms import Term
from ..answers.text import cell


def body(answer: Answer, *, terms: bool = True) -> str:
    """Title, blocks, terms and notes of an answer."""
    parts = [f"<h1>{_words(answer.title)}</h1>"]
    if answer.subtitle:
        parts.append(f'<p class="aside">{escape(answer.subtitle)}</p>')
    for block in answer.blocks:
        if block.title:
            aside = f" <small>{escape(block.aside)}</small>" if block.aside else ""
            parts.append(f"<h2>{escape(block.title)}{aside}</h2>")
        parts.append(html(block))
    if terms and answer.terms is not None:
        parts.append(f'<details class="terms"><summary>Every term</summary>{_term(answer.terms(), set())}</details>')
    parts += [f'<p class="note">{escape(note)}</p>' for note in (*answer.notes, *answer.remarks)]
    return "\n".join(parts)


def _words(say: Say) -> str:
    return "".join(f"<strong>{escape(t)}</strong>" if loud else escape(t) for t, loud in say.pieces)


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


@singledispatch
def html(block: Any) -> str:
    """One block as HTML."""
    raise TypeError(f"no way is known to write a {type(block).__name__} as HTML")


@html.register
def _(block: Say) -> str:
    return f"<p{_class('aside' if block.faint else '')}>{_words(block)}</p>"


@html.register
def _(block: Frame) -> str:
    said = "<br>".join(_words(say) for say in block.says)
    kind = "frame" if block.good else "frame bad"
    return f'<div class="{kind}"><small>{escape(block.head)}</small><p>{said}</p></div>'


@html.register
def _(block: Code) -> str:
    return f"<pre><code>{escape(block.text)}</code></pre>"


@html.register
def _(block: Bar) -> str:
    whole = block.whole or sum(block.parts.values()) or 1.0
    cells = (
        f'<span class="part" style="flex:{value / whole:.4f}" title="{escape(name)}">'
        f"{escape(name)} {cell(value, block.unit) if block.unit else cell(value / whole, 'percent')}</span>"
        for name, value in block.parts.items()
        if value > 0
    )
    drawn = "".join(cells)
    return f'<div class="bar" role="img" aria-label="{escape(block.title)}">{drawn}</div>'


@html.register
def _(block: Chart | Ranges | Lanes | Map) -> str:
    drawn = dress(dict(block.spec))
    spec = escape(json.dumps(drawn, allow_nan=False))
    text = escape(str(drawn.get("description", "")))
    return f'<div class="chart" role="img" aria-label="{text}" data-spec="{spec}"></div>'


@html.register
def _(block: Figures) -> str:
    has = dict(zip(("5 to 95 %", "bound", "objective", ""), block.columns, strict=True))
    top = "".join(f"<th scope=col>{name}</th>" for name, used in has.items() if used)
    head = f"<thead><tr><th></th><th scope=col>{escape(block.head)}</th>{top}</tr></thead>" if has["bound"] else ""
    rows = (
        f"<tr{_class('strong' if f.strong else '')}><th scope=row>{escape(f.label)}</th>"
        f"<td>{escape(f.words)}</td>{_beside(f, block.columns)}</tr>"
        for f in block.figures
    )
    return f"<table{_class('figures')}>{head}{''.join(rows)}</table>"


def _beside(f: Figure, used: tuple[bool, ...]) -> str:
    """What stands beside a figure: interval, bound, objective, note."""
    words = (f.interval, cell(f.bound, f.unit), f.objective, f.note)
    return "".join(f"<td>{escape(one)}</td>" for one, shown in zip(words, used, strict=True) if shown)


@html.register
def _(block: Table) -> str:
    columns = [k for k in block.columns if k.unit != "yes" or not all(r.get(k.key, True) for r in block.visible)]
    head = "".join(f"<th scope=col>{escape(k.head)}</th>" for k in columns)
    rows = [_row(columns, row, _look(block, i)) for i, row in enumerate(block.visible)]
    rows += [_row(columns, block.total, "strong")] if block.total is not None else []
    top = "" if block.headless else f"<thead><tr>{head}</tr></thead>"
    return f"<table>{top}<tbody>{''.join(rows)}</tbody></table>"


def _look(block: Table, i: int) -> str:
    return "strong" if i == block.strong or i in block.heads else "faint" if i in block.faint else ""


def _row(columns: list[Any], row: Any, look: str) -> str:
    cells = "".join(f"<td{_class(_kind(k, row))}>{_indented(k.words(row))}</td>" for k in columns)
    return f"<tr{_class(look)}>{cells}</tr>"


def _indented(words: str) -> str:
    """Words whose leading spaces a page would drop.

    >>> _indented("  tpot_s")
    '&ensp;&ensp;tpot_s'
    """
    bare = words.lstrip(" ")
    return "&ensp;" * (len(words) - len(bare)) + escape(bare)


def _kind(column: Column, row: Any) -> str:
    if column.unit in ("", "yes"):
        return column.tones.get(column.words(row), "")
    return f"number {column.look}".strip()


def _term(term: Term, seen: set[int]) -> str:
    text = f"<b>{escape(term.name)}</b> {escape(term.shown)}"
    text += f" = {escape(term.formula)}" if term.rule else ""
    text += f" <i>{escape(term.note)}</i>" if term.note else ""
    text += f" <small>{escape(term.source)}</small>" if term.source else ""
    if not term.children or id(term) in seen:
        return f"<p>{text}</p>"
    seen.add(id(term))
    return f"<details><summary>{text}</summary>{''.join(_term(child, seen) for child in term.children)}</details>"
