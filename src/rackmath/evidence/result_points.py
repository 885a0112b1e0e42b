"""From runs to points: what options add, which runs are used and why others are not, and what was taken for
granted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import BadInput
from ..kernel.uncertainty import family
from ..layout.parallelism import Layout
from ..units import plural
from ..world import catalog
from ..world.engine import packaged, released, titles
from ..world.engine_names import engine_key
from ..world.gguf import served_in
from ..world.machine import Machine
from ..world.model import Model
from ..world.precision import Precision, format_named
from ..world.saved import saved
from .cells import Pool
from .predict import age, named
from .results import Given, MeasuredPoint
from .rows import MEAN_LENGTH


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkPoint:
    """One run to calibrate on, and what ran it."""

    run: MeasuredPoint
    model: Model
    machine: Machine
    precision: Precision

    @property
    def ttft(self) -> float | None:
        """Time to first token where it can be compared."""
        return None if self.run.at_random else self.run.row.measured.ttft


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The points of one engine on one kind of machine; `skipped` are runs by the reason against them."""

    points: tuple[BenchmarkPoint, ...]
    base: str  # the packaged engine, with its version where that is known
    tools: tuple[str, ...]
    skipped: tuple[tuple[str, int], ...]
    notes: tuple[str, ...]

    @property
    def machine(self) -> Machine:
        return self.points[0].machine

    @property
    def key(self) -> str:
        return engine_key(self.base)


MOST = 400
"""Runs that are fitted at once."""

OPTIONS = {
    "model": "--model, such as --model meta-llama/Llama-3.1-8B",
    "machine": "--on, such as --on 8xh100",
    "engine": "--engine, such as --engine vllm",
    "layout": "--tp, and --dp, --ep or --pp where they are not 1",
    "isl": "--isl, the mean input tokens of a request",
    "osl": "--osl, the mean output tokens of a request",
    "concurrency": "--concurrency, the requests that were inside at once",
}
WORDS = {
    "model": "which model was served",
    "machine": "on which machine it ran",
    "engine": "which engine served it",
    "layout": "how the model was cut over devices",
    "isl": "how long prompts were",
    "osl": "how long outputs were",
    "concurrency": "how many requests were inside at once",
}


def choose(runs: Sequence[MeasuredPoint], given: Given) -> Chosen:
    """The points that runs and options give together."""
    if given.engine is not None and (own := saved(given.engine)) is not None:
        raise BadInput(f"--engine {given.engine} was calibrated itself; name what it is based on: --engine {own.base}")
    notes: list[str] = []
    skipped: Counter[str] = Counter()
    points: list[BenchmarkPoint] = []
    named_rows = [run for run in runs if run.scripts]
    kept = set(map(id, _filtered(named_rows, given))) if named_rows else set()
    for run in runs:
        if run.scripts and id(run) not in kept:
            continue
        reason = run.reason or _short(run)
        if reason:
            skipped[reason] += 1
        else:
            points.append(_own_words(run) if run.scripts else _with_options(run, given))
    if not points:
        why = "; ".join(f"{plural(n, 'run')}: {reason}" for reason, n in skipped.most_common(2))
        raise BadInput(f"no run can be used ({why or 'none is left'})")
    _one_of(points, given)
    if len(points) > MOST:
        raise BadInput(f"{len(points):,} runs are more than the {MOST} fitted at once; pick some with --model or --tp")
    if given.engine is None and any(p.run.tool == "vLLM" and p.run.row.engine == "vllm" for p in points):
        notes.append("vLLM's own benchmark is taken to have measured vLLM; --engine names another")
    if any(p.run.at_random for p in points):
        notes.append("where requests came at a rate, only TPOT is used; users inside follow from Little's law")
    if any(p.run.kind != "serving" for p in points):
        notes.append("llama-bench times one sequence: what serving adds (request, queue, sequence) stays as packaged")
    return Chosen(
        points=tuple(points),
        base=_base(points, given),
        tools=tuple(dict.fromkeys(p.run.tool for p in points)),
        skipped=tuple(skipped.most_common()),
        notes=tuple(notes),
    )


def _short(run: MeasuredPoint) -> str:
    return "" if run.kind == "prompt" or run.row.osl > 1 else "one output token: there is no time per output token"


# --- rows that name everything: options pick among them ------------------------------------------------------------


def _filtered(runs: Sequence[MeasuredPoint], given: Given) -> list[MeasuredPoint]:
    """Rows that the options mean."""
    wanted = _model_key(given.model) if given.model else ""
    machine = catalog.machine(given.machine).accelerator if given.machine else ""
    engine = engine_key(given.engine) if given.engine else ""
    if given.engine and given.engine.strip().lower() != "typical":
        packaged(given.engine)

    def fits(run: MeasuredPoint) -> bool:
        row, cut = run.row, run.row.decode.layout
        lengths = ((given.isl, row.isl), (given.osl, row.osl))
        return (
            (not wanted or _model_key(row.model) == wanted)
            and (not machine or _accelerator(row.machine) == machine)
            and (not engine or engine_key(row.engine) == engine)
            and (not given.precision or row.weights.lower() == given.precision.lower())
            and all(float(getattr(cut, name)) == size for name, size in given.layout.items())
            and all(x is None or min(abs(y / x - 1), abs(y / x - MEAN_LENGTH)) < 0.01 for x, y in lengths)
            and given.concurrency in (None, row.concurrency)
        )

    kept = [run for run in runs if fits(run)]
    if not kept:
        most = ", ".join(f"{m} on {s} by {e}" for (m, s, e), _ in Counter(map(_cell, runs)).most_common(3))
        raise BadInput(f"no row fits the options; the file has {most}, among others")
    return kept


def _cell(run: MeasuredPoint) -> tuple[str, str, str]:
    return run.row.model.rpartition("/")[2], run.row.machine, run.row.engine


def _model_key(name: str) -> str:
    try:
        return family(catalog.find_model(name)[0])
    except BadInput:
        return family(name)


def _accelerator(name: str) -> str:
    try:
        return catalog.machine(name).accelerator
    except BadInput:
        return name


def _own_words(run: MeasuredPoint) -> BenchmarkPoint:
    row = run.row
    model, machine, precision = named(row.model, row.machine, row.engine, row.weights)
    return BenchmarkPoint(run=run, model=model, machine=machine, precision=precision)


# --- runs of one server: options fill in ---------------------------------------------------------------------------


def _with_options(run: MeasuredPoint, given: Given) -> BenchmarkPoint:
    row, unsaid = run.row, set(run.unsaid)
    values: dict[str, str | float] = {
        name: value
        for name, value in (
            ("model", given.model),
            ("machine", given.machine),
            ("engine", given.engine),
            ("isl", given.isl),
            ("osl", given.osl),
            ("concurrency", given.concurrency),
            ("weights", given.precision),
        )
        if value is not None
    }
    row = replace(row, **values)  # type: ignore[arg-type]
    unsaid -= set(values)
    for name in ("model", "machine"):
        if name in unsaid:
            raise _missing(run, name)
    machine, (model, precision) = catalog.machine(row.machine), formats(run, row.model, row.weights, given.kv)
    if given.layout:
        row = replace(row, decode=Pool(layout=Layout(**given.layout)))
        unsaid.discard("layout")
    if machine.n_devices == 1:
        unsaid.discard("layout")
    if unsaid:
        raise _missing(run, next(name for name in OPTIONS if name in unsaid))
    devices = float(row.decode.layout.gpus) * row.decode.count
    if devices > machine.n_devices:
        one = re.sub(r"^\d+x", "", machine.name)
        raise BadInput(
            f"{run.where}: {row.decode.layout.label()} needs {plural(devices, 'device')} and {machine.name} has"
            f" {machine.n_devices:g}; give the whole machine, such as --on {devices:g}x{one}"
        )
    return BenchmarkPoint(run=replace(run, row=row), model=model, machine=machine, precision=precision)


def _missing(run: MeasuredPoint, name: str) -> BadInput:
    return BadInput(f"{run.where} does not say {WORDS[name]}; give {OPTIONS[name]}")


def formats(run: MeasuredPoint, name: str, weights: str, kv: str | None) -> tuple[Model, Precision]:
    """The model, and the formats of weights and cache: as published where nothing is said.

    A checkpoint that has the format in part (8 bits in blocks, 4 bits in experts) keeps its own mixture.
    """
    file = name.endswith((".json", ".toml")) or Path(name).is_dir()
    weights = "" if weights.lower() in ("native", "published") else weights.lower()
    model = catalog.model(name)
    precision = model.precision
    own = {getattr(precision, part).name for part in ("attention", "mlp", "experts")}
    if weights:
        wanted = format_named(weights).name
        if not any(one.startswith(wanted) for one in own):
            precision = served_in(model, wanted, precision.kv.name)
            if not file:
                with suppress(BadInput):  # else every part is in this format
                    precision = catalog.model(f"{catalog.find_model(name)[0]}-{wanted}").precision
    cache = kv or run.kv
    return model, precision.with_kv(cache) if cache else precision


# --- one engine on one machine -------------------------------------------------------------------------------------


def _one_of(points: Sequence[BenchmarkPoint], given: Given) -> None:
    """Refuse points of several engines or accelerators: a calibration is of one system."""
    engines = dict.fromkeys(engine_key(p.run.row.engine) or "typical" for p in points)
    if len(engines) > 1:
        raise BadInput(f"the runs are of several engines ({', '.join(engines)}); name one with --engine")
    machines = dict.fromkeys(p.machine.accelerator for p in points)
    if len(machines) > 1:
        raise BadInput(f"the runs are on several accelerators ({', '.join(machines)}); name one with --on")


def _base(points: Sequence[BenchmarkPoint], given: Given) -> str:
    """The packaged engine, and its version where option or all runs state one whose age is known."""
    if given.engine is not None:
        chosen = packaged(given.engine)
        known = released(chosen.name, chosen.version) is not None
        return f"{chosen.name}@{chosen.version}" if known and chosen.version else chosen.name
    key = engine_key(points[0].run.row.engine)
    if key not in titles():
        return "typical"
    versions = {_version(p) for p in points}
    version = versions.pop() if len(versions) == 1 else ""
    return f"{key}@{version}" if version and released(key, version) is not None else key


def _version(point: BenchmarkPoint) -> str:
    row = point.run.row
    if age(row) is None:
        return ""
    found = re.search(r"\d+\.\d+[\w.]*", row.version.rpartition(":")[2])
    return found.group(0) if found else ""
