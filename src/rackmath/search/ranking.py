"""Rows of a search: which meet the objectives, their order, the batches around the best, the front."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arrays import take
from ..economics.cost import HOUR, billed_devices
from ..economics.fleet import fleet
from ..layout.parallelism import Layout
from ..layout.spread import left
from ..world.precision import Precision
from ..world.workload import Objectives
from .grid import CUTS, Candidates, Question, evaluate, join, price_or_time


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """Pareto-optimal points, fastest for the user first: tok/s/user, tok/s/GPU and dollars per million tokens."""

    interactivity: NDArray[np.float64]
    tput_per_gpu: NDArray[np.float64]
    blended_mtok: NDArray[np.float64]
    ttft: NDArray[np.float64]
    batch: NDArray[np.float64]
    labels: tuple[str, ...]
    layouts: tuple[Layout, ...] = ()
    precisions: tuple[Precision, ...] = ()


def meeting(table: Candidates, objectives: Objectives) -> NDArray[np.bool_]:
    met: NDArray[np.bool_] = (table.ttft <= objectives.max_ttft) & (table.tpot <= objectives.max_tpot)
    return met


TIE = 5e-3
"""Costs closer than this share count as equal: the simpler layout then wins."""


def ranking(question: Question, table: Candidates, allowed: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Allowed rows, cheapest first. Equal ones (`TIE`): fewer stages, even experts, fewer devices, then the cost."""
    rows = np.flatnonzero(allowed)
    layout = take(table.layout, rows)
    uneven = np.zeros(len(rows), dtype=bool)
    for group in question.model.groups:
        if group.ffn and group.ffn.n_experts:
            uneven |= group.ffn.n_experts % np.asarray(layout.ep) != 0
    price = np.round(np.log(table.objective[rows]) / TIE)
    keys = (table.request_cost[rows], np.asarray(layout.gpus), uneven, np.asarray(layout.pp), price)
    return rows[np.lexsort(keys)]


def _key(table: Candidates, row: int) -> tuple[float, ...]:
    one = take(table.layout, row)
    return (*(float(getattr(one, cut)) for cut in CUTS), float(table.precision[row]))


def refine(question: Question, table: Candidates, order: NDArray[np.intp], objectives: Objectives, *, keep: int = 8) -> Candidates:
    """The best batch of each of the best distinct layouts, tried one by one; best layout first."""
    seen: dict[tuple[float, ...], int] = {}
    for row in order:
        seen.setdefault(_key(table, int(row)), int(row))
        if len(seen) == keep:
            break
    parts = []
    for row in seen.values():
        unit = float(np.asarray(table.layout.dp)[row] * np.asarray(table.layout.pp)[row])
        rank = float(table.batch[row]) / unit
        spread = np.geomspace(rank / 1.5, rank * 2.05, 400)
        tries = np.unique(np.append(np.where(spread < 1, spread, np.round(spread)), rank)) * unit
        if question.traffic.users is not None:
            tries = table.batch[row : row + 1]
        one = take(table.layout, np.full(len(tries), row))
        rows = evaluate(question, int(table.precision[row]), one, tries)
        good = rows.fits & rows.keeps_pace & meeting(rows, objectives) & np.isfinite(rows.objective)
        parts.append(take(rows, ranking(question, rows, good)[:1]))
    refined = join(parts)
    return take(refined, ranking(question, refined, np.ones(len(refined), dtype=bool)))


def front(question: Question, table: Candidates, possible: NDArray[np.bool_], minimise: NDArray[np.float64]) -> Front:
    """Points nobody beats in both interactivity and the minimised column."""
    rows = np.flatnonzero(possible)
    rows = rows[np.lexsort((minimise[rows], table.tpot[rows]))]
    best = np.minimum.accumulate(minimise[rows])
    keep = np.concatenate([[True], best[1:] < best[:-1]]) if len(rows) else np.zeros(0, dtype=bool)
    return _points(question, table, rows[keep])


CANDIDATES = 20
"""Layouts that are kept beside the winner."""


def candidates(question: Question, table: Candidates, order: NDArray[np.intp]) -> Front:
    """The first row of distinct layouts and formats of a ranking, from the best to the worst."""
    layout = take(table.layout, order)
    keys = np.asarray(table.precision[order], dtype=np.int64)
    hosted = (layout.host_layers, layout.host_experts) if left(layout) else ()
    for column in (layout.tp, layout.pp, layout.dp, layout.ep, *hosted):
        keys = keys * 8192 + np.asarray(column, dtype=np.int64)
    first = np.sort(np.unique(keys, return_index=True)[1])
    ranks = np.unique(np.geomspace(1, len(first), CANDIDATES).round().astype(int)) - 1  # denser among the best
    first = first[ranks]
    return _points(question, table, order[first])


def _points(question: Question, table: Candidates, rows: NDArray[np.intp]) -> Front:
    per_mtok = 1e6 / (question.traffic.isl + question.traffic.osl)
    return Front(
        interactivity=1 / table.tpot[rows],
        tput_per_gpu=table.tput_per_gpu[rows],
        blended_mtok=table.request_cost[rows] * per_mtok,
        ttft=table.ttft[rows],
        batch=table.batch[rows],
        labels=tuple(f"{take(table.layout, int(r)).label()} {question.precisions[int(table.precision[r])].name}" for r in rows),
        layouts=tuple(take(table.layout, int(r)) for r in rows),
        precisions=tuple(question.precisions[int(table.precision[r])] for r in rows),
    )


def power(question: Question, table: Candidates, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """Watts at the facility of the fleet of each row."""
    need = question.need
    assert need is not None
    gpus = take(table.layout, rows).gpus
    rate = billed_devices(gpus, question.machine) / table.request_cost[rows]  # proportional to requests per second
    scale = price_or_time(question.machine) / HOUR / question.traffic.utilisation
    return np.asarray(fleet(rate * scale, gpus, question.machine, question.traffic, need).power)


def by_power(question: Question, table: Candidates, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """The rows, those whose fleet draws least first; of equal ones the cheapest."""
    return rows[np.lexsort((table.request_cost[rows], power(question, table, rows)))]
