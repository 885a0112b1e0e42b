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

import datetime
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput
from ..kernel.counts import Pass
from ..kernel.efficiency import Efficiency, resolved
from ..layout.forward import forward
from ..layout.parallelism import Layout
from ..serving.closedloop import closed_loop_ttft
from ..serving.clumps import LoopSteps, LoopUsers
from ..serving.replica import Replica
from ..units import plural
from ..world import saved as own
from ..world.engine import Tuning, packaged, released, tuned
from ..world.engine_names import tuning
from .one_pool import loop
from .result_points import BenchmarkPoint, Chosen, choose
from .result_tools import read
from .results import Given
from .score import Errors, errors
from .static_batch import Setup, decode_seconds

Column = NDArray[np.float64]

NAMES = own.FACTORS
WIDTHS = {
    "launch": 0.2, "step": 0.5, "sequence": 0.25, "host": 0.3, "request": 0.7, "queue": 0.25, "compute": 0.12,
    "memory": 0.1,
}  # fmt: skip
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

PHASES = 4
"""Parts of a step by which requests may come later. Users who wait for whole steps jump from one to the next with the
smallest change of a constant; in a real run they come at every phase of a step, and this is their mean."""

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


# --- predictions under factors ------------------------------------------------------------------------------------


class FitProblem:
    """Points as one column; predictions for many vectors of factors at once."""

    def __init__(self, chosen: Chosen) -> None:
        base = packaged(chosen.base)
        self.engine = base
        self.packaged: Tuning = tuning(base.name, chosen.machine.generation, released(base.name, base.version))
        self.generation = chosen.machine.generation
        self.reasons: dict[int, str] = {}
        self.points = list(chosen.points)
        self._groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
        kept = []
        for point in self.points:
            reason = self._reason(point)
            if reason:
                self.reasons[id(point)] = reason
            else:
                kept.append(point)
        self.dropped = [self.reasons[id(p)] for p in self.points if id(p) in self.reasons]
        self.points = kept
        for i, p in enumerate(self.points):
            key = (p.model.name, p.machine.name, p.precision, p.run.row.spread, p.run.scripts, p.run.kind)
            self._groups[key].append(i)
        rows = [p.run.row.measured for p in self.points]
        self.measured = {
            "tpot": np.array([m.tpot or np.nan for m in rows], dtype=float),
            "ttft": np.array([p.ttft or np.nan for p in self.points], dtype=float),
        }

    def _reason(self, point: BenchmarkPoint) -> str:
        if point.run.kind != "serving":
            return ""
        return loop(self._worker(point, self.efficiency({})), [point.run.row]).reasons[0]

    def efficiency(self, factors: Mapping[str, float]) -> Efficiency:
        return resolved(self.generation, own.scaled(self.packaged, factors))

    def _worker(self, point: BenchmarkPoint, efficiency: Efficiency) -> Replica:
        """What a run was on; its layout is that of its row."""
        return Replica(point.model, point.machine, point.precision, Layout(), self.engine, efficiency)

    def predict(self, logs: Column) -> dict[str, Column]:
        """Seconds for each vector of log factors (a line each) and point, "tpot" and "ttft"; NaN if there is none."""
        given = [dict(zip(NAMES, np.exp(one).tolist(), strict=True)) for one in logs]
        under = [self.efficiency(factors) for factors in given]
        found = {name: np.full((len(logs), len(self.points)), np.nan) for name in ("tpot", "ttft")}
        for members in self._groups.values():
            at = np.array(members)
            kind = self.points[members[0]].run.kind
            tpot, ttft = (self._served if kind == "serving" else self._alone)(members, under)
            found["tpot"][:, at], found["ttft"][:, at] = tpot, ttft
        return found

    def _served(self, members: Sequence[int], under: Sequence[Efficiency]) -> tuple[Column, Column]:
        """Closed loops of runs that share model, machine and spread, under every efficiency, in one column."""
        points = [self.points[i] for i in members]
        rows, n, first = [p.run.row for p in points], len(members), points[0]
        loops = [loop(self._worker(first, e), rows) for e in under]
        rounds = np.tile(np.array([p.run.rounds for p in points]), len(under))
        parts = [it.given(self.engine, e, rows[0].spread) for it, e in zip(loops, under, strict=True)]
        users = replace(_stacked([u for u, _ in parts], n), rounds=np.tile(rounds, PHASES))
        steps = _stacked([s for _, s in parts], n)
        if not first.run.scripts:
            steps = replace(steps, poll=1.0)
        late = np.repeat(np.arange(PHASES) / PHASES, len(under) * n) * steps.step
        said = closed_loop_ttft(users, replace(steps, overhead=steps.overhead + late))
        median, shape = np.array([p.run.median for p in points]), (PHASES, len(under), n)
        tpot = np.where(median, said.tpot.reshape(shape), said.tpot_mean.reshape(shape)).mean(axis=0)
        ttft = np.where(median, said.ttft.reshape(shape), said.ttft_mean.reshape(shape)) - late.reshape(shape)
        ttft = ttft.mean(axis=0)
        queue = np.array([[e.queue] for e in under])
        least = np.array([np.asarray(it.serving.tpot_bound) * np.ones(n) for it in loops])
        soonest = np.array([np.asarray(it.serving.ttft_bound) * np.ones(n) for it in loops])
        return np.maximum(tpot, least), np.maximum(ttft * queue, soonest)

    def _alone(self, members: Sequence[int], under: Sequence[Efficiency]) -> tuple[Column, Column]:
        """One sequence that decodes, or one prompt that is read in chunks."""
        tpot, ttft = np.full((2, len(under), len(members)), np.nan)
        for j, i in enumerate(members):
            point = self.points[i]
            run, cut = point.run, point.run.row.decode.layout
            machine = replace(point.machine, domain=max(float(point.machine.domain), float(cut.gpus)))
            for k, efficiency in enumerate(under):
                of = Setup(
                    model=point.model, machine=machine, precision=point.precision, layout=cut, efficiency=efficiency
                )
                if run.kind == "decode":
                    tpot[k, j] = decode_seconds(of, 1.0, run.depth, run.row.osl).estimate / run.row.osl
                else:
                    ttft[k, j] = _prompt_seconds(of, run.row.isl, run.depth, run.chunk)
        return tpot, ttft


L = TypeVar("L", LoopUsers, LoopSteps)


def _stacked(parts: Sequence[L], n: int) -> L:
    """Records of `n` rows each below one another, once for every phase."""
    names = [f.name for f in fields(parts[0]) if f.name not in ("spread", "prefill_first")]
    rows = {name: [np.broadcast_to(getattr(one, name), (n,)) for one in parts] for name in names}
    tall: dict[str, Any] = {name: np.tile(np.concatenate(some), PHASES) for name, some in rows.items()}
    return replace(parts[0], **tall)


def _prompt_seconds(of: Setup, tokens: float, depth: float, chunk: float) -> float:
    """A prompt read in chunks behind `depth` tokens; with layers over several devices the chunks follow each
    other."""
    sizes = np.diff(np.minimum(np.arange(0, np.ceil(tokens / chunk) + 1) * chunk, tokens))
    before = depth + np.cumsum(sizes) - sizes
    work = Pass(prefill=sizes, prompt=before + sizes, prompt_cached=before)
    time = forward(of.model, of.machine, of.precision, of.layout, work, of.efficiency)
    n, stages = len(sizes), float(of.layout.pp)
    return float(np.sum(time.estimate)) * (stages + n - 1) / (stages * n)


# --- fit ----------------------------------------------------------------------------------------------------------


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
            f"{plural(n, 'point')} can be used{why}; a calibration needs at least {FEWEST}, better four that"
            " differ in the number of users"
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
        FittedPoint(
            point=p, tpot=_seen(problem, both, without, "tpot", i), ttft=_seen(problem, both, without, "ttft", i)
        )
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
                name=name, before=before, after=before * float(factor[i]), prior=float(width[i]),
                width=float(min(sure[i], width[i])),
            )
        )  # fmt: skip
    return tuple(found)


def _seen(
    problem: FitProblem, both: Mapping[str, Column], without: Mapping[str, Column] | None, name: str, i: int
) -> Seen | None:
    measured = float(problem.measured[name][i])
    if not np.isfinite(measured):
        return None
    before, after = (float(x) for x in both[name][:, i])
    return Seen(
        measured=measured, before=before, after=after, left_out=None if without is None else float(without[name][i])
    )


def _scores(seen: Sequence[Seen | None]) -> dict[str, Errors]:
    found: dict[str, Errors] = {}
    some = [s for s in seen if s is not None]
    for name in ("before", "after", "left_out"):
        said = [getattr(s, name) for s in some]
        if said and None not in said:
            found[name] = errors(said, [s.measured for s in some])
    return found


# --- a file -------------------------------------------------------------------------------------------------------


def save(found: Calibration, name: str, *, force: bool = False, today: str | None = None) -> Path:
    """Keep the fit as an engine of the user's own; from then on `name` is an engine."""
    return own.write(name, text(found, name, today or datetime.date.today().isoformat()), force=force)


def text(found: Calibration, name: str, today: str) -> str:
    """The file of a user's engine."""
    chosen = found.chosen
    dates = sorted({p.point.run.row.date for p in found.points if p.point.run.row.date})
    source: dict[str, Any] = {
        "file": ", ".join(found.files[:3]) + (f" and {len(found.files) - 3} more" if len(found.files) > 3 else ""),
        "tool": ", ".join(chosen.tools),
        "points": len(found.points),
        "models": list(dict.fromkeys(p.point.model.name for p in found.points)),
        "machine": chosen.machine.name,
        "layouts": list(dict.fromkeys(p.point.run.row.decode.layout.label() for p in found.points)),
        "measured": f"{dates[0]} to {dates[-1]}" if len(dates) > 1 else (dates[0] if dates else "not stated"),
        "date": today,
    }
    for quantity, scores in found.scores.items():
        for when, e in scores.items():
            source[f"{quantity}_{when}"] = {"median": round(e.median, 4), "mape": round(e.mape, 4)}
    return "\n".join([
        f"# {name}: calibrated by `rackmath calibrate`. Factors of what {chosen.base} costs; behind each, what the",
        "# runs leave open of it, as a log width. Errors are absolute: before, after, of points left out in turn.",
        f"base = {_toml(chosen.base)}",
        "",
        "[factors]",
        *(f"{c.name} = {c.factor:.6g}  # {c.width:.3f}, prior {c.prior:.3f}" for c in found.constants),
        "",
        "[source]",
        *(f"{key} = {_toml(value)}" for key, value in source.items()),
        "",
    ])  # fmt: skip


def _toml(value: Any) -> str:
    """A TOML value.

    >>> _toml(["a\\"b", 1]), _toml({"median": 0.1})
    ('["a\\\\"b", 1]', '{ median = 0.1 }')
    """
    import json

    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    if isinstance(value, str):
        return json.dumps(value.translate({127: " "}), ensure_ascii=False)  # TOML's basic strings are JSON's
    return f"{value:g}"
