"""Answers for rows of a table of reported training runs, in each row's own figure and unit.

One run is one measurement: of its figures (time, MFU, HFU) the first of `training_rows.METRICS` is answered. A row's
constants never come from its own model where its source was fitted on (`data/fitted/training.toml`, held_out).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..errors import BadInput
from ..training.constants import TrainConstants
from . import palm, score
from .answer import AnsweredRow, Asked, Estimate, RowScores, Text, refused
from .score import Errors
from .training_rows import MEMORY, METRICS, RATES, figure, found, memory_figure, run_of
from .training_sources import source_of

QUERY = ("metric", "unit", "value")
"""Columns that differ between the figures of one run."""


def read(rows: Sequence[Text], asked: Asked) -> list[RowScores]:
    """Answers for rows; of several figures of one run the most direct is answered."""
    first: dict[tuple[str, ...], str] = {}
    for row in rows:
        metric = row.get("metric", "")
        if metric in METRICS:
            key = _run(row)
            known = first.get(key)
            if known is None or METRICS.index(metric) < METRICS.index(known):
                first[key] = metric
    return [_answer(row, first.get(_run(row), "")) for row in rows]


def _run(row: Text) -> tuple[str, ...]:
    return tuple(value for column, value in row.items() if column not in QUERY)


def _answer(row: Text, chosen: str) -> RowScores:
    metric = row.get("metric", "")
    keys = RowScores(system=row.get("gpu", ""), model=row.get("model", ""), engine=row.get("paper_or_repo", ""), mode=metric)
    try:
        if palm.is_inference(row):
            raise BadInput("a row of inference; --kind palm reads it")
        if metric not in METRICS + MEMORY:
            raise BadInput(f"{metric.replace('_', ' ') or 'an unnamed figure'} is no figure of one step or its memory")
        source = source_of(row)
        keys = replace(keys, engine=source.name)
        if metric in METRICS and metric != chosen:
            raise BadInput(f"another figure of the run whose {chosen.replace('_', ' ')} is scored")
        return replace(keys, estimates={"value": estimate(row)}, notes=_notes(row))
    except (BadInput, ArithmeticError) as error:
        return refused(keys, str(error) or type(error).__name__)


def _notes(row: Text) -> tuple[str, ...]:
    return (source_of(row).why,)


def estimate(row: Text, of: TrainConstants | None = None) -> Estimate:
    """The figure of one row in its own unit, and its bound: a time's least, a rate's most."""
    metric, run = row.get("metric", ""), run_of(row)
    one = found(run, of)
    if metric in MEMORY:
        return Estimate(pred=memory_figure(metric, one.memory), bound=None)
    return Estimate(pred=figure(metric, run, one.seconds), bound=figure(metric, run, float(one.step.bound)), most=metric in RATES)


# --- scores by source ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceErrors:
    """Errors of one source: of a step's seconds, or of memory; `peer` says what a peer reached on the same runs."""

    source: str
    quantity: str  # "step" or "memory"
    rows: int
    errors: Errors
    peer: str = ""


def by_source(answers: Sequence[AnsweredRow]) -> tuple[SourceErrors, ...]:
    """One line for each source and quantity; a rate's error is that of the time it stands for.

    An estimate of 100 TFLOP/s beside 80 measured is a step 20 % too short, whatever unit the row prints.
    """
    groups: dict[tuple[str, str], list[AnsweredRow]] = {}
    for a in answers:
        quantity = "memory" if a.said.mode in MEMORY else "step"
        groups.setdefault((a.said.engine, quantity), []).append(a)
    lines = []
    for (source, quantity), members in sorted(groups.items()):
        pairs = [_pair(a) for a in members if "value" in a.said.estimates and "value" in a.measured]
        if not pairs:
            continue
        predicted, measured, low, high = zip(*pairs, strict=True)
        ends = [(x, y, m) for x, y, m in zip(low, high, measured, strict=True) if x is not None and y is not None]
        lines.append(
            SourceErrors(
                source=source,
                quantity=quantity,
                rows=len(members),
                errors=score.errors(predicted, measured, ends),
                peer=PEERS.get((source, quantity), ""),
            )
        )
    return tuple(lines)


def _pair(a: AnsweredRow) -> tuple[float, float, float | None, float | None]:
    """Predicted, measured, low and high as a time or as bytes."""
    e, measured = a.said.estimates["value"], a.measured["value"]
    if not e.most:
        return e.pred, measured, e.low, e.high
    return 1 / e.pred, 1 / measured, e.high and 1 / e.high, e.low and 1 / e.low


PEERS: Mapping[tuple[str, str], str] = {
    ("Korthikanti 2022", "step"): "3.7 % mean, 8.9 % at most; its own tuning set",
    ("vTrain", "step"): "38.9 % on one node; 12.9 % on several",
    ("MT-NLG 2022", "step"): "28 to 31 % too fast",
    ("Narayanan 2021", "step"): "4 to 11 % too fast on 175B",
}
"""Calculon (SC23) as published, on the same runs."""
