"""The verb `allocate`: words in, compute split between pre-training, RL and inference out. No arithmetic here.

>>> found = allocate(preset="lecture", mode="equal")
>>> round(float(found.splits["equal"].over_rule)), sorted(round(t.by_share[1 / 3]) for t in found.tensions)
(130, [20, 47])
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import BadInput, unknown
from ..questions.resolve import Quantity, max_tpot_of, paid_for
from ..units import parse, show

if TYPE_CHECKING:
    from ..decisions.allocation import Problem, Split
    from ..decisions.allocation_machine import Rates
    from ..decisions.allocation_ranges import Curve, Ends, Swing
    from ..decisions.overtraining import Tension
    from ..world.machine import Machine
    from .export import Face

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "lecture": {
        "traffic": 50e6, "months": 2, "active": 100e9, "rl_flops": 3, "efficiency": 1 / 3,
    }
}  # fmt: skip
"""The lecture's case: 500 M tok/s over about ten models, two months, 100 B active; 3 FLOP per parameter and RL token
at a third of training's utilisation, so that D_pre = 1.5 D_RL = D_inf."""

ROUNDED = 100.0
"""Over-training as the lecture says it: 200 T tokens over 2 T."""

COMPARED = ("besiroglu", "hoffmann")
OTHERS = ("besiroglu", "hoffmann", "sardana")
SHARES = (1 / 3, 1 / 2)

DEFAULT_MACHINE = "h100"
DEFAULT_MFU = 0.4
LEAST_PARAMS, MOST_PARAMS = 1e6, 2e13
LEAST_RATE, MOST_RATE = 1e-6, 1e11
MOST = 1e40
"""Any number above this is a slip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocateAnswer:
    """Compute split four ways. `mode`: the one asked about, which intervals and swings are of.

    `priced`: the machine whose hours the dollars are; `rates`: what it was found to reach, with `--on`. `tensions`:
    over-training by law beside that by traffic, where both traffic and parameters are given.
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

    def face(self) -> Face:
        from . import show_allocate

        return show_allocate.face(self)


def allocate(
    *,
    budget: Quantity | None = None,
    flops: Quantity | None = None,
    traffic: Quantity | None = None,
    months: Quantity | None = None,
    active: Quantity | None = None,
    law: str = "besiroglu",
    mode: str = "optimum",
    shares: str | Sequence[float] | None = None,
    rl_flops: Quantity | None = None,
    efficiency: Quantity | None = None,
    ship: Quantity = 1.0,
    input_share: Quantity = 0.0,
    cached_share: Quantity = 0.0,
    input_weight: Quantity | None = None,
    cached_weight: Quantity | None = None,
    mfu: Quantity | None = None,
    on: str | Machine | None = None,
    isl: Quantity = 8192,
    osl: Quantity = 1024,
    min_interactivity: Quantity | None = 20,
    price: str | None = None,
    ranges: Mapping[str, str] | None = None,
    preset: str | None = None,
) -> AllocateAnswer:
    """Split compute between pre-training, RL and inference, by four rules side by side.

    One of `budget` (dollars), `flops` (of training) and `traffic` (tokens per second over `months`), or a budget with
    traffic; and `active` parameters, where they are known. `shares`: of pre-training, RL and inference to begin from.
    `on`: a machine whose own MFU, decoding efficiency and token weights are found by search.
    """
    from ..decisions import allocation, allocation_machine, allocation_ranges
    from ..scaling.laws import law as named
    from ..world.workload import Objectives, Traffic

    of = _preset(preset, {"budget": budget, "flops": flops, "traffic": traffic, "months": months, "active": active,
                          "rl_flops": rl_flops, "efficiency": efficiency})  # fmt: skip
    if mode not in allocation.MODES:
        raise unknown("mode", mode, allocation.MODES)
    _consistent(of, "" if preset is None else f" (the preset {preset} gives traffic and active parameters)")
    chosen = _ranges(ranges or {})
    found_by_search = {"mfu": mfu, "efficiency": efficiency, "input_weight": input_weight,
                       "cached_weight": cached_weight}  # fmt: skip
    for name, value in found_by_search.items():
        if on is not None and value is not None:
            raise BadInput(f"a machine and {name} = {value!r} were given; the machine's own is found, leave it out")
    machine = paid_for(on if on is not None else DEFAULT_MACHINE, price)
    problem = allocation.Problem(
        law=allocation.usable(named(law)),
        flops=_positive(of["flops"], "count", "flops"),
        dollars=_positive(of["budget"], "$", "budget"),
        rate=None if of["traffic"] is None else rate(of["traffic"]),
        months=_positive(of["months"] if of["months"] is not None else 2, "count", "months") or 2.0,
        active=_active(of["active"]),
        shares=_shares(shares),
        rl_flops=between(of["rl_flops"] if of["rl_flops"] is not None else 3, 1, 20, "rl_flops", "count"),
        efficiency=between(of["efficiency"] if of["efficiency"] is not None else 0.3, 0.001, 10, "efficiency"),
        ship=between(ship, 1e-6, 1, "ship"),
        input_share=between(input_share, 0, 0.9999, "input_share"),
        cached_share=between(cached_share, 0, 1, "cached_share"),
        input_weight=between(input_weight if input_weight is not None else 0.2, 0, 10, "input_weight"),
        cached_weight=between(cached_weight if cached_weight is not None else 0.02, 0, 10, "cached_weight"),
        per_hour=float(machine.price_per_hour),
        peak=float(machine.peak("bf16")),
        mfu=between(mfu if mfu is not None else DEFAULT_MFU, 0.001, 1, "mfu"),
    )
    _large_enough(problem, of)
    rates = None
    if on is not None:
        asked = Traffic(isl=_size(isl, "isl"), osl=_size(osl, "osl"), cached=problem.cached_share)
        objectives = Objectives(max_tpot=max_tpot_of(None, min_interactivity))
        problem, rates = allocation_machine.on_machine(problem, machine, asked, objectives)
    splits = allocation.allocate(problem)
    ends = allocation_ranges.ranges(problem, chosen)
    others = [named(n) for n in OTHERS if n != problem.law.name]
    tensions: tuple[Tension, ...] = ()
    if problem.rate is not None and problem.active is not None:
        tensions = _tensions(problem, splits["equal"])
    return AllocateAnswer(
        problem=problem,
        mode=mode,
        splits=splits,
        intervals=allocation_ranges.intervals(problem, mode, ends, chosen=chosen),
        swings=allocation_ranges.tornado(problem, mode, "tokens_per_param", ends, others),
        ranges=ends,
        curve=allocation_ranges.curve(problem, splits["equal"]),
        tensions=tensions,
        priced=machine,
        rates=rates,
        solved=problem.active is None and (problem.rate is None or problem.budget is None),
        outside=allocation.outside(problem, splits),
        notes=tuple(machine.notes),
    )


# --- words to values ----------------------------------------------------------------------------------------------


def _preset(name: str | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """What was given, and from the preset what was not."""
    if name is None:
        return dict(given)
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    return dict(PRESETS[name]) | {k: v for k, v in given.items() if v is not None or k not in PRESETS[name]}


def _consistent(of: Mapping[str, Any], preset: str) -> None:
    """Refuse what contradicts itself."""
    if of["budget"] is not None and of["flops"] is not None:
        raise BadInput("a budget in dollars and one in FLOPs were given; give one of --budget and --flops")
    money = of["budget"] is not None or of["flops"] is not None
    if not money and of["traffic"] is None:
        raise BadInput(
            "nothing says how much there is to split; give --budget 100MUSD, --flops 5e26 or --traffic 50M/s"
        )
    if money and of["traffic"] is not None and of["active"] is not None:
        raise BadInput(
            f"a budget, traffic and active parameters leave nothing to choose{preset}; leave one of them out"
        )
    if of["months"] is not None and of["traffic"] is None:
        raise BadInput("months are of traffic, and none was given; add --traffic 50M/s, or leave --months out")


def rate(text: Quantity) -> float:
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
        raise BadInput(
            f"traffic = {text!r} is out of range; give tokens per second, like 50M/s (all of Google made about 1B/s"
            " in 2026)"
        )
    return found


def _positive(value: Quantity | None, unit: str, name: str) -> float | None:
    if value is None:
        return None
    found = parse(value, unit, name=name)
    if not 0 < found <= MOST:
        want = "is impossible; give a number above 0" if found <= 0 else "is out of range; give a smaller number"
        raise BadInput(f"{name} = {value!r} {want}")
    return found


def between(value: Quantity, least: float, most: float, name: str, unit: str = "share") -> float:
    found = parse(value, unit, name=name)
    if not least <= found <= most:
        raise BadInput(f"{name} = {value!r} is out of range; give a number from {least:g} to {most:g}")
    return found


def _size(value: Quantity, name: str) -> float:
    return between(value, 1, 1e8, name, "count")


def _active(value: Quantity | None) -> float | None:
    found = _positive(value, "count", "active")
    if found is None or LEAST_PARAMS <= found <= MOST_PARAMS:
        return found
    few = found < LEAST_PARAMS
    raise BadInput(
        f"active = {value!r} are {'fewer' if few else 'more'} parameters than any such model has; write 100B for a"
        " hundred billion" + ("" if few else ", and tokens as traffic or FLOPs")
    )


def _shares(given: str | Sequence[float] | None) -> tuple[float, float, float]:
    """Shares of pre-training, RL and inference, made to add up to one.

    >>> _shares("50/25/25")
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


def _ranges(given: Mapping[str, str]) -> dict[str, Ends]:
    """Ends of inputs in words: "0.2..0.5"."""
    from ..decisions.allocation_ranges import ASKED_AS

    units = {"budget": "$", "efficiency": "share", "share": "share", "ship": "share", "mfu": "share", "price": "$/h"}
    fields = {asked: field for field, asked in ASKED_AS.items()}
    found = {}
    for name, words in given.items():
        key = name.strip().replace("-", "_")
        low, dots, high = words.partition("..")
        if not dots:
            raise BadInput(f"the range {name} = {words!r} has no two ends; write it like {name}=0.2..0.5")
        read = rate if key == "traffic" else lambda t, k=key: parse(t, units.get(k, "count"), name=k)
        ends = read(low), read(high)
        if not ends[0] <= ends[1]:
            raise BadInput(f"the range {name} = {words!r} begins above its end; write the lower number first")
        found[fields.get(key, key)] = ends
    return found


def _large_enough(of: Problem, words: Mapping[str, Any]) -> None:
    """Refuse a budget or a traffic too small for any model, with the smallest that would do."""
    from ..decisions.allocation import equal
    from ..scaling.points import FEWEST_TOKENS

    start = equal(of)
    params, ratio = float(start.params), float(start.tokens_per_param)
    name = next(n for n in ("budget", "flops", "traffic") if words[n] is not None)
    size = {"budget": of.dollars, "flops": of.flops, "traffic": of.rate}[name]
    assert size is not None
    if params < LEAST_PARAMS:
        t = of.terms
        grows = 1.0 if of.rate is not None and of.budget is not None else t.beta / (t.alpha + t.beta)
        if of.budget is None:
            grows = t.beta / t.alpha
        short = f"trains {params:,.3g} parameters, fewer than any model has"
        least = float(size * (LEAST_PARAMS / params) ** (1 / grows))
    elif ratio < FEWEST_TOKENS:
        short = f"leaves {show(params, 'params').removesuffix(' params')} parameters {ratio:.2g} tokens each"
        least = float(size) * FEWEST_TOKENS / ratio
    else:
        return
    enough = {"budget": f"${least:,.0f}", "flops": f"{least:.3g}", "traffic": f"{least:,.0f}/s"}[name]
    raise BadInput(f"{name} = {words[name]!r} is too small: it {short}; give at least {enough}")


def _tensions(of: Problem, start: Split) -> tuple[Tension, ...]:
    from dataclasses import replace

    from ..decisions.overtraining import tension
    from ..scaling.laws import law as named

    names = dict.fromkeys((of.law.name, *COMPARED))
    shares = tuple(dict.fromkeys((*SHARES, float(of.shares[0]))))
    factors = (ROUNDED, float(start.over_rule))
    return tuple(tension(replace(of, law=named(name)), shares, factors) for name in names)
