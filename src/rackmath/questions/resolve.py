"""Words to records: the question every command asks, with its model, machine, formats and overridden values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from ..units import parse, plural
from .formats import at_home, loadable, precisions
from .machines import NO_PRICE, machine_of
from .settings import Quantity, by_room, replaced

if TYPE_CHECKING:
    from ..economics.fleet import FleetNeed
    from ..search.grid import Question
    from ..world.engine import Engine
    from ..world.machine import Machine
    from ..world.model import Model
    from ..world.precision import Precision


def question(
    model: str | Model,
    on: str | Machine,
    *,
    traffic: Any,
    precision: str | Sequence[str] | None = None,
    kv: str | Sequence[str] | None = None,
    engine: str | None = None,
    sets: Mapping[str, Quantity] | None = None,
    personal: bool = False,
) -> tuple[Question, list[str]]:
    """A question about one machine, and the notes that go with its inputs.

    `engine`: a serving engine with its version or without ("vllm 0.15.1"), the typical one if none is named; with
    `personal`, llama.cpp where the machine is a home one or the weights are those of a GGUF file.
    """
    from ..kernel.llamacpp import constants
    from ..search.grid import Question
    from ..world import catalog

    chosen: Model = catalog.model(model) if isinstance(model, str) else model
    machine = machine_of(on, None)
    of = by_room(sets or {})
    chosen = catalog.override(chosen, of["model"]) if of["model"] else chosen
    machine = catalog.override(machine, of["machine"]) if of["machine"] else machine
    software, tries, said = _served_by(engine, chosen, machine, precision, kv, personal=personal)
    software = replaced(software, "engine", of["engine"])
    machine = machine if software.local else replace(machine, cards=())  # a server cuts evenly: the least of all
    efficiency = replaced(constants(machine, software), "efficiency", of["efficiency"])
    notes = [*_read_as(model, chosen), *chosen.notes, *machine.notes, *_emulated(machine, tries), *_dated(software), *said]
    if not float(machine.price_per_hour) > 0:
        notes.append(NO_PRICE)
    if sets:
        notes.append("changed by hand: " + ", ".join(f"{k} = {v}" for k, v in sets.items()))
    found = Question(
        model=chosen, machine=machine, traffic=traffic, engine=software, efficiency=efficiency, precisions=tries, max_gpus=machine.n_devices
    )
    return found, notes


def asked_of(q: Any, traffic: Any, *, personal: bool = False) -> tuple[Question, list[str]]:
    """The question that a command's inputs (`OnMachine`) ask, with their kind of price and number of devices."""
    on = machine_of(q.on, getattr(q, "price", None))
    found, notes = question(q.model, on, traffic=traffic, precision=q.precision, kv=q.kv, engine=q.engine, sets=q.sets, personal=personal)
    return on_devices(found, getattr(q, "gpus", None)), notes


def on_devices(q: Question, gpus: Quantity | None) -> Question:
    """The question with replicas of at most so many devices."""
    if gpus is None:
        return q
    limit = parse(gpus, "count", name="gpus")
    if not 1 <= limit <= q.machine.n_devices or limit != int(limit):
        most = plural(q.machine.n_devices, "device")
        raise BadInput(f"gpus = {limit:g} is out of range; {q.machine.name} has {most}: give a whole number")
    return replace(q, max_gpus=limit)


def for_fleet(q: Question, need: FleetNeed | None) -> Question:
    """The question of a fleet to size, where one is needed."""
    if need is not None and need.power_limit < math.inf and not float(q.machine.power) > 0:
        raise BadInput(f"the power of {q.machine.name} is unknown, so no limit can be kept; give machine.power with --set")
    return replace(q, need=need)


def _served_by(
    engine: str | None,
    model: Model,
    machine: Machine,
    weights: str | Sequence[str] | None,
    kv: str | Sequence[str] | None,
    *,
    personal: bool,
) -> tuple[Engine, tuple[Precision, ...], list[str]]:
    """The engine, the formats it may load, and what a reader should know of the choice."""
    from ..world.engine import TYPICAL
    from ..world.engine_names import engine as engine_of

    software = TYPICAL if engine is None else engine_of(engine)
    tries = precisions(model, machine, weights, kv, local=software.local)
    if engine is None and personal and at_home(machine, tries):
        said = ["llama.cpp is taken, as people run it at home; --engine vllm asks for a server instead"]
        return engine_of("llama.cpp"), precisions(model, machine, weights, kv, local=True), said
    if software.local:
        return software, *loadable(model, software, tries, weights)
    return software, tries, []


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
