"""The screen of `readings`: estimates of cache bytes side by side, every other reading, tiers, and the conflicts."""

from __future__ import annotations

from string import ascii_lowercase
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from ..decisions.reading import number
from ..economics.caching import MONTH
from ..units import show
from . import chart_readings, explain_readings, records_readings
from .chart_readings import NARROWEST, bars
from .export import Face
from .show import heading, indented, line, money, notes, numbers
from .show_tiers import span

if TYPE_CHECKING:
    from ..decisions.reading import Assumption, Reading
    from ..economics.pricelist import ListPrice
    from .ask_readings import ReadingsAnswer

TOPICS = {
    "KV bytes per token": ("kv_bytes_per_token",),
    "Context step": ("context_step", "covered_context"),
    "Output against input": ("decode_mfu", "weights_share", "crossover"),
    "Fast mode": ("batch_ratio", "largest_speed"),
    "Cached writes and hits": ("hold_rate", "hold_tier", "retrieval"),
    "Cost and margin": ("cost", "margin"),
}
"""What readings speak of, in the order of the screen."""

SAID = (
    "each reading takes prices to be costs, or all sold at one multiple of cost; rackmath explain readings … shows"
    " every formula with its numbers"
)


def face(answer: ReadingsAnswer) -> Face:
    """All faces of the answer."""
    drawn = len(answer.readings.estimates) > 0
    return Face(
        record=lambda: records_readings.record(answer),
        rows=lambda: records_readings.rows(answer),
        screen=lambda c: screen(c, answer),
        tree=lambda: explain_readings.tree(answer),
        chart=(lambda: chart_readings.spec(answer)) if drawn else None,
    )


def screen(c: Console, answer: ReadingsAnswer) -> None:
    """Print every reading with its interval and its assumptions, then where they clash."""
    letters = lettered(answer)
    _head(c, answer)
    _bytes(c, answer, letters)
    _table(c, answer, letters)
    _tiers(c, answer)
    _conflicts(c, answer)
    _assumed(c, letters)
    _absent(c, answer)
    notes(c, (SAID, *answer.notes))


def lettered(answer: ReadingsAnswer) -> dict[Assumption, str]:
    """A letter for each assumption that ranges, in order of appearance."""
    every = dict.fromkeys(a for r in answer.readings.readings for a in r.ranging)
    return dict(zip(every, ascii_lowercase, strict=False))


def _head(c: Console, answer: ReadingsAnswer) -> None:
    r = answer.readings
    s, p = r.setting, r.prices
    c.print(Text.assemble((p.model, "bold"), f" on {p.day}, read one equation at a time"))
    c.print(Text(_entry(p.standard), style="dim"))
    if s.long is not None:
        c.print(Text(f"{_pair(s.long)} above {s.long.above_input_tokens:,.0f} tokens", style="dim"))
    others = [p.mode(mode)[0] for mode in p.modes[1:]]
    if others:
        c.print(Text("; ".join(f"{e.mode} {_pair(e)}{_speed(e)}" for e in others), style="dim"))
    size = f"{s.active.shown} active" if s.known is None else f"{s.known.name}, {s.active.shown} active"
    price = f" at {s.hour.shown}" if s.hour else ""
    c.print(Text(f"read with: {size}, {s.machine.name}{price}, prefill at {s.mfu.shown} of peak", style="dim"))


def _pair(e: ListPrice) -> str:
    return f"{number(e.input_mtok, '$')} in, {number(e.output_mtok, '$')} out"


def _speed(e: ListPrice) -> str:
    return f" at {e.speed:g}x the speed" if e.speed > 1 else ""


def _entry(e: ListPrice) -> str:
    """The standard entry with what it asks for cached tokens."""
    hit = "" if e.cache_read_mtok is None else f", {number(e.cache_read_mtok, '$')} a hit"
    written = [f"{number(e.input_mtok + more, '$')} for {span(life)}" for life, more in e.premiums.items()]
    return f"{_pair(e)}{hit}{', writes ' + ' and '.join(written) if written else ''}, per M tokens"


# --- cache bytes ----------------------------------------------------------------------------------------------------


def _bytes(c: Console, answer: ReadingsAnswer, letters: dict[Assumption, str]) -> None:
    r = answer.readings
    if not r.estimates:
        return
    spread = r.spread
    aside = "one estimate"
    if spread is not None:
        least, most = (number(one.value, "B") for one in (spread.smallest, spread.largest))
        aside = f"{least} to {most}, {number(spread.factor, 'x')} apart"
    heading(c, "KV bytes per token", aside)
    found, estimates = bars(answer), {e.name: e for e in r.estimates}
    ends = chart_readings.limits(found)
    name_width = max(len(b.name) for b in found)
    marks = {b.name: _marks(estimates[b.name], letters) if b.name in estimates else "" for b in found}
    mark_width = max(len(m) for m in marks.values())
    columns = max(NARROWEST, c.width - name_width - mark_width - 21)
    gutter = " " * (name_width + mark_width + 17)
    above, axis = chart_readings.scale_text(ends, columns)
    c.print(Text(gutter + above, style="dim"))
    c.print(Text(gutter + axis, style="dim"))
    for b in found:
        style = "" if b.kind == "estimate" else "dim"
        text = Text("  ")
        text.append(f"{b.name:<{name_width}}", style=style)
        text.append(f"  {number(b.value, 'B'):>9}", style=style or "bold")
        text.append(f"  {marks[b.name]:<{mark_width}}  ", style="dim")
        text.append(chart_readings.bar_text(b, ends, columns), style=style or "blue")
        c.print(text)
    if spread is not None:
        common = "one value lies in every interval" if spread.common else "no value lies in every interval"
        line(c, f"[dim]{common}; letters: assumptions that range, below; ○ open models as published[/]")


def _marks(one: Reading, letters: dict[Assumption, str]) -> str:
    return "".join(letters.get(a, "") for a in one.ranging)


# --- everything else ------------------------------------------------------------------------------------------------


def _table(c: Console, answer: ReadingsAnswer, letters: dict[Assumption, str]) -> None:
    for topic, unknowns in list(TOPICS.items())[1:]:
        mine = [r for r in answer.readings.readings if r.unknown in unknowns and not r.absent]
        if not mine:
            continue
        heading(c, topic)
        table = numbers("", "value", "interval", "", "", title_width=26)
        table.show_header = False
        table.columns[3].justify = table.columns[4].justify = "left"
        table.columns[4].no_wrap = False
        for one in mine:
            between = explain_readings.between(one)
            table.add_row(one.name, f"[bold]{number(one.value, one.unit)}[/]", between, _marks(one, letters),
                          Text(one.says, style="dim"))  # fmt: skip
        indented(c, table)
        if topic == "Output against input":
            _splits(c, answer)


def _splits(c: Console, answer: ReadingsAnswer) -> None:
    splits = answer.readings.splits
    if not splits:
        return
    first, *rest = splits
    words = [f"weights alone at {first.batch_over_balance:.2g} B*"]
    words += [f"{number(s.weights_share, 'share')} at {s.batch_over_balance:g} B*" for s in rest]
    line(c, f"[dim]Memory that explains the ratio holds {', '.join(words)}; the rest is cache.[/]")


def _tiers(c: Console, answer: ReadingsAnswer) -> None:
    r = answer.readings
    if not r.prices.standard.premiums:
        return
    heading(c, "Where a cached prefix could lie", "and what the holding price would rent there")
    table = numbers("tier", "drain", "$/GB/month", "bytes per token", "lifetimes by drain")
    for t in r.tiers:
        month = None if t.rent is None else t.rent * MONTH * 1e9
        paid = "" if t.bytes_per_token is None else number(t.bytes_per_token, "B")
        table.add_row(t.label, show(t.drain, "s"), money(month), paid, ", ".join(span(x) for x in t.lifetimes))
    indented(c, table)
    if r.medium is not None:
        said = escape(f"{r.medium.provider.capitalize()} says: {r.medium.says} ({r.medium.source}).")
        line(c, f"[dim]{said}[/]")


def _assumed(c: Console, letters: dict[Assumption, str]) -> None:
    if not letters:
        return
    heading(c, "What is assumed", "and ranges")
    for a, letter in letters.items():
        ends = f"{number(a.low, a.unit)} to {number(a.high, a.unit)}"
        line(c, f"{letter}  [bold]{a.shown}[/] {escape(a.name)}, {ends} [dim]({escape(a.why)})[/]")


def _conflicts(c: Console, answer: ReadingsAnswer) -> None:
    found = answer.readings.conflicts
    heading(c, "Conflicts", "" if found else "none: what can be compared agrees within 25%")
    for one in found:
        apart = f"{number(one.factor, 'x')} apart"
        how = "intervals overlap" if one.overlap else "intervals do not overlap"
        mark = "[yellow]~[/]" if one.overlap else "[bold red]✗[/]"
        line(c, f"{mark} [bold]{escape(one.name)}[/]: {apart}, {how}")
        line(c, f"{escape(one.why[:1].upper() + one.why[1:])}.", indent=4)


def _absent(c: Console, answer: ReadingsAnswer) -> None:
    found = answer.readings.absent
    if not found:
        return
    heading(c, "Not read")
    for one in found:
        line(c, f"[dim]{escape(one.name)}: {escape(one.absent)}[/]")
