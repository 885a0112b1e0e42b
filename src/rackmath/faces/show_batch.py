"""The screen of `batch`: the three batches that matter, two charts, a short table."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

from ..search.unbatched import unbatched
from ..units import show
from ..views import setting
from ..views.setting import formats, under
from . import charts, records
from .ask import BatchAnswer
from .show import BETWEEN, between, heading, indented, money, notes, numbers, tokens, wants_colour
from .show_plan import interval_line


def screen(c: Console, answer: BatchAnswer) -> None:
    """Print latency and cost against batch."""
    curve = answer.curve
    q = curve.question
    c.print(Text.assemble("Decoding ", (q.model.name, "bold"), " on ", (q.machine.name, "bold"), *under(q.engine)))
    aside = f"{curve.layout.label()}, {formats(curve.precision)} · {tokens(curve.context)} tokens in each sequence"
    c.print(Text(aside, style="dim"))
    _landmarks(c, answer)
    width, paint = c.width, wants_colour(c)
    c.print()
    c.print(Text.from_ansi(charts.draw(time_chart(answer), width=width, height=16, color=paint)))
    if setting.known_price(q.machine) is not None:
        c.print()
        c.print(Text.from_ansi(charts.draw(cost_chart(answer), width=width, height=16, color=paint)))
    _table(c, answer)
    notes(c, answer.notes)


def _landmarks(c: Console, answer: BatchAnswer) -> None:
    curve = answer.curve
    table = numbers("", "", title_width=22)
    table.show_header = False
    table.add_column("")

    def row(name: str, value: str, why: str) -> None:
        table.add_row(name, f"[bold]{value}[/]", Text(why, style="dim"))

    has_experts = curve.question.model.has_experts
    why = "to read all weights once: no price makes a step faster"
    row("floor", show(curve.floor, "s"), why + (" once every expert is in use" if has_experts else ""))
    if has_experts:
        row("", show(float(np.asarray(curve.time.bound)[0]), "s"), "with the experts of one token only (batch 1)")
    row("R", show(curve.r), "multiplies per weight fetched: (peak / 2) x bytes per weight / bandwidth")
    row(
        "balance point B*",
        _count(curve.balance),
        "R x total / active parameters: reading and multiplying weights tie",
    )
    with_cache = curve.balance_with_cache
    if math.isfinite(with_cache):
        row("B* with the cache", _count(with_cache), f"reading the cache at {tokens(curve.context)} tokens counted")
    else:
        row(
            "B* with the cache", "∞", f"infinite at this context: it lies beyond L* = {_count(curve.balance_context)}"
        )
    row(
        "L*",
        f"{_count(curve.balance_context)} tokens",
        "where reading the cache takes as long as multiplying the weights",
    )
    full = curve.capacity
    row("capacity limit", _count(full), "sequences whose cache fills the memory")
    if full < 1:
        row("recommended batch", "none", "not one sequence fits: the times below are arithmetic only")
    elif full < 2 * curve.balance:
        best = f" (two to three times B* would be {_count(2 * curve.balance)} to {_count(3 * curve.balance)})"
        row("recommended batch", _count(full), "all that fits" + (best if math.isfinite(curve.balance) else ""))
    else:
        most = min(3 * curve.balance, full)
        row("recommended batch", f"{_count(2 * curve.balance)} to {_count(most)}", "two to three times B*")
    alone = unbatched(curve.question, curve.precision, curve.context)
    row("not batching costs", f"{_count(alone.all_read)}x", "batch 1 over an endless batch, at the roofline,"
        " all weights read")  # fmt: skip
    if alone.touched < 0.999 * alone.all_read:
        row("", f"{_count(alone.touched)}x", "the same with the share of experts that one token touches")
    row("", f"{_count(records.alone_estimate(answer))}x", "the estimate: batch 1 over the cheapest batch that fits")
    c.print()
    indented(c, table)


def _count(value: float) -> str:
    return f"{value:,.0f}" if math.isfinite(value) else "∞"


def _marks(answer: BatchAnswer) -> list[charts.Mark]:
    curve = answer.curve
    found = [
        ("B*", curve.balance), ("B* with cache", curve.balance_with_cache), ("capacity", curve.capacity),
    ]  # fmt: skip
    return [charts.Mark(name, x) for name, x in found if math.isfinite(x) and x >= 1]


def time_chart(answer: BatchAnswer) -> dict[str, Any]:
    """Seconds per decode step against batch, with the floor."""
    curve = answer.curve
    x = curve.batch.tolist()
    floor = [curve.floor] * len(x)
    return charts.curve(
        [charts.Series("estimate", x, _list(curve.time.estimate, x)),
         charts.Series("bound", x, _list(curve.time.bound, x), look="dashed"),
         charts.Series("all weights read once", x, floor, look="dashed")],
        title="Time of a decode step",
        x=charts.Axis("Batch (sequences)", log=True), y=charts.Axis("Time per step", "s", log=True),
        marks=_marks(answer),
    )  # fmt: skip


def cost_chart(answer: BatchAnswer) -> dict[str, Any]:
    """Dollars per million output tokens against batch."""
    curve = answer.curve
    x = curve.batch.tolist()
    return charts.curve(
        [charts.Series("estimate", x, _list(curve.cost_mtok, x)),
         charts.Series("bound", x, _list(curve.bound_cost_mtok, x), look="dashed")],
        title="Cost of output tokens, decoding only",
        x=charts.Axis("Batch (sequences)", log=True), y=charts.Axis("Cost", "$/M output tokens", log=True),
        marks=_marks(answer),
    )  # fmt: skip


def _title(answer: BatchAnswer) -> str:
    curve = answer.curve
    q = curve.question
    words = f"{curve.layout.label()}, {tokens(curve.context)} tokens of context"
    return f"Decoding {q.model.name} on {q.machine.name}, {words}"


def _list(column: Any, x: list[float]) -> list[float]:
    found: list[float] = np.broadcast_to(np.asarray(column, dtype=float), (len(x),)).tolist()
    return found


def both(answer: BatchAnswer) -> dict[str, Any]:
    """Time and cost, one above the other; time alone where no price is known."""
    parts = [time_chart(answer)]
    if setting.known_price(answer.curve.question.machine) is not None:
        parts.append(cost_chart(answer))
    return charts.stack(parts, title=_title(answer))


def _table(c: Console, answer: BatchAnswer) -> None:
    curve, rows = answer.curve, records.curve(answer)
    wanted = [*np.geomspace(1, curve.batch[-1], 8)]
    for special in (curve.balance, curve.capacity):
        if 1 <= special <= curve.batch[-1]:
            wanted.append(special)
    chosen = sorted({int(np.argmin(np.abs(np.log(curve.batch / w)))) for w in wanted})
    heading(c, "The curve in numbers")
    table = numbers("batch", "step", BETWEEN, "bound", "tok/s/user", "$/M output", "bound $")
    table.columns[0].justify = "right"
    table.add_column("", no_wrap=True)
    for i in chosen:
        r = rows[i]
        paid = r["output_mtok"] is not None
        interval = "" if r["tpot_low"] is None else between((r["tpot_low"], r["tpot_high"]), "s")
        table.add_row(
            tokens(r["batch"]), show(r["tpot"], "s"), interval, show(r["tpot_bound"], "s"), f"{1 / r['tpot']:.1f}",
            money(r["output_mtok"]) if paid else "unknown", money(r["output_mtok_bound"]) if paid else "unknown",
            "" if r["fits"] else "[red]does not fit[/]", style=None if r["fits"] else "dim",
        )  # fmt: skip
    indented(c, table, drop=("bound $", "tok/s/user"))
    interval_line(c, records.batch_reason(answer), rows[0]["tpot_low"] is not None)
