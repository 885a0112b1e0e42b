"""Serving software: what it adds to a step, and how it schedules."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A serving engine. Seconds, bytes and shares; the values of `TYPICAL` are documented defaults, not fits."""

    name: str = "typical"
    version: str = ""
    memory_share: float = 0.9  # share of device memory the engine may fill
    reserved_bytes: float = 3e9  # per device: runtime, graphs, workspace
    chunk_tokens: float = 8192  # most tokens in one step: decode tokens plus a prefill chunk
    align_steps: float = (
        16  # longest that attention-DP ranks hold back prefill so that it runs on many of them at once
    )


TYPICAL = Engine()
