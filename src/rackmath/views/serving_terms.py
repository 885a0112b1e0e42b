"""The terms of the steady state and of the fleet: mixed steps, waiting, replicas, dollars a month, watts.

Each says how the answer's own value comes about. Where a plan was made in a way these words do not cover, the value
stands alone with a note: a formula is shown only if it gives that value.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .machine_terms import Node, count, difference, given, of_machine, product, quotient, stated, total

if TYPE_CHECKING:
    from ..economics.fleet import Fleet
    from ..search.choice import Plan


def proven(node: Node, note: str) -> Node:
    """The node, or its value alone with a note where its terms do not give that value."""
    return node if node.follows() else Node(name=node.name, value=node.value, unit=node.unit, note=note)


def due(p: Plan, batch: Node, steps: Node) -> Node:
    """Prompt tokens a rank must prefill in a mean step, to replace the sequences that finish."""
    traffic = p.question.traffic
    from ..layout.parallelism import under_way

    fresh = count("fresh tokens of a prompt", max(float(traffic.isl) * (1 - float(traffic.cached)), 1.0))
    others = [] if traffic.users is None else [count("of others", 1 - 1 / p.batch, "a user's own prompt slows nobody")]
    of_all = product("prompt tokens in a life", "", batch, fresh, *others)
    micro = count("micro-batches", float(under_way(p.question.engine, p.layout)), "pp, or 1 where cards work in turn")
    ways = [micro, count("dp", float(p.layout.dp))]
    return quotient("prompt tokens due per step and rank", "", of_all, steps, *ways)


def mixed(p: Plan, batch: Node, steps: Node) -> Node:
    """The share of steps that also carry prefill."""
    s, words = p.serving, "steps that also carry prefill"
    chunk = count("chunk", float(s.chunk), "prefill tokens of a rank in such a step")
    own = quotient("share of a rank's steps with a chunk", "share", due(p, batch, steps), chunk)
    dp, pp, hold = float(p.layout.dp), float(p.layout.pp), p.question.engine.align_steps
    why = []
    if dp > 1:
        why.append(f"{dp:.0f} ranks hold their chunks back for at most {hold:g} steps to run them together")
    if pp > 1:
        why.append(f"one of {pp:.0f} micro-batches with a chunk slows the round of all")
    if why:
        note = f"{words}: {'; '.join(why)}"
        return Node(name="mixed share", value=float(s.mixed), unit="share", note=note, children=(own,))
    return proven(stated("sum", "mixed share", float(s.mixed), "share", own, note=words), words)


def waiting(p: Plan, service: Node, batch: Node, steps: Node) -> tuple[Node, Node]:
    """Mean and median time behind other prompts: one server with constant service time, requests at random."""
    from ..layout.parallelism import under_way
    from ..serving.steady import BUSY_LIMIT

    s, q = p.serving, p.question
    rank = math.ceil(max(p.batch / float(under_way(q.engine, p.layout)), 1.0) / float(p.layout.dp))
    room = difference(
        "room for prefill in a step", "", given("engine.chunk_tokens", q.engine.chunk_tokens), count("decode tokens of a rank", rank)
    )
    load = quotient("load of prefill", "share", due(p, batch, steps), room)
    share = load.value or 0.0
    alone = "behind other prompts"
    if share > BUSY_LIMIT:
        return (
            Node(name="waiting, mean", value=float(s.wait), unit="s", note=alone),
            Node(name="waiting, median", value=float(s.wait_median), unit="s", note=alone),
        )
    idle = difference("share left", "share", count("1", 1.0), load)
    if_waiting = quotient("of those who wait", "s", service, count("2", 2.0), idle)
    mean = stated("product", "waiting, mean", float(s.wait), "s", load, if_waiting)
    if share <= 0.5:
        median = Node(
            name="waiting, median",
            value=float(s.wait_median),
            unit="s",
            note=f"prefill is busy {share:.0%} of the time: half of all requests find it free",
        )
    else:
        log = count("ln(2 x load)", math.log(2 * share))
        median = stated("product", "waiting, median", float(s.wait_median), "s", if_waiting, log)
    return proven(mean, alone), proven(median, alone)


def fleet(f: Fleet, p: Plan, rate: Node, use: Node) -> Node:
    """Replicas, machines, dollars a month, power and energy of a fleet."""
    from ..economics.fleet import HOURS_PER_MONTH

    machine = p.machine
    asked = given("requests per second", f.rate)
    exact = quotient("replicas that carry the rate", "", asked, rate, use)
    needed = Node(name="replicas needed", value=float(f.replicas) - f.spare, note="rounded up", children=(exact,))
    replicas = stated("sum", "replicas", float(f.replicas), "", needed, given("spare", f.spare))
    unit = min(float(machine.domain), float(machine.n_devices))
    gpus = float(p.layout.gpus)
    fit = f"{unit // gpus:.0f} replicas to each" if gpus <= unit else f"{math.ceil(gpus / unit)} to each replica"
    machines = Node(name="machines", value=float(f.machines), note=f"{fit}, rounded up", children=(replicas,))
    billed = stated("product", "devices paid for", float(f.billed), "", machines, count("devices of a machine", unit))
    found = [billed]
    if float(machine.price_per_hour) > 0:
        price = of_machine(machine, "price_per_hour", f"price ({machine.price_kind.replace('_', '-')})")
        hours = count("hours of a month", HOURS_PER_MONTH)
        found.append(stated("product", "dollars a month", float(f.month_dollars), "$", billed, price, hours))
    carried = product("what the replicas could carry", "/s", replicas, rate)
    found.append(stated("quotient", "utilisation of all replicas", float(f.utilisation), "share", asked, carried))
    if float(f.power) > 0:
        drawn = stated(
            "product",
            "power at the facility",
            float(f.power),
            "W",
            billed,
            of_machine(machine, "power", "device"),
            of_machine(machine, "overhead_power", "facility watts per device watt"),
        )
        both = total("tokens per request", "", given("isl", float(p.question.traffic.isl)), given("osl", float(p.question.traffic.osl)))
        tokens = product("tokens per second", "", asked, both)
        found += [drawn, stated("quotient", "joules per token", float(f.joules_per_token), "J", drawn, tokens)]
    return Node(name="fleet", children=tuple(found))
