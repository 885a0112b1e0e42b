"""What holding, fetching and recomputing a KV cache costs, and which of them is cheapest for how long.

One prefix is the unit: an `Option` says what it costs in dollars to put its cache somewhere (`write`), to leave it
there (`rate`, per second), and to have it back (`fetch`). Kept for `hold` seconds and hit `reuse` times it costs

    write + rate x hold + fetch x reuse

so every option is a line over the hold time, any two of them cross at most once, and the crossing is their
break-even hold time: the five-minute rule (Gray and Putzolu, 1987) with a reuse count (LECTURE section 18).

- Recompute: nothing is held, and every hit pays the prefill again.
- Device memory: holding costs the entry's share of the device, rent x bytes / capacity; a fetch is free.
- A tier behind it: holding costs its bytes. Moving bytes occupies the tier, which is charged at the tier's own rent
  for the time of the transfer: as much as holding them for one drain time. (Not so a network store: its provider
  charges for bytes kept and for requests, and the link is the device's own.) It also takes from the accelerator,
  while other sequences decode: the room in HBM that waits for the bytes, and the HBM bandwidth of writing them there.
  Where nothing else could run meanwhile, the whole replica waits instead: `fetch_idle`.

Charging a tier for capacity and for bandwidth is what an owner who rents out both would do; a device that is bought
for one use alone costs the larger of the two, at most half as much.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arrays import Number
from ..serving.kvtiers import PrefixCache, drain, fetch_time, hbm_tier
from ..world.machine import Machine, Source, Tier
from .cost import HOUR, MTOK
from .fleet import HOURS_PER_MONTH

MONTH = HOURS_PER_MONTH * HOUR

RECOMPUTE = "recompute"

STORE_PUT, STORE_GET = 5e-6, 4e-7
"""Dollars per request that writes to, or reads from, a network store: list prices of a large cloud's standard object
storage, recalled and not verified."""

STORE_PART = 64e6
"""Bytes moved by one such request: an assumption. A request alone moves some 100 MB/s, so a fast link takes many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One place for a prefix, in dollars per prefix: `write` once, `rate` per second held, `fetch` per hit.

    `seconds` is what a hit waits for; `fetch_idle` is the cost of a hit if the replica stands still meanwhile.
    """

    name: str
    label: str
    write: Number = 0.0
    rate: Number = 0.0
    fetch: Number = 0.0
    seconds: Number = 0.0
    fetch_idle: Number = 0.0
    tier: Tier | None = None

    def cost(self, hold: Number, reuse: Number) -> Number:
        """Dollars for one prefix kept `hold` seconds and hit `reuse` times in that time.

        >>> Option(name="disk", label="disk", write=1.0, rate=0.5, fetch=2.0).cost(10.0, 3.0)
        12.0
        """
        total: Number = self.write + self.rate * hold + self.fetch * reuse
        return total


def recompute(tokens: Number, input_mtok: Number, seconds: Number = 0.0) -> Option:
    """Drop the cache and prefill the prefix again at every hit, at dollars per million input tokens."""
    fetch = tokens * input_mtok / MTOK
    return Option(name="recompute", label=RECOMPUTE, fetch=fetch, fetch_idle=fetch, seconds=seconds)


def in_hbm(held: PrefixCache, machine: Machine) -> Option:
    """Leave the cache in device memory: the entry's share of the capacity, at the rent of the devices.

    The lecture's figure, 1.67 KB per token for an hour in 192 GB at $2/h, for a million tokens:

    >>> m = Machine(name="m", accelerator="m", hbm_capacity=192e9, hbm_bandwidth=8e12, price_per_hour=2.0)
    >>> million = PrefixCache(tokens=1e6, bytes=1667e6, hbm_bytes=1667e6)
    >>> round(in_hbm(million, m).cost(3600.0, 1.0), 3)
    0.017
    """
    tier = hbm_tier(machine)
    return Option(
        name=tier.name,
        label="HBM" if machine.memory_type.startswith("HBM") else machine.memory_type,
        rate=held.hbm_bytes * hbm_rent(machine),
        tier=tier,
    )


def hbm_rent(machine: Machine) -> Number:
    """Dollars per byte and second of device memory: the rent of a device over its capacity."""
    rent: Number = machine.price_per_hour / HOUR / machine.hbm_capacity
    return rent


def in_tier(held: PrefixCache, tier: Tier, machine: Machine, *, gpus: Number = 1.0) -> Option:
    """Keep the cache in a tier with a price; `gpus` is the replica that waits if nothing else can run."""
    assert tier.price_per_byte_month is not None, f"{tier.name} has no price"
    rate = held.bytes * tier.price_per_byte_month / MONTH
    moved = rate * drain(tier)
    requests = np.maximum(held.bytes / STORE_PART, 1.0)
    put, get = (STORE_PUT * requests, STORE_GET * requests) if is_store(tier) else (moved, moved)
    seconds = fetch_time(held.bytes, tier, held.links)
    landed = held.hbm_bytes / machine.hbm_bandwidth * machine.price_per_hour / HOUR
    waiting = held.hbm_bytes * hbm_rent(machine) * seconds
    return Option(
        name=tier.name,
        label=short(tier.name),
        write=put + held.bytes / machine.hbm_bandwidth * machine.price_per_hour / HOUR,
        rate=rate,
        fetch=get + landed + waiting,
        seconds=seconds,
        fetch_idle=get + gpus * machine.price_per_hour / HOUR * seconds,
        tier=tier,
    )


def is_store(tier: Tier) -> bool:
    """Whether a tier is a store rented by the byte, not a device that its reader occupies."""
    return tier.name.lower().startswith("network")


def short(name: str) -> str:
    """The short name of a tier: what stands in its brackets.

    >>> short("NVMe flash (TLC)"), short("disk (nearline HDD)"), short("tape")
    ('TLC flash', 'disk', 'tape')
    """
    head, bracket, inside = name.partition("(")
    head, inside = head.strip(), inside.rstrip(") ")
    if not bracket:
        return name
    if "flash" in head.lower():
        return f"{inside} flash"
    return inside if head.lower().endswith(("dram", "memory")) else head.split()[0]


def unpriced(machine: Machine) -> tuple[Tier, ...]:
    """Tiers whose price is unknown: they are timed, and left out of every comparison of prices."""
    return tuple(t for t in machine.tiers if t.price_per_byte_month is None)


# --- which, for how long -------------------------------------------------------------------------------------------


def break_even(dear: Option, cheap: Option, reuse: Number) -> Number:
    """Seconds up to which `dear`, with the larger rate, is the cheaper of two for a prefix hit `reuse` times.

    0 where it never is, infinite where the other never becomes cheaper.

    >>> memory, disk = Option(name="m", label="m", rate=2.0), Option(name="d", label="d", rate=1.0, fetch=30.0)
    >>> float(break_even(memory, disk, 2.0))
    60.0
    """
    gap = cheap.write - dear.write + (cheap.fetch - dear.fetch) * reuse
    slope = np.asarray(dear.rate - cheap.rate, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        crossing = np.where(slope > 0, gap / slope, np.where(gap > 0, np.inf, 0.0))
    return np.maximum(crossing, 0.0)


def cheapest(options: Sequence[Option], hold: Number, reuse: Number) -> NDArray[np.intp]:
    """Index of the cheapest option; `hold` and `reuse` broadcast, e.g. a column against a row makes a map."""
    costs = np.broadcast_arrays(*(np.asarray(o.cost(hold, reuse)) for o in options))
    found: NDArray[np.intp] = np.argmin(np.stack(costs), axis=0)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Hold times from `start` to `end` seconds, over which one option is cheapest."""

    option: Option
    start: float
    end: float


def stretches(options: Sequence[Option], reuse: float) -> tuple[Stretch, ...]:
    """Which option is cheapest from no hold time to an endless one: the lower envelope of their lines.

    >>> memory, disk = Option(name="m", label="m", rate=2.0), Option(name="d", label="d", rate=1.0, fetch=30.0)
    >>> [(s.option.name, s.start, s.end) for s in stretches([disk, memory], 2.0)]
    [('m', 0.0, 60.0), ('d', 60.0, inf)]
    """
    now = min(options, key=lambda o: (float(o.cost(0.0, reuse)), float(o.rate)))
    found: list[Stretch] = []
    start = 0.0
    while True:
        ahead = [(float(break_even(now, o, reuse)), float(o.rate), o) for o in options if o.rate < now.rate]
        if not ahead:
            return (*found, Stretch(option=now, start=start, end=np.inf))
        end, _, following = min(ahead, key=lambda a: a[:2])
        if end > start:
            found.append(Stretch(option=now, start=start, end=end))
        now, start = following, max(start, end)


# --- prices --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """Prices per million tokens that cover the cost of a cache with one lifetime in one place.

    `write_mtok`: a cached write, its prefill included; `premium_mtok`: the part of it beyond plain input. `hit_mtok`:
    a hit; `renewing_hit_mtok`: the same where a hit renews the lifetime free of charge, at most one lifetime more.
    """

    write_mtok: Number
    premium_mtok: Number
    hit_mtok: Number
    renewing_hit_mtok: Number


def cover(option: Option, tokens: Number, lifetime: Number, input_mtok: Number) -> Cover:
    """What a provider must ask for a cached write and for a hit at a lifetime in seconds, to break even on each.

    >>> c = cover(Option(name="m", label="m", write=0.1, rate=0.01, fetch=0.5), 1e6, 300.0, 2.0)
    >>> round(c.premium_mtok, 6), round(c.write_mtok, 6), c.hit_mtok, c.renewing_hit_mtok
    (3.1, 5.1, 0.5, 3.5)
    """
    scale = MTOK / tokens
    held = option.rate * lifetime * scale
    return Cover(
        write_mtok=input_mtok + option.write * scale + held,
        premium_mtok=option.write * scale + held,
        hit_mtok=option.fetch * scale,
        renewing_hit_mtok=option.fetch * scale + held,
    )


def worth(option: Option, again: Option, tokens: Number, lifetime: Number, hit_share: Number) -> Number:
    """Dollars saved per million input tokens by a cache that finds a share of them, against always recomputing.

    Hits are fetched instead of recomputed (`again`), misses are written, and every token is held for one lifetime:
    misses from their writing, hits since a hit renews it. Negative where the cache costs more than it saves.

    >>> keep, again = Option(name="m", label="m", rate=0.01), Option(name="r", label="r", fetch=8.0)
    >>> worth(keep, again, 1e6, 300.0, 0.5)
    1.0
    """
    scale = MTOK / tokens
    saved = hit_share * (again.fetch - option.fetch) - (1 - hit_share) * option.write
    total: Number = scale * (saved - option.rate * lifetime)
    return total


def least_hit_share(option: Option, again: Option, lifetime: Number) -> Number:
    """The hit share above which a cache with this lifetime pays; above 1 where it never does.

    >>> keep, again = Option(name="m", label="m", rate=0.01), Option(name="r", label="r", fetch=8.0)
    >>> float(least_hit_share(keep, again, 300.0))
    0.375
    """
    gain = np.asarray(again.fetch - option.fetch + option.write, dtype=float)
    with np.errstate(divide="ignore"):
        return np.where(gain > 0, (option.write + option.rate * lifetime) / np.maximum(gain, 1e-300), np.inf)


def prefill_by_flops(active_parameters: Number, peak: Number, price_per_hour: Number) -> Number:
    """Dollars per million tokens of prefill in the lecture's form, 2 x active parameters / peak: no attention, no
    network, no idle FLOP, no decoding beside it. A lower limit that checks the modelled price.

    100B active at a B200's 4.5e15 dense FP8 FLOP/s and $2/h is $0.025; at 40 % of peak the $0.06 of section 17c:

    >>> round(float(prefill_by_flops(100e9, 4.5e15, 2.0)) / 0.4, 3)
    0.062
    """
    dollars: Number = 2 * active_parameters / peak * price_per_hour / HOUR * MTOK
    return dollars


# --- a price list read backwards -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Premium:
    """A write premium as a line over the lifetime: dollars per million tokens, and per million tokens and second."""

    fixed_mtok: float
    rate_mtok: float


def affine_premium(premiums: Mapping[float, float]) -> Premium:
    """The line through the premiums of the shortest and the longest lifetime (seconds -> dollars per M tokens).

    Claude Opus 4.6, $1.25 for 300 s and $5 for 3600 s: $0.91 and $0.00114 per second (LECTURE section 18).

    >>> line = affine_premium({300.0: 1.25, 3600.0: 5.0})
    >>> round(line.fixed_mtok, 2), round(line.rate_mtok, 5)
    (0.91, 0.00114)
    """
    first, last = min(premiums), max(premiums)
    rate = (premiums[last] - premiums[first]) / (last - first)
    return Premium(fixed_mtok=premiums[first] - rate * first, rate_mtok=rate)


def implied_bytes(rate_mtok: Number, rent: Number) -> Number:
    """Bytes per token that a price per M tokens and second pays for at a rent in dollars per byte and second.

    The premium above as rent of 192 GB of HBM at $2/h: 393 KB per token.

    >>> round(implied_bytes(3.75 / 3300, 2 / 3600 / 192e9) / 1e3)
    393
    """
    size: Number = rate_mtok / MTOK / rent
    return size


# --- thinking ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinking:
    """What it means that a share of the output is thinking, which later turns of a conversation do not see.

    `kept`: output tokens of a turn that stay in the context; `again`: those the next turn must prefill, though
    their cache existed; `found`: largest share of the next turn's old tokens that a cache can find;
    `visible_output_mtok`: dollars per million output tokens that are not thinking, their later prefill included.
    """

    share: Number
    kept: Number
    again: Number
    found: Number
    visible_output_mtok: Number


def thinking(share: float, prefix: Number, osl: Number, input_mtok: Number, output_mtok: Number) -> Thinking:
    """A turn with a prefix of `prefix` tokens and `osl` output tokens of which `share` (below 1) is thinking.

    Thinking is paid as output and dropped from the context afterwards. What was written after it was computed with
    the thinking before it, so its cache is of no use to the next turn: the visible answer is prefilled once more,
    and only the prefix is found. Without thinking the answer's own cache is found too.

    >>> t = thinking(0.75, 7000.0, 4000.0, 1.0, 10.0)
    >>> t.kept, t.again, t.found, t.visible_output_mtok
    (1000.0, 1000.0, 0.875, 41.0)
    """
    kept = (1 - share) * osl
    again = kept if share > 0 else 0.0 * kept
    return Thinking(
        share=share,
        kept=kept,
        again=again,
        found=(prefix + kept - again) / (prefix + kept),
        visible_output_mtok=(osl * output_mtok + again * input_mtok) / kept,
    )


LECTURE_HBM = Machine(
    name="192 GB at $2/h",
    accelerator="192 GB at $2/h",
    hbm_capacity=192e9,
    hbm_bandwidth=8e12,
    price_per_hour=2.0,
    sources={"price_per_hour": Source(text="the lecture's figure for a GPU-hour")},
)
"""The device whose memory LECTURE section 18 rents: a B200 of 192 GB at $2 per hour."""
