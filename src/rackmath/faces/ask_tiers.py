"""The verb `tiers`: where the cache of a prefix should wait, and what that costs. No arithmetic here.

>>> found = tiers("meta-llama/Llama-3.1-70B", "8xh100", context=32768)
>>> [o.label for o in found.options]
['recompute', 'HBM', 'DDR5', 'TLC flash', 'QLC flash', 'disk', 'network']
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import BadInput, Infeasible, unknown
from ..questions.resolve import Quantity, at_least, question
from ..units import parse, show

if TYPE_CHECKING:
    from ..economics.caching import Option, Thinking
    from ..economics.pricelist import ListPrice
    from ..search.plan import Plan
    from ..serving.kvtiers import Entry
    from ..world.machine import Machine, Tier
    from ..world.model import Model
    from .export import Face

LIST = "anthropic/claude-opus-4-6"
TEN_YEARS = 10 * 365.25 * 86400
MOST = 5  # hold times, and reuse counts, that one screen can show


@dataclass(frozen=True, slots=True, kw_only=True)
class TiersAnswer:
    """Everything about one prefix: its cache, where it can wait, what that costs, and the price list beside it.

    `tiers`: device memory first, then every tier behind it. `options`: what is compared, recomputing first; empty
    where the machine has no price. `listed` is None where no price list was wanted.
    """

    plan: Plan
    entry: Entry
    tiers: tuple[Tier, ...]
    options: tuple[Option, ...]
    holds: tuple[float, ...]
    reuses: tuple[float, ...]
    hit_share: float
    thinking: Thinking | None
    listed: ListPrice | None
    active: float  # parameters one token uses, as the lecture counts them
    peak: float  # FLOP/s of the whole weights' format
    notes: tuple[str, ...]

    @property
    def machine(self) -> Machine:
        return self.plan.machine

    @property
    def again(self) -> Option:
        """Recomputing, which every other option is held against."""
        return self.options[0]

    def face(self) -> Face:
        """How the answer is shown and saved."""
        from . import show_tiers

        return show_tiers.face(self)


def tiers(
    model: str | Model,
    on: str | Machine,
    *,
    context: Quantity = 32768,
    osl: Quantity = 1024,
    hold: Quantity | Sequence[Quantity] = "5min,1h,24h",
    reuse: Quantity | Sequence[Quantity] = "1,10",
    tier: Sequence[str] = (),
    max_wait: Quantity | None = None,
    hit_share: Quantity = 0.5,
    thinking_share: Quantity = 0.0,
    against: str | None = LIST,
    precision: str | None = None,
    kv: str | None = None,
    gpus: Quantity | None = None,
    price: str | None = None,
    engine: str | None = None,
    sets: Mapping[str, Quantity] | None = None,
    extrapolate: bool = False,
) -> TiersAnswer:
    """Hold, fetch or recompute the cache of a prefix of `context` tokens: cost of each and the cheapest.

    The prefill price is that of the cheapest plan on this machine for `context` tokens in and `osl` out. `tier`
    names the tiers to compare (all with a price if none is named), `max_wait` leaves out those that take longer to
    bring the prefix back. `sets` takes "tier.NAME.usd_per_gb_month", ".capacity", ".bandwidth" and ".latency" too;
    a price of "none" is unknown.
    """
    from ..economics import caching, pricelist
    from ..kernel.counts import active_parameters
    from ..search.balance import weight_format
    from ..search.plan import plan as search
    from ..serving import kvtiers
    from ..world.lengths import within
    from ..world.workload import Objectives, Traffic

    length = at_least(parse(context, "count", name="context"), 1, "context")
    output = at_least(parse(osl, "count", name="osl"), 1, "osl")
    holds = _several(hold, "s", "hold", most=TEN_YEARS, example="5min,1h,24h")
    reuses = _several(reuse, "count", "reuse", most=1e6, example="1,10")
    share = _share(hit_share, "hit_share", closed=True)
    thought = _share(thinking_share, "thinking_share", closed=False)
    listed = None if against in (None, "none", "") else pricelist.list_price(str(against))
    of_tiers, of_rest = _split(sets or {})
    q, notes = question(
        model, on, traffic=Traffic(isl=length, osl=output), precision=precision, kv=kv, gpus=gpus, price=price,
        engine=engine, sets=of_rest,
    )  # fmt: skip
    if of_tiers:
        q = replace(q, machine=_with_tiers(q.machine, of_tiers))
        notes.append("changed by hand: " + ", ".join(f"{k} = {v}" for k, v in of_tiers.items()))
    notes += within(q.model, length + output, "context or osl", extrapolate=extrapolate)
    found = search([q], Objectives())
    if found.best is None:
        raise Infeasible("; ".join(found.reasons))
    best, machine = found.best, q.machine
    entry = kvtiers.entry(q.model, best.precision, best.layout, length)
    if not float(entry.bytes) > 0:
        raise BadInput(f"{q.model.name} keeps no cache, so there is nothing to hold; choose a model with attention")
    every = (kvtiers.hbm_tier(machine), *machine.tiers)
    chosen = _named(tier, every, machine)
    options: tuple[Option, ...] = ()
    if float(machine.price_per_hour) > 0:
        options, said = _options(best, entry, chosen, max_wait)
        notes += said
    elif max_wait is not None:
        notes.append("max_wait is not used: without a price of the machine nothing is compared")
    for one in caching.unpriced(machine):
        notes.append(f"{one.name} has no known price: its times are shown, and it is left out of every price")
    doubtful = [_short(t) for t in chosen[1:] if t.source is not None and not t.source.verified]
    if doubtful:
        notes.append(f"unverified prices or sizes, see explain: {', '.join(doubtful)}")
    weights = weight_format(q.model, best.precision)
    return TiersAnswer(
        plan=best,
        entry=entry,
        tiers=every,
        options=options,
        holds=holds,
        reuses=reuses,
        hit_share=share,
        thinking=caching.thinking(thought, length, output, float(best.cost.input_mtok), float(best.cost.output_mtok))
        if options
        else None,
        listed=listed,
        active=active_parameters(q.model)["with one"],
        peak=float(machine.peak(weights.compute)),
        notes=tuple(dict.fromkeys(notes)),
    )


def _short(tier: Tier) -> str:
    """A tier's short name."""
    from ..economics.caching import short

    return short(tier.name)


def _options(
    best: Plan, entry: Entry, chosen: Sequence[Tier], max_wait: Quantity | None
) -> tuple[tuple[Option, ...], list[str]]:
    """Recomputing, and every chosen tier with a price that is quick enough; and what was left out."""
    from ..economics import caching

    machine = best.machine
    again = caching.recompute(entry.tokens, float(best.cost.input_mtok), float(best.serving.ttft))
    found = [again]
    for one in chosen:
        if one.name.startswith("device memory"):
            found.append(caching.in_hbm(entry, machine))
        elif one.price_per_byte_month is not None:
            found.append(caching.in_tier(entry, one, machine, gpus=best.layout.gpus))
    if max_wait is None:
        return tuple(found), []
    limit = parse(max_wait, "s", name="max_wait")
    if not limit > 0:
        raise BadInput(f"max_wait = {max_wait!r} is impossible; give a time above 0")
    slow = [o for o in found[1:] if o.seconds > limit]
    said = [f"left out, slower than {show(limit, 's')}: " + ", ".join(
        f"{o.label} ({show(float(o.seconds), 's')})" for o in slow)] if slow else []  # fmt: skip
    if again.seconds > limit:
        said.append(
            f"recomputing takes {show(float(again.seconds), 's')}, longer than max_wait; it is kept to compare"
        )
    return tuple(o for o in found if o not in slow), said


def _named(wanted: Sequence[str], every: Sequence[Tier], machine: Machine) -> tuple[Tier, ...]:
    """Device memory and the tiers named, or all of them; one without a price is refused if it was asked for."""
    if not wanted:
        return tuple(every)
    found = [_tier(text, every, machine) for text in wanted]
    for one in found:
        if one is every[0]:
            if not float(machine.price_per_hour) > 0:
                raise BadInput(
                    f"{machine.name} has no known price, so its memory has none; set one with machine.price_per_hour"
                )
        elif one.price_per_byte_month is None:
            raise BadInput(
                f"{one.name} of {machine.name} has no known price; give one with --set"
                f" 'tier.{_short(one)}.usd_per_gb_month=$0.01'"
            )
    return (every[0], *(one for one in every[1:] if one in found))


def _tier(text: str, every: Iterable[Tier], machine: Machine) -> Tier:
    """The tier with this short or full name, or the only one whose name contains it."""
    known = list(every)
    words = text.strip().lower()
    for one in known:
        if words in (one.name.lower(), _short(one).lower()):
            return one
    near = [one for one in known if words and words in one.name.lower()]
    if len(near) == 1:
        return near[0]
    if near:
        raise BadInput(
            f"tier {text!r} is not unique; name one of {', '.join(_short(one) for one in near)}"
        )  # fmt: skip
    raise unknown(f"tier of {machine.name}", text, [_short(one) for one in known])


_FIELDS = {"capacity": "bytes", "bandwidth": "bytes/s", "latency": "s", "usd_per_gb_month": "$"}


def _split(sets: Mapping[str, Quantity]) -> tuple[dict[str, Quantity], dict[str, Quantity]]:
    """Settings of tiers, and all others."""
    of_tiers = {k: v for k, v in sets.items() if k.startswith("tier.")}
    return of_tiers, {k: v for k, v in sets.items() if k not in of_tiers}


def _with_tiers(machine: Machine, sets: Mapping[str, Quantity]) -> Machine:
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


def _several(
    given: Quantity | Sequence[Quantity], dimension: str, name: str, *, most: float, example: str
) -> tuple[float, ...]:
    """One or more quantities above 0, each once."""
    words = given.split(",") if isinstance(given, str) else [given] if isinstance(given, int | float) else list(given)
    words = [w for w in words if not isinstance(w, str) or w.strip()]
    if not 1 <= len(words) <= MOST:
        raise BadInput(f"{name} = {given!r} has {len(words)} values; give 1 to {MOST}, like {example}")
    found = tuple(dict.fromkeys(parse(w, dimension, name=name) for w in words))
    for value, word in zip(found, words, strict=False):
        if not 0 < value <= most:
            limit = "10 years" if dimension == "s" else f"{most:,.0f}"
            raise BadInput(f"{name} = {word!r} is out of range; give values above 0 and at most {limit}")
    return found


def _share(given: Quantity, name: str, *, closed: bool) -> float:
    value = parse(given, "share", name=name)
    if not (0 <= value < 1 or (closed and value == 1)):
        limit = "at most 1" if closed else "below 1, since something must be left to read"
        raise BadInput(f"{name} = {given!r} is out of range; give a share from 0, {limit}")
    return value
