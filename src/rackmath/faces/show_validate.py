"""The screen of `validate`: one table of scores, the peer beside ours, engine versions, bounds, what was missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ..evidence.validate import left_out
from ..views.machine_terms import Node, count
from . import chart_trust
from .ask_validate import ValidateAnswer
from .export import Face, Record
from .show import heading, indented, line, numbers

if TYPE_CHECKING:
    from ..evidence.peer import Beside
    from ..evidence.score import Column
    from ..evidence.validate import Line, Validation

MOST_LISTED = 8
HEADS = ("n", "answered", "bias", "MAPE", "median", "p90", "in 20%", "rank", "interval")


def face(answer: ValidateAnswer) -> Face:
    """The faces of the score table; as CSV it is the whole table."""
    v = answer.validation
    return Face(
        record=lambda: record(v),
        rows=lambda: [_line(one) for one in v.lines],
        screen=lambda c: screen(c, v),
        tree=lambda: tree(v),
        chart=lambda: chart(v),
    )


# --- plain data ---------------------------------------------------------------------------------------------------


def record(v: Validation) -> Record:
    """{files, scores, by_engine_version, peer, left_out, beyond_bound, missing}."""
    return {
        "files": [
            {"file": f.published.name, "kind": f.kind.name, "source": f.source, "rows": len(f.answers),
             "answered": sum(a.answered for a in f.answers)}
            for f in v.found
        ],
        "scores": [_line(one) for one in v.lines],
        "by_engine_version": [_line(one) for one in v.versions],
        "peer": None if v.peer is None else {
            "name": v.peer.name, "version": v.peer.version, "source": v.peer.source,
            "scores": [
                {"column": b.column, "mode": b.mode, "peer": numbers_of(b.theirs),
                 "ours_same_rows": numbers_of(b.shared), "ours_all_rows": numbers_of(b.ours)}
                for b in v.peer.lines
            ],
        },
        "left_out": list(left_out()),
        "beyond_bound": [
            {"file": file, "system": a.said.system, "model": a.said.model, "engine": a.said.engine,
             "mode": a.said.mode, "column": m, "measured": a.measured[m], "bound": a.said.estimates[m].bound}
            for file, a in v.beyond
            for m in a.broken
        ],
        "missing": list(v.missing),
    }  # fmt: skip


def _line(one: Line) -> Record:
    return {"file": one.file, "kind": one.kind, "column": one.column, "mode": one.mode, **numbers_of(one.score)}


def numbers_of(column: Column) -> Record:
    """Rows that state a measurement, coverage and errors, as shares; None where nothing could be compared."""
    e = asdict(column.errors) if column.errors else {}
    names = {"rank": "spearman", "inside": "interval_coverage", "width": "interval_width"}
    keys = ("bias", "mape", "median", "p90", "within_20", "rank", "inside", "width")
    return {"rows": column.rows, "n": column.answered, "coverage": column.coverage} | {
        names.get(key, key): e.get(key) for key in keys
    }


# --- screen -------------------------------------------------------------------------------------------------------


def screen(c: Console, v: Validation) -> None:
    """Print the table, the peer, versions, what was left out, the bound, and what is missing."""
    total = sum(len(f.answers) for f in v.found)
    of = "one file" if len(v.found) == 1 else f"{len(v.found)} files"
    c.print(Text.assemble((f"{total:,} measured rows", "bold"), f" of {of}, each predicted from its query"))
    for f in v.found:
        if f.source != f.published.path:
            c.print(Text(f"{f.kind.name}: {len(f.answers):,} public rows in {f.source}", style="dim"))
    heading(c, "Scores", "predicted over measured, less one")
    _scores(c, v)
    line(c, "[dim]bias: signed median. median, p90: of the absolute error. rank: Spearman's correlation.[/]")
    if any(one.score.errors and one.score.errors.inside is not None for one in v.lines):
        line(c, "[dim]interval: share of the measurements inside; the median of its upper over its lower end.[/]")
    else:
        line(c, "[dim]interval: none is known for these columns.[/]")
    hidden = sum(not one.shown for one in v.lines)
    if hidden:
        line(c, f"[dim]{hidden} more columns that say much the same are in --csv.[/]")
    _peer(c, v)
    _versions(c, v.versions)
    _left_out(c)
    _bounds(c, v)
    if v.missing:
        heading(c, "Not scored")
        for words in v.missing:
            line(c, escape(words))


def _table(*columns: str) -> Table:
    """A table of scores, its columns a little closer than elsewhere so that all fit 100 columns."""
    table = numbers(*columns)
    table.padding = (0, 1, 0, 0)
    return table


def _scores(c: Console, v: Validation) -> None:
    table = _table("measured column", *HEADS)
    for i, f in enumerate(v.found):
        if i:
            table.add_row()
        said = sum(a.answered for a in f.answers)
        aside = ", packaged" if f.source != f.published.path else ""
        table.add_row(
            Text(f"{f.kind.name}{aside}", style="bold"), f"{len(f.answers):,}", f"{said / len(f.answers):.0%}"
        )
        _grouped(table, v.lines_of(f.published.name))
    indented(c, table, drop=("rank", "p90"))


def _grouped(table: Table, lines: Sequence[Line]) -> None:
    """Lines under a line for each mode; a mode with one column shares its line."""
    for mode in dict.fromkeys(one.mode for one in lines):
        here = [one for one in lines if one.mode == mode]
        name = mode.replace("disaggregated, ", "disagg., ")
        if len(here) == 1:
            table.add_row(f" {name}", *cells(here[0].score))
            continue
        table.add_row(Text(f" {name}", style="italic"))
        for one in here:
            table.add_row(f"   {one.column}", *cells(one.score))


def cells(column: Column) -> tuple[str, ...]:
    """n, answered and errors as they stand in a table."""
    e = column.errors
    if e is None:
        return ("0", f"{column.coverage:.0%}", *("–",) * (len(HEADS) - 2))
    inside = "–" if e.inside is None or e.width is None else f"{e.inside:.0%}, {e.width:.1f}x"
    shares = (f"{e.bias:+.0%}", *(f"{x:.0%}" for x in (e.mape, e.median, e.p90, e.within_20)))
    return (f"{e.n:,}", f"{column.coverage:.0%}", *shares, "–" if e.rank is None else f"{e.rank:.2f}", inside)


PEER_HEADS = ("who", "n", "answered", "bias", "MAPE", "median", "p90", "in 20%", "rank")


def beside(b: Beside, name: str) -> tuple[tuple[str, ...], ...]:
    """Three lines: the peer, ours on the rows that it answers, ours on all."""
    return (
        (name, *cells(b.theirs)[:-1]),
        ("ours, same rows", *cells(b.shared)[:-1]),
        ("ours, all rows", *cells(b.ours)[:-1]),
    )


def _peer(c: Console, v: Validation) -> None:
    if v.peer is None:
        return
    heading(c, f"{v.peer.name} {v.peer.version} beside ours", v.peer.source)
    table = _table("silicon", *PEER_HEADS)
    table.columns[1].justify = "left"
    for b in v.peer.lines:
        for i, words in enumerate(beside(b, v.peer.name)):
            table.add_row("" if i else f"{'TPOT' if 'tpot' in b.column else 'TTFT'}, {b.mode}", *words)
    indented(c, table, drop=("rank", "p90"))
    line(c, "[dim]Answered: of all rows; in the line “same rows”, of the rows that the peer answers.[/]")


def _versions(c: Console, lines: Sequence[Line]) -> None:
    if not lines:
        return
    heading(c, "By engine version", "aggregated rows")
    table = _table("measured column", *HEADS)
    _grouped(table, lines)
    indented(c, table, drop=("rank", "p90"))


def _left_out(c: Console) -> None:
    found = [one for one in left_out() if one["of"] == "all"]
    if not found:
        return
    heading(c, "Left out of the fit", "aggregated serving runs, predicted by a fit that had not seen them")
    table = numbers("left out in turn", "of", "n", "bias", "MAPE", "median", "p90", "in 20%", "interval")
    for one in found:
        table.add_row(left_out_name(one), str(one["quantity"]).upper(), *left_out_cells(one))
    indented(c, table, drop=("interval",))


def left_out_name(one: Record) -> str:
    """What was left out, in words."""
    return "nothing: the fit itself" if one["by"] == "nothing" else f"each {one['by']}"


def left_out_cells(one: Record) -> tuple[str, ...]:
    """rows, bias, MAPE, median, p90, within 20 %, interval coverage of one record; what is not stated is a dash."""
    rows = "–" if one["rows"] is None else f"{one['rows']:,}"
    bias = "–" if one["bias"] is None else f"{one['bias']:+.0%}"
    rest = (one[key] for key in ("mape", "median", "p90", "within_20", "coverage_90"))
    return (rows, bias, *("–" if x is None else f"{x:.0%}" for x in rest))


def _bounds(c: Console, v: Validation) -> None:
    heading(c, "The bound")
    rows = sum(a.answered for f in v.found for a in f.answers)
    line(c, f"{len(v.beyond)} of {rows:,} answered rows lie beyond their bound.")
    for file, a in v.beyond[:MOST_LISTED]:
        m = a.broken[0]
        words = f"{file}: {a.said.model} on {a.said.system}, {a.said.mode}:"
        line(c, escape(f"{words} {m} {a.measured[m]:.4g}, bound {a.said.estimates[m].bound:.4g}"))
    if len(v.beyond) > MOST_LISTED:
        line(c, f"… and {len(v.beyond) - MOST_LISTED} more: --json lists all")


# --- chart and tree -----------------------------------------------------------------------------------------------


def chart(v: Validation) -> dict[str, Any]:
    """Predicted against measured time per output token of aggregated rows, a panel for each system."""
    return chart_trust.predicted_measured(v, "tpot")


def tree(v: Validation) -> Node:
    """Scores as a tree."""
    return Node(
        name="scores",
        children=tuple(
            Node(
                name=f.published.name,
                children=(
                    count("rows", len(f.answers)),
                    count("answered", sum(a.answered for a in f.answers)),
                    *(_term(one) for one in v.lines_of(f.published.name)),
                ),
            )
            for f in v.found
        ),
    )


def _term(one: Line) -> Node:
    e = one.score.errors
    shares = () if e is None else (("signed median", e.bias), ("mean absolute error", e.mape), ("median", e.median))
    return Node(
        name=f"{one.mode}, {one.column}",
        children=(
            count("rows compared", one.score.answered),
            *(Node(name=name, value=value, unit="share") for name, value in shares),
        ),
    )
