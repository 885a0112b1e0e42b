"""The terms of one forward pass, and of what a device holds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .explain import Node, count, given, of_machine, product, quotient, stated

if TYPE_CHECKING:
    from ..kernel.efficiency import Efficiency
    from ..kernel.roofline import Op, PassTime
    from ..layout.footprint import Footprint
    from ..layout.parallelism import Layout
    from ..search.grid import Question
    from ..world.precision import Precision

FLOPS_OF = {
    "gemm": "2 x tokens on the device x parameters it holds",
    "experts": "2 x tokens x top-k x parameters of an expert / devices of the stage",
    "attention_decode": "sequences x attended entries x FLOPs per entry / tp",
    "attention_prefill": "prompt tokens x mean attended entries x FLOPs per entry / tp",
    "scan": "tokens x FLOPs of the recurrence / tp",
    "elementwise": "counted as traffic only",
}
BYTES_OF = {
    "gemm": "weights the device holds, read once",
    "experts": "expected distinct experts the batch touches on the device x bytes of an expert",
    "attention_decode": "cache entries read and written",
    "attention_prefill": "cache entries of the prompts read, and written",
    "scan": "recurrent state read and written",
    "elementwise": "hidden vectors read and written by norms, residuals and activations",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a decode-only pass carries: `sequences` of one token each, in all attention-DP groups together."""

    layout: Layout
    precision: Precision
    sequences: float

    @property
    def rank(self) -> Node:
        """Tokens, and sequences, that one device sees."""
        each = self.sequences / float(self.layout.dp)
        return count("tokens on the device", each, "decoding sequences / dp")


def pass_nodes(name: str, time: PassTime, q: Question, load: Load | None = None) -> Node:
    """The estimate of a pass as the sum of its operations and the step overhead; with `load` its counts too."""
    eff = q.efficiency
    terms = [_operation(op, float(seconds), q, load) for op, seconds in time.terms if float(seconds) > 0]
    terms.append(Node(name="step overhead", value=eff.step_overhead, unit="s", source=eff.source))
    if q.speculation is not None:
        rest = float(time.estimate) - sum(n.value or 0.0 for n in terms)
        terms.append(Node(name="making drafts", value=rest, unit="s", note="passes of what drafts, before the check"))
    terms.sort(key=lambda n: -(n.value or 0.0))
    return stated("sum", name, float(time.estimate), "s", *terms)


def bound(time: PassTime) -> Node:
    """The bound of a pass: its largest resource, everything overlapped at 100 % of peak."""
    parts = [
        Node(name=name, value=float(value), unit="s", note=note)
        for name, value, note in (
            ("compute", time.compute, "FLOPs / peak"),
            ("memory", time.memory, "the fewest bytes that would do / bandwidth"),
            ("scale-up links", time.up, "least traffic / link rate"),
            ("scale-out links", time.out, "least traffic / link rate"),
        )
    ]
    return stated("max", "bound", float(time.bound), "s", *parts)


def _operation(op: Op, seconds: float, q: Question, load: Load | None) -> Node:
    eff, layers = q.efficiency, float(op.layers)
    n = count("layers", layers)
    launches = product(
        "launches", "s", n, count("kernels", op.kernels),
        Node(name="launch", value=eff.launch, unit="s", source=eff.source),
    )  # fmt: skip
    if op.kind == "network":
        busy = product("exchanging", "s", n, _collective(op, q))
    else:
        busy = product("running", "s", n, _slower(op, q, load))
    return stated("sum", op.name, seconds, "s", busy, launches)


def _collective(op: Op, q: Question) -> Node:
    """One exchange: an all-reduce inside a domain is traffic at the achieved rate, and the latency that is left."""
    share, note = q.efficiency.link_share, "latency + traffic / achieved link rate"
    moving, whole = float(op.up) / share, float(op.network)
    if not op.name.startswith("all-reduce") or float(op.out) or not 0 < moving <= whole:
        return Node(name="collective", value=whole, unit="s", note=note)
    least = Node(name="traffic at the full link rate", value=float(op.up), unit="s")
    achieved = Node(name="achieved share", value=share, unit="share", source=q.efficiency.source)
    return stated(
        "sum", "collective", whole, "s", Node(name="latency", value=whole - moving, unit="s"),
        quotient("traffic", "s", least, achieved),
    )  # fmt: skip


def _counted(op: Op, q: Question, load: Load | None) -> tuple[Node, Node]:
    """FLOPs and bytes of one layer's operation, as a product where a few numbers make it."""
    flops = Node(name="FLOPs", value=float(op.flops), unit="FLOP", note=FLOPS_OF[op.kind])
    size = Node(name="bytes", value=float(op.bytes), unit="B", note=BYTES_OF[op.kind])
    if load is None or not load.rank.value:
        return flops, size
    rank, two = load.rank, count("2", 2.0, "a multiply-add is two FLOPs")
    if op.kind == "gemm" and float(op.flops):
        held = Node(name="parameters on the device", value=float(op.flops) / 2 / load.rank.value, unit="params")
        flops = stated("product", "FLOPs", float(op.flops), "FLOP", two, rank, held)
        each = quotient("bytes per parameter", "", Node(name="bytes", value=float(op.bytes), unit="B"), held)
        size = stated("product", "bytes", float(op.bytes), "B", held, each, note="read once")
    elif op.kind == "attention_decode":
        one = Node(name="FLOPs of a sequence", value=float(op.flops) / load.rank.value, unit="FLOP",
                   note="attended entries x FLOPs per entry / tp")  # fmt: skip
        entries = Node(name="bytes of a sequence", value=float(op.bytes) / load.rank.value, unit="B",
                       note="cache entries read, and the new one written")  # fmt: skip
        flops = stated("product", "FLOPs", float(op.flops), "FLOP", rank, one)
        size = stated("product", "bytes", float(op.bytes), "B", rank, entries)
    elif op.kind == "experts" and (weights := _expert_bytes(q, load)):
        touched = count("experts touched", float(op.bytes) / weights, "expected, on the device, of those it holds")
        one = Node(name="bytes of an expert", value=weights, unit="B", source=f"format {load.precision.experts.name}")
        size = stated("product", "bytes", float(op.bytes), "B", touched, one)
    return flops, size


def _expert_bytes(q: Question, load: Load) -> float:
    """Bytes of one expert's part on a device; 0 where the model's experts are not all alike."""
    ffns = [g.ffn for g in q.model.groups if g.ffn and g.ffn.n_experts]
    sizes = {sum(m.parameters for m in f.expert) + f.expert_extra_parameters for f in ffns}
    each = load.precision.experts.bytes / float(load.layout.moe_tp)
    return sizes.pop() * each if len(sizes) == 1 else 0.0


def _slower(op: Op, q: Question, load: Load | None) -> Node:
    """One layer's operation: the slower of computing and moving."""
    eff = q.efficiency
    share = Node(name="achieved share", value=eff.memory(op.kind), unit="share", source=eff.source)
    bandwidth = of_machine(q.machine, "hbm_bandwidth", "memory bandwidth")
    work, size = _counted(op, q, load)
    moving = quotient("moving", "s", size, bandwidth, share)
    flops, achieved = float(op.flops), float(op.achieved)
    if not flops or not achieved:
        computing = Node(name="computing", value=0.0, unit="s")
    else:
        computing = quotient("computing", "s", work, _rate(flops / achieved, op.kind, q))
    slower = max(moving.value or 0.0, computing.value or 0.0)
    return stated("max", "one layer", slower, "s", computing, moving)


def _rate(rate: float, kind: str, q: Question) -> Node:
    """The FLOP/s an operation reaches, traced to a peak, a share and an imbalance where one format explains it."""
    eff, name = q.efficiency, "achieved FLOP/s"
    for compute in ("bf16", "fp8", "fp4", "int8"):
        peak = float(q.machine.peak(compute))
        share = eff.compute(kind, compute)
        for uneven in (1.0, eff.imbalance):
            if peak and abs(peak * share / uneven / rate - 1) < 1e-9:
                field = peak_field(q, compute, peak)
                parts = [of_machine(q.machine, field, f"peak {field[5:].upper()}"), _share(eff, share)]
                if uneven == 1.0:
                    return stated("product", name, rate, "FLOP/s", *parts)
                load = Node(name="busiest rank over mean", value=uneven, source=eff.source)
                reached = product("at even load", "FLOP/s", *parts)
                return stated("quotient", name, rate, "FLOP/s", reached, load)
    return Node(name=name, value=rate, unit="FLOP/s", note="several formats together", source=eff.source)


def _share(eff: Efficiency, share: float) -> Node:
    return Node(name="achieved share", value=share, unit="share", source=eff.source)


def peak_field(q: Question, compute: str, peak: float) -> str:
    """The field the peak came from: a format without its own tensor path falls back to a wider one."""
    for kind in (compute, "fp8", "bf16"):
        if float(getattr(q.machine, f"peak_{kind}")) == peak:
            return f"peak_{kind}"
    return "peak_bf16"


def memory(holds: Footprint, batch: float, layout: Layout, q: Question) -> Node:
    """Bytes on the fullest device: weights, reserve, and cache."""
    used = float(holds.used(batch, layout))
    per = Node(name="cache per sequence", value=float(holds.per_sequence), unit="B",
               note="all layers of the fullest stage at the mean context, with room for its spread")  # fmt: skip
    held = math.ceil(batch / float(layout.dp))
    sequences = count("sequences per rank", held, "batch / dp, rounded up")
    prompts = Node(name="prompts in progress", value=float(holds.prompts), unit="B", note="being prefilled")
    engine = f"{q.engine.name} engine: {1 - q.engine.memory_share:.0%} unfilled, runtime, activations"
    return stated(
        "sum", "memory in use", used, "B",
        Node(name="weights", value=float(holds.weights), unit="B", note="of the fullest stage"),
        product("cache", "B", sequences, per),
        prompts,
        given("reserve", float(holds.reserved), "B", by=engine),
    )  # fmt: skip
