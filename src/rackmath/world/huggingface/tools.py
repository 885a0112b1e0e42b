"""Quantisation sections of tools that have keys of their own: one function per tool, registered in `TOOLS`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .config import Config
from .modules import Modules
from .scheme import Override, Scheme, bits_of, unread, weight_only

# --- whole numbers: GPTQ, AWQ, AutoRound, bitsandbytes --------------------------------------------------------------


def _gptq(given: Config, n_layers: int, skipped: Modules) -> Scheme:
    """GPTQ and GPTQModel; `dynamic` maps a pattern to what differs there, "-:" before it to nothing quantised."""
    default = _whole_numbers(given, given)
    out, groups = list[str](), list[Override]()
    dynamic = given.section("dynamic")
    for pattern, changes in dynamic.raw.items() if dynamic else ():
        name = "re:" + pattern.removeprefix("-:").removeprefix("+:")
        if pattern.startswith("-:"):
            out.append(name)
        elif isinstance(changes, Mapping):
            other = _whole_numbers(Config({**given.raw, **changes}, f"{given.name}: dynamic"), given)
            groups.append((other, Modules.of([name], n_layers=n_layers, where=given.name)))
        else:
            raise given.bad("dynamic", changes, "maps a pattern to no mapping; correct the config")
    only = given.items("modules_in_block_to_quantize")
    if only:
        names = [n for one in only for n in (one if isinstance(one, list) else [one])]
        groups.append((default, Modules.of([f"re:.*{n}" for n in names], n_layers=n_layers, where=given.name)))
    skipped.add(out, n_layers=n_layers, where=given.name)
    head = default if given.flag("lm_head", "quant_lm_head", default=False) else ""
    return Scheme(default="bf16" if only else default, skipped=skipped, groups=tuple(groups), head=head)


def _awq(given: Config, n_layers: int, skipped: Modules) -> Scheme:
    return Scheme(default=_whole_numbers(given, given, zero=True), skipped=skipped)


def _auto_round(given: Config, n_layers: int, skipped: Modules) -> Scheme:
    """AutoRound; `extra_config` maps a module to what differs there, 16 bits being not quantised."""
    default = _whole_numbers(given, given)
    by_format: defaultdict[str, list[str]] = defaultdict(list)
    extra = given.section("extra_config")
    for module, changes in extra.raw.items() if extra else ():
        if not isinstance(changes, Mapping):
            raise given.bad("extra_config", changes, "maps a module to no mapping; correct the config")
        by_format[_whole_numbers(Config({**given.raw, **changes}, f"{given.name}: extra_config"), given)].append(
            f"re:{module}" if "*" in module else module
        )
    skipped.add(by_format.pop("bf16", []), n_layers=n_layers, where=given.name)
    head = default if given.flag("lm_head", "quant_lm_head", default=False) else ""
    named = tuple((f, Modules.of(of, n_layers=n_layers, where=given.name)) for f, of in by_format.items())
    return Scheme(default=default, skipped=skipped, groups=named, head=head)


def _whole_numbers(given: Config, outer: Config, *, zero: bool = False) -> str:
    bits = bits_of(given, "bits", "w_bit", default=4)
    if bits == 16:
        return "bf16"
    kind = given.text("data_type", default="int")
    if kind.startswith(("fp", "nv_fp", "mx_fp")):
        return {"nv": "nvfp4", "mx": "mxfp4" if bits == 4 else "mxfp8"}.get(kind[:2], "fp8")
    group = given.maybe("group_size", "q_group_size", least=-1)
    if outer.has("zero_point") or zero:
        asymmetric = outer.flag("zero_point", default=True)
    else:
        asymmetric = not given.flag("sym", default=True)
    return weight_only(bits, 128 if group is None else group, "_z" if asymmetric else "")


def _bitsandbytes(given: Config, n_layers: int, skipped: Modules) -> Scheme:
    if not given.flag("load_in_4bit", "_load_in_4bit", default=False):
        return Scheme(default="int8", skipped=skipped)
    twice = given.flag("bnb_4bit_use_double_quant", default=False)
    return Scheme(default="nf4_double" if twice else "nf4", skipped=skipped)


def fp8(given: Config) -> str:
    """FP8 with a scale per block, or per tensor or channel."""
    return "fp8_block" if given.items("weight_block_size") else "fp8"


# --- other tools ----------------------------------------------------------------------------------------------------


def _quark(given: Config, n_layers: int, skipped: Modules) -> Scheme:
    """AMD Quark: one description for all layers, and others by the layer's name."""
    notes = list[str]()
    whole = given.section("global_quant_config")
    default = _quark_format(whole, notes) if whole else "bf16"
    by_format: defaultdict[str, list[str]] = defaultdict(list)
    layers = given.section("layer_quant_config")
    for pattern in layers.raw if layers else ():
        one = layers.section(pattern) if layers else None
        if one is not None and one.has("weight"):
            by_format[_quark_format(one, notes)].append(pattern)
    named = tuple((f, Modules.of(of, n_layers=n_layers, where=given.name)) for f, of in by_format.items())
    return Scheme(default=default, skipped=skipped, groups=named, everywhere=True, notes=tuple(notes))


def _quark_format(layer: Config, notes: list[str]) -> str:
    notes += unread(layer, ("weight", "input_tensors", "output_tensors", "bias", "target_device"))
    given = layer.raw.get("weight")
    if isinstance(given, list):  # several passes: the last is what is stored
        given = given[-1] if given else None
    if given is None:
        return "bf16"
    if not isinstance(given, Mapping):
        raise layer.bad("weight", given, "is not an object; correct the config")
    weight = Config(given, f"{layer.name}: weight")
    kind, group = weight.text("dtype").lower(), weight.maybe("group_size", least=-1)
    if kind == "fp4":
        return "mxfp4" if group in (None, 32) else "nvfp4"
    if kind.startswith("fp8"):
        return "mxfp8" if group == 32 else "fp8"
    if kind in ("int8", "uint8"):
        return "int8" if layer.has("input_tensors") else "w8a16"
    if kind in ("int4", "uint4", "int3", "int2"):
        if layer.has("input_tensors"):
            return "w4a8"
        symmetric = kind[0] == "i" and weight.flag("symmetric", default=True)
        return weight_only(int(kind[-1]), group, "" if symmetric else "_z")
    if kind in ("bfloat16", "float16"):
        return "bf16"
    raise weight.bad("dtype", kind, "is not a format this tool is known to write; name the precision yourself")


_TORCHAO = {
    "int4weightonly": "int4", "int8weightonly": "w8a16", "int8dynamicactivationint8weight": "int8",
    "int8dynamicactivationint4weight": "w4a8", "float8weightonly": "fp8", "float8staticactivationfloat8weight": "fp8",
    "float8dynamicactivationfloat8weight": "fp8", "float8dynamicactivationint4weight": "w4a8",
}  # fmt: skip


def _torchao(given: Config, n_layers: int, skipped: Modules) -> Scheme:
    """torchao: a type for all linear layers, or a map from module to type with `_default`."""
    kind: Any = given.raw.get("quant_type")
    if isinstance(kind, Mapping):
        kind = kind.get("default")
    if isinstance(kind, Mapping) and isinstance(kind.get("_data"), Mapping):
        by_module = kind["_data"].get("module_fqn_to_config")
        if isinstance(by_module, Mapping):
            by_format: defaultdict[str, list[str]] = defaultdict(list)
            for module, how in by_module.items():
                by_format["bf16" if how is None else _torchao_format(given, how)].append(module)
            default = next((f for f, names in by_format.items() if "_default" in names), "bf16")
            skipped.add(by_format.pop("bf16", []) if default != "bf16" else [], n_layers=n_layers, where=given.name)
            groups = tuple(
                (f, Modules.of([n for n in names if n != "_default"], n_layers=n_layers, where=given.name))
                for f, names in by_format.items()
            )
            return Scheme(default=default, skipped=skipped, groups=groups)
    return Scheme(default=_torchao_format(given, kind), skipped=skipped)


def _torchao_format(given: Config, kind: Any) -> str:
    name, data = (kind.get("_type"), kind.get("_data")) if isinstance(kind, Mapping) else (kind, None)
    found = _TORCHAO.get(str(name).lower().replace("_", "").removesuffix("config"))
    if found is None:
        raise given.bad("quant_type", name, "is not a type with a known format; name the precision yourself")
    if found != "int4":
        return found
    kwargs = given.section("quant_type_kwargs")
    more = Config({**(kwargs.raw if kwargs else {}), **(data if isinstance(data, Mapping) else {})}, given.name)
    return weight_only(4, more.count("group_size", default=128), "_z16")


def _hqq(given: Config, n_layers: int, skipped: Modules) -> Scheme:
    """HQQ: 16-bit scales and zero points; one description, or one for each layer's tag."""
    outer = given.section("quant_config") or given
    if outer.has("weight_quant_params"):
        return Scheme(default=_hqq_format(outer), skipped=skipped)
    by_format: defaultdict[str, list[str]] = defaultdict(list)
    for tag in outer.raw:
        one = outer.section(tag)
        if one is not None and one.has("weight_quant_params"):
            by_format[_hqq_format(one)].append(f"re:.*{tag}")
    if not by_format:
        raise given.bad("quant_config", outer.raw, "has no weight_quant_params; correct the config")
    groups = tuple((f, Modules.of(of, n_layers=n_layers, where=given.name)) for f, of in by_format.items())
    return Scheme(groups=groups, skipped=skipped)


def _hqq_format(outer: Config) -> str:
    one = outer.section("weight_quant_params")
    if one is None:
        return "bf16"
    return weight_only(bits_of(one, "nbits"), one.maybe("group_size", least=-1), "_z16")


def _exllama(given: Config, n_layers: int, skipped: Modules) -> Scheme:
    """ExLlama: the mean of bits over all linear layers, scales in it, and bits of the output head."""
    head = f"w{bits_of(given, 'head_bits'):g}a16_c" if given.has("head_bits") else ""
    return Scheme(default=f"w{bits_of(given, 'bits'):g}a16_c", skipped=skipped, head=head)


def _quanto(given: Config, n_layers: int, skipped: Modules) -> Scheme:
    name = given.text("weights", default="int8")
    found = {"int8": "w8a16", "float8": "fp8", "int4": "w4a16_g128_z16", "int2": "w2a16_g128_z16"}.get(name)
    if found is None:
        raise given.bad("weights", name, "is not a format this tool is known to write; name the precision yourself")
    return Scheme(default=found, skipped=skipped)


def _fixed(default: str, experts: str = "") -> Callable[[Config, int, Modules], Scheme]:
    return lambda given, n_layers, skipped: Scheme(default=default, experts=experts, skipped=skipped)


@dataclass(frozen=True, slots=True)
class _Tool:
    read: Callable[[Config, int, Modules], Scheme]
    keys: tuple[str, ...] = ()  # its own that are read, or change nothing


_GPTQ = _Tool(_gptq, ("dynamic", "modules_in_block_to_quantize", "data_type"))
_ROUND = _Tool(_auto_round, ("extra_config", "data_type"))
_FP8 = _Tool(lambda given, n_layers, skipped: Scheme(default=fp8(given), skipped=skipped))
_BNB = _Tool(
    _bitsandbytes,
    (
        "load_in_4bit", "_load_in_4bit", "load_in_8bit", "_load_in_8bit", "bnb_4bit_use_double_quant",
        "bnb_4bit_quant_type", "bnb_4bit_compute_dtype", "bnb_4bit_quant_storage", "llm_int8_threshold",
        "llm_int8_enable_fp32_cpu_offload", "llm_int8_has_fp16_weight",
    ),
)  # fmt: skip
_EXL = _Tool(_exllama, ("head_bits", "tensor_storage", "codebook", "out_scales"))

TOOLS: dict[str, _Tool] = {
    "fp8": _FP8, "fbgemm-fp8": _FP8, "gptq": _GPTQ, "gptq-marlin": _GPTQ, "gptqmodel": _GPTQ, "awq": _Tool(_awq),
    "awq-marlin": _Tool(_awq), "auto-round": _ROUND, "intel/auto-round": _ROUND, "bitsandbytes": _BNB,
    "quark": _Tool(_quark, ("global_quant_config", "layer_quant_config")),
    "torchao": _Tool(_torchao, ("quant_type", "quant_type_kwargs")), "hqq": _Tool(_hqq, ("quant_config",)),
    "exl2": _EXL, "exl3": _EXL,
    "bitnet": _Tool(_fixed("bitnet")), "w4afp8": _Tool(_fixed("fp8_block", "w4a8")),
    "quanto": _Tool(_quanto, ("weights", "activations")), "eetq": _Tool(_fixed("w8a16"), ("weights",)),
}  # fmt: skip
