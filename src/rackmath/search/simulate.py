"""Requests through one engine with continuous batching, one event per engine iteration.

`schedule -> run -> postprocess`, as an engine does it: `waiting` is a line (first come, first served), `running` the
sequences with a seat. A step takes at most `budget` tokens:

    mixed            one token of every decoding sequence, then chunks of prompts up to the budget
    prefill first    chunks of prompts alone while any can be admitted; a decode step otherwise

A sequence whose next cache block finds no room pushes the youngest running one back to the head of the line, which
gives up its cache and computes it again. A step costs a constant number of operations however many sequences decode:
they all advance by one token, so what differs between them is kept relative to a count of decode steps.

Seconds and tokens throughout. Times of passes come from `search.passtimes`, or any function of a `StepLoad`.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np

from ..errors import BadInput
from .requests import Requests, Served, Steps

POLICIES = ("mixed", "prefill first")


class StepLoad(NamedTuple):
    """What one step does: `decode` sequences with `context` cached tokens in all, and `prefill` prompt tokens of
    `prompts` prompts that meet `pairs` earlier tokens in all (a token at position i meets i of them)."""

    decode: int
    context: float
    prefill: int = 0
    pairs: float = 0.0
    prompts: int = 0


StepTime = Callable[[StepLoad], float]
"""Seconds of a step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduler:
    """How an engine fills its steps; defaults are those of vLLM on small devices.

    `budget`: most tokens in a step. `sequences`: most that run at once. `kv_tokens`: room for cache, kept in blocks
    of `block` tokens. `reserve`: share of its output a sequence must find room for when admitted (0: its prompt only,
    and others are pushed back later; 1: nobody ever is). `overhead`: seconds from sending to the place in line.
    `poll`: decode steps between two looks for new requests; after a step with prompts, and when idle, an engine
    always looks.
    """

    budget: float = 2048
    sequences: float = 256
    kv_tokens: float = np.inf
    block: int = 16
    policy: str = "mixed"
    reserve: float = 0.0
    overhead: float = 0.0
    poll: float = 1

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise BadInput(f"policy = {self.policy!r} is not known; give one of {', '.join(map(repr, POLICIES))}")
        for name, least in (("budget", 1), ("sequences", 1), ("kv_tokens", 1), ("block", 1), ("poll", 1)):
            value = getattr(self, name)
            if not value >= least:
                raise BadInput(f"{name} = {value!r} is too small; give at least {least}")
        if not 0 <= self.reserve <= 1:
            raise BadInput(f"reserve = {self.reserve!r} is out of range; give a share from 0 to 1")
        if not 0 <= self.overhead < np.inf:
            raise BadInput(f"overhead = {self.overhead!r} is impossible; give seconds, at least 0")


def simulate(requests: Requests, step: StepTime, scheduler: Scheduler) -> Served:
    """Serve all requests; deterministic. A request that can never fit the cache is refused.

    A single prompt of 100 tokens in steps of 64, each taking 1 s, and 3 output tokens:

    >>> one = Requests(inputs=np.array([100.0]), outputs=np.array([3.0]), arrival=np.array([5.0]))
    >>> served = simulate(one, lambda work: 1.0, Scheduler(budget=64))
    >>> float(served.ttft[0]), float(served.tpot[0])
    (2.0, 1.0)
    """
    return _Replica(requests, step, scheduler).served()


@dataclass(slots=True)
class _Batch:
    """What a step carries: chunks of prompts as (request, tokens), and how many sequences decode."""

    chunks: list[tuple[int, int]] = field(default_factory=list)
    decode: int = 0


class _Replica:
    """One engine: its line, its running sequences, its cache."""

    def __init__(self, requests: Requests, step: StepTime, scheduler: Scheduler) -> None:
        self.requests, self.step_time, self.how = requests, step, scheduler
        n = len(requests.inputs)
        self.inputs = [int(x) for x in requests.inputs]
        self.outputs = [int(x) for x in requests.outputs]
        self.budget = int(min(scheduler.budget, 2**60))
        self.most = int(min(scheduler.sequences, self.budget))
        self.block = int(scheduler.block)
        self.room = int(min(scheduler.kv_tokens, 2**60)) // self.block
        longest = max(self._blocks(i + o - 1) for i, o in zip(self.inputs, self.outputs, strict=True))
        if longest > self.room:
            raise BadInput(
                f"a request needs {longest * self.block} tokens of cache and there is room for "
                f"{self.room * self.block}; give more room or shorter requests"
            )
        self.now = 0.0
        self.coming: list[tuple[float, int]] = []  # heap of (time in line, request)
        self.waiting: deque[int] = deque()
        self.running: dict[int, None] = {}  # in order of admission; the last is the first to be pushed back
        self.partial: int | None = None  # the running request whose prompt is not done
        self.done = [0] * n  # tokens a request has in the cache while its prompt is computed
        self.made = [0] * n  # output tokens
        self.count = 0  # decode steps so far
        self.start = [0] * n  # of a decoding sequence: context less `count`
        self.since = [0] * n  # of a decoding sequence: `made` less `count`
        self.ends: defaultdict[int, list[int]] = defaultdict(list)  # decode count -> sequences that finish at it
        self.decoding = 0
        self.context = 0  # of all decoding sequences
        self.phase = [0] * self.block  # decoding sequences by (context - count) modulo the block
        self.used = 0
        self.promised = 0  # blocks that running sequences were admitted with
        self.arrival, self.queued, self.scheduled, self.first, self.last = ([np.nan] * n for _ in range(5))
        self.preempted = [0] * n
        self.log: list[tuple[float, int, int, int, int, float]] = []
        self.left = n
        self.unseen = 0.0  # decode steps since the engine last looked for requests
        if requests.arrival is not None:
            self.next = n
            for i, t in enumerate(requests.arrival):
                self._send(i, float(t))
        else:
            self.next = 0
            for _ in range(min(int(requests.clients or 1), n)):
                self._send_next()

    def served(self) -> Served:
        while self.left:
            self._take_in()
            batch = self.schedule()
            if not batch.chunks and not batch.decode:
                self.now = self.coming[0][0]
                continue
            self.now += self.run(batch)
            self.postprocess(batch)
        columns = [np.array(c, dtype=float) for c in zip(*self.log, strict=True)]
        names = ("end", "running", "waiting", "prefill", "decode", "kv_share")
        return Served(
            inputs=np.asarray(self.requests.inputs, dtype=float),
            outputs=np.asarray(self.requests.outputs, dtype=float),
            arrival=np.array(self.arrival),
            queued=np.array(self.queued),
            scheduled=np.array(self.scheduled),
            first=np.array(self.first),
            last=np.array(self.last),
            preempted=np.array(self.preempted, dtype=float),
            steps=Steps(**dict(zip(names, columns, strict=True))),
        )

    # --- arrivals -------------------------------------------------------------------------------------------------

    def _send(self, i: int, at: float) -> None:
        self.arrival[i] = at
        heappush(self.coming, (at + self.how.overhead, i))

    def _send_next(self) -> None:
        if self.next < len(self.inputs):
            self._send(self.next, self.now)
            self.next += 1

    def _take_in(self) -> None:
        if self.unseen < self.how.poll and self.running:
            return
        self.unseen = 0.0
        while self.coming and self.coming[0][0] <= self.now:
            i = heappop(self.coming)[1]
            self.queued[i] = self.now
            self.waiting.append(i)

    # --- schedule -------------------------------------------------------------------------------------------------

    def schedule(self) -> _Batch:
        """Sequences and chunks of the next step; takes their cache."""
        batch = _Batch()
        mixed = self.how.policy == "mixed"
        if mixed:
            pushed = self._grow(batch)
            self._prefill(batch, self.budget - batch.decode, admit=not pushed)
        else:
            self._prefill(batch, self.budget, admit=True)
            if not batch.chunks:
                self._grow(batch)
        return batch

    def _grow(self, batch: _Batch) -> bool:
        """Room for one more token of every decoding sequence; whether somebody was pushed back for it."""
        pushed = False
        while self.phase[-self.count % self.block] > self.room - self.used:
            self._push_back()
            pushed = True
        self.used += self.phase[-self.count % self.block]
        batch.decode = self.decoding
        return pushed

    def _prefill(self, batch: _Batch, budget: int, *, admit: bool) -> None:
        if self.partial is not None and budget > 0:
            budget -= self._chunk(batch, self.partial, budget)
        while admit and budget > 0 and self.partial is None and self.waiting and len(self.running) < self.most:
            i = self.waiting[0]
            tokens = self.inputs[i] + self.made[i]
            promise = self._promise(i)
            if self._blocks(tokens) > self.room - self.used or (self.promised + promise > self.room and self.running):
                return
            self.waiting.popleft()
            self.running[i] = None
            self.promised += promise
            if np.isnan(self.scheduled[i]):
                self.scheduled[i] = self.now
            self.partial = i
            budget -= self._chunk(batch, i, budget)

    def _chunk(self, batch: _Batch, i: int, budget: int) -> int:
        """As much of a prompt as budget and cache have room for; one that was pushed back includes its output."""
        have, want = self.done[i], self.inputs[i] + self.made[i]
        size = min(want - have, budget, (self.room - self.used + self._blocks(have)) * self.block - have)
        if size <= 0:
            return 0
        self.used += self._blocks(have + size) - self._blocks(have)
        self.done[i] = have + size
        batch.chunks.append((i, size))
        if have + size == want:
            self.partial = None
        return size

    def _push_back(self) -> None:
        """The youngest running sequence gives up its cache and waits at the head of the line."""
        i, _ = self.running.popitem()
        self.promised -= self._promise(i)
        if i == self.partial:
            self.partial = None
            self.used -= self._blocks(self.done[i])
        else:
            self.made[i] = self.since[i] + self.count
            self.ends[self.outputs[i] - self.since[i]].remove(i)
            self._leave(i)
        self.done[i] = 0
        self.preempted[i] += 1
        self.waiting.appendleft(i)

    def _leave(self, i: int) -> None:
        """A decoding sequence ends or is pushed back."""
        context = self.start[i] + self.count
        self.decoding -= 1
        self.context -= context
        self.phase[self.start[i] % self.block] -= 1
        self.used -= self._blocks(context)

    def _blocks(self, tokens: int) -> int:
        return -(-tokens // self.block)

    def _promise(self, i: int) -> int:
        return self._blocks(self.inputs[i] + int(self.how.reserve * self.outputs[i]))

    # --- run and postprocess --------------------------------------------------------------------------------------

    def run(self, batch: _Batch) -> float:
        """Seconds of the step."""
        prefill, pairs = 0, 0.0
        for i, size in batch.chunks:
            prefill += size
            pairs += size * (self.done[i] - size / 2)
        context = self.context if batch.decode else 0
        took = self.step_time(StepLoad(batch.decode, context, prefill, pairs, len(batch.chunks)))
        if not 0 < took < np.inf:
            raise BadInput(f"a step took {took!r} seconds; give a step time above 0")
        return took

    def postprocess(self, batch: _Batch) -> None:
        """A new token for every decoding sequence and every finished prompt; those that are complete leave."""
        if batch.decode:
            self.count += 1
            self.context += self.decoding
            for i in self.ends.pop(self.count, ()):
                self._leave(i)
                self._finish(i)
        for i, _ in batch.chunks:
            if i == self.partial:
                continue
            self.made[i] += 1
            if np.isnan(self.first[i]):
                self.first[i] = self.now
            if self.made[i] == self.outputs[i]:
                self.used -= self._blocks(self.done[i])
                self._finish(i)
                continue
            self.start[i] = self.done[i] - self.count
            self.since[i] = self.made[i] - self.count
            self.ends[self.outputs[i] - self.since[i]].append(i)
            self.phase[self.start[i] % self.block] += 1
            self.decoding += 1
            self.context += self.done[i]
        self.unseen = self.how.poll if batch.chunks else self.unseen + 1
        share = self.used / self.room
        self.log.append((self.now, len(self.running), len(self.waiting), sum(c for _, c in batch.chunks), batch.decode, share))

    def _finish(self, i: int) -> None:
        self.last[i] = self.now
        self.promised -= self._promise(i)
        del self.running[i]
        self.left -= 1
        if self.requests.clients is not None:
            self._send_next()
