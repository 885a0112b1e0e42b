"""Our own description of a model: a small mapping (TOML or JSON) that `build` turns into a `Model`.

    name = "my-model"
    d_model = 4096
    vocab = 128256
    [[groups]]
    count = 32
    mixer = { kind = "gqa", n_heads = 32, n_kv_heads = 8 }
    ffn = { kind = "mlp", d_ff = 14336 }

`kind` names a function of `blocks`; the other keys are its keyword arguments, and `d_model` is filled in. The
readers of config.json produce this same mapping, so the packaged catalogue, a hand-written file and a downloaded
config take one path, and every error about a bad value is raised here.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from ..errors import BadInput, unknown
from .blocks import FFNS, MIXERS
from .model import FeedForward, LayerGroup, Mixer, Model
from .precision import FORMATS, Precision, format_named

LARGEST = 1e15
"""No count in a description may exceed this: a number above it is a mistake, not a model."""

_TOP = {
    "name", "d_model", "vocab", "groups", "draft", "tied_embeddings", "embedding_parameters", "head_parameters",
    "norm_parameters", "max_context", "precision", "family", "notes", "source",
}  # fmt: skip
_GROUP = {"count", "mixer", "ffn", "norm_parameters", "name"}
_FORMAT_FIELDS = (
    "attention", "mlp", "experts", "shared_experts", "router", "embedding", "head", "norm", "kv", "index",
    "dispatch", "combine",
)  # fmt: skip

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
    if not isinstance(name, str) or not name:
        raise BadInput("the model description has no 'name'; give it one, a non-empty string")
    d_model = _number(description, "d_model", name, least=1)
    vocab = _number(description, "vocab", name, least=1)
    groups = _groups(description.get("groups"), d_model, name)
    if not groups:
        raise BadInput(f"{name}: 'groups' is empty; describe at least one group of layers")
    tied = description.get("tied_embeddings", False)
    if not isinstance(tied, bool):
        raise BadInput(f"{name}: tied_embeddings = {tied!r} is not true or false")
    table = vocab * d_model
    return Model(
        name=name,
        d_model=d_model,
        vocab=vocab,
        groups=groups,
        draft=_groups(description.get("draft", ()), d_model, name),
        precision=precision_from(description.get("precision", {}), name),
        tied_embeddings=tied,
        embedding_parameters=_number(description, "embedding_parameters", name, default=table),
        head_parameters=_number(description, "head_parameters", name, default=0 if tied else table),
        norm_parameters=_number(description, "norm_parameters", name, default=d_model),
        max_context=_number(description, "max_context", name, default=math.inf, least=1),
        family=str(description.get("family", "")),
        notes=tuple(str(n) for n in description.get("notes", ())),
        source=str(description.get("source", "")),
        description=description,
    )


def precision_from(formats: Mapping[str, Any], name: str) -> Precision:
    """A `Precision` from a mapping component -> format name, e.g. {"experts": "mxfp4", "kv": "fp8"}."""
    if not isinstance(formats, Mapping):
        raise BadInput(f"{name}: 'precision' must map components to number formats, not {formats!r}")
    _only(formats, {"name", "activation_bytes", *_FORMAT_FIELDS}, f"{name}: the precision")
    chosen = {field: format_named(str(formats[field])) for field in _FORMAT_FIELDS if field in formats}
    weights = {f.name for field, f in chosen.items() if field in ("attention", "mlp", "experts", "shared_experts")}
    label = str(formats.get("name") or (weights.pop() if len(weights) == 1 else "mixed" if weights else "bf16"))
    activation = _number(formats, "activation_bytes", name, default=FORMATS["bf16"].bytes)
    return Precision(name=label, activation_bytes=activation, **chosen)


def _groups(given: Any, d_model: float, name: str) -> tuple[LayerGroup, ...]:
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise BadInput(f"{name}: 'groups' must be a list of layer groups, not {given!r}")
    return tuple(_group(g, d_model, f"{name}: group {i}") for i, g in enumerate(given))


def _group(given: Any, d_model: float, where: str) -> LayerGroup:
    if not isinstance(given, Mapping):
        raise BadInput(f"{where} must be a mapping with count, mixer and ffn, not {given!r}")
    _only(given, _GROUP, where)
    mixer: Mixer | None = _block(given.get("mixer"), MIXERS, "mixer", d_model, where)
    ffn: FeedForward | None = _block(given.get("ffn"), FFNS, "ffn", d_model, where)
    norms = 0.0 if mixer is None and ffn is None else d_model * ((mixer is not None) + (ffn is not None))
    return LayerGroup(
        count=_number(given, "count", where, default=1, least=1),
        mixer=mixer,
        ffn=ffn,
        norm_parameters=_number(given, "norm_parameters", where, default=norms),
        name=str(given.get("name", "")),
    )


def _block(given: Any, kinds: Mapping[str, Callable[..., B]], part: str, d_model: float, where: str) -> B | None:
    if given is None:
        return None
    if not isinstance(given, Mapping) or "kind" not in given:
        raise BadInput(f"{where}: {part} must be a mapping with a 'kind' ({', '.join(kinds)}), not {given!r}")
    kind = given["kind"]
    if kind not in kinds:
        raise unknown(f"{part} kind", str(kind), kinds)
    function = kinds[kind]
    accepted = inspect.signature(function).parameters
    values = {k: v for k, v in given.items() if k != "kind"}
    _only(values, set(accepted), f"{where}: {part} {kind!r}")
    if "d_model" in accepted:
        values.setdefault("d_model", d_model)
    missing = [k for k, p in accepted.items() if p.default is inspect.Parameter.empty and k not in values]
    if missing:
        raise BadInput(f"{where}: {part} {kind!r} needs {', '.join(map(repr, missing))}")
    for key, parameter in accepted.items():
        if key not in values:
            continue
        if isinstance(parameter.default, bool):
            if not isinstance(values[key], bool):
                raise BadInput(f"{where}: {key} = {values[key]!r} is not true or false")
        elif values[key] is None and parameter.default is None:
            continue
        else:
            values[key] = check_number(values[key], f"{where}: {key}")
    for key in ("n_heads", "n_kv_heads", "head_dim", "n_experts", "top_k", "d_expert"):
        if values.get(key) == 0:
            raise BadInput(f"{where}: {key} = 0; give 1 or more")
    heads, kv = values.get("n_heads"), values.get("n_kv_heads")
    if heads and kv and heads % kv:
        raise BadInput(f"{where}: n_heads = {heads:g} is not a multiple of n_kv_heads = {kv:g}")
    if heads and kind == "gqa" and not values.get("head_dim") and d_model % heads:
        raise BadInput(f"{where}: n_heads = {heads:g} does not divide d_model = {d_model:g}; give head_dim")
    if values.get("top_k") and values.get("n_experts") and values["top_k"] > values["n_experts"]:
        raise BadInput(f"{where}: top_k = {values['top_k']:g} is above n_experts = {values['n_experts']:g}")
    return function(**values)


def check_number(value: Any, where: str, *, least: float = 0, infinite: bool = True) -> float:
    """`value` itself where it is a sane count, else an error; text, booleans, NaN and negatives are refused."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInput(f"{where} = {value!r:.80} is not a number")
    if infinite and value == math.inf:
        return value
    if not least <= value <= LARGEST:  # also catches NaN
        raise BadInput(f"{where} = {value!r:.80} is out of range; it must lie between {least:g} and {LARGEST:g}")
    return value


def _number(
    given: Mapping[str, Any], key: str, where: str, *, default: float | None = None, least: float = 0
) -> float:
    if key not in given:
        if default is None:
            raise BadInput(f"{where}: {key!r} is missing")
        return default
    return check_number(given[key], f"{where}: {key}", least=least)


def _only(given: Mapping[str, Any], known: set[str], where: str) -> None:
    for key in given:
        if key not in known:
            raise unknown(f"key in {where}", str(key), sorted(known))
