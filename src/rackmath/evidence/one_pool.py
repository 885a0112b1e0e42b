"""Measured rows of one pool: equal workers whose users all start at once and ask again when answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..kernel.efficiency import Efficiency
from ..layout.footprint import Footprint, footprint
from ..layout.parallelism import Layout, illegal, stage_share
from ..serving.closedloop import ClosedLoop, closed_loop_ttft
from ..serving.clumps import LoopSteps, LoopUsers
from ..serving.replica import Replica
from ..serving.steady import Serving, held_tokens, steady
from ..world.engine import Engine
from ..world.workload import Traffic
from .rows import ROUNDS, Row

Column = NDArray[np.float64]


def column(values: Sequence[float]) -> Column:
    """Values of rows."""
    return np.array(values, dtype=float)


def layouts(of: Sequence[Layout]) -> Layout:
    """Layouts as one of columns."""
    return Layout(**{name: column([float(getattr(x, name)) for x in of]) for name in ("tp", "pp", "dp", "ep")})


def traffic_of(rows: Sequence[Row]) -> Traffic:
    """Mean lengths of prompts and outputs."""
    return Traffic(isl=column([r.isl for r in rows]), osl=column([r.osl for r in rows]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """What a closed loop is made of, columns over the rows of a group.

    `step` a decode-only step with every user inside decoding, `base` with one, `carrying` one that also carries
    `carried` prompt tokens; `inside` users that have a seat of the `seats`; `steps` of an output.
    """

    wanted: Column
    inside: Column
    seats: Column
    step: Column
    base: Column
    carrying: Column
    carried: Column
    fresh: Column
    steps: Column
    poll: Column
    lengths: tuple[Column, Column]  # of prompts and outputs, means
    serving: Serving
    reasons: list[str]

    def rows(self, keep: NDArray[np.bool_], *, step: Column, carrying: Column) -> Loop:
        """Some of the rows, with other times of their passes; a lone user's step shrinks alike."""
        columns = ("wanted", "inside", "seats", "carried", "fresh", "steps", "poll")
        some: dict[str, Any] = {name: np.asarray(getattr(self, name))[keep] for name in columns}
        return replace(
            self,
            **some,
            step=step,
            base=step * (self.base / self.step)[keep],
            carrying=carrying,
            lengths=(self.lengths[0][keep], self.lengths[1][keep]),
        )

    def run(self, engine: Engine, efficiency: Efficiency, spread: float) -> ClosedLoop:
        """The users start at once, and ask again when they are answered."""
        return closed_loop_ttft(*self.given(engine, efficiency, spread))

    def given(self, engine: Engine, efficiency: Efficiency, spread: float) -> tuple[LoopUsers, LoopSteps]:
        """The users, and what the steps of their replica take."""
        users = LoopUsers(clients=np.maximum(np.round(self.wanted), 1.0), isl=self.fresh, osl=self.steps + 1, rounds=ROUNDS, spread=spread)
        steps = LoopSteps(
            step=self.step,
            per_token=np.maximum(self.carrying - self.step, 0.0) / self.carried,
            budget=np.maximum(engine.chunk_tokens, self.carried),
            base=self.base,
            prefill_step=self.step / 2 if engine.prefill_first else 0.0,
            seats=self.seats,
            overhead=efficiency.request_overhead,
            poll=self.poll,
            prefill_first=engine.prefill_first,
        )
        return users, steps


def loop(of: Replica, rows: Sequence[Row]) -> Loop:
    """The passes of rows of one pool, and the seats their workers have; the layouts are those of the rows."""
    n = len(rows)
    layout = layouts([r.decode.layout for r in rows])
    of = replace(of, layout=layout)
    traffic = replace(traffic_of(rows), cached=column([r.cached for r in rows]), closed=True)
    wanted = column([r.concurrency / r.decode.count for r in rows])
    held = held_tokens(traffic, wanted / np.asarray(layout.dp))
    holds = footprint(of.model, of.machine, of.precision, layout, of.engine, held, traffic.isl)
    reasons, most = seats(of, holds, n)
    inside = np.minimum(wanted, most)
    s = steady(of, traffic, inside)
    alone = steady(of, traffic, np.ones(n), bounds=False)
    uneven = np.asarray(stage_share(of.model, layout) * layout.pp)
    return Loop(
        wanted=wanted,
        inside=inside,
        seats=most,
        step=np.asarray(s.decode.estimate) * uneven,
        base=np.minimum(np.asarray(alone.decode.estimate), np.asarray(s.decode.estimate)) * uneven,
        carrying=np.asarray(s.mixed_pass.estimate) * uneven,
        carried=np.broadcast_to(s.carried, (n,)),
        fresh=np.maximum(np.asarray(traffic.isl * (1 - traffic.cached)), 1.0),
        steps=np.asarray(np.maximum((traffic.osl - 1) / of.kept, 0.0)),
        poll=column([_poll(of, r) for r in rows]),
        lengths=(np.asarray(traffic.isl), np.asarray(traffic.osl)),
        serving=s,
        reasons=reasons,
    )


def _poll(of: Replica, row: Row) -> float:
    """Decode steps between two looks for new requests: settings of the benchmark's public launch scripts for SGLang.

    `--scheduler-recv-interval` 10, and 30 from 16 users, on Blackwell; `--num-continuous-decode-steps` 4 on AMD.
    """
    if of.engine.name != "sglang" or not row.spread:
        return 1.0
    if of.machine.vendor == "AMD":
        return 4.0
    return (30.0 if row.concurrency >= 16 else 10.0) if of.machine.generation.startswith("blackwell") else 1.0


def aggregated(of: Replica, rows: Sequence[Row]) -> tuple[dict[str, Column], list[str]]:
    """One pool of equal workers, with as many requests inside as the row states."""
    it = loop(of, rows)
    found, s = it.run(of.engine, of.efficiency, rows[0].spread), it.serving
    per_token = it.steps / np.maximum(np.asarray([r.osl for r in rows]) - 1, 1e-9)
    per_token = np.where(it.steps > 0, per_token, 1.0)
    gpus = np.asarray([float(r.decode.layout.gpus) for r in rows])
    isl, osl = column([r.isl for r in rows]), column([r.osl for r in rows])
    least, first = np.asarray(s.tpot_bound), np.asarray(s.ttft_bound)
    queue = of.efficiency.queue if rows[0].spread else 1.0  # equal lengths keep the ideal line
    return {
        "tpot": np.maximum(found.tpot_mean * per_token, least),
        "tpot_median": np.maximum(found.tpot * per_token, least),
        "ttft": np.maximum(found.ttft_mean * queue, first),
        "ttft_median": np.maximum(found.ttft * queue, first),
        "tput_per_gpu": found.rate * (isl + osl) / gpus,
        "output_tput_per_gpu": found.rate * osl / gpus,
        "tpot_bound": least,
        "ttft_bound": first,
        "batch": it.inside,
    }, it.reasons


def seats(of: Replica, holds: Footprint, n: int) -> tuple[list[str], Column]:
    """Why any of `n` rows cannot run, and the sequences a worker can hold, at least 1.

    The rows were run. Where the usual reserve of an engine leaves no room, theirs was smaller: all memory beside the
    weights is then taken for the cache.
    """
    most = np.broadcast_to(holds.batch_max, (n,)).astype(float)
    beside = np.asarray(holds.capacity - holds.weights)
    bare = np.floor(np.maximum(beside, 0.0) / np.maximum(holds.per_sequence, 1.0)) * of.layout.dp
    most = np.where(most < 1, np.broadcast_to(bare, (n,)), most)
    found = illegal(of.model, of.layout)
    reasons = ["; ".join(why for why, bad in found.items() if np.broadcast_to(bad, (n,))[i]) for i in range(n)]
    weights = np.broadcast_to(holds.weights, (n,))
    for i in np.flatnonzero(most < 1):
        reasons[i] = reasons[i] or (
            f"{of.model.name} takes {weights[i] / 1e9:.0f} GB of each device's {holds.capacity / 1e9:.0f} GB in this"
            " layout, and leaves no room for a sequence"
        )
    return reasons, np.maximum(most, 1.0)
