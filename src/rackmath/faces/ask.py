"""The public verbs: words and records in, answers out. No arithmetic here.

>>> answer = plan("meta-llama/Llama-3.1-8B", "8xh100", isl=4000, osl=1000, max_tpot="40ms")
>>> answer.best.machine.name
'8xh100'
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import BadInput, unknown
from ..units import parse

if TYPE_CHECKING:
    from ..economics.fleet import Fleet
    from ..kernel.counts import Pass
    from ..kernel.efficiency import Efficiency
    from ..kernel.roofline import PassTime
    from ..layout.footprint import Footprint
    from ..layout.parallelism import Layout
    from ..search.curve import BatchCurve
    from ..search.grid import Question
    from ..search.plan import Answer
    from ..world.engine import Engine
    from ..world.machine import Machine
    from ..world.model import Model
    from ..world.precision import Precision

Quantity = str | float
T = TypeVar("T")

QUALITY = "a change of precision may change answers: quality is not modelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanAnswer:
    """What `plan` answers, with the fleet where a rate was given, and what a reader must know."""

    answer: Answer
    fleet: Fleet | None
    notes: tuple[str, ...]

    @property
    def best(self) -> Any:
        return self.answer.best


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardAnswer:
    """One forward pass, term by term."""

    question: Question
    layout: Layout
    precision: Precision
    work: Pass
    time: PassTime
    footprint: Footprint
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchAnswer:
    """Latency and cost against batch."""

    curve: BatchCurve
    notes: tuple[str, ...]


def plan(
    model: str | Model,
    on: str | Machine | Sequence[str | Machine],
    *,
    isl: Quantity = 8192,
    osl: Quantity = 1024,
    cached: Quantity = 0.0,
    max_ttft: Quantity | None = None,
    max_tpot: Quantity | None = None,
    min_interactivity: Quantity | None = None,
    precision: str | Sequence[str] | None = None,
    kv: str | Sequence[str] | None = None,
    utilisation: Quantity = 1.0,
    rate: Quantity | None = None,
    spare: int = 1,
    power_limit: Quantity | None = None,
    gpus: Quantity | None = None,
    price: str | None = None,
    sets: Mapping[str, Quantity] | None = None,
) -> PlanAnswer:
    """The cheapest layout, batch and precision for a model on one machine or the best of several.

    `model`: a catalogue name, a config.json, or a `Model`. Quantities may be text with a unit ("2s", "40ms",
    "30/s", "5MW"). `precision` and `kv`: formats to try, "any" for all the machine multiplies natively; by default
    as published. `sets` overrides single values, e.g. {"machine.hbm_bandwidth": "8TB/s"}.
    """
    from ..economics.fleet import fleet
    from ..search import plan as search
    from ..world.workload import Objectives, Traffic

    traffic = Traffic(
        isl=parse(isl, "count", name="isl"),
        osl=parse(osl, "count", name="osl"),
        cached=parse(cached, "share", name="cached"),
        utilisation=parse(utilisation, "share", name="utilisation"),
        rate=None if rate is None else parse(rate, "1/s", name="rate"),
    )
    objectives = Objectives(
        max_ttft=math.inf if max_ttft is None else parse(max_ttft, "s", name="max_ttft"),
        max_tpot=_max_tpot(max_tpot, min_interactivity),
    )
    machines = [on] if isinstance(on, str) or not isinstance(on, Sequence) else list(on)
    if not machines:
        raise BadInput("no machine was given; name one like 8xh200 or gb200-nvl72")
    questions, notes = [], []
    for machine in machines:
        q, said = question(
            model, machine, traffic=traffic, precision=precision, kv=kv, gpus=gpus, price=price, sets=sets
        )
        questions.append(q)
        notes += said
    _fits_context(questions[0].model, float(traffic.isl) + float(traffic.osl))
    answer = search.plan(questions, objectives)
    if answer.best is not None and answer.best.precision != answer.best.question.model.precision:
        notes.append(QUALITY)
    limit = math.inf if power_limit is None else parse(power_limit, "W", name="power_limit")
    if power_limit is not None and not limit > 0:
        raise BadInput(f"power_limit = {power_limit!r} is impossible; give watts above 0")
    if spare < 0:
        raise BadInput(f"spare = {spare} replicas is impossible; give 0 or more")
    if power_limit is not None and traffic.rate is None:
        raise BadInput("a power limit needs a rate of requests to size the fleet; give one like --rate 30/s")
    sized = None
    if answer.best is not None and traffic.rate is not None:
        best = answer.best
        sized = fleet(best.serving, best.machine, traffic, spare=spare, power_limit=limit)
    return PlanAnswer(answer=answer, fleet=sized, notes=tuple(dict.fromkeys(notes)))


def forward(
    model: str | Model,
    on: str | Machine,
    *,
    batch: Quantity = 64,
    context: Quantity = 8192,
    prefill: Quantity = 0,
    layout: str | None = None,
    precision: str | None = None,
    kv: str | None = None,
    sets: Mapping[str, Quantity] | None = None,
) -> ForwardAnswer:
    """One forward pass of `batch` decoding sequences (and `prefill` prompt tokens), term by term."""
    from ..kernel.counts import Pass
    from ..layout.footprint import footprint
    from ..layout.forward import forward as run
    from ..world.workload import Traffic

    decode = _at_least(parse(batch, "count", name="batch"), 0, "batch")
    cached = _at_least(parse(context, "count", name="context"), 0, "context")
    prompt = _at_least(parse(prefill, "count", name="prefill"), 0, "prefill")
    if not decode and not prompt:
        raise BadInput("batch and prefill are both 0: the pass is empty; give at least one token")
    q, notes = question(
        model, on, traffic=Traffic(isl=max(cached, 1.0), osl=1), precision=precision, kv=kv, sets=sets
    )
    _fits_context(q.model, max(cached, prompt))
    chosen = parse_layout(layout, q) if layout else default_layout(q)
    work = Pass(
        decode=decode / float(chosen.pp), context=cached, prefill=prompt, prompt=max(prompt, 1.0),
        busiest=1 / float(chosen.dp) if prompt else 1.0,
    )  # fmt: skip
    time = run(q.model, q.machine, q.precisions[0], chosen, work, q.efficiency, keep=True)
    holds = footprint(q.model, q.machine, q.precisions[0], chosen, q.engine, cached)
    if not holds.used(decode, chosen) <= holds.capacity:
        notes.append("this batch does not fit in memory: the times are arithmetic only")
    return ForwardAnswer(
        question=q, layout=chosen, precision=q.precisions[0], work=work, time=time, footprint=holds,
        notes=tuple(dict.fromkeys(notes)),
    )  # fmt: skip


def batch(
    model: str | Model,
    on: str | Machine,
    *,
    context: Quantity = 8192,
    layout: str | None = None,
    precision: str | None = None,
    kv: str | None = None,
    sets: Mapping[str, Quantity] | None = None,
) -> BatchAnswer:
    """Latency and cost of decoding against batch, with floor, balance point and capacity limit."""
    from ..search.curve import batch_curve
    from ..world.workload import Traffic

    length = _at_least(parse(context, "count", name="context"), 1, "context")
    q, notes = question(model, on, traffic=Traffic(isl=length, osl=1), precision=precision, kv=kv, sets=sets)
    _fits_context(q.model, length)
    chosen = parse_layout(layout, q) if layout else default_layout(q)
    return BatchAnswer(curve=batch_curve(q, chosen, q.precisions[0], length), notes=tuple(dict.fromkeys(notes)))


# --- words to records ----------------------------------------------------------------------------------------------


def question(
    model: str | Model,
    on: str | Machine,
    *,
    traffic: Any,
    precision: str | Sequence[str] | None = None,
    kv: str | Sequence[str] | None = None,
    gpus: Quantity | None = None,
    price: str | None = None,
    sets: Mapping[str, Quantity] | None = None,
) -> tuple[Question, list[str]]:
    """A question about one machine, and the notes that go with its inputs."""
    from ..kernel.efficiency import default_efficiency
    from ..search.grid import Question
    from ..world import catalog
    from ..world.engine import TYPICAL

    chosen: Model = catalog.model(model) if isinstance(model, str) else model
    machine: Machine = catalog.machine(on) if isinstance(on, str) else on
    if price is not None:
        machine = catalog.priced(machine, price)
    machine, engine, efficiency = _overridden(machine, TYPICAL, default_efficiency(), sets or {})
    limit = machine.n_devices
    if gpus is not None:
        limit = parse(gpus, "count", name="gpus")
        if not 1 <= limit <= machine.n_devices:
            raise BadInput(f"gpus = {limit:g} is out of range; {machine.name} has {machine.n_devices:g} devices")
    tries = precisions(chosen, machine, precision, kv)
    notes = [*chosen.notes, *machine.notes]
    if not float(machine.price_per_hour) > 0:
        notes.append(f"{machine.name} has no known price: costs are unknown, device time is minimised instead")
    if sets:
        notes.append("changed by hand: " + ", ".join(f"{k} = {v}" for k, v in sets.items()))
    return Question(
        model=chosen, machine=machine, traffic=traffic, engine=engine, efficiency=efficiency, precisions=tries,
        max_gpus=limit,
    ), notes  # fmt: skip


def precisions(
    model: Model, machine: Machine, weights: str | Sequence[str] | None, kv: str | Sequence[str] | None
) -> tuple[Precision, ...]:
    """The number formats to try: as published by default; "any" stands for what the machine multiplies natively."""
    from ..world.precision import Precision

    native = [name for name, peak in (("bf16", 1), ("fp8", machine.peak_fp8), ("nvfp4", machine.peak_fp4)) if peak]
    named = _names(weights)
    if named == ["any"]:
        named = ["native", *native]
    bases = [
        model.precision if name in ("native", "published") else Precision.uniform(name, kv=model.precision.kv.name)
        for name in named or ["native"]
    ]
    caches = _names(kv)
    if caches == ["any"]:
        caches = ["native", *(n for n in native if n != "nvfp4")]
    found: dict[tuple[Any, ...], Precision] = {}
    for base in bases:
        for cache in caches or ["native"]:
            one = base if cache in ("native", "published") else base.with_kv(cache)
            key = tuple(getattr(one, f.name) for f in fields(one) if f.name != "name")
            if key not in found:
                found[key] = one
    return tuple(found.values())


def _names(given: str | Sequence[str] | None) -> list[str]:
    if given is None:
        return []
    parts: Iterable[str] = given.split(",") if isinstance(given, str) else given
    return [p.strip().lower() for p in parts if p.strip()]


def parse_layout(text: str, q: Question) -> Layout:
    """A layout from words like "TP8 DP4 EP32 PP2"; refused with the reason where it is not legal.

    `ep` defaults to 1 (every expert cut over the stage).
    """
    import re

    from ..layout.parallelism import Layout, illegal

    values: dict[str, float] = {}
    for word in re.split(r"[\s,x+]+", text.strip().lower()):
        match = re.fullmatch(r"(tp|dp|ep|pp)=?(\d{1,6})", word)
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
    if layout.gpus > q.machine.n_devices:
        raise BadInput(
            f"layout {layout.label()} needs {layout.gpus:g} devices and {q.machine.name} has {q.machine.n_devices:g}"
        )
    return layout


def default_layout(q: Question) -> Layout:
    """The largest replica the machine holds: latency at its lowest, weights spread the furthest.

    Experts are kept whole where they divide; tensor parallelism goes as far as the heads allow inside a domain.
    """
    import numpy as np

    from ..arrays import take
    from ..search.grid import layouts

    every = layouts(q.model, q.machine, q.max_gpus)
    if not len(np.asarray(every.tp)):
        raise BadInput(f"no layout divides {q.model.name} over {q.machine.name}; try another number of devices")
    order = np.lexsort((-np.asarray(every.ep), -np.asarray(every.tp), np.asarray(every.pp), -np.asarray(every.gpus)))
    return take(every, int(order[0]))


def _max_tpot(max_tpot: Quantity | None, min_interactivity: Quantity | None) -> float:
    limits = [math.inf]
    if max_tpot is not None:
        limits.append(parse(max_tpot, "s", name="max_tpot"))
    if min_interactivity is not None:
        speed = parse(min_interactivity, "1/s", name="min_interactivity")
        if not speed > 0:
            raise BadInput(f"min_interactivity = {min_interactivity!r} is impossible; give tokens per second above 0")
        limits.append(1 / speed)
    return min(limits)


def _fits_context(model: Model, needed: float) -> None:
    if needed > model.max_context:
        raise BadInput(
            f"{needed:,.0f} tokens are more than the {model.max_context:,.0f} that {model.name} was made for;"
            " shorten isl or osl, or describe the model with a larger max_context"
        )


def _at_least(value: float, least: float, name: str) -> float:
    if not least <= value <= 1e9:
        raise BadInput(f"{name} = {value:g} is out of range; give a number from {least:g} to 1e9")
    return value


def _overridden(
    machine: Machine, engine: Engine, efficiency: Efficiency, sets: Mapping[str, Quantity]
) -> tuple[Machine, Engine, Efficiency]:
    """Records with single values replaced: "machine.hbm_bandwidth", "engine.chunk_tokens", "efficiency.launch"."""
    from ..world import catalog

    of_machine: dict[str, Quantity] = {}
    for key, value in sets.items():
        room, _, name = key.partition(".")
        if room == "machine" and name:
            of_machine[name] = value
        elif room == "engine" and name:
            engine = _replaced(engine, "engine", name, value)
        elif room == "efficiency" and name:
            efficiency = _replaced(efficiency, "efficiency", name, value)
        else:
            raise unknown(
                "setting", key, ["machine.hbm_bandwidth", "engine.chunk_tokens", "efficiency.launch"],
                hint="; name a value of machine, engine or efficiency",
            )  # fmt: skip
    if of_machine:
        machine = catalog.override(machine, of_machine)
    return machine, engine, efficiency


_DIMENSIONS = {
    "reserved_bytes": "bytes",
    "launch": "s",
    "step_overhead": "s",
    "memory_share": "share",
    "link_share": "share",
}


def _replaced(record: T, kind: str, name: str, value: Quantity) -> T:
    numeric = [f.name for f in fields(record) if isinstance(getattr(record, f.name), float | int)]  # type: ignore[arg-type]
    if name not in numeric:
        raise unknown(f"{kind} value", name, numeric)
    number = parse(value, _DIMENSIONS.get(name, "count"), name=f"{kind}.{name}")
    if number < 0 or (name.endswith("share") and not 0 < number <= 1):
        raise BadInput(f"{kind}.{name} = {value!r} is out of range")
    return replace(record, **{name: number})  # type: ignore[type-var]
