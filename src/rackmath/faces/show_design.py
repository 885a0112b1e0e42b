"""The screen of `design`: the cheapest architecture of a quality, the best of each kind, where the laws are weak."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.text import Text

from ..answers.text import cell
from ..kernel.counts import total_parameters
from ..units import show
from ..views.machine_terms import Node, count, product, quotient, stated
from ..views.setting import RESOURCES
from . import charts, records_design
from .export import Face
from .show import BETWEEN, bar, heading, indented, line, money, notes, numbers, wants_colour

if TYPE_CHECKING:
    from ..decisions.design import Candidate, Design
    from .ask_design import DesignAnswer


def _millions(dollars: Any) -> str:
    number = float(dollars)
    return cell(float(f"{number:.3g}") if number < 1e6 else number, "dollars") if math.isfinite(number) else "–"


def face(answer: DesignAnswer) -> Face:
    """All faces of the answer."""
    return Face(
        record=lambda: records_design.record(answer),
        rows=lambda: records_design.rows(answer),
        screen=lambda c: screen(c, answer),
        tree=lambda: tree(answer),
        chart=lambda: chart(answer),
    )


def screen(c: Console, answer: DesignAnswer) -> None:
    """Print the answer."""
    d = answer.design
    n, best = d.need, d.best
    months = f"{n.months:g} month{'' if n.months == 1 else 's'}"
    c.print(Text.assemble("The quality of ", (n.model.name, "bold"), " for the least dollars, on ",
                          (n.machine.name, "bold")))  # fmt: skip
    c.print(
        Text(
            f"loss {d.loss:.4g} ({show(n.tokens, 'tokens')}, {n.law.name}) · {show(n.rate, 'tok/s')} for {months} ·"
            f" {float(n.traffic.isl):,.0f} in, {float(n.traffic.cached):.0%} cached, {float(n.traffic.osl):,.0f} out"
            f" · {money(float(n.machine.price_per_hour))} per GPU-hour",
            style="dim",
        )
    )
    heading(c, "Cheapest", best.member.label if best.member else best.model.name)
    line(
        c,
        f"[bold]{_millions(best.total)}[/] ({_span(d.ends[0])}): {show(best.tokens, 'tokens')} of training"
        f" ({best.tokens / best.active:,.0f} per active parameter) cost {_millions(best.training)},"
        f" serving {_millions(best.serving)}",
    )
    bar(c, {"training": best.training, "serving": best.serving}, unit="")
    if d.reference is not None:
        line(
            c,
            f"{n.model.name} itself: {_millions(d.reference.total)}, of it training"
            f" {_millions(d.reference.training)}: [bold]{1 - best.total / d.reference.total:.0%}[/] saved",
        )
    _table(c, answer)
    _experts(c, answer)
    c.print()
    c.print(Text.from_ansi(charts.draw(chart(answer), width=c.width, height=18, color=wants_colour(c))))
    heading(c, "Where the laws are weak")
    for said in d.weak:
        line(c, f"• {said}")
    fell = [f"{count} of the family: {reason}" for reason, count in d.fell_out.items()]
    notes(c, (
        f"serving runs in {n.precision.name}, training in bf16; quality is not charged for it, nor RL or failed runs",
        f"training tokens of {n.model.name}: {answer.tokens_source}",
        *fell,
        *answer.notes,
    ))  # fmt: skip


def _table(c: Console, answer: DesignAnswer) -> None:
    d = answer.design
    heading(c, "The best of each kind", f"{len(d.candidates)} of this quality")
    table = numbers(
        "", "active", "tokens", "training", "serving", "total", BETWEEN, "cheapest in", "$/M out", title_width=24
    )
    for one, ends in _best_of_each(d).values():
        _row(table, one.kind, one, _span(ends), f"{d.shares[one.kind]:.0%}")
    if d.reference is not None:
        table.add_section()
        _row(table, d.need.model.name.rpartition("/")[2], d.reference)
    indented(c, table, drop=["$/M out", "tokens", "serving", "training"])
    never = "; ∞: in some draws no number of tokens reaches the loss" if np.any(np.isinf(d.ends)) else ""
    line(c, f"[dim]cheapest in: share of draws of the laws in which one of this kind is the cheapest{never}[/]")


def _span(ends: tuple[float, float]) -> str:
    return f"{_millions(ends[0]).removesuffix(' M')} to {_millions(ends[1]) if math.isfinite(ends[1]) else '∞'}"


def _row(table: Any, name: str, one: Candidate, span: str = "", share: str = "") -> None:
    table.add_row(
        name, show(one.active, "params").removesuffix(" params"), show(one.tokens, "tokens").removesuffix(" tokens"),
        _millions(one.training), _millions(one.serving), _millions(one.total), span, share,
        money(float(one.plan.cost.output_mtok)),
    )  # fmt: skip


def _experts(c: Console, answer: DesignAnswer) -> None:
    """Whether experts pay, and why: the cheapest with them beside the cheapest without."""
    d = answer.design
    pair = [one for one in (d.best_of(routed=True), d.best_of(routed=False)) if one is not None]
    if len(pair) < 2:
        return
    routed, dense = pair
    ratio = dense.total / routed.total
    said = f"the best dense model costs {ratio:.3g}x" if ratio >= 1 else f"a dense model costs {ratio:.0%}"
    heading(c, "Do experts pay?", f"{said} of the best with experts" if ratio < 1 else f"yes: {said} as much")
    table = numbers("", *(one.kind for one in pair), title_width=30)
    rows = {
        "effective over active params": [f"{one.effective / one.active:.3g}x" for one in pair],
        "all parameters": [show(total_parameters(one.model), "params").removesuffix(" params") for one in pair],
        "served by": [one.plan.layout.label() for one in pair],
        "sequences per device": [f"{one.plan.batch / one.plan.layout.gpus:.3g}" for one in pair],
    }
    shares = [one.plan.serving.shares for one in pair]
    for key in shares[0]:
        whole = [sum(float(v) for v in s.values()) for s in shares]
        rows[f"a step: {RESOURCES[key]}"] = [
            f"{float(s[key]) / w:.0%}" for s, w in zip(shares, whole, strict=True)
        ]  # fmt: skip
    for name, cells in rows.items():
        table.add_row(name, *cells)
    indented(c, table)
    for said in _because(d, routed):
        line(c, said)


def _because(d: Design, routed: Candidate) -> list[str]:
    """What experts are worth by each law, why laws differ, and what laboratories do."""
    worths = ", ".join(f"{name} [bold]{value:.3g}x[/]" for name, value in d.worths.items())
    found = [f"What experts are worth over {show(routed.active, 'params').removesuffix(' params')} active: {worths}."]
    if {"tian", "clark-s-base"} <= set(d.worths):
        found.append(
            "All of Clark's models had 130 B tokens, so its large routed ones were starved and the gain ends near a"
            " trillion parameters. Tian's had the tokens that their compute asks for, and the gain grows with it."
            " --routed clark-s-base works out the other."
        )
    found.append(
        "Laboratories build with experts: DeepSeek-V3 (8 of 256), Kimi-K2 (8 of 384), Qwen3-235B (8 of 128),"
        " gpt-oss-120b (4 of 128); the last open dense models above 100 B are of July 2024."
    )
    return found


def _best_of_each(d: Design) -> dict[str, tuple[Candidate, tuple[float, float]]]:
    """By kind, its cheapest with the interval of that."""
    found: dict[str, tuple[Candidate, tuple[float, float]]] = {}
    for one, ends in zip(d.candidates, d.ends, strict=True):
        found.setdefault(one.kind, (one, ends))
    return found


def chart(answer: DesignAnswer) -> dict[str, Any]:
    """Dollars against active parameters, a line for each kind of the cheapest cache."""
    d = answer.design
    kv = d.best.member.kv if d.best.member else ""
    series = []
    for kind in dict.fromkeys(one.kind for one in d.candidates):
        if kind.endswith(kv):
            of = sorted((one for one in d.candidates if one.kind == kind), key=lambda one: one.active)
            series.append(
                charts.Series(kind, [one.active for one in of], [one.total / 1e6 for one in of],
                              labels=[f"{show(one.tokens, 'tokens')}" for one in of])
            )  # fmt: skip
    marks = [charts.Mark("cheapest", d.best.active, d.best.total / 1e6)]
    if d.reference is not None:
        marks.append(charts.Mark(d.need.model.name.rpartition("/")[2], d.reference.active, d.reference.total / 1e6))
    return charts.curve(
        series,
        title=f"Training and serving at the quality of {d.need.model.name}",
        x=charts.Axis("Active parameters", "params", log=True),
        y=charts.Axis("Cost", "M$", log=True),
        marks=marks,
    )


def tree(answer: DesignAnswer) -> Node:
    """The cheapest candidate as terms."""
    from ..decisions.allocation import MONTH

    d = answer.design
    n, best = d.need, d.best
    per_token = quotient("training of a token", "$",
                         Node(name="a run of 1e12 tokens", value=best.run.dollars, unit="$"),
                         count("tokens of that run", best.run.job.tokens))  # fmt: skip
    tokens = Node(name="tokens that reach the loss", value=best.tokens, unit="tokens", source=n.law.source)
    length = stated("sum", "tokens of a request", float(n.traffic.isl + n.traffic.osl), "",
                    count("in", float(n.traffic.isl)), count("out", float(n.traffic.osl)))  # fmt: skip
    served = product("tokens served", "tokens", count("tokens per second", n.rate), count("months", n.months),
                     count("seconds of a month", MONTH))  # fmt: skip
    requests = stated("quotient", "requests", n.requests, "", served, length)
    request = Node(name="a request", value=float(best.plan.cost.request), unit="$",
                   note=f"cheapest plan: {best.plan.layout.label()}")  # fmt: skip
    training = stated("product", "training", best.training, "$", per_token, tokens)
    serving = stated("product", "serving", best.serving, "$", request, requests)
    total = stated("sum", "cost", best.total, "$", training, serving)
    size = Node(name="active parameters", value=best.active, unit="params")
    worth = Node(name="effective parameters", value=best.effective, unit="params", source=n.routed.source)
    loss = Node(name="loss to reach", value=d.loss, unit="nats per token", source=n.law.source)
    return Node(name=f"the cheapest of this quality: {best.model.name}", children=(total, size, worth, loss))
