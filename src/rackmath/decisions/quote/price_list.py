"""An API price list computed from cost: every price with its floor, its interval, what it rests on and what moves it.

One rule makes every price. Cost is what the tokens of a steady state cost at full load (`economics.cost`). Rental is
paid by the hour, and traffic that comes in waves leaves a share `idle` of the hours empty, so

    price = cost / (1 - idle) / (1 - margin)

and the standard traffic, sold at these prices, leaves exactly the margin over the rent of all its hours. The floor
is the cost at the roofline bound: a bound of whole requests, split over their tokens as the estimate is, since the
time of a prefill can hide behind decoding and no token has a bound of its own. Prices in dollars per million tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...arrays import Number
from ...economics.caching import Option, in_hbm, in_tier
from ...economics.cost import MTOK, energy_mtok
from ...economics.pricelist import margin as gross_margin
from ...errors import BadInput
from ...search.choice import Plan
from ...search.context import price_step
from ...search.disaggregated import PoolPlan
from ...search.grid import Column, Question
from ...search.trust import Span, time_span
from ...serving.kvtiers import entry
from ...units import plural, show
from ...world.workload import Objectives
from ..modes.offers import BatchOffer, batch_offer
from . import tiers
from .tiers import Tier

LONG = 128_000.0
"""Prompt length at which the long tier is computed, where the model takes so many tokens."""

ABOVE = (32_000.0, 64_000.0, 128_000.0, 200_000.0, 272_000.0, 512_000.0)
"""Thresholds of long tiers: those of public lists, from 128,000 tokens, and two below for models that need one."""

LIFETIMES = {"5 min": 300.0, "1 h": 3600.0}
"""How long a cached write is kept, in seconds: the two lifetimes that lists offer."""

KINDS = {"input": "input_mtok", "cached read": "cache_read_mtok", "output": "output_mtok"}
"""Names of the tokens of a request, and of their prices in a `Cost`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the seller decides.

    `margin`: gross margin, 1 - cost / price. `idle`: share of paid hours that interactive traffic leaves empty;
    `filled`: share of those that batch work fills. `fast`: speed of the fast tier over the standard one. `step`:
    growth of the cost at which a long tier is needed; `long_above`: tokens above which it holds, the next of
    `ABOVE` if None; `long_isl`: tokens of the prompts it is computed for, `LONG` or the model's limit if None.
    `reuse`: hits expected of each written token, those of the cached share if None.
    `max_fetch`: seconds that a hit may wait for its cache, the median TTFT if None. `per_kwh`: dollars. `rounded`:
    list prices in two significant digits.
    """

    margin: float = 0.0
    idle: float = 0.4
    filled: float = 1.0
    fast: float = 2.0
    step: float = 0.5
    long_isl: float | None = None
    long_above: float | None = None
    reuse: float | None = None
    max_fetch: float | None = None
    per_kwh: float = 0.1
    rounded: bool = True

    def __post_init__(self) -> None:
        for name, value in (("margin", self.margin), ("idle", self.idle)):
            if not 0 <= value < 1:
                raise BadInput(f"{name} = {value:g} is out of range; give a share from 0 to below 1, such as 40%")
        if not 0 <= self.filled <= 1:
            raise BadInput(f"filled = {self.filled:g} is out of range; give a share from 0 to 1")
        if not 1 < self.fast <= 1e6:
            raise BadInput(f"fast = {self.fast:g} is out of range; give a multiple of the speed above 1, such as 2")
        if not 0 < self.step <= 1e6:
            raise BadInput(f"long_step = {self.step:g} is out of range; give a growth above 0, such as 50%")
        for name, of in (("reuse", self.reuse), ("max_fetch", self.max_fetch)):
            if of is not None and not 0 <= of <= 1e9:
                raise BadInput(f"{name} = {of:g} is out of range; give a number from 0 to 1e9")
        if not 0 <= self.per_kwh <= 1e3:
            raise BadInput(f"electricity = {self.per_kwh:g} is out of range; give dollars per kWh from 0 to 1000")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One price: `cost` at full load, its `floor` at the bound and its interval (None where not calibrated).

    `price` follows from the rule, `listed` is what the list says. `moves`: relative change of the price after each
    change, by its name.
    """

    tier: str
    name: str
    floor: float
    cost: float
    low: float | None
    high: float | None
    price: float
    listed: float
    rests_on: str
    moves: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A cached prefix of `tokens` kept for `lifetime` seconds (`words`) in the cheapest place, and hit `reuse` times.

    Only places that bring it back within `limit` seconds count. `premium_mtok` is what it costs beyond plain input;
    `again_mtok` what prefilling it again at every hit would.
    """

    words: str
    lifetime: float
    reuse: float
    limit: float
    tokens: float
    place: Option
    premium_mtok: float
    again_mtok: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A price list. `standard`: the plan behind it. `offer`: batch work's output, with energy as its floor.

    `growth` over `lengths`: the cost of longer prompts over what standard prices charge for them; `crossing`: where
    it has grown by the step, infinite where it never does; `threshold`: where the long tier begins, NaN where there
    is none.
    """

    terms: Terms
    objectives: Objectives
    standard: Plan
    tiers: tuple[Tier, ...]
    lines: tuple[Line, ...]
    holdings: tuple[Holding, ...]
    offer: BatchOffer
    lengths: Column
    growth: Column
    crossing: float
    threshold: float

    def tier(self, name: str) -> Tier:
        return next(t for t in self.tiers if t.name == name)

    def of(self, tier: str) -> tuple[Line, ...]:
        """The lines of a tier; empty where it cannot be served."""
        return tuple(line for line in self.lines if line.tier == tier)

    def line(self, tier: str, name: str) -> Line:
        return next(line for line in self.of(tier) if line.name == name)

    @property
    def request_cost(self) -> float:
        """Dollars that a standard request costs, its share of the idle hours included."""
        return float(self.standard.cost.request) / (1 - self.terms.idle)

    @property
    def request_span(self) -> Span | None:
        """5 % to 95 % of `request_cost`."""
        found = span(self.standard, float(self.standard.cost.request))
        return None if found is None else (found[0] / (1 - self.terms.idle), found[1] / (1 - self.terms.idle))

    @property
    def request_floor(self) -> float:
        """`request_cost` at the roofline bound of the plan."""
        return self.request_cost * float(self.standard.cost.bound_share)

    @property
    def batch_discount(self) -> float:
        """How much less a standard request pays in the batch tier than in the standard one, as a share."""
        return 1 - self.revenue("batch") / self.revenue()

    def revenue(self, tier: str = "standard", *, listed: bool = True) -> float:
        """Dollars that a standard request pays in a tier, at listed prices or before rounding."""
        prices = {line.name: line.listed if listed else line.price for line in self.of(tier)}
        return tiers.dollars(
            self.standard.question.traffic, prices["input"], prices.get("cached read", 0.0), prices["output"]
        )

    def margin(self, *, listed: bool = True) -> float:
        """Gross margin on the standard traffic."""
        return float(gross_margin(self.revenue(listed=listed), self.request_cost))

    @property
    def margin_span(self) -> Span | None:
        """The margin of the list over the interval of the cost."""
        found = self.request_span
        return None if found is None else (1 - found[1] / self.revenue(), 1 - found[0] / self.revenue())

    @property
    def margin_at_threshold(self) -> float | None:
        """What is left at standard prices of a request just below the long tier; None where there is no threshold."""
        if not math.isfinite(self.threshold):
            return None
        known = np.isfinite(self.growth)
        grown = np.interp(math.log(self.threshold), np.log(self.lengths[known]), self.growth[known])
        return 1 - float(grown) * (1 - self.terms.margin)

    @property
    def grown(self) -> tuple[int, ...]:
        """Places of a few of `lengths` beyond the threshold, the longest among them."""
        beyond = [i for i in range(len(self.lengths)) if self.lengths[i] > self.threshold and self.growth[i] > 0]
        return tuple(beyond[::-3][::-1])

    @property
    def sensitivity(self) -> tuple[tuple[str, dict[str, float]], ...]:
        """Changes worth telling, each with the relative change of every standard price, by the names of the lines.

        The last one is half the idle hours: it moves every price by (1 - idle) / (1 - idle / 2) - 1.
        """
        lines, idle = self.of("standard"), self.terms.idle
        found = {name: {one.name: dict(one.moves).get(name, 0.0) for one in lines} for name, _ in lines[0].moves}
        if idle > 0:
            half = (1 - idle) / (1 - idle / 2) - 1
            found[f"{idle / 2:.0%} of paid hours idle, not {idle:.0%}"] = {one.name: half for one in lines}
        return tuple(found.items())


# --- the rule -------------------------------------------------------------------------------------------------------


def price(cost: Number, *, margin: Number = 0.0, idle: Number = 0.0) -> Number:
    """The price that leaves a gross margin over a cost at full load, where a share of the paid hours is idle.

    Three fifths of the hours earn, and three fifths of what they earn is cost:

    >>> round(price(0.9, margin=0.4, idle=0.4), 9)
    2.5
    """
    asked: Number = cost / (1 - idle) / (1 - margin)
    return asked


def listed(asked: Number) -> Number:
    """A price as lists state it: two significant digits.

    >>> [float(listed(p)) for p in (0.2987, 0.0449, 12.6, 134.0, 0.0)]
    [0.3, 0.045, 13.0, 130.0, 0.0]
    """
    asked = np.asarray(asked, dtype=float)
    places = 1 - np.floor(np.log10(np.where(asked > 0, asked, 1.0)))
    scale = 10.0 ** np.abs(places)
    rounded: Number = np.where(places > 0, np.round(asked * scale) / scale, np.round(asked / scale) * scale)
    return rounded


def span(p: Plan | PoolPlan, cost: float, floor: float = 0.0) -> Span | None:
    """5 % to 95 % of a cost that goes with the plan's time per token."""
    return time_span(p.intervals.tpot, cost, floor)


# --- the list -------------------------------------------------------------------------------------------------------


def quote(question: Question, objectives: Objectives, terms: Terms) -> Quote:
    """The list for a question with a priced machine; `Infeasible` where the standard traffic cannot be served."""
    _check(question, terms)
    first = tiers.standard(question, objectives)
    of = first.plan
    assert of is not None
    last, lengths, growth, crossing, beyond = _long(of, objectives, terms)
    every = (first, last, tiers.fast(of, objectives, terms.fast), tiers.batch(of))
    slow = every[-1].plan
    assert slow is not None
    energy = float(energy_mtok(slow.serving, slow.machine, slow.question.traffic, terms.per_kwh))
    offer = batch_offer(float(slow.cost.output_mtok), terms.idle, filled=terms.filled, floor=energy)
    holdings = _holdings(of, terms)
    lines = [line for tier in every for line in _lines(tier, terms)]
    after_input = 1 + max(i for i, line in enumerate(lines) if line.tier == "standard" and line.name != "output")
    lines[after_input:after_input] = [_write(first, h, i, terms) for i, h in enumerate(holdings)]
    return Quote(
        terms=terms, objectives=objectives, standard=of, tiers=every, lines=tuple(lines), holdings=holdings,
        offer=offer, lengths=lengths, growth=growth, crossing=crossing, threshold=beyond,
    )  # fmt: skip


def _check(question: Question, terms: Terms) -> None:
    machine, traffic = question.machine, question.traffic
    if not float(machine.price_per_hour) > 0:
        raise BadInput(
            f"{machine.name} has no known price, and a quote is made of cost; give one like"
            " --set machine.price_per_hour=$2/h"
        )
    if not float(traffic.cached) < 1:
        raise BadInput("cached = 1 leaves no fresh input to put a price on; give a share below 1, such as 50%")
    if terms.long_isl is not None and not float(traffic.isl) < terms.long_isl:
        raise BadInput(
            f"long_isl = {terms.long_isl:,.0f} is not longer than the standard {float(traffic.isl):,.0f} tokens; give"
            " the length of long prompts, such as 128k"
        )
    room = question.model.max_context - float(traffic.osl)
    if terms.long_above is not None and not float(traffic.isl) <= terms.long_above < (terms.long_isl or room):
        raise BadInput(
            f"long_above = {terms.long_above:,.0f} is not between the standard {float(traffic.isl):,.0f} tokens and"
            f" the {terms.long_isl or room:,.0f} of the longest prompts; give a threshold between them, such as 128k"
        )
    if terms.long_isl is not None and terms.long_isl > room:
        raise BadInput(
            f"long_isl = {terms.long_isl:,.0f} is beyond {question.model.name}: with {float(traffic.osl):,.0f} output"
            f" tokens it takes prompts of {room:,.0f} at most; give no more"
        )


def _long(of: Plan, objectives: Objectives, terms: Terms) -> tuple[Tier, Column, Column, float, float]:
    """The long tier, the growth of the cost over lengths, where that passes the step, and where the tier begins."""
    q = of.question
    isl, most = float(q.traffic.isl), q.model.max_context - float(q.traffic.osl)
    above = terms.long_above
    longest = min(max(LONG, 2 * (above or 0.0)), most) if terms.long_isl is None else terms.long_isl
    none = np.array([isl]), np.ones(1), math.nan, math.nan
    if not longest > isl:
        why = f"standard prompts are as long as {q.model.name} takes or as the {LONG:,.0f} tokens of the tier"
        return Tier(name="long", plan=None, why=why), *none
    lengths, growth = tiers.growth(of, objectives, longest)
    crossing = price_step(lengths, growth, isl, terms.step).covers_to
    if above is None and not math.isfinite(crossing):
        grown = float(np.nanmax(growth)) - 1 if np.isfinite(growth).any() else math.nan
        why = f"up to {longest:,.0f} tokens cost grows by {grown:.0%} at most over what standard prices charge"
        return Tier(name="long", plan=None, why=f"{why}: one price will do"), lengths, growth, crossing, math.nan
    begins = above if above is not None else next((t for t in ABOVE if crossing <= t < longest), crossing)
    tier = tiers.long(of, objectives, longest)
    return tier, lengths, growth, crossing, math.nan if tier.served is None else begins


def _lines(tier: Tier, terms: Terms) -> list[Line]:
    """Input, cached reads and output of a tier; cached reads only where the traffic has some."""
    p, found = tier.served, []
    if p is None:
        return []
    traffic = p.questions[0].traffic if isinstance(p, PoolPlan) else p.question.traffic
    for name, field in KINDS.items():
        if name == "cached read" and not float(traffic.cached) > 0:
            continue
        cost = float(getattr(p.cost, field))
        floor = cost * float(p.cost.bound_share)
        asked = _asked(tier.name, cost, terms)
        moves = {n: float(getattr(other.cost, field)) / cost - 1 for n, other in tier.moved.items()} if cost else {}
        low, high = span(p, cost, floor) or (None, None)
        found.append(
            Line(
                tier=tier.name, name=name, floor=floor, cost=cost, low=low, high=high, price=asked,
                listed=_listed(asked, terms), rests_on=_rests_on(name, p), moves=tuple(moves.items()),
            )
        )  # fmt: skip
    return found


def _asked(tier: str, cost: float, terms: Terms) -> float:
    """The price of a tier's token: batch work pays for the hours it fills as interactive work does for its own."""
    if tier == "batch":
        return float(price(batch_offer(cost, terms.idle, filled=terms.filled).together, margin=terms.margin))
    return float(price(cost, margin=terms.margin, idle=terms.idle))


def _listed(asked: float, terms: Terms) -> float:
    return float(listed(asked)) if terms.rounded else asked


def _rests_on(name: str, p: Plan | PoolPlan) -> str:
    if isinstance(p, PoolPlan):
        pool = "decode" if name == "output" else "prefill"
        return f"the {pool} pool of {p.label()}"
    s, traffic = p.serving, p.question.traffic
    decode, cached = float(s.decode_share), float(s.cached_share)
    if name == "input":
        fresh = float(traffic.isl) * (1 - float(traffic.cached))
        share = 1 - decode - cached
        return f"prefill of {plural(fresh, 'fresh token')} a request takes {share:.0%} of the replica's time"
    if name == "cached read":
        return (
            f"attention of fresh tokens over cached ones takes {cached:.0%} of the replica's time; the writes pay for"
            " keeping them"
        )
    return f"decoding {plural(p.batch, 'sequence')} at once takes {decode:.0%} of the replica's time"


# --- cached writes --------------------------------------------------------------------------------------------------


def _holdings(p: Plan, terms: Terms) -> tuple[Holding, ...]:
    """The cached prefix of a standard request kept for each lifetime; none where the traffic has no cached part."""
    share = float(p.question.traffic.cached)
    if not share > 0 or not float(entry(p.question.model, p.precision, p.layout, 1.0).bytes) > 0:
        return ()
    tokens = float(p.question.traffic.isl) * share
    held = entry(p.question.model, p.precision, p.layout, tokens)
    limit = float(p.serving.ttft) if terms.max_fetch is None else terms.max_fetch
    reuse = share / (1 - share) if terms.reuse is None else terms.reuse
    priced = [t for t in p.machine.tiers if t.price_per_byte_month is not None]
    places = [in_hbm(held, p.machine), *(in_tier(held, t, p.machine, gpus=p.layout.gpus) for t in priced)]
    quick = [o for o in places if float(o.seconds) <= limit]
    found = []
    for words, lifetime in LIFETIMES.items():
        best = min(quick, key=lambda o: float(o.cost(lifetime, reuse)))
        found.append(
            Holding(
                words=words, lifetime=lifetime, reuse=reuse, limit=limit, tokens=tokens, place=best,
                premium_mtok=float(best.cost(lifetime, reuse)) / tokens * MTOK,
                again_mtok=float(p.cost.input_mtok) * reuse,
            )
        )  # fmt: skip
    return tuple(found)


def _write(tier: Tier, held: Holding, index: int, terms: Terms) -> Line:
    """A cached write: plain input, and its place for a lifetime with the fetches expected of it."""
    p = tier.plan
    assert p is not None

    def cost_of(other: Plan) -> float:
        return float(other.cost.input_mtok) + _holdings(other, terms)[index].premium_mtok

    plain, extra = float(p.cost.input_mtok), held.premium_mtok
    floor = plain * float(p.cost.bound_share) + extra
    known = span(p, plain, plain * float(p.cost.bound_share))
    low, high = (None, None) if known is None else (known[0] + extra, known[1] + extra)
    asked = float(price(plain + extra, margin=terms.margin, idle=terms.idle))
    return Line(
        tier=tier.name, name=f"cache write, {held.words}", floor=floor, cost=plain + extra,
        low=low, high=high, price=asked, listed=_listed(asked, terms), rests_on=_kept(held),
        moves=tuple(
            (n, cost_of(other) / (plain + extra) - 1) for n, other in tier.moved.items() if isinstance(other, Plan)
        ),
    )  # fmt: skip


def _kept(held: Holding) -> str:
    """Where a written prefix waits, in a sentence."""
    wait = "at hand" if not float(held.place.seconds) else f"fetched in {show(float(held.place.seconds), 's')}"
    text = (
        f"input, and {show(held.premium_mtok, '$')} for its place in {held.place.label}: {wait} (at most"
        f" {show(held.limit, 's')}), {held.reuse:.3g}"
        f" {'hit' if held.reuse == 1 else 'hits'} expected of each token"
    )
    return f"{text}; prefilling it again would be cheaper" if held.again_mtok < held.premium_mtok else text
