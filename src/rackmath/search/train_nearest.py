"""How many devices would do where a model fits no layout of a machine, or no layout divides over it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..errors import Infeasible
from ..units import plural, show
from .train import Job, TrainSearch, choices, cuts, evaluate, legal

MOST_DOUBLINGS = 6
MOST_COUNTS = 300


def round_counts(least: int, most: int) -> list[int]:
    """Numbers from `least` to `most` with no prime factor above 7: those that layouts divide.

    >>> round_counts(60, 72)
    [60, 63, 64, 70, 72]
    """
    found = []
    for n in range(least, most + 1):
        rest = n
        for factor in (2, 3, 5, 7):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            found.append(n)
    return found


def devices_that_fit(job: Job) -> int | None:
    """The fewest devices of this kind on which the job fits, up to 64 times as many; None if there are none.

    They are searched in steps: doubled until a layout fits, then the round numbers of whole domains below.

    >>> from rackmath.training.constants import constants
    >>> from rackmath.training.job import Batch, recipe_named
    >>> from rackmath.world import catalog
    >>> job = Job(model=catalog.model("llama-3.1-8b"), machine=catalog.machine("2xh100"), tokens=1e12,
    ...     recipe=recipe_named("bf16"), batch=Batch(seq=8192.0, global_batch=512.0), constants=constants())
    >>> devices_that_fit(job)
    3
    """
    n, domain = int(job.machine.n_devices), int(job.machine.domain)
    for half in (n * 2**i for i in range(MOST_DOUBLINGS)):
        if _runs(job, 2 * half, fits=True):
            between = [d for d in round_counts(half + 1, 2 * half - 1) if d < domain or d % domain == 0]
            return next((d for d in between[:MOST_COUNTS] if _runs(job, d, fits=True)), 2 * half)
    return None


def devices_that_divide(job: Job) -> int | None:
    """The most devices, fewer than the machine has, over which some layout divides."""
    n = int(job.machine.n_devices)
    return next((d for d in round_counts(n // 2 + 1, n - 1)[::-1][:MOST_COUNTS] if _runs(job, d, fits=False)), None)


def _runs(job: Job, devices: int, *, fits: bool) -> bool:
    """Whether a layout of so many devices is legal and, where asked, fits."""
    more = replace(job, machine=replace(job.machine, n_devices=float(devices)))
    every = cuts(more.model, more.machine, more.batch, devices)
    for choice in choices(more):
        columns, _ = legal(more, replace(every, **choice), devices)
        if len(np.asarray(columns.tp)) and (not fits or bool(evaluate(more, columns).fits.any())):
            return True
    return False


def why_not(found: TrainSearch, job: Job) -> Infeasible:
    """The sentence for a search without a result."""
    on = f"{job.model.name} cannot be trained on {job.machine.name}"
    if found.leanest is not None:
        lean, short = found.leanest, found.leanest.peak - float(job.machine.hbm_capacity)
        enough = devices_that_fit(job)
        do = f"{enough:,} devices would do" if enough else "devices with more memory or shorter sequences would help"
        return Infeasible(
            f"{on}: the leanest of {found.evaluated:,} layouts ({lean.layout.label()}) needs {show(lean.peak, 'B')}"
            f" on a device, {show(short, 'B')} more than it has; {do}"
        )
    if found.evaluated:
        return Infeasible(
            f"no layout of {job.model.name} on {job.machine.name} is within the limits on days and dollars; raise"
            " them, or ask for more devices"
        )
    fewer = devices_that_divide(job)
    return Infeasible(
        f"{on}: no layout divides {plural(float(job.machine.n_devices), 'device')} and"
        f" {plural(float(job.batch.global_batch), 'sequence')} a step;"
        + (f" {plural(fewer, 'device')} would divide" if fewer else " give other numbers of both")
    )
