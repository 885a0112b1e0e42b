"""Hybrids of attention with linear recurrences or state-space models: a state of fixed size in most layers."""

from __future__ import annotations

from typing import Any

from ..precision import format_named
from .config import Config, LayerParts
from .latent import experts, latent_attention, routed_layers
from .parts import Part, attention, decoder, dense, draft, head_dim, window
from .registry import family

_ASSUMED_STATE = "the config does not state the format of the recurrent state; 4 bytes per element are assumed"


def _state_format(config: Config, *keys: str) -> tuple[float, list[str]]:
    """Bytes per element of the recurrent state, and a note where the config does not state it."""
    given = config.text(*keys)
    return (format_named(given).bytes, []) if given else (4.0, [_ASSUMED_STATE])


def _kinds(config: Config, default: list[bool]) -> list[bool]:
    """Which layers are full attention; the others are linear."""
    kinds = config.items("layer_types", length=len(default))
    if kinds is None:
        return default
    for kind in kinds:
        if kind not in ("full_attention", "linear_attention"):
            raise config.bad("layer_types", kind, "is not 'full_attention' or 'linear_attention'")
    return [kind == "full_attention" for kind in kinds]


@family(
    "qwen3_next",
    "Qwen3NextForCausalLM",
    "qwen3_5",
    "qwen3_5_text",
    "Qwen3_5ForConditionalGeneration",
    "Qwen3_5ForCausalLM",
    "qwen3_5_moe",
    "qwen3_5_moe_text",
    "Qwen3_5MoeForConditionalGeneration",
    "Qwen3_5MoeForCausalLM",
)
def qwen3_next(config: Config) -> dict[str, Any]:
    """Qwen3-Next, Qwen3.5 and 3.6: three gated delta nets to one gated full attention, dense or with experts."""
    norms, n_layers = 2 * config.count("hidden_size"), config.layers()
    every = config.count("full_attention_interval", default=4)
    full_layers = _kinds(config, [(layer + 1) % every == 0 for layer in range(n_layers)])
    gated = config.flag("attn_output_gate", default=True)
    full = attention(
        config,
        bias="qkvo" if config.flag("attention_bias", default=False) else "",
        qk_norm="head",
        more=_gate_bias(config) if gated else 0,
        output_gate=gated,
    )
    state_bytes, notes = _state_format(config, "mamba_ssm_dtype")
    linear: Part = {
        "kind": "gated_delta",
        "n_k_heads": config.count("linear_num_key_heads"),
        "n_v_heads": config.count("linear_num_value_heads"),
        "d_k": config.count("linear_key_head_dim"),
        "d_v": config.count("linear_value_head_dim"),
        "conv_kernel": config.count("linear_conv_kernel_dim", default=4),
        "state_bytes": state_bytes,
    }
    config.divides("linear_num_key_heads", linear["n_v_heads"], linear["n_k_heads"], "linear_num_value_heads")
    ffns = _qwen_ffns(config)
    n_draft = config.count("mtp_num_hidden_layers", "num_nextn_predict_layers", default=0, least=0, most=64)
    if not n_draft:
        notes.append("the config does not describe a multi-token-prediction layer; none is counted")
    return decoder(
        config,
        [(full if is_full else linear, ffn, norms) for is_full, ffn in zip(full_layers, ffns, strict=True)],
        draft=draft(config, n_draft, (full, ffns[-1], norms)),
        notes=notes,
    )


def _gate_bias(config: Config) -> int:
    """Biases of the output gate, which is the second half of the query projection."""
    biased = config.flag("attention_bias", default=False)
    return config.count("num_attention_heads") * head_dim(config) if biased else 0


def _qwen_ffns(config: Config) -> list[Part]:
    n_layers = config.layers()
    if not config.maybe("num_experts"):
        return [dense(config)] * n_layers
    shared = config.count("shared_expert_intermediate_size", default=0, least=0)
    moe = experts(config, n_shared=min(shared, 1), d_shared=shared, shared_gate=bool(shared))
    every = config.count("decoder_sparse_step", default=1)
    plain_layers = set(config.counts("mlp_only_layers") or ())
    is_routed = [layer not in plain_layers and (layer + 1) % every == 0 for layer in range(n_layers)]
    plain = moe if all(is_routed) else dense(config)
    return [moe if r else plain for r in is_routed]


@family("kimi_linear", "KimiLinearForCausalLM", "kimi_k3", "KimiK3ForConditionalGeneration")
def kimi_linear(config: Config) -> dict[str, Any]:
    """Kimi Linear and K3: three Kimi delta attentions to one latent attention, experts in a latent space in K3."""
    d_model = config.count("hidden_size")
    full_layers, linear = _kimi_layers(config)
    full = latent_attention(config, output_gate=config.flag("mla_use_output_gate", default=False))
    moe, plain = experts(config), dense(config)
    latent = config.maybe("routed_expert_hidden_size", least=1)
    if latent:
        normed = config.flag("latent_moe_use_norm", default=False)
        moe |= {"d_latent": latent, "extra_parameters": latent if normed else 0}
    norms, outside, notes = 2 * d_model, d_model, [_ASSUMED_STATE]
    block = config.maybe("attn_res_block_size", least=1)
    if block:  # each part of a layer chooses among the block outputs so far with a query and a norm of its own
        norms, outside = norms + 4 * d_model, outside + 2 * d_model
        notes.append(f"the traffic of residuals kept every {block} layers (attention residuals) is not costed")
    is_routed = routed_layers(config, first_dense=1)
    layers: list[LayerParts] = [
        (full if is_full else linear, moe if r else plain, norms) for is_full, r in zip(full_layers, is_routed, strict=True)
    ]
    extra = draft(config, config.maybe("num_nextn_predict_layers", most=64), (full, moe, norms))
    return decoder(config, layers, final_norm=outside, draft=extra, notes=notes)


def _kimi_layers(config: Config) -> tuple[list[bool], dict[str, Any]]:
    """Which layers are full attention (the checkpoint counts them from 1), and the linear layer."""
    n_layers = config.layers()
    section = config.section("linear_attn_config") or Config({}, config.name)
    default = [layer > 0 and layer % 4 == 0 for layer in range(n_layers)]
    full = section.counts("full_attn_layers")
    if full is not None:
        linear = section.counts("kda_layers") or [n for n in range(1, n_layers + 1) if n not in full]
        if sorted([*full, *linear]) != list(range(1, n_layers + 1)):
            raise config.bad("linear_attn_config", "full_attn_layers with kda_layers", f"must name layers 1 to {n_layers} once each")
        default = [layer + 1 in set(full) for layer in range(n_layers)]
    block = {
        "kind": "kda",
        "n_heads": section.maybe("num_heads", least=1) or config.count("linear_num_heads", default=32),
        "head_dim": section.maybe("head_dim", least=1) or config.count("linear_head_dim", default=128),
        "conv_kernel": section.maybe("short_conv_kernel_size", least=1) or config.count("linear_conv_kernel_dim", default=4),
        "full_rank_gate": section.flag("use_full_rank_gate", default=False),
    }
    return _kinds(config, default), block


_NEMOTRON = {"M": "mamba", "E": "moe", "*": "attention", "-": "mlp", "linear_attention": "mamba", "full_attention": "attention"}


@family("nemotron_h", "NemotronHForCausalLM")
def nemotron_h(config: Config) -> dict[str, Any]:
    """Nemotron-H and Nemotron 3: Mamba-2, attention, MLP and experts, one such block per layer."""
    d_model = config.count("hidden_size")
    kinds = _nemotron_kinds(config, "layers_block_type", "hybrid_override_pattern")
    if not kinds:
        raise config.bad("hybrid_override_pattern", None, "is missing; add it, or layers_block_type")
    n_draft = config.count("num_nextn_predict_layers", default=0, least=0, most=64)
    ahead = _nemotron_kinds(config, "mtp_layers_block_type", "mtp_hybrid_override_pattern") or ["attention", "moe"]
    state_bytes, notes = _state_format(config, "mamba_ssm_cache_dtype")
    wanted = {*kinds, *(ahead if n_draft else ())}
    parts = {kind: _nemotron_block(config, kind, d_model, state_bytes) for kind in wanted}
    extra = draft(config, n_draft, parts[ahead[0]]) if n_draft else []
    for mixer, ffn, norms in [parts[kind] for kind in ahead[1:]] if n_draft else []:
        extra.append({"count": n_draft, "mixer": mixer, "ffn": ffn, "norm_parameters": norms})
    layers = [parts[kind] for kind in kinds]
    return decoder(config, layers, draft=extra, notes=notes if "mamba" in wanted else [])


def _nemotron_kinds(config: Config, listed: str, pattern: str) -> list[str]:
    """Blocks layer by layer, from a list of words or a pattern of letters."""
    given: list[Any] = config.items(listed) or list(config.text(pattern))
    kinds = [_NEMOTRON.get(kind, kind) if isinstance(kind, str) else kind for kind in given]
    for kind in kinds:
        if kind not in ("mamba", "moe", "attention", "mlp"):
            raise config.bad(f"{listed} / {pattern}", kind, "is not a block of M, E, * and - (or their words)")
    return kinds


def _nemotron_block(config: Config, kind: str, d_model: int, state_bytes: float) -> LayerParts:
    if kind == "mamba":
        return _nemotron_mamba(config, d_model, state_bytes), None, d_model
    if kind == "attention":
        bias = "qkvo" if config.flag("attention_bias", default=False) else ""
        return attention(config, bias=bias, head_dim=head_dim(config), **window(config)), None, d_model
    biased = config.flag("mlp_bias", default=False)
    if kind == "mlp":
        return None, dense(config, gated=False, bias=biased), d_model
    if biased:
        raise config.bad("mlp_bias", True, "is not read for a mixture of experts; describe the model by hand")
    shared = config.count("n_shared_experts", default=1, least=0)
    width = config.count("moe_shared_expert_intermediate_size", default=0, least=0)
    latent = config.maybe("moe_latent_size", least=1)
    facts = {"d_latent": latent} if latent else {}
    moe = experts(config, gated=False, n_shared=shared, d_shared=width if shared else 0, **facts)
    return None, moe, d_model


def _nemotron_mamba(config: Config, d_model: int, state_bytes: float) -> Part:
    heads, width = config.count("mamba_num_heads"), config.count("mamba_head_dim")
    d_state, n_groups = config.count("ssm_state_size"), config.count("n_groups", "mamba_n_groups", default=8)
    config.divides("n_groups", heads, n_groups, "mamba_num_heads")
    bias = config.flag("use_bias", default=False)
    return {
        "kind": "mamba2",
        "n_heads": heads,
        "head_dim": width,
        "d_state": d_state,
        "n_groups": n_groups,
        "conv_kernel": config.count("conv_kernel", "mamba_d_conv", default=4),
        "conv_bias": config.flag("use_conv_bias", "mamba_conv_bias", default=True),
        "state_bytes": state_bytes,
        "extra_parameters": 2 * (heads * width + n_groups * d_state) + heads + d_model if bias else 0,
    }
