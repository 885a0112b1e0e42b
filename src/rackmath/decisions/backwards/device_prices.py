"""Machines as columns: peaks, memory, and what an hour of a device usually costs."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ...errors import BadInput
from ...world import catalog
from ...world.machine import Machine

Column = NDArray[np.float64]


@functools.cache
def machine_columns(names: tuple[str, ...]) -> Mapping[str, Column]:
    """Columns over machines: peaks by format, memory, and the usual price of an hour."""
    found = [catalog.machine(name) for name in names]
    return {
        "capacity": np.array([float(m.hbm_capacity) for m in found]),
        "bandwidth": np.array([float(m.hbm_bandwidth) for m in found]),
        "usual": np.array([usual_price(m) for m in found]),
        **{kind: np.array([float(m.peak(kind)) for m in found]) for kind in ("bf16", "fp8", "fp4")},
    }


def usual_price(machine: Machine) -> float:
    """Dollars per device-hour in the middle of what is known: the geometric mean of rental and owner's prices.

    >>> round(usual_price(catalog.machine("h100")), 2)  # $2.95 on demand, $2.35 reserved, $1.55 owned
    2.21
    """
    known = [p for p in (machine.prices.on_demand, machine.prices.reserved, machine.prices.owned) if p]
    if not known:
        raise BadInput(f"no price of {machine.name} is known; choose a machine with one, or give its price per hour")
    return math.exp(sum(map(math.log, known)) / len(known))
