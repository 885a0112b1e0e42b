"""Continuous batching as a queue: when a token leaves, and how long a request waits for a seat (LECTURE section 7).

A pass departs every T seconds whatever the load. A request holds one of `seats` for `steps` departures, then frees
it. While a seat is free the wait for the next departure is uniform on (0, T) and the ride takes T, so the first
token comes after T to 2T, 1.5T on average, and the others every T.

When all seats are taken a queue forms. With Poisson arrivals and equal outputs it is an M/D/c queue whose boardings
are rounded up to departures, and both parts are exact here:

- The line L left behind at departures a service time D = steps x T apart obeys L' = max(L + Poisson(a) - c, 0),
  a = rate x D. Spitzer's identity gives its law from the Laurent coefficients of log(1 - exp(a(z-1)) z^-c), read
  off a circle by FFT at the saddle radius z = c/a.
- A request boards within x of its arrival if and only if the line and the arrivals before it at the departure
  kD - x earlier, k = floor(x/D) + 1, are fewer than kc: P(V <= x) = P(L + Poisson(rate (kD - x)) < kc).
- That holds at each departure, so the wait for a departure that has a seat is distributed as V + U, U uniform on
  (0, T) and independent: rounding to departures adds T/2 to the mean, no more.

Outputs of varying length are interpolated between equal ones and exponential ones (M/M/c) by their squared
coefficient of variation, quantile by quantile: exact in heavy traffic, where waits grow as (1 + cv2) / 2.
Seconds, requests per second; loads below one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arrays import Number

Column = NDArray[np.float64]

_FALLING = np.concatenate([np.linspace(1, 0.03, 150)[:-1], np.geomspace(0.03, 1e-5, 90)])
"""Exceedance probabilities at which waits are tabulated: even steps, then even ratios down the tail."""

NEGLIGIBLE = 1e-9
"""A chance of waiting below this counts as none."""

MOST_VARIED = 2.0
"""Largest squared coefficient of variation of output lengths for which the interpolation was checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatWait:
    """The wait for a free seat, in units of `service` seconds a seat is held: V above.

    `share` of requests find no free seat; `mean` is over all requests; `waits` are those of the requests that must
    wait at exceedance probabilities `beyond` (falling, of all requests).
    """

    share: float
    mean: float
    beyond: Column
    waits: Column


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """A replica's departures at a rate of requests. Seconds; `seats` and `aboard` in sequences.

    `step` is T with the mean number aboard, `step_full` with every seat taken; `load` = rate x steps x step_full /
    seats. `first_*`: from the arrival of a prefilled request to its first token, waiting for a seat included.
    Where load >= 1 the queue grows without end and waits are infinite.
    """

    seats: float
    steps: float
    rate: float
    step: float
    step_full: float
    load: float
    aboard: float
    wait_share: float
    wait_mean: float  # for a seat, before the next departure
    first_mean: float
    first_p50: float
    first_p90: float
    first_p99: float

    @property
    def occupancy(self) -> float:
        """Mean share of the seats that are taken."""
        return self.aboard / self.seats

    @property
    def first_worst_free(self) -> float:
        """The longest a first token can take while a seat is free: just missed, then the ride, 2T."""
        return 2 * self.step

    @property
    def stable(self) -> bool:
        return self.load < 1


def erlang_c(seats: int, load: Number) -> Number:
    """Chance that all `seats` are taken in M/M/c at `load` = rate x service / seats, below 1; a number or a column.

    Erlang's recursion, stable for any number of seats: B(n) = a B(n-1) / (n + a B(n-1)).

    >>> round(float(erlang_c(1, 0.8)), 3), round(float(erlang_c(8, 0.8)), 4)
    (0.8, 0.4576)
    """
    offered = seats * np.asarray(load, dtype=float)
    blocked = np.ones_like(offered)
    for n in range(1, seats + 1):
        blocked = offered * blocked / (n + offered * blocked)
    result: Number = blocked / (1 - load * (1 - blocked))
    return result


def line_left(seats: int, load: float) -> Column:
    """P(L = 0, 1, 2, ...): requests left without a seat at a departure, all outputs equal; `load` in (0, 1).

    One seat is M/D/1, whose mean wait is load / (2 (1 - load)) services, so its mean line load^2 / (2 (1 - load)):

    >>> law = line_left(1, 0.8)
    >>> round(float(law @ np.arange(len(law))), 6)
    1.6
    """
    radius = 1 / load  # the saddle of exp(a(z-1)) z^-c, between 1 and the root that sets the tail
    span = 48 / (1 - load) + 3 * seats * (1 - load) + 24 * np.sqrt(seats) + 64
    n = int(2 ** np.ceil(np.log2(span)))
    circle = radius * np.exp(2j * np.pi * np.arange(n) / n)
    step = np.exp(seats * (load * (circle - 1) - np.log(circle)))
    laurent = -np.fft.fft(np.log1p(-step)).real / n
    k = np.arange(1, n // 2)
    ladder = np.zeros(n)
    ladder[1 : n // 2] = laurent[1 : n // 2] * np.exp(-k * np.log(radius))
    law = np.fft.ifft(np.exp(np.fft.fft(ladder) - ladder.sum())).real[: n // 2]
    kept = np.flatnonzero(law > 1e-15)
    return np.maximum(law[: kept[-1] + 1], 0.0)


def seat_wait(seats: int, load: float, *, cv2: float = 0.0) -> SeatWait:
    """The wait for a seat, in service times; `cv2` is the squared coefficient of variation of output lengths.

    >>> round(seat_wait(1, 0.8).mean, 4), round(seat_wait(1, 0.8, cv2=1).mean, 4)
    (2.0, 4.0)
    """
    if load <= 0:
        return _nobody()
    decay = _tail_root(load)
    chance = _all_taken(seats, load)
    if chance < NEGLIGIBLE:
        return _nobody()
    law = line_left(seats, load)
    mean = float(law @ np.arange(len(law))) / (seats * load)
    # times spaced so that both the start and the tail down to 1e-5 of the requests are resolved
    far = (np.log(max(chance, 1e-4)) + 11.5) / (seats * load * decay)
    times = far * np.linspace(0, 1, 72) ** 1.5
    exceed = _exceedances(law, seats, load, times)
    share = max(float(exceed[0]), 1e-300)
    beyond = (max(share, chance) if cv2 else share) * _FALLING
    falling = np.minimum.accumulate(np.maximum(exceed, 1e-300))
    equal = np.interp(-np.log(beyond), -np.log(falling), times)
    pace = 1 / (seats * (1 - load))
    varied = np.maximum(np.log(chance / beyond), 0.0) * pace
    return SeatWait(
        share=max(share, chance) if cv2 else share,
        mean=(1 - cv2) * mean + cv2 * chance * pace,
        beyond=beyond,
        waits=np.maximum((1 - cv2) * equal + cv2 * varied, 0.0),
    )


def cadence(step_times: Column, steps: float, rate: float, *, cv2: float = 0.0) -> Cadence:
    """Departures of a replica with one seat for each entry of `step_times`, at `rate` requests per second.

    `step_times[n - 1]` is the step with n aboard, so a half-empty train may be a faster one. Passengers then share
    a server whose speed depends on how many there are, and the chance of n aboard does not depend on the spread of
    output lengths: it is proportional to prod(rate x steps x t(i) / i). With a constant step this is Erlang's.

    The lecture's case, a step of 20 ms and seats enough: 30 ms on average, 40 ms at worst.

    >>> c = cadence(np.full(2000, 0.020), steps=500, rate=20.0)
    >>> round(c.first_mean, 4), c.first_worst_free, round(c.occupancy, 3)
    (0.03, 0.04, 0.1)
    """
    seats = len(step_times)
    full = float(step_times[-1])
    load = rate * steps * full / seats
    if not load < 1:
        inf = float("inf")
        return Cadence(
            seats=seats,
            steps=steps,
            rate=rate,
            step=full,
            step_full=full,
            load=load,
            aboard=seats,
            wait_share=1.0,
            wait_mean=inf,
            first_mean=inf,
            first_p50=inf,
            first_p90=inf,
            first_p99=inf,
        )
    chances = _aboard(step_times, rate * steps, load)
    aboard, none_free = float(chances @ np.arange(seats + 1)), float(chances[-1])
    step = float(np.interp(aboard, np.arange(1, seats + 1), step_times))
    wait = seat_wait(seats, load, cv2=cv2)
    # a train that is faster when emptier is full less often than the constant one: scale the chance of a wait
    usual = _all_taken(seats, load) if len(wait.beyond) else 0.0
    rarer = min(none_free / usual, 1.0) if usual > 0 else 0.0
    service = steps * full
    riding = np.append(step_times[0], step_times[:-1]), chances[:-1]  # the step that those with a free seat see
    quantiles = _first_token(wait, service, riding, full, np.array([0.5, 0.9, 0.99]), rarer)
    mean = wait.mean * rarer * service
    return Cadence(
        seats=seats,
        steps=steps,
        rate=rate,
        step=step,
        step_full=full,
        load=load,
        aboard=aboard,
        wait_share=wait.share * rarer,
        wait_mean=mean,
        first_mean=mean + 1.5 * float(chances @ np.append(step_times[0], step_times)),
        first_p50=float(quantiles[0]),
        first_p90=float(quantiles[1]),
        first_p99=float(quantiles[2]),
    )


def rate_at(step_times: Column, steps: float, occupancy: float) -> float:
    """Requests per second that keep a share `occupancy`, below 1, of the seats taken on average.

    Solved for the rate by halving; with many seats it is the fixed point aboard = rate x steps x t(aboard).

    >>> round(rate_at(np.full(100, 0.02), 50, 0.5), 6)
    50.0
    """
    seats = np.arange(len(step_times) + 1)
    full = len(step_times) / (steps * float(step_times[-1]))
    low, high = 0.0, 1.0
    for _ in range(40):
        load = (low + high) / 2
        aboard = float(_aboard(step_times, load * full * steps, load) @ seats)
        low, high = (load, high) if aboard < occupancy * len(step_times) else (low, load)
    return (low + high) / 2 * full


# --- parts --------------------------------------------------------------------------------------------------------


def _nobody() -> SeatWait:
    return SeatWait(share=0.0, mean=0.0, beyond=np.zeros(0), waits=np.zeros(0))


def _all_taken(seats: int, load: float) -> float:
    """`erlang_c` of one load without a loop over seats."""
    return float(_aboard(np.ones(seats), seats * load, load)[-1])


def _tail_root(load: float) -> float:
    """y > 0 with load x y = log(1 + y): the line's tail falls as (1 + y)^-k, waits as exp(-rate y x)."""
    low, high = 1e-12, 4.0
    while load * high < np.log1p(high):
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if load * middle < np.log1p(middle) else (low, middle)
    return high


def _exceedances(law: Column, seats: int, load: float, times: Column) -> Column:
    """P(V > x) at `times` in service units: one minus P(L + Poisson(a (k - x)) < k c)."""
    offered = seats * load
    most = int((np.floor(times[-1]) + 1) * seats)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, most + 1)))])
    upper = np.cumsum(law)
    found = []
    for x in times:
        k = np.floor(x) + 1
        expected = max(offered * (k - x), 1e-300)
        top = int(k * seats) - 1
        first = max(0, int(expected - 12 * np.sqrt(expected) - 12))
        last = min(top, int(expected + 12 * np.sqrt(expected) + 40))
        j = np.arange(first, last + 1)
        poisson = np.exp(j * np.log(expected) - expected - log_factorial[j])
        boards = poisson @ upper[np.minimum(top - j, len(upper) - 1)] if len(j) else 0.0
        found.append(1 - float(boards))
    return np.array(found)


def _first_token(wait: SeatWait, service: float, riding: tuple[Column, Column], full: float, p: Column, rarer: float) -> Column:
    """Quantiles of V + U + T: seat, departure, ride.

    `riding` are the steps that requests with a free seat meet and how often, `full` the step of a full train,
    `rarer` scales the chance of having to wait for a seat.
    """
    steps, chances = riding
    if len(steps) > 128:  # neighbours differ little
        edges = np.linspace(0, len(steps), 129).astype(int)[:-1]
        weight = np.add.reduceat(chances, edges)
        steps = np.add.reduceat(chances * steps, edges) / np.maximum(weight, 1e-300)
        steps, chances = steps[weight > 1e-12], weight[weight > 1e-12]
    late, waits = np.zeros(0), np.zeros(0)
    if len(wait.beyond):
        late = -np.diff(np.append(wait.beyond, 0.0)) * rarer
        waits = np.append((wait.waits[1:] + wait.waits[:-1]) / 2, wait.waits[-1]) * service
    chances = chances / chances.sum() * (1 - late.sum())
    found = []
    for share in p:
        low, high = 0.0, 2 * full + float(waits.max(initial=0.0))
        for _ in range(50):
            middle = (low + high) / 2
            below = chances @ np.clip(middle / steps - 1, 0.0, 1.0)
            below += late @ np.clip((middle - waits) / full - 1, 0.0, 1.0)
            low, high = (middle, high) if below < share else (low, middle)
        found.append(high)
    return np.array(found)


def _aboard(step_times: Column, offered: float, load: float) -> Column:
    """Chance of 0, 1, ... seats taken, the last with or without a line; `offered` = rate x steps."""
    seats = len(step_times)
    n = np.arange(1, seats + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log(max(offered, 1e-300) * step_times / n))])
    weights = np.exp(logs - logs.max())
    weights[-1] /= 1 - load  # states with a line behind a full train
    chances: Column = weights / weights.sum()
    return chances
