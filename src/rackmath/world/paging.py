"""How an engine cuts the memory of caches into blocks (`data/facts/paging.toml`, with sources)."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from .. import shipped
from .engine import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """Blocks of an engine's cache; see `data/facts/paging.toml` for what each field is."""

    tokens: float = 1
    shared: bool = False
    steps: float = 1
    align: float = 1
    tuples: bool = False


def paging(engine: Engine) -> Paging:
    """The blocks of an engine's version; without one, of the newest known.

    >>> [paging(Engine(name="vllm", version=version)).steps for version in ("0.22.1", "")]
    [1, 2]
    """
    return _paging(engine.name, engine.version)


@cache
def _paging(name: str, version: str) -> Paging:
    eras = _eras().get(name) or _eras()["typical"]
    asked = _numbers(version)
    known = {f.name for f in fields(Paging)}
    found: dict[str, Any] = {}
    for i, era in enumerate(eras):
        if i == 0 or not asked or _numbers(era["since"]) <= asked:
            found |= {key: value for key, value in era.items() if key in known}
    return Paging(**found)


@cache
def _eras() -> dict[str, list[dict[str, Any]]]:
    return shipped.read(shipped.FACTS / "paging.toml")


def _numbers(version: str) -> list[int]:
    return [int(n) for n in re.findall(r"\d+", version)[:3]]
