"""Records to columns and back.

A record is a frozen dataclass whose numeric leaves are a float or an array of one length; a grid is the
same record with arrays in it. Kernels use arithmetic that works on both.
"""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Number = float | NDArray[np.float64]
"""A scalar or a column of scalars."""

Mask = Any
"""A boolean, or a column of booleans."""

R = TypeVar("R")


def length(record: Any) -> int | None:
    """The number of rows in a record of columns, or None where every leaf is a scalar.

    >>> from rackmath.layout.parallelism import Layout
    >>> length(Layout(tp=np.array([1.0, 2.0, 4.0])))
    3
    """
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if isinstance(value, np.ndarray) and value.ndim:
            return len(value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            inner = length(value)
            if inner is not None:
                return inner
    return None


def take(record: R, index: Any) -> R:
    """Row `index` of a record of columns as scalars, or several rows as shorter columns.

    >>> from rackmath.layout.parallelism import Layout
    >>> take(Layout(tp=np.array([1.0, 2.0, 4.0])), 2).tp
    4.0
    """
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(record):  # type: ignore[arg-type]
        value = getattr(record, field.name)
        if isinstance(value, np.ndarray) and value.ndim:
            row = value[index]
            changes[field.name] = row if isinstance(row, np.ndarray) else row.item()
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            inner = take(value, index)
            if inner is not value:
                changes[field.name] = inner
    return dataclasses.replace(record, **changes) if changes else record  # type: ignore[type-var]
