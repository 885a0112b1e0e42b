"""What is shipped beside the code: licences of facts, and bounds of what is installed with it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_requirement_has_an_upper_bound() -> None:
    of = PROJECT["project"]
    every = [*of["dependencies"], *PROJECT["build-system"]["requires"], *PROJECT["dependency-groups"]["dev"]]
    for extra in of["optional-dependencies"].values():
        every += extra
    assert len(every) > 15
    assert [one for one in every if not re.search(r"<\d|==\d", one)] == []


def test_the_notice_is_shipped_and_names_what_prices_come_from() -> None:
    assert PROJECT["project"]["license-files"] == ["LICENSE", "NOTICE"]
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    assert "Copyright (c) Pydantic Services Inc. 2025 to present" in notice
    assert "Copyright (c) 2023 Berri AI" in notice
    for name in re.findall(r"data/([\w./]+\.\w+)", notice):
        assert (ROOT / "src" / "rackmath" / "data" / name).exists(), name
    with (ROOT / "src" / "rackmath" / "data" / "facts" / "price_snapshot.csv").open(encoding="utf-8") as file:
        read = file.readline()
    for package in re.findall(r"([a-z-]+ \d+\.\d+\.\d+) \(MIT", read):
        assert package in notice, package
