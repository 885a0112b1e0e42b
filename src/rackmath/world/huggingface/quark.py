"""Sections of AMD Quark: one description for all layers, others by a layer's name or type."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from .config import Config
from .methods import LARGEST_GROUP, modules_of
from .modules import Modules
from .scheme import Override, Scheme, stored, unread

_LAYER = ("weight", "input_tensors", "output_tensors", "bias", "target_device")
_SCALES = {"float32": 32, "e8m0": 8, "float8_e8m0fnu": 8, "float8_e5m3": 8, "e4m3": 8, "pof2": 8}
_MX = {"mx6": 6.0, "mx9": 9.0, "bfp16": 8 + 8 / 8}
"""Block formats whose scales are in their bits: 16 weights of mx6 and mx9 share theirs, 8 of bfp16 an exponent."""


def read(given: Config, n_layers: int, skipped: Modules, row: Mapping[str, Any]) -> Scheme:
    """The scheme of a section of Quark; legacy exports in the words of AWQ or FP8 are read as those."""
    notes = list[str]()
    whole = given.section("global_quant_config")
    default = _format(whole, notes) if whole else "bf16"
    by_form: defaultdict[str, list[str]] = defaultdict(list)
    layers = given.section("layer_quant_config")
    for pattern in layers.raw if layers else ():
        one = layers.section(pattern) if layers else None
        if one is not None and one.has("weight"):
            by_form[_format(one, notes)].append(pattern)
    types = given.section("layer_type_quant_config")
    for name in types.raw if types else ():
        one = types.section(name) if types else None
        part = {"embedding": "embed_tokens", "linear": ""}.get(name.lower().rpartition(".")[2])
        if one is None or part is None:
            notes.append(f"{name!r:.60} of 'layer_type_quant_config' is not understood and left out: weights may differ")
        elif part:
            by_form[_format(one, notes)].append(part)
        else:
            default = _format(one, notes)
    groups: tuple[Override, ...] = tuple((f, modules_of(given, of, n_layers)) for f, of in by_form.items())
    return Scheme(default=default, skipped=skipped, groups=groups, everywhere=True, notes=tuple(dict.fromkeys(notes)))


def _format(layer: Config, notes: list[str]) -> str:
    notes += unread(layer, _LAYER, "a layer of the quantisation section")
    given = layer.raw.get("weight")
    if isinstance(given, list):  # several passes: the last that is no scale's is what is stored
        kept = [one for one in given if isinstance(one, Mapping) and not one.get("is_scale_quant")]
        given = kept[-1] if kept else given[-1] if given else None
    if given is None:
        return "bf16"
    if not isinstance(given, Mapping):
        raise layer.bad("weight", given, "is not an object; correct the config")
    weight = Config(given, f"{layer.name}: weight")
    kind = weight.text("dtype").lower().removeprefix("dtype.")
    if kind == "mx":
        kind = weight.text("mx_element_dtype", default="fp4").lower().removeprefix("dtype.")
        weight = Config({**given, "group_size": given.get("group_size") or 32, "scale_format": "e8m0"}, weight.name)
    return _weight(weight, kind, _acts(layer))


def _acts(layer: Config) -> str:
    """What products take: 16 bits, or those of the inputs."""
    inputs = layer.raw.get("input_tensors")
    if isinstance(inputs, list):
        inputs = inputs[-1] if inputs else None
    dtype = str(inputs.get("dtype", "")).lower() if isinstance(inputs, Mapping) else ""
    return "f8" if "fp8" in dtype else "8" if "int8" in dtype else "4" if "fp4" in dtype or "fp6" in dtype else "16"


def _weight(weight: Config, kind: str, act: str) -> str:
    group = weight.maybe("group_size", least=-1, most=LARGEST_GROUP)
    scheme = weight.text("qscheme").lower()
    if scheme in ("per_tensor", "per_channel"):
        group = None
    block = weight.counts("block_size", length=2) if scheme == "per_block" else None
    if block:
        group = block[0] * block[1]
    scale = _SCALES.get(weight.text("scale_format").lower() or weight.text("scale_type").lower(), 16)
    if kind == "fp4":
        group = group if group and group > 0 else 32
        return stored(4, group, scale=8, act="4", floating=True)
    if kind.startswith("fp6"):
        return stored(6, group or 32, scale=8, act="4", floating=True)
    if kind.startswith("fp8"):
        return stored(8, group, scale=8 if group == 32 else 32, act="8", floating=True)
    if kind in _MX:
        return f"w{_MX[kind]:g}a8_c"
    if kind.strip("uint").isdigit() and kind.startswith(("int", "uint")):
        bits = int(kind.strip("uint"))
        symmetric = kind[0] == "i" and weight.flag("symmetric", default=True)
        if bits in (2, 3, 4, 8):
            whole = act if act in ("16", "8", "f8") else "16"
            return stored(bits, group, scale=scale, zero=0 if symmetric else bits, act=whole)
    if kind in ("bfloat16", "float16", "int16", "uint16"):
        return "bf16"
    raise weight.bad("dtype", kind, "is not a format this tool is known to write; name the precision yourself")
