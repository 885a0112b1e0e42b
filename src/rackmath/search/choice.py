"""One choice of layout, precision and batch, evaluated in full: what it costs, and what would make it cheaper."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..arrays import take
from ..economics.cost import HOUR, Cost, cost, request_cost
from ..economics.fleet import fleet_of
from ..layout.parallelism import Layout
from ..layout.spread import left
from ..serving.steady import Serving, steady
from ..world.machine import Machine
from ..world.precision import Precision
from .grid import Candidates, Question, price_or_time
from .trust import NEVER_FITTED, Trust, trust


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One choice, evaluated in full (scalars)."""

    question: Question
    layout: Layout
    precision: Precision
    batch: float
    serving: Serving
    cost: Cost
    intervals: Trust

    @property
    def machine(self) -> Machine:
        return self.question.machine


def plan_at(question: Question, table: Candidates, row: int) -> Plan:
    """A row of the search as a plan, recomputed as scalars with every term kept."""
    return evaluate_plan(question, take(table.layout, row), question.precisions[int(table.precision[row])], float(table.batch[row]))


def evaluate_plan(question: Question, layout: Layout, precision: Precision, batch: float) -> Plan:
    """One chosen layout, precision and batch, in full."""
    served = steady(question.replica(precision, layout), question.traffic, batch, keep=True)
    return Plan(
        question=question,
        layout=layout,
        precision=precision,
        batch=batch,
        serving=served,
        cost=cost(served, question.machine, question.traffic),
        intervals=NEVER_FITTED
        if left(layout)
        else trust(
            question, devices=layout.gpus, context=question.traffic.isl + question.traffic.osl, users=served.concurrency, dcp=layout.dcp
        ),
    )


def unit_cost(p: Plan) -> float:
    """Dollars per request of a replica at its load; device-hours where the machine has no price."""
    return float(request_cost(p.serving, p.machine, p.question.traffic, price_or_time(p.machine)))


def plan_cost(p: Plan) -> float:
    """What the search minimises: `unit_cost`, or where a fleet is asked for, the fleet's cost per request served."""
    need = p.question.need
    if need is None:
        return unit_cost(p)
    sized = fleet_of(p.serving, p.machine, p.question.traffic, need)
    return float(sized.billed) * float(price_or_time(p.machine)) / HOUR / need.rate


def movers(best: Plan) -> tuple[tuple[str, float], ...]:
    """Sensitivity of the price: relative change of cost per request with 10 % more of each resource, best first."""
    machine, base = best.machine, unit_cost(best)

    def change(q: Question) -> float:
        return unit_cost(evaluate_plan(q, best.layout, best.precision, best.batch)) / base - 1

    def with_machine(**changes: float) -> float:
        def scaled(one: Machine) -> Machine:
            cards = tuple(scaled(card) for card in one.cards)
            return replace(one, cards=cards, **{k: getattr(one, k) * f for k, f in changes.items()})

        return change(replace(best.question, machine=scaled(machine)))

    eff = best.question.efficiency
    fixed = ("launch", "step_overhead", "sequence_overhead", "host")
    leaner = replace(best.question, efficiency=replace(eff, **{name: getattr(eff, name) / 1.1 for name in fixed}))
    found = {
        "10 % more FLOP/s": with_machine(peak_bf16=1.1, peak_fp8=1.1, peak_fp4=1.1, peak_int8=1.1),
        "10 % more HBM bandwidth": with_machine(hbm_bandwidth=1.1),
        "10 % faster links": with_machine(scaleup_bandwidth=1.1, scaleout_bandwidth=1.1),
        "10 % less launch and step overhead": unit_cost(evaluate_plan(leaner, best.layout, best.precision, best.batch)) / base - 1,
    }
    if left(best.layout):
        found["10 % more bandwidth of the host's memory"] = with_machine(host_bandwidth=1.1)
        found["10 % more FLOP/s of the host"] = with_machine(host_compute=1.1)
    return tuple(sorted(found.items(), key=lambda item: item[1]))
