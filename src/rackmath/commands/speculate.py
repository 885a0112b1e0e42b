"""Speculative decoding against plain: speed-up, cost, the batch at which it stops paying, and the best depth.

Group: Serving
Example: rackmath speculate deepseek-ai/DeepSeek-V3 --on 8xh200 --depth 1 --acceptance 0.85

Decode steps only. A step makes the drafts one after the other, then one wider pass checks them all; the bound
counts every draft as kept. Acceptance depends on model, draft and text: it is an input here, not a prediction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from ..answers.charts import Axis, Mark, Series, curve
from ..answers.parts import Answer, Block, Chart, Column, Say, Table
from ..answers.terms import Term, count, product, quotient, stated
from ..answers.text import cell
from ..questions.common import LayoutWords, OnMachine, PriceKind
from ..questions.drafts import Acceptance, Depth, Draft, speculation_of
from ..questions.fields import tokens
from ..questions.layouts import layout_taken
from ..questions.resolve import asked_of
from ..search.preferred import layout_for_curve
from ..search.speculation import BreakEven, SpeculationCurve, draft_share, speculation_curve
from ..serving.speculative import Speculation
from ..views import setting
from ..world.lengths import longest, within
from ..world.model import Model
from ..world.workload import Traffic


@dataclass(frozen=True, kw_only=True)
class Speculate(OnMachine):
    """What makes drafts, how long the sequences are, and how the model is cut."""

    draft: Draft = "mtp"
    depth: Depth = 3
    acceptance: Acceptance = 0.7
    context: Annotated[float, tokens("Tokens already in each sequence.")] = 8192
    contexts: Annotated[tuple[float, ...] | None, tokens("Contexts to give the break-even batch for: 1k,8k,64k.")] = None
    layout: LayoutWords = None
    price: PriceKind = None


def answer(q: Speculate) -> Answer:
    """Speed-up and cost of speculative decoding against batch, for one layout."""
    c, draft, notes = _curve(q)
    asked, at = c.question, cell(c.context, "count")
    return Answer(
        title=Say("Speculative decoding of *{model}* on *{machine}*", {"model": asked.model.name, "machine": asked.machine.name}),
        subtitle=f"{c.layout.label()}, {setting.formats(c.precision)} · {at} tokens in each sequence",
        blocks=(*_drafts(c, draft), _where(c), Chart(spec=_speed_chart(c)), Chart(spec=_time_chart(c)), *_tables(c)),
        table="curve",
        data={
            "layout": setting.layout(c.layout),
            "precision": setting.precision(c.precision),
            "price_per_gpu_hour": setting.known_price(asked.machine),
            "pays": [{"from": a, "to": b} for a, b in c.pays],
            "largest_batch": float(c.batch[-1]),
            "capacity": c.capacity,
            "capacity_plain": c.plain_capacity,
        },
        terms=lambda: _terms(c, draft),
        notes=notes,
        subject=c,
    )


def _curve(q: Speculate) -> tuple[SpeculationCurve, str, tuple[str, ...]]:
    asked, notes = asked_of(q, Traffic(isl=1024, osl=1))
    formats, named = asked.precisions[0], q.contexts or ()
    notes += within(asked.model, q.context, "context", extrapolate=q.extrapolate)
    notes += within(asked.model, max([*named, 0.0]), "contexts", extrapolate=q.extrapolate)
    rows = named or [row for row in (1024.0 * 4**i for i in range(8)) if row <= longest(asked.model)]
    speculation, draft = speculation_of(asked.model, formats, q.draft, depth=q.depth, acceptance=q.acceptance)
    chosen = layout_taken(q.layout, asked, lambda: layout_for_curve(asked, formats, q.context), notes)
    c = speculation_curve(asked, chosen, formats, speculation, q.context, tuple(sorted({*rows, q.context})))
    notes.append("acceptance is given, not predicted; drafts are a chain, kept independently of each other")
    notes += _translated(speculation, asked.model)
    if c.capacity < 1:
        notes.append("with the drafting model beside it, not one sequence of this context fits")
    return c, draft, tuple(dict.fromkeys(notes))


def _translated(speculation: Speculation, model: Model) -> list[str]:
    """A note where drafts are made in another vocabulary."""
    step = speculation.step
    if speculation.kind != "model" or step is None or step.vocab == model.vocab:
        return []
    return [f"{step.name} has {step.vocab:,.0f} tokens and the model {model.vocab:,.0f}: drafts of another vocabulary must be translated"]


def _drafts(c: SpeculationCurve, draft: str) -> tuple[Say, Say]:
    s = c.speculation
    made = {"kind": s.kind, "made_by": draft, "depth": float(s.depth), "acceptance": float(s.acceptance)}
    passes = {"tokens_per_pass": float(s.kept), "most_per_pass": float(s.width)}
    each = "{depth:g} before each check" if float(s.depth) > 1 else "one before each check"
    return (
        Say(
            each + ", kept with {acceptance:percent}" + (" each" if float(s.depth) > 1 else ""),
            made,
            key="draft",
            title="Drafts",
            aside=f"by {draft}",
        ),
        Say("*{tokens_per_pass:.2f}* tokens per pass on average, of at most {most_per_pass:g}", passes, key="draft"),
    )


def _where(c: SpeculationCurve) -> Say:
    """The batches at which it pays."""
    values: dict[str, Any] = {"top": float(c.batch[-1])}
    if not c.pays:
        return Say("*It never pays* at batches up to {top:count}", values)
    if c.pays == ((1.0, math.inf),):
        return Say("*It pays at every batch* looked at, up to {top:count}", values)
    spans = []
    for i, (start, end) in enumerate(c.pays):
        values |= {f"start{i}": start, f"end{i}": end}
        first = f"from {{start{i}:whole}} " if start > 1 else ""
        spans.append(first + (f"up to {{end{i}:whole}}" if math.isfinite(end) else "on"))
    return Say(f"*It pays at batches {' and '.join(spans)}* (looked at: up to {{top:count}})", values)


def _marks(c: SpeculationCurve) -> list[Mark]:
    ends = [b for _, b in c.pays if math.isfinite(b)]
    found = [Mark("break-even", ends[-1])] if ends else []
    if 1 < c.capacity < c.batch[-1]:
        found.append(Mark("capacity", c.capacity))
    return found


def _speed_chart(c: SpeculationCurve) -> dict[str, Any]:
    """Speed-up against batch: at the given depth, at the best depth, and no speed-up."""
    x = c.batch.tolist()
    return curve(
        [
            Series(f"depth {float(c.speculation.depth):g}", x, c.speedup.tolist()),
            Series("best depth", x, c.best_speedup.tolist(), look="dashed"),
            Series("as fast as plain", [x[0], x[-1]], [1.0, 1.0], look="dashed"),
        ],
        title="Speed-up of speculative decoding",
        x=Axis("Batch (sequences)", log=True),
        y=Axis("Plain TPOT / speculative TPOT"),
        marks=_marks(c),
    )


def _time_chart(c: SpeculationCurve) -> dict[str, Any]:
    """Time per output token against batch, with the bound."""
    x = c.batch.tolist()
    return curve(
        [
            Series("speculative", x, c.tpot.tolist()),
            Series("plain", x, c.plain_tpot.tolist()),
            Series("bound: every draft kept", x, c.tpot_bound.tolist(), look="dashed"),
        ],
        title="Time per output token",
        x=Axis("Batch (sequences)", log=True),
        y=Axis("Time per token", "s", log=True),
        marks=_marks(c),
    )


def _tables(c: SpeculationCurve) -> list[Block]:
    return [
        _against_batch(c),
        Say("equal TPOT: cost of a token over plain decoding's at its TPOT, which a larger batch then has", faint=True),
        _by_context(c),
    ]


def _rows(c: SpeculationCurve, paid: bool) -> list[dict[str, Any]]:
    """One row for each batch."""
    share = draft_share(c)
    return [
        {
            "batch": float(c.batch[i]),
            "fits": bool(c.batch[i] <= c.capacity),
            "tpot": float(c.tpot[i]),
            "tpot_bound": float(c.tpot_bound[i]),
            "tpot_plain": float(c.plain_tpot[i]),
            "speedup": float(c.speedup[i]),
            "draft_share": float(share[i]),
            "output_mtok": float(c.cost_mtok[i]) if paid else None,
            "output_mtok_plain": float(c.plain_cost_mtok[i]) if paid else None,
            "cost_ratio": float(1 / c.speedup[i]),
            "cost_ratio_same_pace": float(c.same_pace[i]),
            "best_depth": float(c.best_depth[i]),
            "best_speedup": float(c.best_speedup[i]),
        }
        for i in range(len(c.batch))
    ]


def _against_batch(c: SpeculationCurve) -> Table:
    paid = setting.known_price(c.question.machine) is not None
    rows = _rows(c, paid)
    wanted = np.geomspace(1, c.batch[-1], 9)
    chosen = sorted({int(np.argmin(np.abs(np.log(c.batch / w)))) for w in wanted})
    over = [at for at, i in enumerate(chosen) if not rows[i]["fits"]]
    shown = [rows[i] | _said(rows[i]) for i in chosen]
    cost = (Column("output_mtok", "$/M output", "$", optional=3),) if paid else ()
    return Table(
        key="curve",
        title="Against batch",
        rows=rows,
        shown=shown,
        columns=(
            Column("batch", "batch", "count"),
            Column("tpot", "TPOT", "s"),
            Column("tpot_plain", "plain", "s"),
            Column("tpot_bound", "bound", "s", optional=1),
            Column("speedup", "speed-up", "x2"),
            Column("best_depth", "best depth", "whole"),
            Column("best_speedup", "at best", "x2", optional=4),
            Column("cost_ratio_same_pace", "equal TPOT", "x2", optional=2),
            *cost,
        ),
        faint=frozenset(over),
        marks=dict.fromkeys(over, "does not fit"),
    )


def _said(row: dict[str, Any]) -> dict[str, Any]:
    """What a row says in words: that no depth pays, that no batch has plain decoding's pace."""
    no_depth = {} if row["best_depth"] else {"best_depth": "none", "best_speedup": None}
    return no_depth | ({} if math.isfinite(row["cost_ratio_same_pace"]) else {"cost_ratio_same_pace": "–"})


def _by_context(c: SpeculationCurve) -> Table:
    rows = [_break_even(b) for b in c.break_even]
    edge = {0.0: "never pays", math.inf: "pays at every batch"}
    return Table(
        key="break_even",
        title="The batch at which it stops paying, by context",
        aside="whatever memory holds",
        rows=rows,
        shown=[row | {"batch": edge.get(row["batch"], row["batch"])} for row in rows],
        columns=(
            Column("context", "context", "count"),
            Column("batch", "break-even batch", "whole"),
            Column("capacity", "that fit", "count"),
            Column("speedup_alone", "batch 1", "x2"),
            Column("best_speedup", "at best", "x2"),
            Column("best_batch", "at batch", "count", optional=1),
        ),
    )


def _break_even(b: BreakEven) -> dict[str, Any]:
    return {
        "context": b.context,
        "batch": b.batch,
        "always_pays": math.isinf(b.batch),
        "speedup_alone": b.alone,
        "best_speedup": b.best,
        "best_batch": b.best_batch,
        "capacity": b.fits,
    }


def _terms(c: SpeculationCurve, draft: str) -> Term:
    """The terms at batch 1 and at the largest batch at which speculation pays and fits."""
    s = c.speculation
    kept = Term(
        name="tokens per pass",
        value=float(s.kept),
        note="(1 - a^(depth+1)) / (1 - a)",
        children=(count("depth", float(s.depth), draft), count("acceptance", float(s.acceptance))),
    )
    inside = np.flatnonzero((c.speedup > 1) & (c.batch <= max(c.capacity, 1.0)))
    picks = sorted({0, int(inside[-1]) if len(inside) else 0})
    return Term(
        name=f"speculative decoding of {c.question.model.name} on {c.question.machine.name}, {c.layout.label()}",
        children=(kept, *(_at(c, kept, i) for i in picks)),
    )


def _at(c: SpeculationCurve, kept: Term, i: int) -> Term:
    whole, checking = float(np.asarray(c.whole.estimate)[i]), float(np.asarray(c.checked.estimate)[i])
    check = Term(name="pass that checks", value=checking, unit="s", note=f"{float(c.speculation.width):g} tokens each")
    draft = Term(name="making the drafts", value=whole - checking, unit="s", note="one pass after the other")
    tpot = quotient("TPOT", "s", stated("sum", "step", whole, "s", draft, check), kept)
    plain = Term(name="plain TPOT", value=float(c.plain_tpot[i]), unit="s", note="explain forward shows its terms")
    bound = Term(name="bound of the step", value=float(np.asarray(c.whole.bound)[i]), unit="s")
    least = quotient("TPOT bound", "s", bound, count("tokens at most", float(c.speculation.width)))
    children = [quotient("speed-up", "", plain, tpot), least]
    if setting.known_price(c.question.machine) is not None:
        rate = count("dollars per GPU-hour / 3600 x GPUs x 1e6 / batch", float(c.cost_mtok[i] / c.tpot[i]))
        children.append(product("$/M output tokens", "$", rate, tpot))
    return Term(name=f"batch {c.batch[i]:,.0f}", children=tuple(children))
