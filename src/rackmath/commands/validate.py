"""The published score table, run again: every measured file that is there, scored as `score` does.

Group: How sure, and why
Example: rackmath validate --data example

Without the raw files, 2,362 public rows are read from the package aiconfigurator-core, which pip install
'rackmath[validate]' brings. "example" in place of a folder stands for fifteen public runs that come along. What the
table says in words: docs/trust.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from ..answers.parts import Answer, Block, Chart, Column, Say, Table
from ..answers.terms import Term, count
from ..evidence import validate as evidence
from ..evidence.validate import ScoreLine, Validation
from ..questions.common import CHOICES
from ..questions.fields import words
from ..views import scores as views
from ..views.trust_charts import points, predicted_measured

MOST_LISTED = 8

LEGEND = "bias: signed median. median, p90: of the absolute error. rank: Spearman's correlation."
SAME_ROWS = "Answered: of all rows; in the line “same rows”, of the rows that the peer answers."


@dataclass(frozen=True, kw_only=True)
class Validate:
    """Which measured files."""

    data: Annotated[
        str | None,
        words(
            "Folder with the measured files, in serving/ and training/; or example. RACKMATH_DATA or ../shared/data if not given.",
            "DIR",
            panel=CHOICES,
            complete="files",
        ),
    ] = None
    peer: Annotated[
        str | None,
        words(
            "Answers of aiconfigurator, as benchmarks/peer_aiconfigurator.py writes them. Its recorded scores are shown if not given.",
            "PEER.csv",
            panel=CHOICES,
            complete="files",
        ),
    ] = None


def answer(q: Validate) -> Answer:
    """Every published measured file that is there, scored."""
    data, peer = (None if path is None else Path(path) for path in (q.data, q.peer))
    v = evidence.validate(data, peer=peer)
    of = "one file" if len(v.found) == 1 else f"{len(v.found)} files"
    total = sum(len(f.answers) for f in v.found)
    return Answer(
        title=Say(f"*{{measured_rows:whole}} measured rows* of {of}, each predicted from its query", {"measured_rows": total}),
        blocks=tuple(_blocks(v)),
        table="scores",
        data={"measured_rows": total} | _data(v),
        terms=lambda: _terms(v),
        subject=v,
    )


def _data(v: Validation) -> dict[str, Any]:
    """What no block shows."""
    peer = v.peer
    return {
        "files": [
            {
                "file": f.published.name,
                "kind": f.kind.name,
                "source": f.source,
                "rows": len(f.answers),
                "answered": _answered(f),
                "coverage": _answered(f) / len(f.answers),
            }
            for f in v.found
        ],
        "scores": [],
        "by_engine_version": [],
        "peer": None if peer is None else {"name": peer.name, "version": peer.version, "source": peer.source},
        "left_out": list(evidence.left_out()),
        "beyond_bound": [
            {
                "file": file,
                "system": a.said.system,
                "model": a.said.model,
                "engine": a.said.engine,
                "mode": a.said.mode,
                "column": m,
                "measured": a.measured[m],
                "bound": a.said.estimates[m].bound,
            }
            for file, a in v.beyond
            for m in a.broken
        ],
        "missing": list(v.missing),
    }


def _answered(found: Any) -> int:
    return sum(a.answered for a in found.answers)


def _line(one: ScoreLine) -> dict[str, Any]:
    return {"file": one.file, "kind": one.kind, "column": one.column, "mode": one.mode, **views.full(one.score)}


# --- blocks ---------------------------------------------------------------------------------------------------------


def _blocks(v: Validation) -> Iterator[Block]:
    for f in v.found:
        if f.source != f.published.path:
            yield Say(f"{f.kind.name}: {len(f.answers):,} public rows in {f.source}", faint=True)
    yield _scores(v)
    yield Say(LEGEND, faint=True)
    known = any(one.score.errors and one.score.errors.inside is not None for one in v.lines)
    yield Say(views.INTERVAL if known else "interval: none is known for these columns.", faint=True)
    if hidden := sum(not one.shown for one in v.lines):
        yield Say(f"{hidden} more columns that say much the same are in --csv.", faint=True)
    if points(v, "tpot"):
        yield Chart(spec=predicted_measured(v, "tpot"), title="Predicted against measured", lines=0)
    if v.peer is not None:
        yield _peer(v)
        yield Say(SAME_ROWS, faint=True)
    if v.versions:
        yield Table(
            key="by_engine_version",
            title="By engine version",
            aside="aggregated rows",
            columns=(Column("name", "measured column"), *views.SUMMARY),
            rows=[_line(one) for one in v.versions],
            shown=list(_grouped(v.versions)),
        )
    if (held_out := _held_out()) is not None:
        yield held_out
    yield from _bounds(v)
    for i, missing in enumerate(v.missing):
        yield Say("{missing}", {"missing": missing}, title="" if i else "Not scored")


def _scores(v: Validation) -> Table:
    """Every file with its modes below it, and below those the measured columns."""
    shown: list[dict[str, Any]] = []
    heads = []
    for f in v.found:
        heads.append(len(shown))
        packaged = ", packaged" if f.source != f.published.path else ""
        n = len(f.answers)
        shown.append({"name": f"{f.kind.name}{packaged}", "n": n, "coverage": _answered(f) / n})
        shown += _grouped(v.lines_of(f.published.name))
    return Table(
        key="scores",
        title="Scores",
        aside="predicted over measured, less one",
        columns=(Column("name", "measured column"), *views.SUMMARY),
        rows=[_line(one) for one in v.lines],
        shown=shown,
        heads=frozenset(heads),
    )


def _grouped(lines: Sequence[ScoreLine]) -> Iterator[dict[str, Any]]:
    """Rows under a row for each mode; a mode with one column shares its row."""
    for mode in dict.fromkeys(one.mode for one in lines):
        here = [one for one in lines if one.mode == mode]
        name = mode.replace("disaggregated, ", "disagg., ")
        if len(here) > 1:
            yield {"name": f" {name}"}
        for one in here:
            scored = views.dashed(views.shown(views.full(one.score)))
            yield scored | {"name": f" {name}" if len(here) == 1 else f"   {one.column}"}


def _peer(v: Validation) -> Table:
    """The peer on the rows it answers, ours on those, ours on all."""
    peer = v.peer
    assert peer is not None
    shown = []
    for b in peer.lines:
        what = f"{'TPOT' if 'tpot' in b.column else 'TTFT'}, {b.mode}"
        for i, (who, scored) in enumerate(views.compared(b, peer.name)):
            row = views.dashed(views.full(scored))
            shown.append(row | {"name": "" if i else what, "who": who})
    keys = {"peer": "theirs", "ours_same_rows": "shared", "ours_all_rows": "ours"}
    return Table(
        key="peer.scores",
        title=f"{peer.name} {peer.version} and ours",
        aside=peer.source,
        columns=(Column("name", "silicon"), Column("who", "who"), *views.SUMMARY[:-1]),
        rows=[{"column": b.column, "mode": b.mode} | {key: views.full(getattr(b, of)) for key, of in keys.items()} for b in peer.lines],
        shown=shown,
    )


def _held_out() -> Table | None:
    """Scores of what was held out of the fit, all groups together."""
    every = evidence.left_out()
    shown = [
        views.dashed(one, views.HELD_OUT) | {"name": views.held_out_name(one["by"]), "quantity": str(one["quantity"]).upper()}
        for one in every
        if one["of"] == "all"
    ]
    if not shown:
        return None
    return Table(
        key="left_out",
        title="Cross-validation",
        aside="aggregated serving runs, predicted by a fit that had not seen them",
        columns=(Column("name", "held out in turn"), Column("quantity", "of"), *views.HELD_OUT),
        rows=list(every),
        shown=shown,
    )


def _bounds(v: Validation) -> Iterator[Block]:
    rows = sum(_answered(f) for f in v.found)
    yield Say(f"{len(v.beyond)} of {rows:,} answered rows lie beyond their bound.", title="The bound")
    for file, a in v.beyond[:MOST_LISTED]:
        m = a.broken[0]
        values: dict[str, Any] = {"file": file, "model": a.said.model, "system": a.said.system, "mode": a.said.mode}
        values |= {"column": m, "measured": a.measured[m], "bound": a.said.estimates[m].bound}
        yield Say("{file}: {model} on {system}, {mode}: {column} {measured:.4g}, bound {bound:.4g}", values)
    if len(v.beyond) > MOST_LISTED:
        yield Say(f"… and {len(v.beyond) - MOST_LISTED} more: --json lists all")


# --- terms ----------------------------------------------------------------------------------------------------------


def _terms(v: Validation) -> Term:
    """Scores as a tree."""
    return Term(
        name="scores",
        children=tuple(
            Term(
                name=f.published.name,
                children=(
                    count("rows", len(f.answers)),
                    count("answered", _answered(f)),
                    *(_term(one) for one in v.lines_of(f.published.name)),
                ),
            )
            for f in v.found
        ),
    )


def _term(one: ScoreLine) -> Term:
    e = one.score.errors
    shares = () if e is None else (("signed median", e.bias), ("mean absolute error", e.mape), ("median", e.median))
    return Term(
        name=f"{one.mode}, {one.column}",
        children=(count("rows compared", one.score.answered), *(Term(name=name, value=value, unit="share") for name, value in shares)),
    )
