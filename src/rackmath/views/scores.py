"""Errors of predictions beside measurements: as records, as columns of a table, and in the words of the docs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from ..answers.parts import Column

if TYPE_CHECKING:
    from ..evidence.peer import Beside
    from ..evidence.score import Errors
    from ..evidence.score import ScoredColumn as Scored

Record = dict[str, Any]

LEGEND = "bias: signed median. rank: Spearman's correlation. median, p90: of the absolute error."

INTERVAL = "interval: share of the measurements inside it; the median of its upper over its lower end."

NAMES = {"rank": "spearman", "inside": "interval_coverage", "width": "interval_width"}
"""Fields of errors that a record calls otherwise."""

ERRORS = (
    Column("bias", "bias", "signed"),
    Column("mape", "MAPE", "percent"),
    Column("median", "median", "percent"),
    Column("p90", "p90", "percent", optional=2),
    Column("within_20", "in 20%", "percent"),
)
RANK = Column("spearman", "rank", "ratio", optional=3)
INSIDE = Column("interval", "interval", "number", optional=1)

SUMMARY = (
    Column("n", "n", "whole"),
    Column("coverage", "answered", "percent"),
    *(replace(k, optional={"p90": 2, "spearman": 1}.get(k.key, 0)) for k in (*ERRORS, RANK, INSIDE)),
)
"""Columns of the table of all files: the interval is kept longest."""

HELD_OUT = (
    Column("rows", "n", "whole"),
    *(replace(k, optional=0) for k in ERRORS),
    Column("coverage_90", "interval", "percent", optional=1),
)
"""Columns of scores of what was held out of a fit."""

FIGURES = ("bias", "mape", "median", "p90", "within_20", "spearman", "interval_coverage", "interval_width")
"""Errors of a full record, in the order of its CSV."""


def scored(column: Scored) -> Record:
    """Rows that state a measurement, how many are compared, and the errors where any is.

    >>> from rackmath.evidence.score import ScoredColumn, errors
    >>> found = scored(ScoredColumn(rows=4, errors=errors([1.1, 0.9], [1.0, 1.0])))
    >>> found["n"], found["coverage"], round(found["mape"], 3)
    (2, 0.5, 0.1)
    """
    found: Record = {"rows": column.rows, "n": column.answered, "coverage": column.coverage}
    return found | ({} if column.errors is None else errors(column.errors))


def errors(e: Errors) -> Record:
    """Errors under the names of a record."""
    return {NAMES.get(name, name): value for name, value in asdict(e).items() if name != "n"}


def shown(row: Mapping[str, Any]) -> Record:
    """A scored row as people see it: its interval in words, "88%, 1.9x"."""
    inside, width = row.get("interval_coverage"), row.get("interval_width")
    known = inside is not None and width is not None
    return dict(row) | {"interval": f"{inside:.0%}, {width:.1f}x" if known else "–"}


def full(column: Scored) -> Record:
    """A scored column with every figure, None where nothing could be compared."""
    found = scored(column)
    return {key: found.get(key) for key in ("rows", "n", "coverage", *FIGURES)}


def dashed(row: Mapping[str, Any], columns: tuple[Column, ...] = SUMMARY) -> Record:
    """A row as people see it: a dash where nothing is known."""
    return dict(row) | {k.key: "–" for k in columns if row.get(k.key) is None}


def cells(column: Scored) -> tuple[str, ...]:
    """A scored column in words: n, answered, errors, rank, interval.

    >>> from rackmath.evidence.score import ScoredColumn
    >>> cells(ScoredColumn(rows=4, errors=None))[:3]
    ('0', '0%', '–')
    """
    row = dashed(shown(full(column)))
    return tuple(k.words(row) for k in SUMMARY)


def held_out_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Rows, errors and coverage of the interval of what was held out, in words; a dash where it is not stated."""
    return tuple(k.words(dashed(row, HELD_OUT)) for k in HELD_OUT)


def held_out_name(by: str) -> str:
    """What was held out in turn, in words.

    >>> held_out_name("cell")
    'each cell'
    """
    return "nothing: the fit itself" if by == "nothing" else f"each {by}"


def compared(line: Beside, peer: str) -> tuple[tuple[str, Scored], ...]:
    """Who is compared in a line of the peer's table: the peer, ours on the rows that it answers, ours on all."""
    return ((peer, line.theirs), ("ours, same rows", line.shared), ("ours, all rows", line.ours))
