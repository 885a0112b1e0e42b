"""Laws drawn beside each other around a question, each with the interval it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..answers import charts
from ..errors import BadInput
from ..scaling import drift
from ..scaling.asking import LawQuestion, point_of, span_of
from ..scaling.points import effective_params

if TYPE_CHECKING:
    from ..arrays import Number
    from ..scaling.asking import LawAnswers
    from ..scaling.laws import Law

Spec = dict[str, Any]

MOST = 6
"""More lines than this cannot be told apart."""

STEPS = 60
BANDED = 200
"""Draws behind a band."""


def spec(answer: LawAnswers) -> Spec | None:
    """The chart of an answer; None where its laws have no line to draw."""
    asked = answer.asked
    if asked is None:
        laws = [one for one in answer.laws if _splits(one)][:MOST]
        routed = [one for one in answer.laws if one.form == "routed"][:MOST]
        return _frontier(laws, None) if laws else _worth(routed, _experts(routed[0]), marked=False) if routed else None
    laws = [row.law for row in answer.rows][:MOST]
    if asked.kind == "worth":
        return _worth(laws, asked)
    if asked.kind in ("optimum", "balanced", "cheapest"):
        return _frontier(laws, answer)
    told = [one for one in laws if one.family.uses_tokens]
    if not told:
        return None
    return _loss(laws, answer) if asked.kind == "loss" else _iso_loss(told, answer)


def _experts(one: Law) -> LawQuestion:
    """What to ask a law of experts that is shown alone: its whole range, at the middle of its models."""
    (low, high), (_, most) = one.box["params"], one.box["experts"]
    return LawQuestion(kind="worth", given={"params": (low * high) ** 0.5}, inputs={"experts": most})


def _splits(one: Law) -> bool:
    return one.family.split is not None and one.active is not None


def _frontier(laws: list[Law], answer: LawAnswers | None) -> Spec:
    """Tokens per parameter of the optimum against the budget."""
    low, high = 18.0, 26.0
    marks = []
    inputs: Mapping[str, Number] = {}
    if answer is not None and answer.asked is not None:
        inputs = answer.asked.inputs
        points = [(float(np.log10(r.point.flops)), float(r.point.tokens_per_param)) for r in answer.rows[:MOST]]
        low, high = min(low, *(x - 1 for x, _ in points)), max(x + 2 for x, _ in points)
        if answer.asked.kind == "optimum":
            marks.append(charts.Mark("budget", points[0][0]))
        else:
            marks += [charts.Mark("", *point) for point in points]
    powers = np.linspace(low, high, STEPS)
    asked = LawQuestion(kind="optimum", given={"flops": 10**powers}, inputs=inputs)
    return charts.curve(
        _lines(laws, asked, powers, "tokens_per_param"),
        title="Compute-optimal tokens per parameter",
        x=charts.Axis("Training budget (FLOPs, as a power of ten)"),
        y=charts.Axis("Tokens per parameter", log=True),
        marks=marks,
    )


def _loss(laws: list[Law], answer: LawAnswers) -> Spec:
    """Loss against tokens, at the parameters of the question."""
    point = answer.rows[0].point
    n, d = float(point.params), float(point.tokens)
    tokens = np.geomspace(max(d / 100, n / 10), d * 100, STEPS)
    asked = answer.asked
    assert asked is not None
    around = LawQuestion(kind="loss", given={"params": n, "tokens": tokens}, inputs=asked.inputs)
    lines = _lines(laws, around, tokens, "loss")
    least = min(min(one.y) for one in lines)
    return charts.curve(
        lines,
        title=f"Loss of {charts.number(n)} parameters",
        x=charts.Axis("Tokens", log=True),
        y=charts.Axis("Loss (nats per token)", low=0.98 * least),
        marks=[charts.Mark("asked", d)],
    )


def _iso_loss(laws: list[Law], answer: LawAnswers) -> Spec:
    """Tokens against parameters at the loss of the question."""
    asked = answer.asked
    assert asked is not None
    found = [float(row.point.params) for row in answer.rows if row.law.family.uses_tokens]
    params = np.geomspace(min(found) / 30, max(found) * 30, 2 * STEPS)
    around = LawQuestion(kind="tokens", given={"params": params, "loss": asked.given["loss"]}, inputs=asked.inputs)
    rows = [row for row in answer.rows if row.law in laws]
    top = 30 * max(float(row.point.tokens) for row in rows)
    return charts.curve(
        _lines(laws, around, params, "tokens"),
        title=f"Runs that reach a loss of {asked.given['loss']:g}",
        x=charts.Axis("Parameters", log=True),
        y=charts.Axis("Tokens", log=True, high=top),
        marks=[charts.Mark("", float(row.point.params), float(row.point.tokens)) for row in rows],
    )


def _worth(laws: list[Law], asked: LawQuestion, *, marked: bool = True) -> Spec:
    """Effective over active parameters against experts, for each law."""
    params, experts = float(np.asarray(asked.given["params"])), float(np.asarray(asked.inputs["experts"]))
    tokens = asked.given.get("tokens")
    x = np.geomspace(1, max(512.0, experts), STEPS)
    worth = [(one, np.asarray(effective_params(one, params, x, tokens)) / params) for one in laws]
    lines = [charts.Series(one.name, x.tolist(), y.tolist()) for one, y in worth]
    return charts.curve(
        lines,
        title=f"What experts are worth at {charts.number(params)} active parameters",
        x=charts.Axis("Experts", log=True),
        y=charts.Axis("Effective over active parameters (x)", low=1.0),
        marks=[charts.Mark("asked", experts)] if marked else [],
    )


def _lines(laws: list[Law], asked: LawQuestion, x: np.ndarray, field: str) -> list[charts.Series]:
    """A line for each law, solid within its box where it is alone, and the ends of one interval."""
    lines: list[charts.Series] = []
    for one in laws:
        try:
            point = point_of(one, asked)
        except BadInput:  # a law that knows no such quantity
            continue
        y = np.broadcast_to(np.asarray(getattr(point, field), dtype=float), x.shape)
        if len(laws) > 1:
            lines.append(charts.Series(one.name, x.tolist(), y.tolist(), look="line"))
            continue
        within = np.broadcast_to(np.asarray(point.within), x.shape)
        if within.any():
            lines.append(charts.Series(one.name, x[within].tolist(), y[within].tolist(), look="line"))
        for tail, part in _outside(within):
            lines.append(charts.Series(f"{one.name}, {tail} its runs", x[part].tolist(), y[part].tolist(), look="dashed"))
    banded = next((one for one in laws if one.sample is not None), None)
    return lines + (_band(banded, asked, x, field) if banded is not None else [])


def _outside(within: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """The parts of a column before and after those within."""
    if not within.any():
        return [("beyond", ~within)]
    first, last = int(np.argmax(within)), len(within) - 1 - int(np.argmax(within[::-1]))
    index = np.arange(len(within))
    parts = [("below", index <= first), ("beyond", index >= last)]
    return [(name, part) for name, part in parts if part.sum() > 1]


def _band(one: Law, asked: LawQuestion, x: np.ndarray, field: str) -> list[charts.Series]:
    """5 and 95 % of the law's draws as dashed lines, wider beyond its box."""
    ends = np.array([_ends(one, replace(asked, given=_at(asked.given, i)), field) for i in range(len(x))])
    return [
        charts.Series(f"{one.name}, 5 %", x.tolist(), ends[:, 0].tolist(), look="dashed"),
        charts.Series(f"{one.name}, 95 %", x.tolist(), ends[:, 1].tolist(), look="dashed"),
    ]


def _at(given: Mapping[str, Number], i: int) -> Mapping[str, Number]:
    return {key: float(v[i]) if isinstance(v, np.ndarray) else v for key, v in given.items()}


def _ends(one: Law, asked: LawQuestion, field: str) -> tuple[float, float]:
    point = point_of(one, asked)
    many = drift.wider(one, drift.edge(one, point.params, point.tokens, point.flops), BANDED) or one
    return span_of(getattr(point_of(many, asked), field))
