"""Verdicts of claims, computed from their inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..errors import BadInput, unknown
from ..units import parse
from .compute import COMPUTED
from .ledger import Claim, Finding, Input, Outcome, Verdict


def evaluate(claim: Claim, sets: Mapping[str, str | float] | None = None) -> Finding:
    """A claim's verdict, with `sets` replacing inputs by name.

    >>> from rackmath.claims.ledger import claim_numbered
    >>> evaluate(claim_numbered("4")).outcome.verdict
    'does not hold'
    >>> evaluate(claim_numbered("4"), {"batch": 2000}).outcome.verdict
    'holds'
    """
    changes = dict(sets or {})
    for name in changes:
        if name not in claim.inputs:
            raise unknown(f"input of claim {claim.number}", name, list(claim.inputs))
    if claim.sourced:
        return Finding(claim=claim, inputs=(), outcome=_said("sourced, not computed", claim.sourced))
    compute = COMPUTED.get(claim.number)
    if compute is None:
        return Finding(claim=claim, inputs=(), outcome=_said("not yet computed", "its part of the library is not built"))
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
