"""What a name that is not in a list may mean: the family or maker that it names, newest and most used first.

The words people type and what they mean are data (`data/facts/meanings.toml`), one table for models, one for machines
and one for price lists. A word that is in none of them is held against their spellings, and last against the letters
of the list.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any

from .. import shipped
from ..errors import BadInput, unknown
from ..text import LONGEST_QUOTE

MOST = 4


def meant(kind: str, given: str) -> tuple[str, ...]:
    """The entries that a word for a "model", "machine" or "price" list may mean, the likeliest first.

    >>> meant("model", "llama")[0], meant("model", "llama-3 8b")[0]
    ('meta-llama/Llama-3.3-70B-Instruct', 'meta-llama/Llama-3.1-8B-Instruct')
    >>> meant("machine", "hopper")[0], meant("price", "gemini")[0]
    ('h100', 'google/gemini-4-argon')
    """
    table: Mapping[str, list[str]] = _table()[kind]
    key = _family(given, table)
    if key is None:
        return ()
    return tuple(dict.fromkeys([*_fitting(given, key, table[key]), *table[key]]))[:MOST]


def _fitting(given: str, key: str, names: Iterable[str]) -> list[str]:
    """Those of the names that have all that was written beside the word, such as a size."""
    rest = [word for word in re.findall(r"[a-z]+|\d+(?:\.\d+)?[a-z]*", given.lower()) if word not in key]
    return [name for name in names if rest and all(word in name.lower() for word in rest)]


def _family(given: str, table: Iterable[str]) -> str | None:
    """The longest word of the table that the text, or one of its parts, begins with; or the nearest in spelling."""
    if len(given) > LONGEST_QUOTE:
        return None
    whole = squeezed(given.rpartition("/")[2])
    parts = [whole, *(squeezed(part) for part in re.split(r"[\s/_-]+", given))]
    found = [key for key in table if any(_begins(part, squeezed(key)) for part in parts)]
    if found:
        return max(found, key=len)
    spelt = {squeezed(key): key for key in table if len(key) > 3}
    near = difflib.get_close_matches(whole, list(spelt), n=1, cutoff=0.8)
    return spelt[near[0]] if near else None


def _begins(text: str, word: str) -> bool:
    """Whether a text begins with a word that does not end inside a number: "llama405b" is no "llama4"."""
    after = text[len(word) : len(word) + 1]
    return text.startswith(word) and not (word[-1].isdigit() and after.isdigit())


def squeezed(text: str) -> str:
    """Letters, digits and points only, in lower case.

    >>> squeezed("GPT-4o"), squeezed("Qwen 2.5")
    ('gpt4o', 'qwen2.5')
    """
    return re.sub(r"[^a-z0-9.]+", "", text.lower())


def not_found(kind: str, title: str, given: str, known: Iterable[str], *, hint: str = "") -> BadInput:
    """The error for a name that is in no list: what it may mean, or what is spelt like it.

    >>> str(not_found("model", "model", "gpt-4o", []))
    "the config of 'gpt-4o' is not public; open models: openai/gpt-oss-120b, openai/gpt-oss-20b; rackmath infer \
openai/gpt-4o reads its price list"
    >>> str(not_found("machine", "machine", "hopper", [])).partition(";")[2]
    ' did you mean h100, h200, gh200 or h20?'
    """
    closed: Mapping[str, Any] = _table()["closed"]
    if kind == "model" and (key := _family(given, closed)) is not None:
        row = closed[key]
        return BadInput(
            f"the config of {given!r:.80} is not public; open models: {', '.join(row['open'])};"
            f" rackmath infer {row['price']} reads its price list"
        )
    names = meant(kind, given)
    if not names:
        return unknown(title, given, known, hint=hint)
    if not _as_known(kind, given):  # a slip of the pen goes before the rest of the family
        lower = {name.lower(): name for name in known}
        near = difflib.get_close_matches(given.lower(), list(lower), n=1, cutoff=0.85)
        names = tuple(dict.fromkeys([*(lower[one] for one in near), *names]))[:MOST]
    said = ", ".join(names[:-1]) + (" or " if len(names) > 1 else "") + names[-1]
    return BadInput(f"unknown {title} {given!r:.80}; did you mean {said}?{hint}")


def _as_known(kind: str, given: str) -> bool:
    """Whether a word is a family and nothing else, or a family with a size it has: no slip of the pen."""
    table: Mapping[str, list[str]] = _table()[kind]
    key = _family(given, table)
    return key is not None and (squeezed(given) == squeezed(key) or bool(_fitting(given, key, table[key])))


@functools.cache
def _table() -> Mapping[str, Any]:
    return shipped.read(shipped.FACTS / "meanings.toml")
