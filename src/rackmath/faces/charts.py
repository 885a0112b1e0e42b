"""Charts and what can be done with them, under one name."""

from __future__ import annotations

from ..answers.charts import SCHEMA, Axis, Mark, Series, curve, number, scatter
from ..answers.stacked import stack
from ..answers.theme import themed
from .braille import draw
from .chart_file import save, write

__all__ = ["SCHEMA", "Axis", "Mark", "Series", "curve", "draw", "number", "save", "scatter", "stack", "themed", "write"]
