"""What not batching costs: a token decoded alone over a token in a batch without end (LECTURE section 3)."""

from __future__ import annotations

from dataclasses import dataclass

from ..kernel.counts import idle_expert_parameters, read_bytes
from ..world.precision import Precision
from .balance import multiply_time, streamed_bytes
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
    multiply = multiply_time(model, machine, precision)
    cache = float(read_bytes(model, context, precision)) / bandwidth
    weights = streamed_bytes(model, precision)
    idle = precision.of("experts").bytes * sum(idle_expert_parameters(g) for g in model.groups)
    endless = max(multiply, cache)
    return Unbatched(
        all_read=max(weights / bandwidth + cache, endless) / endless, touched=max((weights - idle) / bandwidth + cache, endless) / endless
    )
