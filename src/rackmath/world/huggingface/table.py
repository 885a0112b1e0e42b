"""Families as rows of a table: which key of a config.json states which fact of which block.

`data/facts/families.toml` holds a row for every family whose blocks exist; a user's own rows are read from a file of
the same form (`--family`). What a row may say: docs/concepts/models.md; its values are keys or small `formulas`
of keys. A row is parsed when a config first asks for it, so that the length of the table costs a reader nothing.
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ... import shipped
from ...errors import BadInput

_HEAD = re.compile(r"(?m)^\[([\w-]+)\]$")
_NAMES = re.compile(r"(?ms)^names = \[(.*?)\]")


@dataclass(frozen=True)
class FamilyTable:
    """Rows of families: those that are parsed, the text of the others, and which row serves which name."""

    rows: dict[str, Mapping[str, Any]]
    texts: Mapping[str, str]
    named: Mapping[str, str]

    @classmethod
    def of(cls, text: str) -> FamilyTable:
        """Cut a text at its headings; the names of a row are found without parsing it."""
        cuts = list(_HEAD.finditer(text))
        ends = [m.start() for m in cuts[1:]] + [len(text)]
        texts = {m[1]: text[m.start() : end] for m, end in zip(cuts, ends, strict=True)}
        named: dict[str, str] = {}
        for row, body in texts.items():
            found = _NAMES.search(body)
            named |= dict.fromkeys(re.findall(r'"([^"]+)"', found[1]) if found else (), row)
        return cls({}, texts, named)

    def own(self, name: str) -> Mapping[str, Any]:
        """A row as it is written."""
        if name not in self.rows:
            self.rows[name] = tomllib.loads(self.texts[name])[name]
        return self.rows[name]

    def row(self, name: str, depth: int = 0) -> Mapping[str, Any]:
        """A row with what it takes from the row it is `like`, of its own table or of the packaged one."""
        own = self.own(name)
        if "like" not in own:
            return own
        like = own["like"]
        base = self if like in self.rows or like in self.texts else packaged()
        if depth > DEEPEST:
            raise BadInput(f"the row {name!r} of a table of families is like itself; give one that ends")
        return joined(base.row(like, depth + 1), own)


DEEPEST = 8
"""Most rows that are like one another in turn."""


@functools.cache
def packaged() -> FamilyTable:
    """The table that comes with this package."""
    return FamilyTable.of((shipped.FACTS / "families.toml").read_text(encoding="utf-8"))


@functools.cache
def spellings() -> Mapping[str, Sequence[str]]:
    """Usual keys and how else makers spell them."""
    return packaged().own("spellings")


@functools.cache
def blocks() -> Mapping[str, Mapping[str, Any]]:
    """The usual keys of every block's facts."""
    return packaged().own("blocks")


RESERVED = ("spellings", "blocks")
"""Headings of the packaged table that are no families."""


def joined(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """A row with what it takes from another: sections are joined key by key, everything else is replaced.

    A section that names its block is whole, and takes nothing.
    """
    found = {**{k: v for k, v in base.items() if k not in ("names", "about", "notes")}, **own}
    for key in ("attention", "mlp", "experts", "keys", "defaults", "words"):
        if key in base and key in own:
            found[key] = _section(base[key], own[key])
    if "mixers" in base and "mixers" in own:
        kinds = {kind: _section(base["mixers"].get(kind, {}), section) for kind, section in own["mixers"].items()}
        found["mixers"] = {**base["mixers"], **kinds}
    return found


def _section(base: Mapping[str, Any], own: Mapping[str, Any]) -> Mapping[str, Any]:
    return own if "block" in own else {**base, **own}
