"""A question as the command line that asks it: the way back from `faces.commandline`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from .fields import Spec, specs


def line(name: str, question: Any, **changed: Any) -> str:
    """The command that asks a question, with some inputs changed; those of their default are left out.

    >>> from rackmath.questions.registry import command
    >>> racks = command("racks").read({"model": "deepseek-ai/DeepSeek-V3", "on": "144xh800", "overlap": True})
    >>> line("racks", racks, overlap=False)
    'rackmath racks deepseek-ai/DeepSeek-V3 --on 144xh800'
    """
    known = specs(type(question))
    given = {key: changed.get(key, getattr(question, key)) for key in known}
    return " ".join(["rackmath", name, *(w for key, spec in known.items() for w in words(spec, given[key]))])


def words(spec: Spec, value: Any, *, default: bool = False) -> list[str]:
    """An input as words for a shell; none where it has its default, unless that is wanted too.

    >>> from rackmath.questions.registry import command
    >>> words(command("racks").specs["on"], "144xh800")
    ['--on', '144xh800']
    """
    if value is None or (value == spec.default and not default):
        return []
    if spec.kind == "flag":
        return [spec.option]
    if spec.kind == "pairs":
        found = [f"{key}={_word(one)}" for key, one in value.items()]
    elif spec.many and spec.field.repeat:
        found = [spec.field.repeat.join(_word(one) for one in value)]
    else:
        found = [_word(one) for one in value] if spec.many else [_word(value)]
    option = [] if spec.field.argument else [spec.option]
    return [word for one in found for word in (*option, shlex.quote(one))]


def _word(value: Any) -> str:
    """A value as it is typed: whole numbers without a point, a record by its name."""
    if isinstance(value, float | int):
        return f"{value:.0f}" if value == int(value) and abs(value) < 2**53 else repr(float(value))
    if isinstance(value, Mapping):
        value = value.get("name", "")
    return value if isinstance(value, str) else str(getattr(value, "name", value))
