"""Pictures of price lists: one against the length of a request, several by input and output price."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..answers.charts import Axis, Mark, Series, curve, scatter
from ..economics.listings import PriceList
from ..units import plural

PER_MTOK = "$/M tokens"
INPUT, OUTPUT = Axis("Input", PER_MTOK, log=True), Axis("Output", PER_MTOK, log=True)


def hosts_of(lists: Sequence[PriceList]) -> str:
    """How many hosts, and lists where those are more."""
    hosts = len({p.provider for p in lists})
    return plural(hosts, "host") + ("" if hosts == len(lists) else f", {plural(len(lists), 'list')}")


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
    x_axis, y_axis = Axis("Input tokens of a request", log=True), Axis("Price", PER_MTOK, log=True)
    return curve(series, title=f"{p.model} on {p.day}", x=x_axis, y=y_axis)


def output_against_input(lists: Sequence[PriceList]) -> dict[str, Any]:
    """Output price against input price of every list."""
    kinds = {"open weights, hosted": [p for p in lists if p.weights], "others": [p for p in lists if not p.weights]}
    series = [_dots(name, found) for name, found in kinds.items()]
    return scatter(series, title=f"{len(lists)} price lists on {lists[0].day}", x=INPUT, y=OUTPUT)


def _dots(name: str, lists: Sequence[PriceList]) -> Series:
    x, y = [p.standard.input_mtok for p in lists], [p.standard.output_mtok for p in lists]
    return Series(name, x, y, labels=[p.model for p in lists])


def hosts_chart(weights: str, lists: Sequence[PriceList]) -> dict[str, Any]:
    """Output price against input price of the hosts, each named."""
    at: dict[tuple[float, float], list[str]] = {}
    for p in lists:
        at.setdefault((p.standard.input_mtok, p.standard.output_mtok), []).append(p.provider)
    marks = [Mark(", ".join(dict.fromkeys(names)), x, y) for (x, y), names in at.items()]
    title = f"{weights} at {hosts_of(lists)} on {lists[0].day}"
    return scatter([_dots("hosts", lists)], title=title, x=INPUT, y=OUTPUT, marks=marks)
