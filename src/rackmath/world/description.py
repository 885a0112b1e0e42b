"""Our own description of a model: a small mapping (TOML or JSON) that `build` turns into a `Model`.

    name = "my-model"
    d_model = 4096
    vocab = 128256
    [[groups]]
    count = 32
    mixer = { kind = "gqa", n_heads = 32, n_kv_heads = 8 }
    ffn = { kind = "mlp", d_ff = 14336 }

`kind` names a class of `blocks`; the other keys are its fields, and `d_model` is filled in. The readers of
config.json produce this same mapping, so the packaged catalogue, a hand-written file and a downloaded config take
one path, and every error about a bad value is raised here.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from ..errors import BadInput, shown, unknown
from ..limits import Limit
from .blocks import FFNS, MIXERS, Kinds
from .gguf import in_file, mixture, mixtures
from .model import FeedForward, LayerGroup, Mixer, Model
from .precision import FORMATS, Precision, format_named

WIDTH = Limit(least=1, most=1e9, whole=True)
"""A width, or a number of heads or experts: what every key of a block is that `LIMITS` does not name."""

_SOME = Limit(most=1e9, whole=True)
_SEEN = Limit(least=1, most=1e9, whole=True, endless=True)
_STORED = Limit(most=1e15)

LIMITS: dict[str, Limit] = {
    "count": Limit(least=1, most=4096, whole=True),
    "uses": Limit(least=1, most=4096),
    "max_context": _SEEN,
    "window": _SEEN,
    "chunk": _SEEN,
    "top_k": _SEEN,
    "node_limit": _SEEN,
    "index_n_heads": _SOME,
    "index_head_dim": _SOME,
    "d_side": _SOME,
    "n_side": _SOME,
    "n_shared": _SOME,
    "d_shared": _SOME,
    "d_dense": _SOME,
    "node_groups": _SOME,
    "ratio": _SOME,
    "hyper_streams": _SOME,
    "qk_rope_head_dim": _SOME,
    "rope_head_dim": _SOME,
    "qk_nope_head_dim": _SOME,
    "q_lora_rank": _SOME,
    "d_latent": _SOME,
    "n_zero": _SOME,
    "conv_kernel": Limit(most=1e4, whole=True),
    "n_groups": WIDTH,
    "state_bytes": Limit(least=0.25, most=16),
    "activation_bytes": Limit(least=0.25, most=16),
    "embedding_parameters": _STORED,
    "head_parameters": _STORED,
    "norm_parameters": _STORED,
    "extra_parameters": _STORED,
    "expert_extra_parameters": _STORED,
}
"""Limits of the numbers of a description by their key; only those of `_SEEN` may be infinite: no end."""

MOST_LAYERS = 4096
"""Layers of a model, those of all groups together, and most groups."""

LONGEST_TEXT = 2000
"""Most letters of a name, a note or a source."""

_TOP = {
    "name",
    "d_model",
    "vocab",
    "groups",
    "draft",
    "tied_embeddings",
    "embedding_parameters",
    "head_parameters",
    "norm_parameters",
    "max_context",
    "precision",
    "family",
    "notes",
    "source",
}
_GROUP = {"count", "mixer", "ffn", "norm_parameters", "uses", "name"}
FORMAT_FIELDS = (
    "attention",
    "mlp",
    "experts",
    "shared_experts",
    "router",
    "embedding",
    "head",
    "norm",
    "kv",
    "index",
    "dispatch",
    "combine",
)

B = TypeVar("B")


def build(description: Mapping[str, Any]) -> Model:
    """A `Model` from a description.

    Defaults: `embedding_parameters` = vocab x d_model; `head_parameters` the same, or 0 with `tied_embeddings`;
    `norm_parameters` = d_model at the end and 2 x d_model in every layer with both parts; precision BF16.

    >>> llama = build({"name": "tiny", "d_model": 4096, "vocab": 128256, "groups": [{"count": 32,
    ...     "mixer": {"kind": "gqa", "n_heads": 32, "n_kv_heads": 8}, "ffn": {"kind": "mlp", "d_ff": 14336}}]})
    >>> llama.n_layers
    32
    """
    _only(description, _TOP, "the model description")
    name = description.get("name")
    if not isinstance(name, str) or not name.strip():
        raise BadInput("the model description has no 'name'; give it one, a non-empty string")
    if not name.isprintable() or len(name) > 300:
        raise BadInput(f"the model's name {shown(name)} is not an ordinary one; give one line of at most 300 letters")
    where = name if len(name) <= 80 else name[:77] + "..."
    d_model = _number(description, "d_model", where)
    vocab = _number(description, "vocab", where)
    groups = _groups(description.get("groups"), d_model, where)
    if not groups:
        raise BadInput(f"{where}: 'groups' is empty; describe at least one group of layers")
    tied = description.get("tied_embeddings", False)
    if not isinstance(tied, bool):
        raise BadInput(f"{where}: tied_embeddings = {shown(tied)} is not true or false")
    table = vocab * d_model
    model = Model(
        name=name,
        d_model=d_model,
        vocab=vocab,
        groups=groups,
        draft=_groups(description.get("draft", ()), d_model, where),
        precision=_filled(groups, precision_from(description.get("precision", {}), where)),
        tied_embeddings=tied,
        embedding_parameters=_number(description, "embedding_parameters", where, default=table),
        head_parameters=_number(description, "head_parameters", where, default=0 if tied else table),
        norm_parameters=_number(description, "norm_parameters", where, default=d_model),
        max_context=_number(description, "max_context", where, default=math.inf),
        family=_text(description, "family", where),
        notes=_notes(description.get("notes", ()), where),
        source=_text(description, "source", where),
        description=description,
    )
    stored = description.get("precision", {}).get("file")
    return model if stored is None else replace(model, precision=in_file(model, stored, model.precision.kv.name))


def _filled(groups: Sequence[LayerGroup], precision: Precision) -> Precision:
    """The formats, those of weights that the model does not have set as the others are: nobody chose them."""
    has = {m.component for g in groups for m in (g.mixer.matrices if g.mixer else ())}
    has |= {m.component for g in groups if g.ffn for m in (*g.ffn.matrices, *g.ffn.expert)}
    weights = ("experts", "mlp", "shared_experts", "attention")
    first = next((part for part in weights if part in has), None)
    if first is None:
        return precision
    absent: dict[str, Any] = {part: precision.of(first) for part in weights if part not in has}
    return replace(precision, **absent)


def _text(given: Mapping[str, Any], key: str, where: str) -> str:
    found = given.get(key, "")
    if not isinstance(found, str) or len(found) > LONGEST_TEXT:
        raise BadInput(f"{where}: {key} = {shown(found)} is not a text of at most {LONGEST_TEXT:,} letters")
    return found


def _notes(given: Any, where: str) -> tuple[str, ...]:
    listed = isinstance(given, list | tuple) and len(given) <= 1000
    if not listed or not all(isinstance(n, str) and len(n) <= LONGEST_TEXT for n in given):
        raise BadInput(f"{where}: notes = {shown(given)} is not a list of at most 1,000 texts")
    return tuple(given)


def precision_from(formats: Mapping[str, Any], name: str) -> Precision:
    """A `Precision` from a mapping component -> format name, e.g. {"experts": "mxfp4", "kv": "fp8"}.

    {"file": "q4_k_m"} names the mixture of a GGUF file, which `build` works out for the model.
    """
    if not isinstance(formats, Mapping):
        raise BadInput(f"{name}: 'precision' must map components to number formats, not {shown(formats)}")
    _only(formats, {"name", "activation_bytes", "file", *FORMAT_FIELDS}, f"{name}: the precision")
    for key, value in formats.items():
        if key != "activation_bytes" and not isinstance(value, str):
            raise BadInput(f"{name}: the precision {key} = {shown(value)} is not the name of a number format")
    file = formats.get("file")
    if file is not None and mixture(file) is None:
        raise unknown(f"mixture of a GGUF file ({name}: precision.file)", file, [one for one, _ in mixtures()])
    chosen = {field: format_named(formats[field]) for field in FORMAT_FIELDS if field in formats}
    weights = {f.name for field, f in chosen.items() if field in ("attention", "mlp", "experts", "shared_experts")}
    one = weights.pop() if len(weights) == 1 else "mixed" if weights else "bf16"
    label = str(formats.get("name") or ("mixed" if " + " in one else one))
    activation = _number(formats, "activation_bytes", name, default=FORMATS["bf16"].bytes)
    return Precision(name=label, activation_bytes=activation, **chosen)


def _groups(given: Any, d_model: float, name: str) -> tuple[LayerGroup, ...]:
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise BadInput(f"{name}: 'groups' must be a list of layer groups, not {shown(given)}")
    if len(given) > MOST_LAYERS:
        raise BadInput(f"{name}: 'groups' lists {len(given):,} groups; a model has at most {MOST_LAYERS:,} layers")
    found = tuple(_group(g, d_model, f"{name}: group {i}") for i, g in enumerate(given))
    layers = sum(group.count for group in found)
    if layers > MOST_LAYERS:
        raise BadInput(f"{name}: its groups have {layers:,.0f} layers together; give at most {MOST_LAYERS:,}")
    return found


def _group(given: Any, d_model: float, where: str) -> LayerGroup:
    if not isinstance(given, Mapping):
        raise BadInput(f"{where} must be a mapping with count, mixer and ffn, not {shown(given)}")
    _only(given, _GROUP, where)
    mixer: Mixer | None = _block(given.get("mixer"), MIXERS, "mixer", d_model, where)
    ffn: FeedForward | None = _block(given.get("ffn"), FFNS, "ffn", d_model, where)
    if mixer is None and ffn is None:
        raise BadInput(f"{where} has neither a mixer nor a ffn, so its layers do nothing; give one, or leave it out")
    return LayerGroup(
        count=_number(given, "count", where, default=1),
        mixer=mixer,
        ffn=ffn,
        norm_parameters=_number(given, "norm_parameters", where, default=d_model * ((mixer is not None) + (ffn is not None))),
        uses=_number(given, "uses", where, default=1),
        name=_text(given, "name", where),
    )


def _block(given: Any, kinds: Kinds[B], part: str, d_model: float, where: str) -> B | None:
    if given is None:
        return None
    if not isinstance(given, Mapping) or "kind" not in given:
        raise BadInput(f"{where}: {part} must be a mapping with a 'kind' ({', '.join(kinds)}), not {shown(given)}")
    kind = given["kind"]
    if not isinstance(kind, str):
        raise BadInput(f"{where}: the kind of a {part} = {shown(kind)} is not one of {', '.join(kinds)}")
    if kind not in kinds:
        raise unknown(f"{part} kind", str(kind), kinds)
    accepted = inspect.signature(kinds[kind]).parameters
    values = {k: v for k, v in given.items() if k != "kind"}
    _only(values, set(accepted), f"{where}: {part} {kind!r}")
    if "d_model" in accepted:
        values.setdefault("d_model", d_model)
    missing = [k for k, p in accepted.items() if p.default is inspect.Parameter.empty and k not in values]
    if missing:
        raise BadInput(f"{where}: {part} {kind!r} needs {', '.join(map(repr, missing))}")
    for key, parameter in accepted.items():
        if key not in values or (values[key] is None and parameter.default is None):
            continue
        if not isinstance(parameter.default, bool):
            values[key] = _number(values, key, where)
        elif not isinstance(values[key], bool):
            raise BadInput(f"{where}: {key} = {shown(values[key])} is not true or false")
    _together(kind, values, d_model, where)
    return kinds[kind](**values).block()


def _together(kind: str, values: Mapping[str, Any], d_model: float, where: str) -> None:
    """Refuse numbers that are sane one by one and impossible together."""
    heads, kv = values.get("n_heads"), values.get("n_kv_heads")
    if heads and kv and heads % kv:
        raise BadInput(f"{where}: n_heads = {heads:g} is not a multiple of n_kv_heads = {kv:g}")
    if heads and kind == "gqa" and not values.get("head_dim") and d_model % heads:
        raise BadInput(f"{where}: n_heads = {heads:g} does not divide d_model = {d_model:g}; give head_dim")
    if values.get("top_k") and values.get("n_experts") and values["top_k"] > values["n_experts"]:
        raise BadInput(f"{where}: top_k = {values['top_k']:g} is above n_experts = {values['n_experts']:g}")
    if values.get("index_n_heads") and not values.get("index_head_dim"):
        raise BadInput(f"{where}: index_n_heads = {values['index_n_heads']:g} needs index_head_dim; give it too")


def _number(given: Mapping[str, Any], key: str, where: str, *, default: float | None = None) -> float:
    """The number of a key within its limits."""
    if key not in given:
        if default is None:
            raise BadInput(f"{where}: {key!r} is missing")
        return default
    return LIMITS.get(key, WIDTH).check(given[key], f"{where}: {key}")


def _only(given: Mapping[str, Any], known: set[str], where: str) -> None:
    for key in given:
        if key not in known:
            raise unknown(f"key in {where}", str(key), sorted(known))
