"""What is believed about a model and its provider before a price is read, and suppositions drawn from it.

Beliefs are data (`data/facts/price_priors.toml`). A quantity is log-normal, a share normal in its log-odds, with the
middle 90 % between `low` and `high`; a choice has odds. What is known replaces a belief: a root is set, and a
quantity that follows from others (total parameters, cache bytes per token) sets the one behind it and weighs each
supposition by how likely that is. Units: parameters, bytes, seconds, tokens, dollars per device-hour.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import shipped
from ...errors import BadInput, unknown
from ...units import show
from .device_prices import machine_columns
from .sampling import Proposal, scores

DATA = shipped.FACTS / "price_priors.toml"
MIDDLE = 2 * 1.6448536269514722  # standard deviations between the 5th and the 95th percentile

MOST = 1e18
"""Values beyond this, or below its inverse, are slips."""

FROM_ONE = ("sparsity", "spread", "per_pass")
"""Beliefs that are never below 1, by what they are."""

Column = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A quantity believed to lie between `low` and `high` in 9 of 10 cases; `power` of total parameters over `at`."""

    name: str
    low: float
    high: float
    unit: str
    why: str
    power: float = 0.0
    at: float = 1.0

    @property
    def share(self) -> bool:
        return self.unit == "share"

    def inner(self, value: Any) -> Any:
        """The scale on which it is normal: logarithm, or log-odds of a share."""
        return np.log(value) - (np.log1p(-np.asarray(value)) if self.share else 0.0)

    def outer(self, inner: Column) -> Column:
        return 1 / (1 + np.exp(-inner)) if self.share else np.exp(inner)

    @property
    def middle(self) -> float:
        return float(self.inner(self.low) + self.inner(self.high)) / 2

    @property
    def sd(self) -> float:
        return float(self.inner(self.high) - self.inner(self.low)) / MIDDLE

    def density(self, value: Any) -> Any:
        """Logarithm of the density on the inner scale at a value, but for a constant."""
        return -0.5 * ((self.inner(value) - self.middle) / self.sd) ** 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Kinds with their odds, which sum to one."""

    name: str
    odds: Mapping[str, float]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Beliefs:
    """Every belief, by name."""

    quantities: Mapping[str, Quantity]
    choices: Mapping[str, Choice]

    def quantity(self, name: str) -> Quantity:
        return self.quantities[name]

    def kinds(self, name: str) -> tuple[str, ...]:
        return tuple(self.choices["attention.moe" if name == "attention" else name].odds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """Suppositions as columns. `log_weight`: how well each fits what is known, apart from prices.

    `scores`: the standard normal scores they were made of, one row for each belief.
    """

    columns: Mapping[str, Column]
    log_weight: Column
    beliefs: Beliefs
    scores: Column

    def __getitem__(self, name: str) -> Column:
        return self.columns[name]


KNOWABLE = {
    "active_params": "count",
    "total_params": "count",
    "sparsity": "count",
    "layers": "count",
    "kv_bytes": "bytes",
    "price_per_hour": "$/h",
    "context": "count",
    "cached": "share",
    "speed": "1/s",
    "per_pass": "count",
    "mfu": "share",
    "mbu": "share",
    "idle": "share",
    "reuse": "count",
    "margin": "share",
    "batch": "count",
    "kind": "",
    "attention": "",
    "weights": "",
    "cache": "",
    "hardware": "",
    "hold": "",
}
"""What can be known, and its dimension; the last six are choices."""


@functools.cache
def beliefs() -> Beliefs:
    """The beliefs in `data/facts/price_priors.toml`.

    >>> beliefs().quantity("active_params").low
    3000000000.0
    >>> round(sum(beliefs().choices["hardware"].odds.values()), 9)
    1.0
    """
    raw = shipped.read(DATA)
    quantities: dict[str, Quantity] = {}
    choices: dict[str, Choice] = {}
    for name, row in raw.items():
        if name == "entry":
            quantities |= {f"entry.{k}": Quantity(name=f"entry.{k}", **v) for k, v in row.items()}
        elif name == "attention":
            choices |= {f"attention.{k}": _choice(f"attention.{k}", v) for k, v in row.items()}
        elif name == "price":
            spread = row["spread"]
            quantities[name] = Quantity(name=name, low=1 / spread, high=spread, unit="$/h", why=row["why"])
        elif "low" in row:
            quantities[name] = Quantity(name=name, **row)
        else:
            choices[name] = _choice(name, row)
    return Beliefs(quantities=quantities, choices=choices)


def _choice(name: str, row: Mapping[str, Any]) -> Choice:
    odds = {k: float(v) for k, v in row.items() if k != "why"}
    whole = sum(odds.values())
    return Choice(name=name, odds={k: v / whole for k, v in odds.items()}, why=row["why"])


def believing(given: Mapping[str, tuple[float, float]], of: Beliefs | None = None) -> Beliefs:
    """The beliefs with other ranges of 5 to 95 %: {"active_params": (100e9, 600e9)}."""
    of = of or beliefs()
    changed = dict(of.quantities)
    for name, (low, high) in given.items():
        if name not in changed:
            raise unknown("parameter of the prior", name, changed)
        q = changed[name]
        least, most = 1.0 if name in FROM_ONE else 1 / MOST, 1.0 if q.share else MOST
        if not least <= low < high < most:
            raise BadInput(f"a prior of {name} from {low:g} to {high:g} is impossible; give low < high, from {least:g} and below {most:g}")
        changed[name] = replace(q, low=low, high=high, why="given")
    return replace(of, quantities=changed)


def draw(
    n: int, rng: np.random.Generator, known: Mapping[str, Any] | None = None, of: Beliefs | None = None, proposal: Proposal | None = None
) -> Draws:
    """`n` suppositions that agree with what is `known` (numbers in SI, kinds by name), drawn from the beliefs.

    With a `proposal` they are drawn nearer to it, and weighed so that they still stand for the beliefs.

    >>> some = draw(1000, np.random.default_rng(1), {"active_params": 37e9, "attention": "mla"})
    >>> bool((some["total_params"] >= 37e9).all()), round(float(np.median(some["kv_bytes"])) / 1e3) in range(40, 120)
    (True, True)
    """
    hand = _Hand(n, rng, dict(known or {}), of or beliefs(), proposal)
    _sizes(hand)
    _attention(hand)
    for name in ROOTS:
        hand.root(name)
    for name in ("per_pass", "spread"):
        hand.columns[name] = np.maximum(hand.columns[name], 1.0)
    for name in ("weights", "cache", "hardware", "hold"):
        hand.pick(name)
    usual = machine_columns(hand.of.kinds("hardware"))["usual"][hand.columns["hardware"].astype(int)]
    hand.follow("price_per_hour", "price", usual)
    return Draws(columns=hand.columns, log_weight=hand.log_weight, beliefs=hand.of, scores=hand.scores)


ROOTS = ("attention_flops", "mfu", "mbu", "overhead", "context", "cached", "speed", "spread", "per_pass", "idle", "reuse")
"""Quantities that depend on no other."""


class _Hand:
    """Columns being drawn."""

    def __init__(self, n: int, rng: np.random.Generator, known: dict[str, Any], of: Beliefs, proposal: Proposal | None) -> None:
        self.n, self.rng, self.known, self.of = n, rng, known, of
        self.columns: dict[str, Column] = {}
        self.scores, self.log_weight = scores(n, len(of.quantities), rng, proposal)
        self.score = dict(zip(of.quantities, self.scores, strict=True))

    def full(self, value: float) -> Column:
        return np.full(self.n, float(value))

    def free(self, name: str, scale: Any = 1.0) -> Column:
        """A belief drawn, times `scale`."""
        q = self.of.quantity(name)
        found: Column = q.outer(q.middle + q.sd * self.score[name]) * scale
        return found

    def root(self, name: str) -> Column:
        """A quantity that depends on no other: as known, or drawn."""
        self.columns[name] = self.full(self.known[name]) if name in self.known else self.free(name)
        return self.columns[name]

    def follow(self, name: str, belief: str, scale: Any) -> Column:
        """A quantity believed in proportion to `scale`: drawn, or as known and weighed by how likely that is."""
        if name in self.known:
            self.columns[name] = self.full(self.known[name])
            self.log_weight = self.log_weight + self.of.quantity(belief).density(self.columns[name] / scale)
        else:
            self.columns[name] = self.free(belief, scale)
        return self.columns[name]

    def pick(self, name: str) -> Column:
        """A choice: as known, or by its odds; the number of the kind."""
        if name in self.known:
            found = self.full(self.known_kind(name))
        else:
            odds = list(self.of.choices[name].odds.values())
            found = self.rng.choice(len(odds), self.n, p=odds).astype(float)
        self.columns[name] = found
        return found

    def known_kind(self, name: str) -> int:
        """The number of the kind that is known."""
        kinds = self.of.kinds(name)
        if self.known[name] not in kinds:
            raise unknown(name, str(self.known[name]), kinds)
        return kinds.index(self.known[name])

    def pick_given(self, name: str, other: str) -> Column:
        """A choice whose odds depend on another's kind: drawn, or as known and weighed by how likely that is."""
        odds = np.array([list(self.of.choices[f"{name}.{k}"].odds.values()) for k in self.of.kinds(other)])
        row = odds[self.columns[other].astype(int)]
        if name in self.known:
            kind = self.known_kind(name)
            self.columns[name] = self.full(kind)
            self.log_weight = self.log_weight + np.log(row[:, kind])
        else:
            below = np.cumsum(row, axis=1)[:, :-1]
            self.columns[name] = (self.rng.random(self.n)[:, None] > below).sum(axis=1).astype(float)
        return self.columns[name]


def _sizes(h: _Hand) -> None:
    """Active and total parameters, and layers. Of active, total and their ratio any two give the third."""
    check_sizes(h.known)
    active, total, ratio = (h.known.get(k) for k in ("active_params", "total_params", "sparsity"))
    if active is not None and total is not None:
        ratio = total / active
    if ratio is not None:
        h.known.setdefault("kind", "moe" if ratio > DENSE else "dense")
    sparse = h.pick("kind") == h.of.kinds("kind").index("moe")
    share = np.where(sparse, np.maximum(h.free("sparsity"), 1.0), 1.0) if ratio is None else h.full(ratio)
    if total is not None:
        whole = h.columns["total_params"] = h.full(total)
        h.columns["active_params"] = whole / share
        if ratio is None:
            h.log_weight = h.log_weight + h.of.quantity("active_params").density(h.columns["active_params"])
    else:
        whole = h.columns["total_params"] = h.root("active_params") * share
    h.columns["sparsity"] = share
    q = h.of.quantity("layers")
    h.follow("layers", "layers", np.power(whole / q.at, q.power))


DENSE = 1.05
"""Total over active parameters up to which a model counts as dense."""


def check_sizes(known: Mapping[str, Any]) -> None:
    """Refuse known sizes that contradict each other, or the kind."""
    active, total, sparsity = (known.get(k) for k in ("active_params", "total_params", "sparsity"))
    if active is not None and total is not None and total < active * (1 - 1e-9):
        raise BadInput(
            f"{show(active, 'params')} active of {show(total, 'params')} in all contradict each other; a model cannot use more than it has"
        )
    if sparsity is not None and sparsity < 1:
        raise BadInput(f"a sparsity of {sparsity:g} is below 1; give total over active parameters")
    if active and total and sparsity and abs(total / active / sparsity - 1) > 0.01:
        raise BadInput(f"active_params, total_params and a sparsity of {sparsity:g} contradict each other; leave one out")
    ratio = total / active if active and total else sparsity
    if ratio and known.get("kind") in ("dense", "moe") and (known["kind"] == "moe") != (ratio > DENSE):
        raise BadInput(
            f"kind {known['kind']} and {ratio:.3g} times as many parameters in all as active contradict each other; leave one out"
        )


def _attention(h: _Hand) -> None:
    """Kind of attention, bytes of a cached token, and the share of them a decoded token reads."""
    kinds = h.of.kinds("attention")
    kind = h.pick_given("attention", "kind")
    layers = h.columns["layers"] * np.where(kind == kinds.index("hybrid"), h.free("kept"), 1.0)
    h.columns["kept_layers"] = layers
    h.columns["read"] = np.where(kind == kinds.index("sparse"), h.free("read"), 1.0)
    if "kv_bytes" in h.known:
        h.columns["kv_bytes"] = h.full(h.known["kv_bytes"])
        beliefs_of = [h.of.quantity(f"entry.{k}") for k in kinds]
        fits = [q.density(h.columns["kv_bytes"] / layers) - math.log(q.sd) for q in beliefs_of]
        h.log_weight = h.log_weight + np.choose(kind.astype(int), fits)
    else:
        h.columns["kv_bytes"] = layers * np.choose(kind.astype(int), [h.free(f"entry.{k}") for k in kinds])
