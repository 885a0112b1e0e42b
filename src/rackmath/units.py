"""Parse and format quantities: "3.35 TB/s", "$2.10/h", "40ms", "4k".

Everything inside is SI floats: seconds, bytes (decimal), FLOP (a multiply-add is two), dollars, watts.
This module is the only place where text becomes a number with a unit, or the reverse.
"""

from __future__ import annotations

import math
import re

from .errors import BadInput, did_you_mean, shown
from .limits import check_size

_PREFIX = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_BINARY = {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50}
_SI = {k: v for k, v in _PREFIX.items() if k != "B"}

# dimension -> {unit spelling: factor to SI}; the first spelling is the one used in messages
UNITS: dict[str, dict[str, float]] = {
    "bytes": {"B": 1.0} | {p + "B": f for p, f in (_SI | _BINARY).items()},
    "bytes/s": {"B/s": 1.0}
    | {p + "B/s": f for p, f in (_SI | _BINARY).items()}
    | {p + "bit/s": f / 8 for p, f in _SI.items()}
    | {p + "b/s": f / 8 for p, f in _SI.items()}
    | {p + "bps": f / 8 for p, f in _SI.items()},
    "FLOP/s": {p + u: f for p, f in _SI.items() for u in ("FLOP/s", "FLOPS", "FLOPs", "FLOPS/s", "OPS", "OP/s")},
    "s": {"s": 1.0, "sec": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0},
    "$/h": dict.fromkeys(("$/h", "USD/h", "$/hour", "$/GPU-h", "$/gpu-hour"), 1.0),
    "$": {p + u: f for p, f in _PREFIX.items() for u in ("$", "USD")},
    "W": {p + "W": f for p, f in _SI.items()},
    "1/s": {"/s": 1.0, "Hz": 1.0, "/min": 1 / 60, "/h": 1 / 3600, "/d": 1 / 86400}
    | dict.fromkeys(("req/s", "tok/s", "token/s", "tokens/s", "req/s"), 1.0),
    "count": dict(_PREFIX.items()) | {"tokens": 1.0, "tok": 1.0, "ktok": 1e3},
    "share": {"": 1.0, "%": 0.01},
}

# dimensions in which a bare number is taken as SI; the others need their unit
_BARE = {"count", "share", "1/s", "$/h", "$"}

LONGEST = 80
"""Most letters of a quantity."""

_QUANTITY = re.compile(r"^\s*(\$?)\s*([-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([^\s\d].*?)?\s*$")


def parse(text: str | float, dimension: str, *, name: str = "value", sized: bool = True) -> float:
    """A number in SI units from text; `dimension` is a key of `UNITS`. Unless `sized`, the caller holds it to limits.

    >>> parse("3.35 TB/s", "bytes/s")
    3350000000000.0
    >>> parse("40ms", "s"), parse("$2.10/h", "$/h"), parse("4k", "count")
    (0.04, 2.1, 4000.0)
    >>> parse("8 TB", "bytes/s", name="hbm_bandwidth")
    Traceback (most recent call last):
    ...
    rackmath.errors.BadInput: hbm_bandwidth = '8 TB' is in bytes, but bytes/s is needed; write it like '8TB/s'
    """
    if dimension not in UNITS:
        raise BadInput(f"unknown dimension {dimension!r}{did_you_mean(dimension, UNITS)}")
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise BadInput(f"{name} = {shown(text)} is not a number; give a quantity in {dimension}")
    if isinstance(text, int) and text.bit_length() > 1000:
        raise BadInput(f"{name} = {shown(text)} has more digits than any quantity; give an ordinary number")
    if isinstance(text, int | float):
        return _finite(float(text), text, dimension, name, sized)
    if text.strip().lower().lstrip("+-") in ("inf", "infinity", "nan"):
        raise BadInput(f"{name} = {text!r} is not finite; give an ordinary number")
    match = _QUANTITY.match(text) if len(text) <= LONGEST else None
    if match is None:
        raise BadInput(f"{name} = {shown(text)} is not a number with a unit; write it like {_example(dimension)!r}")
    dollar, digits, unit = match.group(1), match.group(2), (match.group(3) or "").strip()
    unit = re.sub(r"\s*/\s*", "/", unit)
    if dollar:
        unit = "$" + unit if unit.startswith("/") or not unit else unit + "$"
    number = float(digits.replace("_", ""))
    factor = UNITS[dimension].get(unit)
    if factor is None and not unit and dimension in _BARE:
        factor = 1.0
    if factor is None:
        factor = _caseless(dimension, unit)
    if factor is None:
        example = _example(dimension, digits)
        if not unit:
            raise BadInput(f"{name} = {text!r} has no unit; write it like {example!r}")
        other = next((d for d, units in UNITS.items() if d != "count" and unit in units), None)
        if other is not None:
            words = {"s": "seconds", "W": "watts", "$": "dollars"}.get(other, other)
            raise BadInput(f"{name} = {text!r} is in {words}, but {dimension} is needed; write it like {example!r}")
        raise BadInput(f"{name} = {text!r} has the unknown unit {unit!r}{did_you_mean(unit, UNITS[dimension])}; write it like {example!r}")
    return _finite(number * factor, text, dimension, name, sized)


def _caseless(dimension: str, unit: str) -> float | None:
    """The factor of a spelling that differs in case only and is unambiguous (bits and bytes are not)."""
    if dimension in ("bytes", "bytes/s"):
        return None
    found = {f for u, f in UNITS[dimension].items() if u.lower() == unit.lower()}
    return found.pop() if len(found) == 1 else None


def _finite(value: float, given: object, dimension: str, name: str, sized: bool) -> float:
    if not math.isfinite(value):
        raise BadInput(f"{name} = {shown(given)} is not finite; give an ordinary number")
    return check_size(value, given, dimension, name) if sized else value


def _example(dimension: str, digits: str = "8") -> str:
    unit = {"bytes": "GB", "bytes/s": "TB/s", "FLOP/s": "PFLOP/s", "s": "s", "W": "kW", "1/s": "/s"}.get(dimension, "")
    if dimension in ("$", "$/h"):
        return f"${digits}{dimension[1:]}"
    return f"{digits}{unit}"


def plural(count: float, word: str) -> str:
    """A count with its word: one of it, or several.

    >>> plural(1, "device"), plural(8.0, "device"), plural(1200, "replica")
    ('1 device', '8 devices', '1,200 replicas')
    """
    return f"{count:,.0f} {word}{'' if count == 1 else 's'}"


_DECIMAL = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))


def show(value: float, unit: str = "", *, digits: int = 3) -> str:
    """A number for people: three significant digits and a prefix.

    >>> show(3.35e12, "B/s"), show(0.0123, "s"), show(671e9, "params"), show(1024, "")
    ('3.35 TB/s', '12.3 ms', '671 B params', '1,024')
    """
    if value is None or not math.isfinite(value):
        return "-" if value is None or math.isnan(value) else ("∞" if value > 0 else "-∞")
    if unit == "s":
        return _show_time(value, digits)
    if unit.startswith("$"):
        return f"${_significant(value, digits)}{unit[1:]}"
    if unit in ("", "share", "%"):
        if unit:
            return f"{_significant(value * 100, digits)} %"
        return f"{value:,.0f}" if abs(value) >= 1000 else _significant(value, digits)
    if value == 0:
        return f"0 {unit}"
    for scale, prefix in _DECIMAL:
        if abs(value) >= scale * 0.9995:
            break
    if unit in ("params", "tokens", "tok/s") and prefix == "G":
        prefix = "B"
    joined = f"{prefix}{unit}" if unit not in ("params", "tokens", "tok/s") else f"{prefix} {unit}".strip()
    return f"{_significant(value / scale, digits)} {joined}"


def _show_time(value: float, digits: int) -> str:
    size = abs(value)
    if size == 0:
        return "0 s"
    for scale, unit, limit in ((1e-9, "ns", 1e-6), (1e-6, "µs", 1e-3), (1e-3, "ms", 1.0), (1.0, "s", 120.0)):
        if size < limit:
            return f"{_significant(value / scale, digits)} {unit}"
    for scale, unit, limit in ((60.0, "min", 7200.0), (3600.0, "h", 172800.0)):
        if size < limit:
            return f"{_significant(value / scale, digits)} {unit}"
    return f"{_significant(value / 86400.0, digits)} d"


def _significant(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(places, 12)}f}"
