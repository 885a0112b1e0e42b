"""Readings of cached writes and hits, of a fast mode, and of price levels.

Cached writes (LECTURE section 18): the premium of a longer lifetime, taken as rent of memory, is bytes per token;
the drain rule, hold time = capacity / bandwidth, names a tier. Fast mode (section 4): `modes.fit_fast_mode`. Levels
(17c): list price against 2 x active parameters at a utilisation of the peak.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...economics.caching import MONTH, affine_premium, hbm_rent, implied_bytes, is_store, prefill_by_flops, short
from ...economics.cost import HOUR, MTOK
from ...economics.pricelist import ListPrice
from ...errors import BadInput
from ...serving.kvtiers import drain, hbm_tier
from ...world.machine import Machine, Tier
from ..modes.offers import FastFit, fit_fast_mode
from .from_context import KV, one_multiple
from .reading import Assumption, Reading, complement, derive, fixed, lacking, number
from .setting import USUAL, Setting

UNPRICED = "{} has no known price; --set machine.price_per_hour=$2/h gives one"


# --- cached writes and hits -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TierDrain:
    """One memory tier of the machine: seconds to drain it, dollars per byte and second, and what a price holds there.

    `bytes_per_token`: cache bytes that the list's holding rate rents; None without two lifetimes or a price of the
    tier. `lifetimes`: those of the list, in seconds, that the drain rule puts here.
    """

    label: str
    tier: Tier
    drain: float
    rent: float | None
    bytes_per_token: float | None
    lifetimes: tuple[float, ...]

    @property
    def usd_per_gb_month(self) -> float | None:
        """Its rent as memory is sold."""
        return None if self.rent is None else self.rent * MONTH * 1e9


def local_tiers(machine: Machine) -> tuple[Tier, ...]:
    """Device memory, then the tiers behind it that are the machine's own: a network store has no drain time."""
    return (hbm_tier(machine), *(t for t in machine.tiers if not is_store(t)))


def tier_by_drain(machine: Machine, hold: float) -> Tier:
    """The tier whose drain time is nearest to a hold time in seconds: the lecture's rule.

    >>> from ...world import catalog
    >>> [tier_by_drain(catalog.machine("gb200"), t).name for t in (300.0, 3600.0)]
    ['NVMe flash (TLC)', 'NVMe flash (QLC)']
    """
    return min(local_tiers(machine), key=lambda t: abs(math.log(drain(t) / hold)))


def held(s: Setting) -> tuple[TierDrain, ...]:
    """Every local tier, device memory first."""
    premiums = s.prices.standard.premiums
    rate = affine_premium(premiums).rate_mtok if len(premiums) > 1 else None
    found = []
    for i, tier in enumerate(local_tiers(s.machine)):
        rent = float(hbm_rent(s.machine)) if i == 0 else (tier.price_per_byte_month or 0.0) / MONTH
        found.append(
            TierDrain(
                label=short(tier.name) if i else s.machine.memory_type,
                tier=tier,
                drain=drain(tier),
                rent=rent or None,
                bytes_per_token=float(implied_bytes(rate, rent)) if rate and rate > 0 and rent else None,
                lifetimes=tuple(t for t in premiums if tier_by_drain(s.machine, t) == tier),
            )
        )
    return tuple(found)


def caching(s: Setting) -> list[Reading]:
    """The holding rate, bytes per token as rent of device memory, a tier for each lifetime, and hits."""
    premiums = s.prices.standard.premiums
    needs = ("cached writes with two lifetimes",)
    found: list[Reading] = []
    if len(premiums) < 2:
        why = "the list does not price cached writes for two lifetimes"
        found.append(lacking("kv_cache", "cache price, as HBM rent", KV, needs, why))
    else:
        found += _rent(s, premiums)
    for life in premiums:
        tier = tier_by_drain(s.machine, life)
        size, speed = fixed("capacity", tier.capacity, "B"), fixed("bandwidth", tier.bandwidth, "B/s")
        name = f"{life / 60:g} min by drain time" if life < HOUR else f"{life / HOUR:g} h by drain time"
        label = s.machine.memory_type if tier.name == hbm_tier(s.machine).name else short(tier.name)
        found.append(
            derive(f"tier_{life:.0f}s", name, "hold_tier", "s", [size], [speed], needs=(f"a cached write for {life:.0f} s",), says=label)
        )
    return found + _hits(s)


def _rent(s: Setting, premiums: dict[float, float]) -> list[Reading]:
    line, needs = affine_premium(premiums), ("cached writes with two lifetimes",)
    name, first, last = "cache price, as HBM rent", min(premiums), max(premiums)
    if line.rate_mtok <= 0:
        return [lacking("kv_cache", name, KV, needs, "a longer lifetime costs no more than a shorter one")]
    more = s.listed("more for the longer lifetime", premiums[last] - premiums[first])
    longer = s.listed("held longer", last - first, "s")
    says = f"{'and' if line.fixed_mtok >= 0 else 'less'} {number(abs(line.fixed_mtok), '$')} once"
    found = [derive("hold_rate", "holding, $/M tokens/s", "hold_rate", "$", [more], [longer], needs=needs, says=says)]
    price = s.hour
    if price is None:
        return [*found, lacking("kv_cache", name, KV, needs, UNPRICED.format(s.machine.name))]
    room = fixed("of device memory", float(s.machine.hbm_capacity), "B", _source(s.machine, "hbm_capacity"))
    seconds, tokens = fixed("s per hour", HOUR), fixed("tokens", MTOK)
    kv = derive(
        "kv_cache",
        name,
        KV,
        "B",
        [more, room, seconds],
        [longer, tokens, price],
        needs=needs,
        says="a cheaper tier would hold more for the same money",
    )
    return [*found, kv]


def _hits(s: Setting) -> list[Reading]:
    read, into, needs = s.prices.standard.cache_read_mtok, s.input, ("cached input", "input")
    if not read or into is None:
        return [lacking("hit", "hit over recomputing", "retrieval", needs, "the list has no price of cached input")]
    hit = s.listed("cached input", read)
    found = [derive("hit", "hit over recomputing", "retrieval", "share", [hit], [into], needs=needs, says="if both have one markup")]
    behind = next((t for t in s.machine.tiers if not is_store(t)), None)
    peak = _peak(s)
    if behind is not None and peak is not None:
        two, link = fixed("FLOP per parameter", 2.0), fixed(f"from {short(behind.name)}", behind.bandwidth, "B/s")
        found.append(
            derive(
                "hit_bytes",
                "a hit fetches at most",
                "retrieval",
                "B",
                [hit, two, s.active, link],
                [into, peak, s.mfu],
                needs=needs,
                says=f"per token, from {short(behind.name)} to an idle device",
            )
        )
    return found


def _source(machine: Machine, field: str) -> str:
    source = machine.sources.get(field)
    return f"{machine.name}: {source.text}" if source else machine.name


def _peak(s: Setting) -> Assumption | None:
    form = USUAL if s.machine.multiplies(USUAL) else "bf16"
    value = float(s.machine.peak(form))
    return fixed(f"{form.upper()} peak", value, "FLOP/s", _source(s.machine, f"peak_{form}")) if value > 0 else None


# --- a fast mode ----------------------------------------------------------------------------------------------------


def fast_entry(s: Setting) -> ListPrice | None:
    """The mode of the list that is faster than the standard one."""
    return next((e for e in s.prices.entries if e.speed > 1), None)


def fast_fit(s: Setting, surcharge: float = 1.0) -> FastFit | None:
    """The fast mode explained by batch, after a surcharge that lies on every token whatever its batch."""
    entry, into, out = fast_entry(s), s.input, s.output
    if entry is None or into is None or out is None:
        return None
    return fit_fast_mode(
        entry.output_mtok / out.value / surcharge, entry.speed, input_price_ratio=entry.input_mtok / into.value / surcharge
    )


def fast_mode(s: Setting) -> list[Reading]:
    """Batch ratio, weights' share of a normal pass, and the largest speed-up."""
    needs, name = ("a fast mode with its speed",), "normal over fast batch"
    entry, out, into = fast_entry(s), s.output, s.input
    if entry is None or out is None or into is None:
        why = "the list has no mode with a stated speed above the standard one's"
        return [lacking("batch_ratio", name, "batch_ratio", needs, why)]
    try:
        fit = fast_fit(s)
    except BadInput as error:
        return [lacking("batch_ratio", name, "batch_ratio", needs, str(error))]
    assert fit is not None
    most = max(1.0, min(entry.input_mtok / into.value, entry.output_mtok / out.value))
    extra = Assumption(
        name="surcharge on every token", value=1.0, low=1.0, high=most, why="none; range: up to what input pays, which no batch explains"
    )
    found = [
        derive(
            "batch_ratio",
            name,
            "batch_ratio",
            "x",
            [s.listed(f"{entry.mode} output", entry.output_mtok), s.listed("speed", entry.speed, "x")],
            [out, extra],
            needs=needs,
        )
    ]
    x = fit.memory_bound
    if not x.feasible:
        return [*found, lacking("weights_fast", "weights' share, fast mode", "weights_share", needs, x.why)]
    dear = fast_fit(s, most)
    least = dear.memory_bound if dear is not None else x
    low, share = (1 - least.cache_share if least.feasible else 0.0), 1 - x.cache_share
    solved = f"(1 + x) / (1 + x / {fit.batch_ratio:.3g}) = {fit.speed_ratio:g}, x = {x.cache_over_weights:.3g}"
    return [
        *found,
        Reading(
            key="weights_fast",
            name="weights' share, fast mode",
            unknown="weights_share",
            unit="share",
            value=share,
            low=min(low, share),
            high=share,
            formula=f"{solved}; 1 / (1 + x)",
            needs=needs,
            says=f"the cache takes {x.cache_over_weights:.3g}x as long",
        ),
        Reading(
            key="fastest",
            name="largest speed-up by batch",
            unknown="largest_speed",
            unit="x",
            value=x.largest_speed,
            low=x.largest_speed,
            high=1 / low if low > 0 else math.inf,
            formula=f"{solved}; 1 + x",
            needs=needs,
        ),
    ]


# --- levels ---------------------------------------------------------------------------------------------------------


def prefill_cost(active: float, peak: float, price_per_hour: float, mfu: float) -> float:
    """Dollars per million tokens of prefill at a share `mfu` of the peak, attention and network left out.

    LECTURE section 17c, 100B active in FP8 on a B200 at 40 % of its peak and $2 per hour:

    >>> round(prefill_cost(100e9, 4.5e15, 2.0, 0.4), 3)
    0.062
    """
    return float(prefill_by_flops(active, peak, price_per_hour)) / mfu


def levels(s: Setting) -> list[Reading]:
    """Cost of input and of output, and the gross margins that the list prices leave."""
    into, out, hour, peak = s.input, s.output, s.hour, _peak(s)
    needs: tuple[str, ...] = ("input",)
    if into is None:
        return [lacking("cost_input", "cost of M input tokens", "cost", needs, "the list has no price of input")]
    if hour is None or peak is None:
        why = UNPRICED.format(s.machine.name) if hour is None else f"{s.machine.name} has no known peak"
        return [lacking("cost_input", "cost of M input tokens", "cost", needs, why)]
    over = [fixed("FLOP per parameter", 2.0), s.active, hour, fixed("tokens", MTOK)]
    under = [peak, s.mfu, fixed("s per hour", HOUR)]
    cost = derive("cost_input", "cost of M input tokens", "cost", "$", over, under)
    found = [
        cost,
        complement(
            derive(
                "margin_input",
                "gross margin on input",
                "margin",
                "share",
                over,
                [*under, into],
                needs=needs,
                says=f"price is {number(into.value / cost.value, 'x')} cost",
            )
        ),
    ]
    if out is None or out.value < into.value:
        return found
    same = one_multiple()
    needs = ("input", "output")
    return [
        *found,
        derive("cost_output", "cost of M output tokens", "cost", "$", [*over, out], [*under, into, same], needs=needs),
        complement(
            derive(
                "margin_output",
                "gross margin on output",
                "margin",
                "share",
                over,
                [*under, into, same],
                needs=needs,
                says="input's by construction: decode's MFU is read from their ratio",
            )
        ),
    ]
