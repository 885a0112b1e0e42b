"""How differences go through one round of SIMON32, of SPECK32, and of a network of 4-bit S-boxes wired as PRESENT.

To learn from, never to protect data. Weights are exact for one round: -log2 of the share of inputs for which it
happens. Differences are integers of the block's size, its first word in the upper half.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput
from .cipher import rotl
from .differential import SBox, difference_table, sbox
from .present import WIRING, apply, inverse, tables, wire
from .search import Differences, Indices, Keep, Weights
from .simon_speck import simon_f

SIZE = 16
LOW = np.uint64((1 << SIZE) - 1)
UP = np.uint64(SIZE)
ONE = np.uint64(1)
NEVER = 1e9


def halves(block: Differences) -> tuple[Differences, Differences]:
    """The two words of 32-bit blocks."""
    return block >> UP, block & LOW


def joined(x: Differences, y: Differences) -> Differences:
    return x << UP | y


class SimonTransitions:
    """SIMON32: f multiplies bits in pairs, so what a difference can become is an affine space, all of it as likely.

    Its dimension is the weight. Turning all words by a place turns a characteristic too: one of sixteen is searched.
    """

    def __init__(self) -> None:
        self._spaces: dict[int, Differences] = {}

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """The weight of every difference of a word: the rank of the linear map x -> f(x) ^ f(x ^ a) ^ f(0) ^ f(a)."""
        a = np.arange(1 << SIZE, dtype=np.uint16)
        vectors = [_linear(a, np.uint16(1 << i)) for i in range(SIZE)]
        rank = np.zeros(1 << SIZE)
        for i, pivot in enumerate(vectors):
            rank += pivot != 0
            lowest = pivot & (~pivot + np.uint16(1))
            for j in range(i + 1, SIZE):
                vectors[j] = np.where(vectors[j] & lowest, vectors[j] ^ pivot, vectors[j])
        return rank

    def space(self, a: int) -> Differences:
        """Everything that the difference a becomes behind f."""
        if a not in self._spaces:
            word = np.array([a], dtype=np.uint16)
            found = np.zeros(1, dtype=np.uint16)
            for i in range(SIZE):
                vector = _linear(word, np.uint16(1 << i))
                if vector[0] not in found:
                    found = np.concatenate([found, found ^ vector])
            self._spaces[a] = (found ^ simon_f(word, SIZE)).astype(np.uint64)
        return self._spaces[a]

    def start(self, room: float, keep: Keep) -> tuple[Differences, Differences, Weights]:
        """The difference of the second half is free: it makes any difference of the next first half."""
        every = np.arange(1 << SIZE, dtype=np.uint64)
        turned = np.min([rotl(every, by, SIZE) for by in range(SIZE)], axis=0)
        first = every[(turned == every) & (self.weights <= room)]
        inputs, after, weights = [], [], []
        for x in first:
            fresh = every if x else every[(turned == every) & (every > 0)]
            reached = joined(fresh, np.full_like(fresh, x))
            total = np.full(len(fresh), self.weights[x])
            kept = keep(reached, total)
            inputs.append(joined(np.full_like(fresh, x), fresh ^ self.space(int(x))[0])[kept])
            after.append(reached[kept])
            weights.append(total[kept])
        return np.concatenate(inputs), np.concatenate(after), np.concatenate(weights)

    def follow(self, before: Differences, weights: Weights, keep: Keep) -> tuple[Indices, Differences, Weights]:
        x, y = halves(before)
        rows, after = [], []
        for a in np.unique(x):
            mine = np.flatnonzero(x == a)
            reached = joined(y[mine][:, None] ^ self.space(int(a))[None, :], np.full((len(mine), 1), a)).ravel()
            source = np.repeat(mine, len(self.space(int(a))))
            kept = keep(reached, weights[source] + self.weights[a])
            rows.append(source[kept])
            after.append(reached[kept])
        found = np.concatenate(rows)
        return found, np.concatenate(after), self.weights[x[found]]

    def floor(self, differences: Differences) -> Weights:
        return self.weights[halves(differences)[0]]


def _linear(a: NDArray[np.uint16], x: np.uint16) -> NDArray[np.uint16]:
    """The linear part, at x, of how f changes with its argument by a."""
    there = np.full_like(a, x)
    found: NDArray[np.uint16] = simon_f(there, SIZE) ^ simon_f(there ^ a, SIZE) ^ simon_f(a, SIZE)
    return found


class SpeckTransitions:
    """SPECK32: only the addition is not linear. A place weighs 1 unless all three differences agree there.

    Where they agree, the next place is settled (Lipmaa and Moriai, FSE 2001); the topmost place weighs nothing.
    """

    ALPHA, BETA = 7, 2

    def start(self, room: float, keep: Keep) -> tuple[Differences, Differences, Weights]:
        a, b, c = (np.zeros(1, dtype=np.uint64) for _ in range(3))
        total = np.zeros(1)
        for place in range(SIZE):
            bits = np.arange(8, dtype=np.uint64)
            new = np.tile(np.stack([bits >> np.uint64(2), bits >> np.uint64(1) & np.uint64(1), bits & np.uint64(1)]), len(a))
            a, b, c = (np.repeat(word, 8) for word in (a, b, c))
            possible, more = _addition((a, b, c), new, place)
            total = np.repeat(total, 8) + more
            a, b, c = (word | bit << np.uint64(place) for word, bit in zip((a, b, c), new, strict=True))
            settled = (place < SIZE - 1) * ((new[0] != new[1]) | (new[1] != new[2]))
            kept = possible & (total + settled <= room)
            a, b, c, total = a[kept], b[kept], c[kept], total[kept]
            kept = keep(joined(np.zeros_like(a), self._known(b, c, place)), total)
            a, b, c, total = a[kept], b[kept], c[kept], total[kept]
        after = joined(c, rotl(b, self.BETA, SIZE) ^ c)
        kept = keep(after, total) & ((a | b) > 0)
        return joined(rotl(a, self.ALPHA, SIZE), b)[kept], after[kept], total[kept]

    def _known(self, b: Differences, c: Differences, place: int) -> Differences:
        """Where the next addition's two differences are known to differ, from the bits up to a place."""
        sure = sum(1 << i for i in range(SIZE - 1) if max((i + self.ALPHA) % SIZE, (i - self.BETA) % SIZE, i) <= place)
        apart: Differences = rotl(c, -self.ALPHA, SIZE) ^ rotl(b, self.BETA, SIZE) ^ c
        return apart & np.uint64(sure)

    def follow(self, before: Differences, weights: Weights, keep: Keep) -> tuple[Indices, Differences, Weights]:
        x, y = halves(before)
        rows, spent = np.arange(len(before)), np.zeros(len(before))
        a, b, c = rotl(x, -self.ALPHA, SIZE), y, np.zeros_like(x)
        for place in range(SIZE):
            a, b, c = (np.repeat(word, 2) for word in (a, b, c))
            rows, spent = np.repeat(rows, 2), np.repeat(spent, 2)
            at = np.uint64(place)
            new = np.stack([a >> at & ONE, b >> at & ONE, np.tile(np.arange(2, dtype=np.uint64), len(a) // 2)])
            possible, more = _addition((a, b, c), new, place)
            spent, c = spent + more, c | new[2] << at
            ahead = np.bitwise_count((a ^ b) >> at & (LOW >> np.uint64(place + 1)))
            kept = possible & keep(joined(np.zeros_like(a), self._known(b, c, place)), weights[rows] + spent + ahead)
            a, b, c, rows, spent = a[kept], b[kept], c[kept], rows[kept], spent[kept]
        after = joined(c, rotl(b, self.BETA, SIZE) ^ c)
        kept = keep(after, weights[rows] + spent)
        return rows[kept], after[kept], spent[kept]

    def floor(self, differences: Differences) -> Weights:
        """The least weight of the next addition: agree wherever that is possible, place by place."""
        x, y = halves(differences)
        a, b = rotl(x, -self.ALPHA, SIZE), y
        agree, value = np.ones(len(a), dtype=bool), np.zeros(len(a), dtype=np.uint64)
        weight = np.zeros(len(a))
        for place in range(SIZE - 1):
            at = np.uint64(place)
            bit = a >> at & ONE
            agree = (bit == (b >> at & ONE)) & (~agree | (value == bit))
            value = bit
            weight += ~agree
        return weight


def _addition(below: tuple[Differences, Differences, Differences], new: Differences, place: int) -> tuple[NDArray[np.bool_], Weights]:
    """Whether bits (a, b, c) may stand at a place above given words, and what settling the place below weighs."""
    odd = new[0] ^ new[1] ^ new[2]
    if place == 0:
        return odd == 0, np.zeros(len(odd))
    a, b, c = (word >> np.uint64(place - 1) & ONE for word in below)
    agree = (a == b) & (b == c)
    return ~agree | (odd == b), (~agree).astype(np.float64)


class BoxTransitions:
    """Sixteen equal 4-bit S-boxes, then PRESENT's wiring. With `count` every active S-box weighs 1 instead."""

    def __init__(self, box: SBox | None = None, *, count: bool = False) -> None:
        box = sbox("present") if box is None else box
        if (box.inputs, box.outputs) != (4, 4):
            raise BadInput(f"{box.name} takes {box.inputs} bits and gives {box.outputs}; the search needs a 4-bit S-box")
        table = difference_table(box)[1:, 1:]
        weights = np.full(table.shape, NEVER)
        weights[table > 0] = 1.0 if count else -np.log2(table[table > 0] / 16)
        self.weights = np.pad(weights, ((1, 0), (1, 0)), constant_values=NEVER)
        self.weights[0, 0] = 0.0
        self.least = float(weights.min())
        if self.least == 0:
            raise BadInput(
                f"{box.name} lets some difference through with certainty, so nothing bounds the search;"
                " give an S-box without a linear structure"
            )
        self.wired = tables(wire)
        self.unwired = tables(lambda x: wire(x, inverse(WIRING)))

    def floor(self, differences: Differences) -> Weights:
        """Every active S-box weighs at least the lightest way through one."""
        folded = differences | differences >> np.uint64(1)
        folded = (folded | folded >> np.uint64(2)) & np.uint64(0x1111111111111111)
        return np.asarray(np.bitwise_count(folded) * self.least)

    def start(self, room: float, keep: Keep) -> tuple[Differences, Differences, Weights]:
        """Any output of each S-box, from the input that gives it most often."""
        choices = self.weights.min(axis=0)
        origin = self.weights.argmin(axis=0).astype(np.uint64)
        inputs, after, total = np.zeros(1, np.uint64), np.zeros(1, np.uint64), np.zeros(1)
        for place in range(16):
            out = np.arange(16, dtype=np.uint64)
            wide, new = np.repeat(after, 16), np.tile(out, len(after))
            reached = wide | apply(self.wired, new << np.uint64(4 * place))
            total = np.repeat(total, 16) + np.tile(choices, len(after))
            source = np.repeat(inputs, 16) | np.tile(origin, len(after)) << np.uint64(4 * place)
            kept = (total <= room) & keep(reached, total)
            inputs, after, total = source[kept], reached[kept], total[kept]
        real = after > 0
        return inputs[real], after[real], total[real]

    def follow(self, before: Differences, weights: Weights, keep: Keep) -> tuple[Indices, Differences, Weights]:
        rows = np.arange(len(before))
        after, spent = np.zeros(len(before), np.uint64), np.zeros(len(before))
        rest = self.floor(before)
        for place in range(16):
            digit = (before[rows] >> np.uint64(4 * place) & np.uint64(15)).astype(np.int64)
            rest = rest - self.least * (digit > 0)
            wide, new = np.nonzero(self.weights[digit] < NEVER)
            spent = spent[wide] + self.weights[digit[wide], new]
            after = after[wide] | apply(self.wired, new.astype(np.uint64) << np.uint64(4 * place))
            rows, rest = rows[wide], rest[wide]
            kept = keep(after, weights[rows] + spent + rest)
            rows, after, spent, rest = rows[kept], after[kept], spent[kept], rest[kept]
        return rows, after, spent


Searchable = SimonTransitions | SpeckTransitions | BoxTransitions

SEARCHED: dict[str, Callable[[], Searchable]] = {
    "simon32/64": SimonTransitions,
    "speck32/64": SpeckTransitions,
    "present-80": BoxTransitions,
    "present-128": BoxTransitions,
}
"""The ciphers whose characteristics can be searched."""

PUBLISHED: dict[str, tuple[tuple[float, ...], str]] = {
    "simon32/64": ((0, 2, 4, 6, 8, 12, 14, 18, 20, 25, 30, 34, 36), "Kölbl, Leander and Tiessen, CRYPTO 2015 (eprint.iacr.org/2015/145)"),
    "speck32/64": ((0, 1, 3, 5, 9, 13, 18, 24, 30), "Biryukov, Velichkov and Le Corre, FSE 2016"),
}
"""Weights of the best characteristics of 1, 2, ... rounds as published, and where."""
