"""The faces of `pipeline`: the decision, one table for each reading, what stages buy and cost, and curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.text import Text

from ..search.pipeline import buys_and_costs, verdict
from ..units import show
from ..views import setting
from ..views.machine_terms import Node, count, of_machine, product, quotient, stated
from ..views.setting import formats
from . import charts
from .ask_pipeline import PipelineAnswer
from .export import Face
from .show import heading, indented, line, money, notes, numbers, tokens

if TYPE_CHECKING:
    from ..search.pipeline import Pipelines, Reading

Record = dict[str, Any]

ROOMY = 90
"""Columns of a terminal below which the tables leave out what follows from other columns."""


def face(answer: PipelineAnswer) -> Face:
    """The faces of a decision about stages."""
    return Face(
        record=lambda: record(answer),
        rows=lambda: rows(answer),
        screen=lambda c: screen(c, answer),
        tree=lambda: tree(answer),
        chart=lambda: chart(answer),
    )


# --- plain data ---------------------------------------------------------------------------------------------------


def record(answer: PipelineAnswer) -> Record:
    """{question, stage, verdict, smallest, crossing, rows, notes}."""
    p = answer.pipelines
    q, x = p.question, p.crossing
    return {
        "question": {"model": q.model.name, "machine": q.machine.name, "context": p.context},
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
        "price_per_gpu_hour": setting.known_price(q.machine),
        "crossing": {
            "link_ratio": x.link_ratio,
            "targets": _first(x.targets),
            "per_layer": _first(x.per_layer),
            "layers_needed": _first(x.layers_needed) if _first(x.per_layer) > 0 else None,
        },
        "rows": rows(answer),
        "notes": list(answer.notes),
    }


def rows(answer: PipelineAnswer) -> list[Record]:
    """One row for each number of stages, both readings in it."""
    p = answer.pipelines
    found = []
    for i, stages in enumerate(p.stages):
        buys, costs = buys_and_costs(p, i)
        row: Record = {
            "stages": stages,
            "layers": p.layers[i],
            "gpus": p.gpus[i],
            "weights": p.weights[i],
            "users_max": p.users_max[i],
            "holds": bool(p.holds[i]),
            "crossing": _first(np.atleast_1d(p.crossing.ratio * np.ones_like(p.stages))[i]),
        }
        for prefix, r in (("micro_batch", p.by_micro_batch), ("users", p.by_users)):
            row |= {f"fixed_{prefix}_{name}": value for name, value in _reading(p, r, i).items()}
        found.append(row | {"buys": buys, "costs": costs})
    return found


def _reading(p: Pipelines, r: Reading, i: int) -> Record:
    paid = setting.known_price(p.question.machine) is not None
    return {
        "micro": r.micro[i],
        "users": r.users[i],
        "cache": r.cache[i],
        "fits": bool(r.fits[i]),
        "tpot": r.tpot[i],
        "tpot_bound": r.tpot_bound[i],
        "hops": r.hops[i],
        "busy": r.busy[i],
        "output_mtok": r.output_mtok[i] if paid else None,
    }


def _first(value: Any) -> float:
    return float(np.atleast_1d(np.asarray(value, dtype=float))[0])


def tree(answer: PipelineAnswer) -> Node:
    """For each number of stages: memory per device and cost in both readings; the crossing inequality."""
    p = answer.pipelines
    q, machine = p.question, p.question.machine
    paid = setting.known_price(machine) is not None
    found = []
    for i, stages in enumerate(p.stages):
        parts = []
        for name, r in (("fixed micro-batch", p.by_micro_batch), ("fixed users", p.by_users)):
            used = stated(
                "sum", "memory in use", float(p.weights[i] + p.reserved + r.cache[i]), "B",
                Node(name="weights", value=float(p.weights[i]), unit="B", note=f"{p.layers[i]:g} layers"),
                Node(name="cache", value=float(r.cache[i]), unit="B", note=f"of {r.users[i]:,.0f} sequences"),
                Node(name="reserve", value=p.reserved, unit="B", source=f"{q.engine.name} engine"),
            )  # fmt: skip
            nodes = [used, _tpot(r, i)]
            if paid:
                nodes.append(_cost(p, r, i))
            parts.append(Node(name=name, note=f"micro-batches of {r.micro[i]:,.0f}", children=tuple(nodes)))
        found.append(Node(name=f"{stages:g} stages, {p.gpus[i]:g} GPUs", children=tuple(parts)))
    x = p.crossing
    up, out = (of_machine(machine, f"scale{k}_bandwidth", f"scale-{k}") for k in ("up", "out"))
    edge = [quotient("link ratio", "", up, out)] if float(machine.scaleout_bandwidth) > 0 else []
    edge.append(count("work of the scale-up links in one layer over that of a hop", _first(x.per_layer)))
    return Node(
        name=f"{q.model.name} in pipeline stages of {p.stage.label()} on {machine.name}",
        children=(*found, Node(name="edge of a domain", children=tuple(edge))),
    )


def _tpot(r: Reading, i: int) -> Node:
    rest = Node(name="stages", value=float(r.tpot[i] - r.hops[i]), unit="s", note="rackmath timeline draws them")
    return stated("sum", "TPOT", float(r.tpot[i]), "s", rest, Node(name="hops", value=float(r.hops[i]), unit="s"))


def _cost(p: Pipelines, r: Reading, i: int) -> Node:
    from ..economics.cost import HOUR, MTOK, billed_devices

    machine = p.question.machine
    price = of_machine(machine, "price_per_hour", "price")
    gpus = count("GPUs paid for", float(billed_devices(p.gpus[i], machine)), "domains are paid for whole")
    spent = product(
        "dollars of a million steps", "$", gpus, quotient("price per second", "$", price, count("3600", HOUR)),
        Node(name="TPOT", value=float(r.tpot[i]), unit="s"), count("1e6", MTOK),
    )  # fmt: skip
    return stated("quotient", "$/M output tokens", float(r.output_mtok[i]), "$", spent,
                  count("sequences", float(r.users[i])))  # fmt: skip


# --- terminal -----------------------------------------------------------------------------------------------------


def screen(c: Console, answer: PipelineAnswer) -> None:
    """Print the decision and its tables."""
    p = answer.pipelines
    q = p.question
    c.print(Text.assemble((q.model.name, "bold"), " in pipeline stages on ", (q.machine.name, "bold")))
    words = f"a stage is {p.stage.label()}, {formats(p.precision)} · {tokens(p.context)} tokens a sequence"
    c.print(Text(words, style="dim"))
    c.print()
    line(c, f"[bold]{verdict(p)}[/]", indent=0)
    many = "Micro-batches" if p.micro_batches is None else f"{p.micro_batches:,.0f} micro-batches"
    grow = "users grow with the stages" if p.micro_batches is None else "so do users"
    heading(c, f"{many} of {tokens(p.batch)} stay: {grow}", "per GPU, decoding")
    _table(c, p, p.by_micro_batch, "users")
    heading(
        c,
        f"{tokens(p.fixed_users)} users stay{': micro-batches shrink' if p.micro_batches is None else ''}",
        "per GPU, decoding",
    )
    _table(c, p, p.by_users, "micro")
    line(c, f"[dim]{_busy(p)}[/]")
    heading(c, "What stages buy and cost", f"against P = {p.baseline}")
    table = numbers("P")
    table.columns[0].justify = "right"
    table.add_column("buys")
    table.add_column("costs")
    for i, stages in enumerate(p.stages):
        buys, costs = buys_and_costs(p, i)
        table.add_row(f"{stages:g}", buys, costs)
    indented(c, table)
    line(c, "[dim]users or $/token: more users to fill them, or with the same users that much dearer[/]")
    _edge(c, p)
    notes(c, answer.notes)


def _busy(p: Pipelines) -> str:
    """How much of the time stages have work, and what that follows from."""
    rule = "share of the time a stage has work: min(1, micro-batches under way / P), hops apart"
    if np.any(p.by_micro_batch.busy < 1) or np.any(p.by_users.busy < 1):
        return f"busy: {rule}"
    m = p.micro_batches
    many = "as many micro-batches as stages" if m is None else f"{m:,.0f} micro-batches"
    return f"busy 100%, with {many} under way; {rule}"


def _table(c: Console, p: Pipelines, r: Reading, shown: str) -> None:
    paid = setting.known_price(p.question.machine) is not None
    names = ["P", "layers", "GPUs", shown, "weights", "cache", "fits", "TPOT", "bound", "hops"]
    idle = bool(np.any(r.busy < 1))
    names += ["busy"] * idle + ["$/Mtok"] * paid
    spared = ("layers", "bound", "hops") if idle else ("layers", "bound")
    roomy = [n for n in names if c.width >= ROOMY or n not in spared]
    table = numbers(*roomy)
    table.columns[0].justify = "right"
    for i, stages in enumerate(p.stages):
        fits = bool(r.fits[i])
        cells = {
            "P": f"{stages:g}",
            "layers": f"{p.layers[i]:g}",
            "GPUs": f"{p.gpus[i]:,.0f}",
            "users": tokens(float(r.users[i])),
            "micro": tokens(float(r.micro[i])),
            "weights": show(float(p.weights[i]), "B"),
            "fits": "yes" if fits else "no",
            "cache": show(float(r.cache[i]), "B"),
            "TPOT": show(float(r.tpot[i]), "s"),
            "bound": show(float(r.tpot_bound[i]), "s"),
            "hops": show(float(r.hops[i]), "s"),
            "busy": f"{r.busy[i]:.0%}",
            "$/Mtok": money(float(r.output_mtok[i]), digits=3),
        }
        style = None if fits else "dim"
        table.add_row(*(cells[n] for n in roomy), style=style)
    indented(c, table)


def _edge(c: Console, p: Pipelines) -> None:
    """When a hop between domains is hidden behind the work of the scale-up links."""
    x, machine = p.crossing, p.question.machine
    heading(c, "The edge of a domain", f"one hop of a micro-batch takes {show(p.hop, 's')}")
    if not float(machine.scaleout_bandwidth) > 0:
        line(c, f"{machine.name} has no network beyond its domain.")
        return
    per = _first(x.per_layer)
    if not per > 0:
        line(c, "Devices of a stage exchange nothing, so there is no traffic to hide a hop behind.")
        return
    targets = _first(x.targets)
    what = f"A token visits {targets:.3g} other devices in a layer" if targets else "Layers end in all-reduces"
    needed = _first(x.layers_needed)
    plural = "s" if needed > 1 else ""
    together = int(machine.domain // float(p.stage.gpus))
    near = f" Up to {together} stages share a domain; hops within it are quicker still." if together > 1 else ""
    line(
        c,
        f"{what}, over links {x.link_ratio:.3g}x faster than those between domains: the links inside work"
        f" [bold]{per:.2f}x[/] as long for one layer as those between for a hop. Stages of {needed:g} layer{plural}"
        f" or more are never held back by it.{near}",
    )


# --- picture ------------------------------------------------------------------------------------------------------


def chart(answer: PipelineAnswer) -> Record:
    """Memory per device and time per token against stages."""
    p = answer.pipelines
    x = p.stages.tolist()
    ends = [x[0], x[-1]]
    a, b = p.by_micro_batch, p.by_users
    memory = charts.curve(
        [charts.Series("weights", x, p.weights.tolist()),
         charts.Series(f"cache, micro-batches of {p.batch:,.0f}", x, a.cache.tolist()),
         charts.Series(f"cache, {p.fixed_users:,.0f} users", x, b.cache.tolist(), look="dashed"),
         charts.Series("room for both", ends, [p.capacity - p.reserved] * 2, look="dashed")],
        title="Memory per GPU", x=charts.Axis("Pipeline stages", log=True), y=charts.Axis("Bytes", "B"),
    )  # fmt: skip
    time = charts.curve(
        [charts.Series(f"micro-batches of {p.batch:,.0f}", x, a.tpot.tolist()),
         charts.Series(f"{p.fixed_users:,.0f} users", x, b.tpot.tolist(), look="dashed"),
         charts.Series("hops", x, a.hops.tolist(), look="dashed")],
        title="Time per output token", x=charts.Axis("Pipeline stages", log=True), y=charts.Axis("TPOT", "s"),
    )  # fmt: skip
    q = p.question
    words = f"{q.model.name} in pipeline stages of {p.stage.label()} on {q.machine.name}"
    return charts.stack([memory, time], title=words)
