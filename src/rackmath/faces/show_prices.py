"""Screens and charts of price lists: one, the hosts of an open model, and all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from ..units import plural
from ..views.machine_terms import Node
from . import charts, records_prices
from .charts import Axis, Mark, Series
from .export import Face
from .show import heading, indented, line, notes, numbers, tokens

if TYPE_CHECKING:
    from ..economics.pricelist import ListPrice, PriceList
    from .ask_prices import HostsAnswer, ListAnswer, ListsAnswer

PER_MTOK = "$/M tokens"
INPUT, OUTPUT = Axis("Input", PER_MTOK, log=True), Axis("Output", PER_MTOK, log=True)


def of_list(answer: ListAnswer) -> Face:
    """All faces of one list."""
    return Face(
        record=lambda: records_prices.of_list(answer),
        rows=lambda: records_prices.entries(answer.prices),
        screen=lambda c: _list(c, answer),
        tree=lambda: _tree(answer.prices),
        chart=lambda: against_length(answer.prices),
    )


def of_hosts(answer: HostsAnswer) -> Face:
    """All faces of the hosts of a model."""
    return Face(
        record=lambda: records_prices.of_hosts(answer),
        rows=lambda: [records_prices.row(p) for p in answer.lists],
        screen=lambda c: _hosts(c, answer),
        tree=lambda: Node(name=f"hosts of {answer.weights}", children=tuple(_tree(p) for p in answer.lists)),
        chart=lambda: hosts_chart(answer),
    )


def of_lists(answer: ListsAnswer) -> Face:
    """All faces of a listing."""
    return Face(
        record=lambda: records_prices.of_lists(answer),
        rows=lambda: [records_prices.row(p) for p in answer.lists],
        screen=lambda c: _lists(c, answer),
        tree=None,
        chart=lambda: output_against_input(answer.lists),
    )


def _tree(p: PriceList) -> Node:
    """The prices in force with their sources."""
    return Node(name=p.model, children=tuple(
        Node(name=_name(e), children=tuple(
            Node(name=name.removesuffix("_mtok").replace("_", " "), value=value, unit="$", source=_source(e))
            for name in records_prices.PRICES if (value := getattr(e, name)) is not None
        ))
        for e in records_prices.in_order(p)
    ))  # fmt: skip


def _source(e: ListPrice) -> str:
    return f"{e.source}, read {e.read}" if e.read else e.source


# --- one list -----------------------------------------------------------------------------------------------------


def _list(c: Console, answer: ListAnswer) -> None:
    p = answer.prices
    c.print(Text.assemble("What ", (p.model, "bold"), " costs on ", (p.day, "bold")))
    about = [PER_MTOK]
    if p.context_window:
        about.append(f"{tokens(p.context_window)} tokens of context")
    if p.standard.since:
        about.append(f"in force since {p.standard.since}")
    if p.weights:
        about.append(f"open weights: {p.weights}")
    if p.output_speed:
        about.append(f"{p.output_speed:g} tok/s measured")
    if p.ttft:
        about.append(f"first token after {p.ttft:g} s measured")
    c.print(Text(" · ".join(about), style="dim"))
    _prices(c, p)
    _ratios(c, p)
    _changes(c, p)
    if answer.medium:
        heading(c, f"Where {p.provider} says the cache lies")
        line(c, f"{answer.medium.says}  [dim]({answer.medium.source})[/]")
    told = list(dict.fromkeys(_source(e) for e in records_prices.in_order(p)))
    told += _undated([p])
    if answer.hosts > 1:
        told.append(f"{answer.hosts} lists sell these weights: rackmath prices {p.weights}")
    notes(c, told)


def _prices(c: Console, p: PriceList) -> None:
    long = p.long and f"{_above(p.long.above_input_tokens)}: for requests of more input tokens than that"
    heading(c, "Prices", long or "")
    heads = dict(zip(records_prices.PRICES, ("input", "cached read", "write", "write 1 h", "output"), strict=True))
    shown = [name for name in records_prices.PRICES if any(getattr(e, name) is not None for e in p.entries)]
    faster = any(e.speed != 1 for e in p.entries)
    table = numbers("", *(heads[name] for name in shown), *(["speed"] if faster else []))
    for e in records_prices.in_order(p):
        cells = [_dollars(getattr(e, name)) for name in shown]
        table.add_row(_name(e), *cells, *(["" if e.speed == 1 else f"{e.speed:g}x"] if faster else []))
    indented(c, table)


RATIOS = {
    "output_over_input": "output",
    "cache_read_over_input": "cached",
    "cache_write_5m_over_input": "write",
    "cache_write_1h_over_input": "write 1 h",
    "input_over_standard": "input/std",
    "output_over_standard": "output/std",
}


def _ratios(c: Console, p: PriceList) -> None:
    heading(c, "Ratios", "over the row's own input; input and output over the first row's")
    rows = records_prices.ratios(p)
    shown = [key for key in RATIOS if any(r[key] is not None for r in rows)]
    if len(rows) == 1:
        shown = [key for key in shown if not key.endswith("standard")]
    table = numbers("", *(RATIOS[key] for key in shown))
    for e, r in zip(records_prices.in_order(p), rows, strict=True):
        table.add_row(_name(e), *("" if r[key] is None else f"{r[key]:.3g}x" for key in shown))
    indented(c, table)


def _changes(c: Console, p: PriceList) -> None:
    found = records_prices.changes(p)
    if not found:
        return
    heading(c, "History", "known changes, the newest first")
    for r in found:
        which = f"{r['mode']} {_above(r['above_input_tokens'])}" if r["above_input_tokens"] else r["mode"]
        when = f"[bold]{r['day']}[/]" + (" (announced)" if r["planned"] else "")
        if r["ended"]:
            was = f"{_dollars(r['input_before'])} and {_dollars(r['output_before'])}"
            line(c, f"{when}  {which}: ended; it was {was} for input and output")
            continue
        parts = [f"{name.replace('cache_read', 'cached')} {_dollars(r[f'{name}_before'])} → "
                 f"{_dollars(r[f'{name}_after'])}{_percent(r[f'{name}_change'])}"
                 for name in ("input", "cache_read", "output")
                 if r[f"{name}_before"] != r[f"{name}_after"]]  # fmt: skip
        line(c, f"{when}  {which}: {', '.join(parts) or 'prices of cache writes'}")


def _percent(change: float | None) -> str:
    return "" if change is None else f" ({change:+.0%})".replace("-", "−")


def _name(e: ListPrice) -> str:
    return f"{e.mode} {_above(e.above_input_tokens)}" if e.above_input_tokens else e.mode


def _dollars(price: float | None) -> str:
    """A listed price, to the last digit; empty where there is none.

    >>> _dollars(3.125), _dollars(5.0), _dollars(0.0028), _dollars(None)
    ('$3.125', '$5.00', '$0.0028', '')
    """
    if price is None:
        return ""
    whole, _, cents = f"{price:.6g}".partition(".")
    return f"${int(whole):,}.{cents.ljust(2, '0')}"


def against_length(p: PriceList) -> dict[str, Any]:
    """Input and output prices of each mode against the length of the request."""
    last = p.context_window or max(1e6, *(2 * e.above_input_tokens for e in p.entries))
    alike: dict[tuple[tuple[float, float, float], ...], list[str]] = {}
    for mode in p.modes:
        key = tuple((e.above_input_tokens, e.output_mtok, e.input_mtok) for e in p.mode(mode))
        alike.setdefault(key, []).append(mode)
    series = []
    for rows, modes in alike.items():
        starts = [above for above, _, _ in rows[1:]]
        x = [end for pair in zip([1000.0, *starts], [*starts, last], strict=True) for end in pair]
        for name, at, look in (("output", 1, "line"), ("input", 2, "dashed")):
            y = [row[at] for row in rows for _ in range(2)]
            series.append(Series(f"{', '.join(modes)} {name}", x, y, look=look))
    return charts.curve(series, title=f"{p.model} on {p.day}", x=Axis("Input tokens of a request", log=True),
                        y=Axis("Price", PER_MTOK, log=True))  # fmt: skip


# --- several lists ------------------------------------------------------------------------------------------------


def _hosts(c: Console, answer: HostsAnswer) -> None:
    lists = answer.lists
    c.print(Text.assemble((answer.weights, "bold"), f" at {_count(lists)} on ", (lists[0].day, "bold")))
    c.print(Text(f"{PER_MTOK}, standard mode, short requests; ratio: output over input", style="dim"))
    c.print()
    _table(c, lists)
    if len(lists) > 1:
        _spread(c, lists)
    told = "what is sold is the name: formats, engines, speeds and lengths may differ from host to host"
    notes(c, [*_sources(lists), *_undated(lists), told])


def _spread(c: Console, lists: Sequence[PriceList]) -> None:
    heading(c, "Spread", "over the lists above")
    table = numbers("", "lists", "least", "lower ¼", "median", "upper ¼", "greatest", "times")
    for price, name in (("input_mtok", "input"), ("cache_read_mtok", "cached read"), ("output_mtok", "output")):
        r = records_prices.spread(lists, price)
        if r is not None:
            ends = [_dollars(r[k]) for k in ("least", "lower_quarter", "median", "upper_quarter", "greatest")]
            table.add_row(name, f"{r['lists']}", *ends, f"{r['greatest_over_least']:.1f}x")
    indented(c, table, drop=("lower ¼", "upper ¼"))


def _count(lists: Sequence[PriceList]) -> str:
    hosts = len({p.provider for p in lists})
    return plural(hosts, "host") + ("" if hosts == len(lists) else f", {plural(len(lists), 'list')}")


def _lists(c: Console, answer: ListsAnswer) -> None:
    lists = answer.lists
    sellers = list(dict.fromkeys(p.provider for p in lists))
    c.print(Text.assemble((f"{len(lists)} price lists", "bold"), f" of {', '.join(sellers)}" if len(sellers) == 1 else
                          f" of {len(sellers)} providers", f" on {lists[0].day}"))  # fmt: skip
    c.print(Text(f"{PER_MTOK}, standard mode, short requests; ratio: output over input", style="dim"))
    if len(sellers) == 1:
        c.print()
        _table(c, lists)
    else:
        others = tuple(p for p in lists if not p.weights)
        if others:
            heading(c, f"{len(others)} models whose architecture the catalogue does not know")
            _table(c, others)
        _open(c, records_prices.by_weights(lists))
    line(c, "[dim]rackmath prices NAME shows one of them; --csv and --json give every list.[/]")
    notes(c, [*_sources(lists), *_undated(lists)])


def _open(c: Console, found: dict[str, list[PriceList]]) -> None:
    """One line for each open model: how many sell it, and from what to what."""
    heading(c, f"{len(found)} models with open weights", "median over their lists; output from least to greatest")
    table = numbers("", "lists", "input", "output", "least", "greatest")
    for weights, lists in found.items():
        fresh, out = (records_prices.spread(lists, price) or {} for price in ("input_mtok", "output_mtok"))
        table.add_row(weights, f"{len(lists)}", _dollars(fresh["median"]),
                      *(_dollars(out[k]) for k in ("median", "least", "greatest")))  # fmt: skip
    indented(c, table)


def _table(c: Console, lists: Sequence[PriceList]) -> None:
    """One line for each list."""
    table = numbers("", "input", "cached", "output", "ratio", "longer", "context")
    table.add_column("modes")
    for p in lists:
        r = records_prices.row(p)
        table.add_row(
            p.model, _dollars(r["input_mtok"]), _dollars(r["cache_read_mtok"]), _dollars(r["output_mtok"]),
            f"{r['output_over_input']:.3g}x", _above(r["long_above"]),
            "" if p.context_window is None else _thousands(p.context_window), r["modes"] or "",
        )  # fmt: skip
    indented(c, table, drop=("context", "modes", "longer"))


def _above(threshold: float | None) -> str:
    return "" if threshold is None else f"> {_thousands(threshold)}"


def _thousands(count: float) -> str:
    return f"{round(count / 1000):,}K"


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


def output_against_input(lists: Sequence[PriceList]) -> dict[str, Any]:
    """Output price against input price of every list."""
    kinds = {"open weights, hosted": [p for p in lists if p.weights], "others": [p for p in lists if not p.weights]}
    series = [
        Series(name, [p.standard.input_mtok for p in found], [p.standard.output_mtok for p in found],
               labels=[p.model for p in found])
        for name, found in kinds.items()
    ]  # fmt: skip
    return charts.scatter(series, title=f"{len(lists)} price lists on {lists[0].day}", x=INPUT, y=OUTPUT)


def hosts_chart(answer: HostsAnswer) -> dict[str, Any]:
    """Output price against input price of the hosts, each named."""
    lists = answer.lists
    dots = Series("hosts", [p.standard.input_mtok for p in lists], [p.standard.output_mtok for p in lists],
                  labels=[p.model for p in lists])  # fmt: skip
    at: dict[tuple[float, float], list[str]] = {}
    for p in lists:
        at.setdefault((p.standard.input_mtok, p.standard.output_mtok), []).append(p.provider)
    marks = [Mark(", ".join(dict.fromkeys(names)), x, y) for (x, y), names in at.items()]
    title = f"{answer.weights} at {_count(lists)} on {lists[0].day}"
    return charts.scatter([dots], title=title, x=INPUT, y=OUTPUT, marks=marks)
