"""The verb `readings`: a price list read one equation at a time; words in, answers out. No arithmetic here.

>>> found = readings("google/gemini-3.1-pro-preview").readings
>>> round(found.present["kv_board"].value)
1667
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BadInput, unknown
from ..questions.lists import list_meant
from ..questions.resolve import Quantity, machine_of
from ..units import parse

if TYPE_CHECKING:
    from ..decisions.readings import Readings
    from ..economics.pricelist import PriceList
    from ..world.machine import Machine
    from ..world.model import Model
    from .export import Face

OPEN = ("openai/gpt-oss-120b", "deepseek-ai/DeepSeek-V3", "meta-llama/Llama-3.1-70B")
"""Open models whose cache bytes stand beside the estimates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An open model, and the bytes it stores for each token of a long context, as published."""

    name: str
    kv_bytes_per_token: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingsAnswer:
    """What single equations read from a price list. `references`: open models, to compare cache bytes with."""

    readings: Readings
    references: tuple[Reference, ...]
    notes: tuple[str, ...]

    def face(self) -> Face:
        from . import show_readings

        return show_readings.face(self)


def readings(
    prices: str | Path | PriceList | None = None,
    on: str | Machine | None = None,
    *,
    on_date: str | None = None,
    active: Quantity | None = None,
    context: Quantity | None = None,
    mfu: Quantity | None = None,
    batch: Quantity | None = None,
    price: str | None = None,
    sets: Mapping[str, Quantity] | None = None,
    unit: str | None = None,
    **listed: Quantity | None,
) -> ReadingsAnswer:
    """Every reading of a price list: by its name, from a file, as a record, or as prices by keyword.

    Prices by keyword are those of `infer`: input, output, cache_read, write_5m, write_1h, in dollars per million
    tokens or as `unit` says.

    `on`: the machine it is known to run on. `active`: parameters, as one number or "low,value,high". What is not
    given stands at the lecture's figure with a range, except for an open model, whose configuration is counted.
    """
    from ..decisions.from_context import LONGEST
    from ..decisions.readings import readings as read
    from ..kernel.counts import cache_bytes
    from ..world import catalog

    asked = {k: v for k, v in listed.items() if v is not None}
    given = list_meant(prices, asked, on_date, unit=unit)
    machine, notes = _machine(on, price, sets or {})
    known = _known(given, notes)
    found = read(
        given,
        active=None if active is None else _active(active),
        machine=machine,
        known=known,
        mfu=None if mfu is None else parse(mfu, "share", name="mfu"),
        context=None if context is None else parse(context, "count", name="context"),
        batch=None if batch is None else parse(batch, "count", name="batch"),
    )
    at = found.setting.threshold or LONGEST
    others = (catalog.model(name) for name in OPEN if known is None or known.name != name)
    beside = tuple(Reference(name=m.name, kv_bytes_per_token=float(cache_bytes(m, at)) / at) for m in others)
    return ReadingsAnswer(readings=found, references=beside, notes=tuple(dict.fromkeys(notes)))


def _machine(
    on: str | Machine | None, price: str | None, sets: Mapping[str, Quantity]
) -> tuple[Machine | None, list[str]]:
    """The machine with its price and changed values, and notes; None where none was named."""
    from ..world import catalog

    if on is None:
        if price is not None or sets:
            raise BadInput("a price or a setting needs a machine; name it with --on, like --on gb200")
        return None, []
    machine = machine_of(on, price)
    for key in sets:
        if not key.startswith("machine."):
            raise unknown("setting", key, ["machine.price_per_hour", "machine.hbm_bandwidth"],
                          hint="; name a value of the machine")  # fmt: skip
    changes = {key.removeprefix("machine."): value for key, value in sets.items()}
    machine = catalog.override(machine, changes) if changes else machine
    return machine, list(machine.notes)


def _known(prices: PriceList, notes: list[str]) -> Model | None:
    """The model behind the list, where its weights are open and the catalogue has it."""
    from ..world import catalog

    if not prices.weights:
        return None
    try:
        return catalog.model(prices.weights)
    except BadInput:
        notes.append(f"the weights {prices.weights} are open, but not in the catalogue")
        return None


def _active(given: Quantity) -> tuple[float, float, float]:
    """One number, or low, value and high.

    >>> _active("100B"), _active("50B,100B,300B")
    ((100000000000.0, 100000000000.0, 100000000000.0), (50000000000.0, 100000000000.0, 300000000000.0))
    """
    words = given.split(",") if isinstance(given, str) else [given]
    if len(words) not in (1, 3):
        raise BadInput(
            f"active = {given!r} has {len(words)} numbers; give one like 100B, or three like 50B,100B,300B"
        )
    low, value, high = (parse(w, "count", name="active") for w in (words * 3 if len(words) == 1 else words))
    return low, value, high
