"""Measured rows of two pools: prefill workers feed decode workers, and requests go round through both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..serving.closedloop import ClosedLoop, closed_loop_ttft
from ..serving.clumps import LoopSteps, LoopUsers
from ..serving.disaggregated import DecodeReplica, decode_replica, prefill_replica, transfer
from ..serving.replica import Replica
from ..serving.steady import BUSY_LIMIT
from ..world.workload import Traffic
from .one_pool import Column, column, layouts, seats, traffic_of
from .rows import ROUNDS, Row

FIRST_OF_TWO = 2.7
"""Time in line before two pools over that of an ideal line, beyond an engine's own `queue`: routers, and caches that
travel while others wait. One number for all rows of two pools that state their workers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pools:
    """Workers of both kinds, columns over the rows of a group."""

    prefill: Replica
    decode: Replica
    n_prefill: Column
    n_decode: Column
    traffic: Traffic
    wanted: Column  # requests inside both

    def decoding(self, batch: Column) -> DecodeReplica:
        return decode_replica(self.decode, self.traffic, batch)


def _pools(of: Replica, rows: Sequence[Row]) -> _Pools:
    first = [r.prefill for r in rows if r.prefill]
    return _Pools(
        prefill=replace(of, layout=layouts([one.layout for one in first]), speculation=None),
        decode=replace(of, layout=layouts([r.decode.layout for r in rows])),
        n_prefill=column([one.count for one in first]),
        n_decode=column([r.decode.count for r in rows]),
        traffic=traffic_of(rows),
        wanted=column([r.concurrency for r in rows]),
    )


def disaggregated(of: Replica, rows: Sequence[Row]) -> tuple[dict[str, Column], list[str]]:
    """Prefill workers feed decode workers; the stated number of requests goes round through both."""
    pools = _pools(of, rows)
    traffic, n_decode, sender, receiver = pools.traffic, pools.n_decode, pools.prefill.layout, pools.decode.layout
    isl, osl = np.asarray(traffic.isl), np.asarray(traffic.osl)
    alone = prefill_replica(pools.prefill, traffic, 0.0)
    packed = prefill_replica(pools.prefill, traffic, 0.0, prompts=np.inf, bounds=False)
    most_rate = BUSY_LIMIT * pools.n_prefill * np.asarray(packed.capacity)
    sent = transfer(of.model, of.precision, isl, of.machine, sender, of.machine, receiver, of.efficiency)
    soonest = np.asarray(alone.ttft + sent.time)
    reasons, most = seats(pools.decode, pools.decoding(pools.wanted / n_decode).footprint, len(rows))
    batch = _settled(pools, most, soonest, most_rate)
    found = pools.decoding(batch)
    rate = np.minimum(n_decode * np.asarray(found.rate), most_rate)
    fewest = np.where([r.counted for r in rows], batch, 1.0)
    first_reasons, _ = seats(pools.prefill, alone.footprint, len(rows))
    ones = np.ones(len(rows))
    decode_gpus = n_decode * receiver.gpus
    each = 1 / np.maximum(np.asarray(packed.capacity), 1e-12)  # seconds of a worker for a prompt
    line = _line(pools, np.asarray(found.tpot) * of.kept * ones, each, np.asarray(alone.pace), most, rows[0].spread)
    queue, first = of.efficiency.queue * FIRST_OF_TWO, soonest * FIRST_OF_TWO
    return {
        "tpot": np.asarray(found.tpot) * ones,
        "ttft": (first + np.maximum(line.ttft_mean - each, 0.0) * queue) * ones,
        "ttft_median": (first + np.maximum(line.ttft - each, 0.0) * queue) * ones,
        "tput_per_gpu": rate * (isl + osl) / (decode_gpus + pools.n_prefill * sender.gpus),
        "output_tput_per_gpu": rate * osl / decode_gpus,
        "tpot_bound": np.asarray(pools.decoding(fewest).tpot_bound) * ones,
        "ttft_bound": np.asarray(alone.ttft_bound) * ones,
        "batch": batch,
    }, [a or b for a, b in zip(first_reasons, reasons, strict=True)]


def _settled(pools: _Pools, most: Column, soonest: Column, most_rate: Column) -> Column:
    """Sequences in a decode worker, where as many requests leave as the rows keep inside: damped iteration."""
    batch = np.minimum(pools.wanted / pools.n_decode, most)
    for _ in range(12):
        life = np.asarray(pools.decoding(batch).decoding)
        rate = np.minimum(pools.wanted / (soonest + life), most_rate)
        batch = 0.5 * batch + 0.5 * np.minimum(rate * life / pools.n_decode, most)
    return batch


def _line(pools: _Pools, pace: Column, each: Column, step: Column, most: Column, spread: float) -> ClosedLoop:
    """The line before the prefill workers: everybody sends a first prompt at once, and later ones in clumps.

    `pace`: seconds of a decode step, `each`: seconds of a worker for a prompt, `step`: of one of its passes, `most`:
    seats of a decode worker.
    """
    isl, osl = np.asarray(pools.traffic.isl), np.asarray(pools.traffic.osl)
    users = LoopUsers(
        clients=np.maximum(np.round(pools.wanted / pools.n_prefill), 1.0),
        isl=isl,
        osl=(osl - 1) / pools.decode.kept + 1,
        rounds=ROUNDS,
        spread=spread,
    )
    steps = LoopSteps(
        step=pace,
        per_token=each / isl,
        budget=np.maximum(pools.decode.engine.chunk_tokens, isl),
        prefill_step=step / 8,
        seats=np.maximum(most * pools.n_decode / pools.n_prefill, 1.0),
        prefill_first=True,
    )
    return closed_loop_ttft(users, steps)
