"""Words to several machines, their scale-up domains as large as a question allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..errors import BadInput
from ..world import catalog
from ..world.machine import Machine


def machines_of(on: Sequence[Any], max_domain: float | None) -> list[str | Machine]:
    """The machines asked about, their scale-up domains cut to at most `max_domain` devices."""
    if not on:
        raise BadInput("no machine was given; name one like 8xh200 or gb200-nvl72")
    if max_domain is None:
        return list(on)
    return [_cut(catalog.machine(m) if isinstance(m, str) else m, max_domain) for m in on]


def _cut(machine: Machine, most: float) -> Machine:
    if most >= machine.domain:
        return machine
    note = f"scale-up domains of {machine.name} are used as if they had {most:g} devices, not {machine.domain:g}"
    return replace(machine, domain=most, notes=(*machine.notes, note))
