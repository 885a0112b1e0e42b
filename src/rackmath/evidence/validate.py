"""The published score table: every measured file that is there, scored by `score`, one line for each column and mode.

Scores of what was left out of a fit are read from `data/fitted/left_out.toml`, where there is one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import shipped
from ..errors import BadInput
from . import peer as peers
from . import published, score
from .answer import SEEN, UNSEEN, AnsweredRow
from .published import PACKAGE, PACKAGED, PublishedFile
from .score import ScoredColumn


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreLine:
    """One line of the score table; `shown` on a screen, otherwise in --csv and --json only."""

    file: str
    kind: str
    column: str
    mode: str
    score: ScoredColumn
    shown: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """The score table, rows beyond their bound, and what was missing.

    `versions` are lines whose `mode` says whether the engine version was seen in the fit; empty while no answer says.
    """

    found: tuple[PublishedFile, ...]
    lines: tuple[ScoreLine, ...]
    versions: tuple[ScoreLine, ...]
    peer: peers.Peer | None
    beyond: tuple[tuple[str, AnsweredRow], ...]
    missing: tuple[str, ...]

    def lines_of(self, file: str) -> tuple[ScoreLine, ...]:
        return tuple(line for line in self.lines if line.file == file and line.shown)

    def answers(self, kind: str) -> tuple[AnsweredRow, ...]:
        return next((f.answers for f in self.found if f.kind.name == kind), ())


def validate(data: Path | None = None, *, peer: Path | None = None) -> Validation:
    """Score every published file that is there; refused where none is."""
    theirs = peers.read(peer) if peer is not None else None
    place, wanted = published.folder(data)
    found, missing = published.find(place, wanted)
    if not found:
        raise BadInput(
            f"there is nothing to score: no measured file lies in '{place}' (--data, or RACKMATH_DATA), and the rows"
            f" of {PACKAGE} are not there either ({published.INSTALL})"
        )
    silicon = next((f.answers for f in found if f.published is PACKAGED), ())
    if theirs is not None and not silicon:
        raise BadInput(f"--peer is compared on the silicon sample, which is missing ({published.INSTALL})")
    beside = peers.compared(silicon, theirs, str(peer)) if theirs is not None else peers.as_recorded(silicon)
    return Validation(
        found=found,
        lines=tuple(line for one in found for line in lines(one)),
        versions=tuple(line for one in found for line in by_version(one)),
        peer=beside,
        beyond=tuple((one.published.name, a) for one in found for a in one.answers if a.broken),
        missing=missing,
    )


def lines(found: PublishedFile) -> list[ScoreLine]:
    """One line for each mode, the aggregated ones first, then the larger ones, and each measured column."""
    groups: dict[str, list[AnsweredRow]] = {}
    for a in found.answers:
        groups.setdefault(a.said.mode or "not stated", []).append(a)
    order = sorted(groups, key=lambda mode: (mode != "aggregated", -len(groups[mode]), mode))
    return [line for mode in order for line in _of(found, mode, groups[mode])]


def _of(found: PublishedFile, mode: str, answers: Sequence[AnsweredRow]) -> list[ScoreLine]:
    scores = {name: score.column(answers, name) for name in found.kind.columns(found.header)}
    scores = {name: one for name, one in scores.items() if one.rows}
    compared = [name for name, one in scores.items() if one.errors]
    wanted = [name for name in found.published.columns if name in compared] or (compared or list(scores))[:1]
    return [
        ScoreLine(file=found.published.name, kind=found.kind.name, column=name, mode=mode, score=one, shown=name in wanted)
        for name, one in scores.items()
    ]


def version_seen(a: AnsweredRow) -> bool | None:
    """Whether the row's engine version had a part in the fit; None where the answer does not say."""
    for note in a.said.notes:
        if note.startswith(SEEN):
            return True
        if note.startswith(UNSEEN):
            return False
    return None


def by_version(found: PublishedFile) -> list[ScoreLine]:
    """Scores of the aggregated rows whose engine version was seen in the fit, and of the others."""
    said = [(version_seen(a), a) for a in found.answers if a.said.mode == "aggregated"]
    pairs = ((True, SEEN), (False, UNSEEN))
    return [
        line
        for wanted, name in pairs
        if (members := [a for seen, a in said if seen is wanted])
        for line in _of(found, name, members)
        if line.shown
    ]


# --- left out of the fit ------------------------------------------------------------------------------------------

LEFT_OUT = ("by", "of", "quantity", "rows", "bias", "mape", "median", "p90", "within_20", "coverage_90")
"""Keys of a [[left_out]] table: shares, not percent; any but the first three may be missing.

`by` is what was left out in turn, "nothing" for the fit itself. `of` is one group of it, or one of `POOLED`.
"""

POOLED = ("all", "silicon", "inferencex")
"""All groups together: of both files, of one of them."""

BY = ("nothing", "cell", "engine", "model", "system")


def left_out(text: str | None = None) -> tuple[dict[str, Any], ...]:
    """Scores of groups of rows predicted by a fit that had not seen them; none where no fit has recorded any.

    >>> left_out('[[left_out]]\\nby = "cell"\\nof = "all"\\nquantity = "tpot"\\nrows = 9\\nmedian = 0.1')[0]["mape"]
    """
    if text is None:
        path = shipped.FITTED / "left_out.toml"
        if not path.is_file():
            return ()
        text = path.read_text(encoding="utf-8")
    given: list[dict[str, Any]] = tomllib.loads(text).get("left_out", [])
    found = [{key: one.get(key) for key in LEFT_OUT} for one in given]
    return tuple(sorted(found, key=_place))


def _place(one: dict[str, Any]) -> tuple[int, bool, int, str]:
    """The more familiar first, TPOT before TTFT, pooled scores before those of single groups."""
    by, of = one["by"], one["of"]
    place = (BY.index(by) if by in BY else len(BY), one["quantity"] != "tpot")
    return (*place, POOLED.index(of) if of in POOLED else len(POOLED), str(of))
