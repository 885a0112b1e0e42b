"""A log of the requests one vLLM server answered: the whole run is served again, step by step, in a simulation.

Used of the rows: when each request came and how many tokens it had. `queued_ts`, the second at which the engine took
it in, is the arrival; where it is blank `arrival_time` is, and arrivals given in whole seconds are spread evenly over
their second. Settings of a run stand in a file beside the log (`..._runs.csv` beside `..._requests.csv`); without one
they are vLLM's defaults, with as much room for cache as the footprint leaves. Prompts share no prefix.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput
from ..files import is_regular
from ..kernel.counts import Pass
from ..kernel.efficiency import Efficiency
from ..layout.footprint import footprint
from ..layout.forward import forward
from ..layout.parallelism import Layout
from ..search.passtimes import pass_times
from ..search.requests import Requests, Served
from ..search.simulate import Scheduler, simulate
from ..world import catalog
from ..world.engine_names import engine as engine_of
from ..world.machine import Machine
from ..world.model import Model
from ..world.precision import Precision
from .answer import AnsweredRow, Asked, Estimate, RowScores, Text, number, whole
from .table import table

Column = NDArray[np.float64]

MEASURED = ("scheduled_ts", "first_token_ts", "last_token_ts", "ttft_s", "tpot_s")
PREDICTED = ("ttft_s", "tpot_s")

LARGE_MEMORY = 70 * 2**30
"""Devices from this many bytes on get vLLM's larger default step (8,192 tokens and 1,024 sequences)."""

CACHE_BLOCK = 16
"""Tokens in a block of vLLM's cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSetting:
    """What served a run."""

    model: Model
    machine: Machine
    precision: Precision
    layout: Layout
    efficiency: Efficiency
    scheduler: Scheduler
    engine: str
    notes: tuple[str, ...]


def answers(rows: Sequence[Text], path: Path | str | None = None, *, asked: Asked | None = None) -> tuple[AnsweredRow, ...]:
    """An answer for every row of a log, measurements beside predictions; `path` tells where its settings may lie."""
    chosen = asked or Asked()
    said = read(rows, Asked(engine=chosen.engine, efficiency=chosen.efficiency, path=Path(path) if path else None))
    found = []
    for row, one in zip(rows, said, strict=True):
        seen = {column: number(row, column) for column in PREDICTED}
        found.append(AnsweredRow(given=row, measured={c: v for c, v in seen.items() if v is not None and v > 0}, said=one))
    return tuple(found)


def read(rows: Sequence[Text], asked: Asked) -> list[RowScores]:
    """What is said about every row; columns with measurements are not looked at."""
    said: list[RowScores | None] = [None] * len(rows)
    settings = _settings(asked.path)
    runs: dict[str, list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        runs[row.get("run") or ""].append(i)
    for run, members in runs.items():
        try:
            setting = setting_of(run, settings.get(run, {}), asked)
        except BadInput as error:
            for i in members:
                said[i] = _keys(run, None, reason=str(error))
            continue
        for i, one in zip(members, _run(run, [rows[i] for i in members], setting), strict=True):
            said[i] = one
    return [one for one in said if one is not None]


def _settings(path: Path | None) -> dict[str, Text]:
    """Settings by run from the file beside the log, if there is one."""
    if path is None or "_requests" not in path.name:
        return {}
    beside = path.with_name(path.name.replace("_requests", "_runs"))
    if not is_regular(beside):
        return {}
    return {line.get("run", ""): line for line in table(beside)[1]}


def setting_of(run: str, given: Text, asked: Asked) -> LogSetting:
    """A run's setting from its name, "GPU/model", and what is stated of it (`given` may be empty)."""
    device, _, name = run.partition("/")
    device, name = given.get("device") or device, given.get("model") or name
    if not device or not name:
        raise BadInput(f"run = {run!r:.60} names no GPU and model; write them as GPU/model")
    model, machine = catalog.model(name), catalog.machine(device)
    kind = (given.get("dtype") or "auto").lower()
    precision = model.precision if kind in ("auto", "bfloat16", "float16", "half") else Precision.uniform(kind)
    tp, dp = whole(given, "tp", 1.0), whole(given, "dp", 1.0)
    layout = Layout(tp=tp, dp=dp, ep=tp * dp if (given.get("ep") or "").lower() == "true" else 1.0)
    large = float(machine.hbm_capacity) >= LARGE_MEMORY
    budget = whole(given, "max_num_batched_tokens", 8192.0 if large else 2048.0)
    sequences = whole(given, "max_num_seqs", 1024.0 if large else 256.0)
    notes = () if given else ("settings are vLLM's defaults",)
    room = number(given, "kv_tokens")
    if room is None:
        engine = replace(
            engine_of(f"vllm {given.get('vllm') or ''}"),
            memory_share=asked.engine.memory_share or 0.9,
            step_tokens=budget,
            sequences=sequences,
            chunk_tokens=budget,
        )
        each = float(CACHE_BLOCK)
        fits = footprint(model, machine, precision, layout, engine, each)
        room = each * float(fits.batch_max)
        notes = (*notes, f"room for {room:,.0f} tokens of cache, from the footprint")
        if room < each:
            raise BadInput(f"{model.name} leaves no room for a cache on {machine.name}")
    return LogSetting(
        model=model,
        machine=machine,
        precision=precision,
        layout=layout,
        efficiency=asked.on(machine, "vllm", given.get("vllm") or ""),
        scheduler=Scheduler(budget=budget, sequences=sequences, kv_tokens=room, block=CACHE_BLOCK),
        engine=" ".join(("vllm", given.get("vllm") or "")).strip(),
        notes=notes,
    )


def arrivals(rows: Sequence[Text]) -> tuple[Column, bool]:
    """Seconds at which requests came, the first at 0, and whether the engine's own clock took them.

    >>> arrivals([{"arrival_time": "100"}, {"arrival_time": "101"}, {"arrival_time": "101"}])
    (array([0. , 1. , 1.5]), False)
    """
    queued = [number(row, "queued_ts") for row in rows]
    own = all(t is not None for t in queued)
    times = np.array([needed_time(row) if t is None or not own else t for row, t in zip(rows, queued, strict=True)])
    times = times - times.min()
    if not own and np.all(times == np.floor(times)):
        _, which, size = np.unique(times, return_inverse=True, return_counts=True)
        place = np.zeros(len(times))
        seen: defaultdict[int, int] = defaultdict(int)
        for i, second in enumerate(which.tolist()):
            place[i] = seen[second]
            seen[second] += 1
        times = times + place / size[which]
        times = times - times.min()
    return times, own


def needed_time(row: Text) -> float:
    """The arrival of a request by the sender's clock."""
    found = number(row, "arrival_time")
    if found is None:
        raise BadInput("neither queued_ts nor arrival_time says when the request came")
    return found


def serve(rows: Sequence[Text], of: LogSetting) -> tuple[Served, bool]:
    """The run simulated, and whether arrivals are by the engine's clock."""
    inputs = np.array([whole(row, "input_toks") for row in rows])
    outputs = np.array([whole(row, "output_toks") for row in rows])
    times, own = arrivals(rows)
    table = pass_times(
        of.model,
        of.machine,
        of.precision,
        of.layout,
        of.efficiency,
        sequences=of.scheduler.sequences,
        context=float(np.max(inputs + outputs)),
        budget=of.scheduler.budget,
    )
    return simulate(Requests(inputs=inputs, outputs=outputs, arrival=times), table, of.scheduler), own


def _run(run: str, rows: Sequence[Text], of: LogSetting) -> list[RowScores]:
    """All rows of a run; those that cannot be read, or never fit, are left out of the simulation."""
    reasons: dict[int, str] = {}
    for i, row in enumerate(rows):
        try:
            tokens = whole(row, "input_toks") + whole(row, "output_toks")
            if number(row, "queued_ts") is None:
                needed_time(row)
            if tokens > of.scheduler.kv_tokens:
                raise BadInput(f"{tokens:,.0f} tokens do not fit a cache of {of.scheduler.kv_tokens:,.0f}")
        except BadInput as error:
            reasons[i] = str(error)
    good = [i for i in range(len(rows)) if i not in reasons]
    said = [_keys(run, of, reason=reasons.get(i, "")) for i in range(len(rows))]
    if not good:
        return said
    served, own = serve([rows[i] for i in good], of)
    ttft = served.engine_ttft if own else served.ttft
    bounds = _bounds(of, served.inputs, served.outputs)
    for j, i in enumerate(good):
        predicted = {"ttft_s": Estimate(pred=float(ttft[j]), bound=float(bounds["ttft_s"][j]))}
        if served.outputs[j] > 1:
            predicted["tpot_s"] = Estimate(pred=float(served.tpot[j]), bound=float(bounds["tpot_s"][j]))
        said[i] = _keys(run, of, estimates=predicted)
    return said


def _bounds(of: LogSetting, inputs: Column, outputs: Column) -> dict[str, Column]:
    """The least seconds: a prompt alone in the engine, and decode steps of one sequence alone."""

    def bound(work: Pass) -> Column:
        return np.asarray(forward(of.model, of.machine, of.precision, of.layout, work, of.efficiency).bound)

    ttft = bound(Pass(prefill=inputs, prompt=inputs))
    return {"ttft_s": ttft, "tpot_s": bound(Pass(decode=np.ones_like(inputs), context=inputs + outputs / 2))}


def _keys(run: str, of: LogSetting | None, *, estimates: Mapping[str, Estimate] | None = None, reason: str = "") -> RowScores:
    device, _, model = run.partition("/")
    return RowScores(
        system=of.machine.name if of else device,
        model=of.model.name if of else model,
        engine=of.engine if of else "vllm",
        mode="requests",
        estimates=estimates or {},
        reason=reason,
        notes=of.notes if of else (),
    )
