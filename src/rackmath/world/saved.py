"""Engines a user has calibrated: engines/NAME.toml in the user's directory, a packaged engine times a few factors.

    base = "vllm@0.15.1"          # a packaged engine, with the version whose software was measured, or "typical"
    [factors]                     # of what the base costs, see FACTORS; 1 where nothing is said
    step = 1.32
    [source]                      # what the factors were fitted on, for people and for the terms of an answer
    file = "results.json"

Such a name is used wherever an engine can be named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from .. import writing
from ..errors import BadInput, did_you_mean, shown
from ..files import is_regular, parse_toml, read_text
from .engine import WORDS, Tuning, packaged, packaged_key, titles
from .overlay import leave_out

FACTORS = ("launch", "step", "sequence", "host", "request", "queue", "compute", "memory")
"""What a calibration may change: seconds, the line before the first token, and shares of all kernels alike."""

LEAST, MOST = 0.05, 20.0
"""Factors beyond these are a mistake, not a machine."""

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """An engine of the user's own: words of its base, and factors of what that costs."""

    name: str
    base: str
    factors: Mapping[str, float] = field(default_factory=dict)
    said: str = ""  # what it was fitted on


def folder() -> Path:
    """Where the user's engines lie."""
    from .catalog import home

    return home() / "engines"


def path_of(name: str) -> Path:
    return folder() / f"{name}.toml"


def names() -> tuple[str, ...]:
    """Names of the user's engines."""
    return tuple(p.stem for p in sorted(folder().glob("*.toml")) if NAME.fullmatch(p.stem) and is_regular(p))


def saved(words: str) -> Saved | None:
    """The user's engine of exactly this name; None where there is none.

    A broken file is refused, but left out where a packaged engine has the same name.

    >>> saved("no such engine") is None
    True
    """
    name = words.strip()
    if not NAME.fullmatch(name):
        return None
    path = path_of(name)
    try:
        changed = path.stat().st_mtime_ns
    except OSError:
        return None
    try:
        return _read(path, changed)
    except BadInput as error:
        if not packaged_key(name):
            raise
        leave_out(path, str(error))
        return None


@cache
def _read(path: Path, changed: int) -> Saved:
    given = parse_toml(read_text(path, give="give an engine's TOML file"), str(path))
    return built(given, path.stem, str(path))


def built(given: Mapping[str, Any], name: str, where: str) -> Saved:
    """An engine from what its file says.

    >>> built({"base": "vllm", "factors": {"step": 1.5}}, "mine", "mine.toml").factors
    {'step': 1.5}
    """
    known = ("base", "factors", "source")
    for key in given:
        if key not in known:
            raise BadInput(f"{where} has the key {shown(key)}{did_you_mean(key, known)}; known are {', '.join(known)}")
    base, factors, source = given.get("base"), given.get("factors", {}), given.get("source", {})
    if not isinstance(base, str):
        raise BadInput(f'{where} has no base; name a packaged engine: base = "vllm"')
    if not isinstance(factors, dict) or not isinstance(source, dict):
        raise BadInput(f"{where}: factors and source must be tables, [factors] and [source]")
    if base.strip().lower() not in ("", "typical") and not packaged_key(base):
        near = did_you_mean(base, ("typical", *titles()))
        raise BadInput(f"{where}: base = {shown(base)} is not an engine of the package{near}")
    packaged(base)
    for key, value in factors.items():
        if key not in FACTORS:
            raise BadInput(f"{where} has the factor {shown(key)}{did_you_mean(key, FACTORS)}; known: {', '.join(FACTORS)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not LEAST <= value <= MOST:
            raise BadInput(f"{where}: factor {key} = {shown(value, 40)} is out of range; give {LEAST:g} to {MOST:g}")
    said = ", ".join(f"{k} {str(source[k])[:200]}" for k in ("file", "points", "machine", "date") if k in source)
    return Saved(name=name, base=base, factors={k: float(v) for k, v in factors.items()}, said=said)


def scaled(of: Tuning, factors: Mapping[str, float]) -> Tuning:
    """What an engine costs, times factors; one on `compute` or `memory` is for the shares of all kernels.

    >>> from .engine import Tuning
    >>> scaled(Tuning(step=1e-3, memory={"gemm": 0.9}), {"step": 2.0, "memory": 0.5}).memory["gemm"]
    0.45
    """
    changed: dict[str, Any] = {}
    for name, factor in factors.items():
        value = getattr(of, name)
        changed[name] = {k: v * factor for k, v in value.items()} if isinstance(value, Mapping) else value * factor
    return replace(of, **changed)


# --- writing ------------------------------------------------------------------------------------------------------


def check_name(name: str) -> None:
    """Refuse a name that is none, or that already means another engine."""
    if not NAME.fullmatch(name) or name.lower().endswith(".toml"):
        raise BadInput(f"{name!r:.80} cannot name an engine; use letters, digits, '-', '_' and '.', a letter first")
    match = WORDS.fullmatch(name)
    first = match.group(1).lower() if match else name.lower()
    if first in (*titles(), "typical"):
        raise BadInput(f"{name!r} already means the packaged engine {first}; choose another name, such as my-{first}")


def exists(name: str) -> BadInput:
    """The error for a name that is taken."""
    return BadInput(f"the engine {name!r} exists already ({path_of(name)}); choose another name, or --force replaces it")


def write(name: str, text: str, *, force: bool = False) -> Path:
    """Write an engine's file complete or not at all; one that is there is kept unless `force`."""
    check_name(name)
    target = path_of(name)
    if target.exists() and not force:
        raise exists(name)
    advice = "RACKMATH_HOME names another folder"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"cannot write '{target}': {error.strerror or error}; {advice}") from error
    return writing.write(target, text.encode(), advice=advice)
