"""Rows of `data/facts/quantization.toml`: what a method stores where its section adds nothing of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ... import shipped
from .config import Config
from .modules import Modules
from .scheme import Form, Shaped, bits_of, stored

FACTS = shipped.read(shipped.FACTS / "quantization.toml")
ROWS: list[dict[str, Any]] = FACTS["method"]
METHODS: dict[str, dict[str, Any]] = {name.replace("_", "-"): row for row in ROWS for name in row["names"]}
"""Every method by the names its tools write, with "-" for "_"."""

BITS = ("bits", "w_bit", "wbits", "nbits", "num_bits", "weight_bits")
GROUP = ("group_size", "q_group_size")
LARGEST_GROUP = 10**6


def modules_of(given: Config, names: Iterable[object], n_layers: int, *, search: bool = False) -> Modules:
    """Module names of a section, folded."""
    return Modules.of(names, n_layers=n_layers, where=given.name, search=search)


def group_of(given: Config, default: int | None = None) -> int | None:
    """Weights that share a scale: None or below 1 where a channel does."""
    found = given.maybe(*GROUP, least=-1, most=LARGEST_GROUP)
    return default if found is None else found


def asymmetric(given: Config, *, default: bool) -> bool:
    """Whether there are zero points, as the section says it in one way or another."""
    for key in ("zero_point", "has_zero_point"):
        if given.has(key):
            return given.flag(key, default=default)
    for key in ("sym", "symmetric"):
        if given.has(key):
            return not given.flag(key, default=True)
    return default


def form(row: Mapping[str, Any], given: Config) -> Form:
    """The format a row means, with the section's own bits and groups."""
    if "format" in row:
        return str(row["format"])
    bits = bits_of(given, *BITS, default=row["bits"])
    if bits == 16:
        return "bf16"
    if "table" in row:
        return Shaped(bits=bits, row=row["table"] * 2**bits)
    zero = row.get("zero", 0)
    if zero == "asymmetric":
        zero = bits if asymmetric(given, default=row.get("asymmetric", False)) else 0
    group = group_of(given, row["group"])
    if "column" in row:
        extra = (row.get("scale", 16) + zero) / group if group and group > 0 else 0.0
        return Shaped(bits=bits + extra, column=row["column"])
    return stored(
        bits,
        group,
        scale=row.get("scale", 16),
        zero=zero,
        act=row.get("act", "16"),
        floating=row.get("float", False),
        sparse=row.get("sparse", False),
    )


def fp8(given: Config) -> str:
    """FP8 with a scale per block, or per tensor or channel."""
    block = given.counts("weight_block_size")
    if not block:
        return "fp8"
    if len(block) != 2 or min(block) < 1 or max(block) > LARGEST_GROUP:
        raise given.bad("weight_block_size", block, "is not two sides of a block; correct the config")
    scale = 8 if given.text("scale_fmt").lower() in ("ue8m0", "e8m0") and block[0] * block[1] < 128**2 else 32
    return stored(8, block[0] * block[1], scale=scale, act="8", floating=True)
