"""A family of transformers, any size, sparsity and kind of cache, and what one costs to train and to serve.

Shapes follow Llama 3: a layer for every 128 of width, heads of 128, feed-forward width set so that the parameters
come out as asked. Routed members have the same active feed-forward width cut into 8 experts and a shared one, of
8 x `expansion` experts, as DeepSeek-V3 has with 32. Caches: "gqa" of 8 heads, "mla" with DeepSeek's latent of 576
numbers, "windowed": gqa with three layers in four that see 1,024 tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from ...errors import Infeasible
from ...kernel.counts import active_parameters, weight_bytes
from ...kernel.efficiency import calibrated
from ...search import train
from ...search.choice import Plan
from ...search.grid import Question
from ...search.plan import plan
from ...training.constants import constants
from ...training.job import Batch, recipe_named
from ...world.description import build
from ...world.engine import TYPICAL
from ...world.machine import Machine
from ...world.model import Model
from ...world.precision import Precision
from ...world.workload import Objectives, Traffic

KINDS = ("gqa", "mla", "windowed")
HEAD = 128
VOCAB = 128256
TOP_K = 8
WINDOW, LOCAL = 1024, 3
"""Tokens a local layer sees, and local layers for each global one."""

SEQ = 8192.0
SEQUENCES = 2048
"""Sequences of a training step, about 16 M tokens, rounded so that they divide over the devices."""

TRAINERS = 512
"""About so many devices train: dollars of a token hardly depend on their number, days do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One architecture: active parameters as asked, experts over those active (1: dense), kind of cache."""

    active: float
    expansion: int
    kv: str

    @property
    def label(self) -> str:
        routed = "dense" if self.expansion == 1 else f"{TOP_K} of {TOP_K * self.expansion} experts"
        return f"{self.active / 1e9:.3g}B {routed}, {self.kv}"

    @property
    def model(self) -> Model:
        return _built(self)


@cache
def _built(m: Member) -> Model:
    layers, width = shape(m.active)
    heads = width // HEAD
    mixer: dict[str, Any] = {"kind": "gqa", "n_heads": heads, "n_kv_heads": 8}
    if m.kv == "mla":
        mixer = {
            "kind": "mla",
            "n_heads": heads,
            "q_lora_rank": width // 4,
            "kv_lora_rank": 512,
            "qk_nope_head_dim": 128,
            "qk_rope_head_dim": 64,
            "v_head_dim": 128,
        }
    inner = _inner(m, layers, width, mixer)
    ffn: dict[str, Any] = {"kind": "mlp", "d_ff": inner}
    if m.expansion > 1:
        each = inner // (TOP_K + 1)
        ffn = {"kind": "moe", "n_experts": TOP_K * m.expansion, "top_k": TOP_K, "d_expert": each, "n_shared": 1, "d_shared": each}
    groups = [{"count": layers, "mixer": mixer, "ffn": ffn}]
    if m.kv == "windowed":
        local = layers * LOCAL // (LOCAL + 1)
        groups = [{"count": local, "mixer": mixer | {"window": WINDOW}, "ffn": ffn}, {"count": layers - local, "mixer": mixer, "ffn": ffn}]
    return build({"name": m.label, "d_model": width, "vocab": VOCAB, "groups": groups})


def shape(active: float) -> tuple[int, int]:
    """Layers and width of a dense model with so many parameters.

    >>> shape(405e9), shape(8e9)
    ((124, 16384), (36, 4096))
    """
    width = 1024 * max(1, round((active * 128 / 12) ** (1 / 3) / 1024))
    layers = (active - 2 * VOCAB * width) / (12 * width**2)
    return 4 * max(1, round(layers / 4)), width


def _inner(m: Member, layers: int, width: int, mixer: dict[str, Any]) -> int:
    """The active feed-forward width that leaves the parameters asked for; a multiple that divides well."""
    empty = build({"name": m.label, "d_model": width, "vocab": VOCAB, "groups": [{"count": layers, "mixer": mixer}]})
    room = m.active - counted(empty)
    step = 256 if m.expansion == 1 else 64 * (TOP_K + 1)
    return step * max(1, round(room / (3 * width * layers) / step))


def counted(model: Model) -> float:
    """Parameters that work on a token, embedding and head included."""
    return active_parameters(model)["with both"]


# --- what it costs ------------------------------------------------------------------------------------------------


def training(model: Model, machine: Machine, *, devices: int = TRAINERS, precision: str = "bf16") -> train.JobPlan:
    """The cheapest layout that trains a model on about so many devices of a machine's kind: a run of 1e12 tokens.

    Where that is too few devices for its memory, on more.
    """
    unit = int(machine.domain) if machine.domain > 1 else 8
    odd = unit // (unit & -unit)
    sequences = max(1, round(SEQUENCES / odd)) * odd
    for times in (1, 4, 16):
        count = unit * 2 ** max(0, round(math.log2(devices * times / unit)))
        batch = Batch(seq=SEQ, global_batch=float(sequences))
        job = train.Job(
            model=model,
            machine=replace(machine, n_devices=float(count)),
            recipe=recipe_named(precision),
            batch=batch,
            tokens=1e12,
            constants=constants(),
            schedules=("1f1b",),
            recompute=("none", "full"),
            zero=(1,),
        )
        found = train.search(job).cheapest
        if found is not None:
            return found
    raise Infeasible(
        f"{model.name} cannot be trained on {machine.accelerator}: no layout on {count:,} devices fits; give a"
        " machine with more memory, or fewer active parameters"
    )


def serving(model: Model, machine: Machine, traffic: Traffic, objectives: Objectives, precision: Precision) -> Plan:
    """The cheapest plan of a model on one replica of a machine's kind, on as many of its domains as hold it."""
    unit = int(machine.domain) if machine.domain > 1 else 8
    need = float(weight_bytes(model, precision)) * 1.15
    domains = max(1, math.ceil(need / (float(machine.hbm_capacity) * unit)))
    last = None
    for times in (domains, 2 * domains, 4 * domains):
        n = float(unit * times)
        q = Question(
            model=model,
            machine=replace(machine, name=f"{n:g}x{machine.accelerator}", n_devices=n),
            traffic=traffic,
            engine=TYPICAL,
            efficiency=calibrated(machine.generation, TYPICAL),
            precisions=(precision,),
            max_gpus=n,
        )
        last = plan([q], objectives)
        if last.best is not None:
            return last.best
    assert last is not None
    raise Infeasible(f"{model.name} cannot be served on {machine.accelerator}: {'; '.join(last.reasons)}")


def serving_precision(machine: Machine) -> Precision:
    """Eight bits for weights and cache where the machine multiplies them, 16 where not."""
    return Precision.uniform("fp8", "fp8") if machine.multiplies("fp8") else Precision.uniform("bf16")
