"""Number formats from `quantization_config` and hf_quant_config.json.

Every tool writes the same three facts in another way (`schemes`, `tools`): a default format, the modules kept out of
it, and the modules given another one. They become shares of each component's parameters, and a component takes their
mixture.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...errors import shown
from ..description import build
from ..gguf import mixtures
from ..model import LayerGroup, Matrix, Model
from ..precision import mixed
from .beside import named, section_of
from .config import Config
from .scheme import Form, Override, Scheme, unmatched
from .schemes import cache_format, read_scheme

_QKV = ("qkv_proj", "query_key_value", "Wqkv", "W_pack", "c_attn", "attn_qkv")
_LEAVES = {
    "q": ("q_proj", "wq", *_QKV),
    "k": ("k_proj", "wk", *_QKV),
    "v": ("v_proj", "wv", *_QKV),
    "o": ("o_proj", "wo", "out_proj", "dense", "c_proj"),
    "q_a": ("q_a_proj", "wq_a", "fused_qkv_a_proj_with_mqa"),
    "q_b": ("q_b_proj", "wq_b"),
    "kv_a": ("kv_a_proj_with_mqa", "wkv_a", "fused_qkv_a_proj_with_mqa"),
    "kv_b": ("kv_b_proj", "wkv_b"),
    "kv": ("kv_proj", "wkv"),
    "o_a": ("o_a_proj", "wo_a"),
    "o_b": ("o_b_proj", "wo_b"),
    "qkv": ("in_proj_qkv", "in_proj_qkvz", "qkv_proj", "q_proj"),
    "gate": ("in_proj_z", "output_gate", "g_proj"),
    "in": ("in_proj",),
    "x": ("x_proj",),
    "dt": ("dt_proj",),
    "index_q": ("indexer.wq_b", "index_q_proj"),
    "index_k": ("indexer.wk", "index_k_proj"),
    "index_weights": ("indexer.weights_proj",),
    "shared_gate": ("shared_expert_gate",),
    "up": ("up_proj", "gate_up_proj", "w3", "w13", "w13_weight", "fc1", "c_fc", "dense_h_to_4h"),
    "side gate": ("gate_proj", "gate_up_proj", "w1", "w13", "w13_weight"),
    "only up": ("up_proj", "w1", "fc1", "c_fc", "dense_h_to_4h", "fc_in"),
    "down": ("down_proj", "w2", "w2_weight", "fc2", "c_proj", "dense_4h_to_h", "fc_out"),
    "router": ("gate", "router", "gate.wg"),
    "latent_down": ("fc1_latent_proj",),
    "latent_up": ("fc2_latent_proj",),
}
"""How the makers spell our matrices; a gated pair is two of them."""

_ATTENTION = ("self_attn", "attn", "mixer")
_RECURRENT = ("linear_attn", "mamba", "mixer", "self_attn")
_MLP = ("mlp", "block_sparse_moe", "feed_forward", "ffn", "mixer", "moe")
_EXPERTS = tuple(f"{module}.experts" for module in _MLP)
_SHARED = (*(f"{module}.{s}" for module in _MLP for s in ("shared_experts", "shared_expert")), "share_expert")
_QUANTISED = ("attention", "mlp", "experts", "shared_experts")


Spellings = tuple[str, ...]

_HEAD, _EMBEDDING = (("lm_head", "head", "output", "embed_out"), ("embed_tokens", "wte", "embeddings", "tok_embeddings"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """The matrices of one name in all layers of a model."""

    component: str
    probes: Spellings  # its names inside a layer
    shapes: tuple[tuple[float, float, float], ...]  # inputs, outputs, parameters in all layers
    layers: float  # that have it

    @property
    def parameters(self) -> float:
        return sum(n for _, _, n in self.shapes)


def read_precision(
    outer: Config, text: Config, description: Mapping[str, Any], quant: Mapping[str, Any] | None
) -> tuple[dict[str, Any], list[str]]:
    """The `precision` of our description, and notes on what it simplifies. BF16 where nothing is quantised."""
    given = _merged(outer, text, quant)
    if given is None:
        return _unquantised(outer, text)
    if given.text("quant_method").lower() == "gguf":
        return {"file": _file_of(given)}, []
    model = build({**description, "precision": {}})
    scheme = read_scheme(given, int(max(1, model.n_layers)))
    if text.text("expert_dtype") == "fp4" and scheme.default in ("fp8", "fp8_block"):
        scheme = replace(scheme, experts="mxfp4")
    notes = list(scheme.notes)
    precision: dict[str, Any] = {}
    shares, matched = _shares(model, scheme)
    for component in (*_QUANTISED, "router"):
        total = sum(shares.get(component, {}).values())
        if total:
            name = mixed(shares[component], total)
            if name != "bf16":
                precision[component] = name
            if " + " in name:
                notes.append(f"{component.replace('_', ' ')} weights are of several formats: {name}")
    precision |= _outside(scheme)
    kv = cache_format(given)
    if kv:
        precision["kv"] = kv
    strange = scheme.skipped.unread.union(*(m.unread for _, m in scheme.groups))
    notes += [f"the pattern {shown(pattern)} of the quantisation config is not understood and left out" for pattern in sorted(strange)[:3]]
    if len(strange) > 3:
        notes.append(f"{len(strange) - 3} more patterns of the quantisation config are not understood and left out")
    return precision, [*notes, *unmatched(zip(scheme.groups, matched, strict=True))]


def _file_of(given: Config) -> str:
    """The mixture that the name of a .gguf file says."""
    key = given.text("gguf_file").lower().replace("-", "_").removesuffix(".gguf")
    found = next((name for name, _ in mixtures() if key.endswith(f"_{name}") or key == name), None)
    if found is None:
        raise given.bad("gguf_file", given.raw.get("gguf_file"), "names no mixture; give the .gguf file itself")
    return found


def _outside(scheme: Scheme) -> dict[str, str]:
    """The formats of output head and embedding, where they are not in 16 bits."""
    found: dict[str, str] = {}
    for component, names, own in (("head", _HEAD, scheme.head), ("embedding", _EMBEDDING, scheme.embedding)):
        if scheme.skipped.names(*names):
            continue
        named = next((form for form, modules in scheme.groups if modules.names(*names)), own)
        form = named or (scheme.default if scheme.everywhere and component == "head" else "")
        if isinstance(form, str) and form not in ("", "bf16"):
            found[component] = form
    return found


def _shares(model: Model, scheme: Scheme) -> tuple[dict[str, dict[str, float]], list[float]]:
    """Parameters of every component by format, and the parameters that each override was said of."""
    n_layers = int(max(1, model.n_layers))
    shares: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    bits: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)  # of formats that depend on the matrix
    matched = [0.0] * len(scheme.groups)
    for part in _parts(model.groups, gemma4=model.family.lower().startswith("gemma4")):
        own = {"experts": scheme.experts, "router": "bf16"}.get(part.component, "")
        rules: list[Override] = [("bf16", scheme.skipped), *scheme.groups]
        left, rest = set(range(n_layers)), 1.0
        for i, (form, modules) in enumerate(rules):
            hit, whole = modules.layers(part.probes), modules.whole()
            if i:
                matched[i - 1] += len(hit | whole) * part.parameters
            some = rest if left and hit >= left else min(rest, _share(part, hit & left, whole & left, n_layers))
            _give(shares, bits, part, form, some)
            left, rest = left - hit - whole, rest - some
        _give(shares, bits, part, own or scheme.default, rest)
    for component, several in bits.items():
        total = sum(n for n, _ in several)
        mean = sum(n * b for n, b in several) / total if total else 16.0
        shares[component][f"w{min(16.0, max(1.0, mean)):.5f}a16_c"] += total
    return {c: dict(of) for c, of in shares.items()}, matched


def _give(
    shares: defaultdict[str, defaultdict[str, float]],
    bits: defaultdict[str, list[tuple[float, float]]],
    part: _Part,
    form: Form,
    share: float,
) -> None:
    """Give a share of a part's parameters a format."""
    if share <= 0:
        return
    if isinstance(form, str):
        shares[part.component][form] += share * part.parameters
    else:
        bits[part.component] += [(share * n, form.in_matrix(d_in, d_out)) for d_in, d_out, n in part.shapes]


def _share(part: _Part, hit: set[int], whole: set[int], n_layers: int) -> float:
    """The share of a part that names cover: layers where it is `hit`, and layers named as a whole.

    Where only some layers have the part, which they are is not known: those named for it are taken to have it, and
    whole layers to be, as far as they go, those without routed and shared experts.
    """
    if not part.layers:
        return 0.0
    if part.layers >= n_layers:
        return len(hit | whole) / n_layers
    without = n_layers - part.layers if part.component in ("experts", "shared_experts") else 0
    return min(1.0, (len(hit) + max(0.0, len(whole - hit) - without)) / part.layers)


_DTYPES = {
    "bfloat16": "",
    "float16": "",
    "half": "",
    "float32": "",
    "float": "",
    "float64": "",
    "double": "",
    "auto": "",
    "float8_e4m3fn": "fp8",
    "float8_e4m3fnuz": "fp8",
    "float8_e5m2": "fp8",
    "float8_e5m2fnuz": "fp8",
}
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
    return {}, [
        f"the name says {said[0].upper()} and the config has no quantisation section: weights are taken as"
        " BF16; --precision sets another format"
    ]


def _merged(outer: Config, text: Config, quant: Mapping[str, Any] | None) -> Config | None:
    """The config's own section, completed by the separate file."""
    own = outer.section(*_SECTIONS) or text.section(*_SECTIONS)
    mine = {k: v for k, v in own.raw.items() if v is not None} if own else {}
    if not own and outer.has("quip_params"):
        params = outer.section("quip_params")
        mine = {**(params.raw if params else {}), "quant_method": "quip"}
    inner = mine.pop("quantization", None)  # ModelOpt's own file, carried over whole
    mine = {**(inner if isinstance(inner, Mapping) else {}), **mine}
    beside = section_of("", quant) if quant else {}
    both = {**beside, **mine}
    if both and not any(both.get(key) for key in ("quant_method", "quant_algo", "quantized_layers", "config_groups")):
        both |= named(both)
    return Config(both, f"{outer.name}: quantization_config") if both else None


_SECTIONS = ("quantization_config", "compression_config", "quantization")


def _parts(groups: Iterable[LayerGroup], *, gemma4: bool) -> Iterator[_Part]:
    """Every quantisable matrix, those alike in name together."""
    shapes: defaultdict[tuple[str, Spellings], list[tuple[float, float, float]]] = defaultdict(list)
    layers: defaultdict[tuple[str, Spellings], float] = defaultdict(float)
    for group in groups:
        for component, around, matrix, copies in _matrices(group, gemma4):
            pair = matrix.name == "up" and matrix.count == 2
            leaves = _LEAVES.get("only up" if matrix.name == "up" and not pair else matrix.name, (matrix.name,))
            for names in (leaves, _LEAVES["side gate"]) if pair else (leaves,):
                key = component, tuple(f"{m}.{leaf}" for m in around for leaf in names)
                parameters = matrix.parameters * copies * group.stored / (2 if pair else 1)
                shapes[key].append((matrix.d_in, matrix.d_out, parameters))
                layers[key] += group.count
    for (component, probes), sides in shapes.items():
        key = component, probes
        yield _Part(component=component, probes=probes, shapes=tuple(sides), layers=layers[key])


def _matrices(group: LayerGroup, gemma4: bool) -> Iterator[tuple[str, Spellings, Matrix, float]]:
    """The matrices of one layer: component, the modules around it, the matrix, copies."""
    for matrix in group.mixer.matrices if group.mixer else ():
        yield "attention", _RECURRENT if group.mixer and group.mixer.state_elements else _ATTENTION, matrix, 1
    if group.ffn is None:
        return
    for matrix in group.ffn.matrices:
        inside_shared = matrix.component == "shared_experts" and matrix.name in ("up", "down")
        if matrix.component in _QUANTISED or matrix.name == "router":
            yield matrix.component, _SHARED if inside_shared else _MLP, matrix, 1
    for matrix in group.ffn.expert:
        yield "experts", ("experts",) if gemma4 else _EXPERTS, matrix, group.ffn.n_experts
