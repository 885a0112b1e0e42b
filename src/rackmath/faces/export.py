"""Where an answer goes: the terminal, strict JSON, CSV, or a file whose ending says which kind.

JSON holds SI units and the field's own names; what is unknown or infinite is null.
"""

from __future__ import annotations

import io
import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..answers.parts import Answer
from ..answers.record import csv_text, json_text, plain
from ..errors import BadInput
from ..progress import Hear, heard_by
from ..text import legible

__all__ = ["Output", "csv_text", "json_text", "plain", "progress"]

Record = dict[str, Any]

DATA = (".json", ".csv", ".txt")
CHARTS = (".svg", ".png", ".html")
FILE_WIDTH = 100


@dataclass(frozen=True, kw_only=True)
class Output:
    """How the user wants the answer."""

    form: str  # "text", "json", "csv" or "chart"
    file: Path | None = None
    explain: bool = False
    levels: int | None = None
    asked: str | None = None  # the form that an option names, where one does

    @classmethod
    def of(cls, *, json: bool, csv: bool, file: Path | None, explain: bool, levels: int | None = None) -> Output:
        """The output that the options ask for; contradictions are refused before any work is done."""
        if json and csv:
            raise BadInput("--json and --csv exclude each other; give one of them")
        if csv and explain:
            raise BadInput("a tree cannot be written as CSV; use --json")
        asked = "json" if json else "csv" if csv else None
        if file is None:
            return cls(form=asked or "text", explain=explain, levels=levels)
        suffix = file.suffix.lower()
        allowed = (".json", ".txt") if explain else (*DATA, *CHARTS)
        if suffix not in allowed:
            named = f"the ending {suffix!r}" if suffix else "no ending"
            raise BadInput(f"cannot write '{file}': it has {named}; use one of {', '.join(allowed)}")
        form = "chart" if suffix in CHARTS else {".txt": "text"}.get(suffix, suffix[1:])
        if asked is not None and asked != form:
            raise BadInput(f"--{asked} and -o {file} contradict each other; leave one out")
        return cls(form=form, file=file, explain=explain, levels=levels, asked=asked)

    def deliver(self, answer: Answer) -> None:
        """Print the answer, or write it to the file."""
        if self.file is not None and (make := self._other(self.file, answer)) is not None:
            self._save(json.dumps(plain(make()), allow_nan=False) + "\n")
        elif self.form == "chart":
            self._draw(answer)
        elif self.form == "text":
            self._show(answer)
        elif self.form == "csv":
            self._write(answer.to_csv())
        else:
            self._write(json_text(answer.explain(self.levels).record()) if self.explain else answer.to_json())

    def _other(self, file: Path, answer: Answer) -> Callable[[], Any] | None:
        """What makes a file of a kind of the answer's own."""
        make = next((make for ending, make in answer.saves.items() if file.name.lower().endswith(ending)), None)
        if make is not None and (self.asked or self.explain):
            raise BadInput(f"-o {file} asks for a Chrome trace; leave out --json, --csv and --explain")
        return make

    def _draw(self, answer: Answer) -> None:
        from .charts import write

        if not answer.pictures:
            raise BadInput(f"there is nothing to draw; write '{self.file}' as .json or .txt to see why")
        write(_picture(answer), str(self.file))
        _said(self.file)

    def _show(self, answer: Answer) -> None:
        """The screen, or the tree of terms, on the terminal or as plain text."""
        from . import show, terminal

        console = show.console()
        if self.file is not None or not console.is_terminal:
            console = show.console(io.StringIO(), width=FILE_WIDTH if self.file is not None else console.width)
        if self.explain:
            terminal.tree(console, answer.explain(self.levels))
        else:
            terminal.screen(console, answer)
        if isinstance(console.file, io.StringIO):
            self._write("".join(f"{line.rstrip()}\n" for line in console.file.getvalue().splitlines()))

    def _write(self, text: str) -> None:
        if self.file is None:
            sys.stdout.write(text)
        else:
            self._save(text)

    def _save(self, text: str) -> None:
        from .charts import save

        save(str(self.file), text.encode())
        _said(self.file)


def _said(file: Path | None) -> None:
    if sys.stderr.isatty():
        print(f"wrote {legible(str(file))}", file=sys.stderr)


def _picture(answer: Answer) -> Record:
    from .charts import stack

    specs = [dict(spec) for spec in answer.charts]
    return specs[0] if len(specs) == 1 else stack(specs, title=answer.title.words)


@contextmanager
def progress(doing: str, *, after: float = 1.0) -> Iterator[None]:
    """Say on stderr what takes so long, once it has taken `after` seconds; only where somebody is looking.

    Work that tells how far it is (`rackmath.progress`) gets a bar.
    """
    if not sys.stderr.isatty():
        yield
        return
    shown = threading.Event()

    def say() -> None:
        shown.set()
        sys.stderr.write(f"\r{doing} ...")
        sys.stderr.flush()

    def clear() -> None:
        timer.cancel()
        if shown.is_set():
            sys.stderr.write("\r" + " " * (len(doing) + 4) + "\r")
            sys.stderr.flush()
            shown.clear()

    timer = threading.Timer(after, say)
    timer.daemon = True
    timer.start()
    with ExitStack() as stack:
        stack.callback(clear)
        bars: list[Hear] = []

        def hear(done: float, what: str) -> None:
            if not bars:
                clear()
                bars.append(stack.enter_context(_bar()))
            bars[0](done, what)

        with heard_by(hear):
            yield


@contextmanager
def _bar() -> Iterator[Hear]:
    """A bar on stderr that leaves nothing behind."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(bar_width=30), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda done, doing: bar.update(task, completed=done, description=doing)
