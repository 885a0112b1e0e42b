"""How many pipeline stages a model wants: the fewest that fit, and what each more buys and costs.

Group: Serving
Example: rackmath pipeline meta-llama/Llama-3.1-405B --on 8xh100 --context 32k

Two readings stand side by side. With fixed micro-batches users grow with the stages, and the cache per GPU
stays; with fixed users it falls, but the weights serve fewer tokens each time they are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np

from ..answers.charts import Axis, Series, curve
from ..answers.parts import Answer, Block, Chart, Column, Say, Table
from ..answers.terms import Term, count, product, quotient, stated
from ..answers.text import cell
from ..economics.cost import HOUR, MTOK, billed_devices
from ..errors import BadInput
from ..layout.parallelism import Layout
from ..questions.common import CHOICES, OnMachine, PriceKind
from ..questions.fields import count as number
from ..questions.fields import tokens, words
from ..questions.layouts import parse_layout
from ..questions.resolve import asked_of
from ..search.pipeline import Pipelines, StageCurves, buys_and_costs, dependencies, pipelines, verdict
from ..units import plural
from ..views import setting
from ..views.machine_terms import of_machine
from ..world.lengths import within
from ..world.workload import Traffic


@dataclass(frozen=True, kw_only=True)
class Pipeline(OnMachine):
    """What stays as stages are added, and what a stage is."""

    context: Annotated[float, tokens("Tokens in each sequence.")] = 8192
    batch: Annotated[
        float | None,
        number(
            "Sequences of a micro-batch, where those stay and users grow with the stages. B*, or as many as fit, if not given.", least=1
        ),
    ] = None
    users: Annotated[
        float | None,
        number("Sequences in all, where those stay and micro-batches shrink. Those of the fewest stages if not given.", least=1),
    ] = None
    micro_batches: Annotated[
        int | None,
        number(
            "Micro-batches under way at once. As many as there are stages if not given; with fewer, stages stand idle.",
            least=1,
            most=1e6,
            whole=True,
        ),
    ] = None
    stages: Annotated[int | None, number("Look at no more stages than this.", least=1, most=4096, whole=True, panel=CHOICES)] = None
    layout: Annotated[
        str | None,
        words("The devices of one stage, such as 'TP8' or 'TP1 DP64 EP64'. Within one domain if not given.", "LAYOUT", panel=CHOICES),
    ] = None
    price: PriceKind = None


def answer(q: Pipeline) -> Answer:
    """Memory, pace and cost for each number of stages, with micro-batches or with users fixed."""
    p, notes = _stages(q)
    asked, at = p.question, cell(p.context, "count")
    return Answer(
        title=Say("*{model}* in pipeline stages on *{machine}*", {"model": asked.model.name, "machine": asked.machine.name}),
        subtitle=f"a stage is {p.stage.label()}, {setting.formats(p.precision)} · {at} tokens a sequence",
        blocks=tuple(_blocks(p)),
        table="rows",
        data=_data(p),
        terms=lambda: _terms(p),
        notes=notes,
        subject=p,
    )


def _stages(q: Pipeline) -> tuple[Pipelines, tuple[str, ...]]:
    asked, notes = asked_of(q, Traffic(isl=q.context, osl=1))
    notes += within(asked.model, q.context, "context", extrapolate=q.extrapolate)
    found = pipelines(
        asked,
        asked.precisions[0],
        context=q.context,
        batch=q.batch,
        users=q.users,
        most=q.stages,
        stage=None if q.layout is None else _one(parse_layout(q.layout, asked)),
        micro_batches=q.micro_batches,
    )
    notes += dependencies(asked.model)
    machine, beyond = asked.machine, found.stages[found.gpus > asked.machine.n_devices]
    if len(beyond):
        notes.append(
            f"from {plural(beyond[0], 'stage')} on, {machine.name} with its {plural(machine.n_devices, 'device')}"
            " is too small: more of the same over its scale-out network are assumed"
        )
    notes.append("decoding only: prefill is not in these times and costs")
    return found, tuple(dict.fromkeys(notes))


def _one(stage: Layout) -> Layout:
    if float(stage.pp) > 1:
        raise BadInput(f"layout {stage.label()} is of {stage.pp:g} stages; name the devices of one stage, without PP")
    return replace(stage, pp=1.0)


def _data(p: Pipelines) -> dict[str, Any]:
    x = p.crossing
    return {
        "stage": setting.layout(p.stage),
        "precision": setting.precision(p.precision),
        "batch": p.batch,
        "users": p.fixed_users,
        "micro_batches": p.micro_batches,
        "verdict": verdict(p),
        "fewest_stages": p.smallest or None,
        "fewest_stages_that_hold_the_weights": p.smallest_holding,
        "baseline": p.baseline,
        "hop": p.hop,
        "capacity": p.capacity,
        "reserve": p.reserved,
        "price_per_gpu_hour": setting.known_price(p.question.machine),
        "crossing": {
            "link_ratio": x.link_ratio,
            "targets": _first(x.targets),
            "per_layer": _first(x.per_layer),
            "layers_needed": _first(x.layers_needed) if _first(x.per_layer) > 0 else None,
        },
        "rows": _rows(p),
    }


def _rows(p: Pipelines) -> list[dict[str, Any]]:
    """One row for each number of stages, both readings in it."""
    found, crossing = [], np.atleast_1d(p.crossing.ratio * np.ones_like(p.stages))
    for i, stages in enumerate(p.stages):
        buys, costs = buys_and_costs(p, i)
        row: dict[str, Any] = {
            "stages": stages,
            "layers": p.layers[i],
            "gpus": p.gpus[i],
            "weights": p.weights[i],
            "users_max": p.users_max[i],
            "holds": bool(p.holds[i]),
            "crossing": float(crossing[i]),
        }
        for prefix, r in (("micro_batch", p.by_micro_batch), ("users", p.by_users)):
            row |= {f"fixed_{prefix}_{name}": value for name, value in _reading(p, r, i).items()}
        found.append(row | {"buys": buys, "costs": costs})
    return found


def _reading(p: Pipelines, r: StageCurves, i: int) -> dict[str, Any]:
    paid = setting.known_price(p.question.machine) is not None
    names = ("micro", "users", "cache", "fits", "tpot", "tpot_bound", "hops", "busy")
    row = {name: getattr(r, name)[i].item() for name in names}
    return row | {"output_mtok": r.output_mtok[i] if paid else None}


def _first(value: Any) -> float:
    return float(np.atleast_1d(np.asarray(value, dtype=float))[0])


def _blocks(p: Pipelines) -> Iterator[Block]:
    m = p.micro_batches
    batch, users = cell(p.batch, "count"), cell(p.fixed_users, "count")
    yield Say("*{verdict}*", {"verdict": verdict(p)}, title="The fewest stages")
    many, grow = ("Micro-batches", "users grow with the stages") if m is None else (f"{m:,} micro-batches", "so do users")
    yield _table(p, "micro_batch", p.by_micro_batch, f"{many} of {batch} stay: {grow}")
    shrink = ": micro-batches shrink" if m is None else ""
    yield _table(p, "users", p.by_users, f"{users} users stay{shrink}")
    yield _busy(p)
    yield Table(
        key="",
        title="What stages buy and cost",
        aside=f"against P = {p.baseline}",
        rows=_rows(p),
        columns=(Column("stages", "P", "whole"), Column("buys", "buys"), Column("costs", "costs")),
    )
    yield Say("users or $/token: more users to fill them, or with the same users that much dearer", faint=True)
    yield Chart(spec=_memory_chart(p), lines=12)
    yield Chart(spec=_time_chart(p), lines=12)
    yield _edge(p)


def _busy(p: Pipelines) -> Say:
    """How much of the time stages have work, and what that follows from."""
    rule = "share of the time a stage has work: min(1, micro-batches under way / P), without hops"
    if np.any(p.by_micro_batch.busy < 1) or np.any(p.by_users.busy < 1):
        return Say(f"busy: {rule}", faint=True)
    m = p.micro_batches
    many = "as many micro-batches as stages" if m is None else f"{m:,} micro-batches"
    return Say(f"busy 100%, with {many} under way; {rule}", faint=True)


def _table(p: Pipelines, fixed: str, r: StageCurves, title: str) -> Table:
    """One reading: what a number of stages keeps on each GPU, its pace and its price."""
    key = f"fixed_{fixed}_"
    grows = ("users", "users") if fixed == "micro_batch" else ("micro", "micro")
    columns = [
        Column("stages", "P", "whole"),
        Column("layers", "layers", "whole", optional=1),
        Column("gpus", "GPUs", "whole"),
        Column(key + grows[0], grows[1], "count"),
        Column("weights", "weights", "B"),
        Column(key + "cache", "cache", "B"),
        Column(key + "fits", "fits", "yes"),
        Column(key + "tpot", "TPOT", "s"),
        Column(key + "tpot_bound", "bound", "s", optional=2),
        Column(key + "hops", "hops", "s", optional=3),
    ]
    if np.any(r.busy < 1):
        columns.append(Column(key + "busy", "busy", "percent"))
    if setting.known_price(p.question.machine) is not None:
        columns.append(Column(key + "output_mtok", "$/Mtok", "$"))
    return Table(
        key="",
        title=title,
        aside="per GPU, decoding",
        columns=tuple(columns),
        rows=_rows(p),
        faint=frozenset(np.flatnonzero(~r.fits).tolist()),
    )


def _edge(p: Pipelines) -> Say:
    """When a hop between domains is hidden behind the work of the scale-up links."""
    x, machine = p.crossing, p.question.machine
    title, aside = "The edge of a domain", f"one hop of a micro-batch takes {cell(p.hop, 's')}"
    if not float(machine.scaleout_bandwidth) > 0:
        return Say("{machine} has no network beyond its domain", {"machine": machine.name}, title=title, aside=aside)
    values = {"targets": _first(x.targets), "ratio": x.link_ratio, "per_layer": _first(x.per_layer), "needed": _first(x.layers_needed)}
    if not values["per_layer"] > 0:
        text = "Devices of a stage exchange nothing, so there is no traffic to hide a hop behind."
        return Say(text, title=title, aside=aside)
    what = "A token visits {targets:number} other devices in a layer" if values["targets"] else ("Layers end in all-reduces")
    several = "s" if values["needed"] > 1 else ""
    together = int(machine.domain // float(p.stage.gpus))
    near = f" Up to {together} stages share a domain; hops within it are quicker still." if together > 1 else ""
    text = (
        f"{what}, over links {{ratio:x}} faster than those between domains: the links inside work *{{per_layer:x2}}*"
        f" as long for one layer as those between for a hop. Stages of {{needed:g}} layer{several} or more are never"
        f" held back by it.{near}"
    )
    return Say(text, values, title=title, aside=aside)


def _memory_chart(p: Pipelines) -> dict[str, Any]:
    """Bytes per device against stages, in both readings."""
    x = p.stages.tolist()
    return curve(
        [
            Series("weights", x, p.weights.tolist()),
            Series(f"cache, micro-batches of {p.batch:,.0f}", x, p.by_micro_batch.cache.tolist()),
            Series(f"cache, {p.fixed_users:,.0f} users", x, p.by_users.cache.tolist(), look="dashed"),
            Series("room for both", [x[0], x[-1]], [p.capacity - p.reserved] * 2, look="dashed"),
        ],
        title="Memory per GPU",
        x=Axis("Pipeline stages", log=True),
        y=Axis("Bytes", "B"),
    )


def _time_chart(p: Pipelines) -> dict[str, Any]:
    """Seconds per output token against stages, in both readings."""
    x = p.stages.tolist()
    return curve(
        [
            Series(f"micro-batches of {p.batch:,.0f}", x, p.by_micro_batch.tpot.tolist()),
            Series(f"{p.fixed_users:,.0f} users", x, p.by_users.tpot.tolist(), look="dashed"),
            Series("hops", x, p.by_micro_batch.hops.tolist(), look="dashed"),
        ],
        title="Time per output token",
        x=Axis("Pipeline stages", log=True),
        y=Axis("TPOT", "s"),
    )


def _terms(p: Pipelines) -> Term:
    """For each number of stages: memory per device and cost in both readings; the crossing inequality."""
    q, machine = p.question, p.question.machine
    paid = setting.known_price(machine) is not None
    found = []
    for i, stages in enumerate(p.stages):
        parts = []
        for name, r in (("fixed micro-batch", p.by_micro_batch), ("fixed users", p.by_users)):
            used = stated(
                "sum",
                "memory in use",
                float(p.weights[i] + p.reserved + r.cache[i]),
                "B",
                Term(name="weights", value=float(p.weights[i]), unit="B", note=f"{p.layers[i]:g} layers"),
                Term(name="cache", value=float(r.cache[i]), unit="B", note=f"of {r.users[i]:,.0f} sequences"),
                Term(name="reserve", value=p.reserved, unit="B", source=f"{q.engine.name} engine"),
            )
            terms = (used, _tpot(r, i), *((_cost(p, r, i),) if paid else ()))
            parts.append(Term(name=name, note=f"micro-batches of {r.micro[i]:,.0f}", children=terms))
        found.append(Term(name=f"{stages:g} stages, {p.gpus[i]:g} GPUs", children=tuple(parts)))
    up, out = (of_machine(machine, f"scale{k}_bandwidth", f"scale-{k}") for k in ("up", "out"))
    edge = [quotient("link ratio", "", up, out)] if float(machine.scaleout_bandwidth) > 0 else []
    edge.append(count("work of the scale-up links in one layer over that of a hop", _first(p.crossing.per_layer)))
    return Term(
        name=f"{q.model.name} in pipeline stages of {p.stage.label()} on {machine.name}",
        children=(*found, Term(name="edge of a domain", children=tuple(edge))),
    )


def _tpot(r: StageCurves, i: int) -> Term:
    rest = Term(name="stages", value=float(r.tpot[i] - r.hops[i]), unit="s", note="rackmath timeline draws them")
    return stated("sum", "TPOT", float(r.tpot[i]), "s", rest, Term(name="hops", value=float(r.hops[i]), unit="s"))


def _cost(p: Pipelines, r: StageCurves, i: int) -> Term:
    machine = p.question.machine
    price = of_machine(machine, "price_per_hour", "price")
    gpus = count("GPUs paid for", float(billed_devices(p.gpus[i], machine)), "domains are paid for whole")
    spent = product(
        "dollars of a million steps",
        "$",
        gpus,
        quotient("price per second", "$", price, count("3600", HOUR)),
        Term(name="TPOT", value=float(r.tpot[i]), unit="s"),
        count("1e6", MTOK),
    )
    return stated("quotient", "$/M output tokens", float(r.output_mtok[i]), "$", spent, count("sequences", float(r.users[i])))
