"""The verb `schedule`: words in, answer out. No arithmetic here.

>>> answer = schedule("zb-1p", stages=4, micro_batches=8)
>>> answer.chosen.run.step, answer.chosen.step
(27.0, 27.0)
>>> [one.schedule.name for one in schedule(stages=5).compared if one.why]
['interleaved', 'dualpipe']
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import BadInput
from ..questions.resolve import Quantity, whole
from ..units import parse

if TYPE_CHECKING:
    from ..training.compare import Compared, Setting
    from .export import Face

MOST = 16384
"""Passes of a micro-batch through a chunk of a device that are simulated at most."""

MOST_STAGES = 1024
SHORTEST, LONGEST = 1e-12, 1e9
"""Least and greatest time of a pass or a message, whatever its unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleAnswer:
    """All schedules in a setting. `chosen`: the one that was named, or None; `unit`: of the times, s or nothing."""

    setting: Setting
    unit: str
    chosen: Compared | None
    compared: tuple[Compared, ...]
    notes: tuple[str, ...]

    def face(self) -> Face:
        from . import show_schedule

        return show_schedule.face(self)


def schedule(
    name: str | None = None,
    *,
    stages: Quantity = 8,
    micro_batches: Quantity = 32,
    chunks: Quantity = 2,
    forward: Quantity = 1.0,
    backward: Quantity = 1.0,
    weight: Quantity = 1.0,
    hop: Quantity = 0.0,
    kept: Quantity = 1.0,
) -> ScheduleAnswer:
    """Schedules on `stages` devices: by formula and simulated, the one of a name in detail.

    `forward`, `backward`, `weight`: of one micro-batch through one device's layers, forward, input gradient and
    weight gradient; `hop`: of a message. All carry a unit or none does. `kept`: share of its activations a
    micro-batch holds until its weight gradient.
    """
    from ..training.compare import Setting, comparison
    from ..training.schedules import ALL, schedule_named

    one = None if name is None else schedule_named(name)
    p, m, v = (
        whole(given, word, 1, most)
        for given, word, most in (
            (stages, "stages", MOST_STAGES),
            (micro_batches, "micro_batches", MOST),
            (chunks, "chunks", MOST),
        )
    )
    if p * m * max(v, 2) > MOST:
        raise BadInput(
            f"{p} stages x {m} micro-batches x {max(v, 2)} chunks are more than the {MOST:,} passes that are"
            " simulated; give fewer"
        )
    given = {"forward": forward, "backward": backward, "weight": weight, "hop": hop}
    unit = _unit(given)
    seconds = {word: _time(value, unit, word) for word, value in given.items()}
    setting = Setting(
        stages=p, micro_batches=m, chunks=v, forward=seconds["forward"], input_grad=seconds["backward"],
        weight_grad=seconds["weight"], hop=seconds["hop"], kept=_share(kept),
    )  # fmt: skip
    if one is not None:
        _runs(one.name, setting)
    found = comparison(ALL, setting)
    chosen = None if one is None else next(row for row in found if row.schedule is one)
    return ScheduleAnswer(setting=setting, unit=unit, chosen=chosen, compared=found, notes=_notes(found))


def _runs(name: str, s: Setting) -> None:
    from ..training.schedules import why_not

    if reason := why_not(name, s.stages, s.micro_batches, s.chunks):
        raise BadInput(f"{reason}; give other counts or another schedule")


def _notes(found: tuple[Compared, ...]) -> tuple[str, ...]:
    notes = [
        "a step lasts until each device can begin its next one; with a barrier all wait for the last one, as for a"
        " gradient norm before the update, which zero-bubble schedules put off until after it",
        "activations count micro-batches through all layers of one device",
    ]
    notes += [f"not shown: {one.why}" for one in found if one.why]
    return tuple(notes)


def _share(given: Quantity) -> float:
    found = parse(given, "share", name="kept")
    if not 0 < found <= 1:
        raise BadInput(f"kept = {given!r} is out of range; give a share above 0, at most 1")
    return found


def _bare(given: Quantity) -> bool:
    try:
        float(given)
    except ValueError:
        return False
    return True


def _unit(given: dict[str, Quantity]) -> str:
    """Seconds where every time that is not 0 carries a unit, nothing where none does."""
    counted = {name: value for name, value in given.items() if not (_bare(value) and float(value) == 0)}
    bare = [name for name, value in counted.items() if _bare(value)]
    other = [name for name in counted if name not in bare]
    if bare and other:
        raise BadInput(
            f"{other[0]} = {given[other[0]]!r} has a unit and {bare[0]} = {given[bare[0]]!r} has none; give all times"
            " with one, or none"
        )
    return "s" if other else ""


def _time(given: Quantity, unit: str, name: str) -> float:
    found = float(given) if _bare(given) else parse(given, "s", name=name)
    least = "0 or more" if name == "hop" else "above 0"
    if not (found > 0 or (name == "hop" and found == 0)):
        raise BadInput(f"{name} = {given!r} is not a time; give a number {least}, such as {'12ms' if unit else 1}")
    if found and not SHORTEST <= found <= LONGEST:
        raise BadInput(
            f"{name} = {given!r} is out of range; give {SHORTEST:g} to {LONGEST:g}{' seconds' * bool(unit)}"
        )
    return found
