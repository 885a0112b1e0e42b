"""How differences go through S-boxes and ciphers: tables counted in full, probabilities measured by encrypting.

To learn from, never to protect data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput, unknown
from . import aes, des, present
from .cipher import Cipher, encrypt, rows

Table = NDArray[np.int64]

BOXES = ("present", "aes", *(f"des{n}" for n in range(1, 9)))


@dataclass(frozen=True, slots=True, kw_only=True)
class SBox:
    """A substitution: `values[x]` for every input x of `inputs` bits, each of `outputs` bits."""

    name: str
    values: tuple[int, ...]
    inputs: int
    outputs: int


def sbox(given: str | Sequence[int]) -> SBox:
    """An S-box by name, as numbers, or as one hexadecimal digit for each value.

    >>> sbox("C56B90AD3EF84712").values == sbox("present").values
    True
    >>> sbox("2,0,3,1").inputs
    2
    """
    if isinstance(given, str):
        word = given.strip().lower()
        if word == "present":
            return _made("present", present.SBOX)
        if word == "aes":
            return _made("aes", aes.SBOX.tolist())
        if word in BOXES:
            number = int(word[3:]) - 1
            return SBox(name=word, values=tuple(des.box(number, six) for six in range(64)), inputs=6, outputs=4)
        parts = word.replace(",", " ").split()
        if len(parts) == 1 and len(word) in (2, 4, 8, 16) and all(c in "0123456789abcdef" for c in word):
            return _made("your S-box", [int(c, 16) for c in word])
        if len(parts) == 1:
            raise unknown("S-box", given, BOXES, hint="; or give its values, like 12,5,6,11,...")
        try:
            given = [int(p, 0) for p in parts]
        except ValueError:
            raise BadInput(f"the S-box {given!r} is not a list of whole numbers; write it like 12,5,6,11") from None
    return _made("your S-box", given)


def _made(name: str, values: Sequence[int]) -> SBox:
    """A permutation of 2 to 256 values; anything else is refused."""
    size = len(values)
    if not all(v == v and abs(v) < 1 << 16 and v == int(v) for v in values):
        raise BadInput("an S-box holds whole numbers only; give each value from 0 on once")
    if size < 2 or size & (size - 1) or size > 256:
        raise BadInput(f"an S-box of {size} values has no whole number of input bits; give 2, 4, 8, ... or 256 values")
    if sorted(values) != list(range(size)):
        raise BadInput(f"the S-box is not a permutation; give each value from 0 to {size - 1} once")
    bits = size.bit_length() - 1
    return SBox(name=name, values=tuple(int(v) for v in values), inputs=bits, outputs=bits)


def difference_table(box: SBox) -> Table:
    """Of all inputs x, how many give the output difference b to the input difference a, at [a, b].

    >>> int(difference_table(sbox("present"))[1:].max())
    4
    """
    values = np.array(box.values)
    inputs = np.arange(len(values))
    table = np.zeros((len(values), 1 << box.outputs), dtype=np.int64)
    for a in inputs:
        table[a] = np.bincount(values ^ values[inputs ^ a], minlength=1 << box.outputs)
    return table


def linear_table(box: SBox) -> Table:
    """For input mask a and output mask b, how many more inputs than half have equal parities, at [a, b].

    >>> int(abs(linear_table(sbox("present"))[1:]).max())
    4
    """
    values = np.array(box.values)
    parity = np.array([n.bit_count() & 1 for n in range(256)])
    left = 1 - 2 * parity[np.arange(len(values))[:, None] & np.arange(len(values))[None, :]]
    right = 1 - 2 * parity[np.arange(1 << box.outputs)[:, None] & values[None, :]]
    return np.asarray(left @ right.T // 2)


def uniformity(table: Table) -> int:
    """The largest entry of a difference table for a difference that is not 0."""
    return int(table[1:].max())


def spectrum(table: Table) -> dict[int, int]:
    """How many entries of a difference table have each count, without the difference 0.

    >>> spectrum(difference_table(sbox("aes")))
    {0: 32895, 2: 32130, 4: 255}
    """
    counts, entries = np.unique(table[1:], return_counts=True)
    return dict(zip(counts.tolist(), entries.tolist(), strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredDifferential:
    """A differential measured: `hits` of `pairs` pairs, over `keys` random keys, had the output difference."""

    hits: int
    pairs: int
    keys: int

    @property
    def probability(self) -> float:
        return self.hits / self.pairs

    @property
    def weight(self) -> float:
        """-log2 of the probability; infinite without a hit."""
        return -math.log2(self.probability) if self.hits else math.inf

    @property
    def error(self) -> float:
        """The relative standard error of the probability, from the number of hits."""
        return 1 / math.sqrt(self.hits) if self.hits else math.inf


def measure(
    cipher: Cipher, difference: int, output: int, rounds: int, *, pairs: int = 1 << 18, keys: int = 16, seed: int = 0
) -> MeasuredDifferential:
    """How often pairs with an input difference have an output difference after so many rounds, averaged over keys.

    All paths between the two count, so it is at least what one characteristic predicts, but for chance.

    >>> from rackmath.experiments.ciphers import cipher
    >>> measure(cipher("simon32"), 0x00000001, 0x00010000, 1, pairs=64, keys=2).probability
    1.0
    """
    rng = np.random.default_rng(seed)
    size = cipher.block_bits // 8
    before, after = (rows([d], cipher.block_bits)[0] for d in (difference, output))
    each = max(1, pairs // keys)
    hits = 0
    for _ in range(keys):
        key = random_key(cipher, rng)
        for start in range(0, each, 1 << 16):
            plain = rng.integers(0, 256, (min(1 << 16, each - start), size), dtype=np.uint8)
            found = encrypt(cipher, plain, key, rounds) ^ encrypt(cipher, plain ^ before, key, rounds)
            hits += int((found == after).all(axis=1).sum())
    return MeasuredDifferential(hits=hits, pairs=each * keys, keys=keys)


def random_key(cipher: Cipher, rng: np.random.Generator) -> int:
    """A key of the cipher's size."""
    return int.from_bytes(rng.bytes(cipher.key_bits // 8))
