"""Words to number formats: which are tried, and which an engine loads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ..errors import BadInput

if TYPE_CHECKING:
    from ..world.engine import Engine
    from ..world.machine import Machine
    from ..world.model import Model
    from ..world.precision import Precision


LOCAL = ("bf16", "q8_0", "q6_k", "q4_k_m")
"""Formats that "any" stands for under a local engine."""


def precisions(
    model: Model, machine: Machine, weights: str | Sequence[str] | None, kv: str | Sequence[str] | None, *, local: bool = False
) -> tuple[Precision, ...]:
    """The number formats to try: as published by default; "any" stands for what the machine multiplies natively, or
    for those of usual files under a local engine."""
    from ..world.gguf import served_in

    native = [name for name, peak in (("bf16", 1), ("fp8", machine.peak_fp8), ("nvfp4", machine.peak_fp4)) if peak]
    if local:
        native = list(LOCAL)
    named = _names(weights)
    if named == ["any"]:
        named = ["native", *native]
    bases = [
        model.precision if name in ("native", "published") else served_in(model, name, model.precision.kv.name)
        for name in named or ["native"]
    ]
    caches = _names(kv)
    if caches == ["any"]:
        caches = ["native", "q8_0"] if local else ["native", *(n for n in native if n != "nvfp4")]
    found: dict[tuple[Any, ...], Precision] = {}
    for base in bases:
        for cache in caches or ["native"]:
            one = base if cache in ("native", "published") else base.with_kv(cache)
            key = tuple(getattr(one, f.name) for f in fields(one) if f.name != "name")
            if key not in found:
                found[key] = one
    return tuple(found.values())


def files_only(one: Precision) -> bool:
    """Whether GGUF files hold these weights: 16 bits, a file's own mixture, or a feed-forward part in MXFP4."""
    from ..world.gguf import in_blocks

    parts = (one.mlp, one.shared_experts, one.experts)
    return in_blocks(one.attention.name) and all(f.name == "mxfp4" or in_blocks(f.name) for f in parts)


def at_home(machine: Machine, tries: Sequence[Precision]) -> bool:
    """Whether a person would run these weights in llama.cpp there."""
    from ..world.gguf import in_blocks

    files = any(f.name != "bf16" and in_blocks(f.name) for one in tries for f in (one.attention, one.mlp, one.experts))
    return (machine.home or files) and all(files_only(one) for one in tries)


def loadable(
    model: Model, engine: Engine, tries: tuple[Precision, ...], asked: str | Sequence[str] | None
) -> tuple[tuple[Precision, ...], list[str]]:
    """The formats a local engine loads; published ones that it does not become a file of 8 bits, with a note."""
    from ..world.engine import titles
    from ..world.gguf import in_file

    bad = [one for one in tries if not files_only(one)]
    if not bad:
        return tries, []
    name = titles().get(engine.name, engine.name)
    if asked is not None:
        raise BadInput(f"{name} does not run {bad[0].name} weights; give those of a file, like --precision q4_k_m")
    eight = in_file(model, "q8_0", bad[0].kv.name)
    return (eight,), [f"{name} runs no {bad[0].name} weights: a file in q8_0 is taken (--precision names another)"]


def _names(given: str | Sequence[str] | None) -> list[str]:
    if given is None:
        return []
    parts: Iterable[str] = given.split(",") if isinstance(given, str) else given
    return [p.strip().lower() for p in parts if p.strip()]
