"""Errors are full sentences: what was given, what is wrong, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from .text import LONGEST_QUOTE


class RackmathError(Exception):
    """Base of every error this library raises on purpose."""


class BadInput(RackmathError, ValueError):
    """The question cannot be understood; the command line exits with 2, the web answers 422."""


class Infeasible(RackmathError):
    """The question is clear and nothing satisfies it; the command line exits with 1."""


def shown(value: Any, most: int = LONGEST_QUOTE) -> str:
    """A value for an error message, cut short; numbers too long to print are named, not printed.

    >>> shown("x" * 100, 20), shown(10**400), shown([1] * 9)
    ("'xxxxxxxxxxxxxxxx...", 'a number above 1e30', 'a list of 9 entries')
    """
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**30:
        return "a number above 1e30" if value > 0 else "a number below -1e30"
    if isinstance(value, dict | list) and len(value) > 4:
        return f"a {'list' if isinstance(value, list) else 'mapping'} of {len(value)} entries"
    try:
        text = repr(value if not isinstance(value, str) else value[: most + 1])
    except (ValueError, RecursionError):  # an integer of thousands of digits, or nesting without end
        return f"a {type(value).__name__} too long to show"
    return text if len(text) <= most else text[: most - 3] + "..."


def shown_path(path: object, most: int = LONGEST_QUOTE) -> str:
    """A path for an error message: its end where it is long, which names the file.

    >>> shown_path("/home/someone/" + "very/" * 9 + "model.toml", 24)
    "'...very/very/model.toml'"
    """
    text = repr(str(path)[-most:])
    return text if len(str(path)) <= most else f"'...{text[4:]}"


def did_you_mean(given: str, known: Iterable[str], *, most: int = 3) -> str:
    """A closing clause naming the nearest known spellings, or an empty string.

    >>> did_you_mean("h10", ["h100", "h200", "mi300x"])
    '; did you mean h100?'
    """
    if len(given) > 4 * LONGEST_QUOTE:
        return ""
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
    return BadInput(f"unknown {kind} {shown(given)}{near}{hint}")
