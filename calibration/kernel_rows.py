"""Tables of measured kernel times, and rows of them as arguments of the kernels' formulas."""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rackmath.arrays import Number
from rackmath.world import catalog
from rackmath.world.machine import Machine

Column = NDArray[np.float64]
Key = tuple[str, str]
"""A kind and an operand type."""

CHIPS = {"a100_sxm": "a100", "h100_sxm": "h100", "h200_sxm": "h200", "b200_sxm": "b200", "gb200": "gb200"}
LEAST_CONTEXT, LEAST_PROMPT = 128, 64
"""Shorter contexts and prompts are rare in serving and all latency; they are not fitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Measured kernels of one kind and type: `seconds`, and the arguments of the kind's function, row by row."""

    chip: NDArray[np.str_]
    engine: NDArray[np.str_]
    seconds: Column
    given: Mapping[str, Column]

    def take(self, rows: Any) -> Sample:
        given = {name: column[rows] for name, column in self.given.items()}
        return Sample(chip=self.chip[rows], engine=self.engine[rows], seconds=self.seconds[rows], given=given)

    @property
    def generation(self) -> NDArray[np.str_]:
        return np.array([catalog.machine(name).generation for name in self.chip])


def default_data() -> Path:
    """The data folder: $RACKMATH_DATA, or shared/data beside the checkout."""
    return Path(os.environ.get("RACKMATH_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")


NOT_FITTED = ("l40s",)
"""Systems whose kernels joined the data after the fit: they test it."""


class KernelTable:
    """Columns of one compressed CSV file; blanks are NaN."""

    def __init__(self, path: Path) -> None:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            rows: Iterable[list[str]] = csv.reader(file)
            head = next(iter(rows))
            if "system" in head:
                at = head.index("system")
                rows = [row for row in rows if row[at] not in NOT_FITTED]
            self._text = dict(zip(head, zip(*rows, strict=True), strict=True))

    def text(self, name: str) -> NDArray[np.str_]:
        return np.array(self._text[name])

    def number(self, name: str) -> Column:
        return np.array([float(v) if v else np.nan for v in self._text[name]])


def chips(table: KernelTable, name: str = "system") -> NDArray[np.str_]:
    return np.array([CHIPS.get(v, v) for v in table.text(name)])


def peak_of(chip: NDArray[np.str_], operand: str) -> Column:
    return per_chip(chip, lambda machine: machine.peak(operand))


def per_chip(chip: NDArray[np.str_], value: Callable[[Machine], Number]) -> Column:
    found = {name: float(value(catalog.machine(str(name)))) for name in np.unique(chip)}
    return np.array([found[name] for name in chip])


def first(table: KernelTable, name: str, other: str) -> Column:
    """A column, and where it is blank another."""
    column = table.number(name)
    return np.where(np.isnan(column), table.number(other), column)
