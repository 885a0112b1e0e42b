"""What engines cost, fitted to serving runs: constants, their priors, and the search (see `engines`)."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rackmath.kernel.efficiency import Efficiency

from .runs import GROUPS, Entries, Runs

Column = NDArray[np.float64]
PER_CELL = 5.0
FEWEST = 20  # rows below which a cell counts for less
NOISE = 0.1  # log error of a row that no constant explains
LOSS_SCALE = 0.3
TURNS = 3
REQUEST = 0.01
"""Seconds from a request's arrival to the scheduler and back; not fitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConstant:
    """One fitted number, positive: `name` as in tuning.toml, where it starts, and the log width of its prior."""

    name: str
    start: float
    width: float


def constants(of: Runs) -> tuple[EngineConstant, ...]:
    """All constants, pooled ones first."""
    kinds = [g for g in GROUPS if g != "network"]
    found = [EngineConstant(name=f"pooled.compute.{k}", start=1.0, width=0.02) for k in kinds[:4]]
    found += [EngineConstant(name=f"pooled.memory.{k}", start=1.0, width=0.02) for k in kinds[:4]]
    found += [EngineConstant(name=f"pooled.latency.{k}", start=0.8 if k == "experts" else 0.5, width=0.05) for k in kinds]
    found += [EngineConstant(name=f"pooled.experts.{t}", start=1.0, width=0.04) for t in of.types]
    found += [
        EngineConstant(name="pooled.launch", start=5e-7, width=0.15),
        EngineConstant(name="pooled.step", start=8e-4, width=0.15),
        EngineConstant(name="pooled.sequence", start=8e-6, width=0.15),
        EngineConstant(name="pooled.exchange", start=1e-6, width=0.15),
        EngineConstant(name="pooled.host", start=3e-5, width=0.15),
        EngineConstant(name="pooled.imbalance", start=1.15, width=0.05),
    ]
    for engine in sorted(set(of.engine)):
        found += [
            EngineConstant(name=f"engine.{engine}.{k}", start=1.0, width=w)
            for k, w in (("launch", 0.06), ("step", 0.1), ("sequence", 0.06), ("exchange", 0.06), ("host", 0.1))
        ]
    for era in sorted(set(of.generation)):
        measured = era in ("ampere", "hopper", "blackwell")  # its kernels were: serving should add little
        widths = (0.01, 0.01, 0.015, 0.015) if measured else (0.4, 0.25, 0.4, 0.4)
        found += [
            EngineConstant(name=f"generation.{era}.{k}", start=1.0, width=w)
            for k, w in zip(("compute", "memory", "latency", "launch"), widths, strict=True)
        ]
        found.append(EngineConstant(name=f"generation.{era}.maturing", start=1.0, width=0.006 if measured else 0.02))
    return tuple(found)


class Fit:
    """The constants of `runs` as a vector of logs, and the rows' times under it."""

    def __init__(self, of: Runs) -> None:
        self.of, self.constants = of, constants(of)
        self.at = {c.name: i for i, c in enumerate(self.constants)}
        self.start = np.log([c.start for c in self.constants])
        self.width = np.array([c.width for c in self.constants])
        self.cells = [f"{s}|{m}|{e}" for s, m, e in zip(of.system, of.model, of.engine, strict=True)]
        count = Counter(self.cells)
        self.weight = np.array([min(1.0, np.sqrt(PER_CELL / max(count[c], FEWEST))) for c in self.cells])
        self.felt = np.full(len(of), 0.8)
        self.jittered = np.array([r.spread > 0 for r in of.rows])  # runs of equal lengths keep the ideal line
        engines, eras = sorted(set(of.engine)), sorted(set(of.generation))
        self._engine = np.array([engines.index(e) for e in of.engine])
        self._era = np.array([eras.index(g) for g in of.generation])
        self._by_engine = {
            k: np.array([self.at[f"engine.{e}.{k}"] for e in engines]) for k in ("launch", "step", "sequence", "exchange", "host")
        }
        self._by_era = {
            k: np.array([self.at[f"generation.{g}.{k}"] for g in eras]) for k in ("compute", "memory", "latency", "launch", "maturing")
        }
        self._pooled = {k: np.array([self.at.get(f"pooled.{k}.{g}", -1) for g in GROUPS]) for k in ("compute", "memory", "latency")}
        self._types = np.array([self.at[f"pooled.experts.{t}"] for t in of.types])

    def _sum(self, e: Entries, x: Column) -> tuple[Column, Column]:
        """Seconds of every row's pass on its device, and launches in it."""
        n, log = len(self.of), np.append(x, 0.0)
        era, expert = self._era[e.row], e.group == GROUPS.index("experts")
        slow = (log[self._by_era["maturing"]][self._era] * self.of.age)[e.row]
        compute = log[self._pooled["compute"]][e.group] + log[self._by_era["compute"]][era] - slow
        memory = log[self._pooled["memory"]][e.group] + log[self._by_era["memory"]][era] - slow
        latency = log[self._pooled["latency"]][e.group] + log[self._by_era["latency"]][era] + slow
        longer = np.where(expert, log[self._types][e.type], 0.0)
        uneven = np.where(expert & (self.of.several[e.row] > 0), np.exp(log[self.at["pooled.imbalance"]]), 1.0)
        busy = np.hypot(e.compute * uneven * np.exp(longer - compute), e.memory * np.exp(longer - memory))
        busy = busy + e.moved * np.exp(longer)
        network = e.network + np.where(e.network > 0, self._seconds("exchange", x)[e.row], 0.0)
        each = np.where(e.group == GROUPS.index("network"), network, busy + e.launch * np.exp(latency))
        seconds: Column = np.bincount(e.row, e.layers * each, n).astype(float)
        kernels_: Column = np.bincount(e.row, e.layers * e.kernels, n).astype(float)
        return seconds, kernels_

    def _seconds(self, name: str, x: Column) -> Column:
        """An engine's seconds for every row."""
        log = x[self.at[f"pooled.{name}"]] + x[self._by_engine[name]][self._engine]
        if name == "launch":
            log = log + x[self._by_era["launch"]][self._era]
        found: Column = np.exp(log + x[self._by_era["maturing"]][self._era] * self.of.age)
        return found

    def steps(self, x: Column) -> tuple[Column, Column]:
        """Seconds of a decode-only step and of one that carries prefill, for every row."""
        own = self._seconds("step", x) + self._seconds("sequence", x) * self.of.ranks
        found = []
        for e in (self.of.plain, self.of.mixed):
            busy, kernels = self._sum(e, x)
            found.append(busy + kernels * self._seconds("launch", x) + own)
        host = self._seconds("host", x) * kernels
        carrying = (found[1] ** 4 + host**4) ** 0.25
        return found[0] * self.of.uneven, np.maximum(carrying * self.of.uneven, found[0] * self.of.uneven)

    def tpot(self, x: Column) -> Column:
        """Time per output token, with the share of prefill that decoding users feel held as it is."""
        plain, mixed = self.steps(x)
        found: Column = plain + self.felt * self.of.share * (mixed - plain)
        return found

    def solve(self, rows: NDArray[np.bool_], start: Column | None = None, most: int = 40) -> Column:
        """The constants from some of the rows."""
        from scipy.optimize import least_squares

        def residuals(x: Column) -> Column:
            errors = self.weight * np.log(self.tpot(x) / self.of.tpot) / NOISE
            return np.concatenate([errors[rows], (x - self.start) / self.width])

        first = self.start if start is None else start
        best = least_squares(residuals, first, loss="soft_l1", f_scale=LOSS_SCALE / NOISE, max_nfev=most)
        found: Column = best.x
        return found

    def looped(self, x: Column, rows: NDArray[np.bool_] | None = None) -> tuple[Column, Column]:
        """TPOT and TTFT of the closed loops under the constants (NaN elsewhere), in each row's own statistic."""
        plain, mixed = self.steps(x)
        tpot, ttft = np.full(len(self.of), np.nan), np.full(len(self.of), np.nan)
        for at, it, of in self.of.loops:
            take = np.ones(len(at), bool) if rows is None else rows[at]
            if not take.any():
                continue
            these = at[take]
            part = it.rows(take, step=plain[these], carrying=mixed[these])
            said = part.run(of.engine, Efficiency(request_overhead=REQUEST), self.of.rows[these[0]].spread)
            mean = np.array([self.of.rows[i].file == "silicon" for i in these])
            tpot[these] = np.where(mean, said.tpot_mean, said.tpot)
            ttft[these] = np.where(mean, said.ttft_mean, said.ttft)
        return tpot, ttft

    def agree(self, turns: int = TURNS) -> Column:
        """Fit and closed loop in turns; leaves the felt share of prefill in place."""
        x, every = self.start, np.ones(len(self.of), bool)
        for _ in range(turns):
            x = self.solve(every, x)
            plain, mixed = self.steps(x)
            full = np.maximum(self.of.share * (mixed - plain), 1e-9)
            self.felt = np.clip((self.looped(x)[0] - plain) / full, -0.5, 1.5)
        return x

    def queues(self, ttft: Column, rows: NDArray[np.bool_]) -> dict[str, float]:
        """Time to first token over the ideal line's, by engine: the median over cells, held to the pooled one."""
        error = np.log(self.of.ttft / ttft)
        cells: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for i in np.flatnonzero(rows & np.isfinite(error) & self.jittered):
            cells[self.of.engine[i]][self.cells[i]].append(float(error[i]))
        of = {e: [float(np.median(v)) for v in c.values()] for e, c in cells.items()}
        pooled = float(np.median([v for found in of.values() for v in found]))
        found = {"": float(np.exp(pooled))}
        for e, v in of.items():
            found[e] = float(np.exp((len(v) * np.median(v) + 2 * pooled) / (len(v) + 2)))
        return found

    def queued(self, line: Column, queue: dict[str, float]) -> Column:
        """Times to first token from those of the ideal line."""
        factor = np.array([queue.get(e, queue[""]) for e in self.of.engine])
        found: Column = line * np.where(self.jittered, factor, 1.0)
        return found


def versions(of: Runs) -> list[str]:
    """Engine and version of every row; the month of the run where no version is stated."""
    of_row = [r.version.rpartition(":")[2] or r.date[:7] or "unstated" for r in of.rows]
    return [f"{engine} {version}" for engine, version in zip(of.engine, of_row, strict=True)]
