"""A replica's train at a load: how long first tokens wait, what tokens cost with seats empty (LECTURE section 7)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...economics.cost import HOUR, MTOK
from ...kernel.counts import Pass
from ...layout.footprint import footprint
from ...layout.forward import forward
from ...layout.parallelism import Layout, stage_share
from ...search.grid import Column, Question
from ...serving.queueing import Cadence, cadence, rate_at
from ...world.precision import Precision

MOST_SEATS = 100_000
"""Seats beyond which a replica's train is not worked out one by one."""

HIGHEST = 0.95
"""The load up to which replicas are counted when one cannot carry the rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Train:
    """A train at its load, and the same train at loads from empty to nearly full.

    `step_times`: seconds with 1, 2, ... aboard. `replica_hour`: dollars, 0 where unknown. `loads`: the columns of the
    curve, one `Cadence` for each.
    """

    now: Cadence
    step_times: Column
    replica_hour: float
    curve: tuple[Cadence, ...]
    cv2: float

    def mtok(self, at: Cadence) -> float:
        """Dollars per million output tokens, empty seats paid: rental / (rate x steps)."""
        return self.replica_hour / HOUR / (at.rate * at.steps) * MTOK if at.rate > 0 else math.inf

    @property
    def full_mtok(self) -> float:
        """The same with every seat always taken."""
        return self.replica_hour / HOUR * float(self.step_times[-1]) / len(self.step_times) * MTOK

    @property
    def replicas(self) -> int:
        """Replicas that carry the rate at a load of at most `HIGHEST` each."""
        return max(1, math.ceil(self.now.load / HIGHEST - 1e-9))


def train(
    step_times: Column,
    steps: float,
    *,
    rate: float | None = None,
    occupancy: float | None = None,
    cv2: float = 0.0,
    replica_hour: float = 0.0,
    points: int = 48,
) -> Train:
    """The train at a rate of requests per second, or at a mean share of seats taken; one of the two.

    >>> t = train(np.full(100, 0.02), 50, occupancy=0.5, replica_hour=36.0)
    >>> round(t.mtok(t.now), 9), round(t.full_mtok, 9)
    (4.0, 2.0)
    """
    if rate is None:
        rate = rate_at(step_times, steps, 0.8 if occupancy is None else occupancy)
    top = len(step_times) / (steps * float(step_times[-1]))
    shares = np.concatenate([np.linspace(0.02, 0.8, points // 2), 1 - np.geomspace(0.19, 0.005, points // 2)])
    return Train(
        now=cadence(step_times, steps, rate, cv2=cv2),
        step_times=step_times,
        replica_hour=replica_hour,
        curve=tuple(cadence(step_times, steps, top * share, cv2=cv2) for share in shares),
        cv2=cv2,
    )


def decode_steps(question: Question, layout: Layout, precision: Precision, context: float) -> Column:
    """Seconds of a decode step with 1, 2, ... sequences in the replica, up to those that fit; empty if none does.

    Requests come prefilled, so a step carries decode tokens only. A sequence returns to its stage after a step, and
    the fullest pipeline stage sets the pace. Steps are worked out at 600 batches and interpolated between.
    """
    room = footprint(question.model, question.machine, precision, layout, question.engine, context)
    seats = int(min(float(room.batch_max), MOST_SEATS))
    if seats < 1:
        return np.zeros(0)
    batch = np.unique(np.round(np.geomspace(1, seats, 600)))
    micro = np.maximum(batch / float(layout.pp), 1.0)
    work = Pass(decode=micro, context=context)
    time = forward(question.model, question.machine, precision, layout, work, question.efficiency)
    uneven = float(stage_share(question.model, layout)) * float(layout.pp)
    seconds = np.broadcast_to(np.asarray(time.estimate) * uneven, batch.shape)
    steps: Column = np.interp(np.arange(1, seats + 1), batch, seconds)
    return steps
