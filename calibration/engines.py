"""Fit what engines cost to serving runs: python -m calibration.engines [--data DIR].

Reads the two public serving benchmarks (silicon sample and InferenceX results; rows of one pool, without drafts, that
say themselves how they were run) from the data folder ($RACKMATH_DATA, else ../shared/data beside the checkout), and
writes three files of `rackmath/data`: `tuning.toml` (the constants), `left_out.toml` (how well rows are met whose
cell, system, model or engine was left out of the fit) and `serving_intervals.toml` (quantiles of measured over
predicted, by how familiar the case is).

Least squares on log(predicted / measured) of the time per output token with a robust loss. Every constant has a
prior, what kernels alone would say or an engineer would expect, and a width in which it may differ; an engine's and a
generation's own factors are held close to the pooled value, so that what one cell says alone moves little. Widths,
loss and weights were chosen by how well systems and models left out are met: wide priors meet the fitted rows better
(8.6 % at the median against 8.9 %) and those left out worse (12.2 % against 11.4 %). A cell, a (system, model,
engine), counts like `PER_CELL` rows however many it has. Deterministic: fixed start, no random numbers.

How much of a prefill chunk a decoding user feels depends on the constants through the closed loop; fit and loop take
turns until they agree.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rackmath import shipped
from rackmath.evidence import rows as reader
from rackmath.kernel.achieved import kernels
from rackmath.kernel.efficiency import Efficiency

from .kernels import default_data
from .runs import GROUPS, SPREAD, Entries, Runs, runs

Column = NDArray[np.float64]
FILES = ("inferencex_silicon_sample_aic.csv", "inferencex_fixed_seq.csv")
PER_CELL = 5.0
FEWEST = 20  # rows below which a cell counts for less
NOISE = 0.1  # log error of a row that no constant explains
LOSS_SCALE = 0.3
TURNS = 3
GDDR = ("ada", "blackwell-gddr")
"""Generations sold with GDDR, whose kernels nobody measured apart: llama.cpp shows the bandwidth they reach."""
GDDR_SOURCE = "cards with GDDR: data/fitted/llamacpp.toml [geforce], [workstation]"

SOURCE = (
    "TPOT of the aggregated rows without drafts of aiconfigurator-core 0.12.0 systems/silicon_sample.csv (the ids in"
    " validate_ids.txt) and of InferenceX results (vngcloud/InferenceX-app, cac6246e9f)"
)
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
    found += [
        EngineConstant(name=f"pooled.latency.{k}", start=0.8 if k == "experts" else 0.5, width=0.05) for k in kinds
    ]
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
        self._by_engine = {k: np.array([self.at[f"engine.{e}.{k}"] for e in engines]) for k in
                           ("launch", "step", "sequence", "exchange", "host")}  # fmt: skip
        self._by_era = {k: np.array([self.at[f"generation.{g}.{k}"] for g in eras]) for k in
                        ("compute", "memory", "latency", "launch", "maturing")}  # fmt: skip
        self._pooled = {
            k: np.array([self.at.get(f"pooled.{k}.{g}", -1) for g in GROUPS])
            for k in ("compute", "memory", "latency")
        }
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


# --- left out -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Rows predicted by a fit that did not see their `by`: cell, system, model, engine; "nothing": the fit itself."""

    by: str
    tpot: Column
    ttft: Column


def folds(fit: Fit, x: Column, by: str, key: Sequence[str]) -> LeftOut:
    """Leave each value of a key out in turn, fit the rest, and predict what was left out."""
    tpot, ttft = np.full(len(fit.of), np.nan), np.full(len(fit.of), np.nan)
    for value in sorted(set(key)):
        out = np.array([k == value for k in key])
        if out.all():
            continue
        other = fit.solve(~out, x, most=6)
        times, line = fit.looped(other)
        tpot[out] = times[out]
        queue = fit.queues(line, ~out)
        ttft[out] = fit.queued(line, queue)[out]
    return LeftOut(by=by, tpot=tpot, ttft=ttft)


def quantiles(ratio: Column) -> tuple[float, float]:
    """Finite-sample 5 % and 95 % of measured over predicted (split conformal: ranks of n + 1)."""
    sorted_ = np.sort(ratio[np.isfinite(ratio)])
    n = len(sorted_)
    low, high = int(np.floor(0.05 * (n + 1))) - 1, int(np.ceil(0.95 * (n + 1))) - 1
    return float(sorted_[max(low, 0)]), float(sorted_[min(high, n - 1)])


def covered_by_others(ratio: Column, key: Sequence[str]) -> NDArray[np.bool_]:
    """Whether each row lies between the 5 % and 95 % that the rows of all other values of the key give."""
    inside = np.zeros(len(ratio), bool)
    for value in set(key):
        own = np.array([k == value for k in key])
        if np.isfinite(ratio[~own]).any():
            low, high = quantiles(ratio[~own])
            inside |= own & (ratio >= low) & (ratio <= high)
    return inside


# --- files --------------------------------------------------------------------------------------------------------


def main() -> None:
    """Fit, leave out, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, default=default_data())
    parser.add_argument("--quick", action="store_true", help="constants only, nothing left out")
    given = parser.parse_args()
    found = [row for name in FILES for row in reader.read(given.data / "serving" / name)]
    of = runs(found)
    fit = Fit(of)
    x = fit.agree()
    tpot, line = fit.looped(x)
    queue = fit.queues(line, np.ones(len(of), bool))
    ttft = fit.queued(line, queue)
    (shipped.FITTED / "tuning.toml").write_text(tuning_text(fit, x, queue, tpot), encoding="utf-8")
    print(_line("nothing left out", np.log(tpot / of.tpot)), "| ttft", _line("", np.log(ttft / of.ttft)))
    if given.quick:
        return
    keys = {
        "cell": fit.cells, "system": of.system, "model": of.model, "engine": of.engine, "version": versions(of)
    }  # fmt: skip
    out = [LeftOut(by="nothing", tpot=tpot, ttft=ttft), *(folds(fit, x, by, key) for by, key in keys.items())]
    for one in out:
        print(_line(one.by, np.log(one.tpot / of.tpot)), "| ttft", _line("", np.log(one.ttft / of.ttft)))
    (shipped.FITTED / "left_out.toml").write_text(left_out_text(fit, out), encoding="utf-8")
    (shipped.FITTED / "serving_intervals.toml").write_text(intervals_text(fit, out), encoding="utf-8")


def _line(name: str, error: Column) -> str:
    e = error[np.isfinite(error)]
    size = np.abs(np.expm1(e))
    return (
        f"{name} n={len(e)} median {np.median(size):.3f} mape {size.mean():.3f} within20 {(size <= 0.2).mean():.3f}"
    )


def tuning_text(fit: Fit, x: Column, queue: dict[str, float], tpot: Column) -> str:
    """The constants as a file, with how many rows speak for each engine and generation and how well they are met."""
    value = {c.name: float(np.exp(v)) for c, v in zip(fit.constants, x, strict=True)}
    of = fit.of
    lines = [
        "# What engines cost, fitted by `python -m calibration.engines`; do not edit by hand.",
        "# pooled: factors of the kernels' constants (kernels.toml), and seconds; engine, generation: factors",
        "# of the pooled values (queue: of the ideal line's time to first token). median: of TPOT's error.",
        f'source = "{SOURCE}"',
        'date = "2026-11-25"',
        "",
        "[pooled]",
    ]
    for table in ("compute", "memory", "latency", "experts"):
        entries = {n.split(".", 2)[2]: v for n, v in value.items() if n.startswith(f"pooled.{table}.")}
        lines.append(f"{table} = {{ {', '.join(f'{k} = {v:.4g}' for k, v in entries.items())} }}")
    lines += [
        f"{n} = {value[f'pooled.{n}']:.4g}" for n in ("launch", "step", "sequence", "exchange", "host", "imbalance")
    ]
    lines += [
        f"request = {REQUEST:g}",
        f"spread = {SPREAD:g}",
        f"queue = {queue['']:.4g}",
        *_quality(fit, tpot, None, ""),
    ]
    for room, names in (("engine", of.engine), ("generation", of.generation)):
        for name in sorted(set(names)):
            if name == "typical":
                continue
            lines += ["", f"[{room}.{name}]"]
            own = {n.split(".", 2)[2]: v for n, v in value.items() if n.startswith(f"{room}.{name}.")}
            lines += [f"{k} = {v:.4g}" for k, v in own.items()]
            if room == "engine":
                lines.append(f"queue = {queue.get(name, queue['']):.4g}")
            lines += _quality(fit, tpot, names, name)
    for name in GDDR:
        lines += ["", f"[generation.{name}]", f"memory = {gddr():.4g}", f'source = "{GDDR_SOURCE}"']
    return "\n".join(lines) + "\n"


def gddr() -> float:
    """Share of bandwidth that cards with GDDR reach over that of the pooled product of few tokens, with HBM."""
    found = shipped.read(shipped.FITTED / "llamacpp.toml")
    shares = [found[name]["memory_share"] for name in ("geforce", "workstation")]
    return float(np.mean(shares) / kernels().of("gemm", "bf16", "default").memory_share)


def _quality(fit: Fit, tpot: Column, names: Sequence[str] | None, name: str) -> list[str]:
    keep = np.array([names is None or n == name for n in (names or fit.of.engine)])
    error = np.abs(tpot[keep] / fit.of.tpot[keep] - 1)
    return [f"points = {int(keep.sum())}", f"median = {np.median(error):.3f}"]


def left_out_text(fit: Fit, out: Iterable[LeftOut]) -> str:
    """Scores of left-out rows, in total and by cell."""
    of = fit.of
    lines = [
        "# Errors of rows whose cell, system, model or engine was left out of the fit; `nothing`: of the fit itself.",
        "# Written by `python -m calibration.engines`; predicted over measured, signed bias is the median.",
    ]
    silicon = np.array([r.file == "silicon" for r in of.rows])
    for one in out:
        for quantity, said, seen in (("tpot", one.tpot, of.tpot), ("ttft", one.ttft, of.ttft)):
            error = said / seen - 1
            subsets: list[tuple[str, NDArray[np.bool_]]] = [
                ("all", np.ones(len(of), bool)), ("silicon", silicon), ("inferencex", ~silicon)
            ]  # fmt: skip
            named = {"system": of.system, "model": of.model, "engine": of.engine, "version": versions(of)}
            key = named.get(one.by, fit.cells)
            inside = covered_by_others(seen / said, key)
            subsets += [(name, np.array([k == name for k in key])) for name in sorted(set(key))]
            for name, keep in subsets:
                e = error[keep & np.isfinite(error)]
                if not len(e):
                    continue
                size = np.abs(e)
                covered = float(np.mean(inside[keep & np.isfinite(error)]))
                lines += [
                    "", "[[left_out]]", f'by = "{one.by}"', f'of = "{name}"', f'quantity = "{quantity}"',
                    f"rows = {len(e)}", f"median = {np.median(size):.4f}", f"mape = {size.mean():.4f}",
                    f"within_20 = {(size <= 0.2).mean():.4f}", f"bias = {np.median(e):.4f}",
                    f"p90 = {np.quantile(size, 0.9):.4f}", f"coverage_90 = {covered:.4f}",
                ]  # fmt: skip
    return "\n".join(lines) + "\n"


def intervals_text(fit: Fit, out: Iterable[LeftOut]) -> str:
    """Quantiles of measured over predicted by what was left out."""
    of = fit.of
    lines = [
        "# 5 % and 95 % of measured over predicted of aggregated serving runs, by what the fit had not seen of them.",
        "# Written by `python -m calibration.engines` (split conformal quantiles of left-out rows).",
    ]
    for one in out:
        lines += ["", f"[{one.by}]"]
        for quantity, said, seen in (("tpot", one.tpot, of.tpot), ("ttft", one.ttft, of.ttft)):
            low, high = quantiles(seen / said)
            lines.append(
                f"{quantity} = {{ low = {low:.4g}, high = {high:.4g}, rows = {int(np.isfinite(seen / said).sum())} }}"
            )
    lines += ["", "[seen]"]
    keys = {
        "systems": of.system, "models": of.model, "engines": of.engine, "generations": of.generation,
        "cells": fit.cells,
    }  # fmt: skip
    for name, values in keys.items():
        lines.append(f"{name} = [" + ", ".join(f'"{v}"' for v in sorted(set(values))) + "]")
    versions = sorted({f"{e} {r.version}" for e, r in zip(of.engine, of.rows, strict=True) if r.version})
    lines.append("versions = [" + ", ".join(f'"{v}"' for v in versions) + "]")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
