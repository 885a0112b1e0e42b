"""The peer's column: what NVIDIA's aiconfigurator says about the same rows, recorded or given anew.

`data/fitted/peer.toml` holds the scores of one run, `data/facts/validate_ids.txt` marks the rows it answered; both
are written by `tools/peer_record.py` from the output of `benchmarks/peer_aiconfigurator.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from .. import shipped
from ..errors import BadInput, shown_path
from . import score
from .answer import AnsweredRow
from .published import listed
from .score import Errors, ScoredColumn
from .table import table

COLUMNS = {"silicon_tpot_ms": "tpot_ms", "silicon_ttft_ms": "ttft_ms"}
"""Measured column of the silicon sample -> the peer's."""

MODES = ("aggregated", "disaggregated", "all")

Theirs = Mapping[str, Mapping[str, float]]
"""Identifier of a row -> measured column -> the peer's figure; only rows that it answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """One measured column in one mode: the peer on the rows it answers, ours on those, ours on all.

    `theirs.rows` are all rows; `shared.rows` those that the peer answers, of which `shared.answered` have ours too.
    """

    column: str
    mode: str
    theirs: ScoredColumn
    shared: ScoredColumn
    ours: ScoredColumn


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A comparison with the peer, and where its figures come from."""

    name: str
    version: str
    source: str
    lines: tuple[Beside, ...]


def read(path: Path) -> Theirs:
    """The peer's answers from a file with the columns id, tpot_ms and ttft_ms; blank where it refused."""
    columns, rows = table(path)
    if lacking := {"id", *COLUMNS.values()} - set(columns):
        raise BadInput(f"{shown_path(path)} has no column {min(lacking)!r}; --peer takes the output of benchmarks/peer_aiconfigurator.py")
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        values = {ours: _number(row[theirs], path) for ours, theirs in COLUMNS.items()}
        if said := {name: value for name, value in values.items() if value is not None}:
            found[row["id"]] = said
    return found


def _number(text: str | None, path: Path) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        raise BadInput(f"'{path}' has {text!r:.40} where a time in ms should be") from None
    return value if value is not None and math.isfinite(value) and value > 0 else None


def compared(answers: Sequence[AnsweredRow], theirs: Theirs, source: str) -> Peer:
    """The peer's answers beside ours, for the rows of the silicon sample."""
    if not any(a.given.get("id") in theirs for a in answers):
        raise BadInput(f"{source} answers no row of the silicon sample that was scored")
    lines = [
        Beside(
            column=column,
            mode=mode,
            theirs=_theirs(members, column, theirs),
            shared=score.column([a for a in members if column in theirs.get(a.given.get("id", ""), {})], column),
            ours=score.column(members, column),
        )
        for column in COLUMNS
        for mode in MODES
        if (members := of_mode(answers, mode))
    ]
    known = recorded()
    return Peer(name=known["name"], version=known["version"], source=source, lines=tuple(lines))


def _theirs(answers: Sequence[AnsweredRow], column: str, theirs: Theirs) -> ScoredColumn:
    pairs = [
        (theirs[key][column], a.measured[column])
        for a in answers
        if (key := a.given.get("id", "")) in theirs and column in theirs[key] and column in a.measured
    ]
    rows = sum(column in a.measured for a in answers)
    return ScoredColumn(rows=rows, errors=score.errors(*zip(*pairs, strict=True)) if pairs else None)


def of_mode(answers: Sequence[AnsweredRow], mode: str) -> list[AnsweredRow]:
    """The rows of one mode of `MODES`; speculation and unstated workers make no mode of their own here."""
    return [a for a in answers if mode == "all" or a.said.mode.partition(",")[0] == mode]


# --- the recorded run ---------------------------------------------------------------------------------------------


def recorded() -> dict[str, Any]:
    """The recorded run: name, version, source, date, command, and [[score]] tables."""
    return shipped.read(shipped.FITTED / "peer.toml")


def as_recorded(answers: Sequence[AnsweredRow]) -> Peer | None:
    """The recorded scores of the peer beside ours on the same rows; None where the rows are not the recorded ones."""
    known, marks = recorded(), listed()
    if {a.given.get("id", "") for a in answers} != set(marks):
        return None
    lines = []
    for given in known["score"]:
        members = of_mode(answers, given["mode"])
        figures = {f.name: given.get(f.name) for f in fields(Errors) if f.name in given}
        lines.append(
            Beside(
                column=given["column"],
                mode=given["mode"],
                theirs=ScoredColumn(rows=given["rows"], errors=Errors(**figures)),
                shared=score.column([a for a in members if marks[a.given["id"]]], given["column"]),
                ours=score.column(members, given["column"]),
            )
        )
    source = f"recorded {known['date']}; --peer peer.csv compares a run of your own"
    return Peer(name=known["name"], version=known["version"], source=source, lines=tuple(lines))
