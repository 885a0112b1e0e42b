"""The cheapest pair of pools: prefill rows and decode rows are evaluated apart, then matched.

Dollars per request of two pools add up, the prefill pool alone decides the time to first token (with the transfer)
and the decode pool alone the time per output token. So each pool is searched once as columns, only rows nobody beats
in time and dollars are kept, and pairs of those are tried with whole numbers of replicas.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from ..arrays import take
from ..economics.cost import HOUR, Cost, billed_devices
from ..economics.pools import billed, pool_cost
from ..layout.parallelism import Layout
from ..serving.disaggregated import MOST_LOAD, Disaggregated, batch_for, matched, transfer
from ..units import show
from ..world.machine import Machine
from ..world.precision import Precision
from ..world.workload import Objectives
from .grid import Column, Question
from .pools import PoolRows, decode_of, decode_part, decode_rows, largest_ranks, prefill_of, prefill_part, prefill_rows
from .ranking import TIE
from .ratio import ratio
from .trust import Trust, trust_pools

PAIRS = 600
"""Pairs of pools, cheapest first at rates matched exactly, that are tried with whole numbers of replicas."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPlan:
    """One pair of pools, evaluated in full (scalars). `questions`: those of the prefill and the decode pool."""

    questions: tuple[Question, Question]
    precision: Precision
    serving: Disaggregated
    cost: Cost
    matched_exactly: float  # dollars (or device-hours) per request if replicas came in fractions
    exact_ratio: float  # prefill replicas that just feed one decode replica, at the load and batch chosen
    intervals: Trust

    @property
    def machines(self) -> tuple[Machine, Machine]:
        return self.questions[0].machine, self.questions[1].machine

    def label(self) -> str:
        """Both pools in words: "3 x TP2 CP2 : 1 x TP1 DP32 EP32"."""
        s = self.serving
        return f"{s.n_prefill:.0f} x {s.prefill.layout.label()} : {s.n_decode:.0f} x {s.decode.layout.label()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingPoint:
    """A way to serve: tok/s/user, tok/s/GPU, dollars per million tokens, seconds; `batch` of a decoding replica."""

    mode: str
    machine: str
    layout: str
    gpus: float
    batch: float
    interactivity: float
    ttft: float
    tput_per_gpu: float
    blended_mtok: float
    hours_mtok: float  # device-hours paid for
    priced: bool  # every machine has a price; where not, `blended_mtok` is in device-hours too


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolAnswer:
    """What the search of pairs of pools found; `best` is None where no pair meets the objectives."""

    best: PoolPlan | None
    runner_up: PoolPlan | None
    nearest: PoolPlan | None
    reasons: tuple[str, ...]
    front: tuple[ServingPoint, ...]
    evaluated: int
    ranked: tuple[PoolPlan, ...] = ()  # the best pairs of distinct layouts, cheapest first


def search(questions: tuple[Question, Question], objectives: Objectives) -> PoolAnswer:
    """The cheapest pair of pools for the questions of a prefill and a decode machine."""
    prefill, decode = questions
    no_link = [q.machine.name for q in questions if not float(q.machine.scaleout_bandwidth) > 0]
    if no_link:
        return _none(f"{' and '.join(dict.fromkeys(no_link))} has no scale-out network to send caches over")
    if float(prefill.traffic.osl) < 2:
        return _none("a request with one output token has nothing to decode: one pool is enough")
    hours = prices(prefill.machine, decode.machine)
    first, second = prefill_rows(prefill, decode.precisions, hours[0]), decode_rows(decode, hours[1])
    n = len(first.rate) + len(second.rate)
    for rows, q, pool in ((first, prefill, "prefill"), (second, decode, "decode")):
        if not len(rows.rate):
            return replace(_none(f"no {pool} replica on {q.machine.name} holds the model and its prompts"), evaluated=n)
    front = _front(questions, first, second, objectives)
    pairs = _pairs(questions, first, second, objectives)
    if pairs is None:
        near = _nearest(questions, first, second, objectives)
        return PoolAnswer(best=None, runner_up=None, nearest=near, reasons=_missed(first, second, objectives), front=front, evaluated=n)
    ranked = _refined(questions, first, second, pairs, objectives)
    return PoolAnswer(
        best=ranked[0], runner_up=ranked[1] if len(ranked) > 1 else None, nearest=None, reasons=(), front=front, evaluated=n, ranked=ranked
    )


def _none(reason: str) -> PoolAnswer:
    return PoolAnswer(best=None, runner_up=None, nearest=None, reasons=(reason,), front=(), evaluated=0)


def pools_cost(p: PoolPlan) -> float:
    """Dollars per request, or device-hours where neither machine has a price."""
    a, b = billed(p.serving, p.machines)
    x, y = prices(*p.machines)
    return float(a * x + b * y) / HOUR / float(p.serving.request_rate) / p.questions[0].traffic.utilisation


def prices(prefill: Machine, decode: Machine) -> tuple[float, float]:
    """Dollars per device-hour of each; 1 for both where one has no price: device time is minimised then."""
    a, b = float(prefill.price_per_hour), float(decode.price_per_hour)
    return (a, b) if a > 0 and b > 0 else (1.0, 1.0)


# --- pairs ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pairs:
    """Pairs of rows with whole numbers of replicas, cheapest first."""

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    n_prefill: Column
    n_decode: Column
    dollars: Column  # per request
    ttft: Column


def _undominated(time: Column, dollars: Column) -> NDArray[np.intp]:
    """Rows that nobody beats in both: from the fastest to the cheapest."""
    order = np.lexsort((dollars, time))
    least = np.minimum.accumulate(dollars[order])
    keep = np.concatenate([[True], least[1:] < least[:-1]]) if len(order) else np.zeros(0, dtype=bool)
    kept: NDArray[np.intp] = order[keep]
    return kept


def _latency(questions: tuple[Question, Question]) -> float:
    return max(float(q.machine.scaleout_latency) for q in questions)


def _pairs(
    questions: tuple[Question, Question], first: PoolRows, second: PoolRows, objectives: Objectives, *, each: bool = False
) -> _Pairs | None:
    """The best pairs that meet the objectives; with `each`, the best partner of every decode row worth having."""
    found = []
    for which in range(len(questions[1].precisions)):
        a, b = np.flatnonzero(first.precision == which), np.flatnonzero(second.precision == which)
        b = b[second.time[b] <= objectives.max_tpot]
        if not len(a) or not len(b):
            continue
        a = a[_undominated(first.time[a] + first.link[a], first.each[a])]
        # Of decode rows worth having one may still end in too narrow a link: keep the fastest receivers as well.
        keep = {*_undominated(second.time[b], second.each[b]), *_undominated(second.link[b], second.each[b])}
        b = b[sorted(keep)]
        i, j = (x.ravel() for x in np.meshgrid(a, b, indexing="ij"))
        ttft = first.time[i] + np.maximum(first.link[i], second.link[j]) + _latency(questions)
        good = np.flatnonzero(ttft <= objectives.max_ttft)
        i, j, ttft = i[good], j[good], ttft[good]
        exact = first.each[i] + second.each[j]
        if each:
            order = np.lexsort((exact, j))
            order = order[np.unique(j[order], return_index=True)[1]]
        else:
            order = np.argsort(exact, kind="stable")[:PAIRS]
        found.append((i[order], j[order], ttft[order]))
    if not found or not sum(len(f[0]) for f in found):
        return None
    i, j, ttft = (np.concatenate([f[k] for f in found]) for k in range(3))
    x, y, dollars = ratio(first.rate[i], second.rate[j], first.price[i], second.price[j])
    size = x * np.asarray(first.layout.gpus)[i] + y * np.asarray(second.layout.gpus)[j]
    order = np.lexsort((size, np.round(np.log(dollars) / TIE)))
    i, j, x, y, dollars, ttft = (np.asarray(v)[order] for v in (i, j, x, y, dollars, ttft))
    return _Pairs(first=i, second=j, n_prefill=x, n_decode=y, dollars=dollars, ttft=ttft)


def _key(rows: PoolRows, row: int) -> tuple[float, ...]:
    layout = take(rows.layout, row)
    return (*(float(getattr(layout, f.name)) for f in fields(Layout)), float(rows.precision[row]), float(rows.prompts[row]))


def _refined(
    questions: tuple[Question, Question], first: PoolRows, second: PoolRows, pairs: _Pairs, objectives: Objectives, *, keep: int = 8
) -> tuple[PoolPlan, ...]:
    """The best pairs of layouts again, with loads and batches tried one by one."""
    prefill, decode = questions
    hours = prices(prefill.machine, decode.machine)
    chosen: dict[tuple[tuple[float, ...], ...], tuple[int, int]] = {}
    for i, j in zip(pairs.first, pairs.second, strict=True):
        chosen.setdefault((_key(first, int(i)), _key(second, int(j))), (int(i), int(j)))
        if len(chosen) == keep:
            break
    found = []
    for i, j in chosen.values():
        which = int(first.precision[i])
        load = np.clip(np.linspace(first.knob[i] - 0.1, first.knob[i] + 0.1, 41), 0.02, MOST_LOAD)
        layout = take(second.layout, np.full(1, j))
        unit = float(np.asarray(layout.dp * layout.pp)[0])
        rank = second.knob[j] / unit
        spread = np.geomspace(rank / 1.5, rank * 2.05, 400)
        most = largest_ranks(decode, decode.precisions[which], layout)
        tries = np.concatenate([np.where(spread < 1, spread, np.round(spread)), [rank], most])
        batch = np.unique(tries[(tries > 0) & (tries <= max(most[0], rank))]) * unit
        one = prefill_of(prefill, decode.precisions[which], take(first.layout, i), 0.5, float(first.prompts[i]))
        wide = replace(one, layout=take(first.layout, np.full(len(load), i)), load=load)
        a = prefill_part(prefill, which, wide, np.full(len(load), first.prompts[i]), hours[0])
        b = decode_part(decode, which, take(second.layout, np.full(len(batch), j)), batch, hours[1])
        best = _pairs(questions, a, b, objectives)
        if best is not None:
            found.append(_realise(questions, a, b, best, 0))
    if not found:
        found = [_realise(questions, first, second, pairs, 0)]
    found.sort(key=lambda p: (round(np.log(pools_cost(p)) / TIE), float(p.serving.gpus)))
    return tuple(found)


def _realise(questions: tuple[Question, Question], first: PoolRows, second: PoolRows, pairs: _Pairs, row: int) -> PoolPlan:
    i, j = int(pairs.first[row]), int(pairs.second[row])
    return evaluate_pools(
        questions,
        questions[1].precisions[int(first.precision[i])],
        (take(first.layout, i), take(second.layout, j)),
        (float(pairs.n_prefill[row]), float(pairs.n_decode[row])),
        load=float(first.knob[i]),
        prompts=float(first.prompts[i]),
        batch=float(second.knob[j]),
    )


def evaluate_pools(
    questions: tuple[Question, Question],
    precision: Precision,
    both: tuple[Layout, Layout],
    replicas: tuple[float, float],
    *,
    load: float,
    prompts: float,
    batch: float,
) -> PoolPlan:
    """Two chosen pools in full: at most `load` on prefill replicas, at most `batch` sequences in decode replicas."""
    prefill, decode = questions
    first = prefill_of(prefill, precision, both[0], load, prompts, full=True)
    second = decode_of(decode, precision, both[1], batch)
    price = prices(prefill.machine, decode.machine)
    exact = float(billed_devices(both[0].gpus, prefill.machine)) * price[0] / HOUR / float(first.rate)
    full_rate = float(second.rate)
    exact += float(billed_devices(both[1].gpus, decode.machine)) * price[1] / HOUR / float(second.rate)
    rate = min(replicas[0] * float(first.rate), replicas[1] * float(second.rate))
    batch = float(batch_for(rate / replicas[1], lambda b: decode_of(decode, precision, both[1], b), batch))
    second = decode_of(decode, precision, both[1], batch, full=True)
    machines = (prefill.machine, decode.machine)
    sent = transfer(decode.model, precision, prefill.traffic.isl, machines[0], both[0], machines[1], both[1], prefill.efficiency)
    served = matched(first, second, *replicas, sent, machines, prefill.efficiency, prefill.traffic)
    return PoolPlan(
        questions=questions,
        precision=precision,
        serving=served,
        cost=pool_cost(served, machines, prefill.traffic),
        matched_exactly=exact / prefill.traffic.utilisation,
        exact_ratio=full_rate / float(first.rate),
        intervals=trust_pools(
            questions, devices=(both[0].gpus, both[1].gpus), context=prefill.traffic.isl + prefill.traffic.osl, users=served.concurrency
        ),
    )


# --- front and reasons ----------------------------------------------------------------------------------------------


def _front(questions: tuple[Question, Question], first: PoolRows, second: PoolRows, objectives: Objectives) -> tuple[ServingPoint, ...]:
    """Pairs nobody beats in speed for the user and dollars, fastest first; those that keep the TTFT, if any do."""
    pairs = _pairs(questions, first, second, replace(objectives, max_tpot=np.inf), each=True)
    if pairs is None:
        pairs = _pairs(questions, first, second, Objectives(), each=True)
    if pairs is None:
        return ()
    decode = questions[1]
    machines = tuple(q.machine for q in questions)
    per_mtok = 1e6 / (float(decode.traffic.isl) + float(decode.traffic.osl))
    points = []
    for row in _undominated(second.time[pairs.second], pairs.dollars):
        i, j, x, y = int(pairs.first[row]), int(pairs.second[row]), pairs.n_prefill[row], pairs.n_decode[row]
        a, b = take(first.layout, i), take(second.layout, j)
        gpus = float(x * a.gpus + y * b.gpus)
        rate = min(x * first.rate[i], y * second.rate[j])
        paid = x * billed_devices(a.gpus, machines[0]) + y * billed_devices(b.gpus, machines[1])
        points.append(
            ServingPoint(
                mode="disaggregated",
                machine=machine_words(questions),
                layout=f"{x:.0f} x {a.label()} : {y:.0f} x {b.label()}",
                gpus=gpus,
                batch=float(second.knob[j]),
                interactivity=float(1 / second.time[j]),
                ttft=float(pairs.ttft[row]),
                tput_per_gpu=float(rate * 1e6 / per_mtok / gpus),
                blended_mtok=float(pairs.dollars[row] * per_mtok),
                hours_mtok=float(paid / HOUR / rate / decode.traffic.utilisation * per_mtok),
                priced=all(float(m.price_per_hour) > 0 for m in machines),
            )
        )
    return tuple(points)


def machine_words(questions: tuple[Question, Question]) -> str:
    """The machines of both pools: one name where they are the same."""
    return " : ".join(dict.fromkeys(q.machine.name for q in questions))


def _nearest(questions: tuple[Question, Question], first: PoolRows, second: PoolRows, objectives: Objectives) -> PoolPlan | None:
    """The pair that misses the objectives by the smallest factor."""
    a, b = int(np.argmin(first.time + first.link)), int(np.argmin(second.time))
    worst = max(first.time[a] / objectives.max_ttft, second.time[b] / objectives.max_tpot, 1.0)
    loose = Objectives(max_ttft=objectives.max_ttft * worst * 1.05, max_tpot=objectives.max_tpot * worst * 1.05)
    pairs = _pairs(questions, first, second, loose)
    return None if pairs is None else _realise(questions, first, second, pairs, 0)


def _missed(first: PoolRows, second: PoolRows, objectives: Objectives) -> tuple[str, ...]:
    said = []
    for name, least, limit in (
        ("TPOT", float(second.time.min()), objectives.max_tpot),
        ("TTFT", float((first.time + first.link).min()), objectives.max_ttft),
    ):
        if least > limit:
            said.append(
                f"{name} of {show(limit, 's')} is out of reach in two pools: the fastest takes {show(least, 's')},"
                f" {least / limit:.2f}x as long"
            )
    return tuple(said) or ("no pair of pools meets TTFT and TPOT with the transfer between them",)
