"""One interface for every cipher of the laboratory. To learn from, never to protect data.

A block is a row of bytes, most significant first. A cipher is a key schedule and a round with its inverse; this
module runs any number of rounds over any number of blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput

Bytes = NDArray[np.uint8]
"""Blocks: one row of bytes each."""

State = Any
"""What a cipher works on between rounds: a column of words, a pair of columns, or rows of bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cipher:
    """A block cipher. Sizes are in bits.

    `schedule`: the round keys of a key. `load` and `store`: bytes to a state and back. `step(state, keys, i, last)`:
    round i, counted from 0, with whatever stands before the first and after the last one; `back` undoes it.
    """

    name: str
    block_bits: int
    key_bits: int
    rounds: int
    structure: Literal["Feistel", "SPN", "ARX"]
    source: str
    schedule: Callable[[int], Any]
    load: Callable[[Bytes], State]
    store: Callable[[State], Bytes]
    step: Callable[[State, Any, int, bool], State]
    back: Callable[[State, Any, int, bool], State]


@overload
def encrypt(cipher: Cipher, plain: int, key: int, rounds: int | None = None) -> int: ...
@overload
def encrypt(cipher: Cipher, plain: Bytes, key: int, rounds: int | None = None) -> Bytes: ...
def encrypt(cipher: Cipher, plain: int | Bytes, key: int, rounds: int | None = None) -> int | Bytes:
    """A block, or rows of blocks, after the first `rounds` rounds, the last of them as the cipher ends.

    >>> from rackmath.experiments.ciphers import cipher
    >>> hex(encrypt(cipher("speck32"), 0x6574694C, 0x1918111009080100))
    '0xa86842f2'
    """
    if isinstance(plain, int):
        return to_int(encrypt(cipher, rows([plain], cipher.block_bits), key, rounds)[0])
    count = checked(cipher, plain, key, rounds)
    keys = cipher.schedule(key)
    state = cipher.load(plain)
    for i in range(count):
        state = cipher.step(state, keys, i, i == count - 1)
    return cipher.store(state)


@overload
def decrypt(cipher: Cipher, secret: int, key: int, rounds: int | None = None) -> int: ...
@overload
def decrypt(cipher: Cipher, secret: Bytes, key: int, rounds: int | None = None) -> Bytes: ...
def decrypt(cipher: Cipher, secret: int | Bytes, key: int, rounds: int | None = None) -> int | Bytes:
    """The inverse of `encrypt`."""
    if isinstance(secret, int):
        return to_int(decrypt(cipher, rows([secret], cipher.block_bits), key, rounds)[0])
    count = checked(cipher, secret, key, rounds)
    keys = cipher.schedule(key)
    state = cipher.load(secret)
    for i in reversed(range(count)):
        state = cipher.back(state, keys, i, i == count - 1)
    return cipher.store(state)


def states(cipher: Cipher, plain: Bytes, key: int, rounds: int | None = None) -> Iterator[Bytes]:
    """The blocks before the first round and after each round of one encryption."""
    count = checked(cipher, plain, key, rounds)
    keys = cipher.schedule(key)
    state = cipher.load(plain)
    yield plain
    for i in range(count):
        state = cipher.step(state, keys, i, i == cipher.rounds - 1)
        yield cipher.store(state)


def checked(cipher: Cipher, blocks: Bytes, key: int, rounds: int | None) -> int:
    """The number of rounds to run; blocks, keys and rounds of another size are refused."""
    if blocks.ndim != 2 or blocks.shape[1] * 8 != cipher.block_bits or blocks.dtype != np.uint8:
        raise BadInput(
            f"blocks of shape {blocks.shape} and type {blocks.dtype} are not blocks of {cipher.name};"
            f" give rows of {cipher.block_bits // 8} bytes"
        )
    if isinstance(key, bool) or not isinstance(key, int) or not 0 <= key < 1 << cipher.key_bits:
        shown = hex(key) if isinstance(key, int) else repr(key)
        raise BadInput(f"the key {shown} is not a key of {cipher.name}; give {cipher.key_bits} bits")
    if rounds is None:
        return cipher.rounds
    if rounds != rounds or rounds != int(rounds) or not 1 <= rounds <= cipher.rounds:
        raise BadInput(f"{cipher.name} has no {rounds} rounds; give a whole number from 1 to {cipher.rounds}")
    return int(rounds)


# --- bytes and bits -------------------------------------------------------------------------------------------------


def rows(blocks: list[int], bits: int) -> Bytes:
    """Integers as rows of bytes.

    >>> rows([0x0102], 16)
    array([[1, 2]], dtype=uint8)
    """
    for block in blocks:
        if not 0 <= block < 1 << bits:
            raise BadInput(f"the block {hex(block)} does not fit; give {bits} bits")
    return np.array([list(block.to_bytes(bits // 8)) for block in blocks], dtype=np.uint8).reshape(-1, bits // 8)


def to_int(row: Bytes) -> int:
    """A row of bytes as an integer."""
    return int.from_bytes(row.tobytes())


def to_bits(blocks: Bytes) -> Bytes:
    """Rows of bits, most significant first."""
    return np.unpackbits(blocks, axis=-1)


def words(blocks: Bytes, size: int) -> list[NDArray[Any]]:
    """The words of `size` bits that blocks consist of, as columns."""
    found = np.ascontiguousarray(blocks).view(f">u{size // 8}").astype(f"u{size // 8}")
    return [found[:, i].copy() for i in range(found.shape[1])]


def from_words(*columns: NDArray[Any]) -> Bytes:
    """The inverse of `words`."""
    size = columns[0].dtype.itemsize
    return np.stack(columns, axis=1).astype(f">u{size}").view(np.uint8)


def rotl(x: Any, by: int, bits: int) -> Any:
    """Rotate to the left, integers or columns, within words of so many bits.

    >>> hex(rotl(0x8001, 1, 16))
    '0x3'
    """
    by %= bits
    if by == 0:
        return x
    full = (1 << bits) - 1
    if isinstance(x, int):
        return (x << by | x >> (bits - by)) & full
    kind = x.dtype.type
    return (x << kind(by) | x >> kind(bits - by)) & kind(full)
