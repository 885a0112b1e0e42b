"""Dense decoders of Llama's shape: grouped attention and a gated MLP in every layer, RMS norms before them."""

from __future__ import annotations

from typing import Any

from .config import Config, LayerParts
from .parts import Part, attention, decoder, dense, draft, kinds, window
from .registry import family


def _uniform(config: Config, mixer: Part, ffn: Part, norms: int = 2) -> list[LayerParts]:
    return [(mixer, ffn, norms * config.count("hidden_size"))] * config.layers()


@family(
    "llama", "LlamaForCausalLM", "CodeLlamaForCausalLM", "mistral", "MistralForCausalLM", "granite",
    "GraniteForCausalLM", "phi3", "Phi3ForCausalLM",
)  # fmt: skip
def llama(config: Config) -> dict[str, Any]:
    """Llama 2 and 3, Code Llama, Yi, Mistral (with its window), Granite, Phi-3 and 4."""
    mixer = attention(
        config, bias="qkvo" if config.flag("attention_bias", default=False) else "", **window(config)
    )  # fmt: skip
    return decoder(
        config, _uniform(config, mixer, dense(config, bias=config.flag("mlp_bias", default=False)))
    )  # fmt: skip


def _late_windows(config: Config, n_layers: int) -> list[str]:
    """Qwen's rule: with `use_sliding_window`, the layers from `max_window_layers` on keep a window."""
    used = config.flag("use_sliding_window", default=False) and bool(config.maybe("sliding_window"))
    first = config.count("max_window_layers", default=n_layers, least=0)
    return kinds(config, n_layers, lambda i: "sliding_attention" if used and i >= first else "full_attention")


def qwen_layers(config: Config, ffns: list[Part], **facts: Any) -> list[LayerParts]:
    """Qwen's attention in every layer, with the given feed-forward parts."""
    whole = attention(config, **facts)
    near = {**whole, **window(config)}
    norms = 2 * config.count("hidden_size")
    kind_of = _late_windows(config, len(ffns))
    return [(near if k == "sliding_attention" else whole, f, norms) for k, f in zip(kind_of, ffns, strict=True)]


@family("qwen2", "Qwen2ForCausalLM", "mimo", "MiMoForCausalLM")
def qwen2(config: Config) -> dict[str, Any]:
    """Qwen 2 and 2.5, and MiMo-7B, which adds layers for multi-token prediction."""
    layers = qwen_layers(config, [dense(config)] * config.layers(), bias="qkv")
    extra = draft(config, config.maybe("num_nextn_predict_layers", most=64), layers[0])
    return decoder(config, layers, draft=extra)


@family("qwen3", "Qwen3ForCausalLM", "qwen3_vl", "qwen3_vl_text", "Qwen3VLForConditionalGeneration")
def qwen3(config: Config) -> dict[str, Any]:
    """Qwen 3 and the text model of Qwen3-VL: a norm on queries and keys, one weight per dimension of a head."""
    bias = "qkvo" if config.flag("attention_bias", default=False) else ""
    return decoder(config, qwen_layers(config, [dense(config)] * config.layers(), bias=bias, qk_norm="head"))


@family("olmo", "OlmoForCausalLM")
def olmo(config: Config) -> dict[str, Any]:
    """OLMo: its layer norms have no weights."""
    mixer = attention(config, bias="qkvo" if config.flag("attention_bias", default=False) else "")
    return decoder(config, _uniform(config, mixer, dense(config), norms=0), final_norm=0)


@family("olmo2", "Olmo2ForCausalLM", "olmo3", "Olmo3ForCausalLM")
def olmo2(config: Config) -> dict[str, Any]:
    """OLMo 2 and 3: norms after the parts, queries and keys normalised over all heads; OLMo 3 adds windows."""
    n, d_model = config.layers(), config.count("hidden_size")
    windows = config.text("model_type") == "olmo3" or config.has("layer_types")
    kind_of = kinds(config, n, lambda i: "full_attention" if not windows or i % 4 == 3 else "sliding_attention")
    bias = "qkvo" if config.flag("attention_bias", default=False) else ""
    whole = attention(config, bias=bias, qk_norm="full")
    near = {**whole, **window(config)}
    ffn = dense(config)
    return decoder(config, [(near if k == "sliding_attention" else whole, ffn, 2 * d_model) for k in kind_of])


@family("glm", "GlmForCausalLM", "glm4", "Glm4ForCausalLM")
def glm(config: Config) -> dict[str, Any]:
    """GLM-4 dense: two norms per layer, four in the 0414 release (`glm4`)."""
    four = config.text("model_type") == "glm4" or config.raw.get("architectures") == ["Glm4ForCausalLM"]
    mixer = attention(config, bias="qkv" if config.flag("attention_bias", default=False) else "")
    return decoder(config, _uniform(config, mixer, dense(config), norms=4 if four else 2))


@family("cohere", "CohereForCausalLM")
def cohere(config: Config) -> dict[str, Any]:
    """Command R: one norm per layer, attention and MLP side by side; the plus model normalises queries and keys."""
    qk = "full" if config.flag("use_qk_norm", default=False) else ""
    mixer = attention(config, qk_norm=qk, bias="qkvo" if config.flag("attention_bias", default=False) else "")
    return decoder(config, _uniform(config, mixer, dense(config), norms=1), tied=True)
