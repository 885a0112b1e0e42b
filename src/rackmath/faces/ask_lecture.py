"""The verb of the ledger: a claim's number and replaced inputs in, findings out. No arithmetic here.

>>> lecture("4", sets={"batch": 2000}).findings[0].outcome.verdict
'holds'
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import BadInput

if TYPE_CHECKING:
    from ..lecture.ledger import Finding
    from .export import Face


@dataclass(frozen=True, slots=True, kw_only=True)
class LectureAnswer:
    """Findings on the lecture's claims: all of them, or one in full."""

    findings: tuple[Finding, ...]
    one: bool

    def face(self) -> Face:
        from . import show_lecture

        return show_lecture.face(self)


def lecture(number: str | None = None, *, sets: Mapping[str, str | float] | None = None) -> LectureAnswer:
    """Every claim of the lecture with its verdict, or one claim (by number) with inputs replaced by `sets`."""
    from ..lecture.ledger import claim_numbered, claims, evaluate

    if number is None:
        if sets:
            raise BadInput("inputs belong to one claim; name it, like: rackmath lecture 4 --set batch=2000")
        return LectureAnswer(findings=tuple(evaluate(c) for c in claims()), one=False)
    return LectureAnswer(findings=(evaluate(claim_numbered(number), sets),), one=True)
