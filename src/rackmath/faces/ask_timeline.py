"""The verb `timeline`: words in, answer out. No arithmetic here.

>>> answer = timeline("meta-llama/Llama-3.1-70B", "8xh100", layout="TP2 PP4", batch=64)
>>> answer.timeline.stages, answer.timeline.micro_batches
(4, 4)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import BadInput
from ..questions.resolve import Quantity, at_least, layout_taken, question
from ..units import parse

if TYPE_CHECKING:
    from ..search.grid import Question
    from ..serving.timeline import Timeline
    from ..world.machine import Machine
    from ..world.model import Model
    from ..world.precision import Precision
    from .export import Face


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineAnswer:
    """A step laid out in time. `batch`: sequences in all micro-batches together."""

    question: Question
    precision: Precision
    batch: float
    timeline: Timeline
    notes: tuple[str, ...]

    def face(self) -> Face:
        from . import show_timeline

        return show_timeline.face(self)


def timeline(
    model: str | Model,
    on: str | Machine,
    *,
    batch: Quantity = 64,
    context: Quantity = 8192,
    prefill: Quantity = 0,
    layout: str | None = None,
    micro_batches: Quantity | None = None,
    precision: str | None = None,
    kv: str | None = None,
    engine: str | None = None,
    sets: Mapping[str, Quantity] | None = None,
    extrapolate: bool = False,
) -> TimelineAnswer:
    """What each device does while `batch` sequences get one token each, beside `prefill` prompt tokens.

    With pipeline stages the batch is cut into as many micro-batches as there are stages, or into `micro_batches`;
    each carries the prefill tokens.
    """
    from ..kernel.counts import Pass
    from ..layout.footprint import footprint
    from ..layout.pipeline import disconnected
    from ..search.preferred import layout_for_pass
    from ..serving.timeline import pass_of
    from ..serving.timeline import timeline as run
    from ..world.lengths import within
    from ..world.workload import Traffic

    decode = at_least(parse(batch, "count", name="batch"), 0, "batch")
    cached = at_least(parse(context, "count", name="context"), 0, "context")
    prompt = at_least(parse(prefill, "count", name="prefill"), 0, "prefill")
    if not decode and not prompt:
        raise BadInput("batch and prefill are both 0: the step is empty; give at least one token")
    q, notes = question(
        model, on, traffic=Traffic(isl=max(cached, 1.0), osl=1), precision=precision, kv=kv, engine=engine, sets=sets
    )
    given = "context" if cached >= prompt else "prefill"
    notes += within(q.model, max(cached, prompt), given, extrapolate=extrapolate)
    whole = Pass(decode=decode, context=cached, prefill=prompt, prompt=max(prompt, 1.0))
    chosen = layout_taken(layout, q, lambda: layout_for_pass(q, q.precisions[0], whole), notes)
    if reason := disconnected(q.machine, chosen):
        raise BadInput(f"{reason}; give its bandwidth with --set machine.scaleout_bandwidth=50GB/s, or fewer devices")
    stages = int(chosen.pp)
    if micro_batches is None:
        m = stages if not decode else max(1, min(stages, int(decode)))
    else:
        wanted = parse(micro_batches, "count", name="micro_batches")
        if wanted != int(wanted) or not 1 <= wanted <= 256:
            raise BadInput(f"micro_batches = {micro_batches!r} is out of range; give a whole number from 1 to 256")
        if decode and wanted > decode:
            raise BadInput(f"{wanted:g} micro-batches need as many sequences; the batch has {decode:g}")
        m = int(wanted)
    work = pass_of(chosen, decode, cached, prompt, m)
    holds = footprint(q.model, q.machine, q.precisions[0], chosen, q.engine, cached)
    if not holds.used(decode, chosen) <= holds.capacity:
        notes.append("this batch does not fit in memory: the times are arithmetic only")
    if m < stages:
        notes.append(
            f"{m} micro-batches for {stages} stages: stages idle {1 - m / stages:.0%} of the time for want of more"
        )
    if m > stages:
        notes.append(f"{m} micro-batches for {stages} stages: a sequence waits until all others have had their turn")
    if stages > 1:
        notes.append("every stage is drawn with an equal share of each kind of layer, as the estimate takes it")
        if prompt:
            notes.append("every micro-batch carries the prompt tokens")
    made = run(q.model, q.machine, q.precisions[0], chosen, q.efficiency, work, micro_batches=m)
    return TimelineAnswer(
        question=q, precision=q.precisions[0], batch=decode, timeline=made, notes=tuple(dict.fromkeys(notes))
    )
