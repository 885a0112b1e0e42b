"""Serving software: how it schedules, and what it adds to a step.

`Engine` is what a deployment sets. `Tuning` is what an engine costs on a generation of accelerators: factors of the
kernels' constants and seconds around them, fitted on serving runs (`data/fitted/tuning.toml`, written by
`calibration.engines`). An engine or generation that was not measured takes the pooled values; one the user
calibrated (`saved`) is a packaged one times a few factors. This module holds what the package knows; `engine_names`
finds either by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from .. import shipped
from ..errors import unknown

GIB = 2.0**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A serving engine. Seconds, bytes and shares; the values of `TYPICAL` are documented defaults.

    `memory_share` is of what `share_of` says: the "whole" device; what is "free" once the engine has started, before
    weights; or what is "left" after weights and buffers. 0: the engine's own rule. See docs/concepts/memory.md.
    """

    name: str = "typical"
    version: str = ""
    memory_share: float = 0.9  # share of device memory the engine may fill
    share_of: str = "whole"
    runtime_bytes: float = 0.5 * GIB  # driver context, libraries: what is taken outside the framework
    runtime_share: float = 0.05  # most of a device's memory that this takes: contexts of small devices are smaller
    link_bytes: float = 1.0 * GIB  # buffers of collectives between two devices joined by a fast fabric or a network
    link_more_bytes: float = 0.3 * GIB  # of each further one
    logit_bytes: float = 15.0  # for each sampled sequence and entry of the vocabulary, when logits become tokens
    hidden_copies: float = 4.0  # hidden vectors of a token alive beside the widest part of a layer
    expert_share: float = 1.0  # part of the experts' workspace that stays while logits become tokens
    graph_bytes: float = 0.5 * GIB  # captured graphs, where they count inside the share
    graph_copies: float = 0.0  # of the largest's experts' workspace, for each captured size: vLLM's estimate
    sequences: float = 0.0  # most sequences sampled at once; 0: by `steps`
    step_tokens: float = 0.0  # tokens whose activations are kept room for; 0: by `steps`
    whole_prompts: bool = False  # whether a prompt of any length is one step
    steps: tuple[tuple[float, float, float], ...] = ((0.0, 8192.0, 256.0),)  # device bytes from, tokens, sequences
    small_steps: tuple[str, ...] = ()  # generations that get the first of `steps` whatever their memory
    chunk_tokens: float = 8192  # most tokens in one step: decode tokens plus a prefill chunk
    align_steps: float = 16  # longest that attention-DP ranks hold back prefill so that it runs on many of them at once
    shared_caches: str = "all"  # which caches it shares over dcp: "all", "latent" ones, or "none"
    prefill_first: bool = False  # whether prompts are prefilled to the end before decoding goes on
    local: bool = False  # a runtime for one to a few users: layers over cards in turn, all memory, see `layout.local`
    flash: bool = True  # whether attention needs no room for its scores (local engines)
    mask_bytes: float = 2  # of the attention mask, for each token of a step and cell of the cache (local engines)
    pipelined: bool = True  # whether cards that hold different layers work on a prompt at once (local engines)
    on_device: bool = False  # whether the table of embeddings lies with the layers (local engines)


TYPICAL = Engine()


def _engines() -> dict[str, dict[str, Any]]:
    return _toml("facts/engines.toml")


def packaged_key(words: str) -> str:
    """The engine of the package that words mean, whatever the user has calibrated; "" where none is known."""
    said = words.lower()
    return next((key for key, of in _engines().items() if any(name in said for name in of["names"])), "")


def titles() -> dict[str, str]:
    """Names of the engines that are known, as their makers write them.

    >>> titles()["vllm"]
    'vLLM'
    """
    return {key: of["title"] for key, of in _engines().items()}


WORDS = re.compile(r"\s*([A-Za-z][\w.-]*?)(?:[\s@:v=-]+(\d[\w.+-]*))?\s*")


def packaged(words: str, *, also: Iterable[str] = ()) -> Engine:
    """An engine of the package by name, with or without a version; `also`: other names that would have been known."""
    match = WORDS.fullmatch(words)
    name, version = (match.group(1), match.group(2) or "") if match else (words.strip(), "")
    if name.lower() in ("typical", ""):
        return TYPICAL
    key = packaged_key(name)
    if not key:
        raise unknown("engine", words, ["typical", *_engines(), *also])
    of = _engines()[key]
    return Engine(
        name=key,
        version=version,
        chunk_tokens=of["chunk_tokens"],
        prefill_first=of["prefill_first"],
        **{name: of[name] for name in ("local", "on_device", "memory_share", "shared_caches") if name in of},
        **memory_terms(key, version),
    )


def memory_terms(key: str, version: str = "") -> dict[str, Any]:
    """What a version of an engine keeps of a device's memory, as fields of `Engine`; without one, the newest known.

    >>> memory_terms("vllm", "0.16.0")["logit_bytes"] > 2 * memory_terms("vllm")["logit_bytes"]
    True
    """
    eras = _toml("facts/engine_memory.toml").get(key, [])
    asked = _numbers(version)
    held = [era for era in eras if not asked or _numbers(era["since"]) <= asked] or eras[:1]
    if not held:
        return {}
    fitted = _toml("fitted/memory.toml").get(key, {})
    found: dict[str, Any] = {}
    for era in held:
        found |= {name: value for name, value in era.items() if name not in ("since", "source")}
        found |= fitted.get(era["since"], {})
    for name in [n for n in found if n.endswith("_gib")]:
        found[name.removesuffix("_gib") + "_bytes"] = found.pop(name) * GIB
    for name, value in found.items():
        if isinstance(value, list):
            found[name] = tuple(tuple(map(float, v)) if isinstance(v, list) else v for v in value)
    if "steps" in found:
        found["steps"] = tuple((first * GIB, *rest) for first, *rest in found["steps"])
    return found


@cache
def _toml(name: str) -> dict[str, Any]:
    return shipped.read(shipped.DATA / name)


def _numbers(version: str) -> list[int]:
    return [int(n) for n in re.findall(r"\d+", version)[:3]]


# --- what it costs ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What an engine costs on a generation. Factors of the kernels' constants by kind, and seconds.

    `compute`, `memory`: factors of the shares; `latency` of a kernel's own latency, of which graphs hide a part;
    `experts`: factor of the experts' time by operand type. `launch` between kernels, `step` per pass, `sequence` per
    sequence and rank, `exchange` per collective, `host` per kernel of a pass that is not captured in a graph,
    `request` per request. `imbalance`: busiest expert rank over the mean; `spread`: share of a batch's tokens that
    choose experts as if independently. `queue`: time to first token over that of an ideal line.
    """

    compute: Mapping[str, float] = field(default_factory=dict)
    memory: Mapping[str, float] = field(default_factory=dict)
    latency: Mapping[str, float] = field(default_factory=dict)
    experts: Mapping[str, float] = field(default_factory=dict)
    launch: float = 5e-7
    step: float = 5e-4
    sequence: float = 1e-5
    exchange: float = 1e-6
    host: float = 2e-5
    request: float = 1e-2
    imbalance: float = 1.2
    spread: float = 0.75
    queue: float = 1.0
    source: str = "documented defaults"


KINDS = {
    "gemm": "gemm",
    "experts": "experts",
    "attention_decode": "decode",
    "mla_decode": "decode",
    "scan": "decode",
    "attention_prefill": "prefill",
    "mla_prefill": "prefill",
    "scan_prefill": "prefill",
    "elementwise": "elementwise",
}
"""Kinds of kernels by the factor that stands for them."""

CURRENT = 1.5
"""Months after January 2026 at which the software of the fitted runs counts as current."""


def tuned() -> dict[str, Any]:
    """The fitted file as it stands."""
    return _toml("fitted/tuning.toml")


@cache
@cache
def packaged_tuning(key: str, generation: str, age: float | None = None) -> Tuning:
    """What an engine of the package costs on a generation, `age` as in `engine_names.tuning`."""
    raw = tuned()
    pooled, of = raw["pooled"], raw["engine"].get(key, {})
    era = raw["generation"].get(LIKE.get(generation, generation), {})
    behind = 0.0 if age is None else max(CURRENT - age, 0.0)
    slow = era.get("maturing", 1.0) ** behind

    def factor(name: str, kind: str) -> float:
        return float(pooled[name].get(kind, 1.0) * era.get(name, 1.0))

    kinds = sorted(set(KINDS.values()))
    seconds = {
        name: float(pooled[name] * of.get(name, 1.0) * era.get(name, 1.0)) for name in ("launch", "step", "sequence", "exchange", "host")
    }
    return Tuning(
        compute={k: factor("compute", k) / slow for k in kinds},
        memory={k: factor("memory", k) / slow for k in kinds},
        latency={k: factor("latency", k) * slow for k in kinds},
        experts={k: float(v) for k, v in pooled["experts"].items()},
        **{k: v * slow for k, v in seconds.items()},
        request=float(of.get("request", pooled["request"])),
        imbalance=float(pooled["imbalance"]),
        spread=float(pooled["spread"]),
        queue=float(of.get("queue", pooled["queue"])),
        source=f"fitted: {_engines()[key]['title'] if key else 'typical engine'}, {generation or 'any generation'}",
    )


LIKE = {"blackwell-ultra": "blackwell"}
"""Generations that share another's kernels and engines."""


def released(name: str, version: str, date: str = "") -> float | None:
    """Months from January 2026 to the release of an engine's version; of a run's date less one month without it.

    >>> released("vllm", "0.11.2"), released("vllm", "", "2026-03-01"), released("vllm", "")
    (-2.0, 1.0, None)
    """
    table = _engines().get(name, {}).get("releases", {})
    for known in sorted(table, key=len, reverse=True):
        if re.match(re.escape(known) + r"(?!\d)", version):
            return _months(table[known])
    return _months(date) - 1.0 if re.match(r"20\d\d-\d\d", date) else None


def _months(date: str) -> float:
    year, month = (int(x) for x in date.split("-")[:2])
    return 12.0 * (year - 2026) + month - 1
