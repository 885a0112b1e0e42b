"""Cost per million output tokens and TPOT against context, for the model's attention and for other kinds of it.

Group: Serving
Example: rackmath context deepseek-ai/DeepSeek-V3 --on gb200-nvl72 --min-interactivity 20

As many sequences decode as memory holds at that length, or fewer to keep --max-tpot. Sparse kinds read less and
store as much, so they free time but no seats. Decoding only: prefill is not in these costs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np

from ..answers.charts import Axis, Mark, Series, curve
from ..answers.parts import Answer, Block, Chart, Column, Say, Table
from ..answers.text import cell
from ..questions.common import CHOICES, OBJECTIVES, OnMachine, PriceKind
from ..questions.fields import Field, count, needs, seconds, speed, tokens, words
from ..questions.layouts import layout_taken
from ..questions.resolve import asked_of, max_tpot_of
from ..search.context import SHORTEST, KindCurve, PriceStep, TwoPrices, context_curves, two_prices
from ..search.preferred import Policy, preferred_layout
from ..units import show
from ..views import context_terms, setting
from ..world import kinds
from ..world.lengths import longest, within
from ..world.workload import Traffic

KIND, OFFER = "Kinds of attention", "Two prices"

DRAWN = 200
"""Points of a drawn line: more are not seen."""


@dataclass(frozen=True, kw_only=True)
class Context(OnMachine):
    """How long contexts become, what else attention might be, and the two prices of an offer."""

    max_context: Annotated[float | None, tokens("Longest context drawn: 128k. The model's own limit if not given.", least=2)] = None
    max_tpot: Annotated[float | None, seconds("Time per output token the batch must keep: 40ms.", panel=OBJECTIVES)] = None
    min_interactivity: Annotated[float | None, speed("Tokens per second each user must get: 20.", panel=OBJECTIVES)] = None
    batch: Annotated[float | None, count("At most so many sequences decode together.", least=1, panel=OBJECTIVES)] = None
    kinds: Annotated[tuple[str, ...], words("Kinds beside the model's own: dense, window, sqrt, top-k.", "WORDS", panel=KIND)] = kinds.NAMES
    window: Annotated[float, tokens("Tokens a local layer keeps.", panel=KIND), needs("kinds", among=("window",))] = 4096
    local: Annotated[float, count("Local layers for each global one.", panel=KIND), needs("kinds", among=("window",))] = 5
    top_k: Annotated[float, tokens("Tokens a query reads, with an indexer.", panel=KIND), needs("kinds", among=("top-k",))] = 2048
    index_dim: Annotated[float, count("Width of the indexer's keys.", least=1, panel=KIND), needs("kinds", among=("top-k",))] = 128
    threshold: Annotated[
        float | None, tokens("Context above which a second price holds. 200k, or a quarter of the range, if not given.", panel=OFFER)
    ] = None
    step: Annotated[
        float,
        Field(help="How much dearer it is above the threshold: 50%, 100%.", unit="share", least=0, most=1e6, metavar="SHARE", panel=OFFER),
    ] = 0.5
    list_price: Annotated[
        float | None,
        Field(
            help="A listed price per million output tokens: $12. Margins over it are shown.",
            unit="$",
            above=0,
            most=1e9,
            metavar="PRICE",
            panel=OFFER,
        ),
    ] = None
    layout: Annotated[
        str | None,
        words("Such as 'TP8 DP4 EP32 PP2'. If not given, the one with the cheapest tokens at the threshold.", "LAYOUT", panel=CHOICES),
    ] = None
    price: PriceKind = None


def answer(q: Context) -> Answer:
    """Cost and pace against context, for the model's own attention and other kinds."""
    a, notes = _answered(q)
    c = a.curves
    return Answer(
        title=Say(
            "Decoding *{model}* on *{machine}* against context", {"model": c.question.model.name, "machine": c.question.machine.name}
        ),
        subtitle=f"{c.layout.label()}, {setting.formats(c.precision)} · {_policy(c.policy)}",
        blocks=tuple(_blocks(q, a)),
        table=lambda: _rows(a),
        data=_data(a),
        terms=lambda: context_terms.of_context(a),
        notes=notes,
        subject=a,
    )


def _answered(q: Context) -> tuple[TwoPrices, tuple[str, ...]]:
    asked = [word.strip().lower().replace("topk", "top-k") for word in q.kinds]
    of, notes = asked_of(q, Traffic(isl=1024, osl=1))
    end = longest(of.model) if q.max_context is None else q.max_context
    notes += within(of.model, end, "max_context", extrapolate=q.extrapolate)
    border = 200e3 if end >= 400e3 else max(end / 4, min(SHORTEST, end / 2))
    border = border if q.threshold is None else q.threshold
    policy = Policy(max_tpot=max_tpot_of(q.max_tpot, q.min_interactivity), batch=math.inf if q.batch is None else q.batch)
    models = kinds.variants(of.model, asked, window=q.window, local=q.local, top_k=q.top_k, index_dim=q.index_dim)
    used = of.precisions[0]
    chosen = layout_taken(q.layout, of, lambda: preferred_layout(of, used, border, policy), notes)
    curves = context_curves(of, used, models, longest=end, threshold=border, policy=policy, layout=chosen)
    return two_prices(curves, q.step, q.list_price), tuple(dict.fromkeys(notes))


def _policy(p: Policy) -> str:
    """The batch policy in words."""
    most = f", at most {cell(p.batch, 'count')}" if p.batch < math.inf else ""
    return f"as many sequences as memory holds{most}" + (f", within {show(p.max_tpot, 's')} per token" if p.max_tpot < math.inf else "")


def _paid(a: TwoPrices) -> bool:
    return setting.known_price(a.curves.question.machine) is not None


COLUMNS = {
    "capacity": "capacity",
    "batch": "batch",
    "tpot": "tpot",
    "tpot_bound": "tpot_bound",
    "output_mtok": "cost_mtok",
    "output_mtok_bound": "bound_cost_mtok",
    "output_mtok_limit": "limit_mtok",
    "stored_bytes": "stored",
    "read_bytes": "read",
}
"""Columns of a kind in the record, and what the curve calls them."""


def _data(a: TwoPrices) -> dict[str, Any]:
    c = a.curves
    return {
        "layout": setting.layout(c.layout),
        "precision": setting.precision(c.precision),
        "policy": {"max_tpot": c.policy.max_tpot, "batch": c.policy.batch},
        "price_per_gpu_hour": setting.known_price(c.question.machine),
        "balance": c.balance,
        "threshold": c.threshold,
        "step": a.step,
        "list_mtok": a.list_mtok,
        "list_mtok_above": None if a.list_mtok is None else a.list_mtok * (1 + a.step),
        "context": c.context,
        "kinds": [_kind(a, one) for one in c.curves],
    }


def _kind(a: TwoPrices, one: KindCurve) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "balance_context": one.balance_context,
        "flops_context": one.flops_context,
        "full_context": one.full_context,
        "price_step": asdict(a.steps[one.kind]),
        "price_step_limit": asdict(a.limit_steps[one.kind]),
        "columns": _columns(a, one),
    }


def _columns(a: TwoPrices, one: KindCurve) -> dict[str, Any]:
    """The curve of one kind; dollars are None throughout where the machine has no price."""
    found: dict[str, Any] = {name: getattr(one, of) for name, of in COLUMNS.items()}
    if not _paid(a):
        return found | {name: [None] * len(one.batch) for name in found if "mtok" in name}
    margin = a.margin(one)
    return found if margin is None else found | {"margin": margin}


def _rows(a: TwoPrices) -> list[dict[str, Any]]:
    """One row for each kind and context."""
    rows = []
    for one in a.curves.curves:
        found = _columns(a, one)
        for i, length in enumerate(a.curves.context):
            rows.append({"kind": one.kind, "context": length} | {name: col[i] for name, col in found.items()})
    return rows


def _blocks(q: Context, a: TwoPrices) -> Iterator[Block]:
    yield from _described(q, a)
    paid = _paid(a)
    yield Chart(spec=_cost_chart(a) if paid else _pace_chart(a), lines=18)
    yield _thresholds(a)
    yield _cost_table(a) if paid else _pace_table(a)
    if paid:
        yield Say(
            "limit: any number of sequences, memory without end, attention FLOPs dropped; only multiplying the"
            " weights and reading the cache are left",
            faint=True,
        )
    yield _bytes(a)
    if paid:
        yield Chart(spec=_pace_chart(a), lines=14)
    yield _step(a)
    yield Say(
        "limit: the lecture's idealised cost, flat to L* and then proportional to what is read. Ratios of"
        " decoding cost; a listed price also carries prefill, margin and idle time.",
        faint=True,
    )
    if paid and a.listed is not None:
        yield _margins(a)
        yield Say("over decoding cost at full use of the machine: the real margin is smaller", faint=True)
    for of, title in (("read", "Cache one output token reads"), ("stored", "Cache one sequence stores")):
        yield Chart(spec=_bytes_chart(a, of, title), lines=0)


def _described(q: Context, a: TwoPrices) -> Iterator[Say]:
    """What each kind is, in words."""
    said = {
        "own": "own: what the model has",
        "dense": "dense: every token reads all earlier ones",
        "window": "window: {local:g} layers of {window:count} tokens for each that keeps all",
        "sqrt": "sqrt: one summary per block and one block of sqrt(context) tokens are read",
        "top-k": "top-k: {top_k:count} tokens are read, chosen by {index_dim:count}-wide keys of all",
    }
    values = {name: getattr(q, name) for name in ("local", "window", "top_k", "index_dim")}
    for one in a.curves.curves:
        yield Say(said[one.kind], values, faint=True)


def _or(value: float, word: str) -> float | str:
    """A number, or a word in place of what is not finite."""
    return float(value) if math.isfinite(value) else word


def _thresholds(a: TwoPrices) -> Table:
    each = a.curves.curves
    full = f"B* = {cell(round(a.curves.balance), 'count')} sequences fill HBM"
    names = {
        "L*: cache read = weights multiplied": "balance_context",
        "attention FLOPs = weight FLOPs": "flops_context",
        full: "full_context",
    }
    rows: list[dict[str, Any]] = [{"what": said} | {k.kind: _or(getattr(k, of), "never") for k in each} for said, of in names.items()]
    return Table(
        key="",
        title="Where the context begins to matter",
        aside="tokens",
        rows=rows,
        columns=(Column("what", ""), *(Column(k.kind, k.kind, "whole") for k in each)),
    )


def _picks(a: TwoPrices, most: int) -> list[int]:
    """Rows for a table: evenly spread on the logarithm, with the ends and the threshold."""
    x = a.curves.context
    low = math.ceil(math.log2(x[0]) - 1e-9)
    powers = [2.0**i for i in range(low, 60) if 2.0**i <= x[-1] * (1 + 1e-9)]
    wanted = [*powers[:: max(1, math.ceil(len(powers) / most))], a.curves.threshold, x[-1]]
    return sorted({int(np.argmin(np.abs(np.log(x / w)))) for w in wanted})


def _at(a: TwoPrices, picks: list[int]) -> int | None:
    """The row of the threshold."""
    return next((n for n, i in enumerate(picks) if a.curves.context[i] == a.curves.threshold), None)


def _cost_table(a: TwoPrices) -> Table:
    c, picks = a.curves, _picks(a, 9)
    own, others = c.own, c.curves[1:]
    rows = [
        {
            "context": c.context[i],
            "batch": _or(own.batch[i], "none"),
            "step": _or(own.tpot[i], "-"),
            "own": _or(own.cost_mtok[i], "-"),
            "bound": _or(own.bound_cost_mtok[i], "-"),
            "limit": own.limit_mtok[i],
        }
        | {f"kind {k.kind}": _or(k.cost_mtok[i], "-") for k in others}
        for i in picks
    ]
    return Table(
        key="",
        title="$/M output tokens",
        aside="own, its bound and the lecture's limit; then the other kinds",
        rows=rows,
        strong=_at(a, picks),
        columns=(
            Column("context", "context", "count"),
            Column("batch", "batch", "count"),
            Column("step", "step", "s", optional=1),
            Column("own", "own", "$"),
            Column("bound", "bound", "$"),
            Column("limit", "limit", "$", optional=2),
            *(Column(f"kind {k.kind}", k.kind, "$") for k in others),
        ),
    )


def _pace_table(a: TwoPrices) -> Table:
    c, picks = a.curves, _picks(a, 9)
    own, others = c.own, c.curves[1:]
    rows = [
        {"context": c.context[i], "batch": _or(own.batch[i], "none"), "own": _or(own.tpot[i], "-"), "bound": _or(own.tpot_bound[i], "-")}
        | {f"kind {k.kind}": _or(k.tpot[i], "-") for k in others}
        for i in picks
    ]
    return Table(
        key="",
        title="Time per output token",
        aside="own and its bound; then the other kinds",
        rows=rows,
        strong=_at(a, picks),
        columns=(
            Column("context", "context", "count"),
            Column("batch", "batch", "count"),
            Column("own", "own", "s"),
            Column("bound", "bound", "s"),
            *(Column(f"kind {k.kind}", k.kind, "s") for k in others),
        ),
    )


def _bytes(a: TwoPrices) -> Table:
    picks = _picks(a, 5)
    rows: list[Mapping[str, Any]] = []
    for k in a.curves.curves:
        for said, column in ((f"{k.kind}, stored", k.stored), ("read by a token", k.read)):
            rows.append({"what": said} | {str(i): float(column[i]) for i in picks})
    columns = [Column(str(i), cell(float(a.curves.context[i]), "whole"), "B") for i in picks]
    return Table(
        key="",
        title="Cache of one sequence",
        rows=rows,
        aside="all layers, one copy; sparse reads do not shrink what is stored",
        columns=(Column("what", ""), *columns),
        faint=frozenset(range(1, len(rows), 2)),
    )


def _step(a: TwoPrices) -> Table:
    border, end = a.curves.threshold, float(a.curves.context[-1])
    last = cell(end, "whole")

    def reach(found: PriceStep) -> float | str:
        return "-" if math.isnan(found.base) else _or(found.covers_to, f"all to {last}")

    rows = []
    for k in a.curves.curves:
        found, limit = a.steps[k.kind], a.limit_steps[k.kind]
        rows.append(
            {
                "kind": k.kind,
                "needed": _or(found.needed, "-"),
                "covers_to": reach(found),
                "limit": _or(limit.needed, "-"),
                "limit_covers_to": reach(limit),
            }
        )
    return Table(
        key="",
        title=f"One price to {cell(border, 'whole')} tokens, another above",
        aside="the first covers the dearest length below it",
        rows=rows,
        columns=(
            Column("kind", ""),
            Column("needed", f"{last} costs", "x2"),
            Column("covers_to", f"+{a.step:.0%} covers to", "whole"),
            Column("limit", "limit", "x2"),
            Column("limit_covers_to", "covers to", "whole"),
        ),
    )


def _margins(a: TwoPrices) -> Table:
    listed = a.listed
    assert listed is not None
    margins = {k.kind: a.margin(k) for k in a.curves.curves}
    rows = [
        {"context": a.curves.context[i], "listed": float(listed[i])}
        | {f"kind {kind}": _or(m[i], "-") for kind, m in margins.items() if m is not None}
        for i in _picks(a, 6)
    ]
    above = cell(float(a.list_mtok or 0) * (1 + a.step), "$")
    return Table(
        key="",
        title="Implied gross margin",
        rows=rows,
        aside=f"listed at {cell(a.list_mtok, '$')}, {above} above the threshold",
        columns=(
            Column("context", "context", "count"),
            Column("listed", "listed", "$"),
            *(Column(f"kind {kind}", kind, "share") for kind in margins),
        ),
    )


def _thin(column: Any) -> list[float]:
    values = np.asarray(column, dtype=float)
    index = np.unique(np.linspace(0, len(values) - 1, min(len(values), DRAWN)).round().astype(int))
    found: list[float] = values[index].tolist()
    return found


def _marks(a: TwoPrices, *, cost: bool) -> list[Mark]:
    own, x = a.curves.own, a.curves.context
    found = {"L*": own.balance_context, "attention FLOPs = weights": own.flops_context, "B* fills HBM": own.full_context} | (
        {"threshold": a.curves.threshold} if cost else {}
    )
    return [Mark(name, at) for name, at in found.items() if x[0] <= at <= x[-1]]


def _lines(a: TwoPrices, of: str) -> list[Series]:
    x = _thin(a.curves.context)
    return [Series(k.kind, x, _thin(getattr(k, of))) for k in a.curves.curves]


AXIS = Axis("Context (tokens)", log=True)


def _cost_chart(a: TwoPrices) -> dict[str, Any]:
    """Dollars per million output tokens against context."""
    x, own = _thin(a.curves.context), a.curves.own
    series = [
        *_lines(a, "cost_mtok"),
        Series("own, bound", x, _thin(own.bound_cost_mtok), look="dashed"),
        Series("own, lecture's limit", x, _thin(own.limit_mtok), look="dashed"),
    ]
    return curve(
        series,
        title="Cost of output tokens, decoding only",
        x=AXIS,
        y=Axis("Cost", "$/M output tokens", log=True),
        marks=_marks(a, cost=True),
    )


def _pace_chart(a: TwoPrices) -> dict[str, Any]:
    """Seconds per output token against context."""
    x, own = _thin(a.curves.context), a.curves.own
    series = [*_lines(a, "tpot"), Series("own, bound", x, _thin(own.tpot_bound), look="dashed")]
    return curve(
        series,
        title=f"Time per output token, {_policy(a.curves.policy)}",
        x=AXIS,
        y=Axis("TPOT", "s", log=True),
        marks=_marks(a, cost=False),
    )


def _bytes_chart(a: TwoPrices, of: str, title: str) -> dict[str, Any]:
    """Bytes one output token reads, or one sequence stores, against context."""
    return curve(_lines(a, of), title=title, x=AXIS, y=Axis(of.capitalize(), "B", log=True))
