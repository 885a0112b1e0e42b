"""Pipelines of stages: token latency with hops, utilisation, memory per device, and when a hop costs nothing.

A replica of P stages keeps m micro-batches of b sequences on their way. Seconds, bytes, counts; every argument may
be a column. Inference has no bubble as long as m is at least P: a stage that hands on its micro-batch has the next
one waiting. Training has one (`training.schedules`): the last forward pass ends before the last backward pass begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..arrays import Number
from ..world.machine import Machine
from ..world.model import Model
from ..world.precision import Precision
from .collectives import CollectiveTime, point_to_point
from .experts import crossing_ratio, destinations, least_layers
from .footprint import device_cache_bytes, device_weight_bytes
from .parallelism import Layout

Reading = Literal["micro-batch", "users"]
"""What stays as stages are added: sequences of a micro-batch (users grow), or users (micro-batches shrink)."""


def hop(
    tokens: Number, d_model: Number, width: Number, devices: Number, machine: Machine, *, share: float = 1.0, crosses: bool = True
) -> CollectiveTime:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineMemory:
    """Bytes on a device of the fullest stage, and the sequences in flight."""

    weights: Number
    cache: Number
    sequences: Number


def held(model: Model, precision: Precision, layout: Layout, context: Number, sequences: Number, *, fixed: Reading) -> PipelineMemory:
    """Weights and cache per device. `sequences` is what stays: those of a micro-batch, or all users.

    Every stage keeps its layers' cache of every sequence in flight. With fixed micro-batches P of them are under way
    and P cancels from the cache; with fixed users the cache falls with P as the weights do.
    """
    flying = sequences * layout.pp if fixed == "micro-batch" else sequences + 0.0 * layout.pp
    return PipelineMemory(
        weights=device_weight_bytes(model, precision, layout),
        cache=np.ceil(flying / layout.dp) * device_cache_bytes(model, precision, layout, context),
        sequences=flying,
    )


def per_device(weights: Number, cache: Number, devices: Number, stages: Number, *, fixed: Reading) -> tuple[Number, Number]:
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


def crossing_of(model: Model, machine: Machine, precision: Precision, layout: Layout) -> Crossing:
    """`crossing_ratio` for a model's layers, averaged over them, at the layers of a stage of `layout`.

    Routed experts send each token to its distinct other devices and get it back, each way in its own format.
    Without experts, or where every device holds every token, a layer's all-reduces take their place: each sends
    2 (n-1) / n hidden vectors from a device that hands 1 / n of one on to the next stage.
    """
    width = precision.activation_bytes
    link_ratio = machine.scaleup_bandwidth / np.maximum(machine.scaleout_bandwidth, 1.0)
    sent: Number = 0.0  # copies of the hidden vector sent out and back per layer, averaged over the layers
    hit: Number = 0.0
    routed = 0.0
    for group in model.groups:
        ffn, part = group.ffn, group.count / model.n_layers
        reduced = layout.tp - 1.0
        per_layer = reduced if group.mixer else 0.0 * layout.tp
        if ffn and ffn.n_experts:
            targets = destinations(layout.ep, ffn) * (1 - 1 / layout.ep)
            wide = (ffn.d_dispatch or model.d_model) / model.d_model
            exchanged = targets * wide * (precision.sent.bytes + precision.combine.bytes) / (2 * width)
            per_layer = per_layer + np.where(np.asarray(layout.dp) > 1, exchanged, layout.stage - 1)
            hit, routed = hit + group.count * targets, routed + group.count
        elif ffn:
            per_layer = per_layer + reduced
        sent = sent + part * per_layer
    layers = np.ceil(model.n_layers / layout.pp)
    links = np.maximum(link_ratio, 1e-300)  # a device alone in its domain has no link, and exchanges nothing
    return Crossing(
        ratio=crossing_ratio(links, sent, layers),
        per_layer=crossing_ratio(links, sent),
        layers=layers,
        targets=hit / routed if routed else 0.0 * np.asarray(layout.ep),
        link_ratio=link_ratio,
        layers_needed=least_layers(link_ratio, np.maximum(sent, 1e-300)),
    )


def disconnected(machine: Machine, layout: Layout) -> str:
    """Why devices of a layout cannot talk to each other, or nothing where they can (scalars only).

    >>> lone = Machine(name="box", accelerator="a", n_devices=16, domain=8, scaleup_bandwidth=450e9)
    >>> disconnected(lone, Layout(tp=8.0)), disconnected(lone, Layout(tp=8.0, pp=2.0))
    ('', 'box has no network between its domains of 8 devices, and 16 were asked for')
    """
    gpus, domain = float(layout.gpus), float(machine.domain)
    if gpus > 1 and domain > 1 and not float(machine.scaleup_bandwidth) > 0:
        return f"{machine.name} has no bandwidth between its devices, and {gpus:g} were asked for"
    if gpus > domain and not float(machine.scaleout_bandwidth) > 0:
        return f"{machine.name} has no network between its domains of {domain:g} devices, and {gpus:g} were asked for"
    return ""
