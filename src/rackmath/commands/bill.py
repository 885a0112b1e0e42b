"""The dollars of a request or of a file of requests by a price list, and when machines of one's own cost less.

Group: Prices
Example: rackmath bill claude-opus-4-6 --input 60k --cached 48k --written 8k --output 900

The input counts all tokens of a request, found in the cache, written to it, or neither; its length chooses the entry
of the list that holds. What a list names no price for costs what plain input costs. With --on MACHINE the cheapest
plan of the same requests (of --against MODEL, or of the list's own weights) says from which volume on machines cost
less. A file of the answer is written with -o.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field as default
from typing import Annotated, Any

import numpy as np

from ..answers.charts import Axis, Mark, Series, curve
from ..answers.parts import Answer, Block, Chart, Column, Say, Table
from ..answers.terms import Term, count, product, quotient, total
from ..answers.text import cell
from ..economics.bill import LONG, SHORT, STORAGE, WRITE_1H, Bill, Usage, bill, usage
from ..economics.breakeven import MONTH, VolumeBreakEven
from ..economics.listings import SOURCES, PriceList
from ..economics.pricelist_file import MODES
from ..economics.usage_file import read_requests
from ..errors import BadInput, Infeasible
from ..questions.common import (
    CHOICES,
    CacheFormat,
    EngineName,
    Extrapolate,
    MaxTtft,
    MinInteractivity,
    PriceKind,
    Settings,
    Utilisation,
    WeightFormat,
)
from ..questions.fields import Field, needs, one_of, tokens, words
from ..questions.fields import count as count_of
from ..questions.lists import SinglePrices, list_meant
from ..questions.machines import paid_for
from ..questions.resolve import max_tpot_of, question
from ..search.choice import Plan
from ..search.plan import plan
from ..units import plural
from ..views import breakeven
from ..world.lengths import within
from ..world.workload import Objectives, Traffic

Record = dict[str, Any]

REQUEST, OWN = "The requests", "Machines of one's own"


def _counted(help: str) -> Field:
    return tokens(help, least=0, panel=REQUEST)


@dataclass(frozen=True, kw_only=True)
class BillQuestion(SinglePrices):
    """Which list, which requests, and what machines they might run on instead."""

    name: Annotated[
        Any, words("A model of the price lists (rackmath prices), or a file.", "[PRICELIST]", argument=True, complete="lists")
    ] = None
    input: Annotated[float | None, _counted("Input tokens of a request, cached and written ones among them.")] = None
    cached: Annotated[float, _counted("Those of them found in the cache.")] = 0
    written: Annotated[float, _counted("Those of them written to the cache.")] = 0
    output: Annotated[float, _counted("Output tokens, thinking among them.")] = 0
    requests: Annotated[
        str | None,
        words(
            "A file of requests instead (.csv, .jsonl, .json): input, cached, written, output, and where they differ"
            " mode, ttl, stored; or usage objects of an API.",
            "FILE",
            complete="files",
            panel=REQUEST,
        ),
    ] = None
    mode: Annotated[str, one_of("The mode they are sent in.", "standard", *MODES, panel=REQUEST)] = "standard"
    ttl: Annotated[
        float, Field(help="How long written tokens are kept: 5min or 1h.", unit="s", above=0, most=LONG, metavar="TIME", panel=REQUEST)
    ] = SHORT
    stored: Annotated[
        float,
        Field(
            help="How long they are stored, where storage is charged by the hour: 2h.",
            unit="s",
            least=0,
            most=1e9,
            metavar="TIME",
            panel=REQUEST,
        ),
    ] = 0
    on_date: Annotated[str | None, words("The list of this day: 2026-03-01.", "DAY", panel=CHOICES)] = None
    source: Annotated[str, one_of("snapshot, or genai-prices (the installed package).", *SOURCES, panel=CHOICES)] = "snapshot"
    on: Annotated[Any, Field(help="Machines to compare with: 8xh200.", flag="--on", metavar="MACHINE", complete="machines", panel=OWN)] = (
        None
    )
    against: Annotated[
        Any,
        Field(help="The model on them. The list's own, where its weights are open.", metavar="MODEL", complete="models", panel=OWN),
        needs("on"),
    ] = None
    min_interactivity: Annotated[MinInteractivity, needs("on")] = 20
    max_ttft: Annotated[MaxTtft, needs("on")] = None
    precision: Annotated[WeightFormat, needs("on")] = None
    kv: Annotated[CacheFormat, needs("on")] = None
    engine: Annotated[EngineName, needs("on")] = None
    price: Annotated[PriceKind, needs("on")] = None
    utilisation: Annotated[Utilisation, needs("on")] = 1
    spare: Annotated[int, count_of("Replicas beyond those needed.", most=1e6, whole=True, panel=OWN), needs("on")] = 1
    sets: Annotated[Settings, needs("on")] = default(default_factory=dict)
    extrapolate: Annotated[Extrapolate, needs("on")] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """The bill of some requests in their own modes, its total in every mode, and the plan that would serve them."""

    prices: PriceList
    requests: Usage
    bill: Bill
    modes: tuple[tuple[str, Bill], ...]
    plan: Plan | None
    spare: int
    break_even: VolumeBreakEven | None
    between: breakeven.Ends = (None, None)  # 5 % to 95 % of the volume


def answer(q: BillQuestion) -> Answer:
    """Every part of the bill and its sum, the same in other modes, and the volume at which machines cost less."""
    prices = list_meant(q.name, q.listed, q.on_date, q.source, q.unit)
    asked, notes = _requests(q)
    paid = bill(prices, asked)
    chosen, more = _own(q, prices, asked)
    met, between = (None, (None, None)) if chosen is None else _met(chosen, paid, int(q.spare))
    found = Billed(
        prices=prices,
        requests=asked,
        bill=paid,
        modes=_modes(prices, asked),
        plan=chosen,
        spare=int(q.spare),
        break_even=met,
        between=between,
    )
    many = len(asked) > 1
    return Answer(
        title=Say("The bill of *{model}* on *{day}*", {"model": prices.model, "day": prices.day}),
        subtitle=_subtitle(asked),
        blocks=tuple(_blocks(found)),
        table="parts",
        data=_data(found),
        terms=lambda: _terms(found),
        notes=(*notes, *_said(found, many), *more),
        subject=found,
    )


# --- the question in records ----------------------------------------------------------------------------------------


def _requests(q: BillQuestion) -> tuple[Usage, tuple[str, ...]]:
    if q.requests is None:
        if q.input is None:
            raise BadInput("no request was given; give --input and --output tokens, or a file with --requests")
        return usage([q.input], q.cached, q.written, q.output, mode=q.mode, lifetime=q.ttl, stored=q.stored), ()
    if q.input is not None or q.cached or q.written or q.output:
        raise BadInput("both a file of requests and tokens of one were given; give one of them")
    found, unread = read_requests(q.requests, q.mode, q.ttl, q.stored)
    return found, (f"columns that were not read: {', '.join(unread)}",) if unread else ()


def _modes(prices: PriceList, asked: Usage) -> tuple[tuple[str, Bill], ...]:
    """The requests in every mode of the list, where all of them are sent in one."""
    if len(set(asked.mode.tolist())) > 1 or len(prices.modes) < 2:
        return ()
    found = []
    for mode in prices.modes:
        other = usage(
            asked.input.tolist(),
            asked.cached.tolist(),
            asked.written.tolist(),
            asked.output.tolist(),
            mode=mode,
            lifetime=asked.lifetime.tolist(),
            stored=asked.stored.tolist(),
        )
        found.append((mode, bill(prices, other)))
    return tuple(found)


def _own(q: BillQuestion, prices: PriceList, asked: Usage) -> tuple[Plan | None, list[str]]:
    """The cheapest plan for such requests on machines of one's own, with its notes."""
    if q.on is None:
        return None, []
    if q.against is None and not prices.weights:
        raise BadInput(f"the weights of {prices.model} are not known to be open; name a model with --against")
    isl, osl = float(asked.input.mean()), float(asked.output.mean())
    if isl < 1 or osl < 1:
        raise BadInput("machines are compared at one input and one output token or more in the mean request")
    traffic = Traffic(isl=isl, osl=osl, cached=float(asked.cached.sum() / asked.input.sum()), utilisation=q.utilisation)
    on = paid_for(q.on, q.price)
    asking, notes = question(q.against or prices.weights, on, traffic=traffic, precision=q.precision, kv=q.kv, engine=q.engine, sets=q.sets)
    notes += within(asking.model, isl + osl, "input or output", extrapolate=q.extrapolate)
    limits = Objectives(max_ttft=math.inf if q.max_ttft is None else q.max_ttft, max_tpot=max_tpot_of(None, q.min_interactivity))
    answered = plan([asking], limits)
    if answered.best is None:
        raise Infeasible(f"no plan of {asking.model.name} serves such requests: {'; '.join(answered.reasons)}")
    return answered.best, notes


def _met(p: Plan, paid: Bill, spare: int) -> tuple[VolumeBreakEven, breakeven.Ends]:
    dollars = float(paid.each.mean())
    if not dollars > 0:
        raise BadInput("such requests cost nothing by the list, so no machine costs less; give tokens")
    return breakeven.met(p, dollars, spare)


# --- the record -----------------------------------------------------------------------------------------------------


def _rows(b: Bill) -> list[Record]:
    return [
        {
            "mode": c.mode,
            "above_input_tokens": c.above_input_tokens,
            "part": c.part,
            "requests": c.requests,
            "tokens": c.tokens,
            "price": c.price,
            "dollars": c.dollars,
            "share": c.dollars / b.dollars if b.dollars else None,
            "instead": c.instead,
        }
        for c in b.charges
    ]


def _data(f: Billed) -> Record:
    u = f.requests
    return {
        "model": f.prices.model,
        "day": f.prices.day,
        "dollars": f.bill.dollars,
        "dollars_per_request": f.bill.dollars / len(u),
        "requests": len(u),
        "tokens": {name: float(getattr(u, name).sum()) for name in ("input", "fresh", "cached", "written", "output")},
        "break_even": None if f.break_even is None or f.plan is None else breakeven.record(f.break_even, f.plan, f.between),
    }


def _said(f: Billed, many: bool) -> Iterator[str]:
    """What a list does not name, once for each part and mode."""
    for mode in dict.fromkeys(c.mode for c in f.bill.charges):
        parts = dict.fromkeys(c.part for c in f.bill.charges if c.mode == mode and c.instead)
        if parts:
            yield f"no {mode} price of {' or '.join(parts)} is listed: it costs what plain input costs"
    written = (f.requests.lifetime > SHORT) & (f.requests.written > 0)
    if np.any(written) and not any(c.part == WRITE_1H or c.instead for c in f.bill.charges):
        yield f"{f.prices.model} lists one price of a cache write, whatever its lifetime"
    if np.any(f.requests.stored > 0) and not any(c.part == STORAGE for c in f.bill.charges):
        yield f"{f.prices.model} lists no price of storage: nothing is charged for it"


# --- on the screen --------------------------------------------------------------------------------------------------


def _subtitle(u: Usage) -> str:
    modes = ", ".join(dict.fromkeys(u.mode.tolist()))
    if len(u) > 1:
        return f"{plural(len(u), 'request')} · {modes}"
    held = [f"{cell(float(n[0]), 'tokens')} {word}" for n, word in ((u.cached, "cached"), (u.written, "written")) if n[0]]
    inside, out = f" ({', '.join(held)})" if held else "", cell(float(u.output[0]), "tokens")
    return f"{cell(float(u.input[0]), 'tokens')} tokens in{inside} · {out} out · {modes}"


def _blocks(f: Billed) -> Iterator[Block]:
    rows = _rows(f.bill)
    modes, lengths = {row["mode"] for row in rows}, {row["above_input_tokens"] for row in rows}
    which = [Column("mode", "mode")] if len(modes) > 1 else []
    which += [Column("above_input_tokens", "input", "above")] if len(lengths) > 1 else []
    long = next(iter(lengths)) if len(lengths) == 1 else 0.0
    shown = [row | {"above_input_tokens": row["above_input_tokens"] or None} for row in rows]
    yield Table(
        key="parts",
        rows=rows,
        shown=shown,
        total={"part": "total", "dollars": f.bill.dollars},
        columns=(
            Column("part", "part"),
            *which,
            Column("tokens", "tokens", "tokens"),
            Column("price", "$/M", "listed"),
            Column("dollars", "dollars", "exact"),
            Column("share", "share", "percent", optional=1),
        ),
        marks={i: "as plain input" for i, row in enumerate(rows) if row["instead"]},
    )
    if long:
        yield Say("The prices are those of inputs above {long:tokens} tokens.", {"long": long}, faint=True)
    if any(row["part"] == STORAGE for row in rows):
        yield Say("Storage is per million tokens and hour.", faint=True)
    if len(f.requests) > 1:
        each = f.bill.dollars / len(f.requests)
        yield Say("*{each:exact}* a request in the mean of {n:whole}", {"each": each, "n": len(f.requests)})
    if f.modes:
        yield _in_modes(f)
    yield Chart(spec=_against_length(f), lines=0)
    if f.break_even is not None and f.plan is not None:
        yield breakeven.frame(f.break_even, f.plan, f.between)
        yield Chart(spec=breakeven.chart(f.break_even, f.plan, f.spare), lines=13)


def _in_modes(f: Billed) -> Table:
    base = f.modes[0][1].dollars
    rows = [
        {
            "mode": mode,
            "dollars": b.dollars,
            "over_standard": b.dollars / base if base else None,
            "instead": any(c.instead for c in b.charges),
            "long": not _unpriced(f, mode),
        }
        for mode, b in f.modes
    ]
    marks = {i: "a part as plain input" for i, row in enumerate(rows) if row["instead"]}
    marks |= {i: "no price of such length listed" for i, row in enumerate(rows) if not row["long"]}
    own = f.requests.mode[0]
    return Table(
        key="modes",
        title="In every mode",
        rows=rows,
        marks=marks,
        columns=(Column("mode", "mode"), Column("dollars", "dollars", "exact"), Column("over_standard", "over standard", "x")),
        strong=next((i for i, row in enumerate(rows) if row["mode"] == own), None),
    )


def _against_length(f: Billed) -> dict[str, Any]:
    """The mean request at other lengths, with the same shares cached and written, in every mode."""
    u = f.requests
    whole = max(float(u.input.sum()), 1.0)
    cached, written = float(u.cached.sum()) / whole, float(u.written.sum()) / whole
    mean, output = max(float(u.input.mean()), 1.0), float(u.output.mean())
    steps = [e.above_input_tokens for e in f.prices.entries if e.above_input_tokens]
    far = max(f.prices.context_window or 0.0, 4 * mean, *(2 * step for step in steps))
    ends = [end for step in steps for end in (step, step + 1)]
    x = np.unique(np.append(np.geomspace(min(1000.0, mean), far, 60).round(), [*ends, round(mean)]))
    series = []
    for mode in f.prices.modes:
        at = usage(x.tolist(), np.floor(x * cached).tolist(), np.floor(x * written).tolist(), output, mode=mode)
        look = "line" if mode == u.mode[0] else "dashed"
        series.append(Series(mode, x.tolist(), bill(f.prices, at).each.tolist(), look=look))
    return curve(
        series,
        title="A request at other lengths",
        x=Axis("Input tokens", log=True),
        y=Axis("Dollars a request", "$", log=True),
        marks=[Mark("the mean" if len(u) > 1 else "this one", round(mean))],
    )


def _unpriced(f: Billed, mode: str) -> bool:
    """Whether the standard mode has another price for inputs of that length, and this mode only the short one."""
    longest = float(f.requests.input.max())
    return f.prices.at(longest).above_input_tokens > 0 and f.prices.at(longest, mode).above_input_tokens == 0


def _terms(f: Billed) -> Term:
    """Each part as millions of tokens times its price, and the break-even as a month over a request."""
    parts = [
        product(
            f"{c.part}{'' if c.mode == 'standard' else ', ' + c.mode}",
            "$",
            count("million tokens" + (" and hours" if c.part == STORAGE else ""), c.dollars / c.price),
            Term(name="price", value=c.price, unit="$", source=_source(f.prices, c.mode, c.above_input_tokens)),
        )
        for c in f.bill.charges
    ]
    whole = total("the bill", "$", *parts)
    b = f.break_even
    if b is None or b.never:
        return whole
    said = f"{b.replicas:g} replicas, spare ones too"
    machines = Term(name="machines a month", value=b.month_dollars, unit="$", note=said)
    one = quotient("a request by API", "$", whole, count("requests", len(f.requests)))
    by_api = product("a request a second by API, a month", "$", one, count("seconds of a month", MONTH))
    met = quotient("requests a second at which both cost the same", "", machines, by_api)
    return Term(name="the bill and the break-even", children=(whole, met))


def _source(p: PriceList, mode: str, above: float) -> str:
    return next((e.source for e in p.mode(mode) if e.above_input_tokens == above), "")
