"""Pictures of how far to trust predictions: predicted against measured, and errors by cell.

They are panels, which `answers.charts` does not know, so they are specifications of their own in its style.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ..answers.charts import SCHEMA
from ..answers.theme import config
from ..errors import BadInput

if TYPE_CHECKING:
    from ..evidence.answer import AnsweredRow
    from ..evidence.validate import Validation

Spec = dict[str, Any]

COLUMNS = {
    "tpot": {"silicon": ("silicon_tpot_ms", 1.0), "inferencex": ("median_tpot", 1e3)},
    "ttft": {"silicon": ("silicon_ttft_ms", 1.0), "inferencex": ("median_ttft", 1e3)},
}
"""Quantity -> kind of file -> its column, and what makes milliseconds of it."""

WORDS = {"tpot": "Time per output token", "ttft": "Time to first token"}
ENGINES = {
    "trt": "TensorRT-LLM",
    "dynamo-trt": "TensorRT-LLM",
    "trtllm": "TensorRT-LLM",
    "sglang": "SGLang",
    "vllm": "vLLM",
    "atom": "ATOM",
}
MOST = 350
"""Points drawn in a panel; of more, a fixed sample."""

NEAR, FAR = 0.8, 1.2
SMALLEST = 5
"""Rows a cell needs to be drawn."""

Point = tuple[str, str, str, float, float]  # system, model, engine, measured, predicted


def points(v: Validation, quantity: str) -> list[Point]:
    """Aggregated rows of both serving benchmarks, in milliseconds."""
    return [
        (*_names(a), a.measured[column] * factor, a.said.estimates[column].pred * factor)
        for kind, (column, factor) in COLUMNS[quantity].items()
        for a in v.answers(kind)
        if a.said.mode == "aggregated" and column in a.measured and column in a.said.estimates
    ]


def _names(a: AnsweredRow) -> tuple[str, str, str]:
    """System, model and engine as both files would spell them."""
    engine = ENGINES.get(a.said.engine, a.said.engine)
    return a.said.system.removesuffix("_sxm").upper(), a.said.model, engine


def sample(found: Sequence[Point], most: int = MOST) -> list[Point]:
    """At most so many points of each system, the same ones each time: those with the smallest checksums."""
    rest: Counter[str] = Counter()
    kept = []
    for i in sorted(range(len(found)), key=lambda i: (zlib.crc32(f"{i}".encode()), i)):
        rest[found[i][0]] += 1
        if rest[found[i][0]] <= most:
            kept.append(i)
    return [found[i] for i in sorted(kept)]


def predicted_measured(v: Validation, quantity: str) -> Spec:
    """Predicted against measured, a panel for each system, a colour for each engine, a band of 20 %."""
    every = points(v, quantity)
    if not every:
        raise BadInput("there is nothing to draw: no aggregated row of a serving benchmark was scored")
    ends = (min(min(p[3:]) for p in every) * 0.8, max(max(p[3:]) for p in every) * 1.25)
    sizes = Counter(p[0] for p in every)
    order = sorted(sizes, key=lambda system: (-sizes[system], system))
    titles = {system: f"{system} · {sizes[system]:,} rows" for system in order}
    values = [{"panel": titles[system], "engine": engine, "x": _round(x), "y": _round(y)} for system, _, engine, x, y in sample(every)]
    band = [{"panel": title, "x": x, "y": x, "low": x * NEAR, "high": x * FAR} for title in titles.values() for x in ends]
    engines = Counter(p[2] for p in every)
    shown = f" (at most {MOST} drawn in a panel)" if max(sizes.values()) > MOST else ""
    return _whole(
        f"{WORDS[quantity]}, aggregated: {len(every):,} rows{shown}",
        f"{WORDS[quantity]}: predicted against measured, a panel for each of {', '.join(order)}",
        {
            "data": {"values": band + values},
            "facet": _facet(list(titles.values())),
            "columns": 3,
            "spacing": {"row": 14, "column": 18},
            "spec": {"width": 205, "height": 205, "layer": _layers(ends, sorted(engines, key=lambda name: -engines[name]))},
        },
    )


def _layers(ends: tuple[float, float], engines: list[str]) -> list[Spec]:
    """The band, the line of equal values and the dots of a panel."""
    x, y = (_log(name, words, ends) for name, words in (("x", "Measured (ms)"), ("y", "Predicted (ms)")))
    soft = config("light")["axis"]["labelColor"]
    of = {"filter": "!isValid(datum.low)"}
    guide = {"filter": "isValid(datum.low)"}
    color = {"field": "engine", "type": "nominal", "scale": {"domain": engines}, "legend": {"title": None}}
    return [
        {
            "name": "band",
            "transform": [guide],
            "mark": {"type": "area", "opacity": 0.14, "color": soft, "clip": True, "aria": False},
            "encoding": {"x": x, "y": _log("low", "Predicted (ms)", ends), "y2": {"field": "high"}},
        },
        {
            "name": "equal",
            "transform": [guide],
            "mark": {"type": "line", "strokeWidth": 1, "color": soft, "clip": True, "aria": False},
            "encoding": {"x": x, "y": y},
        },
        {
            "name": "dots",
            "transform": [of],
            "mark": {"type": "point", "filled": True, "size": 12, "opacity": 0.5, "clip": True, "aria": False},
            "encoding": {"x": x, "y": y, "color": color},
        },
    ]


def _facet(panels: list[str]) -> Spec:
    """A panel for each system, its name above it."""
    header = {
        "labelAnchor": "start",
        "labelFontSize": 12.5,
        "labelFontWeight": 600,
        "labelPadding": 4,
        "labelColor": config("light")["title"]["color"],
    }
    return {"field": "panel", "type": "nominal", "sort": panels, "title": None, "header": header}


def _log(field: str, title: str, ends: tuple[float, float]) -> Spec:
    """A logarithmic axis of milliseconds with a number at each decade; of less than two decades, at 2 and 5 too."""
    steps = (1.0,) if ends[1] >= 100 * ends[0] else (1.0, 2.0, 5.0)
    at = [step * 10.0**k for k in range(-3, 8) for step in steps if ends[0] <= step * 10.0**k <= ends[1]]
    return {
        "field": field,
        "type": "quantitative",
        "title": title,
        "scale": {"type": "log", "domain": list(ends), "nice": False},
        "axis": {"values": at, "format": ",~r", "titleFontSize": 11, "titleFontWeight": 400},
    }


def _round(value: float) -> float:
    return float(f"{value:.4g}")


# --- errors by cell -----------------------------------------------------------------------------------------------


def by_cell(v: Validation) -> Spec:
    """Predicted over measured for each system, model and engine: the median, and where four of five rows lie."""
    cells = {quantity: _cells(points(v, quantity)) for quantity in WORDS}
    order = sorted(cells["tpot"], key=lambda name: cells["tpot"][name][1])
    if not order:
        raise BadInput("there is nothing to draw: no aggregated row of a serving benchmark was scored")
    panels = [_panel(quantity, {name: cells[quantity][name] for name in order if name in cells[quantity]}, order) for quantity in WORDS]
    panels[1]["encoding"]["y"]["axis"] = {"labels": False, "ticks": False, "title": None}
    return _whole(
        "Predicted over measured by system, model and engine",
        "Median and the middle four fifths of predicted over measured, a line for each system, model and engine",
        {"hconcat": panels, "spacing": 24},
    )


def _cells(found: Iterable[Point]) -> dict[str, tuple[float, float, float, int]]:
    """Name of a cell -> 10 %, 50 % and 90 % of predicted over measured, and its rows."""
    ratios: dict[str, list[float]] = {}
    for system, model, engine, measured, predicted in found:
        ratios.setdefault(f"{system} · {model} · {engine}", []).append(predicted / measured)
    return {
        name: (*(_quantile(sorted(r), q) for q in (0.1, 0.5, 0.9)), len(r))  # type: ignore[misc]
        for name, r in ratios.items()
        if len(r) >= SMALLEST
    }


def _quantile(ordered: Sequence[float], share: float) -> float:
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


WIDEST = (1 / 32, 16.0)
"""Ratios drawn at most; what lies beyond stands at the edge."""


def _panel(quantity: str, cells: dict[str, tuple[float, float, float, int]], order: Sequence[str]) -> Spec:
    low = max(WIDEST[0], min((0.45, *(a for a, *_ in cells.values()))) * 0.9)
    high = min(WIDEST[1], max((2.2, *(c for _, _, c, _ in cells.values()))) * 1.1)
    values = [
        {"cell": name, "low": _round(max(a, low)), "middle": _round(min(max(b, low), high)), "high": _round(min(c, high)), "rows": n}
        for name, (a, b, c, n) in cells.items()
    ]
    soft = config("light")["axis"]["labelColor"]
    axis = {
        "values": [2.0**k for k in range(-5, 5) if low <= 2.0**k <= high],
        "labelExpr": "datum.value < 1 ? '1/' + 1 / datum.value : datum.value + 'x'",
        "orient": "top",
        "titleFontSize": 12.5,
    }
    x = {
        "type": "quantitative",
        "scale": {"type": "log", "domain": [low, high], "nice": False},
        "axis": axis,
        "title": f"{WORDS[quantity]}: predicted / measured",
    }
    return {
        "width": 270,
        "height": {"step": 15},
        "data": {"values": values},
        "encoding": {
            "y": {
                "field": "cell",
                "type": "nominal",
                "sort": list(order),
                "scale": {"domain": list(order)},
                "title": None,
                "axis": {"labelLimit": 330, "ticks": False, "grid": True, "labelFontSize": 11},
            }
        },
        "layer": [
            {
                "mark": {"type": "rect", "color": soft, "opacity": 0.14, "aria": False},
                "data": {"values": [{"a": NEAR, "b": FAR}]},
                "encoding": {"x": x | {"field": "a"}, "x2": {"field": "b"}, "y": {"value": 0}, "y2": {"value": "height"}},
            },
            {
                "mark": {"type": "rule", "color": soft, "strokeWidth": 1, "aria": False},
                "data": {"values": [{"a": 1.0}]},
                "encoding": {"x": x | {"field": "a"}, "y": {"value": 0}, "y2": {"value": "height"}},
            },
            {
                "mark": {"type": "rule", "strokeWidth": 3, "opacity": 0.45, "color": "#1f63c6", "aria": False},
                "encoding": {"x": x | {"field": "low"}, "x2": {"field": "high"}},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 46, "opacity": 1, "color": "#1f63c6", "aria": False},
                "encoding": {"x": x | {"field": "middle"}},
            },
        ],
    }


def _whole(title: str, description: str, parts: Spec) -> Spec:
    head = {"$schema": SCHEMA, "description": description, "title": {"text": [title]}}
    return head | parts | {"config": config("light")}
