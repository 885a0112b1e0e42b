"""Parts most families share: attention and MLPs from the usual keys, windows, draft layers, a whole decoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .config import Config, LayerParts, group_layers

Part = dict[str, Any]
"""A mixer or feed-forward part of our description."""


def head_dim(config: Config) -> int:
    """The width of a head: `head_dim`, or the model's width split evenly over its heads."""
    given = config.maybe("head_dim", "attention_head_dim", least=1)
    if given:
        return given
    heads = config.count("num_attention_heads", "n_head")
    return config.divides("num_attention_heads", config.count("hidden_size", "n_embd"), heads, "hidden_size")


def attention(config: Config, *, bias: str = "", qk_norm: str = "", more: int = 0, **facts: Any) -> Part:
    """Grouped attention from the usual keys.

    `bias` names the projections that have one: letters of "qkvo". `qk_norm` is "head" (one weight per dimension of
    a head) or "full" (one per dimension of all heads). `more` counts further parameters; `facts` are added.
    """
    d_model, heads = config.count("hidden_size"), config.count("num_attention_heads")
    kv = config.count("num_key_value_heads", default=heads)
    d = facts.get("head_dim") or head_dim(config)
    kv = facts.get("n_kv_heads") or kv
    widths = {"q": heads * d, "k": kv * d, "v": kv * d, "o": d_model}
    extra = more + sum(widths[letter] for letter in bias)
    extra += {"": 0, "head": 2 * d, "full": (heads + kv) * d}[qk_norm]
    found: Part = {"kind": "gqa", "n_heads": heads, "n_kv_heads": kv, "head_dim": d, **facts}
    return {**found, "extra_parameters": extra} if extra else found


def dense(config: Config, *, d_ff: int | None = None, gated: bool = True, bias: bool = False) -> Part:
    """A dense MLP of width `intermediate_size`."""
    d_model = config.count("hidden_size")
    width = d_ff or config.count("intermediate_size")
    found: Part = {"kind": "mlp", "d_ff": width}
    if not gated:
        found["gated"] = False
    if bias:
        found["extra_parameters"] = (2 if gated else 1) * width + d_model
    return found


def routed(config: Config, *, d_expert: int, **facts: Any) -> Part:
    """A mixture of experts from the usual keys; with no more than `top_k` experts."""
    experts = config.count("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
    top_k = config.count("num_experts_per_tok", "experts_per_token", "num_experts_per_token", "moe_top_k", most=experts)
    return {"kind": "moe", "n_experts": experts, "top_k": top_k, "d_expert": d_expert, **facts}


def kinds(config: Config, n_layers: int, default: Callable[[int], str]) -> list[str]:
    """What each layer attends to: `layer_types`, or the family's rule for layer i."""
    given = config.items("layer_types", length=n_layers)
    if given is None:
        return [default(i) for i in range(n_layers)]
    for kind in given:
        if kind not in ("full_attention", "sliding_attention", "chunked_attention"):
            raise config.bad("layer_types", kind, "is not a kind of attention this family has")
    return given


def window(config: Config, *, used: bool = True) -> Part:
    """The `window` of an attention block: empty where there is none or where it spans the whole context."""
    size = config.maybe("sliding_window", least=0)
    context = config.maybe("max_position_embeddings")
    return {"window": size} if used and size and (not context or size < context) else {}


def decoder(
    config: Config, layers: Sequence[LayerParts], *, tied: bool = False, final_norm: int | None = None, **facts: Any
) -> dict[str, Any]:
    """A description from its layers and the usual keys; `final_norm` counts norm parameters outside the layers."""
    d_model = config.count("hidden_size", "n_embd", "n_embed")
    return {
        "d_model": d_model,
        "vocab": config.count("vocab_size"),
        "tied_embeddings": config.flag("tie_word_embeddings", default=tied),
        "norm_parameters": d_model if final_norm is None else final_norm,
        "groups": group_layers(layers),
        **facts,
    }


def draft(config: Config, n: int | None, layer: LayerParts, *, norms: int = 3) -> list[dict[str, Any]]:
    """`n` multi-token-prediction layers: a projection of embedding and hidden state, then `layer`.

    `norms` counts the norm vectors around the projection and after the layer, beside the layer's own.
    """
    if not n:
        return []
    d_model = config.count("hidden_size")
    mixer, ffn, own = layer
    return [
        {"count": n, "ffn": {"kind": "projection", "d_in": 2 * d_model}, "norm_parameters": norms * d_model},
        {"count": n, "mixer": mixer, "ffn": ffn, "norm_parameters": own},
    ]
