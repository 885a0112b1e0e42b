"""The `gguf` package's reader, asked for a header alone; imported only where a .gguf file is read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from gguf import constants, gguf_reader

LONGEST = 5_000
"""Lists longer than this are passed over: those that say something of a model have an entry for each layer."""

MOST_READS = 1_000_000
"""Numbers and texts read from a header before it is taken to be none."""


class Reader(gguf_reader.GGUFReader):
    """A header: `said`, and sides, type and bytes of each tensor; what ends too early is an error."""

    def __init__(self, path: Path) -> None:
        self.reads = 0
        self.sizes: dict[str, dict[str, Any]] = {}
        super().__init__(path)
        self.said = {name: _value(field) for name, field in self.fields.items()}
        del self.data  # lets go of the file

    def _get(self, offset: int, dtype: Any, count: int = 1, override_order: Any = None) -> Any:
        self.reads += 1
        if self.reads > MOST_READS:
            raise ValueError("it lists too much")
        data: Any = self.data
        if int(offset) + np.dtype(dtype).itemsize * int(count) > len(data):
            raise ValueError("it ends too early")
        return super()._get(offset, dtype, count, override_order)

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
        data: Any = self.data
        fixed = self.gguf_scalar_to_np.get(kind)
        size = 0
        if fixed is not None:
            size = int(fixed(0).nbytes) * length
        elif kind == constants.GGUFValueType.STRING and self.byte_order == "I":
            view, end = memoryview(data), len(data)
            for _ in range(min(length, MOST_READS)):
                size += 8 + int.from_bytes(view[start + size : start + size + 8], "little")
                if start + size > end:
                    break
        else:
            raise ValueError("a list of lists")
        if start + size > len(data) or (fixed is None and length > MOST_READS):
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
            bytes_ = math.prod(shape) * size / block
            self.sizes[text] = {"shape": shape, "type": kind.name.lower(), "bytes": bytes_}


def _value(field: Any) -> Any:
    """A value as Python has it; None for a list that was passed over."""
    if not field.data:
        return None
    found = field.contents()
    return found.item() if hasattr(found, "item") else found
