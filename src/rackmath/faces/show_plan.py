"""The screen of `plan`: first what to run and what it costs, then why, then what else is possible."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.text import Text

from ..units import show
from ..views import passes, setting
from ..views.setting import RESOURCES, formats, traffic_words, under
from . import charts, records, show_users
from .ask import PlanAnswer
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
    on_devices,
    times,
    tokens,
    wants_colour,
)

if TYPE_CHECKING:
    from ..layout.parallelism import Layout
    from ..search.plan import Answer, Front, Plan
    from ..world.model import Model
    from ..world.precision import Precision

MOST_ROWS = 10


def screen(c: Console, answer: PlanAnswer) -> None:
    """Print a plan, or why there is none."""
    found = answer.answer
    _question(c, found)
    if found.best is None:
        _nothing(c, found)
        notes(c, answer.notes)
        return
    chosen(c, found.best, found)
    if answer.fleet is not None:
        _fleet(c, answer)
    _machines(c, found)
    _front(c, found)
    _runner_up(c, found)
    notes(c, (*answer.notes, f"{found.evaluated:,} configurations evaluated"))


def chosen(c: Console, best: Plan, found: Answer) -> None:
    """What to run, its numbers, what binds it, its memory and load."""
    if best.question.traffic.users is not None:
        show_users.head(c, best, found, formats(best.precision))
        interval_line(c, best.intervals.reason, best.intervals.tpot.low is not None)
        _why(c, best, found)
        _memory(c, best)
        show_users.tail(c, best)
        return
    _chosen(c, best)
    _numbers(c, best, found)
    _why(c, best, found)
    _memory(c, best)
    _load(c, best)


def _question(c: Console, found: Answer) -> None:
    q = found.question
    c.print(Text.assemble((q.model.name, "bold"), " on ", (q.machine.name, "bold"), *under(q.engine)))
    c.print(Text(traffic_words(q.traffic, found.objectives), style="dim"))
    adapters(c, q.model)


def adapters(c: Console, model: Model) -> None:
    """The adapters served beside the model, if any: what one stores and costs each token that uses it."""
    one = setting.lora(model)
    if one is not None:
        each = f"{show(one['bytes_per_adapter'], 'B')} each, {show(one['flops_per_token'], 'FLOP')} per token"
        c.print(Text(f"{one['adapters']:,.0f} adapters of rank {one['rank']:g}: {each}", style="dim"))


def _chosen(c: Console, p: Plan) -> None:
    gpus, most = float(p.layout.gpus), float(p.machine.n_devices)
    text = Text.assemble((p.layout.label(), "bold green"), f"   {formats(p.precision)}\n")
    text.append(f"{decoding(p.batch)} {on_devices(gpus, most)}")
    paid = setting.known_price(p.machine)
    if paid is not None:
        text.append(f", at {money(paid)} per GPU-hour ({p.machine.price_kind.replace('_', '-')})")
    c.print(Panel(text, title="cheapest plan", title_align="left", border_style="green", expand=False))


def _numbers(c: Console, p: Plan, found: Answer) -> None:
    s, limits, spans = p.serving, found.objectives, records.spans(p)
    at = float(p.cost.bound_share)
    heads = ("estimate", BETWEEN, "bound", "apart", "objective")[: 5 if c.width >= NARROW else 3]
    table = numbers("", *heads, title_width=28)

    def add(name: str, *cells: str) -> None:
        table.add_row(name, *cells[: len(heads)])

    def row(name: str, key: str, estimate: float, bound: float, unit: str, limit: str = "") -> None:
        gap = times(max(estimate, bound), min(estimate, bound))
        interval = between(spans[key], unit)
        add(name, f"[bold]{show(estimate, unit)}[/]", interval, show(bound, unit), f"[dim]{gap}[/]", limit)

    ttft_limit = f"≤ {show(limits.max_ttft, 's')}" if limits.max_ttft < math.inf else ""
    tpot_limit = f"≤ {show(limits.max_tpot, 's')}" if limits.max_tpot < math.inf else ""
    speed_limit = f"≥ {1 / limits.max_tpot:.3g}" if limits.max_tpot < math.inf else ""
    row("TTFT, time to first token", "ttft", float(s.ttft), float(s.ttft_bound), "s", ttft_limit)
    row("TPOT, time per output token", "tpot", float(s.tpot), float(s.tpot_bound), "s", tpot_limit)
    row("tok/s/user (interactivity)", "interactivity", float(s.interactivity), 1 / float(s.tpot_bound), "",
        speed_limit)  # fmt: skip
    table.add_section()
    for name, key in (
        ("tok/s/GPU, input + output", "tput_per_gpu"),
        ("tok/s/GPU, output only", "output_tput_per_gpu"),
        ("tok/s/GPU, input only", "input_tput_per_gpu"),
    ):
        value = float(getattr(s, key))
        row(name, key, value, value / at, "")
    table.add_section()
    if setting.known_price(p.machine) is None:
        add("$ per million tokens", "unknown", "", "unknown")
    else:
        dollars = [("$/M input tokens", "input_mtok")]
        if float(p.question.traffic.cached) > 0:
            dollars.append(("$/M cached input tokens", "cache_read_mtok"))
        dollars += [("$/M output tokens", "output_mtok"), ("$/M tokens, blended", "blended_mtok")]
        for name, key in dollars:
            value = float(getattr(p.cost, key))
            low = money(value * at) if "blended" in name else ""
            gap = times(1.0, at) if "blended" in name else ""
            add(name, f"[bold]{money(value)}[/]", between(spans[key], "$"), low, f"[dim]{gap}[/]")
    c.print()
    indented(c, table, drop=("apart",))
    interval_line(c, p.intervals.reason, spans["tpot"] is not None)


def interval_line(c: Console, reason: str, known: bool) -> None:
    """Why the intervals are as wide as they are, or why there are none."""
    words = "Intervals are made to hold 9 of 10 runs" if known else "No intervals"
    line(c, f"[dim]{words} ({escape(reason)}). Nothing can be faster than the bound.[/]")


def _why(c: Console, p: Plan, found: Answer) -> None:
    shares = {name: float(v) for name, v in p.serving.shares.items()}
    total = sum(shares.values()) or 1.0
    name = records.binding_term(p)
    heading(c, "What binds", f"{RESOURCES[name]}: {shares[name] / total:.0%} of a step")
    bar(c, {RESOURCES[k]: v for k, v in shares.items()}, unit="")
    moves = [(what, change) for what, change in found.movers if change <= -0.001]
    if moves:
        words = ", ".join(f"{escape(what)} [bold]{_percent(change)}[/]" for what, change in moves)
        what = (
            "time of a request"
            if p.question.engine.local
            else "price"
            if setting.known_price(p.machine) is not None
            else "device time per request"
        )
        line(c, f"What would move the {what}: {words}")


def _percent(change: float) -> str:
    return f"{'−' if change < 0 else '+'}{abs(change) * 100:.1f} %"


def _memory(c: Console, p: Plan) -> None:
    held = passes.memory(p.serving.footprint, float(p.serving.memory))
    heading(c, "Memory per GPU", f"{show(held['capacity'], 'B')}, {show(held['capacity'] - held['free'], 'B')} used")
    bar(c, {k: held[k] for k in ("weights", "cache", "reserve", "free")}, unit="B", total=held["capacity"])


def _load(c: Console, p: Plan) -> None:
    s, traffic = p.serving, p.question.traffic
    rate, steps = float(s.request_rate), max(float(traffic.osl) - 1, 1.0)
    heading(c, "Load of a replica", "Little's law: requests inside = rate x time in the system")
    line(
        c,
        f"[bold]{tokens(round(float(s.concurrency)))}[/] requests inside = {show(rate)} requests/s x"
        f" ({show(float(s.ttft_mean), 's')} to the first token + {steps:,.0f} x {show(float(s.tpot), 's')})",
    )
    line(
        c,
        f"{decoding(p.batch)}; {float(s.mixed):.0%} of steps also carry prefill, in chunks of"
        f" {tokens(round(float(s.chunk)))} tokens",
    )


def _fleet(c: Console, answer: PlanAnswer) -> None:
    f = answer.fleet
    if f is None:
        return
    best = answer.best
    from ..economics.caching import MONTH

    heading(c, "Fleet", f"for {show(f.rate)} requests/s")
    spare = f", {f.spare} of them spare" if f.spare else ""
    replicas = float(f.replicas)
    word = "replica" if replicas == 1 else "replicas"
    billed = "" if f.billed == f.devices else f" in machines of {float(f.billed):,.0f}, which are paid for whole"
    line(
        c,
        f"[bold]{replicas:,.0f} {word}[/]{spare}: {float(f.devices):,.0f} GPUs{billed}; {float(f.utilisation):.0%}"
        f" utilised, {show(float(f.power), 'W') if f.power else 'power unknown'} at the facility",
    )
    paid = setting.known_price(best.machine) is not None
    month = f"${float(f.month_dollars):,.0f} a month" if paid else "dollars a month unknown"
    per_mtok = float(f.month_dollars) / (f.tokens_per_s * MONTH) * 1e6 if f.tokens_per_s else math.nan
    real = f" ({money(per_mtok)}/M tokens with the idle share)" if paid else ""
    energy = f", {show(float(f.tokens_per_s_mw))} tok/s/MW, {show(float(f.joules_per_token))} J per token"
    line(c, f"[bold]{month}[/]{real}, {show(f.tokens_per_s)} tok/s{energy if f.power else ''}")
    if f.utilisation > 0.9:
        line(c, "[yellow]Little is left for peaks: TTFT and TPOT are medians at the plan's load; --utilisation 70%"
             " leaves room.[/]")  # fmt: skip


def _machines(c: Console, found: Answer) -> None:
    rows = records.machines(found)
    if not rows:
        return
    fleet = found.question.need is not None
    heading(c, "Machines", "the cheapest fleet on each" if fleet else "the cheapest plan on each")
    sized = ("$/month", "GPUs", "power") if fleet else ()
    table = numbers("", "$/GPU-hour", *sized, "$/M tokens", "tok/s/GPU", "TTFT", "TPOT")
    table.add_column("layout", no_wrap=True)
    for r in rows:
        kind = f" {r['price_kind'].replace('_', '-')}" if r["price_per_gpu_hour"] is not None else ""
        price = f"{money(r['price_per_gpu_hour'])}{kind}"
        if r["reason"] is not None:
            table.add_row(r["machine"], price, *([""] * (4 + len(sized))), "[dim]no plan[/]")
            continue
        mine = found.best is not None and r["machine"] == found.best.machine.name
        month, watts = r.get("fleet_month_dollars"), r.get("fleet_power")
        need = (
            "unknown" if month is None else f"${float(month):,.0f}", f"{float(r.get('fleet_gpus', 0)):,.0f}",
            "unknown" if watts is None else show(float(watts), "W"),
        )  # fmt: skip
        table.add_row(
            r["machine"], price, *need[: len(sized)], money(r["blended_mtok"]), f"{float(r['tput_per_gpu']):,.0f}",
            show(float(r["ttft"]), "s"), show(float(r["tpot"]), "s"), r["layout"],
            style="bold green" if mine else None,
        )  # fmt: skip
    indented(c, table, drop=("tok/s/GPU", "TTFT", "TPOT", "$/M tokens"))
    if mixed := records.mixed_prices(found):
        line(c, f"[bold yellow]{escape(mixed[:1].upper() + mixed[1:])}.[/]")
    for r in rows:
        if r["reason"] is not None:
            line(c, f"[dim]{escape(r['machine'])}: {escape(r['reason'])}.[/]")


# --- the front ----------------------------------------------------------------------------------------------------


def spread(front: Front, most: int = MOST_ROWS) -> list[int]:
    """Rows of the front, evenly spaced in the logarithm of speed: the ends and what lies between."""
    n = len(front.interactivity)
    if n <= most:
        return list(range(n))
    place = np.log(front.interactivity)
    wanted = np.linspace(place[0], place[-1], most)
    return sorted({int(np.argmin(np.abs(place - w))) for w in wanted})


def _front(c: Console, found: Answer) -> None:
    front, best = found.by_price, found.best
    if best is None or len(front.batch) < (1 if best.question.traffic.users is None else 2):
        return
    heading(c, "Pareto front", "speed for one user against throughput and price")
    c.print(Text.from_ansi(charts.draw(chart_of(found), width=c.width, height=16, color=wants_colour(c))))
    table = numbers("", "tok/s/user", "tok/s/GPU", "$/M tokens", "TTFT", "batch")
    table.add_column("layout", no_wrap=True)
    paid = setting.known_price(best.machine) is not None
    several = len(found.question.precisions) > 1
    s = best.serving
    rows = [
        (float(front.interactivity[i]), float(front.tput_per_gpu[i]), float(front.blended_mtok[i]),
         float(front.ttft[i]), float(front.batch[i]), _words(front.layouts[i], front.precisions[i], several), False)
        for i in spread(front)
        if not _same(front, i, best)
    ]  # fmt: skip
    rows.append(
        (float(s.interactivity), float(s.tput_per_gpu), float(best.cost.blended_mtok), float(s.ttft), best.batch,
         _words(best.layout, best.precision, several), True)
    )  # fmt: skip
    for speed, tput, price, ttft, size, words, mine in sorted(rows, key=lambda r: -r[0]):
        table.add_row(
            "▶" if mine else "", f"{speed:.1f}", f"{tput:,.0f}", money(price) if paid else "unknown", show(ttft, "s"),
            tokens(size), words, style="bold green" if mine else None,
        )  # fmt: skip
    indented(c, table, drop=("TTFT", "batch", "tok/s/GPU"))


def _same(front: Front, i: int, best: Plan) -> bool:
    """Whether a point of the front is the chosen plan itself."""
    return front.layouts[i] == best.layout and abs(float(front.batch[i]) / best.batch - 1) < 1e-9


def _words(layout: Layout, precision: Precision, several: bool) -> str:
    """The layout, and the formats where more than one set was tried."""
    return f"{layout.label()}  {precision.name}/{precision.kv.name}" if several else layout.label()


def chart_of(found: Answer) -> dict[str, Any]:
    """The front as a chart: throughput against speed, the chosen plan marked."""
    front, q = found.by_throughput, found.question
    marks = []
    if found.best is not None:
        s = found.best.serving
        marks.append(charts.Mark("chosen", float(s.interactivity), float(s.tput_per_gpu)))
    return charts.scatter(
        [charts.Series("Pareto front", front.interactivity.tolist(), front.tput_per_gpu.tolist(),
                       labels=front.labels)],
        title=f"{q.model.name} on {q.machine.name}",
        x=charts.Axis("Speed for one user", "tok/s/user", log=True),
        y=charts.Axis("Input + output tokens", "tok/s/GPU", log=True),
        marks=marks,
    )  # fmt: skip


def chart(answer: PlanAnswer) -> dict[str, Any]:
    return chart_of(answer.answer)


def _runner_up(c: Console, found: Answer) -> None:
    other = found.runner_up
    if other is None:
        return
    heading(c, "Runner-up", f"{other.layout.label()}, {formats(other.precision)}, batch {tokens(other.batch)}")
    line(c, f"{escape(found.runner_up_why[:1].upper() + found.runner_up_why[1:])}.")


# --- nothing fits -------------------------------------------------------------------------------------------------


def _nothing(c: Console, found: Answer) -> None:
    c.print()
    for reason in found.reasons:
        line(c, f"[bold red]No plan:[/] {escape(reason)}.", indent=0)
    near = found.nearest
    if near is None:
        return
    s, cost = near.serving, near.cost
    where = "" if near.machine.name == found.question.machine.name else f"on {near.machine.name}: "
    heading(c, "Nearest plan", f"{where}{near.layout.label()}, {formats(near.precision)}, batch {tokens(near.batch)}")
    price = f", {money(cost.blended_mtok)} per million tokens" if setting.known_price(near.machine) else ""
    line(
        c,
        f"TTFT {show(float(s.ttft), 's')}, TPOT {show(float(s.tpot), 's')}"
        f" ({float(s.interactivity):.1f} tok/s/user), {show(float(s.tput_per_gpu))} tok/s/GPU in and out{price}",
    )
