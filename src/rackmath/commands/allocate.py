"""Compute split between pre-training, RL and inference: equal cost, by exponents, and the true optimum.

Group: Training and size
Example: rackmath allocate --traffic 50M/s --months 2 --active 100B

With the size and the tokens it asks for, over-training, dollars, intervals, and the sensitivity to every input.
--isl, --osl and --min-interactivity describe the requests where --on is given.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

from ..answers.charts import Axis, Mark, Series, curve
from ..answers.parts import Answer, Bar, Block, Chart, Column, Figure, Figures, Say, Table
from ..answers.ranges import Point, Range, Ranges
from ..answers.text import cell
from ..decisions.allocation import machine as allocation_machine
from ..decisions.allocation import split as allocation
from ..decisions.allocation.case import ROUNDED, Allocation, active_of, allocation_of, check_size, ends_of, rate, shares_of, with_preset
from ..decisions.allocation.ranges import Ends, Swing
from ..errors import BadInput
from ..questions.common import NO_EXTRAPOLATE, FormerExtrapolate, PriceKind
from ..questions.fields import Field, count, needs, one_of, speed, tokens, words
from ..questions.machines import paid_for
from ..questions.resolve import max_tpot_of
from ..scaling import drift
from ..scaling.laws import law as law_named
from ..units import plural, show
from ..views import allocation_terms
from ..views.allocation import NAMES, ends_text, record, split
from ..world.workload import Objectives, Traffic

MUCH = "How much there is: a budget, or traffic, or both"
COSTS = "What the parts cost"
REQUESTS = "Requests, where --on is given"

DEFAULT_MACHINE, DEFAULT_MFU = "h100", 0.4


def _share(help: str, least: float = 0.0, most: float = 1.0, metavar: str = "SHARE") -> Field:
    return Field(help=help, unit="share", least=least, most=most, metavar=metavar, panel=COSTS)


@dataclass(frozen=True, kw_only=True)
class Allocate:
    """How much there is to split, under which law and rule, and what the parts cost."""

    budget: Annotated[
        float | None, Field(help="Dollars for all three: 100MUSD.", unit="$", above=0, most=1e18, metavar="DOLLARS", panel=MUCH)
    ] = None
    flops: Annotated[float | None, count("Or FLOP of training that the whole may take: 5e26.", above=0, most=1e33, panel=MUCH)] = None
    traffic: Annotated[Any, words("Tokens served: 50M/s, 16B/min.", "TOKENS/S", panel=MUCH)] = None
    months: Annotated[
        float | None, count("Months of that traffic, 2 if not given.", above=0, most=1e6, panel=MUCH), needs("traffic", "preset")
    ] = None
    active: Annotated[float | None, count("Active parameters; solved if not given.", above=0, most=1e33, panel=MUCH)] = None
    preset: Annotated[str | None, one_of("lecture: its own case.", "lecture", panel=MUCH)] = None
    law: Annotated[str, words("The scaling law.", "NAME", complete="laws")] = "besiroglu"
    mode: Annotated[str, one_of("The rule that intervals are of.", *allocation.MODES)] = "optimum"
    extrapolate: FormerExtrapolate = False
    shares: Annotated[Any, words("Pre-training, RL and inference to begin from: 50/25/25. Equal if not given.", "P/R/I", panel=COSTS)] = (
        None
    )
    rl_flops: Annotated[float | None, count("FLOP per parameter and RL token, 2 to 6; 3 if not given.", least=1, most=20, panel=COSTS)] = (
        None
    )
    efficiency: Annotated[float | None, _share("Utilisation of decode-heavy work over training's; 0.3 if not given.", 0.001, 10)] = None
    ship: Annotated[float, _share("Probability that the model is served.", 1e-6)] = 1
    input_share: Annotated[float, _share("Input among the tokens served.", 0, 0.9999)] = 0
    cached_share: Annotated[float, _share("Cached among that input."), needs("input_share")] = 0
    input_weight: Annotated[
        float | None, _share("Cost of an input token over an output token's; 0.2 if not given.", 0, 10, "RATIO"), needs("input_share")
    ] = None
    cached_weight: Annotated[
        float | None, _share("The same of a cached token; 0.02 if not given.", 0, 10, "RATIO"), needs("cached_share")
    ] = None
    mfu: Annotated[float | None, _share("MFU of training; 0.4 if not given.", 0.001)] = None
    ranges: Annotated[
        dict[str, Any],
        Field(
            help="Ends of an input: efficiency=0.2..0.5. Repeatable.",
            flag="--range",
            metavar="KEY=LOW..HIGH",
            panel=COSTS,
            example="efficiency=0.2..0.5",
        ),
    ] = field(default_factory=dict)
    on: Annotated[
        Any,
        words(
            "Find MFU, efficiency and weights for this machine by search. H100 hours, usual rates if not given.",
            "MACHINE",
            flag="--on",
            complete="machines",
            panel=COSTS,
        ),
    ] = None
    isl: Annotated[float, tokens("Prompt tokens of a request.", most=1e8, panel=REQUESTS), needs("on")] = 8192
    osl: Annotated[float, tokens("Tokens a request makes.", most=1e8, panel=REQUESTS), needs("on")] = 1024
    min_interactivity: Annotated[float, speed("Tokens per second and user, at least.", panel=REQUESTS), needs("on")] = 20
    price: Annotated[PriceKind, needs("on")] = None


def answer(q: Allocate) -> Answer:
    """Four splits side by side, over-training estimated twice, and the sensitivity of the one asked about."""
    a = _allocation(q)
    p, found = a.problem, " (found by search)" if a.rates is not None else ""
    price = f"{cell(p.per_hour, '$')} per GPU-hour of {a.priced.name}"
    return Answer(
        title=Say("Splitting *{given}* between pre-training, RL and inference", {"given": _given(a)}),
        subtitle=f"law {p.law.name} · RL {p.rl_flops:g} FLOP per parameter and token · decode-heavy work at"
        f" {p.efficiency:.2g} of training's utilisation{found} · {price}, MFU {p.mfu:.2g}{found}",
        blocks=tuple(_blocks(a)),
        table="rules",
        data=record(a),
        terms=lambda: allocation_terms.terms(a),
        notes=(*([NO_EXTRAPOLATE] if q.extrapolate else []), *a.notes),
        remarks=tuple(_remarks(a)),
        subject=a,
    )


def _allocation(q: Allocate) -> Allocation:
    """Words to a problem, the rates of a machine where one is named, and the splits."""
    given = ("budget", "flops", "traffic", "months", "active", "rl_flops", "efficiency")
    of = with_preset(q.preset, {name: getattr(q, name) for name in given})
    chosen = ends_of(q.ranges)
    for name in ("mfu", "efficiency", "input_weight", "cached_weight"):
        if q.on is not None and (value := getattr(q, name)) is not None:
            raise BadInput(f"a machine and {name} = {value!r} were given; the machine's own is found, leave it out")
    machine = paid_for(q.on if q.on is not None else DEFAULT_MACHINE, q.price)

    def or_else(value: float | None, usual: float) -> float:
        return float(usual if value is None else value)

    problem = allocation.Problem(
        law=allocation.usable(law_named(q.law)),
        flops=None if of["flops"] is None else float(of["flops"]),
        dollars=None if of["budget"] is None else float(of["budget"]),
        rate=None if of["traffic"] is None else rate(of["traffic"]),
        months=or_else(of["months"], 2),
        active=active_of(None if of["active"] is None else float(of["active"])),
        shares=shares_of(q.shares),
        rl_flops=or_else(of["rl_flops"], 3),
        efficiency=or_else(of["efficiency"], 0.3),
        ship=float(q.ship),
        input_share=float(q.input_share),
        cached_share=float(q.cached_share),
        input_weight=or_else(q.input_weight, 0.2),
        cached_weight=or_else(q.cached_weight, 0.02),
        per_hour=float(machine.price_per_hour),
        peak=float(machine.peak("bf16")),
        mfu=or_else(q.mfu, DEFAULT_MFU),
    )
    check_size(problem)
    rates = None
    if q.on is not None:
        requests = Traffic(isl=float(q.isl), osl=float(q.osl), cached=problem.cached_share)
        objectives = Objectives(max_tpot=max_tpot_of(None, q.min_interactivity))
        problem, rates = allocation_machine.on_machine(problem, machine, requests, objectives)
    return allocation_of(problem, q.mode, chosen, machine, rates)


def _given(a: Allocation) -> str:
    p, parts = a.problem, []
    if p.dollars is not None:
        parts.append(cell(p.dollars, "dollars"))
    if p.flops is not None:
        parts.append(f"{cell(p.flops, 'power')} FLOP")
    if p.rate is not None:
        months = float(p.months)
        parts.append(f"{show(float(p.rate), 'tok/s')} for {months:g} month{'' if months == 1 else 's'}")
    if p.active is not None:
        parts.append(f"{cell(p.active, 'parameters')} active parameters")
    return ", ".join(parts)


# --- blocks ---------------------------------------------------------------------------------------------------------

ROWS = (
    ("active parameters", "params", "parameters"),
    ("tokens trained on", "tokens", "parameters"),
    ("RL tokens", "rl_tokens", "parameters"),
    ("tokens served", "served_tokens", "parameters"),
    ("tokens per parameter", "tokens_per_param", "number"),
    ("over 20 per parameter", "over_20_per_param", "x"),
    ("over the law's own", "over_law", "x"),
    ("share of pre-training", "share_pre", "percent"),
    ("share of RL", "share_rl", "percent"),
    ("share of inference", "share_inference", "percent"),
    ("FLOP of training", "flops", "power"),
    ("cost", "dollars", "dollars"),
    ("loss", "loss", "number5"),
)
"""Rows of the table of rules: words, key of the record, unit."""


def _blocks(a: Allocation) -> Iterator[Block]:
    if a.outside:
        yield Say(
            f"*Extrapolated:* {a.problem.law.name} was not fitted here ({'; '.join(a.outside)}); intervals grow"
            " with the distance from those runs"
        )
    yield from _rules(a)
    if math.isfinite(a.best.total):
        yield _chosen(a)
        price = float(a.problem.flop_price)
        parts = {"pre-training": a.best.pre, "RL": a.best.rl, "inference": a.best.inference}
        yield Bar(
            key="",
            unit="dollars",
            parts={name: float(flops) * price for name, flops in parts.items()},
            title="Cost of each part",
            aside=f"of {cell(float(a.best.dollars), 'dollars')}",
        )
    if a.tensions:
        yield from _tension(a)
    if a.swings:
        yield _tornado(a)
    yield Chart(spec=_cost(a), lines=18)


def _rules(a: Allocation) -> Iterator[Block]:
    records = {mode: split(s) for mode, s in a.splits.items()}
    shown: list[dict[str, Any]] = [
        {"what": name, "unit": unit} | {mode: _known(r[key]) for mode, r in records.items()} for name, key, unit in ROWS
    ]
    rows = [{"mode": mode} | r for mode, r in records.items()]
    extra = ("share_rl", "share_inference")
    flat = [{key: value for key, value in row.items() if key not in extra} for row in rows]
    columns = (Column("what", ""), *(Column(mode, mode, "row") for mode in records))
    yield Table(key="rules", title="Four rules", aside="for the same tokens served", columns=columns, rows=rows, shown=shown, flat=flat)
    if a.solved:
        yield Say(
            "The size was not given: it is the one for which the equal split is the optimum, so all agree. Give"
            " --active to see them differ.",
            faint=True,
        )
        return
    yield Say(
        "optimum: the least cost at the equal split's loss; exponent: its approximation by power laws;"
        " same-cost: the least loss for the same money",
        faint=True,
    )
    if not math.isfinite(a.splits["exponent"].total):
        yield Say(
            "exponent: no answer. Training does not get cheaper with size here: the equal split trains on fewer"
            " tokens than suit its parameters.",
            faint=True,
        )


def _known(value: Any) -> float | str:
    return float(value) if math.isfinite(float(value)) else "–"


def _chosen(a: Allocation) -> Figures:
    s, spans = a.best, a.intervals

    def figure(label: str, key: str, unit: str) -> Figure:
        low, high = spans[key]
        same = not high > low * 1.001
        value = float(getattr(s, key))
        return Figure(key=key, label=label, value=value, unit=unit, low=None if same else low, high=None if same else high)

    rows = (
        ("active parameters", "params", "parameters"),
        ("tokens trained on", "tokens", "parameters"),
        ("tokens per parameter", "tokens_per_param", "number"),
        ("over 20 per parameter", "over_rule", "x"),
        ("share of pre-training", "share", "percent"),
        ("cost", "dollars", "dollars"),
    )
    return Figures(
        key="",
        figures=tuple(figure(*row) for row in rows),
        title=f"Mode {a.mode}",
        aside="the rule that intervals and sensitivities are of",
    )


def _tension(a: Allocation) -> Iterator[Block]:
    start, first = a.splits["equal"], a.tensions[0]
    yield Say(
        "By traffic: *{over:x}* 20 tokens per parameter, {tokens:parameters} tokens over {usual:parameters}, if all"
        " parts cost the same. By the law, a share of pre-training is the optimum only at",
        {"over": float(start.over_rule), "tokens": float(start.tokens), "usual": 20 * float(start.params)},
        key="by_traffic",
        title="Over-training, estimated twice",
        aside=f"at {cell(float(start.params), 'parameters')} active parameters",
    )
    rows: list[dict[str, Any]] = []
    for share in first.by_share:
        at = {t.law.name: _factor(t.by_share[share], t.by_share_ends.get(share)) for t in a.tensions}
        rows.append({"what": f"a share of {share:.0%}: over the law's own"} | at)
        per = {t.law.name: f"{t.by_share[share] * t.balanced:,.0f}" for t in a.tensions}
        rows.append({"what": "  tokens per parameter"} | per)
    for factor in first.needed:
        said = f"{factor:.0f}x" + (" (200 T rounded over 2 T)" if factor == ROUNDED else " (the traffic)")
        at = {t.law.name: _part(t.needed[factor], t.needed_ends.get(factor)) for t in a.tensions}
        rows.append({"what": f"share that asks for {said}"} | at)
    rows.append({"what": "the law's own tokens per parameter"} | {t.law.name: t.balanced for t in a.tensions})
    yield Table(key="", columns=(Column("what", ""), *(Column(t.law.name, t.law.name, "number") for t in a.tensions)), rows=rows)
    yield Say("Equal shares and over-training by traffic are two estimates; both hold only where the numbers meet.", faint=True)


def _factor(value: float, ends: Ends | None) -> str:
    text = cell(value, "x")
    return text if ends is None else f"{text} ({show(ends[0], digits=2)} to {show(ends[1], digits=2)})"


def _part(value: float, ends: Ends | None) -> str:
    text = cell(value, "percent")
    return text if ends is None else f"{text} ({ends[0]:.0%} to {ends[1]:.0%})"


def _tornado(a: Allocation) -> Ranges:
    value = float(a.best.tokens_per_param)
    return Ranges(
        title="Sensitivity",
        aside=f"tokens per parameter, {cell(value, 'number')}, one input at a time",
        rows=tuple(_swing(s) for s in a.swings),
        at=value,
        axis=Axis("Tokens per parameter", log=True),
        kinds={"at the low end": "ring", "at the high end": "circle"},
        columns=(Column("moved", "from, to", optional=1), Column("low", "answer", "number", to="high")),
        picture=f"Sensitivity of the rule {a.mode}: one input at a time",
    )


def _swing(s: Swing) -> Range:
    points = (Point("at the low end", s.low), Point("at the high end", s.high))
    return Range(
        name=NAMES.get(s.name, s.name),
        low=min(s.low, s.high),
        high=max(s.low, s.high),
        points=points,
        cells={"moved": ends_text(s), "low": s.low, "high": s.high},
    )


def _cost(a: Allocation) -> dict[str, Any]:
    """Training, RL with inference, and their sum at the loss of the equal split, against tokens per parameter."""
    c, price = a.curve, float(a.problem.flop_price)
    x = c.tokens_per_param.tolist()
    parts = (("all", c.total, "line"), ("pre-training", c.pre, "dashed"), ("RL and inference", c.rest, "dashed"))
    lines = [Series(name, x, (column * price / 1e6).tolist(), look=look) for name, column, look in parts]
    marks = [
        Mark(mode, float(s.tokens_per_param), float(s.dollars) / 1e6)
        for mode, s in a.splits.items()
        if mode in ("equal", "optimum") and math.isfinite(s.dollars)
    ]
    return curve(
        lines,
        title=f"Cost of one quality: loss {float(a.splits['equal'].loss):.4g} under {a.problem.law.name}",
        x=Axis("Tokens per parameter", log=True),
        y=Axis("Cost", "M$", log=True),
        marks=marks[-1:] if a.solved else marks,
    )


def _remarks(a: Allocation) -> Iterator[str]:
    p = a.problem
    yield (
        "FLOP count device time at training's MFU, so a token served counts"
        f" {float(p.serve_flops):.3g} per parameter, an RL token {float(p.rl_flops / p.efficiency):.3g}"
    )
    yield "the law knows neither RL nor the quality of tokens; text beyond what exists must repeat or be made"
    drawn = "the law's coefficients, " if p.law.sample is not None else ""
    if a.outside:
        drawn += f"its exponents beyond its runs ({drift.DRIFT:.0%} to either side from their edge on), "
    names = ", ".join(NAMES[n] for n in a.ranges if n in ("rl_flops", "efficiency", "mfu", "per_hour"))
    yield f"intervals draw {drawn}{names}" + ("" if p.law.sample is not None else f"; {p.law.name} was published without draws")
    if p.rate is not None and float(p.ship) < 1:
        yield f"tokens served are expected ones: the model ships with probability {float(p.ship):.0%}"
    if a.rates is not None:
        r = a.rates
        yield (
            f"rates of a dense model of {r.params / 1e9:.3g} B: trained on {plural(r.run.devices, 'device')}"
            f" ({r.run.layout.label()}), served by {r.plan.layout.label()} in {r.plan.precision.name} at"
            f" {cell(float(r.plan.cost.output_mtok), '$')} per M output tokens"
        )
