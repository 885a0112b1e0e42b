"""Number formats from `quantization_config` and hf_quant_config.json.

Every tool writes the same three facts in another way (`schemes`, `tools`): a default format, the modules kept out of
it, and the modules given another one. They become shares of each component's parameters, and a component takes their
mixture.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ...errors import shown
from ..description import build
from ..model import LayerGroup, Matrix, Model
from ..precision import mixed
from .config import Config
from .scheme import Scheme, unmatched
from .schemes import cache_format, read_scheme

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
    scheme = read_scheme(given, int(max(1, model.n_layers)))
    if text.text("expert_dtype") == "fp4" and scheme.default in ("fp8", "fp8_block"):
        scheme = replace(scheme, experts="mxfp4")
    notes = list(scheme.notes)
    precision: dict[str, Any] = {}
    shares, matched = _shares(model, scheme)
    for component in _QUANTISED:
        total = sum(shares.get(component, {}).values())
        if total:
            name = mixed(shares[component], total)
            if name != "bf16":
                precision[component] = name
            if " + " in name:
                notes.append(f"{component.replace('_', ' ')} weights are of several formats: {name}")
    head = next((name for name, modules in scheme.groups if modules.names("lm_head", "head")), scheme.head)
    if not head and scheme.everywhere and not scheme.skipped.names("lm_head", "head"):
        head = scheme.default
    if head and head != "bf16":
        precision["head"] = head
    kv = cache_format(given)
    if kv:
        precision["kv"] = kv
    strange = scheme.skipped.unread.union(*(m.unread for _, m in scheme.groups))
    notes += [f"the pattern {shown(pattern)} of the quantisation config is not understood and left out"
              for pattern in sorted(strange)[:3]]  # fmt: skip
    return precision, [*notes, *unmatched(zip(scheme.groups, matched, strict=True))]


def _shares(model: Model, scheme: Scheme) -> tuple[dict[str, dict[str, float]], list[float]]:
    """Parameters of every component by format, and the parameters that each override was said of."""
    n_layers = int(max(1, model.n_layers))
    shares: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    matched = [0.0] * len(scheme.groups)
    parts = _parts(model.groups, gemma4=model.family.lower().startswith("gemma4"))
    for component, probes, parameters, count in parts:
        rest = parameters
        without = n_layers - count if component == "experts" else 0
        out = scheme.skipped.share(probes, layers=count, without=without) * rest
        shares[component]["bf16"] += out
        rest -= out
        for i, (name, modules) in enumerate(scheme.groups):
            said = modules.share(probes, layers=count) * parameters
            some = min(rest, said)
            shares[component][name] += some
            matched[i] += said
            rest -= some
        own = scheme.experts if component == "experts" else ""
        shares[component][own or scheme.default] += rest
    return {c: dict(of) for c, of in shares.items()}, matched


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
