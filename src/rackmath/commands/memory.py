"""How much of the memory weights take, how long it takes to read, and how many users of which context fit.

Group: Serving
Example: rackmath memory meta-llama/Llama-3.1-70B --on gb200-nvl72

The drain time, capacity over bandwidth, is the longest useful memory time of a step: whatever takes longer is
read twice. It is not a floor: no step is faster than reading the weights once, their share of the memory times
the drain time. DeepSeek-V3 on gb200-nvl72: 1.2 ms of 23 ms. Drain times of machines alone: rackmath drains.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from ..answers.charts import Axis, Mark, Series, curve
from ..answers.parts import Answer, Bar, Block, Chart, Column, Figure, Figures, Say, Table
from ..answers.text import cell
from ..questions.common import LayoutWords, OnMachine, PriceKind, model
from ..questions.fields import tokens
from ..questions.layouts import parse_layout
from ..questions.resolve import asked_of
from ..search.memory import ServingMemory
from ..search.memory import memory as of_model
from ..search.preferred import Policy, preferred_layout
from ..views import memories, setting
from ..world.lengths import longest, within
from ..world.workload import Traffic


@dataclass(frozen=True, kw_only=True)
class MemoryQuestion(OnMachine):
    """Which contexts the users have, and how the model is cut."""

    model: Annotated[Any, model("drain times of machines alone: rackmath drains")]
    context: Annotated[float | None, tokens("Tokens of the users that displaced ones are counted in. 8192 if not given.")] = None
    contexts: Annotated[
        tuple[float, ...] | None, tokens("Rows of the table: 8k,32k,128k. Powers of two to the model's limit if not given.")
    ] = None
    layout: LayoutWords = None
    price: PriceKind = None


def answer(q: MemoryQuestion) -> Answer:
    """Drain time, weights' share of HBM, the step at that fill, and the users that fit at each context."""
    m, notes = _memory(q)
    of = m.question
    copies = f"{m.replicas:.0f} replicas of " if m.replicas > 1 else ""
    return Answer(
        title=Say("*{model}* in the memory of *{machine}*", {"model": of.model.name, "machine": of.machine.name}),
        subtitle=f"{copies}{m.layout.label()}, {setting.formats(m.precision)}",
        blocks=tuple(_blocks(m)),
        table="users",
        data=_data(m),
        terms=lambda: memories.of_model(m),
        notes=notes,
        subject=m,
    )


def _memory(q: MemoryQuestion) -> tuple[ServingMemory, tuple[str, ...]]:
    asked, notes = asked_of(q, Traffic(isl=1024, osl=1), personal=True)
    limit = longest(asked.model)
    reference = min(8192.0, limit) if q.context is None else q.context
    if q.contexts is None:
        rows = [2.0**i for i in range(10 if limit >= 8192 else 7, 41) if 2.0**i <= limit]
        rows = sorted({*rows, limit, reference})
    else:
        rows = sorted(q.contexts)
    given = "context" if max(rows) <= reference else "contexts"
    notes += within(asked.model, max(*rows, reference), given, extrapolate=q.extrapolate)
    of = max(rows) if q.context is None and q.contexts is not None else reference
    used = asked.precisions[0]
    chosen = parse_layout(q.layout, asked) if q.layout else preferred_layout(asked, used, of, Policy())
    found = of_model(asked, used, np.asarray(rows, dtype=float), reference=float(reference), layout=chosen)
    return found, tuple(dict.fromkeys(notes))


def _data(m: ServingMemory) -> dict[str, Any]:
    return {
        "reference": m.reference,
        "layout": setting.layout(m.layout),
        "replicas": m.replicas,
        "precision": setting.precision(m.precision),
        "drain": m.drain,
        "floor": m.floor,
        "weights_share": m.share,
        "weights_share_once": m.share_once,
        "floor_once": m.share_once * m.drain,
        "balance": m.balance,
        "compute_at_balance": m.compute_at_balance,
        "mfu_full_at_balance": m.mfu_full,
        "full_context": m.full_context,
        "memory": {
            "weights": m.holds.weights,
            "reserve": m.reserve,
            "room": m.room,
            "room_last_stage": m.holds.room,
            "capacity": m.holds.capacity,
            "nominal": m.question.machine.box,
            "terms": dict(m.terms),
            "pool_tokens": m.pool_tokens,
        },
        "price_per_gpu_hour": setting.known_price(m.question.machine),
        "drains": [memories.row(d) for d in m.drains],
    }


def _blocks(m: ServingMemory) -> Iterator[Block]:
    yield _landmarks(m)
    yield from _held(m)
    yield Chart(spec=_users_chart(m))
    yield Chart(spec=_step_chart(m), lines=0)
    yield _table(m)
    yield Say(
        "lost: users fewer than one row above. displaces: users of {reference:count} tokens whose room one user"
        " takes. ideal: all HBM, one copy of the weights, no reserve. A step longer than the drain time computes"
        " longer than it reads, or reads below peak.",
        {"reference": m.reference},
        faint=True,
    )


def _landmarks(m: ServingMemory) -> Figures:
    """Times and shares that matter, and why."""
    machine = m.question.machine
    once, computing = cell(m.share_once * m.drain, "s"), cell(m.compute_at_balance, "s")
    size, rate = cell(float(machine.box), "B"), cell(float(machine.hbm_bandwidth), "B/s")
    rows = [
        ("drain time C / M", m.drain, "s", f"{size} at {rate}: the longest useful read of a step"),
        ("weights' share of HBM", m.share, "share", f"on this layout; {cell(m.share_once, 'share')} if no device held a copy"),
        ("floor of a step", m.floor, "s", f"the weights read once; {once} if no device held a copy"),
        ("balance point B*", m.balance, "whole", "sequences: reading and multiplying the weights tie"),
        (
            "B* fills HBM at",
            m.full_context,
            "tokens",
            "tokens each; beyond it too few share the weights"
            if math.isfinite(m.full_context)
            else "at no length: the cache stops growing first",
        ),
        ("MFU, HBM full at B*", m.mfu_full, "share", f"{computing} of computing in {cell(m.drain, 's')}: the weights' share"),
    ]
    if not m.full_context > 0:
        del rows[4]
    for d in m.drains[1:]:
        rows.append((d.tier, d.drain, "s", f"{cell(d.capacity, 'B')} at {cell(d.bandwidth, 'B/s')}: drain time"))
    figures = (Figure(key=name, label=name, value=float(value), unit=unit, note=why) for name, value, unit, why in rows)
    return Figures(key="", head="", figures=tuple(figures))


def _held(m: ServingMemory) -> Iterator[Block]:
    """The memory of one device: weights, room, and what the engine keeps, term by term."""
    capacity, box = float(m.holds.capacity), float(m.question.machine.box)
    shown = f"{cell(capacity, 'B')} as the driver shows it" + (f", {cell(box, 'B')} on the box" if box != capacity else "")
    parts = {"weights": float(m.holds.weights), "room for the cache": max(m.room, 0.0), "reserve": m.reserve}
    yield Bar(key="", title="Memory per GPU", aside=shown, parts=parts, unit="B", whole=capacity)
    engine = f"{m.question.engine.name} {m.question.engine.version}".strip()
    kept = {name: value for name, value in m.terms.items() if value > 0}
    terms = " + ".join(f"{name} {{t{i}:B}}" for i, name in enumerate(kept))
    yield Say(
        "reserved by the {engine} engine = " + terms,
        {"engine": engine} | {f"t{i}": value for i, value in enumerate(kept.values())},
        faint=True,
    )
    if m.room > 0:
        last = "; the last stage has {last:B}" if float(m.holds.room) < m.room * 0.999 else ""
        values = {"pool": m.pool_tokens, "reference": m.reference, "last": float(m.holds.room)}
        text = "room: {pool:whole} tokens of cache in a replica, in sequences of {reference:whole}" + last
        yield Say(text, values, faint=True)


def _rows(m: ServingMemory) -> list[dict[str, Any]]:
    """One row for each context."""
    u = m.users
    paid = setting.known_price(m.question.machine) is not None
    columns = {
        "context": u.context,
        "bytes_per_user": u.per_user,
        "users": u.users,
        "users_ideal": u.ideal,
        "displaces": u.displaced,
        "fill": u.fill,
        "tpot": u.step,
        "tpot_bound": u.bound,
        "mfu": u.mfu,
        "user_hour": u.user_hour if paid else np.full(len(u.context), np.nan),
    }
    rows: list[dict[str, Any]] = []
    for i in range(len(u.context)):
        row: dict[str, Any] = {name: float(column[i]) for name, column in columns.items()}
        row["users_lost"] = rows[-1]["users"] - row["users"] if rows else None
        rows.append(row)
    return rows


def _table(m: ServingMemory) -> Table:
    rows = _rows(m)
    void = dict.fromkeys(("tpot", "tpot_bound", "mfu", "user_hour"), "-")
    cost = (Column("user_hour", "$/user·h", "$"),) if setting.known_price(m.question.machine) is not None else ()
    return Table(
        key="users",
        title="Users that fit, and their step when the memory is full",
        rows=rows,
        shown=[row if row["users"] >= 1 else row | void for row in rows],
        columns=(
            Column("context", "context", "count"),
            Column("bytes_per_user", "one user", "B"),
            Column("users", "users", "count"),
            Column("users_lost", "lost", "count", optional=1),
            Column("users_ideal", "ideal", "count"),
            Column("displaces", "displaces", "number", optional=2),
            Column("tpot", "step", "s"),
            Column("tpot_bound", "bound", "s"),
            Column("mfu", "MFU", "percent", optional=3),
            *cost,
        ),
        faint=frozenset(i for i, row in enumerate(rows) if not row["users"] >= 1),
    )


def _users_chart(m: ServingMemory) -> dict[str, Any]:
    """Users against context."""
    u, x = m.users, m.users.context.tolist()
    marks = [Mark("B* fills HBM", m.full_context)] if x[0] <= m.full_context <= x[-1] else []
    return curve(
        [
            Series("users that fit", x, u.users.tolist()),
            Series("ideal: all HBM, weights once", x, u.ideal.tolist(), look="dashed"),
            Series("B*, to amortise the weights", [x[0], x[-1]], [m.balance] * 2, look="dashed"),
        ],
        title="Users that fit",
        x=Axis("Context (tokens)", log=True),
        y=Axis("Users", log=True),
        marks=marks,
    )


def _step_chart(m: ServingMemory) -> dict[str, Any]:
    """The step with a full memory against context, with drain time and floor."""
    u, x = m.users, m.users.context.tolist()
    ends = [x[0], x[-1]]
    return curve(
        [
            Series("estimate", x, u.step.tolist()),
            Series("bound", x, u.bound.tolist(), look="dashed"),
            Series("drain time", ends, [m.drain] * 2, look="dashed"),
            Series("floor: weights read once", ends, [m.floor] * 2, look="dashed"),
        ],
        title="A decode step when the memory is full",
        x=Axis("Context (tokens)", log=True),
        y=Axis("Time per step", "s", log=True),
    )
