"""The header of a .gguf file: what it says of itself and its tensors' shapes and types; weights are never read.

The file is read by the `gguf` package (an extra, `pip install 'rackmath[gguf]'`), whose reader is asked to look at no
data and to pass over long lists (a tokenizer's words). Parts of a split file are read as one.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BadInput, shown_path
from ..files import is_regular

LONGEST = 5_000
"""Lists longer than this are passed over: those that say something of a model have an entry for each layer."""

MOST_READS = 1_000_000
"""Numbers and texts read from a header before it is taken to be none."""

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
    reader = _reader()
    try:
        found = reader(path)
    except (ValueError, KeyError, IndexError, TypeError, OverflowError, UnicodeDecodeError, OSError) as error:
        raise BadInput(
            f"{shown_path(path)} has no header that can be read ({str(error)[:80]}); is it whole?"
        ) from None
    return Header(said=found.said, tensors=found.sizes)


@functools.cache
def _reader() -> Any:
    try:
        from gguf import constants, gguf_reader
    except ImportError:
        raise BadInput("reading a .gguf file needs the gguf package: pip install 'rackmath[gguf]'") from None

    class Reader(gguf_reader.GGUFReader):  # type: ignore[misc, unused-ignore]
        """The package's reader, without data and without long lists; what ends too early is an error."""

        def __init__(self, path: Path) -> None:
            self.reads = 0
            self.sizes: dict[str, Tensor] = {}
            super().__init__(path)
            self.said = {name: _value(field) for name, field in self.fields.items()}
            del self.data  # lets go of the file

        def _get(self, offset: int, dtype: Any, count: int = 1, override_order: Any = None) -> Any:
            self.reads += 1
            if self.reads > MOST_READS:
                raise ValueError("it lists too much")
            found = super()._get(offset, dtype, count, override_order)
            if len(found) < count:
                raise ValueError("it ends too early")
            return found

        def _get_field_parts(self, orig_offs: int, raw_type: int) -> Any:
            kinds = constants.GGUFValueType
            if kinds(raw_type) is not kinds.ARRAY:
                return super()._get_field_parts(orig_offs, raw_type)
            inner, length = self._get(orig_offs, "uint32"), self._get(orig_offs + 4, "uint64")
            if length[0] <= LONGEST:
                return super()._get_field_parts(orig_offs, raw_type)
            size = 12 + self._span(orig_offs + 12, kinds(inner[0]), int(length[0]))
            return size, [length], [], [kinds.ARRAY, kinds(inner[0])]

        def _span(self, start: int, kind: Any, length: int) -> int:
            """Bytes of a list that is passed over."""
            fixed = self.gguf_scalar_to_np.get(kind)
            if fixed is not None:
                size = int(fixed(0).nbytes) * length
            elif kind == constants.GGUFValueType.STRING and self.byte_order == "I":
                size, data, end = 0, memoryview(self.data), len(self.data)
                for _ in range(min(length, MOST_READS)):
                    size += 8 + int.from_bytes(data[start + size : start + size + 8], "little")
                    if start + size > end:
                        break
            else:
                raise ValueError("a list of lists")
            if start + size > len(self.data) or length > MOST_READS:
                raise ValueError("a list does not end")
            return size

        def _build_tensors(self, start_offs: int, fields: Any) -> None:
            for field in fields:
                _, name, _, dims, raw_type, _ = field.parts
                shape = tuple(int(n) for n in dims)
                kind = constants.GGMLQuantizationType(raw_type[0])
                block, size = constants.GGML_QUANT_SIZES[kind]
                if not shape or len(shape) > 4 or not all(0 < n < 2**40 for n in shape):
                    raise ValueError("a tensor has sides that cannot be")
                text = str(bytes(name), encoding="utf-8")
                if text in self.sizes:
                    raise ValueError("two tensors have one name")
                count = math.prod(shape)
                self.sizes[text] = Tensor(name=text, shape=shape, type=kind.name.lower(), bytes=count * size / block)

    return Reader


def _value(field: Any) -> Any:
    """A value as Python has it; None for a list that was passed over, whose length stands in its parts."""
    if not field.data:
        return None
    found = field.contents()
    return found.item() if hasattr(found, "item") else found
