"""Terms of the catalogue's records, with the source of each value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..answers.terms import Term as Node
from ..answers.terms import count, difference, given, product, quotient, root, stated, total
from ..units import UNITS

if TYPE_CHECKING:
    from ..world.machine import Machine

__all__ = ["Node", "count", "difference", "given", "of_machine", "product", "quotient", "root", "stated", "total"]


def of_machine(machine: Machine, field: str, name: str) -> Node:
    """A value of the machine, with the source the catalogue keeps for it."""
    from ..world.spec import DIMENSIONS

    key = f"prices.{machine.price_kind}" if field == "price_per_hour" else field
    found = machine.sources.get(key) or machine.sources.get(field)
    text = ""
    if found is not None:
        text = found.text + (f", {found.date}" if found.date else "") + ("" if found.verified else ", unverified")
    dimension = DIMENSIONS[field]
    unit = {"bytes": "B", "bytes/s": "B/s", "count": ""}.get(dimension, dimension)
    assert dimension in UNITS
    return Node(name=name, value=float(getattr(machine, field)), unit=unit, source=text or f"machine {machine.name}, no source")
