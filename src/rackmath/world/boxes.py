"""Unequal cards in one computer: `rtx-4090+rtx-3090`.

Layers are shared out over such cards by a runtime like llama.cpp (`layout.local`). Whoever cuts evenly gets of every
value the least of all cards: what an even cut finds on each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..errors import BadInput
from .machine import Machine, Source

MOST_CARDS = 64
"""Cards of a mixed computer."""

LEAST = (
    "peak_bf16",
    "peak_fp8",
    "peak_fp4",
    "peak_int8",
    "hbm_nominal",
    "hbm_capacity",
    "hbm_bandwidth",
    "scaleup_bandwidth",
    "scaleout_bandwidth",
)


def mixed(each: Sequence[Machine]) -> Machine:
    """One computer with these cards, in the order they were named; equal ones stay a plain count.

    >>> from rackmath.world import catalog
    >>> box = mixed([catalog.machine("rtx-4090"), catalog.machine("rtx-3060")])
    >>> box.name, box.n_devices, [card.name for card in box.cards], box.hbm_bandwidth == 360e9
    ('rtx-4090+rtx-3060', 2.0, ['rtx-4090', 'rtx-3060'], True)
    """
    names = [one.name for one in each]
    if len(each) > MOST_CARDS or any(one.n_devices > 1 for one in each):
        raise BadInput(f"{'+'.join(names[:4])} is no computer of at most {MOST_CARDS} single cards; name devices")
    first = each[0]
    if len(set(names)) == 1:
        return replace(first, name=f"{len(each)}x{first.name}", n_devices=float(len(each)))
    counts = dict.fromkeys(names, 0)
    for name in names:
        counts[name] += 1
    label = "+".join(f"{n}x{name}" if n > 1 else name for name, n in counts.items())
    least: dict[str, Any] = {field: min(float(getattr(one, field)) for one in each) for field in LEAST}
    paid = all(one.price_kind != "none" for one in each)
    note = "cards differ: values are the least of them; llama.cpp shares layers out by each card's own"
    return replace(
        first,
        **least,
        name=label,
        accelerator=" + ".join(one.accelerator for one in each),
        cards=tuple(each),
        n_devices=float(len(each)),
        domain=float(len(each)),
        hbm_reserved=max(float(one.hbm_reserved) for one in each),
        power=sum(float(one.power) for one in each) / len(each),
        price_per_hour=sum(float(one.price_per_hour) for one in each) / len(each) if paid else 0.0,
        price_kind=first.price_kind if paid else "none",
        home=all(one.home for one in each),
        generation=first.generation if len({one.generation for one in each}) == 1 else "mixed",
        vendor=first.vendor if len({one.vendor for one in each}) == 1 else "several",
        notes=(*dict.fromkeys(n for one in each for n in one.notes), note),
        sources={**first.sources, **dict.fromkeys(LEAST, Source(text=f"the least of {', '.join(counts)}: see each", date="2026-11"))},
    )
