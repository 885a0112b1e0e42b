"""The screen of a plan for a fixed number of users: what each of them sees comes first, dollars last."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from ..units import plural, show
from ..views import setting
from . import records
from .show import BETWEEN, between, heading, indented, line, money, numbers, on_devices, times, tokens

if TYPE_CHECKING:
    from ..search.plan import Answer, Plan


def head(c: Console, p: Plan, found: Answer, formats: str) -> None:
    """What runs where and what it is like to use; then the numbers with bounds and intervals."""
    _panel(c, p, formats)
    _numbers(c, p, found)


def tail(c: Console, p: Plan) -> None:
    """What a request takes, and dollars where the machine has a price."""
    s, traffic = p.serving, p.question.traffic
    rest = max(float(traffic.osl) - 1, 0.0)
    heading(c, "A request", f"{tokens(float(traffic.isl))} tokens in, {tokens(float(traffic.osl))} out")
    line(
        c,
        f"[bold]{show(float(s.ttft_mean) + rest * float(s.tpot), 's')}[/] ="
        f" {show(float(s.ttft_mean), 's')} to the first token + {rest:,.0f} x {show(float(s.tpot), 's')}",
    )
    price = setting.known_price(p.machine)
    if price is not None:
        kind = p.machine.price_kind.replace("_", "-")
        line(
            c,
            f"[dim]Used without a break it costs {money(price * float(p.layout.gpus))} an hour ({kind}):"
            f" {money(float(p.cost.output_mtok))} per million tokens out, {money(float(p.cost.input_mtok))} in.[/]",
        )


def replicas(p: Plan) -> int:
    """Replicas that serve all users, each at most as many as the plan's own."""
    return math.ceil(float(p.question.traffic.users or 1) / p.batch)


def _panel(c: Console, p: Plan, formats: str) -> None:
    from ..search.closed import longest_context

    users, s = float(p.question.traffic.users or 1), p.serving
    many = replicas(p)
    each = "" if users == 1 else " for each"
    text = Text.assemble((f"{float(s.interactivity):.3g} tok/s{each}", "bold green"))
    text.append(f", first token after {show(float(s.ttft), 's')}\n")
    gpus, most = float(p.layout.gpus), float(p.machine.n_devices)
    if not p.question.engine.local:
        where = f"{p.layout.label()}   {formats}\n"
    elif gpus > 1:
        where = f"layers over {gpus:,.0f} GPUs, which work in turn   {formats}\n"
    else:
        where = f"{on_devices(gpus, most)}   {formats}\n".removesuffix(" per replica")
    text.append(where)
    if many > 1:
        text.append(f"{many:,} replicas {on_devices(gpus, most)}, {tokens(p.batch)} users or fewer in each\n")
    text.append(f"{tokens(longest_context(p))} tokens of context fit{each}")
    title = f"plan for {'one user' if users == 1 else plural(users, 'user')}"
    c.print(Panel(text, title=title, title_align="left", border_style="green", expand=False))


def _numbers(c: Console, p: Plan, found: Answer) -> None:
    s, limits, spans = p.serving, found.objectives, records.spans(p)
    table = numbers("", "estimate", BETWEEN, "bound", "apart", "objective", title_width=28)

    def row(name: str, key: str, estimate: float, bound: float, unit: str, limit: str) -> None:
        gap = times(max(estimate, bound), min(estimate, bound))
        table.add_row(
            name, f"[bold]{show(estimate, unit)}[/]", between(spans[key], unit), show(bound, unit),
            f"[dim]{gap}[/]", limit,
        )  # fmt: skip

    ttft = f"≤ {show(limits.max_ttft, 's')}" if limits.max_ttft < math.inf else ""
    tpot = f"≤ {show(limits.max_tpot, 's')}" if limits.max_tpot < math.inf else ""
    fast = f"≥ {1 / limits.max_tpot:.3g}" if limits.max_tpot < math.inf else ""
    row("tok/s for a user", "interactivity", float(s.interactivity), 1 / float(s.tpot_bound), "", fast)
    row("TPOT, time per output token", "tpot", float(s.tpot), float(s.tpot_bound), "s", tpot)
    row("TTFT, time to first token", "ttft", float(s.ttft), float(s.ttft_bound), "s", ttft)
    c.print()
    indented(c, table, drop=("apart",))
