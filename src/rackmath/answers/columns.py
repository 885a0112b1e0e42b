"""A column of a table: which value of a row, and the unit that makes words of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .text import between, cell


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: `unit` says how its values become words; "" for words.

    `optional`: left out first where there is little room, lowest number first; 0 is kept longest. `to`: the key of
    the upper end where the column shows intervals. `unit` "row": each row has its own, under "unit". `tones`: words
    that are "good", "fair" or "bad". `look`: "strong" for numbers people came for, "faint" for those of least weight.

    >>> Column("low", "5 to 95 %", "s", to="high").words({"low": 0.0346, "high": 0.0785})
    '34.6 to 78.5 ms'
    >>> Column("value", "", "row").words({"value": 0.002, "unit": "s"})
    '2.00 ms'
    """

    key: str
    head: str
    unit: str = ""
    optional: int = 0
    to: str = ""
    tones: Mapping[str, str] = field(default_factory=dict)
    look: str = ""

    def words(self, row: Mapping[str, Any]) -> str:
        """What a row says in this column."""
        value, unit = row.get(self.key), row.get("unit", "") if self.unit == "row" else self.unit
        return between(value, row.get(self.to), unit) if self.to else cell(value, unit)
