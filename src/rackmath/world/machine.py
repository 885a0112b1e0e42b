"""Accelerators, the fabric that joins them, the memory behind them, and what they cost: plain numbers.

A device is one *package* as it is sold (an H100 SXM module, one GB200 GPU of two dies). Peaks are dense: never the
2:4-sparse figure. Bandwidths of links are one way, per device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..arrays import Number


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a value comes from: `verified` is False for values recalled or disputed."""

    text: str
    date: str = ""
    verified: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """A memory tier behind HBM, per device: capacity B, bandwidth B/s, price dollars per byte and month."""

    name: str
    capacity: float
    bandwidth: float
    price_per_byte_month: float | None = None
    latency: float = 0.0
    source: Source | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a device costs. Rental in dollars per device-hour by kind; owned from capital cost and lifetime."""

    on_demand: float | None = None
    reserved: float | None = None
    spot: float | None = None
    owned: float | None = None  # all-in dollars per device-hour of an owner: capital, hosting, power


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Devices of one kind joined by one fabric.

    Units: FLOP/s (dense), bytes, B/s, seconds, watts, dollars per device-hour. A peak of 0 means the operand type
    has no tensor path: `peak` then falls back to the next wider type.
    """

    name: str
    accelerator: str
    n_devices: float = 1
    domain: float = 1  # devices joined by the scale-up fabric
    peak_bf16: Number = 0.0
    peak_fp8: Number = 0.0
    peak_fp4: Number = 0.0
    peak_int8: Number = 0.0
    hbm_nominal: Number = 0.0  # the figure on the box; 0: not known apart from the capacity
    hbm_capacity: Number = 0.0  # what the driver shows
    hbm_reserved: Number = 0.0  # part of it that the driver keeps from programs
    hbm_bandwidth: Number = 0.0
    scaleup_bandwidth: Number = 0.0
    scaleup_latency: Number = 2e-6
    scaleout_bandwidth: Number = 0.0
    scaleout_latency: Number = 6e-6
    power: Number = 0.0  # watts per device at the board
    overhead_power: float = 1.0  # facility watts per board watt: host, network, cooling
    price_per_hour: Number = 0.0  # the price in force, dollars per device-hour
    price_kind: str = "on_demand"
    prices: Price = field(default_factory=Price)
    tiers: tuple[Tier, ...] = ()
    host_capacity: Number = 0.0  # memory of the computer that weights may lie in; 0: none beside the device's
    host_bandwidth: Number = 0.0  # at which its processors read it
    host_compute: Number = 0.0  # operations a second of its processors on the weights of a file
    cards: tuple[Machine, ...] = ()  # where they differ, in order
    vendor: str = ""
    year: int = 0
    dies: float = 1  # dies per package
    memory_type: str = "HBM"
    home: bool = False  # sold to people rather than to data centres: one to a few users, and a runtime for them
    generation: str = ""  # key into fitted efficiencies; a chip nobody measured has its own
    notes: tuple[str, ...] = ()
    sources: Mapping[str, Source] = field(default_factory=dict, repr=False, compare=False)

    @property
    def box(self) -> Number:
        """Bytes on the box: what data sheets, drain times and the names of machines go by.

        >>> Machine(name="h100", accelerator="H100", hbm_nominal=80e9, hbm_capacity=85.03e9).box
        80000000000.0
        """
        known = bool(np.any(np.asarray(self.hbm_nominal) > 0))
        return self.hbm_nominal if known else self.hbm_capacity

    @property
    def unified(self) -> bool:
        """Whether device and host share one memory."""
        return self.vendor == "Apple" or self.memory_type.startswith("LPDDR")

    @property
    def usable(self) -> Number:
        """Bytes that programs see, the total that an engine takes its share of."""
        return self.hbm_capacity - self.hbm_reserved

    def peak(self, compute: str) -> Number:
        """Dense FLOP/s for an operand type ("bf16", "fp8", "fp4", "int8"), or of the next wider one it has.

        >>> h100 = Machine(name="h100", accelerator="H100", peak_bf16=989e12, peak_fp8=1979e12)
        >>> h100.peak("fp4") == h100.peak_fp8
        True
        """
        for kind in _WIDER[compute]:
            value: Number = getattr(self, f"peak_{kind}")
            if not isinstance(value, float | int) or value > 0:
                return value
        return self.peak_bf16

    def multiplies(self, compute: str) -> bool:
        """Whether the machine has a tensor path for an operand type of its own."""
        return compute == "bf16" or bool(np.any(np.asarray(getattr(self, f"peak_{compute}")) > 0))

    def rate(self, compute: str) -> Number:
        """Dense FLOP/s that products of an operand type run at: those of 16 bits where it has no path of its own.

        >>> h100 = Machine(name="h100", accelerator="H100", peak_bf16=989e12, peak_fp8=1979e12)
        >>> h100.rate("fp8") == h100.peak_fp8, h100.rate("fp4") == h100.peak_bf16
        (True, True)
        """
        return self.peak(compute if self.multiplies(compute) else "bf16")


_WIDER = {"fp4": ("fp4", "fp8"), "fp8": ("fp8",), "int8": ("int8",), "bf16": ()}
