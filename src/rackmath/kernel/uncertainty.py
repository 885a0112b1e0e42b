"""How far to trust a number: an interval and the reason for its width.

Two generated files hold 5 % and 95 % quantiles of measured over predicted. `data/fitted/serving_intervals.toml`:
serving runs of one pool, by what the fit had not seen of them (`calibration.engines` leaves cells, systems, models
and engines out in turn). `data/fitted/kind_intervals.toml`: other kinds of measurement, on which next to nothing was
fitted (`calibration.intervals`). An estimate is as sure as the least familiar thing about it allows, and the reason
names that thing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from .. import shipped
from ..arrays import Number
from ..world.engine import LIKE, Engine
from ..world.engine_names import engine_key
from ..world.machine import Machine
from ..world.model import Model

UNMEASURED = 1.5
"""Factor on the log width of an unseen system's interval where nothing of its generation was measured either."""

BEYOND = 1.3
"""Factor on the log width where a size lies beyond those of the fitted runs."""

MOST_DEVICES, MOST_CONTEXT, MOST_USERS = 16.0, 20_000.0, 4096.0
"""Largest replica, context and number of users in the fitted runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """5 % to 95 % of where the truth lies as factors of the estimate, or None with the reason where nothing is known.

    >>> Interval(low=0.8, high=1.25, reason="seen").around(10.0)
    (8.0, 12.5)
    """

    low: Number | None = None
    high: Number | None = None
    reason: str = "not calibrated"

    def around(self, estimate: Number, least: Number | None = None) -> tuple[Number, Number] | None:
        """The interval of an estimate, in its own unit; a time is not shorter than its bound, `least`."""
        if self.low is None or self.high is None:
            return None
        low = estimate * self.low
        return (low if least is None else max(low, min(least, estimate))), estimate * self.high

    @property
    def inverse(self) -> Interval:
        """The interval of a rate, one over the time."""
        if self.low is None or self.high is None:
            return self
        return Interval(low=1 / self.high, high=1 / self.low, reason=self.reason)

    def wider(self, factor: float, reason: str) -> Interval:
        """Stretched about its middle in logs, with one more reason."""
        if self.low is None or self.high is None:
            return self
        middle, half = math.sqrt(self.low * self.high), math.sqrt(self.high / self.low) ** factor
        return Interval(low=middle / half, high=middle * half, reason=f"{self.reason}; {reason}")


NOT_CALIBRATED = Interval()


@cache
def _serving() -> Mapping[str, Any]:
    return shipped.read(shipped.FITTED / "serving_intervals.toml")


@cache
def _kinds() -> Mapping[str, Any]:
    return shipped.read(shipped.FITTED / "kind_intervals.toml")


def family(name: str) -> str:
    """Models of one shape are one model: DeepSeek-R1 is V3, and formats and tuning do not change a shape.

    >>> family("deepseek-ai/DeepSeek-R1-0528"), family("nvidia/Llama-3.1-70B-Instruct-FP8")
    ('DeepSeek-V3', 'Llama-3.1-70B')
    """
    last = name.rsplit("/", 1)[-1].removeprefix("Meta-")
    if last.startswith("DeepSeek-") and any(v in last for v in ("R1", "V3")) and "V3.2" not in last:
        return "DeepSeek-V3"
    for _ in range(3):
        for end in ("-Instruct", "-FP8", "-NVFP4", "-MXFP4"):
            last = last.removesuffix(end)
    return last


def serving_interval(
    quantity: str, model: Model, machine: Machine, engine: Engine, *, devices: float = 1.0, context: float = 0.0, users: float = 0.0
) -> Interval:
    """The interval of "tpot" or "ttft" of a serving run; `devices` of a replica, `context` tokens, `users` inside.

    >>> from rackmath.world import catalog
    >>> llama, engine = catalog.model("meta-llama/Llama-3.1-70B"), Engine(name="vllm")
    >>> seen = serving_interval("tpot", llama, catalog.machine("8xh200"), engine)
    >>> new = serving_interval("tpot", llama, catalog.machine("8xmi455x"), engine)
    >>> seen.high / seen.low < new.high / new.low
    True
    """
    seen = _serving()["seen"]
    system, name, key = machine.accelerator, family(model.name), engine_key(engine.name)
    known = {"system": system in seen["systems"], "model": name in seen["models"], "engine": key in seen["engines"] or not key}
    words = {
        "system": f"no run on {system} was fitted",
        "model": f"no run of {name} was fitted",
        "engine": f"no run of {engine.name} was fitted",
    }
    new = [what for what, is_known in known.items() if not is_known]
    if not new:
        whole = f"{system}|{name}|{key}" in seen["cells"]
        found = _quantiles("nothing" if whole else "cell", quantity)
        reason = (
            "runs of this model, machine and engine were fitted"
            if whole
            else "model and machine were fitted, not this combination with the engine"
        )
        if not key:
            found, reason = _quantiles("engine", quantity), "the typical engine: none was named"
    else:
        found = _joined([_quantiles(what, quantity) for what in new], _quantiles("nothing", quantity))
        reason = ", ".join(words[what] for what in new)
    interval = Interval(low=found[0], high=found[1], reason=reason)
    if "system" in new and LIKE.get(machine.generation, machine.generation) not in seen["generations"]:
        interval = interval.wider(UNMEASURED, f"nor any of its generation ({machine.generation or 'unknown'})")
    beyond = [
        f"{what} beyond the fitted runs"
        for what, value, most in (("devices", devices, MOST_DEVICES), ("context", context, MOST_CONTEXT), ("users", users, MOST_USERS))
        if value > most
    ]
    return interval.wider(BEYOND ** len(beyond), ", ".join(beyond)) if beyond else interval


def version_fitted(engine: str, version: str) -> bool:
    """Whether runs of this version of an engine were fitted.

    >>> version_fitted("trtllm", "1.0.0rc3"), version_fitted("trtllm", "99.0")
    (True, False)
    """
    return f"{engine} {version}" in _serving()["seen"]["versions"]


def kind_interval(kind: str, column: str, mode: str) -> Interval:
    """The interval of a column of one kind of measured file: errors seen there (`calibration.intervals`)."""
    table = _kinds().get(kind, {})
    for name in (f"{column}|{mode}", column):
        if name in table:
            found = table[name]
            reason = f"errors of {found['rows']} rows of this kind"
            return Interval(low=found["low"], high=found["high"], reason=reason)
    return NOT_CALIBRATED


def _quantiles(out: str, quantity: str) -> tuple[float, float]:
    found = _serving()[out][quantity]
    return float(found["low"]), float(found["high"])


def _joined(found: list[tuple[float, float]], base: tuple[float, float]) -> tuple[float, float]:
    """Several unfamiliar things at once: what each adds to the log width of the familiar adds up in squares."""
    ends = []
    for i in (0, 1):
        own = math.log(base[i])
        extra = sum(max(math.log(f[i]) ** 2 - own**2, 0.0) for f in found)
        size = math.sqrt(own**2 + extra)
        ends.append(math.exp(-size if i == 0 else size))
    return ends[0], ends[1]
