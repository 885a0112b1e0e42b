"""The screens of `lecture`: the ledger as a table, or one claim with everything its verdict rests on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ..units import show
from ..views import machine_terms as explain
from .ask_lecture import LectureAnswer
from .export import Face
from .show import SLIM, heading, indented, line

if TYPE_CHECKING:
    from ..lecture.ledger import Finding

STYLES = {"holds": "green", "holds if": "yellow", "does not hold": "red"}

_WORDS = {"count": "", "bytes": "B", "bytes/s": "B/s", "1/s": "/s"}


def face(answer: LectureAnswer) -> Face:
    """The faces of the ledger."""
    return Face(
        record=lambda: _record(answer.findings[0]) if answer.one else [_row(f) for f in answer.findings],
        rows=lambda: [_row(f) for f in answer.findings],
        screen=lambda c: _one(c, answer.findings[0]) if answer.one else _all(c, answer),
        tree=lambda: _tree(answer),
    )


def number(value: float | None, unit: str) -> str:
    """A number with its unit for people, a dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    unit = _WORDS.get(unit, unit)
    if unit in ("s", "B", "B/s", "FLOP/s", "share", "$", "$/h", "W"):
        return show(value, unit)
    if unit in ("x", "exponent") or unit.startswith("x "):
        return f"{show(value)}{unit if unit.startswith('x') else ' ' + unit}"
    return f"{show(value)} {unit}".strip()


def _brief(value: float | None, unit: str) -> str:
    """A number for the table: the words of a long unit stand in the claim's own page."""
    return number(value, unit if unit in ("s", "bytes", "x") else "x" if unit.startswith("x ") else "")


def _all(c: Console, answer: LectureAnswer) -> None:
    c.print(Text.assemble(("The lecture's claims held to account", "bold")))
    c.print(
        Text("Verdicts are computed from inputs with sources; change one with --set and they follow.", style="dim")
    )
    table = Table(box=SLIM, show_edge=False, pad_edge=False, expand=True, padding=(0, 1))
    table.add_column("#", justify="right")
    table.add_column("claim", no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column("lecture", justify="right", no_wrap=True)
    table.add_column("ours", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for f in answer.findings:
        verdict = f.outcome.verdict
        dim = "" if verdict in STYLES else "dim"
        said = Text(verdict.removesuffix(", not computed"), style=STYLES.get(verdict, "dim"))
        table.add_row(
            f.claim.number,
            Text(f.claim.title, style=dim),
            _brief(f.claim.lecture, f.claim.unit),
            _brief(f.outcome.ours, f.claim.unit),
            said,
        )
    c.print()
    indented(c, table)
    counted = {v: sum(f.outcome.verdict == v for f in answer.findings) for v in STYLES}
    rest = len(answer.findings) - sum(counted.values())
    c.print()
    line(c, ", ".join(f"{n} {v}" for v, n in counted.items()) + f"; {rest} not computed here (yet).")
    line(c, "[dim]rackmath lecture 4 explains one.[/dim]")


def _one(c: Console, f: Finding) -> None:
    claim, outcome = f.claim, f.outcome
    c.print(
        Text.assemble(
            (f"Claim {claim.number}: ", "dim"), (claim.title, "bold"), (f"  section {claim.section}", "dim")
        )
    )
    if claim.claim:
        line(c, escape(claim.claim))
    heading(c, "Verdict")
    verdict = Text(outcome.verdict, style=STYLES.get(outcome.verdict, "dim"))
    c.print(Text("  ").append_text(verdict))
    line(c, escape(outcome.because) + ("" if outcome.because.endswith(".") else "."))
    if claim.formula:
        heading(c, "Computed", escape(claim.formula))
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(no_wrap=True)
        table.add_column(justify="right")
        table.add_column(style="dim")
        table.add_row("the lecture", number(claim.lecture, claim.unit), "")
        table.add_row("ours", number(outcome.ours, claim.unit), _close(f))
        for part in outcome.parts:
            table.add_row(part.name, number(part.value, part.unit), "")
        indented(c, table)
    if f.inputs:
        heading(c, "Inputs", "replace one with --set name=value")
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(style="dim", ratio=1)
        for one in f.inputs:
            style = "bold" if one.name in f.changed else ""
            table.add_row(Text(one.name, style=style), number(one.value, one.unit), one.source)
        indented(c, table)
    if claim.note:
        c.print()
        line(c, escape(claim.note))
    if claim.command:
        c.print()
        line(c, f"[dim]See also:[/dim] {escape(claim.command)}")


def _close(f: Finding) -> str:
    """Whether our number lies within the tolerance; nothing where the verdict rests on other rules."""
    if f.claim.rule:
        return f"judged: {f.claim.rule}"
    if f.outcome.near is None:
        return ""
    return f"{'agrees within' if f.outcome.near else 'differs by more than'} {f.claim.tolerance:.0%}"


def _row(f: Finding) -> dict[str, Any]:
    ours = f.outcome.ours
    return {
        "number": f.claim.number,
        "title": f.claim.title,
        "section": f.claim.section,
        "lecture": f.claim.lecture,
        "ours": None if math.isnan(ours) else ours,
        "unit": f.claim.unit,
        "verdict": f.outcome.verdict,
        "because": f.outcome.because,
    }


def _record(f: Finding) -> dict[str, Any]:
    return _row(f) | {
        "claim": f.claim.claim,
        "formula": f.claim.formula,
        "tolerance": None if f.claim.rule else f.claim.tolerance,
        "rule": f.claim.rule,
        "note": f.claim.note,
        "inputs": {i.name: {"value": i.value, "unit": i.unit, "source": i.source} for i in f.inputs},
        "parts": {
            p.name: {"value": p.value if math.isfinite(p.value) else None, "unit": p.unit} for p in f.outcome.parts
        },
        "changed": list(f.changed),
        "command": f.claim.command,
    }


def _tree(answer: LectureAnswer) -> explain.Node:
    def branch(f: Finding) -> explain.Node:
        terms = [
            explain.Node(name=i.name, value=i.value, unit=_WORDS.get(i.unit, i.unit), source=i.source)
            for i in f.inputs
        ]
        terms += [explain.Node(name=p.name, value=p.value, unit=_WORDS.get(p.unit, p.unit)) for p in f.outcome.parts]
        ours = None if math.isnan(f.outcome.ours) else f.outcome.ours
        return explain.Node(
            name=f"{f.claim.number} {f.claim.title}: {f.outcome.verdict}",
            value=ours,
            unit=_WORDS.get(f.claim.unit, f.claim.unit),
            note=f.outcome.because,
            children=tuple(terms),
        )

    if answer.one:
        return branch(answer.findings[0])
    return explain.Node(name="the lecture's claims", children=tuple(branch(f) for f in answer.findings))
