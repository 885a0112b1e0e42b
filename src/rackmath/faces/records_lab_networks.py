"""The answers of `lab memory` and `lab parallel` as plain mappings and rows: the shape of --json and --csv.

Bytes, seconds, nats per byte of text, shares from 0 to 1.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..experiments.results import agreement, growth, predicted_ratio, time_ratio

if TYPE_CHECKING:
    from .ask_lab_networks import MemoryAnswer, ParallelAnswer

Record = dict[str, Any]


def memory(answer: MemoryAnswer) -> Record:
    """{made, width, context, batch, depths, growth, time_ratio, rebuilt, training, notes}."""
    m = answer.memory
    ways = list(dict.fromkeys(d.way for d in m.depths))
    return {
        "made": asdict(m.made),
        "width": m.width,
        "context": m.context,
        "batch": m.batch,
        "depths": [asdict(d) for d in m.depths],
        "growth": {way: {what: growth(m.depths, way, what) for what in ("saved", "peak")} for way in ways},
        "time_ratio": {way: time_ratio(m.depths, way) for way in ways},
        "predicted_time_ratio": predicted_ratio(m.depths),
        "rebuilt": [{"layers": r.layers, "error": dict(r.error)} for r in m.rebuilt],
        "training": training(answer),
        "notes": list(answer.notes),
    }


def training(answer: MemoryAnswer) -> Record | None:
    """The runs, and whether two ways agree within the noise of seeds."""
    m = answer.memory
    if not m.curves:
        return None
    by_way = {way: [c for c in m.curves if c.way == way] for way in dict.fromkeys(c.way for c in m.curves)}
    return {
        "steps": m.steps,
        "steps_of_a_point": m.stretch,
        "runs": [asdict(c) for c in m.curves],
        "against_stored": {
            way: asdict(agreement(by_way["stored"], runs)) for way, runs in by_way.items() if way != "stored"
        },
    }


def memory_rows(answer: MemoryAnswer) -> list[Record]:
    """One row for each depth and way."""
    return [asdict(d) for d in answer.memory.depths]


def parallel(answer: ParallelAnswer) -> Record:
    """{made, networks, attacks, differentials, ciphers, notes}."""
    p = answer.parallel
    return {
        "made": asdict(p.made),
        "networks": [asdict(n) for n in p.nets],
        "attacks": [asdict(a) for a in p.attacks],
        "differentials": [asdict(d) for d in p.differentials],
        "ciphers": [asdict(c) for c in p.ciphers],
        "notes": list(answer.notes),
    }


def parallel_rows(answer: ParallelAnswer) -> list[Record]:
    """One row for each round of each network and cipher."""
    rows: list[Record] = []
    for n in answer.parallel.nets:
        for i, flipped in enumerate(n.flipped):
            rows.append(
                {"name": n.kind, "trained": n.trained, "round": i, "flipped": flipped, "touched": n.touched[i],
                 "size": n.size[i], "jacobian": n.jacobian[i - 1] if i else None}
            )  # fmt: skip
    for c in answer.parallel.ciphers:
        rows += [{"name": c.name, "trained": None, "round": i, "flipped": share} for i, share in enumerate(c.flipped)]
    return rows
