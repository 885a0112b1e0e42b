"""The records a quantisation section is read into, and what its readers share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import shown
from .config import Config
from .modules import Modules

MOST_SAID = 5
"""Keys not understood that are named one by one; the others are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaped:
    """A format whose bits depend on the matrix: per weight, and more per row, per column and per matrix.

    >>> Shaped(bits=4, row=256).in_matrix(4096, 1024)               # a table of 16 values of 16 bits for each row
    4.0625
    """

    bits: float
    row: float = 0  # bits for every output
    column: float = 0  # bits for every input
    matrix: float = 0

    def in_matrix(self, d_in: float, d_out: float) -> float:
        """Bits a weight takes in a matrix of these sides."""
        return self.bits + self.row / d_in + self.column / d_out + self.matrix / (d_in * d_out)


Form = str | Shaped
"""A number format by name, or one that depends on the matrix."""

Override = tuple[Form, Modules]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """The default format of linear layers, of experts, head and embedding where they have their own, the modules
    kept out, those given another format, and remarks on what was not understood."""

    default: Form = "bf16"
    experts: Form = ""
    head: str = ""
    embedding: str = ""
    everywhere: bool = False  # whether the default holds for the output head too
    skipped: Modules = field(default_factory=Modules)
    groups: tuple[Override, ...] = ()
    notes: tuple[str, ...] = ()


def unread(given: Config, known: Iterable[str], where: str = "the quantisation section") -> Iterator[str]:
    """A remark on every key of a section that says something and is not `known`."""
    strange = [key for key, value in given.raw.items() if key not in known and _says(value)]
    for key in strange[:MOST_SAID]:
        yield f"{key!r:.60} of {where} is not understood and left out: weights may differ"
    if len(strange) > MOST_SAID:
        yield f"{len(strange) - MOST_SAID} more keys of {where} are not understood and left out: weights may differ"


def _says(value: Any) -> bool:
    return not (value is None or value is False or (isinstance(value, str | list | Mapping) and not value))


_NAMED = {
    ("w", 4, 128, 16, 0, "16"): "w4a16",
    ("w", 4, 32, 16, 0, "16"): "w4a16_g32",
    ("w", 4, 128, 16, 0, "f8"): "w4a8",
    ("f", 8, 16384, 32, 0, "8"): "fp8_block",
    ("f", 8, 128, 32, 0, "8"): "fp8_g128",
    ("f", 8, 32, 8, 0, "8"): "mxfp8",
    ("f", 4, 16, 8, 0, "4"): "nvfp4",
    ("f", 4, 16, 8, 0, "16"): "nvfp4_w4a16",
    ("f", 4, 32, 8, 0, "4"): "mxfp4",
}
_CHANNEL = {("w", 8, "16"): "w8a16", ("w", 8, "8"): "int8", ("f", 8, "8"): "fp8"}


def stored(
    bits: float, group: int | None, *, scale: int = 16, zero: float = 0, act: str = "16", floating: bool = False, sparse: bool = False
) -> str:
    """The name of a format: bits of a weight, weights that share a scale (None or below 1: a channel), bits of the
    scale and of the zero point, what its products take.

    >>> stored(4, 128), stored(3, 64, zero=3), stored(8, -1), stored(4, 16, scale=8, act="4", floating=True)
    ('w4a16', 'w3a16_g64_z', 'w8a16', 'nvfp4')
    """
    kind = "f" if floating else "w"
    tail = "_24" if sparse else ""
    if group is None or group <= 0:
        named = None if sparse else _CHANNEL.get((kind, int(bits) if bits == int(bits) else 0, act))
        return named or f"{kind}{bits:.7g}a{act}_c{tail}"
    if not sparse and bits == int(bits) and (found := _NAMED.get((kind, int(bits), group, scale, int(zero), act))):
        return found
    of_scale = "" if scale == 16 else f"_s{scale}"
    of_zero = "" if not zero else "_z" if zero == bits else f"_z{math.ceil(zero)}"
    return f"{kind}{bits:.7g}a{act}_g{group}{of_scale}{of_zero}{tail}"


def sparse_of(name: str) -> str:
    """A format with two of four weights kept; a bit for each weight says which.

    >>> sparse_of("w4a16"), sparse_of("fp8"), sparse_of("bf16")
    ('w4a16_g128_24', 'f8a8_c_24', 'w16a16_c_24')
    """
    named = {v: k for k, v in _NAMED.items()}
    if name in named:
        kind, bits, group, scale, zero, act = named[name]
        return stored(bits, group, scale=scale, zero=zero, act=act, floating=kind == "f", sparse=True)
    channels = {v: k for k, v in _CHANNEL.items()} | {"bf16": ("w", 16, "16")}
    if name in channels:
        kind, bits, act = channels[name]
        return stored(bits, None, act=act, floating=kind == "f", sparse=True)
    return name if name.endswith("_24") else f"{name}_24"


def bits_of(given: Config, *keys: str, default: float | None = None) -> float:
    found = given.number(*keys, default=default)
    if not 1 <= found <= 16:
        raise given.bad(given.find(*keys)[0], found, "is not a width with a known format (1 to 16)")
    return found


def unmatched(groups: Iterable[tuple[Override, float]]) -> Iterator[str]:
    """A remark on every override that no part of the model answers to."""
    for (form, modules), share in groups:
        some = next(iter([*modules.anywhere, *modules.inside]), None)
        if not share and some is not None and not modules.names("lm_head", "head", "embed_tokens"):
            name = form if isinstance(form, str) else f"{form.bits:.3g} bits"
            yield f"{shown(some)} of the quantisation section ({name}) names no part of this model and is left out"
