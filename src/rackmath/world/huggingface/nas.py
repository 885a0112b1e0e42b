"""Nemotron NAS (DeciLM): an architecture search gave every layer its own attention and MLP, or none."""

from __future__ import annotations

from typing import Any

from .config import Config, LayerParts
from .parts import Part, attention, decoder, dense
from .registry import family


@family("nemotron-nas", "DeciLMForCausalLM")
def nemotron_nas(config: Config) -> dict[str, Any]:
    """Nemotron Super and Ultra: `block_configs` says for each layer how many query heads share a KV head and how wide
    the MLP is, or that a part is left out (`no_op`) or became one matrix (`replace_with_linear`)."""
    n, d_model = config.layers(), config.count("hidden_size")
    blocks = config.items("block_configs", length=n)
    if blocks is None:
        config.count("block_configs")  # raises: the key is missing
        blocks = []
    layers: list[LayerParts] = []
    for i, block in enumerate(blocks):
        part = Config({"block": block}, f"{config.name}: block_configs[{i}]").section("block")
        assert part is not None or block is None
        mixer = _attention(config, _section(part, "attention", config.name, i))
        ffn = _ffn(config, _section(part, "ffn", config.name, i))
        layers.append((mixer, ffn, d_model * ((mixer is not None) + (ffn is not None))))
    return decoder(config, layers)


def _section(block: Config | None, key: str, name: str, i: int) -> Config:
    found = block.section(key) if block else None
    return found or Config({"no_op": True}, f"{name}: block_configs[{i}].{key}")


def _attention(config: Config, given: Config) -> Part | None:
    if given.flag("no_op", default=False):
        return None
    if given.flag("replace_with_linear", default=False):
        return {"kind": "linear"}
    heads = config.count("num_attention_heads")
    group = given.count("n_heads_in_group", default=1)
    bias = "qkvo" if config.flag("attention_bias", default=False) else ""
    size = given.maybe("window_length", least=1)
    window_of: Part = {"window": size} if size else {}
    return attention(config, bias=bias, n_kv_heads=given.divides("n_heads_in_group", heads, group, "num_attention_heads"), **window_of)


def _ffn(config: Config, given: Config) -> Part | None:
    if given.flag("no_op", default=False):
        return None
    d_model = config.count("hidden_size")
    if given.flag("replace_with_linear", default=False):
        return {"kind": "projection", "d_in": d_model}
    width = given.maybe("intermediate_size", least=1)
    if width is None:  # two thirds of a multiple of d_model, up to the next multiple of 256
        share = given.number("ffn_mult")
        if not 0 < share <= 1000:
            raise given.bad("ffn_mult", share, "is out of range; it must lie between 0 and 1000")
        width = -(-int(2 * share * d_model / 3) // 256) * 256
    return dense(config, d_ff=max(width, 1), bias=config.flag("mlp_bias", default=False))
