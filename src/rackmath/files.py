"""Files people give: regular ones only, of a bounded size, as text in UTF-8, then JSON or TOML with each key once.

Whatever a path leads to, the answer is text or one sentence, and it comes at once: pipes and devices are not opened,
and no more than `most` bytes are ever read.
"""

from __future__ import annotations

import json
import os
import re
import stat
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from .errors import BadInput, shown, shown_path

DESCRIPTION = 500_000
"""Most bytes of a file written by hand: a model, a machine, an engine, a price list."""

CONFIG = 4_000_000
"""Most bytes of a config.json, where formats of every expert may be listed by name."""

RUNS = 32_000_000
"""Most bytes of results of benchmarks or training runs."""

DEEPEST = 32
"""Most levels of tables and lists inside each other."""

LONGEST_NUMBER = 300
"""Most digits of a number: longer ones do not even fit a float."""

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)
_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+"""
_DOTTED = re.compile(rf"(?<![\w-])(?:{_PART}){{{DEEPEST}}}")
"""A key of too many parts."""


def read_text(path: str | Path, *, most: int = DESCRIPTION, give: str = "give a text file") -> str:
    """The text of a regular file of at most `most` bytes; `give` says in an error what was expected.

    >>> read_text("/dev/null")
    Traceback (most recent call last):
    ...
    rackmath.errors.BadInput: '/dev/null' is a device, not a file; give a text file
    """
    with opened(path, most=most, give=give) as file:
        raw = file.read(most + 1)
    if len(raw) > most:
        raise BadInput(f"{shown_path(path)} has more than {most:,} bytes, too many for what it should be; {give}")
    return decoded(raw, path, give)


def decoded(raw: bytes, path: str | Path, give: str = "give a text file") -> str:
    """Bytes of a file as text; refused where they are not UTF-8, or hold a NUL.

    >>> decoded(b"\\xef\\xbb\\xbfa,b", "runs.csv")
    'a,b'
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(f"{shown_path(path)} is not text in UTF-8; save it so, or {give}") from None
    if "\0" in text:
        raise BadInput(f"{shown_path(path)} holds NUL bytes, so it is not text; {give}")
    return text


def opened(path: str | Path, *, most: int, give: str) -> IO[bytes]:
    """A regular file of at most `most` bytes, open for reading."""
    text = str(path)
    if not text or "\0" in text or len(text) > 4096:
        raise BadInput(f"{shown(text)} is not the name of a file; {give}")
    try:
        _regular(os.stat(text), text, most, give)
        file = os.fdopen(os.open(text, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb")
        _regular(os.fstat(file.fileno()), text, most, give)
    except FileNotFoundError:
        raise BadInput(f"cannot read {shown_path(text)}: there is no file of that name; {give}") from None
    except OSError as error:
        raise BadInput(f"cannot read {shown_path(text)}: {error.strerror or error}; {give}") from None
    return file


def _regular(found: os.stat_result, path: str, most: int, give: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = next((words for test, words in _KINDS if test(found.st_mode)), "something else")
        raise BadInput(f"{shown_path(path)} is {kind}, not a file; {give}")
    if found.st_size > most:
        raise BadInput(f"{shown_path(path)} has {found.st_size:,} bytes; at most {most:,} are read here; {give}")


def is_regular(path: Path) -> bool:
    """Whether a path leads to a regular file: not to a folder, a pipe, a device, or nowhere."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def lines(file: IO[bytes], path: str | Path, *, most: int, give: str) -> Iterator[str]:
    """The lines of a file one by one, each of at most a million bytes, all together at most `most`."""
    read = 0
    while raw := file.readline(1_000_001):
        read += len(raw)
        if len(raw) > 1_000_000:
            raise BadInput(f"{shown_path(path)} has a line of more than 1,000,000 bytes; {give}")
        if read > most:
            raise BadInput(f"{shown_path(path)} has more than {most:,} bytes; {give}")
        yield decoded(raw, path, give)


# --- JSON and TOML --------------------------------------------------------------------------------------------------


def parse_json(text: str, name: str) -> Any:
    """What a JSON text holds; each key of an object once, no more than `DEEPEST` levels.

    >>> parse_json('{"a": 1, "a": 2}', "config.json")
    Traceback (most recent call last):
    ...
    rackmath.errors.BadInput: config.json names 'a' twice in one object; keep one
    """
    try:
        found = json.loads(text, object_pairs_hook=lambda pairs: once(pairs, name), parse_int=whole)
    except RecursionError:
        raise _too_deep(name) from None
    except json.JSONDecodeError as error:
        raise BadInput(f"{name} is not valid JSON: {str(error)[:120]}") from None
    except BadInput:
        raise
    except ValueError as error:
        raise BadInput(f"{name} is not valid JSON: {error}") from None
    check_depth(found, name)
    return found


def whole(digits: str) -> int:
    """A whole number of a JSON text, refused where it has more digits than any number needs."""
    if len(digits) > LONGEST_NUMBER:
        raise ValueError(f"a number in it has {len(digits):,} digits")
    return int(digits)


def once(pairs: list[tuple[str, Any]], name: str) -> dict[str, Any]:
    """An object from its keys and values, each key once."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise BadInput(f"{name} names {shown(twice)} twice in one object; keep one")
    return found


def parse_toml(text: str, name: str) -> dict[str, Any]:
    """What a TOML text holds; no more than `DEEPEST` levels.

    >>> parse_toml("a = 1\\na = 2", "x.toml")
    Traceback (most recent call last):
    ...
    rackmath.errors.BadInput: x.toml is not valid TOML: Cannot overwrite a value (at end of document)
    """
    if _DOTTED.search(text):
        raise _too_deep(name)  # before it is parsed: the time for such a key grows with the square of its parts
    try:
        found = tomllib.loads(text)
    except RecursionError:
        raise _too_deep(name) from None
    except ValueError as error:  # also numbers of thousands of digits
        raise BadInput(f"{name} is not valid TOML: {str(error)[:120]}") from None
    check_depth(found, name)
    return found


def check_depth(value: Any, name: str) -> None:
    """Refuse tables and lists nested deeper than `DEEPEST`, and whole numbers longer than `LONGEST_NUMBER`."""
    level: list[Any] = [value]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _inside(outer, name) if isinstance(inner, dict | list)]
        if not level:
            return
    raise _too_deep(name)


def _inside(outer: Any, name: str) -> Iterable[Any]:
    found = outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ()
    for value in found:
        if isinstance(value, int) and value.bit_length() > 1000:
            raise BadInput(f"{name} holds a number of more than {LONGEST_NUMBER} digits; give an ordinary one")
    return found


def _too_deep(name: str) -> BadInput:
    return BadInput(f"{name} is nested too deeply; give at most {DEEPEST} levels")
