"""The verb of measured rows: a file in, predictions and scores out. No arithmetic here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BadInput

if TYPE_CHECKING:
    from ..evidence.palm import Compared
    from ..evidence.score import Scores
    from .export import Face
    from .question import Quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsAnswer:
    """Predictions beside the rows of a serving benchmark."""

    file: str
    scores: Scores
    notes: tuple[str, ...]

    def face(self) -> Face:
        from . import show_rows

        return show_rows.face(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedAnswer:
    """Predictions beside the figures of a paper."""

    file: str
    rows: tuple[Compared, ...]
    notes: tuple[str, ...]

    def face(self) -> Face:
        from . import show_rows

        return show_rows.reported_face(self)


def rows(file: str | Path, *, sets: Mapping[str, Quantity] | None = None) -> RowsAnswer | ReportedAnswer:
    """An answer or a reason for every row of a file of measured runs.

    `sets` overrides values of engine and efficiency, e.g. {"efficiency.link_share": 0.7}.
    """
    from ..evidence import palm, predict, score
    from ..evidence import rows as reader
    from ..kernel.efficiency import default_efficiency
    from ..world.engine import TYPICAL
    from .question import changed

    path = Path(file)
    if not path.is_file():
        raise BadInput(f"there is no file {str(file)!r}; give a CSV of measured runs")
    engine, efficiency = changed(TYPICAL, default_efficiency(), sets or {})
    notes = tuple(f"changed by hand: {k} = {v}" for k, v in (sets or {}).items())
    with path.open(encoding="utf-8", errors="replace") as handle:
        header = handle.readline()
    if "paper_or_repo" in header:
        return ReportedAnswer(file=path.name, rows=palm.read(path, efficiency), notes=notes)
    found = reader.read(path)
    return RowsAnswer(
        file=path.name,
        scores=score.score(predict.predict(found, engine=engine, efficiency=efficiency)),
        notes=notes,
    )
