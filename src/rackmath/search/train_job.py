"""A training job from words: batches that divide, choices left open, constants set by hand, what cannot be refused.

>>> schedules_named(("zb-h1",)), recompute_named(()), zero_named(("any",))
(('zb-1p',), ('none', 'selective', 'full'), (0, 1, 2, 3))
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from ..errors import BadInput, unknown
from ..training.constants import TrainConstants
from ..training.job import RECOMPUTE, Batch, TrainLayout, every, illegal
from ..training.schedules import ALIASES, SCHEDULES
from ..units import parse, plural, show
from .train import Job, JobPlan

CLOSE = 0.05
"""How far a batch of round tokens may be moved so that its sequences divide well."""

USUAL_SCHEDULES, USUAL_RECOMPUTE, USUAL_ZERO = ("1f1b", "interleaved"), ("none", "selective", "full"), ("1", "2", "3")


def batch_of(seq: float, batch_tokens: float, tokens: float) -> tuple[Batch, list[str]]:
    """The sequences of an optimizer step, with a note where they are not quite the tokens asked for."""
    if batch_tokens < seq:
        raise BadInput(f"a batch of {batch_tokens:,.0f} tokens is less than one sequence of {seq:,.0f}; give more")
    if batch_tokens > tokens:
        raise BadInput(f"a batch of {batch_tokens:,.0f} tokens is more than the {tokens:,.0f} of the run; give fewer")
    sequences = sequences_near(batch_tokens / seq)
    made = Batch(seq=seq, global_batch=float(sequences))
    if abs(sequences * seq / batch_tokens - 1) <= 0.001:
        return made, []
    return made, [f"a batch is {sequences:,} sequences of {seq:,.0f} tokens: {sequences * seq:,.0f} tokens"]


def sequences_near(wanted: float) -> int:
    """A whole number as it is; near any other, of those within 5 % the one that most powers of two divide.

    >>> sequences_near(16e6 / 8192), sequences_near(1440.0), sequences_near(3.3)
    (2048, 1440, 3)
    """
    if wanted == round(wanted):
        return round(wanted)
    step = 2.0 ** math.floor(math.log2(max(wanted, 1.0)))
    while step > 1 and abs(round(wanted / step) * step / wanted - 1) > CLOSE:
        step /= 2
    return max(round(wanted / step) * int(step), 1)


def days_of(given: str | float | None, name: str = "max_days") -> float:
    """A limit on days: a bare number of them, or a time with its unit; endless where none is given.

    >>> days_of("60"), days_of("12h"), days_of(None)
    (60.0, 0.5, inf)
    """
    if given is None:
        return math.inf
    timed = isinstance(given, str) and given.strip().lower()[-1:] in "dh"
    found = parse(given, "s", name=name) / 86400.0 if timed else parse(given, "count", name=name)
    if found <= 0:
        raise BadInput(f"{name} = {given!r} is impossible; give a number above 0")
    return found


# --- choices --------------------------------------------------------------------------------------------------------


def schedules_named(given: Sequence[str]) -> tuple[str, ...]:
    """Pipeline schedules; "any" is all of them, and frameworks' usual ones where none is named."""
    return _several([ALIASES.get(w, w) for w in _words(given)], tuple(SCHEDULES), USUAL_SCHEDULES, "schedule")


def recompute_named(given: Sequence[str]) -> tuple[str, ...]:
    """Ways to recompute activations."""
    found = _words(given)
    if found == ["any"]:
        return RECOMPUTE
    for word in found:
        every(word)
    return tuple(found) or USUAL_RECOMPUTE


def zero_named(given: Sequence[str]) -> tuple[int, ...]:
    """ZeRO stages."""
    return tuple(int(w) for w in _several(_words(given), ("0", "1", "2", "3"), USUAL_ZERO, "ZeRO stage"))


def _words(given: Sequence[str]) -> list[str]:
    return [word.strip().lower() for word in given if word.strip()]


def _several(found: list[str], known: Sequence[str], usual: tuple[str, ...], kind: str) -> tuple[str, ...]:
    """Choices in words: one, several, or "any"."""
    if found == ["any"]:
        return tuple(known)
    for word in found:
        if word not in known:
            raise unknown(kind, word, (*known, "any"))
    return tuple(found) or usual


def chosen(job: Job, **given: Sequence[str]) -> dict[str, Any]:
    """Schedule, recomputation and ZeRO stage that are named beside a layout: one of each."""
    values = {"schedule": job.schedules, "recompute": job.recompute, "zero": job.zero}
    found: dict[str, Any] = {}
    for name, words in given.items():
        if not words:
            continue
        if len(values[name]) != 1:
            text = ",".join(words)
            raise BadInput(f"--{name} {text!r} is not one choice; a layout takes one, or leave --layout out")
        found[name] = values[name][0]
    return found


def with_constants(of: TrainConstants, sets: Mapping[str, str | float]) -> TrainConstants:
    """Constants of a framework with values set by hand."""
    known = [f.name for f in fields(of) if f.name != "name"]
    seconds = ("layer", "routed_layer", "optimizer")
    values: dict[str, Any] = {}
    for name, value in sets.items():
        if name not in known:
            raise unknown("training constant", name, known)
        unit = "bytes" if name == "reserved" else "s" if name in seconds else "share"
        values[name] = parse(value, unit, name=f"training.{name}")
    return replace(of, **values)


# --- checks ---------------------------------------------------------------------------------------------------------


def check_legal(job: Job, layout: TrainLayout) -> None:
    """Refuse a layout that cannot run, with the first reason and its numbers."""
    devices = float(job.machine.n_devices)
    reasons = [r for r, bad in illegal(job.model, layout, job.batch, devices).items() if bool(bad)]
    if not reasons:
        return
    made = float(layout.devices)
    if made != devices:
        raise BadInput(
            f"layout {layout.label()!r} takes {plural(made, 'device')}, not the {devices:,.0f} of {job.machine.name};"
            " change dp, or ask for as many devices"
        )
    raise BadInput(f"layout {layout.label()!r} cannot run on {job.machine.name}: {'; '.join(reasons)}; {_hint(job, layout, reasons)}")


def _hint(job: Job, layout: TrainLayout, reasons: Sequence[str]) -> str:
    if any("batch" in r for r in reasons):
        each = float(layout.dp * layout.micro_batch)
        if each > float(job.batch.global_batch):
            return f"a step has {float(job.batch.global_batch):,.0f} sequences, and dp x micro-batch is {each:,.0f}"
        near = max(round(float(job.batch.global_batch) / each), 1) * each
        return f"{near:,.0f} sequences, {near * float(job.batch.seq):,.0f} tokens, would divide"
    return "leave --layout out to search the legal ones"


def check_priced(job: Job) -> None:
    """Refuse a limit on dollars where no price is known."""
    if math.isfinite(job.max_dollars) and not float(job.machine.price_per_hour):
        raise BadInput(
            f"no price is known for {job.machine.name}, so no limit on dollars can be kept; give one with --set"
            " machine.price_per_hour=2$/h, or leave the limit out"
        )


def slower_format(job: Job) -> list[str]:
    """A note where the device cannot multiply in the format asked for."""
    if job.machine.multiplies(job.recipe.precision.mlp.compute):
        return []
    return [f"this device does not multiply {job.recipe.name}: products run at the 16-bit peak"]


def too_full(of: JobPlan) -> list[str]:
    """A note where the layout asked about does not fit."""
    peak, room = float(of.memory.peak), float(of.memory.capacity)
    if peak <= room:
        return []
    return [f"this does not fit: the fullest device needs {show(peak, 'B')} of {show(room, 'B')}"]
