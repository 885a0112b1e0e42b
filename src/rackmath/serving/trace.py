"""A step as events that chrome://tracing and Perfetto read."""

from __future__ import annotations

from collections.abc import Iterator

from .pieces import Piece
from .timeline import Segment, Timeline, lane, wrapped

TRACKS = ("step", "tensor cores", "memory", "links")


def trace(t: Timeline) -> dict[str, object]:
    """The step as events that chrome://tracing and Perfetto read: one process per stage, times in microseconds.

    The track "step" holds what each stage does, within its micro-batch; the others how long tensor cores, memory
    and links are at work during an operation (they start with it, together). Hops are on the links of the sender.
    """
    events: list[dict[str, object]] = []
    for stage in range(t.stages):
        names = [("process_name", 0, _stage_name(t, stage))]
        names += [("thread_name", i, track) for i, track in enumerate(TRACKS)]
        events += [{"ph": "M", "name": n, "pid": stage, "tid": i, "args": {"name": v}} for n, i, v in names]
        for segment in lane(t, stage, layerwise=True):
            events += _events(segment, stage)
        events += _hops(t, stage)
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def _stage_name(t: Timeline, stage: int) -> str:
    devices = f"each of {float(t.layout.gpus) / t.stages:g} GPUs"
    return devices if t.stages == 1 else f"stage {stage + 1} of {t.stages}, {devices}"


def _events(s: Segment, stage: int) -> Iterator[dict[str, object]]:
    args: dict[str, object] = {"layers": s.block} if s.block else {}
    if s.micro >= 0:
        args["micro_batch"] = s.micro + 1
    parts = (s.seconds, s.piece.computing, s.piece.moving, s.piece.sending)
    for track, seconds in enumerate(parts):
        if seconds > 0:
            yield _event(s.piece.name, s.piece.kind, stage, track, s.start, seconds, args)


def _hops(t: Timeline, stage: int) -> Iterator[dict[str, object]]:
    """Sending each micro-batch's result on; a hop across the end of the step goes on at its beginning."""
    if stage == t.stages - 1 or not t.hop:
        return
    ends = sum(t.busy[: stage + 1]) + stage * t.hop
    for j in range(t.micro_batches):
        cycle = [("", j, Piece(name="hop", kind="hop", seconds=t.hop, sending=t.hop))]
        for s in wrapped(cycle, (ends + j * t.spacing) % t.step, t.step):
            yield _event("hop", "hop", stage, 3, s.start, s.seconds, {"micro_batch": j + 1})


def _event(name: str, kind: str, pid: int, tid: int, start: float, seconds: float, args: dict[str, object]) -> dict[str, object]:
    """Something that lasts, on track `tid` of process `pid`."""
    return {"ph": "X", "name": name, "cat": kind, "pid": pid, "tid": tid, "ts": start * 1e6, "dur": seconds * 1e6, "args": args}
