"""The verb of prices read backwards all at once: words in, an answer out. No arithmetic here.

>>> answer = infer(input="0.27", output="1.10", cache_read="0.07", unit="1M", draws="200k")
>>> answer.inference["active_params"].low < 37e9 < answer.inference["active_params"].high
True
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import BadInput, Infeasible, unknown
from ..questions.lists import list_meant
from ..questions.resolve import Quantity
from ..units import parse

if TYPE_CHECKING:
    from ..decisions.beliefs import Beliefs
    from ..decisions.inverse import Inference
    from ..decisions.sellers import Seller
    from ..economics.pricelist import PriceList
    from ..evidence.blind import Blind
    from .export import Face

MOST_DRAWS = 20_000_000
FEWEST_DRAWS = 10_000
COMPARED_DRAWS = 500_000
"""Draws of the reading without what is known of the seller, which stands beside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InferAnswer:
    """A price list read backwards. `known` and `priors` hold what was given, as it was given.

    `truth`: what is known of a model whose weights are open, by the names of unknowns. `sold`: what is known of the
    seller's machines, and `without` the reading that leaves it out, if beliefs took it in.
    """

    prices: PriceList
    seller: str
    inference: Inference
    beliefs: Beliefs
    known: Mapping[str, str]
    priors: Mapping[str, str]
    truth: Mapping[str, float]
    sold: Seller | None = None
    without: Inference | None = None

    def face(self) -> Face:
        from . import show_infer

        return show_infer.face(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindAnswer:
    """Open-weight models read blind from their hosts' prices, beside the truth."""

    blind: Blind

    def face(self) -> Face:
        from . import show_blind

        return show_blind.face(self)


def infer(
    name: str | None = None,
    *,
    know: Mapping[str, Quantity] | None = None,
    prior: Mapping[str, str] | None = None,
    speed: Quantity | None = None,
    ttft: Quantity | None = None,
    on_date: str | None = None,
    source: str = "snapshot",
    seller: str | None = None,
    anonymous: bool = False,
    draws: Quantity = "2M",
    seed: int = 1,
    unit: str | None = None,
    **listed: Quantity | None,
) -> InferAnswer:
    """What a price list says about the model, the machine and the margin behind it.

    `name`: a model of the price lists, or a file; or prices by keyword (input, output, cache_read, write_5m,
    write_1h: dollars per million tokens, or as `unit` says). `know`: what is known, as in {"active_params": "37e9",
    "hardware": "h800"}; `prior`: another range of 5 to 95 %, as in {"active_params": "100e9..600e9"}. `speed` and
    `ttft`: measured tokens per second of a user, and time to first token. `seller`: "host" of open weights or "maker"
    of a closed model, whose markups differ; by the list, if not given. `anonymous`: leave out what is known of the
    machines that this seller serves from.
    """
    from ..decisions.beliefs import believing
    from ..decisions.inverse import infer as read
    from ..decisions.likelihood import margins, observations
    from ..decisions.sellers import informed
    from ..decisions.sellers import seller as known_of

    if know and "speed" in know and speed is not None:
        raise BadInput("speed is given both as known and as measured; give one of them")
    prices = list_meant(name, {k: v for k, v in listed.items() if v is not None}, on_date, source, unit)
    prices = replace(
        prices,
        output_speed=prices.output_speed if speed is None else _positive(speed, "1/s", "speed"),
        ttft=prices.ttft if ttft is None else _positive(ttft, "s", "ttft"),
    )
    known = {k: _known(k, v) for k, v in (know or {}).items()}
    of = believing({k: _range(k, v) for k, v in (prior or {}).items()})
    if both := sorted(set(known) & set(prior or {})):
        raise BadInput(f"{both[0]} is given both as known and as a belief; give one of them")
    wanted = parse(draws, "count", name="draws")
    if not FEWEST_DRAWS <= wanted <= MOST_DRAWS:
        raise BadInput(f"draws = {wanted:g} is out of range; give {FEWEST_DRAWS:,} to {MOST_DRAWS:,}")
    if seed < 0:
        raise BadInput(f"a seed of {seed} is negative; give a whole number from 0")
    who = seller or ("host" if prices.weights else "maker")
    seen, markups = observations(prices), margins(who)
    sold = None if anonymous or "hardware" in known else known_of(prices.model, own=who == "maker")
    taken = of if sold is None else informed(sold, of)
    found = read(seen, known=known, of=taken, markups=markups, draws=round(wanted), seed=seed)
    without = None
    if taken is not of:
        few = round(min(wanted, COMPARED_DRAWS))
        with suppress(Infeasible):
            without = read(seen, known=known, of=of, markups=markups, draws=few, seed=seed)
    return InferAnswer(
        prices=prices, seller=who, inference=found, beliefs=taken,
        known={k: str(v) for k, v in (know or {}).items()}, priors=dict(prior or {}), truth=_truth(prices.weights),
        sold=sold, without=without,
    )  # fmt: skip


def blind() -> BlindAnswer:
    """The blind test: open-weight models read from their hosts' prices alone, then compared."""
    from ..evidence import blind as evidence

    return BlindAnswer(blind=evidence.blind())


def _truth(weights: str) -> dict[str, float]:
    """What is known of a model of the catalogue; empty where the weights are closed."""
    if not weights:
        return {}
    from ..evidence.open_models import truth

    known = truth(weights)
    return {k: getattr(known, k) for k in ("active_params", "total_params", "kv_bytes", "layers")}


def _known(name: str, value: Quantity) -> float | str:
    """A known value in SI, or the name of a kind."""
    from ..decisions.beliefs import KNOWABLE, MOST

    if name not in KNOWABLE:
        raise unknown("name of a known value", name, KNOWABLE)
    dimension = KNOWABLE[name]
    if not dimension:
        return str(value).strip().lower()
    found = parse(value, dimension, name=name)
    whole = dimension == "count" and name not in ("reuse", "sparsity")
    if dimension == "share":
        low = -10.0 if name == "margin" else 0.0
        if not low < found < 1:
            raise BadInput(f"{name} = {value!r} is impossible; give a share above {low:g} and below 1")
    elif not (1.0 if whole else 1 / MOST) <= found <= MOST:
        raise BadInput(f"{name} = {value!r} is impossible; give a number {'of 1 or more' if whole else 'above 0'}")
    return found


def _range(name: str, text: str) -> tuple[float, float]:
    """Two ends written low..high."""
    from ..decisions.beliefs import beliefs

    quantities = beliefs().quantities
    if name not in quantities:
        raise unknown("belief", name, quantities)
    low, dots, high = str(text).partition("..")
    if not (low.strip() and dots and high.strip()):
        raise BadInput(f"the belief {name} = {text!r} is not a range; write it like {name}=1e9..1e11")
    dimension = {"tok/s": "1/s", "x": "count", "tokens": "count", "uses": "count", "FLOP": "count"}
    unit = quantities[name].unit
    ends = [parse(end.strip(), dimension.get(unit, unit), name=name) for end in (low, high)]
    return ends[0], ends[1]


def _positive(value: Quantity, dimension: str, name: str) -> float:
    found = parse(value, dimension, name=name)
    if found <= 0:
        raise BadInput(f"{name} = {value!r} is impossible; give a number above 0")
    return found
