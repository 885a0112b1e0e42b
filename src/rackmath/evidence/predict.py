"""Answers for measured rows: grouped by what changes structure, everything else a column."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput
from ..kernel.efficiency import Efficiency, of_age
from ..layout.footprint import Footprint, footprint
from ..layout.parallelism import Layout, illegal, stage_share
from ..serving.closedloop import ClosedLoop, closed_loop_ttft
from ..serving.disaggregated import DecodeReplica, decode_replica, prefill_replica, transfer
from ..serving.speculative import Speculation, own_layers
from ..serving.steady import BUSY_LIMIT, Serving, held_tokens, steady
from ..world import catalog
from ..world.engine import TYPICAL, Engine, engine_key, released
from ..world.engine import engine as named_engine
from ..world.machine import Machine
from ..world.model import Model
from ..world.precision import Precision
from ..world.workload import Traffic
from .rows import ROUNDS, Row

Column = NDArray[np.float64]

MTP_DEPTH, MTP_ACCEPTANCE = 3.0, 0.6
"""What rows with multi-token prediction are read as; they state neither. The acceptance is one number for all of
them, chosen to the nearest tenth so that their times per token are met on average."""

FIRST_OF_TWO = 2.7
"""Time in line before two pools over that of an ideal line, beyond an engine's own `queue`: routers, and caches that
travel while others wait. One number for all rows of two pools that state their workers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The answer for one row, in SI units and the row's own conventions; None and a reason where there is none.

    `tpot` and `ttft` are means over the run's requests, with their medians beside them.

    `batch`: sequences that decode in one worker. `tpot_bound` is that of this batch; where the row does not say how
    many workers share its concurrency, that of a single sequence in each.
    """

    row: Row
    reason: str = ""
    tpot: float | None = None
    ttft: float | None = None
    tpot_median: float | None = None
    ttft_median: float | None = None
    tput_per_gpu: float | None = None
    output_tput_per_gpu: float | None = None
    tpot_bound: float | None = None
    ttft_bound: float | None = None
    batch: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def answered(self) -> bool:
        return not self.reason

    @property
    def beats_bound(self) -> bool:
        """Whether a measured time is shorter than its bound: then row, reading or model is wrong."""
        seen = self.row.measured
        pairs = ((seen.tpot, self.tpot_bound), (seen.ttft, self.ttft_bound))
        return any(m is not None and b is not None and m < b * (1 - 1e-9) for m, b in pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setting:
    """What all rows of a group share."""

    model: Model
    machine: Machine
    precision: Precision
    engine: Engine
    efficiency: Efficiency
    speculation: Speculation | None


Under = Callable[[Efficiency], Efficiency]
"""The constants in force for a row, given the fitted ones."""


def predict(rows: Sequence[Row], *, engine: Engine = TYPICAL, under: Under = lambda e: e) -> tuple[Prediction, ...]:
    """An answer or a reason for every row, in their order."""
    found: list[Prediction | None] = [None] * len(rows)
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        if row.reason:
            found[i] = Prediction(row=row, reason=row.reason)
        else:
            key = (row.model, row.machine, row.engine, row.weights, row.speculation, row.mode)
            groups[*key, str(age(row)), str(row.spread)].append(i)
    for members in groups.values():
        for i, one in zip(members, _group([rows[i] for i in members], engine, under), strict=True):
            found[i] = one
    return tuple(one for one in found if one is not None)


def age(row: Row) -> float | None:
    """Months from January 2026 to the release of a row's engine, where version or date tell."""
    found = re.search(r"\d+\.\d+[\w.]*", row.version.rpartition(":")[2])
    return released(engine_key(row.engine), found.group(0) if found else "", row.date)


def _group(rows: Sequence[Row], engine: Engine, under: Under) -> list[Prediction]:
    first = rows[0]
    try:
        model, machine, precision = named(first.model, first.machine, first.engine, first.weights)
        drafts = None
        if first.speculation == "mtp":
            drafts = own_layers(model, precision, depth=MTP_DEPTH, acceptance=MTP_ACCEPTANCE)
        elif first.speculation not in ("none", "unstated"):
            raise BadInput(f"speculation {first.speculation!r} is not known")
    except BadInput as error:
        return [Prediction(row=row, reason=str(error)) for row in rows]
    if engine == TYPICAL and engine_key(first.engine):
        engine = named_engine(first.engine)
    of = _Setting(
        model=model, machine=machine, precision=precision, engine=engine,
        efficiency=under(of_age(machine.generation, engine.name, age(first))), speculation=drafts,
    )  # fmt: skip
    columns, reasons = (_aggregated if first.prefill is None else _disaggregated)(of, rows)
    assumed = (f"depth {MTP_DEPTH:g} and acceptance {MTP_ACCEPTANCE:g} assumed",) if drafts else ()
    return [
        _answer(row, why, row.readings + assumed, {name: float(column[i]) for name, column in columns.items()})
        for i, (row, why) in enumerate(zip(rows, reasons, strict=True))
    ]


def _answer(row: Row, why: str, notes: tuple[str, ...], values: Mapping[str, float]) -> Prediction:
    if why:
        return Prediction(row=row, reason=why, notes=notes)
    return Prediction(
        row=row,
        tpot=values["tpot"],
        ttft=values["ttft"],
        tpot_median=values.get("tpot_median", values["tpot"]),
        ttft_median=values.get("ttft_median", values["ttft"]),
        tput_per_gpu=values["tput_per_gpu"],
        output_tput_per_gpu=values["output_tput_per_gpu"],
        tpot_bound=values["tpot_bound"],
        ttft_bound=values["ttft_bound"],
        batch=values["batch"],
        notes=notes,
    )


@cache
def named(model: str, machine: str, engine: str, weights: str) -> tuple[Model, Machine, Precision]:
    """The model in the row's format, the machine, and the formats of weights and cache.

    A checkpoint published in four bits keeps its format whatever the row says. Rows do not state the cache's format:
    TensorRT-LLM keeps it in FP8 beside narrow weights, and so do the published launch scripts on machines that
    multiply in four bits; other engines keep 16 bits.
    """
    on = catalog.machine(machine)
    chosen = catalog.model(model)
    wanted = {"fp4": "nvfp4" if on.vendor == "NVIDIA" else "mxfp4", "fp8_block": "fp8"}.get(weights, weights)
    own = {getattr(chosen.precision, part).name for part in ("attention", "mlp", "experts")}
    four_bits = any("4" in name for name in own)
    if wanted and not four_bits and not any(name.startswith(wanted) for name in own):
        chosen = catalog.model(f"{model}-{wanted.upper()}")
    precision = chosen.precision
    narrow = min(precision.mlp.bytes, precision.experts.bytes) < 2
    widest = precision.kv.bytes > 1
    native4 = bool(float(on.peak_fp4)) and (on.vendor == "NVIDIA" or precision.experts.bytes < 1)
    if narrow and widest and ("trt" in engine or native4):
        precision = precision.with_kv("fp8")
    return chosen, on, precision


def _column(values: Sequence[float]) -> Column:
    return np.array(values, dtype=float)


def _layout(layouts: Sequence[Layout]) -> Layout:
    return Layout(**{name: _column([float(getattr(x, name)) for x in layouts]) for name in ("tp", "pp", "dp", "ep")})


def _traffic(rows: Sequence[Row]) -> Traffic:
    return Traffic(isl=_column([r.isl for r in rows]), osl=_column([r.osl for r in rows]))


# --- one pool -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """What a closed loop is made of, columns over the rows of a group.

    `step` a decode-only step with every user inside decoding, `base` with one, `carrying` one that also carries
    `carried` prompt tokens; `inside` users that have a seat of the `seats`; `steps` of an output.
    """

    wanted: Column
    inside: Column
    seats: Column
    step: Column
    base: Column
    carrying: Column
    carried: Column
    fresh: Column
    steps: Column
    poll: Column
    lengths: tuple[Column, Column]  # of prompts and outputs, means
    serving: Serving
    reasons: list[str]

    def rows(self, keep: NDArray[np.bool_], *, step: Column, carrying: Column) -> Loop:
        """Some of the rows, with other times of their passes; a lone user's step shrinks alike."""
        columns = ("wanted", "inside", "seats", "carried", "fresh", "steps", "poll")
        some: dict[str, Any] = {name: np.asarray(getattr(self, name))[keep] for name in columns}
        return replace(
            self, **some, step=step, base=step * (self.base / self.step)[keep], carrying=carrying,
            lengths=(self.lengths[0][keep], self.lengths[1][keep]),
        )  # fmt: skip

    def run(self, engine: Engine, efficiency: Efficiency, spread: float) -> ClosedLoop:
        """The users start at once, and ask again when they are answered."""
        per_token = np.maximum(self.carrying - self.step, 0.0) / self.carried
        return closed_loop_ttft(
            np.maximum(np.round(self.wanted), 1.0), self.fresh, self.steps + 1, step=self.step, base=self.base,
            per_token=per_token, budget=np.maximum(engine.chunk_tokens, self.carried),
            prefill_step=self.step / 2 if engine.prefill_first else 0.0, seats=self.seats, rounds=ROUNDS,
            spread=spread, prefill_first=engine.prefill_first, poll=self.poll,
            overhead=efficiency.request_overhead,
        )  # fmt: skip


def loop(of: _Setting, rows: Sequence[Row]) -> Loop:
    """The passes of rows of one pool, and the seats their workers have."""
    n = len(rows)
    layout, plain = _layout([r.decode.layout for r in rows]), _traffic(rows)
    traffic = replace(plain, cached=_column([r.cached for r in rows]), closed=True)
    wanted = _column([r.concurrency / r.decode.count for r in rows])
    args = (of.model, of.machine, of.precision, layout, of.engine, of.efficiency)
    held = held_tokens(traffic, wanted / np.asarray(layout.dp))
    holds = footprint(of.model, of.machine, of.precision, layout, of.engine, held, traffic.isl)
    reasons, most = _seats(of, rows, layout, holds)
    inside = np.minimum(wanted, most)
    s = steady(*args, traffic, inside, speculation=of.speculation)
    alone = steady(*args, traffic, np.ones(n), speculation=of.speculation, bounds=False)
    uneven = np.asarray(stage_share(of.model, layout) * layout.pp)
    kept = 1.0 if of.speculation is None else of.speculation.kept
    return Loop(
        wanted=wanted,
        inside=inside,
        seats=most,
        step=np.asarray(s.decode.estimate) * uneven,
        base=np.minimum(np.asarray(alone.decode.estimate), np.asarray(s.decode.estimate)) * uneven,
        carrying=np.asarray(s.mixed_pass.estimate) * uneven,
        carried=np.broadcast_to(s.carried, (n,)),
        fresh=np.maximum(np.asarray(traffic.isl * (1 - traffic.cached)), 1.0),
        steps=np.asarray(np.maximum((traffic.osl - 1) / kept, 0.0)),
        poll=_column([_poll(of, r) for r in rows]),
        lengths=(np.asarray(traffic.isl), np.asarray(traffic.osl)),
        serving=s,
        reasons=reasons,
    )


def _poll(of: _Setting, row: Row) -> float:
    """Decode steps between two looks for new requests: settings of the benchmark's public launch scripts for SGLang.

    `--scheduler-recv-interval` 10, and 30 from 16 users, on Blackwell; `--num-continuous-decode-steps` 4 on AMD.
    """
    if of.engine.name != "sglang" or not row.spread:
        return 1.0
    if of.machine.vendor == "AMD":
        return 4.0
    return (30.0 if row.concurrency >= 16 else 10.0) if of.machine.generation.startswith("blackwell") else 1.0


def _aggregated(of: _Setting, rows: Sequence[Row]) -> tuple[dict[str, Column], list[str]]:
    """One pool of equal workers, with as many requests inside as the row states."""
    it = loop(of, rows)
    found, s = it.run(of.engine, of.efficiency, rows[0].spread), it.serving
    per_token = it.steps / np.maximum(np.asarray([r.osl for r in rows]) - 1, 1e-9)
    per_token = np.where(it.steps > 0, per_token, 1.0)
    gpus = np.asarray([float(r.decode.layout.gpus) for r in rows])
    isl, osl = _column([r.isl for r in rows]), _column([r.osl for r in rows])
    least, first = np.asarray(s.tpot_bound), np.asarray(s.ttft_bound)
    queue = of.efficiency.queue if rows[0].spread else 1.0  # equal lengths keep the ideal line
    return {
        "tpot": np.maximum(found.tpot_mean * per_token, least),
        "tpot_median": np.maximum(found.tpot * per_token, least),
        "ttft": np.maximum(found.ttft_mean * queue, first),
        "ttft_median": np.maximum(found.ttft * queue, first),
        "tput_per_gpu": found.rate * (isl + osl) / gpus,
        "output_tput_per_gpu": found.rate * osl / gpus,
        "tpot_bound": least,
        "ttft_bound": first,
        "batch": it.inside,
    }, it.reasons


def _seats(of: _Setting, rows: Sequence[Row], layout: Layout, holds: Footprint) -> tuple[list[str], Column]:
    """Why rows cannot run, and the sequences a worker can hold, at least 1.

    The rows were run. Where the usual reserve of an engine leaves no room, theirs was smaller: all memory beside the
    weights is then taken for the cache.
    """
    n = len(rows)
    most = np.broadcast_to(holds.batch_max, (n,)).astype(float)
    beside = np.asarray(holds.capacity - holds.weights)
    bare = np.floor(np.maximum(beside, 0.0) / np.maximum(holds.per_sequence, 1.0)) * layout.dp
    most = np.where(most < 1, np.broadcast_to(bare, (n,)), most)
    found = illegal(of.model, layout)
    reasons = ["; ".join(why for why, bad in found.items() if np.broadcast_to(bad, (n,))[i]) for i in range(n)]
    weights = np.broadcast_to(holds.weights, (n,))
    for i in np.flatnonzero(most < 1):
        reasons[i] = reasons[i] or (
            f"{of.model.name} takes {weights[i] / 1e9:.0f} GB of each device's {holds.capacity / 1e9:.0f} GB in this"
            " layout, and leaves no room for a sequence"
        )
    return reasons, np.maximum(most, 1.0)


# --- two pools ----------------------------------------------------------------------------------------------------


def _disaggregated(of: _Setting, rows: Sequence[Row]) -> tuple[dict[str, Column], list[str]]:
    """Prefill workers feed decode workers; the stated number of requests goes round through both."""
    traffic = _traffic(rows)
    isl, osl = np.asarray(traffic.isl), np.asarray(traffic.osl)
    first, second = _layout([r.prefill.layout for r in rows if r.prefill]), _layout([r.decode.layout for r in rows])
    n_first = _column([r.prefill.count for r in rows if r.prefill])
    n_second = _column([r.decode.count for r in rows])
    wanted = _column([r.concurrency for r in rows])
    args = (of.model, of.machine, of.precision)
    rest = (of.engine, of.efficiency, traffic)

    def decode(batch: Column) -> DecodeReplica:
        return decode_replica(*args, second, *rest, batch, speculation=of.speculation)

    alone = prefill_replica(*args, first, *rest, 0.0)
    packed = prefill_replica(*args, first, *rest, 0.0, prompts=np.inf, bounds=False)
    most_rate = BUSY_LIMIT * n_first * np.asarray(packed.capacity)
    sent = transfer(of.model, of.precision, isl, of.machine, first, of.machine, second, of.efficiency)
    soonest = np.asarray(alone.ttft + sent.time)
    found = decode(wanted / n_second)
    reasons, most = _seats(of, rows, second, found.footprint)
    batch = np.minimum(wanted / n_second, most)
    for _ in range(12):
        life = np.asarray(decode(batch).decoding)
        rate = np.minimum(wanted / (soonest + life), most_rate)
        batch = 0.5 * batch + 0.5 * np.minimum(rate * life / n_second, most)
    found = decode(batch)
    rate = np.minimum(n_second * np.asarray(found.rate), most_rate)
    fewest = np.where([r.counted for r in rows], batch, 1.0)
    first_reasons, _ = _seats(of, rows, first, alone.footprint)
    ones = np.ones(len(rows))
    devices = n_second * second.gpus + n_first * first.gpus
    # Everybody sends a first prompt at once, and later ones in clumps: they stand in line before the prefill workers.
    kept = 1.0 if of.speculation is None else of.speculation.kept
    each = 1 / np.maximum(np.asarray(packed.capacity), 1e-12)  # seconds of a worker for a prompt
    pace = np.asarray(found.tpot) * kept * ones
    line = closed_loop_ttft(
        np.maximum(np.round(wanted / n_first), 1.0),
        isl,
        (osl - 1) / kept + 1,
        step=pace,
        per_token=each / isl,
        budget=np.maximum(of.engine.chunk_tokens, isl),
        prefill_step=np.asarray(alone.pace) / 8,
        seats=np.maximum(most * n_second / n_first, 1.0),
        rounds=ROUNDS,
        spread=rows[0].spread,
        prefill_first=True,
    )
    queue = of.efficiency.queue * FIRST_OF_TWO
    waited = soonest * FIRST_OF_TWO + np.maximum(line.ttft_mean - each, 0.0) * queue
    median = soonest * FIRST_OF_TWO + np.maximum(line.ttft - each, 0.0) * queue
    return {
        "tpot": np.asarray(found.tpot) * ones,
        "ttft": waited * ones,
        "ttft_median": median * ones,
        "tput_per_gpu": rate * (isl + osl) / devices,
        "output_tput_per_gpu": rate * osl / (n_second * second.gpus),
        "tpot_bound": np.asarray(decode(fewest).tpot_bound) * ones,
        "ttft_bound": np.asarray(alone.ttft_bound) * ones,
        "batch": batch,
    }, [a or b for a, b in zip(first_reasons, reasons, strict=True)]
