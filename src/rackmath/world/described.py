"""Models and machines as mappings of plain values, and back: what a question holds of a record it was given.

A model is what describes it (`world.description`) or the content of its config.json; a machine has the keys of a
machine's file (`world.spec`) with its `name` inside, or every value of the record.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ..errors import BadInput, unknown
from . import catalog
from .description import FORMAT_FIELDS, build
from .huggingface import read_model
from .machine import Machine, Price, Source, Tier
from .model import Model
from .spec import DIMENSIONS, PRICE_KINDS, quantity

_TEXTS = ("vendor", "generation", "memory_type")
_HEAD = (
    "name",
    "vocab",
    "tied_embeddings",
    "embedding_parameters",
    "head_parameters",
    "norm_parameters",
    "max_context",
    "family",
    "notes",
    "source",
)
KEYS = {*DIMENSIONS, *_TEXTS, "name", "accelerator", "price_kind", "year", "home", "prices", "tiers", "notes", "sources"}
"""What describes a machine as a record."""


def described(record: Model | Machine) -> dict[str, Any]:
    """The mapping that gives the record again.

    >>> eight = catalog.machine("8xh100")
    >>> machine(described(eight)) == eight
    True
    """
    if isinstance(record, Machine):
        return _of_machine(record)
    found = _of_model(record)
    if not found or build(found) != record:
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
    if "price_kind" in given:
        return _by_hand(name, given)
    return catalog.described(name, {k: v for k, v in given.items() if k != "name" or "base" not in given})


def _by_hand(name: str, given: Mapping[str, Any]) -> Machine:
    """A machine whose values are all given, as `described` writes them."""
    for key in given:
        if key not in KEYS:
            raise unknown(f"key in machine {name!r}", str(key), sorted(KEYS))
    if given["price_kind"] not in (*PRICE_KINDS, "given", "none"):
        raise unknown(f"kind of price of machine {name!r}", str(given["price_kind"]), (*PRICE_KINDS, "given", "none"))
    sources = {key: Source(**told) for key, told in given.get("sources", {}).items()}
    values: dict[str, Any] = {key: str(given[key]) for key in (*_TEXTS, "price_kind") if key in given}
    for key in DIMENSIONS:
        if key in given:
            values[key] = 0.0 if given[key] == 0 else quantity(given[key], key, name)
    return Machine(
        name=name,
        accelerator=str(given.get("accelerator", name)),
        **values,
        year=int(given.get("year", 0)),
        home=bool(given.get("home", False)),
        prices=Price(**given.get("prices", {})),
        tiers=tuple(_tier(one, name) for one in given.get("tiers", ())),
        notes=tuple(str(note) for note in given.get("notes", ())),
        sources=sources,
    )


def _of_machine(m: Machine) -> dict[str, Any]:
    """Every value of a machine."""
    return {
        "name": m.name,
        "accelerator": m.accelerator,
        **{key: float(getattr(m, key)) for key in DIMENSIONS},
        **{key: getattr(m, key) for key in (*_TEXTS, "price_kind", "year", "home")},
        "prices": {kind: value for kind in PRICE_KINDS if (value := getattr(m.prices, kind)) is not None},
        "tiers": [{**asdict(tier), "source": None if tier.source is None else asdict(tier.source)} for tier in m.tiers],
        "notes": list(m.notes),
        "sources": {key: asdict(source) for key, source in m.sources.items()},
    }


def _of_model(m: Model) -> dict[str, Any]:
    """The description of a model, with the values at its head as they are now."""
    found: dict[str, Any] = _finite(m.description)
    if not found:
        return found
    was = build(found)
    changed = {key: getattr(m, key) for key in _HEAD if getattr(m, key) != getattr(was, key)}
    if m.precision != was.precision:
        changed["precision"] = {
            "name": m.precision.name,
            "activation_bytes": m.precision.activation_bytes,
            **{part: kind.name for part in FORMAT_FIELDS if (kind := getattr(m.precision, part)) is not None},
        }
    return {**found, **_finite(changed)}


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
