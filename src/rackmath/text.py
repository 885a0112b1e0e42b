"""Text that others wrote, before it reaches a terminal, a message or a spreadsheet."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from typing import Any

LONGEST_QUOTE = 80
"""Letters of foreign text that one message repeats."""

LONGEST_SENTENCE = 2000

_FORMULA = "=+-@\t\r\n＝＋－＠"
_SUSPECT = re.compile(r"[^\x20-\x7e]")
_QUOTED = re.compile(rf"""(?<![\w'"])(['"])(.{{{LONGEST_QUOTE + 1},}}?)\1(?!\w)""")
_WORD = re.compile(rf"\S{{{LONGEST_QUOTE + 20},}}")


def legible(text: str, keep: str = "", escape: Callable[[str], str] = repr) -> str:
    r"""Text in which whatever a terminal would obey, or nobody could see, stands as an escape; `keep` stays.

    These are the controls of C0 and C1, DEL, marks of writing direction, separators of lines and paragraphs, letters
    of no width, halves of surrogate pairs and code points without a character; spaces of any width stay.

    >>> legible("red \x1b[31m, back \u202e, line\n, é 中 µ")
    'red \\x1b[31m, back \\u202e, line\\n, é 中 µ'
    >>> legible("two\nlines", keep="\n")
    'two\nlines'
    """
    if text.isprintable():
        return text

    def shown(found: re.Match[str]) -> str:
        c = found[0]
        seen = c.isprintable() or c in keep or unicodedata.category(c) == "Zs"
        return c if seen else escape(c)[1:-1]

    return _SUSPECT.sub(shown, text)


def legible_json(text: str) -> str:
    r"""JSON whose strings are legible on a terminal and mean the same.

    >>> legible_json('{"name": "\u009b31m\u202e é"}')
    '{"name": "\\u009b31m\\u202e é"}'
    """
    return legible(text, keep="\n", escape=json.dumps)


def legible_in(value: Any) -> Any:
    """Lists and mappings in which every text is legible; lines stay lines.

    >>> legible_in({"title": ["a\\x07"], "y": 1.5})
    {'title': ['a\\\\x07'], 'y': 1.5}
    """
    if isinstance(value, str):
        return legible(value, keep="\n")
    if isinstance(value, dict):
        return {legible_in(key): legible_in(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [legible_in(one) for one in value]
    return value


def cell(text: str) -> str:
    r"""Text for a cell of a CSV file: legible, and no formula for the spreadsheet that opens it.

    >>> [cell(t) for t in ("=1+1", "+cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "-1.5e3", "- ", "a-b", "\x1b[2J")]
    ["'=1+1", "'+cmd|' /C calc'!A0", "'@SUM(A1)", "'\t=1", '-1.5e3', '- ', 'a-b', '\\x1b[2J']
    """
    text = legible(text, keep="\n\t")
    if text.lstrip(" ")[:1] in _FORMULA and text.strip(_FORMULA + " \n") and not _is_number(text):
        return "'" + text
    return text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def sentence(text: str) -> str:
    """A message of one line, legible, that quotes at most `LONGEST_QUOTE` letters at a time.

    >>> len(sentence(f"unknown model {'x' * 500!r}; see the list"))
    110
    >>> sentence(chr(27) + "[2J is no name")
    '\\\\x1b[2J is no name'
    """
    text = legible(shortened(text, 10 * LONGEST_SENTENCE))
    text = _QUOTED.sub(lambda found: f"{found[1]}{shortened(found[2])}{found[1]}", text)
    text = _WORD.sub(lambda found: shortened(found[0]), text)
    return shortened(text, LONGEST_SENTENCE)


def shortened(text: str, most: int = LONGEST_QUOTE) -> str:
    """The beginning and the end of a text, at most so many letters.

    >>> shortened("abcdefghij", 5)
    'ab…ij'
    """
    if len(text) <= most:
        return text
    head = (most - 1) // 2
    return f"{text[:head]}…{text[len(text) - (most - 1 - head) :]}"
