"""Predictions beside measured rows: how many are answered, how far off, and which lie beyond their bound.

Group: How sure, and why
Example: rackmath score example

A row is predicted from its query alone, never from its measurement; one that cannot be says why. How columns are
read: docs/concepts/measured-rows.md. "example" in place of a file stands for fifteen public runs that come along.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from dataclasses import field as default
from pathlib import Path
from typing import Annotated, Any

from ..answers.charts import Axis, Series, scatter
from ..answers.parts import Answer, Block, Chart, Column, Say, Table
from ..answers.record import csv_text
from ..answers.terms import Term, count
from ..errors import BadInput
from ..evidence import kinds
from ..evidence.answer import AnsweredRow as Row
from ..evidence.answer import Asked
from ..evidence.score import Cell, Scores
from ..evidence.score import ScoredColumn as Scored
from ..evidence.score import score as scores_of
from ..evidence.training_runs import SourceErrors as SourceScore
from ..evidence.training_runs import by_source
from ..questions.common import CHOICES
from ..questions.fields import Field, words
from ..questions.settings import changed
from ..training.constants import fitted
from ..views import scores as views
from ..world.engine import TYPICAL
from ..writing import write

OUTPUT = "Output"

MOST_LISTED = 8
MOST_CELLS = 12
NAME = 34
"""Longest name of a cell on the screen."""

MOST_POINTS = 350
"""Points of a mode that are drawn; of more, evenly spaced ones."""

PARTS = ("pred", "lo", "hi", "bound")


@dataclass(frozen=True, kw_only=True)
class Score:
    """Which measured runs."""

    file: Annotated[str, words("CSV of measured runs, one a row; or example.", "FILE.csv", argument=True, complete="files")]
    kind: Annotated[
        str | None, words("What the file is. Recognised by its columns if not given.", "KIND", choices=(*kinds.KINDS,), panel=CHOICES)
    ] = None
    sets: Annotated[
        dict[str, Any],
        Field(
            help="Replace a value of engine or efficiency: engine.chunk_tokens=4096. Repeatable.",
            flag="--set",
            metavar="KEY=VALUE",
            panel=CHOICES,
            example="efficiency.link_share=0.7",
        ),
    ] = default(default_factory=dict)
    out: Annotated[
        str | None, words("Also write the rows with M_pred, M_lo, M_hi and M_bound for each measured column M.", "FILE.csv", panel=OUTPUT)
    ] = None


def answer(q: Score) -> Answer:
    """An answer or a reason for every row, and how far off the answers are."""
    if q.out is not None and not q.out.lower().endswith(".csv"):
        raise BadInput(f"cannot write '{q.out}': predictions go to a file that ends in .csv (out)")
    engine, change = changed(TYPICAL, q.sets)
    known, header, rows = kinds.answers(q.file, q.kind, asked=Asked(engine=engine, change=change))
    s = scores_of(known, header, rows)
    if q.out is not None:
        write(q.out, csv_text(_predictions(s)).encode())
    file = Path(q.file).name
    return Answer(
        title=Say(
            "*{file}*: {rows:whole} rows of {what} ({kind})", {"file": file, "rows": s.total.rows, "what": known.what, "kind": known.name}
        ),
        subtitle=f"{s.total.answered:,} answered ({s.total.answered / s.total.rows:.1%}),"
        f" {s.total.rows - s.total.answered:,} with a reason why not",
        blocks=tuple(_blocks(s, file)),
        table=lambda: _predictions(s),
        data=_data(s, file),
        terms=lambda: _terms(s, file),
        notes=tuple(f"changed by hand: {k} = {v}" for k, v in q.sets.items()),
        subject=s,
    )


# --- plain data -----------------------------------------------------------------------------------------------------


def _predictions(s: Scores) -> list[dict[str, Any]]:
    """The columns of the file as they stand there; M_pred, M_lo, M_hi, M_bound for each column M; `reason`."""
    return [{**a.given, **_predicted(a, s.columns)} for a in s.answers]


def _predicted(a: Row, columns: Sequence[str]) -> dict[str, Any]:
    """What is added to one row; M_lo and M_hi are empty where nothing is known of such errors."""
    found: dict[str, Any] = {}
    for name in columns:
        e = a.said.estimates.get(name)
        values = (e.pred, e.low, e.high, e.bound) if e else (None,) * 4
        found |= dict(zip((f"{name}_{part}" for part in PARTS), values, strict=True))
    return found | {"reason": a.said.reason}


def _data(s: Scores, file: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "file": file,
        "kind": s.kind.name,
        **_cell(s.total),
        **{key: [{"name": cell.key, **_cell(cell)} for cell in cells] for key, cells in s.by.items()},
        "reasons": [{"reason": why, "rows": n} for why, n in s.reasons],
        "beyond_bound": [
            {"row": i, "column": m, "measured": a.measured[m], "bound": a.said.estimates[m].bound}
            for i, a in enumerate(s.answers, 1)
            for m in a.broken
        ],
        "predictions": [
            {"row": i, "system": a.said.system, "model": a.said.model, "engine": a.said.engine, "mode": a.said.mode}
            | {f"{m}_measured": v for m, v in a.measured.items()}
            | _predicted(a, s.columns)
            | {"notes": list(a.said.notes)}
            for i, a in enumerate(s.answers, 1)
        ],
    }
    if s.kind.name == "training":
        found["by_source"] = [_source(one) for one in by_source(s.answers)]
    return found


def _cell(cell: Cell) -> dict[str, Any]:
    columns = {name: views.scored(column) for name, column in cell.columns.items()}
    return {"rows": cell.rows, "answered": cell.answered, "columns": columns}


def _source(one: SourceScore) -> dict[str, Any]:
    return {"name": one.source, "of": one.quantity, "peer": one.peer} | views.scored(Scored(rows=one.rows, errors=one.errors))


# --- blocks ---------------------------------------------------------------------------------------------------------


def _blocks(s: Scores, file: str) -> Iterator[Block]:
    stated = {name: column for name, column in s.total.columns.items() if column.rows}
    if stated:
        yield _errors(stated)
        yield Say(views.LEGEND, faint=True)
        known = any(column.errors and column.errors.inside is not None for column in stated.values())
        yield Say(views.INTERVAL if known else "interval: none is known for these columns.", faint=True)
    else:
        yield Say(
            "The file states no measurement to compare with; --out writes the predictions.",
            title="Errors",
            aside="predicted over measured, less one",
        )
    if (drawn := _chart(s, file)) is not None:
        yield drawn
    if s.kind.name == "training":
        yield from _by_source(s.answers)
    for key, cells in s.by.items():
        if (s.kind.name != "training" or key != "engine") and len(cells) > 1:
            yield from _by(key, cells)
    yield from _bounds(s.violations)
    yield from _reasons(s)


def _errors(stated: dict[str, Scored]) -> Table:
    rows = [{"name": name} | views.shown(views.scored(column)) for name, column in stated.items()]
    columns = (
        Column("name", "measured column"),
        Column("rows", "rows", "whole"),
        Column("coverage", "answered", "percent"),
        *views.ERRORS,
        views.RANK,
        views.INSIDE,
    )
    return Table(key="", title="Errors", aside="predicted over measured, less one", rows=rows, columns=columns)


def _by(key: str, cells: Sequence[Cell]) -> Iterator[Block]:
    """The largest cells of one key, each with the first measured column that can be compared."""
    largest = sorted(cells, key=lambda cell: -cell.rows)[:MOST_CELLS]
    one = len({cell.headline for cell in largest}) == 1
    rows = [
        {"name": cell.key if len(cell.key) <= NAME else cell.key[: NAME - 1] + "…", "of": cell.headline}
        | views.scored(cell.columns[cell.headline])
        | {"rows": cell.rows}
        for cell in largest
    ]
    columns = (
        Column("name", key),
        *(() if one else (Column("of", "of"),)),
        Column("rows", "rows", "whole"),
        Column("n", "n", "whole"),
        *views.ERRORS,
        views.RANK,
    )
    aside = largest[0].headline if one else ""
    yield Table(key="", title=f"By {key}", aside=aside, rows=rows, columns=columns)
    if len(cells) > len(largest):
        yield Say(f"… and {len(cells) - len(largest)} more: --json has all", faint=True)


def _by_source(answers: Sequence[Row]) -> Iterator[Block]:
    """Errors of each source in seconds of a step, whatever its unit, and of memory; a peer's beside them."""
    lines = by_source(answers)
    if not lines:
        return
    columns = (
        Column("name", "source"),
        Column("of", "of"),
        Column("rows", "rows", "whole", optional=4),
        Column("n", "n", "whole"),
        *views.ERRORS,
        views.INSIDE,
    )
    aside = "a step's seconds, whatever figure the source prints; constants from elsewhere"
    rows = [views.shown(_source(one)) for one in lines]
    yield Table(key="", title="By source", aside=aside, rows=rows, columns=columns)
    for one in lines:
        if one.peer:
            yield Say("Calculon on {source}: {peer}", {"source": one.source, "peer": one.peer}, faint=True)
    for source, plain in fitted().get("zero_shot", {}).items():
        if any(one.source == source for one in lines):
            said = f"MAPE {plain['mape']:.0%}, {plain['bias']:+.0%} at the median".replace("-", "−")
            yield Say("{source} with nothing fitted at all, as recorded: " + said, {"source": source}, faint=True)


def _bounds(broken: Sequence[Row]) -> Iterator[Block]:
    if not broken:
        yield Say("No measurement lies beyond its bound.", title="The bound")
    for i, a in enumerate(broken[:MOST_LISTED]):
        values: dict[str, Any] = {"model": a.said.model, "system": a.said.system, "mode": a.said.mode}
        parts = []
        for j, m in enumerate(a.broken[:2]):
            parts.append(f"{{column_{j}}} {{measured_{j}:.4g}}, bound {{bound_{j}:.4g}}")
            bound = a.said.estimates[m].bound
            values |= {f"column_{j}": m, f"measured_{j}": a.measured[m], f"bound_{j}": bound}
        text = "{model} on {system}, {mode}: " + "; ".join(parts)
        yield Say(text, values, title="" if i else "The bound")
    if len(broken) > MOST_LISTED:
        yield Say(f"… and {len(broken) - MOST_LISTED} more: --csv lists all")


def _reasons(s: Scores) -> Iterator[Block]:
    for i, (why, n) in enumerate(s.reasons[:MOST_LISTED]):
        yield Say("{n:whole}: {why}", {"n": n, "why": why}, title="" if i else "Without an answer")
    if len(s.reasons) > MOST_LISTED:
        yield Say(f"{sum(n for _, n in s.reasons[MOST_LISTED:]):,}: other reasons, in --csv")


def _chart(s: Scores, file: str) -> Chart | None:
    """Predicted against measured in the headline column, one colour for each mode."""
    name = s.total.headline
    groups: dict[str, list[Row]] = {}
    for a in s.answers:
        if name in a.measured and name in a.said.estimates:
            groups.setdefault(a.said.mode, []).append(a)
    if not groups:
        return None
    series = []
    for mode, found in sorted(groups.items()):
        drawn = found[:: -(-len(found) // MOST_POINTS)]
        labels = [f"{a.said.model} on {a.said.system}, {a.said.engine}" for a in drawn]
        measured = [a.measured[name] for a in drawn]
        series.append(Series(mode, measured, [a.said.estimates[name].pred for a in drawn], labels=labels))
    ends = [min(min(*x.x, *x.y) for x in series), max(max(*x.x, *x.y) for x in series)]
    unit = "ms" if name.endswith("_ms") else "s" if name.endswith("_s") and "tok" not in name else ""
    spec = scatter(
        [Series("equal", ends, ends, look="dashed"), *series],
        title=f"{name}, {file}",
        x=Axis("Measured", unit, log=True),
        y=Axis("Predicted", unit, log=True),
    )
    return Chart(title="Predicted against measured", aside=name, spec=spec)


# --- terms ----------------------------------------------------------------------------------------------------------


def _terms(s: Scores, file: str) -> Term:
    """Scores as a tree."""
    parts = (count("answered", s.total.answered), count("with a reason", s.total.rows - s.total.answered))
    whole = Term(name="rows", value=float(s.total.rows), rule="sum", children=parts)
    by = [
        Term(name=f"by {key}", children=tuple(Term(name=cell.key, children=_columns(cell)) for cell in cells))
        for key, cells in s.by.items()
    ]
    return Term(name=file, children=(whole, *_columns(s.total), *by))


def _columns(cell: Cell) -> tuple[Term, ...]:
    return tuple(
        Term(
            name=name,
            children=(
                count("rows compared", e.n),
                Term(name="signed median", value=e.bias, unit="share"),
                Term(name="mean absolute error", value=e.mape, unit="share"),
                Term(name="median absolute error", value=e.median, unit="share"),
            ),
        )
        for name, column in cell.columns.items()
        if (e := column.errors) is not None
    )
