"""Seats: how many sequences memory may hold on average when requests arrive at random, and the wait for a free one.

Square-root staffing (Halfin and Whitt, 1981): of many seats a few times the square root of their number must stand
free on average, or most arrivals find none. Arithmetic only, for columns; `queueing` has the exact distributions.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Number

SEAT_MARGIN = 0.506
"""Free seats, over the square root of all, at which half of the arrivals at random find one."""


def open_seats(seats: Number) -> Number:
    """The largest mean number of sequences for which at least half of random arrivals find one of `seats` free.

    batch + 0.506 sqrt(batch) = seats. With 100 seats about 95 may be taken on average.

    >>> round(float(open_seats(100.0)), 1)
    95.1
    """
    taken: Number = np.square((np.sqrt(SEAT_MARGIN**2 + 4 * np.asarray(seats)) - SEAT_MARGIN) / 2)
    return taken


def seat_wait(seats: Number, batch: Number, life: Number) -> Number:
    """Mean seconds until a seat is free, for random arrivals that each keep one for `life` seconds.

    Halfin and Whitt's chance of waiting, times the mean wait of those who do, halved for lives of equal length.
    Mills' ratio by 2 / (x + sqrt(x^2 + 8/pi)), within 2 %.

    >>> round(float(seat_wait(100.0, 90.0, 50.0)), 2)
    0.56
    """
    room = np.maximum(seats, 1.0)
    free = np.maximum(room - batch, 1e-3)
    beta = np.minimum(free / np.sqrt(room), 30.0)
    cdf_over_pdf = np.sqrt(2 * np.pi) * np.exp(beta * beta / 2) - 2 / (beta + np.sqrt(beta * beta + 8 / np.pi))
    wait: Number = life / (2 * free) / (1 + beta * cdf_over_pdf)
    return wait
