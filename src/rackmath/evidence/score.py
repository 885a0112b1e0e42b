"""How far predictions lie from measurements: signed errors for each measured column, in total and by key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .answer import AnsweredRow, FileKind

KEYS = ("system", "model", "engine", "mode")


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Relative errors (predicted / measured - 1) of `n` rows.

    `bias` is the signed median; `median` and `p90` are of the absolute error; `rank` is Spearman's correlation of
    predicted and measured, None of fewer than three rows. `inside`: share of the measurements within their interval,
    `width`: median of its upper over its lower end; None where no row has one.
    """

    n: int
    mape: float
    median: float
    p90: float
    bias: float
    within_20: float
    rank: float | None = None
    inside: float | None = None
    width: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredColumn:
    """One measured column over some rows: how many state it, how many of them are answered, and the errors."""

    rows: int
    errors: Errors | None

    @property
    def answered(self) -> int:
        return self.errors.n if self.errors else 0

    @property
    def coverage(self) -> float:
        """Share of the measurements that have a prediction beside them."""
        return self.answered / self.rows if self.rows else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Rows that share one key, and their errors by measured column."""

    key: str
    rows: int
    answered: int
    columns: Mapping[str, ScoredColumn]

    @property
    def headline(self) -> str:
        """The measured column to show: the first that can be compared, else the first."""
        compared = (name for name, column in self.columns.items() if column.errors)
        return next(compared, next(iter(self.columns), ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """All that is said about a file; `header` are its columns, `columns` the measured ones that are answered."""

    kind: FileKind
    header: tuple[str, ...]
    answers: tuple[AnsweredRow, ...]
    total: Cell
    by: Mapping[str, tuple[Cell, ...]]
    reasons: tuple[tuple[str, int], ...]
    violations: tuple[AnsweredRow, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.total.columns)


def score(kind: FileKind, header: Sequence[str], answers: Sequence[AnsweredRow]) -> Scores:
    """Coverage and errors in total and by system, model, engine and mode; reasons; what lies beyond its bound."""
    columns = kind.columns(header)
    return Scores(
        kind=kind,
        header=tuple(header),
        answers=tuple(answers),
        total=_cell("all rows", answers, columns),
        by={key: _cells(answers, columns, lambda a, key=key: getattr(a.said, key)) for key in KEYS},  # type: ignore[misc]
        reasons=tuple(Counter(a.said.reason for a in answers if not a.answered).most_common()),
        violations=tuple(a for a in answers if a.broken),
    )


def _cells(answers: Sequence[AnsweredRow], columns: Sequence[str], key: Callable[[AnsweredRow], str]) -> tuple[Cell, ...]:
    groups: dict[str, list[AnsweredRow]] = {}
    for a in answers:
        groups.setdefault(key(a) or "not stated", []).append(a)
    return tuple(_cell(name, members, columns) for name, members in sorted(groups.items()))


def _cell(key: str, answers: Sequence[AnsweredRow], columns: Sequence[str]) -> Cell:
    return Cell(key=key, rows=len(answers), answered=sum(a.answered for a in answers), columns={m: column(answers, m) for m in columns})


def column(answers: Iterable[AnsweredRow], name: str) -> ScoredColumn:
    """One measured column over some answers; a row that is answered in other columns only is not asked about it."""
    stated = [a for a in answers if name in a.measured and (not a.answered or name in a.said.estimates)]
    pairs = [(a.said.estimates[name], a.measured[name]) for a in stated if name in a.said.estimates]
    if not pairs:
        return ScoredColumn(rows=len(stated), errors=None)
    ends = [(e.low, e.high, m) for e, m in pairs if e.low is not None and e.high is not None]
    return ScoredColumn(rows=len(stated), errors=errors([e.pred for e, _ in pairs], [m for _, m in pairs], ends))


def errors(predicted: Sequence[float], measured: Sequence[float], ends: Sequence[tuple[float, float, float]] = ()) -> Errors:
    """Errors of predictions beside measurements; `ends` are low, high and measured where there is an interval.

    >>> e = errors([1.1, 1.4, 3.3], [1.0, 2.0, 3.0], [(0.9, 1.8, 1.0)])
    >>> e.n, round(e.mape, 3), round(e.bias, 3), e.within_20, e.rank, e.inside, e.width
    (3, 0.167, 0.1, 0.6666666666666666, 1.0, 1.0, 2.0)
    """
    p, m = np.asarray(predicted, dtype=float), np.asarray(measured, dtype=float)
    signed = p / m - 1
    size = np.abs(signed)
    inside = width = None
    if ends:
        low, high, seen = (np.array(x, dtype=float) for x in zip(*ends, strict=True))
        inside, width = float(((low <= seen) & (seen <= high)).mean()), float(np.median(high / low))
    return Errors(
        n=len(p),
        mape=float(size.mean()),
        median=float(np.median(size)),
        p90=float(np.quantile(size, 0.9)),
        bias=float(np.median(signed)),
        within_20=float((size <= 0.2).mean()),
        rank=spearman(p, m),
        inside=inside,
        width=width,
    )


def spearman(a: NDArray[np.float64], b: NDArray[np.float64]) -> float | None:
    """Rank correlation, ties sharing their mean rank; None of fewer than three pairs or where one side is constant.

    >>> round(spearman(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 4.0])), 6)
    0.8
    """
    if len(a) < 3:
        return None
    x, y = _ranks(a), _ranks(b)
    x, y = x - x.mean(), y - y.mean()
    size = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / size if size > 0 else None


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    found: NDArray[np.float64] = (last - (counts - 1) / 2)[index]
    return found
