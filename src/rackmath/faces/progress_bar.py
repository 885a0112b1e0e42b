"""A bar on stderr for work that takes long, where somebody is looking."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Hear = Callable[[float, str], None]
"""Hears the share of the work that is done, and what is being done."""


def silent(done: float, doing: str) -> None:
    """Hear and say nothing."""


@contextmanager
def progress_bar() -> Iterator[Hear]:
    """What to tell about progress; it draws on a terminal only, and leaves nothing behind."""
    if not sys.stderr.isatty():
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(bar_width=30), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda done, doing: bar.update(task, completed=done, description=doing)
