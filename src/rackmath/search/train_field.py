"""The layouts a search went through, thinned to what a picture can show: the fastest of each kind and size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .train import LayoutRows

ACROSS, DOWN = 48, 32
"""Cells of memory and of time in which one layout of each kind is kept."""

SLOWEST, FULLEST = 12.0, 6.0
"""Layouts slower than so many times the fastest, or fuller than so many times the memory, are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedLayout:
    """A layout of a search: its label, what it recomputes, seconds of a step, bytes of the fullest device."""

    label: str
    recompute: str
    seconds: float
    peak: float
    fits: bool


def candidates(field: Sequence[LayoutRows], capacity: float) -> list[TriedLayout]:
    """The fastest layout of each kind of recomputation in each cell of memory and time."""
    whole = [(rows.seconds, rows.peak) for rows in field]
    fastest = min((float(np.min(seconds)) for seconds, _ in whole if len(seconds)), default=0.0)
    kept: dict[tuple[str, int, int], TriedLayout] = {}
    for rows in field:
        inside = np.flatnonzero((rows.seconds <= SLOWEST * fastest) & (rows.peak <= FULLEST * capacity))
        across = np.floor(np.log(rows.peak / capacity) * ACROSS / 4).astype(int)
        down = np.floor(np.log(rows.seconds / fastest) / np.log(SLOWEST) * DOWN).astype(int)
        for i in inside[np.argsort(rows.seconds[inside])]:
            key = (str(rows.layout.recompute), int(across[i]), int(down[i]))
            old = kept.get(key)
            if old is None or rows.seconds[i] < old.seconds:
                kept[key] = TriedLayout(
                    label=rows.at(int(i)).label(),
                    recompute=key[0],
                    seconds=float(rows.seconds[i]),
                    peak=float(rows.peak[i]),
                    fits=bool(rows.fits[i]),
                )
    return list(kept.values())
