"""Measured collectives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .kernel_rows import Column, KernelTable, Key, Sample, chips, first, per_chip


def all_reduce(ops: Path) -> Iterator[tuple[Key, Sample]]:
    table = KernelTable(ops / "aiconfigurator_comm_allreduce_nccl.csv.gz")
    chip, engine, kernel = chips(table), table.text("backend"), table.text("kernel_source")
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
                given={"size": size[rows], "devices": devices[rows], "rate": per_chip(chip[rows], lambda x: x.scaleup_bandwidth)},
            ),
        )


SENT = {"bfloat16": 2.0, "default": 2.0, "fp8": 1.0, "nvfp4": 0.5625, "fp4": 0.5625}
FP8_ROW = 1.0 + 4 / 128
"""Bytes per value of an fp8 row with a 4-byte scale per 128."""


Ways = list[tuple[Any, Column, Column]]
"""Parts of a table: the rows, and by row of the whole table bytes and seconds of one way."""


def all_to_all(ops: Path) -> Iterator[tuple[Key, Sample]]:
    """Expert exchanges, each way on its own; `achieved.all_to_all` says what counts as sent."""
    table = KernelTable(ops / "aiconfigurator_comm_moe_alltoall.csv.gz")
    chip, engine, op, backend = chips(table), table.text("backend"), table.text("op"), table.text("comm_backend")
    name, phase, sent, held = (table.text(c) for c in ("op_name", "phase", "comm_dtype", "moe_dtype"))
    hidden, nodes, latency, sms = (table.number(c) for c in ("hidden_size", "node_num", "latency", "dispatch_sms"))
    tokens, top_k = first(table, "num_token", "num_tokens"), first(table, "num_topk", "topk")
    ep = first(table, "ep_size", "moe_ep_size")
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
        "deepep_normal": [*both(normal & ~between, spread, there, back), (other, values * spread * width, latency * 1e-6)],
        "deepep_low_latency": both(low & ~between, top_k, low_there, low_back),
        "nvlink": [(direct, values * np.minimum(top_k, devices) * width, latency * 1e-3)],
    }
    network = {
        "deepep_normal_network": both(normal & far, domains, there, back),
        "deepep_low_latency_network": both(low & far, top_k * crossing, low_there, low_back),
    }
    for type_, ways in (inside | network).items():
        rows = np.concatenate([np.flatnonzero(rows) for rows, _, _ in ways])
        rate = per_chip(chip[rows], lambda x: x.scaleup_bandwidth)
        if type_ in network:
            rate = per_chip(chip[rows], lambda x: x.scaleout_bandwidth)
        yield (
            ("all_to_all", type_),
            Sample(
                chip=chip[rows],
                engine=engine[rows],
                seconds=np.concatenate([time[rows] for rows, _, time in ways]),
                given={"size": np.concatenate([size[rows] for rows, size, _ in ways]), "devices": devices[rows], "rate": rate},
            ),
        )
