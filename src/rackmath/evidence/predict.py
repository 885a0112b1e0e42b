"""Answers for measured rows: grouped by what changes structure, everything else a column."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Number
from ..errors import BadInput
from ..kernel.counts import Pass
from ..kernel.efficiency import Efficiency, default_efficiency
from ..kernel.roofline import PassTime
from ..layout.footprint import device_cache_bytes, footprint
from ..layout.forward import forward
from ..layout.parallelism import Layout, illegal
from ..serving.speculative import Speculation, own_layers, with_drafts
from ..serving.steady import BUSY_LIMIT, at_concurrency, steady
from ..world import catalog
from ..world.engine import TYPICAL, Engine
from ..world.machine import Machine
from ..world.model import Model
from ..world.precision import Precision
from ..world.workload import Traffic
from .rows import Row

Column = NDArray[np.float64]

MTP_DEPTH, MTP_ACCEPTANCE = 3.0, 0.7
"""What rows with multi-token prediction are read as; they state neither. Nothing is fitted on them."""

OUTPUTS = ("tpot", "ttft", "tput_per_gpu", "output_tput_per_gpu", "tpot_bound", "ttft_bound", "batch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The answer for one row, in SI units and the row's own conventions; None and a reason where there is none.

    `batch`: sequences that decode in one worker. `tpot_bound` is that of this batch; where the row does not say how
    many workers share its concurrency, that of a single sequence in each.
    """

    row: Row
    reason: str = ""
    tpot: float | None = None
    ttft: float | None = None
    tput_per_gpu: float | None = None
    output_tput_per_gpu: float | None = None
    tpot_bound: float | None = None
    ttft_bound: float | None = None
    batch: float | None = None
    layout: Layout | None = None
    notes: tuple[str, ...] = ()

    @property
    def answered(self) -> bool:
        return not self.reason

    @property
    def beats_bound(self) -> bool:
        """Whether the measured time per token is shorter than the bound: row, reading or model must be wrong."""
        seen = self.row.measured.tpot
        return self.tpot_bound is not None and seen is not None and seen < self.tpot_bound * (1 - 1e-9)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setting:
    """What all rows of a group share."""

    model: Model
    machine: Machine
    precision: Precision
    engine: Engine
    efficiency: Efficiency
    speculation: Speculation | None


def predict(
    rows: Sequence[Row], *, engine: Engine = TYPICAL, efficiency: Efficiency | None = None
) -> tuple[Prediction, ...]:
    """An answer or a reason for every row, in their order."""
    found: list[Prediction | None] = [None] * len(rows)
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        if row.reason:
            found[i] = Prediction(row=row, reason=row.reason)
        else:
            groups[row.model, row.machine, row.engine, row.weights, row.speculation, row.mode].append(i)
    for members in groups.values():
        for i, one in zip(members, _group([rows[i] for i in members], engine, efficiency), strict=True):
            found[i] = one
    return tuple(one for one in found if one is not None)


def _group(rows: Sequence[Row], engine: Engine, efficiency: Efficiency | None) -> list[Prediction]:
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
    of = _Setting(
        model=model, machine=machine, precision=precision, engine=engine,
        efficiency=efficiency or default_efficiency(), speculation=drafts,
    )  # fmt: skip
    columns, reasons = (_aggregated if first.prefill is None else _disaggregated)(of, rows)
    extra = ("drafts of depth 3 kept at 0.7 assumed",) if drafts else ()
    return [
        Prediction(row=row, reason=why, notes=row.readings + extra)
        if why
        else Prediction(
            row=row, layout=row.decode.layout, notes=row.readings + extra,
            **{name: float(column[i]) for name, column in columns.items()},
        )
        for i, (row, why) in enumerate(zip(rows, reasons, strict=True))
    ]  # fmt: skip


@cache
def named(model: str, machine: str, engine: str, weights: str) -> tuple[Model, Machine, Precision]:
    """The model in the row's format, the machine, and the formats of weights and cache.

    A checkpoint published in four bits keeps its format whatever the row says. Rows do not state the cache's format:
    TensorRT-LLM keeps it in FP8 beside narrow weights, and so do the published launch scripts on machines that
    multiply in four bits; other engines keep 16 bits.
    """
    on = catalog.machine(machine)
    chosen = catalog.model(model)
    wanted = {"fp4": "nvfp4" if on.vendor == "NVIDIA" else "mxfp4", "fp8_block": "fp8"}.get(weights, weights)
    own = {getattr(chosen.precision, part).name for part in ("attention", "mlp", "experts")}
    four_bits = any("4" in name for name in own)
    if wanted and not four_bits and not any(name.startswith(wanted) for name in own):
        chosen = catalog.model(f"{model}-{wanted.upper()}")
    precision = chosen.precision
    narrow = min(precision.mlp.bytes, precision.experts.bytes) < 2
    widest = precision.kv.bytes > 1
    native4 = bool(float(on.peak_fp4)) and (on.vendor == "NVIDIA" or precision.experts.bytes < 1)
    if narrow and widest and ("trt" in engine or native4):
        precision = precision.with_kv("fp8")
    return chosen, on, precision


def _column(values: Sequence[float]) -> Column:
    return np.array(values, dtype=float)


def _layout(layouts: Sequence[Layout]) -> Layout:
    return Layout(**{name: _column([float(getattr(x, name)) for x in layouts]) for name in ("tp", "pp", "dp", "ep")})


def _traffic(rows: Sequence[Row]) -> Traffic:
    return Traffic(isl=_column([r.isl for r in rows]), osl=_column([r.osl for r in rows]))


def _refused(model: Model, layout: Layout, n: int) -> list[str]:
    """Why each layout cannot run the model; empty where it can."""
    found = illegal(model, layout)
    return ["; ".join(why for why, bad in found.items() if np.broadcast_to(bad, (n,))[i]) for i in range(n)]


# --- one pool -----------------------------------------------------------------------------------------------------


def _aggregated(of: _Setting, rows: Sequence[Row]) -> tuple[dict[str, Column], list[str]]:
    n = len(rows)
    layout, traffic = _layout([r.decode.layout for r in rows]), _traffic(rows)
    reasons = _refused(of.model, layout, n)
    wanted = _column([r.concurrency for r in rows])
    args = (of.model, of.machine, of.precision, layout, of.engine, of.efficiency, traffic)
    s = at_concurrency(*args, wanted, speculation=of.speculation)
    most = np.asarray(s.footprint.batch_max)
    if np.any(np.asarray(s.batch) > most):  # the engine lets the rest wait
        s = steady(*args, np.minimum(np.asarray(s.batch), np.maximum(most, 1.0)), speculation=of.speculation)
    weights, room = np.broadcast_to(s.footprint.weights, (n,)), float(of.machine.hbm_capacity)
    for i in np.flatnonzero(most < 1):
        reasons[i] = reasons[i] or _too_large(of, float(weights[i]), room)
    kept: Number = of.speculation.kept if of.speculation else 1.0
    steps = np.maximum((np.asarray(traffic.osl) - 1) / kept, 1.0) * kept
    ttft = np.maximum(np.asarray(s.ttft), wanted / np.asarray(s.request_rate) - steps * np.asarray(s.tpot))
    waits = np.asarray(s.batch) >= most * (1 - 1e-9)
    return {
        "tpot": np.asarray(s.tpot),
        "ttft": np.where(waits, ttft, np.asarray(s.ttft)),
        "tput_per_gpu": np.asarray(s.tput_per_gpu),
        "output_tput_per_gpu": np.asarray(s.output_tput_per_gpu),
        "tpot_bound": np.asarray(s.tpot_bound),
        "ttft_bound": np.asarray(s.ttft_bound),
        "batch": np.asarray(s.batch),
    }, reasons


def _too_large(of: _Setting, weights: float, room: float) -> str:
    return (
        f"{of.model.name} takes {weights / 1e9:.0f} GB of each device's {room / 1e9:.0f} GB in this layout, and"
        " leaves no room for a sequence"
    )


# --- two pools ----------------------------------------------------------------------------------------------------


def _disaggregated(of: _Setting, rows: Sequence[Row]) -> tuple[dict[str, Column], list[str]]:
    """Prefill workers feed decode workers; a closed loop of `concurrency` requests goes round through both."""
    n = len(rows)
    traffic = _traffic(rows)
    isl, osl = np.asarray(traffic.isl), np.asarray(traffic.osl)
    first, second = _layout([r.prefill.layout for r in rows if r.prefill]), _layout([r.decode.layout for r in rows])
    n_first = _column([r.prefill.count for r in rows if r.prefill])
    n_second = _column([r.decode.count for r in rows])
    wanted = _column([r.concurrency for r in rows])
    reasons = [a or b for a, b in zip(_refused(of.model, first, n), _refused(of.model, second, n), strict=True)]
    kept: Number = of.speculation.kept if of.speculation else 1.0
    width: Number = of.speculation.width if of.speculation else 1.0

    def run(layout: Layout, work: Pass) -> PassTime:
        return forward(of.model, of.machine, of.precision, layout, work, of.efficiency)

    def step(batch: Column) -> PassTime:
        work = Pass(decode=np.maximum(batch, 1.0), context=isl + osl / 2, width=width)
        found = run(second, work)
        if of.speculation is None:
            return found
        return with_drafts(found, of.speculation, of.machine, second, work, of.efficiency)

    lone = run(first, Pass(prefill=isl, prompt=isl))
    full = run(first, Pass(prefill=isl * first.dp, prompt=isl, busiest=1 / first.dp))
    most_rate = BUSY_LIMIT * n_first * first.dp / np.asarray(full.estimate)
    whole = device_cache_bytes(of.model, of.precision, Layout(), isl)
    links = np.minimum(first.tp, second.tp) * max(float(of.machine.scaleout_bandwidth), 1.0)
    moved = whole / links
    alone = np.asarray(lone.estimate) + moved + of.efficiency.request_overhead
    holds = footprint(of.model, of.machine, of.precision, second, of.engine, isl + osl)
    most = np.asarray(holds.batch_max)
    tokens = np.maximum(osl - 1, 1.0)
    batch = np.minimum(wanted / n_second, np.maximum(most, 1.0))
    for _ in range(12):
        tpot = np.asarray(step(batch).estimate) / kept
        rate = np.minimum(wanted / (alone + tokens * tpot), most_rate)
        batch = 0.5 * batch + 0.5 * np.minimum(rate * tokens * tpot / n_second, np.maximum(most, 1.0))
    time = step(batch)
    tpot = np.asarray(time.estimate) / kept
    rate = np.minimum(n_second * batch / (tokens * tpot), most_rate)
    fewest = np.where([r.counted for r in rows], batch, 1.0)
    room = float(of.machine.hbm_capacity)
    for i in np.flatnonzero(most < 1):
        reasons[i] = reasons[i] or _too_large(of, float(np.broadcast_to(holds.weights, (n,))[i]), room)
    decoding, all_devices = n_second * second.gpus, n_second * second.gpus + n_first * first.gpus
    return {
        "tpot": tpot,
        "ttft": np.maximum(alone, wanted / rate - tokens * tpot),
        "tput_per_gpu": rate * (isl + osl) / all_devices,
        "output_tput_per_gpu": rate * osl / decoding,
        "tpot_bound": np.asarray(step(fewest).bound / width) * np.ones(n),
        "ttft_bound": np.asarray(lone.bound) * np.ones(n),
        "batch": batch,
    }, reasons
