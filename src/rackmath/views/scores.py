"""Errors of predictions beside measurements: as records, as columns of a table, and in the words of the docs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..answers.parts import Column

if TYPE_CHECKING:
    from ..evidence.score import Column as Scored
    from ..evidence.score import Errors

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


def scored(column: Scored) -> Record:
    """Rows that state a measurement, how many are compared, and the errors where any is.

    >>> from rackmath.evidence.score import Column, errors
    >>> found = scored(Column(rows=4, errors=errors([1.1, 0.9], [1.0, 1.0])))
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
