"""Every command's example is answered once; the contracts look at the same answers."""

from __future__ import annotations

import shlex
from functools import cache

import pytest

from rackmath.answers.parts import Answer
from rackmath.faces.commandline import given_of
from rackmath.questions.registry import command, entries

NAMES = list(entries())


@cache
def answered(name: str) -> Answer:
    """The answer to a command's own example."""
    return command(name).ask(given_of(name, shlex.split(entries()[name].example)))


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def answer(name: str) -> Answer:
    return answered(name)
