"""How far predictions lie from measurements: signed errors, by cell, never a row's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .predict import Prediction

QUANTITIES = ("tpot", "ttft", "tput_per_gpu", "output_tput_per_gpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Relative errors (predicted / measured - 1) of `n` rows; `bias` is the signed median."""

    n: int
    mape: float
    median: float
    bias: float
    within_20: float

    @classmethod
    def of(cls, errors: Sequence[float]) -> Errors | None:
        """None of no errors.

        >>> Errors.of([0.1, -0.3, 0.1])
        Errors(n=3, mape=0.16666666666666666, median=0.1, bias=0.1, within_20=0.6666666666666666)
        """
        if not errors:
            return None
        e = np.asarray(errors, dtype=float)
        size = np.abs(e)
        return cls(
            n=len(e),
            mape=float(size.mean()),
            median=float(np.median(size)),
            bias=float(np.median(e)),
            within_20=float((size <= 0.2).mean()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Rows that share their key, and their errors by quantity (where both sides are known)."""

    key: tuple[str, ...]
    rows: int
    answered: int
    errors: dict[str, Errors]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """All that is said about a file of rows; `reasons`: rows without an answer by why."""

    predictions: tuple[Prediction, ...]
    total: tuple[Cell, ...]  # by kind of row
    cells: tuple[Cell, ...]  # by kind, machine, model and engine
    reasons: tuple[tuple[str, int], ...]
    violations: tuple[Prediction, ...]

    @property
    def answered(self) -> int:
        return sum(p.answered for p in self.predictions)


def kind(p: Prediction) -> str:
    """What sort of row this is: a score over all of them would mix readings of unequal worth.

    "workers unstated" rows do not say how many workers share their concurrency.
    """
    drafts = ", multi-token prediction" if p.row.speculation == "mtp" else ""
    return p.row.mode + ("" if p.row.counted else ", workers unstated") + drafts


def score(predictions: Sequence[Prediction]) -> Scores:
    """Coverage, errors by kind and by cell, reasons, and the rows that beat their bound."""
    return Scores(
        predictions=tuple(predictions),
        total=_cells(predictions, lambda p: (kind(p),)),
        cells=_cells(
            predictions,
            lambda p: (kind(p), p.row.machine, p.row.model.rstrip("/").rpartition("/")[2], p.row.engine),
        ),
        reasons=tuple(Counter(p.reason for p in predictions if not p.answered).most_common()),
        violations=tuple(p for p in predictions if p.beats_bound),
    )


def _cells(predictions: Sequence[Prediction], key: Callable[[Prediction], tuple[str, ...]]) -> tuple[Cell, ...]:
    groups: dict[tuple[str, ...], list[Prediction]] = {}
    for p in predictions:
        groups.setdefault(key(p), []).append(p)
    found = []
    for name, members in sorted(groups.items()):
        each = {q: Errors.of([e for p in members if (e := error(p, q)) is not None]) for q in QUANTITIES}
        found.append(
            Cell(
                key=name,
                rows=len(members),
                answered=sum(p.answered for p in members),
                errors={q: e for q, e in each.items() if e is not None},
            )
        )
    return tuple(found)


def error(p: Prediction, quantity: str) -> float | None:
    """Predicted over measured, less one."""
    seen, said = getattr(p.row.measured, quantity), getattr(p, quantity)
    return said / seen - 1 if seen and said is not None else None
