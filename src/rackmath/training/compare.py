"""All schedules side by side: the closed form of each and its simulation, for one setting."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .orders import Times
from .schedules import Schedule, in_flight, messages, step_time, why_not
from .simulate import SimulatedStep, simulate


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleSetting:
    """p stages, m micro-batches, v chunks where a schedule leaves them open; times alike on all devices.

    `kept`: share of its activations a micro-batch holds until its weight gradient.
    """

    stages: int
    micro_batches: int
    chunks: int
    forward: float
    input_grad: float
    weight_grad: float
    hop: float
    kept: float = 1.0

    @property
    def work(self) -> float:
        """Seconds a device works in a step, whatever the schedule."""
        return self.micro_batches * (self.forward + self.input_grad + self.weight_grad)

    @property
    def times(self) -> Times:
        return Times(forward=self.forward, input_grad=self.input_grad, weight_grad=self.weight_grad, hop=self.hop)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedSchedule:
    """One schedule in a setting. `step`, `first`, `last`, `sent`: by formula; `run`: simulated, None where `why`.

    `first`, `last`: activations the first and the last device hold; `sent`: messages of a device in the middle.
    """

    schedule: Schedule
    why: str
    step: float
    first: float
    last: float
    sent: float
    run: SimulatedStep | None

    def share(self, setting: ScheduleSetting) -> float:
        """Idle share of the simulated step."""
        return 1 - setting.work / self.run.step if self.run else float("nan")


def compared(schedule: Schedule, s: ScheduleSetting) -> ComparedSchedule:
    """A schedule by formula and by simulation.

    >>> from .schedules import schedule_named
    >>> of = ScheduleSetting(stages=4, micro_batches=8, chunks=2, forward=1, input_grad=1, weight_grad=1, hop=0)
    >>> one = compared(schedule_named("1f1b"), of)
    >>> one.step, one.run.step, round(one.share(of), 3), one.first, one.last
    (33.0, 33.0, 0.273, 4.0, 1.0)
    """
    p, m, v = s.stages, s.micro_batches, s.chunks
    why = why_not(schedule, p, m, v)
    return ComparedSchedule(
        schedule=schedule,
        why=why,
        step=float(step_time(schedule, p, m, v, (s.forward, s.input_grad, s.weight_grad), s.hop, kept=s.kept)),
        first=float(in_flight(schedule, p, m, v, 0.0, kept=s.kept)),
        last=float(in_flight(schedule, p, m, v, p - 1.0, kept=s.kept)),
        sent=float(messages(schedule, p, m, v)),
        run=None if why else simulate(schedule, p, m, v, s.times, kept=s.kept),
    )


def comparison(schedules: Iterable[Schedule], setting: ScheduleSetting) -> tuple[ComparedSchedule, ...]:
    """Each of the schedules in the setting, in their order."""
    return tuple(compared(one, setting) for one in schedules)


def verdict(found: Iterable[ComparedSchedule]) -> tuple[ComparedSchedule, ComparedSchedule, ComparedSchedule]:
    """The schedule that idles least, the one that holds least, and the one that idles least in the memory of 1F1B."""
    ran = [(one, one.run) for one in found if one.run is not None]
    quick, _ = min(ran, key=lambda pair: (pair[1].step, max(pair[1].peaks)))
    lean, _ = min(ran, key=lambda pair: (max(pair[1].peaks), pair[1].step))
    room = next(max(run.peaks) for one, run in ran if one.schedule.name == "1f1b")
    fits = [(one, run) for one, run in ran if max(run.peaks) <= room and one.schedule.copies == 1]
    return quick, lean, min(fits, key=lambda pair: pair[1].step)[0]
