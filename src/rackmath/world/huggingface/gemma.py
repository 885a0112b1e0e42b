"""Gemma 3n and 4: late layers that share a cache, small inputs for every layer."""

from __future__ import annotations

from typing import Any

from .config import Config, LayerParts
from .parts import Part, attention, decoder, dense, kinds, routed, window
from .registry import family


def _bias(config: Config) -> str:
    return "qkvo" if config.flag("attention_bias", default=False) else ""


@family("gemma4", "gemma4_text", "gemma4_unified", "gemma4_unified_text", "Gemma4ForCausalLM", "Gemma4ForConditionalGeneration")
def gemma4(config: Config) -> dict[str, Any]:
    """Gemma 4: wide global heads that may reuse their keys as values, late layers that read an earlier layer's cache,
    a mixture of experts beside the dense MLP, and small per-layer inputs."""
    n, d_model = config.layers(), config.count("hidden_size")
    kind_of = kinds(config, n, lambda i: "full_attention" if (i + 1) % 6 == 0 or i == n - 1 else "sliding_attention")
    shared_from = n - config.count("num_kv_shared_layers", default=0, least=0, most=n - 1)
    side = config.count("hidden_size_per_layer_input", default=0, least=0)
    norms = (4 + bool(side)) * d_model
    mixers = {(kind, shares): _gemma4_mixer(config, kind_of.index(kind), kind, shares) for kind in set(kind_of) for shares in (False, True)}
    width, double = config.count("intermediate_size"), config.flag("use_double_wide_mlp", default=False)
    if config.flag("enable_moe_block", default=False):
        if side or double:
            raise config.bad("enable_moe_block", True, "cannot stand with per-layer inputs or double-wide MLPs")
        experts = config.count("num_experts")
        ffn = routed(
            Config({"num_experts_per_tok": config.count("top_k_experts", most=experts), **config.raw}, config.name),
            d_expert=config.count("moe_intermediate_size", "expert_intermediate_size"),
            d_dense=width,
            extra_parameters=d_model + experts,  # the router's scales
        )
        ffns = {False: ffn, True: ffn}
        norms += 3 * d_model
    else:
        # gate, projection and the layer's share of the projection from the model's embedding
        beside = {"d_side": side, "n_side": 3} if side else {}
        ffns = {shares: {**dense(config, d_ff=width * (2 if double and shares else 1)), **beside} for shares in (False, True)}
    layers: list[LayerParts] = [(mixers[kind, i >= shared_from], ffns[i >= shared_from], norms) for i, kind in enumerate(kind_of)]
    return decoder(config, layers, tied=True, **_per_layer_inputs(config, n, side, 0))


def _gemma4_mixer(config: Config, index: int, kind: str, shares: bool) -> Part:
    """One kind of Gemma 4 layer; global layers have heads of their own width and number of KV heads."""
    local = kind == "sliding_attention"
    facts: Part = {}
    same = not local and config.flag("attention_k_eq_v", default=False)
    if not local:
        overrides = config.section("per_layer_config")
        given = overrides and (overrides.section(str(index), f"{index:02d}"))
        if overrides is None:
            facts["head_dim"] = config.count("global_head_dim", default=512)
            if same and config.has("num_global_key_value_heads"):
                facts["n_kv_heads"] = config.count("num_global_key_value_heads")
        elif given:
            facts = {
                ours: given.count(key) for ours, key in (("head_dim", "head_dim"), ("n_kv_heads", "num_key_value_heads")) if given.has(key)
            }
    bias = _bias(config)
    if bias and (shares or same):
        bias = "qo" if shares else "qko"
    found = attention(config, bias=bias, qk_norm="head", **facts, **window(config, used=local))
    if same and not shares:
        found["v_is_k"] = True
    if shares:
        found["shares_cache"] = True
        found["extra_parameters"] -= found["head_dim"]  # no norm on keys
    return found


def _per_layer_inputs(config: Config, n: int, side: int, extra: int) -> dict[str, Any]:
    """Embedding and norm parameters of the per-layer inputs (Gemma 3n and 4)."""
    if not side:
        return {}
    d_model, vocab = config.count("hidden_size"), config.count("vocab_size")
    table = config.count("vocab_size_per_layer_input", default=vocab) * n * side
    return {"embedding_parameters": vocab * d_model + table + extra, "final_norm": d_model + side}


@family("gemma3n", "gemma3n_text", "Gemma3nForCausalLM", "Gemma3nForConditionalGeneration")
def gemma3n(config: Config) -> dict[str, Any]:
    """Gemma 3n: per-layer inputs, a low-rank bypass (LAuReL) and four copies of the hidden state (AltUp), whose small
    mixing matrices are counted as parameters and not as work."""
    n, d_model = config.layers(), config.count("hidden_size")
    kind_of = kinds(config, n, lambda i: "full_attention" if (i + 1) % 5 == 0 else "sliding_attention")
    shared_from = n - config.count("num_kv_shared_layers", default=15, least=0, most=n - 1)
    side, rank = config.count("hidden_size_per_layer_input", default=256), config.count("laurel_rank", default=64)
    copies = config.count("altup_num_inputs", default=4, most=64)
    wide = config.raw.get("intermediate_size")
    widths = config.counts("intermediate_size", length=n) if isinstance(wide, list) else None
    whole = attention(config, bias=_bias(config), qk_norm="head")
    mixers: dict[tuple[str, bool], Part] = {}
    for kind in set(kind_of):
        own = {**whole, **window(config, used=kind == "sliding_attention")}
        lean = {**own, "shares_cache": True, "extra_parameters": own["extra_parameters"] - own["head_dim"]}
        mixers[kind, False], mixers[kind, True] = own, lean
    # AltUp: two small mixers, a router with its norm, a scale; LAuReL: its norm
    extra = copies**3 + copies**2 + copies * d_model + 3 * d_model
    layers: list[LayerParts] = []
    for i, kind in enumerate(kind_of):
        width = widths[i] if widths else config.count("intermediate_size")
        # per-layer gate and projection, the share of the input projection, and two low-rank matrices
        ffn = {"kind": "mlp", "d_ff": width, "d_side": 3 * side + 2 * rank, "n_side": 1, "extra_parameters": extra}
        layers.append((mixers[kind, i >= shared_from], ffn, 5 * d_model))
    found = _per_layer_inputs(config, n, side, 2 * (copies - 1) * d_model**2)
    return decoder(config, layers, tied=True, **found)
