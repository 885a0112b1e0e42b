"""How each file of the catalogue is read once: the packaged facts, and the user's own."""

from __future__ import annotations

import csv
import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import shipped
from ..files import parse_toml, read_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One line of a listing."""

    name: str
    summary: str


def home() -> Path:
    """The user's own directory of machines and models."""
    given = os.environ.get("RACKMATH_HOME")
    return Path(given or os.path.expanduser("~/.config/rackmath"))


@functools.cache
def table(name: str) -> Mapping[str, Any]:
    """A packaged TOML file by its name."""
    return shipped.read(shipped.FACTS / name)


@functools.cache
def rows(name: str) -> Mapping[str, Mapping[str, str]]:
    """The lines of a packaged CSV file by their first column."""
    with (shipped.FACTS / name).open(newline="", encoding="utf-8") as lines:
        read = csv.DictReader(lines)
        first = (read.fieldnames or [""])[0]
        return {row[first]: row for row in read}


@functools.cache
def parsed(path: Path, changed: int) -> Mapping[str, Any]:
    """A file of a machine or model; `changed` is when it was, so that it is read anew after a change."""
    return parse_toml(read_text(path, give="give a TOML file of a model or machine"), str(path))
