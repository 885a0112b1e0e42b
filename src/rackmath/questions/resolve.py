"""Words to records: the question every verb asks, with its model, machine, formats and overridden values."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import BadInput, unknown
from ..limits import check_setting
from ..units import parse, plural

if TYPE_CHECKING:
    from ..economics.fleet import FleetNeed
    from ..kernel.efficiency import Efficiency
    from ..layout.parallelism import Layout
    from ..search.grid import Question
    from ..world.engine import Engine
    from ..world.machine import Machine
    from ..world.model import Model
    from ..world.precision import Precision

Quantity = str | float
T = TypeVar("T")


def question(
    model: str | Model,
    on: str | Machine,
    *,
    traffic: Any,
    precision: str | Sequence[str] | None = None,
    kv: str | Sequence[str] | None = None,
    gpus: Quantity | None = None,
    price: str | None = None,
    engine: str | None = None,
    sets: Mapping[str, Quantity] | None = None,
    need: FleetNeed | None = None,
    personal: bool = False,
) -> tuple[Question, list[str]]:
    """A question about one machine, and the notes that go with its inputs.

    `engine`: a serving engine with its version or without ("vllm 0.15.1"), the typical one if none is named; with
    `personal`, llama.cpp where the machine is a home one or the weights are those of a GGUF file.
    """
    from ..kernel.llamacpp import constants
    from ..search.grid import Question
    from ..world import catalog
    from ..world.engine import TYPICAL
    from ..world.engine_names import engine as engine_of

    chosen: Model = catalog.model(model) if isinstance(model, str) else model
    machine = machine_of(on, price)
    of = _by_room(sets or {})
    chosen = catalog.override(chosen, of["model"]) if of["model"] else chosen
    machine = catalog.override(machine, of["machine"]) if of["machine"] else machine
    software, said = TYPICAL if engine is None else engine_of(engine), list[str]()
    tries = precisions(chosen, machine, precision, kv, local=software.local)
    if engine is None and personal and _at_home(machine, tries):
        software = engine_of("llama.cpp")
        said = ["llama.cpp is taken, as people run it at home; --engine vllm asks for a server instead"]
        tries = precisions(chosen, machine, precision, kv, local=True)
    elif software.local:
        tries, said = _loadable(chosen, software, tries, precision)
    software = _replaced(software, "engine", of["engine"])
    efficiency = _replaced(constants(machine, software), "efficiency", of["efficiency"])
    limit = machine.n_devices
    if gpus is not None:
        limit = parse(gpus, "count", name="gpus")
        if not 1 <= limit <= machine.n_devices or limit != int(limit):
            most = plural(machine.n_devices, "device")
            raise BadInput(f"gpus = {limit:g} is out of range; {machine.name} has {most}: give a whole number")
    if need is not None and need.power_limit < math.inf and not float(machine.power) > 0:
        raise BadInput(
            f"the power of {machine.name} is unknown, so no limit can be kept; give machine.power with --set"
        )
    notes = [
        *_read_as(model, chosen),
        *chosen.notes,
        *machine.notes,
        *_emulated(machine, tries),
        *_dated(software),
        *said,
    ]
    if not float(machine.price_per_hour) > 0:
        notes.append(NO_PRICE)
    if sets:
        notes.append("changed by hand: " + ", ".join(f"{k} = {v}" for k, v in sets.items()))
    return Question(
        model=chosen, machine=machine, traffic=traffic, engine=software, efficiency=efficiency, precisions=tries,
        max_gpus=limit, need=need,
    ), notes  # fmt: skip


def with_prices(on: Sequence[str | Machine], price: str | None) -> tuple[list[str | Machine], list[str]]:
    """Several machines with one kind of price in force, and a note for each that has none of that kind.

    Such a machine is compared without a price. One machine alone, or a kind that none of them has, is left to
    `question`, which refuses it.
    """
    from ..world import catalog

    if price is None or len(on) == 1:
        return list(on), []
    machines = [catalog.machine(one) if isinstance(one, str) else one for one in on]
    have = [getattr(m.prices, price, None) is not None for m in machines]
    if not any(have):
        catalog.priced(machines[0], price)
    words = price.replace("_", "-")
    return (
        [catalog.priced(m, price if known else "none") for m, known in zip(machines, have, strict=True)],
        [f"{m.name} has no {words} price: it is compared without one, after those that have"
         for m, known in zip(machines, have, strict=True) if not known],
    )  # fmt: skip


def machine_of(on: str | Machine, price: str | None) -> Machine:
    """A machine by name or as a record, with a kind of price in force where one is named."""
    from ..world import catalog

    machine: Machine = catalog.machine(on) if isinstance(on, str) else on
    return machine if price is None else catalog.priced(machine, price)


def paid_for(on: str | Machine, price: str | None) -> Machine:
    """A machine for an answer in dollars: one without a price is refused."""
    machine = machine_of(on, price)
    if not float(machine.price_per_hour) > 0:
        raise BadInput(f"{machine.name} has no price, so nothing can be said in dollars; choose a machine with one")
    return machine


NO_PRICE = "without a price the plan minimises device time"


def named(notes: Sequence[str], machine: Machine) -> list[str]:
    """The notes of a question where several machines are asked about: those on the machine say which."""
    return [f"{machine.name}: {n}" if n in (*machine.notes, NO_PRICE) else n for n in notes]


def _read_as(given: str | Model, found: Model) -> list[str]:
    """A note where a name was understood as another one than it says."""
    if not isinstance(given, str) or given.endswith((".json", ".toml")):
        return []
    last = found.name.rsplit("/", 1)[-1].lower()
    return [] if given.rsplit("/", 1)[-1].lower() == last else [f"{given!r} was read as {found.name}"]


def _emulated(machine: Machine, tries: Iterable[Precision]) -> list[str]:
    """A note for each format whose products run in a wider type, since the machine has no tensor path for its own."""
    parts = ("attention", "mlp", "experts", "shared_experts", "head")
    formats = {p.of(part).name: p.of(part) for p in tries for part in parts}
    return [
        f"{f.name} weights run as 16-bit products on {machine.name}: it has no {f.compute.upper()} tensor path"
        for f in formats.values()
        if not machine.multiplies(f.compute)
    ]


def _dated(engine: Engine) -> list[str]:
    """A note where a version was named whose age, and with it its speed, is not known."""
    from ..world.engine import released, titles

    if not engine.version or released(engine.name, engine.version) is not None:
        return []
    name = titles().get(engine.name, engine.name)
    return [f"{name} {engine.version} is of unknown age: it is taken to be as fast as current software"]


LOCAL = ("bf16", "q8_0", "q6_k", "q4_k_m")
"""Formats that "any" stands for under a local engine."""


def precisions(
    model: Model,
    machine: Machine,
    weights: str | Sequence[str] | None,
    kv: str | Sequence[str] | None,
    *,
    local: bool = False,
) -> tuple[Precision, ...]:
    """The number formats to try: as published by default; "any" stands for what the machine multiplies natively, or
    for those of usual files under a local engine."""
    from ..world.gguf import served_in

    native = [name for name, peak in (("bf16", 1), ("fp8", machine.peak_fp8), ("nvfp4", machine.peak_fp4)) if peak]
    if local:
        native = list(LOCAL)
    named = _names(weights)
    if named == ["any"]:
        named = ["native", *native]
    bases = [
        model.precision if name in ("native", "published") else served_in(model, name, model.precision.kv.name)
        for name in named or ["native"]
    ]
    caches = _names(kv)
    if caches == ["any"]:
        caches = ["native", "q8_0"] if local else ["native", *(n for n in native if n != "nvfp4")]
    found: dict[tuple[Any, ...], Precision] = {}
    for base in bases:
        for cache in caches or ["native"]:
            one = base if cache in ("native", "published") else base.with_kv(cache)
            key = tuple(getattr(one, f.name) for f in fields(one) if f.name != "name")
            if key not in found:
                found[key] = one
    return tuple(found.values())


def _files_only(one: Precision) -> bool:
    """Whether GGUF files hold these weights: 16 bits, a file's own mixture, or experts in MXFP4."""
    from ..world.gguf import in_blocks

    parts = (one.attention, one.mlp, one.shared_experts)
    return all(in_blocks(f.name) for f in parts) and (one.experts.name == "mxfp4" or in_blocks(one.experts.name))


def all_at_home(on: Iterable[str | Machine]) -> bool:
    """Whether all of several machines are sold to people: only then are they compared as such."""
    return all(machine_of(one, None).home for one in on)


def _at_home(machine: Machine, tries: Sequence[Precision]) -> bool:
    """Whether a person would run these weights in llama.cpp there."""
    from ..world.gguf import in_blocks

    files = any(
        f.name != "bf16" and in_blocks(f.name) for one in tries for f in (one.attention, one.mlp, one.experts)
    )
    return (machine.home or files) and all(_files_only(one) for one in tries)


def _loadable(
    model: Model, engine: Engine, tries: tuple[Precision, ...], asked: str | Sequence[str] | None
) -> tuple[tuple[Precision, ...], list[str]]:
    """The formats a local engine loads; published ones that it does not become a file of 8 bits, with a note."""
    from ..world.engine import titles
    from ..world.gguf import in_file

    bad = [one for one in tries if not _files_only(one)]
    if not bad:
        return tries, []
    name = titles().get(engine.name, engine.name)
    if asked is not None:
        raise BadInput(f"{name} does not run {bad[0].name} weights; give those of a file, like --precision q4_k_m")
    eight = in_file(model, "q8_0", bad[0].kv.name)
    return (eight,), [f"{name} runs no {bad[0].name} weights: a file in q8_0 is taken (--precision names another)"]


def _names(given: str | Sequence[str] | None) -> list[str]:
    if given is None:
        return []
    parts: Iterable[str] = given.split(",") if isinstance(given, str) else given
    return [p.strip().lower() for p in parts if p.strip()]


def parse_layout(text: str, q: Question) -> Layout:
    """A layout from words like "TP8 DP4 EP32 PP2" or "TP8 DCP8"; refused with the reason where it is not legal.

    `ep` defaults to 1 (every expert cut over the stage).
    """
    from ..layout.parallelism import Layout, illegal, shares_cache

    values: dict[str, float] = {}
    for word in re.split(r"[\s,x+]+", text.strip().lower()):
        match = re.fullmatch(r"(tp|dp|ep|pp|cp|dcp)=?(\d{1,6})", word)
        if match is None:
            raise BadInput(f"layout {text!r} has the part {word!r}; write it like 'TP8 DP4 EP32 PP2'")
        if match.group(1) in values:
            raise BadInput(f"layout {text!r} names {match.group(1)} twice")
        values[match.group(1)] = float(match.group(2))
        if not values[match.group(1)]:
            raise BadInput(f"layout {text!r} has {match.group(1)} = 0; give 1 or more")
    layout = Layout(**values)
    reasons = [reason for reason, bad in illegal(q.model, layout).items() if bad.any()]
    if reasons:
        raise BadInput(f"layout {layout.label()} cannot run {q.model.name}: {'; '.join(reasons)}")
    if layout.dcp > 1 and not shares_cache(q.engine, q.model):
        raise BadInput(f"{q.engine.name} does not share the cache of {q.model.name} over dcp; leave DCP out")
    if layout.gpus > q.machine.n_devices:
        raise BadInput(
            f"layout {layout.label()} needs {plural(float(layout.gpus), 'device')} and {q.machine.name} has"
            f" {q.machine.n_devices:g}"
        )
    return layout


def layout_taken(words: str | None, q: Question, choose: Callable[[], Layout], notes: list[str]) -> Layout:
    """The layout that was named, or the one that `choose` takes; a note where it leaves room for further replicas."""
    if words:
        return parse_layout(words, q)
    chosen = choose()
    devices, replicas = float(chosen.gpus), int(q.machine.n_devices // float(chosen.gpus))
    if replicas > 1:
        notes.append(
            f"a replica of {plural(devices, 'device')} was chosen, and {q.machine.name} holds {replicas}:"
            " --layout names another cut"
        )
    return chosen


def max_tpot_of(max_tpot: Quantity | None, min_interactivity: Quantity | None) -> float:
    limits = [math.inf]
    if max_tpot is not None:
        limits.append(parse(max_tpot, "s", name="max_tpot"))
    if min_interactivity is not None:
        speed = parse(min_interactivity, "1/s", name="min_interactivity")
        if not speed > 0:
            raise BadInput(f"min_interactivity = {min_interactivity!r} is impossible; give tokens per second above 0")
        limits.append(1 / speed)
    return min(limits)


def at_least(value: float, least: float, name: str) -> float:
    if not least <= value <= 1e9:
        raise BadInput(f"{name} = {value:g} is out of range; give a number from {least:g} to 1e9")
    return value


def whole(given: Quantity, name: str, least: int, most: int, of: str = "") -> int:
    """A whole number between two ends; `of` says whose.

    >>> whole("2k", "rounds", 1, 4096)
    2000
    """
    found = parse(given, "count", name=name)
    if found != int(found) or not least <= found <= most:
        raise BadInput(f"{name} = {given!r}{of} is out of range; give a whole number from {least:,} to {most:,}")
    return int(found)


def changed(engine: Engine, sets: Mapping[str, Quantity]) -> tuple[Engine, Callable[[Efficiency], Efficiency]]:
    """An engine with values replaced, and what replaces an efficiency's: models and machines are the data's."""
    from ..kernel.efficiency import default_efficiency

    of = _by_room(sets)
    if of["model"] or of["machine"]:
        raise BadInput("the rows name their own models and machines; set values of engine or efficiency only")
    _replaced(default_efficiency(), "efficiency", of["efficiency"])  # refuses what cannot be before rows are read
    return _replaced(engine, "engine", of["engine"]), lambda e: _replaced(e, "efficiency", of["efficiency"])


def _by_room(sets: Mapping[str, Quantity]) -> dict[str, dict[str, Quantity]]:
    """Settings like "machine.hbm_bandwidth" or "engine.chunk_tokens", by the record they change."""
    found: dict[str, dict[str, Quantity]] = {"model": {}, "machine": {}, "engine": {}, "efficiency": {}}
    for key, value in sets.items():
        room, _, name = key.partition(".")
        if room not in found or not name:
            raise unknown(
                "setting", key, ["machine.hbm_bandwidth", "model.top_k", "engine.chunk_tokens", "efficiency.launch"],
                hint="; name a value of model, machine, engine or efficiency",
            )  # fmt: skip
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


def _replaced(record: T, kind: str, values: Mapping[str, Quantity]) -> T:
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
