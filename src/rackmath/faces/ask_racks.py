"""The verbs of racks: words in, answers out. No arithmetic here.

>>> round(racks("deepseek-ai/DeepSeek-V3", "144xh800").racks.exchange_factor, 1)
2.8
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput, shown, unknown
from ..files import parse_json, read_text
from ..units import parse

if TYPE_CHECKING:
    from ..search.grid import Question
    from ..search.racks import Racks, Ratio, Work
    from ..world.machine import Machine
    from ..world.model import Model
    from ..world.precision import Precision
    from .export import Face
    from .question import Quantity

BESIDE = "8xh100,gb200-nvl72,rubin-ultra-nvl576"
"""Machines whose weight floors stand beside each other: domains of 8, 72 and 144 packages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioAnswer:
    """Link ratios of machines."""

    ratios: tuple[Ratio, ...]
    notes: tuple[str, ...] = ()

    def face(self) -> Face:
        from . import show_racks

        return show_racks.ratio_face(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class RacksAnswer:
    """A model over the domains of a machine."""

    racks: Racks
    notes: tuple[str, ...]

    def face(self) -> Face:
        from . import show_racks

        return show_racks.face(self)


def ratios(on: str | Machine | None = None) -> RatioAnswer:
    """Scale-up over scale-out bandwidth of one machine, or of every machine of the catalogue that has both."""
    from ..search.racks import link_ratio
    from ..world import catalog

    if on is not None:
        machine = catalog.machine(on) if isinstance(on, str) else on
        return RatioAnswer(ratios=(link_ratio(machine),), notes=machine.notes)
    every = (link_ratio(catalog.machine(one.name)) for one in catalog.machines())
    return RatioAnswer(ratios=tuple(r for r in every if r.ratio == r.ratio))


def racks(
    model: str | Model,
    on: str | Machine,
    *,
    layout: str | None = None,
    phase: str = "decode",
    batch: Quantity | None = None,
    tokens: Quantity | None = None,
    context: Quantity | None = None,
    redundant: Quantity | None = None,
    experts_per_gpu: Quantity | None = None,
    expert_loads: str | Any | None = None,
    exchange: str | None = None,
    overlap: bool = False,
    dispatch: str | None = None,
    combine: str | None = None,
    min_interactivity: Quantity | None = None,
    max_domain: Quantity = 576,
    floor_batch: Quantity = 256,
    beside: str = BESIDE,
    precision: str | None = None,
    kv: str | None = None,
    price: str | None = None,
    engine: str | None = None,
    sets: Mapping[str, Quantity] | None = None,
    extrapolate: bool = False,
) -> RacksAnswer:
    """Placement of experts, their exchange over domains, what crossing costs, and latency against domain size.

    `batch`: sequences that the replica decodes; `tokens`: prompt tokens each device prefills in a pass.
    `expert_loads`: measured loads, one number for each expert or one such row for each layer, or a JSON file of them.
    """
    from ..layout.experts import SCHEMES, imbalance_of
    from ..search.racks import copies_of, experts_of, layout_for_work
    from ..search.racks import racks as of_model
    from ..world import catalog
    from ..world.lengths import within
    from ..world.workload import Traffic
    from .question import layout_taken, question

    q, notes = question(
        model, on, traffic=Traffic(isl=1024, osl=1), precision=precision, kv=kv, price=price, engine=engine, sets=sets
    )
    used = _formats(q.precisions[0], dispatch, combine)
    efficiency = q.efficiency
    if overlap:
        efficiency = replace(efficiency, overlap=1.0)
    if exchange is not None:
        if exchange not in (*SCHEMES, "cheapest"):
            raise unknown("way to exchange", exchange, [*SCHEMES, "cheapest"])
        efficiency = replace(efficiency, exchange=exchange)
    length = min(4096.0, q.model.max_context) if context is None else parse(context, "count", name="context")
    if not 1 <= length <= 1e9:
        raise BadInput(f"context = {context!r} is out of range; give tokens from 1 to 1e9")
    notes += within(q.model, length, "context", extrapolate=extrapolate)
    asked = _work(q, phase, batch, tokens, length)
    chosen = layout_taken(layout, q, lambda: layout_for_work(q, used, asked), notes)
    copies = None if redundant is None else parse(redundant, "count", name="redundant")
    per_device = None if experts_per_gpu is None else parse(experts_per_gpu, "count", name="experts_per_gpu")
    if expert_loads is not None:
        ffn = experts_of(q.model)
        loads = _loads(expert_loads, 0 if ffn is None else int(ffn.n_experts), q.model.name)
        if not float(chosen.ep) > 1:
            raise BadInput(f"layout {chosen.label()} has no expert parallelism to unbalance; give one with EP")
        made = copies_of(q.model, chosen, copies, per_device)
        spare = -int(ffn.n_experts) % int(chosen.ep) if made is None and ffn else int(made or 0)
        found = imbalance_of(loads, int(chosen.ep), spare)
        efficiency = replace(efficiency, imbalance=found)
        notes.append(f"imbalance {found:.3g} from measured loads of experts, {spare} copies placed on the hottest")
    q = replace(q, efficiency=efficiency)
    work = None if phase == "decode" and batch is None and context is None else asked
    if batch is not None:  # all of it on the devices of the layout
        spread = asked.per_device * q.max_gpus / float(chosen.gpus)
        work = replace(asked, per_device=spread)
    target = None
    if min_interactivity is not None:
        target = _positive(parse(min_interactivity, "1/s", name="min_interactivity"), "min_interactivity")
    found_all = of_model(
        q,
        used,
        layout=chosen,
        work=work,
        placing={"redundant": copies, "per_device": per_device},
        target=target,
        largest=_domain(parse(max_domain, "count", name="max_domain")),
        floor_batch=_positive(parse(floor_batch, "count", name="floor_batch"), "floor_batch"),
        others=[catalog.machine(name.strip()) for name in beside.split(",") if name.strip()],
    )
    return RacksAnswer(racks=found_all, notes=tuple(dict.fromkeys(notes)))


def _work(q: Question, phase: str, batch: Quantity | None, tokens: Quantity | None, length: float) -> Work:
    """What every device of the machine is asked for."""
    from ..search.racks import TYPICAL_BATCH, Work

    if phase not in ("decode", "prefill"):
        raise unknown("phase", phase, ["decode", "prefill"])
    if phase == "prefill":
        if batch is not None:
            raise BadInput("batch is for decoding; give tokens, those that each device prefills in a pass")
        per = parse(q.engine.chunk_tokens if tokens is None else tokens, "count", name="tokens")
        return Work(phase="prefill", per_device=_positive(per, "tokens"), context=length)
    if tokens is not None:
        raise BadInput("tokens is for --phase prefill; give batch, the sequences that decode together")
    each = float(TYPICAL_BATCH)
    if batch is not None:
        each = _positive(parse(batch, "count", name="batch"), "batch") / q.max_gpus
    return Work(phase="decode", per_device=each, context=length)


def _formats(used: Precision, dispatch: str | None, combine: str | None) -> Precision:
    from ..world.precision import format_named

    if dispatch is not None:
        used = replace(used, dispatch=format_named(dispatch))
    return used if combine is None else replace(used, combine=format_named(combine))


def _loads(given: str | Any, n_experts: int, model: str) -> Any:
    """Rows of loads from a JSON file or as they are; each must have a number for every expert."""
    read = given
    if isinstance(given, str):
        text = read_text(given, give="give a JSON file with one row [n, n, ...] of loads for each layer")
        read = parse_json(text, shown(Path(given).name))
    rows = read if isinstance(read, list | tuple) and read and isinstance(read[0], list | tuple) else [read]
    for row in rows:
        if not isinstance(row, list | tuple) or not all(type(n) in (int, float) and 0 <= n <= 1e15 for n in row):
            raise BadInput(
                "loads of experts must be a list of numbers from 0 to 1e15, or a list of such rows, one a layer"
            )
        if len(row) != n_experts:
            raise BadInput(f"a row of loads has {len(row)} numbers and {model} has {n_experts} routed experts")
    return rows


def _positive(value: float, name: str) -> float:
    if not 0 < value <= 1e9:
        raise BadInput(f"{name} = {value:g} is out of range; give a number above 0, at most 1e9")
    return value


def _domain(value: float) -> int:
    if not (1 <= value <= 10_000 and value == int(value)):
        raise BadInput(f"max_domain = {value:g} is out of range; give a whole number of devices from 1 to 10,000")
    return int(value)
