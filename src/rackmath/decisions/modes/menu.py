"""The menu: tokens per second for a user against dollars per million output tokens, at cost.

Every offer is a steady state of some replica, so speed, memory and prefill are those of `plan`. Around a normal mode
lie what its own replica reaches by batch alone, what other layouts of as many devices reach, and what two and four
times the devices do; each with and without speculative decoding, which keeps `per_pass` of `width` tokens that a
pass computes for each sequence (B (d + 1) tokens in all).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...arrays import Number, take
from ...economics.cost import cost
from ...errors import Infeasible
from ...layout.parallelism import Layout
from ...search.choice import Plan, evaluate_plan
from ...search.grid import CUTS, Column, Question, layouts, with_batches
from ...search.plan import plan
from ...serving.speculative import speculation_keeping
from ...serving.steady import Serving, steady
from ...world.precision import Precision
from ...world.workload import Objectives


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """The best offers of one kind of replica, slowest and cheapest first: nothing here is both faster and cheaper.

    Columns: tokens per second per user, $/M output and input tokens, sequences in a replica.
    """

    name: str
    gpus: float
    per_pass: float
    interactivity: Column
    output_mtok: Column
    input_mtok: Column
    batch: Column
    labels: tuple[str, ...]

    def at(self, speed: float) -> int | None:
        """The cheapest offer of at least `speed` tokens per second; None beyond the fastest."""
        row = int(np.searchsorted(self.interactivity, speed * (1 - 1e-9)))
        return row if row < len(self.interactivity) else None

    @property
    def fastest(self) -> float:
        return float(self.interactivity[-1]) if len(self.interactivity) else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Menu:
    """A normal mode and the offers around it.

    `same` is the normal replica with other batches, `series` every kind of replica. `slow_limit_mtok`: the output
    cost of the normal replica at a batch without end, were memory unlimited.
    """

    normal: Plan
    same: Offers
    series: tuple[Offers, ...]
    slow_limit_mtok: float
    per_pass: float
    width: float

    @property
    def speed(self) -> float:
        """Tokens per second per user of the normal mode."""
        return float(self.normal.serving.interactivity)

    @property
    def output_mtok(self) -> float:
        return float(self.normal.cost.output_mtok)

    @property
    def input_mtok(self) -> float:
        return float(self.normal.cost.input_mtok)

    @property
    def cache_over_weights(self) -> float:
        """Seconds of a decode pass held by the cache over seconds held by the weights."""
        shares = self.normal.serving.decode.shares
        return float(shares["cache"]) / max(float(shares["weights"]), 1e-300)

    @property
    def plain(self) -> tuple[Offers, ...]:
        """The offers without speculation."""
        return tuple(s for s in self.series if s.per_pass == 1)

    @property
    def every(self) -> tuple[Offers, ...]:
        """Batch alone first, then every kind of replica."""
        return (self.same, *self.series)

    @property
    def multiples(self) -> list[float]:
        """Round speed multiples that some offer reaches."""
        most = max(o.fastest for o in self.every) / self.speed
        return [k for k in MULTIPLES if k <= most]

    def multiple(self, offers: Offers, speed_ratio: float) -> float | None:
        """Price at cost over the normal mode's, for output at `speed_ratio` times its speed; None if out of reach."""
        row = offers.at(speed_ratio * self.speed)
        return None if row is None else float(offers.output_mtok[row]) / self.output_mtok

    def input_multiple(self, offers: Offers, speed_ratio: float) -> float | None:
        """The same offer's input cost over the normal mode's."""
        row = offers.at(speed_ratio * self.speed)
        return None if row is None else float(offers.input_mtok[row]) / self.input_mtok

    def saving(self, offers: Offers) -> float:
        """The most a slower mode can save: one minus the cheapest offer over the normal mode."""
        return max(0.0, 1 - float(offers.output_mtok.min(initial=math.inf)) / self.output_mtok)

    @property
    def saving_without_end(self) -> float:
        """The most a slower mode would save if memory had no end."""
        return max(0.0, 1 - self.slow_limit_mtok / self.output_mtok)

    def surcharge(self, offers: Offers, price_ratio: float, speed_ratio: float) -> float | None:
        """The price ratio asked over the one that cost explains at that speed."""
        at_cost = self.multiple(offers, speed_ratio)
        return None if at_cost is None else price_ratio / at_cost


MULTIPLES = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0)
"""Speeds of a fast mode over the normal one that are tabulated, as far as any offer reaches."""

CHIPS = (1, 2, 4)
"""Devices per replica over those of the normal mode."""


FINE_BATCHES = tuple(np.unique(np.round(np.geomspace(1, 4096, 96))).tolist())
"""Sequences per rank and micro-batch on the menu: close enough that prices do not jump."""


def normal_plan(question: Question, speed: float) -> Plan:
    """The cheapest plan that gives each user `speed` tokens per second."""
    found = plan([question], Objectives(max_tpot=1 / speed))
    if found.best is None:
        why = "; ".join(found.reasons)
        raise Infeasible(f"no plan gives {speed:g} tok/s/user on {question.machine.name}: {why}")
    return found.best


def menu(normal: Plan, *, per_pass: float = 1.0, width: float = 1.0, chips: Sequence[int] = CHIPS) -> Menu:
    """The offers around a normal mode; with `per_pass` above 1 each kind of replica again with speculation."""
    same, limit = _same_replica(normal)
    series = []
    for times in chips:
        many, every = _replicas(normal, times)
        for keeps, computes in ((1.0, 1.0), (per_pass, width)) if per_pass > 1 else ((1.0, 1.0),):
            series.append(_offers(normal, many, every, times, keeps, computes))
    return Menu(normal=normal, same=same, series=tuple(series), slow_limit_mtok=limit, per_pass=per_pass, width=width)


def _replicas(normal: Plan, times: int) -> tuple[Question, Layout]:
    """The question on enough devices, and every legal layout of exactly `times` the normal replica's."""
    q = normal.question
    wanted = float(normal.layout.gpus) * times
    machine = q.machine
    if wanted > machine.n_devices:
        machine = replace(machine, n_devices=wanted)
    every = layouts(q.model, machine, wanted)
    rows = np.flatnonzero(np.asarray(every.gpus) == wanted)
    return replace(q, machine=machine, max_gpus=wanted), take(every, rows)


def _offers(normal: Plan, many: Question, every: Layout, times: int, per_pass: float, width: float) -> Offers:
    gpus = float(normal.layout.gpus) * times
    name = f"{gpus:.0f} {'device' if gpus == 1 else 'devices'}"
    if per_pass > 1:
        name += f", {per_pass:g} tokens per pass"
    if not len(np.asarray(every.tp)):
        none = np.zeros(0)
        return Offers(name=name, gpus=gpus, per_pass=per_pass, interactivity=none, output_mtok=none, input_mtok=none, batch=none, labels=())
    layout, batch = with_batches(many, normal.precision, every, FINE_BATCHES)
    if times == 1:  # the normal mode itself is on its own menu
        n = len(batch)
        own = {f: np.append(np.broadcast_to(getattr(layout, f), n), float(getattr(normal.layout, f))) for f in CUTS}
        layout, batch = Layout(**own), np.append(batch, normal.batch)
    return _best(many, normal.precision, layout, batch, name, gpus, per_pass, width)


def _same_replica(normal: Plan, points: int = 300) -> tuple[Offers, float]:
    """The normal replica at every batch that fits, and its output cost at a batch without end."""
    one = normal.layout
    unit = float(one.pp)
    room = float(normal.serving.footprint.batch_max)
    most = max(room, normal.batch, 1.0)
    batch = np.unique(np.append(np.round(np.geomspace(1, most / unit, points)) * unit, normal.batch))
    same = Layout(**{f: np.full(len(batch), float(getattr(one, f))) for f in CUTS})
    name = f"batch alone, {one.label()}"
    offers = _best(normal.question, normal.precision, same, batch, name, float(one.gpus), 1.0, 1.0)
    endless = evaluate_plan(normal.question, one, normal.precision, 1e7 * unit * float(one.dp))
    served = endless.serving
    rental = float(endless.cost.replica_hour) / 3600 / normal.question.traffic.utilisation
    seconds = float(served.tpot) * float(served.decode_share) / endless.batch  # of the replica, for a decoded token
    per_token = (float(normal.question.traffic.osl) - 1) / float(normal.question.traffic.osl)
    return offers, rental * seconds * per_token * 1e6


def _best(
    question: Question, precision: Precision, layout: Layout, batch: Column, name: str, gpus: float, per_pass: float, width: float
) -> Offers:
    """Rows that fit and keep pace, without those that another beats in speed and price."""
    replica = replace(question.replica(precision, layout), speculation=speculation_keeping(per_pass, width))
    served: Serving = steady(replica, question.traffic, batch)
    dollars = cost(served, question.machine, question.traffic)
    good = np.asarray(served.fits) & np.asarray(served.keeps_pace)

    def column(value: Number) -> Column:
        return np.broadcast_to(np.asarray(value, dtype=float), (len(batch),))

    speed, output = column(served.interactivity), column(dollars.output_mtok)
    rows = np.flatnonzero(np.broadcast_to(good, (len(batch),)))
    rows = rows[np.lexsort((output[rows], -speed[rows]))]  # fastest first
    cheapest = np.minimum.accumulate(output[rows]) if len(rows) else output[rows]
    keep = np.concatenate([[True], cheapest[1:] < cheapest[:-1]]) if len(rows) else np.zeros(0, dtype=bool)
    rows = rows[keep][::-1]
    return Offers(
        name=name,
        gpus=gpus,
        per_pass=per_pass,
        interactivity=speed[rows],
        output_mtok=output[rows],
        input_mtok=column(dollars.input_mtok)[rows],
        batch=batch[rows],
        labels=tuple(f"{take(layout, int(r)).label()}, batch {batch[r]:,.0f}" for r in rows),
    )
