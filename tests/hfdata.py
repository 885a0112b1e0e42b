"""Where the raw config.json files lie, which are not part of the project."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
DATA = Path(os.environ.get("RACKMATH_DATA") or HERE.parents[1] / "shared" / "data")
CONFIGS = DATA / "hf_configs"
RECORDED: dict[str, Any] = json.loads((HERE / "against" / "transformers_counts.json").read_text())

QWEN: dict[str, Any] = {
    "model_type": "qwen3_moe",
    "vocab_size": 151936,
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "moe_intermediate_size": 768,
    "num_hidden_layers": 48,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "head_dim": 128,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "decoder_sparse_step": 1,
}
"""Shape of Qwen3-30B-A3B, a mixture of experts."""

needs_configs = pytest.mark.skipif(not CONFIGS.is_dir(), reason=f"needs the raw config files in {CONFIGS} (set RACKMATH_DATA)")
