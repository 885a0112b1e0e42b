"""Errors are full sentences: what was given, what is wrong, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RackmathError(Exception):
    """Base of every error this library raises on purpose."""


class BadInput(RackmathError, ValueError):
    """The question cannot be understood; the command line exits with 2, the web answers 422."""


class Infeasible(RackmathError):
    """The question is clear and nothing satisfies it; the command line exits with 1."""


def did_you_mean(given: str, known: Iterable[str], *, most: int = 3) -> str:
    """A closing clause naming the nearest known spellings, or an empty string.

    >>> did_you_mean("h10", ["h100", "h200", "mi300x"])
    '; did you mean h100?'
    """
    lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(given.lower(), list(lower), n=most, cutoff=0.6)
    return f"; did you mean {' or '.join(lower[name] for name in near)}?" if near else ""


def unknown(kind: str, given: str, known: Iterable[str], *, hint: str = "") -> BadInput:
    """The error for a name that is not in a list.

    >>> str(unknown("format", "fp9", ["fp8", "fp4", "bf16"]))
    "unknown format 'fp9'; did you mean fp8 or fp4?"
    """
    names = list(known)
    near = did_you_mean(given, names)
    if not near and len(names) <= 12:
        near = f"; known: {', '.join(names)}"
    return BadInput(f"unknown {kind} {given!r}{near}{hint}")
