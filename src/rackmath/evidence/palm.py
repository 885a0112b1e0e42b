"""PaLM inference as published: Pope et al. 2022, "Efficiently Scaling Transformer Inference" (arXiv 2211.05102).

Rows of a table of reported runs, each with one metric: seconds of a prefill, of a decode step or of a whole request,
model FLOPs utilisation, or the longest context that 30 % of the memory holds. Their layouts in our terms:

    weight-stationary 2D      weights cut over all chips, activations exchanged: tensor parallelism over all chips
    weight-gathered XYZ       each chip keeps its own tokens and gathers the weights of every layer
    attention over heads      one KV head is copied to every chip (multiquery), or each chip has one (multihead)
    attention over batch      each chip keeps whole caches of its share of the sequences

These are single static batches, so no queue and no engine: `step_overhead` and launches are as everywhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from ..errors import BadInput
from ..kernel.counts import Pass, total_parameters, weight_bytes
from ..kernel.efficiency import Efficiency
from ..kernel.roofline import PassTime
from ..layout.collectives import all_gather, links
from ..layout.footprint import device_cache_bytes
from ..layout.forward import forward
from ..layout.parallelism import Layout
from ..world import catalog
from ..world.description import build
from ..world.machine import Machine
from ..world.model import LayerGroup, Model
from ..world.precision import FORMATS, Precision
from .answer import Asked, Estimate, RowScores, Text, each, needed, number

CACHE_SHARE = 0.3
"""Share of memory the paper's Table 1 reserves for the cache."""

NEW_TOKENS = 64.0
"""Tokens generated behind a prompt of 2,048 in the paper's Tables 2 and 3."""

UNITS = {"ms": 1e-3, "ms/token": 1e-3, "%": 1e-2}
"""Units of the column `value` that are not SI."""


def is_inference(row: Text) -> bool:
    """Whether a row of a table of reported runs is one of this paper."""
    return "Pope" in row.get("paper_or_repo", "")


def read(rows: Sequence[Text], asked: Asked) -> list[RowScores]:
    """Answers for rows of this paper: `value` in the row's own unit."""
    return each(rows, lambda row: replace(_keys(row), estimates={"value": estimate(row, asked)}), _keys)


def _keys(row: Text) -> RowScores:
    name = row.get("model", "").replace(" inference", "").replace("FasterTransformer ", "").replace(" sharded", ",")
    mode = METRICS.get(row.get("metric", ""), row.get("metric", "").replace("_", " "))
    engine = "FasterTransformer" if "FasterTransformer" in row.get("model", "") else "paper"
    return RowScores(system=row.get("gpu", ""), model=name, engine=engine, mode=mode)


METRICS = {
    "mfu": "MFU",
    "max_context_tokens": "longest context",
    "decode_latency_total_64tok_s": "64 tokens",
    "decode_latency_ms": "decode step",
    "prefill_latency_s": "prefill",
    "prefill_latency_ms": "prefill",
    "total_latency_ms": "request",
}
"""What each metric of the table is, in words."""


def estimate(row: Text, asked: Asked) -> Estimate:
    """The figure of one row in its own unit, and its bound: a time's least, a share's or a context's most."""
    metric, name = row.get("metric", ""), row.get("model", "")
    if metric not in METRICS:
        raise BadInput(f"metric {metric!r:.60} is not known; known are {', '.join(METRICS)}")
    chips = needed(row, "num_gpus")
    if not number(row, "global_batch"):
        raise BadInput("the batch is not stated")
    batch, unit = needed(row, "global_batch"), UNITS.get(row.get("unit", ""), 1.0)
    model, machine = _model(name), catalog.machine(row.get("gpu", ""))
    said = Static(model=name, table=row.get("table", ""), chips=chips, batch=batch, note=row.get("note", ""))
    if metric == "max_context_tokens":
        longest = _longest(model, machine, said)
        return Estimate(pred=longest, bound=longest / CACHE_SHARE, most=True)
    run = _Run(model, machine, _precision(row.get("precision", "")), said, asked.compiled(machine))
    if said.table.startswith("Table D"):
        work = (60.0, 20.0 if metric != "prefill_latency_ms" else 0.0)
    elif "prefill" in name:
        work = (2048.0, 0.0)
    else:
        work = (0.0, 1.0 if metric in ("mfu", "decode_latency_ms") else NEW_TOKENS)
    seconds, least = (run.seconds(*work, bound=b) for b in (False, True))
    if metric != "mfu":
        return Estimate(pred=seconds / unit, bound=least / unit)
    flops = 2 * total_parameters(model) * batch * sum(work) / (chips * float(machine.peak("bf16")))
    return Estimate(pred=flops / seconds / unit, bound=flops / least / unit, most=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Static:
    """One static batch on `chips` devices, as a row of the paper's tables names it."""

    model: str
    table: str
    chips: float
    batch: float
    note: str


class _Run:
    """Times of one static batch."""

    def __init__(self, model: Model, machine: Machine, precision: Precision, said: Static, efficiency: Efficiency) -> None:
        self.machine, self.precision, self.said, self.efficiency = machine, precision, said, efficiency
        self.gathered = "WG XYZ" in said.note
        over_batch = "PaLM" in said.model and "over Head" not in said.note  # how the paper decodes
        self.model = _over_batch(model, said.chips) if over_batch else model

    def seconds(self, prompt: float, new: float, *, bound: bool) -> float:
        """Of prefilling `prompt` tokens of every sequence, then generating `new` ones."""
        context = (prompt or 2048.0) + new / 2
        total = self._prefill(prompt, bound) if prompt else 0.0
        if new:
            step = self._pass(Layout(tp=self.said.chips), Pass(decode=self.said.batch, context=context))
            total += new * _of(step, bound)
        return total

    def _prefill(self, prompt: float, bound: bool) -> float:
        tokens = prompt * self.said.batch
        if not self.gathered:
            return _of(self._pass(Layout(tp=self.said.chips), Pass(prefill=tokens, prompt=prompt)), bound)
        own = Pass(prefill=tokens, prompt=prompt, busiest=1 / self.said.chips)
        share = 1.0 if bound else self.efficiency.link_share
        moved = all_gather(weight_bytes(self.model, self.precision), links(self.machine, self.said.chips, share))
        computed = _of(self._pass(Layout(dp=self.said.chips), own), bound)
        if bound:
            return max(computed, float(np.maximum(moved.up, moved.out)))
        return computed + float(moved.time)

    def _pass(self, layout: Layout, work: Pass) -> PassTime:
        return forward(self.model, self.machine, self.precision, layout, work, self.efficiency)


def _of(time: PassTime, bound: bool) -> float:
    return float(time.bound if bound else time.estimate)


def _over_batch(model: Model, chips: float) -> Model:
    """The model with its cache spread over `chips` by sequences, as if each had a KV head of its own."""

    def spread(group: LayerGroup) -> LayerGroup:
        if group.mixer is None:
            return group
        streams = tuple(replace(s, heads=chips) for s in group.mixer.streams)
        return replace(group, mixer=replace(group.mixer, streams=streams))

    return replace(model, groups=tuple(spread(g) for g in model.groups))


def _longest(model: Model, machine: Machine, said: Static) -> float:
    """Tokens of context for every sequence that fit in the share of memory kept for the cache."""
    cut = _over_batch(model, said.chips) if "over batch" in said.model else model
    each = float(device_cache_bytes(cut, Precision.uniform("bf16"), Layout(tp=said.chips), 1.0))
    return CACHE_SHARE * float(machine.box) / (said.batch * each)


def _precision(words: str) -> Precision:
    if "int8" not in words:
        return Precision.uniform("bf16")
    narrow = replace(FORMATS["int8"], name="w8a16", compute="bf16")
    return replace(Precision.uniform("int8"), name="w8a16", attention=narrow, mlp=narrow)


@cache
def _model(words: str) -> Model:
    """The model of a row.

    MT-NLG 530B: 105 layers, 20,480 wide, 128 heads (arXiv 2201.11990).
    """
    if words.startswith("PaLM 540B"):
        return catalog.model("google/palm-540B-multihead" if "multihead" in words else "google/palm-540B")
    if words.startswith("PaLM 62B"):
        return catalog.model("google/palm-62B")
    if "MT-NLG 530B" in words:
        mixer = {"kind": "gqa", "n_heads": 128, "n_kv_heads": 128}
        ffn = {"kind": "mlp", "d_ff": 81920, "gated": False}
        group = {"count": 105, "mixer": mixer, "ffn": ffn}
        return build({"name": "MT-NLG 530B", "d_model": 20480, "vocab": 51200, "groups": [group]})
    raise BadInput(f"no model is known for {words!r}")
