"""How far long work is: what is told, and who hears it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Hear = Callable[[float, str], None]
"""Hears the share of the work that is done, and what is being done."""


def silent(done: float, doing: str) -> None:
    """Hear and say nothing."""


_HEARER: ContextVar[Hear] = ContextVar("_HEARER", default=silent)


def tell(done: float, doing: str) -> None:
    """Tell whoever listens.

    >>> heard = []
    >>> with heard_by(lambda done, doing: heard.append((done, doing))):
    ...     tell(0.5, "encrypting")
    >>> tell(1.0, "nobody listens"); heard
    [(0.5, 'encrypting')]
    """
    _HEARER.get()(done, doing)


@contextmanager
def heard_by(hear: Hear) -> Iterator[None]:
    """Let somebody hear what is told inside."""
    before = _HEARER.set(hear)
    try:
        yield
    finally:
        _HEARER.reset(before)
