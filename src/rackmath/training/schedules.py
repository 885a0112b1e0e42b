"""Pipeline schedules of training in one notation: idle time, activations in flight, messages, what each needs.

A step runs m micro-batches through p devices that hold v chunks of layers each. f, b, w: seconds of the forward pass,
of the input gradient and of the weight gradient of one micro-batch through ONE DEVICE's layers; t = f + b + w.
c: seconds a message takes to the next device; links carry any number of them at once. k (`kept`): share of its
activations a micro-batch holds until its weight gradient; the rest goes with its input gradient. Of the 34 + 5as/h
bytes a layer of a GPT keeps for a number of a hidden vector these are 32 (Zero Bubble, Table 1): 94 % where
attention's scores are not stored. Any number may be a column.

A step lasts from a device's first operation to its last: steps follow one another device by device. Zero-bubble
schedules gain from that only where the optimizer does not wait for all devices; their authors check the gradient norm
after the update. Where it waits, a step is the simulated makespan. Each formula is checked against the simulation of
its schedule (`simulate`); `Schedule.holds` says how closely they agree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..arrays import Mask, Number
from ..errors import unknown
from . import bubbles

Formula = Callable[..., Number]
Phases = tuple[Number, Number, Number]
"""f, b and w: seconds of a micro-batch's forward pass, input gradient and weight gradient on one device."""

Need = tuple[str, Callable[[Number, Number, Number], Mask]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """`chunks`: of layers a device holds, 0 where v says; `split`: B and W run apart; `copies`: of the weights held.

    `idle` takes p, m, v, f, b, w, c, k and `formula` is it in words; `held` takes p, m, v, stage, k; `needs`: what
    must hold, in words and as a mask; `holds`: how closely `idle` agrees with the simulation, and where.
    """

    name: str
    title: str
    chunks: int = 1
    split: bool = False
    copies: int = 1
    idle: Formula
    formula: str
    held: Formula
    needs: tuple[Need, ...] = ()
    holds: str = "exact"
    source: str


# --- activations in flight ----------------------------------------------------------------------------------------


def _up_to(limit: Callable[[Number, Number, Number], Number]) -> Formula:
    def held(p: Number, m: Number, v: Number, stage: Number, k: Number) -> Number:
        found: Number = np.minimum(m, limit(p, stage, k))
        return found

    return held


def _interleaved_held(p: Number, m: Number, v: Number, stage: Number, k: Number) -> Number:
    before = 2 * (p - stage - 1) + (v - 1) * p
    found: Number = np.minimum(before + 1, m * v) / v
    return found


# --- the schedules ------------------------------------------------------------------------------------------------


def _at_least(times: str, count: Callable[[Number], Number]) -> Need:
    return f"at least {times} micro-batches", lambda p, m, v: m >= count(p)


EVEN_STAGES: Need = ("an even number of stages", lambda p, m, v: (np.asarray(p) % 2) == 0)
EVEN_MICRO: Need = ("an even number of micro-batches", lambda p, m, v: (np.asarray(m) % 2) == 0)
ALIKE = "where b and w are within 20 % of f and c is up to f/10"
NARAYANAN = "Narayanan et al. 2021 (arXiv 2104.04473)"
ZERO_BUBBLE = "Qi et al. 2024, Zero Bubble (arXiv 2401.10241)"
CONTROLLABLE = "Qi et al. 2024, Pipeline Parallelism with Controllable Memory (arXiv 2405.15362)"
DEEPSEEK = "DeepSeek-V3 report (arXiv 2412.19437), github.com/deepseek-ai/DualPipe"

ALL = (
    Schedule(
        name="gpipe",
        title="GPipe: all forward passes, then all backward passes",
        idle=bubbles.gpipe,
        formula="(p - 1)(t + 2c)",
        held=_up_to(lambda p, s, k: np.inf + 0.0 * p),
        source="Huang et al. 2019 (arXiv 1811.06965)",
    ),
    Schedule(
        name="1f1b",
        title="1F1B (PipeDream-flush): one forward, one backward in turn",
        idle=bubbles.one_f_one_b,
        formula="(p - 1) t + 2hc, h = n - floor(n / p), n = m + p - 2",
        held=_up_to(lambda p, s, k: p - s),
        source=NARAYANAN,
    ),
    Schedule(
        name="interleaved",
        title="Interleaved 1F1B: v chunks of layers on each device",
        chunks=0,
        idle=bubbles.interleaved,
        formula="(p - 1) t/v + 2(pv - 1) c",
        held=_interleaved_held,
        needs=(
            ("at least 2 stages", lambda p, m, v: np.asarray(p) >= 2),
            ("at least 2 chunks on each device", lambda p, m, v: np.asarray(v) >= 2),
            ("micro-batches in multiples of the stages", lambda p, m, v: np.asarray(m) % np.maximum(p, 1) == 0),
        ),
        holds="exact while c <= f/v and 2c <= t/v; with slower hops within 8 % of the step",
        source=NARAYANAN,
    ),
    Schedule(
        name="zb-1p",
        title="ZB-1p: weight gradients fill the bubble, in the memory of 1F1B (order of ZB-H1)",
        split=True,
        idle=bubbles.zb_1p,
        formula="(p - 1) max(b + 2c, f + b - w + 4c)",
        held=_up_to(lambda p, s, k: p - (1 - k) * s),
        needs=(_at_least("p", lambda p: p),),
        holds="exact; each micro-batch waits 2c - w longer where two hops outlast a weight gradient",
        source=ZERO_BUBBLE,
    ),
    Schedule(
        name="zb-h2",
        title="ZB-H2: more forward passes ahead, in twice the memory of 1F1B",
        split=True,
        idle=bubbles.zb_h2,
        formula="(p - 1) max(0, f + b - 2w + 2c, b - f + 2c, 4c - 2w)",
        held=_up_to(lambda p, s, k: 2 * p - 1 - 2 * (1 - k) * s),
        needs=(_at_least("2p - 1", lambda p: 2 * p - 1),),
        holds="exact while c <= (f + b)/2 + w",
        source=ZERO_BUBBLE,
    ),
    Schedule(
        name="zb-2p",
        title="ZB-2p: an order made for the times, in twice the memory of 1F1B",
        split=True,
        idle=bubbles.zb_2p,
        formula="max(0, (p - 1)(f + b - 2w/k + 2c), (p - 1)(b - f + 2c) - f)",
        held=_up_to(lambda p, s, k: 2 * p + 0.0 * s),
        needs=(_at_least("2p", lambda p: 2 * p),),
        holds="within 6 % of the step from 3p micro-batches on; with fewer up to 16 % too short where k is small",
        source=ZERO_BUBBLE,
    ),
    Schedule(
        name="zb-v",
        title="ZB-V: two chunks in a V, no bubble for equal times, in the memory of 1F1B",
        chunks=2,
        split=True,
        idle=bubbles.zb_v,
        formula="(p - 1)(0.75 max(0, f + b - 2w) + 6c)",
        held=_up_to(lambda p, s, k: p + 0.0 * s),
        needs=(_at_least("2p", lambda p: 2 * p),),
        holds="within 2 % of the step for equal times without hops, else within 7 % (c up to f/4)",
        source=f"{ZERO_BUBBLE}, {CONTROLLABLE}",
    ),
    Schedule(
        name="v-half",
        title="V-Half: two chunks in a V, in about half the memory of 1F1B",
        chunks=2,
        split=True,
        idle=bubbles.v_half,
        formula="(p/2 - 1) t + (p - 1)(max(0, f + b - 2w)/2 + 7c) + m max(0, |b - f| - w + 4c)",
        held=_up_to(lambda p, s, k: np.floor((p + 2.0) / 2) + 0.0 * s),
        needs=(_at_least("p", lambda p: p),),
        holds=f"within 5 % of the step {ALIKE}, 13 % with recomputation (b = 2.2 f)",
        source=CONTROLLABLE,
    ),
    Schedule(
        name="v-min",
        title="V-Min: two chunks in a V, in about a third of the memory of 1F1B",
        chunks=2,
        split=True,
        idle=bubbles.v_min,
        formula="(p - 1)(2t/3 + 3.5c) + m max(0, 1.5|b - f| + min(f, b) - w + 4.5c)",
        held=_up_to(lambda p, s, k: np.floor((p + 4.0) / 3) + 0.0 * s),
        needs=(_at_least("p", lambda p: p),),
        holds=f"within 12 % of the step {ALIKE}, 19 % with recomputation (b = 2.2 f)",
        source=CONTROLLABLE,
    ),
    Schedule(
        name="dualpipe",
        title="DualPipe: micro-batches from both ends, every device holds two stages",
        split=True,
        copies=2,
        idle=bubbles.dualpipe,
        formula="(p/2 - 1)(f + 2b - w) + 2pc + m max(0, c - w)",
        held=_up_to(lambda p, s, k: p + 1 + 0.0 * s),
        needs=(EVEN_STAGES, EVEN_MICRO, _at_least("2p", lambda p: 2 * p)),
        holds="exact for equal times without hops, else within 3 % of the step (c up to f)",
        source=DEEPSEEK,
    ),
    Schedule(
        name="dualpipe-v",
        title="DualPipeV: half of DualPipe folded into a V, one copy of the weights",
        chunks=2,
        split=True,
        idle=bubbles.dualpipe_v,
        formula="(p - 1)((f + 2b - w)/2 + 4c) + 2m max(0, c - w/2)",
        held=_up_to(lambda p, s, k: p + 0.5 + 0.0 * s),
        needs=(_at_least("2p", lambda p: 2 * p),),
        holds="exact for equal times without hops, else within 3 % of the step (c up to f)",
        source=DEEPSEEK,
    ),
)
SCHEDULES = {one.name: one for one in ALL}
ALIASES = {"pipedream-flush": "1f1b", "1f1b-i": "interleaved", "zb-h1": "zb-1p", "v-zb": "zb-v"}
"""Other names the papers use."""


def schedule_named(name: str | Schedule) -> Schedule:
    """The schedule of a name or of another name of the papers, in any case and with spaces or underscores.

    >>> schedule_named("ZB 1p").name, schedule_named("1F1B-I").name
    ('zb-1p', 'interleaved')
    >>> schedule_named("zb-3p")
    Traceback (most recent call last):
    ...
    rackmath.errors.BadInput: unknown schedule 'zb-3p'; did you mean zb-2p or zb-1p or zb-v?
    """
    if isinstance(name, Schedule):
        return name
    key = name.strip().lower().replace("_", "-").replace(" ", "-")
    key = ALIASES.get(key, key)
    if key not in SCHEDULES:
        raise unknown("schedule", name, SCHEDULES)
    return SCHEDULES[key]


def bubble_time(schedule: str | Schedule, p: Number, m: Number, v: Number, times: Phases, c: Number = 0.0, *, kept: Number = 1.0) -> Number:
    """Seconds a device idles in a step of m micro-batches on p devices of v chunks; `times` f, b, w.

    GPipe on 4 stages wastes 43, 27 and 9 % of a step of 4, 8 and 32 micro-batches (LECTURE 14c):

    >>> m, times = np.array([4.0, 8.0, 32.0]), (1.0, 1.0, 1.0)
    >>> [round(100 * float(x)) for x in bubble_time("gpipe", 4, m, 1, times) / step_time("gpipe", 4, m, 1, times)]
    [43, 27, 9]
    >>> [float(bubble_time(name, 8, 32, 2, times)) for name in ("1f1b", "interleaved", "zb-1p", "zb-2p")]
    [21.0, 10.5, 7.0, 0.0]
    """
    return schedule_named(schedule).idle(p, m, v, *times, c, kept)


def step_time(schedule: str | Schedule, p: Number, m: Number, v: Number, times: Phases, c: Number = 0.0, *, kept: Number = 1.0) -> Number:
    """Seconds of a step: the work of m micro-batches and the time idled.

    >>> float(step_time("zb-1p", 4, 8, 1, (1.0, 1.2, 0.8)))
    28.2
    """
    return m * (times[0] + times[1] + times[2]) + bubble_time(schedule, p, m, v, times, c, kept=kept)


def in_flight(schedule: str | Schedule, p: Number, m: Number, v: Number, stage: Number = 0.0, *, kept: Number = 1.0) -> Number:
    """Most activations device `stage` (from 0) holds at once, in units of one micro-batch's through all its layers.

    They come with the start of its forward pass; what is not `kept` goes with the end of its input gradient.

    >>> [float(in_flight(name, 8, 64, 2)) for name in ("gpipe", "1f1b", "interleaved", "zb-2p", "v-half", "v-min")]
    [64.0, 8.0, 11.5, 16.0, 5.0, 4.0]
    >>> float(in_flight("1f1b", 8, 64, 1, stage=7)), float(in_flight("dualpipe", 8, 64, 1))
    (1.0, 9.0)
    """
    return schedule_named(schedule).held(p, m, v, stage, kept)


def weight_copies(schedule: str | Schedule) -> int:
    """Copies of the weights that the devices hold together.

    >>> weight_copies("dualpipe"), weight_copies("dualpipe-v")
    (2, 1)
    """
    return schedule_named(schedule).copies


def chunks(schedule: str | Schedule, v: Number = 1.0) -> Number:
    """Chunks of layers on each device; v of them where the schedule leaves it open.

    >>> chunks("v-half", 4), chunks("interleaved", 4), chunks("1f1b", 4)
    (2, 4, 1)
    """
    return schedule_named(schedule).chunks or v


def messages(schedule: str | Schedule, p: Number, m: Number, v: Number) -> Number:
    """Messages a device in the middle of the pipeline sends in a step: activations forward, gradients back.

    >>> [float(messages(name, 8, 32, 4)) for name in ("1f1b", "interleaved", "zb-v", "dualpipe")]
    [64.0, 256.0, 128.0, 64.0]
    """
    sent: Number = np.where(np.asarray(p) > 1, 2.0 * m * chunks(schedule, v), 0.0)
    return sent


def why_not(schedule: str | Schedule, p: float, m: float, v: float) -> str:
    """What a schedule lacks in p stages, m micro-batches and v chunks, or nothing where it runs.

    >>> why_not("interleaved", 8, 12, 2)
    'interleaved needs micro-batches in multiples of the stages; given: 12, with p = 8'
    >>> why_not("1f1b", 8, 3, 1)
    ''
    """
    one = schedule_named(schedule)
    for words, met in one.needs:
        if not bool(met(p, m, v)):
            if "chunks" in words:
                return f"{one.name} needs {words}; given: {v:g}"
            if "micro" not in words:
                return f"{one.name} needs {words}; given: {p:g}"
            return f"{one.name} needs {words}; given: {m:g}, with p = {p:g}"
    return ""


def possible(schedule: str | Schedule, p: Number, m: Number, v: Number) -> Mask:
    """Where a schedule runs: `why_not` for columns.

    >>> [bool(x) for x in possible("zb-2p", 8, np.array([8.0, 15.0, 16.0, 64.0]), 1)]
    [False, False, True, True]
    """
    fine: Mask = np.asarray(p) >= 1
    for _, met in schedule_named(schedule).needs:
        fine = fine & met(p, m, v)
    return fine & (np.asarray(m) >= 1)
