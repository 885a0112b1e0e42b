"""Achieved share of peak by kind of operation: documented defaults, read from `data/efficiency.toml`.

These are engineering defaults, not fits: every answer made with them says "not calibrated".
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True, kw_only=True)
class Efficiency:
    """Shares of peak (0 to 1], and the seconds that neither FLOPs nor bytes explain.

    `compute_share[kind, type]` of the tensor peak, `memory_share[kind]` of the memory bandwidth, `link_share` of a
    link's rate; `launch` seconds per kernel, `step_overhead` per pass, `request_overhead` per request (in
    its time to first token), `imbalance` the busiest expert rank's load over the mean. `overlap` 1: the engine can
    run two half batches in turn, one computing while the other exchanges. `exchange`: how tokens reach experts, one
    of `layout.experts.SCHEMES`, or "cheapest".
    """

    compute_share: Mapping[str, float] = field(default_factory=dict)
    memory_share: Mapping[str, float] = field(default_factory=dict)
    link_share: float = 0.8
    launch: float = 2.5e-6
    step_overhead: float = 1e-3
    request_overhead: float = 0.0
    imbalance: float = 1.0
    overlap: float = 0.0
    exchange: str = "cheapest"
    source: str = "ideal"

    def compute(self, kind: str, type_: str) -> float:
        """Achieved share of the tensor peak for an operation kind and operand type."""
        found = self.compute_share.get(f"{kind}.{type_}")
        return found if found is not None else self.compute_share.get(kind, 1.0)

    def memory(self, kind: str) -> float:
        """Achieved share of the memory bandwidth for an operation kind."""
        return self.memory_share.get(kind, 1.0)


@cache
def default_efficiency() -> Efficiency:
    """The packaged defaults.

    >>> 0 < default_efficiency().memory("gemm") <= 1
    True
    """
    raw = tomllib.loads((files("rackmath") / "data" / "efficiency.toml").read_text())
    return Efficiency(
        compute_share=raw["compute_share"],
        memory_share=raw["memory_share"],
        link_share=raw["network"]["link_share"],
        launch=raw["overhead"]["launch"],
        step_overhead=raw["overhead"]["step"],
        request_overhead=raw["overhead"]["request"],
        imbalance=raw["overhead"]["expert_imbalance"],
        source=raw["source"],
    )
