"""Snapshots of the answers to every command's example: tests/contract/snapshots/NAME.txt.

python tools/snapshots.py [NAME]...   rewrite them, or those of a few commands

A snapshot holds screens of 72 and of 140 columns (that of 100 stands on the command's page under docs/commands). Of
JSON and CSV it says how many values stand under each key or column and what they come to: numbers as the sum of their
sizes, words as a checksum. A figure that changes is seen, at a hundredth of the size.
"""

from __future__ import annotations

import csv
import io
import math
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import command_pages

from rackmath.answers.parts import Answer
from rackmath.faces import notebook
from rackmath.questions.registry import entries

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "contract" / "snapshots"
WIDTHS = (72, 140)


def path(name: str) -> Path:
    """The snapshot of a command."""
    return FOLDER / f"{name.replace(' ', '-')}.txt"


def snapshot(answer: Answer) -> str:
    """What the faces of terminals and programs make of an answer."""
    parts = [f"=== screen, {width} columns ===\n{notebook.text(answer, width)}" for width in WIDTHS]
    record = {key: value for key, value in answer.record.items() if key != "question"}
    rows = list(csv.DictReader(io.StringIO(answer.to_csv())))
    columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}
    return "\n".join([*parts, f"=== JSON ===\n{_summary(record)}", f"=== CSV ===\n{_summary(columns)}"])


def _summary(record: Any) -> str:
    """A line for each key: its path, how many values, and what they come to.

    >>> print(_summary({"a": [{"b": 1.0}, {"b": -2.0}, {"b": None}], "c": "fp8"}), end="")
    a[].b  3  3
    c  1  b426afe8
    """
    found: dict[str, list[Any]] = {}
    for key, value in _leaves(record):
        found.setdefault(key, []).append(value)
    return "".join(f"{key}  {len(values)}  {_total(values)}\n" for key, values in found.items())


def _leaves(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{at}.{key}".lstrip("."))
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, f"{at}[]")
    else:
        yield at, value


def _total(values: list[Any]) -> str:
    """The sizes of numbers summed, in five digits; of words a checksum."""
    numbers = [number for value in values if (number := _number(value)) is not None]
    words = [str(value) for value in values if value not in (None, "") and _number(value) is None]
    said = [f"{math.fsum(map(abs, numbers)):.5g}"] if numbers else []
    return " ".join([*said, *([f"{zlib.crc32(chr(10).join(words).encode()):08x}"] if words else [])]) or "-"


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return float(value)
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def main() -> None:
    few = sys.argv[1:]
    FOLDER.mkdir(exist_ok=True)
    for name in few or entries():
        path(name).write_text(snapshot(command_pages.example(name)), encoding="utf-8")
    for one in set(FOLDER.glob("*.txt")) - {path(name) for name in entries()}:
        one.unlink()


if __name__ == "__main__":
    main()
