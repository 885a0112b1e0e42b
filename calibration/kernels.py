"""Fit the constants of `kernel.achieved` to measured kernel times.

`python -m calibration.kernels [--data DIR]` reads the kernel tables in `ops/` of the data folder
($RACKMATH_DATA, else ../shared/data beside the checkout), fits each kind, operand type and generation by least
squares on log(predicted / measured) with a robust loss, and writes `data/fitted/kernels.toml`. Deterministic: evenly
spaced rows of every engine's table are taken, and the optimiser starts at fixed values.

What is left out, and why:

- rows faster than the roofline of the catalogue's chip: a cache held the data, or the row is broken
- block-scaled products of vLLM: timed with their host launches, 90 us and more whatever the size
- Triton fallbacks on chips with a kernel of their own
- latent attention of the slower engine where it takes several times as long: all on A100 (one sequence is not split
  over the chip), SGLang's on Hopper with an fp8 cache and in prefill
- attention with windows, head dimensions above 256 or more than 32 query heads on a key head: kernels fall back
- experts whose loads follow a power law (imbalance is a term of its own), and on A100 those under expert
  parallelism, whose tables do not divide the rows
"""

from __future__ import annotations

import argparse
import csv
import gzip
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rackmath import shipped
from rackmath.arrays import Number
from rackmath.kernel import achieved
from rackmath.kernel.achieved import Achieved, FreshTokens, Kernel, Routed
from rackmath.world import catalog
from rackmath.world.machine import Machine

Column = NDArray[np.float64]
Key = tuple[str, str]
"""A kind and an operand type."""

OUT = shipped.FITTED / "kernels.toml"
MOST_ROWS = 2000
"""Rows of one chip, kind and type that are fitted, in equal parts from every engine; their errors are recorded."""

CHIPS = {"a100_sxm": "a100", "h100_sxm": "h100", "h200_sxm": "h200", "b200_sxm": "b200", "gb200": "gb200"}
LEAST_CONTEXT, LEAST_PROMPT = 128, 64
"""Shorter contexts and prompts are rare in serving and all latency; they are not fitted."""

LOSS_SCALE = 0.15
"""Log errors beyond this count linearly, not squared."""


def _routed(k: Kernel, *, compute: Column, bytes: Column, bandwidth: Column, **routed: Column) -> Achieved:
    return achieved.experts(k, compute=compute, bytes=bytes, bandwidth=bandwidth, routed=Routed(**routed))


def _fresh(k: Kernel, *, compute: Column, bytes: Column, bandwidth: Column, **fresh: Column) -> Achieved:
    return achieved.attention_prefill(
        k, compute=compute, bytes=bytes, bandwidth=bandwidth, fresh=FreshTokens(**fresh)
    )


_L, _C, _M = {"latency": (5e-6, 5e-7, 1e-3)}, {"compute_share": (0.5, 0.01, 0.9)}, {"memory_share": (0.7, 0.1, 0.93)}
_DECODE = {**_L, **_C, **_M, "pad": (8.0, 0.1, 256.0), "page": (64.0, 1.0, 512.0)}
SPECS: dict[str, tuple[Callable[..., Achieved], dict[str, tuple[float, float, float]]]] = {
    "gemm": (achieved.gemm, {**_L, **_C, **_M, "wave": (3e5, 1e3, 5e6)}),
    "experts": (
        _routed,
        {**_L, **_C, **_M, "pad": (16.0, 0.1, 256.0), "rows": (4.0, 0.1, 60.0), "tokens": (4.0, 0.1, 100.0)},
    ),
    "attention_decode": (achieved.attention_decode, _DECODE),
    "mla_decode": (achieved.attention_decode, _DECODE),
    "attention_prefill": (
        _fresh,
        {**_L, **_C, **_M, "softmax": (200.0, 1.0, 2e3), "pad": (100.0, 1.0, 1e3), "wave": (1e4, 1e2, 1e5)},
    ),
    "mla_prefill": (
        _fresh,
        {**_L, **_C, **_M, "softmax": (200.0, 1.0, 2e3), "pad": (100.0, 1.0, 1e3), "wave": (1e4, 1e2, 1e5)},
    ),
    "scan": (achieved.scan, {**_L, **_M}),
    "scan_prefill": (achieved.scan, {**_L, **_C, **_M, "step": (1e-8, 1e-10, 1e-6)}),
    "elementwise": (achieved.elementwise, {**_L, **_M}),
    "all_reduce": (achieved.all_reduce, {**_L, **_M, "hop": (1e-7, 1e-9, 1e-5), "ramp": (0.5, 0.01, 4.0)}),
    "all_to_all": (achieved.all_to_all, {**_L, **_M, "hop": (1e-7, 1e-9, 1e-5), "ramp": (0.5, 0.01, 4.0)}),
}  # fmt: skip
"""Per kind: the function of `kernel.achieved`, and its constants as (start, lowest, highest)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Measured kernels of one kind and type: `seconds`, and the arguments of the kind's function, row by row."""

    chip: NDArray[np.str_]
    engine: NDArray[np.str_]
    seconds: Column
    given: Mapping[str, Column]

    def take(self, rows: Any) -> Sample:
        given = {name: column[rows] for name, column in self.given.items()}
        return Sample(chip=self.chip[rows], engine=self.engine[rows], seconds=self.seconds[rows], given=given)

    @property
    def generation(self) -> NDArray[np.str_]:
        return np.array([catalog.machine(name).generation for name in self.chip])


# --- reading ------------------------------------------------------------------------------------------------------


def default_data() -> Path:
    """The data folder: $RACKMATH_DATA, or shared/data beside the checkout."""
    return Path(os.environ.get("RACKMATH_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")


NOT_FITTED = ("l40s",)
"""Systems whose kernels joined the data after the fit: they test it."""


class KernelTable:
    """Columns of one compressed CSV file; blanks are NaN."""

    def __init__(self, path: Path) -> None:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            rows: Iterable[list[str]] = csv.reader(file)
            head = next(iter(rows))
            if "system" in head:
                at = head.index("system")
                rows = [row for row in rows if row[at] not in NOT_FITTED]
            self._text = dict(zip(head, zip(*rows, strict=True), strict=True))

    def text(self, name: str) -> NDArray[np.str_]:
        return np.array(self._text[name])

    def number(self, name: str) -> Column:
        return np.array([float(v) if v else np.nan for v in self._text[name]])


def _chips(table: KernelTable, name: str = "system") -> NDArray[np.str_]:
    return np.array([CHIPS.get(v, v) for v in table.text(name)])


def _peak(chip: NDArray[np.str_], operand: str) -> Column:
    return _per_chip(chip, lambda machine: machine.peak(operand))


def _per_chip(chip: NDArray[np.str_], value: Callable[[Machine], Number]) -> Column:
    found = {name: float(value(catalog.machine(str(name)))) for name in np.unique(chip)}
    return np.array([found[name] for name in chip])


def _thin(sample: Sample) -> Sample:
    """Rows that can be true, and evenly spaced ones of them."""
    good = np.isfinite(sample.seconds) & (sample.seconds > 0)
    if "compute" in sample.given:
        roof = np.maximum(sample.given["compute"], sample.given["bytes"] / sample.given["bandwidth"])
        good &= sample.seconds >= roof
    kept = []
    for name in np.unique(sample.chip):
        engines = np.unique(sample.engine[good & (sample.chip == name)])
        for engine in engines:
            rows = np.flatnonzero(good & (sample.chip == name) & (sample.engine == engine))
            kept.append(rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_ROWS // len(engines))).astype(int)])
    return sample.take(np.sort(np.concatenate(kept)))


def samples(data: Path, *kinds: str) -> dict[Key, Sample]:
    """Every kind (or those named) and type that was measured."""
    found: dict[Key, Sample] = {}
    for names, reader in READERS:
        if not kinds or set(kinds) & set(names):
            for key, sample in reader(data / "ops"):
                found[key] = _thin(sample)
    return found


GEMM = {
    "bfloat16": ("bf16", "bf16", 2.0, 2.0),
    "fp8": ("fp8", "fp8", 1.0, 1.0),
    "fp8_block": ("fp8_block", "fp8", 1.0, 1.0),
    "nvfp4": ("nvfp4", "fp4", 0.5625, 0.5625),
    "int4_wo": ("w4a16", "bf16", 0.515625, 2.0),
    "int8_wo": ("w8a16", "bf16", 1.0, 2.0),
    "sq": ("int8", "int8", 1.0, 1.0),
}
"""Types of the product tables: our type, the peak it runs at, bytes of a weight and of an activation."""


def _gemm(ops: Path) -> Iterator[tuple[Key, Sample]]:
    table = KernelTable(ops / "aiconfigurator_gemm.csv.gz")
    chip, engine, kind = _chips(table), table.text("backend"), table.text("gemm_dtype")
    m, n, k, time = (table.number(c) for c in ("m", "n", "k", "latency"))
    for name, (type_, peak, weight, activation) in GEMM.items():
        rows = (kind == name) & (n >= 128) & (k >= 128) & ~((name == "fp8_block") & (engine == "vllm"))
        bandwidth = _per_chip(chip[rows], lambda x: x.hbm_bandwidth)
        yield (
            ("gemm", type_),
            Sample(
                chip=chip[rows],
                engine=engine[rows],
                seconds=time[rows] * 1e-3,
                given={
                    "compute": 2 * (m * n * k)[rows] / _peak(chip[rows], peak),
                    "bytes": (n * k * weight + m * k * activation + m * n * 2)[rows],
                    "bandwidth": bandwidth,
                    "outputs": (m * n)[rows],
                },
            ),
        )


EXPERTS = {
    "bfloat16": ("bf16", "bf16", 2.0),
    "fp8": ("fp8", "fp8", 1.0),
    "fp8_block": ("fp8_block", "fp8", 1.0),
    "nvfp4": ("nvfp4", "fp4", 0.5625),
    "int4_wo": ("w4a16", "bf16", 0.515625),
    "w4a16_mxfp4": ("w4a16", "bf16", 0.53125),
    "w4a8_mxfp4_mxfp8": ("w4a8", "fp8", 0.53125),
}


def _experts(ops: Path) -> Iterator[tuple[Key, Sample]]:
    table = KernelTable(ops / "aiconfigurator_moe.csv.gz")
    chip, engine, kind, kernel = (
        _chips(table),
        table.text("backend"),
        table.text("moe_dtype"),
        table.text("kernel_source"),
    )
    names = (
        "num_tokens",
        "hidden_size",
        "inter_size",
        "topk",
        "num_experts",
        "moe_tp_size",
        "moe_ep_size",
        "latency",
    )
    tokens, d_model, width, top_k, n, tp, ep, time = (table.number(c) for c in names)
    cutlass = np.array(["flashinfer_cutlass" in k and "_fp8moe" not in k for k in kernel])
    fallback = cutlass | (kernel == "sglang_fused_moe_triton")
    usual = (table.text("distribution") == "balanced") & (table.text("op") == "moe")
    usual &= np.where(chip == "a100", ep == 1, ~fallback)
    matrices = np.where(np.array(["nongated" in k for k in kernel]), 2.0, 3.0)
    rows = np.maximum(tokens * top_k / ep, 1.0)
    touched = np.minimum(n / ep, rows)
    one = matrices * d_model * width / tp
    for type_ in dict.fromkeys(t for t, _, _ in EXPERTS.values()):
        parts = {name: spec for name, spec in EXPERTS.items() if spec[0] == type_}
        keep = usual & np.isin(kind, list(parts))
        weight = np.array([parts[name][2] for name in kind[keep]])
        peak = next(iter(parts.values()))[1]
        yield (
            ("experts", type_),
            Sample(
                chip=chip[keep],
                engine=engine[keep],
                seconds=time[keep] * 1e-3,
                given={
                    "compute": 2 * (rows * one)[keep] / _peak(chip[keep], peak),
                    "bytes": (touched * one)[keep] * weight,
                    "bandwidth": _per_chip(chip[keep], lambda x: x.hbm_bandwidth),
                    "rows": rows[keep],
                    "touched": touched[keep],
                    "row_bytes": (rows * 2 * (d_model + width / tp))[keep],
                    "token_bytes": (tokens * 2 * d_model)[keep],
                },
            ),
        )


def _attention(ops: Path) -> Iterator[tuple[Key, Sample]]:
    table = KernelTable(ops / "aiconfigurator_attention.csv.gz")
    chip, engine, op, kernel = _chips(table), table.text("backend"), table.text("op"), table.text("kernel_source")
    cache_type, operand = table.text("kv_cache_dtype"), table.text("attn_dtype")
    names = ("batch_size", "isl", "num_heads", "num_key_value_heads", "head_dim", "step", "latency")
    batch, isl, heads, kv, dim, step, time = (table.number(c) for c in names)
    usual = ~(table.number("window_size") > 0) & (dim <= 256) & (heads / kv <= 32)
    usual &= ~np.array(["triton" in k for k in kernel]) & ~((chip == "a100") & (engine == "trtllm"))
    for cached, width in (("bfloat16", 2.0), ("fp8", 1.0)):
        rows = usual & (op == "generation_attention") & (cache_type == cached) & (isl + step >= LEAST_CONTEXT)
        context, entry = (isl + step)[rows], (2 * kv * dim)[rows] * width
        yield (
            ("attention_decode", "bf16" if cached == "bfloat16" else "fp8"),
            Sample(
                chip=chip[rows],
                engine=engine[rows],
                seconds=time[rows] * 1e-3,
                given={
                    "compute": 4 * (batch * heads * dim)[rows] * context / _peak(chip[rows], "bf16"),
                    "bytes": batch[rows] * context * entry,
                    "bandwidth": _per_chip(chip[rows], lambda x: x.hbm_bandwidth),
                    "sequences": batch[rows],
                    "entry_bytes": entry,
                    "group": (heads / kv)[rows],
                },
            ),
        )
    for multiplied, type_ in (("bfloat16", "bf16"), ("fp8", "fp8")):
        rows = usual & (op == "context_attention") & (operand == multiplied) & (isl >= LEAST_PROMPT)
        length = isl[rows]
        width_in = np.where(cache_type[rows] == "fp8", 1.0, 2.0)
        moved = batch[rows] * length * (4 * heads[rows] * dim[rows] + 2 * kv[rows] * dim[rows] * width_in)
        yield (
            ("attention_prefill", type_),
            _causal(
                chip[rows],
                engine[rows],
                time[rows],
                _prompts(batch[rows], length, heads[rows], 4 * dim[rows]),
                moved,
                type_,
            ),
        )


def _prompts(batch: Column, length: Column, heads: Column, pair_flops: Column) -> dict[str, Column]:
    """The fresh tokens of `batch` prompts of one length, nothing cached."""
    keys = (length + 1) / 2
    return {"pair_flops": pair_flops, "queries": length, "keys": keys, "heads": heads, "prompts": batch}


def _causal(
    chip: NDArray[np.str_],
    engine: NDArray[np.str_],
    ms: Column,
    fresh: dict[str, Column],
    moved: Column,
    type_: str,
) -> Sample:
    """Prefill of prompts, half of whose pairs a causal mask keeps."""
    pairs = fresh["prompts"] * fresh["heads"] * fresh["queries"] * fresh["keys"]
    return Sample(
        chip=chip,
        engine=engine,
        seconds=ms * 1e-3,
        given={
            "compute": pairs * fresh["pair_flops"] / _peak(chip, type_),
            "bytes": moved,
            "bandwidth": _per_chip(chip, lambda x: x.hbm_bandwidth),
            **fresh,
        },
    )


LATENT, VALUES, QUERY, HEAD_VALUES = 576.0, 512.0, 192.0, 128.0
"""DeepSeek-V3's widths: a cached entry, its part that is summed, and query and value of a head while prefilling."""


def _mla(ops: Path) -> Iterator[tuple[Key, Sample]]:
    table = KernelTable(ops / "aiconfigurator_mla.csv.gz")
    chip, engine, op, cache_type = (
        _chips(table),
        table.text("backend"),
        table.text("op"),
        table.text("kv_cache_dtype"),
    )
    batch, isl, heads, step, time = (table.number(c) for c in ("batch_size", "isl", "num_heads", "step", "latency"))
    hopper = np.isin(chip, ["h100", "h200"])
    slow = (chip == "a100") | (hopper & (engine == "sglang") & (cache_type == "fp8"))
    for cached, type_, width in (("bfloat16", "bf16", 2.0), ("fp8", "fp8", 1.0)):
        rows = ~slow & (op == "generation_mla") & (cache_type == cached) & (isl + step >= LEAST_CONTEXT)
        entries = batch[rows] * (isl + step)[rows]
        yield (
            ("mla_decode", type_),
            Sample(
                chip=chip[rows],
                engine=engine[rows],
                seconds=time[rows] * 1e-3,
                given={
                    "compute": 2 * entries * heads[rows] * (LATENT + VALUES) / _peak(chip[rows], "bf16"),
                    "bytes": entries * LATENT * width,
                    "bandwidth": _per_chip(chip[rows], lambda x: x.hbm_bandwidth),
                    "sequences": batch[rows],
                    "entry_bytes": np.full(rows.sum(), LATENT * width),
                    "group": heads[rows],
                },
            ),
        )
    rows = (op == "context_mla") & (isl >= LEAST_PROMPT) & ~(hopper & (engine == "sglang"))
    pair = 2 * (QUERY + HEAD_VALUES)
    moved = batch[rows] * isl[rows] * heads[rows] * 2 * 2 * (QUERY + HEAD_VALUES)
    yield (
        ("mla_prefill", "bf16"),
        _causal(
            chip[rows],
            engine[rows],
            time[rows],
            _prompts(batch[rows], isl[rows], heads[rows], np.full(rows.sum(), pair)),
            moved,
            "bf16",
        ),
    )


SCAN_PREFILL = ("chunk_gated_delta_rule", "chunk_gated_delta_rule_flashinfer", "chunk_kda", "flashkda_fwd")
STATE_FLOPS, STATE_BYTES = 7.0, 4.0


def _scan(ops: Path) -> Iterator[tuple[Key, Sample]]:
    table = KernelTable(ops / "aiconfigurator_linear_attn_sparse.csv.gz")
    chip, engine, kernel, phase = (
        _chips(table),
        table.text("backend"),
        table.text("kernel_source"),
        table.text("phase"),
    )
    names = ("batch_size", "seq_len", "num_k_heads", "num_v_heads", "head_k_dim", "head_v_dim", "latency")
    batch, length, kh, vh, dk, dv, time = (table.number(c) for c in names)
    state = vh * dk * dv
    decode = (phase == "generation") & np.array(["conv1d" not in k for k in kernel])
    decode &= engine != "trtllm"  # it keeps states in a format the table does not say
    prefill = (phase == "context") & np.isin(kernel, SCAN_PREFILL)
    for kind, rows in (("scan", decode), ("scan_prefill", prefill)):
        tokens = (batch * length)[rows]
        inputs = 2 * (2 * kh * dk + 2 * vh * dv)[rows]
        given = {
            "compute": STATE_FLOPS * tokens * state[rows] / _peak(chip[rows], "bf16"),
            "bytes": 2 * STATE_BYTES * (batch * state)[rows] + (tokens * inputs if kind == "scan_prefill" else 0.0),
            "bandwidth": _per_chip(chip[rows], lambda x: x.hbm_bandwidth),
            "longest": length[rows],
        }
        yield (kind, "bf16"), Sample(chip=chip[rows], engine=engine[rows], seconds=time[rows] * 1e-3, given=given)


def _elementwise(ops: Path) -> Iterator[tuple[Key, Sample]]:
    table = KernelTable(ops / "vidur_compute_profile.csv.gz")
    tokens, d_model, width, tp = (
        table.number(c) for c in ("num_tokens", "n_embd", "n_expanded_embd", "num_tensor_parallel_workers")
    )
    gated = np.where(table.text("use_gated_mlp") == "True", 3.0, 2.0)
    parts = {
        "input_layernorm": 2 * tokens * d_model * 2,
        "post_attention_layernorm": 2 * tokens * d_model * 2,
        "add": 3 * tokens * d_model * 2,
        "mlp_act": gated * tokens * width / tp * 2,
    }
    chip = np.tile(table.text("gpu"), len(parts))
    yield (
        ("elementwise", "bf16"),
        Sample(
            chip=chip,
            engine=np.repeat(list(parts), len(tokens)),
            seconds=np.concatenate([table.number(f"time_stats.{name}.median") for name in parts]) * 1e-3,
            given={
                "bytes": np.concatenate(list(parts.values())),
                "bandwidth": _per_chip(chip, lambda x: x.hbm_bandwidth),
            },
        ),
    )


def _all_reduce(ops: Path) -> Iterator[tuple[Key, Sample]]:
    table = KernelTable(ops / "aiconfigurator_comm_allreduce_nccl.csv.gz")
    chip, engine, kernel = _chips(table), table.text("backend"), table.text("kernel_source")
    devices, elements, time = (table.number(c) for c in ("num_gpus", "message_size", "latency"))
    size = elements * np.where(table.text("nccl_dtype") == "int8", 1.0, 2.0)  # message_size counts elements
    reduces = table.text("op_name") == "all_reduce"
    eager = np.array([k.endswith("eager") for k in kernel])
    for type_, rows in (("custom", reduces & (kernel != "NCCL") & ~eager), ("nccl", reduces & (kernel == "NCCL"))):
        yield (
            ("all_reduce", type_),
            Sample(
                chip=chip[rows],
                engine=engine[rows],
                seconds=time[rows] * 1e-3,
                given={
                    "size": size[rows],
                    "devices": devices[rows],
                    "rate": _per_chip(chip[rows], lambda x: x.scaleup_bandwidth),
                },
            ),
        )


SENT = {"bfloat16": 2.0, "default": 2.0, "fp8": 1.0, "nvfp4": 0.5625, "fp4": 0.5625}
FP8_ROW = 1.0 + 4 / 128
"""Bytes per value of an fp8 row with a 4-byte scale per 128."""


Ways = list[tuple[Any, Column, Column]]
"""Parts of a table: the rows, and by row of the whole table bytes and seconds of one way."""


def _all_to_all(ops: Path) -> Iterator[tuple[Key, Sample]]:
    """Expert exchanges, each way on its own; `achieved.all_to_all` says what counts as sent."""
    table = KernelTable(ops / "aiconfigurator_comm_moe_alltoall.csv.gz")
    chip, engine, op, backend = _chips(table), table.text("backend"), table.text("op"), table.text("comm_backend")
    name, phase, sent, held = (table.text(c) for c in ("op_name", "phase", "comm_dtype", "moe_dtype"))
    hidden, nodes, latency, sms = (table.number(c) for c in ("hidden_size", "node_num", "latency", "dispatch_sms"))
    tokens, top_k = _first(table, "num_token", "num_tokens"), _first(table, "num_topk", "topk")
    ep = _first(table, "ep_size", "moe_ep_size")
    between = nodes > 1
    devices = np.where(between, 8 * nodes, np.where(np.isnan(ep), np.where(chip == "gb200", 4.0, 8.0), ep))
    values = tokens * hidden
    combine = (phase == "combine") | (name == "alltoall_combine")
    width = np.where(combine, 2.0, [SENT.get(s or h, 2.0) for s, h in zip(sent, held, strict=True)])

    def both(rows: Any, copies: Column, there: Column, back: Column) -> Ways:
        return [(rows, values * copies * FP8_ROW, there * 1e-6), (rows, values * copies * 2, back * 1e-6)]

    def times(way: str) -> Column:
        return table.number(f"{way}_transmit_us") + table.number(f"{way}_notify_us")

    spread = devices * (1 - (1 - 1 / devices) ** top_k)
    crossing = 1 - 1 / nodes
    domains = nodes * (1 - crossing**top_k) * crossing
    normal = (op == "wideep_deepep_normal") & (sms >= 20)
    low = op == "wideep_deepep_ll"
    other = (op == "moe_a2a") & np.isin(backend, ["trtllm_deepep_ht", "deepep_ht"]) & ~between
    direct = np.isin(name, ["alltoall_dispatch", "alltoall_combine"])
    there, back = times("dispatch"), times("combine")
    low_there, low_back = table.number("dispatch_avg_t_us"), table.number("combine_avg_t_us")
    far = between & (chip == "h100")  # the tables of h200 repeat these
    inside: dict[str, Ways] = {
        "deepep_normal": [
            *both(normal & ~between, spread, there, back),
            (other, values * spread * width, latency * 1e-6),
        ],
        "deepep_low_latency": both(low & ~between, top_k, low_there, low_back),
        "nvlink": [(direct, values * np.minimum(top_k, devices) * width, latency * 1e-3)],
    }
    network = {
        "deepep_normal_network": both(normal & far, domains, there, back),
        "deepep_low_latency_network": both(low & far, top_k * crossing, low_there, low_back),
    }
    for type_, ways in (inside | network).items():
        rows = np.concatenate([np.flatnonzero(rows) for rows, _, _ in ways])
        rate = _per_chip(chip[rows], lambda x: x.scaleup_bandwidth)
        if type_ in network:
            rate = _per_chip(chip[rows], lambda x: x.scaleout_bandwidth)
        yield (
            ("all_to_all", type_),
            Sample(
                chip=chip[rows],
                engine=engine[rows],
                seconds=np.concatenate([time[rows] for rows, _, time in ways]),
                given={
                    "size": np.concatenate([size[rows] for rows, size, _ in ways]),
                    "devices": devices[rows],
                    "rate": rate,
                },
            ),
        )


def _first(table: KernelTable, name: str, other: str) -> Column:
    """A column, and where it is blank another."""
    column = table.number(name)
    return np.where(np.isnan(column), table.number(other), column)


READERS: tuple[tuple[tuple[str, ...], Callable[[Path], Iterator[tuple[Key, Sample]]]], ...] = (
    (("gemm",), _gemm),
    (("experts",), _experts),
    (("attention_decode", "attention_prefill"), _attention),
    (("mla_decode", "mla_prefill"), _mla),
    (("scan", "scan_prefill"), _scan),
    (("elementwise",), _elementwise),
    (("all_reduce",), _all_reduce),
    (("all_to_all",), _all_to_all),
)
"""Kinds, and what reads them."""


# --- fitting ------------------------------------------------------------------------------------------------------


def fit(kind: str, sample: Sample) -> Kernel:
    """The constants of a kind that meet a sample best; the logarithm of each is searched between its bounds."""
    from scipy.optimize import least_squares  # the `fit` extra

    function, spec = SPECS[kind]
    start, low, high = (np.log([bounds[i] for bounds in spec.values()]) for i in range(3))
    target = np.log(sample.seconds)

    def residual(x: Column) -> Column:
        predicted = function(Kernel(**dict(zip(spec, np.exp(x), strict=True))), **sample.given)
        return np.asarray(np.log(predicted.seconds) - target, dtype=float)

    found = least_squares(residual, start, bounds=(low, high), loss="soft_l1", f_scale=LOSS_SCALE)
    return Kernel(**{name: _rounded(v) for name, v in zip(spec, np.exp(found.x), strict=True)})


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def errors(kind: str, kernel: Kernel, sample: Sample) -> Column:
    """Relative errors, predicted over measured time less 1."""
    predicted: Column = np.asarray(SPECS[kind][0](kernel, **sample.given).seconds)
    return predicted / sample.seconds - 1


def _unseen(kind: str, sample: Sample, whole: Sample, groups: NDArray[np.str_], others: NDArray[np.str_]) -> float:
    """Mean over the groups of `sample` of the median absolute error with that group left out.

    What is fitted instead: the rest of the sample, or, where it is one group, the other generations in `whole`.
    """
    found = []
    for group in np.unique(groups):
        rest = sample.take(groups != group) if (groups != group).any() else whole.take(others != group)
        if len(rest.seconds):
            error = errors(kind, fit(kind, rest), sample.take(groups == group))
            found.append(float(np.median(np.abs(error))))
    return float(np.mean(found)) if found else float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelEntry:
    """One entry of kernels.toml."""

    kernel: Kernel
    error: achieved.Error
    engines: Mapping[str, float]


def entry(kind: str, sample: Sample, whole: Sample, *, pooled: bool) -> KernelEntry:
    """Fit a sample and score it; `pooled`: it holds all generations, and whole generations are left out."""
    kernel = fit(kind, sample)
    error = errors(kind, kernel, sample)
    groups = sample.generation if pooled else sample.chip
    others = whole.generation if pooled else whole.chip
    return KernelEntry(
        kernel=kernel,
        error=achieved.Error(
            points=len(error),
            bias=round(float(np.median(error)), 3),
            median=round(float(np.median(np.abs(error))), 3),
            p90=round(float(np.percentile(np.abs(error), 90)), 3),
            unseen=round(_unseen(kind, sample, whole, groups, others), 3),
            chips=tuple(str(c) for c in np.unique(sample.chip)),
        ),
        engines={
            str(name): round(float(np.median(1 / (1 + error[sample.engine == name]))), 2)
            for name in np.unique(sample.engine)
            if len(np.unique(sample.engine)) > 1 and (sample.engine == name).sum() >= 20
        },
    )


def fit_all(data: Path, say: Callable[[str], None] = lambda _: None) -> dict[tuple[str, str, str], KernelEntry]:
    """Every kind, type and generation, and the pooled `default` of each kind and type."""
    found: dict[tuple[str, str, str], KernelEntry] = {}
    for (kind, type_), sample in samples(data).items():
        eras = sample.generation
        for era in (*np.unique(eras), "default"):
            part = sample if era == "default" else sample.take(eras == era)
            one = entry(kind, part, sample, pooled=era == "default")
            found[kind, type_, str(era)] = one
            say(f"{kind} {type_} {era}: {one.kernel} {one.error}")
    return found


# --- writing ------------------------------------------------------------------------------------------------------

HEAD = """\
# Constants of kernel/achieved.py, fitted by `python -m calibration.kernels`; do not edit by hand.
# [kind.type.generation]; `default` pools all generations and stands for those nobody measured.
# Seconds for latency, hop and step; shares are of a chip's own peak and bandwidth. bias, median and p90 are relative
# errors of predicted over measured time on the fitted points; `unseen` is the median absolute error on a chip left
# out of the fit (mean over the chips; for `default` whole generations are left out). engines: median time of an
# engine's kernels (for elementwise: of an operation) over the pooled kernel.
source = "aiconfigurator-core 0.12.0 kernel tables (Apache-2.0); elementwise: Vidur 7d47513363 profiles (MIT)"
date = "2026-11-24"
"""


def written(entries: Mapping[tuple[str, str, str], KernelEntry]) -> str:
    """The text of kernels.toml."""
    lines = [HEAD]
    for (kind, type_, era), one in entries.items():
        lines.append(f"[{kind}.{type_}.{era}]")
        lines += [f"{name} = {_number(getattr(one.kernel, name))}" for name in SPECS[kind][1]]
        error = one.error
        lines.append(f"points = {error.points}")
        lines += [f"{name} = {_number(getattr(error, name))}" for name in ("bias", "median", "p90", "unseen")]
        lines.append(f"chips = [{', '.join(repr(c).replace(chr(39), chr(34)) for c in error.chips)}]")
        if one.engines:
            lines.append("engines = { " + ", ".join(f"{name} = {v:g}" for name, v in one.engines.items()) + " }")
        lines.append("")
    return "\n".join(lines)


def _number(value: float) -> str:
    text = f"{value:g}"
    return text if any(c in text for c in ".en") else f"{text}.0"


def main() -> None:
    parser = argparse.ArgumentParser(description="Fit kernel constants to measured kernel times.")
    parser.add_argument("--data", type=Path, default=default_data(), help="folder that holds ops/")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    entries = fit_all(given.data, say=print)
    given.out.write_text(written(entries), encoding="utf-8")
    print(f"{len(entries)} entries written to {given.out}")


if __name__ == "__main__":
    main()
