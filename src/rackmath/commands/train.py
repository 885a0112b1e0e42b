"""A training run: the fastest and the cheapest layout, step time, MFU, days, dollars, memory, and what binds.

Group: Training and size
Example: rackmath train llama-3.1-8b --on 64xh100 --tokens 15T

Exits with 1 where nothing fits, and says by how much and what would do. --set training.dp=0.9 changes a constant of
the framework.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from dataclasses import field as default
from typing import Annotated, Any

from ..answers.charts import Axis
from ..answers.parts import Answer, Bar, Block, Chart, Column, Figure, Figures, Say, Table
from ..answers.ranges import Point, Range, Ranges
from ..answers.text import cell
from ..questions.common import CHOICES, OBJECTIVES, FamilyFile, MachineName, ModelName, PriceKind, Settings
from ..questions.fields import Field, flag, tokens, words
from ..questions.machines import machine_of
from ..questions.resolve import question
from ..search import train as search
from ..search import train_job as jobs
from ..search.train import Job, JobPlan, TrainSearch, moves, shares
from ..search.train_nearest import why_not
from ..training.constants import constants
from ..training.job import layout_of, recipe_named
from ..training.memory import ActivationPolicy, frontier
from ..training.uncertainty import training_interval
from ..units import plural, show
from ..views import train_terms, training
from ..world.workload import Traffic

RUN = "The run"
MOST_TOKENS = 1e18

LEAST_SHARE, LEAST_MOVE = 0.002, 0.0005
"""Shares of a step, and changes of it, below which nothing is said of a term."""


@dataclass(frozen=True, kw_only=True)
class TrainInput:
    """What is trained on which machine, and which layouts are tried."""

    model: ModelName
    on: MachineName
    tokens: Annotated[float, tokens("Tokens of the whole run.", most=MOST_TOKENS, panel=RUN)] = 1e12
    seq: Annotated[float, tokens("Tokens of a sequence.", least=2, most=1e8, panel=RUN)] = 8192
    batch_tokens: Annotated[float, tokens("Tokens of an optimizer step.", most=MOST_TOKENS, panel=RUN)] = 4e6
    goodput: Annotated[
        float | None,
        Field(
            help="Share of paid time in which steps count, after failures and checkpoints. From the number of devices if not given.",
            unit="share",
            above=0,
            most=1,
            metavar="SHARE",
            panel=RUN,
        ),
    ] = None
    layout: Annotated[
        str | None,
        words("One layout instead of a search: 'TP8 PP16 DP128 interleave 4 MB1 ZeRO1 SP', CP2, EP8, 'every 4'.", "WORDS", panel=CHOICES),
    ] = None
    schedule: Annotated[
        tuple[str, ...],
        words(
            "Pipeline schedules, with commas, or any (rackmath schedule lists them). 1f1b and interleaved if not given.",
            "NAMES",
            panel=CHOICES,
        ),
    ] = ()
    recompute: Annotated[
        tuple[str, ...],
        words(
            "none, selective, full, 'every 4', reversible, offload, with commas, or any. The first three if not given.",
            "NAMES",
            panel=CHOICES,
        ),
    ] = ()
    zero: Annotated[tuple[str, ...], words("ZeRO stages, with commas. 1,2,3 if not given.", "STAGES", panel=CHOICES)] = ()
    precision: Annotated[str, words("Format of products: bf16, fp8, mxfp8 or nvfp4.", "FORMAT", panel=CHOICES)] = "bf16"
    framework: Annotated[str, words("Software whose constants are used.", "NAME", panel=CHOICES)] = "typical"
    max_days: Annotated[Any, words("The run takes no longer: 60, or 12h.", "DAYS", panel=OBJECTIVES)] = None
    max_cost: Annotated[
        float | None, Field(help="It costs no more: 50M$.", unit="$", above=0, most=1e18, metavar="DOLLARS", panel=OBJECTIVES)
    ] = None
    frontier: Annotated[bool, flag("Also memory against compute: what is kept, recomputed, reversed or moved.")] = False
    price: PriceKind = None
    family: FamilyFile = None
    sets: Settings = default(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """A run worked out. `found` is None where a layout was given; `choices`: memory against compute, if asked for."""

    job: Job
    best: JobPlan
    found: TrainSearch | None
    choices: tuple[ActivationPolicy, ...]
    notes: tuple[str, ...]


def answer(q: TrainInput) -> Answer:
    """The fastest way to train so many tokens, the cheapest, and the layouts between and around them."""
    t = _run(q)
    job, price = t.job, float(t.job.machine.price_per_hour)
    what = (
        f"{show(job.tokens, 'tokens')} · {job.batch.seq:,.0f} a sequence · {show(float(job.batch.tokens), 'tokens')}"
        f" a step · {job.recipe.name} products · {job.constants.name} software · "
    )
    return Answer(
        title=Say("Training *{model}* on *{machine}*", {"model": job.model.name, "machine": job.machine.name}),
        subtitle=what + (f"{cell(price, '$')} per GPU-hour" if price else "no price known"),
        blocks=tuple(_blocks(t)),
        table="front" if t.found is not None else "runs",
        data=_data(t),
        terms=lambda: train_terms.terms(t.best),
        notes=t.notes,
        remarks=tuple(_remarks(t.best)),
        subject=t,
    )


def _run(q: TrainInput) -> TrainingRun:
    """Words to a job, and its layouts searched, or the one that is named worked out."""
    seq, total = float(round(q.seq)), float(round(q.tokens))
    batch, said = jobs.batch_of(seq, float(round(q.batch_tokens)), total)
    ours = {k.removeprefix("training."): v for k, v in q.sets.items() if k.startswith("training.")}
    rest = {k: v for k, v in q.sets.items() if not k.startswith("training.")}
    asked, notes = question(q.model, machine_of(q.on, q.price), traffic=Traffic(isl=seq, osl=1), sets=rest)
    job = Job(
        model=asked.model,
        machine=asked.machine,
        recipe=recipe_named(q.precision),
        batch=batch,
        tokens=total,
        constants=jobs.with_constants(constants(q.framework, asked.machine.generation), ours),
        schedules=jobs.schedules_named(q.schedule),
        recompute=jobs.recompute_named(q.recompute),
        zero=jobs.zero_named(q.zero),
        goodput=q.goodput,
        max_days=jobs.days_of(q.max_days),
    )
    if q.max_cost is not None:
        job = replace(job, max_dollars=float(q.max_cost))
    jobs.check_priced(job)
    notes += [*said, *jobs.slower_format(job)]
    found = None
    if q.layout is not None:
        kinds = jobs.chosen(job, schedule=q.schedule, recompute=q.recompute, zero=q.zero)
        given = layout_of(q.layout, **kinds)
        jobs.check_legal(job, given)
        best = search.run(job, given)
        notes += jobs.too_full(best)
    else:
        found = search.search(job)
        if found.fastest is None:
            raise why_not(found, job)
        best = found.fastest
    ways = frontier(job.model, job.machine, best.layout, job.recipe, job.batch, job.constants) if q.frontier else ()
    return TrainingRun(job=job, best=best, found=found, choices=tuple(ways), notes=tuple(notes))


def _data(t: TrainingRun) -> dict[str, Any]:
    job, found, best = t.job, t.found, training.run(t.best)
    best["shares"] = shares(t.best.step)
    best["lost"] = None if t.best.lost is None else {k: getattr(t.best.lost, k) for k in LOST}
    return {
        "job": {
            "model": job.model.name,
            "machine": job.machine.name,
            "global_batch": job.batch.global_batch,
            "batch_tokens": job.batch.tokens,
            "steps": t.best.steps,
            "precision": job.recipe.name,
            "framework": job.constants.name,
            "price_per_gpu_hour": float(job.machine.price_per_hour) or None,
        },
        "best": best,
        "cheapest": None if found is None or found.cheapest is None else training.run(found.cheapest),
        "front": [],
        "frontier": [],
        "lab": training.measured() if t.choices else None,
        "search": None if found is None else {"evaluated": found.evaluated, "fitting": found.fitting, "illegal": dict(found.illegal)},
    } | ({} if found is not None else {"runs": [training.row(t.best)]})


# --- blocks ---------------------------------------------------------------------------------------------------------

LOST = {"restarting": "restarts", "repeating": "steps repeated", "saving": "checkpoints"}


def _blocks(t: TrainingRun) -> Iterator[Block]:
    yield _figures(t)
    yield from _reasons(t.best)
    yield from _step(t.best)
    yield from _memory(t.best)
    if t.found is not None:
        yield _front(t.found)
        yield Chart(
            title="Layouts tried",
            aside=f"on all {plural(t.best.job.machine.n_devices, 'device')}",
            spec=training.field(t.found, t.best),
            lines=20,
        )
    if t.choices:
        yield from _frontier(t)
    yield from _sensitivity(t.best)


def _figures(t: TrainingRun) -> Figures:
    r, bound = t.best, float(t.best.step.bound)
    useful = bound / r.seconds * r.goodput

    def spread(key: str, label: str, value: float, unit: str, best: float) -> Figure:
        low, high = training.span(value, best)
        return Figure(key=key, label=label, value=value, unit=unit, low=low, high=high, bound=best)

    figures = [spread("step_seconds", "step", r.seconds, "s", bound)]
    figures.append(Figure(key="mfu", label="MFU, causal attention", value=r.mfu, unit="share"))
    if abs(r.mfu / r.mfu_bf16 - 1) > 0.01:
        figures.append(Figure(key="mfu_bf16", label="the same over the 16-bit peak", value=r.mfu_bf16, unit="share"))
    figures.append(Figure(key="tokens_per_s_per_gpu", label="tokens/s per GPU", value=r.tokens_per_device, unit="whole"))
    figures.append(spread("days", f"days, {r.steps:,.0f} steps", r.days, "days", r.days * useful))
    if r.dollars:
        figures.append(spread("dollars", "cost", r.dollars, "dollars", r.dollars * useful))
    if r.kwh:
        figures.append(Figure(key="kwh", label="energy", value=r.kwh, unit="kWh"))
    title = "The layout asked about" if t.found is None else "Fastest"
    return Figures(key="best", figures=tuple(figures), title=title, aside=r.layout.label())


def _reasons(r: JobPlan) -> Iterator[Block]:
    yield Say(training_interval().reason, faint=True)
    if r.lost is None:
        return
    words = ", ".join(f"{name} {{{key}:share}}" for key, name in LOST.items())
    values = {key: float(getattr(r.lost, key)) for key in LOST} | {"goodput": r.goodput}
    yield Say("{goodput:share} of paid time trains; lost to " + words, values, faint=True)


def _step(r: JobPlan) -> Iterator[Block]:
    parts = {k: v for k, v in shares(r.step).items() if v > LEAST_SHARE * r.seconds}
    order = sorted(parts.items(), key=lambda p: -p[1])
    name, most = order[0]
    yield Bar(
        key="", parts=dict(order[:5]), unit="s", whole=r.seconds, title="What binds", aside=f"{name}: {most / r.seconds:.0%} of a step"
    )
    if order[5:]:
        yield Say("and " + ", ".join(f"{k} {cell(v, 's')}" for k, v in order[5:]), faint=True)
    bubble, many = float(r.step.bubble) / r.seconds, float(r.step.micro_batches)
    if bubble > 0.001:
        yield Say(
            r.layout.schedule + ": {micro_batches:whole} micro-batches, bubble {bubble:share}",
            {"micro_batches": many, "bubble": bubble},
            key="best.pipeline",
            faint=True,
        )


def _memory(r: JobPlan) -> Iterator[Block]:
    m, factor = r.memory, r.memory.fragmentation
    full = m.fullest
    parts = {
        "weights": full.weights,
        "gradients": full.gradients,
        "optimizer": full.optimizer,
        "activations": full.activations,
        "buffers and reserve": full.buffers,
    }
    shown = {k: float(v) * factor for k, v in parts.items()}
    shown["buffers and reserve"] += m.reserved
    yield Bar(
        key="best.memory.fullest",
        parts=shown,
        unit="B",
        whole=float(m.capacity),
        title="Memory of the fullest device",
        aside=f"{cell(float(m.peak), 'B')} of {cell(float(m.capacity), 'B')}",
    )
    if float(r.layout.pp) > 1:
        held = {f"{name}_total": float(getattr(m, name).total) * factor + m.reserved for name in ("first", "second", "last")}
        yield Say(
            "first stage {first_total:B} with {in_flight:number} micro-batches in flight, second {second_total:B}, last {last_total:B}",
            held | {"in_flight": float(m.in_flight)},
            key="best.memory",
            faint=True,
        )


def _front(found: TrainSearch) -> Table:
    rows = [training.row(r) for r in found.front]
    shown = []
    for r, row in zip(found.front, rows, strict=True):
        low, high = training.span(r.dollars, r.dollars * float(r.step.bound) / r.seconds * r.goodput)
        kind = r.layout.schedule if float(r.layout.pp) > 1 and r.layout.schedule != "interleaved" else ""
        label = f"{row['layout']} {kind}".strip()
        row |= {"dollars_low": low if r.dollars else None, "dollars_high": high if r.dollars else None}
        shown.append(row | {"layout": label, "dollars": row["dollars"] or "-"})
    return Table(
        key="front",
        title="Pareto front, fastest to cheapest",
        rows=rows,
        shown=shown,
        flat=[training.row(r) for r in found.front],
        aside=f"{found.evaluated:,} layouts tried, {found.fitting:,} fit",
        columns=(
            Column("layout", "layout"),
            Column("devices", "devices", "whole"),
            Column("days", "days", "days"),
            Column("dollars", "cost", "dollars"),
            Column("dollars_low", "5 to 95 %", "dollars", 1, "dollars_high"),
            Column("mfu", "MFU", "share"),
            Column("peak_bytes", "memory", "B", optional=2),
        ),
    )


def _frontier(t: TrainingRun) -> Iterator[Block]:
    whole = next((float(x.activations) for x in t.choices if x.recompute == "none"), 0.0)
    measured = training.measured()
    rows, shown = [], []
    for choice in t.choices:
        kept = float(choice.activations)
        rows.append(asdict(choice) | {"compute": 1 + choice.extra_compute, "share": kept / whole if whole else None})
        lab = measured.get("every" if choice.recompute.startswith("every") else choice.recompute, {})
        shown.append(rows[-1] | {"way": training.way(choice.recompute)} | lab)
    yield Table(
        key="frontier",
        title="Memory against compute",
        rows=rows,
        shown=shown,
        aside="this layout, activations kept in other ways; beside it what the lab measured",
        columns=(
            Column("way", ""),
            Column("activations", "kept", "B"),
            Column("peak", "peak", "B"),
            Column("compute", "compute", "x2"),
            Column("share", "share", "share"),
            Column("kept", "lab kept", "share", optional=1),
            Column("time", "lab time", "x2", optional=1),
        ),
    )
    yield Say("lab: a small transformer on this project's own machine, its deepest setting (rackmath lab memory)", faint=True)
    yield Chart(spec=training.tradeoff(t.job.model.name, t.choices), lines=14)


def _sensitivity(r: JobPlan) -> Iterator[Block]:
    found = sorted(moves(r).items(), key=lambda p: p[1])
    rows = tuple(
        Range(name=name, low=min(change, 0.0), high=max(change, 0.0), points=(Point("change", change),), cells={"change": change})
        for name, change in found
        if abs(change) > LEAST_MOVE
    )
    if rows:
        yield Ranges(
            key="sensitivity",
            title="Sensitivity",
            aside="time of a token, this layout kept",
            rows=rows,
            at=0.0,
            axis=Axis("", "share"),
            kinds={"change": "circle"},
            columns=(Column("change", "", "change"),),
            picture=f"{r.job.model.name} on {r.job.machine.name}: time of a token",
        )


def _remarks(r: JobPlan) -> Iterator[str]:
    yield (
        f"computed for {plural(r.devices, 'device')}, billed in whole domains; the bound grants every kernel its"
        " peak, perfect overlap, no recomputation and no bubble"
    )
    if r.lost is not None:
        yield ("failures are as frequent as those of Llama 3 405B (one in 3 hours of 16,384 devices); --goodput replaces them")
