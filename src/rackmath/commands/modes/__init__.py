"""Fast, slow and batch modes: what they reach, must cost and can save; or a price and speed ratio read backwards.

Group: Serving
Example: rackmath modes meta-llama/Llama-3.1-70B --on 8xh200 --price-ratio 6 --speed-ratio 2.5

Prices are at cost. The ratios alone need no model: rackmath modes --price-ratio 6 --speed-ratio 2.5
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from dataclasses import field as default
from typing import Annotated, Any

from ...answers.parts import Answer
from ...decisions.modes.menu import Menu, menu, normal_plan
from ...decisions.modes.offers import BatchOffer, FastFit, batch_offer, fit_fast_mode
from ...economics.cost import energy_mtok
from ...errors import BadInput, Infeasible
from ...kernel.counts import Pass
from ...questions.common import (
    CHOICES,
    TRAFFIC,
    CacheFormat,
    EngineName,
    Extrapolate,
    FamilyFile,
    InputTokens,
    MachineName,
    ModelName,
    OutputTokens,
    PriceKind,
    Settings,
    WeightFormat,
)
from ...questions.fields import Field, count, needs, share, speed, words
from ...questions.layouts import layout_taken
from ...questions.resolve import asked_of
from ...search.choice import Plan, evaluate_plan
from ...search.preferred import layout_for_pass
from ...views import mode_terms
from ...world.lengths import within
from ...world.workload import Traffic
from . import blocks
from .record import ModesFound, record

MODES, BACKWARDS = "Modes", "Backwards"
WITH_MODEL = needs("model")

Ratio = float | None


def _ratio(help: str) -> Field:
    return Field(help=help, unit="count", above=0, most=1e6, metavar="RATIO", panel=BACKWARDS)


def _listed(of: str) -> Field:
    text = f"A listed price in dollars per million {of} tokens, for the margin."
    return Field(help=text, unit="$", above=0, most=1e9, metavar="PRICE", panel=TRAFFIC)


@dataclass(frozen=True, kw_only=True)
class ModesAsked:
    """A normal mode and what surrounds it; a pair of ratios; or both."""

    model: ModelName = None
    on: MachineName = None
    isl: Annotated[InputTokens, WITH_MODEL] = 8192
    osl: Annotated[OutputTokens, WITH_MODEL] = 1024
    cached: Annotated[float, share("Share of the input that the prefix cache holds.", panel=TRAFFIC), WITH_MODEL] = 0.0
    normal_speed: Annotated[
        float | None, speed("tok/s/user of the normal mode; 20 if nothing is given.", most=1e9, panel=MODES), WITH_MODEL
    ] = None
    batch: Annotated[float | None, count("Sequences of the normal mode, in place of a speed.", least=1, panel=MODES), WITH_MODEL] = None
    layout: Annotated[
        str | None,
        words("Layout of the normal mode, with --batch. If not given, the one that decodes the batch fastest.", "LAYOUT", panel=MODES),
        WITH_MODEL,
        needs("batch"),
    ] = None
    tokens_per_pass: Annotated[
        float,
        count(
            "Tokens a sequence keeps from a speculative pass; 1 for none. Drafting itself is not charged.", least=1, most=100, panel=MODES
        ),
        WITH_MODEL,
    ] = 1.8
    draft_tokens: Annotated[
        float | None, count("Tokens drafted for a pass. As few as those kept allow if not given.", panel=MODES), WITH_MODEL
    ] = None
    idle: Annotated[float, share("Share of paid hours that interactive traffic leaves idle.", panel=MODES), WITH_MODEL] = 0.4
    filled: Annotated[float, share("Share of the idle hours that batch work fills.", panel=MODES), WITH_MODEL, needs("idle")] = 1.0
    electricity: Annotated[
        float,
        Field(help="Dollars per kWh, the floor of batch work's price.", unit="$", least=0, most=1e9, metavar="PRICE", panel=MODES),
        WITH_MODEL,
    ] = 0.1
    price_ratio: Annotated[Ratio, _ratio("Fast output price over normal: 6.")] = None
    speed_ratio: Annotated[Ratio, _ratio("Fast output speed over normal: 2.5.")] = None
    input_price_ratio: Annotated[Ratio, _ratio("Fast input price over normal: 6.")] = None
    list_input: Annotated[float | None, _listed("input"), WITH_MODEL] = None
    list_output: Annotated[float | None, _listed("output"), WITH_MODEL] = None
    precision: Annotated[WeightFormat, WITH_MODEL] = None
    kv: Annotated[CacheFormat, WITH_MODEL] = None
    gpus: Annotated[
        int | None, count("Use at most so many devices of the machine.", least=1, most=1e6, whole=True, panel=CHOICES), WITH_MODEL
    ] = None
    price: Annotated[PriceKind, WITH_MODEL] = None
    engine: Annotated[EngineName, WITH_MODEL] = None
    family: Annotated[FamilyFile, WITH_MODEL] = None
    sets: Annotated[Settings, WITH_MODEL] = default(default_factory=dict)
    extrapolate: Extrapolate = False


def answer(q: ModesAsked) -> Answer:
    """The menu around a normal mode, a pair of ratios read backwards, or both."""
    fit = _pair(q)
    if q.model is None and q.on is None:
        if fit is None:
            raise BadInput("nothing was asked; give MODEL --on MACHINE, or --price-ratio and --speed-ratio")
        return _answer(q, None, fit, None, ())
    if q.model is None or q.on is None:
        raise BadInput("a menu needs both a model and a machine; give MODEL --on MACHINE")
    m, notes = _menu(q)
    p = m.normal
    floor = float(energy_mtok(p.serving, p.machine, p.question.traffic, q.electricity))
    offer = batch_offer(m.output_mtok, q.idle, filled=q.filled, floor=floor)
    return _answer(q, m, fit, offer, tuple(dict.fromkeys(notes)))


def _answer(q: ModesAsked, m: Menu | None, fit: FastFit | None, offer: BatchOffer | None, notes: tuple[str, ...]) -> Answer:
    found = ModesFound(menu=m, fit=fit, offer=offer, per_kwh=q.electricity, list_input=q.list_input, list_output=q.list_output, notes=notes)
    return Answer(
        title=blocks.title(found),
        subtitle=blocks.subtitle(found),
        blocks=tuple(blocks.blocks(found)),
        table="offers",
        data=record(found),
        terms=lambda: mode_terms.modes(m, fit, offer, q.electricity),
        notes=notes,
        remarks=tuple(blocks.remarks(found)),
        subject=found,
    )


def _pair(q: ModesAsked) -> FastFit | None:
    if (q.price_ratio is None) != (q.speed_ratio is None):
        raise BadInput("a price ratio and a speed ratio belong together; give both, as --price-ratio 6 --speed-ratio 2.5")
    if q.price_ratio is None or q.speed_ratio is None:
        if q.input_price_ratio is not None:
            raise BadInput("an input price ratio needs the output's; give --price-ratio and --speed-ratio too")
        return None
    return fit_fast_mode(q.price_ratio, q.speed_ratio, input_price_ratio=q.input_price_ratio)


def _menu(q: ModesAsked) -> tuple[Menu, list[str]]:
    if q.normal_speed is not None and q.batch is not None:
        raise BadInput("a normal speed and a batch were given; each sets the normal mode, give one of them")
    if q.layout is not None and q.batch is None:
        raise BadInput("a layout needs its batch; give --batch too, or a --normal-speed alone")
    width = _computed(q)
    traffic = Traffic(isl=q.isl, osl=q.osl, cached=q.cached)
    asked, notes = asked_of(q, traffic)
    notes += within(asked.model, q.isl + q.osl, "isl or osl", extrapolate=q.extrapolate)
    if not float(asked.machine.price_per_hour) > 0:
        raise BadInput(
            f"{asked.machine.name} has no known price, and a menu is made of prices; give one like --set machine.price_per_hour=$2/h"
        )
    if q.batch is None:
        normal = normal_plan(asked, 20.0 if q.normal_speed is None else q.normal_speed)
    else:
        normal = _of_batch(q, q.batch, asked, notes)
    return menu(normal, per_pass=q.tokens_per_pass, width=width), notes


def _of_batch(q: ModesAsked, size: float, asked: Any, notes: list[str]) -> Plan:
    """The normal mode of so many sequences."""
    used = asked.precisions[0]
    work = Pass(decode=size, context=q.isl + q.osl / 2)
    chosen = layout_taken(q.layout, asked, lambda: layout_for_pass(asked, used, work), notes)
    normal = evaluate_plan(asked, chosen, used, size)
    if not normal.serving.fits:
        most = float(normal.serving.footprint.batch_max)
        raise Infeasible(f"{size:,.0f} sequences do not fit on {chosen.label()}: at most {most:,.0f} do")
    if not normal.serving.keeps_pace:
        raise Infeasible(f"prefill cannot keep a batch of {size:,.0f} full on {chosen.label()}; take a smaller one")
    return normal


def _computed(q: ModesAsked) -> float:
    """Tokens computed in a pass for each sequence: drafts and one more; as many drafts as needed if not given."""
    if q.draft_tokens is None:
        return math.ceil(q.tokens_per_pass)
    if q.draft_tokens + 1 < q.tokens_per_pass:
        raise BadInput(
            f"{q.tokens_per_pass:g} tokens per pass cannot come from {q.draft_tokens:g} drafts and one more; draft"
            f" at least {q.tokens_per_pass - 1:g}"
        )
    return q.draft_tokens + 1
