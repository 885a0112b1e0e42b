"""A few constants of an engine fitted to a user's own runs, held by priors: `rackmath calibrate`.

The constants are factors of what a packaged engine costs on the machine (`world.saved.FACTORS`): seconds of launches,
steps, sequences, uncaptured kernels and requests, the line before the first token, and one factor each on the shares
of peak that all kernels reach in computing and in reading memory. Each has a prior, its packaged value and the width
by which engines and machines were seen to differ, so two points move little and nothing runs away.

Gauss-Newton on log(predicted / measured) of TPOT and TTFT with a Cauchy loss; the Jacobian is by differences, and
all shifted predictions of a step are one column through the closed loop. Deterministic. Many points count like
`COUNTED`: they share what the model has wrong. A point left out is predicted by a refit without it, of two steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput
from ..units import plural
from ..world.engine import Tuning, tuned
from .fit_problem import NAMES, FitProblem
from .result_points import BenchmarkPoint, Chosen, choose
from .result_tools import read
from .results import Given
from .score import Errors, errors

Column = NDArray[np.float64]

WIDTHS = {"launch": 0.2, "step": 0.5, "sequence": 0.25, "host": 0.3, "request": 0.7, "queue": 0.25, "compute": 0.12, "memory": 0.1}
"""Log widths of the priors: what the fit of the packaged engines (`calibration.engines`) grants an engine of its own,
and what those engines were then seen to differ by where that is more."""

UNKNOWN = {"step": 0.7, "compute": 0.4, "memory": 0.25}
"""The same where the engine is the typical one, or nothing of the generation was measured."""

NOISE = {"tpot": 0.05, "ttft": 0.1}
"""Log error of a point that no constant explains."""

SCALE = 2.5  # of the Cauchy loss, in `NOISE`
COUNTED = 20.0
EDGE = 3.0
"""Widths by which a constant may move; where it ends up there, the fit is refused."""

FEWEST, FEWEST_LEFT_OUT, FOLDS = 2, 4, 20
STEPS, DONE = 12, 0.02
SHIFT = 0.5
"""Widths by which constants are shifted to see what changes: closed loops are followed event by event, and jump."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedConstant:
    """One constant: packaged and fitted value (seconds, or a factor), and the log widths of prior and fit."""

    name: str
    before: float
    after: float
    prior: float
    width: float

    @property
    def factor(self) -> float:
        return self.after / self.before if self.before else 1.0

    @property
    def seen(self) -> bool:
        """Whether the runs say anything of it: its width is narrower than the prior's."""
        return self.width < 0.95 * self.prior


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A point's measured time in seconds, and what is predicted before, after, and without the point."""

    measured: float
    before: float
    after: float
    left_out: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedPoint:
    """A point with its two times, each None where it was not compared."""

    point: BenchmarkPoint
    tpot: Seen | None
    ttft: Seen | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The fit: `scores["tpot"]["before"]`, "after" and, of four points and more, "left_out"."""

    chosen: Chosen
    constants: tuple[FittedConstant, ...]
    points: tuple[FittedPoint, ...]
    scores: Mapping[str, Mapping[str, Errors]]
    skipped: tuple[tuple[str, int], ...]
    files: tuple[str, ...]

    @property
    def factors(self) -> dict[str, float]:
        return {c.name: c.factor for c in self.constants}


def calibrate(files: Sequence[str | Path], given: Given) -> Calibration:
    """Read, choose, fit."""
    runs = read(files)
    found = fit(choose(runs, given))
    return replace(found, files=tuple(dict.fromkeys(run.where.partition(", run ")[0] for run in runs)))


def widths(chosen: Chosen) -> Column:
    """Log widths of the priors of `NAMES` for an engine on a machine."""
    measured = tuned()["generation"].get(chosen.machine.generation.replace("-ultra", ""), {})
    known = chosen.key in tuned()["engine"] and "points" in measured  # not a share of bandwidth alone
    return np.array([WIDTHS[n] if known else UNKNOWN.get(n, WIDTHS[n]) for n in NAMES])


class _Fit:
    """Residuals in units of noise, constants in widths of their priors."""

    def __init__(self, problem: FitProblem, width: Column) -> None:
        self.problem, self.width = problem, width
        self.log = {name: np.log(v) for name, v in problem.measured.items()}
        n = len(problem.points)
        more = np.sqrt(max(n / COUNTED, 1.0))
        self.sigma = {name: NOISE[name] * more for name in NOISE}
        self.point = np.concatenate([np.arange(n)] * 2)  # of each residual

    def residuals(self, z: Column) -> Column:
        """log(predicted / measured) over noise; a line for each vector, TPOT then TTFT; 0 where there is none."""
        said = self.problem.predict(z * self.width)
        parts = [(np.log(said[name]) - self.log[name]) / self.sigma[name] for name in ("tpot", "ttft")]
        found: Column = np.nan_to_num(np.concatenate(parts, axis=1), nan=0.0, posinf=0.0, neginf=0.0)
        return found

    @staticmethod
    def loss(r: Column, z: Column) -> Column:
        """What is minimised, for each vector."""
        found: Column = np.sum(SCALE**2 * np.log1p((r / SCALE) ** 2), axis=-1) + np.sum(z**2, axis=-1)
        return found

    def jacobian(self, z: Column) -> tuple[Column, Column]:
        """Residuals at z, and how they change with each constant."""
        k = len(NAMES)
        r = self.residuals(z + SHIFT * np.vstack([np.zeros(k), np.eye(k), -np.eye(k)]))
        change: Column = (r[1 : k + 1] - r[k + 1 :]) / (2 * SHIFT)
        return r[0], change.T

    def step(self, r: Column, j: Column, z: Column) -> Column:
        """Where Gauss-Newton goes from z."""
        weight = 1 / (1 + (r / SCALE) ** 2)
        normal = j.T @ (weight[:, None] * j) + np.eye(len(NAMES))
        change = np.linalg.solve(normal, -(j.T @ (weight * r)) - z)
        found: Column = np.clip(z + np.clip(change, -2.0, 2.0), -EDGE, EDGE)
        return found

    def solve(self) -> tuple[Column, Column]:
        """The constants, and the Jacobian there."""
        z = np.zeros(len(NAMES))
        for _ in range(STEPS):
            r, j = self.jacobian(z)
            to = self.step(r, j, z)
            tries = z + np.array([[1.0], [0.5], [0.25], [0.1]]) * (to - z)
            losses = self.loss(self.residuals(tries), tries)
            best = int(np.argmin(losses))
            now = float(self.loss(r, z))
            if losses[best] >= now:
                return z, j
            done = now - losses[best] < DONE or np.max(np.abs(tries[best] - z)) < DONE
            z = tries[best]
            if done:
                break
        return z, self.jacobian(z)[1]

    def certainty(self, r: Column, j: Column) -> Column:
        """Log widths of the constants after the fit."""
        weight = 1 / (1 + (r / SCALE) ** 2)
        normal = j.T @ (weight[:, None] * j) + np.eye(len(NAMES))
        found: Column = self.width * np.sqrt(np.diag(np.linalg.inv(normal)))
        return found

    def left_out(self, z: Column, j: Column) -> dict[str, Column]:
        """Every point predicted by a refit without it; more than `FOLDS` points are left out in so many parts."""
        n = len(self.problem.points)
        part = np.arange(n) % min(n, FOLDS)
        keeps = [part[self.point] != k for k in range(part.max() + 1)]
        zs = np.array([z] * len(keeps))
        for _ in range(2):
            rs = self.residuals(zs)
            zs = np.array([self.step(r[keep], j[keep], at) for r, keep, at in zip(rs, keeps, zs, strict=True)])
        said = self.problem.predict(zs * self.width)
        return {name: values[part, np.arange(n)] for name, values in said.items()}


def fit(chosen: Chosen) -> Calibration:
    """The constants of the chosen points' engine; refused where they say too little, or something impossible."""
    problem = FitProblem(chosen)
    n = len(problem.points)
    if n < FEWEST:
        why = f" ({problem.dropped[0]})" if problem.dropped else ""
        raise BadInput(
            f"{plural(n, 'point')} can be used{why}; a calibration needs at least {FEWEST}, better four that differ in the number of users"
        )
    width = widths(chosen)
    with np.errstate(all="ignore"):
        of = _Fit(problem, width)
        z, j = of.solve()
        _inside(z, width)
        both = problem.predict(np.array([np.zeros(len(NAMES)), z * width]))
        without = of.left_out(z, j) if n >= FEWEST_LEFT_OUT else None
        sure = of.certainty(of.residuals(z[None])[0], j)
    if not all(np.isfinite(both[name][:, np.isfinite(problem.measured[name])]).all() for name in both):
        raise BadInput("a run is out of range: there is no finite prediction for it")
    points = tuple(
        FittedPoint(point=p, tpot=_seen(problem, both, without, "tpot", i), ttft=_seen(problem, both, without, "ttft", i))
        for i, p in enumerate(problem.points)
    )
    skipped = dict(chosen.skipped)
    for reason in problem.dropped:
        skipped[reason] = skipped.get(reason, 0) + 1
    return Calibration(
        chosen=chosen,
        constants=_constants(problem.packaged, np.exp(z * width), width, sure),
        points=points,
        scores={name: _scores([getattr(p, name) for p in points]) for name in ("tpot", "ttft")},
        skipped=tuple(sorted(skipped.items(), key=lambda item: -item[1])),
        files=(),
    )


def _inside(z: Column, width: Column) -> None:
    for name, at, one in zip(NAMES, z, width, strict=True):
        if abs(at) > EDGE - 0.02:
            low, high = np.exp(-EDGE * one), np.exp(EDGE * one)
            raise BadInput(
                f"{name} would have to be {np.exp(at * one):.2f} times its packaged value, the edge of what it may be"
                f" ({low:.2f} to {high:.2f}): the runs are hardly of this model, machine, layout or format; check"
                " --on, --tp, --precision and the engine, or measure again"
            )


def _constants(of: Tuning, factor: Column, width: Column, sure: Column) -> tuple[FittedConstant, ...]:
    found = []
    for i, name in enumerate(NAMES):
        value = getattr(of, name)
        before = 1.0 if isinstance(value, Mapping) else float(value)
        found.append(
            FittedConstant(
                name=name, before=before, after=before * float(factor[i]), prior=float(width[i]), width=float(min(sure[i], width[i]))
            )
        )
    return tuple(found)


def _seen(problem: FitProblem, both: Mapping[str, Column], without: Mapping[str, Column] | None, name: str, i: int) -> Seen | None:
    measured = float(problem.measured[name][i])
    if not np.isfinite(measured):
        return None
    before, after = (float(x) for x in both[name][:, i])
    return Seen(measured=measured, before=before, after=after, left_out=None if without is None else float(without[name][i]))


def _scores(seen: Sequence[Seen | None]) -> dict[str, Errors]:
    found: dict[str, Errors] = {}
    some = [s for s in seen if s is not None]
    for name in ("before", "after", "left_out"):
        said = [getattr(s, name) for s in some]
        if said and None not in said:
            found[name] = errors(said, [s.measured for s in some])
    return found
