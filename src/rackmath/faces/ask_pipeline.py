"""The verb `pipeline`: words in, answer out. No arithmetic here.

>>> pipeline("meta-llama/Llama-3.1-405B", "8xh100").pipelines.smallest
2
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import BadInput
from ..questions.resolve import Quantity, at_least, parse_layout, question
from ..units import parse, plural

if TYPE_CHECKING:
    from ..search.pipeline import Pipelines
    from ..world.machine import Machine
    from ..world.model import Model
    from .export import Face


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineAnswer:
    """The decision about pipeline stages, and what a reader must know."""

    pipelines: Pipelines
    notes: tuple[str, ...]

    def face(self) -> Face:
        from . import show_pipeline

        return show_pipeline.face(self)


def pipeline(
    model: str | Model,
    on: str | Machine,
    *,
    context: Quantity = 8192,
    batch: Quantity | None = None,
    users: Quantity | None = None,
    micro_batches: Quantity | None = None,
    stages: Quantity | None = None,
    layout: str | None = None,
    precision: str | None = None,
    kv: str | None = None,
    price: str | None = None,
    engine: str | None = None,
    sets: Mapping[str, Quantity] | None = None,
    extrapolate: bool = False,
) -> PipelineAnswer:
    """How many pipeline stages: memory, pace and cost for each number of them, in both readings.

    `layout`: the devices of one stage; `batch`: sequences of a micro-batch where that is what stays; `users`: all
    sequences where those stay; `micro_batches`: under way at once, as many as stages by default; `stages`: the most
    to look at.
    """
    from ..search.pipeline import dependencies, pipelines
    from ..world.lengths import within
    from ..world.workload import Traffic

    length = at_least(parse(context, "count", name="context"), 1, "context")
    q, notes = question(
        model,
        on,
        traffic=Traffic(isl=length, osl=1),
        precision=precision,
        kv=kv,
        price=price,
        engine=engine,
        sets=sets,
    )
    notes += within(q.model, length, "context", extrapolate=extrapolate)
    stage = parse_layout(layout, q) if layout else None
    if stage is not None and float(stage.pp) > 1:
        raise BadInput(f"layout {stage.label()} is of {stage.pp:g} stages; name the devices of one stage, without PP")
    most = None
    if stages is not None:
        number = parse(stages, "count", name="stages")
        if number != int(number):
            raise BadInput(f"stages = {stages!r} is not a whole number")
        most = int(number)
    m = None
    if micro_batches is not None:
        m = at_least(parse(micro_batches, "count", name="micro_batches"), 1, "micro_batches")
        if m != int(m):
            raise BadInput(f"micro_batches = {micro_batches!r} is not a whole number")
    found = pipelines(
        q,
        q.precisions[0],
        context=length,
        batch=None if batch is None else at_least(parse(batch, "count", name="batch"), 1, "batch"),
        users=None if users is None else at_least(parse(users, "count", name="users"), 1, "users"),
        stage=None if stage is None else replace(stage, pp=1.0),
        most=most,
        micro_batches=m,
    )
    notes += dependencies(q.model)
    beyond = found.stages[found.gpus > q.machine.n_devices]
    if len(beyond):
        notes.append(
            f"from {plural(beyond[0], 'stage')} on, {q.machine.name} with its {plural(q.machine.n_devices, 'device')}"
            " is too small:"
            " more of the same over its scale-out network are assumed"
        )
    notes.append("decoding only: prefill is not in these times and costs")
    return PipelineAnswer(pipelines=found, notes=tuple(dict.fromkeys(notes)))
