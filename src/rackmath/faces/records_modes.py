"""`cadence` and `modes` as plain mappings and rows: the shape of their `--json` and `--csv`.

SI values; prices end in `_mtok` and are at cost: dollars per million tokens, None where unknown.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from ..economics.pricelist import margin as gross_margin
from ..views import setting
from .records import Record

if TYPE_CHECKING:
    from ..decisions.menu import Menu, Offers
    from ..decisions.modes import FastFit, Regime
    from .ask_modes import ModesAnswer

MULTIPLES = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0)
"""Speeds of a fast mode over the normal one that are tabulated, as far as any offer reaches."""


# --- modes --------------------------------------------------------------------------------------------------------


def modes(answer: ModesAnswer) -> Record:
    """{question, normal, fast, slow, batch_api, backwards, offers, notes}; what was not asked is None."""
    m = answer.menu
    found: Record = {
        "question": None, "normal": None, "speculation": None, "fast": None, "slow": None, "batch_api": None,
        "backwards": None if answer.fit is None else backwards(answer),
    }  # fmt: skip
    if m is not None:
        q = m.normal.question
        found |= {
            "question": {
                "model": q.model.name, "machine": q.machine.name, "isl": q.traffic.isl, "osl": q.traffic.osl,
                "cached": q.traffic.cached, "price_kind": q.machine.price_kind,
                "price_per_gpu_hour": setting.known_price(q.machine),
            },
            "normal": normal(answer, m),
            "speculation": {"tokens_per_pass": m.per_pass, "tokens_computed": m.width},
            "fast": [fast_row(m, k) for k in multiples(m)],
            "slow": slow(m),
            "batch_api": batch_api(answer),
        }  # fmt: skip
    return found | {"offers": rows(answer), "notes": list(answer.notes)}


def normal(answer: ModesAnswer, m: Menu) -> Record:
    """The normal mode, and the margin its list prices imply."""
    return {
        "layout": setting.layout(m.normal.layout),
        "precision": setting.precision(m.normal.precision),
        "batch": m.normal.batch,
        "interactivity": m.speed,
        "output_mtok": m.output_mtok,
        "input_mtok": m.input_mtok,
        "cache_over_weights": m.cache_over_weights,
        "list_input_mtok": answer.list_input,
        "list_output_mtok": answer.list_output,
        "input_gross_margin": None if answer.list_input is None else gross_margin(answer.list_input, m.input_mtok),
        "output_gross_margin": None
        if answer.list_output is None
        else gross_margin(answer.list_output, m.output_mtok),
    }


def every(m: Menu) -> tuple[Offers, ...]:
    """Batch alone first, then every kind of replica."""
    return (m.same, *m.series)


def multiples(m: Menu) -> list[float]:
    """Speed multiples that some offer reaches, and the largest of each."""
    most = max(o.fastest for o in every(m)) / m.speed
    return [k for k in MULTIPLES if k <= most]


def fast_row(m: Menu, k: float) -> Record:
    """What a mode k times as fast must cost over the normal one, by kind of replica."""
    return {
        "speed_ratio": k,
        "interactivity": k * m.speed,
        "price_ratio": {o.name: m.multiple(o, k) for o in every(m)},
        "input_price_ratio": {o.name: m.input_multiple(o, k) for o in every(m)},
    }


def slow(m: Menu) -> Record:
    """The most that any slower mode saves."""
    return {
        "saving_by_batch_alone": m.saving(m.same),
        "saving_with_memory_unlimited": max(0.0, 1 - m.slow_limit_mtok / m.output_mtok),
        "saving": {o.name: m.saving(o) for o in m.series},
    }


def batch_api(answer: ModesAnswer) -> Record | None:
    """Prices at cost of work that fills idle hours."""
    offer = answer.offer
    if offer is None:
        return None
    return asdict(offer) | {
        "electricity_per_kwh": answer.per_kwh,
        "interactive_at_half_price_batch": offer.interactive_at(0.5),
    }


def backwards(answer: ModesAnswer) -> Record:
    """A pair of ratios read backwards; beside it, with a model, what its own offers cost at that speed."""
    fit = answer.fit
    assert fit is not None
    found: Record = {
        "price_ratio": fit.price_ratio,
        "speed_ratio": fit.speed_ratio,
        "batch_ratio": fit.batch_ratio,
        "feasible": fit.feasible,
        "memory_bound": regime(fit.memory_bound),
        "compute_bound": regime(fit.compute_bound),
        "input": inputs(fit),
        "own": None,
    }
    m = answer.menu
    if m is not None:
        found["own"] = {
            o.name: {
                "price_ratio": m.multiple(o, fit.speed_ratio),
                "input_price_ratio": m.input_multiple(o, fit.speed_ratio),
                "surcharge": surcharge(m, o, fit),
                "largest_speed_ratio": o.fastest / m.speed,
                "output_gross_margin": fast_margin(answer, o),
            }
            for o in every(m)
        }
    return found


def surcharge(m: Menu, offers: Offers, fit: FastFit) -> float | None:
    """The price ratio asked over the one that cost explains."""
    at_cost = m.multiple(offers, fit.speed_ratio)
    return None if at_cost is None else fit.price_ratio / at_cost


def fast_margin(answer: ModesAnswer, offers: Offers) -> float | None:
    """The gross margin of the fast mode's list price: the normal list price times the ratio."""
    m, fit = answer.menu, answer.fit
    if m is None or fit is None or answer.list_output is None:
        return None
    at_cost = m.multiple(offers, fit.speed_ratio)
    if at_cost is None:
        return None
    return float(gross_margin(answer.list_output * fit.price_ratio, at_cost * m.output_mtok))


def regime(r: Regime) -> Record:
    """One regime's reading; numbers are None where it cannot hold."""
    found = asdict(r) | {"cache_share": r.cache_share}
    if not r.feasible:
        found = {k: v if k in ("name", "feasible", "why") else None for k, v in found.items()}
    return found


def inputs(fit: FastFit) -> Record | None:
    """The part that batch cannot explain."""
    if fit.input_price_ratio is None:
        return None
    return {
        "input_price_ratio": fit.input_price_ratio,
        "explained_by_batch": 1.0,
        "unexplained": fit.unexplained_input,
        "batch_ratio_if_on_output_too": fit.uniform_batch_ratio,
    }


def rows(answer: ModesAnswer) -> list[Record]:
    """One row for each offer of the menu; without a model, one for each regime."""
    m = answer.menu
    if m is None:
        assert answer.fit is not None
        return [regime(r) for r in (answer.fit.memory_bound, answer.fit.compute_bound)]
    found = []
    for o in every(m):
        for i, label in enumerate(o.labels):
            found.append(
                {
                    "kind": o.name, "gpus": o.gpus, "tokens_per_pass": o.per_pass, "offer": label,
                    "batch": o.batch[i], "interactivity": o.interactivity[i], "output_mtok": o.output_mtok[i],
                    "input_mtok": o.input_mtok[i], "speed_ratio": o.interactivity[i] / m.speed,
                    "price_ratio": o.output_mtok[i] / m.output_mtok,
                }
            )  # fmt: skip
    return found
