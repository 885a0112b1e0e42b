"""The screen of `forward`: the pass as a table of operations, slowest first in each block, and its totals."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from ..kernel.roofline import binding
from ..units import show
from . import records
from .ask import ForwardAnswer
from .show import BETWEEN, RESOURCES, bar, between, decoding, heading, indented, line, notes, numbers, tokens
from .show_plan import adapters, formats, interval_line, under

MOST_ROWS = 24


def screen(c: Console, answer: ForwardAnswer) -> None:
    """Print one forward pass."""
    q, t, work = answer.question, answer.time, answer.work
    c.print(Text.assemble("One forward pass of ", (q.model.name, "bold"), " on ", (q.machine.name, "bold"),
                          *under(q.engine)))  # fmt: skip
    words = [f"{answer.layout.label()}, {formats(answer.precision)}", _load(answer)]
    c.print(Text(" · ".join(words), style="dim"))
    adapters(c, q.model)
    _totals(c, answer)
    shares = {RESOURCES[k]: float(v) for k, v in t.shares.items()}
    name = binding(t)
    heading(c, "What binds", f"{RESOURCES[name]}: {float(t.shares[name]) / float(t.estimate):.0%} of the pass")
    bar(c, shares, unit="s")
    _operations(c, answer)
    heading(c, "Memory per GPU", show(float(answer.footprint.capacity), "B"))
    held = records.memory(answer.footprint, float(answer.footprint.used(records.decoding(answer), answer.layout)))
    bar(c, {k: held[k] for k in ("weights", "cache", "reserve", "free")}, unit="B", total=held["capacity"])
    pp = float(work.decode) * float(answer.layout.pp) != float(work.decode)
    remarks = ["FLOPs and bytes are those of the busiest device"]
    if pp:
        remarks.append("the time is that of one micro-batch through all pipeline stages")
    notes(c, (*answer.notes, *remarks))


def _load(answer: ForwardAnswer) -> str:
    work = answer.work
    parts = []
    if float(work.decode):
        parts.append(f"{decoding(records.decoding(answer))} one token each at {tokens(float(work.context))}")
    if float(work.prefill):
        parts.append(f"{tokens(float(work.prefill))} prompt tokens")
    return " + ".join(parts)


def _totals(c: Console, answer: ForwardAnswer) -> None:
    t = answer.time
    least = float(t.bound)
    table = numbers("", "seconds", "x bound", title_width=20)
    table.add_column("")
    network = max(float(t.up), float(t.out))
    parts = {"compute": float(t.compute), "memory": float(t.memory), "network": network}
    largest = max(parts, key=lambda k: parts[k])
    each = ", ".join(f"{k} {show(v, 's')}" for k, v in parts.items())
    for name, value, why in (
        ("bound", least, f"the largest of {each}"),
        ("per-operation sum", float(t.per_operation), "every operation at its own roofline"),
        ("plain sum", float(t.plain_sum), "nothing overlaps"),
        ("estimate", float(t.estimate), "achieved shares of peak, launches, step overhead"),
    ):
        style = "bold" if name == "estimate" else None
        ratio = f"{value / least:.2f}" if least > 0 else "-"
        table.add_row(name, show(value, "s"), ratio, Text(why, style="dim"), style=style)
    known = records.step_span(answer)
    interval = known["estimate"]
    if interval is not None:
        table.add_row(BETWEEN, between(interval, "s"), "", Text("where 9 of 10 runs should lie", style="dim"))
    c.print()
    indented(c, table)
    interval_line(c, known["reason"], interval is not None)
    used = records.use(answer)
    line(
        c,
        f"MFU [bold]{used['mfu']:.1%}[/]   MBU [bold]{used['mbu']:.1%}[/]   "
        f"{show(float(t.flops), 'FLOP')} and {show(float(t.bytes), 'B')} per device"
        f"   [dim](bound by {largest})[/]",
    )


def _merged(rows: list[records.Record]) -> list[records.Record]:
    """Rows of one name whose layers cost the same, as one row of all their layers."""
    found: dict[tuple[str, str, str], records.Record] = {}
    for row in rows:
        key = (row["operation"], row["binds"], f"{row['seconds'] / row['layers']:.9e}")
        if key in found:
            for column in ("layers", "flops", "bytes", "seconds", "share"):
                found[key][column] += row[column]
        else:
            found[key] = dict(row)
    return list(found.values())


def _operations(c: Console, answer: ForwardAnswer) -> None:
    rows = _merged(records.terms(answer))
    shown = [r for r in rows if r["share"] >= 0.0005]
    heading(c, "Operations", "all layers together, slowest first")
    table = numbers("operation", "layers", "FLOPs", "bytes", "seconds", "share")
    table.add_column("binds")
    ranked = sorted(shown, key=lambda r: -r["seconds"])
    for r in ranked[:MOST_ROWS]:
        layers = f"{r['layers']:.0f}"
        table.add_row(
            r["operation"], layers, show(r["flops"], "FLOP") if r["flops"] else "",
            show(r["bytes"], "B") if r["bytes"] else "", show(r["seconds"], "s"), f"{r['share']:.1%}", r["binds"],
        )  # fmt: skip
    rest = sum(r["seconds"] for r in rows) - sum(r["seconds"] for r in ranked[:MOST_ROWS])
    if len(rows) > len(ranked[:MOST_ROWS]) and rest > 0:
        table.add_row(f"{len(rows) - len(ranked[:MOST_ROWS])} smaller ones", "", "", "", show(rest, "s"), "", "")
    total = float(answer.time.estimate)
    table.add_section()
    table.add_row("sum", "", show(float(answer.time.flops), "FLOP"), show(float(answer.time.bytes), "B"),
                  show(total, "s"), "100%", "", style="bold")  # fmt: skip
    indented(c, table)
