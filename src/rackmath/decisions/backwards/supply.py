"""The provider that each draw of the priors describes: what it serves, on what machine, at what prices."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from ...economics.caching import MONTH
from ...errors import unknown
from ...world import catalog
from .beliefs import Draws
from .device_prices import machine_columns
from .provider import Supply

Column = NDArray[np.float64]


STORED = {"bf16": 2.0, "fp8": 1.0, "fp4": 0.5625}
"""Bytes of a weight by format, block scales included."""


def supply(d: Draws) -> Supply:
    """The provider that each supposition describes."""
    of = d.beliefs
    machines = machine_columns(of.kinds("hardware"))
    machine, weights, hold = (d[k].astype(int) for k in ("hardware", "weights", "hold"))
    latent = np.isin(d["attention"], [of.kinds("attention").index(k) for k in ("mla", "sparse", "compressed")])
    rates = {
        "hbm": d["price_per_hour"] / 3600 / machines["capacity"][machine],
        "ddr": np.full(len(machine), tier_rate("host DRAM")),
        "flash": np.full(len(machine), tier_rate("NVMe flash (TLC)")),
    }
    return Supply(
        active=d["active_params"],
        total=d["total_params"],
        weight_bytes=np.array([STORED[k] for k in of.kinds("weights")])[weights],
        kv_bytes=d["kv_bytes"] * np.where(d["cache"] == of.kinds("cache").index("fp8"), 0.5, 1.0),
        read_share=d["read"],
        attention_flops=d["attention_flops"] * d["kept_layers"],
        decode_attention=np.where(latent, ABSORBED, 1.0),
        peak=np.stack([machines[k] for k in of.kinds("weights")])[weights, machine],
        hbm_bandwidth=machines["bandwidth"][machine],
        hbm_capacity=machines["capacity"][machine],
        price_per_hour=d["price_per_hour"],
        mfu=d["mfu"],
        mbu=d["mbu"],
        overhead=d["overhead"] * d["layers"],
        context=d["context"],
        cached=d["cached"],
        speed=d["speed"],
        spread=d["spread"],
        per_pass=d["per_pass"],
        hold_rate=np.choose(hold, [rates[k] for k in of.kinds("hold")]),
        reuse=d["reuse"],
        idle=d["idle"],
    )


ABSORBED = 2 * 128 * (576 + 512) / (2 * 128 * (192 + 128))
"""Attention FLOPs of a latent cache in decoding over those in prefill: DeepSeek-V3's widths, absorbed."""


@functools.cache
def tier_rate(name: str) -> float:
    """Dollars per byte and second of a memory tier behind an H100, by the beginning of its name.

    >>> f"{tier_rate('host DRAM'):.1e}"
    '1.1e-16'
    """
    for tier in catalog.machine("h100").tiers:
        if tier.name.startswith(name) and tier.price_per_byte_month is not None:
            return tier.price_per_byte_month / MONTH
    raise unknown("memory tier", name, [t.name for t in catalog.machine("h100").tiers])
