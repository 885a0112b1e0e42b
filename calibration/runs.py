"""Serving runs as sums over kernels: what fits of engines need to try constants without running the model again.

Every run of one pool is one row. Its two passes, decode only and with a chunk of prefill, are flattened into entries,
one for each operation: seconds by cause with nothing tuned, from the same `layout.forward.operations` that answers
every question. A tuning scales the causes and adds the engine's own seconds; `calibration.engines.Fit.steps` does
what `kernel.roofline.pass_time` does, for all rows at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rackmath.errors import BadInput
from rackmath.evidence.one_pool import Loop, layouts, loop
from rackmath.evidence.predict import age, named
from rackmath.evidence.rows import Row
from rackmath.kernel.achieved import kernels
from rackmath.kernel.counts import Pass
from rackmath.kernel.efficiency import resolved
from rackmath.kernel.uncertainty import family
from rackmath.layout.forward import operations
from rackmath.layout.job import kernel_type
from rackmath.layout.parallelism import Layout, stage_share
from rackmath.serving.replica import Replica
from rackmath.world.engine import CURRENT, KINDS, TYPICAL, Tuning
from rackmath.world.engine_names import engine as named_engine
from rackmath.world.engine_names import engine_key

Column = NDArray[np.float64]
SPREAD = 0.75
"""Share of a batch's tokens that choose their experts as if independently: text is alike. Not fitted: 0.6 to 0.9 fit
alike."""

GROUPS = ("gemm", "experts", "decode", "prefill", "elementwise", "network")
NEUTRAL = Tuning(launch=0.0, step=0.0, sequence=0.0, exchange=0.0, host=0.0, imbalance=1.0, spread=SPREAD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """One operation of one row's pass each: `row`, `group` of `GROUPS`, `type` of experts (index of `Runs.types`),
    how often it runs, seconds by cause, launches."""

    row: NDArray[np.intp]
    group: NDArray[np.intp]
    type: NDArray[np.intp]
    layers: Column
    compute: Column
    memory: Column
    moved: Column
    launch: Column
    network: Column
    kernels: Column


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """Rows, what identifies them, and their passes; `loops` hold what a closed loop needs beside pass times."""

    rows: tuple[Row, ...]
    system: tuple[str, ...]
    model: tuple[str, ...]
    engine: tuple[str, ...]
    generation: tuple[str, ...]
    types: tuple[str, ...]
    age: Column  # months behind `CURRENT` software
    tpot: Column
    ttft: Column
    share: Column  # of a mean step's prefill chunk that falls on a step, steady state
    ranks: Column  # sequences per rank
    several: Column  # 1 where experts lie on several ranks
    uneven: Column
    plain: Entries
    mixed: Entries
    loops: tuple[tuple[NDArray[np.intp], Loop, Replica], ...]

    def __len__(self) -> int:
        return len(self.rows)


def runs(rows: Sequence[Row]) -> Runs:
    """All rows of one pool that have an answer, a TPOT and no drafts, and say themselves how they were run."""
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if row.reason or row.prefill is not None or row.speculation == "mtp" or not row.measured.tpot or guessed(row):
            continue
        groups[row.model, row.machine, row.engine, row.weights, row.spread].append(row)
    kept: list[Row] = []
    loops: list[tuple[NDArray[np.intp], Loop, Replica]] = []
    facts: list[tuple[str, str, str, str]] = []
    columns: dict[str, list[Column]] = defaultdict(list)
    entries: tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]] = ([], [])
    types = sorted({entry[1] for entry in kernels().constants if entry[0] == "experts"})
    for members in groups.values():
        first = members[0]
        try:
            model, machine, precision = named(first.model, first.machine, first.engine, first.weights)
        except BadInput:
            continue
        key = engine_key(first.engine)
        raw = resolved(machine.generation, NEUTRAL)
        of = Replica(model, machine, precision, Layout(), named_engine(key) if key else TYPICAL, raw)
        it = loop(of, members)
        good = np.array([not why for why in it.reasons])
        if not good.any():
            continue
        members = [r for r, ok in zip(members, good, strict=True) if ok]
        it = loop(of, members)
        at = np.arange(len(kept), len(kept) + len(members))
        layout = layouts([r.decode.layout for r in members])
        for into, work in zip(entries, _works(it, layout), strict=True):
            for op in operations(model, machine, precision, layout, work, raw):
                into.append((at, op, types.index(_type(machine.generation, of)) if model.has_experts else 0))
        kept += members
        facts += [(machine.accelerator, family(model.name), key or "typical", machine.generation)] * len(members)
        loops.append((at, it, of))
        s = it.serving
        columns["share"].append(np.broadcast_to(s.mixed, at.shape))
        columns["ranks"].append(it.inside / np.asarray(layout.dp))
        columns["several"].append((np.asarray(layout.ep) > 1) * np.ones(at.shape))
        columns["uneven"].append(np.broadcast_to(stage_share(model, layout) * layout.pp, at.shape))
    got = {name: np.concatenate(parts).astype(float) for name, parts in columns.items()}
    mean = [r.measured for r in kept]
    return Runs(
        rows=tuple(kept),
        system=tuple(f[0] for f in facts),
        model=tuple(f[1] for f in facts),
        engine=tuple(f[2] for f in facts),
        generation=tuple(f[3] for f in facts),
        types=tuple(types),
        age=np.array([_behind(r) for r in kept]),
        tpot=np.array([m.tpot for m in mean], dtype=float),
        ttft=np.array([m.ttft or np.nan for m in mean], dtype=float),
        plain=_flat(entries[0]),
        mixed=_flat(entries[1]),
        loops=tuple(loops),
        **got,
    )


def guessed(row: Row) -> bool:
    """Whether a row's layout, or what a cache held, is read into it: such rows are scored, not fitted on."""
    return row.cached > 0 or any("the batch" in reading for reading in row.readings)


def _behind(row: Row) -> float:
    months = age(row)
    return 0.0 if months is None else max(CURRENT - months, 0.0)


def _type(generation: str, of: Replica) -> str:
    fmt = of.precision.of("experts")
    return kernels().entry("experts", kernel_type(fmt, of.machine), generation)[1]


def _works(it: Loop, layout: Layout) -> tuple[Pass, Pass]:
    """The decode-only pass and the one that also carries prefill, as `serving.steady` times them."""
    s = it.serving
    micro, fresh = np.maximum(it.inside / layout.pp, 1.0), it.fresh
    isl, osl = it.lengths
    decode = Pass(decode=micro, context=isl + osl / 2)
    mixed = Pass(decode=micro, context=isl + osl / 2, prefill=s.carried, prompt=isl, prompt_cached=isl - fresh, busiest=s.chunk / s.carried)
    return decode, mixed


def _flat(made: list[tuple[Any, ...]]) -> Entries:
    parts: dict[str, list[Column]] = defaultdict(list)
    for at, op, type_ in made:
        n = at.shape
        group = GROUPS.index("network" if op.kind == "network" else KINDS[op.kind])
        parts["row"].append(at)
        parts["group"].append(np.full(n, group))
        parts["type"].append(np.full(n, type_))
        parts["layers"].append(np.full(n, float(op.layers)))
        for name in ("compute", "memory", "moved", "launch"):
            parts[name].append(np.broadcast_to(np.asarray(getattr(op.spent, name), dtype=float), n))
        parts["network"].append(np.broadcast_to(np.asarray(op.network, dtype=float), n))
        parts["kernels"].append(np.broadcast_to(np.asarray(op.kernels, dtype=float), n))
    return Entries(**{name: np.concatenate(found) for name, found in parts.items()})  # type: ignore[arg-type]
