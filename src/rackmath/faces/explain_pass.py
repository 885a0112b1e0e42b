"""The terms of one forward pass, and of what a device holds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .explain import Node, count, given, of_machine, product, quotient, stated

if TYPE_CHECKING:
    from ..kernel.efficiency import Efficiency
    from ..kernel.roofline import Op, PassTime
    from ..layout.footprint import Footprint
    from ..layout.parallelism import Layout
    from ..search.grid import Question

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


def pass_nodes(name: str, time: PassTime, q: Question) -> Node:
    """The estimate of a pass as the sum of its operations and the step overhead."""
    eff = q.efficiency
    terms = [_operation(op, float(seconds), q) for op, seconds in time.terms if float(seconds) > 0]
    terms.append(Node(name="step overhead", value=eff.step_overhead, unit="s", source=eff.source))
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


def _operation(op: Op, seconds: float, q: Question) -> Node:
    eff, layers = q.efficiency, float(op.layers)
    n = count("layers", layers)
    launches = product(
        "launches", "s", n, count("kernels", op.kernels),
        Node(name="launch", value=eff.launch, unit="s", source=eff.source),
    )  # fmt: skip
    if op.kind == "network":
        note = f"latency + traffic / ({eff.link_share:g} of the link rate)"
        each = Node(name="collective", value=float(op.network), unit="s", note=note)
        busy = product("exchanging", "s", n, each)
    else:
        busy = product("running", "s", n, _slower(op, q))
    return stated("sum", op.name, seconds, "s", busy, launches)


def _slower(op: Op, q: Question) -> Node:
    """One layer's operation: the slower of computing and moving."""
    eff = q.efficiency
    share = Node(name="achieved share", value=eff.memory(op.kind), unit="share", source=eff.source)
    bandwidth = of_machine(q.machine, "hbm_bandwidth", "memory bandwidth")
    size = Node(name="bytes", value=float(op.bytes), unit="B", note=BYTES_OF[op.kind])
    moving = quotient("moving", "s", size, bandwidth, share)
    flops, achieved = float(op.flops), float(op.achieved)
    if not flops or not achieved:
        computing = Node(name="computing", value=0.0, unit="s")
    else:
        work = Node(name="FLOPs", value=flops, unit="FLOP", note=FLOPS_OF[op.kind])
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
