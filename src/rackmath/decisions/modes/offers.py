"""Price modes read backwards and priced at cost: fast, slow and batch offers (LECTURE sections 3 and 4).

On given hardware, priced at cost, a token costs rental x t(B) / B and a user sees 1 / t(B) tokens a second. So for
any t(B) whatever

    price ratio = (B0 / B1) / speed ratio,         B0 / B1 = price ratio x speed ratio.

More follows only from where the time of a pass goes. Memory-bound, t = w + x w B / B0 with weights read in w and the
cache of B0 sequences in x w: a speed-up k by batch alone needs (1 + x) / (1 + x B1 / B0) = k, the fastest pass is w,
so nothing beats 1 + x, and the slowest mode saves no more than the weights' share 1 / (1 + x). Compute-bound, t = w
B / B* above the balance point B* and w below: the normal mode must run at k B*, and k is the limit already.
Ratios are pure numbers; prices in dollars per million tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import BadInput

Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Regime:
    """What one regime makes of a pair of ratios; numbers other than `feasible` and `why` mean nothing if infeasible.

    `cache_over_weights`: seconds on the cache over seconds on the weights in a normal pass (x above); `floors`: the
    normal pass in units of one reading of the weights; `normal_batch`, `fast_batch` in units of B*, for the
    compute-bound regime only.
    """

    name: str
    feasible: bool
    why: str
    cache_over_weights: float = 0.0
    floors: float = math.nan
    largest_speed: float = math.nan
    slow_saving: float = math.nan
    normal_batch: float = math.nan
    fast_batch: float = math.nan

    @property
    def cache_share(self) -> float:
        """Share of a normal pass that goes into the cache."""
        return self.cache_over_weights / (1 + self.cache_over_weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class FastFit:
    """A pair of a price ratio and a speed ratio, explained by batch as far as batch can.

    `batch_ratio`: sequences of a normal pass over those of a fast one. `by_batch`: the part of the speed ratio left
    to batch after more chips and more tokens per pass. `unexplained_input`: the input price ratio over what batch
    explains of it, 1, since prefill is compute-bound; `uniform_batch_ratio`: the batch ratio if that factor lies on
    output too.
    """

    price_ratio: float
    speed_ratio: float
    chips: float
    per_pass: float
    batch_ratio: float
    by_batch: float
    memory_bound: Regime
    compute_bound: Regime
    input_price_ratio: float | None
    uniform_batch_ratio: float | None

    @property
    def feasible(self) -> bool:
        return self.memory_bound.feasible or self.compute_bound.feasible

    @property
    def unexplained_input(self) -> float | None:
        return self.input_price_ratio


def fit_fast_mode(
    price_ratio: float,
    speed_ratio: float,
    *,
    input_price_ratio: float | None = None,
    chips: float = 1.0,
    per_pass: float = 1.0,
    width: float | None = None,
) -> FastFit:
    """What a fast mode at `price_ratio` times the price and `speed_ratio` times the speed says about batches.

    Valid for offers priced at cost on the same kind of machine. `chips`: devices of a fast replica over those of a
    normal one, which cut a pass in proportion; `per_pass`: tokens a sequence keeps from a fast pass, out of `width`
    computed (the whole number above if not given). A ratio below 1 is refused: give the faster over the slower.
    Claude Opus 4.6, fast over standard (February 2026: $30/$150 over $5/$25, 2.5 times the output speed):

    >>> fit = fit_fast_mode(6, 2.5)
    >>> round(fit.batch_ratio, 9), round(fit.memory_bound.cache_over_weights, 9)
    (15.0, 1.8)
    >>> round(fit.memory_bound.largest_speed, 9), round(fit.memory_bound.slow_saving, 3)
    (2.8, 0.357)
    >>> fit.compute_bound.normal_batch, round(1 / fit.compute_bound.fast_batch, 9)
    (2.5, 6.0)
    """
    _check(price_ratio, speed_ratio, input_price_ratio, chips, per_pass)
    tokens = math.ceil(per_pass) if width is None else width
    if tokens < per_pass:
        raise BadInput(f"{per_pass:g} tokens per pass cannot come from {tokens:g} computed; give a wider pass")
    batch_ratio = price_ratio * speed_ratio / chips
    by_batch = speed_ratio / (chips * per_pass)
    uniform = None if input_price_ratio is None else batch_ratio / input_price_ratio
    return FastFit(
        price_ratio=price_ratio,
        speed_ratio=speed_ratio,
        chips=chips,
        per_pass=per_pass,
        batch_ratio=batch_ratio,
        by_batch=by_batch,
        memory_bound=_memory_bound(by_batch, batch_ratio, chips * per_pass),
        compute_bound=_compute_bound(by_batch, batch_ratio, chips * per_pass, tokens),
        input_price_ratio=input_price_ratio,
        uniform_batch_ratio=uniform,
    )


def price_against_speed(fit: FastFit, points: int = 400) -> dict[str, tuple[Points, Points]]:
    """Speed and price over the normal mode as its batch shrinks, under each regime that allows the pair.

    >>> speed, price = price_against_speed(fit_fast_mode(6, 2.5))["memory-bound"]
    >>> bool(abs(np.interp(2.5, speed, price) - 6) < 0.1)
    True
    """
    shrink = np.geomspace(1, max(1e3, 30 * fit.batch_ratio), points)
    found = {}
    for r in (fit.memory_bound, fit.compute_bound):
        if r.feasible:
            x = r.cache_over_weights
            gained = (1 + x) / (1 + x / shrink) if r is fit.memory_bound else np.minimum(shrink, r.floors)
            speed = fit.speed_ratio / fit.by_batch * gained
            found[r.name] = speed, fit.chips * shrink / speed
    return found


def _check(price: float, speed: float, input_price: float | None, chips: float, per_pass: float) -> None:
    given = [("price ratio", price), ("speed ratio", speed), ("chips per replica", chips), ("tokens per pass", per_pass)]
    if input_price is not None:
        given.append(("input price ratio", input_price))
    for name, value in given:
        if not 0 < value < math.inf:
            raise BadInput(f"a {name} of {value:g} is impossible; give a finite number above 0")
    if price < 1 and speed > 1:
        raise BadInput(
            f"faster ({speed:g}x) and cheaper ({price:g}x) at once cannot be had at cost from the same hardware; the"
            " slower mode would not exist"
        )
    for name, value in given:
        if value < 1:
            hint = f": {1 / value:g} for this one" if name in ("price ratio", "speed ratio") else ""
            raise BadInput(f"a {name} of {value:g} is below 1; give the faster mode over the slower{hint}")


def _memory_bound(by_batch: float, ratio: float, shift: float) -> Regime:
    """Weights and cache are read in turn, and multiplying hides behind them."""
    name = "memory-bound"
    if by_batch > 1 and ratio <= by_batch * (1 + 1e-12):
        return Regime(
            name=name,
            feasible=False,
            why=f"a batch {ratio:.3g} times smaller would have to make a pass {by_batch:.3g} times faster, and no"
            " pass gains more than its batch loses",
        )
    x = 0.0 if by_batch <= 1 else (by_batch - 1) / (1 - by_batch / ratio)
    why = (
        "more chips or tokens per pass give the speed by themselves: nothing is left for batch to explain"
        if by_batch <= 1
        else f"the cache takes {x:.3g} times as long to read as the weights"
    )
    return Regime(
        name=name, feasible=True, why=why, cache_over_weights=x, floors=1 + x, largest_speed=shift * (1 + x), slow_saving=1 / (1 + x)
    )


def _compute_bound(by_batch: float, ratio: float, shift: float, tokens: float) -> Regime:
    """The normal pass multiplies for longer than it reads; the fast one reads the weights once and does no more."""
    name = "compute-bound"
    floors = max(by_batch, 1.0)
    fast = floors / ratio
    if fast * tokens > 1 + 1e-12:
        return Regime(name=name, feasible=False, why=f"the fast pass would hold {fast * tokens:.3g} B* tokens and be compute-bound itself")
    return Regime(
        name=name,
        feasible=True,
        why=f"the normal mode runs at {floors:.3g} times the balance point",
        floors=floors,
        largest_speed=shift * floors,
        slow_saving=0.0,
        normal_batch=floors,
        fast_batch=fast,
    )


# --- batch work in idle hours ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOffer:
    """Prices at cost, $/M tokens, when work that can wait fills hours that interactive traffic leaves idle.

    `alone`: interactive tokens without such work; `together`: all tokens at one price with it. `even_discount`: the
    discount on `alone` at which batch work pays its full share of the rental. `largest_discount`: down to `floor`,
    what a token adds to the bill in hours that are paid for anyway.
    """

    full: float  # at full use of the machine
    idle: float
    filled: float
    alone: float
    together: float
    even_discount: float
    floor: float
    largest_discount: float

    def interactive_at(self, discount: float) -> float:
        """The interactive price that covers the rental when batch work is sold at `discount` off it.

        alone at no batch revenue at all; full / (1 - idle + (1 - discount) filled idle).
        """
        return self.full / (1 - self.idle + (1 - discount) * self.filled * self.idle)


def batch_offer(full: float, idle: float, *, filled: float = 1.0, floor: float = 0.0) -> BatchOffer:
    """The rule. Rental is paid by the hour, and interactive traffic uses a share 1 - idle of it.

    Alone its tokens cost full / (1 - idle). Batch work that fills a share `filled` of the idle hours spreads the
    same rental over (1 - idle + filled x idle): sold at that common cost it is 1 - (1 - idle) / (1 - idle + filled x
    idle) below the interactive price of before, which is `idle` itself when all idle hours are filled. A deeper
    discount is paid by the interactive tokens, but leaves everybody better off down to the floor: energy.
    A half-price batch API pays its own way where half the hours were idle:

    >>> batch_offer(1.0, 0.5).even_discount, batch_offer(1.0, 0.4).even_discount
    (0.5, 0.4)
    """
    for name, value, top in (("idle share", idle, 1.0), ("filled share", filled, math.inf)):
        if not 0 <= value < top:
            raise BadInput(f"an {name} of {value:g} is impossible; give a share from 0 to below 1")
    if filled > 1:
        raise BadInput(f"a filled share of {filled:g} is above the whole; give a share from 0 to 1")
    alone = full / (1 - idle)
    together = full / (1 - idle + filled * idle)
    return BatchOffer(
        full=full,
        idle=idle,
        filled=filled,
        alone=alone,
        together=together,
        even_discount=1 - together / alone,
        floor=floor,
        largest_discount=max(0.0, 1 - floor / alone),
    )
