"""Choices to columns: every legal layout of a model on a machine, times batch, times precision."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..arrays import Mask, Number, take
from ..economics.cost import HOUR, request_cost
from ..economics.fleet import FleetNeed, fleet
from ..kernel.efficiency import Efficiency
from ..layout.footprint import footprint
from ..layout.parallelism import Layout, cache_copies, illegal, shares_cache
from ..serving.replica import Replica
from ..serving.seats import open_seats
from ..serving.speculative import Speculation
from ..serving.steady import steady
from ..world.engine import TYPICAL, Engine
from ..world.machine import Machine
from ..world.model import Model
from ..world.precision import Precision
from ..world.workload import Traffic

Column = NDArray[np.float64]

STAGES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""Numbers of pipeline stages to try."""

CUTS = ("tp", "pp", "dp", "ep", "dcp", "host_layers", "host_experts")
"""The cuts of a layout that a search chooses among."""

CHUNK = 16384
"""Rows evaluated at once: columns of this length stay in the cache of one core."""

RANK_BATCHES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072)
"""Sequences per attention-DP rank and micro-batch that a search tries first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Everything a plan depends on besides the choice of layout, batch and precision."""

    model: Model
    machine: Machine
    traffic: Traffic
    engine: Engine
    efficiency: Efficiency
    precisions: tuple[Precision, ...]
    max_gpus: float
    speculation: Speculation | None = None  # how drafts are made, where decoding is speculative
    need: FleetNeed | None = None  # a fleet to size: the search then minimises its cost, not a full replica's
    gpu_layers: float | None = None  # layers on the cards of a home engine, the output counted as one
    cpu_moe: float | None = None  # layers whose experts stay with the host

    def replica(self, precision: Precision, layout: Layout) -> Replica:
        """A choice of formats and layout, as what serves."""
        return Replica(self.model, self.machine, precision, layout, self.engine, self.efficiency, self.speculation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Columns of evaluated choices; `precision` indexes `Question.precisions`.

    Seconds, tokens per second, dollars per request (device-seconds where the machine has no price), bytes.
    """

    layout: Layout
    batch: Column
    precision: NDArray[np.intp]
    tpot: Column
    ttft: Column
    request_cost: Column
    objective: Column  # what the search minimises: the request's cost, or its share of the fleet's; inf if impossible
    tput_per_gpu: Column
    output_tput_per_gpu: Column
    memory: Column
    fits: Mask
    keeps_pace: Mask

    def __len__(self) -> int:
        return len(self.batch)


def device_counts(machine: Machine, limit: float) -> list[int]:
    """Replica sizes to try: all up to 128 devices; beyond, powers of two, three quarters between, and divisors."""
    most = int(min(machine.n_devices, limit))
    if most <= 128:
        return list(range(1, most + 1))
    sizes = {2**i for i in range(14)} | {3 * 2**i for i in range(13)}
    sizes |= {d for d in range(1, most + 1) if most <= 1024 and most % d == 0} | {most}
    return sorted(s for s in sizes if s <= most)


def layouts(model: Model, machine: Machine, limit: float, engine: Engine = TYPICAL) -> Layout:
    """Every legal layout of at most `limit` devices, as columns.

    Tensor parallelism stays inside the scale-up domain (beyond it two all-reduces a layer cross the slow network);
    the stage is cut into any number of expert-parallel groups that divides it. Without experts attention-DP groups
    share nothing, they are replicas, so none are tried. Copies of a cache are all kept, or all shared over dcp, where
    the engine does that. A local engine puts whole layers on each card.
    """
    if engine.local:
        stages = np.array([float(n) for n in device_counts(machine, min(limit, model.n_layers))])
        ones = np.ones_like(stages)
        return Layout(tp=ones, pp=stages, dp=ones, ep=ones)
    sizes = device_counts(machine, limit)
    rows: set[tuple[int, int, int, int]] = set()
    for size in sizes:
        for pp in STAGES:
            if size % pp or pp > model.n_layers:
                continue
            stage = size // pp
            for tp in (t for t in divisors(stage) if t <= min(machine.domain, 64)):
                dp = stage // tp
                if dp > 1 and not model.has_experts:
                    continue
                cuts = divisors(stage) if model.has_experts else [1]
                rows.update((tp, pp, dp, ep) for ep in cuts)
    table = np.array(sorted(rows, key=lambda r: (r[0] * r[1] * r[2], r)), dtype=float).reshape(-1, 4)
    every = _sharing(model, engine, Layout(tp=table[:, 0], pp=table[:, 1], dp=table[:, 2], ep=table[:, 3]))
    bad = np.logical_or.reduce(list(illegal(model, every).values()))
    return take(every, ~bad)


def _sharing(model: Model, engine: Engine, every: Layout) -> Layout:
    """The layouts, and after them those again whose devices hold copies of the cache, with the copies shared."""
    copies = np.asarray(cache_copies(model, every.tp))
    again = np.flatnonzero(copies > 1)
    if not len(again) or not shares_cache(engine, model):
        return every
    index = np.concatenate([np.arange(len(copies)), again])
    return replace(take(every, index), dcp=np.concatenate([np.ones(len(copies)), copies[again]]))


def divisors(n: int) -> list[int]:
    """Every divisor, the smallest first.

    >>> divisors(12)
    [1, 2, 3, 4, 6, 12]
    """
    low = [d for d in range(1, math.isqrt(n) + 1) if n % d == 0]
    return sorted({*low, *(n // d for d in low)})


def with_batches(question: Question, precision: Precision, every: Layout, batches: Sequence[float] = RANK_BATCHES) -> tuple[Layout, Column]:
    """Each layout with the batches worth trying: those of `batches` per rank that fit, and the largest that does."""
    if question.traffic.users is not None:
        return _shared_out(question, every, question.traffic.users)
    context = question.traffic.isl + question.traffic.osl / 2
    held = footprint(question.model, question.machine, precision, every, question.engine, context, question.traffic.isl)
    n = len(np.asarray(every.tp))
    unit = np.asarray(every.dp * every.pp)
    rank_max = np.broadcast_to(np.asarray(held.batch_max) / unit, (n,))
    tries = np.array(batches, dtype=float)
    ranks = np.broadcast_to(tries, (n, len(tries)))
    largest = np.clip(open_seats(rank_max * unit) / unit, 0.0, 1e6)
    largest = np.where(largest < 1, np.maximum(largest, 1e-3), np.floor(largest))
    fresh = max(float(question.traffic.isl) * (1 - float(question.traffic.cached)), 1.0)
    room = max(question.engine.chunk_tokens - 1, 1.0)
    pace = np.full(n, 0.95 * room * max(float(question.traffic.osl) - 1, 1.0) / fresh)
    at_pace = np.minimum(np.where(pace < 1, pace, np.floor(pace)), largest)
    ranks = np.hstack([ranks, largest[:, None], at_pace[:, None]])
    keep = ((ranks <= largest[:, None]) & (ranks > 0)).ravel()
    index = np.repeat(np.arange(n), ranks.shape[1])[keep]
    chosen = take(every, index)
    return chosen, ranks.ravel()[keep] * chosen.dp * chosen.pp


def _shared_out(question: Question, every: Layout, users: float) -> tuple[Layout, Column]:
    """Each layout with the numbers of users a replica can have where all users are spread over alike replicas.

    Whole users only. A local engine is one process: all users share it.
    """
    replicas = np.arange(1.0, 1 + (1 if question.engine.local else min(users, 4096.0)))
    shares = np.unique(np.ceil(users / replicas))
    gpus = np.asarray(every.gpus)
    index, of = np.meshgrid(np.arange(len(gpus)), shares, indexing="ij")
    room = np.ceil(users / of) * gpus[:, None] <= question.machine.n_devices
    keep = room.ravel()
    return take(every, index.ravel()[keep]), of.ravel()[keep]


def evaluate(question: Question, which: int, layout: Layout, batch: Number) -> Candidates:
    """One precision's rows, all at once."""
    machine = question.machine
    served = steady(question.replica(question.precisions[which], layout), question.traffic, batch, bounds=False)
    n = len(np.asarray(batch))
    rate = price_or_time(machine)
    priced = request_cost(served, machine, question.traffic, rate)
    objective = priced
    if question.need is not None:
        sized = fleet(served.request_rate, layout.gpus, machine, question.traffic, question.need)
        objective = np.where(sized.within_power, sized.billed * rate / HOUR / question.need.rate, np.inf)
    return Candidates(
        layout=layout,
        batch=np.asarray(batch, dtype=float),
        precision=np.full(n, which),
        tpot=_column(served.tpot, n),
        ttft=_column(served.ttft, n),
        request_cost=_column(priced, n),
        objective=_column(objective, n),
        tput_per_gpu=_column(served.tput_per_gpu, n),
        output_tput_per_gpu=_column(served.output_tput_per_gpu, n),
        memory=_column(served.memory, n),
        fits=np.broadcast_to(served.fits, (n,)),
        keeps_pace=np.broadcast_to(served.keeps_pace, (n,)),
    )


def price_or_time(machine: Machine) -> Number:
    """Dollars per device-hour, or 1 where the machine has no price: the search then minimises device time."""
    price = machine.price_per_hour
    return np.where(np.asarray(price) > 0, price, 1.0)


def _column(value: Number, n: int) -> Column:
    return np.broadcast_to(np.asarray(value, dtype=float), (n,))


def chunks(question: Question, every: Layout) -> Iterator[Candidates]:
    """All choices, evaluated in pieces of about `CHUNK` rows."""
    for which, precision in enumerate(question.precisions):
        layout, batch = with_batches(question, precision, every)
        for start in range(0, len(batch), CHUNK):
            part = slice(start, start + CHUNK)
            yield evaluate(question, which, take(layout, part), batch[part])


def join(parts: Sequence[Candidates]) -> Candidates:
    """Several pieces as one."""
    fields = (
        "batch",
        "precision",
        "tpot",
        "ttft",
        "request_cost",
        "objective",
        "tput_per_gpu",
        "output_tput_per_gpu",
        "memory",
        "fits",
        "keeps_pace",
    )
    layout = Layout(**{f: np.concatenate([_column(getattr(p.layout, f), len(p)) for p in parts]) for f in CUTS})
    return Candidates(layout=layout, **{f: np.concatenate([getattr(p, f) for p in parts]) for f in fields})
