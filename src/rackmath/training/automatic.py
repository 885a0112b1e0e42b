"""The order of ZB-2p, made for given times: the heuristic of Zero Bubble (arXiv 2401.10241, section 3.1).

As many forward passes as memory holds run before the first backward one comes back. Then every round runs, on each
device, a forward pass and the input gradient of the next micro-batch. Weight gradients fill the waits, make room in
memory, and come last. Three choices are open; `OrderRules` names them and the caller keeps what ends soonest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from .orders import FORWARD, INPUT, WEIGHT, Order, PipelineOrder, Times
from .schedules import Schedule, in_flight


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRules:
    """`late`: a forward pass may hold up the first backward one. `skip`: a device well ahead of the next one leaves a
    forward pass out where a backward one is there already. `fill`: any wait takes a weight gradient, however short.
    """

    late: bool
    skip: bool
    fill: bool


SAME = 1e-9
CHOICES = tuple(OrderRules(late=a, skip=b, fill=c) for a, b, c in product((False, True), repeat=3))


def automatic(schedule: Schedule, p: int, m: int, times: Times, *, kept: float) -> Iterator[PipelineOrder]:
    """The plans of all choices. `kept`: share of its activations a micro-batch holds until its weight gradient."""
    for choice in CHOICES:
        orders = tuple(tuple(order) for order in _Rounds(schedule, p, m, times, choice, kept).run())
        yield PipelineOrder(schedule=schedule, stages=p, micro_batches=m, chunks=1, orders=orders)


class _Rounds:
    def __init__(self, schedule: Schedule, p: int, m: int, times: Times, choice: OrderRules, kept: float) -> None:
        self.p, self.m, self.hop, self.choice, self.kept = p, m, times.hop, choice, kept
        self.seconds = times.of(p, 1)
        self.limit = int(in_flight(schedule, p, m, 1.0))
        self.done = [dict.fromkeys((FORWARD, INPUT, WEIGHT), 0) for _ in range(p)]
        self.clock, self.waited = [0.0] * p, [0.0] * p
        self.ends: dict[tuple[str, int, int], float] = {}
        self.orders: list[Order] = [[] for _ in range(p)]

    def run(self) -> list[Order]:
        for d, ahead in enumerate(self.warm_up()):
            for _ in range(ahead):
                self.put(d, FORWARD)
        for i in range(self.m):
            if i:
                for d, wanted in enumerate(self.wanted()):
                    if wanted:
                        while self.full(d):
                            self.put(d, WEIGHT)
                        self.fill(d, FORWARD)
                        self.put(d, FORWARD)
            for d in reversed(range(self.p)):
                self.fill(d, INPUT)
                self.put(d, INPUT)
        for d in range(self.p):
            while self.done[d][WEIGHT] < self.m:
                self.put(d, WEIGHT)
        return self.orders

    def full(self, d: int) -> bool:
        """Whether another forward pass would overfill memory, and a weight gradient can make room."""
        done = self.done[d]
        waiting = done[INPUT] - done[WEIGHT]
        return waiting > 0 and done[FORWARD] + 1 - done[INPUT] + self.kept * waiting > self.limit + SAME

    def arrival(self, d: int, kind: str) -> float:
        """When the next pass of a kind has what it needs from the neighbour."""
        other = d - 1 if kind == FORWARD else d + 1
        if kind == WEIGHT or not 0 <= other < self.p:
            return 0.0
        return self.ends[kind, self.done[d][kind], other] + self.hop

    def put(self, d: int, kind: str) -> None:
        start = max(self.clock[d], self.arrival(d, kind))
        if self.orders[d]:
            self.waited[d] += start - self.clock[d]
        self.clock[d] = start + self.seconds[d][kind]
        self.ends[kind, self.done[d][kind], d] = self.clock[d]
        self.orders[d].append(((kind, self.done[d][kind], 0),))
        self.done[d][kind] += 1

    def fill(self, d: int, kind: str) -> None:
        """Weight gradients before the next pass of a kind: those that fit in the wait, and one that does not quite
        where waiting would make this device the one that waits most. Nobody waits for the first device's gradients.
        """
        start = self.arrival(d, kind)
        free = d == 0 and kind == INPUT and self.done[d][FORWARD] == self.m
        while self.done[d][WEIGHT] < self.done[d][INPUT]:
            gap = start - self.clock[d]
            short = gap < self.seconds[d][WEIGHT]
            most = gap + self.waited[d] > max(self.waited) or self.choice.fill
            if not free and (gap <= 0 or (short and not most)):
                return
            self.put(d, WEIGHT)

    def warm_up(self) -> list[int]:
        """Forward passes of each device before its first backward pass; each has at least one more than the next."""
        found, back, there = [1] * self.p, 0.0, 0.0
        starts = [0.0] * self.p
        for d in range(1, self.p):
            starts[d] = starts[d - 1] + self.seconds[d - 1][FORWARD] + self.hop
        for d in reversed(range(self.p)):
            f, b = self.seconds[d][FORWARD], self.seconds[d][INPUT]
            there = 0.0 if d == self.p - 1 else back + self.hop
            at = starts[d] + f
            while found[d] < min(self.limit, self.m) and (at < there if self.choice.late else at + f <= there):
                found[d] += 1
                at += f
            back = max(at, there) + b
        for d in range(1, self.p):
            found[d] = max(1, min(found[d], found[d - 1] - 1 if found[d - 1] < self.m else found[d]))
        return found

    def wanted(self) -> list[bool]:
        """Which devices run a forward pass in this round; none before a device that has fallen behind."""
        wanted = [self.done[d][FORWARD] < self.m for d in range(self.p)]
        for d in range(self.p - 1):
            lead = self.done[d][FORWARD] - self.done[d + 1][FORWARD]
            if not (self.choice.skip and wanted[d] and lead >= 2):
                continue
            following = self.seconds[d + 1]
            back = self.clock[d + 1] + following[FORWARD] + following[INPUT] + self.hop
            wanted[d] = self.clock[d] < back
        return wanted
