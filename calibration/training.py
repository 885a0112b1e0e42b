"""Fit what training frameworks add: python -m calibration.training [--data DIR].

Reads the table of reported runs and writes `data/fitted/training.toml`. Few numbers are fitted, each on named rows:

    hopper and later: kernels         speed under a whole step's power: the three FP8 rows of Megatron-LM's README
    megatron-bridge: tp               share of tensor-parallel collectives hidden: the same three rows
    megatron-deepspeed: layer         seconds the host needs for a layer of a micro-batch: vTrain's single-node runs
    megatron-bridge: routed_layer,    the same for models that route tokens, and the speed of their experts' kernels:
      experts                         rows of Megatron-Bridge with routed experts

The last two are fitted on half of the models and scored on the other half, both ways; final constants come from all.
Every other source is scored with nothing fitted on it. Intervals are quantiles of errors of the other sources, each
source weighing the same.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rackmath import shipped
from rackmath.errors import BadInput
from rackmath.evidence.answer import AnsweredRow
from rackmath.evidence.kinds import answers
from rackmath.evidence.training_rows import MEMORY, RATES, ReportedRun, figure, found, run_of
from rackmath.evidence.training_runs import by_source
from rackmath.evidence.training_sources import SOURCES
from rackmath.training import constants as known
from rackmath.training.constants import TrainConstants

from .kernel_rows import default_data

Column = NDArray[np.float64]
Fit = list[tuple[ReportedRun, str, float]]
Constants = dict[str, float]

TABLE = "training/reported_runs.csv"
BETWEEN = ("DeepSeekV3", "DeepSeekV4", "GPT OSS"), ("Qwen3", "Nemotron")
"""Families of the routed models of Megatron-Bridge, one half and the other."""


def main() -> None:
    """Fit, hold out, write; then score with what was written and write again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, default=default_data())
    table = parser.parse_args().data / TABLE
    with table.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    place = shipped.FITTED / "training.toml"
    head = ["# Written by `python -m calibration.training`; do not edit by hand.", ""]
    clocks, bridge = _readme(rows)
    deepspeed, halves = _vtrain(rows)
    more, families = _routed(rows, clocks, bridge)
    body = [
        *_table("generation.hopper", clocks),
        *_table("generation.blackwell", clocks, "taken as Hopper's: no rows but Megatron-Bridge's"),
        *_table("framework.megatron-deepspeed", deepspeed),
        *_table("framework.megatron-bridge", bridge | more),
    ]
    for source, models, given in (*halves, *families):
        body += ["[[held_out]]", f'source = "{source}"', f"models = {_names(models)}", *_inline("constants", given), ""]
    place.write_text("\n".join([*head, *body]), encoding="utf-8")
    known.fitted.cache_clear()
    known._raw.cache_clear()
    known.constants.cache_clear()
    scored = answers(table, "training")[-1]
    body += [*_scores(scored, rows), *_intervals(scored)]
    place.write_text("\n".join([*head, *body]), encoding="utf-8")


# --- fits ---------------------------------------------------------------------------------------------------------


def _runs(rows: Iterable[Mapping[str, str]], paper: str, metric: str, models: Sequence[str] = ("",)) -> Fit:
    """Runs of a source whose model begins with one of `models`, with their measured figure."""
    some: Fit = []
    for row in rows:
        if paper not in row["paper_or_repo"] or row["metric"] != metric or not row["model"].startswith(tuple(models)):
            continue
        try:
            some.append((run_of(row), metric, float(row["value"])))
        except BadInput:
            continue
    return some


def _error(some: Fit, **changes: float) -> float:
    """Mean absolute logarithm of predicted over measured time."""
    logs = []
    for run, metric, measured in some:
        given = known.constants(run.source.framework, run.machine.generation, fits=False)
        changed: TrainConstants = replace(given, **changes)  # type: ignore[arg-type]
        seconds = found(run, changed).seconds
        logs.append(abs(np.log(figure(metric, run, seconds) / measured)))
    return float(np.mean(logs))


def _best(some: Fit, grid: Mapping[str, Sequence[float]], **fixed: float) -> Constants:
    """The constants of a grid with the least error."""
    choices = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    return min(choices, key=lambda choice: _error(some, **fixed, **choice))


def _readme(rows: list[dict[str, str]]) -> tuple[Constants, Constants]:
    some = _runs(rows, "Megatron-LM README (llama)", "tokens_per_s_per_gpu")
    grid = {"kernels": np.linspace(0.8, 1.0, 9).round(4).clip(max=1.0).tolist(), "tp": np.linspace(0, 1, 11).tolist()}
    best = _best(some, grid)
    print(f"README of Megatron-LM: {best}, error {_error(some, **best):.3f} on {len(some)} rows")
    return {"kernels": best["kernels"]}, {"tp": best["tp"]}


def _vtrain(rows: list[dict[str, str]]) -> tuple[Constants, list[tuple[str, list[str], Constants]]]:
    names = sorted({r["model"] for r in rows if "vTrain" in r["paper_or_repo"]})
    grid = {"layer": np.arange(2.4e-3, 4.21e-3, 2e-4).round(6).tolist()}
    halves = [names[0::2], names[1::2]]
    held = []
    for own, other in (halves, halves[::-1]):
        best = _best(_runs(rows, "vTrain", "iteration_time", other), grid)
        some = _runs(rows, "vTrain", "iteration_time", own)
        print(f"vTrain {own}: {best} from the other half, error {_error(some, **best):.3f} on {len(some)} rows")
        held.append(("vTrain", own, best))
    return _best(_runs(rows, "vTrain", "iteration_time"), grid), held


def _routed(rows: list[dict[str, str]], clocks: Constants, bridge: Constants) -> tuple[Constants, list[tuple[str, list[str], Constants]]]:
    paper, metric = "Megatron-Bridge", "tokens_per_s_per_gpu"
    grid = {"routed_layer": [2e-3, 4e-3, 6e-3, 8e-3, 10e-3], "experts": [0.3, 0.4, 0.5, 0.6, 0.8, 1.0]}
    held = []
    for own, other in (BETWEEN, BETWEEN[::-1]):
        best = _best(_runs(rows, paper, metric, other), grid, **clocks, **bridge)
        some = _runs(rows, paper, metric, own)
        print(f"Megatron-Bridge {own}: {best} from {other}, error {_error(some, **clocks, **bridge, **best):.3f}")
        models = sorted({r["model"] for r in rows if paper in r["paper_or_repo"] and r["model"].startswith(own)})
        held.append((SOURCES["routed"].name, models, best))
    everything = _runs(rows, paper, metric, (*BETWEEN[0], *BETWEEN[1]))
    return _best(everything, grid, **clocks, **bridge), held


# --- scores and intervals -----------------------------------------------------------------------------------------


def _scores(scored: Sequence[AnsweredRow], rows: list[dict[str, str]]) -> list[str]:
    some = _runs(rows, "vTrain", "iteration_time")
    given = known.constants("megatron-deepspeed", fits=False)
    plain = np.array([found(run, given).seconds / measured - 1 for run, _, measured in some])
    lines = [
        "# vTrain with nothing fitted at all (no host).",
        "[zero_shot.vTrain]",
        f"mape = {np.abs(plain).mean():.3f}",
        f"bias = {np.median(plain):.3f}",
        "",
        "# Errors of a step's seconds (bias: signed median) and of memory; nothing is fitted on a row's own model.",
        "",
    ]
    for line in by_source(scored):
        e = line.errors
        print(f"{line.source:24s} {line.quantity:7s} n {e.n:5d} bias {e.bias:+.3f} MAPE {e.mape:.3f} p90 {e.p90:.3f}")
        lines += [
            "[[score]]",
            f'source = "{line.source}"',
            f'quantity = "{line.quantity}"',
            f"rows = {line.rows}",
            f"n = {e.n}",
            f"bias = {e.bias:.4f}",
            f"mape = {e.mape:.4f}",
            f"median = {e.median:.4f}",
            f"p90 = {e.p90:.4f}",
            f"within_20 = {e.within_20:.4f}",
            "",
        ]
    return lines


def _intervals(scored: Sequence[AnsweredRow]) -> list[str]:
    """5 % and 95 % of measured over predicted, for each source from all others; "all" from every source."""
    lines = ["# 5 % and 95 % of measured over predicted from the errors of all other sources, which weigh the same each."]
    for quantity in ("step", "memory"):
        ratios: dict[str, list[float]] = {}
        for a in scored:
            if "value" not in a.said.estimates or ("memory" if a.said.mode in MEMORY else "step") != quantity:
                continue
            ratio = a.measured["value"] / a.said.estimates["value"].pred
            ratios.setdefault(a.said.engine, []).append(1 / ratio if a.said.mode in RATES else ratio)
        for source in ("all", *sorted(ratios)):
            others = {name: r for name, r in ratios.items() if name != source}
            if not others:
                continue
            low, high = _weighted(others)
            lines += [f'[interval.{quantity}."{source}"]', f"low = {low:.4f}", f"high = {high:.4f}", f"sources = {len(others)}", ""]
    return lines


def _weighted(ratios: Mapping[str, list[float]]) -> tuple[float, float]:
    values = np.concatenate([np.array(r) for r in ratios.values()])
    weights = np.concatenate([np.full(len(r), 1 / len(r)) for r in ratios.values()])
    order = np.argsort(values)
    middle = (np.cumsum(weights[order]) - weights[order] / 2) / weights.sum()
    low, high = np.interp([0.05, 0.95], middle, values[order])
    return float(low), float(high)


def _table(name: str, given: Constants, why: str = "") -> list[str]:
    return [f"[{name}]" + (f" # {why}" if why else ""), *(f"{k} = {v:.6g}" for k, v in given.items()), ""]


def _inline(name: str, given: Constants) -> list[str]:
    return [f"{name} = {{ {', '.join(f'{k} = {v:.6g}' for k, v in given.items())} }}"]


def _names(models: Iterable[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in models) + "]"


if __name__ == "__main__":
    main()
