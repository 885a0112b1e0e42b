"""Write the table of families into docs/concepts/families.md: python tools/family_table.py [--check]."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

from generated import END, page

from rackmath.errors import BadInput
from rackmath.world.huggingface import families, read_model
from rackmath.world.huggingface.registry import FAMILIES
from rackmath.world.huggingface.table import RESERVED, packaged

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs" / "concepts" / "families.md"
COUNTS = ROOT / "tests" / "against" / "transformers_counts.json"
BEGIN = "<!-- begin generated: python tools/family_table.py -->"


def pages() -> str:
    """The generated part of the page."""
    families()
    table = packaged()
    rows = {name: table.own(name) for name in table.texts if name not in RESERVED}
    coded: dict[str, list[str]] = {}
    for name, reader in FAMILIES.items():
        if name not in table.named:
            about = (inspect.getdoc(reader) or "").partition("\n\n")[0].replace("\n", " ")
            coded.setdefault(about, []).append(name)
    recorded = json.loads(COUNTS.read_text(encoding="utf-8"))
    held = sum("counts" in found for found in recorded["defaults"].values())
    whole, refused = answered(recorded["defaults"])
    lines = [
        BEGIN,
        "",
        f"Counts by component equal those of transformers {recorded['transformers']}, built on the meta device, for"
        f" {held} default configurations and styles of families (`tests/against/record_transformers.py`). Of its"
        f" {whole} decoder and vision-language families {whole - len(refused)} are answered and {len(refused)}"
        f" refused: {', '.join(f'`{name}`' for name in refused)}.",
        "",
        *_table((_types(row["names"]), row["about"]) for row in rows.values() if "refused" not in row),
        "",
        "Read by code, for what no row says:",
        "",
        *_table((_types(names), about) for about, names in coded.items()),
        "",
        "Refused, and why:",
        "",
        *_table((_types(row["names"]), row["refused"]) for row in rows.values() if "refused" in row),
        "",
    ]
    return "\n".join([*lines, END])


def answered(recorded: dict[str, dict[str, Any]]) -> tuple[int, list[str]]:
    """How many families transformers has, and those of them that are refused by their default configuration."""
    own = [name for name, found in recorded.items() if found["model_type"] == name]
    refused = []
    for name in own:
        try:
            read_model(recorded[name].get("config", {}), name)
        except BadInput:
            refused.append(name)
    return len(own), refused


def _types(names: list[str]) -> str:
    """Model types alone; architectures where there is no other name."""
    own = [name for name in names if name == name.lower()]
    return ", ".join(f"`{name}`" for name in own or names)


def _table(rows: object) -> list[str]:
    assert hasattr(rows, "__iter__")
    return ["| `model_type` | what it is |", "|---|---|", *(f"| {names} | {about} |" for names, about in rows)]


def main() -> None:
    page(DOCS, {BEGIN: pages()})


if __name__ == "__main__":
    main()
