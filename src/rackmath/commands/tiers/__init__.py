"""Hold, fetch or recompute a KV cache: drain times, break-even hold times, prices that cover the cost.

Group: Serving
Example: rackmath tiers meta-llama/Llama-3.1-70B --on 8xh100 --context 32768 --hold 5min,1h,24h

--set also takes tier.NAME.capacity, .bandwidth, .latency and .usd_per_gb_month (none: unknown).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from ...answers.parts import Answer
from ...decisions.modes.prefix import Prefix
from ...economics import caching, pricelist
from ...economics.caching import Option, short
from ...errors import BadInput, Infeasible, unknown
from ...kernel.counts import active_parameters
from ...questions.common import CHOICES, OnMachine, OutputTokens, PriceKind
from ...questions.fields import Field, count, seconds, share, tokens, words
from ...questions.resolve import asked_of
from ...search.balance import weight_format
from ...search.grid import Question
from ...search.plan import plan as search
from ...serving import kvtiers
from ...units import parse, show
from ...world.lengths import within
from ...world.machine import Machine, Tier
from ...world.workload import Objectives, Traffic
from . import blocks, terms

CACHE = "Cache"
LIST = "anthropic/claude-opus-4-6"
TEN_YEARS = 10 * 365.25 * 86400
MOST = 5
"""Hold times, and reuse counts, that one screen can show."""


@dataclass(frozen=True, kw_only=True)
class PrefixAsked(OnMachine):
    """The prefix, how long it is held and how often it is hit, and which places are compared."""

    context: Annotated[float, tokens("Tokens of the prefix.")] = 32768
    osl: OutputTokens = 1024
    hold: Annotated[
        tuple[float, ...],
        Field(help="Lifetimes of a cached prefix: 5min,1h,24h.", unit="s", above=0, most=TEN_YEARS, metavar="TIMES", panel=CACHE),
    ] = (300, 3600, 86400)
    reuse: Annotated[
        tuple[float, ...],
        Field(
            help="Hits of a prefix while it is held: 1,10; below 1 if some are never hit.",
            unit="count",
            above=0,
            most=1e6,
            metavar="COUNTS",
            panel=CACHE,
        ),
    ] = (1, 10)
    tier: Annotated[tuple[str, ...], words("Compare this tier only: DDR5, disk, ... Repeatable.", "TIER", repeat="", panel=CACHE)] = ()
    max_wait: Annotated[float | None, seconds("Leave out tiers that take longer to bring the prefix back: 2s.", panel=CACHE)] = None
    hit_share: Annotated[float, share("Share of input tokens that the cache finds: 0.56 or 56%.", panel=CACHE)] = 0.5
    thinking_share: Annotated[
        float, share("Share of the output that is thinking, dropped from the context of later turns; below 1.", panel=CACHE)
    ] = 0
    against: Annotated[str, words("A price list to set beside the costs, or none.", "LIST", panel=CACHE)] = LIST
    gpus: Annotated[int | None, count("Use at most so many devices of the machine.", least=1, most=1e6, whole=True, panel=CHOICES)] = None
    price: PriceKind = None


def answer(q: PrefixAsked) -> Answer:
    """Where the cache of a prefix should wait, and what that costs."""
    p = _found(q)
    return Answer(
        title=blocks.title(p),
        subtitle=blocks.subtitle(p),
        blocks=tuple(blocks.blocks(p)),
        table="costs" if p.options else "tiers",
        data=blocks.data(p),
        terms=lambda: terms.tree(p),
        notes=p.notes,
        subject=p,
    )


def _found(q: PrefixAsked) -> Prefix:
    for name, given, example in (("hold", q.hold, "5min,1h,24h"), ("reuse", q.reuse, "1,10")):
        if len(given) > MOST:
            raise BadInput(f"{name} has {len(given)} values; give 1 to {MOST}, like {example}")
    if q.thinking_share >= 1:
        raise BadInput("thinking_share = 1 is out of range; give a share below 1, since something must be left to read")
    listed = None if q.against == "none" else pricelist.list_price(q.against)
    asked, notes = _question(q)
    found = search([asked], Objectives())
    if found.best is None:
        raise Infeasible("; ".join(found.reasons))
    best, machine = found.best, asked.machine
    entry = kvtiers.entry(asked.model, best.precision, best.layout, q.context)
    if not float(entry.bytes) > 0:
        raise BadInput(f"{asked.model.name} keeps no cache, so there is nothing to hold; choose a model with attention")
    every = (kvtiers.hbm_tier(machine), *machine.tiers)
    chosen = _named(q.tier, every, machine)
    options: tuple[Option, ...] = ()
    if float(machine.price_per_hour) > 0:
        options, said = _options(best, entry, chosen, q.max_wait)
        notes += said
    elif q.max_wait is not None:
        notes.append("max_wait is not used: without a price of the machine nothing is compared")
    notes += [f"{one.name} has no known price: its times are shown, and it is left out of every price" for one in caching.unpriced(machine)]
    doubtful = [short(t.name) for t in chosen[1:] if t.source is not None and not t.source.verified]
    if doubtful:
        notes.append(f"unverified prices or sizes, see explain: {', '.join(doubtful)}")
    cost = best.cost
    thought = None
    if options:
        thought = caching.thinking(q.thinking_share, q.context, q.osl, float(cost.input_mtok), float(cost.output_mtok))
    return Prefix(
        plan=best,
        entry=entry,
        tiers=every,
        options=options,
        holds=q.hold,
        reuses=q.reuse,
        hit_share=q.hit_share,
        thinking=thought,
        listed=listed,
        active=active_parameters(asked.model)["with one"],
        peak=float(machine.peak(weight_format(asked.model, best.precision).compute)),
        notes=tuple(dict.fromkeys(notes)),
    )


def _question(q: PrefixAsked) -> tuple[Question, list[str]]:
    of_tiers = {k: v for k, v in q.sets.items() if k.startswith("tier.")}
    of_rest = {k: v for k, v in q.sets.items() if k not in of_tiers}
    asked, notes = asked_of(replace(q, sets=of_rest), Traffic(isl=q.context, osl=q.osl))
    if of_tiers:
        asked = replace(asked, machine=_with_tiers(asked.machine, of_tiers))
        notes.append("changed by hand: " + ", ".join(f"{k} = {v}" for k, v in of_tiers.items()))
    notes += within(asked.model, q.context + q.osl, "context or osl", extrapolate=q.extrapolate)
    return asked, notes


def _options(best: Any, entry: kvtiers.PrefixCache, chosen: Sequence[Tier], limit: float | None) -> tuple[tuple[Option, ...], list[str]]:
    """Recomputing, and every chosen tier with a price that is quick enough; and what was left out."""
    machine = best.machine
    again = caching.recompute(entry.tokens, float(best.cost.input_mtok), float(best.serving.ttft))
    found = [again]
    for one in chosen:
        if one.name.startswith("device memory"):
            found.append(caching.in_hbm(entry, machine))
        elif one.price_per_byte_month is not None:
            found.append(caching.in_tier(entry, one, machine, gpus=best.layout.gpus))
    if limit is None:
        return tuple(found), []
    slow = [o for o in found[1:] if o.seconds > limit]
    said = []
    if slow:
        each = ", ".join(f"{o.label} ({show(float(o.seconds), 's')})" for o in slow)
        said.append(f"left out, slower than {show(limit, 's')}: {each}")
    if again.seconds > limit:
        said.append(f"recomputing takes {show(float(again.seconds), 's')}, longer than max_wait; it is kept to compare")
    return tuple(o for o in found if o not in slow), said


# --- tiers by name ------------------------------------------------------------------------------------------------


def _named(wanted: Sequence[str], every: Sequence[Tier], machine: Machine) -> tuple[Tier, ...]:
    """Device memory and the tiers named, or all of them; one without a price is refused if it was asked for."""
    if not wanted:
        return tuple(every)
    found = [_tier(text, every, machine) for text in wanted]
    for one in found:
        if one is every[0]:
            if not float(machine.price_per_hour) > 0:
                raise BadInput(f"{machine.name} has no known price, so its memory has none; set one with machine.price_per_hour")
        elif one.price_per_byte_month is None:
            raise BadInput(
                f"{one.name} of {machine.name} has no known price; give one with --set 'tier.{short(one.name)}.usd_per_gb_month=$0.01'"
            )
    return (every[0], *(one for one in every[1:] if one in found))


def _tier(text: str, every: Iterable[Tier], machine: Machine) -> Tier:
    """The tier with this short or full name, or the only one whose name contains it."""
    known = list(every)
    given = text.strip().lower()
    for one in known:
        if given in (one.name.lower(), short(one.name).lower()):
            return one
    near = [one for one in known if given and given in one.name.lower()]
    if len(near) == 1:
        return near[0]
    if near:
        raise BadInput(f"tier {text!r} is not unique; name one of {', '.join(short(one.name) for one in near)}")
    raise unknown(f"tier of {machine.name}", text, [short(one.name) for one in known])


_FIELDS = {"capacity": "bytes", "bandwidth": "bytes/s", "latency": "s", "usd_per_gb_month": "$"}


def _with_tiers(machine: Machine, sets: Mapping[str, Any]) -> Machine:
    """The machine with single values of its tiers replaced."""
    found = list(machine.tiers)
    for key, value in sets.items():
        name, dot, field = key.removeprefix("tier.").rpartition(".")
        if not dot or not name:
            raise BadInput(f"setting {key!r} names no tier; write it like tier.disk.bandwidth=285MB/s")
        if field not in _FIELDS:
            raise unknown("value of a tier", field, _FIELDS)
        at = found.index(_tier(name, found, machine))
        if field == "usd_per_gb_month" and str(value).strip().lower() == "none":
            found[at] = replace(found[at], price_per_byte_month=None)
            continue
        number = parse(value, _FIELDS[field], name=key)
        if number < 0 or (number == 0 and field != "latency"):
            raise BadInput(f"{key} = {value!r} is out of range; give a quantity above 0")
        if field == "usd_per_gb_month":
            found[at] = replace(found[at], price_per_byte_month=number / 1e9)
        else:
            found[at] = replace(found[at], **{field: number})  # type: ignore[arg-type]
    return replace(machine, tiers=tuple(found))
