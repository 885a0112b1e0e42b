"""Pipelines of stages: token latency with hops, utilisation, memory per device, and when a hop costs nothing.

A replica of P stages keeps m micro-batches of b sequences on their way. Seconds, bytes, counts; every argument may
be a column. Inference has no bubble as long as m is at least P: a stage that hands on its micro-batch has the next
one waiting. Training has one, because all forward passes end before the last backward pass begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..arrays import Number
from ..world.machine import Machine
from ..world.model import Model
from ..world.precision import Precision
from .collectives import Cost, distinct_groups, point_to_point
from .footprint import device_cache_bytes, device_weight_bytes
from .parallelism import Layout

Reading = Literal["micro-batch", "users"]
"""What stays as stages are added: sequences of a micro-batch (users grow), or users (micro-batches shrink)."""


def hop(
    tokens: Number, d_model: Number, width: Number, devices: Number, machine: Machine, *, share: float = 1.0,
    crosses: bool = True,
) -> Cost:  # fmt: skip
    """Handing a micro-batch's hidden vectors to the next stage, each of `devices` devices sending its part.

    `width`: bytes per number. 2,400 tokens of 7,168 BF16 numbers over 64 devices with 50 GB/s each (LECTURE 14c):

    >>> slow = Machine(name="m", accelerator="a", scaleout_bandwidth=50e9, scaleout_latency=6e-6)
    >>> cost = hop(2400, 7168, 2, 64, slow)
    >>> round(float(cost.out) * 1e6, 1), round(float(cost.time) * 1e6, 1)
    (10.8, 16.8)
    """
    size = tokens * d_model * width / devices
    return point_to_point(size, machine, share, crosses=np.asarray(crosses))


def token_latency(stages: Number, stage_time: Number, hop_time: Number, micro_batches: Number) -> Number:
    """Seconds from a sequence's token to its next one: its way through all stages, or its turn if that comes later.

    Every stage hands on, the last one to the first. With more micro-batches than the way has room for, a sequence
    waits until all others have passed a stage.

    >>> float(token_latency(4, 5e-3, 0.0, 4)), float(token_latency(4, 5e-3, 0.0, 8))
    (0.02, 0.04)
    """
    way: Number = np.maximum(stages * (stage_time + hop_time), micro_batches * stage_time)
    return way


def utilisation(micro_batches: Number, stages: Number) -> Number:
    """Share of the time a stage has a micro-batch to work on, hops apart: min(1, m / P).

    >>> float(utilisation(2, 4)), float(utilisation(8, 4))
    (0.5, 1.0)
    """
    share: Number = np.minimum(1.0, micro_batches / np.asarray(stages, dtype=float))
    return share


def training_bubble(micro_batches: Number, stages: Number) -> Number:
    """Idle share of a training step that runs all forward passes, then all backward ones (GPipe): (P-1) / (m+P-1).

    >>> [round(100 * float(training_bubble(m, 4))) for m in (4, 8, 32)]
    [43, 27, 9]
    """
    bubble: Number = (stages - 1) / (np.asarray(micro_batches, dtype=float) + stages - 1)
    return bubble


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Bytes on a device of the fullest stage, and the sequences in flight."""

    weights: Number
    cache: Number
    sequences: Number


def held(
    model: Model, precision: Precision, layout: Layout, context: Number, sequences: Number, *, fixed: Reading
) -> Held:
    """Weights and cache per device. `sequences` is what stays: those of a micro-batch, or all users.

    Every stage keeps its layers' cache of every sequence in flight. With fixed micro-batches P of them are under way
    and P cancels from the cache; with fixed users the cache falls with P as the weights do.
    """
    flying = sequences * layout.pp if fixed == "micro-batch" else sequences + 0.0 * layout.pp
    return Held(
        weights=device_weight_bytes(model, precision, layout),
        cache=np.ceil(flying / layout.dp) * device_cache_bytes(model, precision, layout, context),
        sequences=flying,
    )


def per_device(
    weights: Number, cache: Number, devices: Number, stages: Number, *, fixed: Reading
) -> tuple[Number, Number]:
    """Weights and cache on one of `devices` x `stages` devices, both perfectly spread (LECTURE 14b).

    `weights`: bytes of one copy; `cache`: bytes of all sequences of a micro-batch, or of all users.

    >>> [tuple(round(float(x) / 1e9, 1) for x in per_device(5e12, 2400 * 1e5 * 2048, 64, p, fixed="micro-batch"))
    ...  for p in (1, 2, 4, 8)]
    [(78.1, 7.7), (39.1, 7.7), (19.5, 7.7), (9.8, 7.7)]
    """
    shared = devices * np.asarray(stages, dtype=float)
    return weights / shared, cache / (devices * 1.0 if fixed == "micro-batch" else shared)


def stages_until_cache_leads(weights: Number, cache: Number) -> Number:
    """Stages from which the cache takes more of a device than the weights, with fixed micro-batches; at least 1.

    >>> round(float(stages_until_cache_leads(5e12, 2400 * 1e5 * 2048)), 1)
    10.2
    """
    stages: Number = np.maximum(weights / np.maximum(cache, 1e-300), 1.0)
    return stages


# --- when does the edge of a domain not hurt ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """Time the scale-up links work for a stage over the time the scale-out links need to hand its result on.

    `ratio` at least 1: the slow links keep up, the edge of a domain costs nothing but latency. `per_layer`: the same
    for one layer. `targets`: devices a token is sent to (distinct ones), `link_ratio`: scale-up over scale-out rate.
    """

    ratio: Number
    per_layer: Number
    layers: Number
    targets: Number
    link_ratio: Number
    layers_needed: Number


def crossing(
    layers: Number, targets: Number, link_ratio: Number, *, dispatch: Number = 2.0, combine: Number = 2.0,
    residual: Number = 2.0, width_ratio: Number = 1.0,
) -> Crossing:  # fmt: skip
    """The inequality of LECTURE 14a: layers x targets x (dispatch + combine) / residual over the ratio of the links.

    `dispatch`, `combine`, `residual`: bytes per number sent to experts, back, and on to the next stage;
    `width_ratio`: numbers sent to an expert over those of the hidden vector. Eight experts, one layer, 18x slower
    links fail; two layers pass:

    >>> one, two = crossing(1, 8, 18), crossing(2, 8, 18)
    >>> round(float(one.ratio), 2), round(float(two.ratio), 2), float(one.layers_needed)
    (0.89, 1.78, 2.0)
    """
    per_layer = targets * width_ratio * (dispatch + combine) / residual / link_ratio
    needed: Number = np.ceil(1 / np.maximum(per_layer, 1e-300) - 1e-9)
    return Crossing(
        ratio=layers * per_layer, per_layer=per_layer, layers=layers, targets=targets, link_ratio=link_ratio,
        layers_needed=needed,
    )  # fmt: skip


def crossing_of(model: Model, machine: Machine, precision: Precision, layout: Layout) -> Crossing:
    """The inequality for a model's layers, averaged over them, at the layers of one stage of `layout`.

    Routed experts send each token to its distinct devices and get it back; experts' own format out, activations
    back. Without experts, or where every device holds every token, a layer's all-reduces take their place: each
    sends 2 (n-1) / n hidden vectors from every device that hands on 1 / tp of one.
    """
    width = precision.activation_bytes
    link_ratio = machine.scaleup_bandwidth / np.maximum(machine.scaleout_bandwidth, 1e-300)
    sent: Number = 0.0  # hidden vectors' worth of bytes over scale-up links, per layer on average
    hit: Number = 0.0
    routed = 0.0
    for group in model.groups:
        ffn, part = group.ffn, group.count / model.n_layers
        summed = 4 * (layout.tp - 1)
        attention = summed / 2 if group.mixer else 0.0
        if ffn and ffn.n_experts:
            targets = distinct_groups(layout.ep, ffn.n_experts, ffn.top_k) * (1 - 1 / layout.ep)
            narrow = np.minimum(precision.of("experts").bytes, width)
            wide = (ffn.d_dispatch or model.d_model) / model.d_model
            exchanged = targets * wide * (narrow + width) / width
            after = np.where(np.asarray(layout.dp) > 1, exchanged, 2 * (layout.stage - 1))
            hit, routed = hit + group.count * targets, routed + group.count
        else:
            after = np.asarray(summed / 2 if ffn else 0.0)
        sent = sent + part * (attention + after)
    targets = hit / routed if routed else 0.0 * np.asarray(layout.ep)
    found = crossing(np.ceil(model.n_layers / layout.pp), sent / 2, link_ratio)
    return Crossing(
        ratio=found.ratio, per_layer=found.per_layer, layers=found.layers, targets=targets,
        link_ratio=link_ratio, layers_needed=found.layers_needed,
    )  # fmt: skip
