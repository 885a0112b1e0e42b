"""Every legal way to cut a training step over devices, the fastest, the cheapest, and the front between them.

Rows are layouts: tensor, pipeline, context, data and expert parallelism, chunks of a stage and sequences of a
micro-batch are columns; schedule, recomputation and ZeRO stage change the structure of a step and are outer loops.
Devices tried are the machine's own number and its halves, since fewer devices train longer but waste less.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Mask
from ..economics.cost import HOUR, billed_devices
from ..training.constants import TrainConstants
from ..training.flops import accounting, train_flops, utilisation
from ..training.goodput import Goodput, goodput
from ..training.job import Batch, Recipe, TrainLayout, illegal
from ..training.memory import TrainingMemory, memory
from ..training.step import Step, step
from ..world.machine import Machine
from ..world.model import Model
from .grid import divisors

Column = NDArray[np.float64]

CHUNK = 16384
COLUMNS = ("tp", "pp", "dp", "ep", "cp", "interleave", "micro_batch")
INTERLEAVE = (1, 2, 3, 4, 5, 6, 8, 12)
MICRO_BATCHES = (1, 2, 3, 4, 6, 8, 16, 32)
STAGES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 24, 28, 32, 36, 40, 48, 56, 64, 80, 96, 128)
MOST_HALVES = 5

CHECKPOINT_STALL = 10.0  # seconds that writing a checkpoint holds a run up, the rest written beside it: an assumption
DAY = 86400.0
JOULES_PER_KWH = 3.6e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be trained, on what, and which choices are open. `tokens`: of the whole run.

    `goodput`: share of paid time in which steps count, after failures, restarts and checkpoints; None to work it out
    from the number of devices.
    """

    model: Model
    machine: Machine
    recipe: Recipe
    batch: Batch
    tokens: float
    constants: TrainConstants
    schedules: tuple[str, ...] = ("1f1b", "interleaved")
    recompute: tuple[str, ...] = ("none", "selective", "full")
    zero: tuple[int, ...] = (1, 2, 3)
    goodput: float | None = None
    max_days: float = math.inf
    max_dollars: float = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan:
    """One layout of a job, worked out: its step and memory, and what the whole run takes.

    `lost`: shares of time that do not train, None where the goodput was given. `mfu`: model FLOPs (causal attention)
    over the peak in the products' format; `mfu_bf16`: over the 16-bit peak.
    """

    job: Job
    layout: TrainLayout
    step: Step
    memory: TrainingMemory
    seconds: float
    mfu: float
    mfu_bf16: float
    goodput: float
    lost: Goodput | None
    days: float
    dollars: float  # 0 where the machine has no price
    kwh: float  # 0 where its power is unknown

    @property
    def devices(self) -> float:
        return float(self.layout.devices)

    @property
    def steps(self) -> float:
        return self.job.tokens / float(self.job.batch.tokens)

    @property
    def tokens_per_device(self) -> float:
        """Tokens per second and device."""
        return float(self.step.tokens) / self.seconds / self.devices


@dataclass(frozen=True, slots=True, kw_only=True)
class Leanest:
    """The layout that needs least where none fits, and bytes on its fullest device."""

    layout: TrainLayout
    peak: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutRows:
    """Evaluated layouts of one outer choice: seconds of a step, bytes on the fullest device."""

    layout: TrainLayout
    seconds: Column
    peak: Column
    fits: Mask

    def at(self, i: int) -> TrainLayout:
        return _row(self.layout, i)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSearch:
    """What a search found: None and the `leanest` where nothing fits. `front`: faster or cheaper than all others.

    `field`: every layout tried on all devices of the machine.
    """

    fastest: JobPlan | None
    cheapest: JobPlan | None
    front: tuple[JobPlan, ...]
    evaluated: int
    fitting: int
    leanest: Leanest | None
    field: tuple[LayoutRows, ...]
    illegal: Mapping[str, int]  # rows that each reason alone or with others made impossible


def run(job: Job, layout: TrainLayout) -> JobPlan:
    """One layout of a job, worked out."""
    taken = step(job.model, job.machine, layout, job.recipe, job.batch, job.constants)
    seconds = float(taken.seconds)
    devices = float(layout.devices)
    lost = goodput(devices, CHECKPOINT_STALL) if job.goodput is None else None
    useful = float(lost.useful) if lost is not None else float(job.goodput or 1.0)
    whole = seconds * job.tokens / float(job.batch.tokens) / useful
    flops = train_flops(job.model, job.batch.seq, accounting("megatron"))
    rate = float(job.batch.tokens) / seconds
    peak = job.machine.rate(job.recipe.precision.mlp.compute)
    paid = float(billed_devices(devices, job.machine))
    watts = paid * float(job.machine.power) * job.machine.overhead_power
    return JobPlan(
        job=job,
        layout=layout,
        step=taken,
        memory=memory(job.model, job.machine, layout, job.recipe, job.batch, job.constants),
        seconds=seconds,
        mfu=float(utilisation(flops, rate, devices, peak)),
        mfu_bf16=float(utilisation(flops, rate, devices, job.machine.peak("bf16"))),
        goodput=useful,
        lost=lost,
        days=whole / DAY,
        dollars=paid * float(job.machine.price_per_hour) * whole / HOUR,
        kwh=watts * whole / JOULES_PER_KWH,
    )


# --- the rows -----------------------------------------------------------------------------------------------------


def sizes(machine: Machine) -> list[int]:
    """Numbers of devices to try: all of them, and halves that still fill whole domains."""
    n = int(machine.n_devices)
    found = [n]
    while len(found) <= MOST_HALVES and found[-1] % 2 == 0 and found[-1] > 1:
        found.append(found[-1] // 2)
    return found


def cuts(model: Model, machine: Machine, batch: Batch, devices: int) -> TrainLayout:
    """Columns of cuts of `devices` devices, legal or not: schedule and the rest are set by `choices`."""
    rows: list[tuple[int, ...]] = []
    domain = int(min(machine.domain, devices))
    longest = int(batch.seq)
    for tp in (t for t in divisors(devices) if t <= min(domain, 64) and domain % t == 0):
        for pp in (p for p in STAGES if p <= model.n_layers and devices // tp % p == 0):
            for cp in (c for c in (1, 2, 4, 8, 16) if c == 1 or (devices // tp // pp % c == 0 and longest // c >= 2048)):
                dp = devices // tp // pp // cp
                if batch.global_batch % dp:
                    continue
                each = int(batch.global_batch) // dp
                micro = [b for b in MICRO_BATCHES if each % b == 0]
                chunks = [v for v in INTERLEAVE if v == 1 or (pp > 1 and model.n_layers >= pp * v)]
                experts = _expert_cuts(model, tp * dp * cp)
                rows += [(tp, pp, dp, ep, cp, v, b) for ep in experts for v in chunks for b in micro]
    table = np.array(rows, dtype=float).reshape(-1, len(COLUMNS))
    columns: dict[str, Any] = {name: table[:, i] for i, name in enumerate(COLUMNS)}
    return TrainLayout(**columns, sequence_parallel=True)


def _expert_cuts(model: Model, stage: int) -> list[int]:
    counts = {int(g.ffn.n_experts) for g in model.groups if g.ffn and g.ffn.n_experts}
    if not counts:
        return [1]
    return [e for e in divisors(math.gcd(*counts)) if stage % e == 0]


def choices(job: Job) -> Iterator[dict[str, Any]]:
    """The outer choices: schedule, recomputation, ZeRO stage."""
    words = job.recompute
    if job.recipe.attention == "flash":  # it never writes the scores that "selective" leaves out
        words = tuple(w for w in words if w != "selective") or ("none",)
    for schedule in job.schedules:
        for recompute in words:
            for zero in job.zero:
                yield {"schedule": schedule, "recompute": recompute, "zero": zero}


def evaluate(job: Job, layout: TrainLayout) -> LayoutRows:
    """Step and memory of every row, in chunks."""
    n = len(np.asarray(layout.tp))
    seconds, peak = np.empty(n), np.empty(n)
    for start in range(0, n, CHUNK):
        part = _rows(layout, np.arange(start, min(start + CHUNK, n)))
        seconds[start : start + CHUNK] = step(job.model, job.machine, part, job.recipe, job.batch, job.constants).seconds
        peak[start : start + CHUNK] = memory(job.model, job.machine, part, job.recipe, job.batch, job.constants).peak
    return LayoutRows(layout=layout, seconds=seconds, peak=peak, fits=peak <= float(job.machine.hbm_capacity))


def _rows(layout: TrainLayout, rows: NDArray[np.intp]) -> TrainLayout:
    columns: dict[str, Any] = {name: np.asarray(getattr(layout, name))[rows] for name in COLUMNS}
    return replace(layout, **columns)


def _row(layout: TrainLayout, i: int) -> TrainLayout:
    numbers: dict[str, Any] = {name: float(np.asarray(getattr(layout, name))[i]) for name in COLUMNS}
    return replace(layout, **numbers)


def legal(job: Job, columns: TrainLayout, devices: int) -> tuple[TrainLayout, Mapping[str, int]]:
    """The legal rows of columns with their outer choice set, and how many rows each reason refuses.

    ZeRO 2 under a pipeline would reduce gradients after every micro-batch, which the step does not charge and
    frameworks do not offer: it is tried only where nothing else is asked for.
    """
    reasons = illegal(job.model, columns, job.batch, float(devices))
    if columns.zero == 2 and job.zero != (2,):
        reasons["ZeRO 2 under a pipeline"] = np.asarray(columns.pp) > 1
    bad = np.logical_or.reduce(list(reasons.values()))
    return _rows(columns, np.flatnonzero(~bad)), {k: int(v.sum()) for k, v in reasons.items()}


# --- the search ---------------------------------------------------------------------------------------------------


def search(job: Job) -> TrainSearch:
    """The fastest and the cheapest layout of a job, within its limits on days and dollars.

    >>> from rackmath.training.constants import constants
    >>> from rackmath.training.job import recipe_named
    >>> from rackmath.world import catalog
    >>> job = Job(model=catalog.model("llama-3.1-8b"), machine=catalog.machine("64xh100"), tokens=1e12,
    ...     recipe=recipe_named("bf16"), batch=Batch(seq=8192.0, global_batch=512.0), constants=constants())
    >>> found = search(job)
    >>> found.fastest.devices, bool(found.fastest.memory.fits), found.cheapest.dollars <= found.fastest.dollars
    (64.0, True, True)
    """
    evaluated = fitting = 0
    refused: dict[str, int] = {}
    kept: list[JobPlan] = []
    field: list[LayoutRows] = []
    leanest: Leanest | None = None
    for devices in sizes(job.machine):
        best: JobPlan | None = None
        every = cuts(job.model, job.machine, job.batch, devices)
        for choice in choices(job):
            columns, why = legal(job, replace(every, **choice), devices)
            for reason, count in why.items():
                refused[reason] = refused.get(reason, 0) + count
            if not len(np.asarray(columns.tp)):
                continue
            rows = evaluate(job, columns)
            field += [rows] if devices == int(job.machine.n_devices) else []
            evaluated += len(rows.seconds)
            fitting += int(rows.fits.sum())
            low = int(np.argmin(rows.peak))
            if leanest is None or rows.peak[low] < leanest.peak:
                leanest = Leanest(layout=rows.at(low), peak=float(rows.peak[low]))
            if rows.fits.any():
                i = int(np.argmin(np.where(rows.fits, rows.seconds, np.inf)))
                if best is None or rows.seconds[i] < best.seconds * (1 - 1e-9):
                    best = run(job, rows.at(i))
        if best is not None:
            kept.append(best)
    allowed = [r for r in kept if r.days <= job.max_days and r.dollars <= job.max_dollars]
    return TrainSearch(
        fastest=min(allowed, key=lambda r: r.days, default=None),
        cheapest=min(allowed, key=lambda r: (r.dollars, r.devices * r.days), default=None),
        front=_front(allowed),
        evaluated=evaluated,
        fitting=fitting,
        leanest=None if kept else leanest,
        field=tuple(field),
        illegal=refused,
    )


def _front(runs: Sequence[JobPlan]) -> tuple[JobPlan, ...]:
    """Runs that no other beats in days and in device-days, the fastest first."""
    best, found = math.inf, []
    for one in sorted(runs, key=lambda r: r.days):
        price = one.dollars or one.devices * one.days
        if price < best:
            best = price
            found.append(one)
    return tuple(found)


# --- sensitivity ---------------------------------------------------------------------------------------------------

GROUPS: Mapping[str, tuple[str, ...]] = {
    "computing": ("forward", "input_grad", "weight_grad", "vocabulary"),
    "computing twice": ("recompute",),
    "waiting in the pipeline": ("hops", "bubble"),
    "tensor parallel": ("tp",),
    "context parallel": ("cp",),
    "experts' exchange": ("ep",),
    "uneven experts": ("imbalance",),
    "gradients and weights": ("dp",),
    "the update": ("optimizer",),
    "launches": ("host",),
    "stragglers": ("straggler",),
}
"""The terms of a step in the groups that a reader thinks in."""


def shares(of: Step) -> dict[str, float]:
    """Seconds of a step by group."""
    return {name: float(sum(np.asarray(getattr(of, term)) for term in terms)) for name, terms in GROUPS.items()}


MOVES: Mapping[str, tuple[str, ...]] = {
    "10 % more FLOP/s": ("peak_bf16", "peak_fp8", "peak_fp4"),
    "10 % more HBM bandwidth": ("hbm_bandwidth",),
    "10 % faster scale-up links": ("scaleup_bandwidth",),
    "10 % faster network": ("scaleout_bandwidth",),
}


def moves(of: JobPlan) -> dict[str, float]:
    """Sensitivity of the step: relative change of its seconds by each change, this layout kept."""
    found = {}
    for name, values in MOVES.items():
        more: dict[str, Any] = {v: getattr(of.job.machine, v) * 1.1 for v in values}
        machine = replace(of.job.machine, **more)
        found[name] = run(replace(of.job, machine=machine), of.layout).seconds / of.seconds - 1
    twice = replace(of.job.batch, global_batch=of.job.batch.global_batch * 2)
    found["twice the batch"] = run(replace(of.job, batch=twice), of.layout).seconds / (2 * of.seconds) - 1
    return found
