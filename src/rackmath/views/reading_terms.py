"""The terms of every reading: its quotient, each price and assumption with its source."""

from __future__ import annotations

from ..decisions.backwards.from_offers import fast_fit
from ..decisions.backwards.reading import Assumption, Reading, number
from ..decisions.backwards.readings import Readings
from . import mode_terms
from .machine_terms import Node, count, quotient, stated

TOPICS = {
    "KV bytes per token": ("kv_bytes_per_token",),
    "Context step": ("context_step", "covered_context"),
    "Output against input": ("decode_mfu", "weights_share", "crossover"),
    "Fast mode": ("batch_ratio", "largest_speed"),
    "Cached writes and hits": ("hold_rate", "hold_tier", "retrieval"),
    "Cost and margin": ("cost", "margin"),
}
"""What readings speak of, in the order of the screen."""


def tree(r: Readings) -> Node:
    """Everything the answer says, as terms, by what it speaks of."""
    nodes = []
    for topic, unknowns in TOPICS.items():
        mine = [term(one) for one in r.readings if one.unknown in unknowns and not one.absent]
        if topic == "Fast mode" and mine and (fit := fast_fit(r.setting)) is not None:
            mine.append(mode_terms.fit(fit))
        if mine:
            nodes.append(Node(name=topic, children=tuple(mine)))
    return Node(name=f"readings of {r.prices.model} on {r.prices.day}", children=tuple(nodes))


def term(one: Reading) -> Node:
    """One reading; its note gives the interval and what it says in words."""
    note = "; ".join(part for part in (between(one), one.says) if part)
    if not one.over:
        return Node(name=one.name, value=one.value, unit=one.unit, note="; ".join(filter(None, (one.formula, note))))
    top = [leaf(a) for a in one.over]
    above = top[0] if len(top) == 1 else _product(top)
    below = [leaf(a) for a in one.under]
    if one.complement:
        rest = quotient("taken off", "", above, *below)
        return stated("difference", one.name, one.value, one.unit, count("1", 1.0), rest, note=note)
    rule = "quotient" if below else "product"
    return stated(rule, one.name, one.value, one.unit, *([above, *below] if below else top), note=note)


def _product(terms: list[Node]) -> Node:
    value = 1.0
    for one in terms:
        assert one.value is not None
        value *= one.value
    return stated("product", "numerator", value, "", *terms)


def leaf(a: Assumption) -> Node:
    """A price or an assumption with its range and its source."""
    note = f"{number(a.low, a.unit)} to {number(a.high, a.unit)}" if a.ranges else ""
    unit = "" if a.unit in ("x", "tokens") else a.unit
    return Node(name=a.name, value=a.value, unit=unit, source=a.why, note=note)


def between(one: Reading) -> str:
    """The interval of a reading; empty where it has none."""
    return f"{number(one.low, one.unit)} to {number(one.high, one.unit)}" if one.low < one.high else ""
