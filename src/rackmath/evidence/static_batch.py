"""Static batches: sequences that start together and end together, as older TensorRT-LLM releases published them.

    seconds = prefill of all prompts + (osl - 1) decode steps, the context growing from isl to isl + osl
    out_tok_s_total = batch x osl / seconds          first_token_latency_ms = prefill of the batch

No queue and no scheduler: the cleanest check of the roofline. Published throughputs include the prefill: behind long
prompts they would be half as high again without it. Memory is not checked: the runs took place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import BadInput
from ..kernel.counts import Pass
from ..kernel.efficiency import Efficiency
from ..layout.forward import forward
from ..layout.parallelism import Layout, illegal
from ..world.machine import Machine
from ..world.model import Model
from ..world.precision import Precision
from .answer import Asked, Estimate, RowScores, Text, each, needed, number, whole
from .predict import named

MEASURED = ("out_tok_s_per_gpu", "out_tok_s_total", "first_token_latency_ms")

POINTS, WEIGHTS = np.polynomial.legendre.leggauss(3)


OF_THEIR_TIME = {"LLaMA 70B": "meta-llama/Llama-2-70b-hf"}
"""What names meant in the tables of 2023 and 2024, where they mean another model today."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What runs where, cut how."""

    model: Model
    machine: Machine
    precision: Precision
    layout: Layout
    efficiency: Efficiency


@dataclass(frozen=True, slots=True, kw_only=True)
class Seconds:
    """Estimated seconds and their bound."""

    estimate: float
    bound: float

    def __add__(self, other: Seconds) -> Seconds:
        return Seconds(estimate=self.estimate + other.estimate, bound=self.bound + other.bound)


def prefill_seconds(of: Setup, batch: float, prompt: float) -> Seconds:
    """One pass over all prompts of `prompt` tokens."""
    return _timed(of, Pass(prefill=batch * prompt, prompt=prompt))


def decode_seconds(of: Setup, batch: float, prompt: float, new: float) -> Seconds:
    """`new` tokens of each sequence after its first, behind a prompt: the mean step over the growing context.

    Three Gauss points: exact where a step's time is a smooth function of the context.
    """
    if new < 1:
        return Seconds(estimate=0.0, bound=0.0)
    context = prompt + new * (1 + POINTS) / 2
    time = forward(of.model, of.machine, of.precision, of.layout, Pass(decode=batch, context=context), of.efficiency)
    shares = WEIGHTS / 2
    return Seconds(estimate=new * float(shares @ time.estimate), bound=new * float(shares @ time.bound))


def _timed(of: Setup, work: Pass) -> Seconds:
    time = forward(of.model, of.machine, of.precision, of.layout, work, of.efficiency)
    return Seconds(estimate=float(time.estimate), bound=float(time.bound))


def check(of: Setup) -> None:
    """Refuse a layout that cannot run."""
    for why, bad in illegal(of.model, of.layout).items():
        if bool(np.any(bad)):
            raise BadInput(f"{of.model.name} in {of.layout.label()}: {why}")


def read(rows: Sequence[Text], asked: Asked) -> list[RowScores]:
    """Answers for rows with the columns model, gpu, precision, tp, batch_size, isl, osl."""
    return each(rows, lambda row: _one(row, asked), _keys)


def _keys(row: Text) -> RowScores:
    return RowScores(
        system=row.get("gpu", ""),
        model=row.get("model", ""),
        engine=f"trtllm {row.get('trtllm_version', '')}".strip(),
        mode=(row.get("section") or "static batch").lower(),
    )


def _one(row: Text, asked: Asked) -> RowScores:
    name = row.get("model", "")
    model, machine, precision = named(OF_THEIR_TIME.get(name, name), row.get("gpu", ""), "trtllm", _weights(row))
    layout = Layout(tp=whole(row, "tp", 1.0), pp=whole(row, "pp", 1.0))
    efficiency = asked.compiled(machine)
    of = Setup(model=model, machine=machine, precision=precision, layout=layout, efficiency=efficiency)
    check(of)
    batch, isl = whole(row, "batch_size"), needed(row, "isl")
    first = prefill_seconds(of, batch, isl)
    found = {"first_token_latency_ms": Estimate(pred=first.estimate, bound=first.bound).times(1e3)}
    if number(row, "osl") is not None:
        osl = needed(row, "osl")
        total = first + decode_seconds(of, batch, isl, osl - 1)
        rate = Estimate(pred=batch * osl / total.estimate, bound=batch * osl / total.bound, most=True)
        found["out_tok_s_total"] = rate
        found["out_tok_s_per_gpu"] = rate.times(1 / float(layout.gpus))
    keys = _keys(row)
    return RowScores(system=keys.system, model=keys.model, engine=keys.engine, mode=keys.mode, estimates=found, notes=(layout.label(),))


def _weights(row: Text) -> str:
    """The number format in the words of a row: "FP16" is 16 bits, blank is as published."""
    found = (row.get("precision") or "").strip().lower()
    return {"fp16": "bf16", "float16": "bf16"}.get(found, found)
