"""Latency and cost of decoding against batch, with the floor, the balance point and the capacity limit.

Group: Serving
Example: rackmath batch meta-llama/Llama-3.1-70B --on 8xh200 --context 8192

Exits with 1 where not one sequence fits; the times shown are arithmetic then.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np

from ..answers.charts import Axis, Mark, Series, curve
from ..answers.parts import Answer, Block, Chart, Column, Figure, Figures, Say, Table
from ..answers.terms import Term, count, difference, product, quotient, stated
from ..answers.text import cell
from ..kernel.counts import read_bytes, weight_flops
from ..questions.common import LayoutWords, OnMachine
from ..questions.fields import tokens
from ..questions.layouts import layout_taken
from ..questions.resolve import asked_of
from ..search.balance import streamed_bytes, weight_format
from ..search.curve import BatchCurve, batch_curve, weights_read
from ..search.preferred import layout_for_curve
from ..search.trust import time_span
from ..search.unbatched import unbatched
from ..views import pass_terms, passes, setting
from ..views.machine_terms import of_machine
from ..world.lengths import within
from ..world.workload import Traffic


@dataclass(frozen=True, kw_only=True)
class BatchQuestion(OnMachine):
    """How long the sequences are, and how the model is cut."""

    context: Annotated[float, tokens("Tokens in each sequence.")] = 8192
    layout: LayoutWords = None


def answer(q: BatchQuestion) -> Answer:
    """Latency and cost of decoding against batch, with floor, balance point and capacity limit."""
    c, notes = _curve(q)
    asked = c.question
    names = {"model": asked.model.name, "machine": asked.machine.name, "under": "".join(setting.under(asked.engine))}
    at = cell(c.context, "count")
    return Answer(
        title=Say("Decoding *{model}* on *{machine}*{under}", names),
        subtitle=f"{c.layout.label()}, {setting.formats(c.precision)} · {at} tokens in each sequence",
        blocks=tuple(_blocks(c)),
        table="curve",
        data=_data(c),
        terms=lambda: _terms(c),
        notes=notes,
        exit_code=0 if c.capacity >= 1 else 1,
        subject=c,
    )


def _curve(q: BatchQuestion) -> tuple[BatchCurve, tuple[str, ...]]:
    asked, notes = asked_of(q, Traffic(isl=q.context, osl=1), personal=True)
    notes += within(asked.model, q.context, "context", extrapolate=q.extrapolate)
    formats = asked.precisions[0]
    chosen = layout_taken(q.layout, asked, lambda: layout_for_curve(asked, formats, q.context), notes)
    return batch_curve(asked, chosen, formats, q.context), tuple(dict.fromkeys(notes))


def _blocks(c: BatchCurve) -> list[Block]:
    paid = setting.known_price(c.question.machine) is not None
    rows = _rows(c, paid)
    drawn: list[Block] = [Chart(spec=_time_chart(c), lines=16)]
    if paid:
        drawn.append(Chart(spec=_cost_chart(c), lines=16))
    return [_landmarks(c), *drawn, _table(c, rows, paid), passes.intervals(c.reason, rows[0]["tpot_low"] is not None)]


def _data(c: BatchCurve) -> dict[str, Any]:
    alone = asdict(unbatched(c.question, c.precision, c.context)) | {"estimate": c.alone}
    names = ("floor", "balance", "balance_with_cache", "balance_context", "recommended", "capacity", "r")
    return {
        "layout": setting.layout(c.layout),
        "precision": setting.precision(c.precision),
        **{name: getattr(c, name) for name in names},
        "floor_alone": c.floor_alone,
        "unbatched": alone,
        "price_per_gpu_hour": setting.known_price(c.question.machine),
        "interval": {"reason": c.reason},
    }


def _landmarks(c: BatchCurve) -> Figures:
    """The batches that matter, and why."""
    experts = c.question.model.has_experts
    floor = "to read all weights once: no price makes a step faster"
    at = cell(c.context, "count")
    beyond = f"infinite at this context: it lies beyond L* = {cell(c.balance_context, 'whole')}"
    figures = [
        _figure("floor", c.floor, "s", floor + (" once every expert is in use" if experts else "")),
        _figure("", c.floor_alone, "s", "with the experts of one token only (batch 1)"),
        _figure("R", c.r, "number", "multiplies per weight fetched: (peak / 2) x bytes per weight / bandwidth"),
        _figure("balance point B*", c.balance, "whole", "R x total / active parameters: reading and multiplying weights tie"),
        _figure(
            "B* with the cache",
            c.balance_with_cache,
            "whole",
            f"reading the cache at {at} tokens counted" if math.isfinite(c.balance_with_cache) else beyond,
        ),
        _figure("L*", c.balance_context, "tokens", "tokens at which reading the cache takes as long as multiplying the weights"),
        _figure("capacity limit", c.capacity, "whole", "sequences whose cache fills the memory"),
        _recommended(c),
        *_alone(c),
    ]
    if not experts:
        del figures[1]
    return Figures(key="", head="", figures=tuple(figures))


def _figure(label: str, value: float, unit: str, note: str) -> Figure:
    return Figure(key=label or note, label=label, value=value, unit=unit, note=note)


def _recommended(c: BatchCurve) -> Figure:
    if c.recommended is None:
        low, high, why = 0.0, 0.0, "not one sequence fits: the times below are arithmetic only"
    else:
        (low, high), why = c.recommended, "two to three times B*"
    if c.recommended is not None and c.capacity < 2 * c.balance:
        best = f" (two to three times B* would be {2 * c.balance:,.0f} to {3 * c.balance:,.0f})"
        why = "all that fits" + (best if math.isfinite(c.balance) else "")
    return Figure(
        key="recommended", label="recommended batch", value=low, to=None if low == high else high, unit="whole", note=why, strong=True
    )


def _alone(c: BatchCurve) -> list[Figure]:
    """What a sequence decoded alone costs, as a multiple of one in a batch."""
    alone = unbatched(c.question, c.precision, c.context)
    found = [("batch 1 over an endless batch, at the roofline, all weights read", alone.all_read)]
    if alone.touched < 0.999 * alone.all_read:
        found.append(("the same with the share of experts that one token touches", alone.touched))
    found.append(("the estimate: batch 1 over the cheapest batch that fits", c.alone))
    return [_figure("" if i else "not batching costs", value, "x", why) for i, (why, value) in enumerate(found)]


def _marks(c: BatchCurve) -> list[Mark]:
    found = {"B*": c.balance, "B* with cache": c.balance_with_cache, "capacity": c.capacity}
    return [Mark(name, x) for name, x in found.items() if math.isfinite(x) and x >= 1]


def _over(c: BatchCurve, column: Any) -> list[float]:
    found: list[float] = np.broadcast_to(np.asarray(column, dtype=float), c.batch.shape).tolist()
    return found


def _time_chart(c: BatchCurve) -> dict[str, Any]:
    """Seconds per decode step against batch, with the floor."""
    x = c.batch.tolist()
    return curve(
        [
            Series("estimate", x, _over(c, c.time.estimate)),
            Series("bound", x, _over(c, c.time.bound), look="dashed"),
            Series("all weights read once", x, _over(c, c.floor), look="dashed"),
        ],
        title="Time of a decode step",
        x=Axis("Batch (sequences)", log=True),
        y=Axis("Time per step", "s", log=True),
        marks=_marks(c),
    )


def _cost_chart(c: BatchCurve) -> dict[str, Any]:
    """Dollars per million output tokens against batch."""
    x = c.batch.tolist()
    return curve(
        [Series("estimate", x, _over(c, c.cost_mtok)), Series("bound", x, _over(c, c.bound_cost_mtok), look="dashed")],
        title="Cost of output tokens, decoding only",
        x=Axis("Batch (sequences)", log=True),
        y=Axis("Cost", "$/M output tokens", log=True),
        marks=_marks(c),
    )


def _rows(c: BatchCurve, paid: bool) -> list[dict[str, Any]]:
    """One row for each batch."""
    columns = {
        "batch": c.batch,
        "tpot": c.time.estimate,
        "tpot_bound": c.time.bound,
        "output_mtok": c.cost_mtok,
        "output_mtok_bound": c.bound_cost_mtok,
    }
    lists = {name: _over(c, column) for name, column in columns.items()}
    rows = []
    for i in range(len(c.batch)):
        row: dict[str, Any] = {name: column[i] for name, column in lists.items()}
        interval = c.trust(row["batch"]).tpot
        row["tpot_low"], row["tpot_high"] = time_span(interval, row["tpot"], row["tpot_bound"]) or (None, None)
        dollars = time_span(interval, row["output_mtok"], row["output_mtok_bound"])
        row["output_mtok_low"], row["output_mtok_high"] = dollars or (None, None)
        if not paid:
            row |= dict.fromkeys(name for name in row if name.startswith("output_mtok"))
        rows.append(row | {"fits": row["batch"] <= c.capacity, "interactivity": 1 / row["tpot"]})
    return rows


def _table(c: BatchCurve, rows: list[dict[str, Any]], paid: bool) -> Table:
    """A few batches of the curve, with those that matter."""
    wanted = [*np.geomspace(1, c.batch[-1], 8), *(b for b in (c.balance, c.capacity) if 1 <= b <= c.batch[-1])]
    chosen = sorted({int(np.argmin(np.abs(np.log(c.batch / w)))) for w in wanted})
    shown = [rows[i] for i in chosen]
    over = [i for i, row in enumerate(shown) if not row["fits"]]
    known = (Column("tpot_low", passes.BETWEEN, "s", to="tpot_high"),) if rows[0]["tpot_low"] is not None else ()
    cost = (Column("output_mtok", "$/M output", "$"), Column("output_mtok_bound", "bound $", "$", optional=1))
    return Table(
        key="curve",
        title="The curve in numbers",
        rows=rows,
        shown=shown,
        columns=(
            Column("batch", "batch", "count"),
            Column("tpot", "step", "s"),
            *known,
            Column("tpot_bound", "bound", "s"),
            Column("interactivity", "tok/s/user", "number", optional=2),
            *(cost if paid else ()),
        ),
        faint=frozenset(over),
        marks=dict.fromkeys(over, "no room"),
    )


def _terms(c: BatchCurve) -> Term:
    """The floor, R, the balance points and the capacity limit."""
    q, model, precision = c.question, c.question.model, c.precision
    bandwidth = of_machine(q.machine, "hbm_bandwidth", "memory bandwidth")
    weights = Term(
        name="weights a pass reads", value=weights_read(q, c.layout, precision), unit="B", note="all a device holds but the input embedding"
    )
    read = quotient("weights read once", "s", weights, bandwidth)
    floor = stated("product", "floor", c.floor, "s", read, count("pp", float(c.layout.pp)))
    main = weight_format(model, precision)
    peak_value = float(q.machine.peak(main.compute))
    field = pass_terms.peak_field(q, main.compute, peak_value)
    peak = of_machine(q.machine, field, f"peak {main.compute.upper()}")
    each = Term(name="bytes per weight", value=main.bytes, source=f"format {main.name}")
    half = count("2", 2.0, "a multiply-add is two FLOPs")
    r = stated("quotient", "R", c.r, "", product("peak x bytes", "", peak, each), half, bandwidth, note="multiplies per weight fetched")
    multiply = quotient("multiplying a token", "s", Term(name="FLOPs per token", value=weight_flops(model), unit="FLOP"), peak)
    streamed = Term(
        name="weights streamed",
        value=streamed_bytes(model, precision),
        unit="B",
        note="one copy without the input embedding",
        source=model.source,
    )
    all_weights = quotient("all weights", "s", streamed, bandwidth)
    balance = stated(
        "quotient", "B*", c.balance, "", all_weights, multiply, note="R x total / active parameters, in the formats they are kept in"
    )
    room = count("sequences per rank", c.capacity / float(c.layout.dp), "free memory / cache of a sequence, rounded down")
    capacity = stated("product", "capacity limit", c.capacity, "", room, count("dp", float(c.layout.dp)))
    l_star = Term(
        name="L*",
        value=c.balance_context,
        unit="tokens",
        note="context whose cache takes as long to read as the active weights to multiply",
    )
    return Term(
        name=f"decoding {model.name} on {q.machine.name}, {c.layout.label()}",
        children=(floor, r, balance, _with_cache(c, all_weights, multiply, bandwidth), l_star, capacity),
    )


def _with_cache(c: BatchCurve, all_weights: Term, multiply: Term, bandwidth: Term) -> Term:
    """The balance point where reading the cache counts."""
    entries = Term(
        name="cache read per token",
        value=float(read_bytes(c.question.model, c.context, c.precision)),
        unit="B",
        note=f"at {c.context:,.0f} tokens",
    )
    spare = difference("left per token", "s", multiply, quotient("reading its cache", "s", entries, bandwidth))
    if math.isfinite(c.balance_with_cache):
        return stated("quotient", "B* with the cache", c.balance_with_cache, "", all_weights, spare)
    note = "infinite: reading a token's cache takes longer than multiplying it"
    return Term(name="B* with the cache", value=c.balance_with_cache, note=note, children=(spare,))
