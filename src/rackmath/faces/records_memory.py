"""Answers of `memory` and `context` as plain mappings and rows. SI units; None where unknown or infinite."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from ..views.setting import known_price, layout, precision
from .ask_memory import ContextAnswer, DrainAnswer, MemoryAnswer
from .records import Record

if TYPE_CHECKING:
    from ..search.context import KindCurve
    from ..search.memory import Drain


def drain_rows(answer: DrainAnswer) -> list[Record]:
    """One row for each memory of each machine."""
    return [_drain(d) for d in answer.drains]


def _drain(d: Drain) -> Record:
    return {
        "machine": d.machine,
        "accelerator": d.accelerator,
        "year": d.year or None,
        "tier": d.tier,
        "capacity": d.capacity,
        "bandwidth": d.bandwidth,
        "drain": d.drain,
        "source": "; ".join(s.text for s in d.sources),
        "date": next((s.date for s in d.sources if s.date), ""),
        "verified": d.verified,
    }


def memory(answer: MemoryAnswer) -> Record:
    """{question, drain, floor, share, ..., users, drains, notes}."""
    m = answer.memory
    q = m.question
    return {
        "question": {"model": q.model.name, "machine": q.machine.name, "context": m.reference},
        "layout": layout(m.layout),
        "replicas": m.replicas,
        "precision": precision(m.precision),
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
            "capacity": m.holds.capacity,
            "nominal": m.question.machine.box,
            "terms": dict(m.terms),
            "pool_tokens": m.pool_tokens,
        },
        "price_per_gpu_hour": known_price(q.machine),
        "users": user_rows(answer),
        "drains": [_drain(d) for d in m.drains],
        "notes": list(answer.notes),
    }


def user_rows(answer: MemoryAnswer) -> list[Record]:
    """One row for each context."""
    u = answer.memory.users
    paid = known_price(answer.memory.question.machine) is not None
    names = {
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
    rows: list[Record] = []
    for i in range(len(u.context)):
        row: Record = {name: float(column[i]) for name, column in names.items()}
        row["users_lost"] = rows[-1]["users"] - row["users"] if rows else None
        rows.append(row)
    return rows


# --- context ------------------------------------------------------------------------------------------------------

COLUMNS = ("capacity", "batch", "tpot", "tpot_bound", "output_mtok", "output_mtok_bound", "output_mtok_limit",
           "stored_bytes", "read_bytes")  # fmt: skip


def context(answer: ContextAnswer) -> Record:
    """{question, policy, balance, threshold, context, kinds, notes}; the columns of each kind run along `context`."""
    c = answer.curves
    q = c.question
    return {
        "question": {"model": q.model.name, "machine": q.machine.name},
        "layout": layout(c.layout),
        "precision": precision(c.precision),
        "policy": {"max_tpot": c.policy.max_tpot, "batch": c.policy.batch},
        "price_per_gpu_hour": known_price(q.machine),
        "balance": c.balance,
        "threshold": c.threshold,
        "step": answer.step,
        "list_mtok": answer.list_mtok,
        "context": c.context,
        "kinds": [_kind(answer, one) for one in c.curves],
        "notes": list(answer.notes),
    }


def _kind(answer: ContextAnswer, one: KindCurve) -> Record:
    return {
        "kind": one.kind,
        "balance_context": one.balance_context,
        "flops_context": one.flops_context,
        "full_context": one.full_context,
        "price_step": asdict(answer.steps[one.kind]),
        "price_step_limit": asdict(answer.limit_steps[one.kind]),
        "columns": columns(answer, one),
    }


def columns(answer: ContextAnswer, one: KindCurve) -> dict[str, Any]:
    """The curve of one kind; dollars are None throughout where the machine has no price."""
    found: dict[str, Any] = dict(
        zip(
            COLUMNS,
            (one.capacity, one.batch, one.tpot, one.tpot_bound, one.cost_mtok, one.bound_cost_mtok, one.limit_mtok,
             one.stored, one.read),
            strict=True,
        )
    )  # fmt: skip
    if known_price(answer.curves.question.machine) is None:
        found |= {name: [None] * len(one.batch) for name in found if "mtok" in name}
    if answer.list_mtok is not None and known_price(answer.curves.question.machine) is not None:
        found["margin"] = margin(answer, one)
    return found


def list_price(answer: ContextAnswer) -> Any:
    """The listed price at every context: the second one above the threshold."""
    assert answer.list_mtok is not None
    c = answer.curves
    return np.where(c.context <= c.threshold, answer.list_mtok, answer.list_mtok * (1 + answer.step))


def margin(answer: ContextAnswer, one: KindCurve) -> Any:
    """Implied gross margin of the listed price over decoding cost, a share."""
    return 1 - one.cost_mtok / list_price(answer)


def context_rows(answer: ContextAnswer) -> list[Record]:
    """One row for each kind and context."""
    rows = []
    for one in answer.curves.curves:
        found = columns(answer, one)
        for i, length in enumerate(answer.curves.context):
            rows.append({"kind": one.kind, "context": length} | {name: col[i] for name, col in found.items()})
    return rows
