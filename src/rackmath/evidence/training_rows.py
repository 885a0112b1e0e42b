"""Reported training runs: a row of the table becomes a job, and a step's seconds become the row's own figure.

Sources differ in how they count FLOPs, in the software of their day and in what they leave out: `training_sources`
says what is read into each. What a source says it chose best is searched here. A row that states too little is
refused with the reason. Several figures of one run (time, MFU and HFU of one step) are one measurement: the first of
`METRICS` is scored.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from ..errors import BadInput
from ..training.constants import TrainConstants, constants, fitted
from ..training.flops import Accounting, accounting, train_flops
from ..training.job import Batch, Recipe, TrainLayout, recipe_named, spare_slots
from ..training.memory import TrainingMemory, memory
from ..training.schedules import possible, schedule_named
from ..training.step import Step, step
from ..world import catalog
from ..world.description import build
from ..world.machine import Machine
from ..world.model import Model
from .answer import Text, number, whole
from .training_sources import RunSource, source_of

GIB = 2.0**30

RATES = (
    "samples_per_s_per_gpu",
    "tokens_per_s_per_gpu",
    "tokens_per_s",
    "tflops_per_gpu",
    "model_tflops_per_gpu",
    "mfu",
    "hfu",
    "mfu_no_attention",
    "aggregate_pflops",
)
"""Figures that grow as a step gets shorter."""

METRICS = ("iteration_time", *RATES, "gpu_hours_per_trillion_tokens", "train_days_300B_tokens")
"""Figures that say how long a step took, the most direct first."""

MEMORY = ("peak_memory", "param_optimizer_memory", "activation_memory")
"""Figures of a device's memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedRun:
    """A row as a job: `layouts` are one, or those a source says it chose the fastest of."""

    source: RunSource
    said: str  # the model as the row names it
    model: Model
    machine: Machine
    layouts: tuple[TrainLayout, ...]
    recipe: Recipe
    batch: Batch
    devices: float
    how: Accounting
    selective: bool = False


def run_of(row: Text) -> ReportedRun:
    """The job a row describes; refuses rows that say too little."""
    source = source_of(row)
    if "LoRA" in row.get("table", ""):
        raise BadInput("adapters are trained and the model's weights are not: no step of this kind is modelled")
    devices = whole(row, "num_gpus")
    machine = _machine(row, source)
    model = _model(row, source)
    layout = _layout(row, source, model, devices)
    batch = _batch(row, source, layout)
    recipe = _recipe(row, source)
    found = tuple(_choices(row, layout, source, model, batch))
    return ReportedRun(
        source=source,
        said=row.get("model", ""),
        model=model,
        machine=machine,
        layouts=found,
        recipe=recipe,
        batch=batch,
        devices=devices,
        how=accounting(source.count),
        selective=layout.recompute == "selective",
    )


def _batch(row: Text, source: RunSource, layout: TrainLayout) -> Batch:
    if source.name.startswith("zero bubble"):
        micro = re.search(r"microbatches=(\d+)", row.get("note", ""))
        if micro is None or not int(micro.group(1)):
            raise BadInput("the number of micro-batches is not stated")
        return Batch(seq=1024.0, global_batch=float(micro.group(1)) * float(layout.micro_batch))
    return Batch(seq=whole(row, "seq_len"), global_batch=whole(row, "global_batch"))


def _choices(row: Text, layout: TrainLayout, source: RunSource, model: Model, batch: Batch) -> list[TrainLayout]:
    """The layouts to try where a source chose the fastest of some."""
    sizes = (1.0, 2.0, 4.0, 8.0, 16.0) if "micro_batch" in source.best and not number(row, "micro_batch") else (layout.micro_batch,)
    chunks = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0) if "interleave" in source.best and layout.pp > 1 else (layout.interleave,)
    found = []
    for size, v in product(sizes, chunks):
        now = replace(layout, micro_batch=size, interleave=v, schedule="interleaved" if v > 1 else layout.schedule)
        micro = batch.global_batch / (layout.dp * size)
        if micro == int(micro) and spare_slots(model, now) <= 2 and np.all(possible(now.schedule, now.pp, micro, v)):
            found.append(now)
    return found or [layout]


def _layout(row: Text, source: RunSource, model: Model, devices: float) -> TrainLayout:
    tp, pp, dp = (_size(row, name) for name in ("tp", "pp", "dp"))
    tp = tp or source.tp
    zero = _zero(row.get("note", "")) or source.zero
    if zero == 3 and tp is None and pp is None:
        tp = pp = 1.0
        dp = devices
    if tp is None or pp is None:
        raise BadInput("the layout (tp, pp) is not stated")
    cp = _size(row, "cp") or 1.0
    if dp is None:
        dp = devices / (tp * pp * cp)
    if tp * pp * dp * cp != devices:
        cp = devices / (tp * pp * dp)
        if cp != int(cp):
            raise BadInput(f"tp {tp:g} x pp {pp:g} x dp {dp:g} is not {devices:g} devices")
    words = row.get("recompute", "")
    schedule, v = _schedule(row, model, pp)
    micro = _size(row, "micro_batch")
    if micro is None:
        micro = _micro(row, source)
    return TrainLayout(
        tp=tp,
        pp=pp,
        dp=dp,
        cp=cp,
        ep=_size(row, "ep") or source.ep,
        interleave=v,
        micro_batch=micro,
        schedule=schedule,
        recompute=_recompute(words),
        sequence_parallel="sequence-parallel" in words or (tp > 1 and source.gated),
        zero=zero,
    )


def _zero(note: str) -> int:
    """The ZeRO stage that a note names, 0 where it names none."""
    if "FSDP SHARD_GRAD_OP" in note:
        return 2
    fsdp = re.search(r"FSDP[= ](\d+)", note)
    return 3 if "ZeRO-3" in note or "FSDP FULL_SHARD" in note or (fsdp and int(fsdp.group(1)) > 1) else 0


def _size(row: Text, name: str) -> float | None:
    """A cut's whole number where the row states it."""
    return whole(row, name) if number(row, name) is not None else None


def _micro(row: Text, source: RunSource) -> float:
    if source.name.startswith("zero bubble"):
        return _zero_bubble(row.get("model", ""))[3]
    if source.micro_batch or "micro_batch" in source.best:
        return source.micro_batch or 1.0
    raise BadInput("the micro-batch is not stated")


def _recompute(words: str) -> str:
    first = words.split("+")[0].split(" ")[0].strip().lower()
    if first in ("none", ""):
        return "none"
    if first in ("full", "selective"):
        return first
    raise BadInput(f"what is recomputed is stated as {words!r:.40}, which says too little")


def _schedule(row: Text, model: Model, pp: float) -> tuple[str, float]:
    v = _size(row, "interleave") or 1.0
    said = re.search(r"schedule=([^;]+)", row.get("note", ""))
    if said:
        name = said.group(1).strip()
        if name == "1F1B-I":
            return "interleaved", (model.n_layers + 2) / pp
        return schedule_named(name).name, 1.0
    if "DualPipe" in row.get("note", ""):
        return "dualpipe", 1.0
    return ("interleaved", v) if v > 1 and pp > 1 else ("1f1b", 1.0)


def _recipe(row: Text, source: RunSource) -> Recipe:
    words = row.get("precision", "").lower()
    name = "bf16"
    if "nvfp4" in words:
        name = "nvfp4"
    elif "mx" in words:
        name = "mxfp8"
    elif "fp8" in words:
        name = "mxfp8" if "block scaling" in words and "gb200" in row.get("gpu", "").lower() else "fp8"
    gradient = source.gradient_bytes
    if "mp_mode PURE" in row.get("note", ""):
        gradient = 2.0
    return recipe_named(name, attention=source.attention, dropout=source.dropout, gradient_bytes=gradient)


def _machine(row: Text, source: RunSource) -> Machine:
    words = re.sub(r"\(.*?\)|\b700W\b", "", row.get("gpu", "")).strip()
    words = re.sub(r"^DGX-", "", words)
    found = catalog.machine({"A100": "a100", "H100": "h100"}.get(words, words))
    return replace(found, scaleout_bandwidth=source.scaleout) if source.scaleout else found


ZERO_BUBBLE = {"1.5B": (22, 24, 2304, 6.0), "6.2B": (30, 32, 4096, 3.0), "14.6B": (46, 40, 5120, 1.0), "28.3B": (62, 48, 6144, 1.0)}
"""Layers, heads, width and micro-batch of the zero-bubble paper's Table 3; with a vocabulary of 32,000 counted once
they have 1.5, 6.2, 14.6 and 28.3 billion parameters. Its batch is micro-batches times micro-batch."""


def _zero_bubble(name: str) -> tuple[float, float, float, float]:
    """The shape that the name of a model ("GPT 6.2B") stands for."""
    words = name.split()
    if len(words) < 2 or words[1] not in ZERO_BUBBLE:
        raise BadInput(f"no shape is known for {name!r:.40}")
    return ZERO_BUBBLE[words[1]]


CATALOGUE = {
    "LLAMA3_8B": "meta-llama/Meta-Llama-3.1-8B",
    "LLAMA3-8B": "meta-llama/Meta-Llama-3.1-8B",
    "LLAMA3_70B": "meta-llama/Meta-Llama-3.1-70B",
    "LLAMA3-70B": "meta-llama/Meta-Llama-3.1-70B",
    "LLAMA3.1_405B": "meta-llama/Meta-Llama-3.1-405B",
    "LLAMA3-405B": "meta-llama/Meta-Llama-3.1-405B",
    "Llama 3 405B": "meta-llama/Meta-Llama-3.1-405B",
    "DeepSeekV3": "deepseek-ai/DeepSeek-V3",
    "DeepSeek-V3": "deepseek-ai/DeepSeek-V3",
    "DeepSeekV4": "deepseek-ai/DeepSeek-V4-Flash",
    "GPT OSS 120B": "openai/gpt-oss-120b",
    "Qwen3_30B_a3B": "Qwen/Qwen3-30B-A3B",
    "Qwen3_235B_a22B": "Qwen/Qwen3-235B-A22B",
    "Nemotron_3_Nano": "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16",
    "Nemotron_3_Super": "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-BF16",
    "Nemotron_3_Ultra": "nvidia/NVIDIA-Nemotron-3-Ultra-550B-A55B-BF16",
}
"""Models named by what follows in the catalogue."""


def _model(row: Text, source: RunSource) -> Model:
    name = row.get("model", "")
    for start, known in sorted(CATALOGUE.items(), key=lambda pair: -len(pair[0])):
        if name.startswith(start):
            return catalog.model(known)
    if source.name.startswith("zero bubble"):
        deep, many, wide, _ = _zero_bubble(name)
        return _gpt(GptShape(deep, wide, many, many, 4.0 * wide, source.vocab, 1024.0))
    if source.name == "MaxText" and (scale := re.fullmatch(r"MaxText (16|32|64|128)B", name)):
        return _maxtext(int(scale.group(1)))
    shape = [_size(row, key) for key in ("layers", "hidden", "heads")]
    if None in shape:
        raise BadInput("the architecture (layers, width, heads) is not stated")
    layers, width, heads = (float(x or 0) for x in shape)
    kv, ffn = _size(row, "kv_heads") or heads, _size(row, "ffn") or 4 * width
    head = 256.0 if source.name == "MaxText" else None  # 52B: 32 heads of 256, by its parameters
    vocab, seq = _size(row, "vocab") or source.vocab, whole(row, "seq_len")
    return _gpt(GptShape(layers, width, heads, kv, ffn, vocab, seq, source.gated, head))


class GptShape(NamedTuple):
    """The sizes of a decoder as GPT-3's; `head_dim` is width / heads where None."""

    layers: float
    width: float
    heads: float
    kv_heads: float
    ffn: float
    vocab: float
    seq: float
    gated: bool = False
    head_dim: float | None = None


@cache
def _gpt(of: GptShape) -> Model:
    """One table for input and output, positions learned unless it is gated."""
    mixer: dict[str, Any] = {"kind": "gqa", "n_heads": of.heads, "n_kv_heads": of.kv_heads}
    if of.head_dim:
        mixer["head_dim"] = of.head_dim
    group = {"count": of.layers, "mixer": mixer, "ffn": {"kind": "mlp", "d_ff": of.ffn, "gated": of.gated}}
    extra = 0.0 if of.gated else of.seq * of.width
    return build(
        {
            "name": f"GPT {of.layers:g} x {of.width:g}",
            "d_model": of.width,
            "vocab": of.vocab,
            "tied_embeddings": True,
            "embedding_parameters": of.vocab * of.width + extra,
            "groups": [group],
        }
    )


@cache
def _maxtext(scale: int) -> Model:
    """MaxText's `global_parameter_scale`: powers of two shared out over heads, feed-forward, width and depth.

    >>> from rackmath.kernel.counts import total_parameters
    >>> [round(total_parameters(_maxtext(n)) / 1e9) for n in (16, 32, 64, 128)]
    [16, 31, 63, 125]
    """
    base, rest = divmod(round(math.log2(scale)), 3)
    heads, ffn = 16.0 * 2 ** (base + (rest > 0)), 7168.0 * 2 ** (base + (rest > 0))
    width, layers = 2048.0 * 2 ** (base + (rest > 1)), 16.0 * 2**base
    return _gpt(GptShape(layers, width, heads, heads, ffn, 32000.0, 2048.0, gated=True, head_dim=128.0))


# --- predictions --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedStep:
    """A run's step and memory, of the layout taken."""

    run: ReportedRun
    layout: TrainLayout
    step: Step
    memory: TrainingMemory

    @property
    def seconds(self) -> float:
        return float(self.step.seconds)


def constants_of(run: ReportedRun) -> TrainConstants:
    """Constants for a run: those fitted without its half of the models, where its source was fitted on."""
    given = constants(run.source.framework, run.machine.generation)
    for half in fitted().get("held_out", ()):
        if half["source"] == run.source.name and run.said in half["models"]:
            return replace(given, **half["constants"])
    return given


def found(run: ReportedRun, of: TrainConstants | None = None) -> PredictedStep:
    """The fastest of a run's layouts that fits, where the source chose one; else its own."""
    given = of or constants_of(run)
    tried = []
    for layout in run.layouts:
        held = memory(run.model, run.machine, layout, run.recipe, run.batch, given)
        time = step(run.model, run.machine, layout, run.recipe, run.batch, given)
        tried.append(PredictedStep(run=run, layout=layout, step=time, memory=held))
    limited = "micro_batch" in run.source.best
    return min(tried, key=lambda f: (limited and not bool(f.memory.fits), f.seconds))


def figure(metric: str, run: ReportedRun, seconds: float) -> float:
    """A step's seconds as the figure a source prints, in its unit."""
    tokens = float(run.batch.tokens)
    flops = float(train_flops(run.model, run.batch.seq, run.how, selective=run.selective)) * tokens
    rate = flops / seconds / run.devices
    peak = float(run.machine.peak(run.recipe.precision.mlp.compute))
    if metric in ("mfu", "hfu", "mfu_no_attention"):
        how = run.how
        if metric == "mfu_no_attention":
            how = accounting("palm without attention")
        counted = replace(how, recompute=metric == "hfu")
        flops = float(train_flops(run.model, run.batch.seq, counted, selective=run.selective)) * tokens
        return 100 * flops / seconds / run.devices / peak
    figures = {
        "iteration_time": seconds,
        "samples_per_s_per_gpu": float(run.batch.global_batch) / seconds / run.devices,
        "tokens_per_s_per_gpu": tokens / seconds / run.devices,
        "tokens_per_s": tokens / seconds,
        "tflops_per_gpu": rate / 1e12,
        "model_tflops_per_gpu": rate / 1e12,
        "aggregate_pflops": rate * run.devices / 1e15,
        "gpu_hours_per_trillion_tokens": seconds / tokens * 1e12 * run.devices / 3600,
        "train_days_300B_tokens": seconds / tokens * 300e9 / 86400,
    }
    return figures[metric]


def memory_figure(metric: str, of: TrainingMemory) -> float:
    """A device's bytes as the figure a source prints, in GiB: of the first stage where it says so."""
    first = of.first
    bytes_ = {
        "peak_memory": of.peak,
        "param_optimizer_memory": first.weights + first.gradients + first.optimizer,
        "activation_memory": first.activations,
    }[metric]
    return float(bytes_) / GIB
