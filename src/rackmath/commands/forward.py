"""One forward pass, term by term: FLOPs, bytes and seconds of every operation, and what binds it.

Group: Serving
Example: rackmath forward deepseek-ai/DeepSeek-V3 --on gb200-nvl72 --batch 2048 --layout 'TP1 DP64 EP64'

With --lora also the bytes and FLOPs per token of an adapter; in the pass adapters are operations of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Annotated, Any

from ..answers.charts import Axis, Mark, Series, curve
from ..answers.parts import Answer, Bar, Chart, Column, Figure, Figures, Say, Table
from ..answers.terms import Term, stated
from ..answers.text import cell
from ..errors import BadInput
from ..kernel.counts import Pass
from ..kernel.roofline import binding
from ..layout.footprint import footprint
from ..layout.forward import forward as run_pass
from ..layout.parallelism import under_way
from ..questions.common import Adapters, LayoutWords, OnMachine
from ..questions.fields import count, tokens
from ..questions.layouts import layout_taken
from ..questions.resolve import question
from ..questions.settings import lora_model
from ..search.preferred import layout_for_pass
from ..views import pass_terms, passes, setting
from ..views.machine_terms import of_machine
from ..views.passes import ForwardPass
from ..views.setting import RESOURCES, formats
from ..world.lengths import within
from ..world.workload import Traffic

MOST_ROWS = 24
"""Operations a person is shown; the others are summed up."""

LEAST_SHARE = 0.0005
"""Share of the pass below which an operation is one of the smaller ones."""


MOST_MARKS = 6
"""Operations named on the roofline."""


@dataclass(frozen=True, kw_only=True)
class Forward(OnMachine):
    """What a pass does, and how it is cut."""

    batch: Annotated[float, count("Sequences that decode one token each.")] = 64
    context: Annotated[float, tokens("Tokens already in each sequence.", least=0)] = 8192
    prefill: Annotated[float, tokens("Prompt tokens processed in the same pass.", least=0)] = 0
    layout: LayoutWords = None
    lora: Adapters = None


def answer(q: Forward) -> Answer:
    """The pass on its layout."""
    p = _pass(q)
    return Answer(
        title=_title(p),
        subtitle=" · ".join([f"{p.layout.label()}, {formats(p.precision)}", _load(p)]) + setting.adapters(p.question.model),
        blocks=(_times(p), _use(p), _shares(p), _operations(p), _roofline(p), _memory(p)),
        table="terms",
        data=_data(p),
        terms=lambda: _terms(p),
        notes=p.notes,
        remarks=tuple(_remarks(p)),
        subject=p,
    )


def _title(p: Any) -> Say:
    from ..world.engine import titles

    q = p.question
    name = titles().get(q.engine.name, q.engine.name)
    under = "" if q.engine.name == "typical" else f" under {name} {q.engine.version}".rstrip()
    names = {"model": q.model.name, "machine": q.machine.name}
    return Say("One forward pass of *{model}* on *{machine}*" + under, names)


def _load(p: Any) -> str:
    doing = []
    if decoding := passes.decoding(p):
        at = cell(float(p.work.context), "count")
        many = "1 sequence decodes" if decoding == 1 else f"{cell(decoding, 'count')} sequences decode"
        doing.append(f"{many} one token each at {at}")
    if float(p.work.prefill):
        doing.append(f"{cell(float(p.work.prefill), 'count')} prompt tokens")
    return " + ".join(doing)


def _remarks(p: Any) -> list[str]:
    said = ["FLOPs and bytes are those of the busiest device"]
    if float(p.layout.pp) > 1 and float(p.work.decode):
        said.append("the time is that of one micro-batch through all pipeline stages")
    return said


def _times(p: Any) -> Figures:
    t, span = p.time, passes.step_span(p)
    low, high = span["estimate"] or (None, None)
    parts = {"compute": float(t.compute), "memory": float(t.memory), "network": max(float(t.up), float(t.out))}
    each = ", ".join(f"{name} {cell(value, 's')}" for name, value in parts.items())
    rows = (
        ("bound", "bound", t.bound, f"the largest of {each}"),
        ("per_operation_sum", "per-operation sum", t.per_operation, "every operation at its own roofline"),
        ("plain_sum", "plain sum", t.plain_sum, "nothing overlaps"),
    )
    figures = [Figure(key=key, label=name, value=float(v), unit="s", note=why) for key, name, v, why in rows]
    figures.append(
        Figure(
            key="estimate",
            label="estimate",
            value=float(t.estimate),
            unit="s",
            low=low,
            high=high,
            strong=True,
            note="achieved shares of peak, launches, step overhead",
        )
    )
    return Figures(key="time", head="seconds", against="bound", figures=tuple(figures), aside=_reason(span, low))


def _reason(span: Any, low: float | None) -> str:
    return f"Intervals are made to hold 9 of 10 runs ({span['reason']})." if low is not None else span["reason"]


def _use(p: Any) -> Say:
    use, t = passes.use(p), p.time
    values = {"mfu": use["mfu"], "mbu": use["mbu"], "flops": float(t.flops), "bytes": float(t.bytes)}
    return Say("MFU *{mfu:share}*   MBU *{mbu:share}*   {flops:FLOP} and {bytes:B} per device", values)


def _shares(p: Any) -> Bar:
    shares = {RESOURCES[name]: float(value) for name, value in p.time.shares.items()}
    name = binding(p.time)
    share = float(p.time.shares[name]) / float(p.time.estimate)
    aside = f"{RESOURCES[name]}: {share:.0%} of the pass"
    return Bar(key="", title="What binds", aside=aside, parts=shares, unit="s")


def _memory(p: Any) -> Bar:
    held = passes.memory(p.footprint, float(p.footprint.used(passes.decoding(p), p.layout)))
    parts = {name: held[name] for name in ("weights", "cache", "reserve", "free")}
    aside = cell(float(p.footprint.capacity), "B")
    return Bar(key="", title="Memory per GPU", aside=aside, parts=parts, unit="B", whole=held["capacity"])


def _roofline(p: Any) -> Chart:
    """Operations by arithmetic intensity and achieved rate, under the roofline of the formats they run in."""
    on, rows = p.question.machine, [r for r in passes.terms(p) if r["flops"] and r["bytes"]]
    found = {r["operation"]: (r["flops"] / r["bytes"], r["flops"] / r["seconds"]) for r in rows}
    bandwidth = float(on.hbm_bandwidth)
    used = {float(f"{float(op.flops) / float(op.compute):.6g}") for op, _ in p.time.terms if op.compute}
    peaks = {name: float(on.peak(name)) for name in ("bf16", "fp8", "fp4") if float(f"{on.peak(name):.6g}") in used}
    low = min([x for x, _ in found.values()], default=1.0) / 3
    high = 3 * max([x for x, _ in found.values()] + [peak / bandwidth for peak in peaks.values()])
    xs, ys = [x for x, _ in found.values()], [y for _, y in found.values()]
    series = [Series("operations", xs, ys, look="dots", labels=tuple(found))]
    for name, peak in peaks.items():
        corner = peak / bandwidth
        series.append(Series(name, [low, corner, high], [low * bandwidth, peak, peak], look="line"))
    spec = curve(
        series,
        title=f"Operations under the roofline of {on.name}",
        x=Axis("FLOPs per byte moved", log=True),
        y=Axis("Achieved rate per device", "FLOP/s", log=True),
        marks=[Mark(name, x, y) for name, (x, y) in list(found.items())[:MOST_MARKS]],
    )
    return Chart(title="Roofline", aside="under the slope memory binds, under the roof computing", spec=spec)


def _operations(p: Any) -> Table:
    rows = passes.terms(p)
    summed = ("layers", "flops", "bytes", "seconds", "share")
    merged: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in rows:  # layers of one name that cost the same are one line
        key = (row["operation"], row["binds"], f"{row['seconds'] / row['layers']:.9e}")
        kept = merged.setdefault(key, dict(row) | dict.fromkeys(summed, 0.0))
        for name in summed:
            kept[name] += row[name]
    shown = sorted((r for r in merged.values() if r["share"] >= LEAST_SHARE), key=lambda r: -r["seconds"])[:MOST_ROWS]
    left = [r for r in merged.values() if r not in shown]
    rest = {name: sum(r[name] for r in left) for name in summed}
    if left:
        shown.append({"operation": f"{len(left)} smaller ones", "binds": ""} | rest)
    for row in shown:  # an operation without FLOPs or bytes says nothing there
        row |= {name: row[name] or None for name in ("flops", "bytes") if name in row}
    t = p.time
    return Table(
        key="terms",
        title="Operations",
        aside="all layers together, slowest first",
        rows=rows,
        shown=shown,
        columns=(
            Column("operation", "operation"),
            Column("layers", "layers", "whole", optional=1),
            Column("flops", "FLOPs", "FLOP", optional=2),
            Column("bytes", "bytes", "B"),
            Column("seconds", "seconds", "s"),
            Column("share", "share", "share"),
            Column("binds", "binds"),
        ),
        total={"operation": "sum", "flops": float(t.flops), "bytes": float(t.bytes), "seconds": float(t.estimate), "share": 1.0},
    )


def _pass(q: Forward) -> ForwardPass:
    """Words to records, and the pass itself."""
    if not q.batch and not q.prefill:
        raise BadInput("batch and prefill are both 0: the pass is empty; give at least one token")
    model, sets = lora_model(q.model, q.lora, q.sets)
    traffic = Traffic(isl=max(q.context, 1.0), osl=1)
    asked, notes = question(model, q.on, traffic=traffic, precision=q.precision, kv=q.kv, engine=q.engine, sets=sets, personal=True)
    given = "context" if q.context >= q.prefill else "prefill"
    notes += within(asked.model, max(q.context, q.prefill), given, extrapolate=q.extrapolate)
    formats_used = asked.precisions[0]
    whole = Pass(decode=q.batch, context=q.context, prefill=q.prefill, prompt=max(q.prefill, 1.0))
    chosen = layout_taken(q.layout, asked, lambda: layout_for_pass(asked, formats_used, whole), notes)
    each = q.batch / float(under_way(asked.engine, chosen))
    work = replace(whole, decode=each, busiest=1 / float(chosen.dp) if q.prefill else 1.0)
    holds = footprint(asked.model, asked.machine, formats_used, chosen, asked.engine, q.context, q.prefill)
    if not holds.used(q.batch, chosen) <= holds.capacity:
        notes.append("this batch does not fit in memory: the times are arithmetic only")
    return ForwardPass(
        question=asked,
        layout=chosen,
        precision=formats_used,
        work=work,
        time=run_pass(asked.model, asked.machine, formats_used, chosen, work, asked.efficiency, keep=True),
        footprint=holds,
        notes=tuple(dict.fromkeys(notes)),
    )


def _data(p: ForwardPass) -> dict[str, Any]:
    """What no block shows, and what they show in parts."""
    t = p.time
    span = passes.step_span(p)
    return {
        "layout": setting.layout(p.layout),
        "precision": setting.precision(p.precision),
        "lora": setting.lora(p.question.model),
        "work": {f.name: getattr(p.work, f.name) for f in fields(p.work)},
        "time": {"compute": t.compute, "memory": t.memory, "network": max(float(t.up), float(t.out)), "flops": t.flops, "bytes": t.bytes},
        "interval": span,
        "binding": binding(t),
        "shares": dict(t.shares),
        **passes.use(p),
        "memory": passes.memory(p.footprint, float(p.footprint.used(passes.decoding(p), p.layout))),
    }


def _terms(p: ForwardPass) -> Term:
    """One pass: estimate, bound, MFU, MBU, memory."""
    t, q = p.time, p.question
    load = None
    if not float(p.work.prefill):
        load = pass_terms.DecodeLoad(layout=p.layout, precision=p.precision, sequences=float(p.work.decode))
    sequences = float(p.work.decode) / float(p.layout.dp)
    estimate = pass_terms.pass_nodes("estimate", t, q, p.precision, sequences, load)
    bandwidth = of_machine(q.machine, "hbm_bandwidth", "memory bandwidth")
    use = passes.use(p)
    at_peak = Term(name="FLOPs at the peak of their formats", value=float(t.compute), unit="s")
    size = Term(name="bytes", value=float(t.bytes), unit="B")
    return Term(
        name=f"one pass of {q.model.name} on {q.machine.name}, {p.layout.label()}",
        children=(
            estimate,
            pass_terms.bound(t),
            stated("quotient", "MFU", use["mfu"], "share", at_peak, estimate),
            stated("quotient", "MBU", use["mbu"], "share", size, bandwidth, estimate),
            pass_terms.memory(p.footprint, passes.decoding(p), p.layout, q),
        ),
    )
