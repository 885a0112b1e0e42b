"""How many pipeline stages a model wants on a machine: what each more stage buys, and what it costs.

Every stage is the same group of devices, by default within one scale-up domain; P stages take P times as many. Both
readings of "more stages" stand side by side (LECTURE section 14): with fixed micro-batches the users in flight grow
with P and their cache per device stays; with fixed users the cache falls, and micro-batches with it, so that the
weights serve fewer tokens each time they are read. Decoding only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..arrays import Mask, Number, take
from ..economics.cost import HOUR, MTOK, billed_devices
from ..errors import BadInput, Infeasible
from ..kernel.counts import Pass, weight_bytes
from ..layout.footprint import footprint
from ..layout.forward import forward
from ..layout.parallelism import Layout
from ..layout.pipeline import Crossing, crossing_of, disconnected, held, hop, utilisation
from ..units import show
from ..world.model import Model
from ..world.precision import Precision
from .balance import balance
from .grid import Column, Question, layouts, price_or_time
from .preferred import Policy, cheapest, pace

STAGES = (1, 2, 3, 4, 6, 8, 12, 16)
"""Numbers of stages looked at, beside the smallest that fits and its neighbour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCurves:
    """Columns over stages with one thing fixed: bytes per device, sequences, seconds, dollars per million tokens.

    `micro`: sequences of a micro-batch; `users`: all in flight; `busy`: share of the time a stage has work, hops
    apart; `hops`: seconds of a token's time spent on hops; `fits`: weights, reserve and cache within the memory.
    """

    micro: Column
    users: Column
    cache: Column
    fits: Mask
    tpot: Column
    tpot_bound: Column
    hops: Column
    busy: Column
    output_mtok: Column


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipelines:
    """The decision: columns over `stages`, in both readings.

    `holds`: weights and reserve leave room for one sequence per attention-DP rank. `users_max`: sequences that fit
    a replica. `smallest`: fewest stages that hold the micro-batch, 0 where none do; `smallest_holding` that hold the
    weights and anything at all; `baseline`: the row others are compared with.
    """

    question: Question
    precision: Precision
    stage: Layout
    context: float
    batch: float
    fixed_users: float
    micro_batches: float | None  # under way, None for as many as there are stages
    stages: Column
    layers: Column
    gpus: Column
    weights: Column
    reserved: float
    capacity: float
    users_max: Column
    holds: Mask
    by_micro_batch: StageCurves
    by_users: StageCurves
    hop: float  # seconds of one hop of a fixed micro-batch between domains, as estimated
    crossing: Crossing
    smallest: int
    smallest_holding: int
    baseline: int


def pipelines(
    question: Question,
    precision: Precision,
    *,
    context: float,
    batch: float | None = None,
    users: float | None = None,
    stage: Layout | None = None,
    most: int | None = None,
    micro_batches: float | None = None,
) -> Pipelines:
    """One row for each number of stages. `batch`: sequences of a fixed micro-batch; `users`: fixed users.

    As many micro-batches are under way as there are stages, or `micro_batches`: with fewer, stages stand idle; with
    more, a sequence waits for its turn.
    Without `batch` a micro-batch has B* sequences, or as many as fit the fewest stages; without `users` those of
    the baseline.
    """
    model, machine = question.model, question.machine
    one = stage or stage_layout(question, precision, context)
    if reason := disconnected(machine, one):
        raise BadInput(f"{reason}; give stages of fewer devices (--layout)")
    limit = int(model.n_layers)
    if most is not None and not 1 <= most <= limit:
        raise BadInput(f"{most} stages are impossible: {model.name} has {limit} layers; give 1 to {limit}")
    everything = np.arange(1.0, min(most or limit, limit) + 1)
    if not float(machine.scaleout_bandwidth) > 0:
        everything = everything[everything * float(one.gpus) <= machine.domain]
    room = _room(question, precision, one, everything, context)
    holding = everything[room >= float(one.dp)]
    if not len(holding):
        raise Infeasible(_nothing(question, precision, one, everything))
    first = int(holding[0])
    if batch is None:
        fit = float(room[first - 1]) * first / (micro_batches or first)
        ranks = np.floor(min(balance(model, machine, precision), fit) / float(one.dp))
        batch = float(max(ranks, 1.0) * float(one.dp))
    rows = {p for p in STAGES if p <= min(len(everything), most or max(8, 2 * first))}
    if most is None:
        rows |= {p for p in (first - 1, first, first + 1, 2 * first) if 1 <= p <= len(everything)}
    stages = np.array(sorted(rows | {first}), dtype=float)
    fits = _fits(question, precision, one, everything, context, batch * (micro_batches or everything))
    smallest = int(everything[fits][0]) if fits.any() else 0
    baseline = smallest or first
    if baseline not in stages:
        stages = np.array(sorted({*stages, float(baseline)}))
    load = _Load(context=context, batch=batch, users=users, micro_batches=micro_batches)
    return _table(question, precision, one, stages, load, (smallest, first, baseline))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Load:
    """What the stages carry: tokens of a context, sequences of a micro-batch, users and micro-batches where fixed."""

    context: float
    batch: float
    users: float | None
    micro_batches: float | None


def _table(question: Question, precision: Precision, one: Layout, stages: Column, load: _Load, found: tuple[int, int, int]) -> Pipelines:
    model, machine = question.model, question.machine
    context, batch, m = load.context, load.batch, load.micro_batches
    smallest, first, baseline = found
    every = replace(one, pp=stages)
    rank_tokens = batch / float(one.dp)
    crosses = bool(2 * float(one.gpus) > machine.domain)
    each = hop(
        rank_tokens, model.d_model, precision.activation_bytes, one.tp, machine, share=question.efficiency.link_share, crosses=crosses
    )
    room = footprint(model, machine, precision, every, question.engine, context)
    fixed = batch * (m or baseline) if load.users is None else load.users
    flying = m or stages
    return Pipelines(
        question=question,
        precision=precision,
        stage=one,
        context=context,
        batch=batch,
        fixed_users=fixed,
        micro_batches=m,
        stages=stages,
        layers=np.ceil(model.n_layers / stages),
        gpus=stages * float(one.gpus),
        weights=np.asarray(room.weights) * np.ones_like(stages),
        reserved=float(np.max(room.reserved)),  # of the number of stages that leaves least
        capacity=float(room.capacity),
        users_max=np.asarray(room.batch_max) * np.ones_like(stages),
        holds=np.asarray(room.batch_max >= one.dp) & np.ones(len(stages), dtype=bool),
        by_micro_batch=_reading(question, precision, every, context, batch * flying + 0 * stages, flying),
        by_users=_reading(question, precision, every, context, fixed + 0 * stages, flying),
        hop=float(each.time),
        crossing=crossing_of(model, machine, precision, every),
        smallest=smallest,
        smallest_holding=first,
        baseline=baseline,
    )


def _reading(question: Question, precision: Precision, every: Layout, context: float, users: Column, flying: Number) -> StageCurves:
    """All stages with so many users in flight, in `flying` micro-batches where users suffice."""
    model, machine = question.model, question.machine
    stages = np.asarray(every.pp, dtype=float)
    micro = np.maximum(users / flying, 1.0)
    under_way = users / micro
    time = forward(model, machine, precision, every, Pass(decode=micro, context=context), question.efficiency, keep=True)
    hops = next((seconds for op, seconds in time.terms if op.name == "pipeline hops"), 0.0)
    way = np.asarray(time.estimate * pace(model, every)) * np.ones_like(stages)
    turn = np.maximum(under_way / stages, 1.0)  # with more micro-batches than stages a sequence waits for its turn
    tpot = np.maximum(way, (way - np.asarray(hops)) * turn)
    room = footprint(model, machine, precision, every, question.engine, context)
    cache = held(model, precision, every, context, users, fixed="users").cache
    dollars = np.asarray(billed_devices(every.gpus, machine)) * float(price_or_time(machine)) / HOUR * MTOK
    return StageCurves(
        micro=micro,
        users=users,
        cache=np.asarray(cache) * np.ones_like(stages),
        fits=np.asarray(room.used(users, every) <= room.capacity),
        tpot=tpot,
        tpot_bound=np.minimum(np.asarray(time.bound) * turn, tpot),
        hops=np.asarray(hops) * np.ones_like(stages),
        busy=np.asarray(utilisation(under_way, stages)),
        output_mtok=dollars * tpot / users,
    )


def _room(question: Question, precision: Precision, one: Layout, stages: Column, context: float) -> Column:
    """Sequences of a micro-batch that fit, for each number of stages."""
    held_ = footprint(question.model, question.machine, precision, replace(one, pp=stages), question.engine, context)
    return np.asarray(held_.batch_max / float(one.dp) / stages) // 1 * float(one.dp) * np.ones_like(stages)


def _fits(question: Question, precision: Precision, one: Layout, stages: Column, context: float, users: Number) -> Mask:
    every = replace(one, pp=stages)
    room = footprint(question.model, question.machine, precision, every, question.engine, context)
    return np.asarray(room.used(users, every) <= room.capacity)


def stage_layout(question: Question, precision: Precision, context: float) -> Layout:
    """Devices of one stage, within a scale-up domain: those of the preferred layout with the fewest stages that hold
    a sequence.

    Where no number of stages looked at holds one, the layout that puts the fewest bytes of weights on a device.
    """
    model, machine = question.model, question.machine
    every = layouts(model, machine, min(machine.domain, question.max_gpus))
    alone = np.flatnonzero(np.asarray(every.pp) == 1)
    if not len(alone):
        raise BadInput(f"no layout divides {model.name} over {machine.name}; try another machine")
    every = take(every, alone)
    for stages in (p for p in STAGES if p <= model.n_layers):
        pipes = replace(every, pp=np.full(len(alone), float(stages)))
        found = cheapest(question, precision, pipes, context, Policy())
        if found is not None:
            return replace(found, pp=1.0)
    weights = footprint(model, machine, precision, every, question.engine, context).weights
    order = np.lexsort((np.asarray(every.gpus), np.asarray(weights) * np.ones(len(alone))))
    return take(every, int(order[0]))


def _nothing(question: Question, precision: Precision, one: Layout, stages: Column) -> str:
    """Why not even the most stages hold the model."""
    model, machine = question.model, question.machine
    if len(stages) == 0:
        return f"a stage of {one.gpus:g} devices is larger than {machine.name}, which has no network beyond its domain"
    last = replace(one, pp=float(stages[-1]))
    room = footprint(model, machine, precision, last, question.engine, 1.0)
    words = f"{stages[-1]:g} stages of {one.label()}" if len(stages) > 1 else f"one stage of {one.label()}"
    network = ""
    if not float(machine.scaleout_bandwidth) > 0:
        network = f" and {machine.name} has no network to reach a further domain"
    return (
        f"{words} hold no sequence of {model.name}: a device would keep {show(float(room.weights), 'B')} of weights"
        f" and {show(float(np.max(room.reserved)), 'B')} in reserve, and has"
        f" {show(float(room.capacity), 'B')}{network};"
        f" take wider stages (--layout), shorter contexts or narrower weights, {show(weight_bytes(model), 'B')} now"
    )


# --- words --------------------------------------------------------------------------------------------------------


def verdict(p: Pipelines) -> str:
    """The decision in a sentence or two."""
    i = int(np.flatnonzero(p.stages == p.baseline)[0])
    weights, capacity = float(p.weights[i]), p.capacity
    share = f"{show(weights, 'B')} of {show(capacity, 'B')} per GPU ({weights / capacity:.0%})"
    if p.smallest == 1:
        gain = float(p.users_max[-1] / p.gpus[-1] / (p.users_max[0] / p.gpus[0])) - 1
        more = f"{p.stages[-1]:g} stages would leave room for {gain:.0%} more users per GPU"
        tail = f"; {more}" if len(p.stages) > 1 else ""
        return f"One stage is enough: the weights take {share}{tail}."
    if p.smallest:
        return f"{p.smallest} stages are the fewest that fit: the weights then take {share}."
    cache, r = float(p.by_micro_batch.cache[i]), p.by_micro_batch
    fitting = p.stages[p.by_users.fits]
    users = f" {p.fixed_users:,.0f} users in all would fit {fitting[0]:g} stages." if len(fitting) else ""
    return (
        f"No number of stages makes room for micro-batches of {r.micro[i]:,.0f} sequences: their cache takes"
        f" {show(cache, 'B')} per GPU however many there are. {p.baseline} stages hold the weights; take fewer"
        f" sequences, or wider stages.{users}"
    )


def buys_and_costs(p: Pipelines, i: int) -> tuple[str, str]:
    """What the stages of row i buy and cost against the baseline, in words."""
    b = int(np.flatnonzero(p.stages == p.baseline)[0])
    if i == b:
        return "baseline", ""
    if not p.holds[i]:
        return "", "does not hold the model"
    r = p.by_micro_batch
    more = float(p.users_max[i] / p.gpus[i] / (p.users_max[b] / p.gpus[b])) - 1
    freed = float(p.weights[b] - p.weights[i])
    slower = float(r.tpot[i] / r.tpot[b]) - 1
    dearer = float(p.by_users.output_mtok[i] / p.by_users.output_mtok[b]) - 1
    times = float(p.gpus[i] / p.gpus[b])
    if freed < 0:
        return f"{1 / times:.2g}x the GPUs", f"{show(-freed, 'B')} more weights per GPU"
    buys = f"{show(freed, 'B')} per GPU, room for {more:.0%} more users per GPU"
    more_users = f"{times:.3g}x users or " if p.micro_batches is None else ""
    costs = f"{more_users}{dearer:+.0%} $/token; TPOT {slower:+.1%}"
    return buys, costs


def dependencies(model: Model) -> tuple[str, ...]:
    """What ties layers together across stages, as far as the description says."""
    notes = []
    borrowed = sum(g.count for g in model.groups if g.mixer and any(not s.stored for s in g.mixer.streams))
    if borrowed:
        notes.append(f"{borrowed:g} layers read a cache that another layer keeps: they must share its stage, or the cache is sent along")
    kept = {_kept(g.mixer.streams) for g in model.groups if g.mixer and g.mixer.streams}
    if len(kept) > 1:
        notes.append(
            "layers keep caches of different sizes: whole layers do not divide the cache evenly over stages, which the table assumes"
        )
    shapes = {(bool(g.mixer), bool(g.ffn and g.ffn.n_experts)) for g in model.groups}
    if len(shapes) > 1:
        notes.append("layers are of different kinds: stages of equally many layers do not take equally long")
    if model.tied_embeddings:
        notes.append("embedding and head are one table: with stages the first and the last each keep a copy")
    return tuple(notes)


def _kept(streams: object) -> object:
    return tuple((s.elements, s.window, s.stride, s.chunk) for s in streams if s.stored)  # type: ignore[attr-defined]
