"""The screen of `calibrate`: errors before and after, the constants and what the runs say of them, every point."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from ..units import plural, show
from ..views.machine_terms import Node, count
from . import charts
from .ask_calibrate import CalibrateAnswer
from .export import Face, Record
from .show import heading, indented, line, notes, numbers

if TYPE_CHECKING:
    from ..evidence.calibrate import Calibration, Constant, Fitted, Seen
    from ..evidence.score import Errors

MOST_POINTS = 16
QUANTITIES = {"tpot": "TPOT", "ttft": "TTFT"}
WHEN = {"before": "before", "after": "after", "left_out": "left out in turn"}
TITLES = {
    "launch": "launch, between kernels",
    "step": "step, around a pass",
    "sequence": "sequence, per one in a rank",
    "host": "host, per uncaptured kernel",
    "request": "request, per one",
    "queue": "queue, over the ideal line",
    "compute": "compute, share of peak",
    "memory": "memory, share of bandwidth",
}


def face(answer: CalibrateAnswer) -> Face:
    """The faces of a calibration; as CSV it is its points."""
    return Face(
        record=lambda: record(answer),
        rows=lambda: [_point(p) for p in answer.calibration.points],
        screen=lambda c: screen(c, answer),
        tree=lambda: tree(answer),
        chart=lambda: chart(answer.calibration),
    )


# --- plain data ---------------------------------------------------------------------------------------------------


def record(answer: CalibrateAnswer) -> Record:
    """{files, tools, base, machine, points, skipped, errors, constants, runs, saved, notes}."""
    found = answer.calibration
    return {
        "files": list(found.files),
        "tools": list(found.chosen.tools),
        "base": found.chosen.base,
        "machine": found.chosen.machine.name,
        "points": len(found.points),
        "skipped": [{"reason": reason, "runs": n} for reason, n in found.skipped],
        "errors": {q: {when: _errors(e) for when, e in scores.items()} for q, scores in found.scores.items()},
        "constants": [
            {"name": c.name, "before": c.before, "after": c.after, "factor": c.factor, "prior_width": c.prior,
             "width": c.width, "seen": c.seen}
            for c in found.constants
        ],
        "runs": [_point(p) for p in found.points],
        "saved": None if answer.saved is None else {"name": answer.saved.stem, "file": str(answer.saved)},
        "notes": list(found.chosen.notes),
    }  # fmt: skip


def _errors(e: Errors) -> Record:
    return {"n": e.n, "bias": e.bias, "median": e.median, "mape": e.mape, "p90": e.p90, "within_20": e.within_20}


def _point(p: Fitted) -> Record:
    run = p.point.run
    row = run.row
    found: Record = {
        "run": run.where, "tool": run.tool, "model": p.point.model.name, "machine": p.point.machine.name,
        "layout": row.decode.layout.label(), "weights": p.point.precision.name, "concurrency": row.concurrency,
        "isl": row.isl, "osl": row.osl,
    }  # fmt: skip
    for name in QUANTITIES:
        seen: Seen | None = getattr(p, name)
        for part in ("measured", *WHEN):
            found[f"{name}_{part}"] = None if seen is None else getattr(seen, part)
    return found


# --- screen -------------------------------------------------------------------------------------------------------


def screen(c: Console, answer: CalibrateAnswer) -> None:
    """Print the errors, the constants, the points, and what to do with the fit."""
    found = answer.calibration
    chosen = found.chosen
    models = list(dict.fromkeys(p.point.model.name for p in found.points))
    layouts = list(dict.fromkeys(p.point.run.row.decode.layout.label() for p in found.points))
    files = found.files[0] if len(found.files) == 1 else f"{len(found.files)} files"
    c.print(Text.assemble((files, "bold"), f": {plural(len(found.points), 'run')} of {', '.join(chosen.tools)}"))
    where = f"{_few(models)} on {chosen.machine.name}, {_few(layouts)}, from the constants of {chosen.base}"
    c.print(Text(where, style="dim"))
    heading(c, "Errors", "predicted over measured, less one")
    table = numbers("", "points", "bias", "median", "MAPE", "p90", "in 20%", title_width=22)
    for quantity, scores in found.scores.items():
        for when, e in scores.items():
            shares = (f"{e.bias:+.1%}", f"{e.median:.1%}", f"{e.mape:.1%}", f"{e.p90:.1%}", f"{e.within_20:.0%}")
            style = "bold" if when == "after" else ""
            table.add_row(f"{QUANTITIES[quantity]} {WHEN[when]}", f"{e.n:,}", *shares, style=style)
    indented(c, table, drop=("p90",))
    if "left_out" not in found.scores["tpot"] and "left_out" not in found.scores["ttft"]:
        line(c, "[dim]Runs are left out in turn where there are four or more.[/]")
    else:
        line(c, "[dim]Left out in turn: each run predicted by a fit that has not seen it.[/]")
    _constants(c, found)
    _points(c, found)
    if found.skipped:
        heading(c, "Not used")
        for reason, n in found.skipped[:6]:
            line(c, escape(f"{plural(n, 'run')}: {reason}"))
    heading(c, "Use")
    if answer.saved is None:
        line(c, "Nothing was written. --save NAME keeps this fit as an engine of your own.")
    else:
        name = answer.saved.stem
        line(c, f"Saved as the engine [bold]{escape(name)}[/]: --engine {escape(name)} uses it in every command.")
        line(c, f"[dim]{escape(str(answer.saved))}[/]")
    notes(c, chosen.notes)


def _few(words: list[str]) -> str:
    return ", ".join(words) if len(words) <= 3 else f"{words[0]} and {len(words) - 1} more"


def _constants(c: Console, found: Calibration) -> None:
    heading(c, "Constants", "each held by the width it may differ by")
    table = numbers("", "before", "after", "factor", "may differ by", "left open", title_width=22)
    for one in found.constants:
        before, after = _value(one, one.before), _value(one, one.after)
        style = "" if one.seen else "dim"
        table.add_row(TITLES[one.name], before, after, f"{one.factor:.2f}x", _width(one.prior), _width(one.width),
                      style=style)  # fmt: skip
    indented(c, table, drop=("before", "after"))
    if any(not one.seen for one in found.constants):
        line(c, "[dim]Of the dim ones these runs say next to nothing: they stay near their packaged values.[/]")


def _value(one: Constant, value: float) -> str:
    return f"{value:.2f}" if one.name in ("queue", "compute", "memory") else show(value, "s")


def _width(log: float) -> str:
    """A log width as the factor it stands for: "÷× 1.2"."""
    return f"× or ÷ {math.exp(log):.2f}"


def _points(c: Console, found: Calibration) -> None:
    """The runs one by one; of many, those that are still furthest off."""
    shown = list(found.points)
    few = len(shown) <= MOST_POINTS
    if not few:
        shown = sorted(shown, key=_off, reverse=True)[: MOST_POINTS // 2]
    heading(c, "Runs" if few else "Runs furthest off", "measured, then the error before and after")
    table = numbers("users", "in", "out", "layout", "TPOT", "before", "after", "TTFT", "before", "after")
    for p in shown:
        row = p.point.run.row
        cells = [cell for name in QUANTITIES for cell in _cells(getattr(p, name))]
        table.add_row(
            f"{row.concurrency:,.4g}", f"{row.isl:,.0f}", f"{row.osl:,.0f}", row.decode.layout.label(), *cells
        )
    indented(c, table, drop=("layout",))


def _off(p: Fitted) -> float:
    return max(abs(math.log(s.after / s.measured)) / (1 if s is p.tpot else 3) for s in (p.tpot, p.ttft) if s)


def _cells(seen: Seen | None) -> tuple[str, str, str]:
    if seen is None:
        return ("–",) * 3
    return (
        show(seen.measured, "s"),
        f"{seen.before / seen.measured - 1:+.0%}",
        f"{seen.after / seen.measured - 1:+.0%}",
    )


# --- chart and tree -----------------------------------------------------------------------------------------------


def chart(found: Calibration) -> dict[str, Any]:
    """Predicted against measured TPOT before and after; time to first token where there is none."""
    name = "tpot" if found.scores["tpot"] else "ttft"
    seen = [(p, s) for p in found.points if (s := getattr(p, name)) is not None]
    labels = [p.point.run.where for p, _ in seen]
    measured = [s.measured for _, s in seen]
    series = [
        charts.Series(WHEN[when], measured, [getattr(s, when) for _, s in seen], labels=labels)
        for when in ("before", "after")
    ]
    every = [v for s in series for v in (*s.x, *s.y)]
    ends = [min(every), max(every)]
    return charts.scatter(
        [charts.Series("equal", ends, ends, look="dashed"), *series],
        title=f"{QUANTITIES[name]}, {found.chosen.base} on {found.chosen.machine.name}",
        x=charts.Axis("Measured", "s", log=True),
        y=charts.Axis("Predicted", "s", log=True),
    )


def tree(answer: CalibrateAnswer) -> Node:
    """Constants and errors as a tree."""
    found = answer.calibration
    constants = tuple(
        Node(
            name=c.name,
            value=c.after,
            unit="" if c.name in ("queue", "compute", "memory") else "s",
            rule="product",
            children=(
                Node(name="packaged", value=c.before, unit="" if c.name in ("queue", "compute", "memory") else "s"),
                Node(name="factor", value=c.factor, source="fitted on these runs"),
            ),
        )
        for c in found.constants
    )
    scores = tuple(
        Node(
            name=f"{QUANTITIES[q]} {WHEN[when]}",
            children=(
                count("points", e.n),
                Node(name="signed median", value=e.bias, unit="share"),
                Node(name="median absolute error", value=e.median, unit="share"),
                Node(name="mean absolute error", value=e.mape, unit="share"),
            ),
        )
        for q, by in found.scores.items()
        for when, e in by.items()
    )
    name = answer.saved.stem if answer.saved else f"{found.chosen.base}, calibrated"
    return Node(
        name=name,
        children=(Node(name="constants", children=constants), Node(name="errors", children=scores)),
    )
