"""Measured loads of experts: how often each is chosen, by layer or over all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import BadInput, shown
from ..files import parse_json, read_text


def expert_loads(given: Any, n_experts: int, model: str) -> Any:
    """Rows of loads from a JSON file or as they are; each must have a number for every expert."""
    read = given
    if isinstance(given, str):
        text = read_text(given, give="give a JSON file with one row [n, n, ...] of loads for each layer")
        read = parse_json(text, shown(Path(given).name))
    rows = read if isinstance(read, list | tuple) and read and isinstance(read[0], list | tuple) else [read]
    for row in rows:
        if not isinstance(row, list | tuple) or not all(type(n) in (int, float) and 0 <= n <= 1e15 for n in row):
            raise BadInput("loads of experts must be a list of numbers from 0 to 1e15, or a list of such rows, one a layer")
        if len(row) != n_experts:
            raise BadInput(f"a row of loads has {len(row)} numbers and {model} has {n_experts} routed experts")
    return rows
