"""Prices read backwards, all at once: what a price list says about the model, the machine and the margin behind it.

Suppositions are drawn from the beliefs (`beliefs`), each is a provider with costs (`provider`), and weighed by how
likely the list is under it (`likelihood`): importance sampling, with the effective sample size that says how far to
trust it. What the prices gave on an unknown is counted in bits: the divergence of the posterior from the prior.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arrays import Number
from ...errors import BadInput, Infeasible, RackmathError
from .beliefs import Beliefs, Draws, beliefs, check_sizes, draw
from .likelihood import Margins, Observation, Residuals, log_likelihood, margins, misfit, residuals
from .sampling import Proposal, adapted, effective

DRAWS = 2_000_000
CHUNK = 32_768
ROUNDS = 4
PLENTY = 0.03  # share of draws that count above which it does not pay to draw from anything but the prior
MISFIT = 5.0  # deviations of squared deviations beyond which prices and beliefs do not go together
LEAST = 400.0  # effective draws below which no answer is given
BINS = np.concatenate([[0.001, 0.004, 0.01], np.linspace(0.025, 0.975, 39), [0.99, 0.996, 0.999]])  # ends, of the prior
SOME = 100_000  # draws from which quantiles of the prior are taken
OUTPUT_SHARE = 0.125  # output tokens of a request over its input tokens, for the blended margin
KNOWN_WITHIN = {"batch": 0.05, "margin": 0.06}  # known consequences hold within so much, as logarithms of x and price/cost

Column = NDArray[np.float64]

UNKNOWNS: Mapping[str, tuple[str, str]] = {
    "active_params": ("count", "active parameters"),
    "total_params": ("count", "total parameters"),
    "kv_bytes": ("bytes", "cache bytes per token"),
    "layers": ("count", "layers"),
    "price_per_hour": ("$/h", "price of a device hour"),
    "batch": ("count", "sequences in a pass"),
    "speed": ("1/s", "tok/s of a user"),
    "context": ("count", "tokens of a request"),
    "idle": ("share", "idle share of hours"),
    "margin": ("share", "gross margin of a request"),
    "margin_input": ("share", "gross margin on input"),
    "margin_output": ("share", "gross margin on output"),
}
"""What is answered with an interval: dimension and words."""

CHOICES: Mapping[str, str] = {
    "kind": "dense or experts",
    "attention": "attention",
    "weights": "weight format",
    "cache": "cache format",
    "hardware": "hardware",
    "hold": "where cached prefixes lie",
}
"""What is answered with odds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Posterior:
    """One unknown before and after: quantiles at 5, 25, 50, 75 and 95 %, bits that the prices gave, and a histogram.

    `edges` bound the bins of `before` and `after`, which are shares of probability. `known` where it was given.
    """

    name: str
    unit: str
    says: str
    prior: tuple[float, ...]
    posterior: tuple[float, ...]
    bits: float
    edges: Column
    before: Column
    after: Column
    known: bool = False

    @property
    def low(self) -> float:
        return self.posterior[0]

    @property
    def median(self) -> float:
        return self.posterior[2]

    @property
    def high(self) -> float:
        return self.posterior[4]

    @property
    def sharpness(self) -> float:
        """Width of the 90 % interval over the prior's, in logarithms where both are positive."""
        ends = (self.low, self.high, self.prior[0], self.prior[4])
        if min(ends) > 0:
            ends = tuple(math.log(e) for e in ends)  # type: ignore[assignment]
        return (ends[1] - ends[0]) / max(ends[3] - ends[2], 1e-12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Odds:
    """A choice before and after, by kind, and the bits that the prices gave."""

    name: str
    says: str
    prior: Mapping[str, float]
    posterior: Mapping[str, float]
    bits: float
    known: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """Bits that an observation adds to each unknown: with all observations, less without this one."""

    observation: Observation
    bits: Mapping[str, float]

    @property
    def total(self) -> float:
        return sum(max(b, 0.0) for b in self.bits.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """What a price list says. `effective`: draws that would say as much if all counted alike."""

    seen: tuple[Observation, ...]
    unknowns: Mapping[str, Posterior]
    odds: Mapping[str, Odds]
    weights: tuple[Weight, ...]
    draws: int
    effective: float

    @property
    def heaviest(self) -> Weight:
        """The observation that carries most."""
        return max(self.weights, key=lambda w: w.total)

    def __getitem__(self, name: str) -> Posterior:
        return self.unknowns[name]


def infer(
    seen: Sequence[Observation],
    *,
    known: Mapping[str, Any] | None = None,
    of: Beliefs | None = None,
    markups: Margins | None = None,
    draws: int = DRAWS,
    seed: int = 1,
    least: float = LEAST,
) -> Inference:
    """The posterior of every unknown, given what a provider publishes and what is `known`.

    `known`: numbers in SI or names of kinds, by the names in `beliefs.KNOWABLE`. Raises Infeasible where fewer than
    `least` effective draws are left, and BadInput where what is known contradicts itself.

    >>> from .likelihood import observations
    >>> from ...economics.pricelist import ListPrice, PriceList
    >>> short = ListPrice(model="a/b", input_mtok=0.27, output_mtok=1.1, cache_read_mtok=0.07)
    >>> one = infer(observations(PriceList(model="a/b", day="2026-11-01", entries=(short,))), draws=200_000)
    >>> one["active_params"].low < 37e9 < one["active_params"].high
    True
    """
    if not seen:
        raise BadInput("there is no price to read; give at least an input and an output price")
    known = dict(known or {})
    of = of or beliefs()
    markups = markups or margins()
    check_sizes(known)
    parts = _parts(_Case(seen=seen, known=known, of=of, markups=markups), draws, seed)
    columns = {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
    before = _normal(columns.pop("before"))
    if not np.isfinite(before).all():
        raise BadInput("what is known cannot be met by any draw of the prior; leave one of the known values out")
    logs = columns.pop("logs").reshape(len(parts), len(seen) + 1, -1).transpose(1, 0, 2).reshape(len(seen) + 1, -1)
    after = [_normal(np.log(np.maximum(before, 1e-300)) + row) for row in logs]
    counted = _counted(after[0], draws, least, known)
    _fits(logs[0], after[0], seen, markups, known)
    first = {k: columns.pop(f"{k} before", columns[k]) for k in UNKNOWNS}
    continuous = {k: _before_after(first[k], columns[k], before, after) for k in UNKNOWNS}
    discrete = {k: _kinds(columns[k], before, after, len(of.kinds(k))) for k in CHOICES}
    unknowns = {k: _posterior(k, (first[k], columns[k]), continuous[k], before, after[0], counted, known) for k in UNKNOWNS}
    odds = {k: _odds(k, of.kinds(k), discrete[k], counted, known) for k in CHOICES}
    every = continuous | discrete
    gained = {k: [_bits(b, a, counted) for a in afters] for k, (_, b, afters) in every.items()}
    weights = tuple(Weight(observation=o, bits={k: g[0] - g[i + 1] for k, g in gained.items()}) for i, o in enumerate(seen))
    return Inference(seen=tuple(seen), unknowns=unknowns, odds=odds, weights=weights, draws=len(before), effective=counted)


# --- draws --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """What is seen, known and believed."""

    seen: Sequence[Observation]
    known: Mapping[str, Any]
    of: Beliefs
    markups: Margins


def _parts(case: _Case, draws: int, seed: int) -> list[dict[str, Column]]:
    """Columns of every chunk, in order, whatever runs beside it."""
    chunk = min(CHUNK, draws)
    first, *seeds = np.random.SeedSequence(seed).spawn(1 + max(1, round(draws / chunk)))
    proposal = _proposal(case, min(2 * CHUNK, draws), np.random.default_rng(first))
    with ThreadPoolExecutor(2) as pool:
        rngs = map(np.random.default_rng, seeds)
        return list(pool.map(lambda rng: _weighed(case, chunk, rng, proposal)[0], rngs))


def _proposal(case: _Case, n: int, rng: np.random.Generator) -> Proposal | None:
    """Where to draw from: the prior where enough of its draws count, else a normal laid over those that do."""
    proposal = None
    for _ in range(ROUNDS):
        columns, drawn = _weighed(case, n, rng, proposal)
        prior, likelihood = columns["before"], columns["logs"][:n]
        if effective(prior + likelihood) > PLENTY * len(prior):
            return proposal
        proposal, power = adapted(drawn.scores, prior, likelihood)
        if proposal is None or power == 1.0:
            return proposal
    return proposal


def _weighed(case: _Case, n: int, rng: np.random.Generator, proposal: Proposal | None) -> tuple[dict[str, Column], Draws]:
    """Unknowns and choices as columns, weights before prices, likelihoods with and without each; and the draws."""
    seen, known, markups = case.seen, case.known, case.markups
    roots = {k: v for k, v in known.items() if k not in KNOWN_WITHIN}
    d = draw(n, rng, roots, case.of, proposal)
    with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
        r = residuals(seen, d, markups)
        found: dict[str, Number] = {k: d[k] for k in (*UNKNOWNS, *CHOICES) if k in d.columns}
        found |= {"batch": r.costs.decoding.batch, "speed": r.costs.decoding.speed} | _margins(seen, n, r)
        found |= _believed_margins(n, markups, rng)
        before = d.log_weight
        if "batch" in known:
            before = before - 0.5 * (np.log(found["batch"] / known["batch"]) / KNOWN_WITHIN["batch"]) ** 2
        if "margin" in known:
            off = np.log((1 - found["margin"]) / (1 - known["margin"]))
            before = before - 0.5 * (off / KNOWN_WITHIN["margin"]) ** 2
        without = [log_likelihood(r, markups, without=o.name) for o in seen]
        logs = np.stack([log_likelihood(r, markups), *without])
    columns = {k: np.broadcast_to(v, (n,)) for k, v in found.items()}
    return columns | {"before": before, "logs": logs.ravel()}, d


def _believed_margins(n: int, m: Margins, rng: np.random.Generator) -> dict[str, Number]:
    """Gross margins as believed before any price: of products by their own markups, of the blend by their mean."""
    common = m.level + m.spread * rng.standard_normal(n)
    into, out = (m.bias.get(k, 0.0) + m.noise[k] * rng.standard_normal(n) for k in ("input", "output"))
    logs = {"margin": common + (into + out) / 2, "margin_input": common + into, "margin_output": common + out}
    return {f"{k} before": -np.expm1(-v) for k, v in logs.items()}


def _margins(seen: Sequence[Observation], n: int, r: Residuals) -> dict[str, Number]:
    """Gross margins that the listed prices leave over each supposition's costs."""
    price = {o.name: o.value for o in seen}
    c = r.costs
    none = np.full(n, np.nan)
    paid_in, paid_out = price.get("input"), price.get("output")
    into: Number = 1 - c.input_mtok / paid_in if paid_in else none
    out: Number = 1 - c.output_mtok / paid_out if paid_out else none
    both: Number = none
    if paid_in and paid_out:
        both = 1 - (c.input_mtok + OUTPUT_SHARE * c.output_mtok) / (paid_in + OUTPUT_SHARE * paid_out)
    return {"margin": both, "margin_input": into, "margin_output": out}


def _normal(logs: Column) -> Column:
    """Weights that sum to one; NaN where none counts."""
    logs = np.where(np.isnan(logs), -np.inf, logs)
    top = logs.max()
    if not np.isfinite(top):
        return np.full_like(logs, np.nan)
    weights: Column = np.exp(logs - top)
    weights /= weights.sum()
    return weights


def _counted(after: Column, draws: int, least: float, known: Mapping[str, Any]) -> float:
    """The effective draws; a refusal where they are too few."""
    counted = 1 / float(np.sum(after**2)) if np.isfinite(after).all() else 0.0
    if counted < least:
        raise _refusal(f"only {counted:.0f} of {draws:,} draws count, fewer than {least:.0f}", known)
    return counted


def _fits(log_likelihoods: Column, after: Column, seen: Sequence[Observation], m: Margins, known: Mapping[str, Any]) -> None:
    """Refuse prices that even the likeliest suppositions miss."""
    heavy, n = after > 0, len(seen)
    off = float(np.average(misfit(log_likelihoods[heavy], [o.name for o in seen], m), weights=after[heavy]))
    if off > n + MISFIT * math.sqrt(2 * n):
        raise _refusal(f"even the likeliest are {math.sqrt(off / n):.1f} deviations off", known)


def _refusal(why: str, known: Mapping[str, Any]) -> RackmathError:
    """Why there is no answer: what is known is the user's to change, prices alone are not."""
    if known:
        return BadInput(f"the known values and the prices hardly go together ({why}); give fewer known values, or more draws")
    return Infeasible(f"the prices lie beyond anything the prior holds ({why}); widen it with --prior")


# --- before and after ---------------------------------------------------------------------------------------------

BeforeAfter = tuple[Column, Column, list[Column]]
"""Edges of bins, their probability before prices, and after all or all but one of them."""


def _before_after(first: Column, values: Column, before: Column, after: Sequence[Column]) -> BeforeAfter:
    """Probabilities in bins by quantiles of the prior, finer in its tails; `first` are the values before prices."""
    if not np.isfinite(values[:1]).all():
        one = np.ones(1)
        return np.array([np.nan, np.nan]), one, [one] * len(after)
    some = np.linspace(0, len(values) - 1, SOME).astype(int)
    edges = np.unique(_quantiles(first[some], before[some], BINS))
    where = np.searchsorted(edges, values)
    there = where if first is values else np.searchsorted(edges, first)
    bins = len(edges) + 1
    ends = np.concatenate([[values.min()], edges, [values.max()]])
    return ends, _counts(there, before, bins), [_counts(where, a, bins) for a in after]


def _kinds(values: Column, before: Column, after: Sequence[Column], kinds: int) -> BeforeAfter:
    where = values.astype(int)
    return np.arange(kinds + 1.0), _counts(where, before, kinds), [_counts(where, a, kinds) for a in after]


def _counts(where: NDArray[np.int64], weights: Column, bins: int) -> Column:
    return np.bincount(where, weights, minlength=bins).astype(float)


def _bits(before: Column, after: Column, effective: float) -> float:
    """Divergence of after from before in bits, less what so many draws show by chance."""
    full = (after > 0) & (before > 0)
    found = float(np.sum(after[full] * np.log2(after[full] / before[full])))
    return max(0.0, found - (int(full.sum()) - 1) / (2 * effective * math.log(2)))


def _quantiles(values: Column, weights: Column, at: Any) -> Column:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    found: Column = values[order][np.minimum(np.searchsorted(total / total[-1], at), len(values) - 1)]
    return found


AT = np.array([0.05, 0.25, 0.5, 0.75, 0.95])


def _posterior(
    name: str, values: tuple[Column, Column], found: BeforeAfter, before: Column, after: Column, effective: float, known: Mapping[str, Any]
) -> Posterior:
    unit, says = UNKNOWNS[name]
    edges, b, afters = found
    heavy = np.flatnonzero(after > after.max() * 1e-9)
    some = np.linspace(0, len(after) - 1, SOME).astype(int)
    first, last = values
    return Posterior(
        name=name,
        unit=unit,
        says=says,
        bits=_bits(b, afters[0], effective),
        edges=edges,
        before=b,
        after=afters[0],
        prior=tuple(float(v) for v in _quantiles(first[some], before[some], AT)),
        posterior=tuple(float(v) for v in _quantiles(last[heavy], after[heavy], AT)),
        known=name in known,
    )


def _odds(name: str, kinds: Sequence[str], found: BeforeAfter, effective: float, known: Mapping[str, Any]) -> Odds:
    _, b, afters = found
    return Odds(
        name=name,
        says=CHOICES[name],
        bits=_bits(b, afters[0], effective),
        known=name in known,
        prior=dict(zip(kinds, b.tolist(), strict=True)),
        posterior=dict(zip(kinds, afters[0].tolist(), strict=True)),
    )
