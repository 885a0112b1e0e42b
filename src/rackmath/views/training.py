"""A training run as plain data, and the layouts of a search drawn: SI units, dollars, days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..answers.charts import Axis, Mark, Series, scatter
from ..experiments.results import recorded_memory
from ..search.train_field import TriedLayout, candidates
from ..training.uncertainty import training_interval

if TYPE_CHECKING:
    from ..search.train import JobPlan, TrainSearch
    from ..training.job import TrainLayout
    from ..training.memory import ActivationPolicy, StageMemory

Record = dict[str, Any]

WAYS = {
    "none": "no recomputation",
    "selective": "selective recomputation",
    "full": "full recomputation",
    "reversible": "reversible blocks",
    "offload": "offload to host memory",
}


def way(recompute: str) -> str:
    """A choice of recomputation in words.

    >>> way("none"), way("every 6")
    ('no recomputation', 'checkpoints every 6 layers')
    """
    return WAYS.get(recompute, f"checkpoints {recompute} layers")


def layout(of: TrainLayout) -> Record:
    """A layout by its parts."""
    return asdict(of) | {"devices": of.devices, "label": of.label()}


def run(of: JobPlan) -> Record:
    """A run with its terms and memory."""
    return row(of) | {
        "layout": layout(of.layout),
        "terms": {k: float(v) for k, v in of.step.terms.items()},
        "bound": float(of.step.bound),
        "memory": {
            **{name: stage(getattr(of.memory, name)) for name in ("first", "second", "last")},
            "peak": float(of.memory.peak),
            "capacity": float(of.memory.capacity),
            "in_flight": float(of.memory.in_flight),
        },
    }


def stage(of: StageMemory) -> Record:
    """Bytes of a stage's device by what they hold."""
    return {k: float(v) for k, v in asdict(of).items()}


def row(of: JobPlan) -> Record:
    """A run in one row."""
    return {
        "layout": of.layout.label(),
        "schedule": of.layout.schedule,
        "devices": of.devices,
        "step_seconds": of.seconds,
        "mfu": of.mfu,
        "mfu_bf16": of.mfu_bf16,
        "days": of.days,
        "goodput": of.goodput,
        "dollars": of.dollars or None,
        "kwh": of.kwh or None,
        "tokens_per_s_per_gpu": of.tokens_per_device,
        "peak_bytes": float(of.memory.peak),
    }


def span(value: float, bound: float) -> tuple[float | None, float | None]:
    """5 to 95 % of a time or a cost that is proportional to the seconds of a step."""
    ends = training_interval().around(value, bound)
    return (None, None) if ends is None else (float(ends[0]), float(ends[1]))


# --- the laboratory -------------------------------------------------------------------------------------------------

LAB = {"stored": "none", "checkpointed": "full", "square root": "every", "reversible": "reversible"}
"""What the laboratory calls each way, and the choice of recomputation that predicts it."""


def measured() -> dict[str, Record]:
    """Share of stored bytes and time over keeping everything, as recorded at the largest depth."""
    depths = recorded_memory().depths
    most = max(d.layers for d in depths)
    deepest = {d.way: d for d in depths if d.layers == most}
    whole = deepest["stored"]
    return {LAB[name]: {"kept": d.saved / whole.saved, "time": d.step / whole.step} for name, d in deepest.items() if name in LAB}


# --- pictures -------------------------------------------------------------------------------------------------------


def field(found: TrainSearch, best: JobPlan) -> Record:
    """Every layout of the search by memory and time of a step, the fastest that fits marked, with its interval."""
    job, capacity = best.job, float(best.memory.capacity)
    kept = candidates(found.field, capacity)
    series = []
    if best.devices == float(job.machine.n_devices):
        ends = [end for end in span(best.seconds, float(best.step.bound)) if end is not None]
        peak = float(best.memory.peak)
        series.append(Series("5 to 95 % of the fastest", [peak] * len(ends), ends, look="line"))
    for recompute in dict.fromkeys(c.recompute for c in kept):
        mine = [c for c in kept if c.recompute == recompute]
        series.append(_dots(way(recompute), mine))
    marks = [Mark("memory of a device", capacity)]
    if best.devices == float(job.machine.n_devices):
        marks.append(Mark(best.layout.label(), float(best.memory.peak), best.seconds))
    return scatter(
        series,
        title=f"{job.model.name} on {job.machine.name}: layouts tried",
        x=Axis("Memory of the fullest device", "B", log=True),
        y=Axis("Step", "s", log=True),
        marks=marks,
    )


def _dots(name: str, of: Sequence[TriedLayout]) -> Series:
    return Series(name, [c.peak for c in of], [c.seconds for c in of], labels=tuple(c.label for c in of))


def tradeoff(model: str, choices: Sequence[ActivationPolicy]) -> Record:
    """Memory against compute by what is kept, recomputed, reversed or moved."""
    series = [Series(way(p.recompute), [1 + p.extra_compute], [float(p.peak)]) for p in choices]
    return scatter(
        series,
        title=f"{model}: memory against compute",
        x=Axis("Compute of a step over three passes", "x"),
        y=Axis("Memory of the fullest device", "B", low=0.0),
    )
