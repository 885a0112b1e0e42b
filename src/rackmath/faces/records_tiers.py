"""The answer of `tiers` as plain mappings and rows: the shape of its `--json` and `--csv`.

SI units; prices ending in `_mtok` are dollars per million tokens. None: unknown, infinite, or not compared.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from ..economics import caching
from ..economics.pricelist import margin, medium
from ..kernel.counts import kv_bytes_per_token
from ..serving import kvtiers
from ..views import setting

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..economics.caching import Option
    from .ask_tiers import TiersAnswer

Record = dict[str, Any]

MAP_HOLDS, MAP_REUSES = 120, 60


def record(answer: TiersAnswer) -> Record:
    """Everything `tiers` found."""
    p, q, e = answer.plan, answer.plan.question, answer.entry
    priced = bool(answer.options)
    return {
        "question": {
            "model": q.model.name,
            "machine": q.machine.name,
            "context": e.tokens,
            "osl": q.traffic.osl,
            "hold": list(answer.holds),
            "reuse": list(answer.reuses),
            "hit_share": answer.hit_share,
            "price_kind": q.machine.price_kind,
            "price_per_gpu_hour": setting.known_price(q.machine),
        },
        "layout": setting.layout(p.layout),
        "precision": setting.precision(p.precision),
        "batch": p.batch,
        "entry": {
            "tokens": e.tokens,
            "bytes": e.bytes,
            "hbm_bytes": e.hbm_bytes,
            "bytes_per_token": e.bytes_per_token,
            "kv_bytes_per_token": kv_bytes_per_token(q.model, p.precision),
            "links": e.links,
        },
        "prefill": prefill(answer),
        "tiers": tiers(answer),
        "cheapest": cheapest(answer),
        "break_even": break_evens(answer),
        "prices": prices(answer),
        "hits": hits(answer),
        "thinking": thinking(answer),
        "listed": listed(answer),
        "map": _map(answer) if priced else None,
        "drives": [{"name": d.name, "drain_seconds": kvtiers.drain(d)} for d in kvtiers.DRIVES],
        "notes": list(answer.notes),
    }


def prefill(answer: TiersAnswer) -> Record:
    """The price of prefill beside the lecture's 2 x active parameters / peak."""
    p = answer.plan
    seconds = float(p.serving.ttft)
    found: Record = {
        "seconds": seconds,
        "input_mtok": None,
        "output_mtok": None,
        "by_flops_mtok": None,
        "ratio": None,
    }
    if answer.options:
        ours = float(p.cost.input_mtok)
        simple = float(caching.prefill_by_flops(answer.active, answer.peak, answer.machine.price_per_hour))
        found |= {"input_mtok": ours, "output_mtok": float(p.cost.output_mtok)}
        found |= {"by_flops_mtok": simple, "ratio": ours / simple}
    return found


def _option(answer: TiersAnswer, name: str) -> Option | None:
    return next((o for o in answer.options if o.name == name), None)


def tiers(answer: TiersAnswer) -> list[Record]:
    """One row for each tier, device memory first: what it is, its drain time, and what the prefix costs in it."""
    rows = []
    scale = 1e6 / float(answer.entry.tokens)
    for i, t in enumerate(answer.tiers):
        option = _option(answer, t.name)
        said = kvtiers.said_of(t.name)
        drained = kvtiers.drain(t)
        rent = float(caching.hbm_rent(answer.machine)) * caching.MONTH * 1e9 if i == 0 else None
        month = rent if i == 0 else None if t.price_per_byte_month is None else t.price_per_byte_month * 1e9
        source = t.source
        rows.append(
            {
                "name": t.name,
                "label": label(answer, i),
                "capacity": t.capacity,
                "bandwidth": t.bandwidth,
                "latency": t.latency,
                "drain_seconds": drained,
                "said_low": said.low if said else None,
                "said_high": said.high if said else None,
                "agrees": kvtiers.agrees(drained, said) if said else None,
                "usd_per_gb_month": month or None,
                "fetch_seconds": 0.0 if i == 0 else kvtiers.fetch_time(answer.entry.bytes, t, answer.entry.links),
                "hold_mtok_hour": None if option is None else float(option.rate) * 3600 * scale,
                "write_mtok": None if option is None else float(option.write) * scale,
                "fetch_mtok": None if option is None else float(option.fetch) * scale,
                "fetch_idle_mtok": None if option is None else float(option.fetch_idle) * scale,
                "source": source.text if source else "",
                "date": source.date if source else "",
                "verified": source.verified if source else None,
            }
        )
    return rows


def label(answer: TiersAnswer, i: int) -> str:
    """The short name of a tier of the answer."""
    kind = answer.machine.memory_type
    return ("HBM" if kind.startswith("HBM") else kind) if i == 0 else caching.short(answer.tiers[i].name)


def cheapest(answer: TiersAnswer) -> list[Record]:
    """For each reuse count, which option is cheapest from which hold time to which."""
    return [
        {"reuse": n, "label": s.option.label, "start": s.start, "end": s.end}
        for n in answer.reuses
        for s in (caching.stretches(answer.options, n) if answer.options else ())
    ]


def by_rate(answer: TiersAnswer) -> list[Option]:
    """The options, dearest to hold first; recomputing, which holds nothing, comes last."""
    return sorted(answer.options, key=lambda o: -float(o.rate))


def break_evens(answer: TiersAnswer) -> list[Record]:
    """One row for each pair and reuse count: up to `seconds` the one that is dearer to hold is cheaper in all."""
    return [
        {"reuse": n, "dear": dear.label, "cheap": cheap.label, "seconds": float(caching.break_even(dear, cheap, n))}
        for n in answer.reuses
        for dear, cheap in combinations(by_rate(answer), 2)
    ]


def kept(answer: TiersAnswer) -> tuple[Option, ...]:
    """The options that hold something."""
    return answer.options[1:]


def prices(answer: TiersAnswer) -> list[Record]:
    """Prices per cached write and per hit that cover the cost, for each place and lifetime."""
    rows = []
    for option in kept(answer):
        for life in answer.holds:
            c = caching.cover(option, answer.entry.tokens, life, float(answer.plan.cost.input_mtok))
            rows.append(
                {"label": option.label, "hold": life, "write_mtok": c.write_mtok, "premium_mtok": c.premium_mtok,
                 "hit_mtok": c.hit_mtok, "renewing_hit_mtok": c.renewing_hit_mtok}
            )  # fmt: skip
    return rows


def hits(answer: TiersAnswer) -> list[Record]:
    """What finding a share of the input is worth, dollars per million input tokens, and the least share that pays."""
    rows = []
    for option in kept(answer):
        for life in answer.holds:
            least = float(caching.least_hit_share(option, answer.again, life))
            gain = float(caching.worth(option, answer.again, answer.entry.tokens, life, answer.hit_share))
            rows.append(
                {"label": option.label, "hold": life, "worth_mtok": gain,
                 "least_hit_share": least if least <= 1 else None}
            )  # fmt: skip
    return rows


def thinking(answer: TiersAnswer) -> Record | None:
    t = answer.thinking
    if t is None:
        return None
    return {
        "share": t.share, "kept_tokens": t.kept, "prefilled_again": t.again, "largest_hit_share": t.found,
        "visible_output_mtok": t.visible_output_mtok,
    }  # fmt: skip


def listed(answer: TiersAnswer) -> Record | None:
    """A public price list beside the cost of this model on this machine, and the list read backwards."""
    if answer.listed is None or not answer.options:
        return None
    entry, where = answer.listed, medium(answer.listed.model)
    found: Record = {
        "model": entry.model,
        "source": entry.source,
        "read": entry.read,
        "medium": where.says if where else None,
        "medium_source": where.source if where else None,
        "prices": listed_rows(answer),
    }
    return found | {"implied": implied(answer)}


def listed_rows(answer: TiersAnswer) -> list[Record]:
    """Each listed price beside our cost in device memory and in the cheapest place, with gross margins."""
    entry = answer.listed
    assert entry is not None
    cost = answer.plan.cost
    places = kept(answer)
    hbm = next((o for o in places if o.tier is not None and o.tier.name.startswith("device memory")), None)
    rows = [
        _listed("input", entry.input_mtok, float(cost.input_mtok), None, ""),
        _listed("output", entry.output_mtok, float(cost.output_mtok), None, ""),
    ]

    def premium(o: Option, life: float) -> float:
        return float(caching.cover(o, answer.entry.tokens, life, 0.0).premium_mtok)

    for life, price in entry.premiums.items():
        best = min(places, key=lambda o: premium(o, life), default=None)
        name = f"write premium, {life / 60:g} min" if life < 3600 else f"write premium, {life / 3600:g} h"
        here = None if hbm is None else premium(hbm, life)
        there = None if best is None else premium(best, life)
        rows.append(_listed(name, price, here, there, best.label if best else ""))
    if entry.cache_read_mtok is not None:
        scale = 1e6 / float(answer.entry.tokens)
        far = [o for o in places if o is not hbm]
        near = min(far, key=lambda o: float(o.fetch), default=None)
        rows.append(
            _listed(
                "hit", entry.cache_read_mtok, None if hbm is None else 0.0,
                None if near is None else float(near.fetch) * scale, near.label if near else "",
            )
        )  # fmt: skip
    return rows


def _listed(name: str, price: float, here: float | None, best: float | None, where: str) -> Record:
    return {
        "name": name,
        "listed_mtok": price,
        "cost_mtok": here,
        "gross_margin": None if here is None else float(margin(price, here)),
        "cheapest_mtok": best,
        "cheapest_label": where or None,
        "cheapest_gross_margin": None if best is None else float(margin(price, best)),
    }


def implied(answer: TiersAnswer) -> Record | None:
    """The write premiums as fixed part and rate, and the bytes per token that the rate would rent in each place."""
    entry = answer.listed
    if entry is None or len(entry.premiums) < 2:
        return None
    line = caching.affine_premium(entry.premiums)
    own = float(answer.entry.bytes_per_token)
    rents = [("192 GB at $2/h (the lecture's)", float(caching.hbm_rent(caching.LECTURE_HBM)))]
    for o in kept(answer):
        if o.tier is not None and o.tier.price_per_byte_month is not None:
            rents.append((o.label, o.tier.price_per_byte_month / caching.MONTH))
        else:
            rents.append((o.label, float(caching.hbm_rent(answer.machine))))
    return {
        "fixed_mtok": line.fixed_mtok,
        "rate_mtok_per_s": line.rate_mtok,
        "model_bytes_per_token": own,
        "bytes_per_token": [
            {"label": name, "bytes_per_token": size, "over_model": size / own}
            for name, rent in rents
            for size in [float(caching.implied_bytes(line.rate_mtok, rent))]
        ],
    }


# --- maps and curves -----------------------------------------------------------------------------------------------


def hold_range(answer: TiersAnswer) -> tuple[float, float]:
    """Hold times worth drawing: from a tenth of the shortest change to three times the longest, within limits."""
    ends = [r["end"] for r in cheapest(answer) if math.isfinite(r["end"])]
    low = min([1.0, *(e / 10 for e in ends if e > 0), *(h / 2 for h in answer.holds)])
    high = max([30 * 86400.0, *(3 * e for e in ends), *(2 * h for h in answer.holds)])
    return max(low, 1e-3), min(high, 3 * 365.25 * 86400)


def grid(answer: TiersAnswer, columns: int, rows: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.intp]]:
    """Hold times, reuse counts, and the index of the cheapest option for each pair (reuse by hold)."""
    hold = np.geomspace(*hold_range(answer), columns)
    reuse = np.geomspace(min(0.1, *answer.reuses), max(1000.0, *answer.reuses), rows)
    return hold, reuse, caching.cheapest(answer.options, hold[None, :], reuse[:, None])


def _map(answer: TiersAnswer) -> Record:
    hold, reuse, best = grid(answer, MAP_HOLDS, MAP_REUSES)
    labels = [o.label for o in answer.options]
    return {"hold": hold, "reuse": reuse, "labels": labels, "cheapest": best}


def per_hit(answer: TiersAnswer, option: Option, hold: Any, reuse: float) -> NDArray[Any]:
    """Dollars per million tokens found, everything divided over the hits."""
    scale = 1e6 / float(answer.entry.tokens) / reuse
    return np.asarray(option.cost(hold, reuse)) * scale + 0.0 * np.asarray(hold)


def rows(answer: TiersAnswer) -> list[Record]:
    """One row for each option, reuse count and hold time of the question; the tiers where nothing has a price."""
    if not answer.options:
        return tiers(answer)
    found = []
    for option in answer.options:
        for n in answer.reuses:
            for life in answer.holds:
                best = min(answer.options, key=lambda o: float(o.cost(life, n)))
                found.append(
                    {"option": option.label, "reuse": n, "hold": life,
                     "cost_mtok_per_hit": float(per_hit(answer, option, life, n)),
                     "cheapest": option is best, "fetch_seconds": float(option.seconds)}
                )  # fmt: skip
    return found
