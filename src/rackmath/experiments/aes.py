"""AES-128: bytes substituted, rows shifted, columns mixed; no Feistel halves. To learn from, never to protect data.

FIPS 197, Advanced Encryption Standard, NIST 2001.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cipher import Bytes, Cipher, State

ROUNDS = 10


def times(a: int, b: int) -> int:
    """The product in the field of 256 elements.

    >>> hex(times(0x57, 0x13))
    '0xfe'
    """
    found = 0
    while b:
        found ^= a if b & 1 else 0
        a = a << 1 ^ (0x11B if a & 0x80 else 0)
        b >>= 1
    return found


def _substitute(a: int) -> int:
    """The inverse in the field (a to the 254), then five rotations added and a constant."""
    found = 1
    for _ in range(254):
        found = times(found, a)
    bits = found * 0x101
    return (found ^ bits >> 7 ^ bits >> 6 ^ bits >> 5 ^ bits >> 4) & 0xFF ^ 0x63


SBOX = np.array([_substitute(a) for a in range(256)], dtype=np.uint8)
UNBOX = np.argsort(SBOX).astype(np.uint8)
SHIFTED = np.array([(place + 4 * (place % 4)) % 16 for place in range(16)])
"""Where each byte comes from: row r of the square, which is filled column by column, moves r places to the left."""
UNSHIFTED = np.argsort(SHIFTED)
MIX, UNMIX = (2, 3, 1, 1), (14, 11, 13, 9)
TIMES = {k: np.array([times(a, k) for a in range(256)], dtype=np.uint8) for k in {*MIX, *UNMIX}}


def mixed(state: Bytes, factors: tuple[int, ...]) -> Bytes:
    """Each column times a circulant matrix over the field."""
    square = state.reshape(-1, 4, 4)
    out = np.zeros_like(square)
    for shift, factor in enumerate(factors):
        out ^= TIMES[factor][np.roll(square, -shift, axis=2)]
    return out.reshape(-1, 16)


def schedule(key: int) -> Bytes:
    """The eleven round keys."""
    w = [list(key.to_bytes(16)[4 * i : 4 * i + 4]) for i in range(4)]
    constant = 1
    for i in range(4, 4 * (ROUNDS + 1)):
        t = w[i - 1]
        if i % 4 == 0:
            t = [int(SBOX[byte]) for byte in (*t[1:], t[0])]
            t[0] ^= constant
            constant = times(constant, 2)
        w.append([a ^ b for a, b in zip(w[i - 4], t, strict=True)])
    return np.array(w, dtype=np.uint8).reshape(ROUNDS + 1, 16)


def step(state: State, keys: Bytes, i: int, last: bool) -> State:
    if i == 0:
        state = state ^ keys[0]
    state = SBOX[state][:, SHIFTED]
    return (state if last else mixed(state, MIX)) ^ keys[i + 1]


def back(state: State, keys: Bytes, i: int, last: bool) -> State:
    state = state ^ keys[i + 1]
    state = UNBOX[(state if last else mixed(state, UNMIX))[:, UNSHIFTED]]
    return state ^ keys[0] if i == 0 else state


def _same(blocks: NDArray[Any]) -> NDArray[Any]:
    return blocks


def aes() -> Cipher:
    """AES with a key of 128 bits."""
    return Cipher(
        name="aes-128",
        block_bits=128,
        key_bits=128,
        rounds=ROUNDS,
        structure="SPN",
        source="FIPS 197",
        schedule=schedule,
        load=_same,
        store=_same,
        step=step,
        back=back,
    )
