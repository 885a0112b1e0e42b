"""How likely a price list is under each supposition about its provider.

A price is its cost times a markup. Markups share a common part, log-normal and the same for all of a provider's
products, and one of each product; both are integrated out in closed form. What is listed relative to the standard
price (longer requests, fast and batch modes) and what was measured (speed, time to first token) is compared with the
model's own ratio. Everything is compared in logarithms, since prices are multiples of costs.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import shipped
from ...arrays import Number
from ...economics.pricelist import PriceList
from ...errors import unknown
from .beliefs import Draws
from .provider import Costs, Supply, costs, decode, faster, holding, longer
from .supply import supply

DATA = shipped.FITTED / "price_margins.toml"

LEVELS = ("input", "cache_read", "write_5m", "write_1h", "output")
"""Products whose markups share a common part."""

LONG = ("long_input", "long_output")
"""Steps of the price of longer requests."""

SIZE = 100e9
USED = 1.5  # length of the requests that a dearer tier is priced for over its threshold: most lie just above it

SELLERS = ("host", "maker")
"""Who sells: a host of open weights, one of many, or the only maker of a closed model."""

Column = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Margins:
    """Logarithms of price over cost. `level` and `spread`: mean and deviation of the part that all products share.

    `bias` and `noise`: of each product's own part; for ratios and measurements, of what is listed over the model's.
    `sparsity`, `output_size`: powers of total over active parameters, and for output of total parameters over 100B,
    by which costs exceed the closed form (exchange between experts, imbalance, layouts of large models).
    """

    level: float
    spread: float
    bias: Mapping[str, float]
    noise: Mapping[str, float]
    sparsity: float = 0.0
    output_size: float = 0.0

    def excess(self, active: Number, total: Number) -> tuple[Number, Number]:
        """Factors on the costs of input and of output."""
        all_ = np.power(total / active, self.sparsity)
        return all_, all_ * np.power(total / SIZE, self.output_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A number a provider publishes or somebody measured. `at`: input length, or speed ratio, it belongs to."""

    name: str
    value: float
    unit: str
    says: str
    at: float = 0.0

    @property
    def log(self) -> float:
        return math.log(self.value)


@functools.cache
def margins(seller: str = "maker") -> Margins:
    """The markups in `data/fitted/price_margins.toml` of a host of open weights, or of the maker of a closed model.

    >>> margins("maker").spread > margins("host").spread
    True
    """
    if seller not in SELLERS:
        raise unknown("seller", seller, SELLERS)
    raw = shipped.read(DATA)
    return Margins(
        level=raw["level"] + (raw["maker"]["dearer"] if seller == "maker" else 0.0),
        spread=raw["maker"]["spread"] if seller == "maker" else raw["spread"],
        bias=raw["bias"],
        noise=raw["noise"],
        **raw["excess"],
    )


def observations(prices: PriceList) -> tuple[Observation, ...]:
    """What a price list says, in the order of a price list.

    >>> from rackmath.economics.pricelist import ListPrice
    >>> short = ListPrice(model="a/b", input_mtok=2.0, output_mtok=12.0, cache_read_mtok=0.2)
    >>> [o.name for o in observations(PriceList(model="a/b", day="2026-11-01", entries=(short,)))]
    ['input', 'cache_read', 'output']
    """
    short = prices.standard
    listed = {
        "input": short.input_mtok,
        "cache_read": short.cache_read_mtok,
        "write_5m": short.cache_write_5m_mtok,
        "write_1h": short.cache_write_1h_mtok,
        "output": short.output_mtok,
    }
    found = [Observation(name=k, value=v, unit="$/M", says=f"{k.replace('_', ' ')} price") for k, v in listed.items() if v]
    long = prices.long
    if long is not None:
        at = USED * long.above_input_tokens
        for name, above, below in (("input", long.input_mtok, short.input_mtok), ("output", long.output_mtok, short.output_mtok)):
            says = f"{name} step above {long.above_input_tokens:,.0f} tokens"
            found.append(Observation(name=f"long_{name}", value=above / below, unit="x", says=says, at=at))
    for name in ("batch", "fast"):
        for entry in prices.mode(name)[:1]:
            ratio = entry.output_mtok / short.output_mtok
            if name == "batch" or entry.speed > 1:
                says = f"{name} output over standard"
                found.append(Observation(name=name, value=ratio, unit="x", says=says, at=entry.speed))
    if prices.output_speed:
        found.append(Observation(name="speed", value=prices.output_speed, unit="tok/s", says="measured output speed"))
    if prices.ttft:
        found.append(Observation(name="ttft", value=prices.ttft, unit="s", says="measured time to first token"))
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Residuals:
    """Logarithms of what is observed over what each supposition gives, (observations, draws)."""

    names: tuple[str, ...]
    logs: Column
    costs: Costs


def residuals(seen: Sequence[Observation], draws: Draws, m: Margins) -> Residuals:
    """What is observed over the model's own, for every supposition."""
    s = supply(draws)
    c = provider_costs(s, m)
    at = {o.at for o in seen if o.name in LONG}
    beyond = {length: provider_costs(longer(s, length), m) for length in at}
    logs = (
        np.stack([o.log - np.log(_predicted(o, s, c, beyond.get(o.at, c))) for o in seen]) if seen else np.zeros((0, len(draws.log_weight)))
    )
    return Residuals(names=tuple(o.name for o in seen), logs=logs, costs=c)


def provider_costs(s: Supply, m: Margins) -> Costs:
    """Costs of the closed form with the excess that lists of known models show over it."""
    c = costs(s)
    into, out = m.excess(s.active, s.total)
    return replace(c, input_mtok=c.input_mtok * into, cache_read_mtok=c.cache_read_mtok * into, output_mtok=c.output_mtok * out)


def _predicted(o: Observation, s: Supply, c: Costs, beyond: Costs) -> Column:
    """The model's value of an observation: a cost, a ratio of costs, or a time; `beyond`: costs at its length."""
    values: Mapping[str, Callable[[], Number]] = {
        "input": lambda: c.input_mtok,
        "cache_read": lambda: c.cache_read_mtok,
        "write_5m": lambda: c.input_mtok + holding(s, 300.0),
        "write_1h": lambda: c.input_mtok + holding(s, 3600.0),
        "output": lambda: c.output_mtok,
        "long_input": lambda: beyond.input_mtok / c.input_mtok,
        "long_output": lambda: beyond.output_mtok / c.output_mtok,
        "batch": lambda: 1 - s.idle,
        "fast": lambda: decode(faster(s, o.at)).output_mtok / c.decoding.output_mtok,
        "speed": lambda: c.decoding.speed,
        "ttft": lambda: first_token(s, c),
    }
    return np.asarray(values[o.name]())


def first_token(s: Supply, c: Costs) -> Column:
    """Seconds of the prefill of one request on its replica, and one pass."""
    fresh = s.context * (1 - s.cached)
    flops = fresh * (2 * s.active + s.attention_flops * s.read_share * s.context / 2)
    return np.asarray(flops / (c.decoding.devices * s.peak * s.mfu) + c.decoding.seconds)


def log_likelihood(r: Residuals, m: Margins, *, without: str | None = None) -> Column:
    """Logarithm of the density of all observations but one, markups integrated out.

    Residuals r_j = level + bias_j + common + own_j with variances spread^2 and noise_j^2. With A = sum 1 / noise^2,
    B = sum r / noise^2, Q = sum r^2 / noise^2: -2 log L = Q - spread^2 B^2 / (1 + spread^2 A) + log(1 + spread^2 A).
    """
    total = np.zeros(r.logs.shape[1])
    a, b, q = 0.0, np.zeros_like(total), np.zeros_like(total)
    for name, row in zip(r.names, r.logs, strict=True):
        if name == without:
            continue
        inverse = 1 / m.noise[name] ** 2
        shared = name in LEVELS
        off = row - m.bias.get(name, 0.0) - (m.level if shared else 0.0)
        total += math.log(inverse) / 2 - 0.5 * (0 if shared else inverse * off * off)
        if shared:
            a, b, q = a + inverse, b + inverse * off, q + inverse * off * off
    common = m.spread * m.spread
    return total - 0.5 * (q - common * b * b / (1 + common * a) + math.log1p(common * a))


def misfit(log_likelihoods: Any, names: Sequence[str], m: Margins) -> Any:
    """Squared deviations between what is observed and what a supposition gives: about one for each observation.

    >>> m = margins("host")
    >>> r = Residuals(names=("input",), logs=np.full((1, 1), m.level), costs=None)  # type: ignore[arg-type]
    >>> float(misfit(log_likelihood(r, m), ("input",), m)[0])
    0.0
    """
    a = sum(m.noise[k] ** -2 for k in names if k in LEVELS)
    most = -sum(math.log(m.noise[k]) for k in names) - 0.5 * math.log1p(m.spread**2 * a)
    return 2 * (most - log_likelihoods)


def listed(draws: Draws, like: Sequence[Observation], m: Margins, rng: np.random.Generator) -> Column:
    """Observations that each supposition would have its provider publish, (observations, draws)."""
    blank = [replace(o, value=1.0) for o in like]
    r = residuals(blank, draws, m)
    n = r.logs.shape[1]
    common = m.level + m.spread * rng.standard_normal(n)
    own = np.stack([m.bias.get(k, 0.0) + m.noise[k] * rng.standard_normal(n) for k in r.names])
    found: Column = np.exp(-r.logs + own + np.array([[k in LEVELS] for k in r.names]) * common)
    return found
