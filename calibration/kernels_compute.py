"""Measured products, experts and elementwise kernels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .kernel_rows import KernelTable, Key, Sample, chips, peak_of, per_chip

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


def gemm(ops: Path) -> Iterator[tuple[Key, Sample]]:
    table = KernelTable(ops / "aiconfigurator_gemm.csv.gz")
    chip, engine, kind = chips(table), table.text("backend"), table.text("gemm_dtype")
    m, n, k, time = (table.number(c) for c in ("m", "n", "k", "latency"))
    for name, (type_, peak, weight, activation) in GEMM.items():
        rows = (kind == name) & (n >= 128) & (k >= 128) & ~((name == "fp8_block") & (engine == "vllm"))
        bandwidth = per_chip(chip[rows], lambda x: x.hbm_bandwidth)
        yield (
            ("gemm", type_),
            Sample(
                chip=chip[rows],
                engine=engine[rows],
                seconds=time[rows] * 1e-3,
                given={
                    "compute": 2 * (m * n * k)[rows] / peak_of(chip[rows], peak),
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


def experts(ops: Path) -> Iterator[tuple[Key, Sample]]:
    table = KernelTable(ops / "aiconfigurator_moe.csv.gz")
    chip, engine, kind, kernel = (chips(table), table.text("backend"), table.text("moe_dtype"), table.text("kernel_source"))
    names = ("num_tokens", "hidden_size", "inter_size", "topk", "num_experts", "moe_tp_size", "moe_ep_size", "latency")
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
                    "compute": 2 * (rows * one)[keep] / peak_of(chip[keep], peak),
                    "bytes": (touched * one)[keep] * weight,
                    "bandwidth": per_chip(chip[keep], lambda x: x.hbm_bandwidth),
                    "rows": rows[keep],
                    "touched": touched[keep],
                    "row_bytes": (rows * 2 * (d_model + width / tp))[keep],
                    "token_bytes": (tokens * 2 * d_model)[keep],
                },
            ),
        )


def elementwise(ops: Path) -> Iterator[tuple[Key, Sample]]:
    table = KernelTable(ops / "vidur_compute_profile.csv.gz")
    tokens, d_model, width, tp = (table.number(c) for c in ("num_tokens", "n_embd", "n_expanded_embd", "num_tensor_parallel_workers"))
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
            given={"bytes": np.concatenate(list(parts.values())), "bandwidth": per_chip(chip, lambda x: x.hbm_bandwidth)},
        ),
    )
