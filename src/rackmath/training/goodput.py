"""What is left of a long run: failures, restarts and checkpoints beside the steps that count.

Failures arrive at a steady rate for each device. Each costs the time to notice and start again, and the steps since
the last checkpoint, on average half of the interval between two. Checkpoints are written every `interval` seconds and
hold the run up for `stall`. The shares add up to 1 with `useful` (first order in the rate of failures).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import Number


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """`per_device`: interruptions of the run for each device and second; `restart`: seconds until steps run again.

    Llama 3 405B: 419 unexpected interruptions of 16,384 devices in 54 days (arXiv 2407.21783, section 3.3.4), one
    every three hours. `restart`: ten minutes, an engineer's round number.

    >>> round(1 / (Failures().per_device * 16384) / 3600, 1)
    3.1
    """

    per_device: Number = 419 / (16384 * 54 * 86400)
    restart: Number = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Goodput:
    """Shares of a run's time: `useful` steps, `restarting`, `repeating` lost steps, and `saving` checkpoints."""

    useful: Number
    restarting: Number
    repeating: Number
    saving: Number
    interval: Number  # seconds between checkpoints


def goodput(devices: Number, stall: Number, failures: Failures | None = None, interval: Number | None = None) -> Goodput:
    """What a run on `devices` devices keeps when a checkpoint holds it up for `stall` seconds.

    Without an `interval` the best one is taken, sqrt(2 x stall x time between failures) (Young 1974).

    >>> found = goodput(16384.0, 10.0)
    >>> round(float(found.useful), 3), round(float(found.interval) / 60, 1)
    (0.912, 7.9)
    """
    given = failures or Failures()
    rate = given.per_device * devices
    best: Number = np.sqrt(2 * stall / rate) if interval is None else interval
    restarting, repeating = rate * given.restart, rate * best / 2
    held = 1 + restarting + repeating + stall / best
    return Goodput(useful=1 / held, restarting=restarting / held, repeating=repeating / held, saving=stall / best / held, interval=best)
