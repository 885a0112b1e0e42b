"""A step of any schedule, operation by operation: when each starts and ends, who idles, what is held, what is sent.

Every device follows its order and starts a block as soon as what it needs has arrived. Times may differ from device
to device. A message takes `Times.hop` seconds and holds up nobody else; from a block that runs a forward and a
backward pass together it leaves before the block's weight gradients, so only what outlasts these is seen (DeepSeek-V3
report, Figure 4).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

from ..errors import BadInput
from .automatic import automatic
from .fold import folded
from .orders import FIXED, FORWARD, INPUT, WEIGHT, Block, PipelineOrder, Times, fixed
from .schedules import SCHEDULES, Schedule, chunks, schedule_named, why_not

PAIRED = 3
"""Parts of a block that runs a forward and a whole backward pass together."""

MOST = 16384
"""Passes of a micro-batch through a chunk of a device that are simulated at most for an answer."""

PATIENCE = (0.0, 0.5)
"""Shares of a weight gradient for which a V schedule waits instead; what ends soonest is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One pass of a micro-batch through a chunk of a device: seconds from the start of the step."""

    kind: str
    micro: int
    chunk: int
    start: float
    end: float


@dataclass(frozen=True, kw_only=True)
class SimulatedStep:
    """A simulated step. `devices`: each one's operations in order; `sent`: messages each one sends; `kept`: share of
    its activations a micro-batch holds until its weight gradient.
    """

    plan: PipelineOrder
    times: Times
    kept: float
    devices: tuple[tuple[Operation, ...], ...]
    sent: tuple[int, ...]

    @cached_property
    def busy(self) -> tuple[float, ...]:
        """Seconds each device works."""
        return tuple(sum(o.end - o.start for o in done) for done in self.devices)

    @cached_property
    def spans(self) -> tuple[float, ...]:
        """Seconds from each device's first operation to its last."""
        return tuple(done[-1].end - done[0].start for done in self.devices)

    @property
    def step(self) -> float:
        """Seconds from one step to the next where devices go on without a barrier: the longest span."""
        return max(self.spans)

    @cached_property
    def makespan(self) -> float:
        """Seconds from the first operation to the last of all: the step where devices wait for one another."""
        return max(done[-1].end for done in self.devices) - min(done[0].start for done in self.devices)

    @cached_property
    def idle(self) -> tuple[float, ...]:
        """Seconds of a step in which each device has nothing to do."""
        return tuple(self.step - busy for busy in self.busy)

    @cached_property
    def peaks(self) -> tuple[float, ...]:
        """Most activations each device holds, in units of one micro-batch's through all its layers."""
        return tuple(_peak(order, self.kept) / self.plan.chunks for order in self.plan.orders)


def _peak(order: tuple[Block, ...], kept: float) -> float:
    """Activations come with the start of a forward pass; all but `kept` go with the end of its input gradient."""
    going = {FORWARD: 0.0, INPUT: 1 - kept, WEIGHT: kept}
    level = top = 0.0
    for block in order:
        level += sum(kind == FORWARD for kind, _, _ in block)
        top = max(top, level)
        level -= sum(going[kind] for kind, _, _ in block)
    return round(top, 9)


def simulate(
    schedule: str | Schedule, stages: int, micro_batches: int, per_device: int = 1, times: Times | None = None, *, kept: float = 1.0
) -> SimulatedStep:
    """A step of a schedule on `stages` devices with `per_device` chunks (where the schedule leaves them open).

    `kept`: share of its activations a micro-batch holds until its weight gradient; the rest goes with the input
    gradient. Orders made for a limit of memory (ZB-2p, ZB-V, V-Half, V-Min) gain where it is smaller.

    >>> [simulate(name, 4, 8).step for name in ("gpipe", "1f1b", "zb-1p", "zb-2p", "zb-v")]
    [33.0, 33.0, 27.0, 24.0, 24.0]
    >>> simulate("v-half", 4, 8).peaks, simulate("1f1b", 4, 8).peaks
    ((3.0, 3.0, 3.0, 3.0), (4.0, 3.0, 2.0, 1.0))
    """
    one, given = schedule_named(schedule), times or Times()
    reason = why_not(one, stages, micro_batches, per_device)
    if reason:
        raise BadInput(f"{reason}; give other counts or another schedule")
    return min(
        (run(plan, given, kept) for plan in plans(one, stages, micro_batches, per_device, given, kept)),
        key=lambda found: (found.step, found.makespan),
    )


def plans(one: Schedule, stages: int, micro_batches: int, per_device: int, times: Times, kept: float) -> list[PipelineOrder]:
    """The orders worth trying: one for most schedules; for ZB-2p that of ZB-H2 and those made for the times; of a V
    schedule those made for equal and for the given times.
    """
    if one.name == "zb-2p":
        by_hand = replace(fixed(SCHEDULES["zb-h2"], stages, micro_batches, 1), schedule=one)
        return [by_hand, *automatic(one, stages, micro_batches, times, kept=kept)]
    if one.name in FIXED:
        return [fixed(one, stages, micro_batches, int(chunks(one, per_device)))]
    found = [folded(one, stages, micro_batches, Times(), patience=0.0, kept=kept)]
    if times != Times():
        found += [folded(one, stages, micro_batches, times, patience=share, kept=kept) for share in PATIENCE]
    return found


Key = tuple[str, int, int, int]
"""Kind, micro-batch, device, chunk."""


def run(plan: PipelineOrder, times: Times, kept: float = 1.0) -> SimulatedStep:
    """Every block of a plan in its place.

    >>> done = run(fixed(schedule_named("gpipe"), 2, 1, 1), Times(hop=0.5))
    >>> [(o.kind, o.start, o.end) for o in done.devices[1]]
    [('F', 1.5, 2.5), ('B', 2.5, 3.5), ('W', 3.5, 4.5)]
    """
    seconds = times.of(plan.stages, plan.chunks)
    before, sent = _needs(plan)
    here: dict[Key, float] = {}  # when a result is there for its own device, and for the others
    there: dict[Key, float] = {}
    done: list[list[Operation]] = [[] for _ in plan.orders]
    clock, turn = [0.0] * plan.stages, [0] * plan.stages
    left = sum(len(order) for order in plan.orders)
    while left:
        for d, order in enumerate(plan.orders):
            for block in order[turn[d] :]:
                own = [(kind, micro, d, chunk) for kind, micro, chunk in block]
                needs = [key for part in own if (key := before.get(part)) and key not in own]
                if any(key not in here for key in needs):
                    break
                start = max([clock[d], *(here[key] if key[2] == d else there[key] for key in needs)])
                for kind, micro, chunk in block:
                    end = start + seconds[d][kind]
                    done[d].append(Operation(kind=kind, micro=micro, chunk=chunk, start=start, end=end))
                    start = end
                hidden = seconds[d][WEIGHT] if len(block) == PAIRED else 0.0
                for part in own:
                    here[part], there[part] = start, start + max(0.0, times.hop - hidden)
                clock[d] = start
                turn[d] += 1
                left -= 1
    return SimulatedStep(plan=plan, times=times, kept=kept, devices=tuple(tuple(x) for x in done), sent=sent)


def _needs(plan: PipelineOrder) -> tuple[dict[Key, Key], tuple[int, ...]]:
    """What each part waits for, and the messages each device sends for it."""
    before: dict[Key, Key] = {}
    sent = [0] * plan.stages
    for micro in range(plan.micro_batches):
        way = plan.way(micro)
        for d, k in way:
            before[WEIGHT, micro, d, k] = (INPUT, micro, d, k)
        for (d, k), (e, j) in pairwise(way):
            before[FORWARD, micro, e, j] = (FORWARD, micro, d, k)
            before[INPUT, micro, d, k] = (INPUT, micro, e, j)
            sent[d] += d != e
            sent[e] += d != e
        before[INPUT, micro, *way[-1]] = (FORWARD, micro, *way[-1])
    return before, tuple(sent)


PASSES = {FORWARD: "forward", INPUT: "backward, or its input gradient", WEIGHT: "weight gradient"}
"""The kinds of operations in words."""


def trace(done: SimulatedStep) -> dict[str, object]:
    """A step as events that chrome://tracing and Perfetto read: a process for each device, times in microseconds."""
    events: list[dict[str, object]] = []
    for d, operations in enumerate(done.devices):
        label = f"device {d + 1} of {done.plan.stages}"
        events.append({"ph": "M", "name": "process_name", "pid": d, "tid": 0, "args": {"name": label}})
        events += [
            {
                "ph": "X",
                "name": f"{o.kind}{o.micro + 1}",
                "cat": PASSES[o.kind],
                "pid": d,
                "tid": 0,
                "ts": o.start * 1e6,
                "dur": (o.end - o.start) * 1e6,
                "args": {"micro_batch": o.micro + 1, "chunk": o.chunk + 1},
            }
            for o in operations
        ]
    return {"traceEvents": events, "displayTimeUnit": "ms"}
