"""Benchmarks with a fixed number of users who all start at once: what the first token costs while prompts clump.

`clients` send a request each at time 0 and the next when the last is answered, `rounds` on average. All first prompts
stand in one line; outputs of nearly equal length end nearly together, so later prompts arrive in clumps too, and the
steady state (`serving.steady`), whose arrivals are spread evenly, is never reached. This module follows the clumps.

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

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arrays import Number
from ..errors import BadInput

Column = NDArray[np.float64]

CLUMPS = 128
"""Clients that are followed one by one."""

POINTS = 4
"""Places within a clump at which its waits are read off."""

GOLDEN = 0.6180339887498949
"""Multiples of it, less their whole parts, fill 0 to 1 evenly: the lengths of outputs one after another."""

SPREAD = 1 / 9
"""Lengths of the benchmarks are uniform from 0.8 to 1.0 of the stated one: their mean, more or less a ninth of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedLoop:
    """Seconds over all requests of a benchmark, columns of one length; `rate` in requests per second."""

    ttft: Column  # median
    ttft_mean: Column
    tpot: Column  # median
    tpot_mean: Column
    rate: Column


def closed_loop_ttft(
    clients: Number,
    isl: Number,
    osl: Number,
    *,
    step: Number,
    per_token: Number,
    budget: Number,
    base: Number | None = None,
    prefill_step: Number = 0.0,
    seats: Number = np.inf,
    rounds: Number = 10.0,
    spread: float = SPREAD,
    prefill_first: bool = False,
    overhead: Number = 0.0,
    poll: Number = 1.0,
) -> ClosedLoop:
    """TTFT and TPOT of a closed loop on one replica; arguments may be columns.

    `isl`, `osl`: mean tokens; prompts count without their cached part. `step`: seconds of a decode-only step with all
    clients decoding, `base` with one. `per_token`: seconds a prompt token adds to a step. `budget`: most tokens in a
    step. `prefill_step`: seconds of a step that only prefills, beside its tokens. `seats`: most sequences that memory
    holds; the others wait. `overhead`: seconds added to every first token. `poll`: decode steps between two looks for
    new requests.

    One client finds an empty engine; the prompts of many stand in line:

    >>> one = closed_loop_ttft(1, 1000, 1000, step=0.01, per_token=1e-5, budget=8192)
    >>> many = closed_loop_ttft(256, 1000, 1000, step=0.01, per_token=1e-5, budget=8192)
    >>> round(float(one.ttft_mean[0]), 3), round(float(many.ttft_mean[0]), 1)
    (0.02, 0.2)
    """
    given = {
        "clients": (clients, 1e-12),
        "isl": (isl, 1e-12),
        "osl": (osl, 1e-12),
        "step": (step, 1e-12),
        "per_token": (per_token, 0.0),
        "budget": (budget, 1.0),
        "base": (step if base is None else base, 1e-12),
        "prefill_step": (prefill_step, 0.0),
        "seats": (seats, 1e-12),
        "rounds": (rounds, 1e-12),
        "overhead": (overhead, 0.0),
        "poll": (poll, 1.0),
    }
    wide = np.broadcast_arrays(*(np.atleast_1d(np.asarray(value, dtype=float)) for value, _ in given.values()))
    columns = dict(zip(given, wide, strict=True))
    for name, (_, least) in given.items():
        bad = np.isnan(columns[name]) | (columns[name] < least)
        if np.any(bad | (np.isinf(columns[name]) & (name not in ("budget", "seats")))):
            raise BadInput(f"{name} must be a number of at least {least:g} in every row")
    if not 0 <= spread < 1:
        raise BadInput(f"spread = {spread!r} is out of range; give a share of the mean, below 1")
    # rows with few clients are over after few events: they are followed apart
    octave = np.ceil(np.log2(np.clip(np.minimum(columns["clients"], columns["seats"]), 1, CLUMPS)))
    found = {name: np.empty(len(octave)) for name in ("ttft", "ttft_mean", "tpot", "tpot_mean", "rate")}
    for size in np.unique(octave):
        rows = octave == size
        part = _follow(**{name: c[rows] for name, c in columns.items()}, spread=spread, prefill_first=prefill_first)
        for name, column in found.items():
            column[rows] = getattr(part, name)
    return ClosedLoop(**found)


def _follow(
    *,
    clients: Column,
    isl: Column,
    osl: Column,
    step: Column,
    per_token: Column,
    budget: Column,
    base: Column,
    prefill_step: Column,
    seats: Column,
    rounds: Column,
    overhead: Column,
    poll: Column,
    spread: float,
    prefill_first: bool,
) -> ClosedLoop:
    inside = np.maximum(np.minimum(clients, np.floor(seats)), 1.0)
    m = np.clip(np.round(inside), 1, CLUMPS)  # clumps, and the clients in each
    w = inside / m
    single = w <= 1 + 1e-9
    most, row = int(m.max()), np.arange(len(m))
    events = np.ceil(rounds * clients / inside * m)  # clumps served in all
    n_events = int(events.max())
    draws = np.arange(1, n_events + 1) * GOLDEN % 1.0
    x = (np.arange(POINTS) + 0.5)[:, None] / POINTS * (1 - 1 / w)  # places within a clump, from its first client
    ticks = 0.0 if prefill_first else 1.0  # decode steps taken by a step that carries prompts

    due = np.where(np.arange(most)[:, None] < m, 0.0, np.inf)  # decode step at which a clump's first client sends
    event_of, life_of = np.zeros_like(due), np.zeros_like(due)  # its last first token, and steps of its output
    k, t, since, took, held, opened = (np.zeros(len(m)) for _ in range(6))
    # An open step starts at second `t` and decode step `k`, which was reached at `since` by a step of `took` seconds.
    # It holds `held` prompt tokens and takes `opened` seconds beside them. Its end is written down by its number.
    number = np.zeros(len(m), dtype=int)
    ends = np.zeros((2 * n_events + 1, len(m)))
    kept = _Kept([], [], [], [], [], [])
    final = [np.zeros(len(m)) for _ in range(6)]
    final_due, final_event, final_life = np.zeros_like(due), np.zeros_like(due), np.zeros_like(due)

    for event in range(n_events):
        i = np.argmin(due, axis=0)
        at = due[i, row]
        decoding = w * np.sum(np.isfinite(due) & (due > k), axis=0)
        d = base + (step - base) * np.minimum(decoding / clients, 1.0)
        # The open step ends without this clump if that was not there when it began,
        ending = (at > k) & (held > 0)
        t = t + np.where(ending, opened + per_token * held, 0.0)
        if not prefill_first:
            took = np.where(ending, opened + per_token * held, took)
            since = np.where(ending, t, since)
        ends[number, row] = t
        number = number + ending
        k = k + ticks * ending
        held = np.where(ending, 0.0, held)
        # then decode steps alone follow, until the one during which the clump's first request comes is done.
        due[i, row] = np.inf
        others = w * np.sum(np.isfinite(due) & (due > np.maximum(k, at)), axis=0)
        look = poll * np.ceil((at - k) / poll - 1e-9)  # decode steps until the engine looks for requests
        quiet = np.ceil(np.max(np.where(np.isfinite(due), due, 0.0), axis=0)) - k  # until it is idle, and looks
        look = np.minimum(look, np.maximum(quiet, np.ceil(at - k - 1e-9)))
        idle = np.where(at > k, np.where(others > 0, look, at - k), 0.0)
        k, t = k + idle, t + idle * d
        since = np.where(idle > 0, t, since)
        took = np.where(idle > 0, d, took)
        arrived = since - (k - at) * took

        d = base + (step - base) * np.minimum(others / clients, 1.0)
        beside = prefill_step if prefill_first else d
        room = budget if prefill_first else np.maximum(budget - others, budget / 16)
        full = beside + per_token * room
        following = np.min(due, axis=0)  # the next clump's; this one's own next request is farther
        gap = np.where(np.isfinite(following), np.maximum(following - at, 0.0), w * isl / room)
        tokens = w * isl
        apart = ~single & (gap > poll) & (k - at < poll) & (held == 0)
        if not prefill_first:
            apart &= tokens < room * gap  # the line is served faster than it grows

        # Together: the clump fills steps one after another; each of its clients is served at the end of one.
        place = held + np.where(single, tokens, isl + x * tokens)
        nth = np.ceil(place / room - 1e-9) - 1
        closed = np.where(apart, 0.0, np.floor((held + tokens) / room + 1e-9))
        later = np.where(single, 0.0, x * gap * (d if prefill_first else full))  # those behind the first send later
        served = t + (nth + 1) * full - np.minimum(later, (nth + 1) * full)
        # Apart: a few of its clients in each of many steps.
        each = np.maximum(isl, tokens * poll / np.maximum(gap, 1.0))
        parts = np.ceil(each / room)
        alone = parts * beside + per_token * each
        alone = alone + np.where(
            poll > 1, (np.arange(POINTS) + 0.5)[:, None] / POINTS * poll * d - (t - arrived), 0.0
        )
        passing = gap * d + per_token * tokens
        if prefill_first:
            passing = passing + np.minimum(gap / poll, w) * parts * prefill_step

        kept.sent.append(arrived)
        kept.first.append(np.where(apart, t + alone, served))
        kept.step.append(np.where((nth < closed) | apart, -1, number + (closed > 0)))
        kept.later.append(later)
        kept.before.append(event_of[i, row])
        kept.life.append(life_of[i, row])

        length = np.maximum(np.round(osl * (1 + spread * (2 * draws[event] - 1))) - 1, 0.0)
        due[i, row] = k + ticks * np.where(apart, parts, nth[0] + 1) + length + overhead / step
        event_of[i, row], life_of[i, row] = event, length
        ends[number, row] = t + full
        number = number + (closed > 0)
        held = np.where(apart, 0.0, np.maximum(held + tokens - closed * room, 0.0))
        t = t + np.where(apart, passing, closed * full)
        k = k + np.where(apart, gap, ticks * closed)
        opened = beside
        moved = apart if prefill_first else apart | (closed > 0)
        since = np.where(moved, t, since)
        took = np.where(
            apart, passing / np.maximum(gap, 1e-9), d if prefill_first else np.where(closed > 0, full, took)
        )

        over = events == event + 1  # nobody sends any more in these rows
        if over.any():
            for old, new in zip(final, (k, t, took, held, opened, number), strict=True):
                old[over] = new[over]
            final_due[:, over], final_event[:, over] = due[:, over], event_of[:, over]
            final_life[:, over] = life_of[:, over]

    k, t, took, held, opened, last = final
    t = t + np.where(held > 0, opened + per_token * held, 0.0)
    ends[last.astype(int), row] = t
    k = k + ticks * (held > 0)
    start, counted = np.array(kept.sent), np.arange(n_events)[:, None] < events
    waits = kept.waits(ends, start)
    begun = start + waits[:, 0, :]
    # From a first token to its answer, which comes when the next request is sent; at the end, beside no more prompts.
    paces = [_pace(start, begun, np.array(kept.before), np.where(counted, np.array(kept.life), 0.0))]
    order = np.argsort(final_due, axis=0)
    answer, before, life = (np.take_along_axis(c, order, axis=0) for c in (final_due, final_event, final_life))
    left = np.clip((m - np.arange(most)[:, None]) * w / clients, 0.0, 1.0)
    reached = np.where(np.isfinite(answer), np.maximum(answer, k), k)
    between = np.maximum(np.diff(reached, axis=0, prepend=k[None, :]), 0.0)
    answered = t + np.cumsum(between * (base + (step - base) * left), axis=0)
    past = np.where(np.isfinite(answer), np.minimum(answer - k, 0.0), 0.0) * took
    paces.append(_pace(answered + past, begun, before, np.where(np.isfinite(answer), life, 0.0)))
    pace = np.concatenate(paces)
    pace = np.where(np.all(np.isnan(pace), axis=0), step, pace)

    waits = waits + _standing(start, (clients - inside) / w)[:, None, :]
    shown = np.where(counted[:, None, :], waits, np.nan).reshape(-1, len(m))
    return ClosedLoop(
        ttft=np.nanmedian(shown, axis=0) + overhead,
        ttft_mean=np.nanmean(shown, axis=0) + overhead,
        tpot=np.nanmedian(pace, axis=0),
        tpot_mean=np.nanmean(pace, axis=0),
        rate=rounds * clients / answered.max(axis=0),
    )


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is kept of every event: rows of columns; of first tokens, those of several clients in the clump."""

    sent: list[Column]  # seconds at which its first client sends
    first: list[Column]  # seconds of first tokens, less those by which clients send after the first one
    step: list[Column]  # number of the step that still has to end, or -1
    later: list[Column]  # seconds by which clients send after the first one
    before: list[Column]  # the event before of the same clients
    life: list[Column]  # decode steps between its first token and this sending

    def waits(self, ends: Column, sent: Column) -> Column:
        """Seconds from sending to first token: events, places, rows."""
        step, first = np.array(self.step), np.array(self.first)
        late = np.take_along_axis(ends, np.maximum(step, 0).reshape(-1, ends.shape[1]), axis=0).reshape(step.shape)
        since = np.maximum(late - sent[:, None, :], 0.0)
        return np.where(step >= 0, since - np.minimum(np.array(self.later), since), first - sent[:, None, :])


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
