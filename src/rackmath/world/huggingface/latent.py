"""Families with latent or compressed attention: DeepSeek V2 to V4, Kimi K2, GLM 4.7 Flash and 5."""

from __future__ import annotations

import math
from typing import Any

from .config import Config, LayerParts
from .parts import Part, decoder, dense, draft, routed
from .registry import family

V4_RATIOS = {"sliding_attention": 0, "compressed_sparse_attention": 4, "heavily_compressed_attention": 128}
V4_INDEXED_RATIO = 4
"""Layers that pool this many tokens per entry choose among them with an indexer; others read every entry."""

_DENSE, _ROUTED = {"dense", "mlp"}, {"sparse", "moe", "hash_moe"}


def routed_layers(config: Config, *, first_dense: int = 0) -> list[bool]:
    """Which layers are mixtures of experts: from a list by layer, else all after the first dense ones."""
    n_layers = config.layers()
    kinds = config.items("mlp_layer_types", length=n_layers)
    if kinds is not None:
        for kind in kinds:
            if kind not in _DENSE | _ROUTED:
                raise config.bad("mlp_layer_types", kind, "is not 'dense' or 'sparse'; correct the config")
        return [kind in _ROUTED for kind in kinds]
    if isinstance(config.raw.get("moe_layer_freq"), list):
        return [bool(flag) for flag in config.counts("moe_layer_freq", length=n_layers) or ()]
    first = config.count("first_k_dense_replace", default=first_dense, least=0)
    every = config.count("moe_layer_freq", default=1)
    return [layer >= first and layer % every == 0 for layer in range(n_layers)]


def experts(config: Config, **facts: Any) -> Part:
    """A mixture of experts from DeepSeek's keys: shared experts as wide as routed ones, limited groups of devices."""
    width = config.count("moe_intermediate_size", "intermediate_size")
    shared = config.count("n_shared_experts", "num_shared_experts", default=0, least=0)
    found: Part = {"n_shared": shared, "d_shared": shared * width}
    groups = config.count("n_group", "num_expert_group", default=1)
    chosen = config.count("topk_group", default=groups)
    if chosen < groups:
        found |= {"node_limit": chosen, "node_groups": groups}
    return routed(config, d_expert=width, **{**found, **facts})


def latent_attention(config: Config, **facts: Any) -> Part:
    """Multi-head latent attention from DeepSeek's keys; `facts` are added to the block or replace what was read."""
    q_rank, kv_rank = config.maybe("q_lora_rank"), config.count("kv_lora_rank")
    rope, d_model = config.count("qk_rope_head_dim"), config.count("hidden_size")
    extra = (q_rank or 0) + kv_rank
    if config.flag("attention_bias", default=False):
        extra += (q_rank or 0) + kv_rank + rope + d_model
    found: Part = {
        "kind": "mla",
        "n_heads": config.count("num_attention_heads"),
        "q_lora_rank": q_rank or None,
        "kv_lora_rank": kv_rank,
        "qk_nope_head_dim": config.count("qk_nope_head_dim"),
        "qk_rope_head_dim": rope,
        "v_head_dim": config.count("v_head_dim"),
        "extra_parameters": extra,
    }
    return {**found, **facts}


def sparse_attention(config: Config) -> tuple[Part, Part]:
    """Latent attention over `index_topk` entries: a layer with an indexer, and one that shares another's choice."""
    shared = latent_attention(config, top_k=config.count("index_topk"))
    width = config.count("index_head_dim")
    own = {
        **shared,
        "index_n_heads": config.count("index_n_heads"),
        "index_head_dim": width,
        "extra_parameters": shared["extra_parameters"] + 2 * width,
    }
    return own, shared


@family(
    "deepseek_v2",
    "DeepseekV2ForCausalLM",
    "deepseek_v3",
    "DeepseekV3ForCausalLM",
    "kimi_k2",
    "deepseek_v32",
    "DeepseekV32ForCausalLM",
    "glm4_moe_lite",
    "Glm4MoeLiteForCausalLM",
    "glm_moe_dsa",
    "GlmMoeDsaForCausalLM",
)
def deepseek(config: Config) -> dict[str, Any]:
    """DeepSeek V2, V3, R1, V3.1, V3.2, Kimi K2, GLM 4.7 Flash and GLM 5: latent attention, sparse where indexed."""
    norms, n_layers = 2 * config.count("hidden_size"), config.layers()
    moe = experts(config)
    is_routed = routed_layers(config, first_dense=1)
    plain = moe if all(is_routed) else dense(config)
    if config.has("index_topk"):
        own, shared = sparse_attention(config)
        mixers = [own if indexes else shared for indexes in _own_indexers(config, n_layers)]
    else:
        own = latent_attention(config)
        mixers = [own] * n_layers
    layers: list[LayerParts] = [(mixer, moe if r else plain, norms) for mixer, r in zip(mixers, is_routed, strict=True)]
    extra = draft(config, config.maybe("num_nextn_predict_layers", most=64), (own, moe, norms))
    return decoder(config, layers, draft=extra)


def _own_indexers(config: Config, n_layers: int) -> list[bool]:
    """Which layers run their own indexer; the others (GLM 5.2 and later) reuse the choice of the last that does."""
    kinds = config.items("indexer_types", length=n_layers)
    if kinds is None and config.has("index_topk_pattern"):
        pattern = config.raw["index_topk_pattern"]
        letters = list(pattern) if isinstance(pattern, str) else config.items("index_topk_pattern") or []
        kinds = [{"F": "full", "S": "shared"}.get(kind, kind) for kind in letters]
        if len(kinds) != n_layers:
            raise config.bad("index_topk_pattern", pattern, f"does not name {n_layers} layers; correct the config")
    if kinds is None:
        every = config.count("index_topk_freq", default=1)
        offset = config.count("index_skip_topk_offset", default=2, least=0)
        return [max(layer - offset + 1, 0) % every == 0 for layer in range(n_layers)]
    for kind in kinds:
        if kind not in ("full", "shared"):
            raise config.bad("indexer_types", kind, "is not 'full' or 'shared'; correct the config")
    return [kind == "full" for kind in kinds]


@family("deepseek_v4", "DeepseekV4ForCausalLM", "deepseek_ref")
def deepseek_v4(config: Config) -> dict[str, Any]:
    """DeepSeek V4, under the keys of the released config and of the reference code: compressed attention."""
    d_model, n_layers = config.count("hidden_size"), config.layers()
    n_draft = config.count("num_nextn_predict_layers", default=0, least=0, most=64)
    streams = config.count("hc_mult", default=0, least=0)
    ratios = _ratios(config, n_layers, n_draft)
    mixers = {ratio: _compressed(config, ratio, streams) for ratio in ratios}
    moe = experts(config)
    biases = 2 * ((2 + streams) * streams + 3) if streams else 0
    layers: list[LayerParts] = [(mixers[ratio], moe, 2 * d_model + biases) for ratio in ratios]
    hashed = config.count("num_hash_layers", default=0, least=0)
    notes = ["the traffic of the parallel residual streams (hyper-connections) is not costed"] if streams else []
    if hashed:
        notes.append(f"the first {hashed} layers route by token, from a table that is not counted")
    return decoder(
        config,
        layers[:n_layers],
        final_norm=d_model + (streams * streams * d_model + streams + 1 if streams else 0),
        draft=draft(config, n_draft, layers[-1]),
        notes=notes,
    )


def _ratios(config: Config, n_layers: int, n_draft: int) -> list[int]:
    """Tokens per compressed entry of every layer and of the draft layers behind them; 0 is a window alone."""
    kinds = config.items("layer_types")
    ratios = config.counts("compress_ratios")
    if kinds is not None:
        for kind in kinds:
            if kind not in V4_RATIOS:
                raise config.bad("layer_types", kind, f"is not one of {', '.join(V4_RATIOS)}; correct the config")
        ratios = [V4_RATIOS[kind] for kind in kinds]
    if ratios is None:
        raise config.bad("compress_ratios", None, "is missing; add the list of tokens per entry, layer by layer")
    if len(ratios) == n_layers:
        ratios = [*ratios, *[0] * n_draft]
    if len(ratios) != n_layers + n_draft:
        raise config.bad("compress_ratios", ratios, f"must list {n_layers} layers, or {n_layers + n_draft} with the draft's")
    return ratios


def _compressed(config: Config, ratio: int, hyper_streams: int) -> Part:
    heads, groups = config.count("num_attention_heads"), config.count("o_groups")
    config.divides("o_groups", heads, groups, "num_attention_heads")
    block: Part = {
        "kind": "compressed",
        "n_heads": heads,
        "head_dim": config.count("head_dim"),
        "q_lora_rank": config.count("q_lora_rank"),
        "o_groups": groups,
        "o_lora_rank": config.count("o_lora_rank"),
        "window": config.maybe("sliding_window", least=1) or math.inf,
        "ratio": ratio,
        "rope_head_dim": config.count("qk_rope_head_dim", default=64, least=0, most=config.count("head_dim")),
        "hyper_streams": hyper_streams,
    }
    if ratio == V4_INDEXED_RATIO:
        block |= {
            "top_k": config.count("index_topk"),
            "index_n_heads": config.count("index_n_heads"),
            "index_head_dim": config.count("index_head_dim"),
        }
    return block
