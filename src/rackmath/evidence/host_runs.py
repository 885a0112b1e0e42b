"""Public speeds of models that lie partly with the host: what llama.cpp was told, and what is predicted for it.

One number was chosen on them, the share of its bandwidth that a host reaches; nothing else is fitted.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass

from .. import shipped
from ..kernel.counts import Pass
from ..kernel.llamacpp import constants
from ..layout.forward import forward
from ..layout.parallelism import Layout
from ..world import catalog, gguf
from ..world.engine_names import engine

CONTEXT = 500.0
"""Tokens in the cache, where nothing is said: short prompts and answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRun:
    """One published speed: tokens per second measured, predicted and at most."""

    id: str
    source: str
    setting: str
    note: str
    measured: float
    predicted: float
    bound: float

    @property
    def error(self) -> float:
        """Predicted over measured, less one."""
        return self.predicted / self.measured - 1


def host_runs() -> list[HostRun]:
    """Every row with its prediction.

    >>> len(host_runs()) > 10
    True
    """
    with (shipped.FACTS / "host_runs.csv").open(newline="", encoding="utf-8") as lines:
        return [_run(row) for row in csv.DictReader(lines)]


def _run(row: dict[str, str]) -> HostRun:
    model, software = catalog.model(row["model"]), engine("llama.cpp")
    machine = catalog.override(catalog.machine(row["machine"]), {"host_bandwidth": row["host_bandwidth"]})
    layers = model.n_layers + 1 - float(row["gpu_layers"]) if row["gpu_layers"] else 0.0
    layout = Layout(host_layers=layers, host_experts=float(row["n_cpu_moe"] or 0))
    precision = gguf.in_file(model, row["format"]) if row["format"] else model.precision
    work = Pass(decode=1.0, context=CONTEXT)
    time = forward(model, machine, precision, layout, work, constants(machine, software))
    flag = f"--n-gpu-layers {row['gpu_layers']}" if row["gpu_layers"] else f"--n-cpu-moe {row['n_cpu_moe']}"
    what = f"{row['model']} {row['format'] or precision.name} on {row['machine']}"
    return HostRun(
        id=row["id"],
        source=row["source"],
        note=row["note"],
        measured=float(row["tok_s"]),
        setting=f"{what}, {flag}, {row['host_bandwidth']}",
        predicted=1 / float(time.estimate),
        bound=1 / float(time.bound),
    )
