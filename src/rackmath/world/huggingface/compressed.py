"""Sections of compressed-tensors (llm-compressor, newer ModelOpt): groups of targets with schemes of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from .config import Config
from .methods import LARGEST_GROUP, modules_of
from .modules import Modules
from .scheme import Override, Scheme, sparse_of, stored, unread

_TENSOR = (
    "num_bits",
    "type",
    "strategy",
    "group_size",
    "symmetric",
    "dynamic",
    "actorder",
    "observer",
    "observer_kwargs",
    "block_structure",
    "scale_dtype",
    "zp_dtype",
    "is_mx",
    "args",
)
_CLASSES = {"FusedMoE": "experts", "Embedding": "embed_tokens", "VocabParallelEmbedding": "embed_tokens", "ParallelLMHead": "lm_head"}
"""Classes of layers that targets name, and our name of the part; `Linear` is the default."""

_PRESET = re.compile(r"w(\d)a(16|8|4)(?:_asym)?")


def compressed_tensors(given: Config, n_layers: int, skipped: Modules) -> Scheme:
    """Groups of targets, each with its own scheme; the target `Linear` is the default. Names go before patterns."""
    default, notes = "bf16", list[str]()
    exact, patterns = list[Override](), list[Override]()
    groups = given.section("config_groups")
    for key in groups.raw if groups else ():
        raw = groups.raw[key] if groups else None
        if isinstance(raw, list):  # a scheme by its name, and its targets
            scheme, targets = _preset(given, key), raw
        else:
            group = groups.section(key) if groups else None
            if group is None:
                continue
            notes += unread(group, ("targets", "weights", "input_activations", "output_activations", "format"))
            scheme, targets = _group(group, notes), group.items("targets") or ["Linear"]
        if "Linear" in targets:
            default = scheme
        rest = [_CLASSES.get(t, t) if isinstance(t, str) else t for t in targets if t != "Linear"]
        names = [t for t in rest if not (isinstance(t, str) and t.startswith("re:"))]
        for kept, of in ((exact, names), (patterns, [t for t in rest if t not in names])):
            if of:
                kept.append((scheme, modules_of(given, of, n_layers)))
    whole = Scheme(default=default, groups=(*exact, *patterns), skipped=skipped, everywhere=not exact and not patterns, notes=tuple(notes))
    return _thinned(given, whole, n_layers)


def _group(group: Config, notes: list[str]) -> str:
    weights = group.section("weights")
    if weights is None:
        return "bf16"
    notes += unread(weights, _TENSOR)
    inputs = group.section("input_activations")
    if inputs is None:
        return tensor(weights, act="16")
    return tensor(weights, act=("f" if inputs.text("type") == "float" else "") + str(inputs.count("num_bits", default=8)))


def _preset(given: Config, name: str) -> str:
    key = name.lower()
    known = {
        "unquantized": "bf16",
        "nvfp4": "nvfp4",
        "nvfp4a16": "nvfp4_w4a16",
        "mxfp4": "mxfp4",
        "mxfp4a16": "f4a16_g32_s8",
        "mxfp8": "mxfp8",
        "mxfp8a16": "f8a16_g32_s8",
        "fp8": "fp8",
        "fp8_dynamic": "fp8",
        "fp8_block": "fp8_block",
        "w8a8": "int8",
        "int8": "int8",
        "w8a16": "w8a16_g128",
        "w4afp8": "w4a8",
        "mxfp6a16": "f6a16_g32_s8",
        "mxfp4a8": "f4a8_g32_s8",
    }
    match = _PRESET.fullmatch(key)
    if key in known:
        return known[key]
    if match is None:
        raise given.bad("config_groups", name, "is no scheme known by its name; write out its weights")
    return stored(int(match[1]), 128, act=match[2], zero=int(match[1]) if key.endswith("asym") else 0)


def tensor(weights: Config, *, act: str) -> str:
    """The format of one tensor as compressed-tensors describes it; `act`: what its products take."""
    bits, group = weights.count("num_bits"), weights.maybe("group_size", least=-1, most=LARGEST_GROUP)
    strategy = weights.text("strategy").lower()
    if strategy in ("tensor", "channel", "token"):
        group = None
    block = weights.counts("block_structure") if isinstance(weights.raw.get("block_structure"), list) else None
    floating = weights.text("type", default="int") == "float"
    if not 1 <= bits <= 8 or (floating and bits not in (4, 6, 8)):
        raise weights.bad("num_bits", bits, f"is not a width with a known format ({'4, 6 or 8' if floating else '1 to 8'})")
    if strategy == "block":
        group = block[0] * block[1] if block and len(block) == 2 and 0 < min(block) <= max(block) < 10**5 else 128**2
        return stored(bits, group, scale=32, act="8" if act in ("16", "f8") else act, floating=floating)
    if floating:
        narrow = group in (16, 32) or bits < 8  # scales of 8 bits: NVFP4, and the MX formats
        inner = "8" if bits == 8 and act in ("16", "f8") else act.lstrip("f")
        if bits < 8 and inner == "8":
            inner = "4"
        if group is None and bits == 4:
            group = 16
        if bits == 4 and group == 32:
            inner = "4"  # engines choose what MXFP4 weights are multiplied by
        return stored(bits, group, scale=8 if narrow else 16, act=inner, floating=True)
    zero = 0 if weights.flag("symmetric", default=True) else bits
    return stored(bits, group, zero=zero, act=act if act in ("16", "f8") or bits > 8 else "8")


def _thinned(given: Config, scheme: Scheme, n_layers: int) -> Scheme:
    """The scheme with the weights that sparsity leaves out: 2:4, or a mask of a bit for each weight."""
    section = given.section("sparsity_config")
    marlin = given.text("format").lower() == "marlin-24"
    if section is None and not marlin:
        return scheme
    notes = list(scheme.notes)
    kind = section.text("format").lower() if section else "marlin-24"
    dense = kind in ("", "dense")
    if section is not None:
        notes += unread(
            section,
            ("format", "global_sparsity", "sparsity_structure", "targets", "ignore", "registry_requires_subclass"),
            "its sparsity section",
        )
    if dense:
        return replace(scheme, notes=tuple(notes))
    if kind not in ("sparse-24-bitmask", "sparse-bitmask", "marlin-24", "sparse-24"):
        raise given.bad("sparsity_config", kind, "is not a way of leaving weights out that is known; correct it")
    if kind == "sparse-bitmask":
        kept = 1 - (section.number("global_sparsity", default=0.5) if section else 0.5)
        if not 0 <= kept <= 1 or scheme.default != "bf16":
            raise given.bad("sparsity_config", kind, "is only known over 16-bit weights, with a share from 0 to 1")
        thin: Mapping[str, str] = {"bf16": f"w{16 * kept + 1:.5f}a16_c"} if kept < 15 / 16 else {}
    else:
        every = {f for f in (scheme.default, *(f for f, _ in scheme.groups)) if isinstance(f, str)}
        thin = {name: sparse_of(name) for name in every if name != "bf16" or not given.has("config_groups")}
    whole = modules_of(given, (section.items("ignore") if section else None) or (), n_layers)
    left: tuple[Override, ...] = ((scheme.default, whole),) if whole.inside or whole.anywhere else ()
    groups = tuple((thin.get(f, f) if isinstance(f, str) else f, m) for f, m in scheme.groups)
    default = scheme.default
    return replace(
        scheme,
        default=thin.get(default, default) if isinstance(default, str) else default,
        groups=(*left, *groups),
        notes=tuple(notes),
        everywhere=False,
    )
