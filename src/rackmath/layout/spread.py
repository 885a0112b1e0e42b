"""A model over unequal memories, as llama.cpp runs it: layers over cards that differ, and weights left with the host.

The host holds whole layers with their cache (`--n-gpu-layers` leaves them out) or the routed experts of layers whose
rest lies on the cards (`--n-cpu-moe`). Cards and host work in turn, so a token takes the sum of their times:

    decode:  cards read their part at their bandwidth, the processors theirs at the host's, and the token crosses over
    prefill: from 32 tokens on, weights of the host are copied over the bus and multiplied on a card (op offload);
             attention of the host's layers stays with the processors

Layers of all kinds are shared in proportion. Cards take layers by their free memory, the output counted as one more
(llama.cpp's default split). None of it is fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..arrays import Number
from ..kernel import llamacpp
from ..kernel.achieved import Achieved
from ..kernel.counts import Pass
from ..kernel.efficiency import Efficiency
from ..kernel.roofline import TIMES, Op, PassTime, pass_time
from ..world.machine import Machine
from ..world.model import LayerGroup, Model
from ..world.precision import Precision
from . import local
from .parallelism import Layout

Operations = Callable[[Model, Machine, Precision, Layout, Pass, Efficiency], Iterable[Op]]

OFFLOAD = 32.0
"""Tokens of a step from which weights of the host are multiplied on a card (GGML_OP_OFFLOAD_MIN_BATCH)."""

BUS_SHARE = 0.5
"""Share of the bus that copies of a mapped file reach: an assumption."""

CROSSING = 2.5e-5
"""Seconds for a token's hidden vector to go from a card to the host or back, with waiting for it: an assumption."""

KEEPS = 4 * 2.0**30
"""Bytes of the host's memory that its system keeps: an assumption."""

ENDS = ("output head", "embedding lookup", "pipeline hops")
WEIGHTS = ("gemm", "experts")


def apart(machine: Machine, layout: Layout) -> bool:
    """Whether a model lies in unequal memories."""
    return bool(machine.cards) or left(layout)


def left(layout: Layout) -> bool:
    """Whether anything is left with the host."""
    return bool(np.any(np.asarray(layout.host_layers) > 0) or np.any(np.asarray(layout.host_experts) > 0))


def expert_layers(model: Model) -> float:
    """Layers with routed experts."""
    return float(sum(g.count for g in model.groups if g.ffn and g.ffn.n_experts))


def parted(model: Model, layout: Layout) -> tuple[Model, Model]:
    """The model's part on the cards, and the host's: layers in proportion, counts as columns; no ends on the host.

    >>> from rackmath.world import catalog
    >>> qwen = catalog.model("Qwen/Qwen3-30B-A3B")
    >>> cards, host = parted(qwen, Layout(host_layers=8.0, host_experts=10.0))
    >>> round(float(cards.n_layers), 6), round(float(host.n_layers), 6), round(float(expert_layers(cards)), 6)
    (40.0, 18.0, 30.0)
    """
    whole = layout.host_layers / model.n_layers
    moved = layout.host_experts / max(expert_layers(model), 1.0)
    cards, host = list[LayerGroup](), list[LayerGroup]()
    for i, group in enumerate(model.groups, 1):
        which = group.name or (f"of kind {i}" if len(model.groups) > 1 else "")
        name = f"{which} on the host".strip()
        host.append(_times(group, whole, name=name))
        if group.ffn is None or not group.ffn.n_experts:
            cards.append(_times(group, 1 - whole))
            continue
        rest = replace(group.ffn, expert=(), n_experts=0, top_k=0, expert_extra_parameters=0)
        only = replace(group.ffn, matrices=(), extra_parameters=0)
        cards.append(_times(group, np.maximum(1 - whole - moved, 0.0)))
        cards.append(_times(group, moved, ffn=rest))
        host.append(_times(LayerGroup(count=group.count, ffn=only), moved, name=f"{name}, experts"))
    kept, given = (tuple(g for g in part if np.any(np.asarray(g.count) > 0)) for part in (cards, host))
    return replace(model, groups=kept), headless(replace(model, groups=given))


def headless(model: Model) -> Model:
    """The layers alone."""
    return replace(model, vocab=1.0, tied_embeddings=False, embedding_parameters=0.0, head_parameters=0.0, norm_parameters=0.0)


def layers_on(model: Model, machine: Machine, layout: Layout) -> list[Number]:
    """Layers on each of unequal cards: the first `pp` share by free memory, the output is one more on the last.

    llama.cpp gives layer i of N (with the output) to the first card whose cumulated share of memory exceeds i / N:

    >>> from rackmath.world import catalog
    >>> box = catalog.machine("rtx-4090+rtx-3060")
    >>> llama = catalog.model("meta-llama/Llama-3.3-70B-Instruct")
    >>> [float(n) for n in layers_on(llama, box, Layout(pp=2.0))]  # 81 units, 23.03 and 11.13 GiB free
    [55.0, 25.0]
    """
    return [units - np.where(last, 1.0, 0.0) for units, last in units_on(model, machine, layout)]


def units_on(model: Model, machine: Machine, layout: Layout) -> list[tuple[Number, Any]]:
    """Layers and output together on each of unequal cards, and whether the output is among them."""
    pp = np.asarray(layout.pp, dtype=float)
    units = model.n_layers - np.asarray(layout.host_layers, dtype=float) + 1
    free = [max(float(card.usable) - local.driver_bytes(card), 1.0) for card in machine.cards]
    total = sum((f * (i < pp) for i, f in enumerate(free)), 0.0 * pp)
    found, share, before = list[tuple[Number, Any]](), 0.0 * pp, 0.0 * pp
    for i, f in enumerate(free):
        share = share + f * (i < pp) / total
        after = np.ceil(share * units - 1e-9)
        found.append((after - before, (before < units) & (after >= units)))
        before = after
    return found


def scaled(model: Model, share: Number) -> Model:
    """The model with this share of every group of layers."""
    return replace(model, groups=tuple(_times(g, share) for g in model.groups))


def _times(group: LayerGroup, share: Number, **changes: Any) -> LayerGroup:
    """A share of a group's layers, which may be a column."""
    return replace(group, count=group.count * share, **changes)  # type: ignore[arg-type]


# --- time -----------------------------------------------------------------------------------------------------------


def in_turn(
    model: Model,
    machine: Machine,
    precision: Precision,
    layout: Layout,
    work: Pass,
    efficiency: Efficiency,
    operations: Operations,
    *,
    keep: bool = False,
) -> PassTime:
    """One pass through the cards and the host, one after the other; `places` holds the seconds of each.

    Decoding, the bound is the sum as well: a token needs every memory in turn. While prompts are read, other tokens
    may be elsewhere at once: cards and host are then two resources of the bound.
    """
    cards, host = parted(model, layout)
    pieces = list(_cards(cards, machine, precision, layout, work, efficiency, operations, keep=keep))
    if left(layout):
        pieces.append(("the host", _host(host, machine, precision, work, efficiency, operations, layout, keep=keep)))
    return replace(_sum([piece for _, piece in pieces]), places=tuple((name, p.estimate) for name, p in pieces))


def _cards(
    cards: Model,
    machine: Machine,
    precision: Precision,
    layout: Layout,
    work: Pass,
    efficiency: Efficiency,
    operations: Operations,
    *,
    keep: bool,
) -> Iterator[tuple[str, PassTime]]:
    """The cards' parts: alike ones as one, in turn; each other one with its own bandwidth and constants."""
    each = machine.cards or (machine,)
    alone = replace(layout, host_layers=0.0)
    shares = units_on(cards, machine, alone) if machine.cards else [(cards.n_layers + 1, True)]
    for i, (card, (units, last)) in enumerate(zip(each, shares, strict=True)):
        n = units - np.where(last, 1.0, 0.0)
        of = efficiency if llamacpp.class_of(card) == llamacpp.class_of(machine) else llamacpp.of_machine(card)
        first = i == 0
        on = replace(layout, host_layers=0.0, host_experts=0.0, pp=layout.pp if first else 1.0 + 0.0 * layout.pp)
        part = scaled(cards, n / np.maximum(cards.n_layers, 1.0)) if machine.cards else cards
        ops: Iterable[Op] = operations(part, card, precision, on, work, of)
        if machine.cards:
            kept = (op for op in ops if first or op.name not in ENDS[1:])
            ops = (_weighted(op, last) if op.name == ENDS[0] else op for op in kept)
            ops = [op for op in ops if np.any(np.asarray(op.layers) > 0)]
        time = pass_time(
            ops,
            bandwidth=card.hbm_bandwidth,
            efficiency=of,
            keep=keep,
            step_overhead=of.step_overhead + of.sequence_overhead * work.decode if first else 0.0,
        )
        yield card.accelerator, time


def _weighted(op: Op, here: Any) -> Op:
    """The operation where it is here, nothing of it elsewhere."""
    return replace(op, layers=op.layers * np.where(here, 1.0, 0.0))


def _host(
    host: Model,
    machine: Machine,
    precision: Precision,
    work: Pass,
    efficiency: Efficiency,
    operations: Operations,
    layout: Layout,
    *,
    keep: bool,
) -> PassTime:
    """The host's part: its processors, or for many tokens a card with the weights copied to it."""
    own, one = llamacpp.of_host(), Layout()
    seat = processors(machine)
    card = max(machine.cards or (machine,), key=lambda m: float(m.hbm_bandwidth))

    def ops(on: Machine, of: Efficiency) -> list[Op]:
        return [op for op in operations(host, on, precision, one, work, of) if op.name not in ENDS]

    crossing = Op(
        name="crossing to the host",
        kind="network",
        kernels=0.0,
        network=CROSSING * 2 * (layout.host_experts + np.where(np.asarray(layout.host_layers) > 0, 1.0, 0.0)),
    )
    here = ops(seat, own)
    slow = pass_time([*here, crossing], bandwidth=seat.hbm_bandwidth, efficiency=own, keep=keep)
    slow = replace(slow, compute=slow.flops / card.peak("bf16"))
    if isinstance(work.prefill, float | int) and not work.prefill:
        return slow
    lent = [op for op in ops(card, efficiency) if op.kind in WEIGHTS]
    size = sum((op.layers * op.bytes for op in lent), 0.0 * work.tokens)
    copied = Achieved(memory=size / (BUS_SHARE * link(machine)))
    bus = Op(name="weights over the bus", kind="gemm", kernels=0.0, spent=copied, bytes=size)
    mixing = [op for op in here if op.kind not in WEIGHTS]
    fast = _sum(
        [
            pass_time([*lent, crossing], bandwidth=card.hbm_bandwidth, efficiency=efficiency, keep=keep),
            pass_time(mixing, bandwidth=seat.hbm_bandwidth, efficiency=own, keep=keep),
            pass_time([bus], bandwidth=seat.hbm_bandwidth, efficiency=own, keep=keep),
        ]
    )
    many = np.asarray(work.tokens) >= OFFLOAD
    chosen = replace(_either(many, fast, slow), terms=fast.terms if bool(np.all(many)) else slow.terms)
    return replace(chosen, memory=0.0 * chosen.memory, out=slow.memory)


def processors(machine: Machine) -> Machine:
    """The host as a machine: what its processors multiply, and its memory.

    >>> from rackmath.world import catalog
    >>> processors(catalog.machine("rtx-4090")).hbm_bandwidth
    89600000000.0
    """
    return replace(
        machine,
        accelerator="the host",
        cards=(),
        peak_bf16=machine.host_compute,
        peak_fp8=0.0,
        peak_fp4=0.0,
        peak_int8=0.0,
        hbm_bandwidth=machine.host_bandwidth,
        hbm_nominal=machine.host_capacity,
        hbm_capacity=machine.host_capacity,
        memory_type="DDR5",
        vendor="",
        generation="",
    )


def link(machine: Machine) -> float:
    """Bytes a second from the host's memory to a card."""
    return machine.tiers[0].bandwidth if machine.tiers else float(np.max(machine.scaleup_bandwidth))


def _sum(parts: Sequence[PassTime]) -> PassTime:
    """Several passes one after the other."""
    found: dict[str, Any] = {name: sum((getattr(p, name) for p in parts), 0.0) for name in TIMES}
    return PassTime(**found, terms=tuple(term for p in parts for term in p.terms))


def _either(first: Any, one: PassTime, other: PassTime) -> PassTime:
    """One pass where `first` holds, the other elsewhere."""
    found: dict[str, Any] = {n: np.where(first, getattr(one, n), getattr(other, n)) for n in TIMES}
    return PassTime(**found)
