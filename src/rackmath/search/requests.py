"""Requests to serve, and their times when they were served."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput

Column = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """Columns of one length: `inputs`, `outputs` in tokens (whole numbers, at least 1), `arrival` in seconds.

    With `clients` the loop is closed: so many clients send one request each at time 0 and the next, in order, when
    the last one is answered; `arrival` is then not read.
    """

    inputs: Column
    outputs: Column
    arrival: Column | None = None
    clients: int | None = None

    def __post_init__(self) -> None:
        n = len(self.inputs)
        if not n:
            raise BadInput("there are no requests; give at least one")
        for name in ("inputs", "outputs"):
            column = np.asarray(getattr(self, name), dtype=float)
            if len(column) != n:
                raise BadInput(f"{name} has {len(column)} rows and inputs has {n}; give one length for each request")
            if not np.all(np.isfinite(column) & (column >= 1) & (column == np.floor(column))):
                raise BadInput(f"{name} holds a length that is no whole number of tokens above 0")
        if (self.arrival is None) == (self.clients is None):
            raise BadInput("give either arrival times or a number of clients")
        if self.arrival is not None:
            times = np.asarray(self.arrival, dtype=float)
            if len(times) != n or not np.all(np.isfinite(times) & (times >= 0)):
                raise BadInput(f"arrival must hold {n} times in seconds, none of them negative")
        if self.clients is not None and not self.clients >= 1:
            raise BadInput(f"clients = {self.clients!r} is impossible; give at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What each step held, as columns: its end in seconds, and counts after it. `kv_share` of the room for cache."""

    end: Column
    running: Column
    waiting: Column
    prefill: Column
    decode: Column
    kv_share: Column


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Times of every request in seconds, in the order given; `preempted` counts how often each was pushed back.

    `queued`: when the engine took it in, at the start of a step. `ttft` counts from `arrival`, `engine_ttft` from
    `queued`, as an engine's own log does. `tpot` of a request with one token is NaN.
    """

    inputs: Column
    outputs: Column
    arrival: Column
    queued: Column
    scheduled: Column
    first: Column
    last: Column
    preempted: Column
    steps: Steps

    @property
    def ttft(self) -> Column:
        return self.first - self.arrival

    @property
    def engine_ttft(self) -> Column:
        return self.first - self.queued

    @property
    def tpot(self) -> Column:
        more = self.outputs - 1
        return np.where(more > 0, (self.last - self.first) / np.maximum(more, 1), np.nan)

    @property
    def end_to_end(self) -> Column:
        return self.last - self.arrival

    @property
    def duration(self) -> float:
        return float(np.max(self.last) - np.min(self.arrival))

    @property
    def output_tput(self) -> float:
        """Output tokens per second over the whole run."""
        return float(np.sum(self.outputs)) / self.duration

    def summary(self) -> dict[str, float]:
        """Mean, median and tails of TTFT and TPOT in seconds, and rates."""
        found = {"requests": float(len(self.first)), "duration": self.duration, "output_tput": self.output_tput}
        found["request_rate"] = len(self.first) / self.duration
        for name in ("ttft", "tpot", "end_to_end"):
            column = getattr(self, name)
            column = column[np.isfinite(column)]
            if not len(column):
                continue
            found[f"{name}_mean"] = float(np.mean(column))
            for label, share in (("median", 50), ("p90", 90), ("p99", 99)):
                found[f"{name}_{label}"] = float(np.percentile(column, share))
        return found


def lengths(tokens: float, n: int, *, low: float = 1.0, seed: int = 0) -> Column:
    """`n` whole lengths, uniform from `low` x tokens to tokens, as serving benchmarks draw them.

    >>> lengths(1000, 3)
    array([1000., 1000., 1000.])
    """
    if not (tokens >= 1 and n >= 1 and 0 < low <= 1):
        raise BadInput(f"{n!r} lengths of {low!r} to 1 times {tokens!r} tokens are impossible")
    rng = np.random.default_rng(seed)
    least = max(int(np.floor(low * tokens)), 1)
    return rng.integers(least, int(tokens) + 1, n).astype(float)


def poisson(rate: float, n: int, *, seed: int = 0) -> Column:
    """`n` arrival times at random, `rate` a second on average."""
    if not 0 < rate < np.inf:
        raise BadInput(f"rate = {rate!r} is out of range; give requests per second above 0")
    return np.cumsum(np.random.default_rng(seed).exponential(1 / rate, n))


def closed_loop(isl: float, osl: float, clients: int, *, rounds: float = 10, low: float = 0.8, seed: int = 0) -> Requests:
    """A benchmark with `clients` that all start at once and send `rounds` requests each, on average."""
    n = max(round(clients * rounds), 1)
    return Requests(inputs=lengths(isl, n, low=low, seed=seed), outputs=lengths(osl, n, low=low, seed=seed + 1), clients=clients)
