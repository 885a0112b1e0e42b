"""Where a cached prefix can wait, and how long it takes to come back. Seconds and bytes only, no dollars.

A prefix of some tokens has been prefilled; its cache lies in HBM, or in a tier behind it (host memory, flash, disk,
a network store), or is dropped and computed again. Memory tiers are described by capacity C and bandwidth M; what
sorts them is the drain time C / M (LECTURE sections 8 and 18). A tier is worth its price for entries held about as
long as its drain time: then holding takes as large a share of the device as fetching does.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..arrays import Number
from ..kernel.counts import cache_bytes
from ..kernel.roofline import drain_time
from ..layout.footprint import device_cache_bytes
from ..layout.parallelism import Layout
from ..world.machine import Machine, Source, Tier
from ..world.model import Model
from ..world.precision import Precision

WITHIN = 2.0
"""A drain time agrees with a said one if it lies within this factor of it, or of the range that was said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixCache:
    """The cache of one prefix: tokens, bytes of one copy, bytes in HBM with every copy the layout keeps.

    `links` are the devices that share the entry and fetch their parts side by side, each over its own link.
    """

    tokens: Number
    bytes: Number
    hbm_bytes: Number
    links: Number = 1.0

    @property
    def bytes_per_token(self) -> Number:
        return self.bytes / self.tokens


def entry(model: Model, precision: Precision, layout: Layout, tokens: Number) -> PrefixCache:
    """The cache that a prefix of `tokens` leaves behind under a layout.

    Outside HBM one copy is kept. In HBM, tensor-parallel ranks beyond the KV heads hold copies, and a latent cache
    is held by every rank. Windowed layers keep their window, recurrent ones a state of fixed size.
    """
    devices = layout.tp * layout.pp
    return PrefixCache(
        tokens=tokens,
        bytes=cache_bytes(model, tokens, precision),
        hbm_bytes=device_cache_bytes(model, precision, layout, tokens) * devices,
        links=devices,
    )


def fetch_time(size: Number, tier: Tier, links: Number = 1.0) -> Number:
    """Seconds to bring `size` bytes from a tier: its latency, then the bytes over the links of `links` devices.

    Each device reaches its own share of the tier; copies between devices go over the scale-up fabric, which is
    faster by an order of magnitude and not counted. Writing is taken to be as fast as reading.

    >>> dram = Tier(name="host DRAM", capacity=256e9, bandwidth=63e9)
    >>> round(fetch_time(1.15e9, dram), 4)
    0.0183
    """
    return tier.latency + size / (tier.bandwidth * links)


def hbm_tier(machine: Machine) -> Tier:
    """A device's own memory as a tier: it has no fetch, and its price is the rent of the device."""
    return Tier(
        name=f"device memory ({machine.memory_type})",
        capacity=float(machine.hbm_capacity),
        bandwidth=float(machine.hbm_bandwidth),
        source=machine.sources.get("hbm_capacity"),
    )


def drain(tier: Tier) -> float:
    """Seconds to read all of a tier once, C / M: also the hold time at which it holds and fetches in equal shares.

    >>> round(drain(Tier(name="disk", capacity=24e12, bandwidth=285e6)) / 3600, 1)
    23.4
    """
    return float(drain_time(tier.capacity, tier.bandwidth))


# --- what was said about drain times -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LectureDrain:
    """A drain time as the lecture gave it, in seconds from `low` to `high` (its section 18)."""

    medium: str
    low: float
    high: float


SAID = (
    LectureDrain(medium="HBM", low=0.015, high=0.020),
    LectureDrain(medium="host memory", low=1.0, high=10.0),
    LectureDrain(medium="flash", low=60.0, high=60.0),
    LectureDrain(medium="disk", low=3600.0, high=3600.0),
)


def said_of(name: str) -> LectureDrain | None:
    """What the lecture said about the medium of a tier; None where it said nothing.

    >>> said_of("NVMe flash (TLC)").medium, said_of("network store (object)")
    ('flash', None)
    """
    text = name.lower()
    if "device memory" in text:
        return SAID[0]
    if "network" in text:
        return None
    for words, said in ((("flash", "ssd", "nvme"), SAID[2]), (("disk", "hdd"), SAID[3])):
        if any(word in text for word in words):
            return said
    return SAID[1] if any(word in text for word in ("dram", "ddr", "memory")) else None


def agrees(seconds: float, said: LectureDrain, within: float = WITHIN) -> bool:
    """Whether a drain time lies within a factor of what was said.

    >>> agrees(4.1, SAID[1]), agrees(24e12 / 285e6, SAID[3])
    (True, False)
    """
    return said.low / within <= seconds <= said.high * within


DRIVES = (
    Tier(name="flash, 3.84 TB TLC", capacity=3.84e12, bandwidth=14e9),
    Tier(name="flash, 7.68 TB TLC", capacity=7.68e12, bandwidth=7e9),
    Tier(name="flash, 30.72 TB QLC", capacity=30.72e12, bandwidth=7e9),
    Tier(name="flash, 61.44 TB QLC", capacity=61.44e12, bandwidth=7e9),
    Tier(name="disk, 24 TB", capacity=24e12, bandwidth=285e6),
)
"""Common drives: 4.6 min to 2.4 h for flash and 23 h for disk, where the lecture said a minute and an hour."""

# LECTURE section 18
DRIVES_SOURCE = Source(text="data sheets, recalled", verified=False)
