"""Regular expressions of strangers, matched against names of modules in time that grows with the length of a name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

MOST_REPEATS = 6
"""Repeats of single letters, digits or sets in a pattern, and any inside its groups."""

LONGEST = 2000
"""Most letters of a pattern."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern that ends soon: compiled for a name a line."""

    lines: re.Pattern[str]  # anchored at the beginning of a line
    anywhere: re.Pattern[str]
    crosses: bool  # whether a set in it could match the end of a line

    def names(self, text: str, *, search: bool = False) -> bool:
        """Whether it matches the beginning of any line of a text, or with `search` any part of one."""
        test = self.anywhere if search else self.lines
        if self.crosses:
            return any(test.search(line) is not None for line in text.split("\n"))
        return test.search(text) is not None


@cache
def safe(pattern: str) -> Pattern | None:
    """The pattern, or None where it is none or might run without end.

    `.*` at its top level takes as little as it can and gives nothing back, as in a glob, which changes nothing about
    what matches. Refused are repeats within repeats, back references, and many repeats beside each other.

    >>> safe(r"model\\.layers\\.(?:[0-3]|1\\d)\\.mlp\\..*").names("model.layers.13.mlp.up_proj")
    True
    >>> safe("(a+)+$"), safe("("), safe(r"\\w*" * 9)
    (None, None, None)
    """
    if len(pattern) > LONGEST:
        return None
    atomic = _without_return(pattern)
    if atomic is None:
        return None
    try:
        crosses = re.search(r"\[\^|\\[sWDZA]", pattern) is not None
        return Pattern(re.compile(f"(?m)^(?:{atomic})"), re.compile(f"(?m){atomic}"), crosses)
    except (re.error, RecursionError, OverflowError):
        return None


_TOKEN = re.compile(
    r"(?P<wide>\.[*+]\??)|\\(?P<escape>.)|(?P<set>\[\^?\]?(?:\\.|[^\]\\])*\])"
    r"|(?P<open>\((?:\?(?:[:=!]|<[=!]|P<\w+>))?)|(?P<close>\))|(?P<repeat>(?:[*+?]|\{\d*,?\d*\})\??)"
    r"|(?P<either>\|)|(?P<other>.)",
    re.DOTALL,
)


def _without_return(pattern: str) -> str | None:
    """The pattern with each `.*` at the top bound to what follows it; None where a repeat might multiply others."""
    pieces, wide = [""], list[str]()  # what stands between the wide repeats at the top
    inside, last, at, repeats, either = [False], False, 0, 0, False
    for match in _TOKEN.finditer(pattern):
        if match.start() != at:
            return None
        at, kind, text = match.end(), match.lastgroup, match[0]
        if kind == "wide" and len(inside) == 1:
            wide.append(text[1])
            pieces.append("")
            last = False
            continue
        pieces[-1] += text
        if kind == "open":
            inside.append(False)
            last = False
        elif kind == "close":
            if len(inside) == 1:
                return None
            last = inside.pop()
            inside[-1] = inside[-1] or last
        elif kind in ("repeat", "wide") and not text.startswith("?"):
            if last:
                return None
            repeats += 1
            inside[-1] = True
        elif kind == "escape" and match["escape"].isdigit():
            return None
        elif kind != "repeat":
            last = False
            either = either or (kind == "either" and len(inside) == 1)
    if at != len(pattern) or len(inside) != 1 or repeats > MOST_REPEATS:
        return None
    if either:
        return pattern if len(wide) <= 2 else None
    return _bound(pieces, wide)


def _bound(pieces: list[str], wide: list[str]) -> str:
    found = pieces[0]
    for i, piece in enumerate(pieces[1:]):
        gap = ".*?" if wide[i] == "*" else ".+?"
        final = i == len(wide) - 1
        body = piece if final else re.sub(r"(?<!\\)[*+]\??$", "", piece)  # what comes next takes the rest
        found += f"{gap}{body}" if final else f"(?>{gap}{body})"
    return found


def lines(names: Iterable[str]) -> str:
    """Names as a text to match, one a line."""
    return "\n".join(names)
