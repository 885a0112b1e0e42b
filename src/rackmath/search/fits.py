"""Whether a machine holds a model and its users, by how much, and what would make it.

One footprint (`layout.footprint`), the same that `plan` and `memory` count with: weights, what the engine keeps, and
a cache of the whole context for every user, spread evenly over the replicas that the machine holds. One of the users
of a device may be prefilled: layers that keep a window then hold the tokens of the steps under way as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..arrays import Number, take
from ..errors import BadInput
from ..kernel.counts import weight_bytes
from ..layout.footprint import Footprint, admitted_bytes, footprint
from ..layout.parallelism import Layout, illegal, shares_cache
from ..world import catalog
from ..world.gguf import served_in
from ..world.lengths import longest
from ..world.machine import Machine
from ..world.precision import Precision
from .grid import Column, Question, layouts
from .hosted import may_spill, spilled
from .preferred import Policy, cheapest, legal_layouts

SERVED = ("fp8", "w8a16", "nvfp4", "w4a16")
"""Formats of weights that servers are tried with where those asked for do not fit, the widest first."""

FILES = ("q8_0", "q6_k", "q5_k_m", "q4_k_m", "q3_k_m", "q2_k")
"""The same of files for home engines."""

TIMES = (2, 3, 4, 6, 8, 16, 32)
"""Multiples of the devices that are tried."""

ROUND = 1024.0
"""Contexts that are offered are multiples of so many tokens; shorter ones are whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What is asked: so many users with a cache of `context` tokens each, on a layout or on any."""

    question: Question
    precision: Precision
    users: float
    context: float
    layouts: Layout  # those that may be taken, as columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A demand on the layout that holds it with the cheapest tokens, or that comes closest; bytes of one device."""

    demand: Demand
    layout: Layout
    replicas: float
    holds: Footprint
    admitted: float  # bytes of cache of a user that is prefilled

    @property
    def share(self) -> float:
        """Users of the fullest replica."""
        return float(np.ceil(self.demand.users / self.replicas))

    @property
    def rank(self) -> float:
        """Users on the fullest device, spread evenly over attention-DP ranks."""
        return float(np.ceil(self.share / self.layout.dp))

    @property
    def caches(self) -> float:
        """Bytes of the caches on the fullest device, one of them while it is prefilled."""
        return (self.rank - 1) * float(self.holds.per_sequence) + self.admitted

    @property
    def needed(self) -> float:
        """Bytes that the fullest device would need."""
        return float(self.holds.weights) + float(self.holds.reserved) + self.caches

    @property
    def capacity(self) -> float:
        return float(self.holds.capacity)

    @property
    def fits(self) -> bool:
        return self.share <= float(_most(self.holds, self.admitted, self.layout))

    @property
    def short_by(self) -> float:
        """Bytes lacking on the fullest device; 0 where it fits."""
        return 0.0 if self.fits else self.needed - self.capacity

    @property
    def spare(self) -> float:
        """Bytes left over on the fullest device; 0 where it does not fit."""
        return max(self.capacity - self.needed, 0.0) if self.fits else 0.0

    @property
    def max_concurrency(self) -> float:
        """Requests of the whole context that a replica's cache admits, as vLLM logs it."""
        return float(self.holds.room / max(self.admitted, 1e-300) * self.layout.dp)

    @property
    def pool_tokens(self) -> float:
        """Tokens of cache of a replica, in requests of the whole context."""
        return float(np.floor(self.max_concurrency * self.demand.context))

    @property
    def most_users(self) -> float:
        """Users that all replicas hold."""
        return self.replicas * float(_most(self.holds, self.admitted, self.layout))


def _most(held: Footprint, admitted: Number, layout: Layout) -> Number:
    """Users of a replica: on each device one that is prefilled, and all others decoding."""
    more = np.floor(np.maximum(held.room - admitted, 0.0) / np.maximum(held.per_sequence, 1.0)) + 1
    alike = np.floor(held.room / np.maximum(held.per_sequence, 1.0))
    rank = np.where(np.asarray(admitted) > held.per_sequence, np.where(held.room >= admitted, more, 0.0), alike)
    found: Number = rank * layout.dp
    return found


def _cache(asked: Demand, layout: Layout, context: Number) -> tuple[Footprint, Number]:
    """What devices hold at a context, and what one of them needs to admit a user."""
    q = asked.question
    held = footprint(q.model, q.machine, asked.precision, layout, q.engine, context)
    return held, admitted_bytes(q.model, asked.precision, layout, q.engine, held, context)


def demand(
    question: Question,
    precision: Precision,
    users: float,
    context: float,
    *,
    layout: Layout | None = None,
    ways: Mapping[str, float] | None = None,
) -> Demand:
    """A demand on one layout, on those with so many `ways` ({"tp": 8}), or on any that is legal."""
    if layout is not None:
        every = Layout(**{name: np.full(1, float(getattr(layout, name))) for name in ("tp", "pp", "dp", "ep", "cp", "dcp")})
        return Demand(question=question, precision=precision, users=users, context=context, layouts=every)
    every = legal_layouts(question)
    if ways:
        every = _cut(question, every, ways)
    return Demand(question=question, precision=precision, users=users, context=context, layouts=every)


def _cut(q: Question, every: Layout, ways: Mapping[str, float]) -> Layout:
    """The layouts with so many ways of tensor parallelism, and the cache shared over so many of them."""
    named = " ".join(f"{name.upper()}{value:.0f}" for name, value in ways.items())
    dcp = ways.get("dcp", 1.0)
    if dcp > 1 and not shares_cache(q.engine, q.model):
        raise BadInput(f"{q.engine.name} does not share the cache of {q.model.name} over dcp; leave --dcp out")
    keep = np.broadcast_to(np.asarray(every.dcp) == 1, np.shape(every.tp)) if "dcp" in ways else np.full(np.shape(every.tp), True)
    found = take(every, keep & (np.asarray(every.tp) == ways.get("tp", every.tp)))
    if "dcp" in ways:
        found = replace(found, dcp=np.full(np.shape(found.tp), dcp))
        found = take(found, ~np.logical_or.reduce(list(illegal(q.model, found).values())))
    if not len(np.asarray(found.tp)):
        one = Layout(tp=ways.get("tp", dcp), dcp=dcp)
        why = [reason for reason, bad in illegal(q.model, one).items() if bad.any()]
        said = "; ".join(why) or f"its {q.machine.n_devices:g} devices do not divide so"
        raise BadInput(f"no layout with {named} cuts {q.model.name} over {q.machine.name}: {said}")
    return found


def holds(asked: Demand, prefer: Layout | None = None) -> Held:
    """The layout that holds a demand with the cheapest tokens, `prefer` where that holds it; else the closest one."""
    q = asked.question
    if prefer is not None and (one := _held(asked, prefer)).fits:
        return one
    every, ok, short = asked.layouts, *_enough(asked)
    if ok.any():
        best = cheapest(q, asked.precision, take(every, ok), asked.context, Policy())
        if best is not None:
            return _held(asked, best)
    least = np.flatnonzero(short <= short.min() * (1 + 1e-9) if short.min() > 0 else short <= short.min())
    return _held(asked, take(every, int(least[np.argmin(np.asarray(every.gpus)[least])])))


def _held(asked: Demand, layout: Layout) -> Held:
    held, admitted = _cache(asked, layout, asked.context)
    replicas = float(_replicas(asked.question, layout))
    return Held(demand=asked, layout=layout, replicas=replicas, holds=held, admitted=float(admitted))


def _replicas(q: Question, layout: Layout) -> Number:
    """Replicas that the machine holds; a home engine is one process, which all users share."""
    many: Number = np.floor(q.machine.n_devices / layout.gpus)
    return 0.0 * many + 1.0 if q.engine.local else many


def _enough(asked: Demand) -> tuple[Any, Any]:
    """Of every layout, whether it holds the demand, and the bytes that it lacks (below 0: has left)."""
    every = asked.layouts
    held, admitted = _cache(asked, every, asked.context)
    share = np.ceil(asked.users / _replicas(asked.question, every))
    lacks = held.weights + held.reserved + (np.ceil(share / every.dp) - 1) * held.per_sequence + admitted
    ok = np.broadcast_to(share <= _most(held, admitted, every), np.shape(every.gpus))
    return ok, np.broadcast_to(lacks - held.capacity, np.shape(every.gpus))


def fits(asked: Demand) -> bool:
    """Whether any of the layouts holds a demand."""
    return bool(_enough(asked)[0].any())


# --- how far it goes ------------------------------------------------------------------------------------------------


def fits_with_host(asked: Demand) -> bool:
    """Whether a home engine holds a demand that leaves experts or layers with the host, as `plan` tries it."""
    q = asked.question
    if not may_spill(q):
        return False
    rows = spilled(q, asked.layouts)
    room = footprint(q.model, q.machine, asked.precision, rows, q.engine, asked.context)
    return bool(np.any(room.holds(asked.users, rows)))


def most_users(asked: Demand) -> float:
    """Users of the whole context that the machine holds, on the best of the layouts for that."""
    every = asked.layouts
    held, admitted = _cache(asked, every, asked.context)
    return float(np.max(_replicas(asked.question, every) * np.asarray(_most(held, admitted, every))))


def users_at(held: Held, contexts: Column) -> Column:
    """Users that the machine holds on this layout, at each of some contexts."""
    room, admitted = _cache(held.demand, held.layout, contexts)
    return held.replicas * np.asarray(_most(room, admitted, held.layout)) * np.ones_like(contexts)


def longest_context(asked: Demand) -> float:
    """Tokens that each of the users can have at most, up to what the model was made for; 0 where not even one.

    Round numbers: a multiple of 1,024, or below that any; the context itself where it fits and none above does.
    """
    high = max(longest(asked.question.model), asked.context)
    whole = _largest(lambda n: fits(replace(asked, context=n * ROUND)), np.floor(high / ROUND)) * ROUND
    if fits(replace(asked, context=high)):
        return high
    if whole < asked.context and fits(asked):
        return asked.context
    return whole or _largest(lambda n: fits(replace(asked, context=n)), min(ROUND, high))


def _largest(holds_it: Callable[[float], bool], most: float) -> float:
    """The largest whole number up to `most` that holds, where all smaller ones do; 0 where 1 does not."""
    low, high = 0.0, float(most)
    if high >= 1 and holds_it(high):
        return high
    while high - low > 1:
        middle = np.floor((low + high) / 2)
        low, high = (middle, high) if holds_it(middle) else (low, middle)
    return low


# --- what would make it fit -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """A change that makes a demand fit: what it is, the inputs it changes, and how the changed demand is held."""

    kind: str  # "layout", "weights", "cache", "weights and cache", "users", "context", "together" or "devices"
    changes: Mapping[str, Any]
    held: Held


def remedies(asked: Demand, *, named: bool = False) -> Iterator[Remedy]:
    """Changes of one thing at a time that make a demand fit; of both formats, or of all, where none alone does.

    `named`: the layout was; another may hold the demand.
    """
    q = asked.question
    free = demand(q, asked.precision, asked.users, asked.context) if named else asked
    every = replace(free, layouts=layouts(q.model, q.machine, q.max_gpus, q.engine))  # shared copies too
    if named and fits(every):
        best = holds(every)
        yield Remedy(kind="layout", changes={"layout": best.layout.label(), "tp": None, "dcp": None}, held=best)
    here = [*_formats(asked), *_fewer(asked)]
    yield from here or _together(asked)
    yield from _devices(free)


def _fewer(asked: Demand) -> Iterator[Remedy]:
    """As many of the users as fit, or as long a context as all of them can have."""
    users, context = most_users(asked), longest_context(asked)
    if 1 <= users < asked.users:
        yield Remedy(kind="users", changes={"users": users}, held=holds(replace(asked, users=users)))
    if 1 <= context < asked.context:
        yield Remedy(kind="context", changes={"context": context}, held=holds(replace(asked, context=context)))


def _together(asked: Demand) -> Iterator[Remedy]:
    """One user, narrow weights and cache, and the context that then fits, of the widest weights that leave any."""
    for precision in [asked.precision, *narrower(asked.question, asked.precision)]:
        cache = next(iter(narrower_caches(asked)[-1:]), asked.precision).kv.name
        one = replace(asked, precision=precision.with_kv(cache), users=1.0)
        context = min(longest_context(one), asked.context)
        if context >= min(ROUND, asked.context):
            changes = {"precision": precision.name, "kv": cache, "users": 1.0, "context": context}
            same = {"precision": asked.precision.name, "users": asked.users, "context": asked.context}
            changes = {key: value for key, value in changes.items() if value != same.get(key)}
            yield Remedy(kind="together", changes=changes, held=holds(replace(one, context=context)))
            return


def _formats(asked: Demand) -> Iterator[Remedy]:
    own = asked.precision
    weights = list(narrower(asked.question, own))
    caches = narrower_caches(asked)

    def first(kind: str, tries: list[tuple[Precision, dict[str, Any]]]) -> Iterator[Remedy]:
        for precision, changes in tries:
            if fits(other := replace(asked, precision=precision)):
                yield Remedy(kind=kind, changes=changes, held=holds(other))
                return

    alone = [*first("weights", [(w, {"precision": w.name}) for w in weights]), *first("cache", [(c, {"kv": c.kv.name}) for c in caches])]
    both = [(w.with_kv(c.kv.name), {"precision": w.name, "kv": c.kv.name}) for w in weights for c in caches]
    yield from alone or first("weights and cache", both)


def narrower(q: Question, own: Precision) -> Iterator[Precision]:
    """The formats of weights that take less than their own, the widest first, that the machine's engines run."""
    size = weight_bytes(q.model, own)
    for name in FILES if q.engine.local else SERVED:
        one = served_in(q.model, name, own.kv.name)
        runs = q.engine.local or all(q.machine.multiplies(f.compute) for f in (one.mlp, one.experts))
        if runs and weight_bytes(q.model, one) < 0.98 * size:
            size = weight_bytes(q.model, one)
            yield one


def narrower_caches(asked: Demand) -> list[Precision]:
    """The same weights with narrower caches, the widest first."""
    own = asked.precision
    names = ("q8_0", "q4_0") if asked.question.engine.local else ("fp8",)
    return [one for one in (own.with_kv(name) for name in names) if one.kv.bytes < own.kv.bytes]


def _devices(asked: Demand) -> Iterator[Remedy]:
    """The fewest times as many devices that hold a demand, where a name says so many."""
    q = asked.question
    for times in TIMES:
        machine = several(q.machine, times)
        if not _named(machine):
            return
        wider = replace(q, machine=machine, max_gpus=machine.n_devices)
        more = demand(wider, asked.precision, asked.users, asked.context)
        if fits(more):
            changes = {"on": machine.name, "layout": None, "tp": None, "dcp": None}
            yield Remedy(kind="devices", changes=changes, held=holds(more))
            return


def _named(machine: Machine) -> bool:
    """Whether the name of a machine means as many devices as it has."""
    try:
        return catalog.machine(machine.name).n_devices == machine.n_devices
    except BadInput:
        return False


def several(machine: Machine, times: int) -> Machine:
    """So many times as many devices, under a name of the catalogue.

    >>> from rackmath.world import catalog
    >>> [several(catalog.machine(name), 2).name for name in ("h100", "8xh100", "gb200-nvl72")]
    ['2xh100', '16xh100', '2xgb200-nvl72']
    """
    counted = re.fullmatch(r"(\d+)x(.+)", machine.name)
    count, name = (int(counted[1]), counted[2]) if counted else (1, machine.name)
    return replace(machine, name=f"{count * times}x{name}", n_devices=machine.n_devices * times)
