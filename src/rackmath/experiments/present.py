"""PRESENT: sixteen 4-bit S-boxes and a wiring of bits, thirty-one times. To learn from, never to protect data.

Bogdanov et al., "PRESENT: An Ultra-Lightweight Block Cipher", CHES 2007.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from .cipher import Bytes, Cipher, State, from_words, rotl, words

SBOX = (0xC, 0x5, 0x6, 0xB, 0x9, 0x0, 0xA, 0xD, 0x3, 0xE, 0xF, 0x8, 0x4, 0x7, 0x1, 0x2)
WIRING = tuple(63 if i == 63 else 16 * i % 63 for i in range(64))
"""Where the bit that leaves the S-boxes at place i goes; place 0 is the least significant."""

ROUNDS = 31

Tables = NDArray[np.uint64]
"""A map of 64-bit words that treats their bytes apart: for each byte and value, what it adds."""


def tables(of: Callable[[int], int]) -> Tables:
    """Look-up tables of a map whose result is the OR of what it makes of each byte alone."""
    return np.array([[of(value << (8 * place)) for value in range(256)] for place in range(8)], dtype=np.uint64)


def apply(table: Tables, x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The map of `tables` on a column of words."""
    out = np.zeros_like(x)
    for place in range(8):
        out |= table[place][(x >> np.uint64(8 * place)).astype(np.uint8)]
    return out


def wire(x: int, wiring: Sequence[int] = WIRING) -> int:
    """Every bit of a word to its place.

    >>> hex(wire(0b1111))
    '0x1000100010001'
    """
    return sum(1 << to for i, to in enumerate(wiring) if x >> i & 1)


def inverse(box: Sequence[int]) -> tuple[int, ...]:
    """The permutation that undoes one."""
    found = [0] * len(box)
    for i, value in enumerate(box):
        found[value] = i
    return tuple(found)


def _byte_tables(box: Sequence[int], then: Callable[[int], int]) -> Tables:
    """The S-boxes on both halves of every byte, then another map of that kind."""
    one = [box[byte >> 4] << 4 | box[byte & 15] for byte in range(256)]
    return np.array([[then(value << (8 * place)) for value in one] for place in range(8)], dtype=np.uint64)


def schedule(key: int, bits: int, box: Sequence[int] = SBOX) -> NDArray[np.uint64]:
    """The 32 round keys of a key of 80 or 128 bits."""
    found = []
    boxes, shift = (1, 15) if bits == 80 else (2, 62)
    for i in range(1, ROUNDS + 2):
        found.append(key >> (bits - 64))
        key = rotl(key, 61, bits)
        for n in range(boxes):
            at = bits - 4 * (n + 1)
            key = key & ~(15 << at) | box[key >> at & 15] << at
        key ^= i << shift
    return np.array(found, dtype=np.uint64)


@cache
def present(bits: int, box: tuple[int, ...] = SBOX) -> Cipher:
    """PRESENT with a key of 80 or 128 bits; any other 4-bit S-box can take the place of its own."""
    forward = _byte_tables(box, wire)
    unwired = tables(lambda x: wire(x, inverse(WIRING)))
    unboxed = _byte_tables(inverse(box), lambda x: x)

    def step(state: State, keys: NDArray[np.uint64], i: int, last: bool) -> State:
        state = apply(forward, state ^ keys[i])
        return state ^ keys[i + 1] if last else state

    def back(state: State, keys: NDArray[np.uint64], i: int, last: bool) -> State:
        state = state ^ keys[i + 1] if last else state
        return apply(unboxed, apply(unwired, state)) ^ keys[i]

    return Cipher(
        name=f"present-{bits}" + ("" if box == SBOX else " with another S-box"),
        block_bits=64,
        key_bits=bits,
        rounds=ROUNDS,
        structure="SPN",
        source="Bogdanov et al., CHES 2007",
        schedule=lambda key: schedule(key, bits, box),
        load=_load,
        store=from_words,
        step=step,
        back=back,
    )


def _load(blocks: Bytes) -> NDArray[np.uint64]:
    return words(blocks, 64)[0]
