"""Continuous batching at a load: step time, time to first token, the queue when seats are full, occupancy, cost.

Group: Serving
Example: rackmath cadence meta-llama/Llama-3.1-70B --on 8xh200 --occupancy 0.8

A step takes every sequence of the batch one token further; without a model give --step and --seats. Exits
with 1 where the queue grows without end.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field as default
from typing import Annotated, Any

import numpy as np

from ..answers.charts import Axis, Mark, Series, sketch
from ..answers.parts import Answer, Block, Chart, Column, Figure, Figures, Say, Table
from ..answers.terms import Term, given, product, quotient, stated, total
from ..answers.terms import count as number
from ..answers.text import cell, money
from ..decisions.modes.cadence import MOST_SEATS, Train, decode_steps, train
from ..economics.cost import billed_devices
from ..economics.pricelist import margin
from ..errors import BadInput, Infeasible
from ..layout.footprint import device_weight_bytes
from ..layout.parallelism import Layout
from ..questions.common import (
    TRAFFIC,
    CacheFormat,
    EngineName,
    Extrapolate,
    InputTokens,
    LayoutWords,
    MachineName,
    ModelName,
    OutputTokens,
    PriceKind,
    Settings,
    WeightFormat,
)
from ..questions.fields import Field, count, needs, seconds, speed
from ..questions.layouts import layout_taken
from ..questions.resolve import asked_of
from ..search.grid import Question
from ..search.preferred import Policy, preferred_layout
from ..serving.queueing import MOST_VARIED
from ..serving.queueing import Cadence as Load
from ..units import plural, show
from ..views import setting
from ..views.machine_terms import of_machine
from ..views.setting import formats
from ..world.lengths import within
from ..world.precision import Precision
from ..world.workload import Traffic

TRAIN = "Load"
WITH_MODEL = needs("model")
TABULATED = (0.02, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.98, 0.995)
"""Loads that a person is shown."""


@dataclass(frozen=True, kw_only=True)
class Departures:
    """A replica and its requests, or a step time and seats alone."""

    model: ModelName = None
    on: MachineName = None
    rate: Annotated[float | None, speed("Requests per second of one replica: 4/s.", metavar="RATE", panel=TRAIN)] = None
    occupancy: Annotated[
        float | None,
        Field(
            help="Mean share of the seats taken, in place of a rate. 0.8 if neither.",
            unit="share",
            above=0,
            most=1,
            metavar="SHARE",
            panel=TRAIN,
        ),
    ] = None
    isl: Annotated[InputTokens, WITH_MODEL] = 8192
    osl: OutputTokens = 1024
    osl_cv: Annotated[
        float,
        Field(
            help="Spread of output lengths: standard deviation over mean, 0 to 1.41.",
            unit="share",
            least=0,
            most=math.sqrt(MOST_VARIED),
            metavar="SHARE",
            panel=TRAFFIC,
        ),
    ] = 0.0
    step: Annotated[float | None, seconds("Fix the step time: 20ms.", panel=TRAIN)] = None
    seats: Annotated[
        int | None, count("Use so many seats only. As many as fit if not given.", least=1, most=MOST_SEATS, whole=True, panel=TRAIN)
    ] = None
    list_output: Annotated[
        float | None,
        Field(
            help="A listed price in dollars per million output tokens, for the margin.",
            unit="$",
            above=0,
            most=1e9,
            metavar="PRICE",
            panel=TRAFFIC,
        ),
        WITH_MODEL,
    ] = None
    layout: Annotated[LayoutWords, WITH_MODEL] = None
    precision: Annotated[WeightFormat, WITH_MODEL] = None
    kv: Annotated[CacheFormat, WITH_MODEL] = None
    price: Annotated[PriceKind, WITH_MODEL] = None
    engine: Annotated[EngineName, WITH_MODEL] = None
    sets: Annotated[Settings, WITH_MODEL] = default(default_factory=dict)
    extrapolate: Extrapolate = False


@dataclass(frozen=True, kw_only=True)
class AtLoad:
    """A replica at its load. `asked`, `layout`, `precision`: None where only step and seats were given."""

    train: Train
    asked: Question | None
    layout: Layout | None
    precision: Precision | None
    context: float
    list_mtok: float | None
    notes: tuple[str, ...]


def answer(q: Departures) -> Answer:
    """Waits and cost at the load, and against the load."""
    a = _at_load(q)
    return Answer(
        title=_title(a),
        subtitle=_subtitle(a),
        blocks=tuple(_blocks(a)),
        table="curve",
        data=_data(a),
        terms=lambda: _terms(a),
        notes=a.notes,
        subject=a,
    )


def _at_load(q: Departures) -> AtLoad:
    asked: Question | None
    layout: Layout | None
    how: Precision | None
    if q.rate is not None and q.occupancy is not None:
        raise BadInput("a rate and an occupancy were given; one follows from the other, give one of them")
    if q.model is None and q.on is None:
        if q.step is None or q.seats is None:
            raise BadInput("no model was given; name one and a machine, or give both --step 20ms and --seats 2000")
        times, asked, layout, how, notes = np.full(q.seats, q.step), None, None, None, list[str]()
    else:
        if q.model is None or q.on is None:
            raise BadInput("a replica needs a model and a machine; give MODEL --on MACHINE, or --step and --seats")
        times, asked, layout, how, notes = _replica(q)
    if q.occupancy == 1.0:
        raise Infeasible("with every seat always taken the queue grows without end; give an occupancy below 1")
    hour = 0.0
    if asked is not None and layout is not None:
        hour = float(billed_devices(layout.gpus, asked.machine)) * max(float(asked.machine.price_per_hour), 0.0)
    found = train(times, q.osl, rate=q.rate, occupancy=q.occupancy, cv2=q.osl_cv**2, replica_hour=hour)
    if not found.now.stable:
        full, need = found.now.step_full, found.now.load * len(times)
        raise Infeasible(
            f"the queue grows without end: {found.now.rate:,.4g} requests/s x {q.osl:,.0f} tokens x"
            f" {show(full, 's')} keep {need:,.0f} seats busy and the replica has {len(times):,};"
            f" {plural(found.replicas, 'replica')} would carry it at a load of"
            f" {found.now.load / found.replicas:.0%} each"
        )
    return AtLoad(
        train=found,
        asked=asked,
        layout=layout,
        precision=how,
        context=q.isl + q.osl / 2,
        list_mtok=q.list_output,
        notes=tuple(dict.fromkeys(notes)),
    )


def _replica(q: Departures) -> tuple[Any, Question, Layout, Precision, list[str]]:
    """Step times with 1, 2, ... seats taken, and the replica they are of."""
    asked, notes = asked_of(q, Traffic(isl=q.isl, osl=q.osl))
    notes += within(asked.model, q.isl + q.osl, "isl or osl", extrapolate=q.extrapolate)
    how, context = asked.precisions[0], q.isl + q.osl / 2
    chosen = layout_taken(q.layout, asked, lambda: preferred_layout(asked, how, context, Policy()), notes)
    times = decode_steps(asked, chosen, how, context)
    if not len(times):
        need = float(device_weight_bytes(asked.model, how, chosen))
        raise Infeasible(
            f"no seat is left: {chosen.label()} puts {show(need, 'B')} of weights on a device of"
            f" {show(float(asked.machine.hbm_capacity), 'B')}; choose more devices or a narrower format"
        )
    if q.seats is not None:
        if q.seats > len(times):
            raise BadInput(f"{q.seats:,} seats are more than the {len(times):,} that fit; give at most that many")
        times = times[: q.seats]
    if q.step is not None:
        times = np.full(len(times), q.step)
    notes.append("requests arrive prefilled and at random (Poisson); a step carries decode tokens only")
    return times, asked, chosen, how, notes


# --- the record ---------------------------------------------------------------------------------------------------


def _data(a: AtLoad) -> dict[str, Any]:
    t = a.train
    return {
        "layout": setting.layout(a.layout) if a.layout else None,
        "precision": setting.precision(a.precision) if a.precision else None,
        "context": a.context if a.asked else None,
        "seats": t.now.seats,
        "now": _row(t, t.now),
        "full_rate": t.now.rate / t.now.load,
        "worst_while_seats_are_free": t.now.first_worst_free,
        "replica_hour": t.replica_hour or None,
        "full_output_mtok": t.full_mtok if t.replica_hour else None,
        "list_output_mtok": a.list_mtok,
        "implied_gross_margin": _margin(a),
    }


def _row(t: Train, c: Load) -> dict[str, Any]:
    """One load of the train."""
    return {
        "load": c.load,
        "rate": c.rate,
        "occupancy": c.occupancy,
        "aboard": c.aboard,
        "step": c.step,
        "step_full": c.step_full,
        "first_token_mean": c.first_mean,
        "first_token_p50": c.first_p50,
        "first_token_p90": c.first_p90,
        "first_token_p99": c.first_p99,
        "seat_wait_share": c.wait_share,
        "seat_wait_mean": c.wait_mean,
        "output_mtok": t.mtok(c) if t.replica_hour else None,
    }


def _margin(a: AtLoad) -> float | None:
    """The gross margin that the listed price implies at this load."""
    if a.list_mtok is None or not a.train.replica_hour:
        return None
    return float(margin(a.list_mtok, a.train.mtok(a.train.now)))


# --- blocks -------------------------------------------------------------------------------------------------------


def _title(a: AtLoad) -> Say:
    names = {"model": a.asked.model.name, "machine": a.asked.machine.name} if a.asked else {}
    return Say("Continuous batching" + (" of *{model}* on *{machine}*" if names else ""), names)


def _subtitle(a: AtLoad) -> str:
    t, words = a.train, "a constant step"
    if a.layout is not None and a.precision is not None:
        words = f"{a.layout.label()}, {formats(a.precision)} · {cell(a.context, 'count')} tokens in a sequence"
    spread = f" ± {t.cv2**0.5:.0%}" if t.cv2 else ""
    return f"{words} · a seat is held for {cell(t.now.steps, 'count')}{spread} steps"


def _blocks(a: AtLoad) -> Iterator[Block]:
    t = a.train
    yield _waits(t)
    yield _load(t)
    if t.replica_hour:
        yield _cost(a)
    yield Chart(title="Waits against load", spec=_wait_chart(t), lines=17)
    if t.replica_hour:
        yield Chart(title="Cost against load", spec=_cost_chart(t), lines=14)
    yield _table(t)
    yield Say("Mean and percentiles: from the arrival of a prefilled request to its first token.", faint=True)


def _waits(t: Train) -> Figures:
    now = t.now
    said = f"with {cell(round(now.aboard), 'count')} of {cell(now.seats, 'count')} seats taken;"
    rows = (
        ("step", "step T", now.step, f"{said} {show(now.step_full, 's')} when full"),
        ("mean", "first token, mean", now.first_mean, "1.5 T with a seat free: half a step to wait, then the step"),
        ("p50", "  50th percentile", now.first_p50, ""),
        ("p90", "  90th percentile", now.first_p90, ""),
        ("p99", "  99th percentile", now.first_p99, ""),
        ("worst", "longest, seat free", now.first_worst_free, "2 T: a step has just begun; longer as more seats are taken"),
    )
    return Figures(
        key="",
        head="",
        title="Time to the first token",
        aside="of a prefilled request",
        figures=tuple(Figure(key=k, label=name, value=v, unit="s", note=why, strong=k in ("step", "mean")) for k, name, v, why in rows),
    )


def _load(t: Train) -> Figures:
    now = t.now
    wait = "nobody waits for a seat" if now.wait_share < 1e-6 else f"{show(now.wait_mean, 's')} for a seat on average"
    most = f"load {now.load:.1%} of the {show(now.rate / now.load)} /s at full occupancy"
    return Figures(
        key="",
        head="",
        title="Load",
        figures=(
            Figure(key="rate", label="rate", value=now.rate, unit="/s", note=most),
            Figure(key="occupancy", label="occupancy", value=now.occupancy, unit="share", note="mean share of the seats taken"),
            Figure(key="full", label="wait for a seat", value=now.wait_share, unit="share", note=wait),
        ),
    )


def _cost(a: AtLoad) -> Figures:
    t = a.train
    own = t.mtok(t.now)
    more = f"{own / t.full_mtok:.2f}x the {money(t.full_mtok)}/M at full occupancy"
    figures = [Figure(key="mtok", label="output tokens", value=own, unit="$/M", note=more, strong=True)]
    if (found := _margin(a)) is not None:
        said = f"of a listed {money(a.list_mtok)}/M, decoding alone counted"
        figures.append(Figure(key="margin", label="implied gross margin", value=found, unit="share", note=said))
    return Figures(key="", head="", title="Cost", figures=tuple(figures))


def _table(t: Train) -> Table:
    rows = [_row(t, c) for c in t.curve]
    nearest = dict.fromkeys(min(range(len(rows)), key=lambda i: abs(rows[i]["load"] - load)) for load in TABULATED)
    columns = [
        Column("load", "load", "share"),
        Column("rate", "rate /s", "number", optional=2),
        Column("occupancy", "occupancy", "percent"),
        Column("step", "step T", "s"),
        Column("first_token_mean", "mean", "s"),
        Column("first_token_p90", "p90", "s"),
        Column("first_token_p99", "p99", "s"),
        Column("seat_wait_share", "wait", "share", optional=1),
    ]
    paid = [Column("output_mtok", "$/M output", "$")] if t.replica_hour else []
    return Table(key="curve", title="The curve in numbers", columns=(*columns, *paid), rows=rows, shown=[rows[i] for i in nearest])


def _wait_chart(t: Train) -> dict[str, Any]:
    """First-token time against load."""
    x = [k.load for k in t.curve]
    named = {"p99": "first_p99", "p90": "first_p90", "mean": "first_mean", "median": "first_p50"}
    lines = [Series(name, x, [float(getattr(k, key)) for k in t.curve]) for name, key in named.items()]
    return sketch(
        [*lines, Series("step T", x, [k.step for k in t.curve], look="dashed")],
        title="Time to the first token of a prefilled request",
        x=Axis("Load (rate over that at full occupancy)", "share", low=0.0, high=1.0),
        y=Axis("Time", "s", log=True),
        marks=[Mark(f"{t.now.occupancy:.0%} of seats taken", t.now.load, t.now.first_mean)],
    )


def _cost_chart(t: Train) -> dict[str, Any]:
    """Dollars per million output tokens against load."""
    some = [k for k in t.curve if k.load >= 0.05]
    x = [k.load for k in some]
    return sketch(
        [Series("at the load", x, [t.mtok(k) for k in some]), Series("full occupancy", x, [t.full_mtok] * len(x), look="dashed")],
        title="Cost of output tokens, empty seats paid",
        x=Axis("Load (rate over that at full occupancy)", "share", low=0.0, high=1.0),
        y=Axis("Cost", "$/M output tokens", log=True),
        marks=[Mark(f"{money(t.mtok(t.now))}/M", t.now.load, t.mtok(t.now))],
    )


# --- terms --------------------------------------------------------------------------------------------------------


def _terms(a: AtLoad) -> Term:
    """Load, occupancy, first-token time and cost."""
    t, now, q = a.train, a.train.now, a.asked
    rate = given("rate of requests", now.rate, "/s")
    steps = given("steps a seat is held", now.steps)
    seats = number("seats", now.seats, "sequences whose cache fits, or as given")
    full = Term(name="step, all seats taken", value=now.step_full, unit="s", note="explain forward shows its terms" if q else "given")
    busy = product("seats busy at full occupancy", "", rate, steps, full)
    step = Term(name="step T", value=now.step, unit="s", note="at the mean batch")
    aboard = Term(name="mean batch", value=now.aboard, note="birth and death with t(n) at batch n: weights prod(rate x steps x t(i) / i)")
    seat = Term(
        name="wait for a seat, mean",
        value=now.wait_mean,
        unit="s",
        note="M/D/c by Spitzer's identity, blended with M/M/c by the spread of output lengths",
    )
    ride = Term(name="wait for a step, and the step", value=now.first_mean - now.wait_mean, unit="s", note="1.5 steps, met on arrival")
    nodes = [
        stated("quotient", "load", now.load, "share", busy, seats),
        stated("quotient", "occupancy", now.occupancy, "share", aboard, seats),
        step,
        stated("product", "worst while seats are free", now.first_worst_free, "s", number("2", 2.0), step),
        total("first token, mean", "s", seat, ride),
    ]
    for name, value in (("50 %", now.first_p50), ("90 %", now.first_p90), ("99 %", now.first_p99)):
        nodes.append(Term(name=f"first token, {name} within", value=value, unit="s"))
    if q is not None and a.layout is not None and t.replica_hour:
        hour = product(
            "replica", "$/h", number("devices", float(a.layout.gpus)), of_machine(q.machine, "price_per_hour", "price of a device")
        )
        per_second = quotient("replica per second", "$", hour, number("seconds per hour", 3600.0))
        out = product("output tokens per second", "tok/s", rate, steps)
        each = quotient("dollars per token", "$", per_second, out)
        nodes.append(stated("product", "$/M output tokens", t.mtok(now), "$", each, number("a million", 1e6)))
    return Term(name="continuous batching", children=tuple(nodes))
