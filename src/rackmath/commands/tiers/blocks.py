"""What `tiers` says: the tiers, the cheapest place, break-even hold times, prices, and a price list beside."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ...answers.charts import Axis, Mark, Series, sketch
from ...answers.maps import Map
from ...answers.parts import Block, Chart, Column, Say, Table
from ...answers.scale import TIMES
from ...answers.text import cell
from ...decisions.modes import prefix
from ...decisions.modes.prefix import Prefix
from ...kernel.counts import kv_bytes_per_token
from ...serving import kvtiers
from ...units import show
from ...views import setting
from ...views.setting import formats

COLUMNS, ROWS = 480, 144
"""Cells of the map."""


def data(p: Prefix) -> dict[str, Any]:
    """What no block holds."""
    q, e = p.plan.question, p.entry
    entry = {
        "tokens": e.tokens,
        "bytes": e.bytes,
        "hbm_bytes": e.hbm_bytes,
        "bytes_per_token": e.bytes_per_token,
        "kv_bytes_per_token": kv_bytes_per_token(q.model, p.plan.precision),
        "links": e.links,
    }
    return {
        "price_kind": q.machine.price_kind,
        "price_per_gpu_hour": setting.known_price(q.machine),
        "layout": setting.layout(p.plan.layout),
        "precision": setting.precision(p.plan.precision),
        "batch": p.plan.batch,
        "entry": entry,
        "prefill": prefix.prefill(p),
        "tiers": prefix.tiers(p),
        "cheapest": prefix.cheapest(p),
        "break_even": prefix.break_evens(p),
        "prices": prefix.prices(p),
        "hits": prefix.hits(p),
        "costs": prefix.rows(p) if p.options else [],
        "thinking": prefix.thinking(p),
        "listed": prefix.listed(p),
        "map": prefix.mapped(p) if p.options else None,
        "drives": [{"name": d.name, "drain_seconds": kvtiers.drain(d)} for d in kvtiers.DRIVES],
    }


def title(p: Prefix) -> Say:
    """The model on its machine."""
    q = p.plan.question
    names = {"model": q.model.name, "machine": q.machine.name}
    return Say("Keeping the cache of *{model}* on *{machine}*", names)


def subtitle(p: Prefix) -> str:
    """The prefix and the plan that prefills it."""
    e = p.entry
    copies = float(e.hbm_bytes) / float(e.bytes)
    extra = "" if copies < 1.005 else f", {show(float(e.hbm_bytes), 'B')} in HBM ({copies:.1f} copies)"
    words = f"a prefix of {cell(e.tokens, 'count')} tokens: {show(float(e.bytes), 'B')}"
    words += f", {show(float(e.bytes_per_token), 'B')} per token{extra}"
    return f"{words} · {p.plan.layout.label()}, {formats(p.plan.precision)}"


def blocks(p: Prefix) -> Iterator[Block]:
    """Everything `tiers` found."""
    yield from _tiers(p)
    if p.options:
        yield from _prefill(p)
        yield from _cheapest(p)
        yield from _break_even(p)
        yield _prices(p)
        yield _hits(p)
        yield from _listed(p)
    yield from _drains(p)


def _tiers(p: Prefix) -> Iterator[Block]:
    rows, priced = prefix.tiers(p), bool(p.options)
    shown = [
        row
        | {"usd_per_gb_month": row["usd_per_gb_month"] or "unknown"}
        | ({"hold_mtok_hour": "not priced"} if row["hold_mtok_hour"] is None else {})
        for row in rows
    ]
    columns = [
        Column("label", "tier"),
        Column("capacity", "capacity", "B"),
        Column("bandwidth", "bandwidth", "B/s"),
        Column("drain_seconds", "drain", "s"),
        Column("usd_per_gb_month", "$/GB/month", "$", optional=2),
        Column("fetch_seconds", "fetch", "s"),
    ]
    if priced:
        columns += [Column("hold_mtok_hour", "hold $/M·h", "price"), Column("fetch_mtok", "fetch $/M", "price", optional=1)]
    yield Table(
        key="",
        title="Tiers",
        aside="each device's share; drain: to read all of it once",
        columns=tuple(columns),
        rows=rows,
        shown=shown,
        faint=frozenset(i for i, row in enumerate(rows) if priced and row["hold_mtok_hour"] is None),
    )
    if priced:
        yield Say(
            "$/M·h: dollars to hold the cache of a million tokens for an hour. A fetch is charged for the tier while"
            " bytes move, and for HBM room and bandwidth, while others decode.",
            faint=True,
        )


def _prefill(p: Prefix) -> Iterator[Block]:
    found = prefix.prefill(p)
    yield Say(
        "*{input_mtok:$}* per M tokens prefilled by the cheapest plan, first token after {seconds:s}; 2 x active"
        " parameters / peak alone: {by_flops_mtok:$} ({ratio:.1f}x less)",
        found,
        title="Recomputing instead",
    )
    slow = [o.label for o in prefix.kept(p) if float(o.seconds) > found["seconds"]]
    if slow:
        names = {"slow": ", ".join(slow)}
        yield Say("Fetching takes longer than that from {slow}: cheaper perhaps, but not faster.", names)
    t = p.thinking
    if t is None:
        return
    if not t.share:
        text = "Thinking share 0: all output stays in the context, and its cache serves the next turn."
        yield Say(text, faint=True)
        return
    yield Say(
        "Thinking share {share:percent}: of {osl:count} output tokens {kept:count} stay in the context and are"
        " prefilled once more by the next turn, since their cache was made with the thinking before them; a cache"
        " finds at most {found:share} of the old ones. A million visible output tokens cost *{visible:$}*.",
        {"share": t.share, "osl": p.plan.question.traffic.osl, "kept": t.kept, "found": t.found, "visible": t.visible_output_mtok},
    )


def _cheapest(p: Prefix) -> Iterator[Block]:
    found = prefix.cheapest(p)
    title, aside = "Cheapest tier", "by how long the prefix is held, and how often it is hit in that time"
    for n in p.reuses:
        values: dict[str, Any] = {"n": n}
        parts = []
        for i, row in enumerate(r for r in found if r["reuse"] == n):
            ends = math.isfinite(row["end"])
            parts.append(f"*{{place{i}}}*" + f" until {{end{i}:s}}" * ends)
            values |= {f"place{i}": row["label"]} | ({f"end{i}": row["end"]} if ends else {})
        yield Say(("1 hit: " if n == 1 else "{n:g} hits: ") + ", then ".join(parts), values, title=title, aside=aside)
        title = aside = ""
    yield _map(p)
    yield _chart(p)


def _map(p: Prefix) -> Map:
    hold, reuse, best = prefix.grid(p, COLUMNS, ROWS)
    return Map(
        title="The cheapest tier for a prefix",
        names=tuple(o.label for o in p.options),
        cells=best.tolist(),
        x=Axis("Hold time", "s", log=True, low=float(hold[0]), high=float(hold[-1]), ticks=TIMES),
        y=Axis("Hits in the hold time", log=True, low=float(reuse[0]), high=float(reuse[-1])),
    )


def _chart(p: Prefix) -> Chart:
    """Dollars per million tokens found against the hold time, one line for each option, the changes marked."""
    hold, costs, changes = prefix.curves(p)
    low, high = float(hold[0]), float(hold[-1])
    reuse = p.reuses[0]
    lowest = [float(c[c > 0].min()) for c in costs.values() if (c > 0).any()]
    top = 20 * float(prefix.per_hit(p, p.again, 0.0, reuse))
    floor = max(min(lowest) / 3 if lowest else top / 1e5, top / 1e6)
    hits = "one hit" if reuse == 1 else f"{reuse:g} hits"
    spec = sketch(
        [Series(name, hold.tolist(), cost.tolist()) for name, cost in costs.items()],
        title=f"Cost of each hit, {hits} in the hold time",
        x=Axis("Hold time", "s", log=True, low=low, high=high, ticks=TIMES),
        y=Axis("Cost of a hit", "$/M tokens", log=True, low=floor, high=top),
        marks=[Mark(f"{name} from {show(at, 's', digits=2)}", at, cost) for name, at, cost in changes],
    )
    return Chart(title="Cost against hold time", spec=spec, lines=19)


def _break_even(p: Prefix) -> Iterator[Block]:
    options = prefix.by_rate(p)
    if len(options) < 2:
        return
    found = {(r["reuse"], r["dear"], r["cheap"]): r["seconds"] for r in prefix.break_evens(p)}
    for n in p.reuses:
        rows = []
        for i, dear in enumerate(options[:-1]):
            row: dict[str, Any] = {"dear": dear.label}
            for cheap in options[i + 1 :]:
                at = found[n, dear.label, cheap.label]
                row[cheap.name] = "never" if at == 0 else "always" if math.isinf(at) else at
            rows.append(row)
        yield Table(
            key="",
            title=f"Break-even hold times, {'1 hit' if n == 1 else f'{n:g} hits'}",
            aside="the row is cheaper than the column up to this long",
            rows=rows,
            columns=(Column("dear", ""), *(Column(o.name, o.label, "s") for o in options[1:])),
        )


def _prices(p: Prefix) -> Table:
    found, rows = prefix.prices(p), []
    for option in prefix.kept(p):
        mine = [r for r in found if r["label"] == option.label]
        row = {"label": option.label, "hit": mine[0]["hit_mtok"]}
        row |= {f"write {r['hold']}": r["premium_mtok"] for r in mine}
        rows.append(row | {"ratio": mine[0]["recompute_over_hit"] or "free"})
    return Table(
        key="",
        title="Prices that cover the cost",
        aside="$ per M tokens; a write beyond plain input, a hit without renewal",
        rows=rows,
        columns=(
            Column("label", ""),
            *(Column(f"write {h}", f"write, {span(h)}", "price") for h in p.holds),
            Column("hit", "hit", "price"),
            Column("ratio", "recompute / hit", "x", optional=1),
        ),
    )


def _hits(p: Prefix) -> Table:
    found, rows = prefix.hits(p), []
    for option in prefix.kept(p):
        row: dict[str, Any] = {"label": option.label}
        for r in found:
            if r["label"] == option.label:
                least = "never" if r["least_hit_share"] is None else r["least_hit_share"]
                row |= {f"worth {r['hold']}": r["worth_mtok"], f"least {r['hold']}": least}
        rows.append(row)
    columns = [Column("label", "")]
    for h in p.holds:
        columns += [Column(f"worth {h}", f"held {span(h)}", "price"), Column(f"least {h}", "from", "share")]
    return Table(
        key="",
        title=f"What a hit rate of {p.hit_share:.0%} is worth",
        aside="$ per M input tokens; from: the least hit rate that pays",
        rows=rows,
        columns=tuple(columns),
    )


def _listed(p: Prefix) -> Iterator[Block]:
    found = prefix.listed(p)
    if found is None:
        return
    margins = ("gross_margin", "cheapest_gross_margin")
    shown = [row | {k: "> 99.9%" for k in margins if row[k] is not None and row[k] >= 0.9995} for row in found["prices"]]
    yield Table(
        key="",
        title=f"Beside the price list of {found['model']}",
        aside="gross margins; a model of unknown size",
        rows=found["prices"],
        shown=shown,
        columns=(
            Column("name", "$ per M tokens"),
            Column("listed_mtok", "listed", "$"),
            Column("cost_mtok", "our cost", "$"),
            Column("gross_margin", "margin", "share"),
            Column("cheapest_label", "cheapest"),
            Column("cheapest_mtok", "cost", "price", optional=1),
            Column("cheapest_gross_margin", "margin there", "share", optional=2),
        ),
    )
    text = "Writes and hits: our cost in device memory, then in the cheapest tier (for hits: behind it)."
    yield Say(text, faint=True)
    yield Say("{source}, read {read}", {"source": found["source"], "read": found["read"]}, faint=True)
    implied = found["implied"]
    if implied:
        yield Say(
            "The write premiums are {fixed:$} + {rate:$} per second (per M tokens). As rent, the rate would hold:",
            {"fixed": implied["fixed_mtok"], "rate": implied["rate_mtok_per_s"]},
        )
        yield Table(
            key="",
            rows=implied["bytes_per_token"],
            columns=(
                Column("label", ""),
                Column("bytes_per_token", "bytes per token", "B"),
                Column("over_model", "over this model's", "x"),
            ),
        )


def _drains(p: Prefix) -> Iterator[Block]:
    """Where the lecture's drain times hold, and where not."""
    rows = [row for row in prefix.tiers(p) if row["said_low"] is not None]
    shown = []
    for row in rows:
        low, high, ours = row["said_low"], row["said_high"], row["drain_seconds"]
        times = f"{ours / high:,.1f}x as long" if ours > high else f"{low / ours:,.1f}x shorter"
        words = {"said_low": span(low) if low == high else f"{span(low)} to {span(high)}"}
        shown.append(row | words | {"verdict": "agrees within 2x" if row["agrees"] else f"does not hold: {times}"})
    yield Table(
        key="",
        title="Drain times, against what the lecture said",
        rows=rows,
        shown=shown,
        columns=(Column("label", "tier"), Column("said_low", "lecture", "s"), Column("drain_seconds", "here", "s"), Column("verdict", "")),
    )
    drives = ", ".join(f"{d.name} {show(kvtiers.drain(d), 's')}" for d in kvtiers.DRIVES)
    yield Say("Common drives ({source}): {drives}.", {"source": kvtiers.DRIVES_SOURCE.text, "drives": drives}, faint=True)
    if p.options:
        parts = [f"{span(r['hold'])}: {r['by_drain_time']} by drain time, {r['by_cost']} by cost" for r in prefix.lifetimes(p)]
        n = p.reuses[0]
        hits = "1 hit" if n == 1 else f"{n:g} hits"
        yield Say("A lifetime's tier, at {hits}: {parts}.", {"hits": hits, "parts": "; ".join(parts)})
    found = prefix.listed(p)
    if found is not None and found["medium"]:
        maker = found["model"].partition("/")[0].capitalize()
        values = {"maker": maker, "medium": found["medium"], "source": found["medium_source"]}
        yield Say("{maker} says: {medium} ({source}).", values, faint=True)


def span(seconds: float) -> str:
    """A round time in its own unit.

    >>> span(300.0), span(3600.0), span(86400.0), span(0.015)
    ('5 min', '1 h', '24 h', '15 ms')
    """
    for size, unit in ((3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms")):
        if seconds >= size and seconds <= 48 * 3600 and abs(seconds / size - round(seconds / size)) < 1e-9:
            return f"{seconds / size:.0f} {unit}"
    return show(seconds, "s")
