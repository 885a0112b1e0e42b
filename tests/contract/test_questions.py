"""What holds of every input of every command: what it says of itself, and how it refuses."""

from __future__ import annotations

import math
import shlex
from typing import Any

import pytest

from rackmath.errors import BadInput, Infeasible
from rackmath.faces import cli, docs, python, schema
from rackmath.faces.commandline import given_of
from rackmath.questions.fields import RECORDS, Needs, Spec
from rackmath.questions.registry import command, entries
from rackmath.units import UNITS

INPUTS = [(name, spec) for name in entries() for spec in command(name).specs.values()]
IDS = [f"{name}-{spec.name}" for name, spec in INPUTS]


@pytest.mark.parametrize(("name", "spec"), INPUTS, ids=IDS)
def test_an_input_says_what_it_is(name: str, spec: Spec) -> None:
    of = spec.field
    assert of.help.endswith((".", "...")), of.help
    if spec.kind == "number":
        assert of.unit in UNITS
        assert math.isfinite(max(of.least, of.above)), "a number needs a least value"
        assert math.isfinite(of.most), "a number needs a largest value"
        if isinstance(spec.default, int | float):
            assert spec.read(spec.default) == spec.default
    if of.choices and spec.default not in (None, ...):
        assert set(spec.default if spec.many else [spec.default]) <= set(of.choices)


@pytest.mark.parametrize(("name", "spec"), [(n, s) for n, s in INPUTS if s.kind == "number"])
def test_an_input_takes_the_ends_it_names(name: str, spec: Spec) -> None:
    for end in (spec.field.least, spec.field.most):
        if math.isfinite(end) and end < spec.field.below:
            assert spec.read([end] if spec.many else end) == ((end,) if spec.many else end)


@pytest.mark.parametrize(("name", "spec"), [(n, s) for n, s in INPUTS if s.name == "min_interactivity"])
def test_a_speed_may_be_given_with_its_unit(name: str, spec: Spec) -> None:
    assert spec.read("20 tok/s") == spec.read("20") == spec.read("20/s") == 20


def bad_values(spec: Spec) -> list[Any]:
    """Values beyond every limit of an input, and words it cannot take."""
    of = spec.field
    if spec.kind == "number":
        low = [of.least - max(1.0, abs(of.least))] if math.isfinite(of.least) else [of.above, of.above - 1]
        low += [of.below] if math.isfinite(of.below) else []
        half = [max(of.least, 1.0) + 0.5] if of.whole else []
        return [*low, of.most * 2 + 1, "nan", "inf", "-inf", "", "x", "8 parsecs", "1e400", *half]
    if of.choices:
        return [of.choices[0] + "x", "", "\x1b[31m"]
    empty = [] if spec.many else [""]
    wrong = [1.5, True] if spec.field.complete in RECORDS else []
    other = {"pairs": ["novalue", "=1", 1.5, True], "flag": ["maybe"]}
    return other.get(spec.kind, [*empty, "x" * 5000, *wrong])  # type: ignore[return-value]


BAD = [(name, spec, value) for name, spec in INPUTS for value in bad_values(spec)]


@pytest.mark.parametrize(("name", "spec", "value"), BAD, ids=[f"{n}-{s.name}-{str(v)[:12]!r}" for n, s, v in BAD])
def test_a_bad_value_is_refused_in_one_sentence(name: str, spec: Spec, value: Any) -> None:
    given = given_of(name, shlex.split(entries()[name].example))
    with pytest.raises((BadInput, Infeasible)) as caught:
        command(name).read({**given, spec.name: value})
    text = str(caught.value)
    assert spec.name in text or spec.option in text
    assert "\n" not in text
    assert "\x1b" not in text
    assert len(text) < 400


@pytest.mark.parametrize("name", entries())
def test_an_unknown_input_is_refused_with_the_nearest(name: str) -> None:
    first = next(iter(command(name).specs))
    with pytest.raises(BadInput, match="did you mean"):
        command(name).read({first + "x": 1})


@pytest.mark.parametrize("name", entries())
def test_the_command_line_refuses_with_two(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = shlex.split(entries()[name].example)[1:]
    assert cli.run([*line, "--no-such-option"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1


CONDITIONS = [(name, spec, need) for name, spec in INPUTS for need in spec.needs]


def unmet(name: str, need: Needs) -> dict[str, Any]:
    """The inputs of the example, changed so that a condition does not hold."""
    given = given_of(name, shlex.split(entries()[name].example))
    for other in need.names:
        of, default = command(name).specs[other], command(name).specs[other].default
        given.pop(other, None)
        if need.absent:
            given[other] = True if of.kind == "flag" else of.field.most if of.kind == "number" else "x"
        elif need.among:
            given[other] = next((c for c in of.field.choices if c not in need.among), "dense")
        elif default not in (None, (), {}, 0):
            given[other] = 0
    return given


def another(spec: Spec) -> Any:
    """A value that an input takes and that is not its default."""
    of = spec.field
    numbers = [end for end in (of.most, of.least, of.most / 2) if math.isfinite(end) and end != spec.default]
    words = {"number": numbers[:1], "pairs": [{"a": 1}], "flag": [True]}.get(spec.kind, [*of.choices, "x"])
    return words[:1] if spec.many else words[0]  # type: ignore[index]


@pytest.mark.parametrize(("name", "spec", "need"), CONDITIONS, ids=[f"{n}-{s.name}" for n, s, _ in CONDITIONS])
def test_an_input_that_plays_no_part_is_refused(name: str, spec: Spec, need: Needs) -> None:
    one, given = command(name), unmet(name, need)
    given.pop(spec.name, None)
    for typed, word in ((True, spec.default or another(spec)), (False, another(spec))):
        with pytest.raises(BadInput, match=f"{spec.option} plays no part with(out)? .*; leave it out") as caught:
            one.read({**given, spec.name: word}, typed=typed)
        assert "\n" not in str(caught.value)
    if spec.default is not None:  # a question that is asked again names every input
        assert getattr(one.read({**given, spec.name: spec.default}), spec.name) == spec.default


@pytest.mark.parametrize(("name", "spec", "need"), CONDITIONS, ids=[f"{n}-{s.name}" for n, s, _ in CONDITIONS])
def test_every_face_says_what_an_input_needs(name: str, spec: Spec, need: Needs) -> None:
    said = need.words(command(name).specs)
    assert said in spec.condition
    assert spec.condition in (python.function(name).__doc__ or "")
    assert spec.condition in docs.page(command(name))
    assert spec.condition in schema.property_of(spec)["description"]
