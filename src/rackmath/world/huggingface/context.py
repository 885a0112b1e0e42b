"""The longest context that a config.json allows, its positions scaled as it says.

As engines read it (vLLM's `_get_and_verify_max_len`, read 2026-11): YaRN reaches its factor times the length it was
trained on, other scaled positions their factor times `max_position_embeddings`; for Llama 3 and LongRoPE that number
is the scaled length already.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

from .config import LARGEST, Config

SCALED_ALREADY = ("default", "llama3", "longrope", "su", "mrope", "proportional")
"""Kinds of positions whose limit is stated as scaled; so it is in Gemma 3 with any kind."""


def context_limit(config: Config) -> int | None:
    """Tokens, or None where the config states no limit.

    Qwen3 as published, and with the YaRN that its card proposes for long contexts:

    >>> context_limit(Config({"max_position_embeddings": 40960}, "qwen3"))
    40960
    >>> yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}
    >>> context_limit(Config({"max_position_embeddings": 40960, "rope_scaling": yarn}, "qwen3"))
    131072
    """
    stated = config.maybe("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
    scaling = config.raw.get("rope_scaling") or config.raw.get("rope_parameters")
    if stated is None or not isinstance(scaling, Mapping):
        return stated
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    factor, trained = scaling.get("factor"), scaling.get("original_max_position_embeddings")
    scaled = kind not in SCALED_ALREADY and not str(config.raw.get("model_type", "")).startswith("gemma3")
    if not scaled or not _counted(factor):
        return stated
    if kind == "yarn":
        return int(factor * trained) if _counted(trained) else stated
    return int(factor * stated)


def _counted(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 1 <= value <= LARGEST
