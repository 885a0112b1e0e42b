"""The record a quantisation section is read into, and what its readers share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ...errors import shown
from .config import Config
from .modules import Modules

Override = tuple[str, Modules]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """The default format of linear layers, of experts and of the output head where they have their own, the modules
    kept out, those given another format, and remarks on what was not understood."""

    default: str = "bf16"
    experts: str = ""
    head: str = ""
    everywhere: bool = False  # whether the default holds for the output head too
    skipped: Modules = field(default_factory=Modules)
    groups: tuple[Override, ...] = ()
    notes: tuple[str, ...] = ()


def unread(given: Config, known: Iterable[str]) -> Iterator[str]:
    """A remark on every key of a section that says something and is not `known`."""
    for key, value in given.raw.items():
        empty = value is None or value is False or (isinstance(value, str | list | Mapping) and not value)
        if key not in known and not empty:
            yield f"{key!r:.60} of the quantisation section is not understood and left out: weights may differ"


def weight_only(bits: float, group: int | None, zero: str = "") -> str:
    """The format of `bits` per weight with a scale per `group` and 16-bit products.

    >>> weight_only(4, 128), weight_only(3, 64, "_z"), weight_only(8, -1)
    ('w4a16', 'w3a16_g64_z', 'w8a16')
    """
    named = {(4.0, 128, ""): "w4a16", (4.0, 32, ""): "w4a16_g32"}
    if group is None or group <= 0:
        return "w8a16" if bits == 8 else f"w{bits:g}a16_c"
    return named.get((float(bits), group, zero)) or f"w{bits:g}a16_g{group}{zero}"


def bits_of(given: Config, *keys: str, default: float | None = None) -> float:
    found = given.number(*keys, default=default)
    if not 1 <= found <= 16:
        raise given.bad(given.find(*keys)[0], found, "is not a width with a known format (1 to 16)")
    return found


def unmatched(groups: Iterable[tuple[Override, float]]) -> Iterator[str]:
    """A remark on every override that no part of the model answers to."""
    for (name, modules), share in groups:
        some = next(iter([*modules.anywhere, *modules.inside]), None)
        if not share and some is not None and not modules.names("lm_head", "head"):
            yield f"{shown(some)} of the quantisation section ({name}) names no part of this model and is left out"
