"""Write the keys of every block into docs/concepts/models.md: python tools/block_keys.py [--check]."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from generated import END, page

from rackmath.world.blocks import FFNS, MIXERS

DOCS = Path(__file__).resolve().parent.parent / "docs" / "concepts" / "models.md"
BEGIN = "<!-- begin generated: python tools/block_keys.py -->"


def section(part: str, kind: str, block: Callable[..., Any]) -> list[str]:
    """One block: what it is, in the words of its docstring, and its keys with their defaults."""
    words = inspect.cleandoc(block.__doc__ or "").partition(">>>")[0].strip()
    keys = {k: p for k, p in inspect.signature(block).parameters.items() if k != "d_model"}
    needed = [f"`{k}`" for k, p in keys.items() if p.default is inspect.Parameter.empty]
    others = [f"`{k}` ({shown(p.default)})" for k, p in keys.items() if p.default is not inspect.Parameter.empty]
    lines = [f"#### {part} `{kind}`", "", words, "", f"- needed: {', '.join(needed) or 'nothing'}"]
    return [*lines, f"- may be given (default): {', '.join(others)}", ""] if others else [*lines, ""]


def shown(default: Any) -> str:
    """A default as it is written in a description.

    >>> shown(True), shown(None), shown(math.inf), shown(4)
    ('true', 'none', 'no limit', '4')
    """
    if isinstance(default, bool):
        return str(default).lower()
    if default is None:
        return "none"
    return "no limit" if default == math.inf else f"{default:g}"


def pages() -> str:
    """The generated part of the page."""
    lines = [BEGIN, ""]
    for part, blocks in (("mixer", MIXERS), ("ffn", FFNS)):
        for kind, block in blocks.items():
            lines += section(part, kind, block)
    return "\n".join([*lines, END])


def main() -> None:
    page(DOCS, {BEGIN: pages()})


if __name__ == "__main__":
    main()
