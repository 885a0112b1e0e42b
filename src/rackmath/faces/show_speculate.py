"""The screen of `speculate`: where it pays, a chart, break-even batches, best depths."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.text import Text

from ..search.speculation import draft_share
from ..units import show
from ..views import setting
from ..views.machine_terms import Node, count, product, quotient, stated
from ..views.setting import formats
from . import charts
from .ask_speculate import SpeculationAnswer
from .export import Face, Record
from .show import heading, indented, line, money, notes, numbers, tokens, wants_colour

if TYPE_CHECKING:
    from ..search.speculation import BreakEven, SpeculationCurve


def face(answer: SpeculationAnswer) -> Face:
    """The faces of speculative decoding."""
    return Face(
        record=lambda: record(answer),
        rows=lambda: rows(answer),
        screen=lambda c: screen(c, answer),
        tree=lambda: tree(answer),
        chart=lambda: both(answer),
    )


# --- plain data ---------------------------------------------------------------------------------------------------


def record(answer: SpeculationAnswer) -> Record:
    """{question, draft, pays, break_even, best, curve, notes}; None where a batch is beyond those looked at."""
    c = answer.curve
    q, s = c.question, c.speculation
    return {
        "question": {"model": q.model.name, "machine": q.machine.name, "context": c.context},
        "layout": setting.layout(c.layout),
        "precision": setting.precision(c.precision),
        "draft": {
            "kind": s.kind,
            "made_by": answer.draft,
            "depth": float(s.depth),
            "acceptance": float(s.acceptance),
            "tokens_per_pass": float(s.kept),
        },
        "price_per_gpu_hour": setting.known_price(q.machine),
        "pays": [{"from": a, "to": b} for a, b in c.pays],
        "largest_batch": float(c.batch[-1]),
        "capacity": c.capacity,
        "capacity_plain": c.plain_capacity,
        "break_even": [_break_even(b) for b in c.break_even],
        "curve": rows(answer),
        "notes": list(answer.notes),
    }


def _break_even(b: BreakEven) -> Record:
    return {
        "context": b.context,
        "batch": b.batch,
        "always_pays": math.isinf(b.batch),
        "speedup_alone": b.alone,
        "best_speedup": b.best,
        "best_batch": b.best_batch,
        "capacity": b.fits,
    }


def rows(answer: SpeculationAnswer) -> list[Record]:
    """One row for each batch."""
    c = answer.curve
    paid = setting.known_price(c.question.machine) is not None
    share = draft_share(c)
    return [
        {
            "batch": float(c.batch[i]),
            "fits": bool(c.batch[i] <= c.capacity),
            "tpot": float(c.tpot[i]),
            "tpot_bound": float(c.tpot_bound[i]),
            "tpot_plain": float(c.plain_tpot[i]),
            "speedup": float(c.speedup[i]),
            "draft_share": float(share[i]),
            "output_mtok": float(c.cost_mtok[i]) if paid else None,
            "output_mtok_plain": float(c.plain_cost_mtok[i]) if paid else None,
            "cost_ratio": float(1 / c.speedup[i]),
            "cost_ratio_same_pace": float(c.same_pace[i]),
            "best_depth": float(c.best_depth[i]),
            "best_speedup": float(c.best_speedup[i]),
        }
        for i in range(len(c.batch))
    ]


# --- screen -------------------------------------------------------------------------------------------------------


def screen(c: Console, answer: SpeculationAnswer) -> None:
    """Print where speculation pays."""
    curve = answer.curve
    q, s = curve.question, curve.speculation
    c.print(Text.assemble("Speculative decoding of ", (q.model.name, "bold"), " on ", (q.machine.name, "bold")))
    c.print(
        Text(
            f"{curve.layout.label()}, {formats(curve.precision)} · {tokens(curve.context)} tokens in each sequence",
            style="dim",
        )
    )
    c.print()
    line(
        c, f"Drafts by {answer.draft}: {float(s.depth):g} before each check, each kept with {float(s.acceptance):.0%}"
    )
    line(c, f"[bold]{float(s.kept):.2f}[/] tokens per pass on average, of at most {float(s.width):g}")
    line(c, _where(curve))
    c.print()
    c.print(Text.from_ansi(charts.draw(speed_chart(answer), width=c.width, height=15, color=wants_colour(c))))
    _table(c, answer)
    _contexts(c, curve)
    notes(c, answer.notes)


def _where(curve: SpeculationCurve) -> str:
    top = tokens(curve.batch[-1])
    if not curve.pays:
        return f"[bold]It never pays[/] at batches up to {top}"
    spans = [
        (f"from {a:,.0f}" if a > 1 else "") + (f" up to {b:,.0f}" if math.isfinite(b) else " on")
        for a, b in curve.pays
    ]
    if curve.pays == ((1.0, math.inf),):
        return f"[bold]It pays at every batch[/] looked at, up to {top}"
    return f"[bold]It pays at batches {' and '.join(x.strip() for x in spans)}[/] (looked at: up to {top})"


def _marks(curve: SpeculationCurve) -> list[charts.Mark]:
    ends = [b for _, b in curve.pays if math.isfinite(b)]
    found = [charts.Mark("break-even", ends[-1])] if ends else []
    if 1 < curve.capacity < curve.batch[-1]:
        found.append(charts.Mark("capacity", curve.capacity))
    return found


def speed_chart(answer: SpeculationAnswer) -> dict[str, Any]:
    """Speed-up against batch: at the given depth, at the best depth, and no speed-up."""
    c = answer.curve
    x = c.batch.tolist()
    return charts.curve(
        [charts.Series(f"depth {float(c.speculation.depth):g}", x, c.speedup.tolist()),
         charts.Series("best depth", x, c.best_speedup.tolist(), look="dashed"),
         charts.Series("as fast as plain", [x[0], x[-1]], [1.0, 1.0], look="dashed")],
        title="Speed-up of speculative decoding",
        x=charts.Axis("Batch (sequences)", log=True), y=charts.Axis("Plain TPOT / speculative TPOT"),
        marks=_marks(c),
    )  # fmt: skip


def time_chart(answer: SpeculationAnswer) -> dict[str, Any]:
    """Time per output token against batch, with the bound."""
    c = answer.curve
    x = c.batch.tolist()
    return charts.curve(
        [charts.Series("speculative", x, c.tpot.tolist()),
         charts.Series("plain", x, c.plain_tpot.tolist()),
         charts.Series("bound: every draft kept", x, c.tpot_bound.tolist(), look="dashed")],
        title="Time per output token",
        x=charts.Axis("Batch (sequences)", log=True), y=charts.Axis("Time per token", "s", log=True),
    )  # fmt: skip


def both(answer: SpeculationAnswer) -> dict[str, Any]:
    """Speed-up and time per token, one above the other."""
    c = answer.curve
    words = f"Speculative decoding of {c.question.model.name} on {c.question.machine.name}, {c.layout.label()}"
    return charts.stack([speed_chart(answer), time_chart(answer)], title=words)


def _table(c: Console, answer: SpeculationAnswer) -> None:
    curve, found = answer.curve, rows(answer)
    paid = found[0]["output_mtok"] is not None
    heading(c, "Against batch")
    columns = ["batch", "TPOT", "plain", "bound", "speed-up", "best depth", "same pace"]
    table = numbers(*columns, *(["$/M output"] if paid else []))
    table.columns[0].justify = "right"
    table.add_column("", no_wrap=True)
    wanted = np.geomspace(1, curve.batch[-1], 9)
    chosen = sorted({int(np.argmin(np.abs(np.log(curve.batch / w)))) for w in wanted})
    for i in chosen:
        r = found[i]
        ratio = r["cost_ratio_same_pace"]
        depth = f"{r['best_depth']:.0f} ({r['best_speedup']:.2f}x)" if r["best_depth"] else "none"
        cells = [
            tokens(r["batch"]), show(r["tpot"], "s"), show(r["tpot_plain"], "s"), show(r["tpot_bound"], "s"),
            f"{r['speedup']:.2f}x", depth, f"{ratio:.2f}x" if math.isfinite(ratio) else "–",
        ]  # fmt: skip
        if paid:
            cells.append(money(r["output_mtok"]))
        cells.append("" if r["fits"] else "[red]no room[/]")
        table.add_row(*cells, style=None if r["fits"] else "dim")
    indented(c, table)
    line(c, "[dim]same pace: cost of a token over plain decoding's at its TPOT, which a larger batch then has.[/]")


def _contexts(c: Console, curve: SpeculationCurve) -> None:
    heading(c, "The batch at which it stops paying, by context", "whatever memory holds")
    table = numbers("context", "break-even batch", "that fit", "alone", "at best", "at batch")
    table.columns[0].justify = "right"
    for b in curve.break_even:
        edge = "never pays" if not b.batch else "pays at every batch" if math.isinf(b.batch) else (
            f"{b.batch:,.0f}")  # fmt: skip
        table.add_row(
            tokens(b.context), edge, tokens(b.fits), f"{b.alone:.2f}x", f"{b.best:.2f}x", tokens(b.best_batch)
        )
    indented(c, table)


# --- explain ------------------------------------------------------------------------------------------------------


def tree(answer: SpeculationAnswer) -> Node:
    """The terms at batch 1 and at the largest batch at which speculation pays and fits."""
    c = answer.curve
    s = c.speculation
    kept = Node(
        name="tokens per pass", value=float(s.kept), note="(1 - a^(depth+1)) / (1 - a)",
        children=(count("depth", float(s.depth), answer.draft), count("acceptance", float(s.acceptance))),
    )  # fmt: skip
    inside = np.flatnonzero((c.speedup > 1) & (c.batch <= max(c.capacity, 1.0)))
    picks = sorted({0, int(inside[-1]) if len(inside) else 0})
    return Node(
        name=f"speculative decoding of {c.question.model.name} on {c.question.machine.name}, {c.layout.label()}",
        children=(kept, *(_at(c, kept, i) for i in picks)),
    )


def _at(c: SpeculationCurve, kept: Node, i: int) -> Node:
    whole, checking = float(np.asarray(c.whole.estimate)[i]), float(np.asarray(c.checked.estimate)[i])
    check = Node(
        name="pass that checks", value=checking, unit="s", note=f"{float(c.speculation.width):g} tokens each"
    )
    draft = Node(name="making the drafts", value=whole - checking, unit="s", note="one pass after the other")
    step = stated("sum", "step", whole, "s", draft, check)
    tpot = quotient("TPOT", "s", step, kept)
    plain = Node(name="plain TPOT", value=float(c.plain_tpot[i]), unit="s", note="explain forward shows its terms")
    speed = quotient("speed-up", "", plain, tpot)
    bound = Node(name="bound of the step", value=float(np.asarray(c.whole.bound)[i]), unit="s")
    least = quotient("TPOT bound", "s", bound, count("tokens at most", float(c.speculation.width)))
    children = [speed, least]
    if setting.known_price(c.question.machine) is not None:
        rate = count("dollars per GPU-hour / 3600 x GPUs x 1e6 / batch", float(c.cost_mtok[i] / c.tpot[i]))
        children.append(product("$/M output tokens", "$", rate, tpot))
    return Node(name=f"batch {c.batch[i]:,.0f}", children=tuple(children))
