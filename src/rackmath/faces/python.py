"""Every command as a function: `rackmath.plan("deepseek-ai/DeepSeek-V3", on="gb200-nvl72", isl=8192)`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ..answers.parts import Answer
from ..errors import did_you_mean
from ..questions.fields import Spec
from ..questions.registry import Command, ask, command, entries, groups
from . import notebook  # noqa: F401  (answers show themselves in notebooks)


class Group:
    """Commands that share a name: `rackmath.lab.ciphers(...)`."""

    def __init__(self, name: str) -> None:
        self._name = name

        self.__doc__ = groups()[name]

    def __getattr__(self, name: str) -> Callable[..., Answer]:
        if name not in dir(self):
            raise AttributeError(f"'rackmath.{self._name}' has no attribute {name!r}{did_you_mean(name, dir(self))}")
        return function(f"{self._name} {name.replace('_', '-')}")

    def __dir__(self) -> list[str]:
        return [n.split(" ")[1].replace("-", "_") for n in entries() if n.startswith(f"{self._name} ")]


def names() -> list[str]:
    """The functions and groups there are.

    >>> "racks" in names()
    True
    """
    return list(dict.fromkeys(name.split(" ")[0].replace("-", "_") for name in entries()))


def verb(name: str) -> Callable[..., Answer] | Group:
    """The function of a command, or the group of that name."""
    spelt = name.replace("_", "-")
    if spelt in entries():
        return function(spelt)
    if any(known.startswith(f"{spelt} ") for known in entries()):
        return Group(spelt)
    raise AttributeError(f"module 'rackmath' has no attribute {name!r}")


def function(name: str) -> Callable[..., Answer]:
    """The function of one command, with its signature and its inputs in the docstring."""
    one = command(name)
    places = [spec.name for spec in one.specs.values() if spec.field.argument]

    def call(*words: Any, **given: Any) -> Answer:
        if len(words) > len(places):
            raise TypeError(f"{name} takes {len(places)} by place ({', '.join(places)}); name the others")
        return ask(name, **dict(zip(places, words, strict=False)), **given)

    call.__name__ = call.__qualname__ = name.replace(" ", "_").replace("-", "_")
    call.__module__ = "rackmath"
    call.__doc__ = _docstring(one)
    call.__signature__ = _signature(one)  # type: ignore[attr-defined]
    return call


def _signature(one: Command) -> inspect.Signature:
    found = []
    for spec in one.specs.values():
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD if spec.field.argument else inspect.Parameter.KEYWORD_ONLY
        default = inspect.Parameter.empty if spec.required else spec.default
        found.append(inspect.Parameter(spec.name, kind, default=default))
    found.sort(key=lambda p: (p.kind, p.default is not inspect.Parameter.empty))
    return inspect.Signature(found, return_annotation=Answer)


def _docstring(one: Command) -> str:
    inputs = "\n".join(f"    {spec.name}: {_about(spec)}" for spec in one.specs.values())
    return f"{one.details}\n\nInputs, as text with units or as numbers in SI:\n{inputs}\n"


def _about(spec: Spec) -> str:
    of = spec.field
    words = [of.help]
    if of.choices:
        words.append(f"One of {', '.join(of.choices)}.")
    if spec.kind == "number":
        words.append(f"In {of.unit}: {of.range}.")
    return " ".join(filter(None, [*words, spec.condition]))
