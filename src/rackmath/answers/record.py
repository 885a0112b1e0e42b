"""An answer as plain data: SI values under the field's own names, strict JSON and CSV of them."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..text import cell, legible_json

Record = dict[str, Any]


class Nested(dict[str, Any]):
    """A mapping whose keys are attributes as well.

    >>> nested({"memory": {"room": 3.0}}).memory.room
    3.0
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return nested(self[name])
        except KeyError:
            raise AttributeError(name) from None


def nested(value: Any) -> Any:
    """Mappings with attributes, at any depth; other values as they are."""
    if isinstance(value, dict):
        return Nested(value)
    return [nested(v) for v in value] if isinstance(value, list) else value


def plain(value: Any) -> Any:
    """A value of plain JSON types: numpy scalars become numbers, what is not finite None, a named record its name.

    >>> plain({"a": float("inf"), "b": (1.0, 2.5), "c": None})
    {'a': None, 'b': [1, 2.5], 'c': None}
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(name := getattr(value, "name", None), str):
        return name
    number = float(value)
    if not math.isfinite(number):
        return None
    return int(number) if number == int(number) and abs(number) < 2**53 else number


def json_text(record: Any) -> str:
    """Strict JSON with a line break at the end."""
    return legible_json(json.dumps(plain(record), indent=2, ensure_ascii=False, allow_nan=False)) + "\n"


def csv_text(rows: Sequence[Record]) -> str:
    """A table with a header of the keys of all rows, in order of appearance; unknown values are empty.

    What a spreadsheet would take for a formula gets a `'` in front (`rackmath.text.cell`).

    >>> csv_text([{"batch": 1.0, "tpot": 0.02}, {"batch": 2.0}])
    'batch,tpot\\n1,0.02\\n2,\\n'
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n", restval="")
    writer.writerow({name: cell(name) for name in names})
    for row in rows:
        writer.writerow({k: _field(plain(v)) for k, v in row.items()})
    return out.getvalue()


def _field(value: Any) -> Any:
    """A value of a row: lists of words one below the other."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        value = "\n".join(value)
    return cell(value) if isinstance(value, str) else "" if value is None else value


def keys(value: Any, path: str = "") -> dict[str, str]:
    """Every key of a record by its path, with the type of what it holds: number, text, flag, null or several.

    `[]` stands for every entry of a list; `*` for every name of a mapping whose names are words, or whose entries
    are mappings of the same keys.

    >>> keys({"front": [{"tpot": 0.02, "kv": "fp8"}, {"tpot": None, "kv": "bf16"}], "parts": {"all reads": 1.0}})
    {'front[].tpot': 'null, number', 'front[].kv': 'text', 'parts.*': 'number'}
    """
    found: dict[str, set[str]] = {}
    _gather(value, path, found)
    return {key: ", ".join(sorted(kinds)) for key, kinds in found.items()}


def _gather(value: Any, path: str, found: dict[str, set[str]]) -> None:
    if isinstance(value, Mapping) and value:
        inner = list(value.values())
        alike = len(inner) > 2 and all(isinstance(v, Mapping) and v.keys() == inner[0].keys() for v in inner)
        for key, one in value.items():
            _gather(one, f"{path}.{'*' if alike or ' ' in key else key}".lstrip("."), found)
    elif isinstance(value, list) and value:
        for one in value:
            _gather(one, f"{path}[]", found)
    else:
        found.setdefault(path, set()).add(_kind(value))


def _kind(value: Any) -> str:
    if isinstance(value, list | Mapping):
        return "empty"
    return "null" if value is None else {bool: "flag", str: "text"}.get(type(value), "number")


def put(record: Record, key: str, value: Any) -> None:
    """Set a value under a key whose dots nest it; mappings under one key are joined.

    >>> found = {"memory": {"weights": 1}}
    >>> put(found, "memory.room", 2); put(found, "memory", {"reserve": 3})
    >>> found
    {'memory': {'weights': 1, 'room': 2, 'reserve': 3}}
    """
    *path, last = key.split(".")
    for name in path:
        inner = record.get(name)
        record[name] = dict(inner) if isinstance(inner, Mapping) else {}
        record = record[name]
    old = record.get(last)
    record[last] = {**old, **value} if isinstance(value, Mapping) and isinstance(old, Mapping) else value
