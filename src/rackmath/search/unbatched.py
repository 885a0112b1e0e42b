"""What not batching costs: a token decoded alone over a token in a batch without end (LECTURE section 3)."""

from __future__ import annotations

from dataclasses import dataclass

from ..kernel.counts import expert_parameters, read_bytes, weight_flops
from ..world.precision import Precision
from .balance import streamed_bytes
from .grid import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Unbatched:
    """Cost of a token at batch 1 over its cost at a batch without end, at the roofline; pure numbers, 1 or more.

    `all_read`: the lone sequence has every expert read, as the lecture's formula has it. `touched`: only the experts
    it is routed to, as happens. With a short context these are B* and R; a long one lowers both, since a token's own
    cache is shared with nobody.
    """

    all_read: float
    touched: float


def unbatched(question: Question, precision: Precision, context: float) -> Unbatched:
    """The two penalties at `context` cached tokens, with unlimited memory and the whole machine's peak.

    c(1) / c(inf) = (weights + cache) / max(multiplying, cache), in seconds of one device for one token.
    """
    model, machine = question.model, question.machine
    bandwidth = float(machine.hbm_bandwidth)
    main = precision.of("experts" if any(g.ffn and g.ffn.n_experts for g in model.groups) else "mlp")
    multiply = weight_flops(model) / float(machine.peak(main.compute))
    cache = float(read_bytes(model, context, precision)) / bandwidth
    weights = streamed_bytes(model, precision)
    idle = sum(
        g.count * (g.ffn.n_experts - g.ffn.top_k) * expert_parameters(g.ffn) * precision.of("experts").bytes
        for g in model.groups
        if g.ffn
    )
    endless = max(multiply, cache)
    return Unbatched(
        all_read=max(weights / bandwidth + cache, endless) / endless,
        touched=max((weights - idle) / bandwidth + cache, endless) / endless,
    )
