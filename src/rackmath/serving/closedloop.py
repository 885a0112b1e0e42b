"""Benchmarks with a fixed number of users who all start at once: what the first token costs while prompts clump.

`clients` send a request each at time 0 and the next when the last is answered, `rounds` on average. All first prompts
stand in one line; outputs of nearly equal length end nearly together, so later prompts arrive in clumps too, and the
steady state (`serving.steady`), whose arrivals are spread evenly, is never reached. `serving.clumps` follows them.

Fluid, in two clocks: seconds t and decode steps k. Every decoding sequence takes a token a step, so a request whose
first token comes at step k is answered at step k + output - 1, whatever the steps cost. Prompts are served one after
another. A step with `n` decoding sequences takes `base + (step - base) n / clients` seconds, a prompt token adds
`per_token`. While prompts wait

    mixed            steps carry `budget` - n prompt tokens: both clocks run, k slowly
    prefill first    k stands still; the line is served to its end before the next decode step

At most `CLUMPS` clients are followed one by one; each stands for clients / `CLUMPS` of them, spread evenly up to the
next. Nothing is fitted. `search.simulate` serves the same requests step by step: tests hold the two together.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from ..arrays import take
from ..errors import BadInput
from .clumps import CLUMPS, Clumps, Column, LoopSteps, LoopUsers

LEAST = {"per_token": 0.0, "budget": 1.0, "prefill_step": 0.0, "overhead": 0.0, "poll": 1.0}
"""Smallest values of the numbers that may be 0, or must be at least 1; the others must be above 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedLoop:
    """Seconds over all requests of a benchmark, columns of one length; `rate` in requests per second."""

    ttft: Column  # median
    ttft_mean: Column
    tpot: Column  # median
    tpot_mean: Column
    rate: Column


def closed_loop_ttft(users: LoopUsers, steps: LoopSteps) -> ClosedLoop:
    """TTFT and TPOT of a closed loop on one replica; numbers may be columns.

    One client finds an empty engine; the prompts of many stand in line:

    >>> steps = LoopSteps(step=0.01, per_token=1e-5, budget=8192)
    >>> one = closed_loop_ttft(LoopUsers(clients=1, isl=1000, osl=1000), steps)
    >>> many = closed_loop_ttft(LoopUsers(clients=256, isl=1000, osl=1000), steps)
    >>> round(float(one.ttft_mean[0]), 3), round(float(many.ttft_mean[0]), 1)
    (0.02, 0.2)
    """
    users, steps = _columns(users, steps)
    # rows with few clients are over after few events: they are followed apart
    octave = np.ceil(np.log2(np.clip(np.minimum(users.clients, steps.seats), 1, CLUMPS)))
    found = {f.name: np.empty(len(octave)) for f in fields(ClosedLoop)}
    for size in np.unique(octave):
        rows = octave == size
        part = _followed(take(users, rows), take(steps, rows))
        for name, column in found.items():
            column[rows] = getattr(part, name)
    return ClosedLoop(**found)


def _columns(users: LoopUsers, steps: LoopSteps) -> tuple[LoopUsers, LoopSteps]:
    """All numbers as columns of one length; BadInput where one cannot be."""
    steps = replace(steps, base=steps.alone)
    given = {
        f.name: getattr(record, f.name) for record in (users, steps) for f in fields(record) if f.name not in ("spread", "prefill_first")
    }
    wide = np.broadcast_arrays(*(np.atleast_1d(np.asarray(value, dtype=float)) for value in given.values()))
    columns: dict[str, Any] = dict(zip(given, wide, strict=True))
    for name, column in columns.items():
        least = LEAST.get(name, 1e-12)
        endless = np.isinf(column) & (name not in ("budget", "seats"))
        if np.any(np.isnan(column) | (column < least) | endless):
            raise BadInput(f"{name} must be a number of at least {least:g} in every row")
    if not 0 <= users.spread < 1:
        raise BadInput(f"spread = {users.spread!r} is out of range; give a share of the mean, below 1")
    known = {f.name for f in fields(users)}
    return (
        replace(users, **{name: column for name, column in columns.items() if name in known}),
        replace(steps, **{name: column for name, column in columns.items() if name not in known}),
    )


def _followed(users: LoopUsers, steps: LoopSteps) -> ClosedLoop:
    """Waits and paces of all requests, read off when every clump has been served."""
    line = Clumps(users, steps)
    for event in range(line.n_events):
        line.serve(event)
    last = line.end()
    sent, counted = np.array(line.record.sent), np.arange(line.n_events)[:, None] < line.events
    waits = line.record.waits(line.ends, sent)
    begun = sent + waits[:, 0, :]
    # From a first token to its answer, which comes when the next request is sent; at the end, beside no more prompts.
    before, life = np.array(line.record.before), np.array(line.record.life)
    paces = [_pace(sent, begun, before, np.where(counted, life, 0.0))]
    paces.append(_pace(last.seconds + last.before, begun, last.event, last.life))
    pace = np.concatenate(paces)
    pace = np.where(np.all(np.isnan(pace), axis=0), steps.step, pace)
    waits = waits + _standing(sent, (users.clients - line.inside) / line.each)[:, None, :]
    shown = np.where(counted[:, None, :], waits, np.nan).reshape(-1, len(line.row))
    return ClosedLoop(
        ttft=np.nanmedian(shown, axis=0) + steps.overhead,
        ttft_mean=np.nanmean(shown, axis=0) + steps.overhead,
        tpot=np.nanmedian(pace, axis=0),
        tpot_mean=np.nanmean(pace, axis=0),
        rate=users.rounds * users.clients / last.seconds.max(axis=0),
    )


def _pace(answered: Column, begun: Column, event: Column, life: Column) -> Column:
    """Seconds per token from the first tokens of earlier events to the answers; NaN where nothing was decoded."""
    took = answered - np.take_along_axis(begun, event.astype(int), axis=0)
    return np.where(life > 0, took / np.maximum(life, 1.0), np.nan)


def _standing(start: Column, lag: Column) -> Column:
    """Seconds in line for a seat: who sits down now sent its request when the client `lag` events ago did."""
    rows = np.arange(len(start))[:, None]
    back = np.maximum(rows - lag, 0.0)
    low = back.astype(int)
    before = np.take_along_axis(start, low, axis=0)
    after = np.take_along_axis(start, np.minimum(low + 1, len(start) - 1), axis=0)
    return np.where(lag > 0, start - before - (back - low) * (after - before), 0.0)
