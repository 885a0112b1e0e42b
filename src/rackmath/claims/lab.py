"""The claim about Feistel layers, row 31 of the lecture's table: settled by running them on random functions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..errors import BadInput
from ..experiments.feistel import additive, backward, forward, random_function, subtractive
from .ledger import Claim, Outcome, Part
from .networks import NETWORKS
from .rules import Compute, Values, by_conditions

FLOATS = {11: np.float16, 24: np.float32, 53: np.float64}
"""Floating-point types by the bits of their significand."""


def _inverts(claim: Claim, x: Values) -> Outcome:
    bits, functions = _count(x, "word", 16), _count(x, "functions", 4096)
    pairs, layers = _count(x, "pairs", 1 << 16), _count(x, "layers", 256)
    rng = np.random.default_rng(0)
    ours, kept = _in_integers(bits, functions, pairs, rng)
    why = f"{functions} random functions of {bits} bits were tried"
    if x["significand"]:
        ours = _in_floats(int(x["significand"]), functions, pairs, rng)
        why = f"{ours:.0%} did, sums being rounded to {x['significand']:g} bits"
    turned, changed = _in_turns(bits, layers, pairs, rng)
    return by_conditions(
        ours,
        {
            f"every pair came back exactly ({why})": ours == 1.0,
            "a layer alone never changes x, so layers take turns by swapping": kept == 1.0,
        },
        Part(name="x unchanged by a layer without the swap", value=kept, unit="share"),
        Part(name=f"pairs back after {layers} swapped layers of integers", value=turned, unit="share"),
        Part(name="x changed by those layers", value=changed, unit="share"),
    )


def _count(x: Values, name: str, most: int) -> int:
    if x[name] != int(x[name]) or not 1 <= x[name] <= most:
        raise BadInput(f"{name} = {x[name]:g} is out of range; give a whole number from 1 to {most:,}")
    return int(x[name])


def _in_integers(bits: int, functions: int, pairs: int, rng: np.random.Generator) -> tuple[float, float]:
    """Shares of pairs that come back, and whose x is unchanged, over random functions of a word."""
    back, kept = [], []
    for _ in range(functions):
        f = random_function(bits, rng)
        a, b = (rng.integers(0, 1 << bits, pairs).astype(np.uint16) for _ in range(2))
        x, z = additive(a, b, f, bits)
        x, y = subtractive(x, z, f, bits)
        back.append(np.mean((x == a) & (y == b)))
        kept.append(np.mean(additive(a, b, f, bits)[0] == a))
    return float(np.mean(back)), float(np.mean(kept))


def _in_floats(significand: int, functions: int, pairs: int, rng: np.random.Generator) -> float:
    """The share that comes back in floating point, where z - f(x) need not be y."""
    kind = FLOATS.get(significand)
    if kind is None:
        raise BadInput(f"significand = {significand} is of no format; give 0 for integers, or 11, 24 or 53")
    back = []
    for _ in range(functions):
        slope, shift = rng.normal(size=2)
        x, y = (rng.normal(size=pairs).astype(kind) for _ in range(2))
        f = np.tanh(slope * x + shift).astype(kind)
        back.append(np.mean((y + f) - f == y))
    return float(np.mean(back))


def _in_turns(bits: int, layers: int, pairs: int, rng: np.random.Generator) -> tuple[float, float]:
    """Shares of pairs that come back through many swapped layers, and whose x those layers changed."""
    fs = [random_function(bits, rng) for _ in range(layers)]
    a, b = (rng.integers(0, 1 << bits, pairs).astype(np.uint16) for _ in range(2))
    x, y = forward(a, b, fs)
    p, q = backward(x, y, fs)
    return float(np.mean((p == a) & (q == b))), float(np.mean(x != a))


LAB: Mapping[str, Compute] = {"31": _inverts, **NETWORKS}
