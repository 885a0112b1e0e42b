"""The ledger: claims as records read from data, and the verdict reached on each by rule.

A claim's inputs carry a source; `evaluate` puts them (or replacements) into the claim's computation and returns what
came out, with the sentence that says why. Nothing about a verdict is written in the data.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from ..errors import BadInput, unknown
from ..units import parse

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
    raw = tomllib.loads((files("rackmath") / "data" / "lecture.toml").read_text())
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


def evaluate(claim: Claim, sets: Mapping[str, str | float] | None = None) -> Finding:
    """A claim's verdict, with `sets` replacing inputs by name.

    >>> evaluate(claim_numbered("4")).outcome.verdict
    'does not hold'
    >>> evaluate(claim_numbered("4"), {"batch": 2000}).outcome.verdict
    'holds'
    """
    from .compute import COMPUTED

    changes = dict(sets or {})
    for name in changes:
        if name not in claim.inputs:
            raise unknown(f"input of claim {claim.number}", name, list(claim.inputs))
    if claim.sourced:
        return Finding(claim=claim, inputs=(), outcome=_said("sourced, not computed", claim.sourced))
    compute = COMPUTED.get(claim.number)
    if compute is None:
        return Finding(
            claim=claim, inputs=(), outcome=_said("not yet computed", "its part of the library is not built")
        )
    inputs = tuple(_input(name, row, changes.get(name)) for name, row in claim.inputs.items())
    values = {i.name: i.value for i in inputs}
    try:
        outcome = compute(claim, values)
    except (ZeroDivisionError, OverflowError):
        outcome = _said("not yet computed", "")
    if not math.isfinite(outcome.ours):
        given = ", ".join(f"{k} = {v}" for k, v in changes.items())
        raise BadInput(f"claim {claim.number} has no finite answer with {given}; give numbers above 0 and not huge")
    return Finding(claim=claim, inputs=inputs, outcome=outcome, changed=tuple(changes))


def _said(verdict: Verdict, because: str) -> Outcome:
    return Outcome(ours=math.nan, verdict=verdict, because=because)


def _input(name: str, row: Mapping[str, Any], replaced: str | float | None) -> Input:
    unit = str(row.get("unit", "count"))
    if replaced is not None:
        value = parse(replaced, unit, name=f"input {name}")
        if not value >= 0:
            raise BadInput(f"{name} = {replaced!r} is negative; give a number of 0 or more")
        return Input(name=name, value=value, unit=unit, source="given by you")
    given = row["value"]
    if isinstance(given, str):
        value, source = _looked_up(given)
        return Input(name=name, value=value, unit=unit, source=source)
    return Input(name=name, value=float(given), unit=unit, source=str(row["source"]))


def _looked_up(reference: str) -> tuple[float, str]:
    """A value of the catalogue, "machine:NAME.FIELD", or one measured in the lab, "lab:NAME"."""
    if reference.startswith("lab:"):
        from ..experiments.results import figures
        from ..experiments.results import source as measured

        return figures()[reference.removeprefix("lab:")], measured()
    from ..world import catalog

    name, _, what = reference.removeprefix("machine:").rpartition(".")
    machine = catalog.machine(name)
    source = machine.sources.get(what)
    return float(getattr(machine, what)), f"{name}: {source.text if source else 'catalogue'}"
