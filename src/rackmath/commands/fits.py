"""Will it fit? Yes or no, by how much, how many users of which context, and what would make it fit.

Group: Serving
Example: rackmath fits Qwen/Qwen3-30B-A3B --on rtx-4090 --precision q4_k_m --users 2 --context 32k

Every user is given a cache of the whole context. Tokens of cache and concurrency are those of one replica, as vLLM
logs them; with attention data parallelism vLLM logs each rank apart. Exits with 1 where it does not fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from ..answers.charts import Axis, Mark, Series, curve
from ..answers.parts import Answer, Bar, Block, Chart, Column, Frame, Say, Table
from ..answers.text import cell
from ..errors import Infeasible
from ..layout.parallelism import Layout
from ..questions.common import CHOICES, LayoutWords, OnMachine, PriceKind
from ..questions.fields import count, needs_no, specs, tokens
from ..questions.layouts import parse_layout
from ..questions.lines import line, words
from ..questions.resolve import asked_of
from ..search.fits import TIMES, Demand, Held, Remedy, demand, fits_with_host, holds, longest_context, most_users, remedies, users_at
from ..search.preferred import Policy, preferred_layout
from ..units import plural
from ..views import memories, setting
from ..world.lengths import longest, within
from ..world.workload import Traffic

Record = dict[str, Any]

ASKED = "Users"


@dataclass(frozen=True, kw_only=True)
class FitsQuestion(OnMachine):
    """So many users, with a context each, on a machine."""

    users: Annotated[int, count("Users at once.", least=1, whole=True, panel=ASKED)] = 1
    context: Annotated[float | None, tokens("Tokens that each user can have in memory: 128k. 8192 if not given.", panel=ASKED)] = None
    tp: Annotated[
        int | None,
        count("Cut over so many devices by tensor parallelism.", least=1, most=1e6, whole=True, panel=CHOICES),
        needs_no("layout"),
    ] = None
    dcp: Annotated[
        int | None,
        count(
            "Share the cache over so many ranks of tensor parallelism that hold copies of it: decode context parallelism.",
            least=1,
            most=1e6,
            whole=True,
            panel=CHOICES,
        ),
        needs_no("layout"),
    ] = None
    layout: LayoutWords = None
    price: PriceKind = None


def answer(q: FitsQuestion) -> Answer:
    """Yes or no first, then how far it goes, then what would make it fit."""
    asked, named, notes = _demand(q)
    held = holds(asked, _preferred(asked) if not named else None)
    ways = _remedies(q, asked, named) if not held.fits else []
    most, furthest = most_users(asked), longest_context(asked)
    spills = not held.fits and fits_with_host(asked)
    notes += (_with_host(q, asked),) if spills else ()
    of, m = asked.question, held
    return Answer(
        title=Say("*{model}* on *{machine}*", {"model": of.model.name, "machine": of.machine.name}),
        subtitle=" · ".join(
            (f"{plural(asked.users, 'user')} of {cell(asked.context, 'tokens')} tokens", setting.formats(asked.precision), m.layout.label())
        )
        + "".join(setting.under(of.engine)),
        blocks=tuple(_blocks(m, most, furthest, ways, named=named or len(np.asarray(asked.layouts.tp)) == 1)),
        table="remedies",
        data=_data(m, most, furthest) | {"with_host": spills},
        terms=lambda: memories.of_fit(m),
        notes=notes,
        exit_code=0 if m.fits else 1,
        subject=m,
    )


def _demand(q: FitsQuestion) -> tuple[Demand, bool, tuple[str, ...]]:
    """The demand in records; whether its layout was named; notes."""
    asked, notes = asked_of(q, Traffic(isl=1024, osl=1), personal=True)
    context = float(min(8192.0, longest(asked.model)) if q.context is None else q.context)
    notes += within(asked.model, context, "context", extrapolate=q.extrapolate)
    used = asked.precisions[0]
    layout = parse_layout(q.layout, asked) if q.layout else None
    ways = {name: float(value) for name, value in (("tp", q.tp), ("dcp", q.dcp)) if value}
    found = demand(asked, used, float(q.users), context, layout=layout, ways=ways)
    return found, bool(q.layout or ways), tuple(dict.fromkeys(notes))


def _with_host(q: FitsQuestion, asked: Demand) -> str:
    """Where the host's memory helps: the plan that uses it."""
    known = specs(FitsQuestion)
    shared = ("model", "on", "precision", "kv", "engine", "sets", "users")
    given = " ".join(w for key in shared for w in words(known[key], getattr(q, key), default=key == "users"))
    isl = max(asked.context - 1, 1.0)
    return f"with experts or layers left in the host's memory it runs, slower: rackmath plan {given} --isl {isl:.0f} --osl 1"


def _preferred(asked: Demand) -> Layout | None:
    """The layout that `memory` takes; None where nothing runs at all."""
    try:
        return preferred_layout(asked.question, asked.precision, asked.context, Policy())
    except Infeasible:
        return None


def _remedies(q: FitsQuestion, asked: Demand, named: bool) -> list[Record]:
    """Each change with the command that asks again, and how much it leaves over."""
    return [
        {
            "kind": r.kind,
            "change": _change(r),
            "options": _options(r),
            "command": line("fits", q, **r.changes),
            "layout": r.held.layout.label(),
            "spare": r.held.spare,
            "most_users": r.held.most_users,
            "pool_tokens": r.held.pool_tokens,
            "max_concurrency": r.held.max_concurrency,
        }
        for r in remedies(asked, named=named)
    ]


def _change(r: Remedy) -> str:
    of, p = r.held.demand, r.held.demand.precision
    said = {
        "layout": f"cut as {r.held.layout.label()}",
        "precision": f"weights in {p.name}",
        "kv": f"cache in {p.kv.name}",
        "users": plural(of.users, "user"),
        "context": f"contexts of {cell(of.context, 'tokens')} tokens",
        "on": plural(of.question.machine.n_devices, "device"),
    }
    return ", ".join(said[key] for key, value in r.changes.items() if value is not None)


def _options(r: Remedy) -> str:
    """The options of a change, as they are written."""
    known = specs(FitsQuestion)
    return " ".join(w for key, value in r.changes.items() for w in words(known[key], value, default=True))


def _data(m: Held, most: float, furthest: float) -> Record:
    of = m.demand.question
    return {
        "fits": m.fits,
        "short_by": m.short_by,
        "spare": m.spare,
        "pool_tokens": m.pool_tokens,
        "max_concurrency": m.max_concurrency,
        "users": m.demand.users,
        "context": m.demand.context,
        "most_users": most,
        "longest_context": furthest,
        "replicas": m.replicas,
        "users_per_replica": m.share,
        "remedies": [],
        "layout": setting.layout(m.layout),
        "precision": setting.precision(m.demand.precision),
        "engine": setting.engine(of.engine),
        "memory": {
            "capacity": m.capacity,
            "nominal": of.machine.box,
            "weights": m.holds.weights,
            "caches": m.caches,
            "per_user": m.holds.per_sequence,
            "admitted": m.admitted,
            "reserve": m.holds.reserved,
            "terms": dict(m.holds.terms),
            "room": m.holds.room,
            "needed": m.needed,
            "free": m.spare,
        },
    }


# --- on the screen --------------------------------------------------------------------------------------------------


def _blocks(m: Held, most: float, furthest: float, ways: list[Record], *, named: bool) -> Iterator[Block]:
    yield _verdict(m)
    yield from _memory(m)
    yield Chart(spec=_picture(m), lines=0)
    if m.fits:
        yield _further(m, most, furthest, named=named)
    else:
        yield from _to_make_it_fit(ways)


def _verdict(m: Held) -> Frame:
    """Yes or no first, then the words of vLLM's log."""
    each = "each GPU" if float(m.layout.gpus) > 1 else "the GPU"
    values = {
        "spare": m.spare,
        "short": m.short_by,
        "pool": m.pool_tokens,
        "concurrency": m.max_concurrency,
        "context": m.demand.context,
        "replicas": m.replicas,
    }
    verdict = "*Yes*: {spare:GiB} of headroom on " if m.fits else "*No*: {short:GiB} short on "
    inside = " in each of {replicas:whole} replicas" if m.replicas > 1 else ""
    return Frame(
        head="it fits" if m.fits else "it does not fit",
        good=m.fits,
        says=(
            Say(verdict + each, values),
            Say("GPU KV cache size: {pool:whole} tokens" + inside, values),
            Say("Maximum concurrency for {context:whole} tokens per request: {concurrency:x2}", values),
        ),
    )


def _memory(m: Held) -> Iterator[Block]:
    """What the fullest device holds, or would have to."""
    parts = {"weights": float(m.holds.weights), "caches": m.caches, "reserve": float(m.holds.reserved)}
    parts |= {"free": m.spare} if m.fits else {}
    size, engine = cell(m.capacity, "B"), m.demand.question.engine
    aside = f"{size}, {cell(m.needed, 'B')} used" if m.fits else f"{cell(m.needed, 'B')} needed of {size}"
    yield Bar(key="", title="Memory per GPU", aside=aside, unit="B", whole=max(m.capacity, m.needed), parts=parts)
    kept = {name: float(value) for name, value in m.holds.terms.items() if float(value) > 0}
    terms = " + ".join(f"{name} {{t{i}:B}}" for i, name in enumerate(kept))
    more = ", one {admitted:B} while prefilled" if m.admitted > float(m.holds.per_sequence) else ""
    values = {f"t{i}": value for i, value in enumerate(kept.values())}
    yield Say(
        "caches: {rank:whole} of {context:whole} tokens, {each:B} each" + more + ". reserved by the {engine} engine: " + terms,
        values
        | {
            "rank": m.rank,
            "admitted": m.admitted,
            "context": m.demand.context,
            "each": float(m.holds.per_sequence),
            "engine": f"{engine.name} {engine.version}".strip(),
        },
        faint=True,
    )


def _picture(m: Held) -> dict[str, Any]:
    """Users that fit against context on this layout, and what was asked."""
    asked = m.demand
    far = max(longest(asked.question.model), asked.context)
    x = np.unique(np.append(np.geomspace(min(1024.0, asked.context), far, 60).round(), asked.context))
    users = users_at(m, x)
    return curve(
        [Series("users that fit", x.tolist(), users.tolist())],
        title=f"Users that fit: {asked.question.model.name} on {asked.question.machine.name}, {m.layout.label()}",
        x=Axis("Context (tokens)", log=True),
        y=Axis("Users", log=True),
        marks=[Mark("asked", asked.context, asked.users)],
    )


def _further(m: Held, most: float, furthest: float, *, named: bool) -> Say:
    asked = m.demand
    values = {"most": most, "context": asked.context, "furthest": furthest, "users": asked.users}
    longest_known = " (what the model was made for)" if furthest >= longest(asked.question.model) else ""
    each = "one user" if asked.users == 1 else "{users:whole} users"
    return Say(
        "Up to *{most:whole} users* with {context:whole} tokens, or "
        + each
        + " with *{furthest:whole} tokens*"
        + (" each" if asked.users > 1 else "")
        + longest_known,
        values,
        title="How far it goes",
        aside="" if named else "on whichever layout holds most",
    )


def _to_make_it_fit(ways: list[Record]) -> Iterator[Block]:
    title = "What would make it fit"
    if not ways:
        tried = "narrower weights and cache, fewer users, shorter contexts, up to {most:whole} times as many devices"
        yield Say(f"Nothing that was tried: {tried}.", {"most": TIMES[-1]}, key="tried", title=title)
        return
    yield Table(
        key="remedies",
        title=title,
        aside="each row alone; narrower formats may change answers",
        rows=ways,
        columns=(
            Column("options", "option"),
            Column("change", "which is"),
            Column("spare", "headroom", "GiB"),
            Column("most_users", "users", "count", optional=1),
        ),
    )
    yield Say("For example: {command}", {"command": ways[0]["command"]})
