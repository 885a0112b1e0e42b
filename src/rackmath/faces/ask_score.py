"""The verb of measured rows: a file in, predictions and scores out. No arithmetic here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BadInput

if TYPE_CHECKING:
    from ..evidence.score import Scores
    from ..questions.resolve import Quantity
    from .export import Face


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreAnswer:
    """Predictions beside the rows of a file of measured runs."""

    file: str
    scores: Scores
    notes: tuple[str, ...]

    def face(self) -> Face:
        from . import show_score

        return show_score.face(self)


def score(file: str | Path, *, kind: str | None = None, sets: Mapping[str, Quantity] | None = None) -> ScoreAnswer:
    """An answer or a reason for every row of a file of measured runs, and how far off the answers are.

    `kind` is a name of `evidence.kinds.KINDS`, recognised by the header if not given. `sets` overrides values of
    engine and efficiency, e.g. {"efficiency.link_share": 0.7}; what is not named keeps each row's own.
    """
    from ..evidence import kinds
    from ..evidence import score as scores
    from ..evidence.answer import Asked
    from ..questions.resolve import changed
    from ..world.engine import TYPICAL

    engine, change = changed(TYPICAL, sets or {})
    asked = Asked(engine=engine, change=change)
    known, header, answers = kinds.answers(file, kind, asked=asked)
    return ScoreAnswer(
        file=Path(file).name,
        scores=scores.score(known, header, answers),
        notes=tuple(f"changed by hand: {k} = {v}" for k, v in (sets or {}).items()),
    )


def predictions_file(path: Path | None) -> Path | None:
    """The file that predictions go to; refused before any work is done where it is no CSV."""
    if path is not None and path.suffix.lower() != ".csv":
        raise BadInput(f"cannot write '{path}': predictions go to a file that ends in .csv")
    return path
