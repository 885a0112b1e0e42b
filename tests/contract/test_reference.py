"""The reference is made from the commands: a page for each, and the keys of what they answer."""

from __future__ import annotations

import json

import command_pages
import pytest

from rackmath.answers.parts import Answer
from rackmath.answers.record import keys


def test_the_page_of_a_command_is_current(name: str, answer: Answer) -> None:
    assert command_pages.path(name).read_text(encoding="utf-8") == command_pages.page(name, answer), "run python tools/command_pages.py"


def test_the_keys_of_a_command_are_current(name: str, answer: Answer) -> None:
    known = json.loads(command_pages.KEYS.read_text(encoding="utf-8"))
    assert known[name] == command_pages.keys_of(answer), "run python tools/command_pages.py, and say so in CHANGELOG"


def test_changed_keys_are_named_in_the_changelog() -> None:
    assert command_pages.unsaid_here() == []


def test_a_change_of_keys_that_nobody_names_is_found() -> None:
    old, new = {"law": {"loss": "number"}, "plan": {}}, {"law": {"loss": "text"}, "plan": {}, "fits": {}}
    assert command_pages.unsaid(old, new, "- something else") == ["law", "fits"]
    assert command_pages.unsaid(old, new, "", "- `law` and `fits`, long ago") == ["law"]
    assert command_pages.unsaid(old, new, "- `rackmath law` says it, and `fits`") == []


@pytest.mark.parametrize(
    ("record", "found"),
    [
        ({"a": {"x": 1, "y": [True]}}, {"a.x": "number", "a.y[]": "flag"}),
        ({"a": [], "b": None, "c": {}}, {"a": "empty", "b": "null", "c": "empty"}),
        ({"by": {n: {"v": 1} for n in "abc"}}, {"by.*.v": "number"}),
        ([{"v": 1}, {"v": "x"}], {"[].v": "number, text"}),
    ],
)
def test_keys_are_paths_with_types(record: object, found: dict[str, str]) -> None:
    assert keys(record) == found
