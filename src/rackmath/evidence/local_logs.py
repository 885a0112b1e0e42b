"""What llama.cpp, Ollama and MLX logged about memory, beside what is predicted (`data/facts/local_logs.toml`).

Weights and cache are sums over cards, scratch is the compute buffer of the card that needs most. Nothing is fitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from .. import shipped
from ..layout import local
from ..layout.footprint import device_cache_bytes, device_weight_bytes
from ..layout.parallelism import Layout
from ..world import catalog
from ..world.description import build
from ..world.engine import Engine
from ..world.engine_names import engine
from ..world.gguf import served_in

GIB = 2.0**30


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalLog:
    """One log beside its prediction: GiB by term, of those terms that were printed."""

    id: str
    engine: str
    logged: Mapping[str, float]
    predicted: Mapping[str, float]
    source: str
    why: str = ""

    @property
    def errors(self) -> dict[str, float]:
        """Predicted over logged less one, by term."""
        return {term: self.predicted[term] / value - 1 for term, value in self.logged.items()}


@cache
def local_logs() -> tuple[LocalLog, ...]:
    """Every log of the file, worked out.

    >>> abs(local_logs()[0].errors["cache"]) < 1e-6
    True
    """
    raw = shipped.read(shipped.FACTS / "local_logs.toml")
    return tuple(_beside(row) for row in raw["log"])


def _set(row: Mapping[str, Any]) -> Engine:
    of = engine(row["engine"])
    return replace(
        of,
        chunk_tokens=float(row.get("ubatch", of.chunk_tokens)),
        flash=row.get("flash", of.flash),
        mask_bytes=float(row.get("mask_bytes", of.mask_bytes)),
        pipelined=row.get("pipelined", of.pipelined),
    )


def _beside(row: Mapping[str, Any]) -> LocalLog:
    model = build(row["description"]) if "description" in row else catalog.model(row["model"])
    machine, of = catalog.machine(row["machine"]), _set(row)
    precision = served_in(model, row["precision"], row.get("kv", "bf16"))
    slots, context, one = float(row.get("slots", 1)), float(row["context"]), Layout()
    weights = float(device_weight_bytes(local.resident(model), precision, one))
    if machine.unified and not model.tied_embeddings:
        weights += local.shared_bytes(model, precision)
    kept = local.padded(model, of.chunk_tokens)
    cache = slots * float(device_cache_bytes(kept, precision, one, float(local.cells(context))))
    cards = Layout(pp=float(machine.n_devices))
    scratch = float(local.compute_buffer(model, cards, of, slots * context))
    found = {"weights": weights, "cache": cache, "scratch": scratch, "whole": weights + cache + scratch}
    logged = {term: float(row[term]) for term in found if term in row}
    return LocalLog(
        id=row["id"],
        engine=of.name,
        logged=logged,
        predicted={k: v / GIB for k, v in found.items()},
        source=row["source"],
        why=row.get("why", ""),
    )
