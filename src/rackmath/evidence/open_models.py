"""Open-weight models that hosts sell: what their lists ask, what is true of them, and two halves of the models.

Beliefs and markups are chosen on one half; the blind test reports the other. Models of one architecture (equal active
and total parameters) are in the same half.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from ..economics.pricelist import PriceList, price_list, price_lists, sold
from ..kernel.counts import active_parameters, cache_bytes, total_parameters
from ..world import catalog

OTHER_MACHINES = ("groq", "cerebras", "sambanova")
"""Hosts that serve from on-chip memory: machines that the beliefs do not hold, left out before any score."""

CONTEXT = 32768.0
"""Tokens of context over which cache bytes per token are counted, so that windows and states have their share."""

HALVES = ("chosen", "reported")


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What is known of a model: parameters, layers, and bytes of cache kept per token at 16 bits."""

    name: str
    active_params: float
    total_params: float
    kv_bytes: float
    layers: float

    @property
    def architecture(self) -> tuple[str, str]:
        """Equal for models that cost the same to serve."""
        return f"{self.active_params:.3g}", f"{self.total_params:.3g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenList:
    """One host's list of one open model, without the machines it is told apart by."""

    prices: PriceList
    truth: Truth
    half: str


@functools.cache
def truth(weights: str) -> Truth:
    """The architecture of a model of the catalogue.

    >>> t = truth("deepseek-ai/DeepSeek-V3")
    >>> round(t.active_params / 1e9, 1), round(t.total_params / 1e9), round(t.kv_bytes), t.layers
    (36.6, 671, 70272, 61)
    """
    model = catalog.model(weights)
    wide = model.precision.with_kv("bf16")
    return Truth(
        name=weights,
        active_params=active_parameters(model)["with one"],
        total_params=max(total_parameters(model), active_parameters(model)["with one"]),
        kv_bytes=float(cache_bytes(model, CONTEXT, wide)) / CONTEXT,
        layers=sum(g.count for g in model.groups if g.mixer),
    )


@functools.cache
def open_lists() -> tuple[OpenList, ...]:
    """Every list of an open model at a host with machines as believed, models in order of their names."""
    names = sorted({w for name in sold() if (w := price_list(name).weights)})
    half = halves(tuple(names))
    found = []
    for name in names:
        for prices in price_lists(name):
            if prices.provider not in OTHER_MACHINES:
                found.append(OpenList(prices=prices, truth=truth(name), half=half[name]))
    return tuple(found)


def halves(names: tuple[str, ...]) -> Mapping[str, str]:
    """The half that each model is in: architectures in the order of a hash of their first name, dealt in turn.

    >>> two = halves(("deepseek-ai/DeepSeek-R1", "deepseek-ai/DeepSeek-V3", "openai/gpt-oss-20b"))
    >>> two["deepseek-ai/DeepSeek-R1"] == two["deepseek-ai/DeepSeek-V3"] != two["openai/gpt-oss-20b"]
    True
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for name in sorted(names):
        groups.setdefault(truth(name).architecture, []).append(name)
    dealt = sorted(groups.values(), key=lambda g: hashlib.sha256(g[0].encode()).hexdigest())
    return {name: HALVES[i % 2] for i, group in enumerate(dealt) for name in group}
