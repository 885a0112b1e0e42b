"""One forward pass as plain data: its operations, use of the machine, interval, and the memory beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..answers.parts import Say
from ..layout.parallelism import under_way
from ..search.trust import time_span, trust
from ..serving.pieces import around, launching

if TYPE_CHECKING:
    from ..kernel.counts import Pass
    from ..kernel.efficiency import Efficiency
    from ..kernel.roofline import Op, PassTime
    from ..layout.footprint import Footprint
    from ..layout.parallelism import Layout
    from ..search.grid import Question
    from ..world.precision import Precision

Record = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardPass:
    """One forward pass, term by term."""

    question: Question
    layout: Layout
    precision: Precision
    work: Pass
    time: PassTime
    footprint: Footprint
    notes: tuple[str, ...]


def memory(holds: Footprint, used: float) -> Record:
    """Bytes on the fullest device."""
    weights, reserved, capacity = float(holds.weights), float(holds.reserved), float(holds.capacity)
    return {
        "weights": weights,
        "cache": used - weights - reserved,
        "reserve": reserved,
        "free": capacity - used,
        "capacity": capacity,
        "cache_per_sequence": holds.per_sequence,
        "batch_max": holds.batch_max,
        "terms": {name: float(value) for name, value in holds.terms.items()},
    }


def step_span(one: ForwardPass) -> Record:
    """{reason, estimate}: 5 % to 95 % of the pass. A pass that decodes is as sure as a serving run's steps are."""
    q, work, t = one.question, one.work, one.time
    known = trust(q, devices=one.layout.gpus, context=max(float(work.context), float(work.prompt)), users=decoding(one), dcp=one.layout.dcp)
    interval = known.tpot if float(work.decode) else known.ttft
    return {"reason": interval.reason, "estimate": time_span(interval, t.estimate, t.bound)}


def decoding(one: ForwardPass) -> float:
    """Sequences the replica decodes, over all micro-batches."""
    return float(one.work.decode) * float(under_way(one.question.engine, one.layout))


def use(one: ForwardPass) -> Record:
    """MFU: time the multiplications take at the peak of their formats, over the estimate. MBU: the same for bytes."""
    t, seconds = one.time, float(one.time.estimate)
    return {"mfu": float(t.compute) / seconds, "mbu": float(t.bytes) / float(one.question.machine.hbm_bandwidth) / seconds}


def terms(one: ForwardPass) -> list[Record]:
    """One row for each operation: FLOPs and bytes on the busiest device, all its layers together."""
    total, efficiency = float(one.time.estimate), one.question.efficiency
    rows = [_term(op, float(seconds), total, efficiency) for op, seconds in one.time.terms]
    rest = around(one.time, efficiency, float(one.work.decode) / float(one.layout.dp))
    return [*rows, *(_row(name, 1, 0.0, 0.0, seconds, total, "overhead") for name, seconds in rest.items())]


def _term(op: Op, seconds: float, total: float, efficiency: Efficiency) -> Record:
    n = float(op.layers)
    launches = n * launching(op, efficiency)
    if op.kind == "network":
        held, busy = "network", n * float(op.network)
    else:
        held, busy = "compute" if op.computes else "memory", n * float(op.spent.busy)
    binds = "overhead" if launches > busy else held
    return _row(op.name, n, n * float(op.flops), n * float(op.bytes), seconds, total, binds)


def _row(name: str, layers: float, flops: float, size: float, seconds: float, total: float, binds: str) -> Record:
    return {
        "operation": name,
        "layers": layers,
        "flops": flops,
        "bytes": size,
        "seconds": seconds,
        "share": seconds / total,
        "binds": binds,
    }


BETWEEN = "5 to 95 %"
"""Head of a column of intervals."""


def intervals(reason: str, known: bool) -> Say:
    """Why intervals are as wide as they are, or why there are none."""
    words = "Intervals are made to hold 9 of 10 runs" if known else "No intervals"
    return Say(f"{words} ({{reason}}). Nothing can be faster than the bound.", {"reason": reason}, faint=True)
