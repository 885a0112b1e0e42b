"""The verb `quote`: words in, a price list out. No arithmetic here.

>>> found = quote("meta-llama/Llama-3.1-70B", "8xh200", margin="40%", rounded=False).quote
>>> round(found.margin(), 9), [line.name for line in found.of("standard")]
(0.4, ['input', 'cached read', 'cache write, 5 min', 'cache write, 1 h', 'output'])
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..questions.machines import machine_of
from ..questions.resolve import at_least, max_tpot_of, on_devices, question
from ..questions.settings import Quantity
from ..units import parse

if TYPE_CHECKING:
    from ..decisions.quote.hosts import Host
    from ..decisions.quote.price_list import Quote
    from ..economics.pricelist import PriceList
    from ..world.machine import Machine
    from ..world.model import Model
    from .export import Face


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteAnswer:
    """A price list, and the public lists beside it; `hosts` is None where they were not asked for."""

    quote: Quote
    hosts: tuple[Host, ...] | None
    notes: tuple[str, ...]

    def face(self) -> Face:
        """How the answer is shown and saved."""
        from . import show_quote

        return show_quote.face(self)


def quote(
    model: str | Model,
    on: str | Machine,
    *,
    margin: Quantity = 0.0,
    idle: Quantity = 0.4,
    rounded: bool = True,
    compare: bool = False,
    isl: Quantity = 8192,
    osl: Quantity = 1024,
    cached: Quantity = 0.5,
    max_ttft: Quantity | None = None,
    min_interactivity: Quantity | None = 20,
    long_isl: Quantity | None = None,
    long_step: Quantity = 0.5,
    long_above: Quantity | None = None,
    fast: Quantity = 2,
    filled: Quantity = 1.0,
    electricity: Quantity = 0.1,
    reuse: Quantity | None = None,
    max_fetch: Quantity | None = None,
    precision: str | Sequence[str] | None = None,
    kv: str | Sequence[str] | None = None,
    gpus: Quantity | None = None,
    price: str | None = None,
    engine: str | None = None,
    sets: Mapping[str, Quantity] | None = None,
    extrapolate: bool = False,
) -> QuoteAnswer:
    """The price list of a model on a machine at a gross `margin`, where a share `idle` of paid hours is empty.

    `long_isl`, `long_step`: the prompts that the long tier is computed for, and the growth of the cost from which one
    is needed; `long_above`: where it begins. `fast`: speed of the fast tier over standard. `filled`: share of the
    idle hours that batch work fills. `reuse`: hits expected of a cached write, `max_fetch`: how long a hit may wait
    for its cache. `compare` puts the public lists of this model beside it.
    """
    from ..decisions.quote.hosts import hosts
    from ..decisions.quote.price_list import Terms
    from ..decisions.quote.price_list import quote as of
    from ..search.advice import QUALITY
    from ..world.lengths import within
    from ..world.workload import Objectives, Traffic

    def some(value: Quantity | None, dimension: str, name: str) -> float | None:
        return None if value is None else parse(value, dimension, name=name)

    terms = Terms(
        margin=parse(margin, "share", name="margin"),
        idle=parse(idle, "share", name="idle"),
        filled=parse(filled, "share", name="filled"),
        fast=parse(fast, "count", name="fast"),
        step=parse(long_step, "share", name="long_step"),
        long_isl=some(long_isl, "count", "long_isl"),
        long_above=some(long_above, "count", "long_above"),
        reuse=some(reuse, "count", "reuse"),
        max_fetch=some(max_fetch, "s", "max_fetch"),
        per_kwh=parse(electricity, "$", name="electricity"),
        rounded=rounded,
    )
    traffic = Traffic(
        isl=at_least(parse(isl, "count", name="isl"), 2, "isl"),
        osl=at_least(parse(osl, "count", name="osl"), 2, "osl"),
        cached=parse(cached, "share", name="cached"),
    )
    objectives = Objectives(
        max_ttft=math.inf if max_ttft is None else parse(max_ttft, "s", name="max_ttft"),
        max_tpot=max_tpot_of(None, min_interactivity),
    )
    q, notes = question(
        model, machine_of(on, price), traffic=traffic, precision=precision, kv=kv, engine=engine, sets=sets
    )
    q = on_devices(q, gpus)
    notes += within(q.model, float(traffic.isl) + float(traffic.osl), "isl or osl", extrapolate=extrapolate)
    if terms.long_isl is not None:
        needed = terms.long_isl + float(traffic.osl)
        notes += within(q.model, needed, "long_isl or osl", extrapolate=extrapolate)
    if extrapolate:  # tiers are looked for up to the longest prompt asked about
        reach = max(terms.long_isl or 0.0, float(traffic.isl)) + float(traffic.osl)
        q = replace(q, model=replace(q.model, max_context=max(q.model.max_context, reach)))
    found = of(q, objectives, terms)
    if found.standard.precision != q.model.precision:
        notes.append(QUALITY)
    return QuoteAnswer(
        quote=found,
        hosts=hosts(found, _lists(q.model.name, notes)) if compare else None,
        notes=tuple(dict.fromkeys(notes)),
    )


def _lists(weights: str, notes: list[str]) -> Sequence[PriceList]:
    """The public lists of hosts of these weights; a note where none is known."""
    from ..economics.pricelist import price_lists

    found = price_lists(weights)
    if not found:
        notes.append(f"no public list of {weights} is known, so there is nothing to compare with")
    return found
