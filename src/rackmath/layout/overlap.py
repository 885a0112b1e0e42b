"""Two half batches in turn: while one computes, the other exchanges with its experts (dual-batch overlap)."""

from __future__ import annotations

import numpy as np

from ..arrays import Number
from ..kernel.efficiency import Efficiency
from ..kernel.roofline import Op, PassTime


def overlapped(whole: PassTime, half: PassTime, layers: float, efficiency: Efficiency) -> PassTime:
    """A pass as two half batches that take turns: while one computes, the other exchanges.

    Each half reads the weights and launches its kernels for itself, so computing takes longer than in one piece;
    of computing and exchange the shorter is hidden, but for one half of one of the `layers` with experts at an end
    of the pass. Other collectives use the same links and hide nothing. Engines split only where it pays: the faster
    of both ways is taken. Bounds are those of the whole.
    """
    step = efficiency.step_overhead
    computing = half.by_compute + half.by_weights + half.by_cache + half.by_overhead - step
    hidden = 2 * np.minimum(computing, half.hideable) * (1 - 1 / (2 * layers))
    split = 2 * (half.estimate - step) + step - hidden
    pays = split < whole.estimate

    def of(a: Number, b: Number) -> Number:
        return np.where(pays, b, a)

    shown = 1 - hidden / np.maximum(2 * half.hideable, 1e-30)
    terms = tuple(
        (op, of(seconds, 2 * _visible(of_half, other, shown)))
        for (op, seconds), (of_half, other) in zip(whole.terms, half.terms, strict=True)
    )
    return PassTime(
        compute=whole.compute,
        memory=whole.memory,
        up=whole.up,
        out=whole.out,
        per_operation=whole.per_operation,
        by_compute=of(whole.by_compute, 2 * half.by_compute),
        by_weights=of(whole.by_weights, 2 * half.by_weights),
        by_cache=of(whole.by_cache, 2 * half.by_cache),
        by_network=of(whole.by_network, 2 * half.by_network - hidden),
        by_overhead=of(whole.by_overhead, 2 * half.by_overhead - step),
        flops=whole.flops,
        bytes=of(whole.bytes, 2 * half.bytes),
        hideable=of(whole.hideable, 2 * half.hideable),
        hidden=of(0.0 * hidden, hidden),
        terms=terms,
    )


def _visible(op: Op, seconds: Number, shown: Number) -> Number:
    """Seconds of an operation of one half that nothing hides."""
    if op.kind != "network":
        return seconds
    return seconds - op.layers * op.hideable * (1 - shown)
