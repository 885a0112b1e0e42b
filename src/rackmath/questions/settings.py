"""Values that are replaced by hand, and adapters, before a question is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import BadInput, unknown
from ..limits import check_setting
from ..units import parse

if TYPE_CHECKING:
    from ..kernel.efficiency import Efficiency
    from ..world.engine import Engine
    from ..world.model import Model

Quantity = str | float
T = TypeVar("T")


def changed(engine: Engine, sets: Mapping[str, Quantity]) -> tuple[Engine, Callable[[Efficiency], Efficiency]]:
    """An engine with values replaced, and what replaces an efficiency's: models and machines are the data's."""
    from ..kernel.efficiency import default_efficiency

    of = by_room(sets)
    if of["model"] or of["machine"]:
        raise BadInput("the rows name their own models and machines; set values of engine or efficiency only")
    replaced(default_efficiency(), "efficiency", of["efficiency"])  # refuses what cannot be before rows are read
    return replaced(engine, "engine", of["engine"]), lambda e: replaced(e, "efficiency", of["efficiency"])


def by_room(sets: Mapping[str, Quantity]) -> dict[str, dict[str, Quantity]]:
    """Settings like "machine.hbm_bandwidth" or "engine.chunk_tokens", by the record they change."""
    found: dict[str, dict[str, Quantity]] = {"model": {}, "machine": {}, "engine": {}, "efficiency": {}}
    for key, value in sets.items():
        room, _, name = key.partition(".")
        if room not in found or not name:
            raise unknown(
                "setting",
                key,
                ["machine.hbm_bandwidth", "model.top_k", "engine.chunk_tokens", "efficiency.launch"],
                hint="; name a value of model, machine, engine or efficiency",
            )
        found[room][name] = value
    return found


_DIMENSIONS = {
    "runtime_bytes": "bytes",
    "link_bytes": "bytes",
    "link_more_bytes": "bytes",
    "graph_bytes": "bytes",
    "logit_bytes": "bytes",
    "launch": "s",
    "step_overhead": "s",
    "sequence_overhead": "s",
    "request_overhead": "s",
    "exchange_latency": "s",
    "host": "s",
    "memory_share": "share",
    "link_share": "share",
    "compute_share": "share",
    "spread": "share",
}


def replaced(record: T, kind: str, values: Mapping[str, Quantity]) -> T:
    """An engine or efficiency record with values replaced.

    "memory_share.gemm.fp8" names one entry of a table, "memory_share.gemm" the entries of all operand types.
    """
    for name, value in values.items():
        table, _, entry = name.partition(".")
        numeric = [f.name for f in fields(record) if isinstance(getattr(record, f.name), float | int)]  # type: ignore[arg-type]
        tables = {f.name: getattr(record, f.name) for f in fields(record) if f.init} if entry else {}  # type: ignore[arg-type]
        entries: list[str] = []
        if isinstance(tables.get(table), Mapping):
            every = tables[table]
            entries = [key for key in every if entry in (key, key.partition(".")[0])]
            if not entries:
                kinds = dict.fromkeys(key.partition(".")[0] for key in every)
                raise unknown(f"{kind}.{table}", entry, dict.fromkeys([*kinds, *every]))
        elif name not in numeric:
            raise unknown(f"{kind} value", name, numeric)
        dimension = _DIMENSIONS.get(table, "count")
        number = parse(value, dimension, name=f"{kind}.{name}")
        check_setting(number, dimension, f"{kind}.{name}")
        changed = {**tables[table], **dict.fromkeys(entries, number)} if entry else number
        if name == "chunk_tokens":  # a step set by hand is also the one that memory is kept for
            record = replace(record, step_tokens=number)  # type: ignore[type-var]
        record = replace(record, **{table: changed})  # type: ignore[type-var]
    return record


def lora_model(model: str | Model, lora: str | None, sets: Mapping[str, Quantity] | None) -> tuple[Any, Any]:
    """The model with adapters on it, and the settings that are left: those of the model are already in it."""
    if lora is None:
        return model, sets
    from ..world import catalog
    from ..world.lora import parse_lora, with_lora

    chosen: Model = catalog.model(model) if isinstance(model, str) else model
    own = {k.removeprefix("model."): v for k, v in (sets or {}).items() if k.startswith("model.")}
    chosen = catalog.override(chosen, own) if own else chosen
    rest = {k: v for k, v in (sets or {}).items() if not k.startswith("model.")}
    return with_lora(chosen, parse_lora(lora)), rest
