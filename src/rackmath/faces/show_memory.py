"""The screens of `memory`: one model in a machine's memory, and drain times of the catalogue."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.text import Text

from ..units import show
from ..views import setting
from ..views.setting import formats
from . import charts, explain_memory, records_memory
from .ask_memory import DrainAnswer, MemoryAnswer
from .export import Face
from .show import bar, heading, indented, line, money, notes, numbers, tokens, wants_colour

if TYPE_CHECKING:
    from ..search.memory import Drain, Memory
    from ..world.machine import Source

ROOMY = 96
"""Columns of a terminal below which the table of users leaves out what follows from other columns."""


def face(answer: MemoryAnswer) -> Face:
    """The faces of a model in memory."""
    return Face(
        record=lambda: records_memory.memory(answer),
        rows=lambda: records_memory.user_rows(answer),
        screen=lambda c: screen(c, answer),
        tree=lambda: explain_memory.memory(answer),
        chart=lambda: both(answer),
    )


def drain_face(answer: DrainAnswer) -> Face:
    """The faces of a list of drain times."""
    return Face(
        record=lambda: records_memory.drain_rows(answer),
        rows=lambda: records_memory.drain_rows(answer),
        screen=lambda c: drain_screen(c, answer),
        tree=lambda: explain_memory.drains(answer),
        chart=lambda: drain_chart(answer),
    )


# --- one model ----------------------------------------------------------------------------------------------------


def screen(c: Console, answer: MemoryAnswer) -> None:
    """Print what the memory of a machine means for a model."""
    m = answer.memory
    q = m.question
    c.print(Text.assemble((q.model.name, "bold"), " in the memory of ", (q.machine.name, "bold")))
    copies = f"{m.replicas:.0f} replicas of " if m.replicas > 1 else ""
    c.print(Text(f"{copies}{m.layout.label()}, {formats(m.precision)}", style="dim"))
    _landmarks(c, m)
    _held(c, m)
    c.print(Text.from_ansi(charts.draw(users_chart(answer), width=c.width, height=15, color=wants_colour())))
    _table(c, answer)
    notes(c, answer.notes)


def _held(c: Console, m: Memory) -> None:
    """The memory of one device: weights, room, and what the engine keeps, term by term."""
    capacity, box = float(m.holds.capacity), float(m.question.machine.box)
    shown = f"{show(capacity, 'B')} as the driver shows it" + (
        f", {show(box, 'B')} on the box" if box != capacity else ""
    )
    heading(c, "Memory per GPU", shown)
    parts = {"weights": float(m.holds.weights), "room for the cache": max(m.room, 0.0), "kept": m.reserve}
    bar(c, parts, unit="B", total=capacity)
    engine = f"{m.question.engine.name} {m.question.engine.version}".strip()
    terms = " + ".join(f"{name} {show(value, 'B')}" for name, value in m.terms.items() if value > 0)
    line(c, f"[dim]kept by the {escape(engine)} engine = {terms}[/]")
    if m.room > 0:
        tokens_held = f"{m.pool_tokens:,.0f} tokens of cache in a replica"
        last = float(m.holds.room)
        stages = f"; the last stage has {show(last, 'B')}" if last < m.room * 0.999 else ""
        line(c, f"[dim]room: {tokens_held}, in sequences of {m.reference:,.0f}{stages}[/]")
    c.print()


def _landmarks(c: Console, m: Memory) -> None:
    table = numbers("", "", title_width=24)
    table.show_header = False
    table.add_column("")

    def row(name: str, value: str, why: str) -> None:
        table.add_row(name, f"[bold]{value}[/]", Text(why, style="dim"))

    machine = m.question.machine
    once = m.share_once * m.drain
    size, rate = show(float(machine.box), "B"), show(float(machine.hbm_bandwidth), "B/s")
    row("drain time C / M", show(m.drain, "s"), f"{size} at {rate}: the longest useful read of a step")
    row("weights' share of HBM", f"{m.share:.1%}", f"on this layout; {m.share_once:.1%} if no device held a copy")
    row("floor of a step", show(m.floor, "s"), f"the weights read once; {show(once, 's')} if no device held a copy")
    row("balance point B*", tokens(round(m.balance)), "sequences: reading and multiplying the weights tie")
    if math.isfinite(m.full_context) and m.full_context > 0:
        row("B* fills HBM at", f"{m.full_context:,.0f} tokens", "each; beyond it too few share the weights")
    elif m.full_context > 0:
        row("B* fills HBM at", "no length", "the cache stops growing first")
    computing = f"{show(m.compute_at_balance, 's')} of computing in {show(m.drain, 's')}"
    row("MFU, HBM full at B*", f"{m.mfu_full:.1%}", f"{computing}: the weights' share")
    for d in m.drains[1:]:
        row(f"{d.tier}", show(d.drain, "s"), f"{show(d.capacity, 'B')} at {show(d.bandwidth, 'B/s')}: drain time")
    c.print()
    indented(c, table)


def _table(c: Console, answer: MemoryAnswer) -> None:
    m = answer.memory
    heading(c, "Users that fit, and their step when the memory is full")
    paid = setting.known_price(m.question.machine) is not None
    ref = f"in {tokens(m.reference)}s"
    names = ["context", "one user", "users", "lost", "ideal", ref, "step", "bound", "MFU"] + ["$/user·h"] * paid
    shown = [n for n in names if c.width >= ROOMY or n not in ("lost", ref, "MFU")]
    table = numbers(*shown)
    table.columns[0].justify = "right"
    for r in records_memory.user_rows(answer):
        fits = r["users"] >= 1
        cells = {
            "context": tokens(r["context"]),
            "one user": show(r["bytes_per_user"], "B"),
            "users": tokens(r["users"]),
            "lost": "" if r["users_lost"] is None else tokens(r["users_lost"]),
            "ideal": tokens(r["users_ideal"]),
            ref: f"{r['displaces']:.3g}",
        }
        if fits:
            cells |= {"step": show(r["tpot"], "s"), "bound": show(r["tpot_bound"], "s"), "MFU": f"{r['mfu']:.0%}",
                      "$/user·h": money(r["user_hour"], digits=2)}  # fmt: skip
        table.add_row(*(cells.get(name, "-") for name in shown), style=None if fits else "dim")
    indented(c, table)
    lost = f"lost: users fewer than one row above. {ref}: users of that context whose room one user takes. "
    line(
        c,
        f"[dim]{lost if c.width >= ROOMY else ''}ideal: all HBM, one copy of the weights, no reserve. A step longer"
        " than the drain time computes longer than it reads, or reads below peak.[/]",
    )


def users_chart(answer: MemoryAnswer) -> dict[str, Any]:
    """Users against context."""
    m = answer.memory
    u = m.users
    x = u.context.tolist()
    marks = []
    if x[0] <= m.full_context <= x[-1]:
        marks.append(charts.Mark("B* fills HBM", m.full_context))
    return charts.curve(
        [charts.Series("users that fit", x, u.users.tolist()),
         charts.Series("ideal: all HBM, weights once", x, u.ideal.tolist(), look="dashed"),
         charts.Series("B*, to amortise the weights", [x[0], x[-1]], [m.balance] * 2, look="dashed")],
        title="Users that fit",
        x=charts.Axis("Context (tokens)", log=True), y=charts.Axis("Users", log=True), marks=marks,
    )  # fmt: skip


def step_chart(answer: MemoryAnswer) -> dict[str, Any]:
    """The step with a full memory against context, with drain time and floor."""
    m = answer.memory
    u = m.users
    x = u.context.tolist()
    ends = [x[0], x[-1]]
    return charts.curve(
        [charts.Series("estimate", x, u.step.tolist()),
         charts.Series("bound", x, u.bound.tolist(), look="dashed"),
         charts.Series("drain time", ends, [m.drain] * 2, look="dashed"),
         charts.Series("floor: weights read once", ends, [m.floor] * 2, look="dashed")],
        title="A decode step when the memory is full",
        x=charts.Axis("Context (tokens)", log=True), y=charts.Axis("Time per step", "s", log=True),
    )  # fmt: skip


def both(answer: MemoryAnswer) -> dict[str, Any]:
    """Users and step, one above the other."""
    q = answer.memory.question
    words = f"{q.model.name} in the memory of {q.machine.name}, {answer.memory.layout.label()}"
    return charts.stack([users_chart(answer), step_chart(answer)], title=words)


# --- drain times --------------------------------------------------------------------------------------------------


def drain_screen(c: Console, answer: DrainAnswer) -> None:
    """Print how long it takes to read all of each memory once."""
    near, tiers = _split(answer.drains)
    many = len(near) > 1
    title = "Drain times: all of a memory read once, C / M"
    c.print(Text(title if many else f"{title}, on {near[0].machine}", style="bold"))
    c.print(
        Text(
            "The longest useful memory time of a step. Not its floor: that is the time to read the weights once.",
            style="dim",
        )
    )
    sources = _numbered([*near, *(d for d, _ in tiers)])
    if many:
        c.print()
        c.print(Text.from_ansi(charts.draw(drain_chart(answer), width=c.width, height=16, color=wants_colour())))
    heading(c, "Device memory", "per device; the number in brackets is the source below")
    table = numbers("machine", "memory", "capacity", "bandwidth", "drain")
    table.add_column("")
    for d in near:
        table.add_row(d.machine, escape(d.tier), show(d.capacity, "B"), show(d.bandwidth, "B/s"), show(d.drain, "s"),
                      Text(_cited(d, sources), style="dim"))  # fmt: skip
    indented(c, table)
    if tiers:
        heading(c, "Behind it", "a device's share" + ("; machines with such a tier" if many else ""))
        table = numbers("tier", "capacity", "bandwidth", "drain", *(["machines"] if many else []))
        table.add_column("")
        for d, n in tiers:
            counted = [str(n)] if many else []
            table.add_row(d.tier, show(d.capacity, "B"), show(d.bandwidth, "B/s"), show(d.drain, "s"), *counted,
                          Text(_cited(d, sources), style="dim"))  # fmt: skip
        indented(c, table)
    heading(c, "Sources")
    for source, i in sources.items():
        date = f" ({source.date})" if source.date else ""
        doubt = "" if source.verified else ", unverified"
        c.print(Padding(Text(f"[{i}] {source.text}{date}{doubt}", style="dim"), (0, 0, 0, 2), expand=False))
    notes(c, answer.notes)


def _split(found: tuple[Drain, ...]) -> tuple[list[Drain], list[tuple[Drain, int]]]:
    """The devices' own memories, quickest first, each kind of device once; and the distinct tiers behind them."""
    near: dict[tuple[str, float, float], Drain] = {}
    behind: dict[tuple[str, float, float], tuple[Drain, int]] = {}
    seen: set[str] = set()
    for d in found:
        if d.machine not in seen:
            seen.add(d.machine)
            near.setdefault((d.accelerator, d.capacity, d.bandwidth), d)
        else:
            key = (d.tier, d.capacity, d.bandwidth)
            behind[key] = (behind.get(key, (d, 0))[0], behind.get(key, (d, 0))[1] + 1)
    return sorted(near.values(), key=lambda d: d.drain), sorted(behind.values(), key=lambda pair: pair[0].drain)


def _numbered(found: list[Drain]) -> dict[Source, int]:
    return {s: i for i, s in enumerate(dict.fromkeys(s for d in found for s in d.sources), 1)}


def _cited(d: Drain, sources: dict[Source, int]) -> str:
    where = "".join(f"[{sources[s]}]" for s in d.sources) or "no source"
    return where + ("" if d.verified else " unverified")


def drain_chart(answer: DrainAnswer) -> dict[str, Any]:
    """Drain time against capacity: of every device with HBM, or of every tier of one machine."""
    near, tiers = _split(answer.drains)
    if len(near) == 1:
        dots = [near[0], *(d for d, _ in tiers)]
        return charts.scatter(
            [charts.Series("tiers", [d.capacity for d in dots], [d.drain for d in dots],
                           labels=[d.tier for d in dots])],
            title=f"Drain time of every memory of {near[0].machine}",
            x=charts.Axis("Capacity per device", "B", log=True), y=charts.Axis("Drain time", "s", log=True),
            marks=[charts.Mark(f"{d.tier}: {show(d.drain, 's')}", d.capacity, d.drain) for d in dots],
        )  # fmt: skip
    groups: dict[str, list[Drain]] = {}
    for d in near:
        if d.tier.startswith("HBM"):
            groups.setdefault(d.tier[:4].replace("HBM", "HBM ").strip(), []).append(d)
    named = {"a100": "A100", "h100": "H100", "h200": "H200", "gb200": "GB200", "gb300": "GB300", "rubin": "Rubin",
             "mi300x": "MI300X", "tpu7x": "TPU7x"}  # fmt: skip
    return charts.scatter(
        [charts.Series(name, [d.capacity for d in groups[name]], [d.drain for d in groups[name]],
                       labels=[d.machine for d in groups[name]])
         for name in sorted(groups)],
        title="Drain time of high-bandwidth memory",
        x=charts.Axis("Capacity per device", "B", log=True), y=charts.Axis("Drain time", "s"),
        marks=[charts.Mark(named[d.machine], d.capacity, d.drain) for d in near if d.machine in named],
    )  # fmt: skip
