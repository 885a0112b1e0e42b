"""One sequence on one box, as llama.cpp publishes it: tokens per second of decoding, and of reading a prompt.

"RTX A6000 48GB * 4" is one model with its layers split over four cards, which work in turn: pipeline stages, not
tensor parallelism. A decoded token therefore takes as long as on one card that were large enough. The bound of a
prompt grants that all cards work on it at once.
A prompt goes through the cards in chunks of 512 tokens, so with several cards they overlap.

Formats of files: `q4_k_m` and others of `world.precision` (products in 16 bits); the cache has 16 bits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from ..errors import BadInput
from ..kernel.counts import weight_bytes
from ..kernel.llamacpp import of_machine
from ..layout.parallelism import Layout
from ..world import catalog
from ..world.machine import Machine
from ..world.model import Model
from .answer import Asked, Estimate, RowScores, Text, each
from .static_batch import Setup, decode_seconds, prefill_seconds

MEASURED = ("value",)
PROMPT, GENERATED = 1024.0, 1024.0
"""Tokens read or generated where the metric does not say so."""

GIB = 2.0**30 / 1e9
"""A card sold as 16 GB holds 16 GiB."""

CHUNK = 512.0
"""Tokens of a prompt in one pass (`--ubatch-size`): cards that hold different layers work on different chunks."""

_TOKENS = re.compile(r"(\d+)[- ](?:generated|token)")


def read(rows: Sequence[Text], asked: Asked) -> list[RowScores]:
    """Answers for rows with the columns gpu, model, quant, metric; `value` in tokens per second."""
    return each(rows, lambda row: _one(row, asked), _keys)


def _keys(row: Text) -> RowScores:
    metric = row.get("metric", "")
    return RowScores(
        system=row.get("gpu", ""),
        model=f"{row.get('model', '')} {row.get('quant', '')}".strip(),
        engine="llama.cpp",
        mode="batch 1 decode" if metric.startswith("decode") else "batch 1 prefill",
    )


@lru_cache(maxsize=1024)
def _named(model: str, machine: str) -> tuple[Model, Machine]:
    """Both by name; the rows of a file name few."""
    return catalog.model(model), catalog.machine(machine)


def _one(row: Text, asked: Asked) -> RowScores:
    keys, metric = _keys(row), row.get("metric", "")
    if not metric.startswith(("decode", "prefill")):
        raise BadInput(f"metric {metric!r:.60} is not known; known are decode_tok_s and prefill_tok_s")
    model, machine = _named(f"{row.get('model', '')}-{row.get('quant') or 'F16'}", row.get("gpu", ""))
    cards = machine.n_devices
    if weight_bytes(model) > GIB * cards * float(machine.hbm_capacity):
        raise BadInput(
            f"{model.name} takes {weight_bytes(model) / 1e9:.0f} GB, and {machine.name} has "
            f"{cards * float(machine.hbm_capacity) / 1e9:.0f} GB"
        )
    of = Setup(
        model=model,
        machine=replace(machine, domain=max(machine.domain, cards)),
        precision=model.precision,
        layout=Layout(pp=min(cards, model.n_layers)),
        efficiency=asked.under(of_machine(machine)),
    )
    stated = _TOKENS.search(metric)
    if metric.startswith("decode"):
        tokens = float(stated.group(1)) if stated else GENERATED
        seconds = decode_seconds(of, 1.0, 0.0, tokens)
        most = tokens / seconds.bound
    else:
        tokens = float(stated.group(1)) if stated else PROMPT
        seconds = prefill_seconds(of, 1.0, tokens)
        most = tokens / seconds.bound * cards
        chunks, stages = max(np.ceil(tokens / CHUNK), 1.0), float(of.layout.pp)
        seconds = replace(seconds, estimate=seconds.estimate * (stages + chunks - 1) / (stages * chunks))
    if not tokens >= 1:
        raise BadInput(f"metric {metric!r:.60} states no tokens")
    found = {"value": Estimate(pred=tokens / seconds.estimate, bound=most, most=True)}
    return RowScores(
        system=keys.system,
        model=keys.model,
        engine=keys.engine,
        mode=keys.mode,
        estimates=found,
        notes=(f"{cards:g} cards in turn",) if cards > 1 else (),
    )
