"""The answer of `train` as plain mappings and rows: the shape of its `--json` and `--csv`.

SI units, dollars, days.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..search.train import Run
    from ..training.job import TrainLayout
    from ..training.memory import StageMemory
    from .ask_train import TrainAnswer

Record = dict[str, Any]


def record(answer: TrainAnswer) -> Record:
    """{question, best, cheapest, front, frontier, search, notes}."""
    job, found = answer.job, answer.found
    return {
        "question": {
            "model": job.model.name, "machine": job.machine.name, "tokens": job.tokens, "seq": job.batch.seq,
            "global_batch": job.batch.global_batch, "batch_tokens": job.batch.tokens,
            "precision": job.recipe.name, "framework": job.constants.name,
            "price_per_gpu_hour": float(job.machine.price_per_hour) or None,
        },
        "best": None if answer.best is None else run(answer.best),
        "cheapest": None if found is None or found.cheapest is None else run(found.cheapest),
        "front": [] if found is None else [row(r) for r in found.front],
        "frontier": [asdict(c) for c in answer.frontier],
        "search": None if found is None else {"evaluated": found.evaluated, "fitting": found.fitting,
                                              "illegal": dict(found.illegal)},
        "notes": list(answer.notes),
    }  # fmt: skip


def layout(of: TrainLayout) -> Record:
    """A layout by its parts."""
    return asdict(of) | {"devices": of.devices, "label": of.label()}


def run(of: Run) -> Record:
    """A run with its terms and memory."""
    return row(of) | {
        "layout": layout(of.layout),
        "terms": {k: float(v) for k, v in of.step.terms.items()},
        "bound": float(of.step.bound),
        "memory": {
            **{name: stage(getattr(of.memory, name)) for name in ("first", "second", "last")},
            "peak": float(of.memory.peak), "capacity": float(of.memory.capacity),
            "in_flight": float(of.memory.in_flight),
        },
    }  # fmt: skip


def stage(of: StageMemory) -> Record:
    """Bytes of a stage's device by what they hold."""
    return {k: float(v) for k, v in asdict(of).items()}


def row(of: Run) -> Record:
    """A run in one row."""
    return {
        "layout": of.layout.label(), "schedule": of.layout.schedule, "devices": of.devices,
        "step_seconds": of.seconds, "mfu": of.mfu, "mfu_bf16": of.mfu_bf16, "days": of.days,
        "goodput": of.goodput, "dollars": of.dollars or None, "kwh": of.kwh or None,
        "tokens_per_s_per_gpu": of.tokens_per_device,
        "peak_bytes": float(of.memory.peak),
    }  # fmt: skip


def rows(answer: TrainAnswer) -> list[Record]:
    """The front, or the one layout."""
    if answer.found is not None:
        return [row(r) for r in answer.found.front]
    return [] if answer.best is None else [row(answer.best)]
