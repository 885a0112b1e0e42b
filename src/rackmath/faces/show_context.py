"""The screen of `context`: cost, pace and bytes against context, thresholds, and the step between two prices."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.text import Text

from ..units import show
from ..views import setting
from ..views.setting import formats
from . import charts, explain_memory, records_memory
from .ask_memory import ContextAnswer
from .export import Face
from .show import heading, indented, line, money, notes, numbers, tokens, wants_colour

if TYPE_CHECKING:
    from ..search.context import PriceStep

ROOMY = 96
"""Columns of a terminal below which the table of costs leaves out the step and the limit."""

DRAWN = 200
"""Points of a drawn line: more are not seen."""


def face(answer: ContextAnswer) -> Face:
    """The faces of an answer about context."""
    return Face(
        record=lambda: records_memory.context(answer),
        rows=lambda: records_memory.context_rows(answer),
        screen=lambda c: screen(c, answer),
        tree=lambda: explain_memory.context(answer),
        chart=lambda: all_charts(answer),
    )


def screen(c: Console, answer: ContextAnswer) -> None:
    """Print cost and pace against context."""
    curves = answer.curves
    q = curves.question
    c.print(Text.assemble("Decoding ", (q.model.name, "bold"), " on ", (q.machine.name, "bold"), " against context"))
    c.print(Text(f"{curves.layout.label()}, {formats(curves.precision)} · {policy_words(answer)}", style="dim"))
    for words in ("own: what the model has", *answer.described):
        c.print(Text(f"  {words}", style="dim"))
    width, paint = c.width, wants_colour()
    first = cost_chart(answer) if _paid(answer) else pace_chart(answer)
    c.print()
    c.print(Text.from_ansi(charts.draw(first, width=width, height=18, color=paint)))
    _thresholds(c, answer)
    _table(c, answer)
    _bytes(c, answer)
    if _paid(answer):
        c.print()
        c.print(Text.from_ansi(charts.draw(pace_chart(answer), width=width, height=14, color=paint)))
    _step(c, answer)
    if answer.list_mtok is not None and _paid(answer):
        _margins(c, answer)
    notes(c, answer.notes)


def policy_words(answer: ContextAnswer) -> str:
    """The batch policy in words."""
    p = answer.curves.policy
    words = "as many sequences as memory holds"
    if p.batch < math.inf:
        words += f", at most {tokens(p.batch)}"
    if p.max_tpot < math.inf:
        words += f", within {show(p.max_tpot, 's')} per token"
    return words


def _paid(answer: ContextAnswer) -> bool:
    return setting.known_price(answer.curves.question.machine) is not None


def _thresholds(c: Console, answer: ContextAnswer) -> None:
    heading(c, "Where the context begins to matter", "tokens")
    table = numbers("", *(k.kind for k in answer.curves.curves), title_width=28)

    def row(name: str, values: list[float]) -> None:
        table.add_row(name, *(_length(v) for v in values))

    each = answer.curves.curves
    row("L*: cache read = weights multiplied", [k.balance_context for k in each])
    row("attention FLOPs = weight FLOPs", [k.flops_context for k in each])
    row(f"B* = {tokens(round(answer.curves.balance))} sequences fill HBM", [k.full_context for k in each])
    indented(c, table)


def _length(value: float) -> str:
    if not math.isfinite(value):
        return "never"
    return f"{value:,.0f}" if value < 1e6 else show(value, "tokens").removesuffix(" tokens")


def _picks(answer: ContextAnswer, count: int) -> list[int]:
    """Rows for a table: evenly spread on the logarithm, with the ends and the threshold."""
    x = answer.curves.context
    low = math.ceil(math.log2(x[0]) - 1e-9)
    powers = [2.0**i for i in range(low, 60) if 2.0**i <= x[-1] * (1 + 1e-9)]
    wanted = [*powers[:: max(1, math.ceil(len(powers) / count))], answer.curves.threshold, x[-1]]
    return sorted({int(np.argmin(np.abs(np.log(x / w)))) for w in wanted})


def _table(c: Console, answer: ContextAnswer) -> None:
    curves = answer.curves
    paid = _paid(answer)
    what = "$/M output tokens" if paid else "time per output token"
    heading(c, what, "own, its bound and the lecture's limit; then the other kinds")
    own = curves.own
    roomy = c.width >= ROOMY
    names = ["context", "batch", "step", "own", "bound", "limit"] if paid else ["context", "batch", "own", "bound"]
    if paid and not roomy:
        names = ["context", "batch", "own", "bound"]
    table = numbers(*names, *(k.kind for k in curves.curves[1:]))
    table.columns[0].justify = "right"
    for i in _picks(answer, 9):
        runs = math.isfinite(own.tpot[i])
        others = curves.curves[1:]
        cells = [_length(curves.context[i]), tokens(own.batch[i]) if runs else "none"]
        if roomy or not paid:
            cells.append(_time(own.tpot[i]))
        if paid and not roomy:
            cells += [_dollars(float(k[i])) for k in (own.cost_mtok, own.bound_cost_mtok)]
            cells += [_dollars(float(k.cost_mtok[i])) for k in others]
        elif paid:
            cells += [_dollars(float(column[i])) for column in (own.cost_mtok, own.bound_cost_mtok, own.limit_mtok)]
            cells += [_dollars(float(k.cost_mtok[i])) for k in others]
        else:
            cells += [_time(own.tpot_bound[i]), *(_time(k.tpot[i]) for k in others)]
        table.add_row(*cells, style="bold" if curves.context[i] == curves.threshold else None)
    indented(c, table)
    if paid and roomy:
        line(
            c,
            "[dim]limit: any number of sequences, memory without end, attention FLOPs dropped; only multiplying the"
            " weights and reading the cache are left.[/]",
        )


def _dollars(value: float) -> str:
    return money(value) if math.isfinite(value) else "-"


def _time(value: float) -> str:
    return show(value, "s") if math.isfinite(value) else "-"


def _bytes(c: Console, answer: ContextAnswer) -> None:
    heading(c, "Cache of one sequence", "all layers, one copy; sparse reads do not shrink what is stored")
    picks = _picks(answer, 5)
    table = numbers("", *(_length(answer.curves.context[i]) for i in picks))
    for k in answer.curves.curves:
        table.add_row(f"{k.kind}, stored", *(show(float(k.stored[i]), "B") for i in picks))
        table.add_row("read by a token", *(show(float(k.read[i]), "B") for i in picks), style="dim")
    indented(c, table)


def _step(c: Console, answer: ContextAnswer) -> None:
    border, end = answer.curves.threshold, answer.curves.context[-1]
    heading(
        c, f"One price to {_length(border)} tokens, another above", "the first covers the dearest length below it"
    )
    table = numbers("", f"{_length(end)} costs", f"+{answer.step:.0%} covers to", "limit", "covers to")
    for k in answer.curves.curves:
        found, limit = answer.steps[k.kind], answer.limit_steps[k.kind]
        table.add_row(k.kind, _times(found), _reach(found, end), _times(limit), _reach(limit, end))
    indented(c, table)
    line(
        c,
        "[dim]limit: the lecture's idealised cost, flat to L* and then proportional to what is read. Ratios of"
        " decoding cost; a listed price also carries prefill, margin and idle time.[/]",
    )


def _times(found: PriceStep) -> str:
    return f"{found.needed:.2f}x" if math.isfinite(found.needed) else "-"


def _reach(found: PriceStep, end: float) -> str:
    if math.isnan(found.base):
        return "-"
    return _length(found.covers_to) if math.isfinite(found.covers_to) else f"all to {_length(end)}"


def _margins(c: Console, answer: ContextAnswer) -> None:
    assert answer.list_mtok is not None
    above = answer.list_mtok * (1 + answer.step)
    heading(c, "Implied gross margin", f"listed at {money(answer.list_mtok)}, {money(above)} above the threshold")
    table = numbers("context", "listed", *(k.kind for k in answer.curves.curves))
    table.columns[0].justify = "right"
    prices = records_memory.list_price(answer)
    margins = [records_memory.margin(answer, k) for k in answer.curves.curves]
    for i in _picks(answer, 6):
        cells = [f"{m[i]:.1%}" if math.isfinite(m[i]) else "-" for m in margins]
        table.add_row(_length(answer.curves.context[i]), money(prices[i]), *cells)
    indented(c, table)
    line(c, "[dim]over decoding cost at full use of the machine: the real margin is smaller.[/]")


# --- charts -------------------------------------------------------------------------------------------------------


def _thin(column: Any) -> list[float]:
    values = np.asarray(column, dtype=float)
    index = np.unique(np.linspace(0, len(values) - 1, min(len(values), DRAWN)).round().astype(int))
    found: list[float] = values[index].tolist()
    return found


def _marks(answer: ContextAnswer, *, cost: bool) -> list[charts.Mark]:
    own, x = answer.curves.own, answer.curves.context
    found = [("L*", own.balance_context), ("attention FLOPs = weights", own.flops_context)]
    found.append(("B* fills HBM", own.full_context))
    if cost:
        found.append(("threshold", answer.curves.threshold))
    return [charts.Mark(name, at) for name, at in found if x[0] <= at <= x[-1]]


def _lines(answer: ContextAnswer, of: str) -> list[charts.Series]:
    x = _thin(answer.curves.context)
    return [charts.Series(k.kind, x, _thin(getattr(k, of))) for k in answer.curves.curves]


def cost_chart(answer: ContextAnswer) -> dict[str, Any]:
    """Dollars per million output tokens against context."""
    x, own = _thin(answer.curves.context), answer.curves.own
    series = [*_lines(answer, "cost_mtok"), charts.Series("own, bound", x, _thin(own.bound_cost_mtok), look="dashed"),
              charts.Series("own, lecture's limit", x, _thin(own.limit_mtok), look="dashed")]  # fmt: skip
    return charts.curve(
        series, title="Cost of output tokens, decoding only", x=charts.Axis("Context (tokens)", log=True),
        y=charts.Axis("Cost", "$/M output tokens", log=True), marks=_marks(answer, cost=True),
    )  # fmt: skip


def pace_chart(answer: ContextAnswer) -> dict[str, Any]:
    """Seconds per output token against context."""
    x, own = _thin(answer.curves.context), answer.curves.own
    series = [*_lines(answer, "tpot"), charts.Series("own, bound", x, _thin(own.tpot_bound), look="dashed")]
    return charts.curve(
        series, title=f"Time per output token, {policy_words(answer)}", x=charts.Axis("Context (tokens)", log=True),
        y=charts.Axis("TPOT", "s", log=True), marks=_marks(answer, cost=False),
    )  # fmt: skip


def bytes_chart(answer: ContextAnswer, of: str) -> dict[str, Any]:
    """Bytes one output token reads, or one sequence stores, against context; `of` is "read" or "stored"."""
    title = {"read": "Cache one output token reads", "stored": "Cache one sequence stores"}[of]
    return charts.curve(
        _lines(answer, of), title=title, x=charts.Axis("Context (tokens)", log=True),
        y=charts.Axis(of.capitalize(), "B", log=True),
    )  # fmt: skip


def all_charts(answer: ContextAnswer) -> dict[str, Any]:
    """Cost, pace and bytes, one above the other; without the cost where no price is known."""
    q, layout = answer.curves.question, answer.curves.layout.label()
    parts = [cost_chart(answer)] if _paid(answer) else []
    title = f"Decoding {q.model.name} on {q.machine.name}, {layout}"
    cache = [bytes_chart(answer, "read"), bytes_chart(answer, "stored")]
    return charts.stack([*parts, pace_chart(answer), *cache], title=title)
