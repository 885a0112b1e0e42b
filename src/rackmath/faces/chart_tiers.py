"""The map of the cheapest place for a prefix, and the cost against its hold time: for terminal, page and picture."""

from __future__ import annotations

import math
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from ..answers.scale import HEIGHT, WIDTH
from ..answers.theme import config
from ..economics import caching
from ..text import legible
from ..units import show
from . import charts, records_tiers
from .braille import _COLORS, _paint

if TYPE_CHECKING:
    from .ask_tiers import TiersAnswer

Spec = dict[str, Any]

TIMES = ((0.001, "1 ms"), (0.01, "10 ms"), (0.1, "0.1 s"), (1.0, "1 s"), (10.0, "10 s"), (60.0, "1 min"),
         (300.0, "5 min"), (3600.0, "1 h"), (21600.0, "6 h"), (86400.0, "1 d"), (604800.0, "1 wk"),
         (30 * 86400.0, "30 d"), (365.25 * 86400.0, "1 y"))  # fmt: skip
"""Ticks of a time axis that spans from moments to months."""

FILLS = "░▓▒█·:+x"
COLUMNS, ROWS = 160, 144


def _timed(spec: Spec) -> Spec:
    """The chart with ticks at seconds, minutes, hours and days on its time axis."""
    meta = spec["usermeta"]["rackmath"]["x"]
    inside = [(at, text) for at, text in TIMES if meta["low"] <= at <= meta["high"]]
    meta["ticks"] = [[at, text] for at, text in inside]
    values, texts = [at for at, _ in inside], [text for _, text in inside]
    axis = spec["encoding"]["x"]["axis"]
    axis |= {"values": values, "labelExpr": f"{texts!r}[indexof({values!r}, datum.value)]"}
    axis.pop("gridOpacity", None)
    axis.pop("tickOpacity", None)
    return spec


def cost_chart(answer: TiersAnswer) -> Spec:
    """Dollars per million tokens found against the hold time, one line for each option, the changes marked."""
    reuse = answer.reuses[0]
    low, high = records_tiers.hold_range(answer)
    hold = np.geomspace(low, high, 1000)
    series = [
        charts.Series(o.label, hold.tolist(), records_tiers.per_hit(answer, o, hold, reuse).tolist())
        for o in answer.options
    ]
    lowest = np.min([s.y for s in series], axis=0)
    marks = []
    for s in caching.stretches(answer.options, reuse):
        if low < s.start < high:
            at = float(np.interp(math.log(s.start), np.log(hold), lowest))
            marks.append(charts.Mark(f"{s.option.label} from {show(s.start, 's', digits=2)}", s.start, at))
    top = 20 * float(records_tiers.per_hit(answer, answer.again, 0.0, reuse))
    floor = max(float(lowest[lowest > 0].min()) / 3 if (lowest > 0).any() else top / 1e5, top / 1e6)
    hits = "one hit" if reuse == 1 else f"{reuse:g} hits"
    spec = charts.curve(
        series,
        title=f"Cost of each hit, {hits} in the hold time",
        x=charts.Axis("Hold time", "s", log=True, low=low, high=high),
        y=charts.Axis("Cost of a hit", "$/M tokens", log=True, low=floor, high=top),
        marks=marks,
    )
    return _timed(spec)


def map_spec(answer: TiersAnswer) -> Spec:
    """The cheapest place over hold time and reuse: one area for each option, with its name inside."""
    hold, reuse, best = records_tiers.grid(answer, COLUMNS, ROWS)
    low, high = float(hold[0]), float(hold[-1])
    x = charts.Axis("Hold time", "s", log=True, low=low, high=high)
    y = charts.Axis("Hits in the hold time", log=True, low=float(reuse[0]), high=float(reuse[-1]))
    frame = charts.curve(
        [charts.Series("frame", [low, high], [y.low or 0.0, y.high or 0.0])],
        title="The cheapest place for a prefix", x=x, y=y,
    )  # fmt: skip
    labels = [o.label for o in answer.options]
    points, run = [], dict.fromkeys(labels, 0)
    before: set[str] = set()
    for n in reuse.tolist():
        shown = [s for s in caching.stretches(answer.options, n) if s.end > low and s.start < high]
        present = {s.option.label for s in shown}
        for gone in before - present:
            run[gone] += 1
        before = present
        for s in shown:
            name = s.option.label
            points.append({"series": name, "run": f"{name} {run[name]}", "y": n, "x": max(s.start, low),
                           "x2": min(s.end, high)})  # fmt: skip
    colour = {"field": "series", "type": "nominal", "sort": None, "scale": {"domain": labels}, "legend": None}
    layers: list[Spec] = [
        {
            "name": "regions",
            "mark": {"type": "area", "orient": "horizontal", "opacity": 0.75, "clip": True, "line": False},
            "encoding": {"x2": {"field": "x2"}, "color": colour, "detail": {"field": "run"},
                         "tooltip": {"field": "series", "type": "nominal", "title": "cheapest"}},
        }
    ]  # fmt: skip
    for i, r, c in _centres(best):
        text = {"type": "text", "text": labels[i], "baseline": "middle", "align": "center"}
        layers.append(
            {
                "name": f"region label {i}",
                "data": {"values": [{"x": float(hold[c]), "y": float(reuse[r])}]},
                "layer": [{"mark": text | {"style": [style]}} for style in ("halo", "label")],
            }
        )
    spec: Spec = frame | {
        "description": f"The cheapest place for a prefix against hold time and hits: {', '.join(labels)}",
        "datasets": {"points": points, "marks": []},
        "layer": layers,
        "config": config("light"),
        "width": WIDTH,
        "height": HEIGHT,
    }
    return _timed(spec)


def _centres(best: Any) -> list[tuple[int, int, int]]:
    """For each option on the map: a row and column well inside its region (the middle of its widest rows)."""
    found = []
    for index in np.unique(best):
        runs = []
        for r in range(best.shape[0]):
            at = 0
            for value, run in groupby(best[r].tolist()):
                n = len(list(run))
                if value == index:
                    runs.append((n, r, at + n // 2))
                at += n
        longest = max(n for n, _, _ in runs)
        wide = [(r, c) for n, r, c in runs if n > 0.8 * longest]
        spot = wide[len(wide) // 2]
        found.append((int(index), *spot))
    return found


def terminal_map(answer: TiersAnswer, *, width: int, color: bool) -> str:
    """The map in letters: each region its own fill, with its name inside where that fits."""
    gutter = 7
    columns, rows = max(30, width - gutter - 2), 14
    hold, reuse, best = records_tiers.grid(answer, columns, rows)
    cells = [[FILLS[int(i) % len(FILLS)] for i in row] for row in best]
    for index, r, c in _centres(best):
        text = f" {legible(answer.options[index].label)} "
        start = c - len(text) // 2
        if start >= 0 and start + len(text) <= columns and len(set(best[r, start : start + len(text)].tolist())) == 1:
            cells[r][start : start + len(text)] = text
    lines = ["The cheapest place for a prefix" + " " * 4 + "hits in the hold time, up"]
    marked = {round(float(np.interp(math.log(v), np.log(reuse), range(rows)))): v for v in (0.1, 1, 10, 100, 1000)
              if reuse[0] <= v <= reuse[-1]}  # fmt: skip
    for r in reversed(range(rows)):
        text = "".join(
            _paint("".join(cells[r][c] for c, _ in run), _COLORS[int(i) % len(_COLORS)] if color else None)
            for i, run in groupby(enumerate(best[r].tolist()), key=lambda cell: cell[1])
        )
        lines.append(f"{f'{marked[r]:g}' if r in marked else '':>{gutter}}{'┤' if r in marked else '│'}{text}")
    under, labels = ["─"] * columns, [" "] * (columns + 6)
    end = -1
    for at, text in TIMES:
        if not hold[0] <= at <= hold[-1]:
            continue
        column = round(float(np.interp(math.log(at), np.log(hold), range(columns))))
        under[column] = "┬"
        start = max(0, column - len(text) // 2)
        if start > end:
            labels[start : start + len(text)] = text
            end = start + len(text)
    lines += [" " * gutter + "└" + "".join(under), " " * (gutter + 1) + "".join(labels).rstrip()]
    present = [int(i) for i in np.unique(best)]
    key = "   ".join(
        _paint(FILLS[i % len(FILLS)] * 2, _COLORS[i % len(_COLORS)] if color else None)
        + f" {legible(answer.options[i].label)}"
        for i in present
    )
    return "\n".join([*lines, f"{'hold time':^{width}}".rstrip(), " " * gutter + key])
