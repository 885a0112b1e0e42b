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

import csv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from ..errors import BadInput
from ..kernel.counts import Pass, total_parameters, weight_bytes
from ..kernel.efficiency import Efficiency, default_efficiency
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

CACHE_SHARE = 0.3
"""Share of memory the paper's Table 1 reserves for the cache."""

NEW_TOKENS = 64.0
"""Tokens generated behind a prompt of 2,048 in the paper's Tables 2 and 3."""

COLUMNS = (
    "paper_or_repo", "table", "model", "gpu", "num_gpus", "global_batch", "precision", "metric", "value", "unit",
    "note",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One published figure beside ours: `bound` in the metric's own direction (a time's least, a share's most)."""

    model: str
    table: str
    metric: str
    chips: float
    batch: float
    note: str
    measured: float
    predicted: float | None = None
    bound: float | None = None
    reason: str = ""

    @property
    def holds(self) -> bool:
        """Whether the published figure respects the bound."""
        if self.bound is None:
            return True
        return self.measured <= self.bound * 1.01 if self.metric == "mfu" else self.measured >= self.bound * 0.99


def read(path: Path | str, efficiency: Efficiency | None = None) -> tuple[Compared, ...]:
    """All rows of this paper in a table of reported runs."""
    with open(path, encoding="utf-8", newline="") as handle:
        table = csv.DictReader(handle)
        missing = [name for name in COLUMNS if name not in (table.fieldnames or ())]
        if missing:
            raise BadInput(f"{str(path)!r} has no column {missing[0]!r}; a table of reported runs has {COLUMNS}")
        found = [{k: v or "" for k, v in row.items() if k} for row in table if "Pope" in (row["paper_or_repo"] or "")]
    if not found:
        raise BadInput(f"{str(path)!r} has no rows of Pope et al. 2022; other runs are not answered here")
    return tuple(compare(row, efficiency) for row in found)


def compare(row: Mapping[str, str], efficiency: Efficiency | None = None) -> Compared:
    """One row answered, or the reason why not."""
    metric, unit = row["metric"], row["unit"]
    try:
        chips, batch, value = (float(row[name] or 0) for name in ("num_gpus", "global_batch", "value"))
    except ValueError:
        raise BadInput(f"a row of {row['model']!r:.40} has a number that is none: chips, batch or value") from None
    scale = {"ms": 1e-3, "ms/token": 1e-3, "%": 1e-2}.get(unit, 1.0)
    said = Compared(
        model=row["model"],
        table=row["table"],
        metric=metric,
        chips=chips,
        batch=batch,
        note=row["note"],
        measured=value * scale,
    )
    if not said.batch:
        return replace(said, reason="the batch is not stated")
    model, machine = _model(row["model"]), catalog.machine(row["gpu"])
    if metric == "max_context_tokens":
        return replace(said, predicted=_longest(model, machine, said))
    run = _Run(model, machine, _precision(row["precision"]), said, efficiency or default_efficiency())
    requests = row["table"].startswith("Table D")
    if requests:
        work = (60.0, 20.0 if metric != "prefill_latency_ms" else 0.0)
    elif "prefill" in row["model"]:
        work = (2048.0, 0.0)
    else:
        work = (0.0, 1.0 if metric in ("mfu", "decode_latency_ms") else NEW_TOKENS)
    seconds = [run.seconds(*work, bound=b) for b in (False, True)]
    if metric != "mfu":
        return replace(said, predicted=seconds[0], bound=seconds[1])
    flops = 2 * total_parameters(model) * said.batch * sum(work)
    shares = [flops / (said.chips * float(machine.peak("bf16")) * s) for s in seconds]
    return replace(said, predicted=shares[0], bound=shares[1])


class _Run:
    """Times of one static batch."""

    def __init__(
        self, model: Model, machine: Machine, precision: Precision, said: Compared, efficiency: Efficiency
    ) -> None:
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


def _longest(model: Model, machine: Machine, said: Compared) -> float:
    """Tokens of context for every sequence that fit in the share of memory kept for the cache."""
    cut = _over_batch(model, said.chips) if "over batch" in said.model else model
    each = float(device_cache_bytes(cut, Precision.uniform("bf16"), Layout(tp=said.chips), 1.0))
    return CACHE_SHARE * float(machine.hbm_capacity) / (said.batch * each)


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
