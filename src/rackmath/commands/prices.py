"""Public API price lists, all of them or one, the hosts of an open model, or what device-hours cost.

Group: Prices
Example: rackmath prices anthropic/claude-opus-4-6

One list is shown by mode and length, with its ratios, its history and where the provider says the cache lies. The
name of an open model gives all its hosts side by side, with median and spread.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from ..answers.parts import Answer, Block, Chart, Column, Say, Table
from ..answers.terms import Term
from ..answers.text import cell
from ..economics.comparison import KINDS, by_weights, changes, device_hours, in_order, ratios, spread, stated_speed
from ..economics.listings import PRICES, SOURCES, ListPrice, PriceList
from ..economics.pricelist import medium
from ..economics.pricelist_file import ENDINGS
from ..errors import BadInput
from ..questions.fields import flag, one_of, words
from ..questions.lists import list_or_hosts, lists_chosen, priced_machines, sellers_of
from ..units import plural
from ..views.machine_terms import of_machine
from ..views.price_charts import PER_MTOK, against_length, hosts_chart, hosts_of, output_against_input
from ..world.machine import Machine

Record = dict[str, Any]

WHICH = "Which"
HEADS = dict(zip(PRICES, ("input", "cached read", "write", "write 1 h", "output"), strict=True))
RATIOS = {
    "output_over_input": "output",
    "cache_read_over_input": "cached",
    "cache_write_5m_over_input": "write",
    "cache_write_1h_over_input": "write 1 h",
    "input_over_standard": "input/std",
    "output_over_standard": "output/std",
}
NAME = (
    "A price list (claude-opus-4-6), an open model for all its hosts (openai/gpt-oss-120b), or the path of a list of"
    " your own (.toml, .json, .csv)."
)
SOURCE = "snapshot: shipped with this package. genai-prices: an installed copy of that package."


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Which lists, of which day."""

    name: Annotated[str | None, words(NAME, "NAME", argument=True, complete="lists")] = None
    provider: Annotated[str | None, words("Lists of this provider only.", "NAME", panel=WHICH)] = None
    open: Annotated[bool, flag("Models of the catalogue with open weights only.", panel=WHICH)] = False
    machines: Annotated[bool, flag("Prices of device-hours instead.", panel=WHICH)] = False
    on_date: Annotated[str | None, words("Prices in force on a day: 2026-03-01.", "DAY", panel=WHICH)] = None
    source: Annotated[str, one_of(SOURCE, *SOURCES, panel=WHICH)] = "snapshot"


def answer(q: Prices) -> Answer:
    """One list, the hosts of an open model, every list that was asked for, or prices of device-hours."""
    if q.machines:
        if q.provider or q.open or q.on_date or q.source != "snapshot":
            raise BadInput("device-hours have no provider, day or source to choose; give --machines alone or with a name")
        return _hours(priced_machines(q.name))
    if q.name is not None and (q.provider or q.open):
        raise BadInput(f"{q.name!r} names a list already; leave out the provider and --open, or the name")
    if q.name is None:
        return _lists(lists_chosen(q.provider, q.open, q.on_date, q.source))
    found = list_or_hosts(q.name, q.on_date, q.source)
    if isinstance(found, PriceList):
        own = q.name.lower().endswith(ENDINGS)
        return _list(found, None if own else sellers_of(found, q.on_date, q.source))
    return _hosts(found[0].weights, found)


# --- one list -------------------------------------------------------------------------------------------------------


def _list(p: PriceList, hosts: int | None) -> Answer:
    lies = None if hosts is None else medium(p.model)  # a file says nothing of its seller
    blocks: list[Block] = [_entries(p), _ratios(p), *_history(p)]
    if lies is not None:
        text = {"medium": lies.says, "medium_source": lies.source}
        blocks.append(Say("{medium} ({medium_source})", text, title=f"Where {p.provider} says the cache lies"))
    blocks.append(Chart(spec=against_length(p), title="Price against length", lines=13 if _steps(p) else 0))
    told = list(dict.fromkeys(_source(e) for e in in_order(p))) + _undated([p])
    if hosts and hosts > 1:
        told.append(f"{hosts} lists sell these weights: rackmath prices {p.weights}")
    return Answer(
        title=Say("What *{model}* costs on *{day}*", {"model": p.model, "day": p.day}),
        subtitle=_about(p),
        blocks=tuple(blocks),
        table="prices",
        data={
            "model": p.model,
            "day": p.day,
            "context_window": p.context_window,
            "weights": p.weights or None,
            "hosts": hosts or None,
            "output_speed": p.output_speed,
            "ttft": p.ttft,
            "history": changes(p),
            "medium": lies.says if lies else None,
            "medium_source": lies.source if lies else None,
        },
        terms=lambda: _terms(p),
        remarks=tuple(told),
        subject=p,
    )


def _steps(p: PriceList) -> bool:
    """Whether a price depends on the length of the request."""
    return any(e.above_input_tokens for e in p.entries)


def _about(p: PriceList) -> str:
    about = [PER_MTOK]
    if p.context_window:
        about.append(f"{cell(p.context_window, 'tokens')} tokens of context")
    if p.standard.since:
        about.append(f"in force since {p.standard.since}")
    if p.weights:
        about.append(f"open weights: {p.weights}")
    if p.output_speed:
        about.append(f"{p.output_speed:g} tok/s measured")
    if p.ttft:
        about.append(f"first token after {p.ttft:g} s measured")
    return " · ".join(about)


def _entries(p: PriceList) -> Table:
    """One row for each mode and threshold."""
    rows = [
        {"model": p.model, "mode": e.mode, "above_input_tokens": e.above_input_tokens}
        | {price: getattr(e, price) for price in PRICES}
        | {"speed": stated_speed(e), "since": e.since or None, "until": e.until or None}
        | {"source": e.source, "read": e.read or None}
        for e in in_order(p)
    ]
    columns = [Column("name", "")]
    columns += [Column(k, HEADS[k], "listed") for k in PRICES if any(row[k] is not None for row in rows)]
    if any(e.speed != 1 for e in p.entries):
        columns.append(Column("speed", "speed", "x"))
    shown = [row | {"name": _name(e), "speed": None if e.speed == 1 else e.speed} for e, row in zip(in_order(p), rows, strict=True)]
    long = p.long and f"{_above(p.long.above_input_tokens)}: for requests of more input tokens than that"
    return Table(key="prices", title="Prices", aside=long or "", columns=tuple(columns), rows=rows, shown=shown)


def _ratios(p: PriceList) -> Table:
    rows = ratios(p)
    keys = [key for key in RATIOS if any(row[key] is not None for row in rows)]
    if len(rows) == 1:
        keys = [key for key in keys if not key.endswith("standard")]
    return Table(
        key="ratios",
        title="Ratios",
        aside="over the row's own input; input and output over the first row's",
        columns=(Column("name", ""), *(Column(key, RATIOS[key], "x") for key in keys)),
        rows=rows,
        shown=[row | {"name": _name(e)} for e, row in zip(in_order(p), rows, strict=True)],
    )


def _history(p: PriceList) -> list[Say]:
    """Every known change in a sentence, the newest first."""
    found: list[Say] = []
    for row in changes(p):
        which = f"{row['mode']} {_above(row['above_input_tokens'])}" if row["above_input_tokens"] else row["mode"]
        text = "*{day}*" + (" (announced)" if row["planned"] else "") + f"  {which}: "
        if row["ended"]:
            text += "ended; it was {input_before:listed} and {output_before:listed} for input and output"
        else:
            moved = [n for n in ("input", "cache_read", "output") if row[f"{n}_before"] != row[f"{n}_after"]]
            text += ", ".join(_moved(name, row) for name in moved) or "prices of cache writes"
        title, aside = ("", "") if found else ("History", "known changes, the newest first")
        found.append(Say(text, row, title=title, aside=aside))
    return found


def _moved(name: str, row: Record) -> str:
    change = row[f"{name}_change"]
    share = "" if change is None else f" ({change:+.0%})".replace("-", "−")
    return f"{name.replace('cache_read', 'cached')} {{{name}_before:listed}} → {{{name}_after:listed}}{share}"


def _name(e: ListPrice) -> str:
    return f"{e.mode} {_above(e.above_input_tokens)}" if e.above_input_tokens else e.mode


def _above(threshold: float | None) -> str:
    return "" if threshold is None else f"> {cell(threshold, 'K')}"


def _source(e: ListPrice) -> str:
    return f"{e.source}, read {e.read}" if e.read else e.source


def _terms(p: PriceList) -> Term:
    """The prices in force with their sources."""
    entries = []
    for e in in_order(p):
        priced = [(name, value) for name in PRICES if (value := getattr(e, name)) is not None]
        terms = (
            Term(name=name.removesuffix("_mtok").replace("_", " "), value=value, unit="$", source=_source(e)) for name, value in priced
        )
        entries.append(Term(name=_name(e), children=tuple(terms)))
    return Term(name=p.model, children=tuple(entries))


# --- several lists --------------------------------------------------------------------------------------------------

STANDARD = f"{PER_MTOK}, standard mode, short requests; ratio: output over input"


def _row(p: PriceList) -> Record:
    """One list in a line: standard prices of short requests, and what else there is."""
    s = p.standard
    return {
        "model": p.model,
        "provider": p.provider,
        "input_mtok": s.input_mtok,
        "cache_read_mtok": s.cache_read_mtok,
        "output_mtok": s.output_mtok,
        "output_over_input": s.output_mtok / s.input_mtok,
        "long_above": p.long.above_input_tokens if p.long else None,
        "modes": " ".join(m for m in p.modes if m != "standard") or None,
        "context_window": p.context_window,
        "weights": p.weights or None,
        "source": s.source,
        "read": s.read or None,
    }


def _table(key: str, lists: Sequence[PriceList], shown: Sequence[PriceList], title: str) -> Table:
    columns = (
        Column("model", ""),
        Column("input_mtok", "input", "listed"),
        Column("cache_read_mtok", "cached", "listed"),
        Column("output_mtok", "output", "listed"),
        Column("output_over_input", "ratio", "x"),
        Column("long_above", "longer", "above", optional=3),
        Column("context_window", "context", "K", optional=1),
        Column("modes", "modes", optional=2),
    )
    rows = [_row(p) for p in shown]
    return Table(key=key, title=title, columns=columns, rows=[_row(p) for p in lists], shown=rows)


def _hosts(weights: str, lists: Sequence[PriceList]) -> Answer:
    """The hosts of one model and how far apart they are."""
    priced = ("input_mtok", "cache_read_mtok", "output_mtok")
    spreads = {price: spread(lists, price) for price in priced}
    blocks: list[Block] = [_table("hosts", lists, lists, "Lists")]
    if len(lists) > 1:
        blocks.append(_spread(spreads))
    blocks.append(Chart(spec=hosts_chart(weights, lists), title="Output against input", lines=18))
    told = "what is sold is the name: formats, engines, speeds and lengths may differ from host to host"
    day = lists[0].day
    return Answer(
        title=Say("*{weights}* at {count} on *{day}*", {"weights": weights, "count": hosts_of(lists), "day": day}),
        subtitle=STANDARD,
        blocks=tuple(blocks),
        table="hosts",
        data={"weights": weights, "day": day, "spread": spreads},
        terms=lambda: Term(name=f"hosts of {weights}", children=tuple(_terms(p) for p in lists)),
        remarks=(*_sources(lists), *_undated(lists), told),
        subject=tuple(lists),
    )


def _spread(spreads: dict[str, Record | None]) -> Table:
    shown = [{"name": HEADS[price], **row} for price, row in spreads.items() if row is not None]
    columns = (
        Column("name", ""),
        Column("lists", "lists", "whole"),
        Column("least", "least", "listed"),
        Column("lower_quarter", "lower ¼", "listed", optional=1),
        Column("median", "median", "listed"),
        Column("upper_quarter", "upper ¼", "listed", optional=2),
        Column("greatest", "greatest", "listed"),
        Column("greatest_over_least", "times", "x"),
    )
    return Table(key="", title="Spread", aside="over the lists above", columns=columns, rows=shown)


def _lists(lists: Sequence[PriceList]) -> Answer:
    """Every list in a line; of several providers open models are summed up over their hosts."""
    sellers = list(dict.fromkeys(p.provider for p in lists))
    found = by_weights(lists) if len(sellers) > 1 else {}
    others = [p for p in lists if not p.weights] if found else list(lists)
    title = f"{plural(len(others), 'model')} whose architecture the catalogue does not know" if found else "Lists"
    blocks: list[Block] = [_table("lists", lists, others, title)] if others else []
    blocks += [_open(found)] if found else []
    blocks.append(Say("rackmath prices NAME shows one of them; --csv and --json give every list.", faint=True))
    blocks.append(Chart(spec=output_against_input(lists), title="Output against input", lines=18))
    of = ", ".join(sellers) if len(sellers) == 1 else f"{len(sellers)} providers"
    day = lists[0].day
    return Answer(
        title=Say("*{lists} price lists* of {of} on {day}", {"lists": f"{len(lists)}", "of": of, "day": day}),
        subtitle=STANDARD,
        blocks=tuple(blocks),
        table="lists",
        data={"day": day, "lists": [_row(p) for p in lists]},
        remarks=(*_sources(lists), *_undated(lists)),
        subject=tuple(lists),
    )


def _open(found: dict[str, list[PriceList]]) -> Table:
    """One line for each open model: how many sell it, and from what to what."""
    rows = []
    for weights, lists in found.items():
        fresh, out = (spread(lists, price) or {} for price in ("input_mtok", "output_mtok"))
        medians = {"input_mtok": fresh["median"], "output_mtok": out["median"]}
        ends = {"least": out["least"], "greatest": out["greatest"]}
        rows.append({"weights": weights, "lists": len(lists)} | medians | ends)
    columns = (
        Column("weights", ""),
        Column("lists", "lists", "whole"),
        Column("input_mtok", "input", "listed"),
        Column("output_mtok", "output", "listed"),
        Column("least", "least", "listed", optional=1),
        Column("greatest", "greatest", "listed", optional=2),
    )
    aside = "median over their lists; output from least to greatest"
    title = f"{plural(len(found), 'model')} with open weights"
    return Table(key="open_weights", title=title, aside=aside, columns=columns, rows=rows)


def _sources(lists: Sequence[PriceList]) -> list[str]:
    """Whose prices these are, and when they were read."""
    packages = sorted({name for p in lists for name in re.findall(r"[\w-]+ \d+\.\d+\.\d+", p.standard.source)})
    read = sorted({p.standard.read for p in lists if p.standard.read})
    days = f", read {read[0]}" if len(read) == 1 else f", read {read[0]} to {read[-1]}" if read else ""
    return [f"from {' and '.join(packages)} (MIT){days}"]


def _undated(lists: Sequence[PriceList]) -> list[str]:
    """A warning where a past day was asked about and prices have no first day."""
    past = [p for p in lists if p.standard.read and p.day < p.standard.read and not p.standard.since]
    if not past:
        return []
    those = "this price" if len(lists) == 1 else f"{len(past)} of these prices"
    return [f"no first day is known of {those}: on {past[0].day} it may not have been asked yet"]


# --- device-hours ---------------------------------------------------------------------------------------------------


def _hours(machines: Sequence[Machine]) -> Answer:
    """What an hour of each device costs, and where the prices are from."""
    rows = device_hours(machines)
    sources: dict[tuple[str, str, bool | None], int] = {}
    by_name: dict[str, Record] = {}
    for row in rows:
        of = by_name.setdefault(row["machine"], {"machine": row["machine"], "sources": ""})
        of[row["kind"]] = row["usd_per_device_hour"]
    rented = [of for of in by_name.values() if {*of} & {*KINDS[:3]}]
    owned = [of for of in by_name.values() if of not in rented]
    for of in (*rented, *owned):
        keys = [(r["source"], r["date"], r["verified"]) for r in rows if r["machine"] == of["machine"]]
        told = dict.fromkeys(sources.setdefault(key, len(sources) + 1) for key in keys)
        of["sources"] = ", ".join(map(str, told))
    listed = [f"{n:>2}  {text}, {date}{'' if ok else ', not verified'}" for (text, date, ok), n in sources.items()]
    blocks: list[Block] = [_priced("prices", rows, rented, "Rented", "cheapest first")] if rented else []
    if owned:
        aside = "all an owner pays, with power"
        blocks.append(_priced("" if rented else "prices", owned if rented else rows, owned, "Not for rent", aside))
    blocks.append(Say("{n}", {"n": listed[0]}, faint=True, title="Sources", aside="in the order of the columns"))
    blocks += [Say("{n}", {"n": text}, faint=True) for text in listed[1:]]
    one = len(machines) == 1
    return Answer(
        title=Say("*What a device-hour costs*, in dollars"),
        subtitle="owned: all an owner pays, with power",
        blocks=tuple(blocks),
        table="prices",
        terms=(lambda: of_machine(machines[0], "price_per_hour", "price of a device-hour")) if one else None,
        subject=tuple(machines),
    )


def _priced(key: str, rows: Sequence[Record], shown: Sequence[Record], title: str, aside: str) -> Table:
    kinds = [kind for kind in KINDS if any(kind in row for row in shown)]
    columns = (Column("machine", ""), *(Column(kind, kind.replace("_", " "), "$") for kind in kinds), Column("sources", "source"))
    return Table(key=key, title=title, aside=aside, columns=columns, rows=rows, shown=shown)
