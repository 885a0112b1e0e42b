"""Answers for measured rows: grouped by what changes structure, everything else a column."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput
from ..kernel.efficiency import Efficiency, of_age
from ..layout.parallelism import Layout
from ..serving.replica import Replica
from ..serving.speculative import own_layers
from ..world import catalog
from ..world.engine import TYPICAL, Engine, released
from ..world.engine_names import engine as named_engine
from ..world.engine_names import engine_key
from ..world.machine import Machine
from ..world.model import Model
from ..world.precision import Precision
from .one_pool import aggregated
from .rows import Row
from .two_pools import disaggregated

Column = NDArray[np.float64]

MTP_DEPTH, MTP_ACCEPTANCE = 3.0, 0.6
"""What rows with multi-token prediction are read as; they state neither. The acceptance is one number for all of
them, chosen to the nearest tenth so that their times per token are met on average."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The answer for one row, in SI units and the row's own conventions; None and a reason where there is none.

    `tpot` and `ttft` are means over the run's requests, with their medians beside them.

    `batch`: sequences that decode in one worker. `tpot_bound` is that of this batch; where the row does not say how
    many workers share its concurrency, that of a single sequence in each.
    """

    row: Row
    reason: str = ""
    tpot: float | None = None
    ttft: float | None = None
    tpot_median: float | None = None
    ttft_median: float | None = None
    tput_per_gpu: float | None = None
    output_tput_per_gpu: float | None = None
    tpot_bound: float | None = None
    ttft_bound: float | None = None
    batch: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def answered(self) -> bool:
        return not self.reason

    @property
    def beats_bound(self) -> bool:
        """Whether a measured time is shorter than its bound: then row, reading or model is wrong."""
        seen = self.row.measured
        pairs = ((seen.tpot, self.tpot_bound), (seen.ttft, self.ttft_bound))
        return any(m is not None and b is not None and m < b * (1 - 1e-9) for m, b in pairs)


Under = Callable[[Efficiency], Efficiency]
"""The constants in force for a row, given the fitted ones."""


def predict(rows: Sequence[Row], *, engine: Engine = TYPICAL, under: Under = lambda e: e) -> tuple[Prediction, ...]:
    """An answer or a reason for every row, in their order."""
    found: list[Prediction | None] = [None] * len(rows)
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        if row.reason:
            found[i] = Prediction(row=row, reason=row.reason)
        else:
            key = (row.model, row.machine, row.engine, row.weights, row.speculation, row.mode)
            groups[*key, str(age(row)), str(row.spread)].append(i)
    for members in groups.values():
        for i, one in zip(members, _group([rows[i] for i in members], engine, under), strict=True):
            found[i] = one
    return tuple(one for one in found if one is not None)


def age(row: Row) -> float | None:
    """Months from January 2026 to the release of a row's engine, where version or date tell."""
    found = re.search(r"\d+\.\d+[\w.]*", row.version.rpartition(":")[2])
    return released(engine_key(row.engine), found.group(0) if found else "", row.date)


def _group(rows: Sequence[Row], engine: Engine, under: Under) -> list[Prediction]:
    first = rows[0]
    try:
        model, machine, precision = named(first.model, first.machine, first.engine, first.weights)
        drafts = None
        if first.speculation == "mtp":
            drafts = own_layers(model, precision, depth=MTP_DEPTH, acceptance=MTP_ACCEPTANCE)
        elif first.speculation not in ("none", "unstated"):
            raise BadInput(f"speculation {first.speculation!r} is not known")
    except BadInput as error:
        return [Prediction(row=row, reason=str(error)) for row in rows]
    if engine == TYPICAL and engine_key(first.engine):
        engine = named_engine(first.engine)
    efficiency = under(of_age(machine.generation, engine.name, age(first)))
    of = Replica(model, machine, precision, Layout(), engine, efficiency, drafts)
    columns, reasons = (aggregated if first.prefill is None else disaggregated)(of, rows)
    assumed = (f"depth {MTP_DEPTH:g} and acceptance {MTP_ACCEPTANCE:g} assumed",) if drafts else ()
    return [
        _answer(row, why, row.readings + assumed, {name: float(column[i]) for name, column in columns.items()})
        for i, (row, why) in enumerate(zip(rows, reasons, strict=True))
    ]


def _answer(row: Row, why: str, notes: tuple[str, ...], values: Mapping[str, float]) -> Prediction:
    if why:
        return Prediction(row=row, reason=why, notes=notes)
    return Prediction(
        row=row,
        tpot=values["tpot"],
        ttft=values["ttft"],
        tpot_median=values.get("tpot_median", values["tpot"]),
        ttft_median=values.get("ttft_median", values["ttft"]),
        tput_per_gpu=values["tput_per_gpu"],
        output_tput_per_gpu=values["output_tput_per_gpu"],
        tpot_bound=values["tpot_bound"],
        ttft_bound=values["ttft_bound"],
        batch=values["batch"],
        notes=notes,
    )


FORMATS = {"fp8_block": "fp8", "int4": "w4a16", "int4_wo": "w4a16", "w4a16_mxfp4": "mxfp4", "bfloat16": "bf16"}
"""Words of these files for the formats of weights, beside "fp4"."""


@cache
def named(model: str, machine: str, engine: str, weights: str) -> tuple[Model, Machine, Precision]:
    """The model in the row's format, the machine, and the formats of weights and cache.

    A label chooses the checkpoint of that format, or a scheme of it: an NVFP4 row of a model published in INT4 runs
    NVFP4. "fp4" alone is whichever four-bit float the checkpoint was published in, and one published in four bits
    keeps its format under a label of more bits. Rows do not state the cache's format:
    TensorRT-LLM keeps it in FP8 beside narrow weights, and so do the published launch scripts on machines that
    multiply in four bits; other engines keep 16 bits.
    """
    on = catalog.machine(machine)
    chosen = catalog.model(model)
    wanted = {"fp4": "nvfp4" if on.vendor == "NVIDIA" else "mxfp4"}.get(weights, FORMATS.get(weights, weights))
    own = {getattr(chosen.precision, part).name for part in ("attention", "mlp", "experts")}
    floats = weights == "fp4" and any("fp4" in name for name in own)
    kept = floats or ("4" not in wanted and any("4" in name for name in own))
    if wanted and not kept and not any(name.startswith(wanted) for name in own):
        chosen = catalog.model(f"{model}-{wanted.upper()}")
    precision = chosen.precision
    narrow = min(precision.mlp.bytes, precision.experts.bytes) < 2
    widest = precision.kv.bytes > 1
    native4 = bool(float(on.peak_fp4)) and (on.vendor == "NVIDIA" or precision.experts.bytes < 1)
    if narrow and widest and ("trt" in engine or native4):
        precision = precision.with_kv("fp8")
    return chosen, on, precision
