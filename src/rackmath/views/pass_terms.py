"""The terms of one forward pass, and of what a device holds."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..serving.pieces import HOST, SEQUENCES, around
from .fit_terms import Fits, KernelTerms
from .machine_terms import Node, count, given, of_machine, product, quotient, root, stated, total

if TYPE_CHECKING:
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
class DecodeLoad:
    """What a decode-only pass carries: `sequences` of one token each, in all attention-DP groups together."""

    layout: Layout
    precision: Precision
    sequences: float

    @property
    def rank(self) -> Node:
        """Tokens, and sequences, that one device sees."""
        each = self.sequences / float(self.layout.dp)
        return count("tokens on the device", each, "decoding sequences / dp")


def pass_nodes(name: str, time: PassTime, q: Question, precision: Precision, sequences: float, load: DecodeLoad | None = None) -> Node:
    """The estimate of a pass: its operations, and what the engine does around them; with `load` its counts too.

    `sequences`: those a rank decodes. In a pass with prefill the host sets the pace where it is the slower.
    """
    fits = Fits(q, precision)
    terms = [_operation(op, float(seconds), fits, load) for op, seconds in time.terms if float(seconds) > 0]
    rest = around(time, q.efficiency, sequences)
    terms.append(fits.seconds("step"))
    if rest.get(SEQUENCES):
        terms.append(product(SEQUENCES, "s", count("sequences of a rank", sequences), fits.seconds("sequence")))
    terms.sort(key=lambda n: -(n.value or 0.0))
    device = total(name, "s", *terms)
    own, estimate, drafts = device, float(time.estimate), None
    if any(op.kind == "attention_prefill" for op, _ in time.terms) or (HOST in rest and q.speculation is None):
        kernels = sum(float(op.layers) * float(op.kernels) for op, _ in time.terms)
        host = product("work of the host", "s", count("kernels", kernels, "launched one by one with prefill"), fits.seconds("host"))
        device = total("work of the device", "s", *terms)
        own = root(4, name, "s", device, host, note="the slower of both sets the pace")
    if q.speculation is not None:
        drafts = Node(name="making drafts", value=estimate - (own.value or 0.0), unit="s", note="passes of what drafts, before the check")
        checking = replace(own, name="checking pass") if own.rule != "sum" else None
        return stated("sum", name, estimate, "s", *((checking,) if checking else own.children), drafts)
    found = replace(own, value=estimate)
    if found.follows():
        return found
    waiting = Node(name=HOST, value=estimate - (device.value or 0.0), unit="s", note="or for another half batch")
    return stated("sum", name, estimate, "s", *terms, waiting)


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


def _operation(op: Op, seconds: float, fits: Fits, load: DecodeLoad | None) -> Node:
    """All layers' kernels of one operation: at work, starting, and apart; with the fits they come from."""
    n, kernels = count("layers", float(op.layers)), count("kernels", float(op.kernels))
    gaps = product("gaps", "s", kernels, fits.seconds("launch"))
    if op.kind == "network":
        parts = (product("exchanging", "s", n, _collective(op, fits)), product("launches", "s", n, gaps))
        return _half(stated("sum", op.name, seconds, "s", *parts), fits)
    of = fits.of(op)
    start = Node(name="kernels starting", value=float(op.spent.launch), unit="s")
    if len(of) == 1 and of[0].latency.value:
        times = count("times", float(op.spent.launch) / of[0].latency.value, "kernels whose latency no other hides")
        start = stated("product", "kernels starting", float(op.spent.launch), "s", times, of[0].latency)
    launches = product("launches", "s", n, total("of a layer", "s", start, gaps))
    busy = product("running", "s", n, _at_work(op, fits.q, of[0] if len(of) == 1 else None, load))
    return _half(stated("sum", op.name, seconds, "s", busy, launches, *(fit.node for fit in of)), fits)


def _half(node: Node, fits: Fits) -> Node:
    """The node, or its value with a note where its terms are another's: of the whole of two half batches in turn, or
    of the least of unequal cards and the host."""
    elsewhere = fits.q.machine.cards or "on the host" in node.name
    note = "with the constants of where it lies" if elsewhere else "two half batches in turn"
    return node if node.follows() else Node(name=node.name, value=node.value, unit="s", note=note)


def _collective(op: Op, fits: Fits) -> Node:
    """One exchange: an all-reduce inside a domain is traffic at the achieved rate, and the latency that is left."""
    share, note = fits.link.value or 1.0, "latency + traffic / achieved link rate"
    moving, whole = float(op.up) / share, float(op.network)
    if not op.name.startswith("all-reduce") or float(op.out) or not 0 < moving <= whole:
        return Node(name="collective", value=whole, unit="s", note=note)
    own = fits.seconds("exchange")
    start = Node(name="start of a collective", value=whole - moving - (own.value or 0.0), unit="s", note="and of the pieces of its message")
    least = Node(name="traffic at the full link rate", value=float(op.up), unit="s")
    return stated("sum", "collective", whole, "s", total("latency", "s", start, own), quotient("traffic", "s", least, fits.link))


def _counted(op: Op, q: Question, load: DecodeLoad | None) -> tuple[Node, Node]:
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
        one = Node(
            name="FLOPs of a sequence", value=float(op.flops) / load.rank.value, unit="FLOP", note="attended entries x FLOPs per entry / tp"
        )
        entries = Node(
            name="bytes of a sequence",
            value=float(op.bytes) / load.rank.value,
            unit="B",
            note="cache entries read, and the new one written",
        )
        flops = stated("product", "FLOPs", float(op.flops), "FLOP", rank, one)
        size = stated("product", "bytes", float(op.bytes), "B", rank, entries)
    elif op.kind == "experts" and (weights := _expert_bytes(q, load)):
        touched = count("experts touched", float(op.bytes) / weights, "expected, on the device, of those it holds")
        one = Node(name="bytes of an expert", value=weights, unit="B", source=f"format {load.precision.experts.name}")
        size = stated("product", "bytes", float(op.bytes), "B", touched, one)
    return flops, size


def _expert_bytes(q: Question, load: DecodeLoad) -> float:
    """Bytes of one expert's part on a device; 0 where the model's experts are not all alike."""
    ffns = [g.ffn for g in q.model.groups if g.ffn and g.ffn.n_experts]
    sizes = {sum(m.parameters for m in f.expert) + f.expert_extra_parameters for f in ffns}
    each = load.precision.experts.bytes / float(load.layout.moe_tp)
    return sizes.pop() * each if len(sizes) == 1 else 0.0


WASTED = {
    "gemm": "the last, half-filled wave of tiles",
    "experts": "ragged tiles of experts with few rows",
    "attention_decode": "narrow tiles of query heads",
    "attention_prefill": "softmax, and masked halves of tiles",
    "scan": "",
}
CROSSING = {
    "gemm": "inputs and outputs of the products",
    "experts": "",
    "attention_decode": "what short contexts waste of a page",
    "attention_prefill": "queries and outputs",
    "scan": "",
    "elementwise": "",
}
MOVED = {"experts": "activations of the experts, in kernels of their own", "scan": "tokens that a recurrence works off one by one"}


def _at_work(op: Op, q: Question, fit: KernelTerms | None, load: DecodeLoad | None) -> Node:
    """One layer's kernels: computing and moving at once, the one hiding most of the other, then what only moves."""
    work, size = _counted(op, q, load)
    both = (_computing(op, q, fit, work), _moving(op, q, fit, size))
    moved = float(op.spent.moved)
    if not moved > 1e-12 * float(op.spent.busy):
        return root(2, "one layer", "s", *both)
    note = MOVED.get(op.kind, "formats one after the other")
    return stated(
        "sum",
        "one layer",
        float(op.spent.busy),
        "s",
        root(2, "computing and moving", "s", *both),
        Node(name="moved besides", value=moved, unit="s", note=note),
    )


def _computing(op: Op, q: Question, fit: KernelTerms | None, work: Node) -> Node:
    """Seconds of computing: FLOPs at the peak of their format, with what tiles waste, over the share reached."""
    seconds = float(op.spent.compute)
    plain = Node(name="computing", value=seconds, unit="s", note="several formats together" if seconds else "")
    peak = 0.0 if fit is None else float(q.machine.peak(fit.peak))
    if not seconds or not peak or fit is None or not fit.compute.value:
        return plain
    at_peak = quotient("at peak", "s", work, of_machine(q.machine, peak_field(q, fit.peak, peak), _peak_name(q, fit)))
    whole = seconds * fit.compute.value
    if op.kind == "experts" and q.efficiency.imbalance != 1.0 and whole > (at_peak.value or 0.0) * (1 + 1e-9):
        uneven = Node(name="busiest rank over mean", value=q.efficiency.imbalance, source=q.efficiency.source)
        loaded = product("on the busiest rank", "s", at_peak, uneven)
        at_peak = loaded if (loaded.value or 0.0) <= whole * (1 + 1e-9) else at_peak
    wasted = whole - (at_peak.value or 0.0)
    if wasted < -1e-9 * whole:
        return plain
    if wasted > 1e-9 * whole:
        extra = Node(name="wasted", value=wasted, unit="s", note=WASTED.get(op.kind, ""))
        at_peak = total("at peak, with waste", "s", at_peak, extra)
    return stated("quotient", "computing", seconds, "s", at_peak, fit.compute)


def _peak_name(q: Question, fit: KernelTerms) -> str:
    return f"peak {peak_field(q, fit.peak, float(q.machine.peak(fit.peak)))[5:].upper()}"


def _moving(op: Op, q: Question, fit: KernelTerms | None, size: Node) -> Node:
    """Seconds of moving: bytes through memory over the bandwidth reached."""
    seconds = float(op.spent.memory)
    plain = Node(name="moving", value=seconds, unit="s", note="several formats together" if seconds else "")
    if not seconds or fit is None or not fit.memory.value:
        return plain
    whole = seconds * fit.memory.value * float(q.machine.hbm_bandwidth)
    more = whole - (size.value or 0.0)
    if more < -1e-9 * whole:
        return plain
    if more > 1e-9 * whole:
        besides = Node(name="besides", value=more, unit="B", note=CROSSING.get(op.kind, ""))
        size = total("bytes moved", "B", size, besides)
    bandwidth = of_machine(q.machine, "hbm_bandwidth", "memory bandwidth")
    return stated("quotient", "moving", seconds, "s", size, bandwidth, fit.memory)


def peak_field(q: Question, compute: str, peak: float) -> str:
    """The field the peak came from: a format without its own tensor path falls back to a wider one."""
    for kind in (compute, "fp8", "bf16"):
        if float(getattr(q.machine, f"peak_{kind}")) == peak:
            return f"peak_{kind}"
    return "peak_bf16"


def memory(holds: Footprint, batch: float, layout: Layout, q: Question) -> Node:
    """Bytes on the fullest device: weights, reserve, and cache."""
    used = float(holds.used(batch, layout))
    per = Node(
        name="cache per sequence",
        value=float(holds.per_sequence),
        unit="B",
        note="all layers of the fullest stage at the mean context, with room for its spread",
    )
    held = math.ceil(batch / float(layout.dp))
    sequences = count("sequences per rank", held, "batch / dp, rounded up")
    prompts = Node(name="prompts in progress", value=float(holds.prefilling(held)), unit="B", note="being prefilled")
    return stated(
        "sum",
        "memory in use",
        used,
        "B",
        Node(name="weights", value=float(holds.weights), unit="B", note="of the fullest stage"),
        product("cache", "B", sequences, per),
        prompts,
        reserve(holds, q),
    )


def reserve(holds: Footprint, q: Question) -> Node:
    """What is neither weights nor cache: the terms of `layout.reserve`."""
    engine = f"{q.engine.name} {q.engine.version}".strip()
    terms = [given(name, float(value), "B", by=f"engine {engine}") for name, value in holds.terms.items()]
    return stated("sum", "reserve", float(holds.reserved), "B", *terms)
