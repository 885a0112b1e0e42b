"""Latency against the size of a domain: the same chip in domains of other sizes, and machines beside each other.

All weights read once by G devices take w N / (G M); collectives and launches do not shrink with G, so returns
diminish (LECTURE section 15).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..arrays import take
from ..errors import BadInput
from ..kernel.counts import Pass, weight_bytes
from ..layout.footprint import footprint
from ..layout.forward import forward
from ..layout.parallelism import Layout
from ..world.machine import Machine
from ..world.model import Model
from ..world.precision import Precision
from .grid import Question, layouts

SIZES = (1, 2, 4, 8, 16, 32, 64, 72, 128, 144, 256, 288, 512, 576)
"""Domain sizes that a curve visits: powers of two, and the racks that are sold or announced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Floors:
    """Columns over domain sizes: seconds of a decode step of `batch` sequences, on the fastest layout of each size.

    `weights`: all weights read once at full bandwidth, the lecture's floor. `network`, `overhead`: the estimate's
    parts in collectives, and in launches and scheduling; they do not shrink as the weights do. `fits`: whether any
    layout of that size holds the weights and the caches; the fastest of those is taken.
    """

    devices: np.ndarray
    weights: np.ndarray
    bound: np.ndarray
    estimate: np.ndarray
    network: np.ndarray
    overhead: np.ndarray
    fits: np.ndarray
    layouts: tuple[Layout, ...]
    batch: float
    context: float

    def reaching(self, target: float) -> int | None:
        """The row of the smallest domain that gives `target` tokens per second and user, or None."""
        enough = self.fits & (1 / self.estimate >= target)
        return int(np.argmax(enough)) if enough.any() else None

    @property
    def fastest(self) -> int | None:
        """The row of the shortest estimate among sizes that fit."""
        return int(np.argmin(np.where(self.fits, self.estimate, np.inf))) if self.fits.any() else None


def floors(question: Question, precision: Precision, *, batch: float, context: float, sizes: Sequence[int] = SIZES) -> Floors:
    """The same chip and links in domains of other sizes, one stage over the whole domain."""
    question = any_way(question)
    model = question.model
    whole = weight_bytes(model, precision)
    rows: list[tuple[float, ...]] = []
    chosen: list[Layout] = []
    for size in sizes:
        machine = domain_of(question.machine, size)
        every = layouts(model, machine, size)
        here = np.flatnonzero((np.asarray(every.gpus) == size) & (np.asarray(every.pp) == 1))
        if not len(here):
            continue
        every = take(every, here)
        time = forward(model, machine, precision, every, Pass(decode=batch, context=context), question.efficiency)
        held = footprint(model, machine, precision, every, question.engine, context)
        fits = np.broadcast_to(held.used(batch, every) <= held.capacity, here.shape)
        estimate = np.broadcast_to(time.estimate, here.shape)
        best = int(np.argmin(np.where(fits | ~fits.any(), estimate, np.inf)))
        one = take(every, best)
        chosen.append(one)
        at = forward(model, machine, precision, one, Pass(decode=batch, context=context), question.efficiency)
        weights = whole / (size * float(machine.hbm_bandwidth))
        rows.append((size, weights, float(at.bound), float(at.estimate), float(at.by_network), float(at.by_overhead), bool(fits[best])))
    if not rows:
        raise BadInput(f"no layout divides {model.name} over any domain tried; give other sizes")
    table = np.array(rows, dtype=float)
    return Floors(
        devices=table[:, 0],
        weights=table[:, 1],
        bound=table[:, 2],
        estimate=table[:, 3],
        network=table[:, 4],
        overhead=table[:, 5],
        fits=table[:, 6] > 0,
        layouts=tuple(chosen),
        batch=batch,
        context=context,
    )


def domain_of(machine: Machine, size: float) -> Machine:
    """The same devices, `size` of them in one domain."""
    return replace(machine, name=f"{size:g} x {machine.accelerator} in one domain", n_devices=size, domain=size)


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainStep:
    """The weight floor on one machine's domain, and its factors against the first machine's."""

    machine: Machine
    devices: float
    floor: float
    times: float  # how many times lower than the first
    by_domain: float
    by_chip: float
    fits: bool


def steps(model: Model, precision: Precision, machines: Sequence[Machine]) -> tuple[DomainStep, ...]:
    """All weights read once by the domain of each machine: w N / (G M), and what of the gain is size, what chip.

    DeepSeek-V3 in FP8 on a box of 8 H100 and on a rack of 72 GB200 (arithmetic: the box does not hold it):

    >>> from rackmath.world import catalog
    >>> v3, fp8 = catalog.model("deepseek-ai/DeepSeek-V3"), Precision.uniform("fp8")
    >>> box, rack = steps(v3, fp8, [catalog.machine(name) for name in ("8xh100", "gb200-nvl72")])
    >>> round(box.floor * 1e3), round(rack.floor * 1e3, 2)
    (25, 1.17)
    >>> round(rack.times, 1), rack.by_domain, round(rack.by_chip, 1)
    (21.5, 9.0, 2.4)
    """
    whole = weight_bytes(model, precision)
    found: list[DomainStep] = []
    for machine in machines:
        devices, bandwidth = float(machine.domain), float(machine.hbm_bandwidth)
        floor = whole / (devices * bandwidth)
        first = found[0] if found else None
        found.append(
            DomainStep(
                machine=machine,
                devices=devices,
                floor=floor,
                times=first.floor / floor if first else 1.0,
                by_domain=devices / first.devices if first else 1.0,
                by_chip=bandwidth / float(first.machine.hbm_bandwidth) if first else 1.0,
                fits=whole <= devices * float(machine.hbm_capacity),
            )
        )
    return tuple(found)


def any_way(question: Question) -> Question:
    """The question with the exchange free to choose where what was asked for does not exist: inside one domain."""
    if question.efficiency.exchange != "scale-out":
        return question
    return replace(question, efficiency=replace(question.efficiency, exchange="cheapest"))
