"""What a quantisation section says, by the tool that wrote it: formats, and the modules they are said of.

Every tool states the same facts in another way: a default format of linear layers, the modules kept out of it, and
the modules given another one. A key that is neither read nor known to change nothing about bytes is named in a note.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace

from ...errors import BadInput
from .config import Config
from .modules import Modules
from .scheme import Override, Scheme, unread, weight_only
from .tools import TOOLS, fp8

_ALGORITHMS = {
    "fp8": "fp8", "fp8_per_channel_per_token": "fp8", "fp8_pb_wo": "fp8_block", "fp8_block": "fp8_block",
    "fp8_pb_real": "fp8_block", "mxfp8": "mxfp8", "nvfp4": "nvfp4", "nvfp4_awq": "nvfp4", "nvfp4_svdquant": "nvfp4",
    "w4a4_nvfp4": "nvfp4", "w4a16_nvfp4": "nvfp4_w4a16", "mxfp4": "mxfp4", "w4a8_mxfp4_fp8": "mxfp4",
    "w4a16": "w4a16", "w4a16_awq": "w4a16", "int4_awq": "w4a16", "w4a8": "w4a8", "w4a8_awq": "w4a8",
    "w4a8_nvfp4_fp8": "nvfp4", "int8": "int8", "int8_sq": "int8", "w8a8_sq_per_channel": "int8", "w8a16": "w8a16",
    "none": "bf16", "bf16": "bf16", "fp16": "bf16",
}  # fmt: skip
"""Names of algorithms (modelopt's and others') and our format for each."""

_SKIPPED = (
    "modules_to_not_convert", "ignore", "exclude_modules", "ignored_layers", "llm_int8_skip_modules", "exclude",
    "skip_modules",
)  # fmt: skip
"""Keys that list what is kept out."""

_NO_BYTES = frozenset(
    {
        "quant_method", "quant_algo", "producer", "version", "fmt", "format", "activation_scheme", "scale_fmt",
        "quantization_status", "global_compression_ratio", "kv_cache_scheme", "kv_cache_quant_algo", "backend",
        "meta", "weight_block_size", "quantized_layers", "config_groups", "moe_quant_algo", "group_size",
        "has_zero_point", "pre_quant_scale", "smoothquant_val", "activation_scale_ub", "modules_to_not_convert",
        "linear_class_name", "linear_activation_scheme", "moe_activation_scheme", "torch_dtype",
        "is_checkpoint_fp8_serialized", "dequantize", "autoround_version", "packing_format", "iters", "nsamples",
        "seqlen", "lr", "batch_size", "low_gpu_mem_usage", "minmax_lr", "enable_minmax_tuning",
        "enable_quanted_input", "amp", "scale_dtype", "train_bs", "gradient_accumulate_steps", "act_bits",
        "act_group_size", "act_sym", "act_dynamic", "act_data_type", "static_kv_dtype", "static_attention_dtype",
        "model_seqlen", "calibration", "dataset", "damp_percent", "damp_auto_increment", "true_sequential",
        "static_groups", "desc_act", "act_group_aware", "checkpoint_format", "pack_dtype", "model_name_or_path",
        "model_file_base_name", "is_marlin_format", "use_exllama", "exllama_config", "max_input_length",
        "cache_block_outputs", "use_cuda_fp16", "block_name_to_quantize", "module_name_preceding_first_block",
        "pad_token_id", "tokenizer", "do_fuse", "modules_to_fuse", "fuse_max_seq_len", "mse", "offload_to_disk",
        "lm_head", "quant_lm_head", "bits", "sym", "quant_mode", "export", "algo_config", "softmax_quant_spec",
        "kv_cache_quant_config", "kv_cache_post_rope", "min_kv_scale", "pack_method", "custom_mode",
        "online_quantization", "use_rms_norm", "rms_norm_eps", "out_tensors", "scheme", "w_bit", "q_group_size",
        "zero_point",
    }
)  # fmt: skip
"""Keys that are read, or that change nothing about the bytes of weights."""


def read_scheme(given: Config, n_layers: int) -> Scheme:
    """The scheme a quantisation section describes."""
    method, algorithm = given.text("quant_method").lower().replace("_", "-"), given.text("quant_algo").lower()
    skipped = Modules.of(_names(given), n_layers=n_layers, where=given.name)
    known: set[str] = set()
    listed = given.section("quantized_layers")
    if listed is not None:
        base = fp8(given) if method == "fp8" else "bf16"
        # over a default of FP8 the exclusions are from the second format
        scheme = Scheme(
            default=base, groups=_listed(listed, n_layers), skipped=Modules() if method == "fp8" else skipped
        )
    elif algorithm and algorithm != "mixed_precision":
        scheme = Scheme(default=_algorithm(given, algorithm), skipped=skipped)
    elif given.has("config_groups"):
        scheme = _compressed_tensors(given, n_layers, skipped)
    elif method in TOOLS:
        tool = TOOLS[method]
        scheme, known = tool.read(given, n_layers, skipped), set(tool.keys)
    else:
        scheme = Scheme(default=_algorithm(given, method), skipped=skipped)
    return replace(scheme, notes=(*scheme.notes, *unread(given, _NO_BYTES | set(_SKIPPED) | known)))


def cache_format(given: Config) -> str | None:
    """The format of the cache, where one is named."""
    scheme = given.raw.get("kv_cache_scheme")
    if isinstance(scheme, Mapping):
        return _tensor(Config(scheme, f"{given.name}: kv_cache_scheme"), weights_only=False)
    name = given.text("kv_cache_quant_algo", "kv_cache_scheme").lower()
    if name in ("static", "dynamic"):  # how its scales are made: AutoFP8, whose caches are FP8
        return "fp8"
    return _algorithm(given, name) if name else None


def _names(given: Config) -> Iterator[object]:
    for key in _SKIPPED:
        yield from given.items(key) or ()


def _algorithm(given: Config, name: str) -> str:
    found = _ALGORITHMS.get(name.replace("-", "_"))
    if found is None:
        raise BadInput(f"{given.name}: the quantisation {name[:40] or 'without a name'!r} is not known; remove the "
                       "section and name the precision yourself")  # fmt: skip
    return found


# --- FP8, modelopt, compressed-tensors ------------------------------------------------------------------------------


def _listed(listed: Config, n_layers: int) -> tuple[Override, ...]:
    """modelopt's mixed precision: every quantised module by name, with its algorithm."""
    by_format: defaultdict[str, list[str]] = defaultdict(list)
    known: dict[str, str] = {}
    for module, how in listed.raw.items():
        name = how.get("quant_algo") if isinstance(how, Mapping) else None
        if not isinstance(name, str):
            raise listed.bad(module[:60], how, "names no quant_algo; correct the config")
        if name not in known:
            known[name] = _algorithm(listed, name.lower())
        by_format[known[name]].append(module)
    return tuple((name, Modules.of(of, n_layers=n_layers, where=listed.name)) for name, of in by_format.items())


def _compressed_tensors(given: Config, n_layers: int, skipped: Modules) -> Scheme:
    """Groups of targets, each with its own scheme; the target `Linear` is the default."""
    default, named, notes = "bf16", list[Override](), list[str]()
    groups = given.section("config_groups")
    for key in groups.raw if groups else ():
        group = groups.section(key) if groups else None
        weights = group.section("weights") if group else None
        if group is None or weights is None:
            continue
        notes += unread(group, ("targets", "weights", "input_activations", "output_activations", "format"))
        notes += unread(weights, _TENSOR)
        scheme = _tensor(weights, weights_only=not group.has("input_activations"))
        targets = group.items("targets") or ["Linear"]
        if "Linear" in targets:
            default = scheme
        else:
            named.append((scheme, Modules.of(targets, n_layers=n_layers, where=given.name)))
    return Scheme(default=default, groups=tuple(named), skipped=skipped, everywhere=not named, notes=tuple(notes))


_TENSOR = (
    "num_bits", "type", "strategy", "group_size", "symmetric", "dynamic", "actorder", "observer", "observer_kwargs",
    "block_structure", "scale_dtype", "zp_dtype", "is_mx", "args",
)  # fmt: skip


def _tensor(weights: Config, *, weights_only: bool) -> str:
    """The format of one tensor as compressed-tensors describes it."""
    bits, group = weights.count("num_bits"), weights.maybe("group_size", least=-1)
    if weights.text("type", default="int") != "float":
        if not 1 <= bits <= 8:
            raise weights.bad("num_bits", bits, "is not a width with a known format (1 to 8)")
        if weights_only:
            return weight_only(bits, group, "" if weights.flag("symmetric", default=True) else "_z")
        return "int8" if bits > 4 else "w4a8"
    if bits == 8:
        if weights.text("strategy") == "block":
            return "fp8_block"
        return "mxfp8" if group == 32 else "fp8"
    if bits == 4:
        if group == 32:
            return "mxfp4"
        return "nvfp4_w4a16" if weights_only else "nvfp4"
    raise weights.bad("num_bits", bits, "is not a width with a known format (4 or 8)")
