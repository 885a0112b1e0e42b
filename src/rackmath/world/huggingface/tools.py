"""Quantisation sections of tools that have keys of their own: one function per tool, by the name in `reads`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from . import quark, torchao, vectors
from .config import Config
from .methods import BITS, form, fp8, group_of, modules_of
from .modules import MOST_PATTERNS, Modules, on_every_layer
from .scheme import Form, Override, Scheme, bits_of, stored, unread

Row = Mapping[str, Any]
Reader = Callable[[Config, int, Modules, Row], Scheme]


def plain(given: Config, n_layers: int, skipped: Modules, row: Row) -> Scheme:
    """A method whose row says all."""
    found = form(row, given)
    if row.get("experts") == "only":
        return Scheme(experts=found, skipped=skipped)
    return Scheme(default=found, experts=row.get("experts", ""), skipped=skipped)


def by_module(
    given: Config, key: str, n_layers: int, read: Callable[[Config], Form], *, search: bool = False
) -> tuple[tuple[Override, ...], list[str]]:
    """Overrides of a mapping from a module (or pattern) to what differs there, and the modules kept in 16 bits."""
    section = given.section(key)
    by_form: defaultdict[Form, list[str]] = defaultdict(list)
    for module, changes in section.raw.items() if section else ():
        if not isinstance(changes, Mapping):
            raise given.bad(key, changes, "maps a module to no mapping; correct the config")
        by_form[read(Config(changes, f"{given.name}: {key}"))].append(module)
    out = by_form.pop("bf16", [])
    return tuple((f, modules_of(given, of, n_layers, search=search)) for f, of in by_form.items()), out


# --- whole numbers --------------------------------------------------------------------------------------------------


def _gptq(given: Config, n_layers: int, skipped: Modules, row: Row) -> Scheme:
    """GPTQ and GPTQModel; `dynamic` maps a pattern to what differs there, "-:" before it to nothing quantised."""
    if given.text("checkpoint_format", "format").lower() in ("marlin_24", "gptq_marlin_24"):
        row = {**row, "sparse": True}
    default = form(row, given)
    out, groups, notes = list[str](), list[Override](), list[str]()
    dynamic = given.section("dynamic")
    if dynamic and (len(dynamic.raw) > 2000 or sum(on_every_layer(f"re:{p}") for p in dynamic.raw) > MOST_PATTERNS):
        raise given.bad("dynamic", dynamic.raw, "has too many patterns to be those of a model")
    for pattern, changes in dynamic.raw.items() if dynamic else ():
        name = "re:" + pattern.removeprefix("-:").removeprefix("+:")
        if pattern.startswith("-:"):
            out.append(name)
        elif isinstance(changes, Mapping):
            one = Config({**given.raw, **changes}, f"{given.name}: dynamic")
            notes += unread(Config(changes, ""), (*BITS, *_CHANGES), "a pattern in 'dynamic'")
            groups.append((form(row, one), modules_of(given, [name], n_layers)))
        else:
            raise given.bad("dynamic", changes, "maps a pattern to no mapping; correct the config")
    only = given.items("modules_in_block_to_quantize")
    if only:
        names = [n for one in only for n in (one if isinstance(one, list) else [one])]
        groups.append((default, modules_of(given, names, n_layers)))
    skipped.add(out, n_layers=n_layers, where=given.name)
    included = given.items("module_include")
    if included:
        groups.append((default, modules_of(given, [f"re:{n}" for n in included], n_layers)))
    return Scheme(
        default="bf16" if only or included else default,
        skipped=skipped,
        groups=tuple(groups),
        head=_head(given, default),
        notes=tuple(notes),
    )


_CHANGES = (
    "group_size",
    "sym",
    "desc_act",
    "mse",
    "pack_dtype",
    "format",
    "checkpoint_format",
    "zero_point",
    "lm_head",
    "damp_percent",
    "static_groups",
    "act_group_aware",
)


def _head(given: Config, default: Form) -> str:
    quantised = any(given.raw.get(key) is True for key in ("lm_head", "quant_lm_head"))
    return default if quantised and isinstance(default, str) else ""


def _auto_round(given: Config, n_layers: int, skipped: Modules, row: Row) -> Scheme:
    """AutoRound; `extra_config` maps a module or a pattern to what differs there, 16 bits being not quantised."""
    whole = {k: v for k, v in given.raw.items() if k not in ("extra_config", "layer_config")}

    def read(changes: Config) -> Form:
        return _rounded(row, Config({**whole, **changes.raw}, changes.name))

    groups, out, notes = list[Override](), list[str](), list[str]()
    for key in ("extra_config", "layer_config"):
        found, kept = by_module(_spelled(given, key), key, n_layers, read, search=True)
        groups += found
        out += kept
    default = read(Config({}, given.name))
    skipped.search = True
    skipped.add(out, n_layers=n_layers, where=given.name)
    blocks = given.raw.get("block_name_to_quantize")
    if isinstance(blocks, str | list) and blocks and "layers" not in str(blocks) and "h" not in str(blocks).split("."):
        notes.append("only the blocks of 'block_name_to_quantize' are quantised, which are none of the text model's")
        default = "bf16"
    return Scheme(default=default, skipped=skipped, groups=tuple(groups), head=_head(given, default), notes=tuple(notes))


def _spelled(given: Config, key: str) -> Config:
    """Names with signs of a pattern in them are patterns, found anywhere in a name."""
    raw = given.raw.get(key)
    if not isinstance(raw, Mapping):
        return given
    return Config({key: {f"re:{k}" if any(c in k for c in "*+\\[(|^$") else k: v for k, v in raw.items()}}, given.name)


def _rounded(row: Row, given: Config) -> Form:
    """AutoRound's data types: whole numbers, or a floating-point format by its name."""
    kind = given.text("data_type", default="int").lower()
    bits = bits_of(given, *BITS, default=4)
    if bits == 16:
        return "bf16"
    if kind.startswith("nv"):
        return "nvfp4"
    if kind.startswith("mx"):
        return stored(bits, 32, scale=8, act="8" if bits == 8 else "4", floating=not kind.startswith("mx_int"))
    if kind.startswith(("fp", "float")):
        return "fp8_block" if isinstance(given.raw.get("group_size"), list) else "fp8"
    if not kind.startswith("int"):
        raise given.bad("data_type", kind, "is not a type with a known format; name the precision yourself")
    act = given.raw.get("act_bits")
    return form({**row, "act": "8" if act == 8 and bits <= 8 and given.raw.get("act_data_type") != "fp" else "16"}, given)


def _bitsandbytes(given: Config, n_layers: int, skipped: Modules, row: Row) -> Scheme:
    eight = given.flag("load_in_8bit", "_load_in_8bit", default=False)
    four = given.flag("load_in_4bit", "_load_in_4bit", default=not eight)
    if eight and not four:
        return Scheme(default="int8", skipped=skipped)
    twice = given.flag("bnb_4bit_use_double_quant", default=False)
    block = given.maybe("bnb_4bit_blocksize", least=32, most=4096) or 64
    if block != 64:
        bits = 4 + (8 + 32 / 256 if twice else 32) / block
        return Scheme(default=f"w{bits:.6g}a16_c", skipped=skipped)
    return Scheme(default="nf4_double" if twice else "nf4", skipped=skipped)


def _hqq(given: Config, n_layers: int, skipped: Modules, row: Row) -> Scheme:
    """HQQ: 16-bit scales and zero points, or quantised ones; one description, or one for each layer's tag."""
    outer = given.section("quant_config", "dynamic_config") or given
    if outer.has("weight_quant_params") or any(outer.has(key) for key in BITS):
        return Scheme(default=_hqq_format(outer), skipped=skipped)
    by_form: defaultdict[str, list[str]] = defaultdict(list)
    for tag in outer.raw:
        one = outer.section(tag) if isinstance(outer.raw[tag], Mapping) else None
        if one is not None and (one.has("weight_quant_params") or one.has("nbits")):
            by_form[_hqq_format(one)].append(tag)
    if not by_form:
        raise given.bad("quant_config", outer.raw, "has no weight_quant_params; correct the config")
    groups: tuple[Override, ...] = tuple((f, modules_of(given, of, n_layers)) for f, of in by_form.items())
    return Scheme(groups=groups, skipped=skipped)


def _hqq_format(outer: Config) -> str:
    one = outer.section("weight_quant_params") or outer
    bits, group = bits_of(one, *BITS), group_of(one)
    extra = list[float]()
    for key, flag in (("scale_quant_params", "quant_scale"), ("zero_quant_params", "quant_zero")):
        again = outer.section(key)
        if again is not None and not outer.has("nbits"):
            inner = again.maybe("group_size", least=-1, most=10**6)
            extra.append(bits_of(again, "nbits", default=8) + (32 / inner if inner and inner > 0 else 0))
        else:
            extra.append(8.0 if outer.has(flag) and outer.flag(flag, default=False) else 16.0)
    if not group or group < 1 or extra == [16.0, 16.0]:
        return stored(bits, group, zero=16)
    return f"w{bits + sum(extra) / group:.6g}a16_c"


def _mlx(given: Config, n_layers: int, skipped: Modules, row: Row) -> Scheme:
    """MLX: one description for linear layers, embeddings and head, and by module what differs, False for 16 bits."""
    default = _mlx_format(row, given)
    out, by_form = list[str](), defaultdict[str, list[str]](list)
    for key, value in given.raw.items():
        if "." not in key and key not in ("lm_head", "embed_tokens"):
            continue
        if value is False:
            out.append(key)
        elif isinstance(value, Mapping):
            changed = {**{k: given.raw[k] for k in ("bits", "group_size", "mode") if k in given.raw}, **value}
            by_form[_mlx_format(row, Config(changed, f"{given.name}: {key[:60]}"))].append(key)
    skipped.add(out, n_layers=n_layers, where=given.name)
    groups: tuple[Override, ...] = tuple((f, modules_of(given, of, n_layers)) for f, of in by_form.items())
    return Scheme(default=default, skipped=skipped, groups=groups, head=default, embedding=default)


def _mlx_format(row: Row, given: Config) -> str:
    mode = given.text("mode", default="affine").lower()
    if mode in ("mxfp4", "mxfp8", "nvfp4"):
        return mode
    if mode != "affine":
        raise given.bad("mode", mode, "is not a way of MLX that is known; name the precision yourself")
    return str(form(row, given))


def _gemma(given: Config, n_layers: int, skipped: Modules, row: Row) -> Scheme:
    groups, _ = by_module(
        _searched(given, "module_quant_configs"),
        "module_quant_configs",
        n_layers,
        lambda one: stored(bits_of(one, "num_bits", default=given.number("num_bits", default=4)), None),
        search=True,
    )
    default = str(form(row, given))
    tables = given.flag("quantize_embeddings", default=False)
    return Scheme(default=default, skipped=skipped, groups=groups, embedding=default if tables else "")


def _searched(given: Config, key: str) -> Config:
    raw = given.raw.get(key)
    return Config({key: {f"re:{k}": v for k, v in raw.items()}} if isinstance(raw, Mapping) else {}, given.name)


def _quanto(given: Config, n_layers: int, skipped: Modules, row: Row) -> Scheme:
    name = given.text("weights", default="int8").lower().removeprefix("q")
    act = "8" if given.has("activations") else "16"
    if name in ("int8", "float8", "float8_e4m3fn"):
        return Scheme(default="fp8" if name != "int8" else stored(8, None, act=act), skipped=skipped)
    if name not in ("int4", "int2"):
        raise given.bad("weights", name, "is not a format this tool is known to write; name the precision yourself")
    return Scheme(default=stored(int(name[-1]), 128, zero=16, act=act), skipped=skipped)


def _bitnet(given: Config, n_layers: int, skipped: Modules, row: Row) -> Scheme:
    """Packed before it runs, or 16-bit weights rounded at every pass."""
    if given.text("quantization_mode").lower() == "online":
        return Scheme(notes=("BitNet's weights are kept in 16 bits and rounded at every pass (online)",))
    return Scheme(default="bitnet", skipped=skipped)


def _exllama(given: Config, n_layers: int, skipped: Modules, row: Row) -> Scheme:
    """ExLlama: the mean of bits over all linear layers, scales in it, and bits of the output head."""
    head = f"w{bits_of(given, 'head_bits'):.7g}a16_c" if given.has("head_bits") else ""
    head = "" if head == "w16a16_c" else head
    return Scheme(default=f"w{bits_of(given, 'bits'):.7g}a16_c", skipped=skipped, head=head)


# --- floating point -------------------------------------------------------------------------------------------------


def _fp8(given: Config, n_layers: int, skipped: Modules, row: Row) -> Scheme:
    default = fp8(given)
    experts = "mxfp4" if given.text("expert_dtype").lower() == "fp4" else row.get("experts", "")
    converted = given.items("modules_to_convert")
    groups: tuple[Override, ...] = ((default, modules_of(given, converted, n_layers)),) if converted else ()
    return Scheme(default=default, experts=experts, skipped=skipped, groups=groups)


def _four_over_six(given: Config, n_layers: int, skipped: Modules, row: Row) -> Scheme:
    def read(one: Config) -> Form:
        name = one.text("weight_dtype", "dtype", default="nvfp4").lower()
        if name not in ("nvfp4", "mxfp4"):
            raise one.bad("dtype", name, "is not nvfp4 or mxfp4; correct the config")
        return "bf16" if one.flag("keep_master_weights", default=False) else name  # else made anew at every pass

    base = {k: v for k, v in given.raw.items() if k != "module_config_overrides"}
    groups, _ = by_module(given, "module_config_overrides", n_layers, lambda one: read(Config({**base, **one.raw}, one.name)))
    return Scheme(default=read(given), skipped=skipped, groups=groups)


def _fp_quant(given: Config, n_layers: int, skipped: Modules, row: Row) -> Scheme:
    name = given.text("forward_dtype", default="nvfp4").lower()
    if name not in ("nvfp4", "mxfp4"):
        raise given.bad("forward_dtype", name, "is not nvfp4 or mxfp4; correct the config")
    if given.flag("pseudoquantization", default=False) or given.flag("store_master_weights", default=False):
        return Scheme(notes=("FP-Quant keeps 16-bit weights here (pseudoquantization or store_master_weights)",))
    return Scheme(default=name, skipped=skipped)


READERS: dict[str, Reader] = {
    "gptq": _gptq,
    "auto_round": _auto_round,
    "bitsandbytes": _bitsandbytes,
    "hqq": _hqq,
    "mlx": _mlx,
    "gemma": _gemma,
    "quanto": _quanto,
    "bitnet": _bitnet,
    "exllama": _exllama,
    "fp8": _fp8,
    "four_over_six": _four_over_six,
    "fp_quant": _fp_quant,
    "torchao": torchao.read,
    "quark": quark.read,
    "aqlm": vectors.aqlm,
    "vptq": vectors.vptq,
    "spqr": vectors.spqr,
    "quip": vectors.quip,
}
