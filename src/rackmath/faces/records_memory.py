"""Answers of `memory` as plain mappings and rows. SI units; None where unknown or infinite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..views.setting import known_price, layout, precision
from .ask_memory import DrainAnswer, MemoryAnswer
from .records import Record

if TYPE_CHECKING:
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
