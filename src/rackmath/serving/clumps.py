"""A replica whose users all start at once, followed clump by clump: the clocks and the line (see `closedloop`).

An open step starts at second `t` and decode step `k`, which was reached at `since` by a step of `took` seconds. It
holds `held` prompt tokens and takes `opened` seconds beside them. Ends of steps are written down by their number,
since a first token comes when its step ends, which may be after the next clump is there.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..arrays import Number

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
class LoopUsers:
    """Users who send a request each at time 0, and the next when the last is answered; numbers may be columns."""

    clients: Number
    isl: Number  # mean tokens of a prompt, without its cached part
    osl: Number  # mean tokens of an output
    rounds: Number = 10.0  # requests of a user
    spread: float = SPREAD  # outputs are uniform within so large a share of their mean


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopSteps:
    """What the replica's steps take, in seconds and tokens; numbers may be columns."""

    step: Number  # seconds of a decode-only step with all clients decoding
    per_token: Number  # seconds a prompt token adds to a step
    budget: Number  # most tokens in a step
    base: Number | None = None  # seconds of one with a single client, where that is shorter
    prefill_step: Number = 0.0  # seconds of a step that only prefills, beside its tokens
    seats: Number = np.inf  # most sequences that memory holds; the others wait
    overhead: Number = 0.0  # seconds added to every first token
    poll: Number = 1.0  # decode steps between two looks for new requests
    prefill_first: bool = False  # whether the line is served to its end before the next decode step

    @property
    def alone(self) -> Number:
        """Seconds of a decode-only step with a single client."""
        return self.step if self.base is None else self.base


@dataclass(frozen=True, slots=True)
class CarryingStep:
    """A step that carries prompts."""

    decode: Column  # seconds of a decode-only step with the same sequences
    beside: Column  # seconds beside its prompt tokens
    room: Column  # prompt tokens that fit
    full: Column  # seconds when they do


@dataclass(frozen=True, slots=True)
class FilledSteps:
    """A clump that fills steps one after another; a row for each place in it, but for `closed`."""

    nth: Column  # of these steps, from 0: the one a client is served in
    first: Column  # seconds of first tokens, where the step is full
    later: Column  # seconds by which clients send after the first one
    closed: Column  # steps that are full


@dataclass(frozen=True, slots=True)
class ScatteredSteps:
    """A clump whose clients come a few at a time, in each of many steps."""

    first: Column  # seconds of first tokens; a row for each place in the clump
    parts: Column  # steps that the few take
    passing: Column  # seconds until all are served


@dataclass(slots=True)
class ClumpRecord:
    """What is kept of every clump served: rows of columns; of first tokens, those of several places in it."""

    sent: list[Column] = field(default_factory=list)  # seconds at which its first client sends
    first: list[Column] = field(default_factory=list)  # of first tokens, less those by which clients send later
    step: list[Column] = field(default_factory=list)  # number of the step that still has to end, or -1
    later: list[Column] = field(default_factory=list)  # seconds by which clients send after the first one
    before: list[Column] = field(default_factory=list)  # the event before of the same clients
    life: list[Column] = field(default_factory=list)  # decode steps between its first token and this sending

    def waits(self, ends: Column, sent: Column) -> Column:
        """Seconds from sending to first token: events, places, rows."""
        step, first = np.array(self.step), np.array(self.first)
        late = np.take_along_axis(ends, np.maximum(step, 0).reshape(-1, ends.shape[1]), axis=0).reshape(step.shape)
        since = np.maximum(late - sent[:, None, :], 0.0)
        return np.where(step >= 0, since - np.minimum(np.array(self.later), since), first - sent[:, None, :])


@dataclass(frozen=True, slots=True)
class LastAnswers:
    """The answers still due when the last prompt has been served, by clump, the first answer first."""

    seconds: Column  # at which it comes
    before: Column  # seconds by which its last token was earlier: within the step that ended the line
    event: Column  # that it answers
    life: Column  # decode steps of it; 0 where there is none


CLOCKS = ("k", "t", "since", "took", "held", "opened")
LINE = ("number", "due", "event_of", "life_of")


class Clumps:
    """The replica and the line before it; every array has a column for each row of the question."""

    def __init__(self, users: LoopUsers, steps: LoopSteps) -> None:
        """All numbers of `users` and `steps` are columns of one length."""
        self.users, self.steps = users, steps
        clients = self.clients = np.asarray(users.clients)
        self.alone, n = np.asarray(steps.alone), len(clients)
        self.more: Column = np.asarray(steps.step - self.alone)
        self.inside = np.maximum(np.minimum(clients, np.floor(steps.seats)), 1.0)
        self.clumps = np.clip(np.round(self.inside), 1, CLUMPS)
        self.each = self.inside / self.clumps  # clients in a clump
        self.single = self.each <= 1 + 1e-9
        self.events = np.ceil(users.rounds * clients / self.inside * self.clumps)  # clumps served in all
        self.n_events = int(self.events.max())
        self.row, most = np.arange(n), int(self.clumps.max())
        self.draws = np.arange(1, self.n_events + 1) * GOLDEN % 1.0
        self.places = (np.arange(POINTS) + 0.5)[:, None] / POINTS
        self.from_first = self.places * (1 - 1 / self.each)  # places within a clump, from its first client
        self.ticks = 0.0 if steps.prefill_first else 1.0  # decode steps taken by a step that carries prompts
        self.due = np.where(np.arange(most)[:, None] < self.clumps, 0.0, np.inf)  # step at which a first client sends
        self.event_of, self.life_of = np.zeros_like(self.due), np.zeros_like(self.due)  # last event, steps of output
        self.k, self.t, self.since, self.took, self.held, self.opened = (np.zeros(n) for _ in CLOCKS)
        self.number = np.zeros(n, dtype=int)
        self.ends = np.zeros((2 * self.n_events + 1, n))
        self.record = ClumpRecord()
        self.final = {name: np.zeros_like(getattr(self, name)) for name in (*CLOCKS, *LINE)}

    def decode_step(self, decoding: Column) -> Column:
        """Seconds of a step in which so many sequences only decode."""
        return self._shared(np.minimum(decoding / self.clients, 1.0))

    def _shared(self, share: Column) -> Column:
        """Seconds of a decode-only step that a share of the clients is in."""
        return self.alone + self.more * share

    def decoding(self, after: Column) -> Column:
        """Sequences that still decode after a decode step."""
        found: Column = self.each * np.sum(np.isfinite(self.due) & (self.due > after), axis=0)
        return found

    def serve(self, event: int) -> None:
        """The next clump comes, finds a step open or the replica decoding, and is served."""
        which = np.argmin(self.due, axis=0)
        at, d = self.due[which, self.row], self.decode_step(self.decoding(self.k))
        self._end_open_step(at)
        self.due[which, self.row] = np.inf
        others = self.decoding(np.maximum(self.k, at))
        self._decode_until_looked(at, others, d)
        arrived = self.since - (self.k - at) * self.took
        by, tokens = self._carrying(others), self.each * self.users.isl
        following = np.min(self.due, axis=0)  # the next clump's; this one's own next request is farther
        gap = np.where(np.isfinite(following), np.maximum(following - at, 0.0), tokens / by.room)
        apart = ~self.single & (gap > self.steps.poll) & (self.k - at < self.steps.poll) & (self.held == 0)
        if not self.steps.prefill_first:
            apart &= tokens < by.room * gap  # the line is served faster than it grows
        filled, few = self._filled(by, tokens, gap), self._scattered(by, tokens, gap, arrived)
        closed = np.where(apart, 0.0, filled.closed)
        record = self.record
        record.sent.append(arrived)
        record.first.append(np.where(apart, few.first, filled.first))
        record.step.append(np.where((filled.nth < closed) | apart, -1, self.number + (closed > 0)))
        record.later.append(filled.later)
        record.before.append(self.event_of[which, self.row])
        record.life.append(self.life_of[which, self.row])
        self._send_again(event, which, np.where(apart, few.parts, filled.nth[0] + 1))
        self._advance(by, tokens, gap, closed, apart, few.passing)
        self._finish(self.events == event + 1)

    def _end_open_step(self, at: Column) -> None:
        """It ends without this clump where that was not there when it began."""
        ending, seconds = (at > self.k) & (self.held > 0), self.opened + self.steps.per_token * self.held
        self.t = self.t + np.where(ending, seconds, 0.0)
        if not self.steps.prefill_first:
            self.took = np.where(ending, seconds, self.took)
            self.since = np.where(ending, self.t, self.since)
        self.ends[self.number, self.row] = self.t
        self.number = self.number + ending
        self.k = self.k + self.ticks * ending
        self.held = np.where(ending, 0.0, self.held)

    def _decode_until_looked(self, at: Column, others: Column, d: Column) -> None:
        """Decode steps alone follow, until the one during which the clump's first request comes is done."""
        poll, k = self.steps.poll, self.k
        look = poll * np.ceil((at - k) / poll - 1e-9)  # decode steps until the engine looks for requests
        quiet = np.ceil(np.max(np.where(np.isfinite(self.due), self.due, 0.0), axis=0)) - k  # until it is idle, and looks
        look = np.minimum(look, np.maximum(quiet, np.ceil(at - k - 1e-9)))
        idle = np.where(at > k, np.where(others > 0, look, at - k), 0.0)
        self.k, self.t = k + idle, self.t + idle * d
        self.since = np.where(idle > 0, self.t, self.since)
        self.took = np.where(idle > 0, d, self.took)

    def _carrying(self, others: Column) -> CarryingStep:
        steps, d = self.steps, self.decode_step(others)
        beside = np.asarray(steps.prefill_step) if steps.prefill_first else d
        budget = np.asarray(steps.budget)
        room = budget if steps.prefill_first else np.maximum(budget - others, budget / 16)
        return CarryingStep(decode=d, beside=beside, room=room, full=beside + steps.per_token * room)

    def _filled(self, by: CarryingStep, tokens: Column, gap: Column) -> FilledSteps:
        """Together: each of its clients is served at the end of a step."""
        place = self.held + np.where(self.single, tokens, self.users.isl + self.from_first * tokens)
        nth = np.ceil(place / by.room - 1e-9) - 1
        pace = by.decode if self.steps.prefill_first else by.full
        later = np.where(self.single, 0.0, self.from_first * gap * pace)  # those behind the first send later
        return FilledSteps(
            nth=nth,
            first=self.t + (nth + 1) * by.full - np.minimum(later, (nth + 1) * by.full),
            later=later,
            closed=np.floor((self.held + tokens) / by.room + 1e-9),
        )

    def _scattered(self, by: CarryingStep, tokens: Column, gap: Column, arrived: Column) -> ScatteredSteps:
        """Apart: a few of its clients at a time."""
        steps, poll = self.steps, self.steps.poll
        each = np.maximum(self.users.isl, tokens * poll / np.maximum(gap, 1.0))
        parts = np.ceil(each / by.room)
        alone = parts * by.beside + steps.per_token * each
        alone = alone + np.where(poll > 1, self.places * poll * by.decode - (self.t - arrived), 0.0)
        passing = gap * by.decode + steps.per_token * tokens
        if steps.prefill_first:
            passing = passing + np.minimum(gap / poll, self.each) * parts * steps.prefill_step
        return ScatteredSteps(first=self.t + alone, parts=parts, passing=passing)

    def _send_again(self, event: int, which: NDArray[np.intp], until: Column) -> None:
        """When the clump's first client sends its next request: its output, and `until` its first token."""
        users, steps, at = self.users, self.steps, (which, self.row)
        spread = 1 + users.spread * (2 * self.draws[event] - 1)
        length = np.maximum(np.round(users.osl * spread) - 1, 0.0)
        self.due[at] = self.k + self.ticks * until + length + steps.overhead / steps.step
        self.event_of[at], self.life_of[at] = event, length

    def _advance(self, by: CarryingStep, tokens: Column, gap: Column, closed: Column, apart: NDArray[np.bool_], passing: Column) -> None:
        """Both clocks go on by the steps that the clump filled, or by those it is scattered over."""
        first = self.steps.prefill_first
        self.ends[self.number, self.row] = self.t + by.full
        self.number = self.number + (closed > 0)
        self.held = np.where(apart, 0.0, np.maximum(self.held + tokens - closed * by.room, 0.0))
        self.t = self.t + np.where(apart, passing, closed * by.full)
        self.k = self.k + np.where(apart, gap, self.ticks * closed)
        self.opened = by.beside
        moved = apart if first else apart | (closed > 0)
        self.since = np.where(moved, self.t, self.since)
        last = by.decode if first else np.where(closed > 0, by.full, self.took)
        self.took = np.where(apart, passing / np.maximum(gap, 1e-9), last)

    def _finish(self, over: NDArray[np.bool_]) -> None:
        """Keep the state of rows in which nobody sends any more."""
        if over.any():
            for name, kept in self.final.items():
                kept[..., over] = getattr(self, name)[..., over]

    def end(self) -> LastAnswers:
        """The open step ends, then decode steps alone follow, which fewer and fewer clients share."""
        users, steps, end = self.users, self.steps, self.final
        k, held = end["k"], end["held"] > 0
        t = end["t"] + np.where(held, end["opened"] + steps.per_token * end["held"], 0.0)
        self.ends[end["number"], self.row] = t
        k = k + self.ticks * held
        order = np.argsort(end["due"], axis=0)
        answer, event, life = (np.take_along_axis(end[name], order, axis=0) for name in ("due", "event_of", "life_of"))
        due = np.isfinite(answer)
        left = np.clip((self.clumps - np.arange(len(answer))[:, None]) * self.each / users.clients, 0.0, 1.0)
        reached = np.where(due, np.maximum(answer, k), k)
        between = np.maximum(np.diff(reached, axis=0, prepend=k[None, :]), 0.0)
        return LastAnswers(
            seconds=t + np.cumsum(between * self._shared(left), axis=0),
            before=np.where(due, np.minimum(answer - k, 0.0), 0.0) * end["took"],
            event=event,
            life=np.where(due, life, 0.0),
        )
