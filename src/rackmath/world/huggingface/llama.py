"""Llama-shaped families: grouped attention and a gated MLP in every layer."""

from __future__ import annotations

from typing import Any

from .config import Config, group_layers
from .registry import family


def attention(config: Config, **facts: Any) -> dict[str, Any]:
    """Grouped attention from the usual keys; `facts` are added to the block or replace what was read."""
    d_model, heads = config.count("hidden_size"), config.count("num_attention_heads")
    found: dict[str, Any] = {
        "kind": "gqa",
        "n_heads": heads,
        "n_kv_heads": config.count("num_key_value_heads", default=heads),
        "head_dim": config.maybe("head_dim", least=1)
        or config.divides("num_attention_heads", d_model, heads, "hidden_size"),
    }
    return {**found, **facts}


@family("llama", "LlamaForCausalLM", "CodeLlamaForCausalLM")
def llama(config: Config) -> dict[str, Any]:
    """Llama 2 and 3, Code Llama, Yi."""
    d_model = config.count("hidden_size")
    mixer = attention(config)
    ffn = {"kind": "mlp", "d_ff": config.count("intermediate_size")}
    return {
        "d_model": d_model,
        "vocab": config.count("vocab_size"),
        "tied_embeddings": config.flag("tie_word_embeddings", default=False),
        "groups": group_layers([(mixer, ffn, 2 * d_model)] * config.layers()),
    }
