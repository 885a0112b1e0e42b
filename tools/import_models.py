"""Write src/rackmath/data/facts/models.jsonl: one model description per line, from config.json files and known facts.

    python tools/import_models.py [--check] [folder]

The folder (default $RACKMATH_DATA/hf_configs or ../shared/data/hf_configs) holds the raw config files and an
index.csv naming the origin of each; only our own descriptions are written, never a config. known_models.toml beside
this script holds the facts of models without one. With --check nothing is written and the exit status says whether
the packaged file is what would be written.
"""

from __future__ import annotations

import csv
import json
import os
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rackmath import shipped
from rackmath.kernel.counts import total_parameters
from rackmath.world.description import build
from rackmath.world.huggingface import describe, load_json

HERE = Path(__file__).resolve().parent
OUT = shipped.FACTS / "models.jsonl"
DATE = "2026-11"


def from_configs(folder: Path, rename: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """A description for every row of index.csv, with the origin named."""
    found = {}
    with (folder / "index.csv").open(newline="", encoding="utf-8") as handle:
        for row in csv.DictReader(handle):
            path = folder / row["file"]
            quant = path.with_name(f"{path.stem}_hf_quant_config.json")
            name = rename.get(row["name"], row["name"])
            if not name:
                continue
            given = describe(load_json(path), name=name, quant=load_json(quant) if quant.is_file() else None)
            found[name] = given | {"source": f"config.json as in {row['source']}, {DATE}"}
    return found


def from_facts(facts: Mapping[str, Any], found: dict[str, dict[str, Any]]) -> None:
    """Add the models of known_models.toml, checked against the published counts."""
    for entry in facts["model"]:
        given = dict(entry)
        published, date = given.pop("published", None), given.pop("date", DATE)
        source, verified = given.pop("source"), given.pop("verified", True)
        config = given.pop("config", None)
        if config is not None:
            given = describe(config, name=given["name"])
        total = float(total_parameters(build(given)))
        if published and abs(total / published - 1) > 0.03:
            raise SystemExit(f"{given['name']}: {total:.4g} parameters, published are {published:.4g}")
        _put(found, given, source, date, verified)
    for entry in facts["same"]:
        given = {**found[entry["as"]], "name": entry["name"]}
        if "notes" in given:
            given["notes"] = [n for n in given["notes"] if not n.startswith("the name says")]
        if "precision" in entry:
            given["precision"] = entry["precision"]
            given["notes"] = [n for n in given.get("notes", ()) if "formats" not in n]
        _put(found, given, f"{entry['source']}; {found[entry['as']]['source']}", "", entry.get("verified", True))


def _put(found: dict[str, dict[str, Any]], given: dict[str, Any], source: str, date: str, verified: bool) -> None:
    name = given["name"]
    if name in found:
        raise SystemExit(f"{name} is described twice")
    if not verified:
        given["notes"] = [*given.get("notes", ()), "architecture recalled or assumed, not read at its source"]
    found[name] = given | {"source": f"{source}, {date}" if date else source}


def main() -> None:
    default = Path(os.environ.get("RACKMATH_DATA", HERE.parent.parent / "shared" / "data")) / "hf_configs"
    arguments = [word for word in sys.argv[1:] if word != "--check"]
    folder = Path(arguments[0]) if arguments else default
    facts = tomllib.loads((HERE / "known_models.toml").read_text(encoding="utf-8"))
    found = from_configs(folder, facts["rename"])
    from_facts(facts, found)
    lines = []
    for name in sorted(found, key=str.lower):
        given = {"name": name, **{k: v for k, v in found[name].items() if k != "name" and v not in ([], {})}}
        build(given)
        lines.append(json.dumps(given, allow_nan=False, separators=(",", ":")))
    text = "\n".join(lines) + "\n"
    if "--check" in sys.argv:
        if OUT.read_text(encoding="utf-8") != text:
            raise SystemExit(f"{OUT.name} is out of step: run python tools/import_models.py")
        return
    OUT.write_text(text, encoding="utf-8")
    print(f"{len(lines)} models, {OUT.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
