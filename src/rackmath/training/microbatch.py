"""One micro-batch through all layers: kernels by phase, collectives that nothing hides, waiting for the host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..arrays import Number
from ..world.model import Model
from .activations import layer_activations
from .constants import TrainConstants
from .job import every
from .layer import Phases, StepWork


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerTimes:
    """Seconds of all layers for one micro-batch by phase, exposed collectives and the host's part included."""

    forward: Number
    input_grad: Number
    weight_grad: Number
    terms: Mapping[str, Number]

    @property
    def phases(self) -> tuple[Number, Number, Number]:
        return self.forward, self.input_grad, self.weight_grad

    @property
    def total(self) -> Number:
        return self.forward + self.input_grad + self.weight_grad


def times(of: Phases, work: StepWork) -> LayerTimes:
    given, layout = work.constants, work.layout
    forward, input_grad, weight_grad = (x / given.kernels for x in (of.forward, of.input_grad, of.weight_grad))
    again, repeats = _again(of, work, forward)
    shares = {"tp": given.tp, "ep": given.ep, "cp": given.cp}
    there = {"tp": of.tp_forward, "ep": of.ep_forward, "cp": of.cp_forward}
    back = {"tp": of.tp_backward, "ep": of.ep_backward, "cp": of.cp_backward}
    back = {kind: back[kind] + repeats * there[kind] for kind in back}
    shown = _exposed(there, shares, forward)
    shown_back = _exposed(back, shares, input_grad + weight_grad + again)
    uneven = given.imbalance * of.expert / given.kernels * np.where(np.asarray(layout.ep) > 1, 1.0, 0.0)
    first = forward + sum(shown.values()) + uneven / 3
    second = input_grad + again + sum(shown_back.values()) + uneven / 3
    third = weight_grad + uneven / 3
    device = first + second + third
    waiting = _waiting(device, given, work.model)
    longer = 1 + waiting / device
    terms = {
        "forward": forward,
        "input_grad": input_grad,
        "weight_grad": weight_grad,
        "recompute": again,
        "imbalance": uneven,
        "host": waiting,
        **{kind: shown[kind] + shown_back[kind] for kind in shown},
    }
    return LayerTimes(forward=first * longer, input_grad=second * longer, weight_grad=third * longer, terms=terms)


def _waiting(device: Number, of: TrainConstants, model: Model) -> Number:
    """Seconds the device waits for the host: a smooth maximum of both, less the device's own."""
    host = (of.layer + (of.routed_layer if model.has_experts else 0.0)) * model.n_layers
    k = of.layer_power
    if not host:
        return 0.0 * device
    waiting: Number = host * np.power(1 + np.power(device / host, k), 1 / k) - device
    return waiting


def _again(of: Phases, work: StepWork, forward: Number) -> tuple[Number, float]:
    """Seconds computed twice (or waited for, where activations come back from the host), and collectives repeated."""
    word = work.layout.recompute
    if every(word) or word == "reversible":
        return forward, 1.0
    if word == "selective":
        return of.scores / work.constants.kernels, 0.0
    if word == "offload":
        size = work.model.n_layers * layer_activations(work.model, work.layout, work.recipe, work.batch)
        rate = max((t.bandwidth for t in work.machine.tiers), default=0.0)
        if not rate:
            return np.inf + 0.0 * forward, 0.0
        both = 2 * size / rate  # out beside the forward pass, back beside the backward pass
        return np.maximum(both - 3 * forward, 0.0), 0.0
    return 0.0 * forward, 0.0


def _exposed(comm: Mapping[str, Number], shares: Mapping[str, float], kernels: Number) -> dict[str, Number]:
    """What is left of each collective when its share runs beside kernels, never longer than those last."""
    hidden: Number = 0.0
    for kind, seconds in comm.items():
        hidden = hidden + shares[kind] * seconds
    room = np.minimum(1.0, kernels / np.maximum(hidden, 1e-30))
    return {kind: seconds * (1 - shares[kind] * room) for kind, seconds in comm.items()}
