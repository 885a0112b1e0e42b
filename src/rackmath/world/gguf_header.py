"""The header of a .gguf file: what it says of itself and its tensors' shapes and types; weights are never read.

The file is read by the `gguf` package (an extra, `pip install 'rackmath[gguf]'`), whose reader is asked to look at no
data and to pass over long lists (a tokenizer's words). Parts of a split file are read as one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BadInput, shown_path
from ..files import is_regular

_PART = re.compile(r"^(.*)-(\d{5})-of-(\d{5})\.gguf$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One tensor of a file: its sides with the length of a row first, the type of its blocks, its bytes."""

    name: str
    shape: tuple[int, ...]
    type: str
    bytes: float

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a file says of itself, under llama.cpp's keys, and its tensors by name."""

    said: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


def read_header(path: Path) -> Header:
    """The header of a .gguf file, with the tensors of all its parts where it is split."""
    match = _PART.match(path.name)
    parts = [path]
    if match is not None:
        count = int(match[3])
        if not 1 <= count <= 999:
            raise BadInput(f"{shown_path(path)}: {count:,} parts are no split of a file; give one of its parts")
        parts = [path.with_name(f"{match[1]}-{i:05}-of-{match[3]}.gguf") for i in range(1, count + 1)]
    absent = [part.name for part in parts if not part.is_file()]
    if absent and len(parts) > 1:
        raise BadInput(f"{shown_path(path)} is one of {len(parts)} parts, and {absent[0]} does not lie beside it")
    said: dict[str, Any] = {}
    tensors: dict[str, Tensor] = {}
    for part in parts:
        found = _read(part)
        said = {**found.said, **said}
        tensors |= found.tensors
    expected = said.get("split.tensors.count")
    if len(parts) > 1 and isinstance(expected, int) and expected != len(tensors):
        raise BadInput(f"{shown_path(path)}: its parts hold {len(tensors):,} tensors, not the {expected:,} they name")
    if len(parts) == 1 and isinstance(said.get("split.count"), int) and said["split.count"] > 1:
        raise BadInput(f"{shown_path(path)} is one part of {said['split.count']}; keep the names the parts came with")
    return Header(said=said, tensors=tensors)


def _read(path: Path) -> Header:
    if not path.exists():
        raise BadInput(f"cannot read {shown_path(path)}: no such file; give the path of a .gguf file")
    if not is_regular(path) or path.stat().st_size < 24:
        raise BadInput(f"{shown_path(path)} is no GGUF file; give the path of one")
    try:
        from .gguf_reader import Reader
    except ImportError:
        raise BadInput("reading a .gguf file needs the gguf package: pip install 'rackmath[gguf]'") from None
    try:
        found = Reader(path)
    except (ValueError, KeyError, IndexError, TypeError, OverflowError, UnicodeDecodeError, OSError) as error:
        raise BadInput(f"{shown_path(path)} has no header that can be read ({str(error)[:80]}); is it whole?") from None
    return Header(said=found.said, tensors={n: Tensor(name=n, **sizes) for n, sizes in found.sizes.items()})
