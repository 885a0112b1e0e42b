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

    @classmethod
    def of(cls, names: Iterable[object], *, n_layers: int, where: str = "quantization_config") -> Modules:
        """Fold a list of names; layers beyond the model's are those of multi-token prediction and left out."""
        found = cls()
        for seen, name in enumerate(names):
            if not isinstance(name, str) or len(name) > 500:
                raise BadInput(f"{where}: a module list holds {name!r:.60}, not the name of a module")
            if seen >= MOST_NAMES or len(found.inside) + len(found.anywhere) >= MOST_DISTINCT:
                raise BadInput(f"{where}: a module list is too long to be one of a model")
            if _ELSEWHERE.search(name):
                continue
            if name.startswith("re:"):
                (found.anywhere if _SAFE_PATTERN.match(name[3:]) and name.count("*") <= 8 else found.unread).add(name)
                continue
            layered = _IN_LAYER.search(name)
            if layered is None:
                found.anywhere.add(name)
                continue
            layer, tail = layered[1], _NUMBER.sub("", "." + layered[2])[1:]
            kept = found.inside.setdefault(tail, set())
            if layer == "*":
                kept.update(range(n_layers))
            elif int(layer) < n_layers:
                kept.add(int(layer))
        return found

    def share(self, probes: Sequence[str], *, layers: float, without: float = 0) -> float:
        """The share, of `layers` layers that have this part, whose part is named; `probes` are its spellings.

        Layers named as a whole are taken to be, as far as they go, the `without` layers that lack the part.
        """
        if any(_named(p, pattern) for pattern in self.anywhere for p in probes):
            return 1.0
        hit: set[int] = set()
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


def _named(probe: str, pattern: str) -> bool:
    """Whether a pattern without a layer covers the probe."""
    if pattern.startswith("re:"):
        return re.match(pattern[3:], f"model.layers.0.{probe}" if "." in probe else probe) is not None
    if "*" in pattern or "?" in pattern:
        return fnmatchcase(f"model.layers.0.{probe}" if "." in probe else probe, pattern)
    return pattern == probe or pattern in probe.split(".") or probe.startswith(pattern + ".")
