"""The terms of a plan with two pools."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import pass_terms, plan_terms, setting
from .machine_terms import Node, count, difference, given, product, quotient, stated, total

if TYPE_CHECKING:
    from ..search.disaggregated import PoolPlan
    from ..search.either import ModesAnswer


def tree(answer: ModesAnswer) -> Node:
    """The winning plan, term by term; or the reasons why there is none."""
    if answer.winner == "aggregated" and answer.aggregated is not None:
        return plan_terms.plan(answer.aggregated)
    p = answer.pools.best or answer.pools.nearest
    reasons = tuple(Node(name=reason) for reason in answer.reasons)
    if p is None:
        return Node(name="no plan", children=reasons)
    head = Node(name=f"why: {answer.why}") if answer.why else None
    name = f"{p.questions[1].model.name} in two pools, {p.label()}"
    return Node(name=name, children=(*((head,) if head else ()), *reasons, *pools(p)))


def pools(p: PoolPlan) -> tuple[Node, ...]:
    """TTFT, TPOT, rates of both pools, requests inside, memory and cost."""
    s, first, second = p.serving, p.serving.prefill, p.serving.decode
    prefill, decode = p.questions
    passes = pass_terms.pass_nodes("prefill pass", first.time, prefill, p.precision, 0.0)
    sequences = max(float(second.batch) / float(second.layout.pp), 1.0) / float(second.layout.dp)
    step = pass_terms.pass_nodes("decode step", second.time, decode, p.precision, sequences)
    one = Node(
        name="from pass to pass", value=float(first.pace), unit="s", children=(passes,), note="over the stages, at the pace of the fullest"
    )
    ranks = count("dp", float(first.layout.dp))
    prompts = count("prompts per rank and pass", float(first.prompts), f"{float(first.chunks):.0f} passes a prompt")
    load = count("load", float(first.load), "share of time the replica is busy")
    rate = stated(
        "quotient", "rate of a prefill replica", float(first.rate), "/s", product("prompts under way", "", load, prompts, ranks), one
    )
    tpot = Node(
        name="TPOT", value=float(second.tpot), unit="s", children=(step,), note="a decode-only step, at the pace of the fullest stage"
    )
    batch = count("batch", float(second.batch), "sequences of a decode replica, on average")
    decoding = Node(name="decoding", value=float(second.decoding), unit="s", note="osl − 1 steps")
    out = stated("quotient", "rate of a decode replica", float(second.rate), "/s", batch, decoding)
    both = Node(
        name="request rate of a unit",
        value=float(s.request_rate),
        unit="/s",
        note="the slower pool: both carry it",
        children=(
            product("prefill pool", "/s", count("replicas", float(s.n_prefill)), rate),
            product("decode pool", "/s", count("replicas", float(s.n_decode)), out),
        ),
    )
    sent = Node(
        name="transfer",
        value=float(s.transfer.time),
        unit="s",
        note=f"{float(s.transfer.bytes) / 1e9:.3g} GB of cache over the narrower end's links",
    )
    own = Node(name="own passes", value=float(first.service), unit="s")
    until = Node(name="until the next pass", value=float(first.to_next), unit="s", note="and the request overhead")
    median = Node(name="waiting, median", value=float(first.wait_median), unit="s", note="zero below half load")
    mean = Node(name="waiting, mean", value=float(first.wait), unit="s")
    seat = Node(name="waiting for room in the decode pool, mean", value=float(second.seat), unit="s")
    ttft = stated("sum", "TTFT, median", float(s.ttft), "s", until, median, own, sent)
    ttft_mean = stated("sum", "TTFT, mean", float(s.ttft_mean), "s", until, mean, own, sent, seat)
    inside = stated(
        "product",
        "requests inside",
        float(s.concurrency),
        "",
        both,
        total("time in the system", "s", ttft_mean, decoding),
        note="Little's law",
    )
    memory = tuple(
        difference(f"memory free, {name}", "B", count("capacity", float(holds.capacity)), Node(name="used", value=used, unit="B"))
        for name, holds, used in (("prefill", first.footprint, float(first.memory)), ("decode", second.footprint, float(second.memory)))
    )
    return (ttft, tpot, pass_terms.bound(second.time), both, inside, *memory, *_cost(p, both))


def _cost(p: PoolPlan, rate: Node) -> tuple[Node, ...]:
    from ..economics.pools import billed

    if not all(setting.known_price(m) is not None for m in p.machines):
        return (Node(name="cost", note="no price is known for one of the machines"),)
    s, c, traffic = p.serving, p.cost, p.questions[0].traffic
    mtok, hour = count("1M", 1e6), count("s/h", 3600.0)
    use = given("utilisation", traffic.utilisation, "share")
    found = []
    devices = billed(s, p.machines)
    hours = []
    for name, n, machine in zip(("prefill", "decode"), devices, p.machines, strict=True):
        price = Node(name="price", value=float(machine.price_per_hour), unit="$/h", note=machine.name)
        hours.append(product(f"{name} pool", "$/h", count("GPUs paid for", float(n)), price))
    request = stated("quotient", "cost of a request", float(c.request), "$", total("unit-hour", "$/h", *hours), hour, rate, use)
    found.append(request)
    charged = quotient("decode pool per request", "$", hours[1], hour, rate, use)
    found.append(
        stated(
            "quotient",
            "$ per M output tokens",
            float(c.output_mtok),
            "$",
            product("of 1M", "$", charged, mtok),
            given("osl", float(traffic.osl)),
        )
    )
    fresh = max(float(traffic.isl) * (1 - float(traffic.cached)), 1.0)
    mine = quotient("prefill pool per request", "$", hours[0], hour, rate, use)
    share = count("share of fresh tokens", 1 - float(s.prefill.cached_share))
    found.append(
        stated(
            "quotient",
            "$ per M input tokens",
            float(c.input_mtok),
            "$",
            product("of 1M", "$", mine, share, mtok),
            count("fresh tokens", fresh),
        )
    )
    return tuple(found)
