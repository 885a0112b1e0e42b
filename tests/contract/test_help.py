"""Help opens with an example that answers, and groups commands as README does."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from rackmath.answers.parts import Answer
from rackmath.faces import cli
from rackmath.questions.registry import GROUPS, entries

README = Path(__file__).resolve().parents[2] / "README.md"


def help_of(words: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines of a help text that say something."""
    assert cli.run([*words, "--help"]) == 0
    return [line.strip() for line in capsys.readouterr().out.splitlines() if line.strip()]


def test_help_opens_with_an_example_that_answers(name: str, answer: Answer, capsys: pytest.CaptureFixture[str]) -> None:
    usage, *lines = help_of(name.split(), capsys)
    assert usage.startswith(f"Usage: rackmath {name}")
    said = " ".join(lines)
    assert said.startswith(f"Example: {entries()[name].example} ")
    assert answer.blocks
    assert shlex.split(entries()[name].example)[: 1 + len(name.split())] == ["rackmath", *name.split()]


def test_the_help_of_all_opens_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    usage, example, *_ = help_of([], capsys)
    assert (usage.startswith("Usage: rackmath"), example.startswith("Example: rackmath plan")) == (True, True)
    assert help_of(["explain"], capsys)[1].startswith("Example: rackmath explain")


def test_commands_stand_in_the_groups_of_the_readme(capsys: pytest.CaptureFixture[str]) -> None:
    panels = [m[1] for line in help_of([], capsys) if (m := re.match(r"╭─ (.+?) ─", line))]
    titles = re.findall(r"^\*\*(.+)\*\*$", README.read_text(encoding="utf-8"), flags=re.M)
    assert panels == ["Options", *GROUPS]
    assert len(panels) <= 6
    assert titles == list(GROUPS)
