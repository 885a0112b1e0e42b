"""An API price list from cost: input, cached reads and writes, output; long, fast and batch tiers.

Group: Prices
Example: rackmath quote deepseek-ai/DeepSeek-V3 --on gb200-nvl72 --margin 40% --compare

Each price with its cost, interval and floor, and its sensitivity. Exits with 1 where nothing can serve it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from dataclasses import field as default
from typing import Annotated

from ...answers.parts import Answer
from ...decisions.quote.hosts import Host, hosts
from ...decisions.quote.price_list import Quote
from ...decisions.quote.price_list import quote as price_list
from ...decisions.quote.terms import SellerTerms
from ...economics.pricelist import PriceList, price_lists
from ...questions.common import (
    TRAFFIC,
    CachedShare,
    CacheFormats,
    EngineName,
    Extrapolate,
    MachineName,
    MaxTtft,
    MinInteractivity,
    ModelName,
    PriceKind,
    ReplicaSize,
    Settings,
    WeightFormats,
)
from ...questions.fields import Field, count, flag, needs, share, tokens
from ...questions.resolve import asked_of, max_tpot_of
from ...search.advice import QUALITY
from ...search.grid import Question
from ...world.lengths import within
from ...world.workload import Objectives, Traffic
from . import blocks
from .record import data, rows
from .terms import tree

TERMS, TIERS = "Terms", "Tiers"

INPUT = tokens("Input tokens of a request.", least=2, panel=TRAFFIC)
OUTPUT = tokens("Output tokens of a request.", least=2, panel=TRAFFIC)
LONG_ISL = "Input tokens that the long tier is computed for; 128k or the model's limit if not given."
LONG_STEP = "A long tier is needed where cost has grown by this share over what standard prices charge."
LONG_ABOVE = "Input tokens above which long prices hold: 200k. The next round number, or none, if not given."
KWH = "Dollars per kWh, for the least price of batch work."
REUSE = "Hits expected of a token written to the cache; as the cached share implies if not given."
MAX_FETCH = "How long a hit may wait for its cache; the median TTFT if not given."


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What is sold, on which machine, and what the seller decides."""

    model: ModelName
    on: MachineName
    margin: Annotated[float, share("Gross margin, 1 - cost / price: 40%.", below=1, panel=TERMS)] = 0
    idle: Annotated[float, share("Share of paid hours that interactive traffic leaves idle.", below=1, panel=TERMS)] = 0.4
    rounded: Annotated[bool, flag("List prices in two significant digits, or exactly.", flag="--round/--exact", panel=TERMS)] = True
    compare: Annotated[bool, flag("Put public lists of hosts of this model beside the quote.", panel=TERMS)] = False
    isl: Annotated[float, INPUT] = 8192
    osl: Annotated[float, OUTPUT] = 1024
    cached: CachedShare = 0.5
    max_ttft: MaxTtft = None
    min_interactivity: MinInteractivity = 20
    long_isl: Annotated[float | None, tokens(LONG_ISL, panel=TIERS)] = None
    long_step: Annotated[float, Field(help=LONG_STEP, unit="share", above=0, most=1e6, metavar="SHARE", panel=TIERS)] = 0.5
    long_above: Annotated[float | None, tokens(LONG_ABOVE, panel=TIERS)] = None
    fast: Annotated[float, count("Speed of the fast tier over standard.", above=1, most=1e6, metavar="TIMES", panel=TIERS)] = 2
    filled: Annotated[float, share("Share of the idle hours that batch work fills.", panel=TIERS), needs("idle")] = 1
    electricity: Annotated[float, Field(help=KWH, unit="$", least=0, most=1e3, metavar="PRICE", panel=TIERS)] = 0.1
    reuse: Annotated[float | None, count(REUSE, panel=TIERS)] = None
    max_fetch: Annotated[float | None, Field(help=MAX_FETCH, unit="s", least=0, most=1e9, metavar="TIME", panel=TIERS)] = None
    precision: WeightFormats = None
    kv: CacheFormats = None
    gpus: ReplicaSize = None
    price: PriceKind = None
    engine: EngineName = None
    sets: Settings = default(default_factory=dict)
    extrapolate: Extrapolate = False


def answer(q: Offer) -> Answer:
    """The price list, and the public lists beside it where they are asked for."""
    asked, notes = _question(q)
    pace = max_tpot_of(None, q.min_interactivity)
    objectives = Objectives(max_ttft=math.inf if q.max_ttft is None else q.max_ttft, max_tpot=pace)
    found = price_list(asked, objectives, _terms(q))
    if found.standard.precision != asked.model.precision:
        notes.append(QUALITY)
    sellers = hosts(found, _lists(asked.model.name, notes)) if q.compare else None
    return _answer(found, sellers, tuple(dict.fromkeys(notes)))


def _answer(found: Quote, sellers: Sequence[Host] | None, notes: tuple[str, ...]) -> Answer:
    return Answer(
        title=blocks.title(found),
        subtitle=blocks.subtitle(found),
        blocks=tuple(blocks.blocks(found, sellers or ())),
        table=lambda: rows(found, sellers or ()),
        data=data(found, sellers),
        terms=lambda: tree(found),
        notes=notes,
        remarks=tuple(blocks.remarks(found)),
        subject=found,
    )


def _terms(q: Offer) -> SellerTerms:
    """What the seller decides."""
    return SellerTerms(
        margin=q.margin,
        idle=q.idle,
        filled=q.filled,
        fast=q.fast,
        step=q.long_step,
        long_isl=q.long_isl,
        long_above=q.long_above,
        reuse=q.reuse,
        max_fetch=q.max_fetch,
        per_kwh=q.electricity,
        rounded=q.rounded,
    )


def _question(q: Offer) -> tuple[Question, list[str]]:
    """The standard traffic on the machine; with --extrapolate the model takes what is asked about."""
    asked, notes = asked_of(q, Traffic(isl=q.isl, osl=q.osl, cached=q.cached))
    notes += within(asked.model, q.isl + q.osl, "isl or osl", extrapolate=q.extrapolate)
    if q.long_isl is not None:
        notes += within(asked.model, q.long_isl + q.osl, "long_isl or osl", extrapolate=q.extrapolate)
    if q.extrapolate:  # tiers are looked for up to the longest prompt asked about
        reach = max(q.long_isl or 0.0, q.isl) + q.osl
        asked = replace(asked, model=replace(asked.model, max_context=max(asked.model.max_context, reach)))
    return asked, notes


def _lists(weights: str, notes: list[str]) -> Sequence[PriceList]:
    """The public lists of hosts of these weights; a note where none is known."""
    found = price_lists(weights)
    if not found:
        notes.append(f"no public list of {weights} is known, so there is nothing to compare with")
    return found
