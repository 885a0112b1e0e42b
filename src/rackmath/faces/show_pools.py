"""The screen of `plan --mode disaggregated|any`: what to run, why one or two pools, and both on one front."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.text import Text

from ..units import plural, show
from ..views import passes, setting
from ..views.setting import RESOURCES, formats, traffic_words, under
from . import charts, records_pools, show_plan
from .show import (
    BETWEEN,
    NARROW,
    bar,
    between,
    decoding,
    heading,
    indented,
    line,
    money,
    notes,
    numbers,
    times,
    tokens,
    wants_colour,
)

if TYPE_CHECKING:
    from ..kernel.roofline import PassTime
    from ..search.disaggregated import Point, PoolPlan
    from .ask_pools import ModesAnswer

MOST_ROWS = 12


def screen(c: Console, answer: ModesAnswer) -> None:
    """Print the plan of the winning mode, or why there is none."""
    two, one = answer.pools.best, None if answer.aggregated is None else answer.aggregated.best
    _question(c, answer)
    if answer.winner is None:
        _nothing(c, answer)
        notes(c, answer.notes)
        return
    if answer.winner == "disaggregated" and two is not None:
        _chosen(c, two)
        _numbers(c, two, answer)
        _first_token(c, two)
        _pools(c, two)
        _ratio(c, two)
    elif one is not None and answer.aggregated is not None:
        show_plan.chosen(c, one, answer.aggregated.answer)
    if answer.fleets is not None and two is not None and answer.winner == "disaggregated":
        _fleets(c, answer)
    _machines(c, answer)
    _modes(c, answer)
    _front(c, answer)
    notes(c, (*answer.notes, f"{records_pools.evaluated(answer):,} configurations evaluated"))


def _question(c: Console, answer: ModesAnswer) -> None:
    q, limits = answer.questions[1], answer.objectives
    where = [answer.questions[0].machine.name, q.machine.name]
    words = q.machine.name if where[0] == where[1] else f"{where[1]} (prefill on {where[0]})"
    c.print(Text.assemble((q.model.name, "bold"), " on ", (words, "bold"), *under(q.engine)))
    c.print(Text(traffic_words(q.traffic, limits), style="dim"))
    show_plan.adapters(c, q.model)


def _chosen(c: Console, p: PoolPlan) -> None:
    s = p.serving
    text = Text.assemble((p.label(), "bold green"), f"   {formats(p.precision)}\n")
    for title, n, layout, machine, what in (
        ("prefill", s.n_prefill, s.prefill.layout, p.machines[0], f"busy {float(s.prefill.load):.0%} of the time"),
        ("decode", s.n_decode, s.decode.layout, p.machines[1], f"{decoding(_rounded(s.decode.batch))} in each"),
    ):
        size = f"{n:.0f} {'replica' if n == 1 else 'replicas'} of {layout.gpus:.0f}"
        devices = f"{'GPU' if layout.gpus == 1 else 'GPUs'} ({layout.label()}) on {machine.name}"
        text.append(f"{title:<8}{size} {devices}, {what}\n")
    text.append(f"{float(s.gpus):,.0f} GPUs in a unit of both pools")
    c.print(Panel(text, title="cheapest plan: two pools", title_align="left", border_style="green", expand=False))


def _rounded(value: Any) -> float:
    return round(float(value), 0 if float(value) >= 10 else 1)


def _numbers(c: Console, p: PoolPlan, answer: ModesAnswer) -> None:
    s, limits, at, spans = p.serving, answer.objectives, float(p.cost.bound_share), records_pools.spans(p)
    heads = ("estimate", BETWEEN, "bound", "apart", "objective")[: 5 if c.width >= NARROW else 3]
    table = numbers("", *heads, title_width=30)

    def add(name: str, *cells: str) -> None:
        table.add_row(name, *cells[: len(heads)])

    def row(name: str, key: str, estimate: float, bound: float | None, unit: str, limit: str = "") -> None:
        low = "" if bound is None else show(bound, unit)
        gap = "" if bound is None else f"[dim]{times(max(estimate, bound), min(estimate, bound))}[/]"
        add(name, f"[bold]{show(estimate, unit)}[/]", between(spans[key], unit), low, gap, limit)

    def limit(value: float, text: str) -> str:
        return text if value < math.inf else ""

    speed = limit(limits.max_tpot, f"≥ {1 / limits.max_tpot:.3g}")
    row("TTFT, time to first token", "ttft", float(s.ttft), float(s.ttft_bound), "s",
        limit(limits.max_ttft, f"≤ {show(limits.max_ttft, 's')}"))  # fmt: skip
    row("TPOT, time per output token", "tpot", float(s.tpot), float(s.decode.tpot_bound), "s",
        limit(limits.max_tpot, f"≤ {show(limits.max_tpot, 's')}"))  # fmt: skip
    row("tok/s/user (interactivity)", "interactivity", float(s.interactivity), 1 / float(s.decode.tpot_bound), "",
        speed)  # fmt: skip
    table.add_section()
    row("tok/s/GPU, input + output, both pools", "tput_per_gpu", float(s.tput_per_gpu), None, "")
    row("tok/s per decode GPU, output only", "output_tput_per_decode_gpu", float(s.output_tput_per_decode_gpu),
        None, "")  # fmt: skip
    table.add_section()
    if not all(setting.known_price(m) is not None for m in p.machines):
        add("$ per million tokens", "unknown")
    else:
        dollars = [("$/M input tokens (prefill pool)", "input_mtok")]
        if float(p.questions[0].traffic.cached) > 0:
            dollars.append(("$/M cached input tokens", "cache_read_mtok"))
        dollars += [("$/M output tokens (decode pool)", "output_mtok"), ("$/M tokens, blended", "blended_mtok")]
        for name, key in dollars:
            value = float(getattr(p.cost, key))
            low = (money(value * at), f"[dim]{times(1.0, at)}[/]") if "blended" in name else ()
            add(name, f"[bold]{money(value)}[/]", between(spans[key], "$"), *low)
    c.print()
    indented(c, table, drop=("apart",))
    show_plan.interval_line(c, p.intervals.reason, spans["tpot"] is not None)


def _first_token(c: Console, p: PoolPlan) -> None:
    s = p.serving
    heading(c, "Time to first token", f"{show(float(s.ttft), 's')}, median")
    parts = {
        "own passes": float(s.prefill.service),
        "waiting in line": float(s.prefill.wait_median),
        "until the next pass": float(s.prefill.to_next),
        "transfer of the cache": float(s.transfer.time),
    }
    bar(c, parts, unit="s")
    line(
        c,
        f"The cache of a prompt is {show(float(s.transfer.bytes), 'B')}; caches take {_percent(s.sending)} of a"
        f" prefill replica's network and {_percent(s.receiving)} of a decode replica's, collectives included",
    )


def _percent(value: Any) -> str:
    return f"{float(value):.0%}" if float(value) >= 0.1 else f"{float(value):.1%}"


def _pools(c: Console, p: PoolPlan) -> None:
    s = p.serving
    heading(c, "What binds", "a pass of each pool")
    for name, time, holds, used in (
        ("prefill", s.prefill.time, s.prefill.footprint, s.prefill.memory),
        ("decode", s.decode.time, s.decode.footprint, s.decode.memory),
    ):
        _bound_by(c, name, time)
        held = passes.memory(holds, float(used))
        free = show(held["free"], "B")
        line(c, f"[dim]memory per GPU: weights {show(held['weights'], 'B')}, caches {show(held['cache'], 'B')},"
             f" reserve {show(held['reserve'], 'B')}, free {free} of {show(held['capacity'], 'B')}[/]")  # fmt: skip


def _bound_by(c: Console, name: str, time: PassTime) -> None:
    shares = {k: float(v) for k, v in time.shares.items()}
    total = sum(shares.values())
    term = records_pools.binding(time)
    line(c, f"[bold]{name}[/]  {show(total, 's')}, {shares[term] / total:.0%} of it {RESOURCES[term]}")
    bar(c, {RESOURCES[k]: v for k, v in shares.items()}, unit="")


def _ratio(c: Console, p: PoolPlan) -> None:
    s = p.serving
    heading(c, "Ratio of the pools", f"{s.n_prefill:.0f} prefill : {s.n_decode:.0f} decode replicas")
    line(
        c,
        f"One decode replica at its full batch needs [bold]{p.exact_ratio:.3g}[/] prefill replicas; whole numbers"
        f" cost {max(records_pools.lost(p), 0.0):.1%} more than that",
    )
    line(
        c,
        f"Little's law: [bold]{tokens(round(float(s.concurrency)))}[/] requests inside ="
        f" {show(float(s.request_rate))} requests/s x ({show(float(s.ttft_mean), 's')} to the first token +"
        f" {show(float(s.decode.decoding), 's')} decoding)",
    )


def _fleets(c: Console, answer: ModesAnswer) -> None:
    if answer.fleets is None:
        return
    heading(c, "Fleet", f"for {show(answer.fleets[0].rate)} requests/s")
    for name, f in zip(("prefill", "decode"), answer.fleets, strict=True):
        power = show(float(f.power), "W") if f.power else "power unknown"
        line(c, f"{name}: [bold]{plural(float(f.replicas), 'replica')}[/], {f.spare} of them spare:"
             f" {float(f.devices):,.0f} GPUs, {float(f.utilisation):.0%} utilised, {power} at the facility,"
             f" [bold]${float(f.month_dollars):,.0f} a month[/]")  # fmt: skip


def _modes(c: Console, answer: ModesAnswer) -> None:
    """One pool beside two, and why one of them is cheaper."""
    if answer.aggregated is None:
        return
    from ..search.disaggregated import PoolPlan

    one, two = answer.aggregated.best, answer.pools.best
    heading(c, "One pool or two", "the cheapest plan of each mode")
    table = numbers("", "$/M tokens", "tok/s/GPU", "TTFT", "TPOT", "GPUs")
    table.add_column("layout", no_wrap=True)
    plans: tuple[tuple[str, Any, str], ...] = (
        ("aggregated", one, one.layout.label() if one else ""),
        ("disaggregated", two, two.label() if two else ""),
    )
    for mode, plan, words in plans:
        if plan is None:
            table.add_row(mode, "", "", "", "", "", "[dim]no plan[/]")
            continue
        s = plan.serving
        on = plan.machines if isinstance(plan, PoolPlan) else (plan.machine,)
        paid = all(setting.known_price(m) is not None for m in on)
        table.add_row(
            mode, money(plan.cost.blended_mtok) if paid else "unknown", f"{float(s.tput_per_gpu):,.0f}",
            show(float(s.ttft), "s"), show(float(s.tpot), "s"), f"{float(s.gpus):,.0f}",
            words,
            style="bold green" if mode == answer.winner else None,
        )  # fmt: skip
    indented(c, table, drop=("GPUs",))
    if answer.why:
        line(c, f"{escape(answer.why[:1].upper() + answer.why[1:])}.")


def _machines(c: Console, answer: ModesAnswer) -> None:
    """The best plan on each machine asked about, in the cheaper mode."""
    rows = records_pools.machines(answer)
    if not rows:
        return
    fleet = answer.questions[1].traffic.rate is not None
    heading(c, "Machines", f"the cheapest {'fleet' if fleet else 'plan'} on each")
    table = numbers(
        "", "$/GPU-hour", *(("$/month", "GPUs") if fleet else ()), "$/M tokens", "tok/s/GPU", "TPOT", "pools"
    )
    table.add_column("layout", no_wrap=True)
    shown = answer.questions[1].machine.name if answer.winner == "disaggregated" else answer.best.machine.name
    for r in rows:
        cells = [r["machine"], money(r["price_per_gpu_hour"])]
        if r["layout"] is None:
            table.add_row(*cells, *([""] * (6 if fleet else 4)), "[dim]no plan[/]")
            continue
        if fleet:
            month = r["fleet_month_dollars"]
            cells += ["unknown" if month is None else f"${month:,.0f}", f"{r['fleet_gpus']:,.0f}"]
        cells += [money(r["blended_mtok"]), f"{r['tput_per_gpu']:,.0f}", show(r["tpot"], "s")]
        cells += ["one" if r["mode"] == "aggregated" else "two", r["layout"]]
        table.add_row(*cells, style="bold green" if r["machine"] == shown else None)
    indented(c, table, drop=("tok/s/GPU", "TPOT", "$/GPU-hour"))
    for r in rows:
        if r["reason"] is not None:
            line(c, f"[dim]{escape(r['machine'])}: {escape(r['reason'])}.[/]")


# --- the front ------------------------------------------------------------------------------------------------------


def _front(c: Console, answer: ModesAnswer) -> None:
    if not answer.front:
        return
    heading(c, "Pareto front", "speed for one user against throughput, both modes" if answer.aggregated else "")
    c.print(Text.from_ansi(charts.draw(chart(answer), width=c.width, height=16, color=wants_colour(c))))
    table = numbers("pools", "tok/s/user", "tok/s/GPU", "$/M tokens", "TTFT", "GPUs")
    table.add_column("layout", no_wrap=True)
    several = len({p.machine for p in answer.front}) > 1
    for p in spread(answer.front):
        words = p.layout + (f"  {p.machine}" if several else "")
        table.add_row(
            "one" if p.mode == "aggregated" else "two", f"{p.interactivity:.1f}", f"{p.tput_per_gpu:,.0f}",
            money(p.blended_mtok) if p.priced else "unknown", show(p.ttft, "s"), f"{p.gpus:,.0f}", words,
        )  # fmt: skip
    indented(c, table, drop=("GPUs", "TTFT"))


def spread(front: tuple[Point, ...], most: int = MOST_ROWS) -> list[Point]:
    """Points evenly spaced in the logarithm of speed: the ends and what lies between."""
    if len(front) <= most:
        return list(front)
    place = [math.log(p.interactivity) for p in front]
    wanted = [place[0] + (place[-1] - place[0]) * k / (most - 1) for k in range(most)]
    rows = {min(range(len(front)), key=lambda i: abs(place[i] - w)) for w in wanted}
    return [front[i] for i in sorted(rows)]


def chart(answer: ModesAnswer) -> dict[str, Any]:
    """Throughput against speed: a line for each mode, the chosen plan marked."""
    q = answer.questions[1]
    series = [
        charts.Series(
            {"aggregated": "one pool", "disaggregated": "two pools"}[mode],
            [p.interactivity for p in rows],
            [p.tput_per_gpu for p in rows],
            labels=tuple(p.layout for p in rows),
        )
        for mode in ("aggregated", "disaggregated")
        if (rows := _upper([p for p in answer.points if p.mode == mode]))
    ]
    marks = []
    if answer.best is not None:
        s = answer.best.serving
        marks.append(charts.Mark("chosen", float(s.interactivity), float(s.tput_per_gpu)))
    return charts.scatter(
        series,
        title=f"{q.model.name} on {q.machine.name}: {'one pool and two' if answer.aggregated else 'two pools'}",
        x=charts.Axis("Speed for one user", "tok/s/user", log=True),
        y=charts.Axis("Input + output tokens", "tok/s/GPU", log=True),
        marks=marks,
    )


def _upper(points: list[Point]) -> list[Point]:
    """Points that no faster one beats in throughput."""
    found: list[Point] = []
    for p in sorted(points, key=lambda p: -p.interactivity):
        if not found or p.tput_per_gpu > found[-1].tput_per_gpu:
            found.append(p)
    return found


def _nothing(c: Console, answer: ModesAnswer) -> None:
    c.print()
    for reason in records_pools.reasons(answer):
        line(c, f"[bold red]No plan:[/] {escape(reason)}.", indent=0)
    near = answer.pools.nearest
    if near is None:
        return
    s = near.serving
    heading(c, "Nearest plan in two pools", near.label())
    line(c, f"TTFT {show(float(s.ttft), 's')}, TPOT {show(float(s.tpot), 's')} ({float(s.interactivity):.1f}"
         f" tok/s/user), {float(s.tput_per_gpu):,.0f} tok/s/GPU in and out")  # fmt: skip
