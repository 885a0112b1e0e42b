"""What a home engine may leave with the host: as the user says it, or as little as makes the model fit.

As llama.cpp's --fit does it: experts first, since a token reads few of them; whole layers where there are none, or
where the rest of the model is still too large for the cards.
"""

from __future__ import annotations

import numpy as np

from ..arrays import take
from ..errors import BadInput
from ..layout.footprint import footprint
from ..layout.parallelism import Layout
from ..layout.spread import expert_layers
from ..units import show
from .grid import Question


def can_leave(question: Question) -> bool:
    """Whether the engine leaves weights with a host that has a memory of its own."""
    here = float(question.machine.host_capacity) > 0 and float(question.machine.host_bandwidth) > 0
    return question.engine.local and not question.engine.on_device and here and question.speculation is None


def may_spill(question: Question) -> bool:
    """Whether the search may leave as much with the host as it has to: nothing was asked for."""
    return can_leave(question) and question.gpu_layers is None and question.cpu_moe is None


def asked(question: Question, every: Layout) -> Layout:
    """The layouts with what the user leaves with the host, in llama.cpp's own counts.

    `gpu_layers` counts the output as one layer, the last to leave; of `cpu_moe` layers from the first the experts
    stay with the host, as far as those layers lie on cards.
    """
    if question.gpu_layers is None and question.cpu_moe is None:
        return every
    model, machine = question.model, question.machine
    if not can_leave(question):
        why = f"{machine.name} has no memory of its own beside the device's" if question.engine.local else ""
        raise BadInput(f"gpu_layers and cpu_moe are for llama.cpp and Ollama on a card in a host: {why or 'name --engine llama.cpp'}")
    experts = expert_layers(model)
    if question.cpu_moe is not None and not experts:
        raise BadInput(f"{model.name} has no routed experts to leave with the host; give gpu_layers instead")
    layers = max(model.n_layers + 1 - (question.gpu_layers or 0.0), 0.0) if question.gpu_layers is not None else 0.0
    layers = min(layers, model.n_layers)
    on = experts * (1 - layers / model.n_layers)
    moved = min(max(min(question.cpu_moe or 0.0, model.n_layers) - layers, 0.0), on)
    return _with(every, np.array([layers]), np.array([moved]))


def spilled(question: Question, every: Layout) -> Layout:
    """Every layout of all cards that leaves something with the host: experts alone, or layers with all experts."""
    most = float(np.max(every.pp))
    cards = take(every, np.flatnonzero(np.asarray(every.pp) == most))
    n, experts = question.model.n_layers, expert_layers(question.model)
    whole = np.arange(1.0, n + 1)
    some = np.arange(1.0, experts + 1)
    layers = np.concatenate([0 * some, whole])
    moved = np.concatenate([some, experts * (1 - whole / n)])
    return _with(cards, layers, moved)


def _with(every: Layout, layers: np.ndarray, moved: np.ndarray) -> Layout:
    index, of = np.meshgrid(np.arange(len(np.asarray(every.tp))), np.arange(len(layers)), indexing="ij")
    rows = take(every, index.ravel())
    columns = {f: np.asarray(getattr(rows, f)) for f in ("tp", "pp", "dp", "ep")}
    return Layout(**columns, host_layers=layers[of.ravel()], host_experts=moved[of.ravel()])


def host_too_small(question: Question, every: Layout) -> str:
    """What is lacking where even the host's memory does not help; empty where nothing can be left with it."""
    if not may_spill(question):
        return ""
    machine, context = question.machine, float(question.traffic.isl + question.traffic.osl)
    rows = spilled(question, every)
    least = []
    for precision in question.precisions:
        room = footprint(question.model, machine, precision, rows, question.engine, context)
        cards = np.asarray(room.used(1.0, rows) - room.capacity)
        host = np.asarray(room.host_used(1.0) - room.host_capacity)
        least.append(float(np.min(np.maximum(cards, 0.0) + np.maximum(host, 0.0))))
    return (
        f"with {show(float(machine.host_capacity), 'B')} of the host's memory ({show(4 * 2.0**30, 'B')} of it the"
        f" system's) {show(min(least), 'B')} are still lacking: --set machine.host_capacity=128GB if yours has more"
    )
