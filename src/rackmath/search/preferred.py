"""The layout that is taken where none is given: one that a person would run for the question.

One rule for every command. The machine is paid for as a whole, so the best layout is the one with the cheapest
tokens: with a batch named, the one that passes it fastest; with none, the one whose replicas make most tokens, filled
as the policy lets them be. Only layouts that hold what is asked count, and of those only the ones with the fewest
pipeline stages. Of layouts nearly as good as the best (3 % for a pass, 10 % for a filled machine) the
simplest is taken: replicas that divide the machine evenly, whole experts, the widest data parallelism of attention.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ..arrays import Mask, Number, take
from ..economics.cost import billed_devices
from ..errors import BadInput, Infeasible
from ..kernel.counts import Pass, weight_bytes
from ..kernel.roofline import PassTime
from ..layout.footprint import footprint
from ..layout.forward import forward
from ..layout.parallelism import Layout, stage_share, under_way
from ..world.model import Model
from ..world.precision import Precision
from .grid import Column, Question, layouts

NEAR_PASS = 0.03
NEAR_FILLED = 0.1
"""Layouts whose tokens cost so much more than the cheapest are nearly as good. A filled machine may be split into
replicas in many ways that cost nearly the same; one replica over all of it is the simplest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How many sequences decode together: as many as fit, but no more than `batch`, nor than `max_tpot` allows.

    `max_tpot` in seconds per output token, at the estimate.
    """

    max_tpot: float = math.inf
    batch: float = math.inf

    def __post_init__(self) -> None:
        if not self.max_tpot > 0:
            raise BadInput(f"max_tpot = {self.max_tpot!r} is impossible; give a time above 0")
        if not self.batch >= 1:
            raise BadInput(f"batch = {self.batch!r} is impossible; give 1 sequence or more")


def pace(model: Model, layout: Layout) -> Number:
    """The fullest pipeline stage over the mean: all move at its pace."""
    return stage_share(model, layout) * layout.pp


def served(question: Question, precision: Precision, layout: Layout, context: Number, policy: Policy) -> tuple[Column, Column, PassTime]:
    """The sequences a replica holds, those the policy lets decode (0 where none can), and the time of their step.

    `context` or the layout may be columns.
    """
    model, machine = question.model, question.machine

    def step(batch: Number) -> PassTime:
        micro = np.maximum(batch / under_way(question.engine, layout), 1.0)
        return forward(model, machine, precision, layout, Pass(decode=micro, context=context), question.efficiency)

    room = footprint(model, machine, precision, layout, question.engine, context)
    capacity = np.asarray(room.batch_max, dtype=float) * np.ones_like(np.asarray(context * layout.gpus, dtype=float))
    top = np.maximum(np.minimum(capacity, policy.batch), 1.0)
    if policy.max_tpot < math.inf:
        uneven = pace(model, layout)
        low, high = np.zeros_like(top), np.log(top)
        allowed = step(np.ones_like(top)).estimate * uneven <= policy.max_tpot
        whole = step(top).estimate * uneven <= policy.max_tpot
        for _ in range(24 if not np.all(whole) else 0):
            middle = (low + high) / 2
            keeps = step(np.exp(middle)).estimate * uneven <= policy.max_tpot
            low, high = np.where(keeps, middle, low), np.where(keeps, high, middle)
        top = np.where(whole, top, np.maximum(np.floor(np.exp(low) + 1e-6), 1.0))
        capacity_or_none = np.where(allowed, capacity, 0.0)
    else:
        capacity_or_none = capacity
    return capacity, np.where(capacity_or_none >= 1, top, 0.0), step(top)


# --- the choice ---------------------------------------------------------------------------------------------------


def preferred_layout(question: Question, precision: Precision, context: float, policy: Policy) -> Layout:
    """The layout for as many sequences of `context` tokens as the policy lets the machine decode.

    Where none runs there, the one for a quarter of the context, and so on down; where not even that, nothing does.

    >>> from rackmath.kernel.efficiency import calibrated
    >>> from rackmath.world import catalog
    >>> from rackmath.world.engine import TYPICAL
    >>> from rackmath.world.workload import Traffic
    >>> v3, hall = catalog.model("deepseek-ai/DeepSeek-V3"), catalog.machine("144xh800")
    >>> asked = Question(model=v3, machine=hall, traffic=Traffic(isl=4096, osl=1), engine=TYPICAL, max_gpus=144,
    ...     efficiency=calibrated(hall.generation, TYPICAL), precisions=(v3.precision,))
    >>> preferred_layout(asked, v3.precision, 4096, Policy()).label()
    'TP1 DP72 EP72'
    """
    every = legal_layouts(question)
    length = context
    while length >= 1:
        found = cheapest(question, precision, every, length, policy)
        if found is not None:
            return found
        length /= 4
    model, machine = question.model, question.machine
    if policy.max_tpot < math.inf:
        raise Infeasible(
            f"{model.name} does not decode a single sequence on {machine.name} within {policy.max_tpot * 1e3:g} ms a"
            " token; take more devices, narrower weights (--precision fp8), or a slower pace"
        )
    raise Infeasible(
        f"the weights of {model.name}, {weight_bytes(model, precision) / 1e9:,.0f} GB, leave no room for a cache in"
        f" the {float(machine.hbm_capacity) * float(machine.n_devices) / 1e9:,.0f} GB of {machine.name}; take more"
        " devices or narrower weights (--precision fp8)"
    )


def cheapest(question: Question, precision: Precision, every: Layout, context: float, policy: Policy) -> Layout | None:
    """Of some layouts, the one to take for sequences of `context` tokens; None where none holds one of them."""
    _, batch, time = served(question, precision, every, context, policy)
    seconds = np.asarray(time.estimate) * pace(question.model, every)
    paid = billed_devices(every.gpus, question.machine)
    cost = paid * seconds / np.maximum(batch, 1.0)
    runs = (batch >= 1) & np.isfinite(cost)
    return _simplest(every, cost, runs, question, NEAR_FILLED) if runs.any() else None


def layout_for_pass(question: Question, precision: Precision, work: Pass) -> Layout:
    """The layout for one pass of a replica: `work.decode` sequences in all, beside `work.prefill` prompt tokens.

    Where none holds so much, the fastest of those that hold one sequence; where none does, the one with most room of
    those with fewest stages: what is then computed is arithmetic only.
    """
    every = legal_layouts(question)
    model, machine = question.model, question.machine
    prompt = work.prompt if float(work.prefill) else 0.0
    room = footprint(model, machine, precision, every, question.engine, work.context, prompt)
    each = replace(work, decode=work.decode / under_way(question.engine, every), busiest=1 / every.dp if prompt else 1.0)
    time = forward(model, machine, precision, every, each, question.efficiency)
    seconds = np.asarray(time.estimate) * pace(model, every)
    runs = np.asarray(room.used(work.decode, every) <= room.capacity) & np.isfinite(seconds)
    if not runs.any():
        holds = np.asarray(room.batch_max) >= 1
        fewest = np.asarray(every.pp) == np.min(every.pp)
        free = np.where(fewest, room.capacity - room.weights - room.reserved, -np.inf)
        runs = holds if holds.any() else free >= free.max()
    return _simplest(every, seconds, runs, question, NEAR_PASS)


def layout_for_curve(question: Question, precision: Precision, context: float) -> Layout:
    """The layout for decoding at any batch: the preferred one of a filled machine.

    Where not one sequence fits, the one of a pass of one sequence: the curve is arithmetic only.
    """
    try:
        return preferred_layout(question, precision, context, Policy())
    except Infeasible:
        return layout_for_pass(question, precision, Pass(decode=1.0, context=context))


def legal_layouts(question: Question) -> Layout:
    """Every legal layout of the question's machine that one would run; refused where there is none.

    Caches shared over dcp, of which no run was measured, are taken where they are asked for only.
    """
    every = layouts(question.model, question.machine, question.max_gpus, question.engine)
    every = take(every, np.broadcast_to(np.asarray(every.dcp) == 1, np.shape(every.tp)))
    if not len(np.asarray(every.tp)):
        raise BadInput(f"no layout divides {question.model.name} over {question.machine.name}; try another number of devices")
    return every


def _simplest(every: Layout, cost: Column, runs: Mask, question: Question, near: float) -> Layout:
    """Of the layouts that run, with fewest stages and within `near` of the cheapest of those, the simplest."""
    stages = np.where(runs, every.pp, np.inf)
    few = np.where(stages == stages.min(), cost, np.inf)
    dear = few > few.min() * (1 + near)
    uneven = question.machine.n_devices % every.gpus != 0
    cut = every.moe_tp if question.model.has_experts else np.zeros_like(few)
    simple = (-np.asarray(every.dp), cut, uneven, dear)
    order = np.lexsort((few, *(np.asarray(key, dtype=float) for key in simple)))
    return take(every, int(order[0]))
