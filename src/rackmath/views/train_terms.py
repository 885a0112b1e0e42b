"""The terms of a training run: a step by cause, memory by what it holds, and what the run costs."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from ..answers.terms import Term, count, product, quotient, stated
from ..economics.cost import billed_devices
from .machine_terms import of_machine

if TYPE_CHECKING:
    from ..search.train import JobPlan
    from ..training.memory import StageMemory

SAID = {
    "forward": "kernels of the forward pass, slowest stage",
    "input_grad": "gradients of inputs",
    "weight_grad": "gradients of weights",
    "recompute": "computed a second time",
    "vocabulary": "embedding, head and loss",
    "imbalance": "the busiest expert rank",
    "host": "waiting for launches",
    "tp": "tensor-parallel collectives that nothing hides",
    "ep": "experts' exchange that nothing hides",
    "cp": "context-parallel collectives that nothing hides",
    "hops": "hand-overs between stages",
    "bubble": "idle at the ends of the pipeline",
    "dp": "gradients and weights that nothing hides",
    "optimizer": "the update",
    "straggler": "waiting for the slowest device",
}


def terms(r: JobPlan) -> Term:
    """The run as terms."""
    c = r.job.constants
    constants = tuple(
        Term(name=f.name, value=float(getattr(c, f.name)), source=f"data/training*.toml, framework {c.name}")
        for f in fields(c)
        if f.name != "name"
    )
    return Term(
        name=f"training {r.job.model.name} on {r.job.machine.name}: {r.layout.label()}",
        children=(_step(r), _memory(r), *_bill(r), Term(name="constants of the software", children=constants)),
    )


def _step(r: JobPlan) -> Term:
    parts = tuple(Term(name=SAID[k], value=float(v), unit="s") for k, v in r.step.terms.items())
    bound = Term(name="bound of a step", value=float(r.step.bound), unit="s", note="no term of it is fitted")
    step = stated("sum", "step", r.seconds, "s", *parts)
    return Term(name="a step and its bound", children=(step, bound))


def _memory(r: JobPlan) -> Term:
    m = r.memory

    def one(name: str, s: StageMemory) -> Term:
        parts = ("weights", "gradients", "optimizer", "activations", "buffers")
        return stated("sum", name, float(s.total), "B", *(Term(name=p, value=float(getattr(s, p)), unit="B") for p in parts))

    return Term(
        name="memory",
        children=(
            one("first stage", m.first),
            one("second stage", m.second),
            one("last stage", m.last),
            Term(name="fragmentation", value=m.fragmentation),
            Term(name="reserved by the runtime", value=m.reserved, unit="B"),
            Term(name="fullest device", value=float(m.peak), unit="B"),
        ),
    )


def _goodput(r: JobPlan) -> Term:
    lost = r.lost
    if lost is None:
        return Term(name="goodput", value=r.goodput, unit="share", source="given")
    return stated(
        "difference",
        "goodput",
        r.goodput,
        "share",
        count("all of the time", 1.0),
        Term(
            name="restarts after failures",
            value=float(lost.restarting),
            unit="share",
            source="Llama 3 405B: 419 interruptions of 16,384 devices in 54 days (arXiv 2407.21783)",
        ),
        Term(name="steps repeated since the last checkpoint", value=float(lost.repeating), unit="share"),
        Term(name="writing checkpoints", value=float(lost.saving), unit="share", note="10 s each, an assumption"),
    )


def _bill(r: JobPlan) -> tuple[Term, ...]:
    steps = quotient("steps", "", count("tokens", r.job.tokens), count("tokens of a step", float(r.job.batch.tokens)))
    step = Term(name="step", value=r.seconds, unit="s")
    worked = product("seconds of steps", "s", steps, step)
    whole = quotient("seconds of the run", "s", worked, _goodput(r))
    days = stated("quotient", "days", r.days, "", whole, count("seconds of a day", 86400.0))
    if not r.dollars:
        return (days,)
    devices = count("devices billed", float(billed_devices(r.devices, r.job.machine)))
    price = of_machine(r.job.machine, "price_per_hour", "price of a device")
    hours = quotient("hours", "", whole, count("seconds of an hour", 3600.0))
    return days, stated("product", "cost", r.dollars, "$", devices, price, hours)
