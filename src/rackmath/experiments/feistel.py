"""Feistel networks over integers: invertible whatever the round function is. To learn from, never to protect data.

A layer adds f of one half to the other. f need not be invertible: the inverse computes f again and takes it off.
Without a swap between layers only one half ever changes; with it the halves take turns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput

Words = NDArray[np.unsignedinteger]
"""Unsigned integers, one for each block."""

Round = Callable[[Words], Words]
"""Any function of a half, invertible or not."""

Word = type[np.uint8] | type[np.uint16] | type[np.uint32] | type[np.uint64]


def mask(bits: int) -> int:
    """The largest word of so many bits, from 1 to 64.

    >>> mask(16)
    65535
    """
    if not 1 <= bits <= 64 or bits != int(bits):
        raise BadInput(f"a word of {bits} bits cannot be held; give a whole number from 1 to 64")
    return (1 << int(bits)) - 1


def word_type(bits: int) -> Word:
    """The narrowest numpy type that holds a word."""
    mask(bits)
    return np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32 if bits <= 32 else np.uint64


def unswapped(x: Words, y: Words, f: Round) -> tuple[Words, Words]:
    """The lecture's form (x, y) -> (x, y ^ f(x)): its own inverse, and x never changes.

    >>> x, y = np.array([5], np.uint16), np.array([9], np.uint16)
    >>> [int(half[0]) for half in unswapped(*unswapped(x, y, lambda h: h & 1), lambda h: h & 1)]
    [5, 9]
    """
    return x, y ^ f(x)


def layer(x: Words, y: Words, f: Round) -> tuple[Words, Words]:
    """The swapped form (x, y) -> (y ^ f(x), x), so that the next layer changes the other half."""
    return y ^ f(x), x


def unlayer(x: Words, y: Words, f: Round) -> tuple[Words, Words]:
    """The inverse of `layer`: f is computed again, forwards."""
    return y, x ^ f(y)


def forward(x: Words, y: Words, rounds: Sequence[Round]) -> tuple[Words, Words]:
    """A balanced network: one swapped layer for each round function.

    >>> x, y = np.arange(4, dtype=np.uint8), np.full(4, 7, np.uint8)
    >>> fs = [lambda h: h * h, lambda h: h & 1, lambda h: h * 0]
    >>> all((a == b).all() for a, b in zip(backward(*forward(x, y, fs), fs), (x, y)))
    True
    """
    for f in rounds:
        x, y = layer(x, y, f)
    return x, y


def backward(x: Words, y: Words, rounds: Sequence[Round]) -> tuple[Words, Words]:
    """The exact inverse of `forward`."""
    for f in reversed(rounds):
        x, y = unlayer(x, y, f)
    return x, y


def additive(x: Words, y: Words, f: Round, bits: int) -> tuple[Words, Words]:
    """The lecture's sum, (x, y + f(x)), over words of any width that wrap around.

    >>> additive(np.array([1], np.uint16), np.array([4095], np.uint16), lambda h: h, 12)[1]
    array([0], dtype=uint16)
    """
    return x, (y + f(x)) & y.dtype.type(mask(bits))


def subtractive(x: Words, y: Words, f: Round, bits: int) -> tuple[Words, Words]:
    """The inverse of `additive`."""
    return x, (y - f(x)) & y.dtype.type(mask(bits))


def random_function(bits: int, rng: np.random.Generator) -> Round:
    """A function drawn at random from all functions of a word to a word of at most 16 bits, as a table.

    It is almost never invertible: of its values about 1 - 1/e are ever reached.

    >>> f = random_function(16, np.random.default_rng(0))
    >>> round(len(np.unique(f(np.arange(1 << 16, dtype=np.uint16)))) / (1 << 16), 2)
    0.63
    """
    if bits > 16:
        raise BadInput(f"a random function of {bits} bits needs a table of 2^{bits} entries; give at most 16 bits")
    table: Words = rng.integers(0, mask(bits), endpoint=True, size=1 << bits).astype(word_type(bits))

    def f(half: Words) -> Words:
        return np.take(table, half)

    return f
