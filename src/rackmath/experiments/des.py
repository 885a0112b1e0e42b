"""DES: the Feistel cipher whose S-boxes withstood differential cryptanalysis. To learn from, never to protect data.

FIPS 46-3, Data Encryption Standard, NIST 1999. Bits are counted as there: the first is the most significant.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from . import feistel
from .cipher import Bytes, Cipher, State, from_words, rotl, to_bits, words

ROUNDS = 16

SBOXES = tuple(
    tuple(tuple(int(digit, 16) for digit in row) for row in rows.split())
    for rows in (
        "E4D12FB83A6C5907 0F74E2D1A6CB9538 41E8D62BFC973A50 FC8249175B3EA06D",
        "F18E6B34972DC05A 3D47F28EC01A69B5 0E7BA4D158C6932F D8A13F42B67C05E9",
        "A09E63F51DC7B428 D709346A285ECBF1 D6498F30B12C5AE7 1AD069874FE3B52C",
        "7DE3069A1285BC4F D8B56F03472C1AE9 A690CB7DF13E5284 3F06A1D8945BC72E",
        "2C417AB6853FD0E9 EB2C47D150FA3986 421BAD78F9C5630E B8C71E2D6F09A453",
        "C1AF92680D34E75B AF427C9561DE0B38 9EF528C3704A1DB6 432C95FABE17608D",
        "4B2EF08D3C975A61 D0B7491AE35C2F86 14BDC37EAF680592 6BD814A7950FE23C",
        "D2846FB1A93E50C7 1FD8A374C56B0E92 7B419CE206ADF358 21E74A8DFC90356B",
    )
)
"""Eight boxes of four rows: the outer two of six input bits choose the row, the inner four the column."""

P = (16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25)
FIRST = (
    57,
    49,
    41,
    33,
    25,
    17,
    9,
    1,
    58,
    50,
    42,
    34,
    26,
    18,
    10,
    2,
    59,
    51,
    43,
    35,
    27,
    19,
    11,
    3,
    60,
    52,
    44,
    36,
    63,
    55,
    47,
    39,
    31,
    23,
    15,
    7,
    62,
    54,
    46,
    38,
    30,
    22,
    14,
    6,
    61,
    53,
    45,
    37,
    29,
    21,
    13,
    5,
    28,
    20,
    12,
    4,
)
SECOND = (
    14,
    17,
    11,
    24,
    1,
    5,
    3,
    28,
    15,
    6,
    21,
    10,
    23,
    19,
    12,
    4,
    26,
    8,
    16,
    7,
    27,
    20,
    13,
    2,
    41,
    52,
    31,
    37,
    47,
    55,
    30,
    40,
    51,
    45,
    33,
    48,
    44,
    49,
    39,
    56,
    34,
    53,
    46,
    42,
    50,
    36,
    29,
    32,
)
SHIFTS = (1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1)
INITIAL = np.array([8 * row + column for column in (1, 3, 5, 7, 0, 2, 4, 6) for row in range(7, -1, -1)])
"""The initial permutation: which bit, from 0, comes to each place."""


def box(number: int, six: int) -> int:
    """S-box `number`, from 0, of six bits.

    >>> box(0, 0b011011)
    5
    """
    return SBOXES[number][(six >> 4 & 2) | six & 1][six >> 1 & 15]


def pick(value: int, places: Sequence[int], bits: int) -> int:
    """The bits of a word of so many bits at the given places, in that order."""
    found = 0
    for place in places:
        found = found << 1 | value >> (bits - place) & 1
    return found


WIRED = np.array([[pick(box(n, six) << (28 - 4 * n), P, 32) for six in range(64)] for n in range(8)], dtype=np.uint32)
"""Each S-box with the permutation P behind it."""


def schedule(key: int) -> NDArray[np.uint32]:
    """Sixteen round keys of eight times six bits. The eighth bit of each byte, a parity, is not used."""
    chosen = pick(key, FIRST, 64)
    c, d = chosen >> 28, chosen & feistel.mask(28)
    found = []
    for by in SHIFTS:
        c, d = rotl(c, by, 28), rotl(d, by, 28)
        k = pick(c << 28 | d, SECOND, 56)
        found.append([k >> (42 - 6 * n) & 63 for n in range(8)])
    return np.array(found, dtype=np.uint32)


def f(half: NDArray[np.uint32], key: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The round function: six bits of the half, overlapping by two, into each S-box."""
    out = np.zeros_like(half)
    for n in range(8):
        out ^= WIRED[n][rotl(half, 4 * n + 5, 32) & np.uint32(63) ^ key[n]]
    return out


def step(state: State, keys: NDArray[np.uint32], i: int, last: bool) -> State:
    right, left = state
    right, left = feistel.layer(right, left, lambda half: f(half, keys[i]))
    return (left, right) if last else (right, left)


def back(state: State, keys: NDArray[np.uint32], i: int, last: bool) -> State:
    right, left = state[::-1] if last else state
    return feistel.unlayer(right, left, lambda half: f(half, keys[i]))


def load(blocks: Bytes) -> State:
    """The halves after the initial permutation, the right one first: it is the one that goes into f."""
    left, right = words(np.packbits(to_bits(blocks)[:, INITIAL], axis=-1), 32)
    return right, left


def store(state: State) -> Bytes:
    right, left = state
    return np.packbits(to_bits(from_words(left, right))[:, np.argsort(INITIAL)], axis=-1)


def des() -> Cipher:
    """DES. Of 64 bits of key 56 count."""
    return Cipher(
        name="des",
        block_bits=64,
        key_bits=64,
        rounds=ROUNDS,
        structure="Feistel",
        source="FIPS 46-3",
        schedule=schedule,
        load=load,
        store=store,
        step=step,
        back=back,
    )
