"""The terms of decoding against context: cost, bytes and thresholds of every kind of attention."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ..answers.terms import Term, count, product, quotient, stated
from ..search.context import KindCurve, TwoPrices
from .machine_terms import of_machine
from .setting import known_price


def of_context(a: TwoPrices) -> Term:
    """At the threshold, for each kind: cost, its terms, bytes, thresholds, and the price step."""
    c = a.curves
    i = int(np.argmin(np.abs(c.context - c.threshold)))
    return Term(
        name=f"decoding {c.question.model.name} on {c.question.machine.name} at {c.context[i]:,.0f} tokens, {c.layout.label()}",
        children=tuple(Term(name=k.kind, children=tuple(_of_kind(a, k, i))) for k in c.curves),
    )


def _of_kind(a: TwoPrices, k: KindCurve, i: int) -> Iterator[Term]:
    c, machine = a.curves, a.curves.question.machine
    batch = count("batch", float(k.batch[i]), "the policy's, at this context")
    step = Term(name="TPOT", value=float(k.tpot[i]), unit="s", note="explain forward shows its terms")
    if known_price(machine) is not None and math.isfinite(k.cost_mtok[i]):
        price = of_machine(machine, "price_per_hour", "price")
        second = quotient("price per second", "$", price, count("3600", 3600.0))
        gpus = count("GPUs", float(c.layout.gpus), c.layout.label())
        million = product("dollars of a million steps", "$", gpus, second, step, count("1e6", 1e6))
        yield stated("quotient", "$/M output tokens", float(k.cost_mtok[i]), "$", million, batch)
    else:
        yield from (step, batch)
    read = Term(name="read by each token", value=float(k.read[i]), unit="B", note="all layers, one copy")
    yield Term(name="stored by each sequence", value=float(k.stored[i]), unit="B")
    yield quotient("reading the cache, on one device", "s", read, of_machine(machine, "hbm_bandwidth", "memory bandwidth"))
    yield Term(name="L*", value=k.balance_context, unit="tokens", note="cache read = weights multiplied")
    yield Term(name="attention FLOPs = weight FLOPs", value=k.flops_context, unit="tokens")
    yield Term(name="B* fills HBM", value=k.full_context, unit="tokens")
    found = a.steps[k.kind]
    if math.isfinite(found.needed):
        yield Term(name=f"cost at {found.end:,.0f} tokens over that at the threshold", value=found.needed)
        yield Term(name=f"+{a.step:.0%} covers to", value=found.covers_to, unit="tokens")
