"""The terms of a law's answer: what each term of the loss contributes, with the source of the coefficients."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..views.machine_terms import Node, count, given, product, quotient, stated

if TYPE_CHECKING:
    from ..scaling.laws import Law
    from .ask_law import LawAnswer, Row


def tree(answer: LawAnswer) -> Node:
    """Every answer as terms; a law alone as its coefficients."""
    if answer.asked is None:
        return _law(answer.laws[0])
    return Node(name=f"what laws say: {answer.asked.kind}", children=tuple(_row(row) for row in answer.rows))


def _law(one: Law) -> Node:
    source = f"{one.source} ({one.date}), {one.standing}"
    coefficients = tuple(
        Node(name=key, value=float(value), source=source, note=_error(one, key))
        for key, value in one.coefficients.items()
    )
    return Node(name=f"{one.name}: {one.family.formula}", children=coefficients)


def _error(one: Law, key: str) -> str:
    return f"standard error {one.errors[key]:.4g}" if key in one.errors else ""


def _row(row: Row) -> Node:
    nodes = [*_loss(row), *_budget(row), *_worth(row)]
    note = f"beyond its runs: {'; '.join(row.point.outside)}" if row.point.outside else "within its runs"
    return Node(name=row.law.name, children=(*nodes, _law(row.law)), note=note)


def _loss(row: Row) -> list[Node]:
    """The loss: a sum of terms where the law has the common shape without a power, else a value with its formula."""
    p, one = row.point, row.law
    if not math.isfinite(float(p.loss)):
        return []
    if one.family.terms is None:
        return [Node(name="loss", value=float(p.loss), note=one.family.formula)]
    t = one.family.terms(one.coefficients, p.inputs)
    floor = Node(name="E", value=float(t.E), note="the floor")
    of_params = Node(name="term of parameters", value=float(t.of_params(p.params)),
                     note=f"{float(t.A):.5g} / {float(p.params):.4g}^{float(t.alpha):.4g}")  # fmt: skip
    of_tokens = Node(name="term of tokens", value=float(t.of_tokens(p.tokens)),
                     note=f"{float(t.B):.5g} / {float(p.tokens):.4g}^{float(t.beta):.4g}")  # fmt: skip
    if float(t.power) == 1:
        return [stated("sum", "loss", float(p.loss), "", floor, of_params, of_tokens)]
    inner = float(t.E + t.of_params(p.params) + t.of_tokens(p.tokens))
    whole = stated("sum", "inner sum", inner, "", of_params, of_tokens)
    return [
        Node(name="loss", value=float(p.loss), children=(whole,), note=f"the sum to the power {float(t.power):g}")
    ]


def _budget(row: Row) -> list[Node]:
    p, one = row.point, row.law
    if one.active is None or not math.isfinite(float(p.flops)):
        return []
    n, d = (
        given("parameters", float(p.params), by=f"as {one.name} counts: {one.params}"),
        count("tokens", float(p.tokens)),
    )
    parts = [count("FLOPs per parameter and token", 6.0), n, d]
    if one.active != 1:
        parts.insert(1, count("active over counted parameters", one.active))
    return [product("training FLOPs", "", *parts), quotient("tokens per parameter", "", d, n)]


def _worth(row: Row) -> list[Node]:
    w, n = row.worth, float(row.point.params)
    if w is None:
        return []
    active = given("active parameters", n)
    worth = Node(name="effective parameters", value=w.effective, note="the dense model of the same loss")
    experts = Node(name="total parameters", value=w.total, note="N (1 + (E - 1) x MLP's share 2/3 / every 2nd layer)")
    return [quotient("effective over active", "", worth, active), quotient("total over active", "", experts, active)]
