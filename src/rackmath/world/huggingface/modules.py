"""Lists of module names, as quantisation configs write them, matched against the parts of a model.

`model.layers.3.self_attn*`, `re:.*shared_experts.*` and `gate` all occur. Names are folded to the part inside a layer
and the set of layers it is said of; which layers have which part is not kept, so a share is a count over a count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache

from ...errors import BadInput
from .patterns import lines, safe

MOST_NAMES = 200_000
MOST_DISTINCT = 2_000
MOST_PATTERNS = 64
"""Patterns in one list that are tried on every layer."""

_ELSEWHERE = re.compile(r"vision|visual|audio|(^|\.)mtp|mm_projector|multi_modal|embed_vision|patch_merge|image|(^|\.)draft")
_IN_LAYER = re.compile(r"(?:^|\.)(?:layers|layer|h|blocks|block)\.(\d{1,6}|\*)(?:\.|(?=\*)|$)(.*)$")
_NUMBER = re.compile(r"\.\d+(?=\.|$)")
_TENSOR = re.compile(r"\.(?:weight|bias|qweight|weight_packed)$")
_THE_LAYER = re.compile(r"(?:layers|\.h|blocks)\\?\.(\d{1,5})(?:\\?\.|\$|$)")
_AROUND = ("model.layers", "model.language_model.layers", "language_model.model.layers", "backbone.layers", "transformer.h", "layers")
"""What stands before the number of a layer in full names of modules; the first where nothing else is said."""


@dataclass(slots=True)
class Modules:
    """Module names, folded: inside a layer -> the layers it is said of, and what is said of all layers at once.

    >>> skipped = Modules.of(["lm_head", "model.layers.0.self_attn*", "model.layers.1.self_attn*"], n_layers=4)
    >>> sorted(skipped.layers(["self_attn.q_proj"]))
    [0, 1]
    >>> skipped.names("lm_head")
    True
    """

    inside: dict[str, set[int]] = field(default_factory=dict)
    anywhere: set[str] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)
    n_layers: int = 1
    patterns: int = 0  # that tell layers apart
    search: bool = False  # whether patterns may begin anywhere in a name

    @classmethod
    def of(cls, names: Iterable[object], *, n_layers: int, where: str = "quantization_config", search: bool = False) -> Modules:
        """Fold a list of names; layers beyond the model's are those of multi-token prediction and left out."""
        found = cls(search=search)
        found.add(names, n_layers=n_layers, where=where)
        return found

    def add(self, names: Iterable[object], *, n_layers: int, where: str = "quantization_config") -> None:
        """Fold in more names."""
        self.n_layers = n_layers
        for seen, name in enumerate(names):
            if not isinstance(name, str) or len(name) > 2000:
                raise BadInput(f"{where}: a module list holds {name!r:.60}, not the name of a module")
            if seen >= MOST_NAMES or len(self.inside) + len(self.anywhere) >= MOST_DISTINCT:
                raise BadInput(f"{where}: a module list is too long to be one of a model")
            if name.startswith("re:"):
                if on_every_layer(name):
                    self.patterns += 1
                    if self.patterns > MOST_PATTERNS:
                        raise BadInput(f"{where}: a module list has too many patterns to be one of a model")
                (self.unread if safe(name[3:]) is None else self.anywhere).add(name)
                continue
            if _ELSEWHERE.search(name):
                continue
            name = _TENSOR.sub("", name)
            layered = _IN_LAYER.search(name)
            if layered is None:
                self.anywhere.add(name)
                continue
            layer, tail = layered[1], _NUMBER.sub("", "." + layered[2])[1:]
            kept = self.inside.setdefault(tail, set())
            if layer == "*":
                kept.update(range(n_layers))
            elif int(layer) < n_layers:
                kept.add(int(layer))

    def layers(self, probes: Sequence[str]) -> set[int]:
        """The layers whose part is named; `probes` are its spellings. Layers named as a whole are left out."""
        every = range(self.n_layers)
        hit: set[int] = set()
        for pattern in self.anywhere:
            if len(hit) == self.n_layers:
                break
            if not _tells_layers(pattern):
                if self._named(tuple(probes), pattern, 0):
                    return set(every)
            else:
                one = _THE_LAYER.search(pattern)
                some = every if one is None else range(int(one[1]), min(int(one[1]) + 1, self.n_layers))
                hit |= {i for i in some if i not in hit and self._named(tuple(probes), pattern, i)}
        for tail, at in self.inside.items():
            if tail not in ("", "*") and any(_inside(p, tail) for p in probes):
                hit |= at
        return hit

    def whole(self) -> set[int]:
        """The layers named as a whole."""
        found: set[int] = set()
        for tail in ("", "*"):
            found |= self.inside.get(tail, set())
        return found

    def names(self, *parts: str) -> bool:
        """Whether a part outside the layers (the output head) is named."""
        return any(_named_part(part, pattern) for pattern in self.anywhere for part in parts)

    def _named(self, probes: tuple[str, ...], pattern: str, layer: int) -> bool:
        """Whether a pattern without a layer, or one that may pick layers, covers one of the probes."""
        if pattern.startswith("re:"):
            found = safe(pattern[3:])
            return found is not None and found.names(_full(probes, layer, _around(pattern)), search=self.search)
        if _is_glob(pattern):
            names = _full(probes, layer, _AROUND[:1]).split("\n")
            return any(fnmatchcase(name, pattern) for name in names)
        return any(_covers(pattern, probe) for probe in probes)


def _around(pattern: str) -> tuple[str, ...]:
    """What may stand before a layer's number, by the words of a pattern."""
    found = tuple(a for a in _AROUND if "language_model" in a) if "language" in pattern else ()
    return found or tuple(a for a in _AROUND if a.split(".")[0] in pattern and "language" not in a) or _AROUND[:1]


@cache
def _full(probes: tuple[str, ...], layer: int, around: tuple[str, ...]) -> str:
    """Full names of a part in a layer, as models have them, one a line."""
    spelled = dict.fromkeys(name for p in probes for name in (p, p.replace(".experts.", ".experts.0.")))
    return lines(f"{a}.{layer}.{name}" for a in around for name in spelled)


def _is_glob(pattern: str) -> bool:
    return any(c in pattern for c in "*?[")


def _tells_layers(pattern: str) -> bool:
    """Whether a pattern may mean some layers and not others."""
    return (pattern.startswith("re:") or _is_glob(pattern)) and any(
        c.isdigit() for c in re.sub(r"w[123]|\\d|\[0-9\]|\{\d*,?\d*\}", "", pattern)
    )


def on_every_layer(name: str) -> bool:
    """Whether a pattern must be tried on every layer: it tells them apart and does not name one."""
    return _tells_layers(name) and _THE_LAYER.search(name) is None


def _inside(probe: str, tail: str) -> bool:
    """Whether the name inside a layer covers the probe: itself, a module around it, or a glob over it."""
    return fnmatchcase(probe, tail) if _is_glob(tail) else _covers(tail, probe)


def _covers(name: str, probe: str) -> bool:
    """Whether a name without a layer is the probe's, its last part, or that of a module around it.

    >>> _covers("mlp", "mlp.experts.up_proj"), _covers("mlp.gate", "mlp.gate_proj"), _covers("q_proj", "attn.q_proj")
    (True, False, True)
    """
    return not name or f".{name}." in f".{probe}."


def _named_part(part: str, pattern: str) -> bool:
    if pattern.startswith("re:"):
        found = safe(pattern[3:])
        return found is not None and found.names(lines((part, f"model.{part}")))
    if _is_glob(pattern):
        return any(fnmatchcase(name, pattern) for name in (part, f"model.{part}"))
    return pattern == part or pattern.endswith("." + part)
