"""What a FLOP of training and a token served cost on a machine, from this tool's own searches."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...economics.cost import HOUR, MTOK
from ...search.choice import Plan
from ...search.train import JobPlan
from ...world.machine import Machine
from ...world.workload import Objectives, Traffic
from .family import Member, counted, serving, serving_precision, training
from .split import SERVE_FLOPS, TRAIN_FLOPS, Problem, equal

ROUNDS = 2
"""Where nothing fixes the model's size, it is found with the usual rates first and again with the machine's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """The run and the plan behind a machine's rates, of a dense model of the size asked about."""

    run: JobPlan
    plan: Plan
    params: float


def on_machine(of: Problem, machine: Machine, traffic: Traffic, objectives: Objectives) -> tuple[Problem, Rates]:
    """The problem with a machine's own MFU, relative efficiency of decoding and weights of input and cached tokens.

    MFU is that of money: FLOP trained over the peak of all devices paid for. Efficiency is what a FLOP of training
    costs over what one of decoding does.
    """
    for _ in range(ROUNDS if of.active is None else 1):
        params = float(equal(of).params)
        model = Member(active=params, expansion=1, kv="gqa").model
        run = training(model, machine)
        plan = serving(model, machine, traffic, objectives, serving_precision(machine))
        active = counted(model)
        per_flop = run.dollars / run.job.tokens / (TRAIN_FLOPS * active)
        output = float(plan.cost.output_mtok) / MTOK
        peak, hour = float(machine.peak("bf16")), float(machine.price_per_hour)
        of = replace(
            of,
            per_hour=hour,
            peak=peak,
            mfu=hour / HOUR / (peak * per_flop),
            efficiency=SERVE_FLOPS * active * per_flop / output,
            input_weight=float(plan.cost.input_mtok) / MTOK / output,
            cached_weight=float(plan.cost.cache_read_mtok) / MTOK / output,
        )
    return of, Rates(run=run, plan=plan, params=active)
