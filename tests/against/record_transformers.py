"""Record the parameter counts of `transformers`, component by component, as the truth our readers are held to.

Run by hand, in an environment that has both packages (the counts below came from torch 2.13.0 on CPU and
transformers 5.24.0; neither is a dependency of rackmath or of its tests):

    python tests/against/record_transformers.py [../shared/data/hf_configs] [--names names.json]

Models are built on torch's meta device, so that no weight is allocated. What is recorded: for every config.json in
the folder the counts alone; for the default configuration of every decoder and vision-language family of the library,
and for other styles of some, the facts of that configuration too. A config transformers cannot build is recorded with
the reason. Counted are the parameters of the text model, each once: buffers (rotary tables, the routers' correction
biases) are not, and a tied output head counts as 0.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL_NAMES
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as IMAGE_NAMES
from transformers.models.auto.modeling_auto import MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES as MULTIMODAL_NAMES

NO_DECODERS = (
    "bart",
    "bert",
    "bert-generation",
    "big_bird",
    "bigbird_pegasus",
    "blenderbot",
    "blenderbot-small",
    "camembert",
    "data2vec-text",
    "electra",
    "ernie",
    "marian",
    "mbart",
    "megatron-bert",
    "musicgen",
    "musicgen_melody",
    "mvp",
    "pegasus",
    "plbart",
    "prophetnet",
    "reformer",
    "rembert",
    "roberta",
    "roberta-prelayernorm",
    "roc_bert",
    "roformer",
    "trocr",
    "vision-encoder-decoder",
    "whisper",
    "xlm",
    "xlm-roberta",
    "xlm-roberta-xl",
    "xlnet",
    "xmod",
    "florence2",
    "pix2struct",
    "pp_formulanet",
    "t5gemma2",
    "udop",
)
"""Model types with a causal class that are encoders, or decoders that only read an encoder's output."""

MENDED = {
    "dbrx": {
        "attn_config": {"kv_n_heads": 8},
        "ffn_config": {"ffn_hidden_size": 10752, "moe_num_experts": 16, "moe_top_k": 4},
        "d_model": 6144,
        "n_heads": 48,
        "n_layers": 40,
        "vocab_size": 100352,
    },
    "hunyuan_v1_dense": {"head_dim": 128},
    "hunyuan_v1_moe": {"head_dim": 128, "num_experts": 16, "moe_topk": 2},
    "ministral": {"head_dim": 128},
    "nemotron": {"num_key_value_heads": 8},
    "dots1": {"n_routed_experts": 128, "n_shared_experts": 2, "num_experts_per_tok": 6, "first_k_dense_replace": 1},
    "lfm2_moe": {"layer_types": ["conv", "conv", "full_attention", "conv"] * 8},
    "deepseek_v2": {"num_experts_per_tok": 6},
    "qwen4_exp_text": {"ple_layer_ids": []},
    "chameleon": {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}},
}
"""What must be added to a default configuration that the library cannot build, or that names no choice of experts."""

VARIANTS = {
    "falcon-40b-style": (
        "falcon",
        {
            "vocab_size": 65024,
            "hidden_size": 8192,
            "num_hidden_layers": 60,
            "num_attention_heads": 128,
            "num_kv_heads": 8,
            "new_decoder_architecture": True,
            "parallel_attn": True,
            "multi_query": True,
        },
    ),
    "falcon-rw-style": (
        "falcon",
        {
            "vocab_size": 50304,
            "hidden_size": 2048,
            "num_hidden_layers": 24,
            "num_attention_heads": 32,
            "alibi": True,
            "bias": True,
            "parallel_attn": False,
            "multi_query": False,
        },
    ),
    "opt-350m-style": (
        "opt",
        {
            "hidden_size": 1024,
            "word_embed_proj_dim": 512,
            "ffn_dim": 4096,
            "num_attention_heads": 16,
            "num_hidden_layers": 24,
            "do_layer_norm_before": False,
        },
    ),
    "gemma3-1b-style": (
        "gemma3_text",
        {
            "hidden_size": 1152,
            "num_hidden_layers": 26,
            "intermediate_size": 6912,
            "num_attention_heads": 4,
            "num_key_value_heads": 1,
            "head_dim": 256,
            "sliding_window": 512,
            "vocab_size": 262144,
        },
    ),
    "deepseek-v2-style": ("deepseek_v2", {"num_experts_per_tok": 6}),
    "glm-4.5-air-style": ("glm4_moe", {"head_dim": 128, "attention_bias": True}),
    "glm-4.6-style": (
        "glm4_moe",
        {
            "head_dim": 128,
            "attention_bias": True,
            "use_qk_norm": True,
            "hidden_size": 5120,
            "num_hidden_layers": 92,
            "n_routed_experts": 160,
            "moe_intermediate_size": 1536,
            "intermediate_size": 12288,
            "first_k_dense_replace": 3,
        },
    ),
    "gemma4-wide-shared-style": (
        "gemma4_text",
        {
            "hidden_size_per_layer_input": 256,
            "num_kv_shared_layers": 10,
            "use_double_wide_mlp": True,
            "attention_k_eq_v": True,
            "num_global_key_value_heads": 2,
        },
    ),
    "llama-biases-style": ("llama", {"attention_bias": True, "mlp_bias": True, "num_key_value_heads": 8}),
    "qwen3-biases-style": ("qwen3", {"attention_bias": True}),
    "qwen3-moe-mixed-style": ("qwen3_moe", {"decoder_sparse_step": 2, "mlp_only_layers": [1], "num_experts": 64}),
    "phi-qk-norm-style": ("phi", {"qk_layernorm": True}),
    "falcon-11b-style": (
        "falcon",
        {"new_decoder_architecture": True, "num_kv_heads": 8, "hidden_size": 4096, "num_attention_heads": 32, "num_ln_in_parallel_attn": 1},
    ),
    "cohere-plus-style": ("cohere", {"use_qk_norm": True, "num_key_value_heads": 8}),
    "gemma4-e4b-style": (
        "gemma4_text",
        {
            "hidden_size": 2560,
            "num_hidden_layers": 42,
            "intermediate_size": 10240,
            "num_attention_heads": 8,
            "num_key_value_heads": 2,
            "num_kv_shared_layers": 18,
            "hidden_size_per_layer_input": 256,
        },
    ),
    "kimi-linear-48b": ("kimi_linear", {}),
    "deepseek-v2-236b": (
        "deepseek_v2",
        {
            "hidden_size": 5120,
            "num_hidden_layers": 60,
            "num_attention_heads": 128,
            "num_key_value_heads": 128,
            "intermediate_size": 12288,
            "moe_intermediate_size": 1536,
            "n_routed_experts": 160,
            "n_shared_experts": 2,
            "num_experts_per_tok": 6,
            "q_lora_rank": 1536,
            "vocab_size": 102400,
            "first_k_dense_replace": 1,
            "n_group": 8,
            "topk_group": 3,
        },
    ),
    "deepseek-v3-biases-style": ("deepseek_v3", {"attention_bias": True, "num_hidden_layers": 5}),
    "glm-dsa-shared-indexer-style": ("glm_moe_dsa", {"num_hidden_layers": 12, "index_topk_freq": 4, "index_skip_topk_offset": 3}),
    "qwen3-next-mixed-style": (
        "qwen3_next",
        {"num_hidden_layers": 8, "attention_bias": True, "decoder_sparse_step": 2, "mlp_only_layers": [1], "num_experts": 64},
    ),
    "nemotron-h-biases-style": (
        "nemotron_h",
        {"layers_block_type": ["linear_attention", "mlp", "full_attention", "mlp"], "use_bias": True, "mlp_bias": True},
    ),
    "jamba-1.5-large-style": (
        "jamba",
        {"hidden_size": 8192, "num_hidden_layers": 72, "intermediate_size": 24576, "num_attention_heads": 64, "mamba_proj_bias": True},
    ),
    "minimax-m1-style": (
        "minimax",
        {
            "hidden_size": 6144,
            "num_hidden_layers": 80,
            "num_attention_heads": 64,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "intermediate_size": 9216,
            "num_local_experts": 32,
            "vocab_size": 200064,
            "layer_types": [*["linear_attention"] * 7, "full_attention"] * 10,
        },
    ),
    "qwen2-bias-tied-style": (
        "qwen2",
        {
            "hidden_size": 896,
            "intermediate_size": 4864,
            "num_hidden_layers": 24,
            "num_attention_heads": 14,
            "num_key_value_heads": 2,
            "tie_word_embeddings": True,
        },
    ),
}
"""Other styles of a family, as changes to its default configuration."""

NOT_FACTS = re.compile(
    r"^(_|transformers_version|architectures$|dtype|torch_dtype|id2label|label2id|problem_type|output_|return_dict|"
    r"chunk_size_feed|is_encoder_decoder|.*_token_id|use_cache|initializer|.*dropout|.*_pdrop|layer_norm_eps|rms_norm|"
    r"rope|partial_rotary|.*aux_loss|attn_implementation|pruned|finetuning|task|tokenizer|bos|eos|pad|prefix|summary|initializer|init_|"
    r"embedding_.*scale|.*_multiplier|routed_scaling|norm_topk|rescale|time_step)"
)
KEPT = (
    "text_config",
    "llm_config",
    "thinker_config",
    "attn_config",
    "ffn_config",
    "per_layer_config",
    "linear_attn_config",
    "sparse_attention_config",
    "architectures",
)
"""Sections with facts of the text model."""

VISION = re.compile(
    r"(^|\.)(visual|vision_tower|vision_model|vision_embed_tokens|multi_modal_projector|embed_vision|"
    r"audio_tower|embed_audio|mm_projector|patch_merge_mlp|vit_large_projector|embed_tokens_extend|codec_model|"
    r"protein_encoder)(\.|$)"
)


def component(name: str) -> str:
    """The component of `rackmath.world.model.COMPONENTS` that a parameter belongs to."""
    if re.search(r"(^|\.)(mtp|nextn)", name):
        return "draft"
    if re.search(r"(^|\.)lm_head\.|^(embed_out|head|decoder|output)\.", name):
        return "head"
    inside = re.search(r"\.(?:layers|h|blocks|gated_cross_attn_layers)\.\d+\.(.*)$", name)
    if not inside:
        if re.search(r"norm|\.ln_|hc_|rotary|query$|input_hidden_states|z_L_init", name):
            return "norm"
        if "per_layer_model_projection" in name:  # feeds every layer: our readers count a share in each MLP
            return "mlp"
        if "dense_bias" in name:
            return "attention"
        return "embedding" if re.search(r"embed|\.w[tp]?e?\.|altup_proj|project_(in|out)|position_bias|segment_emb", name) else "?"
    rest = inside[1]
    for kind, pattern in (
        ("norm", r"^(shared_transf|shared_transformer|mamba_decoder)\.\w*norm"),
        ("attention", r"^(shared_transf|shared_transformer|mamba_decoder)\.(self_attn|mamba)\."),
        (
            "norm",
            r"^(attn_hc|ffn_hc|pre_ln|input_layernorm|post_attention_layernorm)\.|residual|"
            r"_message_gate|^(attn|mlp)_sconv|_convolution",
        ),
        (
            "attention",
            r"^(self_att|self_attn|self_attention|attention|attn|linear_attn|mamba|cross_attn|"
            r"conv|temporal_block|mlstm_layer|multi_head_attention|cross_attn_\w+_gate|alpha_\w+)(\.(?!layernorm_before)|$)",
        ),
        ("shared_experts", r"shared_expert|shared_mlp|latent_proj|(pre|post)_expert_proj"),
        ("router", r"(^|\.)(gate|router|expert_bias)(\.|$)|_expert_norm|^mlp\.bias"),
        ("experts", r"(^|\.)experts\.|^mlp\.(in|out)put_linear"),
        (
            "norm",
            r"^[a-z_]*(layer_?norm\w*|_norm\d?|_hc)(\.|$)|layernorm_before_|^ln_?|^norm_?\w*\.|"
            r"post_mlp_layernorm|^lambda_|input\.query",
        ),
        ("attention", r"^mixer\.(?!up_|down_)"),
        ("mlp", r"mlp|feed_forward|^fc[12]|^ffn|per_layer|laurel|altup|^mixer\.(up|down)_|^linear\."),
    ):
        if re.search(pattern, rest):
            return kind
    return "?"


def text_part(model: torch.nn.Module, config: transformers.PretrainedConfig) -> tuple[str, ...]:
    """The prefixes of a model's text part: the module that has the text model's config, and the output head."""
    text = config.get_text_config(decoder=True)
    if text is config:
        return ("",)
    for name, module in model.named_modules():
        if name and getattr(module, "config", None) is text:
            above = name.split(".")[:-1]
            return (f"{name}.", "head.", "output.", *(".".join([*above[:k], "lm_head."]) for k in range(len(above) + 1)))
    raise ValueError(f"{type(model).__name__} has no module of its text config")


def counts_of(model: torch.nn.Module, prefixes: tuple[str, ...]) -> tuple[dict[str, int], dict[str, str]]:
    """Parameters by component, and the shape of one parameter of each name pattern, for checking by eye."""
    total: Counter[str] = Counter()
    seen: dict[str, str] = {}
    for name, parameter in model.named_parameters():
        if not name.startswith(prefixes) or (prefixes == ("",) and VISION.search(name)):
            continue
        if "gate_up_proj" in name and (zero := getattr(model.config, "zero_expert_num", 0)):
            parameter = parameter[:-zero]  # the library allocates, and no checkpoint holds, what experts that copy lack
        kind = component(name)
        total[kind] += parameter.numel()
        seen.setdefault(f"{kind}: {re.sub(r'[.][0-9]+[.]', '.N.', name)}", str(tuple(parameter.shape)))
    return {k: total[k] for k in sorted(total)}, seen


def config_of(raw: dict) -> transformers.PretrainedConfig:
    """The library's configuration object: by model_type, else by the class that `architectures` names."""
    raw = {k: v for k, v in raw.items() if k not in ("quantization_config", "auto_map", "compression_config")}
    if isinstance(raw.get("text_config"), dict):
        raw["text_config"] = {k: v for k, v in raw["text_config"].items() if k not in ("quantization_config", "auto_map")}
    kind = raw.get("model_type")
    if kind in CONFIG_MAPPING:
        wrapper = "text_config" in (getattr(CONFIG_MAPPING[kind], "sub_configs", None) or {})
        if wrapper and "text_config" not in raw:  # a flattened config: the library would ignore its keys
            inner = {k: v for k, v in raw.items() if k not in ("model_type", "architectures")}
            raw = {**raw, "text_config": inner}
        return CONFIG_MAPPING[kind].from_dict(raw)
    text = raw.get("text_config")
    if isinstance(text, dict):
        return config_of({**{k: raw[k] for k in ("tie_word_embeddings",) if k in raw}, **text})
    for architecture in raw.get("architectures") or ():
        found = getattr(transformers, architecture, None)
        if found is not None:
            return found.config_class.from_dict(raw)
    raise ValueError(f"transformers {transformers.__version__} knows neither model_type {kind!r} nor the architecture")


def record(config: transformers.PretrainedConfig, architecture: str = "") -> dict:
    """Build a model on the meta device and count its text part."""
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if architecture:
            model = getattr(transformers, architecture)(config)
        else:
            text = config.get_text_config()
            causal = type(text) in MODEL_FOR_CAUSAL_LM_MAPPING
            if not causal and type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
                raise ValueError(f"{type(config).__name__} has no causal language model class")
            build = AutoModelForCausalLM if causal else AutoModelForImageTextToText
            config = text if causal else config
            model = build.from_config(config, trust_remote_code=False)
    counts, names = counts_of(model, text_part(model, config))
    return {
        "model_type": config.model_type,
        "built_as": type(model).__name__,
        "counts": counts,
        "total": sum(v for k, v in counts.items() if k != "draft"),
        "names": names,
    }


def decoders() -> dict[str, str]:
    """Every decoder and vision-language family of the library, with the class that builds it."""
    found: dict[str, str] = {}
    for mapping in (CAUSAL_NAMES, IMAGE_NAMES, MULTIMODAL_NAMES):
        for kind, built in mapping.items():
            found.setdefault(kind, built if isinstance(built, str) else built[0])
    return {kind: built for kind, built in sorted(found.items()) if kind not in NO_DECODERS}


def facts_of(config: transformers.PretrainedConfig, architecture: str) -> dict:
    """The keys of a configuration that may state a fact; of sections, the text model's alone in full."""
    found = {**json.loads(json.dumps(config.to_dict(), default=str)), "architectures": [architecture]}
    return shortened(found)


def shortened(given: dict) -> dict:
    """A configuration without what says nothing about sizes."""
    found = {}
    for key, value in given.items():
        if value is None or (NOT_FACTS.match(key) and key != "architectures"):
            continue
        if isinstance(value, dict) and key not in KEPT:
            value = {k: value[k] for k in ("model_type", "embed_dim") if value.get(k)}
        nested = isinstance(value, dict) and key != "per_layer_config"
        found[key] = shortened(value) if nested else value
    return found


def attempt(label: str, make: Callable[[], dict]) -> dict:
    """One record, or the reason there is none."""
    try:
        found = make()
    except Exception as error:
        found = {"cannot_build": f"{type(error).__name__}: {str(error).strip()[:240]}"}
    print(label, found.get("total", found.get("cannot_build")), flush=True)
    return found


def styles() -> Iterator[tuple[str, str, dict, str]]:
    """What is recorded under which label: model type, changes to its default configuration, the class for it."""
    for kind, built in decoders().items():
        yield kind, kind, MENDED.get(kind, {}), built  # type: ignore[misc]
    for label, (kind, changes) in VARIANTS.items():
        yield label, kind, changes, decoders()[kind]  # type: ignore[misc]


def record_style(kind: str, changes: dict, built: str) -> dict:
    """The record of a default configuration with changes; of its text model alone where the whole cannot be built."""
    config = AutoConfig.for_model(kind, **changes)
    try:
        return record(config, built)
    except Exception:
        text = config.get_text_config()
        if text is config:
            raise
        return {**record(text), "model_type": kind}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", default="../shared/data/hf_configs", type=Path)
    parser.add_argument("--out", default=Path(__file__).with_name("transformers_counts.json"), type=Path)
    parser.add_argument("--names", type=Path, help="also write every parameter name pattern with its component here")
    chosen = parser.parse_args()
    names: dict[str, dict[str, str]] = {}
    configs, defaults = {}, {}
    for path in sorted(chosen.folder.glob("*.json")):
        if path.name.endswith("_hf_quant_config.json"):
            continue
        found = attempt(path.name, lambda path=path: record(config_of(json.loads(path.read_text()))))  # type: ignore[misc]
        names[path.name] = found.pop("names", {})
        configs[path.name] = found
    for label, kind, changes, built in styles():
        found = attempt(label, functools.partial(record_style, kind, changes, built))
        names[label] = found.pop("names", {})
        found["model_type"] = kind
        with contextlib.suppress(Exception):
            found["config"] = facts_of(AutoConfig.for_model(kind, **changes), built)
        defaults[label] = found
    counted = sum("counts" in found for found in defaults.values())
    print(f"{counted} of {len(defaults)} default configurations and styles counted")
    kept = {"transformers": transformers.__version__, "torch": torch.__version__.split("+")[0]}
    lines = [f" {json.dumps(k)}: {json.dumps(v)}," for k, v in kept.items()]
    for part, of in (("configs", configs), ("defaults", defaults)):
        inside = ",\n".join(f"  {json.dumps(k)}: {json.dumps(of[k], sort_keys=True)}" for k in sorted(of))
        lines.append(f' "{part}": {{\n{inside}\n }}' + ("," if part == "configs" else ""))
    chosen.out.write_text("{\n" + "\n".join(lines) + "\n}\n")
    if chosen.names:
        chosen.names.write_text(json.dumps(names, indent=1) + "\n")


if __name__ == "__main__":
    main()
