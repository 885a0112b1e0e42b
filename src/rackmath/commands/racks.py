"""Experts over devices and racks: placement, the exchange each way, what crossing a rack costs, domain sizes.

Group: Serving
Example: rackmath racks deepseek-ai/DeepSeek-V3 --on 144xh800

The same layout is priced as it lies and as it would lie in one domain; their ratio is what crossing costs. Below, the
same chip in domains of other sizes: all weights read once, the bound, and the estimate with its collectives. Link
ratios of machines alone: rackmath links.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

from ..answers.charts import Axis, Mark, Series, curve
from ..answers.parts import Answer, Block, Chart, Column, Say, Table
from ..answers.text import cell
from ..errors import BadInput
from ..layout.experts import SCHEMES, imbalance_of
from ..questions.common import LayoutWords, OnMachine, PriceKind, model
from ..questions.fields import count, flag, needs, one_of, speed, tokens, words
from ..questions.layouts import layout_taken
from ..questions.resolve import asked_of
from ..search.racks import TYPICAL_BATCH, DomainRange, Placing, ReplicaWork, copies_of, experts_of, layout_for_work, racks
from ..search.racks import RackComparison as Found
from ..units import plural
from ..views import setting
from ..views.rack_rows import case_row, floor_row, step_row
from ..views.rack_terms import rack_terms
from ..views.setting import formats
from ..world import catalog
from ..world.lengths import within
from ..world.loads import expert_loads
from ..world.precision import Precision, format_named
from ..world.workload import Traffic

WORK, EXPERTS, DOMAINS = "Work", "Experts", "Domain sizes"

WAYS = ("direct", "hierarchical", "scale-out", "all-gather")
BESIDE = ("8xh100", "gb200-nvl72", "rubin-ultra-nvl576")
"""Machines whose weight floors stand side by side: domains of 8, 72 and 144 packages."""


@dataclass(frozen=True, kw_only=True)
class Racks(OnMachine):
    """What is done, how experts are placed and exchanged, and which domains are compared."""

    model: Annotated[Any, model("link ratios of machines alone: rackmath links")]
    phase: Annotated[str, one_of("What is done.", "decode", "prefill", panel=WORK)] = "decode"
    batch: Annotated[
        float | None,
        count("Sequences that decode together. 64 for each device, or as many as fit.", above=0, panel=WORK),
        needs("phase", among=("decode",)),
    ] = None
    tokens: Annotated[
        float | None, tokens("Prompt tokens that a device prefills in a pass.", above=0, panel=WORK), needs("phase", among=("prefill",))
    ] = None
    context: Annotated[float | None, tokens("Tokens a sequence holds, or of a prompt. 4096.", panel=WORK)] = None
    redundant: Annotated[float | None, count("Second copies of experts. What an even split needs if not given.", panel=EXPERTS)] = None
    experts_per_gpu: Annotated[
        float | None, count("Slots for routed experts of a layer on each device; those left over hold copies.", panel=EXPERTS)
    ] = None
    expert_loads: Annotated[
        Any, words("JSON of measured loads: a number for each expert, or such a row for each layer.", "FILE", panel=EXPERTS)
    ] = None
    exchange: Annotated[str | None, one_of("How tokens travel. The cheapest if not given.", *SCHEMES, "cheapest", panel=EXPERTS)] = None
    overlap: Annotated[bool, flag("Two half batches: one computes while the other exchanges, where that pays.", panel=EXPERTS)] = False
    dispatch: Annotated[
        str | None, words("Format of tokens sent to experts. Their operand type if not given.", "FORMAT", panel=EXPERTS)
    ] = None
    combine: Annotated[str | None, words("Format of results sent back. bf16 if not given.", "FORMAT", panel=EXPERTS)] = None
    min_interactivity: Annotated[float | None, speed("Tokens per second and user: names the smallest domain.", panel=DOMAINS)] = None
    max_domain: Annotated[int, count("Largest domain drawn.", least=1, most=10_000, whole=True, panel=DOMAINS)] = 576
    floor_batch: Annotated[float, count("Sequences decoded by a domain of any size.", above=0, panel=DOMAINS)] = 256
    beside: Annotated[
        tuple[str, ...], words("Machines whose weight floors stand side by side.", "MACHINES", complete="machines", panel=DOMAINS)
    ] = BESIDE
    layout: LayoutWords = None
    price: PriceKind = None


def answer(q: Racks) -> Answer:
    """Placement of experts, their exchange over domains, what crossing costs, and latency against domain size."""
    r, notes = _found(q)
    machine = r.question.machine
    doing = (
        f"decoding {plural(round(r.cases[0].tokens), 'sequence')}"
        if r.work.phase == "decode"
        else f"prefilling {cell(r.work.per_device, 'count')} tokens a device"
    )
    halves = ", two half batches" if r.question.efficiency.overlap else ""
    return Answer(
        title=Say("*{model}* over the racks of *{machine}*", {"model": r.question.model.name, "machine": machine.name}),
        subtitle=f"{r.cases[0].layout.label()}, {formats(r.precision)}, {doing} at {cell(r.work.context, 'count')} tokens{halves}",
        blocks=tuple(_blocks(r)),
        table="domains",
        data=_data(r),
        terms=lambda: rack_terms(r),
        notes=notes,
        subject=r,
    )


def _found(q: Racks) -> tuple[Found, tuple[str, ...]]:
    asked, notes = asked_of(q, Traffic(isl=1024, osl=1))
    if not asked.model.has_experts:
        _no_experts(asked.model.name, exchange=q.exchange, dispatch=q.dispatch, combine=q.combine)
    used = _formats(q, asked.precisions[0])
    efficiency = asked.efficiency
    if q.overlap:
        efficiency = replace(efficiency, overlap=1.0)
    if q.exchange is not None:
        efficiency = replace(efficiency, exchange=q.exchange)
    each = _work(q, asked)
    notes += within(asked.model, each.context, "context", extrapolate=q.extrapolate)
    chosen = layout_taken(q.layout, asked, lambda: layout_for_work(asked, used, each), notes)
    if q.expert_loads is not None:
        imbalance, copies = _measured(q, asked, chosen)
        efficiency = replace(efficiency, imbalance=imbalance)
        notes.append(f"imbalance {imbalance:.3g} from measured loads of experts, {copies} copies on the hottest")
    work = None if q.phase == "decode" and q.batch is None and q.context is None else each
    if q.batch is not None:  # all of it on the devices of the layout
        work = replace(each, per_device=each.per_device * asked.max_gpus / float(chosen.gpus))
    found = racks(
        replace(asked, efficiency=efficiency),
        used,
        layout=chosen,
        work=work,
        placing=Placing(redundant=q.redundant, per_device=q.experts_per_gpu),
        domains=DomainRange(
            largest=q.max_domain, floor_batch=q.floor_batch, target=q.min_interactivity, others=[catalog.machine(name) for name in q.beside]
        ),
    )
    return found, tuple(dict.fromkeys(notes))


def _no_experts(model: str, **given: str | None) -> None:
    """Refuse options about experts where a model has none."""
    for name, value in given.items():
        if value is not None:
            raise BadInput(f"{model} has no routed experts, so --{name} plays no part; leave it out")


def _work(q: Racks, asked: Any) -> ReplicaWork:
    """What every device of the machine is asked for."""
    context = min(4096.0, asked.model.max_context) if q.context is None else q.context
    if q.phase == "prefill":
        return ReplicaWork(phase="prefill", per_device=q.tokens or asked.engine.chunk_tokens, context=context)
    each = float(TYPICAL_BATCH) if q.batch is None else q.batch / asked.max_gpus
    return ReplicaWork(phase="decode", per_device=each, context=context)


def _formats(q: Racks, used: Precision) -> Precision:
    if q.dispatch is not None:
        used = replace(used, dispatch=format_named(q.dispatch))
    return used if q.combine is None else replace(used, combine=format_named(q.combine))


def _measured(q: Racks, asked: Any, lies: Any) -> tuple[float, int]:
    """The imbalance of measured loads over the ranks, and the copies placed on the hottest experts."""
    ffn = experts_of(asked.model)
    loads = expert_loads(q.expert_loads, 0 if ffn is None else int(ffn.n_experts), asked.model.name)
    if not float(lies.ep) > 1:
        raise BadInput(f"layout {lies.label()} has no expert parallelism to unbalance; give one with EP")
    made = copies_of(asked.model, lies, q.redundant, q.experts_per_gpu)
    spare = -int(ffn.n_experts) % int(lies.ep) if made is None and ffn else int(made or 0)
    return imbalance_of(loads, int(lies.ep), spare), spare


def _data(r: Found) -> dict[str, Any]:
    reached = r.floors.reaching(r.target) if r.target else None
    domain = None if reached is None else r.floors.devices[reached]
    return {
        "precision": setting.precision(r.precision),
        "dispatch": r.precision.sent.name,
        "combine": r.precision.combine.name,
        "imbalance": r.question.efficiency.imbalance,
        "overlap": bool(r.question.efficiency.overlap),
        "price_per_gpu_hour": setting.known_price(r.question.machine),
        "link_ratio": r.ratio,
        "placement": None,
        "crossing": {"exchange_factor": r.exchange_factor, "pass_factor": r.pass_factor, "links_alone": r.least_factor},
        "target": None if r.target is None else {"interactivity": r.target, "domain": domain},
    }


def _blocks(r: Found) -> Iterator[Block]:
    if r.placed is not None:
        yield from _placement(r)
    if r.cases[0].moved is not None:
        yield from _exchange(r)
    elif r.cases[0].scheme == "all-reduce":
        yield Say("every rank holds every token: results are summed by an all-reduce", title="Exchange of one layer")
    yield _layouts(r)
    yield from _crossing(r)
    yield from _domains(r)
    if r.steps:
        yield _beside(r)


def _placement(r: Found) -> Iterator[Block]:
    p = r.placed
    assert p is not None
    share = r.resident / float(r.question.machine.hbm_capacity)
    shared = " + {n_shared:g} shared" if p.n_shared else ""
    held = "on each device, {expert_bytes_per_device:B} over all layers ({memory_share:percent} of its memory)"
    values = asdict(p) | {"expert_bytes_per_device": r.resident, "memory_share": share, "remainder": p.remainder}
    yield Say(
        "*{per_device:g} routed" + shared + "* " + held,
        values,
        key="placement",
        title="Placement",
        aside=f"{p.n_experts:g} experts of a layer on {p.devices:g} devices",
    )
    split = "an even split leaves {remainder:g} over: {emptiest:g} or {fullest:g} different experts on a device"
    copies = "; {redundant:g} second copies" if p.redundant else "; no copies"
    idle = ", {idle:g} slots idle" if p.idle else ""
    kept = "; {n_shared:g} shared" if p.n_shared else "; none shared"
    yield Say((split if p.remainder else "the split is even") + copies + idle + kept, values, faint=True)


def _exchange(r: Found) -> Iterator[Block]:
    here, moved = r.cases[0], r.cases[0].moved
    assert moved is not None
    over = " in {domains:ratio} distinct domains" if here.crosses else ""
    yield Say(
        "a token visits {devices:ratio} distinct devices" + over + "; the busiest rank gets {imbalance:number} times"
        " the mean; {own:count} tokens leave each device",
        {
            "devices": float(moved.devices),
            "domains": float(moved.domains),
            "own": float(moved.own),
            "imbalance": r.question.efficiency.imbalance,
        },
        title="Exchange of one layer",
        aside=f"out in {r.precision.sent.name}, back in {r.precision.combine.name}",
    )
    rows = [
        {"way": "scale-up links" if name == "direct" and not here.crosses else name, "seconds": float(moved.times[name])}
        for name in WAYS
        if math.isfinite(float(moved.times[name])) and (here.crosses or name != "hierarchical")
    ]
    taken = next((i for i, row in enumerate(rows) if row["seconds"] == float(moved.times[here.scheme])), None)
    inside = f"over {here.domains:g} domains" if here.crosses else "in one domain"
    columns = (Column("way", inside), Column("seconds", "seconds", "s"))
    yield Table(key="", columns=columns, rows=rows, strong=taken, marks={} if taken is None else {taken: "<- taken"})
    hidden = float(here.time.hidden)
    if hidden > 0:
        yield Say(
            "two half batches hide {hidden:s} of the pass's {whole:s} of exchange", {"hidden": hidden, "whole": float(here.time.hideable)}
        )
    elif r.question.efficiency.overlap:
        yield Say("two half batches do not pay here: reading the weights twice takes longer than what they hide")


def _layouts(r: Found) -> Table:
    rows = [case_row(c) for c in r.cases]
    shown = [
        row
        | {"case": c.label if c.layout == r.cases[0].layout else f"{c.label}: {c.layout.label()}"}
        | ({"exchange": "-"} if not c.scheme else {})
        | ({} if c.fits else {"exchange": "does", "time": "not fit", "time_bound": None, "mtok": "-", "tokens_per_second_per_gpu": "-"})
        for row, c in zip(rows, r.cases, strict=True)
    ]
    paid = (Column("mtok", "$/M tokens", "$"),) if setting.known_price(r.question.machine) is not None else ()
    return Table(
        key="layouts",
        title="What crossing costs",
        aside="the same work on each device",
        rows=rows,
        shown=shown,
        columns=(
            Column("case", ""),
            Column("domains", "domains", "whole"),
            Column("exchange", "exchange", "s"),
            Column("time", "pass", "s"),
            Column("time_bound", "bound", "s", optional=1),
            Column("tokens_per_second_per_gpu", "tok/s/GPU", "tokens"),
            *paid,
        ),
        faint=frozenset(i for i, c in enumerate(r.cases) if not c.fits),
    )


def _crossing(r: Found) -> Iterator[Block]:
    here = r.cases[0]
    if here.crosses and here.scheme:
        links = "; the links alone would say {links:x2}, (1 - 1/{domains:g}) x {ratio:number}"
        yield Say(
            "crossing makes the exchange *{exchange:x2}* and the pass *{whole:x2}* as long" + (links if math.isfinite(r.ratio) else ""),
            {"exchange": r.exchange_factor, "whole": r.pass_factor, "links": r.least_factor, "domains": here.domains, "ratio": r.ratio},
        )
    elif math.isfinite(r.ratio):
        text = "it stays in one domain; the link beyond it is {ratio:number} times slower per device"
        yield Say(text, {"ratio": r.ratio}, faint=True)


def _domains(r: Found) -> Iterator[Block]:
    f = r.floors
    reached = f.reaching(r.target) if r.target else None
    aside = f"{cell(f.batch, 'count')} sequences, fastest layout of each size"
    yield Chart(title="The same chip in other domains", aside=aside, spec=_chart(r))
    rows = [floor_row(r, i) for i in range(len(f.devices))]
    shown = [row if row["fits"] else row | {"interactivity": "-", "layout": "does not fit"} for row in rows]
    yield Table(
        key="domains",
        rows=rows,
        shown=shown,
        strong=reached,
        columns=(
            Column("domain", "domain", "whole"),
            Column("weights", "weights read", "s"),
            Column("tpot_bound", "bound", "s", optional=1),
            Column("tpot", "step", "s"),
            Column("network", "collectives", "s"),
            Column("overhead", "launches", "s"),
            Column("interactivity", "tok/s/user", "number"),
            Column("layout", "layout", optional=2),
        ),
        faint=frozenset(i for i, fits in enumerate(f.fits) if not fits),
    )
    if r.target is None:
        return
    if reached is not None:
        yield Say(
            "*{domain:g}* devices in one domain give {target:g} tok/s to each user", {"domain": f.devices[reached], "target": r.target}
        )
    elif f.fastest is not None:
        most = 1 / float(f.estimate[f.fastest])
        yield Say(
            "no domain tried gives {target:g} tok/s to each user; {domain:g} devices give {most:.0f}",
            {"target": r.target, "domain": f.devices[f.fastest], "most": most},
        )
    else:
        yield Say("no domain tried holds the model and its users")


def _beside(r: Found) -> Table:
    factor = {"times": "faster", "by_domain": "by size", "by_chip": "by chip"}
    return Table(
        key="beside",
        title="All weights read once",
        rows=[step_row(s) for s in r.steps],
        aside=f"by one domain of each machine, {r.precision.name} weights",
        columns=(
            Column("machine", "machine"),
            Column("domain", "packages", "whole"),
            Column("floor", "floor", "s"),
            *(Column(key, head, "x") for key, head in factor.items()),
        ),
        marks={i: "too small for the weights" for i, s in enumerate(r.steps) if not s.fits},
    )


def _chart(r: Found) -> dict[str, Any]:
    """A decode step against the size of the domain."""
    f, x = r.floors, r.floors.devices.tolist()
    machine = r.question.machine
    domain = float(machine.domain)
    lines = {"bound": f.bound, "all weights read once": f.weights, "collectives in the step": f.network}
    series = [Series("step", x, f.estimate.tolist())]
    series += [Series(name, x, y.tolist(), look="dashed") for name, y in lines.items()]
    if r.target is not None:
        series.append(Series(f"{r.target:g} tok/s/user", [x[0], x[-1]], [1 / r.target] * 2, look="dashed"))
    return curve(
        series,
        title=f"{r.question.model.name}: decode step against domain size",
        x=Axis("Devices in one domain", log=True),
        y=Axis("Time per step", "s", log=True),
        marks=[Mark(f"{machine.accelerator}: {domain:g}", domain)] if x[0] <= domain <= x[-1] else [],
    )
