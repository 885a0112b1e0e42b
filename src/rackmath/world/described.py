"""Models and machines as mappings of plain values, and back: what a question holds of a record it was given.

A model is what describes it (`world.description`) or the content of its config.json; a machine has the keys of a
machine's file (`world.spec`) with its `name` inside, and `accelerator`, `tiers`, `price_kind` and `price_per_hour`
where it was made or changed by hand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from ..errors import BadInput, unknown
from . import catalog
from .description import build
from .huggingface import read_model
from .machine import Machine, Source, Tier
from .model import Model
from .spec import DIMENSIONS, PRICE_KINDS

_TEXTS = ("vendor", "generation", "memory_type")
_BY_HAND = ("accelerator", "tiers", "price_kind", "price_per_hour")


def described(record: Model | Machine) -> dict[str, Any]:
    """The mapping that gives the record again.

    >>> eight = catalog.machine("8xh100")
    >>> machine(described(eight)) == eight
    True
    """
    found = _of_machine(record) if isinstance(record, Machine) else _finite(record.description)
    again: Any = machine(found) if isinstance(record, Machine) else build(found) if found else None
    if again != record:
        raise BadInput(
            f"the record of {record.name} does not follow from its description, so an answer could not hold its"
            " question; change it with world.override.override, or describe it as docs/concepts/models.md says"
        )
    return found


def model(given: Mapping[str, Any]) -> Model:
    """The model of a description, or of the content of a config.json."""
    return build(given) if "groups" in given or "d_model" in given else read_model(given)


def machine(given: Mapping[str, Any]) -> Machine:
    """The machine of a mapping: a device with its values, or a `base` with those that differ.

    >>> machine({"name": "mine", "base": "h100", "n_devices": 8, "set": {"hbm_bandwidth": "4 TB/s"}}).hbm_bandwidth
    4000000000000.0
    """
    name = given.get("name")
    if not isinstance(name, str) or not name.strip():
        raise BadInput("the machine has no 'name'; give it one, a non-empty string")
    own = {k: v for k, v in given.items() if k not in _BY_HAND and (k != "name" or "base" not in given)}
    found = catalog.described(name, own if "base" in given else own | {"name": given.get("accelerator", name)})
    if "tiers" in given:
        found = replace(found, tiers=tuple(_tier(one, name) for one in given["tiers"]))
    if "price_kind" not in given:
        return found
    kind = given["price_kind"]
    if kind not in (*PRICE_KINDS, "given", "none"):
        raise unknown(f"kind of price of machine {name!r}", str(kind), (*PRICE_KINDS, "given", "none"))
    price = getattr(found.prices, kind, None) or float(given.get("price_per_hour", 0.0))
    notes = tuple(str(note) for note in given.get("notes", ()))
    return replace(found, price_kind=kind, price_per_hour=price, notes=notes)


def _of_machine(m: Machine) -> dict[str, Any]:
    """Every value of a machine that is not nothing."""
    numbers = {key: float(getattr(m, key)) for key in DIMENSIONS if key != "price_per_hour"}
    prices = {kind: value for kind in PRICE_KINDS if (value := getattr(m.prices, kind)) is not None}
    return {
        "name": m.name,
        "accelerator": m.accelerator,
        **{key: value for key, value in numbers.items() if value},
        **{key: value for key in _TEXTS if (value := getattr(m, key))},
        "year": m.year,
        "home": m.home,
        "price": {kind: {"value": value, **_told(m.sources.get(f"prices.{kind}"))} for kind, value in prices.items()},
        "price_kind": m.price_kind,
        "price_per_hour": float(m.price_per_hour),
        "tiers": [{**asdict(tier), "source": _told(tier.source)} for tier in m.tiers],
        "notes": list(m.notes),
        "sources": {key: told for key, value in numbers.items() if value and (told := _told(m.sources.get(key)))},
    }


def _told(source: Source | None) -> dict[str, Any]:
    return asdict(source) if source is not None and source.text else {}


def _tier(given: Mapping[str, Any], name: str) -> Tier:
    try:
        return Tier(**{**given, "source": Source(**given["source"]) if given.get("source") else None})
    except TypeError:
        raise BadInput(f"machine {name!r}: a tier needs name, capacity and bandwidth") from None


def _finite(value: Any) -> Any:
    """Nested values without the entries that have no end, which is what their absence means."""
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items() if inner != math.inf}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value
