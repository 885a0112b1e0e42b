"""A model from a .gguf file: the shape its tensors have, and the bytes of each component as the file stores them."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import BadInput, shown, shown_path
from .description import build
from .gguf_header import Header, Tensor, read_header
from .gguf_layers import LayerFacts, ffn_of, mixer_of
from .model import LayerGroup, Model
from .precision import GGUF

_IN_LAYER = re.compile(r"blk\.(\d{1,5})\.(.+?)(?:\.(weight|bias|scale|input_scale))?$")
_COMPONENT = {name: component for component, names in GGUF["tensors"].items() for name in names}
_FILE_TYPES = {
    0: "f32",
    1: "f16",
    2: "q4_0",
    3: "q4_1",
    7: "q8_0",
    8: "q5_0",
    9: "q5_1",
    10: "q2_k",
    11: "q3_k_s",
    12: "q3_k_m",
    13: "q3_k_l",
    14: "q4_k_s",
    15: "q4_k_m",
    16: "q5_k_s",
    17: "q5_k_m",
    18: "q6_k",
    19: "iq2_xxs",
    20: "iq2_xs",
    21: "q2_k_s",
    22: "iq3_xs",
    23: "iq3_xxs",
    24: "iq1_s",
    25: "iq4_nl",
    26: "iq3_s",
    27: "iq3_m",
    28: "iq2_s",
    29: "iq2_m",
    30: "iq4_xs",
    31: "iq1_m",
    32: "bf16",
    36: "tq1_0",
    37: "tq2_0",
    38: "mxfp4_moe",
    39: "nvfp4",
    40: "q1_0",
}
"""llama.cpp's numbers of mixtures (llama_ftype)."""


def read_gguf(path: Path) -> Model:
    """The model in a .gguf file, of which the header alone is read; parts of a split file are read together."""
    header = read_header(path)
    return build(describe(header, path.name))


def in_folder(folder: Path) -> Path | None:
    """The .gguf file of a folder that has no config.json; None where there is none, or a config."""
    if (folder / "config.json").exists():
        return None
    files = sorted(p for p in folder.glob("*.gguf") if "mmproj" not in p.name.lower())
    first = [p for p in files if not re.search(r"-(?!00001)\d{5}-of-\d{5}\.gguf$", p.name)]
    if len(first) > 1:
        names = ", ".join(p.name[:60] for p in first[:3])
        raise BadInput(f"{shown_path(folder)} holds {len(first)} files of models ({names}, ...); give one of them")
    return first[0] if first else None


def describe(header: Header, name: str) -> dict[str, Any]:
    """Our description of the model in a file."""
    arch = header.said.get("general.architecture")
    if not isinstance(arch, str) or "token_embd.weight" not in header.tensors:
        raise BadInput(f"{shown_path(name)} holds no language model ({shown(arch)}); give the file of one")
    facts = LayerFacts(header.said, arch, f"{name[-60:]}")
    layers, outside = _sorted(header.tensors)
    draft = facts.count("nextn_predict_layers", default=0, least=0)
    n_layers = facts.count("block_count") - draft
    if n_layers < 1 or any(i not in layers for i in range(n_layers)):
        raise BadInput(f"{facts.name}: the file has no tensors for some of its {n_layers} layers; is it whole?")
    embedding = header.tensors["token_embd.weight"]
    if facts.d_model != embedding.shape[0]:
        raise BadInput(f"{facts.name}: embedding_length = {facts.d_model} is not the {embedding.shape[0]} of its tensors")
    groups = _groups(facts, {i: layers[i] for i in range(n_layers)})
    tables = sum(t.elements for t in outside if _component(t) == "embedding")
    head = sum(t.elements for t in outside if _component(t) == "head")
    stored = [t for i in range(n_layers) for t in layers[i].values()] + outside
    given: dict[str, Any] = {
        "name": _title(header.said, name),
        "family": arch,
        "d_model": embedding.shape[0],
        "vocab": math.prod(embedding.shape[1:]),
        "groups": groups,
        "tied_embeddings": head == 0,
        "embedding_parameters": tables,
        "head_parameters": head,
        "norm_parameters": sum(t.elements for t in outside) - tables - head,
        "source": "the header of a GGUF file",
    }
    context = facts.count("context_length", default=0, least=0)
    if context:
        given["max_context"] = context
    given["precision"], notes = _precision(stored, header.said)
    if draft or any(i >= n_layers for i in layers):
        notes.append("layers of multi-token prediction in the file are not counted")
    return {**given, "notes": notes}


def _title(said: Mapping[str, Any], name: str) -> str:
    found = said.get("general.name")
    good = isinstance(found, str) and found.strip() and found.isprintable() and len(found) < 200
    return str(found).strip() if good else name.removesuffix(".gguf")[:200]


def _sorted(tensors: Mapping[str, Tensor]) -> tuple[dict[int, dict[str, Tensor]], list[Tensor]]:
    """The tensors of each layer by what follows its number, and those outside the layers."""
    layers: defaultdict[int, dict[str, Tensor]] = defaultdict(dict)
    outside = []
    for name, tensor in tensors.items():
        match = _IN_LAYER.fullmatch(name)
        if match is None:
            outside.append(tensor)
        else:
            layers[int(match[1])][name.split(".", 2)[2]] = tensor
    return dict(layers), outside


def _groups(facts: LayerFacts, layers: Mapping[int, Mapping[str, Tensor]]) -> list[dict[str, Any]]:
    """Layers alike, in order of first appearance; what is neither matrix nor block counts among the norms."""
    groups: dict[str, dict[str, Any]] = {}
    for i, tensors in layers.items():
        one: dict[str, Any] = {"mixer": mixer_of(facts, i, tensors), "ffn": ffn_of(facts, i, tensors)}
        rest = sum(t.elements for t in tensors.values() if _component(t) == "norm")
        key = json.dumps([one, rest], sort_keys=True)
        if key not in groups:
            _explained(facts, one, i, tensors)
            groups[key] = {**one, "count": 0, "norm_parameters": rest}
        groups[key]["count"] += 1
    return list(groups.values())


def _explained(facts: LayerFacts, one: Mapping[str, Any], i: int, tensors: Mapping[str, Tensor]) -> None:
    """Refuse a layer whose blocks are not what its tensors are, or that has matrices of no block."""
    group = build(
        {"name": facts.name, "d_model": facts.d_model, "vocab": 1, "groups": [{**one, "norm_parameters": 0}], "norm_parameters": 0}
    ).groups[0]
    stored = sum(t.elements for t in tensors.values() if _component(t) != "norm")
    strange = [t for t in tensors.values() if _component(t) == "norm" and not _is_flat(t)]
    found = _parameters(group)
    if found != stored or sum(t.elements for t in strange) > 0.005 * stored:
        odd = f"the tensor {strange[0].name!r:.60}" if strange else f"{stored:,} weights where its keys say {found:,.0f}"
        raise BadInput(
            f"{facts.name}: layer {i} of the architecture {facts.arch!r:.40} has {odd}, which no known block "
            "explains; give its config.json, or describe it by hand (see docs/concepts/models.md)"
        )


def _parameters(group: LayerGroup) -> float:
    mixer, ffn = group.mixer, group.ffn
    found = sum(m.parameters for m in mixer.matrices) + mixer.extra_parameters if mixer else 0.0
    if ffn is not None:
        found += sum(m.parameters for m in ffn.matrices) + ffn.extra_parameters
        found += ffn.n_experts * (sum(m.parameters for m in ffn.expert) + ffn.expert_extra_parameters)
    return found


def _component(tensor: Tensor) -> str:
    match = _IN_LAYER.fullmatch(tensor.name)
    stem = match[2] if match else re.sub(r"\.(weight|bias)$", "", tensor.name)
    if stem.startswith(("ssm_", "shortconv.")):  # convolutions and decays too are parts of their block
        return "attention"
    return "norm" if _is_flat(tensor) else _COMPONENT.get(stem, "norm")


def _is_flat(tensor: Tensor) -> bool:
    return len([n for n in tensor.shape if n > 1]) < 2 or tensor.name.endswith((".bias", ".scale"))


def _precision(tensors: list[Tensor], said: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The types of every component by share, exact to a millionth, and a note with those of the whole file."""
    held: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    whole: defaultdict[str, float] = defaultdict(float)
    for tensor in tensors:
        held[_component(tensor)][tensor.type] += tensor.elements
        whole[tensor.type] += tensor.bytes
    precision: dict[str, Any] = {}
    for component, types in held.items():
        total = sum(types.values())
        ranked = sorted(types.items(), key=lambda one: -one[1])
        several = " + ".join(f"{100 * n / total:.6f}% ggml_{kind}" for kind, n in ranked)
        precision[component] = f"ggml_{ranked[0][0]}" if len(ranked) == 1 else several
    number = said.get("general.file_type")
    named = _FILE_TYPES.get(number) if isinstance(number, int) else None
    precision["name"] = named or "gguf"
    size = sum(whole.values())
    shares = sorted(whole.items(), key=lambda one: -one[1])
    listed = ", ".join(f"{100 * b / size:.3g}% {kind.upper()}" for kind, b in shares[:6])
    return precision, [f"a file of {size / 1e9:.2f} GB ({(named or 'of no named mixture').upper()}): {listed}"]
