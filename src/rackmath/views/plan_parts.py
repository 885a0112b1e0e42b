"""Blocks of answers about plans, in one pool or two: title, figures with their objectives, machines, points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..answers.parts import Block, Column, Figure, Figures, Say, Table
from ..answers.text import cell
from ..kernel.uncertainty import Interval
from ..search.grid import Question
from ..search.trust import Span
from ..world.workload import Objectives
from . import setting

Record = dict[str, Any]

SHOWN = 10
"""Points of a front that a person is shown."""


def title(q: Question, prefill: str = "") -> Say:
    """What runs where; `prefill`: the machine of the prefill pool where it is another one."""
    where = "*{machine}* (prefill on *{prefill}*)" if prefill else "*{machine}*"
    under = "".join(setting.under(q.engine))
    values = {"model": q.model.name, "machine": q.machine.name, "prefill": prefill}
    return Say("*{model}* on " + where + "{under}", values | {"under": under})


def subtitle(q: Question, limits: Objectives) -> str:
    """Traffic and objectives, and the adapters beside the model."""
    return setting.traffic_words(q.traffic, limits) + setting.adapters(q.model)


def limits_in_words(limits: Objectives) -> dict[str, str]:
    """The objective of each figure that has one."""
    found = {}
    if limits.max_ttft < math.inf:
        found["ttft"] = f"≤ {cell(limits.max_ttft, 's')}"
    if limits.max_tpot < math.inf:
        found["tpot"] = f"≤ {cell(limits.max_tpot, 's')}"
        found["interactivity"] = f"≥ {cell(1 / limits.max_tpot, 'number')}"
    return found


def figures(
    rows: Sequence[tuple[str, str, str, float, float | None]],
    spans: Mapping[str, Span | None],
    limits: Objectives,
    *,
    groups: tuple[int, ...],
    tpot: Interval,
    reason: str,
) -> Figures:
    """Estimates with interval, bound and objective: rows of key, label, unit, estimate and bound."""
    words, found = limits_in_words(limits), []
    for key, label, unit, value, bound in rows:
        low, high = spans.get(key) or (None, None)
        found.append(Figure(key=key, label=label, value=value, unit=unit, low=low, high=high, bound=bound, objective=words.get(key, "")))
    said = "Intervals are made to hold 9 of 10 runs" if tpot.low is not None else "No intervals"
    aside = f"{said} ({reason}). Nothing can be faster than the bound."
    return Figures(key="", figures=tuple(found), groups=groups, aside=aside)


def unknown(value: Any) -> Any:
    """A value, or the word for one that is not known."""
    return "unknown" if value is None else value


def machines(rows: Sequence[Record], best: str | None, *, fleet: bool, modes: bool = False) -> list[Block]:
    """The best plan on each machine that was asked about, and why there is none."""
    if not rows:
        return []
    shown = [_machine(row) for row in rows]
    sized = (
        (
            Column("fleet_month_dollars", "$/month", "$"),
            Column("fleet_gpus", "GPUs", "whole"),
            Column("fleet_power", "power", "W", optional=1),
        )
        if fleet
        else ()
    )
    table = Table(
        key="machines",
        title="Machines",
        rows=rows,
        shown=shown,
        aside="the cheapest fleet on each" if fleet else "the cheapest plan on each",
        columns=(
            Column("machine", ""),
            Column("price_per_gpu_hour", "$/GPU-hour", "$", optional=5),
            *(() if modes else (Column("kind", "price", optional=4),)),
            *sized,
            Column("blended_mtok", "$/M tokens", "$"),
            Column("tput_per_gpu", "tok/s/GPU", "whole", optional=1),
            Column("ttft", "TTFT", "s", optional=2),
            Column("tpot", "TPOT", "s", optional=3),
            *((Column("pools", "pools"),) if modes else ()),
            Column("layout", "layout"),
        ),
        strong=next((i for i, row in enumerate(rows) if row["layout"] is not None and row["machine"] == best), None),
        faint=frozenset(i for i, row in enumerate(rows) if row["layout"] is None),
    )
    why = [Say("{machine}: {reason}.", row, faint=True) for row in rows if row["reason"] is not None]
    return [table, *why]


def _machine(row: Record) -> Record:
    """A row for people: prices that are not known say so."""
    kind = str(row["price_kind"]).replace("_", "-") if row["price_per_gpu_hour"] is not None else ""
    found = row | {"kind": kind, "price_per_gpu_hour": unknown(row["price_per_gpu_hour"])}
    if row["layout"] is None:
        return found | {"layout": "no plan"}
    for key in ("blended_mtok", "fleet_month_dollars", "fleet_power"):
        if key in row:
            found[key] = unknown(row[key])
    return found | {"pools": {"aggregated": "one", "disaggregated": "two"}.get(row.get("mode", ""), "")}


def spread(rows: Sequence[Record], most: int = SHOWN) -> list[Record]:
    """Rows of a front evenly spaced in the logarithm of speed: the ends and what lies between.

    >>> [row["interactivity"] for row in spread([{"interactivity": 2.0**k} for k in range(9)], 3)]
    [1.0, 16.0, 256.0]
    """
    if len(rows) <= most:
        return list(rows)
    place = [math.log(row["interactivity"]) for row in rows]
    wanted = [place[0] + (place[-1] - place[0]) * k / (most - 1) for k in range(most)]
    kept = {min(range(len(rows)), key=lambda i: abs(place[i] - w)) for w in wanted}
    return [rows[i] for i in sorted(kept)]


def no_plan(reasons: Sequence[str]) -> list[Block]:
    """Why there is none."""
    return [Say("*No plan:* {reason}.", {"reason": reason}) for reason in reasons]


def sentence(text: str) -> str:
    """Words as a sentence."""
    return text[:1].upper() + text[1:] + "."
