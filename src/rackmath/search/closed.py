"""Closed use: a fixed number of users, and how long a context each of them can have."""

from __future__ import annotations

import math

import numpy as np

from ..layout.footprint import footprint
from .choice import Plan

UNLIMITED = 2.0**24
"""Longest context looked at for a model that states no limit."""


def longest_context(p: Plan) -> float:
    """Tokens that each user of a plan can have in memory at once, up to what the model was made for; 0 if none.

    >>> import rackmath
    >>> plan = rackmath.plan("Qwen/Qwen3-8B", on="rtx-4090", precision="q4_k_m", isl=2000, osl=500)
    >>> longest_context(plan.subject.best)
    40960.0
    """
    q = p.question
    limit = q.model.max_context if math.isfinite(q.model.max_context) else UNLIMITED

    def fits(context: np.ndarray) -> np.ndarray:
        room = footprint(q.model, q.machine, p.precision, p.layout, q.engine, context)
        return np.asarray(room.holds(p.batch, p.layout))

    low, high = 0.0, float(limit)
    while high - low >= 1:
        tries = np.unique(np.floor(np.linspace(low, high, 66)[1:]))
        held = tries[fits(tries)]
        if len(held) and held[-1] == tries[-1]:
            return float(tries[-1])
        if not len(held) and tries[0] <= low + 1:
            return low
        low, high = (float(held[-1]), float(tries[len(held)]) - 1) if len(held) else (low, float(tries[0]) - 1)
    return low
