"""What holds of every command's answer, through every face."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import shlex
from collections.abc import Iterator
from html import escape
from typing import Any

import pytest

import rackmath
from rackmath.answers import parts
from rackmath.answers.lanes import Lanes
from rackmath.answers.parts import Answer, Bar, Figures, Say, Table
from rackmath.answers.ranges import Ranges
from rackmath.answers.record import plain
from rackmath.faces import cli, docs, export, notebook, page, python, schema
from rackmath.questions.registry import ask, command, entries


def numbers(value: Any) -> Iterator[float]:
    """Every finite number in nested values."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return
    if isinstance(value, dict):
        for inner in value.values():
            yield from numbers(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from numbers(inner)
    else:
        number = float(value.tolist() if hasattr(value, "tolist") else value)
        if math.isfinite(number):
            yield number


def shown(answer: Answer) -> Iterator[tuple[str, float]]:
    """Every number that a block shows, with where it stands."""
    for block in (answer.title, *answer.blocks):
        where = f"{type(block).__name__} {getattr(block, 'key', '') or getattr(block, 'title', '')}"
        if isinstance(block, Say):
            found: Any = {k: v for k, v in block.values.items() if "{" + k in block.text}
        elif isinstance(block, Table):
            found = [[(row.get(c.key), row.get(c.to)) for c in block.columns] for row in block.visible]
        elif isinstance(block, Figures):
            found = [[f.value, f.to, f.low, f.high] for f in block.figures]
        elif isinstance(block, Bar):
            found = dict(block.parts)
        elif isinstance(block, Ranges):
            found = [[r.low, r.high, *(p.value for p in r.points), *r.cells.values()] for r in block.rows]
        elif isinstance(block, Lanes):
            found = dict(block.amounts)
        else:
            continue
        for number in numbers(found):
            yield where, number


def test_every_number_on_the_screen_is_in_the_record(answer: Answer) -> None:
    known = [abs(n) for n in numbers(answer.record)]
    for where, number in shown(answer):
        held = number == 0 or any(math.isclose(abs(number), k, rel_tol=1e-9) for k in known)
        assert held or conserved(answer, number), (where, number)


def conserved(answer: Answer, number: float) -> bool:
    """Whether a number stands in a column that only sums rows of the record up: merged rows, a rest, a total."""
    for block in answer.blocks:
        if not isinstance(block, Table):
            continue
        for column in block.columns:
            rows = math.fsum(n for row in block.rows for n in numbers(row.get(column.key)))
            seen = [n for row in block.visible for n in numbers(row.get(column.key))]
            total = list(numbers((block.total or {}).get(column.key)))
            if number in seen and math.isclose(math.fsum(seen), rows, rel_tol=2e-3):
                return True
            if number in total and math.isclose(number, rows, rel_tol=2e-3):
                return True
    return False


def test_the_question_is_the_keyword_arguments_that_answer_again(name: str, answer: Answer) -> None:
    asked = json.loads(answer.to_json())["question"]
    assert set(asked) == set(command(name).specs)
    again = ask(name, **asked)
    assert again.to_json() == answer.to_json()


def test_python_and_command_line_agree_to_the_byte(name: str, answer: Answer, capsys: pytest.CaptureFixture[str]) -> None:
    line = entries()[name].example
    assert cli.run([*shlex.split(line)[1:], "--json"]) == answer.exit_code
    assert capsys.readouterr().out == answer.to_json()
    assert callable(python.function(name))
    assert name.split(" ")[0].replace("-", "_") in dir(rackmath)


def test_json_is_strict_and_csv_has_the_rows(answer: Answer) -> None:
    json.loads(answer.to_json(), parse_constant=lambda word: pytest.fail(f"{word} in JSON"))
    rows = list(csv.DictReader(io.StringIO(answer.to_csv())))
    assert len(rows) == len(answer.rows())


def test_every_term_follows_from_its_own(answer: Answer) -> None:
    if answer.terms is None:
        return
    for term in answer.explain().walk():
        assert term.follows(1e-5), (term.name, term.value, term.worked)


def test_html_and_notebook_show_every_title(answer: Answer) -> None:
    body = page.body(answer)
    for block in answer.blocks:
        assert escape(block.title) in body
    bundle = answer._repr_mimebundle_()
    assert bundle["text/plain"] == notebook.text(answer)
    assert ("vegalite" in " ".join(bundle)) == bool(answer.charts)


@pytest.mark.parametrize("width", [72, 100, 140])
def test_no_line_is_wider_than_the_terminal(answer: Answer, width: int) -> None:
    for line in notebook.text(answer, width).splitlines():
        assert len(line) <= min(width, 140), line


def test_a_terminal_makes_no_notes_for_a_mouse(answer: Answer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(parts, "dress", lambda spec: pytest.fail("a picture was dressed for a terminal"))
    for form in ("text", "csv"):
        export.Output(form=form).deliver(answer)
        assert capsys.readouterr().out


def test_attributes_are_the_keys_of_the_record(answer: Answer) -> None:
    own = {f.name for f in dataclasses.fields(answer)} | {*vars(parts.Answer)}  # these stand in to_dict() only
    own -= {"question", "notes"}
    for key in answer.record.keys() - own:
        assert plain(getattr(answer, key)) == answer.record[key], key
    with pytest.raises(AttributeError, match="has no 'tpott'"):
        _ = answer.tpott
    assert answer.command in repr(answer)
    assert len(repr(answer)) < 300


def test_schema_and_reference_name_every_input(name: str) -> None:
    one = command(name)
    text = docs.page(one)
    known = schema.input_schema(one)["properties"]
    for key, spec in one.specs.items():
        assert key in known
        assert spec.field.help in text


def test_programs_are_told_every_command_and_input() -> None:
    described, called = schema.openapi(rackmath.__version__), {tool["name"]: tool for tool in schema.tools()}
    for name in entries():
        one = command(name)
        of = described["paths"][f"/{name.replace(' ', '/')}.json"]["get"]
        tool = called[name.replace(" ", "_").replace("-", "_")]
        required = {key for key, spec in one.specs.items() if spec.required}
        assert {p["name"] for p in of["parameters"]} == set(tool["inputSchema"]["properties"]) == set(one.specs)
        assert {p["name"] for p in of["parameters"] if p["required"]} == required
        assert set(tool["inputSchema"]["required"]) == required
    assert len(described["paths"]) == len(called) == len(entries())
    json.dumps([described, *called.values()], allow_nan=False)
