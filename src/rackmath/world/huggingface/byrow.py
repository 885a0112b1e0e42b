"""Reading a config by a row of the table of families: kinds of layers, their parts, and what stands outside them."""

from __future__ import annotations

import ast
import functools
import inspect
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import BadInput, unknown
from ..blocks import FFNS, MIXERS
from .config import LARGEST, MOST_LAYERS, Config, LayerParts, SharedParts, group_layers
from .formulas import Facts, keys
from .parts import Part
from .table import blocks, spellings

DENSE, ROUTED = ("dense", "mlp"), ("sparse", "moe", "hash_moe")
"""Words of `mlp_layer_types`."""

FEED_FORWARD = ("mlp", "experts", "ffn", "bridge", "adapter")
"""Words for feed-forward parts of a stack; `ffn` is the layer's own, routed or dense."""

_ASSUMED_STATE = "the config does not state the format of the recurrent state; 4 bytes per element are assumed"
_STATEFUL = ("gated_delta", "kda", "lightning", "mamba1", "mamba2", "rg_lru", "mlstm", "rwkv")


def read(row: Mapping[str, Any], config: Config) -> dict[str, Any]:
    """Our description of a config by a row of the table."""
    if "refused" in row:
        raise BadInput(f"{config.name}: {row['refused']}")
    reader = _Reader(row, renamed(row, config))
    return reader.description()


def renamed(row: Mapping[str, Any], config: Config) -> Config:
    """The config under the usual keys, with the family's defaults where it is silent; sizes are checked."""
    own: Mapping[str, Any] = row.get("keys", {})
    raw = dict(config.raw)
    for key, value in row.get("defaults", {}).items():
        if raw.get(key) is None:
            raw[key] = value
    for usual, others in {**spellings(), **own}.items():
        listed = (others,) if isinstance(others, str) else others
        if usual not in own:
            listed = (usual, *listed)
        key = next((key for key in listed if _look(raw, key) is not None), None)
        if key is not None:
            raw[usual] = _size(config, key, _look(raw, key), usual)
    return Config(raw, config.name)


def _size(config: Config, key: str, value: Any, usual: str) -> Any:
    """A size under any of its spellings: a whole number, or a list of them by layer or by kind of token."""
    least = 1 if usual in ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size") else 0
    most = MOST_LAYERS if usual == "num_hidden_layers" else LARGEST
    if isinstance(value, list):
        return [Config({key: one}, config.name).count(key, least=least, most=most) for one in value[: 2 * MOST_LAYERS]]
    return Config({key: value}, config.name).count(key, least=least, most=most)


def _look(raw: Mapping[str, Any], key: str) -> Any:
    found: Any = raw
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


@functools.cache
def _varies(formula: str) -> bool:
    return any(isinstance(node, ast.Name) and node.id == "i" for node in ast.walk(ast.parse(formula.strip())))


@functools.cache
def _needed(block: str) -> frozenset[str]:
    """The facts that a block cannot do without."""
    made = {**MIXERS, **FFNS}.get(block)
    if made is None:
        raise unknown("block in a row of families", block, [*MIXERS, *FFNS])
    given = inspect.signature(made).parameters.values()
    needed = frozenset(p.name for p in given if p.default is inspect.Parameter.empty)
    return needed | {"n_kv_heads", "head_dim"} if block == "gqa" else needed


def _lacks(config: Config, formula: object) -> BadInput:
    key = next(iter(sorted(keys(formula))), str(formula))
    others = [key, *(spelled for spelled in spellings().get(key, ()))]
    more = f" (or {', '.join(others[1:])})" if others[1:] else ""
    return BadInput(f"{config.name}: the config lacks {key!r}{more}, which its family needs; add it")


class _Reader:
    """One config being read by one row."""

    def __init__(self, row: Mapping[str, Any], config: Config) -> None:
        self.row, self.config = row, config
        self.d_model = config.count("hidden_size")
        given = Facts(config).value(row["layers"]) if "layers" in row else config.count("num_hidden_layers")
        self.n = Config({"num_hidden_layers": given}, config.name).count("num_hidden_layers", most=MOST_LAYERS)
        self.facts = Facts(config, n=self.n)
        self.overrides = self._overrides()
        self.parts: dict[Any, Part | None] = {}
        self.sections: dict[str, tuple[str, Mapping[str, Any], list[str]]] = {}
        self.same_norms: int | None = None
        self.notes: dict[str, None] = dict.fromkeys(row.get("notes", ()))

    def _overrides(self) -> dict[int, Mapping[str, Any]]:
        given = self.config.section("per_layer_config")
        found: dict[int, Mapping[str, Any]] = {}
        for key, changes in given.raw.items() if given else ():
            if not key.isdecimal() or len(key) > 4 or not isinstance(changes, Mapping):
                raise self.config.bad("per_layer_config", {key: changes}, "does not map a layer to its keys")
            found[int(key)] = changes
        return found

    def at(self, i: int) -> Facts:
        """The facts of one layer."""
        changes = self.overrides.get(i)
        config = Config({**self.config.raw, **changes}, self.config.name) if changes else self.config
        return Facts(config, i, self.n)

    def description(self) -> dict[str, Any]:
        row, config = self.row, self.config
        kinds, routed = self.kinds(), self.routed()
        layers = self.sharing([one for i in range(self.n) for one in self.layer(i, kinds[i], routed[i])])
        found: dict[str, Any] = {
            "d_model": self.d_model,
            "vocab": self.number(row.get("vocab", "vocab_size"), "vocab_size"),
            "tied_embeddings": config.flag("tie_word_embeddings", default=bool(row.get("tied", False))),
            "norm_parameters": self.d_model * self.number(row.get("final_norms", 1), "final_norms")
            + self.number(row.get("final_extra", 0), "final_extra"),
            "groups": group_layers(layers),
            "draft": self.draft(kinds, routed),
        }
        if "embedding" in row:
            found["embedding_parameters"] = self.number(row["embedding"], "embedding")
        if "head" in row and not (found["tied_embeddings"] and row.get("head_if_untied", True)):
            found["head_parameters"] = self.number(row["head"], "head")
        if not found["draft"]:
            del found["draft"]
        return {**found, "notes": list(self.notes)}

    def number(self, formula: object, key: str) -> int:
        """A formula's value as a whole number from 0."""
        value = self.facts.value(formula)
        return Config({key: value}, self.config.name).count(key, least=0, most=10**15)

    def kinds(self) -> list[str]:
        """What each layer mixes tokens with: the config's list, or the row's rule."""
        row, config, n = self.row, self.config, self.n
        words: Mapping[str, str] = row.get("words", {})
        listed = config.items(*row.get("listed", ("layer_types",)))
        if listed is not None:
            if len(listed) > n and len(listed) == n + (config.maybe("num_nextn_predict_layers", most=64) or 0):
                listed = listed[:n]
            if row.get("repeats"):
                listed = [listed[i % len(listed)] for i in range(n)] if listed else listed
            if len(listed) != n:
                raise BadInput(f"{config.name}: layer_types lists {len(listed)} entries where the model has {n} layers")
            return [self._known(words.get(str(kind), kind)) for kind in listed]
        order = row.get("order", {})
        if isinstance(order, list):
            return [order[i % len(order)] for i in range(n)]
        other = row.get("others", "full_attention")
        return [next((kind for kind, rule in order.items() if self.at(i).value(rule)), other) for i in range(n)]

    def _known(self, kind: object) -> str:
        """A kind of layer this family has."""
        has = {*self.row.get("mixers", ()), *self.row.get("stack", ())}
        if "attention" in self.row:
            has |= {"full_attention", "sliding_attention", "chunked_attention"}
        if self.row.get("alone"):
            has |= {"mlp", "moe"}
        if not isinstance(kind, str) or kind not in has:
            raise self.config.bad("layer_types", kind, "is not a kind of attention this family has")
        return kind

    def routed(self) -> list[bool]:
        """Which layers are mixtures of experts."""
        if "experts" not in self.row:
            return [False] * self.n
        listed = self.config.items("mlp_layer_types", length=self.n)
        if listed is not None:
            for kind in listed:
                if kind not in DENSE + ROUTED:
                    raise self.config.bad("mlp_layer_types", kind, "is not 'dense' or 'sparse'; correct the config")
            return [kind in ROUTED for kind in listed]
        rule = self.row.get("routed", True)
        return [bool(self.at(i).value(rule)) for i in range(self.n)]

    def sharing(self, layers: list[LayerParts | SharedParts]) -> list[LayerParts | SharedParts]:
        """Layers with how many of them use one set of weights, where the row has such: a shared mixer's."""
        kind, sets = next(iter(self.row.get("shared", {}).items()), ("", 1))
        if not kind:
            return layers
        mixer = self.mixer(kind, self.facts)
        norms = self.number(self.row.get("shared_norms", 0), "shared_norms")
        places = sum(one[0] is mixer for one in layers)
        uses = places / max(1, min(self.number(sets, "shared"), places or 1))
        return [(one[0], one[1], norms, uses) if one[0] is mixer else one for one in layers]

    def layer(self, i: int, kind: str, routed: bool) -> Sequence[LayerParts | SharedParts]:
        """A layer as mixer, feed-forward part and norms; several of them where the row stacks or repeats it."""
        asked = Config({"times": self.at(i).value(self.row.get("times", 1))}, self.config.name)
        once, times = self.once(i, kind, routed), asked.count("times", most=64)
        return once if times == 1 else [(*one, float(times)) for one in once] * times

    def once(self, i: int, kind: str, routed: bool) -> list[LayerParts]:
        """A layer applied once."""
        here = self.at(i)
        ffn = "experts" if routed else "mlp"
        if self.row.get("alone"):
            norms = self._norms(here, 1)
            if kind in ("mlp", "moe"):
                return [(None, self.part({"mlp": "mlp", "moe": "experts"}[kind], here), norms)]
            return [(self.mixer(kind, here), None, norms)]
        norms = self._norms(here, 2)
        stack = self.row.get("stack", {}).get(kind)
        if stack is None:
            return [(self.mixer(kind, here), self.part(ffn, here), norms)]
        found: list[LayerParts] = []
        for words in stack:
            mixers = [w for w in words.split() if w not in FEED_FORWARD]
            ffns = [ffn if w == "ffn" else w for w in words.split() if w in FEED_FORWARD]
            mixer = self.mixer(mixers[0], here) if mixers else None
            found.append((mixer, self.part(ffns[0], here) if ffns else None, 0))
        return [*found[:-1], (*found[-1][:2], norms)]

    def _norms(self, here: Facts, usual: int) -> int:
        each, more = self.row.get("norms", usual), self.row.get("norm_extra", 0)
        if self.same_norms is not None:
            return self.same_norms
        value = here.value(each) * self.d_model + here.value(more)
        found = Config({"norms": value}, self.config.name).count("norms", least=0, most=10**15)
        if not self.overrides and not any(isinstance(f, str) and _varies(f) for f in (each, more)):
            self.same_norms = found
        return found

    def draft(self, kinds: Sequence[str], routed: Sequence[bool]) -> list[dict[str, Any]]:
        """Layers of multi-token prediction: a projection in front of each, and the last kinds of the model."""
        count = self.number(self.row.get("draft", 0) if "draft" in self.row else 0, "draft")
        if not count:
            return []
        if count > 64:
            raise self.config.bad("num_nextn_predict_layers", count, "is out of range; it must lie between 0 and 64")
        kind = "full_attention" if "full_attention" in kinds else kinds[-1]
        mixer, ffn, norms = self.once(self.n - 1, kind, routed[-1])[-1]
        front = {"kind": "projection", "d_in": 2 * self.d_model}
        return [
            {"count": count, "ffn": front, "norm_parameters": 3 * self.d_model},
            {"count": count, "mixer": mixer, "ffn": ffn, "norm_parameters": norms},
        ]

    def mixer(self, kind: str, here: Facts) -> Part | None:
        """The mixer of a kind of layer."""
        if kind not in self.sections:
            own = self.row.get("mixers", {}).get(kind, {})
            section = own if "block" in own else {**self.row.get("attention", {}), **own}
            if kind == "sliding_attention":
                section = {"window": "sliding_window", **section}
            elif kind == "chunked_attention":
                section = {"chunk": "attention_chunk_size", **section}
            self._keep(kind, section, "gqa")
        return self._made(kind, here)

    def part(self, name: str, here: Facts) -> Part | None:
        """The dense or routed feed-forward part."""
        if name not in self.sections:
            self._keep(name, self.row.get(name, {}), "moe" if name == "experts" else "mlp")
        return self._made(name, here)

    def _keep(self, name: str, section: Mapping[str, Any], usual: str) -> None:
        """A section with the usual keys of its block, and which of its formulas depend on the layer."""
        block = section.get("block", usual)
        merged = {**blocks().get(block, {}), **section}
        words = ("block", "bias", "qk_norm")
        varying = [v for k, v in merged.items() if k not in words and isinstance(v, str) and _varies(v)]
        self.sections[name] = block, merged, varying

    def _made(self, name: str, here: Facts) -> Part | None:
        """A part, made once for all layers whose facts are the same."""
        block, merged, varying = self.sections[name]
        if block == "none":
            return None
        changes = json.dumps(self.overrides[here.i]) if here.i in self.overrides else ""
        key = (name, changes, *(repr(here.value(formula)) for formula in varying))
        if key not in self.parts:
            self.parts[key] = self._build(block, merged, here)
        return self.parts[key]

    def _build(self, block: str, merged: Mapping[str, Any], here: Facts) -> Part:
        context = self.config.maybe("max_position_embeddings", least=0)
        found: Part = {"kind": block}
        for key, formula in merged.items():
            if key in ("block", "bias", "qk_norm", "more"):
                continue
            value = here.value(formula)
            if value is None and key in _needed(block):
                raise _lacks(self.config, formula)
            if value is None or (key in ("window", "chunk") and (value == 0 or (context and value >= context))):
                continue
            if not isinstance(value, bool | int | float):
                raise self.config.bad(key, value, "is not a number; correct the config")
            found[key] = int(value) if isinstance(value, float) and value.is_integer() else value
        if found.get("top_k", 0) > found.get("n_experts", math.inf):
            raise self.config.bad("num_experts_per_tok", found["top_k"], f"is above the {found['n_experts']} experts")
        extra = found.pop("extra_parameters", 0) + self._extra(found, merged, here)
        if block in _STATEFUL and "state_bytes" not in found:
            self.notes.setdefault(_ASSUMED_STATE)
        return {**found, "extra_parameters": extra} if extra else found

    def _extra(self, found: Part, merged: Mapping[str, Any], here: Facts) -> int:
        """Parameters of biases, of norms on queries and keys, and of whatever else the row counts."""
        extra = here.value(merged.get("more", 0)) or 0
        bias = merged.get("bias", "")
        if found["kind"] == "gqa":
            d, v = found["head_dim"], found.get("v_head_dim", found["head_dim"])
            heads, kv = found["n_heads"], found["n_kv_heads"]
            widths = {"q": heads * d, "k": kv * d, "v": kv * v, "o": self.d_model}
            given = {bias: True} if isinstance(bias, str) else bias
            extra += sum(widths[x] for letters, when in given.items() if here.value(when) for x in letters)
            norms = merged.get("qk_norm", "")
            chosen = {norms: True} if isinstance(norms, str) else norms
            sizes = {"": 0, "head": 2 * d, "full": (heads + kv) * d}
            extra += sum(sizes[form] for form, when in chosen.items() if here.value(when))
        elif found["kind"] == "mlp" and here.value(bias if bias != "" else False):
            extra += (1 if found.get("gated", True) is False else 2) * found["d_ff"] + self.d_model
        return int(Config({"more": extra}, self.config.name).count("more", least=0, most=10**15))
