"""The screen of `allocate`: four splits side by side, two estimates of over-training, what the answer depends on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from ..scaling import drift
from ..units import plural, show
from . import chart_allocate, charts, explain_allocate, records_allocate
from .ask_allocate import ROUNDED
from .export import Face
from .show import BETWEEN, bar, between, heading, indented, line, money, notes, numbers, wants_colour

if TYPE_CHECKING:
    from ..arrays import Number
    from ..decisions.allocation_ranges import Ends, Swing
    from .ask_allocate import AllocateAnswer


def face(answer: AllocateAnswer) -> Face:
    """All faces of the answer."""
    return Face(
        record=lambda: records_allocate.record(answer),
        rows=lambda: records_allocate.rows(answer),
        screen=lambda c: screen(c, answer),
        tree=lambda: explain_allocate.tree(answer),
        chart=lambda: chart_allocate.both(answer),
    )


def screen(c: Console, answer: AllocateAnswer) -> None:
    """Print the splits."""
    p = answer.problem
    c.print(Text.assemble("Splitting ", (_given(answer), "bold"), " between pre-training, RL and inference"))
    price = f"{money(p.per_hour)} per GPU-hour of {answer.priced.name}"
    found = " (found by search)" if answer.rates is not None else ""
    c.print(
        Text(
            f"law {p.law.name} · RL {p.rl_flops:g} FLOP per parameter and token · decode-heavy work at"
            f" {p.efficiency:.2g} of training's utilisation{found} · {price}, MFU {p.mfu:.2g}{found}",
            style="dim",
        )
    )
    if answer.outside:
        line(c, f"[bold yellow]Extrapolated:[/] {p.law.name} was not fitted here ({'; '.join(answer.outside)});"
             " intervals grow with the distance from those runs", indent=0)  # fmt: skip
    _modes(c, answer)
    _chosen(c, answer)
    if answer.tensions:
        _tension(c, answer)
    if answer.swings:
        _tornado(c, answer)
    c.print()
    drawn = charts.draw(chart_allocate.cost(answer), width=c.width, height=18, color=wants_colour(c))
    c.print(Text.from_ansi(drawn))
    notes(c, _notes(answer))


def _given(answer: AllocateAnswer) -> str:
    p = answer.problem
    parts = []
    if p.dollars is not None:
        parts.append(millions(p.dollars))
    if p.flops is not None:
        parts.append(f"{float(p.flops):.3g} FLOP")
    if p.rate is not None:
        months = float(p.months)
        parts.append(f"{show(float(p.rate), 'tok/s')} for {months:g} month{'' if months == 1 else 's'}")
    if p.active is not None:
        parts.append(f"{show(float(p.active), 'params').removesuffix(' params')} active parameters")
    return ", ".join(parts)


def _modes(c: Console, answer: AllocateAnswer) -> None:
    heading(c, "Four rules", "for the same tokens served")
    splits = list(answer.splits.values())
    table = numbers("", *(f"[bold]{s.mode}[/]" if s.mode == answer.mode else s.mode for s in splits), title_width=24)

    def row(name: str, *cells: str) -> None:
        table.add_row(name, *cells)

    def each(name: str, of: str, unit: str) -> None:
        row(name, *(_text(getattr(s, of), unit) for s in splits))

    each("active parameters", "params", "params")
    each("tokens trained on", "tokens", "tokens")
    each("RL tokens", "rl_tokens", "tokens")
    each("tokens served", "served", "tokens")
    table.add_section()
    each("tokens per parameter", "tokens_per_param", "")
    row("over 20 per parameter", *(_times(s.over_rule) for s in splits))
    row("over the law's own", *(_times(s.over_law) for s in splits))
    table.add_section()
    row("share: pre-training", *(_share(s.share) for s in splits))
    row("RL", *(_share(s.rl / s.total) for s in splits))
    row("inference", *(_share(s.inference / s.total) for s in splits))
    table.add_section()
    row("FLOP of training", *(f"{float(s.total):.3g}" if math.isfinite(s.total) else "–" for s in splits))
    row("cost", *(millions(s.dollars) for s in splits))
    row("loss", *(f"{float(s.loss):.4f}" if math.isfinite(s.loss) else "–" for s in splits))
    indented(c, table)
    if answer.solved:
        line(c, "[dim]The size was not given: it is the one for which the equal split is the optimum, so all agree."
                " Give --active to see them differ.[/]")  # fmt: skip
    else:
        line(c, "[dim]optimum: the least cost at the equal split's loss; exponent: its approximation by power laws;"
                " same-cost: the least loss for the same money[/]")  # fmt: skip
    if not answer.solved and not math.isfinite(answer.splits["exponent"].total):
        line(c, "[dim]exponent: no answer. Training does not get cheaper with size here: the equal split trains on"
                " fewer tokens than suit its parameters.[/]")  # fmt: skip


def _chosen(c: Console, answer: AllocateAnswer) -> None:
    s, spans = answer.best, answer.intervals
    heading(c, f"Mode {answer.mode}", "the rule that intervals and swings are of")
    if not math.isfinite(s.total):
        return
    table = numbers("", "estimate", BETWEEN, title_width=24)
    table.add_row("active parameters", _text(s.params, "params"), _bare(spans["params"], "params"))
    table.add_row("tokens trained on", _text(s.tokens, "tokens"), _bare(spans["tokens"], "tokens"))
    table.add_row("tokens per parameter", show(float(s.tokens_per_param)), between(spans["tokens_per_param"]))
    table.add_row("over 20 per parameter", _times(s.over_rule), _factors(spans["over_rule"]))
    low, high = spans["share"]
    table.add_row("share of pre-training", _share(s.share), f"{low:.0%} to {high:.0%}" if high > low * 1.001 else "")
    low, high = spans["dollars"]
    unit, scale = (" M", 1e6) if float(s.dollars) >= 1e6 else ("", 1.0)
    table.add_row("cost", millions(s.dollars),
                  between((low / scale, high / scale), "$") + unit if high > low * 1.001 else "")  # fmt: skip
    indented(c, table)
    price = float(s.flop_price)
    parts = {"pre-training": s.pre, "RL": s.rl, "inference": s.inference}
    c.print()
    bar(c, {name: float(flops) for name, flops in parts.items()}, unit="")
    line(c, "[dim]" + ", ".join(f"{name} {millions(f * price)}" for name, f in parts.items()) + "[/]")


def _tension(c: Console, answer: AllocateAnswer) -> None:
    start = answer.splits["equal"]
    over, params = float(start.over_rule), show(float(start.params), "params").removesuffix(" params")
    heading(c, "Over-training, estimated twice", f"at {params} active parameters")
    line(
        c,
        f"By traffic: [bold]{over:.0f}x[/] 20 tokens per parameter, {show(float(start.tokens), 'tokens')} over"
        f" {show(20 * float(start.params), 'tokens')}, if all parts cost the same. By the law, a share of"
        " pre-training is the optimum only at",
    )
    shares = list(answer.tensions[0].by_share)
    table = numbers("", *(t.law.name for t in answer.tensions), title_width=38)
    for share in shares:
        factors = (_ranged(t.by_share[share], t.by_share_ends.get(share)) for t in answer.tensions)
        table.add_row(f"a share of {share:.0%}: over the law's own", *factors)
        table.add_row("  tokens per parameter", *(f"{t.by_share[share] * t.balanced:,.0f}" for t in answer.tensions))
    table.add_section()
    for factor in answer.tensions[0].needed:
        said = f"{factor:.0f}x" + (" (200 T rounded over 2 T)" if factor == ROUNDED else " (the traffic)")
        table.add_row(f"share that asks for {said}", *(
            _ranged(t.needed[factor], t.needed_ends.get(factor), share=True) for t in answer.tensions))  # fmt: skip
    table.add_row("the law's own tokens per parameter", *(f"{t.balanced:.3g}" for t in answer.tensions))
    indented(c, table)
    line(c, "[dim]Equal shares and over-training by traffic are two estimates; both hold only where the numbers"
            " meet.[/]")  # fmt: skip


def _tornado(c: Console, answer: AllocateAnswer) -> None:
    value = float(answer.best.tokens_per_param)
    low, high = chart_allocate.span(answer)
    heading(c, "What it depends on", f"tokens per parameter, {show(value)}, one input at a time")
    roomy = c.width >= 92
    columns = max(16, min(40, c.width - 62 - (14 if roomy else 0)))
    table = numbers("○ low to ● high", "moved", "answer", "", title_width=22)
    table.columns[-1].justify = "left"
    for s in answer.swings:
        picture = chart_allocate.swing_text(s, value, (low, high), columns)
        table.add_row(chart_allocate.name_of(s), _ends(s), f"{_short(s.low)} to {_short(s.high)}", picture)
    indented(c, table, drop=["moved"])


def _ranged(value: float, ends: Ends | None, *, share: bool = False) -> str:
    """A factor, or a share, with its interval."""
    if ends is None:
        return _share(value) if share else _times(value)
    if share:
        return f"{_share(value)} ({ends[0]:.0%} to {ends[1]:.0%})"
    return f"{_times(value)} ({show(ends[0], digits=2)} to {show(ends[1], digits=2)})"


def _ends(s: Swing) -> str:
    if s.ends is None:
        return f"{s.labels[0]}, {s.labels[1]}"
    if s.name in ("share", "ship", "mfu"):
        return f"{s.ends[0]:.0%} to {s.ends[1]:.0%}"
    unit = {"rate": "tok/s", "active": "params", "dollars": "$", "per_hour": "$/h"}.get(s.name, "")
    if s.name == "dollars":
        return f"{money(s.ends[0] / 1e6)} to {money(s.ends[1] / 1e6)} M"
    if s.name == "flops":
        return f"{s.ends[0]:.2g} to {s.ends[1]:.2g}"
    low, high = (show(e, unit, digits=2).removesuffix(" params") for e in s.ends)
    return f"{low} to {high}"


def _notes(answer: AllocateAnswer) -> list[str]:
    p = answer.problem
    said = [
        "FLOP count device time at training's MFU, so a token served counts"
        f" {float(p.serve_flops):.3g} per parameter, an RL token {float(p.rl_flops / p.efficiency):.3g}",
        "the law knows neither RL nor the quality of tokens; text beyond what exists must repeat or be made",
    ]
    drawn = "the law's coefficients, " if p.law.sample is not None else ""
    if answer.outside:
        drawn += f"its exponents beyond its runs ({drift.DRIFT:.0%} to either side from their edge on), "
    names = [chart_allocate.NAMES[n] for n in answer.ranges if n in ("rl_flops", "efficiency", "mfu", "per_hour")]
    said.append(f"intervals draw {drawn}{', '.join(names)}" + (
        "" if p.law.sample is not None else f"; {p.law.name} was published without draws"))  # fmt: skip
    if p.rate is not None and float(p.ship) < 1:
        said.append(f"tokens served are expected ones: the model ships with probability {float(p.ship):.0%}")
    if answer.rates is not None:
        r = answer.rates
        said.append(
            f"rates of a dense model of {r.params / 1e9:.3g} B: trained on {plural(r.run.devices, 'device')}"
            f" ({r.run.layout.label()}), served by {r.plan.layout.label()} in {r.plan.precision.name} at"
            f" {money(float(r.plan.cost.output_mtok))} per M output tokens"
        )
    return [*said, *answer.notes]


def _text(value: object, unit: str) -> str:
    number = float(value)  # type: ignore[arg-type]
    return show(number, unit).removesuffix(f" {unit}") if math.isfinite(number) else "–"


def _bare(span: tuple[float, float], unit: str) -> str:
    """An interval without its unit; empty where both ends agree."""
    return "" if span[1] <= span[0] * (1 + 1e-9) else between(span, unit).replace(f" {unit}", "")


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _times(value: object) -> str:
    number = float(value)  # type: ignore[arg-type]
    return (f"{number:,.0f}x" if number >= 100 else f"{number:.3g}x") if math.isfinite(number) else "–"


def _factors(span: tuple[float, float]) -> str:
    return f"{_times(span[0]).removesuffix('x')} to {_times(span[1])}"


def _share(value: object) -> str:
    number = float(value)  # type: ignore[arg-type]
    return f"{number:.0%}" if math.isfinite(number) else "–"


def millions(dollars: Number) -> str:
    """Dollars in millions, below one million in dollars.

    >>> millions(38.6e6), millions(70658.6)
    ('$38.60 M', '$70,700')
    """
    number = float(dollars)
    if not math.isfinite(number):
        return "–"
    return money(float(f"{number:.3g}")) if number < 1e6 else f"{money(number / 1e6)} M"
