"""What is asked of a deployment: traffic and objectives."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..arrays import Number
from ..errors import BadInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Requests as a serving engine sees them.

    `isl`, `osl`: input and output tokens of a request (means). `cached`: share of the input found in the prefix
    cache. `utilisation`: share of paid machine time that carries load. `rate`: requests per second of the fleet,
    or None for one replica at its plan's load. `closed`: a fixed number of users, each sending the next request when
    the last one is answered; otherwise requests arrive at random (Poisson). `users`: how many those are, where it is
    given: a replica then serves a whole number of them and no more.
    """

    isl: Number
    osl: Number
    cached: Number = 0.0
    utilisation: float = 1.0
    rate: float | None = None
    closed: bool = False
    users: float | None = None

    def __post_init__(self) -> None:
        for name, least, most in (("isl", 1, 1e9), ("osl", 1, 1e9), ("cached", 0, 1)):
            value = getattr(self, name)
            if isinstance(value, float | int) and not least <= value <= most:
                raise BadInput(f"{name} = {value!r} is out of range; give a value from {least:g} to {most:g}")
        if not 0 < self.utilisation <= 1:
            raise BadInput(f"utilisation = {self.utilisation!r} is out of range; give a share above 0, at most 1")
        if self.users is not None and not (1 <= self.users <= 1e9 and self.users == int(self.users)):
            raise BadInput(f"users = {self.users:g} is out of range; give a whole number from 1 to 1e9")
        if self.rate is not None and not 0 < self.rate < math.inf:
            raise BadInput(f"rate = {self.rate!r} is out of range; give requests per second above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Objectives:
    """Limits a plan must keep, medians at the plan's load: seconds, and tokens per second per user."""

    max_ttft: float = math.inf
    max_tpot: float = math.inf

    def __post_init__(self) -> None:
        for name in ("max_ttft", "max_tpot"):
            value = getattr(self, name)
            if not value > 0:
                raise BadInput(f"{name} = {value!r} is impossible; give a time above 0")
