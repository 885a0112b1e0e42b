"""Text that others wrote, before it reaches a terminal, a message or a spreadsheet."""

from __future__ import annotations

import re
import unicodedata

LONGEST_QUOTE = 80
"""Letters of foreign text that one message repeats."""

LONGEST_SENTENCE = 2000

_QUOTED = re.compile(rf"""(?<![\w'"])(['"])(.{{{LONGEST_QUOTE + 1},}}?)\1(?!\w)""")
_WORD = re.compile(rf"\S{{{LONGEST_QUOTE + 20},}}")


def legible(text: str, keep: str = "") -> str:
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
    return "".join(
        c if c.isprintable() or c in keep or unicodedata.category(c) == "Zs" else _escaped(c) for c in text
    )


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


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
