"""What people see of `modes`: the menu, then the pair of ratios read backwards."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...answers.charts import Axis, Mark, Series, sketch
from ...answers.parts import Bar, Block, Chart, Column, Figure, Figures, Say, Table
from ...answers.text import cell, money
from ...decisions.modes.menu import Menu, Offers
from ...decisions.modes.offers import BatchOffer, FastFit, Regime, price_against_speed
from ...views.setting import RESOURCES, formats
from .record import ModesFound, record

OPUS = "Claude Opus 4.6 in February 2026: $5 and $25 standard, $30 and $150 fast, 2.5 times the output speed"
"""The published pair of the lecture's example, from the vendor's price list and announcement (LECTURE section 4)."""

NONE = "–"


def title(a: ModesFound) -> Say:
    """The model on its machine, or the pair of ratios."""
    if a.menu is not None:
        q = a.menu.normal.question
        return Say("Modes of *{model}* on *{machine}*", {"model": q.model.name, "machine": q.machine.name})
    fit = a.fit
    assert fit is not None
    values = {"price": fit.price_ratio, "speed": fit.speed_ratio}
    return Say("*{price:x}* the price at *{speed:x}* the speed, read backwards", values)


def subtitle(a: ModesFound) -> str:
    """Traffic, formats and price of a menu."""
    if a.menu is None:
        return "what batch alone explains of it, on the same hardware and at cost"
    q = a.menu.normal.question
    traffic = f"{cell(q.traffic.isl, 'count')} tokens in, {cell(q.traffic.osl, 'count')} out"
    price = f"{money(float(q.machine.price_per_hour))} per GPU-hour ({q.machine.price_kind.replace('_', '-')})"
    return f"{traffic} · {formats(a.menu.normal.precision)} · {price}"


def remarks(a: ModesFound) -> Iterator[str]:
    """What a reader must know of the figures."""
    m = a.menu
    if m is not None:
        yield "prices are at cost: no profit, no idle hours, no free tier"
        yield "the normal mode is the cheapest for a whole request; on output alone another layout may be cheaper"
        if m.per_pass > 1:
            yield (
                f"speculation keeps {m.per_pass:g} of {m.width:g} tokens computed for a sequence in a pass, given and"
                " not predicted; drafting them is not charged"
            )
    if a.fit is not None:
        yield f"a published pair: {OPUS}; its cost, and so its margin, is not public"


def blocks(a: ModesFound) -> Iterator[Block]:
    """Menu, pair, margins."""
    m, fit = a.menu, a.fit
    if m is not None:
        yield from _normal(m)
        yield Chart(title="Price against speed", spec=_menu_chart(a, m), lines=20)
        yield from _fast(m)
        yield from _slow(m)
        if a.offer is not None:
            yield _batch(a, a.offer, m)
    if fit is not None:
        yield from _backwards(fit)
        drawn: dict[str, Any] = {"lines": 18, "title": "Price against speed"} if m is None else {"lines": 0}
        if m is None or fit.feasible:
            yield Chart(spec=_fit_chart(fit), **drawn)
        yield _input(fit)
        if m is not None:
            yield _own(a, m, fit)
    if a.list_input is not None or a.list_output is not None:
        yield from _margins(a)


# --- the menu -----------------------------------------------------------------------------------------------------


def _normal(m: Menu) -> Iterator[Block]:
    p = m.normal
    many = "1 sequence decodes" if p.batch == 1 else f"{cell(p.batch, 'count')} sequences decode"
    few = f"a sequence at a time decodes, {p.batch:.0%} of the time"
    yield Say(
        "*{speed:.3g} tok/s/user* at *{out:$/M}* output tokens and {into:$/M} input. A decode step goes into",
        {"speed": m.speed, "out": m.output_mtok, "into": m.input_mtok},
        title="Normal mode",
        aside=f"{p.layout.label()}, {few if p.batch < 1 else many}",
    )
    shares = {said: float(p.serving.decode.shares[name]) for name, said in RESOURCES.items()}
    whole = sum(shares.values())
    yield Bar(key="normal.decode_step", parts={name: value / whole for name, value in shares.items()}, unit="")


def _menu_chart(a: ModesFound, m: Menu) -> dict[str, Any]:
    """$/M output tokens against tokens per second per user."""
    lines = [
        Series(o.name, o.interactivity.tolist(), o.output_mtok.tolist(), look="dashed" if o.per_pass > 1 else "line", labels=o.labels)
        for o in sorted(m.every, key=lambda o: o.per_pass > 1)
        if len(o.interactivity)
    ]
    marks, fit = [Mark("normal", m.speed, m.output_mtok)], a.fit
    if fit is not None:
        name = f"{fit.price_ratio:g}x at {fit.speed_ratio:g}x"
        marks.append(Mark(name, m.speed * fit.speed_ratio, m.output_mtok * fit.price_ratio))
    q = m.normal.question
    most = m.output_mtok * 300  # dearer offers would squeeze the rest of the chart
    dearest = max(float(o.output_mtok.max(initial=0.0)) for o in m.every)
    return sketch(
        lines,
        title=f"Menu at cost: {q.model.name} on {q.machine.name}",
        x=Axis("Speed", "tok/s/user", log=True, low=m.speed / 3),
        y=Axis("Cost", "$/M output tokens", log=True, high=most if dearest > most else None),
        marks=marks,
    )


def _short(o: Offers, m: Menu) -> str:
    if o is m.same:
        return "batch alone"
    return f"{o.gpus / m.same.gpus:g}x" + (" spec" if o.per_pass > 1 else "")


def _fast(m: Menu) -> Iterator[Block]:
    rows: list[dict[str, Any]] = [
        {"speed": k, "pace": k * m.speed} | {o.name: _or_none(m.multiple(o, k)) for o in m.every} for k in m.multiples
    ]
    yield Table(
        key="",
        title="Fast mode",
        aside="what output must cost at cost, over the normal mode's",
        rows=rows,
        columns=(
            Column("speed", "speed", "x"),
            Column("pace", "tok/s/user", "number", optional=1),
            *(Column(o.name, _short(o, m), "multiple") for o in m.every),
        ),
        total={"speed": "limit"} | {o.name: f"{o.fastest / m.speed:.2g}x" for o in m.every},
    )
    text = "batch alone: the normal replica with fewer sequences. 1x, 2x, 4x: the best layout on as many times its"
    spec = " spec: {per_pass:g} tokens per pass." if m.per_pass > 1 else ""
    values = {"gpus": m.same.gpus, "per_pass": m.per_pass}
    yield Say(text + " {gpus:whole} devices." + spec, values, faint=True)


def _or_none(value: float | None) -> float | str:
    return NONE if value is None else value


def _slow(m: Menu) -> Iterator[Block]:
    row = int(np.argmin(m.same.output_mtok))
    best = max(m.plain, key=m.saving)
    yield Say(
        "*{saving:percent}* on the normal replica, at {speed:.3g} tok/s/user with {batch:count} sequences, as many as"
        " fit; {endless:percent} if memory had no end",
        {
            "saving": m.saving(m.same),
            "speed": m.same.interactivity[row],
            "batch": float(m.same.batch[row]),
            "endless": m.saving_without_end,
        },
        title="Slow mode",
        aside="the most that any slower mode saves on output",
    )
    yield Say("*{saving:percent}* with the best layout ({name})", {"saving": m.saving(best), "name": best.name})


def _batch(a: ModesFound, o: BatchOffer, m: Menu) -> Figures:
    slower = m.saving(m.same)
    both = 1 - (1 - o.even_discount) * (1 - slower)
    floor = "the machine's power is unknown"
    if o.floor > 0:
        floor = f"{o.largest_discount:.1%} lower, at {money(a.per_kwh)} per kWh"
    half = "interactive tokens pay part of its share"
    if o.idle * o.filled / (1 - o.idle + o.idle * o.filled) >= 0.5 - 1e-9:
        half = "batch work pays its full share"
    rows = (
        ("alone", "interactive alone", o.alone, "pays for the idle hours too"),
        ("together", "one price for all", o.together, f"{o.even_discount:.0%} lower: batch work pays its full share"),
        ("slow", "the same, at the slow batch", o.together * (1 - slower), f"{both:.0%} lower: nobody reads it as it comes"),
        ("half", "interactive beside half-price batch", o.interactive_at(0.5), half),
        ("floor", "floor: energy", o.floor, floor),
    )
    filled = "all of them" if o.filled == 1 else f"{o.filled:.0%} of them"
    return Figures(
        key="",
        head="",
        title="Batch API",
        aside=f"{o.idle:.0%} of paid hours idle, batch work fills {filled}; $/M output tokens",
        figures=tuple(Figure(key=k, label=name, value=v, unit="$", note=why) for k, name, v, why in rows),
    )


# --- backwards ----------------------------------------------------------------------------------------------------


def _backwards(fit: FastFit) -> Iterator[Block]:
    values = {"batch_ratio": fit.batch_ratio, "price": fit.price_ratio, "speed": fit.speed_ratio}
    yield Say(
        "batch ratio *{batch_ratio:.4g}* = {price:g} x {speed:g}: an identity, true of any step time on the same hardware",
        values,
        title="Backwards",
        aside=f"{fit.price_ratio:g}x the price at {fit.speed_ratio:g}x the speed, priced at cost",
    )
    a, b = fit.memory_bound, fit.compute_bound
    rows = [
        ("feasible", "yes" if a.feasible else "no", "yes" if b.feasible else "no", ""),
        ("cache over weights, in time", _of(a, a.cache_over_weights), NONE, "number"),
        ("cache's share of a normal step", _of(a, a.cache_share), NONE, "percent"),
        ("normal step, in readings of the weights", _of(a, a.floors), _of(b, b.floors), "number"),
        ("normal batch over B*", NONE, _of(b, b.normal_batch), "number"),
        ("fast batch over B*", NONE, _of(b, b.fast_batch), "number"),
        ("largest speed-up at any price", _of(a, a.largest_speed), _of(b, b.largest_speed), "x"),
        ("slow mode saves at most", _of(a, a.slow_saving), _of(b, b.slow_saving), "percent"),
    ]
    yield Table(
        key="",
        rows=[dict(zip(("what", "memory", "compute", "unit"), row, strict=True)) for row in rows],
        columns=(Column("what", ""), Column("memory", "memory-bound", "row"), Column("compute", "compute-bound", "row")),
        strong=6,
    )
    for r in (a, b):
        yield Say("{name}: {why}", {"name": r.name, "why": r.why}, faint=True)
    if not fit.feasible:
        yield Say("*No regime gives this pair at cost from batch alone.*")


def _of(r: Regime, value: float) -> float | str:
    return value if r.feasible and math.isfinite(value) else NONE


def _fit_chart(fit: FastFit) -> dict[str, Any]:
    """Price against speed as the batch of the normal mode shrinks, under each regime that allows the pair."""
    found = price_against_speed(fit).items()
    return sketch(
        [Series(name, speed.tolist(), price.tolist()) for name, (speed, price) in found],
        title="Price over normal against speed over normal, at cost",
        x=Axis("Speed over the normal mode (x)", low=0.9),
        y=Axis("Price over the normal mode (x)", log=True, high=max(60.0, fit.price_ratio * 5)),
        marks=[Mark(f"{fit.price_ratio:g}x at {fit.speed_ratio:g}x", fit.speed_ratio, fit.price_ratio)],
    )


def _input(fit: FastFit) -> Say:
    head = "What batch cannot explain"
    if fit.input_price_ratio is None or fit.uniform_batch_ratio is None:
        return Say(
            "Prefill is compute-bound, so a smaller decode batch makes no input token dearer: give"
            " --input-price-ratio to see what is left.",
            title=head,
        )
    if fit.input_price_ratio <= 1:
        return Say("Input costs the same in both modes: nothing is left over.", title=head)
    return Say(
        "Input is *{left:g}x* dearer too. Prefill is compute-bound, so batch explains 1x of it: the other {left:g}x"
        " is reserved capacity or price discrimination. If that factor lies on output as well, batch explains"
        " {output:.3g}x of the output price and the batch ratio is {uniform:.3g}, not {batch_ratio:.4g}.",
        {
            "left": fit.input_price_ratio,
            "output": fit.price_ratio / fit.input_price_ratio,
            "uniform": fit.uniform_batch_ratio,
            "batch_ratio": fit.batch_ratio,
        },
        title=head,
    )


def _own(a: ModesFound, m: Menu, fit: FastFit) -> Table:
    own = record(a)["backwards"]["own"]
    rows = [{"name": name} | row for name, row in own.items()]
    shown = [
        row
        | {"price_ratio": _or_none(row["price_ratio"]), "input_price_ratio": _or_none(row["input_price_ratio"])}
        | ({"surcharge": "out of reach"} if row["surcharge"] is None else {})
        for row in rows
    ]
    return Table(
        key="",
        title=f"The same speed-up on {m.normal.question.machine.name}",
        aside=f"{fit.speed_ratio * m.speed:.3g} tok/s/user",
        rows=rows,
        shown=shown,
        columns=(
            Column("name", ""),
            Column("price_ratio", "output at cost", "multiple"),
            Column("surcharge", "asked over cost", "multiple"),
            Column("input_price_ratio", "input at cost", "multiple", optional=1),
            Column("largest_speed_ratio", "limit", "x", optional=2),
        ),
    )


def _margins(a: ModesFound) -> Iterator[Block]:
    m, fit = a.menu, a.fit
    head = {"title": "Implied gross margin", "aside": "1 - cost / list price"}
    if m is None:
        yield Say("unknown without a cost: name a model and a machine", **head)  # type: ignore[arg-type]
        return
    said = record(a)["normal"]
    rows = [
        ("normal input", a.list_input, m.input_mtok, said["input_gross_margin"]),
        ("normal output", a.list_output, m.output_mtok, said["output_gross_margin"]),
    ]
    if fit is not None:
        own = record(a)["backwards"]["own"]
        found = [(o.name, own[o.name]) for o in m.plain]
        rows += [(f"fast output on {name}", row["list_output_mtok"], row["output_mtok"], row["output_gross_margin"]) for name, row in found]
    kept = [dict(zip(("of", "listed", "cost", "margin"), row, strict=True)) for row in rows if row[3] is not None]
    yield Table(
        key="",
        rows=kept,
        title=head["title"],
        aside=f"{head['aside']}; $/M tokens",
        columns=(Column("of", ""), Column("listed", "listed", "$"), Column("cost", "at cost", "$"), Column("margin", "margin", "share")),
    )
