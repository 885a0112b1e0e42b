"""The likeliest differential characteristics over r rounds: Matsui's branch and bound, a round at a time.

To learn from, never to protect data. A characteristic is a difference before and after every round; its weight,
-log2 of its probability under independent round keys, is the sum over rounds. Matsui (EUROCRYPT 1994): a beginning
cannot belong to the best one if its weight, plus the best weight of the rounds that remain, exceeds a target. The
target starts at what shorter characteristics prove and rises until one meets it, so the answer is the best there is.
All beginnings of one length are columns; of those that meet in a difference only the lightest goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput

Differences = NDArray[np.uint64]
Weights = NDArray[np.float64]
Indices = NDArray[np.int64]

Keep = Callable[[Differences, Weights], NDArray[np.bool_]]
"""Which of some differences after a round, reached at some weight, can still meet the target."""

SLACK = 1e-9
CHUNK = 4096
"""Differences that are followed at a time; between two lots the clock is read."""
MOST = 1 << 23
"""More differences at once than this are not held in memory; the search stops there."""


class Transitions(Protocol):
    """What the search must know of a cipher. Differences are integers of the block's size.

    `start`: inputs, differences after one round and weights, of the lightest ways into everything that is kept.
    `follow`: for some differences, the row each result comes from, the results and the weights of that round alone.
    `floor`: the least that one more round can weigh after a difference.
    """

    def start(self, room: float, keep: Keep) -> tuple[Differences, Differences, Weights]: ...
    def follow(self, before: Differences, weights: Weights, keep: Keep) -> tuple[Indices, Differences, Weights]: ...
    def floor(self, differences: Differences) -> Weights: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Characteristic:
    """Differences before the first round and after each; `weights` of the rounds. All of them are proven best."""

    differences: tuple[int, ...]
    weights: tuple[float, ...]

    @property
    def rounds(self) -> int:
        return len(self.weights)

    @property
    def weight(self) -> float:
        return float(sum(self.weights))


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a search stands: looking for `rounds` rounds within `target`, at `level` with so many differences."""

    rounds: int
    target: float
    level: int
    differences: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Characteristics:
    """The best characteristics of 1, 2, ... rounds.

    `unfinished`: where time or memory ran out, the rounds being searched and the weight below which there is nothing.
    """

    best: tuple[Characteristic, ...]
    unfinished: tuple[int, float] | None = None


class _Stopped(Exception):
    """No time or no memory is left."""


def best(
    transitions: Transitions, rounds: int, *, seconds: float = 60.0, progress: Callable[[Progress], None] = lambda _: None
) -> Characteristics:
    """The best characteristics of 1 to `rounds` rounds, or as many as `seconds` and memory allow.

    >>> from rackmath.experiments.transitions import SimonTransitions
    >>> [one.weight for one in best(SimonTransitions(), 5).best]
    [0.0, 2.0, 4.0, 6.0, 8.0]
    """
    if rounds != rounds or rounds != int(rounds) or rounds < 1:
        raise BadInput(f"a characteristic of {rounds} rounds cannot be searched; give a whole number from 1")
    if not 0 < seconds < float("inf"):
        raise BadInput(f"a search of {seconds} seconds is none; give a number above 0")
    search = _Search(transitions, monotonic() + seconds, progress)
    found: list[Characteristic] = []
    bounds = [0.0]
    for r in range(1, int(rounds) + 1):
        target = max([bounds[i] + bounds[r - i] for i in range(1, r)], default=0.0)
        try:
            while (one := search.within(target, r, bounds)) is None:
                target += 1
        except _Stopped:
            return Characteristics(best=tuple(found), unfinished=(r, target))
        found.append(one)
        bounds.append(one.weight)
    return Characteristics(best=tuple(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Level:
    """Differences after a round with the weight so far, that of the round, and the row they come from."""

    differences: Differences
    total: Weights
    last: Weights
    parents: Indices


class _Search:
    def __init__(self, transitions: Transitions, deadline: float, progress: Callable[[Progress], None]) -> None:
        self.transitions, self.deadline, self.progress = transitions, deadline, progress

    def within(self, target: float, rounds: int, bounds: Sequence[float]) -> Characteristic | None:
        """The lightest characteristic of a weight up to the target, or None where there is none."""
        inputs, after, weights = self.transitions.start(target + SLACK - bounds[rounds - 1], self._keep(target, rounds - 1, bounds))
        levels = [_lightest(_Level(differences=after, total=weights, last=weights, parents=np.arange(len(after))))]
        for level in range(2, rounds + 1):
            levels.append(self._next(levels[-1], target, rounds - level, bounds, rounds, level))
        if not len(levels[-1].differences):
            return None
        return _traced(inputs, levels)

    def _keep(self, target: float, left: int, bounds: Sequence[float]) -> Keep:
        """The bound: what remains weighs at least its own best, and at least the next round and the best after it."""

        def keep(after: Differences, total: Weights) -> NDArray[np.bool_]:
            if monotonic() > self.deadline or len(after) > MOST:
                raise _Stopped
            rest = np.full(len(after), bounds[left])
            if left:
                rest = np.maximum(rest, self.transitions.floor(after) + bounds[left - 1])
            return np.asarray(total + rest <= target + SLACK)

        return keep

    def _next(self, level: _Level, target: float, left: int, bounds: Sequence[float], rounds: int, number: int) -> _Level:
        keep = self._keep(target, left, bounds)
        parts: list[_Level] = []
        for start in range(0, len(level.differences), CHUNK):
            self.progress(Progress(rounds=rounds, target=target, level=number, differences=len(level.differences)))
            part = slice(start, start + CHUNK)
            rows, after, weights = self.transitions.follow(level.differences[part], level.total[part], keep)
            parts.append(_lightest(_Level(differences=after, total=level.total[part][rows] + weights, last=weights, parents=rows + start)))
        return _lightest(_joined(parts))


def _joined(parts: Sequence[_Level]) -> _Level:
    if not parts:
        none = np.array([], dtype=np.float64)
        return _Level(differences=none.astype(np.uint64), total=none, last=none, parents=none.astype(np.int64))
    return _Level(
        differences=np.concatenate([p.differences for p in parts]),
        total=np.concatenate([p.total for p in parts]),
        last=np.concatenate([p.last for p in parts]),
        parents=np.concatenate([p.parents for p in parts]),
    )


def _lightest(level: _Level) -> _Level:
    """Each difference once, as it is reached most lightly."""
    order = np.lexsort((level.total, level.differences))
    ordered = level.differences[order]
    order = order[np.append(True, ordered[1:] != ordered[:-1])] if len(order) else order
    return _Level(differences=level.differences[order], total=level.total[order], last=level.last[order], parents=level.parents[order])


def _traced(inputs: Differences, levels: Sequence[_Level]) -> Characteristic:
    """The lightest end followed back to its input."""
    at = int(np.argmin(levels[-1].total))
    differences, weights = [], []
    for level in reversed(levels):
        differences.append(int(level.differences[at]))
        weights.append(float(level.last[at]))
        at = int(level.parents[at])
    differences.append(int(inputs[at]))
    return Characteristic(differences=tuple(reversed(differences)), weights=tuple(reversed(weights)))
