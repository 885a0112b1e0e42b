"""Scale-up against scale-out: link ratios, experts over domains, and latency against the size of a domain.

A domain is the set of devices that the scale-up fabric joins; beyond it messages take the scale-out network. What
crossing costs is answered by pricing the same layout as it lies and as it would lie in one domain (LECTURE sections
11 to 13 and 15).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from ..economics.cost import HOUR
from ..errors import BadInput
from ..kernel.counts import Pass
from ..kernel.roofline import PassTime
from ..layout.experts import Exchange, Placement, crossing_factor, exchange, placement
from ..layout.footprint import footprint
from ..layout.forward import forward
from ..layout.parallelism import Layout
from ..world.machine import Machine
from ..world.model import FeedForward, Model
from ..world.precision import Precision
from .domains import SIZES, DomainStep, Floors, any_way, floors, steps
from .grid import Question
from .preferred import layout_for_pass

TYPICAL_BATCH = 64
"""Sequences per device that a decode step is priced at unless more or fewer were asked for, or fewer fit."""


# --- links --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """The two links of a device, B/s one way, and how many times the one is faster than the other."""

    machine: Machine
    ratio: float  # NaN where a device lacks one of the links, or is a domain of its own

    @property
    def verified(self) -> bool:
        found = [self.machine.sources.get(f"scale{way}_bandwidth") for way in ("up", "out")]
        return all(s is not None and s.verified for s in found)


def link_ratio(machine: Machine) -> Ratio:
    """Scale-up over scale-out bandwidth; none where a domain is one device, as its scale-up link joins no other.

    >>> from rackmath.world import catalog
    >>> [link_ratio(catalog.machine(name)).ratio for name in ("8xh100", "gb200-nvl72", "vera-rubin-nvl72")]
    [9.0, 18.0, 9.0]
    """
    up, out = float(machine.scaleup_bandwidth), float(machine.scaleout_bandwidth)
    joined = float(machine.domain) > 1 and up > 0 and out > 0
    return Ratio(machine=machine, ratio=up / out if joined else math.nan)


# --- one layout on one fabric -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaWork:
    """What a replica is asked for: to decode `per_device` sequences at `context` tokens on each of its devices, or
    to prefill `per_device` tokens of prompts of `context` tokens."""

    phase: str  # "decode" or "prefill"
    per_device: float
    context: float

    def of(self, layout: Layout) -> Pass:
        """One pass (one micro-batch, where there are stages)."""
        tokens = self.per_device * float(layout.stage)
        if self.phase == "decode":
            return Pass(decode=max(tokens, 1.0), context=self.context)
        return Pass(prefill=tokens, prompt=self.context, busiest=1 / layout.dp)


@dataclass(frozen=True, slots=True, kw_only=True)
class FabricCase:
    """One layout on one fabric, at the same work per device: seconds per pass, tokens per second, dollars.

    `moved`: the exchange of one layer, None without experts and where every rank holds every token, so that results
    are summed by an all-reduce. `mtok`: dollars per million tokens of the phase, NaN
    without a price. `fits`: whether weights and the caches of the work fit.
    """

    label: str
    machine: Machine
    layout: Layout
    domains: float
    moved: Exchange | None
    scheme: str
    exchange: float
    time: PassTime
    tokens: float
    rate: float
    mtok: float
    memory: float
    fits: bool

    @property
    def crosses(self) -> bool:
        return self.domains > 1


def case(question: Question, precision: Precision, layout: Layout, work: ReplicaWork, label: str, machine: Machine) -> FabricCase:
    """Price one layout."""
    model, efficiency = question.model, question.efficiency
    asked = work.of(layout)
    time = forward(model, machine, precision, layout, asked, efficiency, keep=True)
    own = asked.decode / layout.stage + asked.prefill * asked.busiest / (layout.tp * layout.cp)
    ffn = experts_of(model)
    moved, scheme, seconds = None, "", 0.0
    if ffn is not None and float(layout.stage) > 1 and float(layout.dp * layout.cp) <= 1:
        summed = next(op for op, _ in time.terms if op.name.startswith("expert exchange"))
        scheme, seconds = "all-reduce", float(summed.network)
    elif ffn is not None and float(layout.stage) > 1:
        moved = exchange(ffn, machine, precision, layout, efficiency, model.d_model, own=own, tokens=asked.tokens)
        scheme = efficiency.exchange
        if scheme == "cheapest":
            scheme = min(moved.times, key=lambda name: float(moved.times[name]))
        seconds = float(moved.times[scheme])
    held = footprint(model, machine, precision, layout, question.engine, work.context)
    sequences = asked.decode * layout.pp if work.phase == "decode" else asked.prompts * layout.pp
    memory = float(held.used(sequences, layout))
    tokens = float(asked.tokens)
    # with stages, one micro-batch leaves the last stage each time the slowest stage is done
    rate = tokens * float(layout.pp) / float(time.estimate)
    hourly = float(layout.gpus) * float(machine.price_per_hour)
    return FabricCase(
        label=label,
        machine=machine,
        layout=layout,
        domains=math.ceil(float(layout.stage) / float(machine.domain)),
        moved=moved,
        scheme=scheme,
        exchange=seconds,
        time=time,
        tokens=tokens,
        rate=rate,
        mtok=hourly / HOUR / rate * 1e6 if hourly > 0 else math.nan,
        memory=memory,
        fits=memory <= float(held.capacity),
    )


def experts_of(model: Model) -> FeedForward | None:
    """The feed-forward part with routed experts that most layers have; None in a dense model."""
    found = [g for g in model.groups if g.ffn and g.ffn.n_experts]
    return max(found, key=lambda g: g.count).ffn if found else None


def copies_of(model: Model, layout: Layout, redundant: float | None, per_device: float | None) -> float | None:
    """Second copies of experts in a layer: as asked, or those that fill `per_device` slots on every device.

    None where neither was given, and where so few slots do not hold the experts (`placement` says so).
    """
    ffn = experts_of(model)
    if redundant is not None or per_device is None or ffn is None:
        return redundant
    filled = per_device * float(layout.ep) - float(ffn.n_experts)
    return filled if filled >= 0 else None


def layout_for_work(question: Question, precision: Precision, work: ReplicaWork) -> Layout:
    """The layout taken where none is given: for the work of all devices in one replica."""
    whole = replace(work, per_device=work.per_device * question.max_gpus)
    return layout_for_pass(question, precision, whole.of(Layout()))


# --- all of it ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RackComparison:
    """Everything the command `racks` says about a model on a machine.

    `cases[0]` is the layout asked about; the others are the same layout on other fabrics, and the one taken
    inside one domain. `exchange_factor`, `pass_factor`: what crossing costs, against one domain around all of it; 1
    where it does not cross. `least_factor`: (1 - 1/n) x ratio, what is said of links alone. `resident`: bytes of
    experts, routed and shared, of all layers on one device.
    """

    question: Question
    precision: Precision
    work: ReplicaWork
    placed: Placement | None
    resident: float
    cases: tuple[FabricCase, ...]
    exchange_factor: float
    pass_factor: float
    least_factor: float
    ratio: float
    floors: Floors
    target: float | None
    steps: tuple[DomainStep, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placing:
    """What is asked of the placement of experts; None where nothing is."""

    redundant: float | None = None  # copies of experts beyond one of each
    per_device: float | None = None  # experts that a device holds


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainRange:
    """Which sizes of a scale-up domain latency is compared over."""

    largest: int  # devices
    floor_batch: float  # sequences of the weight floors
    target: float | None = None  # tokens per second and user
    others: Sequence[Machine] = ()  # machines whose weight floors stand beside


def racks(
    question: Question, precision: Precision, *, layout: Layout, work: ReplicaWork | None, placing: Placing, domains: DomainRange
) -> RackComparison:
    """The answer for one model on one machine; `work` is a typical decode step where None."""
    machine, model = question.machine, question.model
    _several(machine)
    chosen, largest = layout, domains.largest
    copies = copies_of(model, chosen, placing.redundant, placing.per_device)
    _reachable(machine, chosen, question.efficiency.exchange)
    ffn = experts_of(model)
    placed, resident = None, 0.0
    if ffn is not None:
        placed = placement(ffn, float(chosen.ep), redundant=copies, per_device=placing.per_device)
        if copies is not None:
            chosen = replace(chosen, redundant=copies)
        resident = _resident(model, precision, placed, chosen)
        if resident > float(machine.hbm_capacity):
            raise BadInput(
                f"{placed.resident:g} experts of each layer take {resident / 1e9:,.0f} GB and a device of"
                f" {machine.name} has {float(machine.hbm_capacity) / 1e9:,.0f} GB; place them on more devices"
            )
    elif placing != Placing():
        raise BadInput(f"{model.name} has no routed experts to place; leave the options of placement out")
    asked = work or _typical(question, precision, chosen)
    cases = _cases(question, precision, chosen, asked)
    here = cases[0]
    one = next((c for c in cases if c.label == ONE_DOMAIN), here)
    sizes = sorted({s for s in (*SIZES, int(machine.domain)) if s <= largest} | {largest})
    return RackComparison(
        question=question,
        precision=precision,
        work=asked,
        placed=placed,
        resident=resident,
        cases=cases,
        exchange_factor=here.exchange / one.exchange if one.exchange > 0 else 1.0,
        pass_factor=float(here.time.estimate) / float(one.time.estimate),
        least_factor=float(crossing_factor(here.domains, link_ratio(machine).ratio)) if here.crosses else 1.0,
        ratio=link_ratio(machine).ratio,
        floors=floors(question, precision, batch=domains.floor_batch, context=asked.context, sizes=sizes),
        target=domains.target,
        steps=steps(model, precision, domains.others),
    )


ONE_DOMAIN = "the same in one domain"


def _cases(question: Question, precision: Precision, layout: Layout, work: ReplicaWork) -> tuple[FabricCase, ...]:
    """The layout as it lies; in one domain where it crosses, over boxes of 8 where not; and inside one."""
    machine = question.machine

    def priced(label: str, one: Layout, on: Machine) -> FabricCase:
        return case(question if on is machine else any_way(question), precision, one, work, label, on)

    found = [priced("as asked", layout, machine)]
    stage = float(layout.stage)
    if found[0].crosses:
        found.append(priced(ONE_DOMAIN, layout, replace(machine, domain=stage)))
        inside = replace(question, machine=replace(machine, n_devices=float(machine.domain)), max_gpus=float(machine.domain))
        with suppress(BadInput):  # where no layout divides there is nothing to put beside
            found.append(priced("inside one domain", layout_for_work(inside, precision, work), replace(machine)))
    elif stage > BOX and float(machine.scaleout_bandwidth) > 0:
        found.append(priced(f"the same over boxes of {BOX}", layout, replace(machine, domain=float(BOX))))
    return tuple(found)


BOX = 8


def _typical(question: Question, precision: Precision, layout: Layout) -> ReplicaWork:
    context = min(4096.0, question.model.max_context)
    held = footprint(question.model, question.machine, precision, layout, question.engine, context)
    most = float(held.batch_max) / float(layout.gpus)
    return ReplicaWork(phase="decode", per_device=max(min(TYPICAL_BATCH, most), 1 / float(layout.stage)), context=context)


def _resident(model: Model, precision: Precision, placed: Placement, layout: Layout) -> float:
    """Bytes of experts on one device, over all layers of its stage."""
    total = 0.0
    for group in model.groups:
        ffn = group.ffn
        if ffn is None or not ffn.n_experts:
            continue
        one = sum(m.parameters for m in ffn.expert) * precision.of("experts").bytes
        shared = sum(m.parameters for m in ffn.matrices if m.component == "shared_experts")
        dense = shared * precision.of("shared_experts").bytes / float(layout.tp)
        total += group.count * ((placed.resident - placed.n_shared) * one / float(layout.moe_tp) + dense)
    return total / float(layout.pp)


def _several(machine: Machine) -> None:
    if not float(machine.n_devices) > 1:
        raise BadInput(f"{machine.name} is one device, so nothing is exchanged; name several, like 8x{machine.name.lower()}")


def _reachable(machine: Machine, layout: Layout, scheme: str) -> None:
    stage = float(layout.stage)
    if stage > 1 and machine.domain > 1 and not float(machine.scaleup_bandwidth) > 0:
        raise BadInput(f"{machine.name} has a scale-up bandwidth of 0; set it like --set machine.scaleup_bandwidth=450GB/s")
    crossing = stage > float(machine.domain)
    if crossing and not float(machine.scaleout_bandwidth) > 0:
        raise BadInput(
            f"layout {layout.label()} spans {math.ceil(stage / machine.domain)} domains and {machine.name} has a"
            " scale-out bandwidth of 0; set it like --set machine.scaleout_bandwidth=50GB/s"
        )
    if scheme == "scale-out" and not crossing:
        raise BadInput(f"layout {layout.label()} lies in one domain of {machine.name}; scale-out carries nothing there")
