"""A page of the reference for each command, made of its question and the answer to its example.

It holds what the command answers, the example with its screen, every input with its unit, limits and default, and the
keys of the record.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from ..answers.parts import Answer
from ..answers.record import keys
from ..questions.fields import Spec
from ..questions.registry import Command
from . import notebook
from .commandline import given_of

UNITS = {"count": "", "share": "share", "s": "seconds", "1/s": "1/s", "$": "dollars", "W": "watts"}
"""Units of inputs in words; others as they are."""


def page(one: Command, answer: Answer | None = None, see: str = "") -> str:
    """The page of a command in Markdown; with the answer to its example also the screen and the keys.

    `see`: a sentence on where more stands.
    """
    details = re.sub(r"\n{3,}", "\n\n", one.details)
    parts = [f"# rackmath {one.name}", details, *filter(None, [see]), "## Example", f"```sh\n{one.entry.example}\n```"]
    if answer is not None:
        parts += [f"```\n{notebook.text(answer).strip(chr(10))}\n```"]
    parts += [f"From Python: `{called(one)}`.", *_inputs(one)]
    if answer is not None:
        parts += _keys(answer)
    return "\n\n".join(parts) + "\n"


def called(one: Command) -> str:
    """The example as a function that is called.

    >>> from ..questions.registry import command
    >>> called(command("racks"))
    'rackmath.racks("deepseek-ai/DeepSeek-V3", on="144xh800")'
    """
    given = given_of(one.name, shlex.split(one.entry.example))
    places = [spec.name for spec in one.specs.values() if spec.field.argument and not spec.many]
    words = [_written(one.specs[name], given.pop(name)) for name in places if name in given]
    words += [f"{name}={_written(one.specs[name], value)}" for name, value in given.items()]
    return f"rackmath.{one.name.replace(' ', '.').replace('-', '_')}({', '.join(words)})"


def _written(spec: Spec, value: Any) -> str:
    """A value as Python has it: numbers and flags bare, words in quotes, a list of one as itself."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    bare = isinstance(value, bool) or (spec.kind == "number" and re.fullmatch(r"[\d.]+(e\d+)?", str(value)))
    return str(value) if bare else json.dumps(value, ensure_ascii=False)


def _inputs(one: Command) -> Iterable[str]:
    """A table of inputs for each panel."""
    panels: dict[str, list[Spec]] = {}
    for spec in one.specs.values():
        panels.setdefault(spec.field.panel, []).append(spec)
    for name, found in panels.items():
        yield f"## {name or 'What is asked'}"
        yield "\n".join(["| input | option | what | values | default |", "|---|---|---|---|---|", *map(_row, found)])


def _row(spec: Spec) -> str:
    what = " ".join(filter(None, [spec.field.help, spec.condition]))
    default = "required" if spec.required else _default(spec.default)
    cells = (f"`{spec.name}`", f"`{spec.option}`", what, _values(spec), default)
    return "| " + " | ".join(text.replace("|", "\\|") for text in cells) + " |"


def _values(spec: Spec) -> str:
    """What an input takes, in words."""
    of = spec.field
    if of.choices:
        return ", ".join(f"`{word}`" for word in of.choices)
    if spec.kind == "number":
        unit = UNITS.get(of.unit, of.unit)
        return f"{of.range}{f', in {unit}' if unit not in ('', 'share') else ''}"
    if spec.record:
        return "a name, a path, a record or a description"
    words = {"flag": "true or false", "pairs": f"words like `{of.example}`"}.get(spec.kind, "words")
    return "a list of words" if spec.many and words == "words" else words


def _default(value: object) -> str:
    if isinstance(value, tuple) and value:
        return ", ".join(_default(one) for one in value)
    if isinstance(value, float):
        return f"`{value:g}`"
    return "" if value in (None, (), {}) or value is False else f"`{value}`"


def _keys(answer: Answer) -> Iterable[str]:
    """The keys of the record, those of one mapping or table in a row."""
    rows: dict[str, list[str]] = {"": []}
    record: Mapping[str, object] = {k: v for k, v in answer.record.items() if k != "question"}
    for path, kind in keys(record).items():
        inside, _, name = path.rpartition(".")
        rows.setdefault(inside, []).append(f"`{name}`" if kind == "number" else f"`{name}` ({kind})")
    yield "## Keys of the answer"
    yield (
        "`--json` and `to_dict()` of the example hold these keys beside `question`, which has the inputs above."
        " Numbers are in SI units. `[]` stands for every entry of a list, `*` for every name of a mapping."
    )
    body = [f"| {f'`{inside}`' if inside else ''} | {', '.join(found)} |" for inside, found in rows.items()]
    yield "\n".join(["| in | keys |", "|---|---|", *body])
