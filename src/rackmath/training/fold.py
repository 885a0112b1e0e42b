"""Orders of the V schedules: a repeated pattern, squeezed as far as memory allows.

The layers go down the devices and back up, so a device holds an early and a late chunk and all devices keep the same
memory. A pattern gives each micro-batch's four passes a time on each device, six units after the one before; how far
the passes of one lie apart decides the memory. Squeezing runs the pattern: a device that would wait takes the next
pass of the pattern that is ready and fits in memory, and a weight gradient where there is none, or where a forward
pass needs its memory.
"""

from __future__ import annotations

import heapq

from .orders import FORWARD, INPUT, WEIGHT, Order, Part, PipelineOrder, Times, way
from .schedules import Schedule, in_flight

PERIOD = 6
PASSES = ((FORWARD, 0), (FORWARD, 1), (INPUT, 1), (INPUT, 0))
SAME = 1e-9
"""Times closer than this share of a pass are one."""


def pattern(name: str, p: int) -> list[tuple[int, int, int, int]]:
    """When each device runs the four passes of the first micro-batch, in units of one pass of one chunk.

    From device to device V-Min takes 1 unit, V-Half 2 down and 1 up, ZB-V 4 down and 2 up.

    >>> pattern("v-min", 2)
    [(0, 3, 4, 7), (1, 2, 5, 6)]
    """
    down, up = {"v-min": (1, 1), "v-half": (2, 1), "zb-v": (4, 2)}[name]
    # pauses keep the passes of different micro-batches from meeting
    pause = {"v-min": 2 * (p % 3 == 0), "v-half": 3 * (p % 2 == 0), "zb-v": 0}[name]
    turn = down * (p - 1) + 1
    top = turn + up * (p - 1) + 1 + pause
    back = top + down * (p - 1) + (2 if name == "v-half" else 1)
    return [(down * d, turn + up * (p - 1 - d), top + down * d, back + up * (p - 1 - d)) for d in range(p)]


def folded(schedule: Schedule, p: int, m: int, times: Times, *, patience: float, kept: float) -> PipelineOrder:
    """The squeezed pattern of a V schedule for these times.

    `patience`: a device lets its weight gradients lie if another pass will be ready within this share of one. `kept`:
    share of its activations a micro-batch holds until its weight gradient.
    """
    squeeze = _Squeeze(schedule, p, m, times, patience, kept)
    orders = tuple(tuple(order) for order in squeeze.run())
    return PipelineOrder(schedule=schedule, stages=p, micro_batches=m, chunks=2, orders=orders)


class _Squeeze:
    def __init__(self, schedule: Schedule, p: int, m: int, times: Times, patience: float, kept: float) -> None:
        self.m, self.hop, self.patience, self.share = m, times.hop, patience, kept
        self.seconds = times.of(p, 2)
        self.same = SAME * max(max(device.values()) for device in self.seconds)
        self.limit = 2 * int(in_flight(schedule, p, m, 2))
        self.way = way(schedule, p, 2)
        self.place = {where: k for k, where in enumerate(self.way)}
        self.first = pattern(schedule.name, p)
        self.next = [dict.fromkeys(PASSES, 0) for _ in range(p)]  # micro-batch each kind of pass comes to next
        self.free = [0.0] * p
        self.held = [0] * p  # passes forward whose input gradient has not run
        self.kept: list[list[Part]] = [[] for _ in range(p)]  # weight gradients that have not
        self.ends: dict[tuple[str, int, int, int], float] = {}
        self.orders: list[Order] = [[] for _ in range(p)]
        self.events = [(0.0, d) for d in range(p)]

    def run(self) -> list[Order]:
        while self.events:
            now, device = heapq.heappop(self.events)
            if self.free[device] > now + self.same:
                continue
            part = self.choose(device, now)
            if part is not None:
                self.do(device, part, now)
        return self.orders

    def ready(self, device: int, kind: str, micro: int, chunk: int) -> float | None:
        """When a pass can start, or None where what it waits for has not been placed yet."""
        k = self.place[device, chunk]
        if kind == FORWARD and k == 0:
            return 0.0
        if kind == INPUT and k + 1 == len(self.way):
            return self.ends.get((FORWARD, micro, device, chunk))
        other, piece = self.way[k - 1 if kind == FORWARD else k + 1]
        end = self.ends.get((kind, micro, other, piece))
        return end if end is None or other == device else end + self.hop

    def choose(self, device: int, now: float) -> Part | None:
        """The first pass of the pattern that is ready and fits, a weight gradient, or nothing yet."""
        first, coming, kept = self.first[device], self.next[device], self.kept[device]
        queue = sorted((first[i] + PERIOD * coming[x], x) for i, x in enumerate(PASSES) if coming[x] < self.m)
        soon = float("inf")
        for at, (kind, chunk) in queue:
            start = self.ready(device, kind, coming[kind, chunk], chunk)
            if start is None or (kind == FORWARD and self.crowded(device, at)):
                continue
            full = kind == FORWARD and self.held[device] + self.share * len(kept) > self.limit - 1 + SAME
            if start <= now + self.same:
                if not full:
                    return (kind, coming[kind, chunk], chunk)
                if kept:
                    return kept[0]
            elif not full:
                soon = min(soon, start)
        if kept and soon - now > self.patience * self.seconds[device][WEIGHT] + self.same:
            return kept[0]
        return None

    def crowded(self, device: int, at: int) -> bool:
        """Whether a forward pass taken before all that the pattern runs before time `at` would overfill memory."""
        first, coming = self.first[device], self.next[device]
        ahead = []
        for i, (kind, chunk) in enumerate(PASSES):
            start = first[i] + PERIOD * coming[kind, chunk]
            ahead += [(t, 1 if kind == FORWARD else -1) for t in range(start, at, PERIOD)]
        level = top = self.held[device]
        for _, change in sorted(ahead):
            level += change
            top = max(top, level)
        return top >= self.limit

    def do(self, device: int, part: Part, now: float) -> None:
        kind, micro, chunk = part
        end = now + self.seconds[device][kind]
        self.free[device] = end
        self.orders[device].append((part,))
        heapq.heappush(self.events, (end, device))
        if kind == WEIGHT:
            self.kept[device].pop(0)
            return
        self.next[device][kind, chunk] += 1
        self.ends[kind, micro, device, chunk] = end
        k = self.place[device, chunk] + (1 if kind == FORWARD else -1)
        if 0 <= k < len(self.way):
            heapq.heappush(self.events, (end + self.hop, self.way[k][0]))
        if kind == FORWARD:
            self.held[device] += 1
        else:
            self.held[device] -= 1
            self.kept[device].append((WEIGHT, micro, chunk))
