"""The terms of a plan with one pool: TPOT, TTFT, throughput, concurrency, memory, cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import pass_terms, serving_terms, setting
from .machine_terms import Node, count, difference, given, of_machine, product, stated, total

if TYPE_CHECKING:
    from ..search.choice import Plan
    from ..search.either import PlanAnswer


def plan(answer: PlanAnswer) -> Node:
    """The chosen plan: TPOT, TTFT, throughput, concurrency, memory, cost; or the reasons why there is none."""
    found = answer.answer
    chosen = found.best or found.nearest
    reasons = tuple(Node(name=reason) for reason in found.reasons)
    if chosen is None:
        return Node(name="no plan", children=reasons)
    what = "plan" if found.best is not None else "no plan; the nearest"
    name = f"{what}: {chosen.question.model.name} on {chosen.machine.name}, {chosen.layout.label()}"
    terms = _serving(chosen)
    sized: tuple[Node, ...] = ()
    if answer.fleet is not None and found.best is not None:
        rate = next(n for n in terms if n.name == "request rate")
        use = given("utilisation", chosen.question.traffic.utilisation, "share")
        sized = (serving_terms.fleet(answer.fleet, chosen, rate, use),)
    return Node(name=name, children=(*reasons, *terms, *sized))


def _serving(p: Plan) -> tuple[Node, ...]:
    from ..layout.parallelism import under_way

    s, q, traffic = p.serving, p.question, p.question.traffic
    steps = count("steps per request", max(float(traffic.osl) - 1, 1.0), "osl − 1: the prefill gives the first token")
    batch = count("batch", p.batch, "decoding sequences in the replica, chosen")
    mixed = serving_terms.mixed(p, batch, steps)
    load = pass_terms.DecodeLoad(layout=p.layout, precision=p.precision, sequences=max(p.batch / float(under_way(q.engine, p.layout)), 1.0))
    of = (q, p.precision, load.sequences / float(p.layout.dp))
    plain = _paced("a step that only decodes", pass_terms.pass_nodes("decode pass", s.decode, *of, load), p)
    both = _paced("a step with prefill", pass_terms.pass_nodes("mixed pass", s.mixed_pass, *of), p)
    pure = difference("decode-only share", "share", count("1", 1.0), mixed)
    parts = (product("decoding steps", "s", pure, plain), product("mixed steps", "s", mixed, both))
    if q.speculation is None:
        tpot = stated("sum", "TPOT", float(s.tpot), "s", *parts)
    else:
        kept = count("tokens kept per step", float(q.speculation.kept), "(1 - a^(depth+1)) / (1 - a)")
        tpot = stated("quotient", "TPOT", float(s.tpot), "s", total("a step", "s", *parts), kept)
    osl, isl = given("osl", float(traffic.osl)), given("isl", float(traffic.isl))
    to_next = Node(name="to the next mixed step", value=float(s.to_next), unit="s", note="and the request overhead")
    service = Node(
        name="own chunks",
        value=float(s.service),
        unit="s",
        note=f"steps that carry the prompt, in chunks of {float(s.chunk):,.0f} tokens per rank",
    )
    mean_line, line = serving_terms.waiting(p, service, batch, steps)
    ttft = stated("sum", "TTFT, median", float(s.ttft), "s", to_next, line, service)
    seat = Node(name="waiting for a seat, mean", value=float(s.seat), unit="s", note="until memory has room")
    ttft_mean = stated("sum", "TTFT, mean", float(s.ttft_mean), "s", to_next, mean_line, seat, service)
    life = total("time in the system", "s", ttft_mean, product("decoding", "s", steps, tpot))
    in_turn = (steps, tpot) if traffic.users is None else (life,)
    rate = stated("quotient", "request rate", float(s.request_rate), "/s", batch, *in_turn)
    concurrency = stated("product", "concurrency", float(s.concurrency), "", rate, life, note="Little's law")
    gpus = stated(
        "product",
        "GPUs",
        float(p.layout.gpus),
        "",
        count("tp", float(p.layout.tp)),
        count("pp", float(p.layout.pp)),
        count("dp", float(p.layout.dp)),
    )
    both_ways = total("tokens per request", "", isl, osl)
    per_gpu = stated(
        "quotient", "tok/s/GPU, input + output", float(s.tput_per_gpu), "", product("tokens per second", "", rate, both_ways), gpus
    )
    speed = stated("quotient", "tok/s/user", float(s.interactivity), "", count("1", 1.0), tpot)
    used = pass_terms.memory(s.footprint, p.batch, p.layout, q)
    free = difference("memory free", "B", of_machine(p.machine, "hbm_capacity", "capacity"), used)
    bound = pass_terms.bound(s.decode)
    nodes = (tpot, bound, ttft, speed, rate, concurrency, per_gpu, free)
    return (*nodes, *_cost(p, rate, gpus, both_ways, isl, osl))


def _paced(name: str, of: Node, p: Plan) -> Node:
    """A pass at the pace of the fullest pipeline stage."""
    from ..layout.parallelism import stage_share

    uneven = float(stage_share(p.question.model, p.layout)) * float(p.layout.pp)
    if uneven == 1.0:
        return of
    return product(name, "s", of, count("fullest stage over mean", uneven))


def _cost(p: Plan, rate: Node, gpus: Node, both_ways: Node, isl: Node, osl: Node) -> tuple[Node, ...]:
    """Dollars per request, and its split: it sums to the whole."""
    if setting.known_price(p.machine) is None:
        return (Node(name="cost", note="no price is known for this machine"),)
    c, s, traffic = p.cost, p.serving, p.question.traffic
    price = of_machine(p.machine, "price_per_hour", f"price ({p.machine.price_kind.replace('_', '-')})")
    use = given("utilisation", traffic.utilisation, "share")
    from ..economics.cost import billed_devices

    paid = Node(
        name="devices paid for",
        value=float(billed_devices(s.gpus, p.machine)),
        note="replicas are packed into domains, which are paid for whole",
    )
    hour = stated("product", "replica-hour", float(c.replica_hour), "$/h", paid, price)
    request = stated("quotient", "cost of a request", float(c.request), "$", hour, count("s/h", 3600.0), rate, use)
    mtok = count("1M", 1e6)
    to_output = Node(
        name="share of output", value=float(s.decode_share), unit="share", note="what a decode-only step would take, over TPOT"
    )
    to_cached = Node(
        name="share of cached input",
        value=float(s.cached_share),
        unit="share",
        note="prefill time that would vanish without the cached prefix",
    )
    to_input = difference("share of input", "share", count("1", 1.0), to_output, to_cached)
    cached = float(traffic.cached)
    fresh = product("fresh tokens", "", isl, given("share not cached", 1 - cached, "share")) if cached else isl

    def price_of(name: str, value: float, share: Node, tokens: Node) -> Node:
        charged = product("charged", "$", request, share, mtok)
        return stated("quotient", name, value, "$", charged, tokens)

    found = [
        request,
        stated("quotient", "$ per M tokens, blended", float(c.blended_mtok), "$", product("of 1M", "$", request, mtok), both_ways),
        price_of("$ per M output tokens", float(c.output_mtok), to_output, osl),
    ]
    if (to_input.value or 0.0) > 0 and fresh.value and fresh.value >= 1:
        found.append(price_of("$ per M input tokens", float(c.input_mtok), to_input, fresh))
    if cached:
        held = product("cached tokens", "", isl, given("share cached", cached, "share"))
        found.append(price_of("$ per M cached tokens", float(c.cache_read_mtok), to_cached, held))
    return tuple(found)
