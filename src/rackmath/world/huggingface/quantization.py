"""Number formats from `quantization_config` and hf_quant_config.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .config import Config


def read_precision(
    outer: Config, text: Config, description: Mapping[str, Any], quant: Mapping[str, Any] | None
) -> tuple[dict[str, Any], list[str]]:
    """The `precision` of our description, and notes on what it simplifies."""
    return {}, []
