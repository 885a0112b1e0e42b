"""What a quantisation section says, by the tool that wrote it: formats, and the modules they are said of.

Every tool states the same facts in another way: a default format of linear layers, the modules kept out of it, and
the modules given another one. What a method stores is a row of `data/quantization.toml`. A key that is neither read
nor known to change nothing about bytes is named in a note.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ...errors import BadInput, did_you_mean
from .compressed import compressed_tensors, tensor
from .config import Config
from .methods import METHODS, fp8, modules_of
from .modules import Modules
from .scheme import Override, Scheme, stored, unread
from .tools import READERS, plain

_ALGORITHMS = {
    "fp8": "fp8", "fp8_per_channel_per_token": "fp8", "fp8_pb_wo": "fp8_block", "fp8_block": "fp8_block",
    "fp8_pb_real": "fp8_block", "fp8_dynamic": "fp8", "fp8_per_tensor": "fp8", "mxfp8": "mxfp8", "nvfp4": "nvfp4",
    "nvfp4_awq": "nvfp4", "nvfp4_svdquant": "nvfp4", "w4a4_nvfp4": "nvfp4", "w4a16_nvfp4": "nvfp4_w4a16",
    "nvfp4_w4a16": "nvfp4_w4a16", "w4a8_nvfp4_fp8": "nvfp4", "mxfp4": "mxfp4", "w4a8_mxfp4_fp8": "mxfp4",
    "w4a8_mxfp4_int8": "mxfp4", "mxfp6": "f6a4_g32_s8", "w4a16": "w4a16", "w4a16_awq": "w4a16", "int4_awq": "w4a16",
    "w4a16_gptq": "w4a16", "w4a8": "w4a8", "w4a8_awq": "w4a8", "w4a8_qserve_per_group": "w4a8_g128_s8_z8",
    "w4a8_qserve_per_channel": "w4a8_c", "int8": "int8", "int8_sq": "int8", "w8a8_sq_per_channel": "int8",
    "w8a8_sq_per_tensor_plugin": "int8", "w8a8_sq_per_channel_per_token_plugin": "int8", "w8a16": "w8a16",
    "int8_wo": "w8a16", "float": "bf16", "w8a8": "int8", "w8a8_dynamic": "int8", "w8a8_static": "int8",
    "w8a8_mix": "int8", "w4a8_dynamic": "w4a8_c", "w4a4_dynamic": "w4a4_c", "w8a8_mxfp8": "mxfp8",
    "w8a8_dynamic_mxfp8": "mxfp8", "w4a4_mxfp4": "mxfp4", "w4a8_mxfp": "mxfp4", "w8a8s": "int8",
    "w4a4_flatquant_dynamic": "w4a4_c", "w8a16_gptq": "w8a16", "none": "bf16", "bf16": "bf16", "fp16": "bf16", "no_quant": "bf16",
}  # fmt: skip
"""Names of algorithms (modelopt's and others') and our format for each."""

_SKIPPED = (
    "modules_to_not_convert", "ignore", "exclude_modules", "ignored_layers", "llm_int8_skip_modules", "exclude",
    "skip_modules", "linear_weights_not_to_quantize", "module_exclude",
)  # fmt: skip
"""Keys that list what is kept out."""

_NO_BYTES = frozenset(
    {
        "quant_method", "quant_algo", "producer", "version", "fmt", "format", "activation_scheme", "scale_fmt",
        "quantization_status", "global_compression_ratio", "kv_cache_scheme", "kv_cache_quant_algo", "backend",
        "meta", "weight_block_size", "quantized_layers", "config_groups", "group_size", "q_group_size",
        "has_zero_point", "pre_quant_scale", "smoothquant_val", "activation_scale_ub",
        "linear_class_name", "linear_activation_scheme", "moe_activation_scheme", "torch_dtype", "dtype",
        "is_checkpoint_fp8_serialized", "dequantize", "autoround_version", "packing_format", "iters", "nsamples",
        "seqlen", "lr", "batch_size", "low_gpu_mem_usage", "minmax_lr", "enable_minmax_tuning",
        "enable_quanted_input", "amp", "scale_dtype", "train_bs", "gradient_accumulate_steps", "act_bits",
        "act_group_size", "act_sym", "act_dynamic", "act_data_type", "static_kv_dtype", "static_attention_dtype",
        "model_seqlen", "calibration", "dataset", "damp_percent", "damp_auto_increment", "true_sequential",
        "static_groups", "desc_act", "act_group_aware", "checkpoint_format", "pack_dtype", "model_name_or_path",
        "model_file_base_name", "use_exllama", "exllama_config", "max_input_length",
        "cache_block_outputs", "use_cuda_fp16", "block_name_to_quantize", "module_name_preceding_first_block",
        "pad_token_id", "tokenizer", "do_fuse", "modules_to_fuse", "fuse_max_seq_len", "mse", "offload_to_disk",
        "lm_head", "quant_lm_head", "bits", "sym", "quant_mode", "export", "algo_config", "softmax_quant_spec",
        "kv_cache_quant_config", "kv_cache_post_rope", "min_kv_scale", "pack_method", "custom_mode",
        "online_quantization", "out_tensors", "scheme", "w_bit", "zero_point", "run_compressed", "nbits",
        "num_bits", "weight_bits", "wbits", "use_optimized_inference", "supported_types", "enable_norm_bias_tuning",
        "enable_alg_ext", "sampler", "quant_nontext_module", "not_use_best_mse", "dynamic_max_gap",
        "to_quant_block_names", "lr_scheduler", "momentum", "seed", "modules_to_not_convert_note", "model_type",
        "super_bits", "super_group_size", "enable_torch_compile", "disable_opt_rtn", "device_map", "library",
    }
)  # fmt: skip
"""Keys that are read, or that change nothing about the bytes of weights."""


def read_scheme(given: Config, n_layers: int) -> Scheme:
    """The scheme a quantisation section describes."""
    method, algorithm = given.text("quant_method").lower(), given.text("quant_algo").lower()
    skipped = modules_of(given, _names(given), n_layers)
    row = METHODS.get(_key(method), {})
    known = set(row.get("keys", ()))
    listed = given.section("quantized_layers")
    if listed is not None:
        scheme = _listed(given, listed, n_layers, method, skipped)
    elif algorithm and algorithm != "mixed_precision":
        scheme = Scheme(default=_algorithm(given, algorithm), skipped=skipped)
    elif given.has("config_groups") or given.has("sparsity_config") or _key(method) == "compressed-tensors":
        scheme = compressed_tensors(given, n_layers, skipped)
        known |= {"sparsity_config", "transform_config"}
    elif row:
        scheme = READERS.get(str(row.get("reads")), plain)(given, n_layers, skipped, row)
    else:
        scheme = Scheme(default=_algorithm(given, method), skipped=skipped)
    experts = given.text("moe_quant_algo").lower()  # experts beside a default
    if experts:
        known.add("moe_quant_algo")
        scheme = replace(scheme, experts=_algorithm(given, experts))
    return replace(scheme, notes=(*scheme.notes, *unread(given, _NO_BYTES | set(_SKIPPED) | known)))


def cache_format(given: Config) -> str | None:
    """The format of the cache, where one is named."""
    scheme = given.raw.get("kv_cache_scheme")
    if isinstance(scheme, Mapping):
        return tensor(Config(scheme, f"{given.name}: kv_cache_scheme"), act="8")
    name = given.text("kv_cache_quant_algo", "kv_cache_scheme", "static_kv_dtype").lower().removeprefix("torch.")
    if name in ("static", "dynamic") or name.startswith(("float8", "fp8")):  # a word on how its scales are made
        return "fp8"
    if name in ("", "auto", "none", "bfloat16", "float16", "bf16", "fp16", "float32"):
        return _quark_cache(given) if not name else None
    return _algorithm(given, name)


def _quark_cache(given: Config) -> str | None:
    """Quark describes the outputs of key and value projections."""
    layers = given.raw.get("kv_cache_quant_config")
    for how in layers.values() if isinstance(layers, Mapping) else ():
        out = how.get("output_tensors") if isinstance(how, Mapping) else None
        dtype = out.get("dtype") if isinstance(out, Mapping) else None
        if isinstance(dtype, str):
            return "fp8" if dtype.startswith("fp8") else "int8" if dtype in ("int8", "uint8") else None
    return None


def _names(given: Config) -> Iterator[object]:
    for key in _SKIPPED:
        yield from given.items(key) or ()


def _key(name: str) -> str:
    return name.replace("_", "-")


def _algorithm(given: Config, name: str) -> str:
    found = _ALGORITHMS.get(name.replace("-", "_"))
    if found is None:
        near = did_you_mean(name[:40], [*METHODS, *_ALGORITHMS])
        raise BadInput(f"{given.name}: the quantisation {name[:40] or 'without a name'!r} is not known{near}; remove "
                       "the section and name the precision yourself")  # fmt: skip
    group = given.maybe("group_size", least=-1, most=10**6)
    if found == "w4a16" and group is not None:
        return stored(4, group, zero=4 if given.flag("has_zero_point", default=False) else 0)
    return found


def _listed(given: Config, listed: Config, n_layers: int, method: str, skipped: Modules) -> Scheme:
    """modelopt's mixed precision: every quantised module by name, with its algorithm."""
    by_format: defaultdict[str, list[str]] = defaultdict(list)
    known: dict[tuple[str, Any], str] = {}
    for module, how in listed.raw.items():
        name = how.get("quant_algo") if isinstance(how, Mapping) else None
        if not isinstance(name, str):
            raise listed.bad(module[:60], how, "names no quant_algo; correct the config")
        key = name, str(how.get("group_size"))[:20]
        if key not in known:
            known[key] = _algorithm(Config(how, f"{listed.name}: {module[:60]}"), name.lower())
        by_format[known[key]].append(module)
    groups: tuple[Override, ...] = tuple((name, modules_of(given, of, n_layers)) for name, of in by_format.items())
    if method == "fp8":  # over a default of FP8 the exclusions are from the second format
        return Scheme(default=fp8(given), groups=groups)
    return Scheme(groups=groups, skipped=skipped)
