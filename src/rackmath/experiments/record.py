"""Measure the networks of the lab once and write data/fitted/lab.toml: python -m rackmath.experiments.record.

Takes some minutes on one core. The ledger, `rackmath lab ... --recorded` and the documentation read the file.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from .. import shipped
from .measure import memory
from .parallel import parallel
from .results import Parallel, ReversibleMemory

FILE = shipped.FITTED / "lab.toml"

HEAD = """\
# Measured figures of the lab's networks, written by python -m rackmath.experiments.record; not edited by hand.
# Bytes and seconds of one training step on one thread (processor time); losses in nats per byte of text;
# shares from 0 to 1.
"""


def toml(value: Any) -> str:
    """A value as TOML, numbers to nine digits.

    >>> toml({"a": (1, 0.1234567891), "fixed point": 0.0})
    '{ a = [1, 0.123456789], "fixed point" = 0.0 }'
    """
    if isinstance(value, bool | str):
        return {True: "true", False: "false"}[value] if isinstance(value, bool) else f'"{value}"'
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(k)} = {toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, Sequence):
        return "[" + ", ".join(map(toml, value)) + "]"
    text = str(value) if isinstance(value, int) else f"{value:.9g}"
    return text if isinstance(value, int) or set(text) & set(".en") else text + ".0"


def _key(name: str) -> str:
    return name if name.isidentifier() else f'"{name}"'


def document(reversible: ReversibleMemory, side_by_side: Parallel) -> str:
    """The file's text."""
    m, p = reversible, side_by_side
    sizes = {k: getattr(m, k) for k in ("width", "context", "batch", "steps", "stretch")}
    return "\n".join(
        [
            HEAD,
            _table("made", asdict(m.made)),
            _table("memory", sizes),
            *(_table("[memory.depth]", asdict(one)) for one in m.depths),
            *(_table("[memory.rebuilt]", {"layers": one.layers, **one.error}) for one in m.rebuilt),
            *(_table("[memory.curve]", asdict(one)) for one in m.curves),
            *(_table("[parallel.net]", asdict(one)) for one in p.nets),
            *(_table("[parallel.attack]", asdict(one)) for one in p.attacks),
            *(_table("[parallel.differential]", asdict(one)) for one in p.differentials),
            *(_table("[parallel.cipher]", asdict(one)) for one in p.ciphers),
        ]
    )


def _table(name: str, row: Mapping[str, Any]) -> str:
    return f"[{name}]\n" + "".join(f"{_key(k)} = {toml(v)}\n" for k, v in row.items())


def main() -> None:
    """Measure, say what is being done, and write the file."""

    def hear(done: float, doing: str) -> None:
        print(f"{done:4.0%} {doing}", file=sys.stderr)

    reversible = memory(batch=16, depths=(4, 8, 16, 32), rebuilt_at=(6, 12, 24, 48, 96), steps=400, seeds=5, hear=hear)
    FILE.write_text(document(reversible, parallel(hear=hear)))


if __name__ == "__main__":
    main()
