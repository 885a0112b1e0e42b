"""Memories of devices and their drain times, as rows and terms."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..answers.terms import Term, count, difference, given, product, quotient, stated, total
from ..kernel.counts import cache_bytes, weight_bytes, weight_flops
from ..search.balance import weight_format
from ..search.fits import Held
from ..search.memory import Drain, ServingMemory
from . import pass_terms
from .machine_terms import of_machine


def row(d: Drain) -> dict[str, Any]:
    """One memory of one device."""
    return {
        "machine": d.machine,
        "accelerator": d.accelerator,
        "year": d.year or None,
        "tier": d.tier,
        "capacity": d.capacity,
        "bandwidth": d.bandwidth,
        "drain": d.drain,
        "source": "; ".join(s.text for s in d.sources),
        "date": next((s.date for s in d.sources if s.date), ""),
        "verified": d.verified,
    }


def drain(d: Drain) -> Term:
    """Capacity over bandwidth, with the sources of both."""
    source = "; ".join(s.text + ("" if s.verified else ", unverified") for s in d.sources)
    size = Term(name="capacity", value=d.capacity, unit="B", source=source)
    rate = Term(name="bandwidth", value=d.bandwidth, unit="B/s", source=source)
    return stated("quotient", f"{d.machine}: {d.tier}", d.drain, "s", size, rate)


def of_model(m: ServingMemory) -> Term:
    """Drain time, share of the weights, floor, B*, MFU when full, and the users of the reference context."""
    machine, model = m.question.machine, m.question.model
    bandwidth = of_machine(machine, "hbm_bandwidth", "memory bandwidth")
    devices = of_machine(machine, "n_devices", "devices")
    box = of_machine(machine, "hbm_nominal", "memory on the box")
    drained = stated("quotient", "drain time", m.drain, "s", box, bandwidth, note="the longest useful memory time of a step, not its floor")
    held = Term(name="weights on the fullest device", value=float(m.holds.weights), unit="B", note=m.layout.label())
    share = stated("quotient", "weights' share of HBM", m.share, "share", held, box)
    read = quotient("weights read once", "s", held, bandwidth)
    floor = stated("product", "floor of a step", m.floor, "s", read, count("pp", float(m.layout.pp)))
    whole = Term(name="weights, one copy", value=weight_bytes(model, m.precision), unit="B", source=model.source)
    once = stated("quotient", "share of one copy", m.share_once, "share", whole, box, devices)
    return Term(
        name=f"{model.name} in the memory of {machine.name}, {m.layout.label()}",
        children=(drained, share, floor, once, _full(m, drained, devices), *_users(m, held, whole, devices)),
    )


def _full(m: ServingMemory, drained: Term, devices: Term) -> Term:
    """MFU where B* sequences fill the memory."""
    q, machine = m.question, m.question.machine
    main = weight_format(q.model, m.precision)
    field = pass_terms.peak_field(q, main.compute, float(machine.peak(main.compute)))
    peak = of_machine(machine, field, f"peak {main.compute.upper()}")
    balance = Term(name="B*", value=m.balance, note="R x total / active; explain batch shows its terms")
    flops = Term(name="FLOPs per token", value=weight_flops(q.model), unit="FLOP")
    multiply = stated(
        "quotient", "computing at B*", m.compute_at_balance, "s", product("FLOPs of B* tokens", "FLOP", balance, flops), peak, devices
    )
    if m.compute_at_balance <= m.drain:
        return stated("quotient", "MFU, HBM full at B*", m.mfu_full, "share", multiply, drained)
    return Term(name="MFU, HBM full at B*", value=1.0, note="computing takes longer than draining", children=(multiply, drained))


def _users(m: ServingMemory, held: Term, whole: Term, devices: Term) -> tuple[Term, Term, Term]:
    """Room for cache on a device, users of the reference context, and those of a memory without loss."""
    q = m.question
    capacity = of_machine(q.machine, "hbm_capacity", "memory")
    engine = f"engine {q.engine.name} {q.engine.version}".strip()
    kept = stated(
        "sum",
        "reserve",
        m.reserve,
        "B",
        *(given(name, value, "B", by=engine) for name, value in m.terms.items()),
        note="neither weights nor cache; on the first stage",
    )
    left = difference("room for cache on a device", "B", capacity, total("weights and reserve", "B", held, kept))
    room = difference("room for caches", "B", product("memory of all devices", "B", capacity, devices), whole)
    one = Term(
        name="cache of one user",
        value=float(np.asarray(cache_bytes(q.model, m.reference, m.precision))),
        unit="B",
        note=f"{m.reference:,.0f} tokens, all layers",
    )
    ideal = quotient("users, ideal", "", room, one, note="all HBM, one copy of the weights, no reserve")
    per = count("users per replica", float(m.holds.batch_max), "engine reserve kept, caches whole on their devices")
    return left, product("users", "", count("replicas", m.replicas, m.layout.label()), per), ideal


def of_fit(m: Held) -> Term:
    """What the fullest device would need beside what it has, and how many requests the room for caches holds."""
    machine, held = m.demand.question.machine, m.holds
    engine = f"engine {m.demand.question.engine.name} {m.demand.question.engine.version}".strip()
    capacity = of_machine(machine, "hbm_capacity", "memory")
    weights = Term(name="weights on the fullest device", value=float(held.weights), unit="B", note=m.layout.label())
    terms = (given(name, float(value), "B", by=engine) for name, value in held.terms.items())
    kept = stated("sum", "reserved by the engine", float(held.reserved), "B", *terms)
    one = Term(
        name="cache of a user",
        value=float(held.per_sequence),
        unit="B",
        note=f"{m.demand.context:,.0f} tokens, in the blocks of the engine",
    )
    first = Term(name="cache of a user that is prefilled", value=m.admitted, unit="B", note="windows and the steps under way")
    others = product("caches of the others", "B", count("users on a device but one", m.rank - 1), one)
    needed = total("memory needed", "B", weights, kept, total("caches", "B", first, others))
    room = difference("room for caches", "B", capacity, weights, kept)
    lacks = difference("short by", "B", needed, capacity, note="below 0: headroom")
    if float(held.room) <= 0:
        return Term(name="whether it fits", children=(lacks, room))
    many = product("maximum concurrency", "", quotient("on a device", "", room, first), count("dp", float(m.layout.dp)))
    pool = product("tokens of cache", "", many, given("context", m.demand.context))
    return Term(name="whether it fits", children=(lacks, many, pool))
