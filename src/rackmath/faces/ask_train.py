"""The verb of training runs: words in, an answer out. No arithmetic here.

>>> answer = train("llama-3.1-8b", "64xh100", tokens="1T", seq=8192, batch_tokens="4M")
>>> answer.best.layout.tp, answer.best.devices
(1.0, 64.0)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from ..errors import BadInput, Infeasible, unknown
from ..questions.resolve import Quantity, question
from ..units import parse, plural, show

if TYPE_CHECKING:
    from ..search.train import Found, Job, Run
    from ..training.constants import TrainConstants
    from ..training.memory import Choice
    from ..world.machine import Machine
    from ..world.model import Model
    from .export import Face

MOST_TOKENS = 1e18


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainAnswer:
    """A training run: the fastest layout or the one asked about, and the search around it.

    `found` is None where a layout was given. `frontier`: memory against compute, where it was asked for.
    """

    job: Job
    best: Run | None
    found: Found | None
    frontier: tuple[Choice, ...]
    notes: tuple[str, ...]

    def face(self) -> Face:
        from . import show_train

        return show_train.face(self)


def train(
    model: str | Model,
    on: str | Machine,
    *,
    tokens: Quantity = "1T",
    seq: Quantity = 8192,
    batch_tokens: Quantity = "4M",
    layout: str | None = None,
    schedule: str | None = None,
    recompute: str | None = None,
    zero: str | None = None,
    precision: str = "bf16",
    framework: str = "typical",
    goodput: Quantity | None = None,
    max_days: Quantity | None = None,
    max_cost: Quantity | None = None,
    frontier: bool = False,
    price: str | None = None,
    sets: Mapping[str, Quantity] | None = None,
) -> TrainAnswer:
    """The fastest and the cheapest way to train `tokens` tokens, or one layout worked out.

    `on`: so many devices, "2048xh100". `batch_tokens`: tokens of one optimizer step, rounded to
    whole sequences that divide well.
    `schedule`, `recompute`, `zero`: one or several with commas, "any" for all; by default what frameworks offer.
    `sets` takes "training.dp=0.9" and other constants of the framework beside those of model and machine.
    """
    from ..search import train as search
    from ..training.constants import constants
    from ..training.job import Batch, layout_of, recipe_named
    from ..world.workload import Traffic

    length = _size(seq, "seq", 2, 1e8)
    total = _size(tokens, "tokens", 1, MOST_TOKENS)
    wanted = _size(batch_tokens, "batch_tokens", 1, MOST_TOKENS)
    if wanted < length:
        raise BadInput(f"a batch of {wanted:,.0f} tokens is less than one sequence of {length:,.0f}; give more")
    if wanted > total:
        raise BadInput(f"a batch of {wanted:,.0f} tokens is more than the {total:,.0f} of the run; give fewer")
    ours, rest = _split(sets or {})
    q, notes = question(model, on, traffic=Traffic(isl=length, osl=1), price=price, sets=rest)
    sequences = _sequences(wanted / length)
    if abs(sequences * length / wanted - 1) > 0.001:
        notes.append(f"a batch is {sequences:,} sequences of {length:,.0f} tokens: {sequences * length:,.0f} tokens")
    job = search.Job(
        model=q.model,
        machine=q.machine,
        recipe=recipe_named(precision),
        batch=Batch(seq=length, global_batch=float(sequences)),
        tokens=total,
        constants=_constants(constants(framework, q.machine.generation), ours),
        schedules=_schedules(schedule),
        recompute=_recompute(recompute),
        zero=_zero(zero),
        goodput=None if goodput is None else _share(goodput),
        max_days=_limit(max_days, "d", "max_days"),
        max_dollars=_limit(max_cost, "$", "max_cost"),
    )
    _priced(job)
    notes += _slower_format(job)
    if layout is not None:
        given = layout_of(layout, **_chosen(job, schedule=schedule, recompute=recompute, zero=zero))
        _legal(job, given)
        one = search.run(job, given)
        return TrainAnswer(
            job=job, best=one, found=None, frontier=_frontier(job, given) if frontier else (),
            notes=(*notes, *_too_full(one)),
        )  # fmt: skip
    found = search.search(job)
    best = found.fastest
    return TrainAnswer(
        job=job, best=best, found=found,
        frontier=_frontier(job, best.layout) if frontier and best is not None else (), notes=tuple(notes),
    )  # fmt: skip


# --- words to values ----------------------------------------------------------------------------------------------


def _size(value: Quantity, name: str, least: float, most: float) -> float:
    found = parse(value, "count", name=name)
    if not least <= found <= most:
        raise BadInput(f"{name} = {value!r} is out of range; give {least:,.0f} to {most:,.0f} tokens")
    return float(round(found))


CLOSE = 0.05


def _sequences(wanted: float) -> int:
    """A whole number as it is; near any other, of those within 5 % the one that most powers of two divide.

    >>> _sequences(16e6 / 8192), _sequences(1440.0), _sequences(3.3)
    (2048, 1440, 3)
    """
    if wanted == round(wanted):
        return round(wanted)
    step = 2.0 ** math.floor(math.log2(max(wanted, 1.0)))
    while step > 1 and abs(round(wanted / step) * step / wanted - 1) > CLOSE:
        step /= 2
    return max(round(wanted / step) * int(step), 1)


def _share(value: Quantity) -> float:
    found = parse(value, "share", name="goodput")
    if not 0 < found <= 1:
        raise BadInput(f"goodput = {value!r} is impossible; give the share of paid time in which steps count, to 1")
    return found


def _limit(value: Quantity | None, unit: str, name: str) -> float:
    if value is None:
        return math.inf
    found = parse(value, "count" if unit == "d" else unit, name=name) if not _in_days(value) else _days(value, name)
    if found <= 0:
        raise BadInput(f"{name} = {value!r} is impossible; give a number above 0")
    return found


def _in_days(value: Quantity) -> bool:
    return isinstance(value, str) and value.strip().lower()[-1:] in "dh"


def _days(value: Quantity, name: str) -> float:
    return parse(value, "s", name=name) / 86400.0


def _several(text: str | None, known: Sequence[str], usual: tuple[str, ...], kind: str) -> tuple[str, ...]:
    """Choices in words: one, several with commas, or "any"."""
    if text is None:
        return usual
    words = [w.strip().lower() for w in text.split(",") if w.strip()]
    if words == ["any"]:
        return tuple(known)
    for word in words:
        if word not in known:
            raise unknown(kind, word, (*known, "any"))
    return tuple(words) or usual


def _chosen(job: Job, **given: str | None) -> dict[str, Any]:
    """Schedule, recomputation and ZeRO stage that options give beside a layout: one of each."""
    values = {"schedule": job.schedules, "recompute": job.recompute, "zero": job.zero}
    found: dict[str, Any] = {}
    for name, text in given.items():
        if text is None:
            continue
        if len(values[name]) != 1:
            raise BadInput(f"--{name} {text!r} is not one choice; a layout takes one, or leave --layout out")
        found[name] = values[name][0]
    return found


def _schedules(text: str | None) -> tuple[str, ...]:
    from ..training.schedules import ALIASES, SCHEDULES

    said = text and ",".join(ALIASES.get(w, w) for w in (word.strip().lower() for word in text.split(",")))
    return _several(said, tuple(SCHEDULES), ("1f1b", "interleaved"), "schedule")


def _recompute(text: str | None) -> tuple[str, ...]:
    from ..training.job import RECOMPUTE, every

    usual = ("none", "selective", "full")
    if text is None:
        return usual
    if text.strip().lower() == "any":
        return RECOMPUTE
    words = tuple(w.strip().lower() for w in text.split(",") if w.strip())
    for word in words:
        every(word)
    return words or usual


def _zero(text: str | None) -> tuple[int, ...]:
    words = _several(None if text is None else str(text), ("0", "1", "2", "3"), ("1", "2", "3"), "ZeRO stage")
    return tuple(int(w) for w in words)


def _split(sets: Mapping[str, Quantity]) -> tuple[dict[str, Quantity], dict[str, Quantity]]:
    """Settings of the framework's constants, and those of model and machine."""
    ours = {k.removeprefix("training."): v for k, v in sets.items() if k.startswith("training.")}
    return ours, {k: v for k, v in sets.items() if not k.startswith("training.")}


def _constants(of: TrainConstants, sets: Mapping[str, Quantity]) -> TrainConstants:
    known = [f.name for f in fields(of) if f.name != "name"]
    seconds = ("layer", "routed_layer", "optimizer")
    values: dict[str, Any] = {}
    for name, value in sets.items():
        if name not in known:
            raise unknown("training constant", name, known)
        unit = "bytes" if name == "reserved" else "s" if name in seconds else "share"
        values[name] = parse(value, unit, name=f"training.{name}")
    return replace(of, **values)


# --- checks -------------------------------------------------------------------------------------------------------


def _legal(job: Job, layout: Any) -> None:
    """Refuse a layout that cannot run, with the first reason and its numbers."""
    from ..training.job import illegal

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
    raise BadInput(
        f"layout {layout.label()!r} cannot run on {job.machine.name}: {'; '.join(reasons)};"
        f" {_hint(job, layout, reasons)}"
    )


def _hint(job: Job, layout: Any, reasons: Sequence[str]) -> str:
    if any("batch" in r for r in reasons):
        each = float(layout.dp * layout.micro_batch)
        if each > float(job.batch.global_batch):
            return f"a step has {float(job.batch.global_batch):,.0f} sequences, and dp x micro-batch is {each:,.0f}"
        near = max(round(float(job.batch.global_batch) / each), 1) * each
        return f"{near:,.0f} sequences, {near * float(job.batch.seq):,.0f} tokens, would divide"
    return "leave --layout out to search the legal ones"


def _priced(job: Job) -> None:
    """Refuse a limit on dollars where no price is known."""
    if math.isfinite(job.max_dollars) and not float(job.machine.price_per_hour):
        raise BadInput(
            f"no price is known for {job.machine.name}, so no limit on dollars can be kept; give one with --set"
            " machine.price_per_hour=2$/h, or leave the limit out"
        )


def _slower_format(job: Job) -> list[str]:
    """A note where the device cannot multiply in the format asked for."""
    if job.machine.multiplies(job.recipe.precision.mlp.compute):
        return []
    return [f"this device does not multiply {job.recipe.name}: products run at the 16-bit peak"]


def _too_full(of: Run) -> list[str]:
    """A note where the layout asked about does not fit."""
    peak, room = float(of.memory.peak), float(of.memory.capacity)
    if peak <= room:
        return []
    return [f"this does not fit: the fullest device needs {show(peak, 'B')} of {show(room, 'B')}"]


def _frontier(job: Job, layout: Any) -> tuple[Choice, ...]:
    from ..training.memory import frontier

    return frontier(job.model, job.machine, layout, job.recipe, job.batch, job.constants)


def why_not(answer: TrainAnswer) -> Infeasible:
    """The sentence for a search without a result."""
    from ..search.train_nearest import devices_that_divide, devices_that_fit

    found, job = answer.found, answer.job
    assert found is not None
    on = f"{job.model.name} cannot be trained on {job.machine.name}"
    if found.leanest is not None:
        lean, short = found.leanest, found.leanest.peak - float(job.machine.hbm_capacity)
        enough = devices_that_fit(job)
        do = f"{enough:,} devices would do" if enough else "devices with more memory or shorter sequences would help"
        return Infeasible(
            f"{on}: the leanest of {found.evaluated:,} layouts ({lean.layout.label()}) needs {show(lean.peak, 'B')}"
            f" on a device, {show(short, 'B')} more than it has; {do}"
        )
    if found.evaluated:
        return Infeasible(
            f"no layout of {job.model.name} on {job.machine.name} is within the limits on days and dollars; raise"
            " them, or ask for more devices"
        )
    fewer = devices_that_divide(job)
    return Infeasible(
        f"{on}: no layout divides {plural(float(job.machine.n_devices), 'device')} and"
        f" {plural(float(job.batch.global_batch), 'sequence')} a step;"
        + (f" {plural(fewer, 'device')} would divide" if fewer else " give other numbers of both")
    )
