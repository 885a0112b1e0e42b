"""SIMON and SPECK: a Feistel cipher of AND, rotation and XOR, and one of addition, rotation and XOR.

To learn from, never to protect data. Beaulieu, Shors, Smith, Treatman-Clark, Weeks and Wingers, "The SIMON and SPECK
Families of Lightweight Block Ciphers", 2013 (eprint.iacr.org/2013/404).
"""

from __future__ import annotations

from typing import Any

from . import feistel
from .cipher import Bytes, Cipher, State, from_words, rotl, words

SOURCE = "Beaulieu et al. 2013, eprint.iacr.org/2013/404"

Z = (
    "11111010001001010110000111001101111101000100101011000011100110",
    "10001110111110010011000010110101000111011111001001100001011010",
    "10101111011100000011010010011000101000010001111110010110110011",
    "11011011101011000110010111100000010010001010011100110100001111",
    "11010001111001101011011000100000010111000011001010010011101111",
)
"""The constant sequences of SIMON's key schedule."""

SIMON_ROUNDS = {(16, 4): (32, 0), (32, 3): (42, 2), (32, 4): (44, 3), (64, 2): (68, 2)}
"""Word size and key words to rounds and constant sequence."""

SPECK_ROUNDS = {(16, 4): 22, (32, 3): 26, (32, 4): 27, (64, 2): 32}


def key_words(key: int, size: int, count: int) -> list[int]:
    """The words of a key, least significant first."""
    return [key >> (size * i) & feistel.mask(size) for i in range(count)]


def simon_f(x: Any, size: int) -> Any:
    """SIMON's round function; `x` an integer or a column."""
    return rotl(x, 1, size) & rotl(x, 8, size) ^ rotl(x, 2, size)


def simon_schedule(key: int, size: int, count: int) -> list[int]:
    rounds, sequence = SIMON_ROUNDS[size, count]
    k = key_words(key, size, count)
    for i in range(count, rounds):
        t = rotl(k[i - 1], -3, size)
        if count == 4:
            t ^= k[i - 3]
        t ^= rotl(t, -1, size)
        k.append(feistel.mask(size) ^ k[i - count] ^ t ^ int(Z[sequence][(i - count) % 62]) ^ 3)
    return k


def simon(size: int, count: int) -> Cipher:
    """SIMON with two words of `size` bits in a block and `count` in a key."""

    def keyed(keys: list[int], i: int) -> feistel.Round:
        return lambda x: simon_f(x, size) ^ x.dtype.type(keys[i])

    def step(state: State, keys: list[int], i: int, last: bool) -> State:
        x, y = state
        return feistel.layer(x, y, keyed(keys, i))

    def back(state: State, keys: list[int], i: int, last: bool) -> State:
        x, y = state
        return feistel.unlayer(x, y, keyed(keys, i))

    return Cipher(
        name=f"simon{2 * size}/{count * size}",
        block_bits=2 * size,
        key_bits=count * size,
        rounds=SIMON_ROUNDS[size, count][0],
        structure="Feistel",
        source=SOURCE,
        schedule=lambda key: simon_schedule(key, size, count),
        load=_loader(size),
        store=_store,
        step=step,
        back=back,
    )


def speck_rotations(size: int) -> tuple[int, int]:
    """How far SPECK rotates: the first word right, the second left."""
    return (7, 2) if size == 16 else (8, 3)


def speck_round(x: Any, y: Any, k: Any, size: int) -> tuple[Any, Any]:
    """One round on columns, or on integers as the key schedule has it."""
    alpha, beta = speck_rotations(size)
    full = feistel.mask(size) if isinstance(x, int) else x.dtype.type(feistel.mask(size))
    x = (rotl(x, -alpha, size) + y) & full ^ k
    return x, rotl(y, beta, size) ^ x


def speck_schedule(key: int, size: int, count: int) -> list[int]:
    k, *others = key_words(key, size, count)
    found = [k]
    for i in range(SPECK_ROUNDS[size, count] - 1):
        new, k = speck_round(others[i], k, i, size)
        others.append(new)
        found.append(k)
    return found


def speck(size: int, count: int) -> Cipher:
    """SPECK with two words of `size` bits in a block and `count` in a key."""
    alpha, beta = speck_rotations(size)

    def step(state: State, keys: list[int], i: int, last: bool) -> State:
        x, y = state
        return speck_round(x, y, x.dtype.type(keys[i]), size)

    def back(state: State, keys: list[int], i: int, last: bool) -> State:
        x, y = state
        y = rotl(x ^ y, -beta, size)
        return rotl((x ^ x.dtype.type(keys[i])) - y, alpha, size), y

    return Cipher(
        name=f"speck{2 * size}/{count * size}",
        block_bits=2 * size,
        key_bits=count * size,
        rounds=SPECK_ROUNDS[size, count],
        structure="ARX",
        source=SOURCE,
        schedule=lambda key: speck_schedule(key, size, count),
        load=_loader(size),
        store=_store,
        step=step,
        back=back,
    )


def _loader(size: int) -> Any:
    return lambda blocks: tuple(words(blocks, size))


def _store(state: State) -> Bytes:
    return from_words(*state)
