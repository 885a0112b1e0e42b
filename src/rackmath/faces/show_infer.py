"""The screen of `infer`: what was read, beliefs before and after, which number carries it, and what that means."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from ..units import show
from . import chart_infer, explain_infer, records_infer
from .export import Face
from .show import BETWEEN, between, heading, indented, line, money, notes, numbers, tokens

if TYPE_CHECKING:
    from ..decisions.inverse import Inference, Posterior
    from ..decisions.likelihood import Observation
    from .ask_infer import InferAnswer

LITTLE, SOME = 0.1, 0.4
"""Bits below which prices say nothing to speak of, and below which they say little."""

SHOWN = {
    "The model": ("active_params", "total_params", "kv_bytes", "layers"),
    "How it is run": ("price_per_hour", "batch", "speed", "context", "idle"),
    "What is left": ("margin", "margin_input", "margin_output"),
}


def face(answer: InferAnswer) -> Face:
    """All faces of the answer."""
    return Face(
        record=lambda: records_infer.record(answer),
        rows=lambda: records_infer.rows(answer),
        screen=lambda c: screen(c, answer),
        tree=lambda: explain_infer.tree(answer),
        chart=lambda: chart_infer.chart(answer),
    )


def screen(c: Console, answer: InferAnswer) -> None:
    """Print the reading."""
    r = answer.inference
    c.print(Text.assemble((answer.prices.model, "bold"), f" on {answer.prices.day}, read backwards"))
    c.print(Text(" · ".join(listed(o) for o in r.seen), style="dim"))
    if answer.known:
        c.print(Text("known: " + ", ".join(f"{k} {v}" for k, v in answer.known.items()), style="dim"))
    if answer.priors:
        c.print(Text("believed: " + ", ".join(f"{k} {v}" for k, v in answer.priors.items()), style="dim"))
    _unknowns(c, answer)
    _choices(c, r)
    _seller(c, answer)
    _weights(c, r)
    heading(c, "In words")
    for sentence in words(answer):
        line(c, escape(sentence))
    notes(c, _notes(answer))


def listed(o: Observation) -> str:
    """An observation in words."""
    if o.unit == "$/M":
        return f"{o.name.replace('_', ' ')} {money(o.value)}"
    if o.unit == "x":
        return f"{o.says} {o.value:.3g}x"
    return f"{o.says} {show(o.value, o.unit)}"


def value(p: Posterior, number: float) -> str:
    """A value of an unknown."""
    if not math.isfinite(number):
        return "-"
    if p.unit == "share":
        return f"{number:.0%}" if number > -9.995 else "below -900%"
    if p.unit == "$/h":
        return money(number)
    if p.unit == "bytes":
        return show(number, "B")
    if p.name.endswith("_params"):
        return show(number, "params").removesuffix(" params")
    return tokens(round(number)) if number >= 10 else f"{number:.2g}"


def span(p: Posterior, low: float, high: float) -> str:
    """An interval of an unknown."""
    if p.unit in ("share", "$/h"):
        return f"{value(p, low)} to {value(p, high).removeprefix('$')}"
    if p.unit == "bytes":
        return between((low, high), "B")
    first, _, scale = value(p, low).partition(" ")
    return f"{first if value(p, high).endswith(f' {scale}') else value(p, low)} to {value(p, high)}"


def _unknowns(c: Console, answer: InferAnswer) -> None:
    truth = bool(answer.truth)
    for title, names in SHOWN.items():
        heading(c, title)
        columns = [
            "",
            "middle",
            BETWEEN,
            "before the prices",
            "bits",
            *(["truth"] if truth else []),
            "before",
            "after",
        ]
        table = numbers(*columns, title_width=25)
        for name in names:
            p = answer.inference[name]
            if not math.isfinite(p.median):
                continue
            cells = ["known", "", "", ""] if p.known else [
                span(p, p.low, p.high), span(p, p.prior[0], p.prior[4]), f"{p.bits:.2f}", ""]  # fmt: skip
            pictures = ("", "") if p.known else chart_infer.sparks(p)
            true = answer.truth.get(name)
            said = [_true(p, true)] if truth else []
            table.add_row(p.says, value(p, p.median), *cells[:3], *said, *(f"[dim]{pictures[0]}[/]", pictures[1]))
        indented(c, table, drop=("before the prices", "before"))


def _true(p: Posterior, truth: float | None) -> str:
    """The truth, and whether the interval holds it."""
    if truth is None:
        return ""
    inside = p.known or p.low <= truth <= p.high
    return f"{value(p, truth)} {'✓' if inside else '✗'}"


def _choices(c: Console, r: Inference) -> None:
    heading(c, "Kinds", "posterior odds, prior in brackets")
    for o in r.odds.values():
        kinds = sorted(o.posterior, key=lambda k: -o.posterior[k])
        if o.known:
            line(c, f"{escape(o.says)}: {escape(kinds[0])}, known")
            continue
        said = ", ".join(
            f"{k} {o.posterior[k]:.0%} [dim]({o.prior[k]:.0%})[/]" for k in kinds[:5] if o.posterior[k] > 0.005
        )
        rest = 1 - sum(o.posterior[k] for k in kinds[:5])
        line(
            c, f"{escape(o.says)}: {said}{f', others {rest:.0%}' if rest > 0.005 else ''} [dim]· {o.bits:.2f} bits[/]"
        )


def _seller(c: Console, answer: InferAnswer) -> None:
    """What is known of the seller's machines, and the posterior without it."""
    s, without = answer.sold, answer.without
    if s is None:
        return
    heading(c, "Who sells", f"{s.firm} · {s.date}")
    line(c, f"{escape(s.says)} [dim]({escape(s.source)})[/]")
    if s.absent:
        line(c, f"[dim]not in the prior, for want of a known price of an hour: {', '.join(s.absent)}[/]")
    if without is None:
        return
    odds = without.odds["hardware"].posterior
    kinds = sorted(odds, key=lambda k: -odds[k])[:4]
    told = [
        f"{p.says} [bold]{value(p, p.median)}[/] ({span(p, p.low, p.high)})"
        for p in (without[name] for name in ("active_params", "total_params", "margin")) if math.isfinite(p.median)
    ]  # fmt: skip
    hardware = ", ".join(f"{k} {odds[k]:.0%}" for k in kinds)
    line(c, f"Without it (--anonymous): hardware {hardware}; {'; '.join(told)}")


def _weights(c: Console, r: Inference) -> None:
    heading(c, "Which number carries it", "bits that are lost without it")
    table = numbers("", "in all", "most on", title_width=34)
    names = {k: p.says for k, p in r.unknowns.items()} | {k: o.says for k, o in r.odds.items()}
    for w in sorted(r.weights, key=lambda w: -w.total):
        most = [k for k in sorted(w.bits, key=lambda k: -w.bits[k])[:2] if w.bits[k] >= 0.01]
        said = ", ".join(f"{names[k]} {w.bits[k]:.2f}" for k in most)
        table.add_row(listed(w.observation), f"{w.total:.2f}", escape(said))
    indented(c, table)


def words(answer: InferAnswer) -> list[str]:
    """What the numbers mean, in plain sentences."""
    r = answer.inference
    free = {k: p for k, p in r.unknowns.items() if not p.known and math.isfinite(p.median)}
    model = [p for k, p in free.items() if k in SHOWN["The model"]]
    found = []
    for p in model[:2]:
        tells = "say nothing to speak of" if p.bits < LITTLE else "say little" if p.bits < SOME else "say something"
        found.append(
            f"The prices {tells} about {p.says}: {span(p, p.low, p.high)} in 9 of 10 cases, a factor of"
            f" {p.high / p.low:.3g} where it was {p.prior[4] / p.prior[0]:.3g} before ({p.bits:.2f} bits)."
        )
    silent = [p.says for k, p in free.items() if p.bits < LITTLE and p not in model[:2]]
    if silent:
        found.append(f"They say nothing to speak of about {_and(silent)}.")
    margin = r["margin"]
    if math.isfinite(margin.median):
        found.append(
            f"At these prices a request leaves a gross margin of {value(margin, margin.median)},"
            f" {span(margin, margin.low, margin.high)} in 9 of 10 cases, idle hours paid."
        )
    heaviest = r.heaviest
    if heaviest.total >= LITTLE:
        found.append(f"The {heaviest.observation.says} carries most of it.")
    return found


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _notes(answer: InferAnswer) -> list[str]:
    from ..evidence.open_models import OTHER_MACHINES

    r = answer.inference
    who = {"host": "a host of open weights", "maker": "the maker of a closed model, whose markups are a judgement"}
    said = [
        f"{r.draws:,} draws, an effective sample size of {r.effective:,.0f}; sold by {who[answer.seller]}",
        "cache bytes are at 16 bits and over 32K of context; a request has one output token for eight of input, and"
        " its cost holds the idle hours",
        "beliefs and markups were chosen on half of the open models that hosts sell; on the other half the intervals"
        " were tested blind: docs/infer.md",
    ]
    if answer.prices.provider in OTHER_MACHINES:
        said.append(
            f"{answer.prices.provider} serves from on-chip memory, and no such machine is in the prior: read as if"
            " from GPUs"
        )
    if answer.truth:
        said.append("the weights are open, so the truth is shown beside; it was not used unless given with --know")
    return said
