"""A price list read one equation at a time: every reading with its assumptions, their spread, and where they clash.

These are point solutions. Each takes prices to be costs, or all of them to be sold at one multiple of cost, and
leaves out what the others bring in, so they need not agree; how far they do not is the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...economics.pricelist import Medium, PriceList
from ...economics.pricelist import medium as medium_of
from ...errors import BadInput
from ...world.machine import Machine
from ...world.model import Model
from .conflicts import Conflict, conflicts
from .from_context import KV, MemorySplit, consistent_splits, decoding, kv_of_architecture, kv_of_step, steps
from .from_offers import TierDrain, caching, fast_mode, held, levels
from .reading import Reading
from .setting import Setting, setting

MOST = 1e15
"""Parameters, tokens and sequences beyond this are slips."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How far the estimates of one unknown lie apart: the smallest and the largest, and the ends of all intervals.

    `common`: whether one value lies in every interval.
    """

    smallest: Reading
    largest: Reading
    low: float
    high: float
    common: bool

    @property
    def factor(self) -> float:
        return self.largest.value / self.smallest.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """Everything that single equations read from a list.

    `readings` holds the absent ones too. `tiers`: what the cache price would hold where. `splits`: ways to fill
    memory that explain output against input, empty where output is not dearer. `spread`: of the estimates of cache
    bytes per token; None with fewer than two.
    """

    setting: Setting
    readings: tuple[Reading, ...]
    tiers: tuple[TierDrain, ...]
    splits: tuple[MemorySplit, ...]
    spread: Spread | None
    conflicts: tuple[Conflict, ...]
    medium: Medium | None

    @property
    def prices(self) -> PriceList:
        return self.setting.prices

    @property
    def present(self) -> dict[str, Reading]:
        """The readings that the list allows, by key."""
        return {r.key: r for r in self.readings if not r.absent}

    @property
    def absent(self) -> tuple[Reading, ...]:
        return tuple(r for r in self.readings if r.absent)

    @property
    def estimates(self) -> tuple[Reading, ...]:
        """The estimates of cache bytes per token."""
        return tuple(r for r in self.readings if r.unknown == KV and not r.absent)


def readings(
    prices: PriceList,
    *,
    active: tuple[float, float, float] | None = None,
    machine: Machine | None = None,
    known: Model | None = None,
    mfu: float | None = None,
    context: float | None = None,
    batch: float | None = None,
) -> Readings:
    """Every reading of a price list.

    `active`: active parameters as low, value, high (those of `known`, else 50, 100 and 300 billion). `machine`: what
    it runs on, taken as known; the lecture's GPU among others if not given. `mfu`: share of the peak in prefill
    (0.4). `context`: tokens at which decoding balances, in place of the list's threshold. `batch`: sequences of a
    pass. `known`: the model itself, where its weights are open.

    >>> from ...economics.pricelist import ListPrice
    >>> short = ListPrice(model="maker/m", input_mtok=2.0, output_mtok=10.0)
    >>> long = ListPrice(model="maker/m", input_mtok=4.0, output_mtok=15.0, above_input_tokens=200e3)
    >>> found = readings(PriceList(model="maker/m", day="2026-03-01", entries=(short, long)))
    >>> round(found.present["kv_board"].value), found.present["weights_ratio"].value
    (1667, 0.2)
    >>> [c.key for c in found.conflicts if not c.overlap]
    ['price_cost', 'step_ratio', 'steps']
    """
    _check(active, mfu, context, batch)
    if not prices.mode("standard"):
        raise BadInput(f"{prices.model} has no standard price on {prices.day}; give another day, or a list with one")
    s = setting(prices, active=active, machine=machine, mfu=mfu, context=context, batch=batch, known=known)
    found = (*kv_of_step(s), *caching(s), *kv_of_architecture(s), *steps(s), *decoding(s), *fast_mode(s), *levels(s))
    present = {r.key: r for r in found if not r.absent}
    if not present:
        raise BadInput(f"nothing can be read from {prices.model} on {prices.day}: it lists no price above 0")
    told = medium_of(prices.model)
    into, out = s.input, s.output
    dearer = into is not None and out is not None and out.value > into.value
    return Readings(
        setting=s,
        readings=found,
        tiers=held(s),
        splits=consistent_splits(out.value / into.value) if dearer and into and out else (),
        spread=spread([r for r in found if r.unknown == KV and not r.absent]),
        conflicts=conflicts(present, s, told),
        medium=told,
    )


def spread(estimates: Sequence[Reading]) -> Spread | None:
    """The spread of estimates of one unknown; None with fewer than two."""
    if len(estimates) < 2:
        return None
    lows, highs = [r.low for r in estimates], [r.high for r in estimates]
    return Spread(
        smallest=min(estimates, key=lambda r: r.value),
        largest=max(estimates, key=lambda r: r.value),
        low=min(lows),
        high=max(highs),
        common=max(lows) <= min(highs),
    )


def _check(active: tuple[float, float, float] | None, mfu: float | None, context: float | None, batch: float | None) -> None:
    if active is not None:
        bad = next((a for a in active if not 1 <= a <= MOST), None)
        if bad is not None:
            raise BadInput(f"active parameters of {bad:g} are impossible; give a number from 1 to 1e15, like 100B")
        if not active[0] <= active[1] <= active[2]:
            raise BadInput("active parameters are not in order; give low, value, high, like 50B,100B,300B")
    if mfu is not None and not 1e-6 <= mfu <= 1:
        raise BadInput(f"mfu = {mfu:g} is out of range; give a share of the peak from 1e-6 to 1")
    if context is not None and not 1 <= context <= MOST:
        raise BadInput(f"context = {context:g} is impossible; give a number of tokens from 1 to 1e15")
    if batch is not None and not 1 <= batch <= MOST:
        raise BadInput(f"batch = {batch:g} is impossible; give a number of sequences from 1 to 1e15")
