"""Checks of a user's own machine file, before it is read like a packaged one: one sentence names the mistake."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import BadInput, unknown


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
            raise BadInput(f"{path} has no {where}; see docs/machines.md for what a machine file needs") from None
        raise BadInput(f"{path}: {where} = {first.get('input')!r:.60}: {first['msg'].lower()}") from None


def _schema(*, derived: bool) -> tuple[Any, list[str]]:
    """The shape of a machine file: a device described in full, or one derived from another (`base`)."""
    from pydantic import (
        BaseModel,
        ConfigDict,
        StrictBool,
        StrictFloat,
        StrictInt,
        StrictStr,
        TypeAdapter,
        create_model,
    )

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
        fields |= {"year": (StrictInt, 0), "slice_unit": (StrictInt, 1), "sources": (dict[StrictStr, source], {})}
    model: type[BaseModel] = create_model("machine", __config__=strict, **fields)
    return TypeAdapter(model), sorted(fields)
