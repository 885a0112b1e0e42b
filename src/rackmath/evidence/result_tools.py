"""A record of each benchmark tool as a run; which key of which tool says what is written down here, nowhere else."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BadInput
from ..layout.parallelism import Layout
from ..world.engine_names import engine_key
from .results import MOST_RUNS, FileFacts, MeasuredPoint, Record, dig, number, paths, positive, records, tool_of
from .rows import ROUNDS, Row, fixed_seq, silicon

Reader = Callable[[Record, str], MeasuredPoint]

DRAFTS = "run with speculative decoding: a step is not a token"
NO_TPOT = "no time per output token"


# --- rows that name everything ------------------------------------------------------------------------------------


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value)
    return repr(value) if isinstance(value, float) else str(value)


def inferencex(record: Record, where: str) -> MeasuredPoint:
    """A row of InferenceX: its CSV, its API, or a job's `agg_*.json`.

    >>> run = inferencex({"hw": "h200", "model": "m", "framework": "vllm", "precision": "fp8", "tp": 8, "ep": 1,
    ...     "dp_attention": "false", "conc": 4, "isl": 1024, "osl": 1024, "median_tpot": 0.01}, "a.json")
    >>> run.row.machine, run.row.decode.layout.label(), run.row.measured.tpot
    ('h200', 'TP8', 0.01)
    """
    flat: dict[str, Any] = {**record}
    if isinstance(nested := flat.pop("metrics", None), Mapping):
        flat |= nested
    flat.setdefault("hardware", flat.get("hw"))
    given = {k: _text(v) for k, v in flat.items() if not isinstance(v, Mapping | list)}
    for name in ("disagg", "dp_attention", "prefill_dp_attention", "decode_dp_attention", "is_multinode"):
        given[name] = {"true": "True"}.get(given.get(name, "").lower(), "False")
    if not given.get("tp"):  # the API states one pool as its two equal halves
        given |= {name: given.get(f"decode_{name}", "") for name in ("tp", "ep", "dp_attention")}
    given.setdefault("spec_method", given.get("spec_decoding", ""))
    for key in ("median_tpot", "mean_tpot", "median_ttft", "mean_ttft"):
        positive(given, key, where)
    row = fixed_seq(given, 0)
    return _own(row, where, median=bool(given.get("median_tpot")))


def silicon_row(record: Record, where: str) -> MeasuredPoint:
    """A row of aiconfigurator's silicon sample: means."""
    given = {k: _text(v) for k, v in record.items()}
    for key in ("silicon_tpot_ms", "silicon_ttft_ms"):
        positive(given, key, where)
    return _own(silicon(given, 0), where, median=False)


def _own(row: Row, where: str, *, median: bool) -> MeasuredPoint:
    reason = row.reason
    if not reason and row.prefill is not None:
        reason = "two pools: only engines that prefill and decode on one are calibrated"
    if not reason and row.speculation not in ("none", "unstated", ""):
        reason = DRAFTS
    if not reason and row.measured.tpot is None:
        reason = NO_TPOT
    return MeasuredPoint(row=row, tool="", where=where, median=median, scripts=True, reason=reason, rounds=ROUNDS)


# --- vLLM and SGLang ----------------------------------------------------------------------------------------------


def vllm(record: Record, where: str) -> MeasuredPoint:
    """`vllm bench serve`, and benchmark_serving.py before it: milliseconds; `request_rate` is "inf" or a number.

    Keys that people add with --metadata are read where they are plain: tensor_parallel_size (tp), and so on, gpu,
    version, quantization.
    """
    engine = engine_key(str(record.get("backend") or record.get("endpoint_type") or "")) or "vllm"
    layout = _layout({name: _size(record, where, name) for name in _SIZES})
    ran = FileFacts(
        engine=engine,
        layout=layout,
        model=str(record.get("model_id") or ""),
        machine=str(dig(record, "gpu", "hardware", "machine") or ""),
        version=str(dig(record, "vllm_version", "engine_version", "version") or ""),
        weights=str(dig(record, "quantization", "precision") or ""),
        spread=_spread(record.get("output_lens")),
    )
    drafts = number(record, "spec_decode_acceptance_length", where)
    return _served(record, where, ran, requests=number(record, "num_prompts", where), drafts=drafts)


def sglang(record: Record, where: str) -> MeasuredPoint:
    """`python -m sglang.bench_serving`: milliseconds; `server_info` holds the server's arguments where it answered.

    With attention data-parallel, SGLang's tp counts all devices of a replica; without it, dp counts replicas.
    """
    info = record.get("server_info")
    server: Mapping[str, Any] = info if isinstance(info, Mapping) else {}
    tp, dp, ep, pp = (number(server, f"{name}_size", where) for name in ("tp", "dp", "ep", "pp"))
    layout, workers = None, 1.0
    if tp:
        attention = bool(server.get("enable_dp_attention")) and dp
        layout = Layout(tp=tp / (dp or 1.0) if attention else tp, dp=(dp or 1.0) if attention else 1.0, ep=ep or 1.0, pp=pp or 1.0)
        workers = 1.0 if attention else dp or 1.0
    ratio = number(record, "random_range_ratio", where)
    spread = _spread(record.get("output_lens"))
    if spread == 0 and ratio is not None and 0 <= ratio <= 1 and str(record.get("dataset_name")).startswith("random"):
        spread = (1 - ratio) / (1 + ratio)  # lengths are drawn from `ratio` of the stated one up to it
    ran = FileFacts(
        engine=engine_key(str(record.get("backend") or "sglang")) or "sglang",
        layout=layout,
        workers=workers,
        model=str(server.get("model_path") or record.get("model_id") or ""),
        version=str(server.get("version") or ""),
        weights=str(server.get("quantization") or ""),
        spread=spread,
    )
    drafts = number(record, "accept_length", where)
    return _served(record, where, ran, requests=number(record, "completed", where), drafts=drafts)


_SIZES = {
    "tp": ("tensor_parallel_size", "tp_size", "tp"),
    "dp": ("data_parallel_size", "dp_size", "dp"),
    "ep": ("expert_parallel_size", "ep_size", "ep"),
    "pp": ("pipeline_parallel_size", "pp_size", "pp"),
}


def _size(record: Record, where: str, name: str) -> float | None:
    key = next((k for k in _SIZES[name] if record.get(k) not in (None, "")), "")
    return number(record, key, where, least=1.0) if key else None


def _layout(sizes: Mapping[str, float | None]) -> Layout | None:
    found = {name: size for name, size in sizes.items() if size}
    return Layout(**found) if found else None


def _spread(lengths: Any) -> float:
    """Half the range of a uniform distribution over its mean, from the lengths of outputs; 0 if they are not told."""
    if not isinstance(lengths, Sequence) or isinstance(lengths, str) or len(lengths) < 2:
        return 0.0
    values = np.array([x for x in lengths if isinstance(x, int | float)], dtype=float)
    return _uniform(float(values.mean()), float(values.std())) if len(values) > 1 else 0.0


def _uniform(mean: float, deviation: float) -> float:
    return min(math.sqrt(3) * deviation / mean, 0.95) if mean > 0 and deviation >= 0 else 0.0


def _served(record: Record, where: str, ran: FileFacts, *, requests: float | None, drafts: float | None) -> MeasuredPoint:
    """What both tools call alike. `requests` the file says were sent, `drafts`: tokens kept of a pass."""
    median = number(record, "median_tpot_ms", where) is not None
    tpot = positive(record, "median_tpot_ms" if median else "mean_tpot_ms", where, per=1e3)
    own = number(record, "median_ttft_ms", where) is not None if tpot is None else median
    ttft = positive(record, "median_ttft_ms" if own else "mean_ttft_ms", where, per=1e3)
    completed = positive(record, "completed", where, what="a number of requests") or requests
    isl, osl = (_each(record, where, f"total_{name}_tokens", completed) for name in ("input", "output"))
    rate = _rate(record, where, "request_rate")
    most = positive(record, "max_concurrency", where, what="a number of users")
    concurrency = (most or requests) if rate is None else _inside(record, where, osl)
    facts = replace(
        ran, weights=_weights(ran.weights), isl=isl, osl=osl, concurrency=concurrency, date=_date(record.get("date")), tpot=tpot, ttft=ttft
    )
    row, unsaid = facts.row(where)
    reason = DRAFTS if drafts is not None and drafts > 1.0 else "" if tpot else NO_TPOT
    return MeasuredPoint(
        row=row,
        tool="",
        where=where,
        unsaid=unsaid,
        median=median,
        at_random=rate is not None,
        reason=reason,
        rounds=max((completed or 0.0) / concurrency, 1.0) if concurrency and completed else ROUNDS,
    )


def _each(record: Record, where: str, key: str, requests: float | None) -> float | None:
    total = positive(record, key, where, what="a number of tokens")
    return total / requests if total and requests else None


def _rate(record: Record, where: str, key: str) -> float | None:
    """Requests per second; None where all were sent at once ("inf"), or a trace set their times."""
    value = record.get(key)
    if isinstance(value, str) and value.strip().lower() in ("trace", "self_timed"):
        return math.nan
    found = number(record, key, where)
    return None if found is None or math.isinf(found) else found


def _inside(record: Record, where: str, osl: float | None) -> float | None:
    """Requests inside on average, Little's law: rate times the time of a request."""
    stated = number(record, "concurrency", where)
    if stated is not None and stated > 0:
        return stated
    rate = positive(record, "request_throughput", where, what="a rate")
    e2e = positive(record, "mean_e2el_ms", where, per=1e3) or positive(record, "mean_e2e_latency_ms", where, per=1e3)
    if e2e is None and osl is not None:
        ttft = positive(record, "mean_ttft_ms", where, per=1e3)
        tpot = positive(record, "mean_tpot_ms", where, per=1e3)
        e2e = ttft + max(osl - 1, 0.0) * tpot if ttft and tpot else None
    return max(rate * e2e, 1.0) if rate and e2e else None


def _weights(words: str) -> str:
    """A format of weights as our options call it; blank where the tool's word means the checkpoint's own."""
    said = words.strip().lower()
    named = {
        "modelopt_fp4": "nvfp4",
        "modelopt": "fp8",
        "modelopt_fp8": "fp8",
        "w8a8_fp8": "fp8",
        "w8a8_int8": "int8",
        "compressed-tensors": "",
        "none": "",
        "auto": "",
        "awq": "w4a16",
        "awq_marlin": "w4a16",
        "gptq": "w4a16",
        "gptq_marlin": "w4a16",
        "bfloat16": "bf16",
        "float16": "bf16",
    }
    return named.get(said, said)


def _date(value: Any) -> str:
    """ISO date of "20261125-011332" and the like."""
    match = re.match(r"(20\d\d)-?(\d\d)-?(\d\d)", str(value or ""))
    return "-".join(match.groups()) if match else ""


# --- GenAI-Perf and AIPerf ----------------------------------------------------------------------------------------

SECONDS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e3, "us": 1e6, "µs": 1e6, "ns": 1e9, "": 1e3}


def genai(record: Record, where: str) -> MeasuredPoint:
    """GenAI-Perf and AIPerf: a block of statistics for each metric, what was asked for under `input_config`.

    Their inter-token latency is a request's time after the first token over the tokens after the first: TPOT.
    """
    median = _stat(record, where, "inter_token_latency", "p50") is not None
    pick = "p50" if median else "avg"
    tpot = _time(record, where, "inter_token_latency", pick)
    ttft = _time(record, where, "time_to_first_token", pick)
    isl = _stat(record, where, "input_sequence_length", "avg") or _config(record, where, _ISL)
    osl = _stat(record, where, "output_sequence_length", "avg") or _config(record, where, _OSL)
    rate = _config(record, where, _RATE)
    concurrency = None if rate else _config(record, where, _USERS)
    if concurrency is None and (command := dig(record, "run_info.cli_command")) and not rate:
        said = re.search(r"--concurrency[ =](\d+)", str(command))
        concurrency = float(said.group(1)) if said else None
    if concurrency is None:
        through = _stat(record, where, "request_throughput", "avg")
        whole = _time(record, where, "request_latency", "avg")
        concurrency = max(round(through * whole, 2), 1.0) if through and whole else None
    requests = _stat(record, where, "request_count", "avg") or _config(record, where, ("request_count",))
    triton = dig(record, "input_config.service_kind", "input_config.endpoint.service_kind") == "triton"
    backend = dig(record, "input_config.backend", "input_config.endpoint.backend") if triton else ""
    deviation = _stat(record, where, "output_sequence_length", "std")
    facts = FileFacts(
        model=str(dig(record, *(f"input_config.{key}" for key in _MODEL)) or ""),
        engine=engine_key(str(backend or "")),
        isl=isl,
        osl=osl,
        concurrency=concurrency,
        spread=_uniform(osl, deviation) if osl and deviation else 0.0,
        date=_date(record.get("start_time")),
        tpot=tpot,
        ttft=ttft,
    )
    row, unsaid = facts.row(where)
    return MeasuredPoint(
        row=row,
        tool="",
        where=where,
        unsaid=unsaid,
        median=median,
        at_random=bool(rate),
        rounds=max(requests / concurrency, 1.0) if requests and concurrency else ROUNDS,
        reason="" if tpot else f"{NO_TPOT}: was the run made without streaming?",
    )


_MODEL = ("model", "model_names", "endpoint.model_names", "models.items.name", "model_name")
_USERS = (
    "concurrency",
    "perf_analyzer.stimulus.concurrency",
    "loadgen.concurrency",
    "phases.concurrency",
    "phases.profiling.concurrency",
    "runtime.concurrency",
    "load.concurrency",
)
_RATE = (
    "request_rate",
    "perf_analyzer.stimulus.request_rate",
    "loadgen.request_rate",
    "phases.rate",
    "phases.profiling.rate",
    "phases.request_rate",
)
_ISL = ("synthetic_input_tokens_mean", "input.synthetic_tokens.mean", "input.prompt.input_tokens.mean")
_OSL = ("output_tokens_mean", "input.output_tokens.mean", "input.prompt.output_tokens.mean")


def _config(record: Record, where: str, keys: Sequence[str]) -> float | None:
    found = dig(record, *(f"input_config.{key}" for key in keys))
    value = number({"x": found}, "x", f"{where}: input_config.{keys[0]}") if not isinstance(found, Mapping) else None
    return value if value is not None and math.isfinite(value) and value > 0 else None


def _stat(record: Record, where: str, metric: str, statistic: str) -> float | None:
    block = record.get(metric)
    if not isinstance(block, Mapping):
        return None
    found = number(block, statistic, f"{where}: {metric}")
    return found if found is None or (math.isfinite(found) and found > 0) else None


def _time(record: Record, where: str, metric: str, statistic: str) -> float | None:
    block = record.get(metric)
    if not isinstance(block, Mapping):
        return None
    unit = str(block.get("unit") or "").strip().lower()
    if unit not in SECONDS:
        raise BadInput(f"{where}: the unit of {metric} is {unit!r}; known are s, ms, us and ns")
    return positive(block, statistic, f"{where}: {metric}", per=SECONDS[unit])


# --- llama-bench --------------------------------------------------------------------------------------------------

_QUANT = re.compile(r"(i?q\d_[a-z0-9_]+|q\d|f16|f32|bf16|mxfp4)", re.IGNORECASE)


def llama_bench(record: Record, where: str) -> MeasuredPoint:
    """`llama-bench`: tokens per second of one sequence, reading a prompt (n_prompt) or generating (n_gen).

    >>> run = llama_bench({"model_filename": "m/Qwen2.5-7B-Instruct-Q4_K_M.gguf", "n_prompt": 0, "n_gen": 128,
    ...     "model_type": "qwen2 7B Q4_K - Medium", "gpu_info": "NVIDIA GeForce RTX 4080", "avg_ts": 125.0}, "a")
    >>> run.row.model, run.row.weights, run.row.measured.tpot
    ('Qwen2.5-7B-Instruct-Q4_K_M', 'q4_k_m', 0.008)
    """
    read = number(record, "n_prompt", where) or 0.0
    made = number(record, "n_gen", where) or 0.0
    speed = positive(record, "avg_ts", where, what="tokens per second")
    layers = number(record, "n_gpu_layers", where)
    name = re.sub(r"(-\d{5}-of-\d{5})?\.gguf$", "", str(record.get("model_filename") or "").replace("\\", "/"))
    quant = _quant(str(record.get("model_type") or ""), name)
    gpus = [g for g in (part.strip() for part in str(record.get("gpu_info") or "").split(",")) if g]
    facts = FileFacts(
        model=name.rpartition("/")[2],
        machine=f"{len(gpus)}x {gpus[0]}" if len(gpus) > 1 else "".join(gpus),
        engine="typical",
        version=str(record.get("build_number") or ""),
        weights=quant,
        layout=Layout(pp=float(max(len(gpus), 1))),
        isl=max(read, 1.0),
        osl=max(made, 1.0),
        concurrency=1.0,
        date=_date(record.get("test_time")),
        tpot=1 / speed if speed and made else None,
        ttft=read / speed if speed and read else None,
    )
    row, unsaid = facts.row(where)
    reason = "" if speed else "no tokens per second"
    if read and made:
        reason = "a prompt and an output in one figure; bench them apart"
    if layers is not None and 0 <= layers < 20:
        reason = f"{layers:g} layers on the device: the others ran on the CPU"
    return MeasuredPoint(
        row=row,
        tool="",
        where=where,
        unsaid=unsaid,
        kind="decode" if made else "prompt",
        median=False,
        depth=number(record, "n_depth", where) or 0.0,
        chunk=number(record, "n_ubatch", where) or 512.0,
        kv={"f16": "bf16", "bf16": "bf16", "q8_0": "fp8"}.get(str(record.get("type_k") or ""), ""),
        reason=reason,
    )


def _quant(kind: str, name: str) -> str:
    """Our name of a GGUF format: "Q4_K - Medium" is q4_k_m; its file's name tells where the type does not."""
    said = f"{kind} {name}".lower()
    for ours, words in (
        ("q4_k_m", ("q4_k - medium", "q4_k_m")),
        ("q8_0", ("q8_0",)),
        ("q4_0", ("q4_0",)),
        ("mxfp4", ("mxfp4",)),
        ("bf16", ("f16", "bf16")),
    ):
        if any(word in said for word in words):
            return ours
    match = _QUANT.search(kind)
    return match.group(1).lower() if match else ""


READERS: Mapping[str, Reader] = {
    "silicon": silicon_row,
    "InferenceX": inferencex,
    "vLLM": vllm,
    "SGLang": sglang,
    "GenAI-Perf": genai,
    "AIPerf": genai,
    "llama-bench": llama_bench,
}


def read(given: Sequence[str | Path]) -> tuple[MeasuredPoint, ...]:
    """All runs of the files, in their order."""
    found: list[MeasuredPoint] = []
    files = paths(given)
    for path in files:
        here = records(path)
        for i, record in enumerate(here, 1):
            where = path.name if len(here) == 1 else f"{path.name}, run {i}"
            tool = tool_of(record, repr(path.name))
            run = READERS[tool](record, where)
            found.append(replace(run, tool=tool, where=where))
        if len(found) > MOST_RUNS:
            raise BadInput(f"there are more than {MOST_RUNS:,} runs in these files; give those of one system")
    if not found:
        raise BadInput("the files hold no runs; give a benchmark's results with --from")
    return tuple(found)
