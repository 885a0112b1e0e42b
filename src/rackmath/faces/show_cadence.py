"""The screen, the charts and the terms of `cadence`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from ..units import show
from ..views.machine_terms import Node, count, given, of_machine, product, quotient, stated, total
from ..views.setting import formats
from . import charts, records_modes
from .export import Face
from .show import heading, indented, line, money, notes, numbers, tokens, wants_colour

if TYPE_CHECKING:
    from ..serving.queueing import Cadence
    from .ask_modes import CadenceAnswer


def face(answer: CadenceAnswer) -> Face:
    """The faces of a train."""
    return Face(
        record=lambda: records_modes.cadence(answer),
        rows=lambda: records_modes.cadence_rows(answer),
        screen=lambda c: screen(c, answer),
        tree=lambda: tree(answer),
        chart=lambda: both(answer),
    )


def screen(c: Console, answer: CadenceAnswer) -> None:
    """Print the train at its load, two charts, a short table."""
    t, q = answer.train, answer.question
    if q is not None and answer.layout is not None and answer.precision is not None:
        c.print(Text.assemble("The departing train of ", (q.model.name, "bold"), " on ", (q.machine.name, "bold")))
        words = (
            f"{answer.layout.label()}, {formats(answer.precision)} · {tokens(answer.context)} tokens in a sequence"
        )
    else:
        c.print(Text("The departing train"))
        words = "a constant step"
    spread = f" ± {t.cv2**0.5:.0%}" if t.cv2 else ""
    c.print(Text(f"{words} · a seat is held for {tokens(t.now.steps)}{spread} departures", style="dim"))
    _landmarks(c, answer)
    width, paint = c.width, wants_colour()
    c.print()
    c.print(Text.from_ansi(charts.draw(wait_chart(answer), width=width, height=17, color=paint)))
    if t.replica_hour:
        c.print()
        c.print(Text.from_ansi(charts.draw(cost_chart(answer), width=width, height=14, color=paint)))
    _table(c, answer)
    notes(c, answer.notes)


def _landmarks(c: Console, answer: CadenceAnswer) -> None:
    t = answer.train
    now = t.now
    table = numbers("", "", title_width=24)
    table.show_header = False
    table.add_column("")

    def row(name: str, value: str, why: str) -> None:
        table.add_row(name, f"[bold]{value}[/]", Text(why, style="dim"))

    row("step T", show(now.step, "s"), f"with {tokens(round(now.aboard))} of {tokens(now.seats)} seats taken;"
        f" {show(now.step_full, 's')} when full")  # fmt: skip
    row(
        "first token, mean",
        show(now.first_mean, "s"),
        "1.5 T at the mean load, a seat free: half a step's wait, then the ride",
    )
    row("  50 % within", show(now.first_p50, "s"), "")
    row("  90 % within", show(now.first_p90, "s"), "")
    row("  99 % within", show(now.first_p99, "s"), "")
    row(
        "just missed, seat free", show(now.first_worst_free, "s"), "2 T at the mean load; a fuller train takes longer"
    )
    table.add_section()
    row("rate", f"{show(now.rate)} /s", f"load {now.load:.1%} of the {show(now.rate / now.load)} /s of a full train")
    row("occupancy", f"{now.occupancy:.1%}", "mean share of the seats taken")
    wait = "nobody waits for a seat" if now.wait_share < 1e-6 else f"{show(now.wait_mean, 's')} for a seat on average"
    row("find no free seat", f"{now.wait_share:.2%}", wait)
    if t.replica_hour:
        table.add_section()
        above = t.mtok(now) / t.full_mtok
        row(
            "cost, output tokens",
            f"{money(t.mtok(now))}/M",
            f"{above:.2f}x the {money(t.full_mtok)}/M of a full train",
        )
        found = records_modes.margin(answer)
        if found is not None and answer.list_mtok is not None:
            row(
                "implied gross margin",
                f"{found:.1%}",
                f"of a listed {money(answer.list_mtok)}/M, decoding alone counted",
            )
    c.print()
    indented(c, table)


def _table(c: Console, answer: CadenceAnswer) -> None:
    heading(c, "The curve in numbers")
    roomy = c.width >= 92
    names = ["load", "rate /s", "occupancy", "step T", "mean", "p90", "p99", "no seat", "$/M output"]
    table = numbers(*[n for n in names if roomy or n not in ("rate /s", "no seat")])
    table.columns[0].justify = "right"
    curve = answer.train.curve
    wanted = (0.02, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.98, 0.995)
    chosen: dict[int, Cadence] = {}
    for load in wanted:
        i = min(range(len(curve)), key=lambda i: abs(curve[i].load - load))
        chosen[i] = curve[i]
    for k in chosen.values():
        paid = money(answer.train.mtok(k)) if answer.train.replica_hour else "unknown"
        times = [show(t, "s") for t in (k.step, k.first_mean, k.first_p90, k.first_p99)]
        rate, full = ([show(k.rate)], [f"{k.wait_share:.1%}"]) if roomy else ([], [])
        table.add_row(f"{k.load:.1%}", *rate, f"{k.occupancy:.0%}", *times, *full, paid)
    indented(c, table)
    line(c, "[dim]Mean and percentiles: from the arrival of a prefilled request to its first token.[/]")


def wait_chart(answer: CadenceAnswer) -> dict[str, Any]:
    """First-token time against load."""
    curve, now = answer.train.curve, answer.train.now
    x = [k.load for k in curve]
    named = (
        ("99 % within", "first_p99"),
        ("90 % within", "first_p90"),
        ("mean", "first_mean"),
        ("median", "first_p50"),
    )
    lines = [charts.Series(name, x, [float(getattr(k, field)) for k in curve]) for name, field in named]
    step = [k.step for k in curve]
    return charts.curve(
        [*lines, charts.Series("step T", x, step, look="dashed")],
        title="Time to the first token of a prefilled request",
        x=charts.Axis("Load (rate over that of a full train)", "share", low=0.0, high=1.0),
        y=charts.Axis("Time", "s", log=True),
        marks=[charts.Mark(f"{now.occupancy:.0%} of seats taken", now.load, now.first_mean)],
    )


def cost_chart(answer: CadenceAnswer) -> dict[str, Any]:
    """Dollars per million output tokens against load."""
    t = answer.train
    curve = [k for k in t.curve if k.load >= 0.05]
    x = [k.load for k in curve]
    return charts.curve(
        [charts.Series("at the load", x, [t.mtok(k) for k in curve]),
         charts.Series("every seat taken", x, [t.full_mtok] * len(x), look="dashed")],
        title="Cost of output tokens, empty seats paid",
        x=charts.Axis("Load (rate over that of a full train)", "share", low=0.0, high=1.0),
        y=charts.Axis("Cost", "$/M output tokens", log=True),
        marks=[charts.Mark(f"{money(t.mtok(t.now))}/M", t.now.load, t.mtok(t.now))],
    )  # fmt: skip


def both(answer: CadenceAnswer) -> dict[str, Any]:
    """Waits and cost, one above the other."""
    q = answer.question
    title = f"The departing train of {q.model.name} on {q.machine.name}" if q else "The departing train"
    parts = [wait_chart(answer)] + ([cost_chart(answer)] if answer.train.replica_hour else [])
    return charts.stack(parts, title=title)


def tree(answer: CadenceAnswer) -> Node:
    """Load, occupancy, first-token time and cost as terms."""
    t, now, q = answer.train, answer.train.now, answer.question
    rate = given("rate of requests", now.rate, "/s")
    steps = given("departures a seat is held", now.steps)
    seats = count("seats", now.seats, "sequences whose cache fits, or as given")
    full = Node(name="step, all seats taken", value=now.step_full, unit="s",
                note="explain forward shows its terms" if q else "given")  # fmt: skip
    busy = product("seats kept busy by a full train", "", rate, steps, full)
    load = stated("quotient", "load", now.load, "share", busy, seats)
    step = Node(name="step T", value=now.step, unit="s", note="at the mean number aboard")
    aboard = Node(
        name="mean number aboard", value=now.aboard,
        note="birth and death with t(n) aboard: weights prod(rate x departures x t(i) / i)",
    )  # fmt: skip
    occupancy = stated("quotient", "occupancy", now.occupancy, "share", aboard, seats)
    worst = stated("product", "worst while seats are free", now.first_worst_free, "s", count("2", 2.0), step)
    seat = Node(
        name="wait for a seat, mean", value=now.wait_mean, unit="s",
        note="M/D/c by Spitzer's identity, blended with M/M/c by the spread of output lengths",
    )  # fmt: skip
    ride = Node(
        name="departure and ride", value=now.first_mean - now.wait_mean, unit="s", note="1.5 steps, met on arrival"
    )
    first = total("first token, mean", "s", seat, ride)
    nodes: list[Node] = [load, occupancy, step, worst, first]
    for name, value in (("50 %", now.first_p50), ("90 %", now.first_p90), ("99 %", now.first_p99)):
        nodes.append(Node(name=f"first token, {name} within", value=value, unit="s"))
    if q is not None and answer.layout is not None and t.replica_hour:
        hour = product(
            "replica", "$/h", count("devices", float(answer.layout.gpus)),
            of_machine(q.machine, "price_per_hour", "price of a device"),
        )  # fmt: skip
        per_second = quotient("replica per second", "$", hour, count("seconds per hour", 3600.0))
        out = product("output tokens per second", "tok/s", rate, steps)
        each = quotient("dollars per token", "$", per_second, out)
        nodes.append(stated("product", "$/M output tokens", t.mtok(now), "$", each, count("a million", 1e6)))
    return Node(name="the departing train", children=tuple(nodes))
