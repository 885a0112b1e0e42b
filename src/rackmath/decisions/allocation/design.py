"""The cheapest architecture of a given quality: training and serving together, in dollars, on one kind of machine.

A law turns quality into loss, and for every member of a family the loss into the tokens it must be trained on. What
those tokens cost comes from the training search, what serving costs from the planner. Members that no number of
tokens brings to the loss fall out.

Experts are worth effective parameters by a routed law; kinds of cache are taken to be equally good, since no law
tells them apart. Far beyond the runs behind the laws their exponents drift (`scaling.drift`): the same draws go
through all candidates, which gives each an interval and each kind the share of draws in which it is the cheapest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from ... import shipped
from ...arrays import Number
from ...economics.cost import HOUR
from ...errors import BadInput, Infeasible
from ...scaling import drift
from ...scaling.forms import crossing, effective, leverage
from ...scaling.laws import Law, beyond, law
from ...scaling.points import GRANULARITY, WORTHS, loss
from ...search.choice import Plan
from ...search.train import JobPlan
from ...world.machine import Machine
from ...world.model import Model
from ...world.precision import Precision
from ...world.workload import Objectives, Traffic
from .family import KINDS, VOCAB, Member, counted, serving, shape, training
from .split import MONTH, usable

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
    raw = shipped.read(shipped.FACTS / "trained_tokens.toml")
    return {row["name"]: Trained(**row) for row in raw["model"]}


def tokens_of(model: Model, given: float | None) -> tuple[float, str]:
    """The tokens a model was trained on, and who says so; refused where neither the question nor the data does."""
    if given is not None:
        return float(given), "given"
    found = trained().get(model.name)
    if found is None:
        raise BadInput(f"the tokens that {model.name} was trained on are not known here; give them, like --tokens 15T")
    return found.tokens, found.source


def dense_law(name: str) -> Law:
    """A law of dense models that splits compute."""
    found = usable(law(name))
    if found.active != 1:
        raise BadInput(f"{name} counts parameters {found.params}, so it speaks of no dense model; ask besiroglu, hoffmann or sardana")
    return found


def routed_law(name: str) -> Law:
    """A law that says what experts are worth."""
    found = law(name)
    if found.form not in WORTHS:
        raise BadInput(f"{name} knows no experts; ask tian, clark-s-base, clark-rl-r or clark-hash")
    return found


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
    run: JobPlan
    plan: Plan
    training: float
    serving: float

    @property
    def total(self) -> float:
        return self.training + self.serving

    @property
    def kind(self) -> str:
        """What it is but for its size: "8 of 256 experts, mla"."""
        return self.member.label.partition(" ")[2] if self.member else self.model.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """The candidates, cheapest first, the model itself if it can be run, and what fell out by its reason.

    `ends`: 5 to 95 % of each candidate's dollars over draws of the laws; `shares`: by kind, in how many of the draws
    one of it is the cheapest. `worths`: at the best routed candidate, what experts are worth over its active
    parameters, by several laws.
    """

    need: Need
    loss: float
    candidates: tuple[Candidate, ...]
    reference: Candidate | None
    ends: tuple[tuple[float, float], ...]
    shares: dict[str, float]
    worths: dict[str, float]
    fell_out: dict[str, int]
    weak: tuple[str, ...]

    @property
    def best(self) -> Candidate:
        return self.candidates[0]

    def best_of(self, *, routed: bool) -> Candidate | None:
        """The cheapest with experts, or without."""
        return next((c for c in self.candidates if c.member and (c.member.expansion > 1) == routed), None)


DRAWS = 500
"""Draws of the laws behind the intervals."""

ROUTERS = ("tian", "clark-s-base")
"""Laws of what experts are worth that are told beside each other."""


def worth(routed: Law, model: Model, tokens: Number) -> Number:
    """Effective parameters by a routed law; the active ones where it says that experts add nothing."""
    active, used = counted(model), experts_of(model)
    if used is None:
        return active + 0 * tokens
    expansion, activation, granularity = used
    if routed.form == "routed":
        return np.maximum(effective(routed.coefficients, active, expansion), active) + 0 * tokens
    return active * np.maximum(leverage(routed.coefficients, activation, granularity, 6 * active * tokens), 1.0)


def experts_of(model: Model) -> tuple[float, float, float] | None:
    """Experts over those routed to, share of them (shared ones too) that work on a token, and 2 d_model / d_expert.

    None for a dense model.
    """
    found = [
        (
            f.n_experts / f.top_k,
            (f.top_k + f.n_shared) / (f.n_experts + f.n_shared),
            2 * float(model.d_model) / f.d_expert if f.d_expert else GRANULARITY,
        )
        for f in (g.ffn for g in model.groups)
        if f is not None and f.n_experts
    ]
    return max(found, default=None)


def tokens_to(of: Law, routed: Law, model: Model, target: Number) -> Number:
    """Tokens that bring a model to a loss, what its experts are worth growing with them; NaN where none do."""
    return crossing(lambda d: loss(of, worth(routed, model, d), d), target, rising=False)


def design(need: Need) -> Design:
    """The cheapest members of the family at the loss of the model given.

    Sizes run from just above the smallest that can reach the loss to one and a half times the model's effective own.
    """
    own = float(worth(need.routed, need.model, need.tokens))
    target = float(loss(need.law, own, need.tokens))
    fell: dict[str, int] = {}
    found: list[Candidate] = []
    cheapest: dict[int, float] = {}
    for least, member, worthy, tokens in _by_floor(need, own, target, fell):
        if least > cheapest.get(member.expansion, math.inf):
            _count(fell, "at full peak it would cost more than the cheapest of its experts does")
            continue
        try:
            found.append(candidate(need, member, member.model, worthy, tokens))
            cheapest[member.expansion] = min(cheapest.get(member.expansion, math.inf), found[-1].total)
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
    ends, shares = _sure(need, own, found)
    return Design(
        need=need,
        loss=target,
        candidates=tuple(found),
        reference=reference,
        ends=ends,
        shares=shares,
        worths=_worths(need, found),
        fell_out=fell,
        weak=_weak(need, found[0], own),
    )


def _by_floor(need: Need, own: float, target: float, fell: dict[str, int]) -> list[tuple[float, Member, float, float]]:
    """Members that reach the loss: floor of the cost, member, effective parameters and tokens, lowest floor first."""
    found = []
    for member in _members(need, own, target):
        tokens = float(tokens_to(need.law, need.routed, member.model, target))
        if not np.isfinite(tokens):
            _count(fell, "no number of tokens brings it to the loss")
        else:
            worthy = float(worth(need.routed, member.model, tokens))
            found.append((floor(need, counted(member.model), tokens), member, worthy, tokens))
    return sorted(found, key=lambda one: one[0])


def _sure(need: Need, own: float, found: list[Candidate]) -> tuple[tuple[tuple[float, float], ...], dict[str, float]]:
    """5 to 95 % of each candidate's dollars, and in what share of the draws each kind has the cheapest.

    Every candidate is given the tokens that bring it to the loss the model has under the draw.
    """
    most = max(c.tokens for c in found)
    of = drift.wider(need.law, drift.edge(need.law, own, most), DRAWS) or need.law
    far = max(6 * c.active * c.tokens for c in found)
    edge = drift.edge(need.routed, max(c.active for c in found), np.nan, far)
    routed = drift.wider(need.routed, edge, DRAWS, seed=1) or need.routed
    target = loss(of, worth(routed, need.model, need.tokens), need.tokens)
    tokens = [tokens_to(of, routed, c.model, target) for c in found]
    spent = [c.training / c.tokens * np.atleast_1d(d) + c.serving for c, d in zip(found, tokens, strict=True)]
    totals = np.where(np.isnan(spent), np.inf, np.array(spent))
    low, high = np.quantile(totals, [0.05, 0.95], axis=1, method="inverted_cdf")
    first = np.argmin(totals, axis=0)
    shares: dict[str, float] = {c.kind: 0.0 for c in found}
    for index in first:
        shares[found[index].kind] += 1 / len(first)
    return tuple(zip(low.tolist(), high.tolist(), strict=True)), shares


def _worths(need: Need, found: list[Candidate]) -> dict[str, float]:
    """What experts are worth over active parameters, by each law that knows, at the cheapest routed candidate."""
    best = next((c for c in found if c.member is not None and c.member.expansion > 1), None)
    if best is None:
        return {}
    named = dict.fromkeys((need.routed.name, *ROUTERS))
    return {name: float(worth(law(name), best.model, best.tokens)) / best.active for name in named}


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
        member=member,
        model=model,
        active=counted(model),
        effective=effective,
        tokens=tokens,
        run=run,
        plan=served,
        training=run.dollars / run.job.tokens * tokens,
        serving=float(served.cost.request) * need.requests,
    )


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
        for ratio in (_gain(need, own, expansion),)
        for size in sizes
        for kind in need.kinds
    ]


def _gain(need: Need, own: float, expansion: int) -> float:
    """About what so many experts are worth over active parameters, for the sizes to try."""
    ratio = 1.0
    for _ in range(3 if expansion > 1 else 0):
        member = Member(active=own / ratio, expansion=expansion, kv="gqa").model
        ratio = float(worth(need.routed, member, need.tokens)) / counted(member)
    return ratio


def _count(found: dict[str, int], reason: str) -> None:
    found[reason] = found.get(reason, 0) + 1


def _weak(need: Need, best: Candidate, own: float) -> tuple[str, ...]:
    """Where the laws are weak for this answer."""
    said = []
    sizes = {
        "params": np.array([own, best.effective]),
        "tokens": np.array([need.tokens, best.tokens]),
        "tokens_per_param": np.array([need.tokens / own, best.tokens / best.effective]),
    }
    outside = beyond(need.law, sizes)
    if outside:
        said.append(f"{need.law.name} is extrapolated ({'; '.join(outside)})")
    if any(e > 1 for e in need.expansions):
        apart = beyond(need.routed, {"params": best.active, "flops": 6 * best.active * best.tokens})
        where = f" ({'; '.join(apart)})" if apart else ""
        said.append(f"what experts are worth rests on {need.routed.name} alone{where}")
    said.append("laws are of fresh text: tokens beyond what exists must repeat or be made, and are worth less")
    if len(need.kinds) > 1:
        said.append("kinds of cache count as equally good: no law tells them apart")
    return tuple(said)
