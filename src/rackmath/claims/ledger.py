"""The ledger: claims as records read from data, and the verdict reached on each by rule.

A claim's inputs carry a source; `evaluate` puts them (or replacements) into the claim's computation and returns what
came out, with the sentence that says why. Nothing about a verdict is written in the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from .. import shipped
from ..errors import unknown

Verdict = Literal["holds", "holds if", "does not hold", "sourced, not computed", "not yet computed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A number a claim rests on, in SI units."""

    name: str
    value: float
    unit: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One claim in our words. `lecture` is its number; `tolerance` the relative distance within which ours agrees."""

    number: str
    section: str
    title: str
    claim: str = ""
    formula: str = ""
    lecture: float | None = None
    unit: str = ""
    tolerance: float = 0.1
    command: str = ""
    sourced: str = ""
    rule: str = ""  # how agreement is judged, where it is not the tolerance
    note: str = ""  # a sourced fact that belongs to the claim
    inputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A number met on the way to a verdict."""

    name: str
    value: float
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a computation found: our number, the verdict and the reason in one sentence.

    `near`: whether our number lies within the claim's tolerance; None where the verdict does not rest on that.
    """

    ours: float
    verdict: Verdict
    because: str
    parts: tuple[Part, ...] = ()
    near: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A claim with the inputs used and its outcome."""

    claim: Claim
    inputs: tuple[Input, ...]
    outcome: Outcome
    changed: tuple[str, ...] = ()


@cache
def claims() -> tuple[Claim, ...]:
    """Every row of the lecture's table, in order."""
    raw = shipped.read(shipped.FACTS / "lecture.toml")
    return tuple(Claim(**row) for row in raw["claim"])


def claim_numbered(number: str) -> Claim:
    """The claim with this number ("4", "T1").

    >>> claim_numbered("t2").title
    'A train every 20 ms means 40 ms at worst'
    """
    for claim in claims():
        if claim.number.lower() == str(number).strip().lower():
            return claim
    raise unknown("claim", str(number), [c.number for c in claims()], hint="; rackmath lecture lists them")
