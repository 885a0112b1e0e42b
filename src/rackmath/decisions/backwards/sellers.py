"""What is known of the machines behind a seller's models, and beliefs that take it in (`data/facts/sellers.toml`).

>>> from rackmath.decisions.backwards.beliefs import beliefs
>>> round(sum(p for k, p in informed(seller("google"), beliefs()).choices["hardware"].odds.items() if "tpu" in k), 2)
0.95
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ... import shipped
from ...world import catalog
from .beliefs import Beliefs, Choice

LEAST = 1e-6
"""Odds of what a seller is said not to use: prices may still speak for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seller:
    """A seller, what is said of its machines, by whom, and how firm that is: stated, reported or supposed.

    `vendors`: odds by maker of the machine; `hardware`: by machine. `own`: only for its own closed models. `chip`: a
    machine that the closed form does not describe. `absent`: machines it uses that are not among the suppositions.
    """

    name: str
    says: str
    source: str
    date: str
    firm: str
    vendors: Mapping[str, float] = field(default_factory=dict)
    hardware: Mapping[str, float] = field(default_factory=dict)
    own: bool = False
    chip: str = ""
    absent: tuple[str, ...] = ()


@functools.cache
def sellers() -> Mapping[str, Seller]:
    """Every seller of which something is known, by its name on price lists."""
    raw = shipped.read(shipped.FACTS / "sellers.toml")
    return {name: Seller(name=name, **(dict(row) | {"absent": tuple(row.get("absent", ()))})) for name, row in raw.items()}


def seller(model: str, *, own: bool = True) -> Seller | None:
    """Who sells a listed model ("google/gemini-..."), if something is known of its machines.

    `own`: whether the model is one whose weights only it has.

    >>> seller("google/gemma-3-27b-it", own=False) is None, seller("groq/llama-3.3-70b", own=False).chip
    (True, "Groq's LPU")
    """
    found = sellers().get(model.partition("/")[0].lower())
    return None if found is None or (found.own and not own) else found


def informed(of: Seller, believed: Beliefs) -> Beliefs:
    """The beliefs with what is known of a seller's machines; within one maker's machines odds stay in proportion."""
    if not (of.vendors or of.hardware):
        return believed
    old = believed.choices["hardware"].odds
    makers = {k: catalog.machine(k).vendor for k in old}
    whole: dict[str, float] = {}
    for kind, odds in old.items():
        whole[makers[kind]] = whole.get(makers[kind], 0.0) + odds
    wanted = {
        k: of.hardware.get(k, 0.0) if of.hardware else of.vendors.get(makers[k], 0.0) * odds / whole[makers[k]] for k, odds in old.items()
    }
    floored = {k: max(odds, LEAST) for k, odds in wanted.items()}
    total = sum(floored.values())
    choice = Choice(name="hardware", odds={k: v / total for k, v in floored.items()}, why=f"{of.says} ({of.source})")
    return replace(believed, choices=dict(believed.choices) | {"hardware": choice})
