"""The cache of one prefix: where it may wait, what each place costs, and which is cheapest for how long.

Rows of SI units; prices ending in `_mtok` are dollars per million tokens. None: unknown, infinite, or not compared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...economics import caching
from ...economics.caching import Option, Thinking
from ...economics.pricelist import ListPrice, margin, medium
from ...search.choice import Plan
from ...serving import kvtiers
from ...serving.kvtiers import PrefixCache
from ...world.machine import Machine, Tier

Record = dict[str, Any]

MAP_HOLDS, MAP_REUSES = 120, 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefix:
    """One prefix: its cache, where it can wait, what that costs, and the price list beside it.

    `tiers`: device memory first, then every tier behind it. `options`: what is compared, recomputing first; empty
    where the machine has no price. `listed` is None where no price list was wanted. `active`: parameters one token
    uses; `peak`: FLOP/s of the whole weights' format.
    """

    plan: Plan
    entry: PrefixCache
    tiers: tuple[Tier, ...]
    options: tuple[Option, ...]
    holds: tuple[float, ...]
    reuses: tuple[float, ...]
    hit_share: float
    thinking: Thinking | None
    listed: ListPrice | None
    active: float
    peak: float
    notes: tuple[str, ...]

    @property
    def machine(self) -> Machine:
        return self.plan.machine

    @property
    def again(self) -> Option:
        """Recomputing, which every other option is held against."""
        return self.options[0]


def prefill(p: Prefix) -> Record:
    """The price of prefill beside the lecture's 2 x active parameters / peak."""
    seconds = float(p.plan.serving.ttft)
    found: Record = {"seconds": seconds, "input_mtok": None, "output_mtok": None, "by_flops_mtok": None, "ratio": None}
    if p.options:
        ours = float(p.plan.cost.input_mtok)
        simple = float(caching.prefill_by_flops(p.active, p.peak, p.machine.price_per_hour))
        found |= {"input_mtok": ours, "output_mtok": float(p.plan.cost.output_mtok)}
        found |= {"by_flops_mtok": simple, "ratio": ours / simple}
    return found


def _option(p: Prefix, name: str) -> Option | None:
    return next((o for o in p.options if o.name == name), None)


def tiers(p: Prefix) -> list[Record]:
    """One row for each tier, device memory first: what it is, its drain time, and what the prefix costs in it."""
    rows = []
    scale = 1e6 / float(p.entry.tokens)
    for i, t in enumerate(p.tiers):
        option = _option(p, t.name)
        said = kvtiers.said_of(t.name)
        drained = kvtiers.drain(t)
        rent = float(caching.hbm_rent(p.machine)) * caching.MONTH * 1e9 if i == 0 else None
        month = rent if i == 0 else None if t.price_per_byte_month is None else t.price_per_byte_month * 1e9
        source = t.source
        rows.append(
            {
                "name": t.name,
                "label": label(p, i),
                "capacity": t.capacity,
                "bandwidth": t.bandwidth,
                "latency": t.latency,
                "drain_seconds": drained,
                "said_low": said.low if said else None,
                "said_high": said.high if said else None,
                "agrees": kvtiers.agrees(drained, said) if said else None,
                "usd_per_gb_month": month or None,
                "fetch_seconds": 0.0 if i == 0 else kvtiers.fetch_time(p.entry.bytes, t, p.entry.links),
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


def label(p: Prefix, i: int) -> str:
    """The short name of a tier."""
    kind = p.machine.memory_type
    return ("HBM" if kind.startswith("HBM") else kind) if i == 0 else caching.short(p.tiers[i].name)


def cheapest(p: Prefix) -> list[Record]:
    """For each reuse count, which option is cheapest from which hold time to which."""
    return [
        {"reuse": n, "label": s.option.label, "start": s.start, "end": s.end}
        for n in p.reuses
        for s in (caching.stretches(p.options, n) if p.options else ())
    ]


def by_rate(p: Prefix) -> list[Option]:
    """The options, dearest to hold first; recomputing, which holds nothing, comes last."""
    return sorted(p.options, key=lambda o: -float(o.rate))


def break_evens(p: Prefix) -> list[Record]:
    """One row for each pair and reuse count: up to `seconds` the one that is dearer to hold is cheaper in all."""
    return [
        {"reuse": n, "dear": dear.label, "cheap": cheap.label, "seconds": float(caching.break_even(dear, cheap, n))}
        for n in p.reuses
        for dear, cheap in combinations(by_rate(p), 2)
    ]


def kept(p: Prefix) -> tuple[Option, ...]:
    """The options that hold something."""
    return p.options[1:]


def prices(p: Prefix) -> list[Record]:
    """Prices per cached write and per hit that cover the cost, for each place and lifetime."""
    rows, full = [], float(p.plan.cost.input_mtok)
    for option in kept(p):
        for life in p.holds:
            c = caching.cover(option, p.entry.tokens, life, full)
            hit = float(c.hit_mtok)
            rows.append(
                {
                    "label": option.label,
                    "hold": life,
                    "write_mtok": c.write_mtok,
                    "premium_mtok": c.premium_mtok,
                    "hit_mtok": c.hit_mtok,
                    "renewing_hit_mtok": c.renewing_hit_mtok,
                    "recompute_over_hit": full / hit if hit > 0 else None,
                }
            )
    return rows


def hits(p: Prefix) -> list[Record]:
    """What finding a share of the input is worth, dollars per million input tokens, and the least share that pays."""
    rows = []
    for option in kept(p):
        for life in p.holds:
            least = float(caching.least_hit_share(option, p.again, life))
            gain = float(caching.worth(option, p.again, p.entry.tokens, life, p.hit_share))
            rows.append({"label": option.label, "hold": life, "worth_mtok": gain, "least_hit_share": least if least <= 1 else None})
    return rows


def thinking(p: Prefix) -> Record | None:
    t = p.thinking
    if t is None:
        return None
    return {
        "share": t.share,
        "kept_tokens": t.kept,
        "prefilled_again": t.again,
        "largest_hit_share": t.found,
        "visible_output_mtok": t.visible_output_mtok,
    }


def listed(p: Prefix) -> Record | None:
    """A public price list beside the cost of this model on this machine, and the list read backwards."""
    if p.listed is None or not p.options:
        return None
    entry, where = p.listed, medium(p.listed.model)
    found: Record = {
        "model": entry.model,
        "source": entry.source,
        "read": entry.read,
        "medium": where.says if where else None,
        "medium_source": where.source if where else None,
        "prices": listed_rows(p),
    }
    return found | {"implied": implied(p)}


def listed_rows(p: Prefix) -> list[Record]:
    """Each listed price beside our cost in device memory and in the cheapest place, with gross margins."""
    entry = p.listed
    assert entry is not None
    cost = p.plan.cost
    places = kept(p)
    hbm = next((o for o in places if o.tier is not None and o.tier.name.startswith("device memory")), None)
    rows = [
        _listed("input", entry.input_mtok, float(cost.input_mtok), None, ""),
        _listed("output", entry.output_mtok, float(cost.output_mtok), None, ""),
    ]

    def premium(o: Option, life: float) -> float:
        return float(caching.cover(o, p.entry.tokens, life, 0.0).premium_mtok)

    for life, price in entry.premiums.items():
        best = min(places, key=lambda o: premium(o, life), default=None)
        name = f"write premium, {life / 60:g} min" if life < 3600 else f"write premium, {life / 3600:g} h"
        here = None if hbm is None else premium(hbm, life)
        there = None if best is None else premium(best, life)
        rows.append(_listed(name, price, here, there, best.label if best else ""))
    if entry.cache_read_mtok is not None:
        scale = 1e6 / float(p.entry.tokens)
        far = [o for o in places if o is not hbm]
        near = min(far, key=lambda o: float(o.fetch), default=None)
        rows.append(
            _listed(
                "hit",
                entry.cache_read_mtok,
                None if hbm is None else 0.0,
                None if near is None else float(near.fetch) * scale,
                near.label if near else "",
            )
        )
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


def implied(p: Prefix) -> Record | None:
    """The write premiums as fixed part and rate, and the bytes per token that the rate would rent in each place."""
    entry = p.listed
    if entry is None or len(entry.premiums) < 2:
        return None
    line = caching.affine_premium(entry.premiums)
    own = float(p.entry.bytes_per_token)
    rents = [("192 GB at $2/h (the lecture's)", float(caching.hbm_rent(caching.LECTURE_HBM)))]
    for o in kept(p):
        if o.tier is not None and o.tier.price_per_byte_month is not None:
            rents.append((o.label, o.tier.price_per_byte_month / caching.MONTH))
        else:
            rents.append((o.label, float(caching.hbm_rent(p.machine))))
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


def hold_range(p: Prefix) -> tuple[float, float]:
    """Hold times worth drawing: from a tenth of the shortest change to three times the longest, within limits."""
    ends = [r["end"] for r in cheapest(p) if math.isfinite(r["end"])]
    low = min([1.0, *(e / 10 for e in ends if e > 0), *(h / 2 for h in p.holds)])
    high = max([30 * 86400.0, *(3 * e for e in ends), *(2 * h for h in p.holds)])
    return max(low, 1e-3), min(high, 3 * 365.25 * 86400)


def grid(p: Prefix, columns: int, rows: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.intp]]:
    """Hold times, reuse counts, and the index of the cheapest option for each pair (reuse by hold)."""
    hold = np.geomspace(*hold_range(p), columns)
    reuse = np.geomspace(min(0.1, *p.reuses), max(1000.0, *p.reuses), rows)
    return hold, reuse, caching.cheapest(p.options, hold[None, :], reuse[:, None])


def mapped(p: Prefix) -> Record:
    """The grid in few cells: hold times, reuse counts, and whose place is cheapest."""
    hold, reuse, best = grid(p, MAP_HOLDS, MAP_REUSES)
    labels = [o.label for o in p.options]
    return {"hold": hold, "reuse": reuse, "labels": labels, "cheapest": best}


def per_hit(p: Prefix, option: Option, hold: Any, reuse: float) -> NDArray[Any]:
    """Dollars per million tokens found, everything divided over the hits."""
    scale = 1e6 / float(p.entry.tokens) / reuse
    return np.asarray(option.cost(hold, reuse)) * scale + 0.0 * np.asarray(hold)


def rows(p: Prefix) -> list[Record]:
    """One row for each option, reuse count and hold time of the question; the tiers where nothing has a price."""
    if not p.options:
        return tiers(p)
    found = []
    for option in p.options:
        for n in p.reuses:
            for life in p.holds:
                best = min(p.options, key=lambda o: float(o.cost(life, n)))
                found.append(
                    {
                        "option": option.label,
                        "reuse": n,
                        "hold": life,
                        "cost_mtok_per_hit": float(per_hit(p, option, life, n)),
                        "cheapest": option is best,
                        "fetch_seconds": float(option.seconds),
                    }
                )
    return found


def lifetimes(p: Prefix) -> list[Record]:
    """For each lifetime the tier of the nearest drain time, and the cheapest one at the first reuse count."""
    drains = {r["label"]: r["drain_seconds"] for r in tiers(p) if r["label"] != "network"}
    n = p.reuses[0]
    return [
        {
            "hold": life,
            "by_drain_time": min(drains, key=lambda name: abs(math.log(drains[name] / life))),
            "by_cost": min(p.options, key=lambda o: float(o.cost(life, n))).label,
        }
        for life in p.holds
    ]


def curves(p: Prefix, points: int = 1000) -> tuple[NDArray[Any], dict[str, NDArray[Any]], list[tuple[str, float, float]]]:
    """Cost of a hit against the hold time by place; where another becomes the cheapest: name, time, cost."""
    reuse = p.reuses[0]
    low, high = hold_range(p)
    hold = np.geomspace(low, high, points)
    found = {o.label: per_hit(p, o, hold, reuse) for o in p.options}
    lowest = np.min(list(found.values()), axis=0)
    changes = [
        (s.option.label, s.start, float(np.interp(math.log(s.start), np.log(hold), lowest)))
        for s in caching.stretches(p.options, reuse)
        if low < s.start < high
    ]
    return hold, found, changes
