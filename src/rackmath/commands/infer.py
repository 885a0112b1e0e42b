"""A price list read backwards, all evidence at once: model, machine, batch and margin, with how sure one can be.

Group: Prices
Example: rackmath infer anthropic/claude-opus-4-6 --know hardware=tpu-v6e --speed 55 --draws 100k

Exits with 1 where the prices lie beyond anything the prior holds. Tested in docs/concepts/infer.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from dataclasses import field as default
from typing import Annotated, Any

from ..answers.parts import Answer, Block, Chart, Column, Say, Table
from ..decisions.backwards.beliefs import KNOWABLE, MOST, Beliefs, beliefs, believing
from ..decisions.backwards.inverse import Inference, Odds, Posterior
from ..decisions.backwards.inverse import infer as read
from ..decisions.backwards.likelihood import margins, observations
from ..decisions.backwards.sellers import Seller, informed
from ..decisions.backwards.sellers import seller as known_of
from ..economics.listings import SOURCES, PriceList
from ..errors import BadInput, Infeasible, unknown
from ..evidence import blind as evidence
from ..evidence.open_models import OTHER_MACHINES
from ..evidence.open_models import truth as truth_of
from ..questions.common import CHOICES
from ..questions.fields import Field, count, flag, one_of, words
from ..questions.lists import SinglePrices, list_meant
from ..units import parse
from ..views.blind_test import blind_answer
from ..views.posterior_terms import terms
from ..views.posteriors import QUANTILES, listed, pictures, record, rows, span, sparks, value

Record = dict[str, Any]

KNOWN = "What is known, and the prior"
MOST_DRAWS = 20_000_000
FEWEST_DRAWS = 10_000
COMPARED_DRAWS = 500_000
"""Draws of the reading without what is known of the seller, which stands beside."""

LITTLE, SOME = 0.1, 0.4
"""Bits below which prices say nothing to speak of, and below which they say little."""

SHOWN = {
    "The model": ("active_params", "total_params", "kv_bytes", "layers"),
    "How it is run": ("price_per_hour", "batch", "speed", "context", "idle"),
    "Margins": ("margin", "margin_input", "margin_output"),
}
KNOW = (
    "What is known: active_params=37e9, total_params, kv_bytes=70kB, layers, hardware=h800, price_per_hour=2,"
    " weights=fp8, attention=mla, batch, idle=30%, margin=60%, ... Repeat it."
)
SELLER = "host of open weights, or maker of a closed model: their markups differ. By the list if not given."


@dataclass(frozen=True, kw_only=True)
class Infer(SinglePrices):
    """Which list, and what is known beside it."""

    name: Annotated[
        Any, words("A model of the price lists (rackmath prices), or a file.", "[PRICELIST]", argument=True, complete="lists")
    ] = None
    speed: Annotated[
        float | None, Field(help="Measured output speed of a user: 55 tok/s.", unit="1/s", above=0, most=1e9, metavar="SPEED", panel=KNOWN)
    ] = None
    ttft: Annotated[
        float | None, Field(help="Measured time to first token: 900ms.", unit="s", above=0, most=1e9, metavar="TIME", panel=KNOWN)
    ] = None
    know: Annotated[dict[str, Any], Field(help=KNOW, metavar="NAME=VALUE", panel=KNOWN, example="active_params=37e9")] = default(
        default_factory=dict
    )
    prior: Annotated[
        dict[str, Any],
        Field(
            help="Another prior, its 5 to 95 %: active_params=100e9..600e9. Repeat it.",
            metavar="NAME=LOW..HIGH",
            panel=KNOWN,
            example="active_params=100e9..600e9",
        ),
    ] = default(default_factory=dict)
    on_date: Annotated[str | None, words("The list of this day: 2026-03-01.", "DAY", panel=CHOICES)] = None
    source: Annotated[str, one_of("snapshot, or genai-prices (the installed package).", *SOURCES, panel=CHOICES)] = "snapshot"
    seller: Annotated[str | None, one_of(SELLER, "host", "maker", panel=KNOWN)] = None
    anonymous: Annotated[bool, flag("Leave out what is known of this seller's machines (Google: TPUs, ...).", panel=KNOWN)] = False
    draws: Annotated[float, count("Draws from the prior.", least=FEWEST_DRAWS, most=MOST_DRAWS, panel=CHOICES)] = 2_000_000
    seed: Annotated[int, count("Start of the random numbers.", most=2**32 - 1, whole=True, metavar="NUMBER", panel=CHOICES)] = 1
    blind: Annotated[bool, flag("Run the blind test on open-weight models instead.", panel=CHOICES)] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Inferred:
    """A price list read backwards. `known` and `priors` hold what was given, as it was given.

    `truth`: what is known of a model whose weights are open, by the names of unknowns. `sold`: what is known of the
    seller's machines, and `without` the posterior that leaves it out, if the prior took it in.
    """

    prices: PriceList
    seller: str
    inference: Inference
    beliefs: Beliefs
    known: Mapping[str, str]
    priors: Mapping[str, str]
    truth: Mapping[str, float]
    sold: Seller | None
    without: Inference | None


def answer(q: Infer) -> Answer:
    """Model, machine, batch and margin behind a list; or the blind test."""
    if q.blind:
        if q != Infer(blind=True):
            raise BadInput("--blind reads the lists of open-weight models; leave the rest out")
        return blind_answer(evidence.blind())
    found = _inferred(q)
    r = found.inference
    drawn = [Chart(spec=spec, lines=0) for spec in pictures(r, found.truth)]
    told = (*_given(found), *_unknowns(found), *_choices(r), *_seller(found), _weights(r), *_words(found))
    return Answer(
        title=Say("*{model}* on {day}, read backwards", {"model": found.prices.model, "day": found.prices.day}),
        subtitle=" · ".join(listed(o) for o in r.seen),
        blocks=(*told, *drawn),
        table="intervals",
        data=_data(found),
        terms=lambda: terms(found.prices.model, r, found.beliefs),
        remarks=tuple(_notes(found)),
        subject=found,
    )


# --- the question in records ----------------------------------------------------------------------------------------


def _inferred(q: Infer) -> Inferred:
    if "speed" in q.know and q.speed is not None:
        raise BadInput("speed is given both as known and as measured; give one of them")
    prices = list_meant(q.name, q.listed, q.on_date, q.source, q.unit)
    prices = replace(
        prices, output_speed=prices.output_speed if q.speed is None else q.speed, ttft=prices.ttft if q.ttft is None else q.ttft
    )
    known = {k: _known(k, v) for k, v in q.know.items()}
    of = believing({k: _range(k, v) for k, v in q.prior.items()})
    if both := sorted(set(known) & set(q.prior)):
        raise BadInput(f"{both[0]} is given both as known and as a prior; give one of them")
    who = q.seller or ("host" if prices.weights else "maker")
    seen, markups = observations(prices), margins(who)
    sold = None if q.anonymous or "hardware" in known else known_of(prices.model, own=who == "maker")
    taken = of if sold is None else informed(sold, of)
    found = read(seen, known=known, of=taken, markups=markups, draws=round(q.draws), seed=q.seed)
    without = None
    if taken is not of:
        few = round(min(q.draws, COMPARED_DRAWS))
        with suppress(Infeasible):
            without = read(seen, known=known, of=of, markups=markups, draws=few, seed=q.seed)
    given, priors = ({k: str(v) for k, v in pairs.items()} for pairs in (q.know, q.prior))
    return Inferred(
        prices=prices,
        seller=who,
        inference=found,
        beliefs=taken,
        known=given,
        priors=priors,
        truth=_truth(prices.weights),
        sold=sold,
        without=without,
    )


def _truth(weights: str) -> dict[str, float]:
    """What is known of a model of the catalogue; empty where the weights are closed."""
    if not weights:
        return {}
    known = truth_of(weights)
    return {k: getattr(known, k) for k in ("active_params", "total_params", "kv_bytes", "layers")}


def _known(name: str, given: Any) -> float | str:
    """A known value in SI, or the name of a kind."""
    if name not in KNOWABLE:
        raise unknown("name of a known value", name, KNOWABLE)
    dimension = KNOWABLE[name]
    if not dimension:
        return str(given).strip().lower()
    found = parse(given, dimension, name=name)
    whole = dimension == "count" and name not in ("reuse", "sparsity")
    if dimension == "share":
        low = -10.0 if name == "margin" else 0.0
        if not low < found < 1:
            raise BadInput(f"{name} = {given!r} is impossible; give a share above {low:g} and below 1")
    elif not (1.0 if whole else 1 / MOST) <= found <= MOST:
        raise BadInput(f"{name} = {given!r} is impossible; give a number {'of 1 or more' if whole else 'above 0'}")
    return found


def _range(name: str, text: Any) -> tuple[float, float]:
    """Two ends written low..high."""
    quantities = beliefs().quantities
    if name not in quantities:
        raise unknown("prior", name, quantities)
    low, dots, high = str(text).partition("..")
    if not (low.strip() and dots and high.strip()):
        raise BadInput(f"the prior {name} = {text!r} is not a range; write it like {name}=1e9..1e11")
    dimension = {"tok/s": "1/s", "x": "count", "tokens": "count", "uses": "count", "FLOP": "count"}
    unit = quantities[name].unit
    ends = [parse(end.strip(), dimension.get(unit, unit), name=name) for end in (low, high)]
    return ends[0], ends[1]


# --- the screen -----------------------------------------------------------------------------------------------------


def _given(found: Inferred) -> list[Block]:
    told = {"known": found.known, "prior": found.priors}
    return [
        Say(f"{name}: {{given}}", {"given": ", ".join(f"{k} {v}" for k, v in given.items())}, faint=True)
        for name, given in told.items()
        if given
    ]


def _unknowns(found: Inferred) -> list[Block]:
    r, made = found.inference, list[Block]()
    columns = [Column("name", ""), Column("median", "median", "number"), Column("interval", "5 to 95 %", "number")]
    columns += [Column("prior", "prior's 5 to 95 %", "number", optional=1), Column("bits", "bits", "number")]
    columns += [Column("truth", "truth", "number")] if found.truth else []
    columns += [Column("before", "prior", "number", optional=2), Column("after", "posterior", "number")]
    for title, names in SHOWN.items():
        every = [r[name] for name in names if math.isfinite(r[name].median)]
        lines = [_row(p, r, found.truth.get(p.name)) for p in every]
        made.append(Table(key="", title=title, columns=tuple(columns), rows=lines))
    return made


def _row(p: Posterior, r: Inference, truth: float | None) -> Record:
    found: Record = {"name": p.says, "median": value(p, p.median), "truth": _true(p, truth)}
    if p.known:
        return found | {"interval": "known"}
    before, after = sparks(p, r)
    ends = {"interval": span(p, p.low, p.high), "prior": span(p, p.prior[0], p.prior[4])}
    return found | ends | {"bits": f"{p.bits:.2f}", "before": before, "after": after}


def _true(p: Posterior, truth: float | None) -> str:
    """The truth, and whether the interval holds it."""
    if truth is None:
        return ""
    inside = p.known or p.low <= truth <= p.high
    return f"{value(p, truth)} {'✓' if inside else '✗'}"


def _choices(r: Inference) -> list[Block]:
    made: list[Block] = []
    for o in r.odds.values():
        title, aside = ("", "") if made else ("Choices", "posterior probability, prior in brackets")
        made.append(Say("{says}: {odds}", {"says": o.says, "odds": _odds(o)}, title=title, aside=aside))
    return made


def _odds(o: Odds) -> str:
    kinds = sorted(o.posterior, key=lambda k: -o.posterior[k])
    if o.known:
        return f"{kinds[0]}, known"
    said = ", ".join(f"{k} {o.posterior[k]:.0%} ({o.prior[k]:.0%})" for k in kinds[:5] if o.posterior[k] > 0.005)
    rest = 1 - sum(o.posterior[k] for k in kinds[:5])
    return f"{said}{f', others {rest:.0%}' if rest > 0.005 else ''} · {o.bits:.2f} bits"


def _seller(found: Inferred) -> list[Block]:
    """What is known of the seller's machines, and the posterior without it."""
    s, without = found.sold, found.without
    if s is None:
        return []
    about = {"says": s.says, "source": s.source}
    made: list[Block] = [Say("{says} ({source})", about, title="Who sells", aside=f"{s.firm} · {s.date}")]
    if s.absent:
        absent = {"machines": ", ".join(s.absent)}
        made.append(Say("not in the prior, for want of a known price of an hour: {machines}", absent, faint=True))
    if without is None:
        return made
    odds = without.odds["hardware"].posterior
    hardware = ", ".join(f"{k} {odds[k]:.0%}" for k in sorted(odds, key=lambda k: -odds[k])[:4])
    told = [
        f"{p.says} {value(p, p.median)} ({span(p, p.low, p.high)})"
        for p in (without[name] for name in ("active_params", "total_params", "margin"))
        if math.isfinite(p.median)
    ]
    text = {"hardware": hardware, "told": "; ".join(told)}
    return [*made, Say("Without it (--anonymous): hardware {hardware}; {told}", text)]


def _weights(r: Inference) -> Table:
    names = {k: p.says for k, p in r.unknowns.items()} | {k: o.says for k, o in r.odds.items()}
    kept = [{"observation": w.observation.name, "total_bits": w.total, "bits": dict(w.bits)} for w in r.weights]
    shown = []
    for w in sorted(r.weights, key=lambda w: -w.total):
        most = [k for k in sorted(w.bits, key=lambda k: -w.bits[k])[:2] if w.bits[k] >= 0.01]
        said = ", ".join(f"{names[k]} {w.bits[k]:.2f}" for k in most)
        shown.append({"name": listed(w.observation), "total_bits": w.total, "most": said})
    columns = (Column("name", ""), Column("total_bits", "bits", "ratio"), Column("most", "most on"))
    title, aside = "Information in each observation", "bits that are lost without it"
    return Table(key="weights", title=title, aside=aside, columns=columns, rows=kept, shown=shown)


def _words(found: Inferred) -> list[Block]:
    said = [{"sentence": text} for text in sentences(found)]
    return [Say("{sentence}", values, title="" if i else "In words") for i, values in enumerate(said)]


def sentences(found: Inferred) -> list[str]:
    """What the numbers mean, in plain sentences."""
    r = found.inference
    free = {k: p for k, p in r.unknowns.items() if not p.known and math.isfinite(p.median)}
    model = [p for k, p in free.items() if k in SHOWN["The model"]]
    said = []
    for p in model[:2]:
        tells = "say nothing to speak of" if p.bits < LITTLE else "say little" if p.bits < SOME else "say something"
        said.append(
            f"The prices {tells} about {p.says}: {span(p, p.low, p.high)} in 9 of 10 cases, a factor of"
            f" {p.high / p.low:.3g} where the prior's is {p.prior[4] / p.prior[0]:.3g} ({p.bits:.2f} bits)."
        )
    silent = [p.says for k, p in free.items() if p.bits < LITTLE and p not in model[:2]]
    if silent:
        said.append(f"They say nothing to speak of about {_and(silent)}.")
    margin = r["margin"]
    if math.isfinite(margin.median):
        said.append(
            f"At these prices a request leaves a gross margin of {value(margin, margin.median)},"
            f" {span(margin, margin.low, margin.high)} in 9 of 10 cases, idle hours paid."
        )
    if r.heaviest.total >= LITTLE:
        said.append(f"The {r.heaviest.observation.says} carries most of it.")
    return said


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _notes(found: Inferred) -> list[str]:
    r = found.inference
    who = {"host": "a host of open weights", "maker": "the maker of a closed model, whose markups are a judgement"}
    said = [
        f"{r.draws:,} draws, an effective sample size of {r.effective:,.0f}; sold by {who[found.seller]}",
        "cache bytes are at 16 bits and over 32K of context; a request has one output token for eight of input, and"
        " its cost holds the idle hours",
        "prior and markups were chosen on half of the open models that hosts sell; on the other half the intervals"
        " were tested blind: docs/concepts/infer.md",
    ]
    if found.prices.provider in OTHER_MACHINES:
        said.append(f"{found.prices.provider} serves from on-chip memory, and no such machine is in the prior: read as if from GPUs")
    if found.truth:
        said.append("the weights are open, so the truth is shown beside; it was not used unless given with --know")
    return said


# --- the record -----------------------------------------------------------------------------------------------


def _data(found: Inferred) -> Record:
    r = found.inference
    return {
        "model": found.prices.model,
        "day": found.prices.day,
        "seller": found.seller,
        "listed": [{"name": o.name, "value": o.value, "unit": o.unit, "says": o.says} for o in r.seen],
        "known": dict(found.known),
        "beliefs": dict(found.priors),
        "seller_machines": _sold(found),
        "unknowns": {k: record(p, found.truth.get(k)) for k, p in r.unknowns.items()},
        "intervals": rows(r, found.truth),
        "choices": {
            k: {"prior": dict(o.prior), "posterior": dict(o.posterior), "bits": o.bits, "known": o.known} for k, o in r.odds.items()
        },
        "draws": r.draws,
        "effective_draws": r.effective,
    }


def _sold(found: Inferred) -> Record | None:
    s, r = found.sold, found.without
    if s is None:
        return None
    about = {"seller": s.name, "says": s.says, "firm": s.firm, "source": s.source, "date": s.date}
    without = (
        None
        if r is None
        else {
            "hardware": dict(r.odds["hardware"].posterior),
            "unknowns": {k: dict(zip(QUANTILES, p.posterior, strict=True)) for k, p in r.unknowns.items()},
        }
    )
    return about | {"absent": list(s.absent), "without": without}
