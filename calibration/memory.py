"""Constants of what engines keep in memory, fitted on logs: python -m calibration.memory [--check].

The rows are those of `data/facts/memory_logs.toml` that give no reason against it. Unknowns are a few physical
constants of each engine, from a version on: bytes of the sampler for each logit, copies of the hidden vector, memory
outside the framework, buffers of collectives. Squares of the errors of room (in units of 3 % of it) and, where it was
printed, of the activation peak are minimised, with a pull towards the documented start. Every model is also left out
in turn; the errors of its rows are printed with their sign and written beside the constants. Writes
`data/fitted/memory.toml`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rackmath import shipped
from rackmath.evidence.memory_logs import Log, found, logs
from rackmath.world.engine import GIB, _numbers

WANTED, LEAST, MOST = 0.03, 0.06, 0.15
"""An error counts as one where it is this share of the room, but from LEAST to MOST GiB: some rooms are derived."""

PULL = 0.3
"""Weight of a change of a constant by its own size, beside such an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryConstant:
    """One unknown: an engine's field from a version on, in the unit of its data file."""

    engine: str
    since: str
    name: str
    start: float
    least: float
    most: float

    @property
    def field(self) -> tuple[str, float]:
        """The field of `Engine` and what one unit of the data file is in it."""
        if self.name.endswith("_gib"):
            return self.name.removesuffix("_gib") + "_bytes", GIB
        return self.name, 1.0


UNKNOWN = (
    MemoryConstant(engine="vllm", since="0", name="logit_bytes", start=38.0, least=20, most=60),
    MemoryConstant(engine="vllm", since="0", name="hidden_copies", start=4.0, least=2, most=8),
    MemoryConstant(engine="vllm", since="0", name="runtime_gib", start=0.15, least=0.05, most=0.6),
    MemoryConstant(engine="vllm", since="0.10", name="link_gib", start=0.4, least=0.1, most=1.0),
    MemoryConstant(engine="vllm", since="0.17", name="logit_bytes", start=15.0, least=8, most=30),
    MemoryConstant(engine="vllm", since="0.17", name="runtime_gib", start=0.2, least=0.05, most=0.6),
    MemoryConstant(engine="vllm", since="0.17", name="link_gib", start=1.7, least=0.5, most=3.0),
    MemoryConstant(engine="vllm", since="0.21", name="graph_copies", start=1.0, least=0.3, most=2.0),
    MemoryConstant(engine="sglang", since="0", name="runtime_gib", start=0.8, least=0.3, most=1.5),
    MemoryConstant(engine="sglang", since="0", name="link_gib", start=1.2, least=0.3, most=3.0),
    MemoryConstant(engine="trtllm", since="0", name="runtime_gib", start=0.5, least=0.2, most=2.0),
)


def changed(log: Log, x: Sequence[float]) -> dict[str, float]:
    """The constants in force for a log's engine and version."""
    version = _numbers(log.engine.version)
    fields: dict[str, float] = {}
    for constant, value in zip(UNKNOWN, x, strict=True):
        if constant.engine == log.engine.name and (not version or _numbers(constant.since) <= version):
            name, unit = constant.field
            if name != "graph_copies" or log.engine.graph_copies:  # none where graphs were off
                fields[name] = value * unit
    return fields


def errors(x: Sequence[float], rows: Sequence[Log]) -> NDArray[np.float64]:
    """Errors of room and of printed activation peaks, in units of what is wanted of them."""
    out = []
    for log in rows:
        one = found(log, changed(log, x))
        out.append((one.room - log.room) / np.clip(WANTED * abs(log.room), LEAST * GIB, MOST * GIB))
        if np.isfinite(log.activation) and "activations" in one.terms:
            out.append((one.terms["activations"] - log.activation) / (MOST * GIB))
    return np.array(out)


def solve(rows: Sequence[Log]) -> NDArray[np.float64]:
    """The constants that fit the rows."""
    from scipy.optimize import least_squares

    start = np.array([c.start for c in UNKNOWN])

    def cost(z: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.concatenate([errors(list(start * z), rows), PULL * (z - 1)])

    bounds = ([c.least / c.start for c in UNKNOWN], [c.most / c.start for c in UNKNOWN])
    answer: NDArray[np.float64] = start * least_squares(cost, np.ones(len(start)), bounds=bounds, loss="soft_l1").x
    return answer


def main() -> None:
    rows = [log for log in logs() if not log.why]
    x = [float(f"{v:.3g}") for v in solve(rows)]
    lines = [
        "# Written by `python -m calibration.memory`: constants of what engines keep in memory, by engine",
        "# and version from which they hold. They replace those of data/facts/engine_memory.toml.",
        'source = "public logs of data/facts/memory_logs.toml"',
        'date = "2026-11-29"',
        f"logs = {len(rows)}",
    ]
    for engine in dict.fromkeys(c.engine for c in UNKNOWN):
        for since in dict.fromkeys(c.since for c in UNKNOWN if c.engine == engine):
            lines += ["", f'[{engine}."{since}"]']
            both = zip(UNKNOWN, x, strict=True)
            lines += [f"{c.name} = {v:g}" for c, v in both if (c.engine, c.since) == (engine, since)]
    lines += ["", "# Room of each log, predicted less logged, GiB: with its model in the fit and left out of it.", "[score]"]
    print(f"{'log':5} {'engine':14} {'logged':>7} {'fitted':>7} {'error':>7} {'left out':>8}")
    apart = {name: solve([r for r in rows if r.model.name != name]) for name in dict.fromkeys(r.model.name for r in rows)}
    for log in rows:
        own = (found(log, changed(log, x)).room - log.room) / GIB
        out = (found(log, changed(log, list(apart[log.model.name]))).room - log.room) / GIB
        words = f"{log.engine.name} {log.engine.version}"
        print(f"{log.id:5} {words:14} {log.room / GIB:7.2f} {(log.room / GIB + own):7.2f} {own:+7.2f} {out:+8.2f}")
        lines.append(f"{log.id} = [{own:.2f}, {out:.2f}]")
    if "--check" not in sys.argv:
        (shipped.FITTED / "memory.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
