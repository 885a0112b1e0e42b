"""Any answer in a notebook: HTML, the first picture as Vega-Lite, and the screen as text."""

from __future__ import annotations

import io
from typing import Any

from ..answers.charts import dress
from ..answers.parts import FORMS, Answer
from .page import body

VEGA_LITE = "application/vnd.vegalite.v6+json"
WIDTH = 100


def text(answer: Answer, width: int = WIDTH) -> str:
    """The screen of an answer as plain text of a width."""
    from . import show
    from .terminal import screen

    console = show.console(io.StringIO(), width=width)
    screen(console, answer)
    assert isinstance(console.file, io.StringIO)
    return "".join(f"{line.rstrip()}\n" for line in console.file.getvalue().splitlines())


def picture(answer: Answer) -> dict[str, Any] | None:
    """The first picture, where there is one."""
    return dress(dict(answer.pictures[0].spec)) if answer.pictures else None


FORMS.update({"text/plain": text, "text/html": body, VEGA_LITE: picture})
