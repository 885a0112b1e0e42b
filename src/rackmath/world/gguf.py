"""GGUF files: what a named mixture of block types makes of a model, component by component.

"Q4_K_M" is no format but a recipe: most tensors in 4.5 bits, some wider, by tensor and by layer. The recipes are data
(`data/facts/gguf.toml`, llama.cpp's own rules); this module applies them to a model's matrices and returns the bits
each component has on average. A row that does not hold whole blocks takes the wider type the file names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .precision import FORMATS, GGUF, Format, Precision

if TYPE_CHECKING:
    from .model import Model

COUNTED = ("attention", "mlp", "experts", "shared_experts")

_TENSOR = {"q": "q", "k": "k", "v": "v", "qkv": "qkv", "o": "o", "kv_b": "v", "up": "up", "down": "down"}
"""Our matrices under the names the rules use; all others take the mixture's own type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What conditions ask of a model."""

    grouped: bool
    experts: float
    seventy: bool


_WHEN: dict[str, Callable[[int, int, _Facts], bool]] = {
    "more": lambda i, n, _: i < n // 8 or i >= 7 * n // 8 or (i - n // 8) % 3 == 2,
    "eighth": lambda i, n, _: i < n // 8,
    "sixteenth": lambda i, n, _: i < n // 16,
    "first2": lambda i, _n, _: i < 2,
    "first4": lambda i, _n, _: i < 4,
    "middle": lambda i, n, _: n // 8 <= i < 7 * n // 8,
    "grouped": lambda _i, _n, f: f.grouped,
    "shared": lambda _i, _n, f: f.grouped or f.experts >= 4,
    "eight": lambda _i, _n, f: f.experts == 8,
}


def mixture(name: str) -> str | None:
    """The mixture a name means, or None where it is none of GGUF's.

    >>> mixture("Q4_K_M"), mixture("UD-Q4_K_XL"), mixture("fp8")
    ('q4_k_m', 'q4_k_m', None)
    """
    key = name.strip().lower().replace("-", "_")
    key = GGUF["aliases"].get(key, key)
    return key if key in GGUF["files"] else None


def in_blocks(name: str) -> bool:
    """Whether a format is one of GGUF files: a mixture by its name, types of blocks by share, or 16 bits.

    >>> in_blocks("q4_k_m"), in_blocks("75% ggml_q4_k + 25% ggml_q6_k"), in_blocks("bf16"), in_blocks("w4a16")
    (True, True, True, False)
    """
    return name == "bf16" or mixture(name) is not None or all("ggml_" in part for part in name.split(" + "))


def mixtures() -> list[tuple[str, str]]:
    """Every name of a mixture with the mixture it means, the longest names first."""
    every = {**dict(zip(GGUF["files"], GGUF["files"], strict=True)), **GGUF["aliases"]}
    return sorted(every.items(), key=lambda one: -len(one[0]))


def in_file(model: Model, name: str, kv: str = "bf16") -> Precision:
    """A model's formats in a GGUF file of this mixture; the cache's is that of `kv`.

    >>> from rackmath.world import catalog
    >>> found = in_file(catalog.model("meta-llama/Llama-3.1-8B"), "q4_k_m")
    >>> round(found.head.bytes * 8, 2), round(found.mlp.bytes * 8, 2)    # bits a weight
    (6.56, 4.84)
    """
    key = mixture(name) or name
    recipe = _recipe(key)
    facts = _facts(model)
    note = f"GGUF {key.upper()}: the average over its tensors"

    def kept(bits: float) -> Format:
        return Format(name=key, bytes=bits / 8, compute="bf16", note=note)

    head = _fitting(recipe.get("head", "q6_k"), model.d_model)
    embedding = head if model.tied_embeddings else _average(recipe, "embedding", model.d_model, 1, facts)
    total: defaultdict[str, float] = defaultdict(float)
    held: defaultdict[str, float] = defaultdict(float)
    for component, tensor, d_in, parameters, layers in _tensors(model):
        total[component] += parameters * _average(recipe, tensor, d_in, layers, facts)
        held[component] += parameters
    base = _fitting(recipe["all"], 256)
    parts: dict[str, Any] = {c: kept(total[c] / held[c] if held[c] else base) for c in COUNTED}
    one = Precision(name=key, head=kept(head), embedding=kept(embedding), norm=FORMATS["fp32"], router=FORMATS["fp32"], **parts)
    return one.with_kv(kv)


def _recipe(key: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = GGUF["files"][key]
    return {**_recipe(found["like"]), **found} if "like" in found else found


def _facts(model: Model) -> _Facts:
    mixers = [g.mixer for g in model.groups if g.mixer is not None and g.mixer.streams]
    grouped = any(m.kind == "gqa" and m.heads >= 4 * m.streams[0].heads for m in mixers)
    experts = max((g.ffn.n_experts for g in model.groups if g.ffn is not None), default=0)
    return _Facts(grouped=grouped, experts=experts, seventy=model.n_layers == 80 and not experts)


def _tensors(model: Model) -> Iterator[tuple[str, str, float, float, int]]:
    """Component, name in the rules, length of a row, parameters in all layers, layers that have it."""
    mixing = sum(int(g.count) for g in model.groups if g.mixer is not None and g.mixer.matrices)
    for group in model.groups:
        for m in group.mixer.matrices if group.mixer else ():
            yield m.component, _TENSOR.get(m.name, "other"), m.d_in, m.parameters * group.stored, mixing
        if group.ffn is None:
            continue
        n = int(model.n_layers)
        for m in (*group.ffn.matrices, *group.ffn.expert):
            inside = m.component == "experts"
            copies = group.ffn.n_experts if inside else 1.0
            name = _TENSOR.get(m.name, "other")
            yield m.component, f"experts.{name}" if inside else name, m.d_in, m.parameters * copies * group.stored, n


def _average(recipe: Mapping[str, Any], tensor: str, row: float, layers: int, facts: _Facts) -> float:
    """Bits per weight of one tensor, over all layers."""
    name = tensor.removeprefix("experts.")
    rules = recipe["experts"] if name != tensor and "experts" in recipe else recipe.get(name, ())
    total = 0.0
    for i in range(layers):
        type_ = _type(rules, recipe["all"], i, layers, facts)
        if facts.seventy and name == "v":
            type_ = GGUF["seventy"].get(type_, type_)
        total += _fitting(type_, row)
    return total / layers


def _type(rules: Sequence[str], default: str, i: int, n: int, facts: _Facts) -> str:
    for rule in rules:
        type_, _, when = rule.partition(" ")
        if not when or _WHEN[when](i, n, facts):
            return type_
    return default


def _fitting(name: str, row: float) -> float:
    """Bits per weight of a type, or of the wider one that rows of this length need."""
    of = GGUF["types"][name]
    if row % of["block"] and "else" in of:
        return _fitting(of["else"], row)
    return float(of["bits"]) if row % of["block"] == 0 else 16.0


def served_in(model: Model, name: str, kv: str = "bf16") -> Precision:
    """A model's weights in a format by name: a file's mixture, or one format for every quantisable part."""
    return in_file(model, name, kv) if mixture(name) else Precision.uniform(name, kv=kv)
