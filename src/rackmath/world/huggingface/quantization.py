"""Number formats from `quantization_config` and hf_quant_config.json.

Every maker writes the same three facts in another way: a default format, the modules kept out of it, and the modules
given another one. They become shares of each component's parameters, and a component takes the format that most of
its parameters have; a note says so where some have another.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...errors import BadInput, shown
from ..description import build
from ..model import LayerGroup, Matrix
from .config import Config
from .modules import Modules

_ALGORITHMS = {
    "fp8": "fp8", "fp8_per_channel_per_token": "fp8", "fp8_pb_wo": "fp8_block", "fp8_block": "fp8_block",
    "fp8_pb_real": "fp8_block", "mxfp8": "mxfp8", "nvfp4": "nvfp4", "nvfp4_awq": "nvfp4", "nvfp4_svdquant": "nvfp4",
    "w4a4_nvfp4": "nvfp4", "w4a16_nvfp4": "nvfp4_w4a16", "mxfp4": "mxfp4", "w4a8_mxfp4_fp8": "mxfp4",
    "w4a16": "w4a16", "w4a16_awq": "w4a16", "int4_awq": "w4a16", "w4a8": "w4a8", "w4a8_awq": "w4a8",
    "w4a8_nvfp4_fp8": "nvfp4", "int8": "int8", "int8_sq": "int8", "w8a8_sq_per_channel": "int8", "w8a16": "int8",
    "none": "bf16", "bf16": "bf16", "fp16": "bf16",
}  # fmt: skip
"""Names of algorithms (modelopt's and others') and our format for each."""

_LEAVES = {
    "q": ("q_proj", "wq"), "k": ("k_proj", "wk"), "v": ("v_proj", "wv"), "o": ("o_proj", "wo", "out_proj"),
    "q_a": ("q_a_proj", "wq_a"), "q_b": ("q_b_proj", "wq_b"), "kv_a": ("kv_a_proj_with_mqa", "wkv_a"),
    "kv_b": ("kv_b_proj", "wkv_b"), "kv": ("kv_proj", "wkv"), "o_a": ("o_a_proj", "wo_a"),
    "o_b": ("o_b_proj", "wo_b"), "qkv": ("in_proj_qkv", "in_proj_qkvz", "qkv_proj", "q_proj"),
    "gate": ("in_proj_z", "output_gate", "g_proj"), "in": ("in_proj",), "x": ("x_proj",), "dt": ("dt_proj",),
    "index_q": ("indexer.wq_b", "index_q_proj"), "index_k": ("indexer.wk", "index_k_proj"),
    "index_weights": ("indexer.weights_proj",), "up": ("up_proj", "gate_proj", "gate_up_proj", "w1", "w3"),
    "down": ("down_proj", "w2"), "shared_gate": ("shared_expert_gate",), "latent_down": ("fc1_latent_proj",),
    "latent_up": ("fc2_latent_proj",),
}  # fmt: skip
"""How the makers spell our matrices."""

_ATTENTION = ("self_attn", "attn", "mixer")
_RECURRENT = ("linear_attn", "mamba", "mixer", "self_attn")
_MLP = ("mlp", "block_sparse_moe", "feed_forward", "ffn", "mixer", "moe")
_EXPERTS = tuple(f"{module}.experts" for module in _MLP)
_SHARED = (*(f"{module}.{s}" for module in _MLP for s in ("shared_experts", "shared_expert")), "share_expert")
_QUANTISED = ("attention", "mlp", "experts", "shared_experts")


Spellings = tuple[str, ...]


def read_precision(
    outer: Config, text: Config, description: Mapping[str, Any], quant: Mapping[str, Any] | None
) -> tuple[dict[str, Any], list[str]]:
    """The `precision` of our description, and notes on what it simplifies. BF16 where nothing is quantised."""
    given = _merged(outer, text, quant)
    if given is None:
        return _unquantised(outer, text)
    model = build({**description, "precision": {}})
    n_layers = int(max(1, model.n_layers))
    default, groups = _formats(given, n_layers)
    skipped = Modules.of(_names(given), n_layers=n_layers, where=given.name)
    experts = default
    if text.text("expert_dtype") == "fp4" and default in ("fp8", "fp8_block"):
        experts = "mxfp4"
    if given.has("quant_method") and given.has("quantized_layers") and given.text("quant_method") == "fp8":
        skipped = Modules()  # the exclusions are from the second format, over a default of FP8
    precision: dict[str, Any] = {}
    notes: list[str] = []
    shares: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    for component, probes, parameters, count in _parts(
        model.groups, gemma4=model.family.lower().startswith("gemma4")
    ):
        rest = parameters
        without = n_layers - count if component == "experts" else 0
        out = skipped.share(probes, layers=count, without=without) * rest
        shares[component]["bf16"] += out
        rest -= out
        for name, modules in groups:
            some = min(rest, modules.share(probes, layers=count) * parameters)
            shares[component][name] += some
            rest -= some
        shares[component][experts if component == "experts" else default] += rest
    for component in _QUANTISED:
        total = sum(shares[component].values())
        if total:
            best = max(shares[component], key=lambda name: shares[component][name])
            if best != "bf16":
                precision[component] = best
            if shares[component][best] < 0.99 * total:
                mix = ", ".join(f"{v / total:.0%} {k}" for k, v in shares[component].items() if v > 0.005 * total)
                notes.append(f"{component.replace('_', ' ')} weights are of several formats ({mix}); taken as {best}")
    head = next((name for name, modules in groups if modules.names("lm_head", "head")), None)
    linear = given.text("quant_method") == "compressed-tensors" and not groups
    if head is None and linear and not skipped.names("lm_head", "head"):
        head = default
    if head and head != "bf16":
        precision["head"] = head
    kv = _cache(given)
    if kv:
        precision["kv"] = kv
    unread = skipped.unread.union(*(m.unread for _, m in groups))
    notes += [f"the pattern {shown(pattern)} of the quantisation config is not understood and left out"
              for pattern in sorted(unread)[:3]]  # fmt: skip
    return precision, notes


_DTYPES = {
    "bfloat16": "", "float16": "", "half": "", "float32": "", "float": "", "float64": "", "double": "", "auto": "",
    "float8_e4m3fn": "fp8", "float8_e4m3fnuz": "fp8", "float8_e5m2": "fp8", "float8_e5m2fnuz": "fp8",
}  # fmt: skip
"""Types PyTorch has for weights; those of 32 and 64 bits are only how a checkpoint is stored: served in 16."""

_NAMED = re.compile(r"nvfp4|mxfp4|mxfp8|fp8|fp4|int8|int4|w4a16|w8a8|awq|gptq", re.IGNORECASE)


def _unquantised(outer: Config, text: Config) -> tuple[dict[str, Any], list[str]]:
    """Formats of a config without a quantisation section: those of its `torch_dtype`, else BF16.

    A note says so where the model's own name promises a narrower format.
    """
    for config in (text, outer):
        key, dtype = config.find("dtype", "torch_dtype")
        if dtype is None:
            continue
        word = str(dtype).removeprefix("torch.")
        if word not in _DTYPES:
            raise config.bad(key, dtype, "is no number format of weights; correct it, or take it out for BF16")
        if _DTYPES[word]:
            return dict.fromkeys(_QUANTISED, _DTYPES[word]), []
    said = _NAMED.search(outer.name.rpartition("/")[2])
    if said is None:
        return {}, []
    return {}, [f"the name says {said[0].upper()} and the config has no quantisation section: weights are taken as"
                " BF16; --precision sets another format"]  # fmt: skip


def _merged(outer: Config, text: Config, quant: Mapping[str, Any] | None) -> Config | None:
    """The config's own `quantization_config`, completed by the separate file."""
    own = outer.section("quantization_config", "compression_config") or text.section(
        "quantization_config", "compression_config"
    )
    beside: Mapping[str, Any] = {}
    if quant is not None:
        section = Config(quant, f"{outer.name}: hf_quant_config").section("quantization")
        beside = section.raw if section else {}
    mine = {k: v for k, v in own.raw.items() if v is not None} if own else {}
    return Config({**beside, **mine}, f"{outer.name}: quantization_config") if beside or mine else None


def _names(given: Config) -> Iterator[object]:
    for key in ("modules_to_not_convert", "ignore", "exclude_modules", "ignored_layers", "llm_int8_skip_modules"):
        yield from given.items(key) or ()


def _formats(given: Config, n_layers: int) -> tuple[str, list[tuple[str, Modules]]]:
    """The default format of linear layers, and the modules given another one."""
    method, algorithm = given.text("quant_method").lower(), given.text("quant_algo").lower()
    listed = given.section("quantized_layers")
    if listed is not None:
        base = "bf16"
        if method == "fp8":
            base = "fp8_block" if given.items("weight_block_size") else "fp8"
        return base, _listed(listed, n_layers)
    if algorithm and algorithm != "mixed_precision":
        return _algorithm(given, algorithm), []
    groups = given.section("config_groups")
    if groups is not None:
        return _targets(groups, n_layers)
    if method in ("fp8", "fbgemm_fp8"):
        return ("fp8_block" if given.items("weight_block_size") else "fp8"), []
    if method in ("gptq", "awq", "auto-round", "bitsandbytes"):
        return _integers(given, method), []
    return _algorithm(given, method), []


def _algorithm(given: Config, name: str) -> str:
    found = _ALGORITHMS.get(name.replace("-", "_"))
    if found is None:
        raise BadInput(f"{given.name}: the quantisation {name[:40] or 'without a name'!r} is not known; remove the "
                       "section and name the precision yourself")  # fmt: skip
    return found


def _integers(given: Config, method: str) -> str:
    if method == "bitsandbytes":
        return "w4a16" if given.flag("load_in_4bit", "_load_in_4bit", default=False) else "int8"
    bits = given.count("bits", "w_bit", default=4)
    group = given.maybe("group_size", "q_group_size", least=-1)
    return _whole_numbers(given, bits, group, weights_only=True)


def _whole_numbers(given: Config, bits: int, group: int | None, *, weights_only: bool) -> str:
    if bits == 8:
        return "int8"
    if bits != 4:
        raise given.bad("bits", bits, "is not a width with a known format (4 or 8)")
    if not weights_only:
        return "w4a8"
    return "w4a16_g32" if group is not None and 0 < group < 64 else "w4a16"


def _listed(listed: Config, n_layers: int) -> list[tuple[str, Modules]]:
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
    return [(name, Modules.of(of, n_layers=n_layers, where=listed.name)) for name, of in by_format.items()]


def _targets(groups: Config, n_layers: int) -> tuple[str, list[tuple[str, Modules]]]:
    """compressed-tensors: groups of targets, each with its own scheme; the target `Linear` is the default."""
    default, named = "bf16", []
    for key in groups.raw:
        group = groups.section(key)
        weights = group.section("weights") if group else None
        if group is None or weights is None:
            continue
        scheme = _scheme(weights, weights_only=not group.has("input_activations"))
        targets = group.items("targets") or ["Linear"]
        if "Linear" in targets:
            default = scheme
        else:
            named.append((scheme, Modules.of(targets, n_layers=n_layers, where=groups.name)))
    return default, named


def _scheme(weights: Config, *, weights_only: bool) -> str:
    bits, group = weights.count("num_bits"), weights.maybe("group_size", least=-1)
    if weights.text("type", default="int") != "float":
        return _whole_numbers(weights, bits, group, weights_only=weights_only)
    if bits == 8:
        if weights.text("strategy") == "block":
            return "fp8_block"
        return "mxfp8" if group == 32 else "fp8"
    if bits == 4:
        if group == 32:
            return "mxfp4"
        return "nvfp4_w4a16" if weights_only else "nvfp4"
    raise weights.bad("num_bits", bits, "is not a width with a known format (4 or 8)")


def _cache(given: Config) -> str | None:
    """The format of the cache, where one is named."""
    scheme = given.raw.get("kv_cache_scheme")
    if isinstance(scheme, Mapping):
        return _scheme(Config(scheme, f"{given.name}: kv_cache_scheme"), weights_only=False)
    name = given.text("kv_cache_quant_algo", "kv_cache_scheme").lower()
    return _algorithm(given, name) if name else None


def _parts(groups: Iterable[LayerGroup], *, gemma4: bool) -> Iterator[tuple[str, Spellings, float, float]]:
    """Every quantisable matrix: component, spellings inside a layer, parameters in all layers, layers with it."""
    parameters: defaultdict[tuple[str, Spellings], float] = defaultdict(float)
    layers: defaultdict[tuple[str, Spellings], float] = defaultdict(float)
    for group in groups:
        for component, around, matrix, copies in _matrices(group, gemma4):
            key = component, tuple(f"{m}.{leaf}" for m in around for leaf in _LEAVES.get(matrix.name, (matrix.name,)))
            parameters[key] += matrix.parameters * copies * group.count
            layers[key] += group.count
    for (component, spellings), total in parameters.items():
        yield component, spellings, total, layers[component, spellings]


def _matrices(group: LayerGroup, gemma4: bool) -> Iterator[tuple[str, Spellings, Matrix, float]]:
    """The matrices of one layer: component, the modules around it, the matrix, copies."""
    for matrix in group.mixer.matrices if group.mixer else ():
        yield "attention", _RECURRENT if group.mixer and group.mixer.state_elements else _ATTENTION, matrix, 1
    if group.ffn is None:
        return
    for matrix in group.ffn.matrices:
        inside_shared = matrix.component == "shared_experts" and matrix.name in ("up", "down")
        if matrix.component in _QUANTISED:
            yield matrix.component, _SHARED if inside_shared else _MLP, matrix, 1
    for matrix in group.ffn.expert:
        yield "experts", ("experts",) if gemma4 else _EXPERTS, matrix, group.ffn.n_experts
