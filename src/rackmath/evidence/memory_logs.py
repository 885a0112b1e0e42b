"""What engines logged about memory, beside what the terms of `layout.reserve` say: a predicted room for each log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from .. import shipped
from ..layout.footprint import Footprint, footprint
from ..layout.parallelism import Layout
from ..layout.reserve import reserve
from ..world import catalog
from ..world.engine import GIB, Engine
from ..world.engine_names import engine as engine_of
from ..world.machine import Machine
from ..world.model import Model
from ..world.precision import Precision

NAMES = {"TP": "tp", "PP": "pp", "DP": "dp", "EP": "ep", "CP": "cp"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """One log, read: who ran what, and what was printed, in bytes. NaN where nothing was."""

    id: str
    model: Model
    machine: Machine
    precision: Precision
    layout: Layout
    engine: Engine
    context: float
    weights: float
    room: float
    activation: float
    nontorch: float
    pool_tokens: float
    logged_weights: bool  # whether the logged weights are used
    why: str  # why the row is no part of the fit; "" where it is
    source: str

    @property
    def first(self) -> bool:
        """Whether the log is that of a pipeline's first stage, which is printed first."""
        return bool(self.layout.pp > 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedMemory:
    """What is predicted for a log: bytes of weights, of each term, and of the room left."""

    weights: float
    terms: Mapping[str, float]
    room: float


@cache
def logs() -> tuple[Log, ...]:
    """Every log of `data/facts/memory_logs.toml`.

    >>> {log.engine.name for log in logs()} >= {"vllm", "sglang", "trtllm"}
    True
    """
    return tuple(_read(row) for row in shipped.read(shipped.FACTS / "memory_logs.toml")["log"])


def _read(row: Mapping[str, Any]) -> Log:
    model, machine = catalog.model(row["model"]), catalog.machine(row["machine"])
    if "capacity" in row:
        machine = catalog.override(machine, {"hbm_capacity": row["capacity"]})
    named = row.get("precision")
    own = model.precision if named is None else Precision.uniform(named, kv="bf16")
    ways = {NAMES[part[:2]]: float(part[2:]) for part in row.get("layout", "TP1").split()}
    return Log(
        id=row["id"],
        model=model,
        machine=machine,
        precision=own.with_kv(row["kv"]) if "kv" in row else own,
        layout=Layout(**ways),
        engine=_set(engine_of(row["engine"]), row),
        context=float(row["context"]),
        weights=row.get("weights", float("nan")) * GIB,
        room=row["room"] * GIB,
        activation=row.get("activation", float("nan")) * GIB,
        nontorch=row.get("nontorch", float("nan")) * GIB,
        pool_tokens=float(row.get("pool_tokens", float("nan"))),
        logged_weights=bool(row.get("weights_from_log", False)),
        why=row.get("why", ""),
        source=row["source"],
    )


def _set(engine: Engine, row: Mapping[str, Any]) -> Engine:
    """The engine with the settings that a log names."""
    if row.get("eager"):
        engine = replace(engine, graph_bytes=0.0, graph_copies=0.0)
    return replace(
        engine,
        memory_share=row.get("share", engine.memory_share),
        step_tokens=float(row.get("tokens", engine.step_tokens)),
        sequences=float(row.get("sequences", engine.sequences)),
    )


def found(log: Log, changed: Mapping[str, Any] | None = None) -> PredictedMemory:
    """The prediction for a log; `changed` replaces fields of its engine."""
    engine = replace(log.engine, **dict(changed or {}))
    holds: Footprint = footprint(log.model, log.machine, log.precision, log.layout, engine, log.context)
    weights = log.weights if log.logged_weights else float(holds.weights)
    kept = reserve(log.model, log.machine, log.precision, log.layout, engine, weights, log.context, last=not log.first)
    terms = {name: float(value) for name, value in kept.items()}
    return PredictedMemory(weights=weights, terms=terms, room=float(log.machine.hbm_capacity) - weights - sum(terms.values()))


def beside(rows: Sequence[Log] | None = None) -> list[tuple[Log, PredictedMemory]]:
    """Logs beside predictions, in the file's order."""
    return [(log, found(log)) for log in (logs() if rows is None else rows)]
