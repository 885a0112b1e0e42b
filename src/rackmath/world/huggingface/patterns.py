"""Regular expressions of strangers, run only where they end soon."""

from __future__ import annotations

import re
from functools import cache

MOST_REPEATS = 8
"""Parts of a pattern that may match any number of letters; each may multiply the time by the length of a name."""


@cache
def safe(pattern: str) -> re.Pattern[str] | None:
    """The compiled pattern, or None where it is no pattern or might run without end.

    Refused are repeats within repeats, back references, and many repeats beside each other.

    >>> safe(r"model\\.layers\\.(?:[0-3]|1\\d)\\.mlp\\..*") is not None, safe("(a+)+$"), safe("(")
    (True, None, None)
    """
    if len(pattern) > 2000 or not _ends(pattern):
        return None
    try:
        return re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        return None


_TOKEN = re.compile(
    r"\\(?P<escape>.)|(?P<set>\[\^?\]?(?:\\.|[^\]\\])*\])|(?P<open>\((?:\?(?:[:=!]|<[=!]|P<\w+>|[aiLmsux]+\)))?)"
    r"|(?P<close>\))|(?P<repeat>[*+?]|\{\d*,?\d*\})|(?P<other>.)",
    re.DOTALL,
)


def _ends(pattern: str) -> bool:
    """Whether no repeat stands inside a repeat, and few stand anywhere."""
    repeats, inside, last, at = 0, [False], False, 0  # inside: of each open group, whether a repeat stands in it
    for match in _TOKEN.finditer(pattern):
        if match.start() != at:
            return False
        at, kind = match.end(), match.lastgroup
        if kind == "escape" and match["escape"].isdigit():
            return False
        if kind == "open" and not match["open"].endswith(")"):
            inside.append(False)
        elif kind == "close":
            if len(inside) == 1:
                return False
            last = inside.pop()
            inside[-1] = inside[-1] or last
            continue
        elif kind == "repeat" and match["repeat"] != "?":
            if last:
                return False
            repeats += 1
            inside[-1] = True
            continue
        elif kind == "repeat":
            continue
        last = False
    return at == len(pattern) and repeats <= MOST_REPEATS
