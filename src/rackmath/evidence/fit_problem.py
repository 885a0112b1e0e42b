"""What an engine would take for a user's runs, for many vectors of factors of its constants at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..kernel.counts import Pass
from ..kernel.efficiency import Efficiency, resolved
from ..layout.forward import forward
from ..layout.parallelism import Layout
from ..serving.closedloop import closed_loop_ttft
from ..serving.clumps import LoopSteps, LoopUsers
from ..serving.replica import Replica
from ..world import saved as own
from ..world.engine import Tuning, packaged, released
from ..world.engine_names import tuning
from .one_pool import loop
from .result_points import BenchmarkPoint, Chosen
from .static_batch import Setup, decode_seconds

Column = NDArray[np.float64]

NAMES = own.FACTORS
"""The constants that are fitted."""

PHASES = 4
"""Parts of a step by which requests may come later. Users who wait for whole steps jump from one to the next with the
smallest change of a constant; in a real run they come at every phase of a step, and this is their mean."""


class FitProblem:
    """Points as one column; predictions for many vectors of factors at once."""

    def __init__(self, chosen: Chosen) -> None:
        base = packaged(chosen.base)
        self.engine = base
        self.packaged: Tuning = tuning(base.name, chosen.machine.generation, released(base.name, base.version))
        self.generation = chosen.machine.generation
        self.reasons: dict[int, str] = {}
        self.points = list(chosen.points)
        self._groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
        kept = []
        for point in self.points:
            reason = self._reason(point)
            if reason:
                self.reasons[id(point)] = reason
            else:
                kept.append(point)
        self.dropped = [self.reasons[id(p)] for p in self.points if id(p) in self.reasons]
        self.points = kept
        for i, p in enumerate(self.points):
            key = (p.model.name, p.machine.name, p.precision, p.run.row.spread, p.run.scripts, p.run.kind)
            self._groups[key].append(i)
        rows = [p.run.row.measured for p in self.points]
        self.measured = {
            "tpot": np.array([m.tpot or np.nan for m in rows], dtype=float),
            "ttft": np.array([p.ttft or np.nan for p in self.points], dtype=float),
        }

    def _reason(self, point: BenchmarkPoint) -> str:
        if point.run.kind != "serving":
            return ""
        return loop(self._worker(point, self.efficiency({})), [point.run.row]).reasons[0]

    def efficiency(self, factors: Mapping[str, float]) -> Efficiency:
        return resolved(self.generation, own.scaled(self.packaged, factors))

    def _worker(self, point: BenchmarkPoint, efficiency: Efficiency) -> Replica:
        """What a run was on; its layout is that of its row."""
        return Replica(point.model, point.machine, point.precision, Layout(), self.engine, efficiency)

    def predict(self, logs: Column) -> dict[str, Column]:
        """Seconds for each vector of log factors (a line each) and point, "tpot" and "ttft"; NaN if there is none."""
        given = [dict(zip(NAMES, np.exp(one).tolist(), strict=True)) for one in logs]
        under = [self.efficiency(factors) for factors in given]
        found = {name: np.full((len(logs), len(self.points)), np.nan) for name in ("tpot", "ttft")}
        for members in self._groups.values():
            at = np.array(members)
            kind = self.points[members[0]].run.kind
            tpot, ttft = (self._served if kind == "serving" else self._alone)(members, under)
            found["tpot"][:, at], found["ttft"][:, at] = tpot, ttft
        return found

    def _served(self, members: Sequence[int], under: Sequence[Efficiency]) -> tuple[Column, Column]:
        """Closed loops of runs that share model, machine and spread, under every efficiency, in one column."""
        points = [self.points[i] for i in members]
        rows, n, first = [p.run.row for p in points], len(members), points[0]
        loops = [loop(self._worker(first, e), rows) for e in under]
        rounds = np.tile(np.array([p.run.rounds for p in points]), len(under))
        parts = [it.given(self.engine, e, rows[0].spread) for it, e in zip(loops, under, strict=True)]
        users = replace(_stacked([u for u, _ in parts], n), rounds=np.tile(rounds, PHASES))
        steps = _stacked([s for _, s in parts], n)
        if not first.run.scripts:
            steps = replace(steps, poll=1.0)
        late = np.repeat(np.arange(PHASES) / PHASES, len(under) * n) * steps.step
        said = closed_loop_ttft(users, replace(steps, overhead=steps.overhead + late))
        median, shape = np.array([p.run.median for p in points]), (PHASES, len(under), n)
        tpot = np.where(median, said.tpot.reshape(shape), said.tpot_mean.reshape(shape)).mean(axis=0)
        ttft = np.where(median, said.ttft.reshape(shape), said.ttft_mean.reshape(shape)) - late.reshape(shape)
        ttft = ttft.mean(axis=0)
        queue = np.array([[e.queue] for e in under])
        least = np.array([np.asarray(it.serving.tpot_bound) * np.ones(n) for it in loops])
        soonest = np.array([np.asarray(it.serving.ttft_bound) * np.ones(n) for it in loops])
        return np.maximum(tpot, least), np.maximum(ttft * queue, soonest)

    def _alone(self, members: Sequence[int], under: Sequence[Efficiency]) -> tuple[Column, Column]:
        """One sequence that decodes, or one prompt that is read in chunks."""
        tpot, ttft = np.full((2, len(under), len(members)), np.nan)
        for j, i in enumerate(members):
            point = self.points[i]
            run, cut = point.run, point.run.row.decode.layout
            machine = replace(point.machine, domain=max(float(point.machine.domain), float(cut.gpus)))
            for k, efficiency in enumerate(under):
                of = Setup(model=point.model, machine=machine, precision=point.precision, layout=cut, efficiency=efficiency)
                if run.kind == "decode":
                    tpot[k, j] = decode_seconds(of, 1.0, run.depth, run.row.osl).estimate / run.row.osl
                else:
                    ttft[k, j] = _prompt_seconds(of, run.row.isl, run.depth, run.chunk)
        return tpot, ttft


L = TypeVar("L", LoopUsers, LoopSteps)


def _stacked(parts: Sequence[L], n: int) -> L:
    """Records of `n` rows each below one another, once for every phase."""
    names = [f.name for f in fields(parts[0]) if f.name not in ("spread", "prefill_first")]
    rows = {name: [np.broadcast_to(getattr(one, name), (n,)) for one in parts] for name in names}
    tall: dict[str, Any] = {name: np.tile(np.concatenate(some), PHASES) for name, some in rows.items()}
    return replace(parts[0], **tall)


def _prompt_seconds(of: Setup, tokens: float, depth: float, chunk: float) -> float:
    """A prompt read in chunks behind `depth` tokens; with layers over several devices the chunks follow each
    other."""
    sizes = np.diff(np.minimum(np.arange(0, np.ceil(tokens / chunk) + 1) * chunk, tokens))
    before = depth + np.cumsum(sizes) - sizes
    work = Pass(prefill=sizes, prompt=before + sizes, prompt_cached=before)
    time = forward(of.model, of.machine, of.precision, of.layout, work, of.efficiency)
    n, stages = len(sizes), float(of.layout.pp)
    return float(np.sum(time.estimate)) * (stages + n - 1) / (stages * n)
