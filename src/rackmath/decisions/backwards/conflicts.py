"""Readings that cannot both hold: found by comparing their numbers, never written down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ...economics.caching import short
from ...economics.pricelist import Medium
from ...serving.kvtiers import WITHIN, drain, hbm_tier
from ...world.machine import Machine
from .from_offers import local_tiers
from .reading import Reading, number
from .setting import Setting

AGREE = 1.25
"""Two readings of one unknown agree where they lie within this factor."""

Found = Mapping[str, Reading]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Two readings, the factor between them, whether their intervals overlap, and why they cannot both hold."""

    key: str
    name: str
    first: Reading
    second: Reading
    factor: float
    overlap: bool
    why: str


def conflicts(found: Found, s: Setting, medium: Medium | None) -> tuple[Conflict, ...]:
    """Every pair that disagrees; those whose intervals do not even touch come first, the furthest apart at the head.

    `found`: readings by key, without those that are absent. `medium`: what the provider documents of its cache.
    """
    rules = (
        _balance(found, s),
        _bytes(found, "kv_board", "kv_cache", _resold),
        _bytes(found, "kv_board", "kv_architecture", _counted),
        _bytes(found, "kv_cache", "kv_architecture", _counted),
        _medium(found, s.machine, medium),
        _shares(found),
        _steps(found),
        _window(found),
        _level(found, s),
    )
    return tuple(sorted((c for c in rules if c is not None), key=lambda c: (c.overlap, -c.factor)))


def _pair(key: str, name: str, a: Reading | None, b: Reading | None, why: str) -> Conflict | None:
    """A conflict where both readings are there and further apart than `AGREE`."""
    if a is None or b is None or a.apart(b) <= AGREE * (1 + 1e-9):
        return None
    return Conflict(key=key, name=name, first=a, second=b, factor=a.apart(b), overlap=a.overlaps(b), why=why)


def _balance(found: Found, s: Setting) -> Conflict | None:
    """A decode that balances at the step computes, as prefill does, all the way up to it."""
    a, b = found.get("mfu_step"), found.get("mfu_ratio")
    if b is None or s.threshold is None or s.input is None or s.output is None:
        return None
    asked = s.output.value / s.input.value
    why = (
        f"a decode that balances at {s.threshold:,.0f} tokens computes all the time below that, so a short output"
        f" token costs what an input token does, yet it is sold at {asked:.3g} times as much: that takes a batch of"
        f" B*/{asked:.3g}, where weights hold it back and the step is no crossover, or other machines to decode on"
    )
    return _pair("step_ratio", "context step against output/input", a, b, why)


def _bytes(found: Found, first: str, second: str, say: Callable[[Reading, Reading], str]) -> Conflict | None:
    a, b = found.get(first), found.get(second)
    if a is None or b is None:
        return None
    names = [r.name.partition(",")[0] for r in (a, b)]
    return _pair(f"{first}_{second}", f"cache bytes: {names[0]} against {names[1]}", a, b, say(a, b))


def _resold(step: Reading, cache: Reading) -> str:
    kept, paid, apart = number(step.value, "B"), number(cache.value, "B"), f"{step.apart(cache):,.0f} times"
    ends = f"at {apart} its cost" if cache.value > step.value else f"{apart} below its cost"
    return (
        f"the step leaves {kept} of cache per token, and the write premium rents memory for {paid}: both hold only if"
        f" holding is sold {ends}"
    )


def _counted(price: Reading, counted: Reading) -> str:
    return (
        f"the {price.name.partition(',')[0]} gives {number(price.value, 'B')} per token, the model's own"
        f" configuration {number(counted.value, 'B')}"
    )


def memory_only(medium: Medium) -> bool:
    """Whether a provider documents that its cache never leaves memory."""
    return "memory only" in medium.says


def memory_drain(machine: Machine) -> Reading:
    """The drain time of the slowest memory a device has: host memory, or its own where it has none behind it."""
    own, *behind = local_tiers(machine)
    slowest = next((t for t in behind if "dram" in t.name.lower() or "memory" in t.name.lower()), own)
    seconds = drain(slowest)
    label = machine.memory_type if slowest.name == hbm_tier(machine).name else short(slowest.name)
    return Reading(
        key="memory_drain",
        name="documented: memory only",
        unknown="hold_tier",
        unit="s",
        value=seconds,
        low=seconds / WITHIN,
        high=seconds * WITHIN,
        formula=f"C / M of {label}, within a factor of {WITHIN:g}",
        says=label,
    )


def _medium(found: Found, machine: Machine, medium: Medium | None) -> Conflict | None:
    """The drain rule sends a lifetime to a tier that the provider says it does not use."""
    lives = [r for r in found.values() if r.unknown == "hold_tier"]
    if medium is None or not memory_only(medium) or not lives:
        return None
    memory, last = memory_drain(machine), max(lives, key=lambda r: r.value)
    named = " and ".join(f"{r.name.removesuffix(' by drain time')} to {r.says}" for r in lives)
    why = (
        f"the drain rule sends {named}, and {medium.provider.capitalize()} says that {medium.says.partition(',')[0]}:"
        f" {memory.says} drains in {number(memory.value, 's')}"
    )
    return _pair("drain_medium", "drain rule against the documented medium", last, memory, why)


def _shares(found: Found) -> Conflict | None:
    a, b = found.get("weights_fast"), found.get("weights_ratio")
    if a is None or b is None:
        return None
    why = (
        f"the fast mode leaves the cache {1 - a.value:.0%} of a normal pass, output/input {1 - b.value:.0%} of the"
        " bytes read; speculation, more chips or a surcharge in the fast price would move the first"
    )
    return _pair("fast_ratio", "fast mode against output/input", a, b, why)


def _steps(found: Found) -> Conflict | None:
    """List prices are exact, so any larger step on input counts."""
    a, b = found.get("input_step"), found.get("output_step")
    if a is None or b is None or a.value <= b.value * 1.01:
        return None
    why = (
        f"input steps up by {a.value - 1:.0%} and output by {b.value - 1:.0%}: prefill is bound by computing, so a"
        " crossover of decoding cannot explain the larger step on input"
    )
    return Conflict(
        key="steps", name="input step against output step", first=a, second=b, factor=a.apart(b), overlap=a.overlaps(b), why=why
    )


def _window(found: Found) -> Conflict | None:
    a, b, step = found.get("covers"), found.get("window"), found.get("output_step")
    if a is None or b is None or step is None or b.value <= a.value:
        return None
    over = b.value / a.value * step.value
    why = (
        f"past a crossover cost grows with the context: output's step covers up to {a.value:,.0f} tokens, and"
        f" {b.value:,.0f} are sold, which cost {over:.3g} times the short price"
    )
    return _pair("covers_window", "output step against the longest context", a, b, why)


def _level(found: Found, s: Setting) -> Conflict | None:
    """Every other reading takes prices to be costs."""
    cost = found.get("cost_input")
    if cost is None or s.input is None:
        return None
    price = s.input.value
    listed = Reading(
        key="price_input",
        name="listed input",
        unknown="cost",
        unit="$",
        value=price,
        low=price,
        high=price,
        formula=f"{number(price, '$')} per M input tokens",
    )
    why = (
        f"a million input tokens are listed at {number(price, '$')} and cost {number(cost.value, '$')} to compute:"
        " levels say nothing of cost, and ratios say something only where margins are alike"
    )
    return _pair("price_cost", "price close to cost against the implied margin", cost, listed, why)
