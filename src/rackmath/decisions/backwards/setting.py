"""What a price list is read with: a machine, a size, a utilisation, and how far each may be off.

A provider tells none of them. Where nothing is given the lecture's own figures stand (LECTURE sections 6, 17 and 18),
with ranges that the catalogue's machines span; what the user gives is taken as known.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

from ...economics.pricelist import ListPrice, PriceList
from ...kernel.counts import active_parameters
from ...kernel.roofline import ratio
from ...world import catalog
from ...world.machine import Machine, Source
from ...world.model import Model
from .reading import Assumption, fixed

ACTIVE = (50e9, 100e9, 300e9)
"""Active parameters of a frontier model, low, value and high: the lecture's guess in the middle."""

BOARD = 300.0
"""Multiplies per weight read, the lecture's constant; on the board it stands for multiplies per byte."""

RATES = (150.0, 570.0)
"""Multiplies per weight read from an A100 in BF16 to a Rubin in FP4 and a TPU v6e (LECTURE section 6)."""

FORMATS = {"fp4": 0.5, "fp8": 1.0, "bf16": 2.0}
"""Bytes of a weight by the format it is multiplied in."""

USUAL = "fp8"
"""The format that prefill and the corrected readings are worked in."""


@functools.cache
def lecture_gpu() -> Machine:
    """The lecture's device: a GB200's rates, 192 GB, $2 per hour.

    >>> lecture_gpu().price_per_hour, lecture_gpu().peak("fp4") / lecture_gpu().hbm_bandwidth / 2
    (2.0, 625.0)
    """
    said = Source(text="the lecture's figure")
    one = catalog.device("gb200")
    return replace(
        one,
        name="the lecture's GPU",
        hbm_nominal=192e9,
        hbm_capacity=192e9,
        price_per_hour=2.0,
        notes=(),
        sources={**one.sources, "hbm_nominal": said, "hbm_capacity": said, "price_per_hour": said, f"prices.{one.price_kind}": said},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A price list with everything that its readings take beside it.

    `named`: whether the machine was chosen, so that its own rates hold; else any accelerator in `RATES` may be in
    use. `context`: tokens at which decoding is taken to balance, in place of the list's threshold. `batch`: sequences
    of a pass. `known`: the model behind the list, where its weights are open.
    """

    prices: PriceList
    machine: Machine
    named: bool
    active: Assumption
    mfu: Assumption
    context: float | None = None
    batch: float | None = None
    known: Model | None = None

    @property
    def long(self) -> ListPrice | None:
        """The list's first entry for longer requests."""
        found = self.prices.long
        return found if found is not None and found.above_input_tokens > 0 else None

    @property
    def threshold(self) -> float | None:
        """Tokens of context at which a step is read; None where the list has none and none was given."""
        return self.context if self.context is not None else None if self.long is None else self.long.above_input_tokens

    def multiplies(self, number_format: str) -> Assumption | None:
        """Multiplies per byte read, (F/2)/M, in a format; None where the machine does not multiply it."""
        if not self.machine.multiplies(number_format) or not float(self.machine.hbm_bandwidth) > 0:
            return None
        found = float(ratio(self.machine.peak(number_format), 1.0, self.machine.hbm_bandwidth))
        name, size = "multiplies per byte", FORMATS[number_format]
        if self.named:
            return fixed(name, found, why=f"{self.machine.name} in {number_format.upper()}, its peak and bandwidth")
        low, high = (rate / size for rate in RATES)
        why = f"{self.machine.name} in {number_format.upper()}; range: accelerators since 2020"
        return Assumption(name=name, value=found, low=min(low, found), high=max(high, found), why=why)

    @property
    def hour(self) -> Assumption | None:
        """Dollars per device-hour, over every price known of the machine; None where none is."""
        value = float(self.machine.price_per_hour)
        if not value > 0:
            return None
        of = self.machine.prices
        every = [value, *(p for p in (of.on_demand, of.reserved, of.spot, of.owned) if p)]
        source = self.machine.sources.get("price_per_hour") or self.machine.sources.get(f"prices.{self.machine.price_kind}")
        why = f"{self.machine.name}: {source.text if source else 'the price in force'}"
        return Assumption(
            name="per device",
            value=value,
            low=min(every),
            high=max(every),
            unit="$/h",
            why=why + ("; range: every price known of it" if len(set(every)) > 1 else ""),
        )

    def listed(self, name: str, value: float, unit: str = "$") -> Assumption:
        """A figure of the list as a term."""
        source = self.prices.standard.source
        return fixed(name, value, unit, f"{self.prices.model}: {source}" if source else self.prices.model, listed=True)

    @property
    def input(self) -> Assumption | None:
        return self._price("input", self.prices.standard)

    @property
    def output(self) -> Assumption | None:
        return self._price("output", self.prices.standard)

    def above(self, side: str) -> Assumption | None:
        """The price of "input" or "output" above the threshold."""
        return None if self.long is None else self._price(side, self.long, " above")

    def _price(self, side: str, entry: ListPrice, where: str = "") -> Assumption | None:
        value: float | None = getattr(entry, f"{side}_mtok")
        return self.listed(side + where, value) if value else None


def setting(
    prices: PriceList,
    *,
    active: tuple[float, float, float] | None = None,
    machine: Machine | None = None,
    mfu: float | None = None,
    context: float | None = None,
    batch: float | None = None,
    known: Model | None = None,
) -> Setting:
    """The setting, with the lecture's figures and their ranges for whatever is not given.

    `active`: low, value and high, in parameters; by default those of `known`, else `ACTIVE`.
    """
    return Setting(
        prices=prices,
        machine=lecture_gpu() if machine is None else machine,
        named=machine is not None,
        active=_active(active, known),
        mfu=Assumption(name="of peak in prefill", value=0.4, low=0.3, high=0.6, unit="share", why="usual utilisations of prefill, assumed")
        if mfu is None
        else fixed("of peak in prefill", mfu, "share", "given"),
        context=context,
        batch=batch,
        known=known,
    )


def _active(given: tuple[float, float, float] | None, known: Model | None) -> Assumption:
    name, unit = "active parameters", "params"
    if given is None and known is not None:
        return fixed(name, active_parameters(known)["with one"], unit, f"counted from the configuration of {known.name}")
    low, value, high = given or ACTIVE
    why = "given" if given else "the lecture's guess of 100 billion; range: assumed, nothing public"
    return Assumption(name=name, value=value, low=low, high=high, unit=unit, why=why)
