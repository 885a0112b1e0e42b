"""Screens, JSON and CSV of every command's example are what they were; what must change is recorded anew."""

from __future__ import annotations

import snapshots

from rackmath.answers.parts import Answer
from rackmath.questions.registry import entries


def test_an_answer_is_what_it_was(name: str, answer: Answer) -> None:
    before = snapshots.path(name).read_text(encoding="utf-8").splitlines()
    now = snapshots.snapshot(answer).splitlines()
    assert now == before, f"where that is meant: python tools/snapshots.py {name}"


def test_every_command_has_a_snapshot() -> None:
    assert {one.name for one in snapshots.FOLDER.glob("*.txt")} == {snapshots.path(name).name for name in entries()}
