"""The user's own files: which there are, which are left out and why, and checks of a machine before it is built.

A broken file is left out, with a warning; nobody's other questions stop for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from ..errors import BadInput, shown, unknown

MOST_FILES = 1000
"""Files of one folder that are looked at, in the order of their names."""

Found = tuple[tuple[Path, int], ...]

_LEFT_OUT: dict[Path, str] = {}


def found(folder: Path, *suffixes: str) -> Found:
    """Whatever in a folder has one of the endings, with the time it was changed: files, but links and pipes too."""
    every = sorted(p for suffix in suffixes for p in folder.glob(f"*.{suffix}"))
    if len(every) > MOST_FILES:
        leave_out(folder, f"it holds {len(every):,} files; the first {MOST_FILES:,} are read")
    return tuple((path, changed(path)) for path in every[:MOST_FILES])


def changed(path: Path) -> int:
    """When a file was changed, so that it is read anew; -1 where a link leads nowhere."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return -1


def leave_out(path: Path, reason: str) -> None:
    """Keep the reason why a file of the user is not read."""
    _LEFT_OUT[path] = reason


def warnings() -> tuple[str, ...]:
    """A sentence for each file that has been left out since the last call."""
    said = tuple(reason if str(path) in reason else f"{path}: {reason}" for path, reason in _LEFT_OUT.items())
    _LEFT_OUT.clear()
    return said


def check_machine(path: str, given: Mapping[str, Any]) -> None:
    """Refuse a file whose keys or kinds of value are wrong; ranges and units are checked where they are parsed."""
    from pydantic import ValidationError

    adapter, keys = _schema(derived="base" in given)
    try:
        adapter.validate_python(dict(given))
    except ValidationError as error:
        first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        where = ".".join(str(part) for part in first["loc"] if not str(part).startswith(("float", "str", "int")))
        if first["type"] == "extra_forbidden":
            raise unknown(f"key in {path}", where, keys) from None
        if first["type"] == "missing":
            raise BadInput(f"{path} has no {where}; see docs/concepts/machines.md for what a machine file needs") from None
        raise BadInput(f"{path}: {where} = {shown(first.get('input'))}: {first['msg'].lower()}") from None


def _schema(*, derived: bool) -> tuple[Any, list[str]]:
    """The shape of a machine file: a device described in full, or one derived from another (`base`)."""
    from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, TypeAdapter, create_model

    from .spec import DIMENSIONS, KEYS, PRICE_KINDS

    strict = ConfigDict(extra="forbid")
    value = StrictInt | StrictFloat | StrictStr
    said: dict[str, Any] = {"text": (StrictStr, ""), "date": (StrictStr, ""), "verified": (StrictBool, True)}
    source: Any = create_model("source", __config__=strict, **said)
    price: Any = create_model("price", __config__=strict, value=(value, None), capital=(value, None), **said)
    kinds: dict[str, Any] = dict.fromkeys(PRICE_KINDS, (price, None))
    prices: Any = create_model("prices", __config__=strict, **kinds)
    fields: dict[str, Any] = {
        "n_devices": (value, 1),
        "aliases": (list[StrictStr], []),
        "notes": (list[StrictStr], []),
        "source": (source, None),
        "price": (prices, None),
    }
    if derived:
        fields |= {"base": (StrictStr, ...), "set": (dict[StrictStr, value], {})}
    else:
        needed = {"peak_bf16", "hbm_bandwidth"}
        fields |= dict.fromkeys(KEYS - set(fields), (StrictStr, ""))
        fields |= {key: (value, ... if key in needed else 0) for key in DIMENSIONS if key in KEYS}
        year, unit = Annotated[StrictInt, Field(ge=0, le=9999)], Annotated[StrictInt, Field(ge=1, le=10**6)]
        fields |= {"year": (year, 0), "slice_unit": (unit, 1), "sources": (dict[StrictStr, source], {})}
    model: type[BaseModel] = create_model("machine", __config__=strict, **fields)
    return TypeAdapter(model), sorted(fields)
