"""The terms of a price list read backwards: beliefs with their reasons, and what each number added."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..views.machine_terms import Node

if TYPE_CHECKING:
    from ..decisions.inverse import Posterior
    from .ask_infer import InferAnswer

UNITS = {"count": "", "bytes": "B", "1/s": "tok/s", "$/h": "$/h", "share": "share"}


def tree(answer: InferAnswer) -> Node:
    """Every unknown before and after, what each observation gave, and the beliefs behind."""
    r = answer.inference
    seen = Node(
        name="listed and measured",
        children=tuple(Node(name=o.says, value=o.value, unit="$" if o.unit == "$/M" else "") for o in r.seen),
    )
    unknowns = tuple(_unknown(answer, p) for p in r.unknowns.values())
    beliefs = [
        _belief(q.name, q.why, q.low, q.high, UNITS.get(q.unit, "")) for q in answer.beliefs.quantities.values()
    ]
    beliefs += [
        Node(name=c.name, note=c.why, children=tuple(Node(name=k, value=v, unit="share") for k, v in c.odds.items()))
        for c in answer.beliefs.choices.values()
    ]
    return Node(
        name=f"{answer.prices.model}, read backwards",
        children=(
            seen,
            Node(name="unknowns", children=unknowns),
            Node(name="beliefs", children=tuple(beliefs)),
            Node(name="effective draws", value=r.effective, note=f"of {r.draws:,}"),
        ),
    )


def _unknown(answer: InferAnswer, p: Posterior) -> Node:
    unit = UNITS[p.unit]
    given = tuple(
        Node(name=f"bits lost without {w.observation.says}", value=w.bits[p.name]) for w in answer.inference.weights
    )
    before = Node(
        name="before the prices",
        children=(Node(name="5 %", value=p.prior[0], unit=unit), Node(name="95 %", value=p.prior[4], unit=unit)),
    )
    return Node(
        name=p.says,
        children=(
            Node(name="middle", value=p.median, unit=unit),
            Node(name="5 %", value=p.low, unit=unit),
            Node(name="95 %", value=p.high, unit=unit),
            before,
            Node(name="bits the prices gave", value=p.bits, children=given),
        ),
    )


def _belief(name: str, why: str, low: float, high: float, unit: str) -> Node:
    ends = (Node(name="5 %", value=low, unit=unit), Node(name="95 %", value=high, unit=unit))
    return Node(name=name, note=why, children=ends)
