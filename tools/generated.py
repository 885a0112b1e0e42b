"""Parts of a page of the documentation that a script writes: written anew, or with `--check` held to what they would be."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
END = "<!-- end generated -->"


def page(path: Path, parts: Mapping[str, str]) -> None:
    """Each part by the comment it begins with, which its text repeats; it ends with `END`."""
    text = new = path.read_text(encoding="utf-8")
    for begin, part in parts.items():
        start = new.index(begin)
        new = new[:start] + part + new[new.index(END, start) + len(END) :]
    if "--check" not in sys.argv[1:]:
        path.write_text(new, encoding="utf-8")
    elif new != text:
        raise SystemExit(f"{path.relative_to(ROOT)} is out of step: run python tools/{Path(sys.argv[0]).name}")
