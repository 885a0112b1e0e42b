"""Measured attention, latent attention and recurrences."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .kernel_rows import LEAST_CONTEXT, LEAST_PROMPT, Column, KernelTable, Key, Sample, chips, peak_of, per_chip


def attention(ops: Path) -> Iterator[tuple[Key, Sample]]:
    table = KernelTable(ops / "aiconfigurator_attention.csv.gz")
    chip, engine, op, kernel = chips(table), table.text("backend"), table.text("op"), table.text("kernel_source")
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
                    "compute": 4 * (batch * heads * dim)[rows] * context / peak_of(chip[rows], "bf16"),
                    "bytes": batch[rows] * context * entry,
                    "bandwidth": per_chip(chip[rows], lambda x: x.hbm_bandwidth),
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
            _causal(chip[rows], engine[rows], time[rows], _prompts(batch[rows], length, heads[rows], 4 * dim[rows]), moved, type_),
        )


def _prompts(batch: Column, length: Column, heads: Column, pair_flops: Column) -> dict[str, Column]:
    """The fresh tokens of `batch` prompts of one length, nothing cached."""
    keys = (length + 1) / 2
    return {"pair_flops": pair_flops, "queries": length, "keys": keys, "heads": heads, "prompts": batch}


def _causal(chip: NDArray[np.str_], engine: NDArray[np.str_], ms: Column, fresh: dict[str, Column], moved: Column, type_: str) -> Sample:
    """Prefill of prompts, half of whose pairs a causal mask keeps."""
    pairs = fresh["prompts"] * fresh["heads"] * fresh["queries"] * fresh["keys"]
    return Sample(
        chip=chip,
        engine=engine,
        seconds=ms * 1e-3,
        given={
            "compute": pairs * fresh["pair_flops"] / peak_of(chip, type_),
            "bytes": moved,
            "bandwidth": per_chip(chip, lambda x: x.hbm_bandwidth),
            **fresh,
        },
    )


LATENT, VALUES, QUERY, HEAD_VALUES = 576.0, 512.0, 192.0, 128.0
"""DeepSeek-V3's widths: a cached entry, its part that is summed, and query and value of a head while prefilling."""


def mla(ops: Path) -> Iterator[tuple[Key, Sample]]:
    table = KernelTable(ops / "aiconfigurator_mla.csv.gz")
    chip, engine, op, cache_type = (chips(table), table.text("backend"), table.text("op"), table.text("kv_cache_dtype"))
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
                    "compute": 2 * entries * heads[rows] * (LATENT + VALUES) / peak_of(chip[rows], "bf16"),
                    "bytes": entries * LATENT * width,
                    "bandwidth": per_chip(chip[rows], lambda x: x.hbm_bandwidth),
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
            chip[rows], engine[rows], time[rows], _prompts(batch[rows], isl[rows], heads[rows], np.full(rows.sum(), pair)), moved, "bf16"
        ),
    )


SCAN_PREFILL = ("chunk_gated_delta_rule", "chunk_gated_delta_rule_flashinfer", "chunk_kda", "flashkda_fwd")
STATE_FLOPS, STATE_BYTES = 7.0, 4.0


def scan(ops: Path) -> Iterator[tuple[Key, Sample]]:
    table = KernelTable(ops / "aiconfigurator_linear_attn_sparse.csv.gz")
    chip, engine, kernel, phase = (chips(table), table.text("backend"), table.text("kernel_source"), table.text("phase"))
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
            "compute": STATE_FLOPS * tokens * state[rows] / peak_of(chip[rows], "bf16"),
            "bytes": 2 * STATE_BYTES * (batch * state)[rows] + (tokens * inputs if kind == "scan_prefill" else 0.0),
            "bandwidth": per_chip(chip[rows], lambda x: x.hbm_bandwidth),
            "longest": length[rows],
        }
        yield (kind, "bf16"), Sample(chip=chip[rows], engine=engine[rows], seconds=time[rows] * 1e-3, given=given)
