"""A price list read one equation at a time: cache bytes, MFU, memory tier, batch, margin, and where they clash.

Group: Prices
Example: rackmath readings anthropic/claude-opus-4-6 --on-date 2026-03-01

Every reading stands with its interval and what it assumes. They are point solutions: each takes prices to be
costs, or all sold at one multiple of cost, so they need not agree, and the conflicts are named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as default
from string import ascii_lowercase
from typing import Annotated, Any

from ..answers.parts import Answer, Block, Column, Say, Table
from ..answers.ranges import Point, Range, Ranges
from ..answers.scale import Axis
from ..answers.text import round_time
from ..decisions.backwards.from_context import LONGEST
from ..decisions.backwards.reading import Assumption, Reading, number
from ..decisions.backwards.readings import Readings
from ..decisions.backwards.readings import readings as read
from ..economics.listings import ListPrice
from ..errors import BadInput, unknown
from ..kernel.counts import cache_bytes
from ..questions.common import PriceKind, Settings
from ..questions.fields import Field, count, words
from ..questions.lists import SinglePrices, list_meant
from ..questions.machines import machine_of
from ..units import parse
from ..views import reading_terms
from ..views.reading_records import flat, reading, record, tier_rows
from ..views.reading_terms import TOPICS, between
from ..world import catalog
from ..world.machine import Machine
from ..world.model import Model

Record = dict[str, Any]

OPEN = ("openai/gpt-oss-120b", "deepseek-ai/DeepSeek-V3", "meta-llama/Llama-3.1-70B")
"""Open models whose cache bytes stand beside the estimates."""

GIVEN = "Taken as known"
LIST = "A model with a public price list (anthropic/claude-opus-4-6), or the path of a list of your own."
ON = "What it runs on: gb200-nvl72, tpu-v7x, ... The lecture's GPU at $2/h, among others, if not given."
SAID = (
    "each reading takes prices to be costs, or all sold at one multiple of cost; rackmath explain readings … shows"
    " every formula with its numbers"
)


@dataclass(frozen=True, kw_only=True)
class PriceReadings(SinglePrices):
    """Which list, and what is known beside it."""

    prices: Annotated[Any, words(LIST, "[MODEL|FILE]", argument=True, complete="lists")] = None
    on_date: Annotated[str | None, words("The list of that day: 2026-03-01. The newest known if not given.", "DAY")] = None
    active: Annotated[
        Any, words("Active parameters: 100B, or low, value and high: 50B,100B,300B (also the default).", "COUNT", panel=GIVEN)
    ] = None
    on: Annotated[Any, words(ON, "MACHINE", flag="--on", complete="machines", panel=GIVEN)] = None
    context: Annotated[
        float | None,
        count(
            "Context at which reading the cache overtakes computing. The list's own step if not given.",
            least=1,
            metavar="TOKENS",
            panel=GIVEN,
        ),
    ] = None
    mfu: Annotated[
        float | None,
        Field(
            help="Share of the peak that prefill reaches. 0.3 to 0.6 if not given.",
            unit="share",
            least=1e-6,
            most=1,
            metavar="SHARE",
            panel=GIVEN,
        ),
    ] = None
    batch: Annotated[float | None, count("Sequences of a decode pass. 2 to 3 B* if not given.", least=1, panel=GIVEN)] = None
    price: PriceKind = None
    sets: Settings = default(default_factory=dict)


def answer(q: PriceReadings) -> Answer:
    """Every reading of a list: by its name, from a file, as a record, or of single prices."""
    given = list_meant(q.prices, q.listed, q.on_date, unit=q.unit)
    machine, notes = _machine(q.on, q.price, q.sets)
    known = _known(given.weights, notes)
    active = None if q.active is None else _active(q.active)
    r = read(given, active=active, machine=machine, known=known, mfu=q.mfu, context=q.context, batch=q.batch)
    at = r.setting.threshold or LONGEST
    others = [catalog.model(name) for name in OPEN if known is None or known.name != name]
    beside = [{"name": m.name, "kv_bytes_per_token": float(cache_bytes(m, at)) / at} for m in others]
    letters = _lettered(r)
    blocks = (*_head(r), *_bytes(r, beside, letters), *_topics(r, letters), *_tiers(r), *_conflicts(r), *_assumed(letters), *_absent(r))
    return Answer(
        title=Say("*{model}* on {day}, read one equation at a time", {"model": r.prices.model, "day": r.prices.day}),
        subtitle=_entry(r.prices.standard),
        blocks=blocks,
        table="readings",
        data=record(r, beside),
        terms=lambda: reading_terms.tree(r),
        notes=tuple(dict.fromkeys(notes)),
        remarks=(SAID,),
        subject=r,
    )


def _machine(on: Any, price: str | None, sets: Mapping[str, Any]) -> tuple[Machine | None, list[str]]:
    """The machine with its price and changed values, and notes; None where none was named."""
    if on is None:
        if price is not None or sets:
            raise BadInput("a price or a setting needs a machine; name it with --on, like --on gb200")
        return None, []
    machine = machine_of(on, price)
    for key in sets:
        if not key.startswith("machine."):
            near = ["machine.price_per_hour", "machine.hbm_bandwidth"]
            raise unknown("setting", key, near, hint="; name a value of the machine")
    changes = {key.removeprefix("machine."): value for key, value in sets.items()}
    machine = catalog.override(machine, changes) if changes else machine
    return machine, list(machine.notes)


def _known(weights: str, notes: list[str]) -> Model | None:
    """The model behind the list, where its weights are open and the catalogue has it."""
    if not weights:
        return None
    try:
        return catalog.model(weights)
    except BadInput:
        notes.append(f"the weights {weights} are open, but not in the catalogue")
        return None


def _active(given: Any) -> tuple[float, float, float]:
    """One number, or low, value and high.

    >>> _active("100B"), _active("50B,100B,300B")
    ((100000000000.0, 100000000000.0, 100000000000.0), (50000000000.0, 100000000000.0, 300000000000.0))
    """
    parts = given.split(",") if isinstance(given, str) else given if isinstance(given, list | tuple) else [given]
    if len(parts) not in (1, 3):
        raise BadInput(f"active = {given!r} has {len(parts)} numbers; give one like 100B, or three like 50B,100B,300B")
    low, value, high = (parse(w, "count", name="active") for w in (list(parts) * 3 if len(parts) == 1 else parts))
    return low, value, high


def _lettered(r: Readings) -> dict[Assumption, str]:
    """A letter for each assumption that ranges, in order of appearance."""
    every = dict.fromkeys(a for one in r.readings for a in one.ranging)
    return dict(zip(every, ascii_lowercase, strict=False))


def _marks(one: Reading, letters: dict[Assumption, str]) -> str:
    return "".join(letters.get(a, "") for a in one.ranging)


# --- the list -----------------------------------------------------------------------------------------------------


def _head(r: Readings) -> list[Block]:
    s, p = r.setting, r.prices
    lines = []
    if s.long is not None:
        lines.append(f"{_pair(s.long)} above {s.long.above_input_tokens:,.0f} tokens")
    others = [p.mode(mode)[0] for mode in p.modes[1:]]
    if others:
        lines.append("; ".join(f"{e.mode} {_pair(e)}{_speed(e)}" for e in others))
    size = f"{s.active.shown} active" if s.known is None else f"{s.known.name}, {s.active.shown} active"
    price = f" at {s.hour.shown}" if s.hour else ""
    lines.append(f"read with: {size}, {s.machine.name}{price}, prefill at {s.mfu.shown} of peak")
    return [Say("{line}", {"line": line}, faint=True) for line in lines]


def _pair(e: ListPrice) -> str:
    return f"{number(e.input_mtok, '$')} in, {number(e.output_mtok, '$')} out"


def _speed(e: ListPrice) -> str:
    return f" at {e.speed:g}x the speed" if e.speed > 1 else ""


def _entry(e: ListPrice) -> str:
    """The standard entry with what it asks for cached tokens."""
    hit = "" if e.cache_read_mtok is None else f", {number(e.cache_read_mtok, '$')} a hit"
    written = [f"{number(e.input_mtok + more, '$')} for {round_time(life)}" for life, more in e.premiums.items()]
    return f"{_pair(e)}{hit}{', writes ' + ' and '.join(written) if written else ''}, per M tokens"


# --- what is read -------------------------------------------------------------------------------------------------


def _bytes(r: Readings, beside: list[Record], letters: dict[Assumption, str]) -> list[Block]:
    """Estimates of cache bytes with their intervals on one axis, and open models to compare with."""
    if not r.estimates:
        return []
    s = r.spread
    title = f"Cache bytes per token read from the prices of {r.prices.model}, {r.prices.day}"
    aside = "one estimate"
    if s is not None:
        ends = (number(one.value, "B") for one in (s.smallest, s.largest))
        aside = f"{' to '.join(ends)}, a factor of {number(s.factor)}"
        title += f": {number(s.factor, 'x')} from the smallest to the largest"
    rows = [
        Range(
            name=e.name,
            points=(Point("estimate", e.value),),
            low=e.low,
            high=e.high,
            cells={"value": e.value, "assumes": _marks(e, letters)},
        )
        for e in r.estimates
    ]
    for one in beside:
        size = one["kv_bytes_per_token"]
        name = one["name"].rpartition("/")[2]
        rows.append(Range(name=name, points=(Point("open model", size),), cells={"value": size}, faint=True))
    drawn = Ranges(
        title="KV bytes per token",
        aside=aside,
        rows=tuple(rows),
        axis=Axis("Cache bytes per token", "B", log=True),
        kinds={"open model": "ring", "estimate": "circle"},
        picture=title,
        written=True,
        columns=(Column("value", "", "B"), Column("assumes", "")),
    )
    if s is None:
        return [drawn]
    common = "One value lies in every interval." if s.common else "No value lies in every interval."
    return [drawn, Say(f"{common} Letters: assumptions with a range, below.", faint=True)]


def _topics(r: Readings, letters: dict[Assumption, str]) -> list[Block]:
    found: list[Block] = []
    heads = (Column("name", ""), Column("value", "", "number"), Column("interval", "", "number"))
    columns = (*heads, Column("assumes", ""), Column("says", ""))
    for topic, unknowns in list(TOPICS.items())[1:]:
        mine = [one for one in r.readings if one.unknown in unknowns and not one.absent]
        if not mine:
            continue
        rows = [
            {
                "name": one.name,
                "value": number(one.value, one.unit),
                "interval": between(one),
                "assumes": _marks(one, letters),
                "says": one.says,
            }
            for one in mine
        ]
        held: Record = {"key": "", "rows": rows}
        if not any(isinstance(block, Table) for block in found):  # the first one holds all of them for the record
            every = {"rows": [reading(one) for one in r.readings], "flat": [flat(one) for one in r.readings]}
            held = {"key": "readings", "shown": rows} | every
        found.append(Table(title=topic, columns=columns, headless=True, **held))
        if topic == "Output against input" and r.splits:
            found.append(_splits(r))
    return found


def _splits(r: Readings) -> Say:
    first, *rest = r.splits
    said = [f"weights alone at {first.batch_over_balance:.2g} B*"]
    said += [f"{number(s.weights_share, 'share')} at {s.batch_over_balance:g} B*" for s in rest]
    text = "Memory that explains the ratio holds {shares}; the rest is cache."
    return Say(text, {"shares": ", ".join(said)}, faint=True)


def _tiers(r: Readings) -> list[Block]:
    if not r.prices.standard.premiums:
        return []
    columns = (
        Column("label", "tier"),
        Column("drain_seconds", "drain", "s"),
        Column("usd_per_gb_month", "$/GB/month", "$"),
        Column("bytes_per_token", "bytes per token", "B"),
        Column("lifetimes", "lifetimes by drain", "number"),
    )
    rows = tier_rows(r)
    shown = [row | {"lifetimes": ", ".join(map(round_time, row["lifetimes_by_drain"]))} for row in rows]
    aside = "and what the holding price would rent there"
    title = "Where a cached prefix could lie"
    found: list[Block] = [Table(key="tiers", title=title, aside=aside, columns=columns, rows=rows, shown=shown)]
    if r.medium is not None:
        m = {"who": r.medium.provider.capitalize(), "says": r.medium.says, "source": r.medium.source}
        found.append(Say("{who} says: {says} ({source}).", m, faint=True))
    return found


def _conflicts(r: Readings) -> list[Block]:
    """The clashes between readings, the worst first."""
    if not r.conflicts:
        return [Say("None: what can be compared agrees within 25%.", title="Conflicts")]
    found: list[Block] = []
    for c in r.conflicts:
        sign, how = ("~", "intervals overlap") if c.overlap else ("✗", "intervals do not overlap")
        values = {"name": c.name, "factor": c.factor, "why": f"{c.why[:1].upper()}{c.why[1:]}."}
        text = f"{sign} *{{name}}*: a factor of {{factor:number}}, {how}. {{why}}"
        found.append(Say(text, values, title="" if found else "Conflicts"))
    return found


def _assumed(letters: dict[Assumption, str]) -> list[Block]:
    found: list[Block] = []
    for a, letter in letters.items():
        ends = f"{number(a.low, a.unit)} to {number(a.high, a.unit)}"
        values = {"shown": a.shown, "name": a.name, "ends": ends, "why": a.why}
        title, aside = ("", "") if found else ("What is assumed", "and ranges")
        found.append(Say(letter + "  *{shown}* {name}, {ends} ({why})", values, title=title, aside=aside))
    return found


def _absent(r: Readings) -> list[Block]:
    return [
        Say("{name}: {absent}", {"name": one.name, "absent": one.absent}, faint=True, title="" if i else "Not read")
        for i, one in enumerate(r.absent)
    ]
