"""Single values of a machine or a model replaced, with a note that says so."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from .. import units
from ..errors import BadInput, unknown
from .description import build
from .machine import Machine, Source
from .model import Model
from .precision import format_named
from .spec import DIMENSIONS, PRICE_KINDS, plain_notes, priced, quantity

R = TypeVar("R", Machine, Model)

GIVEN = Source(text="set by the user")


def override(record: R, changes: Mapping[str, str | float]) -> R:
    """A machine or a model with some of its values replaced, and a note for each.

    For a machine: a numeric field ("hbm_bandwidth": "8TB/s"), a price ("prices.reserved": "$2/h"), or "price_kind";
    a new hbm_capacity stands for both figures of the memory.
    For a model: a path in its description ("groups.0.mixer.n_heads", "precision.kv"), or the last part of one, which
    then changes it everywhere it stands ("top_k").

    >>> from rackmath.world.machine import Machine
    >>> faster = override(Machine(name="x", accelerator="x", hbm_bandwidth=4e12), {"hbm_bandwidth": "8TB/s"})
    >>> faster.hbm_bandwidth, faster.notes
    (8000000000000.0, ('hbm_bandwidth set to 8.00 TB/s (was 4.00 TB/s)',))
    """
    if isinstance(record, Machine):
        machine: Machine = record
        for name, value in changes.items():
            machine = _machine(machine, name, value)
        return machine
    return _model(record, changes)


def _machine(machine: Machine, name: str, value: str | float) -> Machine:
    sources = {**machine.sources, name: GIVEN}
    if name == "price_kind":
        changed = priced(machine, str(value))
        return replace(changed, notes=(*changed.notes, f"price_kind set to {value} (was {machine.price_kind})"))
    kind = name.removeprefix("prices.")
    if name.startswith("prices.") and kind in PRICE_KINDS:
        price = _price(value, name)
        was = getattr(machine.prices, kind)
        note = f"{name} set to ${price:g}/h" + (f" (was ${was:g}/h)" if was is not None else "")
        prices = replace(machine.prices, **{kind: price})
        changed = replace(machine, prices=prices, sources=sources, notes=(*machine.notes, note))
        if machine.price_kind == kind:
            return replace(changed, price_per_hour=price)
        none_known = machine.price_kind == "none"
        return priced(changed, kind) if none_known else changed
    if name not in DIMENSIONS:
        raise unknown("value of a machine", name, [*DIMENSIONS, "price_kind", *(f"prices.{k}" for k in PRICE_KINDS)])
    if machine.cards and not name.startswith(("host_", "price")):
        raise BadInput(
            f"machine.{name} cannot be set for {machine.name}: its cards differ; describe one in a file"
            " (docs/machines.md), or set host_capacity, host_bandwidth or price_per_hour"
        )
    was = getattr(machine, name)
    if name == "price_per_hour":
        price = _price(value, name)
        note = f"price_per_hour set to ${price:g}/h (was {f'${was:g}/h' if was else 'unknown'})"
        notes = (*plain_notes(machine), note)
        return replace(machine, price_per_hour=price, price_kind="given", notes=notes, sources=sources | {"prices.given": GIVEN})
    number = quantity(value, name, "machine")
    note = f"{name} set to {_shown(number, name)} (was {_shown(was, name) if was else 'none'})"
    fields: dict[str, Any] = {name: number}
    if name == "hbm_capacity":  # another memory: its box, and nothing kept of it
        fields |= {"hbm_nominal": number, "hbm_reserved": 0.0}
        sources |= {"hbm_nominal": GIVEN, "hbm_reserved": GIVEN}
    return replace(machine, **fields, notes=(*machine.notes, note), sources=sources)


def _price(value: str | float, name: str) -> float:
    price = units.parse(value, "$/h", name=f"machine.{name}")
    if not 0 < price < 1e6:
        raise BadInput(f"machine.{name} = {value!r} is not a price above zero; write it like '$2.10/h'")
    return price


def _shown(value: Any, name: str) -> str:
    unit = {"bytes": "B", "bytes/s": "B/s", "FLOP/s": "FLOP/s", "s": "s", "W": "W"}.get(DIMENSIONS[name], "")
    return units.show(float(value), unit)


def _model(model: Model, changes: Mapping[str, str | float]) -> Model:
    given = copy.deepcopy(dict(model.description))
    notes = list(given.get("notes", ()))
    for path, value in changes.items():
        places = list(_places(given, path))
        if path.startswith("precision.") and path.count(".") == 1:
            given.setdefault("precision", {})[path.partition(".")[2]] = format_named(str(value)).name
            notes.append(f"{path} set to {value}: quality is not modelled")
            continue
        if not places:
            raise unknown(f"value of {model.name}", path, sorted(set(_names(given))))
        for holder, key in places:
            was = holder[key]
            holder[key] = _like(was, value, path)
        notes.append(f"{path} set to {value}" + (f" (was {was})" if len(places) == 1 else ""))
    given["notes"] = notes
    return build(given)


def _places(node: Any, path: str) -> Iterator[tuple[Any, Any]]:
    """Where a path leads: followed from the top, or, with one part only, wherever that key holds a value."""
    head, _, rest = path.partition(".")
    if not rest:
        if isinstance(node, Mapping) and head in node and not isinstance(node[head], Mapping | list):
            yield node, head
        for inner in node.values() if isinstance(node, Mapping) else node:
            if isinstance(inner, Mapping | list):
                yield from _places(inner, path)
        return
    parts = path.split(".")
    for part in parts[:-1]:
        if isinstance(node, list) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        elif isinstance(node, Mapping) and part in node:
            node = node[part]
        else:
            return
    if isinstance(node, Mapping) and parts[-1] in node and not isinstance(node[parts[-1]], Mapping | list):
        yield node, parts[-1]


def _names(node: Any) -> Iterator[str]:
    for key, inner in node.items() if isinstance(node, Mapping) else enumerate(node):
        if isinstance(inner, Mapping | list):
            yield from _names(inner)
        elif isinstance(node, Mapping) and key not in ("notes", "source", "name", "family"):
            yield str(key)


def _like(was: Any, value: str | float, path: str) -> Any:
    """The new value in the type of the old one; `build` then checks its range."""
    if isinstance(was, bool):
        words = {"true": True, "false": False}
        if str(value).lower() not in words:
            raise BadInput(f"model.{path} = {value!r} is not true or false")
        return words[str(value).lower()]
    if isinstance(was, str):
        return str(value)
    number = units.parse(value, "count", name=f"model.{path}")
    return int(number) if number == int(number) else number
