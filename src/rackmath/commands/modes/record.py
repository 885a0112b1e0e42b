"""The record of `modes`: SI values; prices end in `_mtok` and are at cost, dollars per million tokens."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ...decisions.modes.menu import Menu, Offers
from ...decisions.modes.offers import BatchOffer, FastFit, Regime
from ...economics.pricelist import margin
from ...views import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class ModesFound:
    """The menu around a normal mode, a pair of ratios read backwards, or both.

    `list_input`, `list_output`: listed dollars per million tokens of the normal mode, for margins.
    """

    menu: Menu | None
    fit: FastFit | None
    offer: BatchOffer | None
    per_kwh: float
    list_input: float | None
    list_output: float | None
    notes: tuple[str, ...]


def record(a: ModesFound) -> dict[str, Any]:
    """What was not asked is None."""
    m = a.menu
    found: dict[str, Any] = {
        "normal": None,
        "speculation": None,
        "fast": None,
        "slow": None,
        "batch_api": None,
        "backwards": None if a.fit is None else _backwards(a, a.fit),
    }
    if m is not None:
        found |= {
            "price_kind": m.normal.question.machine.price_kind,
            "price_per_gpu_hour": setting.known_price(m.normal.question.machine),
            "normal": _normal(a, m),
            "speculation": {"tokens_per_pass": m.per_pass, "tokens_computed": m.width},
            "fast": [_fast(m, k) for k in m.multiples],
            "largest_speed_ratio": {o.name: o.fastest / m.speed for o in m.every},
            "slow": _slow(m),
            "batch_api": None if a.offer is None else _batch(a, a.offer, m),
        }
    return found | {"offers": _offers(a)}


def _normal(a: ModesFound, m: Menu) -> dict[str, Any]:
    """The normal mode, and the margin its list prices imply."""
    return {
        "layout": setting.layout(m.normal.layout),
        "precision": setting.precision(m.normal.precision),
        "batch": m.normal.batch,
        "interactivity": m.speed,
        "output_mtok": m.output_mtok,
        "input_mtok": m.input_mtok,
        "cache_over_weights": m.cache_over_weights,
        "list_input_mtok": a.list_input,
        "list_output_mtok": a.list_output,
        "input_gross_margin": None if a.list_input is None else margin(a.list_input, m.input_mtok),
        "output_gross_margin": None if a.list_output is None else margin(a.list_output, m.output_mtok),
    }


def _fast(m: Menu, k: float) -> dict[str, Any]:
    """What a mode k times as fast must cost over the normal one, by kind of replica."""
    return {
        "speed_ratio": k,
        "interactivity": k * m.speed,
        "price_ratio": {o.name: m.multiple(o, k) for o in m.every},
        "input_price_ratio": {o.name: m.input_multiple(o, k) for o in m.every},
    }


def _slow(m: Menu) -> dict[str, Any]:
    """The most that any slower mode saves."""
    return {
        "saving_by_batch_alone": m.saving(m.same),
        "saving_with_memory_unlimited": m.saving_without_end,
        "saving": {o.name: m.saving(o) for o in m.series},
    }


def _batch(a: ModesFound, offer: BatchOffer, m: Menu) -> dict[str, Any]:
    """Prices at cost of work that fills idle hours."""
    return asdict(offer) | {
        "electricity_per_kwh": a.per_kwh,
        "interactive_at_half_price_batch": offer.interactive_at(0.5),
        "together_at_the_slow_batch": offer.together * (1 - m.saving(m.same)),
    }


def _backwards(a: ModesFound, fit: FastFit) -> dict[str, Any]:
    """A pair of ratios read backwards; beside it, with a model, what its own offers cost at that speed."""
    return {
        "price_ratio": fit.price_ratio,
        "speed_ratio": fit.speed_ratio,
        "batch_ratio": fit.batch_ratio,
        "feasible": fit.feasible,
        "memory_bound": _regime(fit.memory_bound),
        "compute_bound": _regime(fit.compute_bound),
        "input": _inputs(fit),
        "own": None if a.menu is None else {o.name: _own(a, a.menu, o, fit) for o in a.menu.every},
    }


def _own(a: ModesFound, m: Menu, o: Offers, fit: FastFit) -> dict[str, Any]:
    """An offer at the speed of the pair; its margin is that of the normal list price times the ratio."""
    at_cost = m.multiple(o, fit.speed_ratio)
    listed = None if a.list_output is None else a.list_output * fit.price_ratio
    own = None if at_cost is None else at_cost * m.output_mtok
    return {
        "price_ratio": at_cost,
        "input_price_ratio": m.input_multiple(o, fit.speed_ratio),
        "surcharge": m.surcharge(o, fit.price_ratio, fit.speed_ratio),
        "largest_speed_ratio": o.fastest / m.speed,
        "list_output_mtok": listed,
        "output_mtok": own,
        "output_gross_margin": None if listed is None or own is None else float(margin(listed, own)),
    }


def _regime(r: Regime) -> dict[str, Any]:
    """One regime's reading; numbers are None where it cannot hold."""
    found = asdict(r) | {"cache_share": r.cache_share}
    if not r.feasible:
        found = {k: v if k in ("name", "feasible", "why") else None for k, v in found.items()}
    return found


def _inputs(fit: FastFit) -> dict[str, Any] | None:
    """The part that batch cannot explain."""
    if fit.input_price_ratio is None:
        return None
    return {
        "input_price_ratio": fit.input_price_ratio,
        "explained_by_batch": 1.0,
        "output_explained_by_batch": fit.price_ratio / fit.input_price_ratio,
        "unexplained": fit.unexplained_input,
        "batch_ratio_if_on_output_too": fit.uniform_batch_ratio,
    }


def _offers(a: ModesFound) -> list[dict[str, Any]]:
    """One row for each offer of the menu; without a model, one for each regime."""
    m = a.menu
    if m is None:
        return [] if a.fit is None else [_regime(r) for r in (a.fit.memory_bound, a.fit.compute_bound)]
    return [
        {
            "kind": o.name,
            "gpus": o.gpus,
            "tokens_per_pass": o.per_pass,
            "offer": label,
            "batch": o.batch[i],
            "interactivity": o.interactivity[i],
            "output_mtok": o.output_mtok[i],
            "input_mtok": o.input_mtok[i],
            "speed_ratio": o.interactivity[i] / m.speed,
            "price_ratio": o.output_mtok[i] / m.output_mtok,
        }
        for o in m.every
        for i, label in enumerate(o.labels)
    ]
