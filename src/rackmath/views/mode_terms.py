"""The terms of a menu, of batch work in idle hours, and of a pair of ratios read backwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..answers.terms import Term, count, difference, given, product, quotient, stated, total
from .machine_terms import of_machine

if TYPE_CHECKING:
    from ..decisions.modes.menu import Menu
    from ..decisions.modes.offers import BatchOffer, FastFit


def modes(m: Menu | None, pair: FastFit | None, offer: BatchOffer | None, per_kwh: float) -> Term:
    """A menu, batch work in idle hours, and a pair of ratios, as far as they are there."""
    nodes: list[Term] = []
    if m is not None and offer is not None:
        nodes += [_normal(m), _same(m), _slow(m), _batch(offer, per_kwh)]
    if pair is not None:
        nodes.append(fit(pair))
    return Term(name="price modes", children=tuple(nodes))


def _normal(m: Menu) -> Term:
    p = m.normal
    q = p.question
    hour = product("replica", "$/h", count("devices", float(p.layout.gpus)), of_machine(q.machine, "price_per_hour", "price of a device"))
    per_second = quotient("replica per second", "$", hour, count("seconds per hour", 3600.0))
    rate = Term(name="request rate", value=float(p.serving.request_rate), unit="/s", note="explain plan shows its terms")
    request = quotient("dollars per request", "$", per_second, rate)
    share = Term(name="decoding's share of a step", value=float(p.serving.decode_share), unit="share")
    out = product("charged to output", "$", request, share)
    each = quotient("dollars per output token", "$", out, given("osl", float(q.traffic.osl)))
    price = stated("product", "normal $/M output", m.output_mtok, "$", each, count("a million", 1e6))
    speed = Term(name="normal tok/s/user", value=m.speed)
    return Term(name=f"normal mode: {p.layout.label()}, batch {p.batch:,.0f}", children=(speed, price))


def _same(m: Menu) -> Term:
    """The fastest that batch alone gives."""
    fastest = Term(name="fastest tok/s/user, batch alone", value=m.same.fastest)
    normal = Term(name="normal tok/s/user", value=m.speed)
    return quotient("largest speed-up by batch alone", "", fastest, normal)


def _slow(m: Menu) -> Term:
    cheapest = Term(
        name="cheapest $/M output, batch alone", value=float(m.same.output_mtok.min()), unit="$", note="as many sequences as fit"
    )
    ratio = quotient("cheapest over normal", "", cheapest, Term(name="normal $/M output", value=m.output_mtok, unit="$"))
    return stated("difference", "slow mode saves at most", m.saving(m.same), "share", count("1", 1.0), ratio)


def _batch(o: BatchOffer, per_kwh: float) -> Term:
    full = Term(name="$/M output at full use", value=o.full, unit="$")
    idle, filled = given("idle share", o.idle), given("filled share of it", o.filled)
    busy = difference("interactive share", "share", count("1", 1.0), idle)
    alone = stated("quotient", "interactive alone", o.alone, "$", full, busy)
    work = product("batch share", "share", filled, idle)
    used = total("hours used", "share", busy, work)
    together = stated("quotient", "one price for all", o.together, "$", full, used)
    ratio = quotient("one price over alone", "", together, alone)
    even = stated("difference", "even discount", o.even_discount, "share", count("1", 1.0), ratio)
    floor = Term(name="floor: energy", value=o.floor, unit="$", note=f"at ${per_kwh:g} per kWh, full power")
    return Term(name="batch API", children=(alone, together, even, floor))


def fit(f: FastFit) -> Term:
    """The identity and both regimes."""
    price, speed = given("price ratio", f.price_ratio), given("speed ratio", f.speed_ratio)
    ratio = stated("product", "batch ratio B0/B1", f.batch_ratio, "", price, speed, note="an identity at cost")
    nodes: list[Term] = [ratio]
    r = f.memory_bound
    one = count("1", 1.0)
    if r.feasible and f.by_batch > 1:
        over = difference("speed ratio − 1", "", speed, one)
        lost = difference("what the smaller batch cannot shed", "", one, quotient("speed over batch ratio", "", speed, ratio))
        x = stated(
            "quotient", "cache over weights x", r.cache_over_weights, "", over, lost, note="from (1 + x) / (1 + x B1/B0) = speed ratio"
        )
        most = stated("sum", "largest speed-up, memory-bound", r.largest_speed, "", one, x)
        saving = stated("quotient", "slow mode saves at most, memory-bound", r.slow_saving, "share", one, most)
        nodes += [most, saving]
    else:
        nodes.append(Term(name=f"memory-bound: {r.why}"))
    k = f.compute_bound
    if k.feasible:
        normal = Term(name="normal batch over B*", value=k.normal_batch, note="the speed ratio: flat to the left of B*")
        fast = stated("quotient", "fast batch over B*", k.fast_batch, "", normal, ratio)
        nodes += [fast, Term(name="largest speed-up, compute-bound", value=k.largest_speed)]
    else:
        nodes.append(Term(name=f"compute-bound: {k.why}"))
    if f.input_price_ratio is not None and f.uniform_batch_ratio is not None:
        dearer = given("input price ratio", f.input_price_ratio)
        nodes.append(
            stated(
                "quotient",
                "batch ratio, if that factor lies on output too",
                f.uniform_batch_ratio,
                "",
                ratio,
                dearer,
                note="prefill is compute-bound: batch explains 1x of the input price",
            )
        )
    return Term(name="backwards", children=tuple(nodes))
