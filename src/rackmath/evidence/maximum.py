"""Maximum load: how many tokens a second a box gives when requests never run out.

`trtllm-max`: all requests of a fixed length queued at once, layout stated. `mlperf`: audited results, layout and
lengths not stated; lengths are the benchmark's published means (`data/facts/benchmarks.toml`), the layout is the best
one.

A replica is put in its steady state at every batch of a list up to what memory holds (at most `MOST_SEQUENCES` for
each rank), and the highest rate at which prefill keeps pace is taken; with a limit on latency, the highest that keeps
it. The bound is that of a batch for which every byte beside the weights is cache.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from .. import shipped
from ..errors import BadInput, unknown
from ..layout.footprint import footprint
from ..layout.parallelism import Layout
from ..serving.replica import Replica
from ..serving.steady import steady
from ..world import catalog
from ..world.engine import Engine
from ..world.machine import Machine
from ..world.model import Model
from ..world.workload import Traffic
from .answer import Asked, Estimate, RowScores, Text, each, needed, number, whole
from .predict import named
from .static_batch import Setup, check, decode_seconds, prefill_seconds

TRTLLM = ("out_tok_s_per_gpu", "out_tok_s_total")
MLPERF_PREDICTED = (
    "tokens_per_s_per_accel",
    "offline_tokens_per_s",
    "tokens_per_s_inferred",
    "server_tokens_per_s",
    "server_tokens_per_s_inferred",
    "samples_per_s",
    "completed_samples_per_s",
    "tokens_per_s",
    "e2e_p50_s",
)
MLPERF = (
    *MLPERF_PREDICTED,
    "scheduled_samples_per_s",
    "target_qps",
    "ttft_p50_s",
    "ttft_p90_s",
    "ttft_p99_s",
    "ttft_p99.9_s",
    "tpot_p50_s",
    "tpot_p90_s",
    "tpot_p99_s",
    "tpot_p99.9_s",
    "ttft_mean_s",
    "tpot_mean_s",
    "e2e_p99_s",
)

MOST_SEQUENCES = 2048.0
"""Sequences an engine decodes at once on one rank: the default limit of TensorRT-LLM."""

BATCHES = np.concatenate([np.geomspace(1e-3, 0.5, 10), np.unique(np.round(np.geomspace(1, MOST_SEQUENCES, 45)))])
"""Batches tried; below 1 a replica decodes less than one sequence at a time, busy with prompts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FullLoad:
    """A replica under as much load as it takes: requests per second, of all `layout.gpus` devices, and the bound."""

    layout: Layout
    batch: float
    rate: float
    bound: float


def most_load(
    of: Setup, traffic: Traffic, engine: Engine, *, max_ttft: float = np.inf, max_tpot: float = np.inf, beams: float = 1.0
) -> FullLoad:
    """The highest rate of requests of one replica; BadInput where it holds none or meets no limit.

    With beam search each request decodes as `beams` sequences behind one prompt, which the others find in the cache;
    the bound grants that the beams cost nothing.
    """
    check(of)
    model, machine, precision, layout = of.model, of.machine, of.precision, of.layout
    longest = traffic.isl + traffic.osl  # what an engine keeps free for a sequence it never evicts
    holds = footprint(model, machine, precision, layout, engine, longest, traffic.isl)
    beside = float(holds.capacity - holds.weights)
    if beside <= 0:
        raise BadInput(
            f"{model.name} takes {float(holds.weights) / 1e9:.0f} GB of each device's "
            f"{float(holds.capacity) / 1e9:.0f} GB in {layout.label()}"
        )
    mean = footprint(model, machine, precision, layout, engine, traffic.isl + traffic.osl / 2, traffic.isl)
    bare = max(beside / max(float(mean.per_sequence), 1.0) * float(layout.dp), 1.0)
    room = min(float(holds.batch_max), MOST_SEQUENCES * float(layout.dp * layout.pp))
    if room < 1:  # the run took place: all memory beside the weights was cache
        room = max(np.floor(beside / max(float(holds.per_sequence), 1.0) * float(layout.dp)), 1.0)
    batch = np.append(BATCHES[room > BATCHES], room)
    searched = replace(traffic, cached=1 - 1 / beams)
    replica = Replica(model, machine, precision, layout, engine, of.efficiency)
    many = steady(replica, searched, batch, bounds=False)
    kept = np.broadcast_to(many.keeps_pace, batch.shape)
    good = kept & np.broadcast_to(many.tpot <= max_tpot, batch.shape)
    good = good & np.broadcast_to(many.ttft <= max_ttft, batch.shape)
    if not good.any():
        limited = "no batch meets the limits of latency" if kept.any() else "prefill keeps pace with no batch"
        raise BadInput(f"{model.name} on {machine.name} in {layout.label()}: {limited}")
    rate = np.where(good, np.broadcast_to(many.request_rate, batch.shape), 0.0)
    best = int(np.argmax(rate))
    most = steady(replica, traffic, max(bare, room), bounds=False)
    return FullLoad(layout=layout, batch=float(batch[best]), rate=float(rate[best]) / beams, bound=float(most.request_rate_bound))


# --- TensorRT-LLM -------------------------------------------------------------------------------------------------


def read_trtllm(rows: Sequence[Text], asked: Asked) -> list[RowScores]:
    """Answers for rows with the columns model, gpu, precision, layout, n_gpus, isl, osl."""
    return each(rows, lambda row: _trtllm(row, asked), _trtllm_keys)


def _trtllm_keys(row: Text) -> RowScores:
    engine = f"trtllm {row.get('trtllm_doc_version', '')}".strip()
    return RowScores(system=row.get("gpu", ""), model=row.get("model", ""), engine=engine, mode="maximum load")


def _trtllm(row: Text, asked: Asked) -> RowScores:
    weights = (row.get("precision") or "").strip().lower()
    weights = {"fp16": "bf16", "nvfp4": "fp4", "mxfp4": "fp4"}.get(weights, weights)
    model, machine, precision = named(row.get("model", ""), row.get("gpu", ""), "trtllm", weights)
    layout = layout_named(row.get("layout", ""), whole(row, "n_gpus", 1.0))
    traffic = Traffic(isl=needed(row, "isl"), osl=needed(row, "osl"), closed=True)
    efficiency = asked.offline(machine, "trtllm", row.get("trtllm_doc_version", ""))
    of = Setup(model=model, machine=machine, precision=precision, layout=layout, efficiency=efficiency)
    load = most_load(of, traffic, asked.engine)
    osl = float(traffic.osl)
    rate = Estimate(pred=load.rate * osl, bound=load.bound * osl, most=True)
    return replace(
        _trtllm_keys(row),
        estimates={"out_tok_s_total": rate, "out_tok_s_per_gpu": rate.times(1 / float(layout.gpus))},
        notes=(f"{layout.label()}, {load.batch:,.0f} sequences",),
    )


_DEGREE = re.compile(r"(DEP|TEP|DTP|TP|EP|DP|PP)[ =]?(\d+)")


def layout_named(words: str, devices: float) -> Layout:
    """A layout in the words of TensorRT-LLM's tables: DEPn is attention DP and expert parallelism over n devices.

    >>> layout_named("DEP8", 8).label(), layout_named("TP4 EP4", 4).label(), layout_named("TP2, PP4", 8).label()
    ('TP1 DP8 EP8', 'TP4 EP4', 'TP2 PP4')
    >>> layout_named("", 4).label()
    'TP4'
    """
    found = {name: float(n) for name, n in _DEGREE.findall(words.upper())}
    if words.strip() and not found:
        raise BadInput(f"layout {words!r:.40} is not known; give one like TP8, DEP8 or TP4 PP2")
    if "DEP" in found:
        return Layout(dp=found["DEP"], ep=found["DEP"], pp=found.get("PP", 1.0))
    if "TEP" in found:
        return Layout(tp=found["TEP"], ep=found["TEP"], pp=found.get("PP", 1.0))
    pp = found.get("PP", 1.0)
    if not found:
        return Layout(tp=devices)
    return Layout(tp=found.get("TP", 1.0), dp=found.get("DP", 1.0), ep=found.get("EP", 1.0), pp=pp)


# --- MLPerf -------------------------------------------------------------------------------------------------------


def read_mlperf(rows: Sequence[Text], asked: Asked) -> list[RowScores]:
    """Answers for rows of MLPerf results: tokens and samples per second, offline or within the server's limits."""
    return each(rows, lambda row: _mlperf(row, asked), _mlperf_keys)


def _mlperf_keys(row: Text) -> RowScores:
    division = row.get("division", "closed") or "closed"
    valid = row.get("validity", "VALID") in ("", "VALID")
    mode = row.get("scenario", "").lower() + ("" if division == "closed" else f", {division}")
    said = row.get("framework", "").lower()
    first = re.match(r"[a-z-]*", said)
    known = next((name for name in ("tensorrt", "vllm", "pytorch", "jax") if name in said), "")
    known = known or ("tensorrt" if "cuda" in said else "")
    return RowScores(
        system=_device(row),
        model=row.get("benchmark", ""),
        engine=known or (first.group() if first else "") or "unstated",
        mode=mode + ("" if valid else ", invalid"),
    )


def _device(row: Text) -> str:
    """The accelerator, or the processor where there is none."""
    name = row.get("accelerator_model_name", "").strip()
    return name if name not in ("", "N/A", "NA", "none", "None") else row.get("host_processor_model_name", "")


def _mlperf(row: Text, asked: Asked) -> RowScores:
    keys, bench = _mlperf_keys(row), benchmark(row.get("benchmark", ""))
    device, devices = _box(row)
    weights = _weights(row, device, keys.engine)
    chosen, machine, precision = named(bench["model"], device, _cache_of(keys.engine), weights)
    osl, scenario = float(bench["osl"]), row.get("scenario", "").lower()
    traffic = Traffic(isl=float(bench["isl"]), osl=osl, closed=scenario != "server")
    machine = replace(machine, n_devices=devices)
    efficiency = asked.compiled(machine) if "tensorrt" in keys.engine.lower() else asked.offline(machine, keys.engine)
    of = Setup(model=chosen, machine=machine, precision=precision, layout=Layout(), efficiency=efficiency)
    beams = float(bench.get("beams", 1))
    if scenario == "singlestream":
        return replace(keys, estimates=_single(of, traffic, beams))
    best = _best(of, traffic, asked.engine, beams, _limits(row, bench) if scenario == "server" else {})
    copies = devices // float(best.layout.gpus)
    samples = Estimate(pred=copies * best.rate, bound=copies * best.bound, most=True)
    tokens = samples.times(osl)
    found = dict.fromkeys(
        ("server_tokens_per_s", "server_tokens_per_s_inferred")
        if scenario == "server"
        else ("offline_tokens_per_s", "tokens_per_s_inferred"),
        tokens,
    )
    found["completed_samples_per_s" if scenario == "server" else "samples_per_s"] = samples
    found |= {"tokens_per_s": tokens, "tokens_per_s_per_accel": tokens.times(1 / devices)}
    note = f"{copies:g} x {best.layout.label()}, {best.batch:,.0f} sequences each, weights {precision.mlp.name}"
    return replace(keys, estimates=found, notes=(note,))


def _box(row: Text) -> tuple[str, float]:
    """The device's name and how many there are; a system without accelerators runs on its processors."""
    nodes = whole(row, "number_of_nodes", 1.0)
    name = row.get("accelerator_model_name", "").strip()
    column = "accelerators_per_node" if _device(row) == name else "host_processors_per_node"
    return _device(row), nodes * whole(row, column)


def _weights(row: Text, device: str, engine: str) -> str:
    """The format of the weights: as stated, but what TensorRT runs from 16 bits is quantised to the narrowest it can.

    Its submissions name the format of the checkpoint: 70B of 16 bits would leave an H100 no room for a sequence, and
    GPT-J in 16 bits would take an Orin longer to read than its answers took. Where a device multiplies in no narrow
    floating-point format, the weights alone have four bits.
    """
    stated = row.get("weight_data_types", "").strip().lower().split(",")[0].split("+")[0]
    on = catalog.machine(device)
    if stated in ("fp16", "bf16") and engine == "tensorrt":
        return "fp4" if float(on.peak_fp4) else "fp8" if float(on.peak_fp8) else "w4a16"
    return {"fp16": "bf16", "bf16": "bf16", "fp32": "bf16", "int4": "w4a16", "uint4": "w4a16"}.get(stated, stated)


def _cache_of(engine: str) -> str:
    return "trtllm" if engine == "tensorrt" else engine


def _limits(row: Text, bench: Mapping[str, Any]) -> dict[str, float]:
    """Limits of latency: the row's own, else the benchmark's."""
    found = {}
    for name in ("ttft", "tpot"):
        limit = number(row, f"{name}_limit_s") or bench.get(name)
        if limit:
            found[f"max_{name}"] = float(limit)
    if "latency" in bench and "max_tpot" not in found:
        found["max_tpot"] = float(bench["latency"]) / float(bench["osl"])
    return found


def _best(of: Setup, traffic: Traffic, engine: Engine, beams: float, limits: Mapping[str, float]) -> FullLoad:
    """The layout with the highest rate over all devices; its bound is the highest of any layout."""
    found, reasons = [], []
    devices = of.machine.n_devices
    for layout in _layouts(of.model, of.machine):
        try:
            found.append(most_load(replace(of, layout=layout), traffic, engine, beams=beams, **limits))
        except BadInput as error:
            reasons.append(str(error))
    if not found:
        raise BadInput(reasons[-1] if reasons else f"no layout of {of.model.name} fits {of.machine.name}")
    copies = [devices // float(one.layout.gpus) for one in found]
    best = int(np.argmax([n * one.rate for n, one in zip(copies, found, strict=True)]))
    most = max(n * one.bound for n, one in zip(copies, found, strict=True))
    return replace(found[best], bound=most / copies[best])


def _layouts(model: Model, machine: Machine) -> Iterator[Layout]:
    """Replicas of 1, 2, 4, ... devices: tensor parallel, in stages, or with experts apart."""
    n = int(machine.n_devices)
    sizes = [size for size in range(1, n + 1) if n % size == 0 or size & (size - 1) == 0]
    for size in sizes:
        tp = 1
        while tp <= size:
            if size % tp == 0 and tp <= max(machine.domain, 1):
                yield Layout(tp=float(tp), pp=float(size // tp))
            tp *= 2
        if model.has_experts and size > 1:
            yield Layout(tp=float(size), ep=float(size))
            yield Layout(dp=float(size), ep=float(size))


def _single(of: Setup, traffic: Traffic, beams: float) -> dict[str, Estimate]:
    """Latency of one request at a time on one device."""
    isl, osl = float(traffic.isl), float(traffic.osl)
    first = prefill_seconds(of, 1.0, isl)
    pred = first + decode_seconds(of, beams, isl, osl - 1)
    least = first + decode_seconds(of, 1.0, isl, osl - 1)
    return {"e2e_p50_s": Estimate(pred=pred.estimate, bound=least.bound)}


@cache
def benchmarks() -> Mapping[str, Mapping[str, Any]]:
    """Model, mean lengths and limits of MLPerf's benchmarks, each with its source."""
    return shipped.read(shipped.FACTS / "benchmarks.toml")


def benchmark(name: str) -> Mapping[str, Any]:
    """A benchmark by its name; the accuracy target, the maker and the number format in it say nothing here.

    >>> benchmark("llama2-70b-99.9")["osl"], benchmark("llama3_1-405b")["isl"]
    (294.45, 9400)
    """
    key = name.strip().lower().replace("llama3_1", "llama3.1").replace("neuralmagic_", "")
    key = re.sub(r"-(?:99(?:\.9)?|fp8|edge|datacenter)$", "", key)
    found = benchmarks().get(key)
    if found is None:
        raise unknown("benchmark", name, benchmarks())
    return found
