"""The departing train against simulation, against published queueing tables, and against its own identities."""

from __future__ import annotations

import heapq
import math
from itertools import pairwise

import numpy as np
import pytest

from rackmath.serving.queueing import Cadence, cadence, erlang_c, line_left, rate_at, seat_wait

STEP = 0.02


def simulate_equal(seats: int, load: float, steps: int, requests: int, seed: int) -> np.ndarray:
    """First-token times, in departures, of a train with equal outputs, first come first served.

    Request i takes over the seat of request i - seats, so b(i) = max(next departure, b(i - seats) + steps): one
    running maximum for each seat.
    """
    rng = np.random.default_rng(seed)
    requests -= requests % seats
    arrival = np.cumsum(rng.exponential(steps / (seats * load), requests))
    wanted = np.ceil(arrival).reshape(-1, seats)
    row = np.arange(len(wanted))[:, None] * steps
    board = (np.maximum.accumulate(wanted - row, axis=0) + row).ravel()
    return (board - arrival + 1)[requests // 20 :]


def simulate_events(seats: int, rate: float, lengths: np.ndarray, step_times: np.ndarray, seed: int) -> np.ndarray:
    """First-token times in seconds and the mean number aboard: one event for each departure, any lengths, t(n)."""
    rng = np.random.default_rng(seed)
    arrival = np.cumsum(rng.exponential(1 / rate, len(lengths)))
    now, departure, next_in_line, first = 0.0, 0, 0, np.empty(len(lengths))
    leaves: list[int] = []  # departures after which a seat is free again
    carried = 0.0
    while next_in_line < len(lengths):
        while leaves and leaves[0] <= departure:
            heapq.heappop(leaves)
        if not leaves and arrival[next_in_line] > now:
            now = arrival[next_in_line] + rng.random() * step_times[0]  # an empty train keeps departing
        boarded = next_in_line
        while next_in_line < len(lengths) and len(leaves) < seats and arrival[next_in_line] <= now:
            heapq.heappush(leaves, departure + int(lengths[next_in_line]))
            next_in_line += 1
        took = step_times[max(len(leaves), 1) - 1]
        carried += took * len(leaves)
        now += took
        first[boarded:next_in_line] = now - arrival[boarded:next_in_line]
        departure += 1
    return np.append(first[len(first) // 10 :], carried / now)


def agrees(ours: Cadence, first: np.ndarray, rel: float) -> None:
    """Mean and percentiles within `rel`, or within four standard errors of the simulation (20 batch means)."""
    batches = np.array_split(first, 20)
    for name, of in (
        ("first_mean", np.mean),
        ("first_p50", lambda x: np.percentile(x, 50)),
        ("first_p90", lambda x: np.percentile(x, 90)),
        ("first_p99", lambda x: np.percentile(x, 99)),
    ):
        noise = np.std([of(b) for b in batches], ddof=1) / math.sqrt(len(batches))
        assert getattr(ours, name) == pytest.approx(of(first), rel=rel, abs=4 * noise), name


@pytest.mark.parametrize("load", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("seats", [1, 8, 64, 1000])
def test_equal_outputs_match_simulation(seats: int, load: float) -> None:
    """The theory is exact: nothing is granted beyond simulation noise and 0.5 % of interpolation in a table."""
    steps = 50
    first = simulate_equal(seats, load, steps, 3_000_000, seed=seats)
    ours = cadence(np.full(seats, 1.0), steps, rate=load * seats / steps)
    agrees(ours, first, 0.005)
    assert ours.occupancy == pytest.approx(load, rel=0.01)


@pytest.mark.parametrize(("seats", "load"), [(8, 0.8), (64, 0.9), (64, 0.8)])
@pytest.mark.parametrize("cv2", [0.25, 1.0, 2.0])
def test_varied_outputs_match_simulation(seats: int, load: float, cv2: float) -> None:
    """Gamma outputs. The interpolation between equal and exponential is approximate: 10 % is granted."""
    steps, requests = 40, 200_000
    rng = np.random.default_rng(5)
    lengths = np.maximum(np.round(rng.gamma(1 / cv2, cv2 * steps, requests)), 1)
    mean, spread = lengths.mean(), lengths.var() / lengths.mean() ** 2
    rate = load * seats / mean
    found = simulate_events(seats, rate, lengths, np.full(seats, 1.0), seed=6)
    ours = cadence(np.full(seats, 1.0), mean, rate, cv2=spread)
    assert ours.aboard == pytest.approx(found[-1], rel=0.02)
    agrees(ours, found[:-1], 0.1)


@pytest.mark.parametrize("load", [0.5, 0.8, 0.95])
def test_a_step_that_grows_with_the_number_aboard(load: float) -> None:
    """t(n) from 1 to 3. The law of the number aboard is exact for a shared server; the wait behind a full train
    borrows the shape of the constant train's: 3 % is granted.
    """
    seats, steps, requests = 64, 40, 200_000
    times = 1.0 + 2.0 * np.arange(1, seats + 1) / seats
    rate = load * seats / steps / times[-1]
    found = simulate_events(seats, rate, np.full(requests, steps), times, seed=9)
    ours = cadence(times, steps, rate)
    assert ours.aboard == pytest.approx(found[-1], rel=0.03)
    assert ours.step == pytest.approx(1 + 2 * found[-1] / seats, rel=0.03)
    agrees(ours, found[:-1], 0.03)


def test_the_lectures_train() -> None:
    """20 ms: 30 ms on average, 40 ms at worst, while seats are free."""
    ours = cadence(np.full(2000, STEP), steps=500, rate=60.0)
    assert ours.first_mean == pytest.approx(0.030)
    assert ours.first_worst_free == pytest.approx(0.040)
    assert ours.first_p50 == pytest.approx(0.030)
    assert ours.first_p99 == pytest.approx(0.0398)
    assert ours.wait_share == 0


@pytest.mark.parametrize("load", [0.3, 0.8, 0.95, 0.99])
def test_one_seat_is_the_formula_of_pollaczek_and_khinchine(load: float) -> None:
    for cv2 in (0.0, 0.5, 1.0, 2.0):
        assert seat_wait(1, load, cv2=cv2).mean == pytest.approx(load * (1 + cv2) / (2 * (1 - load)), rel=1e-9)
    assert seat_wait(1, load).share == pytest.approx(load)


def test_erlang_c_published_values() -> None:
    """Erlang C of 2 servers at load 0.5 is 1/3 and of 3 at 2/3 is 4/9 (closed forms); many servers, Halfin-Whitt."""
    assert erlang_c(2, 0.5) == pytest.approx(1 / 3)
    assert erlang_c(3, 2 / 3) == pytest.approx(4 / 9)
    column = erlang_c(2, np.array([0.5, 0.25]))
    assert column[0] == erlang_c(2, 0.5)  # type: ignore[index]
    assert column[1] == erlang_c(2, 0.25)  # type: ignore[index]
    seats = 10_000
    for beta in (0.5, 1.0, 2.0):
        pdf, cdf = math.exp(-(beta**2) / 2) / math.sqrt(2 * math.pi), (1 + math.erf(beta / math.sqrt(2))) / 2
        limit = 1 / (1 + beta * cdf / pdf)
        assert erlang_c(seats, 1 - beta / math.sqrt(seats)) == pytest.approx(limit, rel=0.03)


@pytest.mark.parametrize(("seats", "load"), [(1, 0.9), (8, 0.5), (64, 0.95), (1000, 0.97), (5000, 0.99)])
def test_the_line_solves_its_own_equation(seats: int, load: float) -> None:
    """L' = max(L + Poisson(a) - seats, 0) leaves the law unchanged."""
    law = line_left(seats, load)
    offered, spread = seats * load, math.sqrt(seats * load)
    arrivals = np.arange(max(0, int(offered - 12 * spread)), int(offered + 12 * spread) + 40)
    poisson = np.exp([n * math.log(offered) - offered - math.lgamma(n + 1) for n in arrivals])
    both = np.convolve(law, poisson)
    number = np.arange(len(both)) + arrivals[0]
    after = np.bincount(np.maximum(number - seats, 0), weights=both, minlength=len(law))
    assert law.sum() == pytest.approx(1)
    assert after[: len(law)] == pytest.approx(law, abs=1e-9)


def test_fixed_point_and_birth_death_agree_on_many_seats() -> None:
    """With a thousand seats the mean number aboard is the fixed point n = rate x steps x t(n)."""
    times = 0.01 + 0.00002 * np.arange(1, 1001)
    for occupancy in (0.2, 0.5, 0.8):
        ours = cadence(times, 300, rate_at(times, 300, occupancy))  # type: ignore[arg-type]
        assert ours.occupancy == pytest.approx(occupancy, rel=0.01)
        assert ours.rate * ours.steps * ours.step == pytest.approx(ours.aboard, rel=0.01)


def test_more_load_never_shortens_a_wait() -> None:
    found = [cadence(np.full(16, STEP), 100, load * 16 / (100 * STEP)) for load in np.linspace(0.05, 0.99, 30)]
    for name in ("first_mean", "first_p50", "first_p90", "first_p99", "wait_mean", "wait_share", "aboard"):
        values = [getattr(one, name) for one in found]
        assert all(a <= b * (1 + 1e-6) + 1e-9 for a, b in pairwise(values)), name
    assert all(one.first_p50 <= one.first_p90 <= one.first_p99 for one in found)


@pytest.mark.parametrize(("seats", "load"), [(1, 0.7), (16, 0.9), (3000, 0.99)])
def test_a_constant_step_is_erlangs(seats: int, load: float) -> None:
    """Birth and death with t(n) = T is M/M/c: seats taken = offered load, all of them with Erlang's chance."""
    ours = cadence(np.full(seats, 2.0), 10, load * seats / 20, cv2=1.0)
    assert ours.aboard == pytest.approx(load * seats)
    assert ours.wait_mean == pytest.approx(float(erlang_c(seats, load)) * 20 / (seats * (1 - load)), rel=1e-6)


def test_too_much_load_is_unstable() -> None:
    ours = cadence(np.full(8, STEP), 100, rate=4.0)
    assert ours.load == pytest.approx(1.0)
    assert not ours.stable
    assert math.isinf(ours.first_p99)
