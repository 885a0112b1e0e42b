"""A plan with one pool as plain data: what is chosen, its intervals and prices, the front, every machine, the fleet.

All values are SI: seconds, bytes, tokens per second, dollars. A value that is unknown (a machine without a price)
or infinite is None. Prices end in `_mtok`: dollars per million tokens.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..economics.cost import request_cost
from ..economics.fleet import fleet_of
from ..search.choice import evaluate_plan, plan_cost
from ..search.closed import longest_context
from ..search.grid import price_or_time
from ..search.trust import Span, rate_span, time_span
from . import places
from .passes import memory
from .setting import engine, known_price, layout, precision

if TYPE_CHECKING:
    from ..economics.fleet import Fleet
    from ..search.choice import Plan
    from ..search.grid import Question
    from ..search.plan import Planned
    from ..search.ranking import Front

Record = dict[str, Any]


def machines(found: Planned) -> list[Record]:
    """One row for each machine that was asked about, the cheapest first; empty where there was only one."""
    if not found.others:
        return []
    plans = [a.best for a in (found, *found.others) if a.best is not None]
    plans.sort(key=lambda p: (known_price(p.machine) is None, plan_cost(p)))
    rows: list[Record] = [
        {
            "machine": p.machine.name,
            "price_per_gpu_hour": known_price(p.machine),
            "price_kind": p.machine.price_kind,
            "layout": p.layout.label(),
            "blended_mtok": p.cost.blended_mtok if known_price(p.machine) is not None else None,
            "tput_per_gpu": p.serving.tput_per_gpu,
            "ttft": p.serving.ttft,
            "tpot": p.serving.tpot,
            **_of_fleet(p),
            "reason": None,
        }
        for p in plans
    ]
    for a in (found, *found.others):
        if a.best is None:
            on = a.question.machine
            own = {"machine": on.name, "price_per_gpu_hour": known_price(on), "price_kind": on.price_kind, "reason": "; ".join(a.reasons)}
            rows.append(dict.fromkeys(rows[0] if rows else own) | own)
    return rows


def _of_fleet(p: Plan) -> Record:
    """Dollars a month, devices paid for and watts at the facility of the fleet a machine would need."""
    need = p.question.need
    if need is None:
        return {}
    sized = fleet_of(p.serving, p.machine, p.question.traffic, need)
    return {
        "fleet_month_dollars": sized.month_dollars if known_price(p.machine) is not None else None,
        "fleet_gpus": sized.billed,
        "fleet_power": sized.power if float(p.machine.power) > 0 else None,
    }


def mixed_prices(found: Planned) -> str:
    """A sentence where the machines compared are priced in different ways; empty where they are not."""
    on = [a.question.machine for a in (found, *found.others) if known_price(a.question.machine) is not None]
    if len({m.price_kind for m in on}) < 2:
        return ""
    kinds = ("reserved", "on_demand", "owned", "spot")
    most = max(kinds, key=lambda kind: sum(getattr(m.prices, kind) is not None for m in on))
    told = ", ".join(f"{m.name} {m.price_kind.replace('_', '-')}" for m in on)
    return f"prices of different kinds are compared: {told}; --price {most} compares one kind"


def chosen(p: Plan) -> Record:
    """One evaluated choice: estimate, bound, binding term, memory and cost."""
    s = p.serving
    at = float(p.cost.bound_share)
    return {
        "machine": p.machine.name,
        "layout": layout(p.layout),
        "precision": precision(p.precision),
        "batch": p.batch,
        **({} if p.question.traffic.users is None else {"context_fits": longest_context(p)}),
        "estimate": {
            "ttft": s.ttft,
            "ttft_mean": s.ttft_mean,
            "wait_mean": s.wait,
            "tpot": s.tpot,
            "interactivity": s.interactivity,
            "end_to_end": s.end_to_end,
            "concurrency": s.concurrency,
            "request_rate": s.request_rate,
            "input_tput": s.input_tput,
            "output_tput": s.output_tput,
            "tput_per_gpu": s.tput_per_gpu,
            "output_tput_per_gpu": s.output_tput_per_gpu,
            "input_tput_per_gpu": s.input_tput_per_gpu,
        },
        "bound": {
            "ttft": s.ttft_bound,
            "tpot": s.tpot_bound,
            "interactivity": 1 / float(s.tpot_bound),
            "request_rate": s.request_rate_bound,
            "tput_per_gpu": float(s.tput_per_gpu) / at,
            "output_tput_per_gpu": float(s.output_tput_per_gpu) / at,
            "input_tput_per_gpu": float(s.input_tput_per_gpu) / at,
        },
        "interval": {"reason": p.intervals.reason} | spans(p),
        "binding": binding_term(p),
        "step_seconds": dict(s.shares),
        "mixed_share": s.mixed,
        "prefill_chunk": s.chunk,
        "memory": memory(s.footprint, float(s.memory)),
        **({} if (split := places.split(p)) is None else {"split": split}),
        "cost": prices(p),
    }


def spans(p: Plan) -> dict[str, Span | None]:
    """5 % to 95 % of what a plan estimates, in its own units; None where nothing is known, or no price is."""
    s, c, at = p.serving, p.cost, float(p.cost.bound_share)
    tpot = p.intervals.tpot
    rates = {
        name: rate_span(tpot, getattr(s, name), float(getattr(s, name)) / at)
        for name in ("tput_per_gpu", "output_tput_per_gpu", "input_tput_per_gpu")
    }
    dollars = {
        name: time_span(tpot, getattr(c, name), float(c.blended_mtok) * at if name == "blended_mtok" else 0.0)
        for name in ("input_mtok", "cache_read_mtok", "output_mtok", "blended_mtok")
    }
    if not float(p.question.traffic.cached) > 0:
        dollars["cache_read_mtok"] = None
    return {
        "tpot": time_span(tpot, s.tpot, s.tpot_bound),
        "ttft": time_span(p.intervals.ttft, s.ttft, s.ttft_bound),
        "interactivity": rate_span(tpot, s.interactivity, 1 / float(s.tpot_bound)),
        **rates,
        **(dollars if known_price(p.machine) is not None else dict.fromkeys(dollars)),
    }


def binding_term(p: Plan) -> str:
    """The resource that takes the largest part of a step."""
    shares = p.serving.shares
    return max(shares, key=lambda name: float(shares[name]))


def prices(p: Plan) -> Record:
    """Dollars per million tokens and per request; None for each where the machine has no price."""
    c, machine = p.cost, p.machine
    cached = float(p.question.traffic.cached) > 0
    at = float(c.bound_share)
    dollars: Record = {
        "input_mtok": c.input_mtok,
        "cache_read_mtok": c.cache_read_mtok if cached else None,
        "output_mtok": c.output_mtok,
        "blended_mtok": c.blended_mtok,
        "request": c.request,
        "replica_hour": c.replica_hour,
        "blended_mtok_bound": float(c.blended_mtok) * at,
    }
    if known_price(machine) is None:
        dollars = dict.fromkeys(dollars)
    return dollars | {
        "bound_share": at,
        "price_kind": machine.price_kind,
        "price_per_gpu_hour": known_price(machine),
        "joules_per_token": c.joules_per_token if float(machine.power) > 0 else None,
        "tokens_per_s_mw": c.tokens_per_s_mw if float(machine.power) > 0 else None,
    }


def front(found: Planned) -> list[Record]:
    """The points nobody beats in speed for the user and in price, fastest first.

    On one machine the front against throughput per device is the same, since its price per device is one number.
    """
    return [_point(found.by_price, found.question, i) for i in range(len(found.by_price.batch))]


def _point(f: Front, q: Question, i: int) -> Record:
    return {
        "layout": f.layouts[i].label(),
        "gpus": f.layouts[i].gpus,
        "precision": f.precisions[i].name,
        "kv": f.precisions[i].kv.name,
        "batch": f.batch[i],
        "interactivity": f.interactivity[i],
        "tpot": 1 / f.interactivity[i],
        "ttft": f.ttft[i],
        "tput_per_gpu": f.tput_per_gpu[i],
        "blended_mtok": f.blended_mtok[i] if known_price(q.machine) is not None else None,
    }


def fleet(f: Fleet) -> Record:
    """A fleet with what a million tokens cost in it; None without a price."""
    found = {k: v if k == "spare" else float(v) for k, v in asdict(f).items()}
    return found | {"within_power": bool(f.within_power), "blended_mtok": f.mtok if f.month_dollars else None}


def setting_of(q: Question) -> Record:
    """What a plan was searched with: engine, formats, devices, price, adapters."""
    return {
        "model": q.model.name,
        "machine": q.machine.name,
        "engine": engine(q.engine),
        "users": q.traffic.users,
        "precisions": [precision(p) for p in q.precisions],
        "max_gpus": q.max_gpus,
        "price_kind": q.machine.price_kind,
        "price_per_gpu_hour": known_price(q.machine),
    }


def candidates(front: Front, q: Question) -> list[Record]:
    """Price and speed of each candidate, with the interval of its price."""
    return [price_point(evaluate_plan(q, front.layouts[i], front.precisions[i], float(front.batch[i]))) for i in range(len(front.batch))]


def price_point(p: Plan) -> Record:
    """{label, interactivity, price, low, high}: dollars per million tokens, device-hours where there is no price."""
    c, label = p.cost, f"{p.layout.label()} {p.precision.name}, batch {p.batch:,.0f}"
    price = float(request_cost(p.serving, p.machine, p.question.traffic, price_or_time(p.machine)))
    price *= 1e6 / float(p.question.traffic.isl + p.question.traffic.osl)
    low, high = time_span(p.intervals.tpot, price, price * float(c.bound_share)) or (None, None)
    return {"label": label, "interactivity": float(p.serving.interactivity), "price": price, "low": low, "high": high}


def decoding(batch: float) -> str:
    """How many sequences decode at once, as a sentence about {batch}; fewer than one is one now and then.

    >>> decoding(1.0), decoding(3024.0)
    ('1 sequence decodes', '{batch:count} sequences decode')
    """
    if batch < 1:
        return "a sequence at a time decodes, {batch:percent} of the time"
    return "1 sequence decodes" if batch == 1 else "{batch:count} sequences decode"


def on_devices(used: float, have: float) -> str:
    """Which part of a machine a replica takes, as words about {gpus} and {most}.

    >>> on_devices(1, 1), on_devices(72, 72), on_devices(4, 8)
    ('on its one GPU', 'on all {gpus:whole} GPUs', 'on {gpus:whole} of {most:whole} GPUs per replica')
    """
    if used == have:
        return "on its one GPU" if have == 1 else "on all {gpus:whole} GPUs"
    return "on {gpus:whole} of {most:whole} GPUs per replica"
