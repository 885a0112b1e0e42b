"""What the memory of a machine means for a model: drain time, share of weights, users, and what a context displaces.

Draining (reading all of a memory once, C / M) is an upper useful limit of a decode step: a step that takes longer
reads something twice or computes. It is not a floor: the floor is reading the weights once, their share of the memory
times the drain time. A step comes near the drain time only when the memory is full of what every step reads (LECTURE
sections 8, 9 and 21). Drain times and shares are of the memory on the box, as data sheets and the lecture count it;
what fits is counted in the bytes that the driver shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..economics.cost import billed_devices
from ..kernel.counts import cache_bytes, weight_bytes
from ..kernel.roofline import drain_time
from ..layout.footprint import Footprint, concurrency, footprint
from ..layout.parallelism import Layout
from ..layout.reserve import reserve
from ..world.machine import Machine, Source
from ..world.precision import Precision
from .balance import balance, full_context, multiply_time, sequences_held
from .grid import Column, Question
from .preferred import Policy, pace, preferred_layout, served


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """One memory of one device: bytes on the box, B/s, and the seconds it takes to read all of it once."""

    machine: str
    accelerator: str
    tier: str
    capacity: float
    bandwidth: float
    drain: float
    year: int
    sources: tuple[Source, ...]

    @property
    def verified(self) -> bool:
        return bool(self.sources) and all(s.verified for s in self.sources)


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """Columns over contexts: what one user takes, how many fit the machine, and their step when it is full.

    `users`: over all replicas, engine reserve kept. `ideal`: all memory, one copy of weights and of each cache.
    `displaced`: users of the reference context that one user takes the room of. `fill`: share of HBM with weights
    and cache in it. `mfu`: time of the multiplications at peak over the estimate. Dollars per user and hour; 0
    where the machine has no price. A column is 0 or NaN where nobody fits.
    """

    context: Column
    per_user: Column
    users: Column
    ideal: Column
    displaced: Column
    fill: Column
    step: Column
    bound: Column
    mfu: Column
    user_hour: Column


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingMemory:
    """A model in the memory of a machine, on one layout; bytes of the fullest device, seconds, shares."""

    question: Question
    layout: Layout
    replicas: float
    precision: Precision
    reference: float
    holds: Footprint
    terms: Mapping[str, float]  # what the engine keeps on a device of the first stage, which logs print
    pool_tokens: float  # tokens of cache of one replica, in sequences of `reference` tokens
    drains: tuple[Drain, ...]
    drain: float
    share: float  # f of the layout: weights of the fullest device over the HBM on its box
    share_once: float  # f of the machine: one copy of the weights over all its HBM
    floor: float  # seconds to read the weights once, stage after stage
    balance: float  # B*, weights only
    compute_at_balance: float  # seconds to multiply B* tokens by the weights, on all devices
    mfu_full: float  # at B = B* with the rest of HBM full of cache: compute over drain
    full_context: float  # the context at which B* sequences fill HBM
    users: Users

    @property
    def reserve(self) -> float:
        """Bytes on a device of the first stage that are neither weights nor cache."""
        return sum(self.terms.values())

    @property
    def room(self) -> float:
        """Bytes left for cache on a device of the first stage; below 0 what is lacking.

        With several stages the last may have less: it also turns logits into tokens. `holds` counts that one.
        """
        return float(self.holds.capacity) - float(self.holds.weights) - self.reserve


def drains(machine: Machine) -> tuple[Drain, ...]:
    """Every memory of one device, nearest first, with its drain time.

    >>> h100 = Machine(name="h100", accelerator="H100", hbm_capacity=80e9, hbm_bandwidth=3.35e12)
    >>> [(d.tier, round(d.drain, 4)) for d in drains(h100)]
    [('HBM', 0.0239)]
    """
    found = [machine.sources.get(name) for name in ("hbm_nominal", "hbm_bandwidth")]
    own = tuple(dict.fromkeys(s for s in found if s is not None))
    rows = [(machine.memory_type, float(machine.box), float(machine.hbm_bandwidth), own)]
    rows += [(t.name, t.capacity, t.bandwidth, (t.source,) if t.source else ()) for t in machine.tiers]
    return tuple(
        Drain(
            machine=machine.name,
            accelerator=machine.accelerator,
            tier=tier,
            capacity=capacity,
            bandwidth=bandwidth,
            drain=float(drain_time(capacity, bandwidth)),
            year=machine.year,
            sources=sources,
        )
        for tier, capacity, bandwidth, sources in rows
    )


def memory(question: Question, precision: Precision, contexts: Column, *, reference: float, layout: Layout | None = None) -> ServingMemory:
    """The model in the machine's memory; without a layout, on the preferred one for users of `reference` tokens."""
    model, machine = question.model, question.machine
    chosen = layout or preferred_layout(question, precision, reference, Policy())
    replicas = float(np.floor(machine.n_devices / float(chosen.gpus)))
    holds = footprint(model, machine, precision, chosen, question.engine, reference)
    first = holds.terms
    if not question.engine.local:
        first = reserve(model, machine, precision, chosen, question.engine, holds.weights, reference, last=False)
    box, bandwidth = float(machine.box), float(machine.hbm_bandwidth)
    drain = float(drain_time(box, bandwidth))
    weights = float(holds.weights)
    at_balance = balance(model, machine, precision)
    multiply = at_balance * multiply_time(model, machine, precision) / float(machine.n_devices)
    return ServingMemory(
        question=question,
        layout=chosen,
        replicas=replicas,
        precision=precision,
        reference=reference,
        holds=holds,
        terms={name: float(value) for name, value in first.items()},
        pool_tokens=float(np.floor(concurrency(model, precision, chosen, question.engine, holds, reference) * reference)),
        drains=drains(machine),
        drain=drain,
        share=weights / box,
        share_once=weight_bytes(model, precision) / (box * float(machine.n_devices)),
        floor=weights / bandwidth * float(chosen.pp),
        balance=at_balance,
        compute_at_balance=multiply,
        mfu_full=min(1.0, multiply / max(drain, multiply)),
        full_context=full_context(model, machine, precision, at_balance),
        users=_users(question, precision, chosen, replicas, np.asarray(contexts, dtype=float), reference),
    )


def _users(question: Question, precision: Precision, layout: Layout, replicas: float, contexts: Column, reference: float) -> Users:
    model, machine = question.model, question.machine
    capacity, batch, time = served(question, precision, layout, contexts, Policy())
    room = footprint(model, machine, precision, layout, question.engine, contexts)
    runs = batch >= 1
    ones = np.ones_like(contexts)
    cache = room.used(batch, layout) - room.reserved
    price = replicas * float(billed_devices(layout.gpus, machine)) * float(machine.price_per_hour)
    users = replicas * capacity
    at_reference = float(np.asarray(cache_bytes(model, reference, precision)))
    per_user = np.asarray(cache_bytes(model, contexts, precision)) * ones
    estimate = np.asarray(time.estimate) * pace(model, layout)
    return Users(
        context=contexts,
        per_user=per_user,
        users=users,
        ideal=np.floor(np.asarray(sequences_held(model, machine, precision, contexts)) * ones),
        displaced=per_user / max(at_reference, 1e-300),
        fill=np.where(runs, cache / float(machine.hbm_capacity), np.nan),
        step=np.where(runs, estimate, np.nan),
        bound=np.where(runs, time.bound * ones, np.nan),
        mfu=np.where(runs, time.compute / estimate, np.nan),
        user_hour=np.where(users >= 1, price / np.maximum(users, 1.0), np.nan),
    )
