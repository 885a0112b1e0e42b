"""How fast operations really run: constants of kernels, and what an engine adds around them.

Kernels reach the shares of peak that `kernel.achieved` describes; a serving engine puts gaps between them, work of
its host around each pass and more for every sequence in it. `calibrated` resolves both for a generation of
accelerators and an engine: the first fitted on kernel times (`data/fitted/kernels.toml`), the second on serving runs
(`data/fitted/tuning.toml`). Both fits are scripts of `rackmath.evidence`, and both files say on what and how well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from .. import shipped
from ..world.engine import KINDS as GROUPS
from ..world.engine import TYPICAL, Engine, Tuning, released
from ..world.engine_names import tuning
from ..world.precision import FORMATS
from ..world.saved import saved
from .achieved import Kernel, kernels


@dataclass(frozen=True, slots=True, kw_only=True)
class Efficiency:
    """Shares of peak (0 to 1], and the seconds that neither FLOPs nor bytes explain.

    `compute_share["kind.type"]` of the tensor peak, `memory_share["kind.type"]` of the memory bandwidth, `link_share`
    of a link's rate, `latency` factor of a kernel's own latency by kind; `launch` seconds an engine leaves between
    kernels, `step_overhead` per pass, `sequence_overhead` per sequence of a rank, `exchange_latency` per collective
    beside the link's own, `host` per kernel of a pass with prefill, which no graph holds: such a pass takes at least
    so long; `request_overhead` per request, and `queue` over the ideal line (both in its time to first token);
    `expert_time` what experts' activations take longer (their products' share of it is in the shares);
    `imbalance` the busiest expert rank's load over the mean, `spread` the share of tokens that choose experts as if
    independently. `overlap` 1: the engine can run two half batches in turn, one computing while the other exchanges.
    `exchange`: how tokens reach experts, one of `layout.experts.SCHEMES`, or "cheapest". Without a `generation`
    kernels are ideal: they run at their peaks.
    """

    generation: str | None = None
    compute_share: Mapping[str, float] = field(default_factory=dict)
    memory_share: Mapping[str, float] = field(default_factory=dict)
    latency: Mapping[str, float] = field(default_factory=dict)
    expert_time: Mapping[str, float] = field(default_factory=dict)  # of experts' activations, by operand type
    link_share: float = 0.8
    launch: float = 2.5e-6
    step_overhead: float = 1e-3
    sequence_overhead: float = 0.0
    exchange_latency: float = 0.0
    host: float = 0.0
    request_overhead: float = 0.0
    queue: float = 1.0
    imbalance: float = 1.0
    spread: float = 1.0
    overlap: float = 0.0
    exchange: str = "cheapest"
    source: str = "ideal"
    _found: dict[tuple[str, str], Kernel] = field(default_factory=dict, init=False, repr=False, compare=False)

    def kernel(self, kind: str, type_: str = "bf16") -> Kernel:
        """The constants of a kind of kernel for an operand type, shares as this record has them."""
        found = self._found.get((kind, type_))
        if found is None:
            found = self._found[kind, type_] = self._kernel(kind, type_)
        return found

    def _kernel(self, kind: str, type_: str) -> Kernel:
        if self.generation is None:
            base, entry = Kernel(), (kind, type_)
        else:
            known = kernels()
            base, entry = known.of(kind, type_, self.generation), known.entry(kind, type_, self.generation)[:2]
        name = ".".join(entry)
        compute, memory = (
            table.get(name, table.get(f"{kind}.{_OPERAND.get(type_, type_)}", table.get(kind)))
            for table in (self.compute_share, self.memory_share)
        )
        longer = self.expert_time.get(entry[1], 1.0) if kind == "experts" else 1.0
        return replace(
            base,
            latency=base.latency * self.latency.get(GROUPS.get(kind, kind), 1.0),
            compute_share=base.compute_share if compute is None else compute,
            memory_share=base.memory_share if memory is None else memory,
            rows=base.rows * longer,
            tokens=base.tokens * longer,
        )


_OPERAND = {f.name: f.compute for f in FORMATS.values()}
"""Operand types of number formats: what documented shares are kept by."""


def default_efficiency() -> Efficiency:
    """Kernels and the typical engine on a generation that nobody measured.

    >>> 0 < default_efficiency().kernel("gemm").memory_share <= 1
    True
    """
    return calibrated("")


def calibrated(generation: str, engine: Engine | None = None) -> Efficiency:
    """Constants for a generation of accelerators ("hopper", "cdna3", ...) under a serving engine.

    >>> calibrated("hopper").kernel("gemm").latency < 1e-5
    True
    """
    of = engine or TYPICAL
    return of_age(generation, of.name, released(of.name, of.version))


@cache
def bare(generation: str) -> Efficiency:
    """Kernels in one compiled graph: their own constants, and no server around them that schedules and streams.

    For runtimes that work off a batch or a queue by themselves. Nothing of it is fitted on such runs: the kernels'
    fit, what graphs hide of launches, and a step of `COMPILED_STEP`.

    >>> bare("hopper").sequence_overhead
    0.0
    """
    served = tuning("", generation)
    return resolved(
        generation,
        Tuning(
            latency=served.latency,
            launch=served.launch,
            exchange=served.exchange,
            step=COMPILED_STEP,
            sequence=0.0,
            host=0.0,
            request=0.0,
            imbalance=served.imbalance,
            spread=served.spread,
            source=f"kernels in a compiled graph, {generation or 'any generation'}",
        ),
    )


COMPILED_STEP = 1e-4
"""Seconds around a pass where a runtime only samples and loops; an engineer's round number."""


def of_age(generation: str, engine: str, age: float | None) -> Efficiency:
    """The same for an engine by name, released `age` months after January 2026 (None: current)."""
    if saved(engine) is not None:  # a user's own may be saved anew
        return resolved(generation, tuning(engine, generation, age))
    return _packaged(generation, engine, age)


@cache
def _packaged(generation: str, engine: str, age: float | None) -> Efficiency:
    return resolved(generation, tuning(engine, generation, age))


GPUS = ("", "volta", "turing", "ampere", "ada", "hopper", "blackwell", "rubin", "cdna", "battlemage")
"""First words of the generations that run kernels like the measured ones; "" is a device nothing is known of."""


@cache
def _documented() -> Mapping[str, Any]:
    return shipped.read(shipped.FACTS / "efficiency.toml")


def _without_kernels(of: Tuning) -> Efficiency:
    """Documented shares for devices whose kernels nobody measured (TPUs, Gaudi, Apple, CPUs), an engine's own
    seconds.

    Latencies of GPU kernels say nothing of a compiled program on a systolic array.
    """
    raw = _documented()
    types = ("bf16", "fp8", "fp4", "int8")
    kinds = {"mla_decode": "attention_decode", "mla_prefill": "attention_prefill", "scan_prefill": "scan"}
    compute: dict[str, float] = dict(raw["compute_share"])
    memory: dict[str, float] = dict(raw["memory_share"])
    for name, like in kinds.items():
        compute[name], memory[name] = compute[like], memory[like]
    return Efficiency(
        compute_share={**{f"{k}.{t}": v for k, v in compute.items() if "." not in k for t in types}, **compute},
        memory_share=memory,
        link_share=raw["network"]["link_share"],
        launch=raw["overhead"]["launch"],
        step_overhead=of.step,
        sequence_overhead=of.sequence,
        request_overhead=of.request,
        queue=of.queue,
        imbalance=of.imbalance,
        spread=of.spread,
        source=f"{of.source}; kernels: {raw['source']}",
    )


def resolved(generation: str, of: Tuning) -> Efficiency:
    """The constants of a generation's kernels under a tuning."""
    if generation and not generation.startswith(GPUS[1:]):
        return _without_kernels(of)
    compute, memory = {}, {}
    known = kernels()
    for kind, type_ in sorted({entry[:2] for entry in known.constants}):
        base, group = known.of(kind, type_, generation), GROUPS.get(kind, kind)
        longer = of.experts.get(type_, 1.0) if kind == "experts" else 1.0
        compute[f"{kind}.{type_}"] = min(base.compute_share * of.compute.get(group, 1.0) / longer, 1.0)
        memory[f"{kind}.{type_}"] = min(base.memory_share * of.memory.get(group, 1.0) / longer, 1.0)
    return Efficiency(
        generation=generation,
        compute_share=compute,
        memory_share=memory,
        latency=of.latency,
        expert_time=of.experts,
        link_share=known.of("all_reduce", "custom", generation).memory_share,
        launch=of.launch,
        step_overhead=of.step,
        sequence_overhead=of.sequence,
        exchange_latency=of.exchange,
        host=of.host,
        request_overhead=of.request,
        queue=of.queue,
        imbalance=of.imbalance,
        spread=of.spread,
        source=f"{of.source}; kernels: {known.source}",
    )
