"""A plan with two pools as plain data. Units: seconds, bytes, dollars, per-second rates."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..search.trust import Span, rate_span, time_span
from . import passes, setting

if TYPE_CHECKING:
    from ..kernel.roofline import PassTime
    from ..search.disaggregated import PoolPlan
    from ..search.either import ModesAnswer

Record = dict[str, Any]


def machines(a: ModesAnswer) -> list[Record]:
    """A row for each machine asked about, its best over both modes: priced ones first, then the cheapest."""
    from ..search.disaggregated import PoolPlan

    rows: list[Record] = []
    for on in a.machines:
        p, sized = on.best, on.fleets
        row: Record = {
            "machine": on.machine.name,
            "price_per_gpu_hour": setting.known_price(on.machine),
            "price_kind": on.machine.price_kind,
        }
        row |= dict.fromkeys(("mode", "layout", "blended_mtok", "tput_per_gpu", "ttft", "tpot"))
        if a.questions[1].traffic.rate is not None:
            row |= dict.fromkeys(("fleet_month_dollars", "fleet_gpus", "fleet_power"))
        row["reason"] = "; ".join(on.reasons) or None
        if p is not None:
            two = isinstance(p, PoolPlan)
            used = p.machines if isinstance(p, PoolPlan) else (p.machine,)
            paid = all(setting.known_price(m) is not None for m in used)
            row |= {
                "mode": "disaggregated" if two else "aggregated",
                "layout": p.label() if isinstance(p, PoolPlan) else p.layout.label(),
                "blended_mtok": float(p.cost.blended_mtok) if paid else None,
                "tput_per_gpu": float(p.serving.tput_per_gpu),
                "ttft": float(p.serving.ttft),
                "tpot": float(p.serving.tpot),
            }
            if sized:
                known = all(float(m.power) > 0 for m in used)
                row |= {
                    "fleet_month_dollars": sum(float(f.month_dollars) for f in sized) if paid else None,
                    "fleet_gpus": sum(float(f.billed) for f in sized),
                    "fleet_power": sum(float(f.power) for f in sized) if known else None,
                }
        rows.append(row)

    def order(r: Record) -> tuple[bool, bool, float]:
        cost = r.get("fleet_month_dollars") or r["blended_mtok"]
        return r["layout"] is None, cost is None, cost or 0.0

    return sorted(rows, key=order)


def fleet(f: Any) -> Record:
    return {k: v if isinstance(v, bool | int) else float(v) for k, v in asdict(f).items() if k != "within_power"}


def fleets(both: tuple[Any, Any] | None) -> Record | None:
    """The fleets of both pools, where a rate was given."""
    return None if both is None else {"prefill": fleet(both[0]), "decode": fleet(both[1])}


def front(a: ModesAnswer) -> list[Record]:
    """The points of both modes that nobody beats in speed for the user and in price, fastest first."""
    return [
        {
            "mode": p.mode,
            "machine": p.machine,
            "layout": p.layout,
            "gpus": p.gpus,
            "batch": p.batch,
            "interactivity": p.interactivity,
            "tpot": 1 / p.interactivity,
            "ttft": p.ttft,
            "tput_per_gpu": p.tput_per_gpu,
            "blended_mtok": p.blended_mtok if p.priced else None,
        }
        for p in a.front
    ]


def chosen(p: PoolPlan) -> Record:
    """One pair of pools: estimate, bound, both pools, the transfer between them, memory and cost."""
    sent, s = p.serving.transfer, p.serving
    return {
        "label": p.label(),
        "precision": setting.precision(p.precision),
        "gpus": s.gpus,
        "estimate": {name: getattr(s, name) for name in ESTIMATES},
        "bound": {
            "ttft": s.ttft_bound,
            "tpot": s.decode.tpot_bound,
            "interactivity": 1 / float(s.decode.tpot_bound),
            "request_rate": s.request_rate_bound,
        },
        "interval": {"reason": p.intervals.reason} | spans(p),
        "prefill": _prefill(p),
        "decode": _decode(p),
        "transfer": {"bytes": sent.bytes, "time": sent.time, "sending": s.sending, "receiving": s.receiving},
        "ratio": {"exact": p.exact_ratio, "whole_numbers_cost": lost(p)},
        "cost": _cost(p),
    }


ESTIMATES = (
    "ttft",
    "ttft_mean",
    "tpot",
    "interactivity",
    "end_to_end",
    "concurrency",
    "request_rate",
    "input_tput",
    "output_tput",
    "tput_per_gpu",
    "output_tput_per_decode_gpu",
)
"""What both pools together reach: attributes of `Disaggregated`."""


def _prefill(p: PoolPlan) -> Record:
    one = p.serving.prefill
    return {
        "machine": p.machines[0].name,
        "replicas": p.serving.n_prefill,
        "layout": setting.layout(one.layout),
        "load": one.load,
        "request_rate": one.rate,
        "prompts_per_pass": one.prompts,
        "passes_per_prompt": one.chunks,
        "wait_median": one.wait_median,
        "wait_mean": one.wait,
        "to_next": one.to_next,
        "service": one.service,
        "pass_seconds": dict(one.time.shares),
        "binding": binding(one.time),
        "memory": passes.memory(one.footprint, float(one.memory)),
    }


def _decode(p: PoolPlan) -> Record:
    one = p.serving.decode
    return {
        "machine": p.machines[1].name,
        "replicas": p.serving.n_decode,
        "layout": setting.layout(one.layout),
        "batch": one.batch,
        "request_rate": one.rate,
        "step_seconds": dict(one.time.shares),
        "binding": binding(one.time),
        "memory": passes.memory(one.footprint, float(one.memory)),
    }


def _cost(p: PoolPlan) -> Record:
    """Dollars; None where a machine has no price, or nothing was cached."""
    c = p.cost
    dollars: Record = {
        "input_mtok": c.input_mtok,
        "cache_read_mtok": c.cache_read_mtok if float(p.questions[0].traffic.cached) > 0 else None,
        "output_mtok": c.output_mtok,
        "blended_mtok": c.blended_mtok,
        "request": c.request,
        "unit_hour": c.replica_hour,
        "blended_mtok_bound": float(c.blended_mtok) * float(c.bound_share),
    }
    paid = all(setting.known_price(m) is not None for m in p.machines)
    return dollars if paid else dict.fromkeys(dollars)


def spans(p: PoolPlan) -> dict[str, Span | None]:
    """5 % to 95 % of what a pair of pools is estimated to do, in its own units, as `plans.spans`."""
    s, c, at = p.serving, p.cost, float(p.cost.bound_share)
    tpot, most = p.intervals.tpot, float(s.request_rate_bound) / float(s.request_rate)
    rates = {
        name: rate_span(tpot, getattr(s, name), float(getattr(s, name)) * most) for name in ("tput_per_gpu", "output_tput_per_decode_gpu")
    }
    dollars = {
        name: time_span(tpot, getattr(c, name), float(c.blended_mtok) * at if name == "blended_mtok" else 0.0)
        for name in ("input_mtok", "cache_read_mtok", "output_mtok", "blended_mtok")
    }
    if not float(p.questions[0].traffic.cached) > 0:
        dollars["cache_read_mtok"] = None
    paid = all(setting.known_price(m) is not None for m in p.machines)
    return {
        "tpot": time_span(tpot, s.tpot, s.decode.tpot_bound),
        "ttft": time_span(p.intervals.ttft, s.ttft, s.ttft_bound),
        "interactivity": rate_span(tpot, s.interactivity, 1 / float(s.decode.tpot_bound)),
        **rates,
        **(dollars if paid else dict.fromkeys(dollars)),
    }


def lost(p: PoolPlan) -> float:
    """Share by which whole numbers of replicas cost more than rates matched exactly."""
    from ..search.disaggregated import pools_cost

    return pools_cost(p) / p.matched_exactly - 1


def binding(t: PassTime) -> str:
    return max(t.shares, key=lambda name: float(t.shares[name]))
