"""What happens once a step: gradients and weights between data-parallel ranks, and the optimizer's update."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import Number
from ..layout.collectives import all_gather, all_reduce, reduce_scatter
from .layer import StepWork, passed
from .memory import layer_parameters, stage_parameters
from .microbatch import LayerTimes

GRADIENT_PASSES = 2.0
"""Times gradients cross memory beside the update: their norm, and clipping."""


def data_parallel(work: StepWork, phases: LayerTimes, micro: Number, stage_layers: Number) -> tuple[Number, tuple[Number, Number]]:
    """Seconds of gradients and weights between data-parallel ranks that nothing hides; and their least traffic.

    Gradients are reduced behind the last micro-batch's backward pass, and weights gathered before the first forward
    pass; with ZeRO 3 both happen for every micro-batch and hide behind all of it.
    """
    layout, given, recipe = work.layout, work.constants, work.recipe
    dense, routed = stage_parameters(work.model, layout, "first")
    least_dense, least_routed = layer_parameters(work.model.groups, layout)
    groups = [(dense, least_dense, layout.dp * layout.cp, layout.tp)]
    if work.model.has_experts:
        groups.append((routed, least_routed, layout.stage / layout.ep, layout.ep))
    backward: Number = 0.0
    forward: Number = 0.0
    up: Number = 0.0
    out: Number = 0.0
    for size, fewest, n, stride in groups:
        on = work.links(n, stride)
        several = np.asarray(n) > 1
        gradients = size * recipe.gradient_bytes
        if layout.zero == 0:
            backward = backward + np.where(several, all_reduce(gradients, on).time, 0.0)
        else:
            weights = np.where(several, all_gather(size * 2.0, on).time, 0.0)
            backward = backward + np.where(several, reduce_scatter(gradients, on).time, 0.0)
            forward = forward + weights
            backward = backward + (weights if layout.zero == 3 else 0.0)
        least = reduce_scatter(fewest / layout.pp * 2.0, on)
        up, out = up + np.where(several, least.up, 0.0), out + np.where(several, least.out, 0.0)
    times = micro if layout.zero == 3 else 1.0
    share = stage_layers / work.model.n_layers
    before = np.minimum(given.dp * forward, phases.forward * share)
    behind = np.minimum(given.dp * backward, (phases.input_grad + phases.weight_grad) * share)
    return times * (forward - before + backward - behind), (up, out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    seconds: Number
    least: Number


def update(work: StepWork) -> Update:
    """The optimizer's traffic through memory, and the least a step moves: weights twice, states in and out."""
    layout, recipe = work.layout, work.recipe
    dense, routed = stage_parameters(work.model, layout, "first")
    over = 1.0 if layout.zero == 0 else layout.dp * layout.cp
    over_experts = 1.0 if layout.zero == 0 else layout.stage / layout.ep
    own = dense / over + routed / over_experts
    gradients = (1 + GRADIENT_PASSES) * recipe.gradient_bytes
    size = own * (2 * recipe.optimizer_bytes + gradients + recipe.weight_bytes)
    fewest, fewest_routed = layer_parameters(work.model.groups, layout)
    narrow = min(work.recipe.precision.mlp.bytes, 2.0)
    states = (fewest / over + fewest_routed / over_experts) * 2 * recipe.optimizer_bytes
    read = 0.0 if work.model.has_experts else 2 * narrow * fewest
    return Update(seconds=passed(work, size, 4.0), least=(read + states) / layout.pp / work.machine.hbm_bandwidth)
