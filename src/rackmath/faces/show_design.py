"""The screen of `design`: the cheapest architecture of a quality, the best of each kind, where the laws are weak."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from ..units import show
from . import charts, records_design
from .explain import Node, count, product, quotient, stated
from .export import Face
from .show import bar, heading, indented, line, money, notes, numbers, wants_colour
from .show_allocate import millions

if TYPE_CHECKING:
    from ..decisions.design import Candidate
    from .ask_design import DesignAnswer


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
        f"[bold]{millions(best.total)}[/]: {show(best.tokens, 'tokens')} of training"
        f" ({best.tokens / best.active:,.0f} per active parameter) cost {millions(best.training)},"
        f" serving {millions(best.serving)}",
    )
    bar(c, {"training": best.training, "serving": best.serving}, unit="")
    if d.reference is not None:
        line(
            c,
            f"{n.model.name} itself: {millions(d.reference.total)}, of it training"
            f" {millions(d.reference.training)}: [bold]{1 - best.total / d.reference.total:.0%}[/] saved",
        )
    _table(c, answer)
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
    table = numbers("", "active", "tokens", "training", "serving", "total", "$/M out", title_width=24)
    for one in _best_of_each(d.candidates):
        _row(table, _kind(one), one)
    if d.reference is not None:
        table.add_section()
        _row(table, d.need.model.name.rpartition("/")[2], d.reference)
    indented(c, table, drop=["$/M out"])


def _row(table: Any, name: str, one: Candidate) -> None:
    table.add_row(
        name, show(one.active, "params").removesuffix(" params"), show(one.tokens, "tokens").removesuffix(" tokens"),
        millions(one.training), millions(one.serving), millions(one.total),
        money(float(one.plan.cost.output_mtok)),
    )  # fmt: skip


def _best_of_each(candidates: tuple[Candidate, ...]) -> list[Candidate]:
    found: dict[str, Candidate] = {}
    for one in candidates:
        found.setdefault(_kind(one), one)
    return list(found.values())


def _kind(one: Candidate) -> str:
    return one.member.label.partition(" ")[2] if one.member else one.model.name


def chart(answer: DesignAnswer) -> dict[str, Any]:
    """Dollars against active parameters, a line for each kind of the cheapest cache."""
    d = answer.design
    kv = d.best.member.kv if d.best.member else ""
    series = []
    for kind in dict.fromkeys(_kind(one) for one in d.candidates):
        if kind.endswith(kv):
            of = sorted((one for one in d.candidates if _kind(one) == kind), key=lambda one: one.active)
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
