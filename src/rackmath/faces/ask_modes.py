"""The verbs of price modes and of the departing train: words in, answers out. No arithmetic here.

>>> fit = modes(price_ratio=6, speed_ratio=2.5, input_price_ratio=6).fit
>>> round(fit.batch_ratio), round(fit.memory_bound.largest_speed, 1)
(15, 2.8)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import BadInput, Infeasible
from ..questions.resolve import Quantity, at_least, layout_taken, question
from ..units import parse

if TYPE_CHECKING:
    from ..decisions.menu import Menu
    from ..decisions.modes import BatchOffer, FastFit
    from ..world.machine import Machine
    from ..world.model import Model
    from .export import Face

OPUS = "Claude Opus 4.6 in February 2026: $5 and $25 standard, $30 and $150 fast, 2.5 times the output speed"
"""The published pair of the lecture's example, from the vendor's price list and announcement (LECTURE section 4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModesAnswer:
    """The menu around a normal mode, a pair of ratios read backwards, or both.

    `list_input`, `list_output`: listed dollars per million tokens of the normal mode, for margins.
    """

    menu: Menu | None
    fit: FastFit | None
    offer: BatchOffer | None
    per_kwh: float
    list_input: float | None
    list_output: float | None
    notes: tuple[str, ...]

    def face(self) -> Face:
        from . import show_modes

        return show_modes.face(self)


def modes(
    model: str | Model | None = None,
    on: str | Machine | None = None,
    *,
    isl: Quantity = 8192,
    osl: Quantity = 1024,
    cached: Quantity = 0.0,
    normal_speed: Quantity | None = None,
    batch: Quantity | None = None,
    layout: str | None = None,
    tokens_per_pass: Quantity = 1.8,
    draft_tokens: Quantity | None = None,
    idle: Quantity = 0.4,
    filled: Quantity = 1.0,
    electricity: Quantity = 0.1,
    price_ratio: Quantity | None = None,
    speed_ratio: Quantity | None = None,
    input_price_ratio: Quantity | None = None,
    list_input: Quantity | None = None,
    list_output: Quantity | None = None,
    precision: str | None = None,
    kv: str | None = None,
    gpus: Quantity | None = None,
    price: str | None = None,
    engine: str | None = None,
    sets: Mapping[str, Quantity] | None = None,
    extrapolate: bool = False,
) -> ModesAnswer:
    """What faster, slower and deferred modes reach and must cost at cost; and a pair of ratios read backwards.

    The normal mode is the cheapest plan of `normal_speed` tok/s/user (20 if nothing is given), or `batch` sequences
    on `layout`. `tokens_per_pass`: tokens a sequence keeps from a speculative pass of `draft_tokens` + 1.
    """
    from ..decisions.modes import batch_offer, fit_fast_mode

    if (price_ratio is None) != (speed_ratio is None):
        raise BadInput(
            "a price ratio and a speed ratio belong together; give both, as --price-ratio 6 --speed-ratio 2.5"
        )
    if input_price_ratio is not None and price_ratio is None:
        raise BadInput("an input price ratio needs the output's; give --price-ratio and --speed-ratio too")
    fit = None
    if price_ratio is not None and speed_ratio is not None:
        fit = fit_fast_mode(
            parse(price_ratio, "count", name="price_ratio"),
            parse(speed_ratio, "count", name="speed_ratio"),
            input_price_ratio=None
            if input_price_ratio is None
            else parse(input_price_ratio, "count", name="input_price_ratio"),
        )
    lists = [
        None if value is None else _positive(value, "$", name)
        for name, value in (("list_input", list_input), ("list_output", list_output))
    ]
    per_kwh = parse(electricity, "$", name="electricity")
    if per_kwh < 0:
        raise BadInput(f"electricity = {electricity!r} is below zero; give dollars per kWh")
    if model is None and on is None:
        if fit is None:
            raise BadInput("nothing was asked; give MODEL --on MACHINE, or --price-ratio and --speed-ratio")
        return ModesAnswer(
            menu=None, fit=fit, offer=None, per_kwh=per_kwh, list_input=lists[0], list_output=lists[1], notes=()
        )
    if model is None or on is None:
        raise BadInput("a menu needs both a model and a machine; give MODEL --on MACHINE")
    found, notes = _menu(
        model, on, isl=isl, osl=osl, cached=cached, normal_speed=normal_speed, batch=batch, layout=layout,
        speculation=(tokens_per_pass, draft_tokens), precision=precision, kv=kv, gpus=gpus, price=price,
        engine=engine, sets=sets, extrapolate=extrapolate,
    )  # fmt: skip
    from ..economics.cost import energy_mtok

    p = found.normal
    floor = float(energy_mtok(p.serving, p.machine, p.question.traffic, per_kwh))
    offer = batch_offer(
        found.output_mtok,
        parse(idle, "share", name="idle"),
        filled=parse(filled, "share", name="filled"),
        floor=floor,
    )
    return ModesAnswer(
        menu=found, fit=fit, offer=offer, per_kwh=per_kwh, list_input=lists[0], list_output=lists[1],
        notes=tuple(dict.fromkeys(notes)),
    )  # fmt: skip


def _menu(
    model: str | Model,
    on: str | Machine,
    *,
    isl: Quantity,
    osl: Quantity,
    cached: Quantity,
    normal_speed: Quantity | None,
    batch: Quantity | None,
    layout: str | None,
    speculation: tuple[Quantity, Quantity | None],
    precision: str | None,
    kv: str | None,
    gpus: Quantity | None,
    price: str | None,
    engine: str | None,
    sets: Mapping[str, Quantity] | None,
    extrapolate: bool,
) -> tuple[Menu, list[str]]:
    from ..decisions.menu import menu, normal_plan
    from ..kernel.counts import Pass
    from ..search.plan import evaluate_plan
    from ..search.preferred import layout_for_pass
    from ..world.lengths import within
    from ..world.workload import Traffic

    if normal_speed is not None and batch is not None:
        raise BadInput("a normal speed and a batch were given; each sets the normal mode, give one of them")
    if layout is not None and batch is None:
        raise BadInput("a layout needs its batch; give --batch too, or a --normal-speed alone")
    per_pass, width = _speculation(*speculation)
    traffic = Traffic(
        isl=parse(isl, "count", name="isl"),
        osl=parse(osl, "count", name="osl"),
        cached=parse(cached, "share", name="cached"),
    )
    q, notes = question(
        model, on, traffic=traffic, precision=precision, kv=kv, gpus=gpus, price=price, engine=engine, sets=sets
    )
    notes += within(q.model, float(traffic.isl) + float(traffic.osl), "isl or osl", extrapolate=extrapolate)
    if not float(q.machine.price_per_hour) > 0:
        raise BadInput(
            f"{q.machine.name} has no known price, and a menu is made of prices; give one like"
            " --set machine.price_per_hour=$2/h"
        )
    if batch is None:
        speed = 20.0 if normal_speed is None else _positive(normal_speed, "1/s", "normal_speed")
        normal = normal_plan(q, speed)
    else:
        size = at_least(parse(batch, "count", name="batch"), 1, "batch")
        work = Pass(decode=size, context=float(traffic.isl) + float(traffic.osl) / 2)
        chosen = layout_taken(layout, q, lambda: layout_for_pass(q, q.precisions[0], work), notes)
        normal = evaluate_plan(q, chosen, q.precisions[0], size)
        if not normal.serving.fits:
            most = float(normal.serving.footprint.batch_max)
            raise Infeasible(f"{size:,.0f} sequences do not fit on {chosen.label()}: at most {most:,.0f} do")
        if not normal.serving.keeps_pace:
            raise Infeasible(
                f"prefill cannot keep a batch of {size:,.0f} full on {chosen.label()}; take a smaller one"
            )
    return menu(normal, per_pass=per_pass, width=width), notes


def _speculation(tokens_per_pass: Quantity, draft_tokens: Quantity | None) -> tuple[float, float]:
    """Tokens kept and tokens computed per pass: drafts and one more; as many drafts as needed if not given."""
    keeps = parse(tokens_per_pass, "count", name="tokens_per_pass")
    if not 1 <= keeps <= 100:
        raise BadInput(f"tokens_per_pass = {keeps:g} is out of range; give 1 (no speculation) or more, as 1.8")
    if draft_tokens is None:
        return keeps, math.ceil(keeps)
    drafts = at_least(parse(draft_tokens, "count", name="draft_tokens"), 0, "draft_tokens")
    if drafts + 1 < keeps:
        raise BadInput(
            f"{keeps:g} tokens per pass cannot come from {drafts:g} drafts and one more; draft at least {keeps - 1:g}"
        )
    return keeps, drafts + 1


def _positive(value: Quantity, dimension: str, name: str) -> float:
    found = parse(value, dimension, name=name)
    if not found > 0:
        raise BadInput(f"{name} = {value!r} is impossible; give a number above 0")
    return found
