"""Words to machines: their prices, and their scale-up domains as large as a question allows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from ..errors import BadInput
from ..world import catalog
from ..world.machine import Machine

NO_PRICE = "without a price the plan minimises device time"


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


def with_prices(on: Sequence[str | Machine], price: str | None) -> tuple[list[str | Machine], list[str]]:
    """Several machines with one kind of price in force, and a note for each that has none of that kind.

    Such a machine is compared without a price. One machine alone, or a kind that none of them has, is left to
    `question`, which refuses it.
    """
    if price is None or len(on) == 1:
        return list(on), []
    machines = [catalog.machine(one) if isinstance(one, str) else one for one in on]
    have = [getattr(m.prices, price, None) is not None for m in machines]
    if not any(have):
        catalog.priced(machines[0], price)
    words = price.replace("_", "-")
    return (
        [catalog.priced(m, price if known else "none") for m, known in zip(machines, have, strict=True)],
        [
            f"{m.name} has no {words} price: it is compared without one, after those that have"
            for m, known in zip(machines, have, strict=True)
            if not known
        ],
    )


def machine_of(on: str | Machine, price: str | None) -> Machine:
    """A machine by name or as a record, with a kind of price in force where one is named."""
    machine: Machine = catalog.machine(on) if isinstance(on, str) else on
    return machine if price is None else catalog.priced(machine, price)


def paid_for(on: str | Machine, price: str | None) -> Machine:
    """A machine for an answer in dollars: one without a price is refused."""
    machine = machine_of(on, price)
    if not float(machine.price_per_hour) > 0:
        raise BadInput(f"{machine.name} has no price, so nothing can be said in dollars; choose a machine with one")
    return machine


def all_at_home(on: Iterable[str | Machine]) -> bool:
    """Whether all of several machines are sold to people: only then are they compared as such."""
    return all(machine_of(one, None).home for one in on)


def named(notes: Sequence[str], machine: Machine) -> list[str]:
    """The notes of a question where several machines are asked about: those on the machine say which."""
    return [f"{machine.name}: {n}" if n in (*machine.notes, NO_PRICE) else n for n in notes]
