"""An engine by name: one of the package, with or without a version, or one the user calibrated."""

from __future__ import annotations

from dataclasses import replace

from .engine import LIKE, Engine, Tuning, packaged, packaged_key, packaged_tuning, released, tuned
from .saved import names, saved, scaled


def engine_key(words: str) -> str:
    """The engine that words of a benchmark or a person mean; "" where none is known.

    >>> engine_key("dynamo-trt"), engine_key("mori-sglang"), engine_key("vLLM"), engine_key("llama.cpp")
    ('trtllm', 'sglang', 'vllm', 'llamacpp')
    """
    own = saved(words)
    return packaged_key(own.base if own else words)


def engine(words: str) -> Engine:
    """An engine by name, with or without a version: "vllm", "sglang 0.5.9", "typical", or one the user calibrated.

    >>> engine("sglang@0.5.9").version, engine("sglang").prefill_first
    ('0.5.9', True)
    """
    own = saved(words)
    return packaged(words, also=names()) if own is None else replace(packaged(own.base), name=own.name, version="")


def tuning(name: str = "", generation: str = "", age: float | None = None) -> Tuning:
    """What an engine costs on a generation; pooled values where either was not measured.

    `age`: months from January 2026 to the engine's release (`released`): kernels for a new generation arrive over
    months, so older software is slower there. None: current software.

    >>> tuning("vllm", "hopper").step < 5e-3
    True
    """
    own = saved(name)
    if own is None:
        return packaged_tuning(engine_key(name), generation, age)
    base = packaged(own.base)  # the software that was calibrated, whatever `age` says
    found = scaled(packaged_tuning(engine_key(base.name), generation, released(base.name, base.version)), own.factors)
    return replace(found, source=f"calibrated: {own.name} ({own.said or 'no source given'}), from {found.source}")


def tuning_entries(name: str = "", generation: str = "") -> tuple[str, ...]:
    """The entries of the fitted file that make a tuning.

    >>> tuning_entries("vllm", "hopper"), tuning_entries("typical", "tpu-v4")
    (('pooled', 'engine.vllm', 'generation.hopper'), ('pooled',))
    """
    raw, key, era = tuned(), engine_key(name), LIKE.get(generation, generation)
    own = [f"engine.{key}"] if key in raw["engine"] else []
    return ("pooled", *own, *([f"generation.{era}"] if era in raw["generation"] else []))
