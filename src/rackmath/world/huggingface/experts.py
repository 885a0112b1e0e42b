"""Classic mixtures of experts over grouped attention: Mixtral, Qwen-MoE, Phi-MoE, OLMoE, gpt-oss, Llama 4, GLM-4.5,
MiniMax M2."""

from __future__ import annotations

from typing import Any

from .config import Config, LayerParts
from .llama import qwen_layers
from .parts import Part, attention, decoder, dense, draft, kinds, routed, window
from .registry import family


@family("mixtral", "MixtralForCausalLM")
def mixtral(config: Config) -> dict[str, Any]:
    """Mixtral: Llama's attention, every MLP a mixture."""
    mixer = attention(config, **window(config))
    ffn = routed(config, d_expert=config.count("intermediate_size"))
    return decoder(config, [(mixer, ffn, 2 * config.count("hidden_size"))] * config.layers())


@family("phimoe", "PhiMoEForCausalLM", "PhimoeForCausalLM")
def phimoe(config: Config) -> dict[str, Any]:
    """Phi-3.5-MoE and Phi-mini-MoE: biases on the projections, layer norms with a bias, a bias on the head."""
    d_model, vocab = config.count("hidden_size"), config.count("vocab_size")
    bias = "qkvo" if config.flag("attention_bias", default=False) else ""
    mixer = attention(config, bias=bias, **window(config))
    ffn = routed(config, d_expert=config.count("intermediate_size"))
    facts: dict[str, Any] = (
        {"head_parameters": vocab * d_model + vocab} if config.flag("lm_head_bias", default=False) else {}
    )
    layers: list[LayerParts] = [(mixer, ffn, 4 * d_model)] * config.layers()
    return decoder(config, layers, final_norm=2 * d_model, **facts)


@family("olmoe", "OlmoeForCausalLM")
def olmoe(config: Config) -> dict[str, Any]:
    """OLMoE: queries and keys normalised over all heads."""
    bias = "qkvo" if config.flag("attention_bias", default=False) else ""
    ffn = routed(config, d_expert=config.count("intermediate_size"))
    layer: LayerParts = (attention(config, bias=bias, qk_norm="full"), ffn, 2 * config.count("hidden_size"))
    return decoder(config, [layer] * config.layers())


@family("qwen2_moe", "Qwen2MoeForCausalLM")
def qwen2_moe(config: Config) -> dict[str, Any]:
    """Qwen1.5-MoE and Qwen2-57B: a gated shared expert beside the routed ones."""
    shared = config.count("shared_expert_intermediate_size")
    moe = routed(
        config, d_expert=config.count("moe_intermediate_size"), n_shared=1, d_shared=shared, shared_gate=True
    )  # fmt: skip
    bias = "qkv" if config.flag("qkv_bias", default=True) else ""
    return decoder(config, qwen_layers(config, _sparse_steps(config, moe), bias=bias))


@family(
    "qwen3_moe", "Qwen3MoeForCausalLM", "qwen3_vl_moe", "qwen3_vl_moe_text", "Qwen3VLMoeForConditionalGeneration",
)  # fmt: skip
def qwen3_moe(config: Config) -> dict[str, Any]:
    """Qwen3-MoE and the text model of its VL sibling."""
    moe = routed(config, d_expert=config.count("moe_intermediate_size"))
    bias = "qkvo" if config.flag("attention_bias", default=False) else ""
    return decoder(config, qwen_layers(config, _sparse_steps(config, moe), bias=bias, qk_norm="head"))


def _sparse_steps(config: Config, moe: Part) -> list[Part]:
    """Qwen's rule: every `decoder_sparse_step`-th layer is a mixture, `mlp_only_layers` apart."""
    step = config.count("decoder_sparse_step", default=1)
    plain = set(config.counts("mlp_only_layers") or ())
    n = config.layers()
    is_moe = [i not in plain and (i + 1) % step == 0 for i in range(n)]
    ffn = moe if all(is_moe) else dense(config)
    return [moe if sparse else ffn for sparse in is_moe]


@family("gpt_oss", "GptOssForCausalLM")
def gpt_oss(config: Config) -> dict[str, Any]:
    """gpt-oss: every other layer sees a window; a learned sink per head; biases everywhere, experts included."""
    d_model, n, d_expert = config.count("hidden_size"), config.layers(), config.count("intermediate_size")
    bias = "qkvo" if config.flag("attention_bias", default=True) else ""
    whole = attention(config, bias=bias, more=config.count("num_attention_heads"))
    near = {**whole, **window(config)}
    experts = config.count("num_local_experts")
    ffn = routed(
        config, d_expert=d_expert, extra_parameters=experts, expert_extra_parameters=2 * d_expert + d_model
    )  # fmt: skip
    kind_of = kinds(config, n, lambda i: "full_attention" if i % 2 else "sliding_attention")
    return decoder(config, [(near if k == "sliding_attention" else whole, ffn, 2 * d_model) for k in kind_of])


@family("llama4", "llama4_text", "Llama4ForConditionalGeneration", "Llama4ForCausalLM")
def llama4(config: Config) -> dict[str, Any]:
    """Llama 4: chunked attention with full attention (no rotary embedding) in every fourth layer; mixtures in all or
    every other layer, with one shared expert. The norm on queries and keys has no weights."""
    d_model, n = config.count("hidden_size"), config.layers()
    bias = "qkvo" if config.flag("attention_bias", default=False) else ""
    whole = attention(config, bias=bias)
    chunk = config.maybe("attention_chunk_size")
    context = config.maybe("max_position_embeddings")
    near = {**whole, "chunk": chunk} if chunk and (not context or chunk < context) else whole
    every = config.count("no_rope_layer_interval", default=4)
    rope = config.counts("no_rope_layers") or [int((i + 1) % every != 0) for i in range(n)]
    if len(rope) != n:
        raise config.bad("no_rope_layers", rope, f"does not list each of the {n} layers")
    kind_of = kinds(config, n, lambda i: "chunked_attention" if rope[i] else "full_attention")
    d_expert = config.count("intermediate_size")
    moe = routed(config, d_expert=d_expert, n_shared=1, d_shared=d_expert)
    step = config.count("interleave_moe_layer_step", default=1)
    given = config.counts("moe_layers")
    sparse = set(range(step - 1, n, step) if given is None else given)
    plain = moe if len(sparse) == n else dense(config, d_ff=config.count("intermediate_size_mlp"))
    return decoder(
        config,
        [
            (near if k == "chunked_attention" else whole, moe if i in sparse else plain, 2 * d_model)
            for i, k in enumerate(kind_of)
        ],
    )


@family("glm4_moe", "Glm4MoeForCausalLM")
def glm4_moe(config: Config) -> dict[str, Any]:
    """GLM-4.5, 4.6 and 4.7: leading dense layers, then mixtures with shared experts; multi-token prediction."""
    d_model, n = config.count("hidden_size"), config.layers()
    # the family's own default is the rounded-down quotient, whether or not the heads divide the width
    per_head = config.maybe("head_dim", least=1) or max(1, d_model // config.count("num_attention_heads"))
    mixer = attention(
        config,
        bias="qkv" if config.flag("attention_bias", default=False) else "",
        qk_norm="head" if config.flag("use_qk_norm", default=False) else "",
        head_dim=per_head,
    )
    d_expert, n_shared = config.count("moe_intermediate_size"), config.count("n_shared_experts", default=0, least=0)
    groups = config.count("n_group", default=1)
    limited = groups > 1 and config.maybe("topk_group", least=1)
    moe = routed(
        config, d_expert=d_expert, n_shared=n_shared, d_shared=n_shared * d_expert,
        **({"node_limit": limited, "node_groups": groups} if limited else {}),
    )  # fmt: skip
    leading = config.count("first_k_dense_replace", default=0, least=0)
    plain = dense(config) if leading else moe
    layers: list[LayerParts] = [(mixer, plain if i < leading else moe, 2 * d_model) for i in range(n)]
    extra = draft(config, config.maybe("num_nextn_predict_layers", most=64), (mixer, moe, 2 * d_model))
    return decoder(config, layers, draft=extra)


@family("minimax_m2", "MiniMaxM2ForCausalLM")
def minimax_m2(config: Config) -> dict[str, Any]:
    """MiniMax M2: full attention in every layer, queries and keys normalised over all heads."""
    d_model = config.count("hidden_size")
    qk = "full" if config.flag("use_qk_norm", default=True) else ""
    if config.text("qk_norm_type", default="per_layer") != "per_layer":
        qk = qk and "head"
    shared = config.count("shared_intermediate_size", default=0, least=0)
    facts = {"n_shared": 1, "d_shared": shared} if shared else {}
    moe = routed(config, d_expert=config.count("intermediate_size"), **facts)
    layer: LayerParts = (attention(config, qk_norm=qk, **window(config)), moe, 2 * d_model)
    modules = config.count("num_mtp_modules", default=0, least=0, most=64)
    used = config.flag("use_mtp", default=False)
    return decoder(config, [layer] * config.layers(), draft=draft(config, modules if used else 0, layer))
