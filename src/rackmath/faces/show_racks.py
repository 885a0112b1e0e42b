"""The screens of `racks`: a model over domains, and the link ratios of the catalogue."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from ..units import show
from . import charts, explain_racks, records, records_racks
from .ask_racks import RacksAnswer, RatioAnswer
from .export import Face
from .show import heading, indented, line, money, notes, numbers, tokens, wants_colour
from .show_plan import formats

if TYPE_CHECKING:
    from ..search.racks import Ratio

ROOMY = 90
"""Columns of a terminal below which tables leave out what follows from other columns."""

WAYS = ("direct", "hierarchical", "scale-out", "all-gather")


def face(answer: RacksAnswer) -> Face:
    """The faces of a model over domains."""
    return Face(
        record=lambda: records_racks.racks(answer),
        rows=lambda: records_racks.floor_rows(answer),
        screen=lambda c: screen(c, answer),
        tree=lambda: explain_racks.racks(answer),
        chart=lambda: chart(answer),
    )


def ratio_face(answer: RatioAnswer) -> Face:
    """The faces of link ratios."""
    return Face(
        record=lambda: records_racks.ratio_rows(answer),
        rows=lambda: records_racks.ratio_rows(answer),
        screen=lambda c: ratio_screen(c, answer),
        tree=lambda: explain_racks.ratios(answer),
    )


def screen(c: Console, answer: RacksAnswer) -> None:
    """Print placement, exchanges, the price of crossing, and the domain sizes."""
    r = answer.racks
    q = r.question
    c.print(Text.assemble((q.model.name, "bold"), " over the racks of ", (q.machine.name, "bold")))
    doing = (
        f"decoding {tokens(round(r.cases[0].tokens))} sequences"
        if r.work.phase == "decode"
        else f"prefilling {tokens(r.work.per_device)} tokens a device"
    )
    aside = f"{r.cases[0].layout.label()}, {formats(r.precision)}, {doing} at {tokens(r.work.context)} tokens"
    c.print(Text(aside + (", two half batches" if q.efficiency.overlap else ""), style="dim"))
    if r.placed is not None:
        _placement(c, answer)
    if r.cases[0].moved is not None:
        _ways(c, answer)
    elif r.cases[0].scheme == "all-reduce":
        heading(c, "Exchange of one layer", "every rank holds every token: results are summed by an all-reduce")
    _cases(c, answer)
    _domains(c, answer)
    _beside(c, answer)
    notes(c, answer.notes)


def _placement(c: Console, answer: RacksAnswer) -> None:
    r = answer.racks
    p = r.placed
    assert p is not None
    heading(c, "Placement", f"{p.n_experts:g} experts of a layer on {p.devices:g} devices")
    copies = f"{p.redundant:g} second copies" if p.redundant else "no copies"
    kept = f"{p.n_shared:g} shared" if p.n_shared else "none shared"
    each = f"[bold]{p.per_device:g} routed"
    each += f" + {p.n_shared:g} shared[/]" if p.n_shared else "[/]"
    share = r.resident / float(r.question.machine.hbm_capacity)
    line(c, f"{each} on each device, {show(r.resident, 'B')} over all layers ({share:.0%} of its memory)")
    uneven = (
        f"an even split leaves {p.remainder:g} over: {p.emptiest:g} or {p.fullest:g} different experts on a device"
        if p.remainder
        else "the split is even"
    )
    idle = f", {p.idle:g} slots idle" if p.idle else ""
    line(c, f"[dim]{uneven}; {copies}{idle}; {kept}[/]")


def _ways(c: Console, answer: RacksAnswer) -> None:
    r = answer.racks
    here = r.cases[0]
    moved = here.moved
    assert moved is not None
    heading(c, "Exchange of one layer", f"out in {r.precision.sent.name}, back in {r.precision.combine.name}")
    inside = "in one domain" if not here.crosses else f"over {here.domains:g} domains"
    visits = f"a token visits {float(moved.devices):.2f} distinct devices"
    if here.crosses:
        visits += f" in {float(moved.domains):.2f} distinct domains"
    uneven = f"the busiest rank gets {r.question.efficiency.imbalance:.3g} times the mean"
    line(c, f"{visits}; {uneven}; {tokens(float(moved.own))} tokens leave each device")
    table = numbers(inside, "seconds", "", title_width=22)
    for name in WAYS:
        seconds = float(moved.times[name])
        if not math.isfinite(seconds) or (name == "hierarchical" and not here.crosses):
            continue
        label = "scale-up links" if name == "direct" and not here.crosses else name
        taken = name == here.scheme
        table.add_row(label, show(seconds, "s"), "<- taken" if taken else "", style="bold" if taken else None)
    indented(c, table)
    hidden = float(here.time.hidden)
    if hidden > 0:
        whole = float(here.time.hideable)
        line(c, f"two half batches hide {show(hidden, 's')} of the pass's {show(whole, 's')} of exchange")
    elif r.question.efficiency.overlap:
        line(c, "two half batches do not pay here: reading the weights twice takes longer than what they hide")


def _cases(c: Console, answer: RacksAnswer) -> None:
    r = answer.racks
    heading(c, "What crossing costs", "the same work on each device")
    paid = records.known_price(r.question.machine) is not None
    names = ["", "domains", "exchange", "pass", "bound", "tok/s/GPU"] + ["$/M tokens"] * paid
    if c.width < ROOMY:
        names.remove("bound")
    table = numbers(*names)
    for one in r.cases:
        cells = {
            "": one.label if one.layout == r.cases[0].layout else f"{one.label}: {one.layout.label()}",
            "domains": f"{one.domains:g}",
            "exchange": show(one.exchange, "s") if one.scheme else "-",
            "pass": show(float(one.time.estimate), "s"),
            "bound": show(float(one.time.bound), "s"),
            "tok/s/GPU": tokens(round(one.rate / float(one.layout.gpus))),
            "$/M tokens": money(records_racks.finite(one.mtok)),
        }
        if not one.fits:
            cells |= {"exchange": "does", "pass": "not fit", "bound": "", "tok/s/GPU": "-", "$/M tokens": "-"}
        table.add_row(*(cells[name] for name in names), style=None if one.fits else "dim")
    indented(c, table)
    here = r.cases[0]
    if here.crosses and here.scheme:
        exchange, whole = f"[bold]{r.exchange_factor:.2f}x[/]", f"[bold]{r.pass_factor:.2f}x[/]"
        line(
            c,
            f"crossing makes the exchange {exchange} and the pass {whole} as long"
            + (
                f"; the links alone would say {r.least_factor:.2f}x, (1 - 1/{here.domains:g}) x {r.ratio:.3g}"
                if math.isfinite(r.ratio)
                else ""
            ),
        )
    elif math.isfinite(r.ratio):
        line(c, f"[dim]it stays in one domain; the link beyond it is {r.ratio:.3g} times slower per device[/]")


def _domains(c: Console, answer: RacksAnswer) -> None:
    r = answer.racks
    f = r.floors
    heading(c, "The same chip in other domains", f"{tokens(f.batch)} sequences, fastest layout of each size")
    c.print(Text.from_ansi(charts.draw(chart(answer), width=c.width, height=15, color=wants_colour())))
    names = ["domain", "weights read", "bound", "step", "collectives", "launches", "tok/s/user", "layout"]
    if c.width < ROOMY:
        names.remove("bound")
    table = numbers(*names)
    table.columns[0].justify = "right"
    reached = f.reaching(r.target) if r.target else None
    for i in range(len(f.devices)):
        cells = {
            "domain": f"{f.devices[i]:g}",
            "weights read": show(float(f.weights[i]), "s"),
            "bound": show(float(f.bound[i]), "s"),
            "step": show(float(f.estimate[i]), "s"),
            "collectives": show(float(f.network[i]), "s"),
            "launches": show(float(f.overhead[i]), "s"),
            "tok/s/user": f"{1 / float(f.estimate[i]):.3g}" if f.fits[i] else "-",
            "layout": f.layouts[i].label() if f.fits[i] else "does not fit",
        }
        style = "bold" if i == reached else None if f.fits[i] else "dim"
        table.add_row(*(cells[name] for name in names), style=style)
    indented(c, table)
    if r.target is not None:
        best = f.fastest
        if reached is not None:
            line(c, f"[bold]{f.devices[reached]:g}[/] devices in one domain give {r.target:g} tok/s to each user")
        elif best is not None:
            most = 1 / float(f.estimate[best])
            line(
                c,
                f"no domain tried gives {r.target:g} tok/s to each user; {f.devices[best]:g} devices give {most:.0f}",
            )
        else:
            line(c, "no domain tried holds the model and its users")


def _beside(c: Console, answer: RacksAnswer) -> None:
    r = answer.racks
    if not r.steps:
        return
    heading(c, "All weights read once", f"by one domain of each machine, {r.precision.name} weights")
    table = numbers("machine", "packages", "floor", "faster", "by size", "by chip", "")
    for s in r.steps:
        table.add_row(
            s.machine.name, f"{s.devices:g}", show(s.floor, "s"), f"{s.times:.3g}x", f"{s.by_domain:.3g}x",
            f"{s.by_chip:.3g}x", "" if s.fits else "too small for the weights",
        )  # fmt: skip
    indented(c, table)


def chart(answer: RacksAnswer) -> dict[str, Any]:
    """A decode step against the size of the domain."""
    r = answer.racks
    f = r.floors
    x = f.devices.tolist()
    marks = []
    domain = float(r.question.machine.domain)
    if x[0] <= domain <= x[-1]:
        marks.append(charts.Mark(f"{r.question.machine.accelerator}: {domain:g}", domain))
    series = [
        charts.Series("step", x, f.estimate.tolist()),
        charts.Series("bound", x, f.bound.tolist(), look="dashed"),
        charts.Series("all weights read once", x, f.weights.tolist(), look="dashed"),
        charts.Series("collectives in the step", x, f.network.tolist(), look="dashed"),
    ]
    if r.target is not None:
        series.append(charts.Series(f"{r.target:g} tok/s/user", [x[0], x[-1]], [1 / r.target] * 2, look="dashed"))
    return charts.curve(
        series,
        title=f"{r.question.model.name}: decode step against domain size",
        x=charts.Axis("Devices in one domain", log=True), y=charts.Axis("Time per step", "s", log=True), marks=marks,
    )  # fmt: skip


# --- link ratios --------------------------------------------------------------------------------------------------


def ratio_screen(c: Console, answer: RatioAnswer) -> None:
    """Print scale-up over scale-out bandwidth, per device and one way."""
    c.print(Text("Scale-up over scale-out bandwidth", style="bold"))
    c.print(Text("Per device and one way. The lecture's figure is 8.", style="dim"))
    c.print()
    table = numbers("machine", "domain", "scale-up", "scale-out", "ratio")
    table.add_column("")
    kept: dict[tuple[Any, ...], Ratio] = {}
    for r in answer.ratios:  # a system of the same chips on the same links is left out: chips come first
        m = r.machine
        kept.setdefault((m.accelerator, m.domain, m.scaleup_bandwidth, m.scaleout_bandwidth), r)
    for r in sorted(kept.values(), key=lambda r: (-r.machine.year, r.machine.vendor, r.machine.name)):
        m = r.machine
        known = math.isfinite(r.ratio)
        dies = f"{float(m.domain) * float(m.dies):g} dies" if float(m.dies) > 1 else ""
        doubt = "" if r.verified or not known else "unverified"
        up, out = show(float(m.scaleup_bandwidth), "B/s"), show(float(m.scaleout_bandwidth), "B/s")
        aside = Text(", ".join(w for w in (dies, doubt) if w), style="dim")
        table.add_row(m.name, f"{m.domain:g}", up, out, f"{r.ratio:.3g}" if known else "-", aside)
    indented(c, table)
    line(c, "[dim]domain: packages that the scale-up fabric joins. Sources: rackmath racks --explain[/]")
    notes(c, answer.notes)
