"""Choices to columns for two pools: what one prefill replica and one decode replica can do, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from ..arrays import Number, take
from ..economics.cost import HOUR, billed_devices
from ..kernel.counts import cache_bytes
from ..layout.footprint import footprint
from ..layout.parallelism import Layout, illegal
from ..serving.disaggregated import MOST_LOAD, DecodeReplica, PrefillReplica, decode_replica, link_use, prefill_replica
from ..serving.seats import open_seats
from ..serving.steady import held_tokens
from ..world.precision import Precision
from .grid import CHUNK, RANK_BATCHES, Column, Question, layouts

LOADS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, MOST_LOAD)
"""Loads of a prefill replica that a search tries first."""

TOGETHER = (1, 2, 4, 8, 16, 32)
"""Prompts of a rank in one prefill pass that a search tries."""

CONTEXT_WAYS = (2, 4, 8, 16)
"""Context-parallel groups that a search tries for prompts of more than one chunk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRows:
    """Rows of one pool: `knob` is a load or a batch, `time` seconds that count against the objective."""

    layout: Layout
    precision: NDArray[np.intp]
    knob: Column
    prompts: Column
    rate: Column
    price: Column  # dollars per second of a replica
    time: Column
    link: Column  # seconds the cache of a prompt takes at this end

    @property
    def each(self) -> Column:
        """Dollars per request."""
        return self.price / self.rate


def prefill_layouts(question: Question) -> Layout:
    """Legal layouts of a prefill replica; for prompts of several chunks also those with context parallelism.

    Caches shared over dcp serve decoding: none is tried here.
    """
    every = layouts(question.model, question.machine, question.max_gpus, question.engine)
    every = take(every, np.broadcast_to(np.asarray(every.dcp) == 1, np.shape(every.tp)))
    fresh = float(question.traffic.isl) * (1 - float(question.traffic.cached))
    if fresh <= question.engine.chunk_tokens:
        return every
    # A context-parallel group replaces attention-DP groups; experts lie whole on its devices, or cut over all.
    alone = take(every, (np.asarray(every.dp) == 1) & (np.asarray(every.ep) == 1))
    parts = [replace(every, cp=np.ones(len(np.asarray(every.tp))))]
    for ways in CONTEXT_WAYS:
        wide = replace(alone, cp=np.full(len(np.asarray(alone.tp)), float(ways)))
        parts += [wide, replace(wide, ep=wide.stage)] if question.model.has_experts else [wide]
    table = joined(parts)
    bad = np.logical_or.reduce(list(illegal(question.model, table).values()))
    return take(table, ~bad & (np.asarray(table.gpus) <= min(question.max_gpus, question.machine.n_devices)))


def joined(parts: Sequence[Layout]) -> Layout:
    def column(one: Layout, name: str) -> Column:
        return np.broadcast_to(np.asarray(getattr(one, name), dtype=float), np.shape(one.tp))

    return Layout(**{f.name: np.concatenate([column(p, f.name) for p in parts]) for f in fields(Layout)})


def prefill_rows(question: Question, formats: Sequence[Precision], per_hour: float) -> PoolRows:
    """Layouts x prompts in a pass x loads, in the decode pool's formats; a pass is timed once for all loads."""
    every = prefill_layouts(question)
    fresh = max(float(question.traffic.isl) * (1 - float(question.traffic.cached)), 1.0)
    together = np.array([t for t in TOGETHER if t == 1 or t * fresh <= question.engine.chunk_tokens], dtype=float)
    n = len(np.asarray(every.tp))
    index, prompts = np.repeat(np.arange(n), len(together)), np.tile(together, n)
    parts = []
    for which, precision in enumerate(formats):
        for start in range(0, len(index), CHUNK):
            part = slice(start, start + CHUNK)
            one = prefill_of(question, precision, take(every, index[part]), 0.5, prompts[part])
            parts += [prefill_part(question, which, replace(one, load=load), prompts[part], per_hour) for load in LOADS]
    return _stack(parts)


def prefill_of(q: Question, p: Precision, layout: Layout, load: Number, prompts: Number, *, full: bool = False) -> PrefillReplica:
    return prefill_replica(q.replica(p, layout), q.traffic, load, prompts=prompts, bounds=full, keep=full)


def prefill_part(q: Question, which: int, at: PrefillReplica, prompts: Column, per_hour: float) -> PoolRows:
    load = np.broadcast_to(np.asarray(at.load, dtype=float), np.shape(prompts))
    return _rows(q, which, at, load, prompts, at.ttft, per_hour)


def decode_rows(question: Question, per_hour: float) -> PoolRows:
    """Layouts x the batches per rank of the aggregated search that fit, and the largest that does."""
    every = layouts(question.model, question.machine, question.max_gpus, question.engine)
    parts = []
    n, unit = len(np.asarray(every.tp)), np.asarray(every.dp * every.pp)
    for which, precision in enumerate(question.precisions):
        largest = largest_ranks(question, precision, every)
        ranks = np.hstack([np.broadcast_to(np.array(RANK_BATCHES, dtype=float), (n, len(RANK_BATCHES))), largest[:, None]])
        keep = ((ranks <= largest[:, None]) & (ranks > 0)).ravel()
        index = np.repeat(np.arange(n), ranks.shape[1])[keep]
        layout, batch = take(every, index), ranks.ravel()[keep] * unit[index]
        for start in range(0, max(len(batch), 1), CHUNK):
            part = slice(start, start + CHUNK)
            parts.append(decode_part(question, which, take(layout, part), batch[part], per_hour))
    return _stack(parts)


def largest_ranks(question: Question, precision: Precision, every: Layout) -> Column:
    """The most sequences per attention-DP rank and micro-batch that fit where no prompt is in progress.

    Fewer sequences need more room each (`held_tokens`), so the count is lowered until it fits with its own room.
    """
    unit = np.asarray(every.dp * every.pp)
    most = np.full(len(unit), float(question.engine.chunk_tokens))
    for _ in range(20):
        held = held_tokens(question.traffic, most * every.pp)
        holds = footprint(question.model, question.machine, precision, every, question.engine, held)
        fits = open_seats(np.asarray(holds.batch_max)) / unit
        found = np.minimum(most, np.where(fits < 1, np.where(fits > 0, np.maximum(fits, 1e-3), 0.0), np.floor(fits)))
        if np.array_equal(found, most):
            break
        most = found
    return most


def decode_part(q: Question, which: int, layout: Layout, batch: Column, per_hour: float) -> PoolRows:
    found = decode_of(q, q.precisions[which], layout, batch)
    return _rows(q, which, found, batch, np.ones(len(batch)), found.tpot, per_hour)


def decode_of(q: Question, p: Precision, layout: Layout, batch: Number, *, full: bool = False) -> DecodeReplica:
    return decode_replica(q.replica(p, layout), q.traffic, batch, keep=full)


def _rows(
    q: Question, which: int, of: PrefillReplica | DecodeReplica, knob: Column, prompts: Column, time: Number, per_hour: float
) -> PoolRows:
    """Those rows of a pool that fit, in memory and through their links."""
    n, layout = len(knob), of.layout
    size = cache_bytes(q.model, q.traffic.isl, q.precisions[which])
    use = link_use(of.rate, size, layout, of.time, q.machine, q.efficiency)
    out = float(q.machine.scaleout_bandwidth) * q.efficiency.link_share

    def column(value: Number) -> Column:
        return np.broadcast_to(np.asarray(value, dtype=float), (n,))

    rows = PoolRows(
        layout=joined([layout]),
        precision=np.full(n, which),
        knob=column(knob),
        prompts=column(prompts),
        rate=column(of.rate),
        price=column(billed_devices(layout.gpus, q.machine) * per_hour / HOUR / q.traffic.utilisation),
        time=column(time),
        link=column(size / (out * np.asarray(layout.tp * layout.cp * layout.pp))),
    )
    return take(rows, np.flatnonzero(np.broadcast_to(of.fits, (n,)) & (column(use) <= 1)))


def _stack(parts: Sequence[PoolRows]) -> PoolRows:
    columns = [f.name for f in fields(PoolRows) if f.name != "layout"]
    return PoolRows(
        layout=joined([p.layout for p in parts]), **{name: np.concatenate([getattr(p, name) for p in parts]) for name in columns}
    )
