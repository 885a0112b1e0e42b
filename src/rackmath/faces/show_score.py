"""The screen of `score`: errors for each measured column, by system, model, engine and mode; bounds; reasons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from ..views.machine_terms import Node, count
from . import charts
from .ask_score import ScoreAnswer
from .export import Face, Record
from .show import heading, indented, line, notes, numbers

if TYPE_CHECKING:
    from ..evidence.answer import Answer
    from ..evidence.score import Cell, Column, Errors

MOST_LISTED = 8
MOST_CELLS = 12
NAME = 34
"""Longest name of a cell on the screen."""


def face(answer: ScoreAnswer) -> Face:
    """The faces of predictions beside measured rows; as CSV they are the predictions."""
    return Face(
        record=lambda: record(answer),
        rows=lambda: predictions(answer),
        screen=lambda c: screen(c, answer),
        tree=lambda: tree(answer),
        chart=lambda: chart(answer),
    )


# --- plain data ---------------------------------------------------------------------------------------------------


def predictions(answer: ScoreAnswer) -> list[Record]:
    """The columns of the file as they stand there; M_pred, M_lo, M_hi, M_bound for each column M; `reason`."""
    return [{**a.given, **predicted(a, answer.scores.columns)} for a in answer.scores.answers]


def predicted(a: Answer, columns: Sequence[str]) -> Record:
    """What is added to one row; M_lo and M_hi are empty where nothing is known of such errors."""
    found: Record = {}
    for name in columns:
        e = a.said.estimates.get(name)
        values = (e.pred, e.low, e.high, e.bound) if e else (None,) * 4
        found |= dict(zip((f"{name}_{part}" for part in ("pred", "lo", "hi", "bound")), values, strict=True))
    return found | {"reason": a.said.reason}


def record(answer: ScoreAnswer) -> Record:
    """{file, kind, rows, answered, columns, (by) system, model, engine, mode, reasons, beyond_bound, predictions}."""
    s = answer.scores
    return {
        "file": answer.file,
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
            | predicted(a, s.columns)
            | {"notes": list(a.said.notes)}
            for i, a in enumerate(s.answers, 1)
        ],
        "notes": list(answer.notes),
        **_sources(answer),
    }


def _sources(answer: ScoreAnswer) -> Record:
    """Scores by source, of training runs only."""
    if answer.scores.kind.name != "training":
        return {}
    from ..evidence.score import Column
    from ..evidence.training_runs import by_source

    return {
        "by_source": [
            {"name": one.source, "of": one.quantity, "peer": one.peer}
            | _column(Column(rows=one.rows, errors=one.errors))
            for one in by_source(answer.scores.answers)
        ]
    }


def _cell(cell: Cell) -> Record:
    return {
        "rows": cell.rows,
        "answered": cell.answered,
        "columns": {name: _column(column) for name, column in cell.columns.items()},
    }


def _column(column: Column) -> Record:
    found: Record = {"rows": column.rows, "n": column.answered, "coverage": column.coverage}
    e = column.errors
    if e is None:
        return found
    return found | {
        "bias": e.bias, "mape": e.mape, "median": e.median, "p90": e.p90, "within_20": e.within_20,
        "spearman": e.rank, "interval_coverage": e.inside, "interval_width": e.width,
    }  # fmt: skip


# --- screen -------------------------------------------------------------------------------------------------------

HEADS = ("bias", "MAPE", "median", "p90", "in 20%", "rank")


def screen(c: Console, answer: ScoreAnswer) -> None:
    """Print errors of every measured column, of its cells, rows beyond their bound, and reasons."""
    s = answer.scores
    c.print(Text.assemble((answer.file, "bold"), f": {s.total.rows:,} rows of {s.kind.what} ({s.kind.name})"))
    said = s.total.rows - s.total.answered
    share = s.total.answered / s.total.rows
    c.print(Text(f"{s.total.answered:,} answered ({share:.1%}), {said:,} with a reason why not", style="dim"))
    heading(c, "Errors", "predicted over measured, less one")
    table = numbers("measured column", "rows", "answered", *HEADS, "interval", title_width=20)
    for name, column in s.total.columns.items():
        if column.rows:
            table.add_row(name, f"{column.rows:,}", f"{column.coverage:.0%}", *_numbers(column.errors),
                          _interval(column.errors))  # fmt: skip
    if table.row_count:
        indented(c, table, drop=("interval",))
        line(c, "[dim]bias: signed median. rank: Spearman's correlation. median, p90: of the absolute error.[/]")
        if not any(column.errors and column.errors.inside is not None for column in s.total.columns.values()):
            line(c, "[dim]Interval: none is known for these columns. Nothing can be beyond the bound.[/]")
        else:
            line(
                c,
                "[dim]Interval: share of the measurements inside it; the median of its upper over its lower end.[/]",
            )
    else:
        line(c, "The file states no measurement to compare with; --out writes the predictions.")
    if s.kind.name == "training":
        _by_source(c, s.answers)
    for key, cells in s.by.items():
        if s.kind.name != "training" or key != "engine":
            _by(c, key, cells)
    _bounds(c, s.violations)
    if s.reasons:
        heading(c, "Without an answer")
        for why, k in s.reasons[:MOST_LISTED]:
            line(c, f"{k:,}: {escape(why)}")
        rest = sum(k for _, k in s.reasons[MOST_LISTED:])
        if rest:
            line(c, f"{rest:,}: other reasons, in --csv")
    notes(c, answer.notes)


def _by(c: Console, key: str, cells: Sequence[Cell]) -> None:
    """A table of the largest cells of one key, each with the first measured column that can be compared."""
    if len(cells) < 2:
        return
    shown = sorted(cells, key=lambda cell: -cell.rows)[:MOST_CELLS]
    one = len({cell.headline for cell in shown}) == 1
    heading(c, f"By {key}", shown[0].headline if one else "")
    table = numbers(key, *(() if one else ("of",)), "rows", "n", *HEADS, title_width=20)
    for cell in shown:
        name = cell.key if len(cell.key) <= NAME else cell.key[: NAME - 1] + "…"
        column = cell.columns[cell.headline]
        of = () if one else (cell.headline,)
        table.add_row(name, *of, f"{cell.rows:,}", f"{column.answered:,}", *_numbers(column.errors))
    indented(c, table, drop=("rank",))
    if len(cells) > len(shown):
        line(c, f"[dim]… and {len(cells) - len(shown)} more: --json has all[/]")


def _by_source(c: Console, answers: Sequence[Answer]) -> None:
    """Errors of each source in seconds of a step, whatever its unit, and of memory; a peer's beside them."""
    from ..evidence.training_runs import by_source
    from ..training.constants import fitted

    lines = by_source(answers)
    if not lines:
        return
    heading(c, "By source", "a step's seconds, whatever figure the source prints; constants from elsewhere")
    table = numbers("source", "of", "rows", "n", *HEADS[:-1], "interval", title_width=24)
    for one in lines:
        table.add_row(one.source, one.quantity, f"{one.rows:,}", f"{one.errors.n:,}", *_numbers(one.errors)[:-1],
                      _interval(one.errors))  # fmt: skip
    indented(c, table, drop=("rows", "interval", "p90"))
    for one in lines:
        if one.peer:
            line(c, f"[dim]Calculon on {escape(one.source)}: {escape(one.peer)}[/]")
    for source, plain in fitted().get("zero_shot", {}).items():
        if any(one.source == source for one in lines):
            said = f"MAPE {plain['mape']:.0%}, {plain['bias']:+.0%} at the median".replace("-", "−")
            line(c, f"[dim]{escape(source)} with nothing fitted at all, as recorded: {said}[/]")


def _bounds(c: Console, broken: Sequence[Answer]) -> None:
    heading(c, "The bound")
    if not broken:
        line(c, "No measurement lies beyond its bound.")
    for a in broken[:MOST_LISTED]:
        parts = [f"{m} {a.measured[m]:.4g}, bound {a.said.estimates[m].bound:.4g}" for m in a.broken[:2]]
        line(c, escape(f"{a.said.model} on {a.said.system}, {a.said.mode}: {'; '.join(parts)}"))
    if len(broken) > MOST_LISTED:
        line(c, f"… and {len(broken) - MOST_LISTED} more: --csv lists all")


def _numbers(e: Errors | None) -> tuple[str, ...]:
    if e is None:
        return ("–",) * len(HEADS)
    shares = f"{e.bias:+.0%}", f"{e.mape:.0%}", f"{e.median:.0%}", f"{e.p90:.0%}", f"{e.within_20:.0%}"
    return (*shares, "–" if e.rank is None else f"{e.rank:.2f}")


def _interval(e: Errors | None) -> str:
    """How many measurements lie inside, and how wide it is: "88%, 1.9x"."""
    return "–" if e is None or e.inside is None or e.width is None else f"{e.inside:.0%}, {e.width:.1f}x"


# --- chart and tree -----------------------------------------------------------------------------------------------


def chart(answer: ScoreAnswer) -> dict[str, Any]:
    """Predicted against measured in the headline column, one colour for each mode."""
    name = answer.scores.total.headline
    groups: dict[str, list[Answer]] = {}
    for a in answer.scores.answers:
        if name in a.measured and name in a.said.estimates:
            groups.setdefault(a.said.mode, []).append(a)
    series = [
        charts.Series(
            mode,
            [a.measured[name] for a in found],
            [a.said.estimates[name].pred for a in found],
            labels=[f"{a.said.model} on {a.said.system}, {a.said.engine}" for a in found],
        )
        for mode, found in sorted(groups.items())
    ]
    ends = [min((min(*s.x, *s.y) for s in series), default=1e-3), max((max(*s.x, *s.y) for s in series), default=1.0)]
    unit = "ms" if name.endswith("_ms") else "s" if name.endswith("_s") and "tok" not in name else ""
    return charts.scatter(
        [charts.Series("equal", ends, ends, look="dashed"), *series],
        title=f"{name}, {answer.file}",
        x=charts.Axis("Measured", unit, log=True),
        y=charts.Axis("Predicted", unit, log=True),
    )


def tree(answer: ScoreAnswer) -> Node:
    """Scores as a tree."""
    s = answer.scores
    whole = Node(
        name="rows", value=float(s.total.rows), rule="sum",
        children=(count("answered", s.total.answered), count("with a reason", s.total.rows - s.total.answered)),
    )  # fmt: skip
    by = [
        Node(name=f"by {key}", children=tuple(Node(name=cell.key, children=_columns(cell)) for cell in cells))
        for key, cells in s.by.items()
    ]
    return Node(name=answer.file, children=(whole, *_columns(s.total), *by))


def _columns(cell: Cell) -> tuple[Node, ...]:
    return tuple(
        Node(
            name=name,
            children=(
                count("rows compared", e.n),
                Node(name="signed median", value=e.bias, unit="share"),
                Node(name="mean absolute error", value=e.mape, unit="share"),
                Node(name="median absolute error", value=e.median, unit="share"),
            ),
        )
        for name, column in cell.columns.items()
        if (e := column.errors) is not None
    )
