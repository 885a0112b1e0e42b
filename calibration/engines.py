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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rackmath import shipped
from rackmath.evidence import rows as reader
from rackmath.kernel.achieved import kernels

from .engine_fit import REQUEST, Fit, versions
from .kernel_rows import default_data
from .runs import SPREAD, runs

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
GDDR = ("ada", "blackwell-gddr")
"""Generations sold with GDDR, whose kernels nobody measured apart: llama.cpp shows the bandwidth they reach."""
GDDR_SOURCE = "cards with GDDR: data/fitted/llamacpp.toml [geforce], [workstation]"

SOURCE = (
    "TPOT of the aggregated rows without drafts of aiconfigurator-core 0.12.0 systems/silicon_sample.csv (the ids in"
    " validate_ids.txt) and of InferenceX results (vngcloud/InferenceX-app, cac6246e9f)"
)
GDDR_SOURCE = "cards with GDDR: data/fitted/llamacpp.toml [geforce], [workstation]"
SOURCE = (
    "TPOT of the aggregated rows without drafts of aiconfigurator-core 0.12.0 systems/silicon_sample.csv (the ids in"
    " validate_ids.txt) and of InferenceX results (vngcloud/InferenceX-app, cac6246e9f)"
)


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
    keys = {"cell": fit.cells, "system": of.system, "model": of.model, "engine": of.engine, "version": versions(of)}
    out = [LeftOut(by="nothing", tpot=tpot, ttft=ttft), *(folds(fit, x, by, key) for by, key in keys.items())]
    for one in out:
        print(_line(one.by, np.log(one.tpot / of.tpot)), "| ttft", _line("", np.log(one.ttft / of.ttft)))
    (shipped.FITTED / "left_out.toml").write_text(left_out_text(fit, out), encoding="utf-8")
    (shipped.FITTED / "serving_intervals.toml").write_text(intervals_text(fit, out), encoding="utf-8")


def _line(name: str, error: Column) -> str:
    e = error[np.isfinite(error)]
    size = np.abs(np.expm1(e))
    return f"{name} n={len(e)} median {np.median(size):.3f} mape {size.mean():.3f} within20 {(size <= 0.2).mean():.3f}"


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
    lines += [f"{n} = {value[f'pooled.{n}']:.4g}" for n in ("launch", "step", "sequence", "exchange", "host", "imbalance")]
    lines += [f"request = {REQUEST:g}", f"spread = {SPREAD:g}", f"queue = {queue['']:.4g}", *_quality(fit, tpot, None, "")]
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
            subsets: list[tuple[str, NDArray[np.bool_]]] = [("all", np.ones(len(of), bool)), ("silicon", silicon), ("inferencex", ~silicon)]
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
                    "",
                    "[[left_out]]",
                    f'by = "{one.by}"',
                    f'of = "{name}"',
                    f'quantity = "{quantity}"',
                    f"rows = {len(e)}",
                    f"median = {np.median(size):.4f}",
                    f"mape = {size.mean():.4f}",
                    f"within_20 = {(size <= 0.2).mean():.4f}",
                    f"bias = {np.median(e):.4f}",
                    f"p90 = {np.quantile(size, 0.9):.4f}",
                    f"coverage_90 = {covered:.4f}",
                ]
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
            lines.append(f"{quantity} = {{ low = {low:.4g}, high = {high:.4g}, rows = {int(np.isfinite(seen / said).sum())} }}")
    lines += ["", "[seen]"]
    keys = {"systems": of.system, "models": of.model, "engines": of.engine, "generations": of.generation, "cells": fit.cells}
    for name, values in keys.items():
        lines.append(f"{name} = [" + ", ".join(f'"{v}"' for v in sorted(set(values))) + "]")
    versions = sorted({f"{e} {r.version}" for e, r in zip(of.engine, of.rows, strict=True) if r.version})
    lines.append("versions = [" + ", ".join(f'"{v}"' for v in versions) + "]")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
