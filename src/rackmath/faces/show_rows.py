"""The screens of `rows`: coverage, errors, what beats the bound; and published figures beside ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from ..units import show
from . import charts
from .ask_rows import ReportedAnswer, RowsAnswer
from .explain import Node, count
from .export import Face, Record
from .show import heading, indented, line, notes, numbers

if TYPE_CHECKING:
    from ..evidence.palm import Compared
    from ..evidence.predict import Prediction
    from ..evidence.score import Cell, Errors

ROOMY = 96
"""Columns of a terminal below which the tables of errors keep the time per token only."""

TITLES = {"tpot": "TPOT", "ttft": "TTFT", "tput_per_gpu": "tok/s/GPU", "output_tput_per_gpu": "output tok/s/GPU"}
MOST_LISTED = 8


def face(answer: RowsAnswer) -> Face:
    """The faces of predictions beside a serving benchmark."""
    return Face(
        record=lambda: record(answer),
        rows=lambda: [row(p) for p in answer.scores.predictions],
        screen=lambda c: screen(c, answer),
        tree=lambda: tree(answer),
        chart=lambda: chart(answer),
    )


def reported_face(answer: ReportedAnswer) -> Face:
    """The faces of published figures beside ours."""
    return Face(
        record=lambda: {"file": answer.file, "rows": reported_rows(answer), "notes": list(answer.notes)},
        rows=lambda: reported_rows(answer),
        screen=lambda c: reported_screen(c, answer),
        tree=lambda: Node(name=answer.file, children=tuple(_reported_node(r) for r in answer.rows)),
        chart=lambda: reported_chart(answer),
    )


# --- plain data ---------------------------------------------------------------------------------------------------


def row(p: Prediction) -> Record:
    """One row and its answer: SI units; input and output tokens in `tput_per_gpu`, as the files count."""
    r, m = p.row, p.row.measured
    first = r.prefill
    return {
        "id": r.id,
        "model": r.model,
        "machine": r.machine,
        "engine": r.engine,
        "version": r.version,
        "precision": r.weights,
        "mode": r.mode,
        "speculation": r.speculation,
        "isl": r.isl,
        "osl": r.osl,
        "concurrency": r.concurrency,
        "layout": r.decode.layout.label(),
        "workers": r.decode.workers,
        "prefill_layout": first.layout.label() if first else None,
        "prefill_workers": first.workers if first else None,
        "batch": p.batch,
        "tpot": p.tpot,
        "tpot_bound": p.tpot_bound,
        "tpot_measured": m.tpot,
        "ttft": p.ttft,
        "ttft_bound": p.ttft_bound,
        "ttft_measured": m.ttft,
        "tput_per_gpu": p.tput_per_gpu,
        "tput_per_gpu_measured": m.tput_per_gpu,
        "output_tput_per_gpu": p.output_tput_per_gpu,
        "output_tput_per_gpu_measured": m.output_tput_per_gpu,
        "beats_bound": p.beats_bound,
        "reason": p.reason,
        "readings": "; ".join(p.notes),
    }


def record(answer: RowsAnswer) -> Record:
    """{file, rows, answered, kinds, cells, reasons, beat_bound, predictions, notes}."""
    s = answer.scores
    return {
        "file": answer.file,
        "rows": len(s.predictions),
        "answered": s.answered,
        "kinds": [_cell(c) for c in s.total],
        "cells": [_cell(c) for c in s.cells],
        "reasons": [{"reason": why, "rows": n} for why, n in s.reasons],
        "beat_bound": [p.row.id for p in s.violations],
        "predictions": [row(p) for p in s.predictions],
        "notes": list(answer.notes),
    }


def _cell(cell: Cell) -> Record:
    names = ("kind", "machine", "model", "engine")
    found: Record = dict(zip(names, cell.key, strict=False))
    found |= {"rows": cell.rows, "answered": cell.answered}
    return found | {q: _errors(e) for q, e in cell.errors.items()}


def _errors(e: Errors) -> Record:
    return {"n": e.n, "mape": e.mape, "median": e.median, "bias": e.bias, "within_20": e.within_20}


# --- screen -------------------------------------------------------------------------------------------------------


def screen(c: Console, answer: RowsAnswer) -> None:
    """Print coverage, errors by kind and by cell, reasons, and rows that beat their bound."""
    s = answer.scores
    n = len(s.predictions)
    c.print(Text.assemble((answer.file, "bold"), f": {n:,} measured rows"))
    said = n - s.answered
    c.print(Text(f"{s.answered:,} answered ({s.answered / n:.1%}), {said:,} with a reason why not", style="dim"))
    heading(c, "Errors", "predicted over measured, less one; nothing is fitted on these rows")
    table = numbers("kind of row", "rows", "n", "MAPE", "median", "bias", "within 20%", title_width=34)
    for cell in s.total:
        for quantity, e in cell.errors.items():
            if quantity == "tpot" or c.width >= ROOMY:
                name = cell.key[0] if quantity == "tpot" else f"  {TITLES[quantity]}"
                rows = f"{cell.rows:,}" if quantity == "tpot" else ""
                style = None if quantity == "tpot" else "dim"
                table.add_row(name, rows, *_numbers(e), style=style)
    indented(c, table)
    line(c, "[dim]First lines: time per output token. median: of the absolute error. bias: the signed median.[/]")
    heading(c, "Time per output token by cell")
    table = numbers("machine, model", "engine", "rows", "MAPE", "median", "bias", title_width=40)
    table.columns[1].justify = "left"
    last = ""
    for cell in s.cells:
        of_tpot = cell.errors.get("tpot")
        if cell.key[0] != last:
            last = cell.key[0]
            table.add_row(f"[dim]{last}[/]")
        name = f"{cell.key[1]} {cell.key[2]}"
        shares = _numbers(of_tpot)[1:4] if of_tpot else ("–", "–", "–")
        table.add_row(name if len(name) < 44 else name[:43] + "…", cell.key[3], f"{cell.rows:,}", *shares)
    indented(c, table)
    heading(c, "The bound")
    if not s.violations:
        line(c, "No measured time is shorter than its bound.")
    for p in s.violations[:MOST_LISTED]:
        line(c, _violation(p))
    if len(s.violations) > MOST_LISTED:
        line(c, f"… and {len(s.violations) - MOST_LISTED} more: --csv lists all")
    if s.reasons:
        heading(c, "Without an answer")
        for why, k in s.reasons[:MOST_LISTED]:
            line(c, f"{k:,}: {why}")
        rest = sum(k for _, k in s.reasons[MOST_LISTED:])
        if rest:
            line(c, f"{rest:,}: other reasons, in --csv")
    notes(c, answer.notes)


def _numbers(e: Errors) -> tuple[str, str, str, str, str]:
    return f"{e.n:,}", f"{e.mape:.0%}", f"{e.median:.0%}", f"{e.bias:+.0%}", f"{e.within_20:.0%}"


def _violation(p: Prediction) -> str:
    seen = p.row.measured
    parts = [
        f"{name} {show(m, 's')} under {show(b, 's')}"
        for name, m, b in (("TPOT", seen.tpot, p.tpot_bound), ("TTFT", seen.ttft, p.ttft_bound))
        if m is not None and b is not None and m < b
    ]
    return f"{p.row.id}: {', '.join(parts)}"


def chart(answer: RowsAnswer) -> dict[str, Any]:
    """Predicted against measured time per token, one colour for each kind of row."""
    groups: dict[str, list[Prediction]] = {}
    from ..evidence.score import kind

    for p in answer.scores.predictions:
        if p.tpot is not None and p.row.measured.tpot:
            groups.setdefault(kind(p), []).append(p)
    series = [
        charts.Series(
            name,
            [p.row.measured.tpot or 0.0 for p in found],
            [p.tpot or 0.0 for p in found],
            labels=[f"{p.row.id}: {p.row.model} on {p.row.machine}, {p.row.engine}" for p in found],
        )
        for name, found in sorted(groups.items())
    ]
    ends = [min((min(*s.x, *s.y) for s in series), default=1e-3), max((max(*s.x, *s.y) for s in series), default=1.0)]
    return charts.scatter(
        [charts.Series("equal", ends, ends, look="dashed"), *series],
        title=f"Time per output token, {answer.file}",
        x=charts.Axis("Measured", "s", log=True),
        y=charts.Axis("Predicted", "s", log=True),
    )


def tree(answer: RowsAnswer) -> Node:
    """Scores as a tree."""
    s = answer.scores
    kinds = []
    for cell in s.total:
        children = [count("rows", cell.rows), count("answered", cell.answered)]
        for quantity, e in cell.errors.items():
            children.append(
                Node(
                    name=TITLES[quantity],
                    children=(
                        count("rows compared", e.n),
                        Node(name="mean absolute error", value=e.mape, unit="share"),
                        Node(name="median absolute error", value=e.median, unit="share"),
                        Node(name="signed median", value=e.bias, unit="share"),
                    ),
                )
            )
        kinds.append(Node(name=cell.key[0], children=tuple(children)))
    whole = Node(
        name="rows", value=float(len(s.predictions)), rule="sum",
        children=(count("answered", s.answered), count("with a reason", len(s.predictions) - s.answered)),
    )  # fmt: skip
    return Node(name=answer.file, children=(whole, *kinds))


# --- published figures --------------------------------------------------------------------------------------------

_METRICS = {
    "mfu": "MFU",
    "max_context_tokens": "context",
    "decode_latency_total_64tok_s": "64 tokens",
    "decode_latency_ms": "step",
    "prefill_latency_s": "prefill",
    "prefill_latency_ms": "prefill",
    "total_latency_ms": "request",
}


def reported_rows(answer: ReportedAnswer) -> list[Record]:
    """One row for each published figure."""
    return [
        {
            "model": r.model,
            "table": r.table,
            "metric": r.metric,
            "chips": r.chips,
            "batch": r.batch or None,
            "measured": r.measured,
            "predicted": r.predicted,
            "bound": r.bound,
            "reason": r.reason,
        }
        for r in answer.rows
    ]


def _value(r: Compared, value: float | None) -> str:
    if value is None:
        return "–"
    if r.metric == "mfu":
        return f"{value:.0%}"
    return f"{value:,.0f}" if r.metric == "max_context_tokens" else show(value, "s")


def _metric(r: Compared) -> str:
    return _METRICS.get(r.metric, r.metric.removesuffix("_ms").removesuffix("_s").replace("_", " "))


def reported_screen(c: Console, answer: ReportedAnswer) -> None:
    """Print published figures beside ours."""
    c.print(Text.assemble((answer.file, "bold"), f": {len(answer.rows)} figures of Pope et al. 2022"))
    c.print(Text("Static batches on TPU v4 and A100; nothing is fitted on them.", style="dim"))
    table = numbers("model", "metric", "chips", "batch", "published", "ours", "bound", "ratio", title_width=34)
    table.columns[1].justify = "left"
    for r in answer.rows:
        name = r.model.replace(" inference", "").replace("FasterTransformer ", "").replace(" sharded", ",")
        ratio = f"{r.predicted / r.measured:.2f}" if r.predicted is not None else ""
        table.add_row(
            name, _metric(r), f"{r.chips:.0f}", f"{r.batch:.0f}" if r.batch else "–",
            _value(r, r.measured), _value(r, r.predicted), _value(r, r.bound) if r.bound else "–", ratio,
        )  # fmt: skip
    c.print()
    indented(c, table)
    for r in answer.rows:
        if r.reason:
            line(c, f"[dim]{r.model}, {_metric(r)} {_value(r, r.measured)}: {r.reason}[/]")
    notes(c, answer.notes)


def reported_chart(answer: ReportedAnswer) -> dict[str, Any]:
    """Predicted against published times."""
    timed = [r for r in answer.rows if r.predicted and "latency" in r.metric]
    series = []
    for name in ("prefill", "step", "64 tokens", "request"):
        found = [r for r in timed if _metric(r) == name]
        x, y = [r.measured for r in found], [r.predicted or 0.0 for r in found]
        if found:
            series.append(charts.Series(name, x, y, labels=[f"{r.model}, batch {r.batch:g}" for r in found]))
    ends = [min((min(*s.x, *s.y) for s in series), default=1e-3), max((max(*s.x, *s.y) for s in series), default=1.0)]
    return charts.scatter(
        [charts.Series("equal", ends, ends, look="dashed"), *series],
        title="PaLM inference, published and computed",
        x=charts.Axis("Published", "s", log=True),
        y=charts.Axis("Ours", "s", log=True),
    )


def _reported_node(r: Compared) -> Node:
    children = [Node(name="published", value=r.measured, source=f"Pope et al. 2022, {r.table}", note=r.note)]
    if r.predicted is not None:
        children.append(Node(name="ours", value=r.predicted))
    if r.bound is not None:
        children.append(Node(name="bound", value=r.bound))
    name = f"{r.model}, {_metric(r)}" + (f" ({r.reason})" if r.reason else "")
    return Node(name=name, children=tuple(children))
