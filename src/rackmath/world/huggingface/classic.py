"""The first open decoders: MLPs without a gate, layer norms with a bias, learned positions."""

from __future__ import annotations

from typing import Any

from .config import Config, LayerParts
from .parts import attention, decoder, dense, window
from .registry import family


def _renamed(config: Config) -> Config:
    """The same config under the usual keys (GPT-2, GPT-J, BLOOM and early Falcon have names of their own)."""
    usual = {
        "hidden_size": ("hidden_size", "n_embd", "n_embed"),
        "num_attention_heads": ("num_attention_heads", "n_head"),
        "num_hidden_layers": ("num_hidden_layers", "n_layer"),
        "intermediate_size": ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size"),
    }
    found = {key: config.find(*names)[1] for key, names in usual.items()}
    full = Config({**config.raw, **{k: v for k, v in found.items() if v is not None}}, config.name)
    if found["intermediate_size"] is None:
        full = Config({**full.raw, "intermediate_size": 4 * full.count("hidden_size")}, config.name)
    return full


def _plain(
    config: Config,
    *,
    bias: str = "qkvo",
    norms: int = 2,
    tied: bool = True,
    more: int = 0,
    mlp_bias: bool = True,
    **facts: Any,
) -> dict[str, Any]:
    """Layers of attention and an ungated MLP, with `norms` layer norms (weight and bias) each and one at the end."""
    d_model = config.count("hidden_size")
    head = facts.pop("attention", {})
    ffn = dense(config, gated=False, bias=mlp_bias)
    layer: LayerParts = (attention(config, bias=bias, more=more, **head), ffn, 2 * norms * d_model)
    facts.setdefault("final_norm", 2 * d_model)
    return decoder(config, [layer] * config.layers(), tied=tied, **facts)


@family("gpt2", "GPT2LMHeadModel")
def gpt2(config: Config) -> dict[str, Any]:
    """GPT-2: learned positions, one head of KV per head of queries."""
    config = _renamed(config)
    positions = config.count("n_positions", "max_position_embeddings")
    table = (config.count("vocab_size") + positions) * config.count("hidden_size")
    return _plain(config, embedding_parameters=table)


@family("gptj", "GPTJForCausalLM")
def gptj(config: Config) -> dict[str, Any]:
    """GPT-J: attention and MLP share one norm; a bias on the head."""
    config = _renamed(config)
    d_model, vocab = config.count("hidden_size"), config.count("vocab_size")
    head: dict[str, Any] = (
        {} if config.flag("tie_word_embeddings", default=False) else {"head_parameters": vocab * (d_model + 1)}
    )
    return _plain(config, bias="", norms=1, tied=False, **head)


@family("gpt_neox", "GPTNeoXForCausalLM")
def gpt_neox(config: Config) -> dict[str, Any]:
    """GPT-NeoX and Pythia."""
    bias = "qkvo" if config.flag("attention_bias", default=True) else ""
    return _plain(config, bias=bias, tied=False)


@family("opt", "OPTForCausalLM")
def opt(config: Config) -> dict[str, Any]:
    """OPT: learned positions, offset by two; the 350M model embeds in a narrower space."""
    config = _renamed(config)
    d_model, vocab = config.count("hidden_size"), config.count("vocab_size")
    narrow = config.count("word_embed_proj_dim", default=d_model)
    table = vocab * narrow + (config.count("max_position_embeddings") + 2) * d_model
    affine = config.flag("layer_norm_elementwise_affine", default=True)
    at_end = config.flag("do_layer_norm_before", default=True) and not config.flag(
        "_remove_final_layer_norm", default=False
    )
    biased = config.flag("enable_bias", default=True)
    head: dict[str, Any] = (
        {} if config.flag("tie_word_embeddings", default=True) else {"head_parameters": vocab * narrow}
    )
    return _plain(
        config, bias="qkvo" if biased else "", mlp_bias=biased, norms=2 if affine else 0,
        final_norm=2 * d_model if affine and at_end else 0,
        embedding_parameters=table + (2 * narrow * d_model if narrow != d_model else 0), **head,
    )  # fmt: skip


@family("bloom", "BloomForCausalLM")
def bloom(config: Config) -> dict[str, Any]:
    """BLOOM: no positions, a layer norm right after the embedding."""
    config = _renamed(config)
    return _plain(config, final_norm=4 * config.count("hidden_size"))


@family("falcon", "FalconForCausalLM", "RefinedWeb", "RefinedWebModel", "RWForCausalLM")
def falcon(config: Config) -> dict[str, Any]:
    """Falcon: one KV head (7B), groups (40B, 180B, 11B) or one per query head (RW), told apart by flags."""
    config = _renamed(config)
    heads = config.count("num_attention_heads")
    if config.flag("new_decoder_architecture", default=False):
        kv = config.count("num_kv_heads", "n_head_kv", default=heads)
        norms = config.count("num_ln_in_parallel_attn", default=2, most=2)
    else:
        kv = 1 if config.flag("multi_query", default=True) else heads
        norms = 1
    if not config.flag("parallel_attn", default=True):
        norms = 2
    biased = config.flag("bias", default=False)
    return _plain(
        config, bias="qkvo" if biased else "", mlp_bias=biased, norms=norms, attention={"n_kv_heads": kv},
    )  # fmt: skip


@family("phi", "PhiForCausalLM")
def phi(config: Config) -> dict[str, Any]:
    """Phi 1 and 2: attention and MLP share one norm; biases everywhere, the head's included."""
    d_model, vocab = config.count("hidden_size"), config.count("vocab_size")
    norm = 4 * (d_model // config.count("num_attention_heads")) if config.flag("qk_layernorm", default=False) else 0
    head: dict[str, Any] = (
        {"head_parameters": vocab * (d_model + 1)} if not config.flag("tie_word_embeddings", default=False) else {}
    )
    return _plain(config, norms=1, tied=False, more=norm, **head)


@family("starcoder2", "Starcoder2ForCausalLM")
def starcoder2(config: Config) -> dict[str, Any]:
    """StarCoder 2, with its window."""
    biased = config.flag("use_bias", default=True)
    return _plain(config, bias="qkvo" if biased else "", mlp_bias=biased, attention=window(config))


@family("stablelm", "StableLmForCausalLM")
def stablelm(config: Config) -> dict[str, Any]:
    """StableLM: Llama's MLP with layer norms that have a bias."""
    d_model = config.count("hidden_size")
    if config.flag("qk_layernorm", default=False):
        raise config.bad("qk_layernorm", True, "is not supported for this family; describe the model by hand")
    one = config.flag("use_parallel_residual", default=False)
    mixer = attention(config, bias="qkv" if config.flag("use_qkv_bias", default=False) else "")
    layer: LayerParts = (mixer, dense(config), (2 if one else 4) * d_model)
    return decoder(config, [layer] * config.layers(), final_norm=2 * d_model)
