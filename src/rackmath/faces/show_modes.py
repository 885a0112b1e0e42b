"""The screens and charts of `modes`: the menu of a model, and a pair of ratios read backwards."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from ..economics.pricelist import margin as gross_margin
from ..views.setting import RESOURCES, formats
from . import charts, explain_modes, records_modes
from .ask_modes import OPUS
from .export import Face
from .show import bar, decoding, heading, indented, line, money, notes, numbers, tokens, wants_colour

if TYPE_CHECKING:
    from ..decisions.menu import Menu, Offers
    from ..decisions.modes import FastFit, Regime
    from .ask_modes import ModesAnswer


def face(answer: ModesAnswer) -> Face:
    """The faces of a menu or of a reading."""
    return Face(
        record=lambda: records_modes.modes(answer),
        rows=lambda: records_modes.rows(answer),
        screen=lambda c: screen(c, answer),
        tree=lambda: explain_modes.modes(answer),
        chart=lambda: chart(answer),
    )


def screen(c: Console, answer: ModesAnswer) -> None:
    """Print the menu, then the reading backwards; either alone where only that was asked."""
    m, paint = answer.menu, wants_colour()
    if m is not None:
        _normal(c, answer, m)
        c.print()
        c.print(Text.from_ansi(charts.draw(menu_chart(answer, m), width=c.width, height=20, color=paint)))
        _fast(c, m)
        _slow(c, m)
        _batch_api(c, answer, m)
    if answer.fit is not None:
        _backwards(c, answer.fit)
        if m is None:
            c.print()
            c.print(Text.from_ansi(charts.draw(fit_chart(answer.fit), width=c.width, height=18, color=paint)))
        _input(c, answer.fit)
        if m is not None:
            _own(c, answer, m, answer.fit)
    if answer.list_input is not None or answer.list_output is not None:
        _margins(c, answer)
    said = ["prices are at cost: no profit, no idle hours, no free tier"] if m is not None else []
    if m is not None:
        said.append(
            "the normal mode is the cheapest for a whole request; on output alone another layout may be cheaper"
        )
    if m is not None and m.per_pass > 1:
        said.append(
            f"speculation keeps {m.per_pass:g} of {m.width:g} tokens computed for a sequence in a pass, given and not"
            " predicted; drafting them is not charged"
        )
    if answer.fit is not None:
        said.append(f"a published pair: {OPUS}; its cost, and so its margin, is not public")
    notes(c, (*said, *answer.notes))


# --- the menu -----------------------------------------------------------------------------------------------------


def _normal(c: Console, answer: ModesAnswer, m: Menu) -> None:
    p = m.normal
    q = p.question
    c.print(Text.assemble("Modes of ", (q.model.name, "bold"), " on ", (q.machine.name, "bold")))
    traffic = f"{tokens(float(q.traffic.isl))} tokens in, {tokens(float(q.traffic.osl))} out"
    price = f"{money(float(q.machine.price_per_hour))} per GPU-hour ({q.machine.price_kind.replace('_', '-')})"
    c.print(Text(f"{traffic} · {formats(p.precision)} · {price}", style="dim"))
    heading(c, "Normal mode", f"{p.layout.label()}, {decoding(p.batch)}")
    line(
        c,
        f"[bold]{m.speed:.3g} tok/s/user[/] at [bold]{money(m.output_mtok)}/M[/] output tokens and"
        f" {money(m.input_mtok)}/M input. A decode step goes into",
    )
    shares = p.serving.decode.shares
    bar(c, {RESOURCES[name]: float(shares[name]) for name in RESOURCES}, unit="")


def menu_chart(answer: ModesAnswer, m: Menu) -> dict[str, Any]:
    """$/M output tokens against tokens per second per user."""
    lines = []
    for o in sorted(records_modes.every(m), key=lambda o: o.per_pass > 1):
        if len(o.interactivity):
            look = "dashed" if o.per_pass > 1 else "line"
            lines.append(
                charts.Series(o.name, o.interactivity.tolist(), o.output_mtok.tolist(), look=look, labels=o.labels)
            )
    marks = [charts.Mark("normal", m.speed, m.output_mtok)]
    fit = answer.fit
    if fit is not None:
        marks.append(
            charts.Mark(
                f"{fit.price_ratio:g}x at {fit.speed_ratio:g}x",
                m.speed * fit.speed_ratio,
                m.output_mtok * fit.price_ratio,
            )
        )
    q = m.normal.question
    most = m.output_mtok * 300  # dearer offers would squeeze the rest of the chart
    dearest = max(float(o.output_mtok.max(initial=0.0)) for o in records_modes.every(m))
    return charts.curve(
        lines,
        title=f"Menu at cost: {q.model.name} on {q.machine.name}",
        x=charts.Axis("Speed", "tok/s/user", log=True, low=m.speed / 3),
        y=charts.Axis("Cost", "$/M output tokens", log=True, high=most if dearest > most else None),
        marks=marks,
    )


def _fast(c: Console, m: Menu) -> None:
    offers = records_modes.every(m)
    heading(c, "Fast mode", "what output must cost at cost, over the normal mode's")
    pace = ["tok/s/user"] if c.width >= 92 else []
    table = numbers("speed", *pace, *[_short(o, m) for o in offers])
    table.columns[0].justify = "right"
    for k in records_modes.multiples(m):
        cells = [_times(m.multiple(o, k)) for o in offers]
        table.add_row(f"{k:g}x", *[f"{k * m.speed:.3g}" for _ in pace], *cells)
    table.add_section()
    table.add_row("limit", *["" for _ in pace], *[f"[bold]{o.fastest / m.speed:.2g}x[/]" for o in offers])
    indented(c, table)
    line(
        c,
        f"[dim]batch alone: the normal replica with fewer sequences. 1x, 2x, 4x: the best layout on as many times"
        f" its {m.same.gpus:.0f} devices."
        + (f" spec: {m.per_pass:g} tokens per pass." if m.per_pass > 1 else "")
        + "[/]",
    )


def _short(o: Offers, m: Menu) -> str:
    if o is m.same:
        return "batch alone"
    return f"{o.gpus / m.same.gpus:g}x" + (" spec" if o.per_pass > 1 else "")


def _times(value: float | None) -> str:
    if value is None:
        return "[dim]–[/]"
    return f"{value:.2f}x" if value < 10 else f"{value:,.0f}x"


def _slow(c: Console, m: Menu) -> None:
    heading(c, "Slow mode", "the most that any slower mode saves on output")
    row = int(np.argmin(m.same.output_mtok))
    best = max(m.plain, key=m.saving)
    unlimited = max(0.0, 1 - m.slow_limit_mtok / m.output_mtok)
    line(
        c,
        f"[bold]{m.saving(m.same):.0%}[/] on the normal replica, at {m.same.interactivity[row]:.3g} tok/s/user with"
        f" {tokens(float(m.same.batch[row]))} sequences, as many as fit; {unlimited:.0%} if memory had no end",
    )
    line(c, f"[bold]{m.saving(best):.0%}[/] with the best layout ({best.name})")


def _batch_api(c: Console, answer: ModesAnswer, m: Menu) -> None:
    o = answer.offer
    assert o is not None
    filled = "all of them" if o.filled == 1 else f"{o.filled:.0%} of them"
    heading(c, "Batch API", f"{o.idle:.0%} of paid hours idle, batch work fills {filled}")
    table = numbers("", "$/M output", "", title_width=36)
    table.show_header = False
    table.columns[1].min_width = 7
    table.columns[2].justify = "left"

    def row(name: str, value: float, why: str) -> None:
        table.add_row(name, f"[bold]{money(value)}[/]", Text(why, style="dim"))

    row("interactive alone", o.alone, "pays for the idle hours too")
    row("one price for all", o.together, f"{o.even_discount:.0%} lower: batch work pays its full share")
    slower = m.saving(m.same)
    row(
        "the same, at the slow batch",
        o.together * (1 - slower),
        f"{1 - (1 - o.even_discount) * (1 - slower):.0%} lower: nobody reads it as it comes",
    )
    row("interactive beside half-price batch", o.interactive_at(0.5), _half(o.idle * o.filled, o.idle))
    if o.floor > 0:
        row(
            "floor: energy",
            o.floor,
            f"{o.largest_discount:.1%} lower, at {money(answer.per_kwh)} per kWh",
        )
    else:
        row("floor: energy", o.floor, "the machine's power is unknown")
    indented(c, table)


def _half(filled: float, idle: float) -> str:
    """Whether a half-price batch API pays its full share of the rental."""
    own = filled / (1 - idle + filled)
    if own >= 0.5 - 1e-9:
        return "batch work pays its full share"
    return "interactive tokens pay part of its share"


# --- backwards ----------------------------------------------------------------------------------------------------


def _backwards(c: Console, fit: FastFit) -> None:
    heading(c, "Backwards", f"{fit.price_ratio:g}x the price at {fit.speed_ratio:g}x the speed, priced at cost")
    line(
        c,
        f"batch ratio [bold]{fit.batch_ratio:.4g}[/] = {fit.price_ratio:g} x {fit.speed_ratio:g}: an identity, true"
        " of any step time on the same hardware",
    )
    table = numbers("", "memory-bound", "compute-bound", title_width=36)
    table.columns[0].style = ""
    a, b = fit.memory_bound, fit.compute_bound

    def row(name: str, value: str, other: str) -> None:
        table.add_row(name, value, other)

    row("feasible", _yes(a), _yes(b))
    row("cache over weights, in time", _num(a, a.cache_over_weights), "–")
    row("cache's share of a normal step", _share(a, a.cache_share), "–")
    row("normal step, in readings of the weights", _num(a, a.floors), _num(b, b.floors))
    row("normal batch", "–", _num(b, b.normal_batch, " B*"))
    row("fast batch", "–", _num(b, b.fast_batch, " B*"))
    row(
        "largest speed-up at any price",
        _num(a, a.largest_speed, "x", bold=True),
        _num(b, b.largest_speed, "x", bold=True),
    )
    row("slow mode saves at most", _share(a, a.slow_saving), _share(b, b.slow_saving))
    indented(c, table)
    for r in (a, b):
        line(c, f"[dim]{r.name}: {escape(r.why)}[/]")
    if not fit.feasible:
        line(c, "[bold red]No regime gives this pair at cost from batch alone.[/]")


def _yes(r: Regime) -> str:
    return "[bold green]yes[/]" if r.feasible else "[bold red]no[/]"


def _num(r: Regime, value: float, unit: str = "", *, bold: bool = False) -> str:
    if not r.feasible or not math.isfinite(value):
        return "–"
    text = f"{value:.3g}{unit}"
    return f"[bold]{text}[/]" if bold else text


def _share(r: Regime, value: float) -> str:
    return f"{value:.0%}" if r.feasible else "–"


def _input(c: Console, fit: FastFit) -> None:
    heading(c, "What batch cannot explain")
    if fit.input_price_ratio is None:
        line(
            c,
            "Prefill is compute-bound, so a smaller decode batch makes no input token dearer: give"
            " --input-price-ratio to see what is left.",
        )
        return
    left = fit.input_price_ratio
    assert fit.uniform_batch_ratio is not None
    if left <= 1:
        line(c, "Input costs the same in both modes: nothing is left over.")
        return
    line(
        c,
        f"Input is [bold]{left:g}x[/] dearer too. Prefill is compute-bound, so batch explains 1x of it: the other"
        f" {left:g}x is reserved capacity or price discrimination. If that factor lies on output as well, batch"
        f" explains {fit.price_ratio / left:.3g}x of the output price and the batch ratio is"
        f" {fit.uniform_batch_ratio:.3g}, not {fit.batch_ratio:.4g}.",
    )


def _own(c: Console, answer: ModesAnswer, m: Menu, fit: FastFit) -> None:
    q = m.normal.question
    heading(c, f"The same speed-up on {q.machine.name}", f"{fit.speed_ratio * m.speed:.3g} tok/s/user")
    roomy = c.width >= 92
    table = numbers("", "output at cost", "asked over cost", *(["input at cost", "limit"] if roomy else []))
    for o in records_modes.every(m):
        left = records_modes.surcharge(m, o, fit)
        more = [_times(m.input_multiple(o, fit.speed_ratio)), f"{o.fastest / m.speed:.2g}x"] if roomy else []
        asked = "[dim]out of reach[/]" if left is None else f"{left:.2f}x"
        table.add_row(o.name, _times(m.multiple(o, fit.speed_ratio)), asked, *more)
    indented(c, table)


def _margins(c: Console, answer: ModesAnswer) -> None:
    m, fit = answer.menu, answer.fit
    heading(c, "Implied gross margin", "1 - cost / list price")
    if m is None:
        line(c, "unknown without a cost: name a model and a machine")
        return
    for name, price, own in (
        ("input", answer.list_input, m.input_mtok),
        ("output", answer.list_output, m.output_mtok),
    ):
        if price is not None:
            line(
                c,
                f"normal {name}: {money(price)} listed, {money(own)} at cost:"
                f" [bold]{gross_margin(price, own):.1%}[/]",
            )
    if fit is not None and answer.list_output is not None:
        for o in m.plain:
            found = records_modes.fast_margin(answer, o)
            if found is not None:
                price = answer.list_output * fit.price_ratio
                at_cost = (m.multiple(o, fit.speed_ratio) or 0.0) * m.output_mtok
                line(
                    c,
                    f"fast output on {o.name}: {money(price)} listed, {money(at_cost)} at cost: [bold]{found:.1%}[/]",
                )


def fit_chart(fit: FastFit) -> dict[str, Any]:
    """Price against speed as the batch of the normal mode shrinks, under each regime that allows the pair."""
    lines = []
    shrink = np.geomspace(1, max(1e3, 30 * fit.batch_ratio), 400)
    shift = fit.speed_ratio / fit.by_batch
    for r in (fit.memory_bound, fit.compute_bound):
        if not r.feasible:
            continue
        x = r.cache_over_weights
        gained = (1 + x) / (1 + x / shrink) if r is fit.memory_bound else np.minimum(shrink, r.floors)
        speed = shift * gained
        lines.append(charts.Series(r.name, speed.tolist(), (fit.chips * shrink / speed).tolist()))
    return charts.curve(
        lines,
        title="Price over normal against speed over normal, at cost",
        x=charts.Axis("Speed over the normal mode (x)", low=0.9),
        y=charts.Axis("Price over the normal mode (x)", log=True, high=max(60.0, fit.price_ratio * 5)),
        marks=[charts.Mark(f"{fit.price_ratio:g}x at {fit.speed_ratio:g}x", fit.speed_ratio, fit.price_ratio)],
    )


def chart(answer: ModesAnswer) -> dict[str, Any]:
    """The menu, with the reading below it where one was asked."""
    parts = [menu_chart(answer, answer.menu)] if answer.menu is not None else []
    if answer.fit is not None and answer.fit.feasible:
        parts.append(fit_chart(answer.fit))
    if len(parts) == 1:
        return parts[0]
    assert answer.menu is not None or parts
    return charts.stack(parts, title="Price modes, at cost") if parts else fit_chart(answer.fit)  # type: ignore[arg-type]
