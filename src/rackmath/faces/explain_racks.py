"""The terms of `racks`: link ratios, placement, exchanges and what crossing costs, and weight floors."""

from __future__ import annotations

from .ask_racks import RacksAnswer, RatioAnswer
from .explain import Node, count, of_machine, product, quotient, stated


def ratios(answer: RatioAnswer) -> Node:
    """Every ratio with the sources of both links."""
    nodes = []
    for r in answer.ratios:
        if r.ratio != r.ratio:
            nodes.append(Node(name=r.machine.name, note="lacks one of the two links, or is a domain of its own"))
            continue
        up = of_machine(r.machine, "scaleup_bandwidth", "scale-up bandwidth")
        out = of_machine(r.machine, "scaleout_bandwidth", "scale-out bandwidth")
        nodes.append(quotient(r.machine.name, "", up, out))
    return Node(name="scale-up over scale-out, per device, one way", children=tuple(nodes))


def racks(answer: RacksAnswer) -> Node:
    """Placement, the exchange of each case with its copies, the crossing factors, and the weight floors."""
    r = answer.racks
    q, machine = r.question, r.question.machine
    nodes: list[Node] = []
    if r.placed is not None:
        p = r.placed
        slots = stated("product", "slots for experts", p.slots, "", count("per device", p.per_device),
                       count("devices", p.devices))  # fmt: skip
        nodes.append(
            Node(name="placement", note=f"shared experts {p.shared}",
                 children=(slots, count("experts", p.n_experts), count("copies", p.redundant), count("idle", p.idle),
                           Node(name="experts on one device", value=r.resident, unit="B")))
        )  # fmt: skip
    for c in r.cases:
        terms: list[Node] = []
        if c.moved is not None:
            m = c.moved
            ways = tuple(
                Node(name=name, value=float(v), unit="s", note="taken" if name == c.scheme else "")
                for name, v in m.times.items()
                if float(v) < float("inf")
            )
            terms += [
                Node(name="dispatch and combine of one layer", value=c.exchange, unit="s", note=c.scheme,
                     children=(Node(name="tokens a device sends", value=float(m.own)),
                               Node(name="distinct devices of a token", value=float(m.devices)),
                               Node(name="distinct domains of a token", value=float(m.domains)),
                               Node(name="bytes per value, out and back",
                                    value=r.precision.sent.bytes + r.precision.combine.bytes,
                                    note=f"{r.precision.sent.name} and {r.precision.combine.name}"),
                               Node(name="imbalance", value=q.efficiency.imbalance,
                                    source=q.efficiency.source),
                               *ways)),
            ]  # fmt: skip
        parts = tuple(Node(name=k, value=float(v), unit="s") for k, v in c.time.shares.items())
        time = stated("sum", "pass", float(c.time.estimate), "s", *parts)
        bound = Node(name="bound of the pass", value=float(c.time.bound), unit="s")
        stages = count("stages", float(c.layout.pp))
        under_way = product("tokens under way", "", count("tokens in a pass", c.tokens), stages)
        rate = stated("quotient", "tokens per second", c.rate, "tok/s", under_way, time)
        terms += [bound, rate]
        if c.mtok == c.mtok:
            paid = product("dollars an hour", "$", count("GPUs", float(c.layout.gpus)),
                           of_machine(machine, "price_per_hour", "price"))  # fmt: skip
            million = quotient("per token", "$", paid, count("3600", 3600.0), count("tokens per second", c.rate))
            terms.append(stated("product", "$/M tokens", c.mtok, "$", million, count("1e6", 1e6)))
        nodes.append(Node(name=f"{c.label}: {c.layout.label()}, domains {c.domains:g}", children=tuple(terms)))
    if r.cases[0].crosses and r.cases[0].exchange > 0 and len(r.cases) > 1:
        here, one = r.cases[0], r.cases[1]
        nodes.append(
            stated("quotient", "crossing: exchange", r.exchange_factor, "",
                   Node(name="as it lies", value=here.exchange, unit="s"),
                   Node(name="in one domain", value=one.exchange, unit="s"))
        )  # fmt: skip
        nodes.append(
            stated("quotient", "crossing: pass", r.pass_factor, "",
                   Node(name="as it lies", value=float(here.time.estimate), unit="s"),
                   Node(name="in one domain", value=float(one.time.estimate), unit="s"))
        )  # fmt: skip
    for s in r.steps:
        weights = Node(name="weights, one copy", value=s.floor * s.devices * float(s.machine.hbm_bandwidth), unit="B",
                       source=q.model.source)  # fmt: skip
        nodes.append(
            stated("quotient", f"weight floor on {s.machine.name}", s.floor, "s", weights,
                   of_machine(s.machine, "domain", "domain"),
                   of_machine(s.machine, "hbm_bandwidth", "memory bandwidth"))
        )  # fmt: skip
    return Node(name=f"{q.model.name} over the racks of {machine.name}", children=tuple(nodes))
