"""Lists of module names, as quantisation configs write them, matched against the parts of a model.

`model.layers.3.self_attn*`, `re:.*shared_experts.*` and `gate` all occur. Names are folded to the part inside a layer
and the set of layers it is said of; which layers have which part is not kept, so a share is a count over a count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from ...errors import BadInput

MOST_NAMES = 200_000
MOST_DISTINCT = 2_000

_ELSEWHERE = re.compile(r"vision|visual|audio|(^|\.)mtp|mm_projector|multi_modal|embed_vision|patch_merge|image")
_IN_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d{1,6}|\*)(?:\.|(?=\*)|$)(.*)$")
_NUMBER = re.compile(r"\.\d+(?=\.|$)")
_SAFE_PATTERN = re.compile(r"^\^?(?:[\w/-]|\\?\.[*+]?|\\d[+*]|\[0-9\][+*]|\((?:\?:)?[\w|\\.-]+\))+\$?$")


@dataclass(slots=True)
class Modules:
    """Module names, folded: inside a layer -> the layers it is said of, and what is said of all layers at once.

    >>> skipped = Modules.of(["lm_head", "model.layers.0.self_attn*", "model.layers.1.self_attn*"], n_layers=4)
    >>> skipped.share(["self_attn.q_proj"], layers=4)
    0.5
    >>> skipped.names("lm_head")
    True
    """

    inside: dict[str, set[int]] = field(default_factory=dict)
    anywhere: set[str] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)
    n_layers: int = 1

    @classmethod
    def of(cls, names: Iterable[object], *, n_layers: int, where: str = "quantization_config") -> Modules:
        """Fold a list of names; layers beyond the model's are those of multi-token prediction and left out."""
        found = cls()
        found.add(names, n_layers=n_layers, where=where)
        return found

    def add(self, names: Iterable[object], *, n_layers: int, where: str = "quantization_config") -> None:
        """Fold in more names."""
        self.n_layers = n_layers
        for seen, name in enumerate(names):
            if not isinstance(name, str) or len(name) > 500:
                raise BadInput(f"{where}: a module list holds {name!r:.60}, not the name of a module")
            if seen >= MOST_NAMES or len(self.inside) + len(self.anywhere) >= MOST_DISTINCT:
                raise BadInput(f"{where}: a module list is too long to be one of a model")
            if _ELSEWHERE.search(name):
                continue
            if name.startswith("re:"):
                (self.anywhere if _SAFE_PATTERN.match(name[3:]) and name.count("*") <= 8 else self.unread).add(name)
                continue
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

    def share(self, probes: Sequence[str], *, layers: float, without: float = 0) -> float:
        """The share, of `layers` layers that have this part, whose part is named; `probes` are its spellings.

        Layers named as a whole are taken to be, as far as they go, the `without` layers that lack the part.
        """
        hit: set[int] = set()
        for pattern in self.anywhere:
            if not any(c.isdigit() for c in pattern.replace("w1", "").replace("w2", "").replace("w3", "")):
                if any(_named(p, pattern) for p in probes):
                    return 1.0
            elif len(hit) < self.n_layers:  # it may be said of some layers
                hit |= {i for i in range(self.n_layers) if any(_named(p, pattern, i) for p in probes)}
        whole: set[int] = set()
        for tail, at in self.inside.items():
            if tail in ("", "*"):
                whole |= at
            elif any(_inside(p, tail) for p in probes):
                hit |= at
        found = len(hit) + max(0.0, len(whole - hit) - without)
        return min(1.0, found / layers) if layers else 0.0

    def names(self, *parts: str) -> bool:
        """Whether a part outside the layers (the output head) is named."""
        return any(_named(p, pattern) or pattern.endswith("." + p) for pattern in self.anywhere for p in parts)


def _inside(probe: str, tail: str) -> bool:
    """Whether the name inside a layer covers the probe: itself, a module around it, or a glob over it."""
    if "*" in tail or "?" in tail:
        return fnmatchcase(probe, tail)
    return not tail or probe == tail or probe.startswith(tail + ".")


def _named(probe: str, pattern: str, layer: int = 0) -> bool:
    """Whether a pattern without a layer, or one that may pick layers, covers the probe."""
    full = f"model.layers.{layer}.{probe}" if "." in probe else probe
    spelled = (full, full.replace(".experts.", ".experts.0."))
    if pattern.startswith("re:"):
        return any(re.match(pattern[3:], name) for name in spelled)
    if "*" in pattern or "?" in pattern:
        return any(fnmatchcase(name, pattern) for name in spelled)
    return pattern == probe or pattern in probe.split(".") or probe.startswith(pattern + ".")
