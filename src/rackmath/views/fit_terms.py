"""Where the constants of an estimate come from: fits of kernels, and what an engine costs around them.

A constant in force is the fitted one times what serving runs say of it, or what was set by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .machine_terms import Node, product, stated

if TYPE_CHECKING:
    from ..kernel.efficiency import Efficiency
    from ..kernel.roofline import Op
    from ..search.grid import Question
    from ..world.model import LayerGroup
    from ..world.precision import Format, Precision
    from ..world.saved import Saved

SECONDS = {
    "launch": ("launch", "gap between launches"),
    "step": ("step_overhead", "step overhead"),
    "sequence": ("sequence_overhead", "host work per sequence"),
    "host": ("host", "host time per kernel"),
    "exchange": ("exchange_latency", "engine's start of an exchange"),
}
"""Fields of an efficiency by the name they have in data/fitted/tuning.toml, and what each is."""

BY_HAND = "set by hand"


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelTerms:
    """The constants of one kernel in force; `node` holds them and says what they were fitted on."""

    node: Node
    compute: Node
    memory: Node
    latency: Node
    peak: str  # operand type whose peak it runs at


class Fits:
    """Constants in force for a question, each one node: a tree that uses it twice shows it once."""

    def __init__(self, q: Question, precision: Precision) -> None:
        self.q, self.precision = q, precision
        self._kernels: dict[tuple[str, str], KernelTerms] = {}
        self._seconds: dict[str, Node] = {}

    @cached_property
    def _unchanged(self) -> Efficiency:
        """The efficiency nobody changed by hand."""
        from ..kernel.llamacpp import constants

        return constants(self.q.machine, self.q.engine)

    # --- kernels ------------------------------------------------------------------------------------------------

    def of(self, op: Op) -> tuple[KernelTerms, ...]:
        """The fits an operation's time was made of, most often one."""
        return tuple(self.kernel(kind, type_, peak) for kind, type_, peak in dict.fromkeys(self._kinds(op)))

    def _kinds(self, op: Op) -> Iterator[tuple[str, str, str]]:
        """Kind of kernel, type of kernel, and type of the peak it runs at."""
        if op.kind == "elementwise":
            yield op.kind, "bf16", "bf16"
        elif op.name == "output head":
            yield "gemm", *self._run(self.precision.of("head"))
        else:
            for group in self.q.model.groups:
                label = f" {group.name}" if group.name else ""
                if op.name.endswith(label):
                    yield from self._in_group(op, op.name.removesuffix(label), group)

    def _in_group(self, op: Op, name: str, group: LayerGroup) -> Iterator[tuple[str, str, str]]:
        from ..kernel.counts import entry_format

        mixer, ffn = group.mixer, group.ffn
        if name == "adapters":
            yield "gemm", "bf16", "bf16"
        for title, matrices in (("attention projections", mixer.matrices if mixer else ()), ("feed-forward", ffn.matrices if ffn else ())):
            if name == title:
                yield from (("gemm", *self._run(self.precision.of(m.component))) for m in matrices)
        if name == "routed experts" and ffn and ffn.n_experts:
            yield "experts", *self._run(self.precision.of("experts"))
        for stream in mixer.streams if mixer else ():
            latent = stream.heads <= 1
            if name == f"{stream.name} attention, decode":
                kind = "mla_decode" if latent else "attention_decode"
                yield kind, entry_format(stream, self.precision).kernel, "bf16"
            if name == f"{stream.name} attention, prefill":
                core = "mla_prefill" if latent else "attention_prefill"
                yield core if stream.prefill_flops else "elementwise", "bf16", "bf16"
        if name == "recurrent state":
            one = self.kernel("scan", "bf16", "bf16")
            yield "scan", "bf16", "bf16"
            if float(op.spent.launch) > (one.latency.value or 0.0) * (1 + 1e-9):
                yield "scan_prefill", "bf16", "bf16"

    def _run(self, fmt: Format) -> tuple[str, str]:
        """Type of the kernel that multiplies a format on this machine, and of the peak it runs at."""
        from ..kernel.counts import Pass
        from ..layout.job import PassJob
        from ..layout.parallelism import Layout

        q = self.q
        job = PassJob(q.model, q.machine, self.precision, Layout(), Pass(), q.efficiency, 0.0)
        return job.rate(fmt)[2], fmt.compute if q.machine.multiplies(fmt.compute) else "bf16"

    def kernel(self, kind: str, type_: str, peak: str) -> KernelTerms:
        """One kind of kernel and type of operands: shares of peak, latency, points and error of the fit."""
        found = self._kernels.get((kind, type_))
        if found is None:
            found = self._kernels[kind, type_] = self._kernel(kind, type_, peak)
        return found

    def _kernel(self, kind: str, type_: str, peak: str) -> KernelTerms:
        from ..kernel.achieved import kernels

        eff = self.q.efficiency
        use, before = eff.kernel(kind, type_), self._unchanged.kernel(kind, type_)
        fields = (
            ("compute share", "compute_share", "share"),
            ("memory share", "memory_share", "share"),
            ("kernel latency", "latency", "s"),
        )
        nodes = []
        if eff.generation is None:
            told, note = eff.source, "documented, not fitted"
            if self.q.engine.local:
                note = "data/fitted/llamacpp.toml, by class of device"
            for name, field, unit in fields:
                value = float(getattr(use, field))
                by = told if value == float(getattr(before, field)) else BY_HAND
                nodes.append(Node(name=name, value=value, unit=unit, source=by))
            label = f"{kind}.{type_}"
        else:
            known = kernels()
            entry = known.entry(kind, type_, eff.generation)
            base, error, label = known.constants[entry], known.errors[entry], ".".join(entry)
            note = f"{error.points:,} points, median error {error.median:.1%}"
            told = f"data/fitted/kernels.toml [{label}], {note}: {known.source}"
            for name, field, unit in fields:
                value, fitted = float(getattr(use, field)), float(getattr(base, field))
                if value != float(getattr(before, field)):
                    nodes.append(Node(name=name, value=value, unit=unit, source=BY_HAND))
                elif not fitted:
                    nodes.append(Node(name=name, value=value, unit=unit, source=told))
                else:
                    one = Node(name="of the kernel alone", value=fitted, unit=unit, source=told)
                    serving = Node(name="factor in serving", value=value / fitted, source=self._entries())
                    nodes.append(stated("product", name, value, unit, one, serving))
        compute, memory, latency = nodes
        node = Node(name=f"fit {label}", note=note, source=told, children=tuple(nodes))
        return KernelTerms(node=node, compute=compute, memory=memory, latency=latency, peak=peak)

    @cached_property
    def link(self) -> Node:
        """The share of a link's rate that collectives reach."""
        from ..kernel.achieved import kernels

        eff = self.q.efficiency
        by = eff.source
        if eff.link_share != self._unchanged.link_share:
            by = BY_HAND
        elif eff.generation is not None:
            known = kernels()
            entry = known.entry("all_reduce", "custom", eff.generation)
            error = known.errors[entry]
            by = f"data/fitted/kernels.toml [{'.'.join(entry)}], {error.points:,} points, median error {error.median:.1%}: {known.source}"
        return Node(name="achieved share", value=eff.link_share, unit="share", source=by)

    # --- the engine ---------------------------------------------------------------------------------------------

    def _entries(self) -> str:
        """The entries of data/fitted/tuning.toml that speak for this engine and generation."""
        from ..world.engine import tuned
        from ..world.engine_names import tuning_entries

        told, found = tuned(), []
        for name in tuning_entries(self.q.engine.name, self.q.machine.generation):
            found.append(self._entry(name, told))
        own = self._own
        return f"data/fitted/tuning.toml {'; '.join(found)}" + (f"; {_told(own)}" if own else "")

    @cached_property
    def _own(self) -> Saved | None:
        """The user's engine, where the question is about one."""
        from ..world.saved import saved

        return saved(self.q.engine.name)

    @staticmethod
    def _entry(name: str, told: dict[str, Any]) -> str:
        part = told
        for key in name.split("."):
            part = part[key]
        if "points" not in part:
            return f"[{name}] {part['source']}"
        return f"[{name}] {part['points']:,} runs, median error {part['median']:.1%}"

    def seconds(self, name: str) -> Node:
        """Seconds an engine adds, one of `SECONDS`: the pooled value times the engine's and the generation's."""
        found = self._seconds.get(name)
        if found is None:
            found = self._seconds[name] = self._made(name)
        return found

    def _made(self, name: str) -> Node:
        from ..world.engine import tuned
        from ..world.engine_names import tuning_entries

        field, title = SECONDS[name]
        value = float(getattr(self.q.efficiency, field))
        if value != float(getattr(self._unchanged, field)):
            return Node(name=title, value=value, unit="s", source=BY_HAND)
        raw = tuned()
        pooled = float(raw["pooled"][name])
        documented = self.q.efficiency.generation is None and name in ("launch", "host", "exchange")
        documented = documented or self.q.engine.local
        if not value or not pooled or documented:
            return Node(name=title, value=value, unit="s", source=self.q.efficiency.source)
        parts = []
        for entry in tuning_entries(self.q.engine.name, self.q.machine.generation):
            part: Any = raw
            for key in entry.split("."):
                part = part[key]
            source = f"data/fitted/tuning.toml {self._entry(entry, raw)}"
            if entry == "pooled":
                parts.append(Node(name="pooled", value=pooled, unit="s", source=source))
            elif name in part:
                words = f"factor of {entry.rpartition('.')[2]}"
                parts.append(Node(name=words, value=float(part[name]), source=source))
        if self._own is not None and name in self._own.factors:
            own = self._own
            parts.append(Node(name=f"factor of {own.name}", value=own.factors[name], source=_told(own)))
        rest = value / (product("", "s", *parts).value or 1.0)
        if abs(rest - 1) > 1e-9:
            parts.append(Node(name="factor of its age", value=rest, note="kernels of a new generation mature"))
        return stated("product", title, value, "s", *parts)


def _told(own: Saved) -> str:
    return f"engines/{own.name}.toml: {own.said or 'no source given'}"
