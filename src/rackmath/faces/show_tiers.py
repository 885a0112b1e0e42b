"""The screen of `tiers`: the cheapest place for a prefix, break-even hold times, prices, and a price list beside."""

from __future__ import annotations

import math
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from ..serving import kvtiers
from ..units import show
from ..views.setting import formats
from . import charts, records_tiers
from .ask_tiers import TiersAnswer
from .chart_tiers import cost_chart, map_spec, terminal_map
from .export import Face
from .show import heading, indented, line, money, notes, numbers, tokens, wants_colour


def face(answer: TiersAnswer) -> Face:
    """All faces of the answer."""
    from . import explain_tiers

    return Face(
        record=lambda: records_tiers.record(answer),
        rows=lambda: records_tiers.rows(answer),
        screen=lambda c: screen(c, answer),
        tree=lambda: explain_tiers.tree(answer),
        chart=(lambda: chart(answer)) if answer.options else None,
    )


def screen(c: Console, answer: TiersAnswer) -> None:
    """Print where the cache of a prefix should wait, and what it costs."""
    q, e, p = answer.plan.question, answer.entry, answer.plan
    c.print(Text.assemble("Keeping the cache of ", (q.model.name, "bold"), " on ", (q.machine.name, "bold")))
    copies = float(e.hbm_bytes) / float(e.bytes)
    extra = "" if copies < 1.005 else f", {show(float(e.hbm_bytes), 'B')} in HBM ({copies:.1f} copies)"
    words = f"a prefix of {tokens(float(e.tokens))} tokens: {show(float(e.bytes), 'B')}"
    words += f", {show(float(e.bytes_per_token), 'B')} per token{extra}"
    c.print(Text(f"{words} · {p.layout.label()}, {formats(p.precision)}", style="dim"))
    _tiers(c, answer)
    if answer.options:
        _prefill(c, answer)
        _cheapest(c, answer)
        _break_even(c, answer)
        _prices(c, answer)
        _hits(c, answer)
        _listed(c, answer)
    _said(c, answer)
    notes(c, answer.notes)


def _tiers(c: Console, answer: TiersAnswer) -> None:
    priced = bool(answer.options)
    heading(c, "Tiers", "each device's share; drain: to read all of it once")
    columns = ["tier", "capacity", "bandwidth", "drain", "$/GB/month", "fetch"]
    table = numbers(*columns, *(["hold $/M·h", "fetch $/M"] if priced else []))
    for row in records_tiers.tiers(answer):
        month = row["usd_per_gb_month"]
        cells = [
            row["label"], show(row["capacity"], "B"), show(row["bandwidth"], "B/s"), show(row["drain_seconds"], "s"),
            money(month) if month else "unknown", show(float(row["fetch_seconds"]), "s"),
        ]  # fmt: skip
        if priced:
            held, fetched = row["hold_mtok_hour"], row["fetch_mtok"]
            cells += ["left out" if held is None else _small(held), "" if fetched is None else _small(fetched)]
        table.add_row(*cells, style=None if not priced or row["hold_mtok_hour"] is not None else "dim")
    indented(c, table)
    if priced:
        line(c, "[dim]$/M·h: dollars to hold the cache of a million tokens for an hour. A fetch is charged for"
                " the tier while bytes move, and for HBM room and bandwidth, while others decode.[/]")  # fmt: skip


def _prefill(c: Console, answer: TiersAnswer) -> None:
    found = records_tiers.prefill(answer)
    heading(c, "Recomputing instead")
    line(c, f"[bold]{money(found['input_mtok'])}[/] per M tokens prefilled by the cheapest plan, first token after"
            f" {show(found['seconds'], 's')}; 2 x active parameters / peak alone: {money(found['by_flops_mtok'])}"
            f" ({found['ratio']:.1f}x less)")  # fmt: skip
    slow = [o.label for o in records_tiers.kept(answer) if float(o.seconds) > found["seconds"]]
    if slow:
        line(c, f"Fetching takes longer than that from {', '.join(slow)}: cheaper perhaps, but not faster.")
    t = answer.thinking
    if t is None:
        return
    if not t.share:
        line(c, "[dim]Thinking share 0: all output stays in the context, and its cache serves the next turn.[/]")
        return
    line(c, f"Thinking share {float(t.share):.0%}: of {tokens(float(answer.plan.question.traffic.osl))} output tokens"
            f" {tokens(round(float(t.kept)))} stay in the context and are prefilled once more by the next turn, since"
            f" their cache was made with the thinking before them; a cache finds at most {float(t.found):.1%} of"
            f" the old ones. A million visible output tokens cost [bold]{money(float(t.visible_output_mtok))}[/]."
    )  # fmt: skip


def _cheapest(c: Console, answer: TiersAnswer) -> None:
    heading(c, "Cheapest place", "by how long the prefix is held, and how often it is hit in that time")
    found = records_tiers.cheapest(answer)
    for n in answer.reuses:
        mine = [r for r in found if r["reuse"] == n]
        parts = [
            f"[bold]{r['label']}[/]" + (f" until {show(r['end'], 's')}" if math.isfinite(r["end"]) else "")
            for r in mine
        ]
        line(c, f"{_hits_word(n)}: " + ", then ".join(parts))
    paint = wants_colour()
    c.print()
    c.print(Text.from_ansi(terminal_map(answer, width=c.width, color=paint)))
    c.print()
    c.print(Text.from_ansi(charts.draw(cost_chart(answer), width=c.width, height=19, color=paint)))


def _hits_word(n: float) -> str:
    return "1 hit" if n == 1 else f"{n:g} hits"


def _break_even(c: Console, answer: TiersAnswer) -> None:
    options = records_tiers.by_rate(answer)
    if len(options) < 2:
        return
    found = records_tiers.break_evens(answer)
    for n in answer.reuses:
        heading(c, f"Break-even hold times, {_hits_word(n)}", "the row is cheaper than the column up to this long")
        table = numbers("", *(escape(o.label) for o in options[1:]))
        for i, dear in enumerate(options[:-1]):
            cells = [""] * i
            for cheap in options[i + 1 :]:
                at = next(
                    r["seconds"] for r in found
                    if (r["reuse"], r["dear"], r["cheap"]) == (n, dear.label, cheap.label)
                )  # fmt: skip
                cells.append("never" if at == 0 else "always" if math.isinf(at) else show(at, "s"))
            table.add_row(dear.label, *cells)
        indented(c, table)


def _prices(c: Console, answer: TiersAnswer) -> None:
    heading(c, "Prices that cover the cost", "$ per M tokens; a write beyond plain input, a hit without renewal")
    table = numbers("", *(f"write, {span(h)}" for h in answer.holds), "hit", "recompute / hit")
    found = records_tiers.prices(answer)
    full = float(answer.plan.cost.input_mtok)
    for option in records_tiers.kept(answer):
        mine = [r for r in found if r["label"] == option.label]
        hit = float(mine[0]["hit_mtok"])
        table.add_row(
            option.label, *(f"+{_small(float(r['premium_mtok']))}" for r in mine), _small(hit),
            f"{full / hit:,.0f}x" if hit > 0 else "free",
        )  # fmt: skip
    indented(c, table)


def _hits(c: Console, answer: TiersAnswer) -> None:
    heading(
        c, f"What finding {answer.hit_share:.0%} of the input is worth",
        "$ per M input tokens; least share that pays",
    )  # fmt: skip
    table = numbers("", *(f"held {span(h)}" for h in answer.holds))
    found = records_tiers.hits(answer)
    for option in records_tiers.kept(answer):
        mine = [r for r in found if r["label"] == option.label]
        table.add_row(option.label, *(_worth(r) for r in mine))
    indented(c, table)


def _worth(row: dict[str, Any]) -> str:
    least = row["least_hit_share"]
    value = row["worth_mtok"]
    amount = money(value) if value >= 0 else f"−{money(-value)}"
    return f"{amount}  (≥ {_percent(least)})" if least is not None else f"{amount}  (never)"


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.095 else "0 %" if share < 1e-4 else show(share, "share", digits=2)


def _listed(c: Console, answer: TiersAnswer) -> None:
    found = records_tiers.listed(answer)
    if found is None:
        return
    heading(c, f"Beside the price list of {found['model']}", "gross margins; a model of unknown size")
    table = numbers("$ per M tokens", "listed", "our cost", "margin", "cheapest", "cost", "margin")
    for r in found["prices"]:
        best = r["cheapest_mtok"]
        table.add_row(
            r["name"], money(r["listed_mtok"]), "" if r["cost_mtok"] is None else money(r["cost_mtok"]),
            _margin(r["gross_margin"]), r["cheapest_label"] or "", "" if best is None else _small(best),
            _margin(r["cheapest_gross_margin"]),
        )  # fmt: skip
    indented(c, table)
    line(c, "[dim]Writes and hits: our cost in device memory, then in the cheapest place (for hits: behind it).[/]")
    line(c, f"[dim]{found['source']}, read {found['read']}[/]")
    implied = found["implied"]
    if implied:
        line(c, f"The write premiums are {money(implied['fixed_mtok'])} + {money(implied['rate_mtok_per_s'])} per"
                " second (per M tokens). As rent, the rate would hold:")  # fmt: skip
        table = numbers("", "bytes per token", "over this model's")
        for r in implied["bytes_per_token"]:
            table.add_row(r["label"], show(r["bytes_per_token"], "B"), f"{_trim(r['over_model'])}x")
        indented(c, table)


def _small(value: float) -> str:
    """Dollars, with two digits where they are fractions of a cent."""
    return money(value, digits=2 if 0 < value < 0.01 else 3)


def _margin(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}" if share < 0.9995 else "> 99.9%"


def _said(c: Console, answer: TiersAnswer) -> None:
    """Where the lecture's drain times hold, and where not."""
    heading(c, "Drain times, against what the lecture said")
    for row in records_tiers.tiers(answer):
        if row["said_low"] is None:
            continue
        low, high = row["said_low"], row["said_high"]
        words = span(low) if low == high else f"{span(low)} to {span(high)}"
        ours = row["drain_seconds"]
        verdict = "agrees within 2x" if row["agrees"] else f"does not hold: {_times(ours, low, high)}"
        line(c, f"{row['label']}: said {words}, here [bold]{show(ours, 's')}[/]; {verdict}")
    drives = ", ".join(f"{d.name} {show(kvtiers.drain(d), 's')}" for d in kvtiers.DRIVES)
    line(c, f"[dim]Common drives ({kvtiers.DRIVES_SOURCE.text}): {drives}.[/]")
    _durations(c, answer)
    found = records_tiers.listed(answer)
    if found is not None and found["medium"]:
        line(c, f"[dim]{found['model'].partition('/')[0].capitalize()} says: {found['medium']}"
                f" ({found['medium_source']}).[/]")  # fmt: skip


def _durations(c: Console, answer: TiersAnswer) -> None:
    """Which tier each lifetime belongs to, by drain time and by cost."""
    if not answer.options:
        return
    drains = {r["label"]: r["drain_seconds"] for r in records_tiers.tiers(answer) if r["label"] != "network"}
    n = answer.reuses[0]
    parts = []
    for life in answer.holds:
        near = min(drains, key=lambda name: abs(math.log(drains[name] / life)))
        best = min(answer.options, key=lambda o: float(o.cost(life, n)))
        parts.append(f"{span(life)}: {near} by drain time, {best.label} by cost")
    line(c, f"A lifetime's tier, at {_hits_word(n)}: " + "; ".join(parts) + ".")


def span(seconds: float) -> str:
    """A round time in its own unit.

    >>> span(300.0), span(3600.0), span(86400.0), span(0.015)
    ('5 min', '1 h', '24 h', '15 ms')
    """
    for size, unit in ((3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms")):
        if seconds >= size and seconds <= 48 * 3600 and abs(seconds / size - round(seconds / size)) < 1e-9:
            return f"{seconds / size:.0f} {unit}"
    return show(seconds, "s")


def _trim(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else show(value, digits=2)


def _times(ours: float, low: float, high: float) -> str:
    return f"{ours / high:,.1f}x as long" if ours > high else f"{low / ours:,.1f}x shorter"


def chart(answer: TiersAnswer) -> dict[str, Any]:
    """The map of the cheapest place, and below it the cost against the hold time."""
    q, e = answer.plan.question, answer.entry
    title = f"Keeping a prefix of {tokens(float(e.tokens))} tokens: {q.model.name} on {q.machine.name}"
    stacked = charts.stack([map_spec(answer), cost_chart(answer)], title=title)
    return stacked | {"resolve": {"scale": dict.fromkeys(("color", "strokeDash"), "independent")}}
