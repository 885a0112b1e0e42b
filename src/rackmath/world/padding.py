"""How engines widen experts while loading them: kernels want whole tiles (`data/facts/padding.toml`)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from .. import shipped
from ..arrays import Number
from .engine import Engine
from .model import Matrix
from .precision import Format


@dataclass(frozen=True, slots=True, kw_only=True)
class Padding:
    """Multiples that the sides of an expert's matrices are rounded up to; see `data/facts/padding.toml`."""

    hidden: float = 1
    inner: float = 1
    summed: float = 1

    def bytes(self, matrix: Matrix, fmt: Format, d_hidden: float, ways: Number) -> Number:
        """Bytes of an expert's matrix on one of the `ways` devices it is cut over.

        >>> from rackmath.world.precision import format_named
        >>> down = Matrix(name="down", d_in=2880, d_out=2880)          # gpt-oss on Hopper, through Marlin
        >>> marlin = Padding(hidden=256, inner=128)
        >>> float(marlin.bytes(down, format_named("mxfp4"), 2880, 1.0)) / (3072 * 2944)
        0.53125
        """
        if self == PLAIN:
            return fmt.bytes * matrix.parameters / ways
        inner = (matrix.d_out if matrix.d_in == d_hidden else matrix.d_in) / ways
        hidden, width = _up(d_hidden, self.hidden), _up(inner, self.inner)
        first = matrix.name == "up"
        values, scales = 0.5, fmt.bytes - 0.5
        summed = _up(hidden if first else width, self.summed) * (width if first else hidden)
        return matrix.count * (values * summed + scales * hidden * width)


PLAIN = Padding()


def padding(engine: Engine, generation: str, fmt: Format) -> Padding:
    """What an engine does to experts of a format on a generation of accelerators.

    >>> from rackmath.world.precision import format_named
    >>> padding(Engine(name="vllm", version="0.10.1"), "hopper", format_named("mxfp4")).hidden
    256
    >>> [padding(Engine(), "hopper", format_named(name)).summed for name in ("mxfp4", "fp8")]
    [256, 1]
    """
    for rule in _rules():
        fits = fmt.name in rule["formats"] and generation in rule["generations"]
        named = engine.name in rule.get("engines", (engine.name,)) and engine.name not in FROM_FILES
        if fits and named and ("before" not in rule or _older(engine.version, rule["before"])):
            return Padding(**{k: rule[k] for k in ("hidden", "inner", "summed") if k in rule})
    return PLAIN


FROM_FILES = ("llamacpp",)
"""Engines that run a checkpoint's file as it stands."""


@cache
def _rules() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shipped.read(shipped.FACTS / "padding.toml")["rule"]
    return found


def _older(version: str, than: str) -> bool:
    """Whether a version is known and older."""
    numbers = [[int(n) for n in re.findall(r"\d+", v)[:3]] for v in (version, than)]
    return bool(numbers[0]) and numbers[0] < numbers[1]


def _up(size: Number, multiple: float) -> Number:
    return np.ceil(np.asarray(size) / multiple) * multiple
