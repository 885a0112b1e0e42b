"""The lecture's claims held to account: its number, ours, and the verdict computed from the inputs.

Group: How sure, and why
Example: rackmath lecture 4 --set batch=2000

Verdicts follow from inputs with sources: replace one and the verdict is computed again. Without a number all claims
are listed, with what is computed here over the lecture's number.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field as default
from typing import Annotated, Any

from ..answers.parts import Answer, Block, Column, Figure, Figures, Say, Table
from ..answers.ranges import Point, Range, Ranges
from ..answers.scale import Axis
from ..answers.terms import Term
from ..answers.text import PREFIXED, cell
from ..claims.ledger import Finding, claim_numbered, claims
from ..claims.verdicts import evaluate
from ..questions.fields import Field, needs, words

VERDICTS = {"holds": "good", "holds if": "fair", "does not hold": "bad"}
SIGNS = {"lecture": "ring", "holds": "circle", "holds if": "diamond", "does not hold": "cross"}

LEAST_DISTANCE = 0.005
"""Claims nearer to one than this share are not drawn: there the lecture and we agree."""


@dataclass(frozen=True, kw_only=True)
class Lecture:
    """Which claim, and with which inputs."""

    number: Annotated[str | None, words("The number of a claim, like 4 or T1; none lists all.", "[CLAIM]", argument=True)] = None
    sets: Annotated[
        dict[str, Any],
        Field(help="Replace an input of the claim. Repeatable.", flag="--set", metavar="INPUT=VALUE", example="batch=2000"),
        needs("number"),
    ] = default(default_factory=dict)


def answer(q: Lecture) -> Answer:
    """Every claim with its verdict, or one with all its verdict rests on."""
    if q.number is not None:
        return _one(evaluate(claim_numbered(q.number), q.sets))
    return _all(tuple(evaluate(claim) for claim in claims()))


# --- all of them ----------------------------------------------------------------------------------------------------


def _all(findings: tuple[Finding, ...]) -> Answer:
    counted = Counter(f.outcome.verdict for f in findings)
    named = {word.replace(" ", "_"): counted[word] for word in VERDICTS}  # type: ignore[index]
    rest = {"not_computed": len(findings) - sum(named.values())}
    return Answer(
        title=Say("*The lecture's claims held to account*"),
        subtitle="Verdicts are computed from inputs with sources; change one with --set and they follow.",
        blocks=(
            _table(findings),
            Say(
                "{holds:whole} hold, {holds_if:whole} hold on a condition, {does_not_hold:whole} do not hold;"
                " {not_computed:whole} not computed here (yet).",
                named | rest,
                key="counts",
            ),
            _picture(findings),
            Say("rackmath lecture 4 explains one.", faint=True),
        ),
        table="claims",
        terms=lambda: Term(name="the lecture's claims", children=tuple(_term(f) for f in findings)),
        subject=findings,
    )


def _table(findings: tuple[Finding, ...]) -> Table:
    shown = [
        {
            "number": f.claim.number,
            "title": f.claim.title,
            "lecture": _brief(f.claim.lecture, f.claim.unit),
            "ours": _brief(f.outcome.ours, f.claim.unit),
            "verdict": f.outcome.verdict.removesuffix(", not computed"),
        }
        for f in findings
    ]
    return Table(
        key="claims",
        rows=[_row(f) for f in findings],
        shown=shown,
        columns=(
            Column("number", "#"),
            Column("title", "claim"),
            Column("lecture", "lecture", "number"),
            Column("ours", "ours", "number"),
            Column("verdict", "verdict", tones=VERDICTS),
        ),
        faint=frozenset(i for i, f in enumerate(findings) if f.outcome.verdict not in VERDICTS),
    )


def _picture(findings: tuple[Finding, ...]) -> Ranges:
    """What is computed here over the lecture's number, farthest first."""
    found = []
    for f in findings:
        if f.claim.lecture and f.outcome.verdict in VERDICTS and f.outcome.ours > 0:
            ratio = f.outcome.ours / f.claim.lecture
            if abs(math.log(ratio)) > LEAST_DISTANCE:
                point = Point(f.outcome.verdict, ratio, f"{f.claim.number} {f.claim.title}")
                found.append(Range(name=f"{f.claim.number} {f.claim.title}", points=(point,)))
    found.sort(key=lambda r: -abs(math.log(r.points[0].value)))
    return Ranges(
        key="ratios",
        title="Ours over the lecture's",
        aside="claims whose numbers differ",
        picture="What is computed here over the lecture's number",
        rows=tuple(found),
        axis=Axis("Ratio", log=True),
        kinds={name: sign for name, sign in SIGNS.items() if name in VERDICTS},
        at=1.0,
    )


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


def _brief(value: float | None, unit: str) -> str:
    """A number for the table: the words of a long unit stand in the claim's own answer."""
    if value is None or math.isnan(value):
        return "–"
    of, _ = _unit(unit)
    known = of in ("s", "B", "x")
    return cell(value, of if known else "parameters" if value >= 1e7 else "number")


def _unit(unit: str) -> tuple[str, str]:
    """The unit that makes words of a value, and what stays to be said behind it.

    >>> _unit("bytes"), _unit("x smaller batch"), _unit("sequences"), _unit("count")
    (('B', ''), ('x', 'smaller batch'), ('number', 'sequences'), ('number', ''))
    """
    known = {"count": "number", "bytes": "B", "bytes/s": "B/s", "": "number"}
    if unit in known:
        return known[unit], ""
    if unit.startswith("x"):
        return "x", unit[1:].strip()
    if (unit in PREFIXED and unit != "tok/s") or unit.startswith("$") or unit == "share":
        return unit, ""
    return "number", {"1/s": "per second"}.get(unit, unit)


# --- one of them ----------------------------------------------------------------------------------------------------


def _one(f: Finding) -> Answer:
    row = _row(f)
    return Answer(
        title=Say("Claim {number}: *{title}*", row),
        subtitle=f"section {f.claim.section}",
        blocks=tuple(_blocks(f)),
        table="claims",
        data=row
        | {
            "claim": f.claim.claim,
            "formula": f.claim.formula,
            "tolerance": None if f.claim.rule else f.claim.tolerance,
            "rule": f.claim.rule,
            "note": f.claim.note,
            "inputs": {i.name: {"value": i.value, "unit": i.unit, "source": i.source} for i in f.inputs},
            "parts": {p.name: {"value": p.value, "unit": p.unit} for p in f.outcome.parts},
            "changed": list(f.changed),
            "command": f.claim.command,
            "claims": [row],
        },
        terms=lambda: _term(f),
        remarks=tuple(word for word in (f.claim.note, f.claim.command and f"see also: {f.claim.command}") if word),
        subject=f,
    )


def _blocks(f: Finding) -> Iterator[Block]:
    claim, outcome = f.claim, f.outcome
    if claim.claim:
        yield Say("{claim}", {"claim": claim.claim})
    yield Say("*{verdict}*", {"verdict": outcome.verdict}, title="Verdict")
    yield Say("{because}", {"because": outcome.because + ("" if outcome.because.endswith(".") else ".")})
    if claim.formula:
        lines = [("the lecture", claim.lecture, claim.unit, ""), ("ours", outcome.ours, claim.unit, _distance(f))]
        lines += [(part.name, part.value, part.unit, "") for part in outcome.parts]
        figures = tuple(_figure(*line, strong=line[0] == "ours") for line in lines)
        yield Figures(key="", title="Computed", aside=claim.formula, figures=figures, head="")
        if (drawn := _beside(f)) is not None:
            yield drawn
    if f.inputs:
        figures = tuple(_figure(i.name, i.value, i.unit, i.source, strong=i.name in f.changed) for i in f.inputs)
        yield Figures(key="", title="Inputs", aside="replace one with --set name=value", figures=figures, head="")


def _figure(label: str, value: float | None, unit: str, note: str, *, strong: bool) -> Figure:
    of, told = _unit(unit)
    known = value is not None and not math.isnan(value)
    behind = "; ".join(word for word in (told if known else "", note) if word)
    return Figure(key=label, label=label, value=value if known else None, unit=of, note=behind, strong=strong)


def _beside(f: Finding) -> Ranges | None:
    """The lecture's number with its tolerance, and ours, on one axis."""
    claim, ours = f.claim, f.outcome.ours
    if not claim.lecture or not ours > 0 or math.isclose(claim.lecture, ours, rel_tol=LEAST_DISTANCE):
        return None
    far = not 0.1 < ours / claim.lecture < 10
    near: dict[str, Any] = (
        {} if claim.rule else {"low": claim.lecture * (1 - min(claim.tolerance, 0.99)), "high": claim.lecture * (1 + claim.tolerance)}
    )
    unit, told = _unit(claim.unit)
    rows = (
        Range(name="the lecture", points=(Point("lecture", claim.lecture),), **near),
        Range(name="ours", points=(Point(f.outcome.verdict, ours),)),
    )
    axis = Axis(claim.title + (f" ({told})" if told else ""), "" if unit == "number" else unit, log=far)
    return Ranges(
        key="axis",
        picture=f"Claim {claim.number}: {claim.title}",
        rows=rows,
        axis=axis,
        kinds=SIGNS,
        interval="" if claim.rule else "within the tolerance",
    )


def _distance(f: Finding) -> str:
    """Whether our number lies within the tolerance; nothing where the verdict rests on other rules."""
    if f.claim.rule:
        return f"judged: {f.claim.rule}"
    if f.outcome.near is None:
        return ""
    return f"{'agrees within' if f.outcome.near else 'differs by more than'} {f.claim.tolerance:.0%}"


def _term(f: Finding) -> Term:
    units = {"count": "", "bytes": "B", "bytes/s": "B/s", "1/s": "/s"}
    terms = [Term(name=i.name, value=i.value, unit=units.get(i.unit, i.unit), source=i.source) for i in f.inputs]
    terms += [Term(name=p.name, value=p.value, unit=units.get(p.unit, p.unit)) for p in f.outcome.parts]
    return Term(
        name=f"{f.claim.number} {f.claim.title}: {f.outcome.verdict}",
        value=None if math.isnan(f.outcome.ours) else f.outcome.ours,
        unit=units.get(f.claim.unit, f.claim.unit),
        note=f.outcome.because,
        children=tuple(terms),
    )
