"""Latency and cost of decoding against batch, with the three batches that matter marked.

The floor is the time to read the weights once, which no price removes; at the balance point reading the weights
takes as long as multiplying by them; the capacity limit is the batch whose cache fills the memory (LECTURE sections
2, 3 and 5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..economics.cost import HOUR, MTOK, billed_devices
from ..kernel.counts import Pass
from ..kernel.roofline import PassTime
from ..layout.footprint import device_weight_bytes, footprint
from ..layout.forward import forward
from ..layout.parallelism import Layout, under_way
from ..world.precision import Precision
from .balance import balance, balance_context, balance_with_cache, multiplies_per_weight
from .grid import Column, Question
from .trust import Trust, trust


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchCurve:
    """Columns over `batch` (sequences in the replica): seconds per step, dollars per million output tokens."""

    question: Question
    layout: Layout
    precision: Precision
    context: float
    batch: Column
    time: PassTime
    cost_mtok: Column
    bound_cost_mtok: Column
    floor: float  # seconds to read all weights a device holds
    balance: float  # B*, weights only; inf where the machine never balances
    balance_with_cache: float  # B* with the cache read at `context`; inf beyond L*
    capacity: float  # sequences that fit
    r: float  # multiplies per weight fetched
    balance_context: float  # L*, where reading the cache costs as much as multiplying by the weights

    @property
    def recommended(self) -> tuple[float, float] | None:
        """Two to three times B*, as far as it fits; all that fits where that is less; None where nothing does."""
        if self.capacity < 1:
            return None
        return min(2 * self.balance, self.capacity), min(3 * self.balance, self.capacity)

    @property
    def alone(self) -> float:
        """Estimated cost of a token at batch 1 over that of the cheapest batch that fits."""
        each = np.broadcast_to(np.asarray(self.time.estimate, dtype=float), self.batch.shape) / self.batch
        return float(each[0] / min(each[self.batch <= self.capacity], default=each[0]))

    @property
    def floor_alone(self) -> float:
        """The bound of a step of one sequence, which reads only the experts its token is routed to."""
        return float(np.ravel(self.time.bound)[0])

    def trust(self, batch: float) -> Trust:
        """What is known of steps at a batch."""
        return trust(self.question, devices=self.layout.gpus, context=self.context, users=batch, dcp=self.layout.dcp)

    @property
    def reason(self) -> str:
        """Why the intervals are as wide as they are, at the largest batch that fits."""
        return self.trust(max(self.capacity, 1.0)).tpot.reason


def batch_curve(question: Question, layout: Layout, precision: Precision, context: float, *, points: int = 200) -> BatchCurve:
    """Decode steps of one layout at `context` cached tokens, for batches from 1 to four times the capacity."""
    model, machine = question.model, question.machine
    room = footprint(model, machine, precision, layout, question.engine, context)
    capacity = float(room.batch_max)  # a stage holds its layers' cache of every sequence
    where = (model, machine, precision)
    best = balance(*where)
    top = max(64.0, 4 * min(capacity, 1e5), 2 * best)
    batch = np.unique(np.round(np.geomspace(1, min(top, 1e6), points)))
    micro = np.maximum(batch / float(under_way(question.engine, layout)), 1.0)
    time = forward(model, machine, precision, layout, Pass(decode=micro, context=context), question.efficiency)
    dollars = float(billed_devices(layout.gpus, machine)) * float(machine.price_per_hour) / HOUR * MTOK
    return BatchCurve(
        question=question,
        layout=layout,
        precision=precision,
        context=context,
        batch=batch,
        time=time,
        cost_mtok=dollars * np.asarray(time.estimate) / batch,
        bound_cost_mtok=dollars * np.asarray(time.bound) / batch,
        floor=weights_read(question, layout, precision) / float(machine.hbm_bandwidth) * float(layout.pp),
        balance=best,
        balance_with_cache=balance_with_cache(*where, context),
        capacity=capacity,
        r=multiplies_per_weight(*where),
        balance_context=balance_context(*where),
    )


def weights_read(question: Question, layout: Layout, precision: Precision) -> float:
    """Bytes of weights a device reads in a pass that touches every expert: all it holds but the input embedding."""
    model = question.model
    embedding = 0.0 if model.tied_embeddings else precision.of("embedding").bytes * model.embedding_parameters
    held = float(device_weight_bytes(model, precision, layout))
    return held - (embedding / float(layout.tp) if float(layout.pp) == 1 else 0.0)
