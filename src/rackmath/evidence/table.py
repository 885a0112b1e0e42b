"""Tables of measured rows: a CSV file read line by line, within limits."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from .. import shipped
from ..errors import BadInput, shown, shown_path
from ..files import RUNS, lines, opened
from .answer import Text

MOST_ROWS = 100_000
MOST_COLUMNS = 500


EXAMPLE = "example"
"""In place of a file: public runs that come along."""

EXAMPLE_RUNS = "example_runs.csv"


def place(path: Path | str) -> Path:
    """Where a file of measured runs lies.

    >>> place("example").name, place("runs.csv").name
    ('example_runs.csv', 'runs.csv')
    """
    if str(path) == EXAMPLE and not Path(path).exists():
        return Path(str(shipped.FACTS / EXAMPLE_RUNS))
    return Path(path)


def table(path: Path | str) -> tuple[tuple[str, ...], tuple[Text, ...]]:
    """Header and rows of a CSV file; blank where a line is short."""
    give = "give a CSV of measured runs"
    name, path = shown_path(path), place(path)
    try:
        with opened(path, most=RUNS, give=give) as handle:
            read = csv.DictReader(lines(handle, path, most=RUNS, give=give))
            columns = tuple(name for name in (read.fieldnames or ()) if name)
            found = tuple(_row(line, columns) for line in islice(read, MOST_ROWS + 1))
    except csv.Error as error:
        raise BadInput(f"{name} is not a CSV file: {error}") from None
    if len(found) > MOST_ROWS:
        raise BadInput(f"{name} has more than {MOST_ROWS:,} rows; cut it in parts, or score a sample of it")
    if len(columns) > MOST_COLUMNS:
        raise BadInput(f"{name} has {len(columns):,} columns; leave at most {MOST_COLUMNS}")
    if not columns:
        raise BadInput(f"{name} is empty; give a CSV of measured runs")
    if len(set(columns)) < len(columns):
        twice = next(c for c in columns if columns.count(c) > 1)
        raise BadInput(f"{name} has the column {shown(twice)} twice; keep one")
    if not found:
        raise BadInput(f"{name} has a header and no rows; give a CSV of measured runs")
    return columns, found


def _row(line: Mapping[str | Any, Any], columns: Sequence[str]) -> Text:
    """A row, whose cells share their text with the same cell of other rows."""
    return {name: sys.intern(line.get(name) or "") for name in columns}
