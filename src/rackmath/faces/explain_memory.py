"""The terms of a model in memory and of drain times."""

from __future__ import annotations

import numpy as np

from ..search.balance import weight_format
from ..views import pass_terms
from ..views.machine_terms import Node, count, difference, given, of_machine, product, quotient, stated, total
from .ask_memory import DrainAnswer, MemoryAnswer


def drains(answer: DrainAnswer) -> Node:
    """Every drain time: capacity over bandwidth, with the sources of both."""
    nodes = []
    for d in answer.drains:
        source = "; ".join(s.text + ("" if s.verified else ", unverified") for s in d.sources)
        nodes.append(
            stated("quotient", f"{d.machine}: {d.tier}", d.drain, "s",
                   Node(name="capacity", value=d.capacity, unit="B", source=source),
                   Node(name="bandwidth", value=d.bandwidth, unit="B/s", source=source))
        )  # fmt: skip
    return Node(name="drain times", children=tuple(nodes))


def memory(answer: MemoryAnswer) -> Node:
    """Drain time, share of the weights, floor, B*, MFU when full, and the users of the reference context."""
    from ..kernel.counts import cache_bytes, weight_bytes, weight_flops

    m = answer.memory
    q, machine, model = m.question, m.question.machine, m.question.model
    capacity = of_machine(machine, "hbm_capacity", "memory")
    bandwidth = of_machine(machine, "hbm_bandwidth", "memory bandwidth")
    devices = of_machine(machine, "n_devices", "devices")
    box = of_machine(machine, "hbm_nominal", "memory on the box")
    drain = stated("quotient", "drain time", m.drain, "s", box, bandwidth,
                   note="the longest useful memory time of a step, not its floor")  # fmt: skip
    held = Node(name="weights on the fullest device", value=float(m.holds.weights), unit="B", note=m.layout.label())
    share = stated("quotient", "weights' share of HBM", m.share, "share", held, box)
    read = quotient("weights read once", "s", held, bandwidth)
    floor = stated("product", "floor of a step", m.floor, "s", read, count("pp", float(m.layout.pp)))
    whole = Node(name="weights, one copy", value=weight_bytes(model, m.precision), unit="B", source=model.source)
    once = stated("quotient", "share of one copy", m.share_once, "share", whole, box, devices)
    main = weight_format(model, m.precision)
    peak = of_machine(
        machine, pass_terms.peak_field(q, main.compute, float(machine.peak(main.compute))),
        f"peak {main.compute.upper()}",
    )  # fmt: skip
    balance = Node(name="B*", value=m.balance, note="R x total / active; explain batch shows its terms")
    flops = Node(name="FLOPs per token", value=weight_flops(model), unit="FLOP")
    multiply = stated("quotient", "computing at B*", m.compute_at_balance, "s",
                      product("FLOPs of B* tokens", "FLOP", balance, flops), peak, devices)  # fmt: skip
    if m.compute_at_balance <= m.drain:
        mfu = stated("quotient", "MFU, HBM full at B*", m.mfu_full, "share", multiply, drain)
    else:
        mfu = Node(name="MFU, HBM full at B*", value=1.0, note="computing takes longer than draining",
                   children=(multiply, drain))  # fmt: skip
    engine = f"engine {q.engine.name} {q.engine.version}".strip()
    kept = stated(
        "sum", "reserve", m.reserve, "B", *(given(name, value, "B", by=engine) for name, value in m.terms.items()),
        note="neither weights nor cache; on the first stage",
    )  # fmt: skip
    left = difference("room for cache on a device", "B", capacity, total("weights and reserve", "B", held, kept))
    all_memory = product("memory of all devices", "B", capacity, devices)
    room = difference("room for caches", "B", all_memory, whole)
    one = Node(name="cache of one user", value=float(np.asarray(cache_bytes(model, m.reference, m.precision))),
               unit="B", note=f"{m.reference:,.0f} tokens, all layers")  # fmt: skip
    ideal = quotient("users, ideal", "", room, one, note="all HBM, one copy of the weights, no reserve")
    per = count("users per replica", float(m.holds.batch_max), "engine reserve kept, caches whole on their devices")
    users = product("users", "", count("replicas", m.replicas, m.layout.label()), per)
    return Node(
        name=f"{model.name} in the memory of {machine.name}, {m.layout.label()}",
        children=(drain, share, floor, once, mfu, left, users, ideal),
    )
