"""The cheapest architecture of a given quality: training and serving together, in dollars, on one kind of machine.

A law turns quality into loss, and for every member of a family the loss into the tokens it must be trained on. What
those tokens cost comes from the training search, what serving costs from the planner. Members that no number of
tokens brings to the loss fall out.

Experts are worth effective parameters by a routed law, which says nothing of tokens and was fitted on small models;
kinds of cache are taken to be equally good, since no law tells them apart.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

from ..economics.cost import HOUR
from ..errors import BadInput, Infeasible
from ..scaling.forms import effective
from ..scaling.laws import Law, beyond, inside
from ..scaling.points import loss, tokens_for
from ..search.plan import Plan
from ..search.train import Run
from ..world.machine import Machine
from ..world.model import Model
from ..world.precision import Precision
from ..world.workload import Objectives, Traffic
from .allocation import MONTH
from .family import KINDS, VOCAB, Member, counted, serving, shape, training

EXPANSIONS = (1, 8, 32)
SIZES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A model and the tokens it was trained on, with where that is said."""

    name: str
    tokens: float
    source: str


@cache
def trained() -> dict[str, Trained]:
    """Models whose training tokens are published."""
    raw = tomllib.loads((files("rackmath") / "data" / "trained_tokens.toml").read_text(encoding="utf-8"))
    return {row["name"]: Trained(**row) for row in raw["model"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Quality, traffic and machine. `rate`: tokens per second of every kind; `tokens` that `model` was trained on."""

    model: Model
    tokens: float
    law: Law
    routed: Law
    machine: Machine
    traffic: Traffic
    objectives: Objectives
    precision: Precision
    rate: float
    months: float
    kinds: tuple[str, ...] = KINDS
    expansions: tuple[int, ...] = EXPANSIONS

    @property
    def requests(self) -> float:
        """Requests over all months."""
        return self.rate * self.months * MONTH / float(self.traffic.isl + self.traffic.osl)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One architecture of the quality asked for. `effective`: parameters of the dense model it is worth."""

    member: Member | None  # None: the model the quality is taken from
    model: Model
    active: float
    effective: float
    tokens: float
    run: Run
    plan: Plan
    training: float
    serving: float

    @property
    def total(self) -> float:
        return self.training + self.serving


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """The candidates, cheapest first, the model itself if it can be run, and what fell out by its reason."""

    need: Need
    loss: float
    candidates: tuple[Candidate, ...]
    reference: Candidate | None
    fell_out: dict[str, int]
    weak: tuple[str, ...]

    @property
    def best(self) -> Candidate:
        return self.candidates[0]


def worth(need: Need, active: float, expansion: float) -> float:
    """Effective parameters by the routed law; the active ones where it says that experts add nothing."""
    if expansion <= 1:
        return active
    return max(float(effective(need.routed.coefficients, active, expansion)), active)


def expansion_of(model: Model) -> float:
    """Experts over those a token is routed to; 1 for a dense model."""
    return max((float(g.ffn.n_experts / g.ffn.top_k) for g in model.groups if g.ffn and g.ffn.n_experts), default=1.0)


def design(need: Need, *, extrapolate: bool = False) -> Design:
    """The cheapest members of the family at the loss of the model given.

    Sizes run from just above the smallest that can reach the loss to one and a half times the model's effective own.
    """
    active = counted(need.model)
    own = worth(need, active, expansion_of(need.model))
    target = float(loss(need.law, own, need.tokens, extrapolate=extrapolate))
    fell: dict[str, int] = {}
    found = []
    cheapest = math.inf
    for least, member, worthy, tokens in _by_floor(need, own, target, fell, extrapolate=extrapolate):
        if least > cheapest:
            _count(fell, "at full peak it would cost more than the cheapest does")
            continue
        try:
            found.append(candidate(need, member, member.model, worthy, tokens))
            cheapest = min(cheapest, found[-1].total)
        except Infeasible as error:
            _count(fell, str(error).partition(": ")[2].partition(";")[0])
    if not found:
        why = max(fell, key=lambda k: fell[k], default="nothing was tried")
        raise Infeasible(f"no architecture of the family serves here: {why}; give another machine or lower speed")
    try:
        reference = candidate(need, None, need.model, own, need.tokens)
    except Infeasible:
        reference = None
    found.sort(key=lambda c: c.total)
    return Design(
        need=need, loss=target, candidates=tuple(found), reference=reference, fell_out=fell,
        weak=_weak(need, found[0], own),
    )  # fmt: skip


def _by_floor(
    need: Need, own: float, target: float, fell: dict[str, int], *, extrapolate: bool
) -> list[tuple[float, Member, float, float]]:
    """Members that reach the loss: floor of the cost, member, effective parameters and tokens, lowest floor first."""
    found = []
    for member in _members(need, own, target):
        active = counted(member.model)
        worthy = worth(need, active, member.expansion)
        tokens = float(tokens_for(need.law, target, worthy, extrapolate=True).tokens)
        if not np.isfinite(tokens):
            _count(fell, "no number of tokens brings it to the loss")
        elif not (extrapolate or _known(need, active, member.expansion, worthy, tokens)):
            _count(fell, "beyond the runs of the laws; --extrapolate asks them all the same")
        else:
            found.append((floor(need, active, tokens), member, worthy, tokens))
    return sorted(found, key=lambda one: one[0])


def _known(need: Need, active: float, expansion: float, worthy: float, tokens: float) -> bool:
    """Whether a member lies within the runs of the laws that speak of it."""
    dense = inside(need.law, {"params": worthy, "tokens": tokens, "tokens_per_param": tokens / worthy})
    return bool(dense) and (expansion <= 1 or bool(inside(need.routed, {"params": active, "experts": expansion})))


def floor(need: Need, active: float, tokens: float) -> float:
    """Dollars below which no layout gets: products of weights alone, at the peak of the machine's fastest format."""
    fresh = float(need.traffic.isl) * (1 - float(need.traffic.cached)) + float(need.traffic.osl)
    m = need.machine
    peak = max(float(m.peak(kind)) for kind in ("bf16", "fp8", "fp4") if kind == "bf16" or m.multiplies(kind))
    embedded = 2 * VOCAB * shape(active)[1]  # looked up, or multiplied once for a whole prompt
    flops = (active - embedded) * (6 * tokens / float(m.peak("bf16")) + 2 * fresh * need.requests / peak)
    return flops / HOUR * float(m.price_per_hour)


def candidate(need: Need, member: Member | None, model: Model, effective: float, tokens: float) -> Candidate:
    """One model in dollars, training and serving."""
    served = serving(model, need.machine, need.traffic, need.objectives, need.precision)
    run = training(model, need.machine)
    return Candidate(
        member=member, model=model, active=counted(model), effective=effective, tokens=tokens, run=run, plan=served,
        training=run.dollars / run.job.tokens * tokens, serving=float(served.cost.request) * need.requests,
    )  # fmt: skip


def _members(need: Need, own: float, target: float) -> list[Member]:
    terms = need.law.family.terms
    if terms is None:
        raise BadInput(f"{need.law.name} does not tell parameters from tokens; ask besiroglu, hoffmann or sardana")
    t = terms(need.law.coefficients, need.law.family.inputs)
    least = float((t.A / t.above(target)) ** (1 / t.alpha))
    sizes = np.geomspace(1.1 * least, 1.5 * own, SIZES)
    if not sizes[0] < sizes[-1]:
        raise Infeasible(f"only models of more than {least:.3g} parameters reach a loss of {target:.4g}")
    return [
        Member(active=float(size) / ratio, expansion=expansion, kv=kind)
        for expansion in need.expansions
        for ratio in (worth(need, float(own), expansion) / own,)
        for size in sizes
        for kind in need.kinds
    ]


def _count(found: dict[str, int], reason: str) -> None:
    found[reason] = found.get(reason, 0) + 1


def _weak(need: Need, best: Candidate, own: float) -> tuple[str, ...]:
    """Where the laws are weak for this answer."""
    said = []
    sizes = {"params": np.array([own, best.effective]), "tokens": np.array([need.tokens, best.tokens])}
    outside = beyond(need.law, sizes)
    if outside:
        said.append(f"{need.law.name} is extrapolated ({'; '.join(outside)})")
    if any(e > 1 for e in need.expansions):
        apart = beyond(need.routed, {"params": best.active})
        where = f" ({'; '.join(apart)})" if apart else ""
        said.append(
            f"what experts are worth is {need.routed.name}'s word{where}: fitted on one expert at a time and 130 B"
            " tokens; later laws find more"
        )
    said.append("laws are of fresh text: tokens beyond what exists must repeat or be made, and are worth less")
    if len(need.kinds) > 1:
        said.append("kinds of cache count as equally good: no law tells them apart")
    return tuple(said)
