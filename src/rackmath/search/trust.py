"""How far to trust what a replica is said to do: its times, and what follows from them.

Rates are as sure as the time per output token they come from, and dollars too: a device-hour costs what it costs.
Nothing is faster or cheaper than its bound, so no interval is either.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..arrays import Number
from ..kernel.uncertainty import BEYOND, NOT_CALIBRATED, Interval, kind_interval, serving_interval
from .grid import Question

Span = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Intervals of time per output token and of time to first token, as factors of the estimates."""

    tpot: Interval = NOT_CALIBRATED
    ttft: Interval = NOT_CALIBRATED

    @property
    def reason(self) -> str:
        """Why the intervals are as wide as they are."""
        if self.tpot.reason == self.ttft.reason:
            return self.tpot.reason
        return f"TPOT: {self.tpot.reason}; TTFT: {self.ttft.reason}"


def trust(question: Question, *, devices: Number, context: Number, users: Number) -> Trust:
    """The intervals of a replica of so many `devices` with `users` inside, of `context` tokens each.

    >>> from rackmath.faces.question import question
    >>> from rackmath.world.workload import Traffic
    >>> q, _ = question("deepseek-ai/DeepSeek-V3", "8xh200", traffic=Traffic(isl=8192, osl=1024), engine="sglang")
    >>> found = trust(q, devices=8.0, context=9216.0, users=64.0)
    >>> found.tpot.low < 1 < found.tpot.high < found.ttft.high
    True
    """

    def of(quantity: str) -> Interval:
        found = serving_interval(
            quantity, question.model, question.machine, question.engine, devices=float(devices),
            context=float(context), users=float(users),
        )  # fmt: skip
        return found if question.speculation is None else found.wider(BEYOND, "no run with drafts was fitted")

    return Trust(tpot=of("tpot"), ttft=of("ttft"))


def trust_pools(
    questions: tuple[Question, Question], *, devices: tuple[Number, Number], context: Number, users: Number
) -> Trust:
    """Those of a prefill and a decode pool: the one decides the first token, the other the time per token.

    What is known is of runs of one pool, so the intervals are wider by `BEYOND`; where runs of two pools were less
    sure than that, theirs stand.
    """
    first, second = (
        trust(q, devices=n, context=context, users=users) for q, n in zip(questions, devices, strict=True)
    )

    def of(quantity: str, one: Interval) -> Interval:
        one = one.wider(BEYOND, "these are runs of one pool, none of two was fitted")
        two = _of_two_pools(quantity)
        return max(one, two, key=_width)

    return Trust(tpot=of("tpot", second.tpot), ttft=of("ttft", first.ttft))


def _of_two_pools(quantity: str) -> Interval:
    try:
        return kind_interval("disaggregated", quantity, "disaggregated")
    except FileNotFoundError:  # the errors of other kinds of runs have not been collected
        return NOT_CALIBRATED


def _width(of: Interval) -> float:
    return 0.0 if of.low is None or of.high is None else float(of.high) / float(of.low)


def time_span(interval: Interval, estimate: Number, least: Number = 0.0) -> Span | None:
    """5 % to 95 % of a time, or of dollars, that is not below `least`.

    >>> time_span(Interval(low=0.5, high=1.5), 10.0, least=6.0)
    (6.0, 15.0)
    """
    found = interval.around(float(estimate), float(least))
    return None if found is None else (float(found[0]), max(float(found[0]), float(found[1])))


def rate_span(interval: Interval, estimate: Number, most: Number) -> Span | None:
    """5 % to 95 % of a rate that is not above `most`, from the interval of the time behind it.

    >>> rate_span(Interval(low=0.5, high=2.0), 10.0, most=15.0)
    (5.0, 15.0)
    """
    times = time_span(interval, 1 / float(estimate), 1 / float(most))
    return None if times is None else (1 / times[1], 1 / times[0])
