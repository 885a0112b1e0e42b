"""Reading keys of a raw config.json: each reader returns a sane value or raises one clear `BadInput`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import BadInput, shown

LARGEST = 10**9
"""No width, count of experts or vocabulary in a config may exceed this: a number above it is a mistake."""

MOST_LAYERS = 4096
"""Layers are listed one by one while a config is read, so their number is bounded."""

LayerParts = tuple[Mapping[str, Any] | None, Mapping[str, Any] | None, float]
"""One layer as a family describes it: mixer, feed-forward part, norm parameters."""

SharedParts = tuple[Mapping[str, Any] | None, Mapping[str, Any] | None, float, float]
"""The same, and how many layers share its weights."""

_REQUIRED: Any = object()


@dataclass(frozen=True, slots=True)
class Config:
    """A config.json (or its text model's section) with readers that check what they return.

    A key that is null counts as absent. Where several keys are given, the first one present is read: families
    spell the same fact in several ways (`num_hidden_layers`, `n_layer`).

    >>> Config({"n_layer": 12}, "gpt2").count("num_hidden_layers", "n_layer")
    12
    >>> Config({"n_layer": "12"}, "gpt2").count("n_layer")
    Traceback (most recent call last):
    ...
    rackmath.errors.BadInput: gpt2: n_layer = '12' is not a number; correct the config
    """

    raw: Mapping[str, Any]
    name: str

    def has(self, key: str) -> bool:
        """Whether the key is present and not null."""
        return self.raw.get(key) is not None

    def find(self, *keys: str) -> tuple[str, Any]:
        """The first key present and its value; the last key and None where all are absent."""
        for key in keys:
            if self.raw.get(key) is not None:
                return key, self.raw[key]
        return keys[0], None

    def count(self, *keys: str, default: Any = _REQUIRED, least: int = 1, most: int = LARGEST) -> int:
        """A whole number in [least, most]. The default is returned as it is, None included."""
        key, value = self.find(*keys)
        if value is None:
            return int(default) if default is not None and default is not _REQUIRED else self._absent(keys, default)
        return self._whole(key, value, least, most)

    def maybe(self, *keys: str, least: int = 0, most: int = LARGEST) -> int | None:
        """A whole number, or None where every key is absent."""
        key, value = self.find(*keys)
        return None if value is None else self._whole(key, value, least, most)

    def layers(self, *keys: str) -> int:
        """The number of layers."""
        return self.count(*(keys or ("num_hidden_layers", "n_layer", "n_layers", "num_layers")), most=MOST_LAYERS)

    def number(self, *keys: str, default: float | None = None) -> float:
        """A finite number."""
        key, value = self.find(*keys)
        if value is None:
            return self._absent(keys, _REQUIRED) if default is None else default
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.bad(key, value, "is not a number; correct the config")
        if not abs(value) <= 1e300:
            raise self.bad(key, value, "is not finite; correct the config")
        return float(value)

    def flag(self, *keys: str, default: bool) -> bool:
        """True or false."""
        key, value = self.find(*keys)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.bad(key, value, "is not true or false; correct the config")
        return value

    def text(self, *keys: str, default: str = "") -> str:
        """A string."""
        key, value = self.find(*keys)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.bad(key, value, "is not text; correct the config")
        return value

    def items(self, *keys: str, length: int | None = None) -> list[Any] | None:
        """A list, of the given length if one is given, or None where the key is absent."""
        key, value = self.find(*keys)
        if value is None:
            return None
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise self.bad(key, value, "is not a list; correct the config")
        if len(value) > 64 * MOST_LAYERS:
            raise BadInput(f"{self.name}: {key} lists {len(value)} entries, too many for a model; correct the config")
        if length is not None and len(value) != length:
            raise BadInput(f"{self.name}: {key} lists {len(value)} entries where the model has {length} layers")
        return list(value)

    def counts(self, *keys: str, length: int | None = None) -> list[int] | None:
        """A list of whole numbers, or None where the key is absent."""
        values = self.items(*keys, length=length)
        return None if values is None else [self._whole(keys[0], v, 0, LARGEST) for v in values]

    def section(self, *keys: str) -> Config | None:
        """A nested object, or None where the key is absent."""
        key, value = self.find(*keys)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise self.bad(key, value, "is not an object; correct the config")
        return Config(value, f"{self.name}: {key}")

    def divides(self, key: str, whole: int, part: int, of: str) -> int:
        """`whole / part`, refused where it leaves a remainder (heads that do not divide a width)."""
        if whole % part:
            raise BadInput(f"{self.name}: {key} = {part} does not divide {of} = {whole}; correct the config")
        return whole // part

    def bad(self, key: str, value: Any, wrong: str) -> BadInput:
        """The error for one key's value."""
        return BadInput(f"{self.name}: {key} = {shown(value)} {wrong}")

    def _whole(self, key: str, value: Any, least: int, most: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.bad(key, value, "is not a number; correct the config")
        if not least <= value <= most:  # also catches NaN
            raise self.bad(key, value, f"is out of range; it must lie between {least} and {most}")
        if value != int(value):
            raise self.bad(key, value, "is not a whole number; correct the config")
        return int(value)

    def _absent(self, keys: Sequence[str], default: Any) -> Any:
        if default is _REQUIRED:
            others = f" (or {', '.join(keys[1:])})" if len(keys) > 1 else ""
            raise BadInput(f"{self.name}: the config lacks {keys[0]!r}{others}, which its family needs; add it")
        return default


def group_layers(layers: Iterable[LayerParts | SharedParts]) -> list[dict[str, Any]]:
    """Groups of our description from layers one by one: alike layers are counted together, wherever they stand.

    Layers with neither part (both no-ops of Nemotron NAS) are never run, and left out.

    >>> a, b = {"kind": "gqa", "n_heads": 8}, {"kind": "mlp", "d_ff": 64}
    >>> [g["count"] for g in group_layers([(a, b, 32), (None, b, 16), (a, b, 32)])]
    [2, 1]
    """
    groups: dict[str, dict[str, Any]] = {}
    seen: dict[tuple[int, int, float, float], dict[str, Any]] = {}
    kept: list[LayerParts | SharedParts] = []  # keeps the mappings alive, so that their ids stay theirs
    for layer in layers:
        mixer, ffn, norms, uses = layer if len(layer) == 4 else (*layer, 1.0)
        if mixer is None and ffn is None:
            continue
        known = seen.get((id(mixer), id(ffn), norms, uses))
        if known is None:
            key = json.dumps([mixer, ffn, norms, uses], sort_keys=True)
            one = {"count": 0, "mixer": mixer, "ffn": ffn, "norm_parameters": norms}
            known = groups.setdefault(key, one if uses == 1 else {**one, "uses": uses})
            seen[(id(mixer), id(ffn), norms, uses)] = known
            kept.append(layer)
        known["count"] += 1
    return list(groups.values())
