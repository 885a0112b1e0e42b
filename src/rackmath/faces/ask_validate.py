"""The verb of the published scores. No arithmetic here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..evidence.validate import Validation
    from .export import Face


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidateAnswer:
    """The published score table, run again."""

    validation: Validation

    def face(self) -> Face:
        from . import show_validate

        return show_validate.face(self)


def validate(data: str | Path | None = None, *, peer: str | Path | None = None) -> ValidateAnswer:
    """Every published measured file that is there, scored; `peer` is a file of aiconfigurator's answers."""
    from ..evidence import validate as evidence

    return ValidateAnswer(
        validation=evidence.validate(
            None if data is None else Path(data), peer=None if peer is None else Path(peer)
        )
    )  # fmt: skip
