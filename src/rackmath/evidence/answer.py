"""An answer for one measured row, whatever the file it stands in: predicted columns beside measured ones.

A reader of a kind of file sees the *query* of a row only: every column that holds a measurement is taken out before
(`kinds.answers`), so no prediction can use one. What it says (`RowScores`) is then joined with the measurements.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from ..errors import BadInput
from ..kernel.efficiency import Efficiency, bare, of_age
from ..kernel.uncertainty import NOT_CALIBRATED, Interval, kind_interval, serving_interval
from ..training.uncertainty import training_interval
from ..world import catalog
from ..world.engine import TYPICAL, Engine, released
from ..world.engine_names import engine_key
from ..world.machine import Machine

Text = Mapping[str, str]
"""One line of a file: column -> what stands there."""


SEEN, UNSEEN = "engine version seen in the fit", "engine version not seen in the fit"
"""A note of an answer that begins with one of these says whether its engine version had a part in the fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A prediction in the unit of its column; `low` and `high` are 5 % and 95 %, None where no errors are known.

    `most`: the bound is the most a measurement can be (a throughput), otherwise the least (a time). An estimate never
    lies beyond its bound.
    """

    pred: float
    bound: float | None
    low: float | None = None
    high: float | None = None
    most: bool = False

    def broken_by(self, measured: float) -> bool:
        """Whether a measurement lies beyond the bound: then row, reading or model is wrong.

        >>> Estimate(pred=10.0, bound=8.0).broken_by(7.0), Estimate(pred=5.0, bound=8.0, most=True).broken_by(7.0)
        (True, False)
        """
        if self.bound is None:
            return False
        return measured > self.bound * (1 + 1e-9) if self.most else measured < self.bound * (1 - 1e-9)

    def times(self, factor: float) -> Estimate:
        """The same in another unit.

        >>> Estimate(pred=0.02, bound=0.01).times(1e3)
        Estimate(pred=20.0, bound=10.0, low=None, high=None, most=False)
        """
        low, high, bound = (None if x is None else x * factor for x in (self.low, self.high, self.bound))
        return Estimate(pred=self.pred * factor, bound=bound, low=low, high=high, most=self.most)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowScores:
    """What is said about one query: keys of the scores, and the columns predicted, or the reason why none is."""

    system: str
    model: str
    engine: str
    mode: str
    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    reason: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredRow:
    """A row of a file and what is said about it; `given` are its columns as they stand there."""

    given: Text
    measured: Mapping[str, float]
    said: RowScores

    @property
    def answered(self) -> bool:
        return not self.said.reason

    @property
    def broken(self) -> tuple[str, ...]:
        """Measured columns that lie beyond their bound."""
        found = self.said.estimates
        return tuple(m for m, value in self.measured.items() if m in found and found[m].broken_by(value))


def unchanged(efficiency: Efficiency) -> Efficiency:
    """The same."""
    return efficiency


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What every reader is given beside the queries.

    `efficiency` is None where each row's fitted one is meant; `change` replaces single constants of either.
    """

    engine: Engine = TYPICAL
    efficiency: Efficiency | None = None
    change: Callable[[Efficiency], Efficiency] = unchanged
    path: Path | None = None

    def under(self, fitted: Efficiency) -> Efficiency:
        """The constants in force for a row whose fitted ones are these."""
        return self.change(self.efficiency or fitted)

    def compiled(self, machine: Machine) -> Efficiency:
        """The efficiency of a machine where a runtime works off a batch by itself."""
        return self.under(bare(machine.generation))

    def offline(self, machine: Machine, engine: str, version: str = "") -> Efficiency:
        """That of a machine under an engine that works off a queue: no answers are streamed."""
        return self.under(replace(_fitted(machine, engine, version), sequence_overhead=0.0))

    def on(self, machine: Machine, engine: str, version: str = "") -> Efficiency:
        """The efficiency of a machine under an engine: one place, for constants that are known for both."""
        return self.under(_fitted(machine, engine, version))


def _fitted(machine: Machine, engine: str, version: str) -> Efficiency:
    key = engine_key(engine)
    return of_age(machine.generation, key, released(key, version.lstrip("v")))


Reader = Callable[[Sequence[Text], Asked], Sequence[RowScores]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileKind:
    """A kind of file: `needs` are columns that make it recognisable, `measured` those that hold measurements.

    `predicts` are the measured columns that are answered, the headline first. `repeats` says which rows' sources
    answered prompts out of a prefix cache: columns but `uncached` are then answered with the column `prompts_cached`
    set, those as if nothing was known of it.
    """

    name: str
    what: str
    needs: tuple[str, ...]
    measured: tuple[str, ...]
    predicts: tuple[str, ...]
    read: Reader
    repeats: Callable[[Sequence[Text]], Sequence[bool]] | None = None
    uncached: tuple[str, ...] = ()

    def columns(self, header: Sequence[str]) -> tuple[str, ...]:
        """The measured columns answered in a file: those it has, or all where it holds queries only."""
        return tuple(m for m in self.predicts if m in header) or self.predicts


def interval(pred: float, *, kind: str, metric: str, most: bool, said: Mapping[str, str]) -> tuple[float | None, float | None]:
    """The 5 % and 95 % around a prediction of one kind of file; None where nothing has been learned.

    `said` are the keys of the row (system, model, engine, mode); `most`: a rate, whose interval is that of the time
    turned over.

    >>> keys = {"system": "h200_sxm", "model": "Llama-3.1-70B", "engine": "vllm", "mode": "aggregated"}
    >>> low, high = interval(20.0, kind="silicon", metric="silicon_tpot_ms", most=False, said=keys)
    >>> low < 20.0 < high
    True
    """
    if kind in ("silicon", "inferencex") and said.get("mode") == "aggregated":
        found = _served("ttft" if "ttft" in metric else "tpot", said["model"], said["system"], said["engine"])
        found = found.inverse if most else found
    elif kind == "training":  # errors of all other sources
        found = training_interval("memory" if "memory" in said["mode"] else "step", said["engine"])
        found = found.inverse if most else found
    else:
        found = kind_interval(kind, metric, said.get("mode", ""))
    ends = found.around(pred)
    return (None, None) if ends is None else (float(ends[0]), float(ends[1]))


@cache
def _served(quantity: str, model: str, system: str, engine: str) -> Interval:
    try:
        found = catalog.model(model), catalog.machine(system)
    except BadInput:
        return NOT_CALIBRATED
    return serving_interval(quantity, *found, Engine(name=engine))


# --- reading cells ------------------------------------------------------------------------------------------------


def number(row: Text, column: str) -> float | None:
    """A cell as a number; None where it is blank or not finite.

    >>> number({"tp": "8.0", "osl": ""}, "tp"), number({"osl": ""}, "osl")
    (8.0, None)
    """
    text = (row.get(column) or "").strip()
    if not text:
        return None
    try:
        found = float(text)
    except ValueError:
        raise BadInput(f"{column} = {text!r:.40} is not a number") from None
    return found if math.isfinite(found) else None


MOST = 1e9
"""Largest number of tokens, sequences or devices a row may ask about."""


def needed(row: Text, column: str) -> float:
    """A positive number, at most `MOST`, that a row must state.

    >>> needed({"osl": "2e9"}, "osl")
    Traceback (most recent call last):
        ...
    rackmath.errors.BadInput: osl = 2e+09 is out of range; it must be above 0 and at most 1e+09
    """
    found = number(row, column)
    if found is None:
        raise BadInput(f"{column} is not stated")
    if not 0 < found <= MOST:
        raise BadInput(f"{column} = {found:g} is out of range; it must be above 0 and at most {MOST:g}")
    return found


def whole(row: Text, column: str, default: float | None = None) -> float:
    """A number of devices or sequences: a whole number of at least 1."""
    found = number(row, column)
    if found is None and default is not None:
        return default
    found = needed(row, column)
    if found != int(found):
        raise BadInput(f"{column} = {found:g} is not a whole number")
    return found


def each(rows: Sequence[Text], one: Callable[[Text], RowScores], keys: Callable[[Text], RowScores]) -> list[RowScores]:
    """`one` for every row; where it cannot be answered, `keys` of the row with the reason."""
    found = []
    for row in rows:
        try:
            said = one(row)
        except (BadInput, ArithmeticError) as error:
            found.append(refused(keys(row), str(error) or type(error).__name__))
        else:
            found.append(said)
    return found


def refused(said: RowScores, reason: str) -> RowScores:
    """The same keys with a reason instead of estimates."""
    return RowScores(system=said.system, model=said.model, engine=said.engine, mode=said.mode, reason=reason, notes=said.notes)
