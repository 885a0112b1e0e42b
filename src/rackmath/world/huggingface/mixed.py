"""Families whose attention differs from layer to layer: MiMo V2, Step 3.5 and 3.7, MiniMax M3."""

from __future__ import annotations

from typing import Any

from .config import Config, LayerParts
from .latent import experts, routed_layers
from .parts import attention, decoder, dense, draft, window
from .registry import family


@family("step3p5", "Step3p5ForCausalLM", "step3p7", "Step3p7ForConditionalGeneration", "Step3p7FlashForCausalLM")
def step3(config: Config) -> dict[str, Any]:
    """Step 3.5 and 3.7 Flash: window and global layers, a gate on every head, experts after three dense layers."""
    norms, n_layers = 2 * config.count("hidden_size"), config.layers()
    n_draft = config.count("num_nextn_predict_layers", default=0, least=0, most=64)
    full = attention(config, qk_norm="head", head_gate=True, n_kv_heads=config.count("num_key_value_heads", "num_attention_groups"))
    other = config.section("attention_other_setting")
    heads = other.maybe("num_attention_heads", least=1) if other else None
    heads = heads or config.maybe("num_sliding_attention_heads", least=1)
    local = {**full, "n_heads": heads or full["n_heads"], **window(config)}
    windowed = _windowed(config, n_draft, default=[False] * n_layers)
    moe = experts(config, n_shared=1, d_shared=config.count("share_expert_dim", "share_expert_dims"))
    plain = dense(config)
    is_routed = _listed_experts(config)
    notes = ["the config gives window layers no head count of their own; that of the global layers is used"]
    return decoder(
        config,
        [(local if w else full, moe if r else plain, norms) for w, r in zip(windowed, is_routed, strict=True)],
        draft=draft(config, n_draft, (local, plain, norms)),
        notes=[] if heads else notes,
    )


@family("minimax_m3", "minimax_m3_vl", "minimax_m3_vl_text", "MiniMaxM3ForCausalLM", "MiniMaxM3SparseForCausalLM")
def minimax_m3(config: Config) -> dict[str, Any]:
    """MiniMax M3: three dense layers, then block-sparse attention with an indexer, and experts."""
    norms, n_layers = 2 * config.count("hidden_size"), config.layers()
    full = attention(config, qk_norm="head")
    sparse, is_sparse = full, [False] * n_layers
    section = config.section("sparse_attention_config")
    if section is not None and section.flag("use_sparse_attention", default=True):
        width = section.count("sparse_index_dim")
        sparse = {
            **full,
            "top_k": section.count("sparse_topk_blocks") * section.count("sparse_block_size"),
            "index_n_heads": section.count("sparse_num_index_heads"),
            "index_head_dim": width,
            "extra_parameters": full["extra_parameters"] + 2 * width,
        }
        flags = section.counts("sparse_attention_freq", length=n_layers)
        is_sparse = [bool(flag) for flag in flags] if flags else [True] * n_layers
    plain = dense(config, d_ff=config.count("dense_intermediate_size", "intermediate_size"))
    shared = config.count("n_shared_experts", default=1, least=0)
    width = config.count("shared_intermediate_size", "moe_intermediate_size", "intermediate_size")
    moe = experts(config, n_shared=shared, d_shared=shared * width)
    is_routed = routed_layers(config)
    layers: list[LayerParts] = [(sparse if s else full, moe if r else plain, norms) for s, r in zip(is_sparse, is_routed, strict=True)]
    n_draft = config.maybe("num_nextn_predict_layers", "num_mtp_modules", most=64)
    return decoder(
        config,
        layers,
        draft=draft(config, n_draft, layers[-1]),
        notes=["its multi-token-prediction layer is taken to be like its last layer"] if n_draft else [],
    )


def _windowed(config: Config, n_draft: int = 0, *, default: list[bool]) -> list[bool]:
    """Which layers see a window only, from a list by layer that may cover the draft layers too."""
    n_layers = config.layers()
    flags = config.counts("hybrid_layer_pattern", length=n_layers)
    if flags is not None:
        return [bool(flag) for flag in flags]
    kinds = config.items("layer_types")
    if kinds is None:
        return default
    if len(kinds) == n_layers + n_draft:
        kinds = kinds[:n_layers]
    if len(kinds) != n_layers:
        raise config.bad("layer_types", kinds, f"does not list {n_layers} layers; correct the config")
    for kind in kinds:
        if kind not in ("full_attention", "sliding_attention"):
            raise config.bad("layer_types", kind, "is not 'full_attention' or 'sliding_attention'")
    return [kind == "sliding_attention" for kind in kinds]


def _listed_experts(config: Config) -> list[bool]:
    """Step lists its expert layers as text, "3,4,5"; without it the first three are dense."""
    if not config.has("moe_layers_enum"):
        return routed_layers(config, first_dense=3)
    listed = config.raw["moe_layers_enum"]
    parts = listed.split(",") if isinstance(listed, str) else config.items("moe_layers_enum") or []
    chosen = {str(part).strip() for part in parts}
    if not all(part.isdigit() for part in chosen):
        raise config.bad("moe_layers_enum", listed, "is not a list of layer numbers; correct the config")
    return [str(layer) in chosen for layer in range(config.layers())]
