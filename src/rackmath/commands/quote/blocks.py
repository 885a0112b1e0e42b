"""What `quote` says: the list first, public lists beside it, then what it rests on and its sensitivity."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ...answers.parts import Block, Column, Say, Table
from ...answers.ranges import Point, Range, Ranges
from ...answers.scale import Axis
from ...answers.text import between, cell, money
from ...decisions.quote.hosts import cheaper
from ...decisions.quote.tiers import LONG_TTFT
from ...units import plural, show
from ...views.setting import formats, traffic_words, under

if TYPE_CHECKING:
    from ...decisions.quote.hosts import Host
    from ...decisions.quote.lines import PriceLine
    from ...decisions.quote.price_list import Quote
    from ...decisions.quote.tiers import PriceTier

Record = dict[str, Any]

SMALLEST = 0.001
"""Relative changes of a price below this are shown as 0."""

KINDS = {"floor": "triangle-right", "host": "cross", "cost": "circle", "price": "diamond"}
"""Signs of the picture; the last one lies on top."""

HOST_PRICES = {"input": "input_mtok", "cached read": "cache_read_mtok", "output": "output_mtok"}
INTERVAL = "5 to 95 %"


def title(quote: Quote) -> Say:
    """What is sold, and on what."""
    q = quote.standard.question
    values = {"model": q.model.name, "machine": q.machine.name, "under": "".join(under(q.engine))}
    return Say("Price list for *{model}* on *{machine}*{under}", values)


def subtitle(quote: Quote) -> str:
    """Traffic, objectives, formats and the rent."""
    q = quote.standard.question
    hour = f"{money(float(q.machine.price_per_hour))} per GPU-hour ({q.machine.price_kind.replace('_', '-')})"
    return f"{traffic_words(q.traffic, quote.objectives)}\n{formats(quote.standard.precision)} · {hour}"


def blocks(quote: Quote, sellers: Sequence[Host]) -> Iterator[Block]:
    """The list and all that defends it."""
    yield _list(quote)
    for tier in quote.tiers:
        if tier.why:
            yield Say("*No {name} tier:* {why}.", {"name": tier.name, "why": tier.why})
    yield _request(quote)
    if sellers:
        yield from _hosts(quote, sellers)
    yield _picture(quote, sellers)
    yield from _rests(quote)
    yield _sensitivity(quote)


# --- the list -----------------------------------------------------------------------------------------------------


def _list(quote: Quote) -> Table:
    t, rows = quote.terms, list[Record]()
    shown, heads = list[Record](), []
    for tier in quote.tiers:
        found: list[Record] = [
            {"name": one.name, "listed": one.listed, "cost": one.cost, "low": one.low, "high": one.high} | {"floor": one.floor}
            for one in quote.of(tier.name)
        ]
        if found:
            heads.append(len(shown))
            shown.append({"name": f"{tier.name}{_where(quote, tier)}"})
            shown += [row | {"name": f"  {row['name']}"} for row in found]
            rows += found
    return Table(
        key="",
        title=f"Margin {t.margin:.0%}, {t.idle:.0%} of paid hours idle",
        aside="dollars per million tokens",
        columns=(
            Column("name", ""),
            Column("listed", "price", _unit(quote), look="strong"),
            Column("cost", "cost", "$"),
            Column("low", INTERVAL, "$", to="high"),
            Column("floor", "floor", "$", optional=1, look="faint"),
        ),
        rows=rows,
        shown=shown,
        heads=frozenset(heads),
    )


def _unit(quote: Quote) -> str:
    """How a price of the list becomes words: all its digits where it is rounded."""
    return "listed" if quote.terms.rounded else "$"


def _where(quote: Quote, tier: PriceTier) -> str:
    """What sets a tier apart, in a few words."""
    if tier.served is None or tier.name == "standard":
        return ""
    if tier.name == "fast":
        return f", {quote.terms.fast:g}x the speed"
    if tier.name == "batch":
        return ", in idle hours"
    if math.isfinite(quote.threshold):
        return f", above {_length(quote.threshold)} in"
    return f", at {_length(tier.isl)} in"


def _length(tokens: float) -> str:
    """A length in three digits."""
    return cell(float(f"{tokens:.3g}"), "count")


def _request(quote: Quote) -> Say:
    low, high = quote.request_span or (None, None)
    least, most = quote.margin_span or (None, None)
    values = {
        "paid": quote.revenue(),
        "cost": quote.request_cost,
        "margin": quote.margin(),
        "floor": quote.request_floor,
        "between": between(low, high, "$"),
        "range": between(least, most, "percent"),
    }
    text = "A standard request pays *{paid:$}* and costs {cost:$}" + (" ({between})" if low is not None else "")
    text += ", idle hours included: a margin of *{margin:share}*"
    text += ", {range} over the interval of the cost" if least is not None else ""
    return Say(text + ". At the roofline bound of this plan it would cost {floor:$}.", values)


# --- public lists -------------------------------------------------------------------------------------------------


def _hosts(quote: Quote, sellers: Sequence[Host]) -> Iterator[Block]:
    below = cheaper(quote, sellers)
    ours = {one.name: one.listed for one in quote.of("standard")}
    least, most = quote.margin_span or (None, None)
    mine: Record = {
        "name": "▶ this quote",
        "input": ours["input"],
        "cached": ours.get("cached read"),
        "output": ours["output"],
        "request": quote.revenue(),
        "margin": quote.margin(),
        "low": least,
        "high": most,
    }
    rows = [_host(h) for h in sellers]
    rows.insert(below, mine)
    yield Table(
        key="",
        title="Beside public lists",
        aside="the margin of each if its cost were ours, on the standard request",
        columns=(
            Column("name", ""),
            Column("input", "input", _unit(quote)),
            Column("cached", "cached read", _unit(quote), optional=1),
            Column("output", "output", _unit(quote)),
            Column("request", "a request", "$", optional=2),
            Column("margin", "margin", "percent"),
            Column("low", INTERVAL, "percent", to="high"),
            Column("break_even", "own from, /s", "number", optional=3),
        ),
        rows=rows,
        strong=below,
    )
    text = (
        f"{{below:whole}} of {plural(len(sellers), 'list')} {'asks' if below == 1 else 'ask'} less than this quote;"
        " lists as of {day}. A host without a price for cached reads charges input for them. Own from: requests a"
        " second from which on machines of one's own cost less than the host."
    )
    yield Say(text, {"below": below, "day": max(h.day for h in sellers)})


def _host(h: Host) -> Record:
    """A host, and what it calls the model: some sell it more than once."""
    return {
        "name": f"{h.provider}: {h.model.rpartition('/')[2]}",
        "input": h.input_mtok,
        "cached": h.cache_read_mtok,
        "output": h.output_mtok,
        "request": h.request,
        "margin": "free" if h.margin is None else h.margin,
        "low": h.low,
        "high": h.high,
        "break_even": h.break_even,
    }


# --- the picture --------------------------------------------------------------------------------------------------


def _picture(quote: Quote, sellers: Sequence[Host]) -> Ranges:
    q = quote.standard.question
    return Ranges(
        rows=tuple(_range(one, sellers) for one in quote.lines),
        axis=Axis("Price of a million tokens", "$", log=True),
        kinds=KINDS,
        title="Floor, cost and price",
        aside="floor: cost at the roofline bound",
        interval="5 to 95 % of the cost",
        picture=f"Price list: {q.model.name} on {q.machine.name}",
    )


def _range(one: PriceLine, sellers: Sequence[Host]) -> Range:
    """Everything on a line's row that can be drawn; hosts stand on standard rows only."""
    points = [Point("floor", one.floor, "cost at the bound"), Point("cost", one.cost, "our cost"), Point("price", one.listed, "our price")]
    field = HOST_PRICES.get(one.name)
    if field and one.tier == "standard":
        asked = [(h.provider, getattr(h, field)) for h in sellers]
        points += [Point("host", value, provider) for provider, value in asked if value is not None]
    name = one.name if one.tier == "standard" else f"{one.tier}: {one.name}"
    return Range(name=name, points=tuple(points), low=one.low, high=one.high)


# --- what it rests on ---------------------------------------------------------------------------------------------


def _rests(quote: Quote) -> Iterator[Say]:
    head = "What the prices rest on"
    for tier in quote.tiers:
        if tier.served is None:
            continue
        yield _tier(quote, tier, head if tier.name == "standard" else "")
        if tier.name == "standard":
            for one in quote.of("standard"):
                yield Say("– {name}: {why}", {"name": one.name, "why": one.rests_on}, faint=True)


def _tier(quote: Quote, tier: PriceTier, head: str) -> Say:
    values: Record = {"name": tier.name, "says": tier.says}
    text = "*{name}:* {says}"
    if tier.name == "long":
        values["isl"] = tier.isl
        text = "*{name}:* computed for prompts of {isl:count} tokens: {says}. " + _threshold(quote, values)
    if tier.name == "batch":
        values |= {"filled": quote.terms.filled, "off": quote.batch_discount, "energy": quote.offer.floor}
        text += ", filling {filled:percent} of the idle hours: a request is {off:percent} cheaper than standard"
        if quote.offer.floor:
            text += "; in hours paid for anyway an output token adds {energy:$}/M of energy"
    return Say(text, values, title=head)


def _threshold(quote: Quote, values: Record) -> str:
    """Where the long tier begins and why, as a sentence about `values`."""
    least, crossing = quote.margin_at_threshold, quote.crossing
    steps = [f"{quote.growth[i]:.1f}x at {_length(quote.lengths[i])}" for i in quote.grown]
    values |= {"step": quote.terms.step, "grown": ", ".join(steps), "from": _length(crossing)}
    text = "Cost nowhere grows by {step:percent} over what standard prices charge"
    if math.isfinite(crossing):
        text = "From {from} tokens on cost is {step:percent} above what standard prices charge"
    text += " ({grown})" if steps else ""
    if least is None:
        return text
    values |= {"start": _length(quote.threshold), "least": abs(least)}
    left = "a margin of {least:percent}" if least >= 0 else "a loss of {least:percent}"
    chosen = "as asked" if quote.terms.long_above is not None else "the next round number of public lists"
    return (
        f"{text}. The tier begins at {{start}}, {chosen} (--long-above); just below, standard prices leave {left}."
        " The long prices hold for the whole request"
    )


def _sensitivity(quote: Quote) -> Table:
    """A row for each change that moves a standard price."""
    lines = [one.name for one in quote.of("standard")]
    rows: list[Record] = [{"change": change, **moved} for change, moved in quote.sensitivity]
    shown: list[Record] = [
        row | {name: "0" for name in lines if abs(row[name]) < SMALLEST}
        for row in rows
        if any(abs(row[name]) >= SMALLEST for name in lines)
    ]
    writes = [name for name in lines if name.startswith("cache write")]
    columns = (
        Column(name, name.replace("cache write, ", "write "), "change", optional=len(writes) - writes.index(name) if name in writes else 0)
        for name in lines
    )
    return Table(
        key="sensitivity",
        title="Sensitivity of the standard prices",
        aside="relative change of each",
        columns=(Column("change", ""), *columns),
        rows=rows,
        shown=shown,
    )


# --- notes --------------------------------------------------------------------------------------------------------


def remarks(quote: Quote) -> Iterator[str]:
    """What a reader of any quote must know."""
    made = "intervals are made to hold 9 of 10 runs" if quote.request_span else "no intervals"
    yield f"{made} ({quote.standard.intervals.reason})"
    yield (
        "price = cost / (1 − idle) / (1 − margin); floor: the cost of the request at the roofline bound, split over"
        " its tokens as the estimate is"
    )
    if not quote.holdings:
        yield "no prices for cached tokens: the traffic finds nothing in the cache; give --cached 50%"
    for tier in quote.tiers:
        costs = {one.name: one.cost for one in quote.of(tier.name)}
        if costs.get("cached read", 0.0) > costs.get("input", math.inf):
            yield (
                f"{tier.name}: a cached token costs more than a fresh one, since every fresh token of such a prompt"
                " attends to it; fewer fresh tokens (a larger --cached) change that"
            )
    if quote.objectives.max_ttft < math.inf:
        yield f"TTFT ≤ {show(quote.objectives.max_ttft, 's')} is kept at the standard length, not for long prompts"
    if quote.of("long"):
        yield (
            "the long tier takes one pool of replicas or two, whichever is cheaper, the others one; TTFT of long"
            f" prompts ≤ {LONG_TTFT:g} s where something keeps to it"
        )
    yield _as_plan(quote)
    yield "no failures, free tiers, staff or network egress are in the cost"


def _as_plan(quote: Quote) -> str:
    """The question to `plan` that gives the same cost: a seller's defaults are not those of a single question."""
    q, t = quote.standard.question, quote.terms
    cached, pace = float(q.traffic.cached), quote.objectives.max_tpot
    words = f"--cached {cached:.0%}" if cached else ""
    words += f" --min-interactivity {1 / pace:.3g}" if pace < math.inf else ""
    words += f" --utilisation {1 - t.idle:.0%}" if t.idle else ""
    return (
        "a seller's traffic finds prefixes in the cache, keeps a pace and leaves hours idle, which plan counts only"
        f" when told: plan{' ' + words.strip() if words else ''} gives the standard costs, idle hours included"
    )
