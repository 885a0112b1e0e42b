"""Fit a few constants of an engine to your own benchmark runs; errors before and after, and of runs left out.

Group: How sure, and why
Example: rackmath calibrate --from example --tp 2

Each constant has a prior around its packaged value, so three runs do. In files that
name model, machine and layout themselves (InferenceX) the options pick rows; elsewhere they add what the file does
not say: rackmath calibrate --from vllm.json --on 8xh100 --tp 8 --save ours. From then on every command takes
--engine ours. "example" in place of a file stands for fifteen public runs that come along.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from ..answers.charts import Axis, Series, scatter
from ..answers.parts import Answer, Block, Chart, Column, Say, Table
from ..answers.terms import Term, count
from ..errors import BadInput
from ..evidence import calibrate as fits
from ..evidence import engine_file
from ..evidence.calibrate import Calibration, FittedConstant, FittedPoint
from ..evidence.results import Given
from ..questions.fields import count as number
from ..questions.fields import flag, tokens, words
from ..units import plural
from ..world import saved as own

RUN, OUTPUT = "What the file does not say", "Output"

MOST_POINTS = 16
MOST_SKIPPED = 6
QUANTITIES = {"tpot": "TPOT", "ttft": "TTFT"}
WHEN = {"before": "before", "after": "after", "left_out": "leave-one-out"}
CONSTANTS = {
    "launch": "launch, between kernels",
    "step": "step, around a pass",
    "sequence": "sequence, per one in a rank",
    "host": "host, per uncaptured kernel",
    "request": "request, per one",
    "queue": "queue, over the ideal line",
    "compute": "compute, share of peak",
    "memory": "memory, share of bandwidth",
}
FACTORS = ("queue", "compute", "memory")
"""Constants without a unit."""


@dataclass(frozen=True, kw_only=True)
class Calibrate:
    """Which runs, what their files do not say, and where the fit is kept."""

    files: Annotated[
        tuple[str, ...],
        words(
            "Results of InferenceX, vLLM bench serve, SGLang bench_serving, GenAI-Perf, AIPerf or llama-bench, JSON"
            " or CSV; recognised by what stands in them. Repeatable; a folder or a pattern means every file; or"
            " example.",
            "FILE",
            flag="--from",
            repeat="",
            complete="files",
        ),
    ]
    model: Annotated[str | None, words("The model that was served.", "MODEL", complete="models", panel=RUN)] = None
    on: Annotated[str | None, words("The machine it ran on: 8xh100.", "MACHINE", complete="machines", panel=RUN)] = None
    engine: Annotated[
        str | None,
        words(
            "The engine that served it: vllm, sglang, trtllm or atom, with its version or without; typical.",
            "ENGINE",
            complete="engines",
            panel=RUN,
        ),
    ] = None
    tp: Annotated[int | None, number("Tensor-parallel ranks.", least=1, most=1e6, whole=True, panel=RUN)] = None
    dp: Annotated[int | None, number("Attention-data-parallel ranks.", least=1, most=1e6, whole=True, panel=RUN)] = None
    ep: Annotated[int | None, number("Expert-parallel ranks.", least=1, most=1e6, whole=True, panel=RUN)] = None
    pp: Annotated[int | None, number("Pipeline stages.", least=1, most=1e6, whole=True, panel=RUN)] = None
    precision: Annotated[str | None, words("Format of the weights: fp8, ... As published if not given.", "FORMAT", panel=RUN)] = None
    kv: Annotated[str | None, words("Format of the cache: fp8, ... As published if not given.", "FORMAT", panel=RUN)] = None
    isl: Annotated[float | None, tokens("Mean input tokens of a request.", above=0, panel=RUN)] = None
    osl: Annotated[float | None, tokens("Mean output tokens of a request.", above=0, panel=RUN)] = None
    concurrency: Annotated[float | None, number("Requests that were inside at once.", above=0, panel=RUN)] = None
    save: Annotated[
        str | None,
        words(
            "Keep the fit as an engine of this name in ~/.config/rackmath (or $RACKMATH_HOME); --engine NAME uses it in every command.",
            "NAME",
            panel=OUTPUT,
        ),
    ] = None
    force: Annotated[bool, flag("Replace an engine saved under this name.", panel=OUTPUT)] = False


def answer(q: Calibrate) -> Answer:
    """Constants before and after, and how far predictions lie from the runs."""
    _check_save(q)
    sizes = {"tp": q.tp, "dp": q.dp, "ep": q.ep, "pp": q.pp}
    given = Given(
        model=q.model,
        machine=q.on,
        engine=q.engine,
        precision=q.precision,
        kv=q.kv,
        layout={name: float(size) for name, size in sizes.items() if size is not None},
        isl=q.isl,
        osl=q.osl,
        concurrency=q.concurrency,
    )
    found = fits.calibrate(q.files, given)
    return laid_out(found, None if q.save is None else engine_file.save(found, q.save, force=q.force))


def _check_save(q: Calibrate) -> None:
    """Refuse a name before any work is done."""
    if q.save is None:
        if q.force:
            raise BadInput("--force replaces a saved engine; give its name with --save")
        return
    own.check_name(q.save)
    if own.path_of(q.save).exists() and not q.force:
        raise own.exists(q.save)


def laid_out(found: Calibration, saved: Path | None = None) -> Answer:
    """The answer of a fit; `saved`: the file of the engine it was kept as."""
    chosen = found.chosen
    models = list(dict.fromkeys(p.point.model.name for p in found.points))
    layouts = list(dict.fromkeys(p.point.run.row.decode.layout.label() for p in found.points))
    files = found.files[0] if len(found.files) == 1 else f"{len(found.files)} files"
    return Answer(
        title=Say(
            "*{files}*: {runs} of {tools}", {"files": files, "runs": plural(len(found.points), "run"), "tools": ", ".join(chosen.tools)}
        ),
        subtitle=f"{_few(models)} on {chosen.machine.name}, {_few(layouts)}, from the constants of {chosen.base}",
        blocks=tuple(_blocks(found, saved)),
        table=lambda: [_point(p) for p in found.points],
        data=_data(found, saved),
        terms=lambda: _terms(found, saved),
        notes=tuple(chosen.notes),
        subject=found,
    )


def _few(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{names[0]} and {len(names) - 1} more"


def _data(found: Calibration, saved: Path | None) -> dict[str, Any]:
    names = ("n", "bias", "median", "mape", "p90", "within_20")
    return {
        "files": list(found.files),
        "tools": list(found.chosen.tools),
        "base": found.chosen.base,
        "machine": found.chosen.machine.name,
        "points": len(found.points),
        "skipped": [{"reason": reason, "runs": n} for reason, n in found.skipped],
        "errors": {
            quantity: {when: {name: getattr(e, name) for name in names} for when, e in scores.items()}
            for quantity, scores in found.scores.items()
        },
        "runs": [_point(p) | _errors_of(p) for p in found.points],
        "saved": None if saved is None else {"name": saved.stem, "file": str(saved)},
    }


def _point(p: FittedPoint) -> dict[str, Any]:
    row = p.point.run.row
    found: dict[str, Any] = {
        "run": p.point.run.where,
        "tool": p.point.run.tool,
        "model": p.point.model.name,
        "machine": p.point.machine.name,
        "layout": row.decode.layout.label(),
        "weights": p.point.precision.name,
        "concurrency": row.concurrency,
        "isl": row.isl,
        "osl": row.osl,
    }
    for name in QUANTITIES:
        seen = getattr(p, name)
        for part in ("measured", *WHEN):
            found[f"{name}_{part}"] = None if seen is None else getattr(seen, part)
    return found


def _errors_of(p: FittedPoint) -> dict[str, Any]:
    """Predicted over measured, less one, before and after."""
    return {
        f"{name}_error_{when}": None if (seen := getattr(p, name)) is None else getattr(seen, when) / seen.measured - 1
        for name in QUANTITIES
        for when in ("before", "after")
    }


# --- blocks ---------------------------------------------------------------------------------------------------------


def _blocks(found: Calibration, saved: Path | None) -> Iterator[Block]:
    yield _errors(found)
    turns = any("left_out" in scores for scores in found.scores.values())
    few = "Leave-one-out errors need four runs or more."
    yield Say("Leave-one-out: each run predicted by a fit that has not seen it." if turns else few, faint=True)
    yield _constants(found)
    if any(not one.seen for one in found.constants):
        yield Say("Of the dim ones these runs say next to nothing: they stay near their packaged values.", faint=True)
    yield _chart(found)
    yield _points(found)
    for i, (reason, n) in enumerate(found.skipped[:MOST_SKIPPED]):
        yield Say("{runs}: {reason}", {"runs": plural(n, "run"), "reason": reason}, title="" if i else "Not used")
    if saved is None:
        yield Say("Nothing was written. --save NAME keeps this fit as an engine of your own.", title="Use")
    else:
        yield Say("Saved as the engine *{name}*: --engine {name} uses it in every command.", {"name": saved.stem}, title="Use")
        yield Say("{file}", {"file": str(saved)}, faint=True)


def _errors(found: Calibration) -> Table:
    rows = [
        {"name": f"{QUANTITIES[quantity]} {WHEN[when]}", "after": when == "after"} | asdict(e)
        for quantity, scores in found.scores.items()
        for when, e in scores.items()
    ]
    columns = (
        Column("name", ""),
        Column("n", "points", "whole"),
        Column("bias", "bias", "change"),
        Column("median", "median", "share"),
        Column("mape", "MAPE", "share"),
        Column("p90", "p90", "share", optional=1),
        Column("within_20", "in 20%", "percent"),
    )
    strong = next((i for i, row in enumerate(rows) if row["after"]), None)
    return Table(key="", title="Errors", aside="predicted over measured, less one", rows=rows, columns=columns, strong=strong)


def _constants(found: Calibration) -> Table:
    rows = [
        {"name": c.name, "before": c.before, "after": c.after, "factor": c.factor, "prior_width": c.prior, "width": c.width, "seen": c.seen}
        for c in found.constants
    ]
    shown = [
        row | {"name": CONSTANTS[c.name], "unit": _unit(c), "prior": _width(c.prior), "left": _width(c.width)}
        for row, c in zip(rows, found.constants, strict=True)
    ]
    columns = (
        Column("name", ""),
        Column("before", "before", "row", optional=1),
        Column("after", "after", "row", optional=2),
        Column("factor", "factor", "x2"),
        Column("prior", "prior", "number"),
        Column("left", "posterior", "number"),
    )
    return Table(
        key="constants",
        title="Constants",
        aside="width of the prior, and of the posterior after these runs",
        rows=rows,
        shown=shown,
        columns=columns,
        faint=frozenset(i for i, c in enumerate(found.constants) if not c.seen),
    )


def _unit(c: FittedConstant) -> str:
    return "ratio" if c.name in FACTORS else "s"


def _width(log: float) -> str:
    """A log width as the factor it stands for.

    >>> _width(0.2)
    '× or ÷ 1.22'
    """
    return f"× or ÷ {math.exp(log):.2f}"


def _points(found: Calibration) -> Table:
    """The runs one by one; of many, those that are still furthest off."""
    points = list(found.points)
    few = len(points) <= MOST_POINTS
    if not few:
        points = sorted(points, key=_off, reverse=True)[: MOST_POINTS // 2]
    columns = [
        Column("concurrency", "users", "count"),
        Column("isl", "in", "whole"),
        Column("osl", "out", "whole"),
        Column("layout", "layout", optional=1),
    ]
    for name, head in QUANTITIES.items():
        columns += [
            Column(f"{name}_measured", head, "s"),
            Column(f"{name}_error_before", "before", "signed"),
            Column(f"{name}_error_after", "after", "signed"),
        ]
    return Table(
        key="",
        title="Runs" if few else "Runs furthest off",
        aside="measured, then the error before and after",
        rows=[_point(p) | _errors_of(p) for p in points],
        columns=tuple(columns),
    )


def _off(p: FittedPoint) -> float:
    return max(abs(math.log(s.after / s.measured)) / (1 if s is p.tpot else 3) for s in (p.tpot, p.ttft) if s)


def _chart(found: Calibration) -> Chart:
    """Predicted against measured TPOT before and after; time to first token where there is none."""
    name = "tpot" if found.scores["tpot"] else "ttft"
    seen = [(p, s) for p in found.points if (s := getattr(p, name)) is not None]
    labels = [p.point.run.where for p, _ in seen]
    measured = [s.measured for _, s in seen]
    series = [Series(WHEN[when], measured, [getattr(s, when) for _, s in seen], labels=labels) for when in ("before", "after")]
    every = [v for s in series for v in (*s.x, *s.y)]
    ends = [min(every), max(every)]
    spec = scatter(
        [Series("equal", ends, ends, look="dashed"), *series],
        title=f"{QUANTITIES[name]}, {found.chosen.base} on {found.chosen.machine.name}",
        x=Axis("Measured", "s", log=True),
        y=Axis("Predicted", "s", log=True),
    )
    return Chart(title="Predicted against measured", aside=QUANTITIES[name], spec=spec)


# --- terms ----------------------------------------------------------------------------------------------------------


def _terms(found: Calibration, saved: Path | None) -> Term:
    """Constants and errors as a tree."""
    constants = []
    for c in found.constants:
        unit = "" if c.name in FACTORS else "s"
        packaged = Term(name="packaged", value=c.before, unit=unit)
        factor = Term(name="factor", value=c.factor, source="fitted on these runs")
        constants.append(Term(name=c.name, value=c.after, unit=unit, rule="product", children=(packaged, factor)))
    scores = tuple(
        Term(
            name=f"{QUANTITIES[quantity]} {WHEN[when]}",
            children=(
                count("points", e.n),
                Term(name="signed median", value=e.bias, unit="share"),
                Term(name="median absolute error", value=e.median, unit="share"),
                Term(name="mean absolute error", value=e.mape, unit="share"),
            ),
        )
        for quantity, by in found.scores.items()
        for when, e in by.items()
    )
    name = saved.stem if saved else f"{found.chosen.base}, calibrated"
    return Term(name=name, children=(Term(name="constants", children=tuple(constants)), Term(name="errors", children=scores)))
