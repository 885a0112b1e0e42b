"""How far to trust what a replica is said to do: its times, and what follows from them.

Rates are as sure as the time per output token they come from, and dollars too: a device-hour costs what it costs.
Nothing is faster or cheaper than its bound, so no interval is either.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

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


def trust(question: Question, *, devices: Number, context: Number, users: Number, dcp: Number = 1.0) -> Trust:
    """The intervals of a replica of so many `devices` with `users` inside, of `context` tokens each.

    Of caches shared over `dcp` ranks nothing was measured.

    >>> from rackmath.questions.resolve import question
    >>> from rackmath.world.workload import Traffic
    >>> q, _ = question("deepseek-ai/DeepSeek-V3", "8xh200", traffic=Traffic(isl=8192, osl=1024), engine="sglang")
    >>> found = trust(q, devices=8.0, context=9216.0, users=64.0)
    >>> found.tpot.low < 1 < found.tpot.high < found.ttft.high
    True
    """

    if question.engine.local:
        return _local(question, users=float(users))

    def of(quantity: str) -> Interval:
        found = serving_interval(
            quantity, question.model, question.machine, question.engine, devices=float(devices), context=float(context), users=float(users)
        )
        if float(dcp) > 1:
            found = found.wider(BEYOND, "no run with a shared cache (DCP) was fitted")
        return found if question.speculation is None else _unfitted(quantity, found, "aggregated, MTP", "with drafts")

    return Trust(tpot=of("tpot"), ttft=of("ttft"))


_HOSTED = replace(NOT_CALIBRATED, reason="a part of the model lies with the host, and no such run was fitted")
NEVER_FITTED = Trust(tpot=_HOSTED, ttft=_HOSTED)
"""Of a model over the memories of cards and host."""

FEW_KERNELS = 4.0
"""Factor on the log width for mixtures of experts: they have many small kernels, which newer software fuses."""


def _local(question: Question, *, users: float) -> Trust:
    """Errors of llama.cpp's published speeds, of one sequence through dense models."""

    def of(mode: str) -> Interval:
        found = kind_interval("llamacpp", "value", f"batch 1 {mode}").inverse
        found = replace(found, reason="errors of 178 published speeds of llama.cpp, one sequence through dense models")
        if question.model.has_experts:
            found = found.wider(FEW_KERNELS if mode == "decode" else BEYOND, "of mixtures of experts none was published there")
        return found if users <= 1 else found.wider(BEYOND**2, "nor several sequences at once")

    return Trust(tpot=of("decode"), ttft=of("prefill"))


def trust_pools(questions: tuple[Question, Question], *, devices: tuple[Number, Number], context: Number, users: Number) -> Trust:
    """Those of a prefill and a decode pool: the one decides the first token, the other the time per token."""
    first, second = (trust(q, devices=n, context=context, users=users) for q, n in zip(questions, devices, strict=True))
    return Trust(
        tpot=_unfitted("tpot", second.tpot, "disaggregated", "of two pools"),
        ttft=_unfitted("ttft", first.ttft, "disaggregated", "of two pools"),
    )


COLUMNS = {
    "tpot": (("inferencex", "median_tpot"), ("silicon", "silicon_tpot_ms")),
    "ttft": (("inferencex", "median_ttft"), ("silicon", "silicon_ttft_ms")),
}
"""Measured columns whose errors are known in modes of which no run was fitted.

One number each was chosen on them: the acceptance of drafts, and the line before two pools (`evidence.predict`)."""


def _unfitted(quantity: str, known: Interval, mode: str, words: str) -> Interval:
    """An interval of fitted runs where none of this mode was fitted: at least as wide as the mode's own errors."""
    if known.low is None:
        return known
    errors = [kind_interval(kind, column, mode) for kind, column in COLUMNS[quantity]]
    widest = max(errors, key=_width)
    if widest.low is None:
        return known.wider(BEYOND, f"no run {words} was fitted")
    if _width(widest) > _width(known):
        return replace(widest, reason=f"errors of runs {words}, none of which was fitted")
    return replace(known, reason=f"{known.reason}; runs {words}, none fitted, were not further off")


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
