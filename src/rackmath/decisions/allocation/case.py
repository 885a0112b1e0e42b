"""The case of a compute split from words: presets, traffic, shares and ranges, and what contradicts itself.

>>> rate("50M/s"), shares_of("50/25/25"), ends_of({"efficiency": "0.2..0.5"})
(50000000.0, (0.5, 0.25, 0.25), {'efficiency': (0.2, 0.5)})
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...errors import BadInput
from ...scaling.laws import Law
from ...scaling.laws import law as named
from ...scaling.points import FEWEST_TOKENS
from ...units import parse, show
from ...world.machine import Machine
from . import ranges as allocation_ranges
from . import split as allocation
from .machine import Rates
from .overtraining import Tension, tension
from .ranges import ASKED_AS, Curve, Ends, Swing
from .split import Problem, Split, equal

PRESETS: Mapping[str, Mapping[str, Any]] = {"lecture": {"traffic": 50e6, "months": 2, "active": 100e9, "rl_flops": 3, "efficiency": 1 / 3}}
"""The lecture's case: 500 M tok/s over about ten models, two months, 100 B active; 3 FLOP per parameter and RL token
at a third of training's utilisation, so that D_pre = 1.5 D_RL = D_inf."""

ROUNDED = 100.0
"""Over-training as the lecture says it: 200 T tokens over 2 T."""

COMPARED = ("besiroglu", "hoffmann")
OTHERS = ("besiroglu", "hoffmann", "sardana")
SHARES = (1 / 3, 1 / 2)

LEAST_PARAMS, MOST_PARAMS = 1e6, 2e13
LEAST_RATE, MOST_RATE = 1e-6, 1e11


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """Compute split four ways. `mode`: the one asked about, which intervals and swings are of.

    `priced`: the machine whose hours the dollars are; `rates`: what it was found to reach, where it was searched.
    `tensions`: over-training by law beside that by traffic, where both traffic and parameters are given.
    """

    problem: Problem
    mode: str
    splits: Mapping[str, Split]
    intervals: Mapping[str, Ends]
    swings: tuple[Swing, ...]
    ranges: Mapping[str, Ends]
    curve: Curve
    tensions: tuple[Tension, ...]
    priced: Machine
    rates: Rates | None
    solved: bool
    outside: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def best(self) -> Split:
        return self.splits[self.mode]


def allocation_of(of: Problem, mode: str, chosen: Mapping[str, Ends], priced: Machine, rates: Rates | None) -> Allocation:
    """The problem split by every rule, with intervals, swings and over-training of the rule asked about."""
    splits = allocation.allocate(of)
    ends = allocation_ranges.ranges(of, chosen)
    others: list[Law] = [named(n) for n in OTHERS if n != of.law.name]
    both = of.rate is not None and of.active is not None
    return Allocation(
        problem=of,
        mode=mode,
        splits=splits,
        intervals=allocation_ranges.intervals(of, mode, ends, chosen=chosen),
        swings=allocation_ranges.tornado(of, mode, "tokens_per_param", ends, others),
        ranges=ends,
        curve=allocation_ranges.curve(of, splits["equal"]),
        tensions=tensions(of, splits["equal"]) if both else (),
        priced=priced,
        rates=rates,
        solved=of.active is None and (of.rate is None or of.budget is None),
        outside=allocation.outside(of, splits),
        notes=tuple(priced.notes),
    )


def with_preset(name: str | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """What was given, and from the preset what was not; refused where it contradicts itself."""
    of = dict(given)
    if name is not None:
        preset = PRESETS[name]
        of = dict(preset) | {k: v for k, v in given.items() if v is not None or k not in preset}
    said = "" if name is None else f" (the preset {name} gives traffic and active parameters)"
    if of["budget"] is not None and of["flops"] is not None:
        raise BadInput("a budget in dollars and one in FLOPs were given; give one of --budget and --flops")
    money = of["budget"] is not None or of["flops"] is not None
    if not money and of["traffic"] is None:
        raise BadInput("nothing says how much there is to split; give --budget 100MUSD, --flops 5e26 or --traffic 50M/s")
    if money and of["traffic"] is not None and of["active"] is not None:
        raise BadInput(f"a budget, traffic and active parameters leave nothing to choose{said}; leave one of them out")
    if of["months"] is not None and of["traffic"] is None:
        raise BadInput("months are of traffic, and none was given; add --traffic 50M/s, or leave --months out")
    return of


def rate(text: str | float) -> float:
    """Tokens per second.

    >>> rate("50M/s"), rate("16B/min") > 2.6e8, rate(5e7)
    (50000000.0, True, 50000000.0)
    """
    seconds = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "day": 86400.0, "month": 30 * 86400.0}
    number, per = text, 1.0
    if isinstance(text, str) and "/" in text:
        head, _, unit = text.partition("/")
        if unit.strip() not in seconds:
            raise BadInput(f"traffic = {text!r} is not tokens over a time; write it like '50M/s' or '16B/min'")
        number, per = re.sub(r"\s*(tokens?|tok)\s*$", "", head), seconds[unit.strip()]
    found = parse(number, "count", name="traffic") / per
    if not LEAST_RATE <= found <= MOST_RATE:
        raise BadInput(f"traffic = {text!r} is out of range; give tokens per second, like 50M/s (all of Google made about 1B/s in 2026)")
    return found


def active_of(found: float | None) -> float | None:
    """Active parameters, refused where no such model has so few or so many."""
    if found is None or LEAST_PARAMS <= found <= MOST_PARAMS:
        return found
    few = found < LEAST_PARAMS
    raise BadInput(
        f"active = {found:g} are {'fewer' if few else 'more'} parameters than any such model has; write 100B for a"
        " hundred billion" + ("" if few else ", and tokens as traffic or FLOPs")
    )


def shares_of(given: str | Sequence[float] | None) -> tuple[float, float, float]:
    """Shares of pre-training, RL and inference, made to add up to one.

    >>> shares_of("50/25/25")
    (0.5, 0.25, 0.25)
    """
    if given is None:
        return (1 / 3, 1 / 3, 1 / 3)
    words = re.split(r"[/,: ]+", given.strip()) if isinstance(given, str) else list(given)
    if len(words) != 3:
        raise BadInput(f"shares = {given!r} are not three; give pre-training, RL and inference, like 50/25/25")
    parts = [parse(word, "share", name="shares") for word in words]
    if not (parts[0] > 0 and parts[1] >= 0 and parts[2] > 0):
        raise BadInput(f"shares = {given!r} leave pre-training or inference with nothing; give parts like 50/25/25")
    whole = sum(parts)
    return (parts[0] / whole, parts[1] / whole, parts[2] / whole)


def ends_of(given: Mapping[str, str]) -> dict[str, Ends]:
    """Ends of inputs in words: "0.2..0.5"."""
    units = {"budget": "$", "efficiency": "share", "share": "share", "ship": "share", "mfu": "share", "price": "$/h"}
    fields = {asked: field for field, asked in ASKED_AS.items()}
    found = {}
    for name, words in given.items():
        key = name.strip().replace("-", "_")
        low, dots, high = str(words).partition("..")
        if not dots:
            raise BadInput(f"the range {name} = {words!r} has no two ends; write it like {name}=0.2..0.5")
        read = rate if key == "traffic" else lambda t, k=key: parse(t, units.get(k, "count"), name=k)
        ends = read(low), read(high)
        if not ends[0] <= ends[1]:
            raise BadInput(f"the range {name} = {words!r} begins above its end; write the lower number first")
        found[fields.get(key, key)] = ends
    return found


def check_size(of: Problem) -> None:
    """Refuse a budget or a traffic too small for any model, with the smallest that would do."""
    start = equal(of)
    params, ratio = float(start.params), float(start.tokens_per_param)
    sizes = {"budget": of.dollars, "flops": of.flops, "traffic": of.rate}
    name, size = next((n, float(v)) for n, v in sizes.items() if v is not None)
    if params < LEAST_PARAMS:
        t = of.terms
        grows = 1.0 if of.rate is not None and of.budget is not None else t.beta / (t.alpha + t.beta)
        if of.budget is None:
            grows = t.beta / t.alpha
        short = f"trains {params:,.3g} parameters, fewer than any model has"
        least = float(size * (LEAST_PARAMS / params) ** (1 / grows))
    elif ratio < FEWEST_TOKENS:
        short = f"leaves {show(params, 'params').removesuffix(' params')} parameters {ratio:.2g} tokens each"
        least = size * FEWEST_TOKENS / ratio
    else:
        return
    enough = {"budget": f"${least:,.0f}", "flops": f"{least:.3g}", "traffic": f"{least:,.0f}/s"}[name]
    raise BadInput(f"{name} = {size:g} is too small: it {short}; give at least {enough}")


def tensions(of: Problem, start: Split) -> tuple[Tension, ...]:
    """Over-training by this law and by those usually compared."""
    names = dict.fromkeys((of.law.name, *COMPARED))
    shares = tuple(dict.fromkeys((*SHARES, float(of.shares[0]))))
    factors = (ROUNDED, float(start.over_rule))
    return tuple(tension(replace(of, law=named(name)), shares, factors) for name in names)
