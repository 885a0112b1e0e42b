"""Sections of torchao: the name of a config class for all linear layers, or a map from module to class."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from .config import Config
from .methods import FACTS, modules_of
from .modules import Modules
from .scheme import Override, Scheme, sparse_of, stored

FIXED: dict[str, str] = FACTS["torchao"]["fixed"]
GROUPED: dict[str, dict[str, Any]] = FACTS["torchao"]["grouped"]


def read(given: Config, n_layers: int, skipped: Modules, row: Mapping[str, Any]) -> Scheme:
    """torchao: a type for all linear layers, or a map from module to type with `_default`."""
    kind: Any = given.raw.get("quant_type")
    if isinstance(kind, Mapping) and "default" in kind:
        kind = kind["default"]
    kwargs = given.section("quant_type_kwargs")
    more = kwargs.raw if kwargs else {}
    by_module = _by_module(kind)
    if by_module is None:
        default = _form(given, kind, more)
        tables = given.flag("include_input_output_embeddings", default=False)
        return Scheme(default=default, skipped=skipped, head=default if tables else "", embedding=default if tables else "")
    by_form: defaultdict[str, list[str]] = defaultdict(list)
    default = "bf16"
    for module, how in by_module.items():
        found = "bf16" if how is None else _form(given, how, more)
        if module == "_default":
            default = found
        else:
            by_form[found].append(module)
    # names go before patterns, the first pattern before the next
    overrides = [(f, [n for n in names if not n.startswith("re:")]) for f, names in by_form.items()]
    overrides += [(f, [n for n in names if n.startswith("re:")]) for f, names in by_form.items()]
    groups: tuple[Override, ...] = tuple((f, modules_of(given, of, n_layers)) for f, of in overrides if of)
    return Scheme(default=default, skipped=skipped, groups=groups)


def _by_module(kind: Any) -> Mapping[str, Any] | None:
    data = kind.get("_data") if isinstance(kind, Mapping) else None
    if not isinstance(data, Mapping):
        return None
    found = data.get("fqn_to_config") or data.get("module_fqn_to_config")
    return found if isinstance(found, Mapping) else None


def _form(given: Config, kind: Any, more: Mapping[str, Any]) -> str:
    name, data = (kind.get("_type"), kind.get("_data")) if isinstance(kind, Mapping) else (kind, None)
    values = Config({**more, **(data if isinstance(data, Mapping) else {})}, f"{given.name}: quant_type")
    key = str(name).lower().replace("_", "").removesuffix("config")
    inner = values.raw.get("base_config")
    if inner is not None and key in ("awq", "smoothquant", "gptq", "qat"):
        return _form(given, inner, more)
    if key == "mxdynamicactivationmxweight" or key == "mxfpinference":
        return _mx(values)
    if key == "fpxweightonly":
        bits = 1 + values.count("ebits", default=3, most=8) + values.count("mbits", default=2, least=0, most=8)
        return f"f{bits}a16_c"
    if key in GROUPED:
        return _grouped(values, key)
    if key.startswith("float8") and _word(values.raw.get("granularity")).startswith("PerBlock"):
        return "fp8_block"
    if key == "int8dynamicactivationint8weight" and "layout" in values.raw and "SemiSparse" in str(values.raw["layout"]):
        return sparse_of("int8")
    found = FIXED.get(key)
    if not found:
        raise given.bad("quant_type", name, "is not a type with a known format; name the precision yourself")
    return found


def _grouped(values: Config, key: str) -> str:
    row = GROUPED[key]
    bits = _bits(values, row["bits"]) if isinstance(row["bits"], str) else float(row["bits"])
    group, zero = _group(values, row["group"]), row["zero"]
    mapping = _word(values.raw.get("weight_mapping_type", values.raw.get("mapping_type"))).upper()
    if "ASYMMETRIC" in mapping:
        zero = 8
    sparse = "MARLIN_SPARSE" in str(values.raw.get("layout", "")).upper().replace("MARLINSPARSE", "MARLIN_SPARSE")
    return stored(bits, group, zero=zero, act=row["act"], sparse=sparse)


def _bits(values: Config, key: str) -> float:
    """A number of bits, or the name of a type of so many."""
    if values.has("bit_width"):
        return values.count("bit_width", most=8)
    word = _word(values.raw.get(key, values.raw.get("dtype", "int8" if key != "uintx" else "uint4")))
    match = re.search(r"(\d)$", word)
    if match is None or not 1 <= int(match[1]) <= 8:
        raise values.bad(key, word, "is not a type of 1 to 8 bits")
    return float(match[1])


def _group(values: Config, default: int | None) -> int | None:
    found = values.maybe("group_size", least=-1, most=10**6)
    if found is not None:
        return found
    for key in ("granularity", "weight_granularity"):
        how = values.raw.get(key)
        data = how.get("_data") if isinstance(how, Mapping) else None
        if isinstance(data, Mapping) and "group_size" in data:
            return Config(data, f"{values.name}: {key}").count("group_size", most=10**6)
        if _word(how).startswith(("PerAxis", "PerRow", "PerTensor", "PerToken")):
            return None
    return default


def _mx(values: Config) -> str:
    group = values.count("block_size", default=32, most=10**6)
    narrow = "float4" in _word(values.raw.get("weight_dtype", values.raw.get("elem_dtype"))).lower()
    return stored(4 if narrow else 8, group, scale=8, act="4" if narrow else "8", floating=True)


def _word(value: Any) -> str:
    """The name in what torchao writes for a type or an enumeration: text, or {"_type": ..., "_data": ...}."""
    if isinstance(value, Mapping):
        data = value.get("_data")
        return data if isinstance(data, str) else str(value.get("_type", ""))
    return value if isinstance(value, str) else ""
