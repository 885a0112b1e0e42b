"""The verb `design`: words in, the cheapest architecture of a quality out. No arithmetic here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..decisions.allocation_case import rate
from ..errors import BadInput, unknown
from ..questions.resolve import Quantity, max_tpot_of, paid_for
from ..units import parse

if TYPE_CHECKING:
    from ..decisions.design import Design
    from ..world.machine import Machine
    from ..world.model import Model
    from .export import Face

MOST_EXPANSION = 64


def between(value: Quantity, least: float, most: float, name: str, unit: str = "share") -> float:
    found = parse(value, unit, name=name)
    if not least <= found <= most:
        raise BadInput(f"{name} = {value!r} is out of range; give a number from {least:g} to {most:g}")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignAnswer:
    """The candidates and where the tokens of the model asked about are published."""

    design: Design
    tokens_source: str
    notes: tuple[str, ...]

    def face(self) -> Face:
        from . import show_design

        return show_design.face(self)


def design(
    quality_of: str | Model,
    on: str | Machine,
    *,
    traffic: Quantity,
    months: Quantity = 12,
    tokens: Quantity | None = None,
    law: str = "besiroglu",
    routed: str = "tian",
    caches: str = "gqa,mla,windowed",
    experts: str = "1,8,32",
    isl: Quantity = 8192,
    osl: Quantity = 1024,
    cached: Quantity = 0.5,
    min_interactivity: Quantity | None = 20,
    precision: str | None = None,
    price: str | None = None,
    extrapolate: bool = False,
) -> DesignAnswer:
    """The member of a family that reaches the quality of a model for the least dollars of training and serving.

    `traffic`: tokens per second of every kind, in requests of `isl` and `osl`. `tokens`: those the model was trained
    on, where they are not published.
    """
    from ..decisions.allocation import usable
    from ..decisions.design import Need
    from ..decisions.design import design as of
    from ..decisions.family import serving_precision
    from ..scaling.laws import law as named
    from ..scaling.points import WORTHS
    from ..world import catalog
    from ..world.lengths import within
    from ..world.precision import Precision
    from ..world.workload import Objectives, Traffic

    model: Model = catalog.model(quality_of) if isinstance(quality_of, str) else quality_of
    machine = paid_for(on, price)
    asked = Traffic(
        isl=between(isl, 1, 1e8, "isl", "count"),
        osl=between(osl, 2, 1e8, "osl", "count"),
        cached=parse(cached, "share", name="cached"),
    )
    notes = within(model, float(asked.isl) + float(asked.osl), "isl or osl", extrapolate=extrapolate)
    routed_law = named(routed)
    if routed_law.form not in WORTHS:
        raise BadInput(f"{routed} knows no experts; ask tian, clark-s-base, clark-rl-r or clark-hash")
    dense_law = usable(named(law))
    if dense_law.active != 1:
        raise BadInput(
            f"{law} counts parameters {dense_law.params}, so it speaks of no dense model; ask besiroglu, hoffmann or"
            " sardana"
        )
    trained_on, source = _tokens(model, tokens)
    need = Need(
        model=model,
        tokens=trained_on,
        law=dense_law,
        routed=routed_law,
        machine=machine,
        traffic=asked,
        objectives=Objectives(max_tpot=max_tpot_of(None, min_interactivity)),
        precision=serving_precision(machine) if precision is None else Precision.uniform(precision),
        rate=rate(traffic),
        months=between(months, 0.01, 600, "months", "count"),
        kinds=_kinds(caches),
        expansions=_expansions(experts),
    )
    return DesignAnswer(design=of(need), tokens_source=source, notes=(*notes, *machine.notes))


def _tokens(model: Model, given: Quantity | None) -> tuple[float, str]:
    from ..decisions.design import trained

    if given is not None:
        return between(given, 1e6, 1e17, "tokens", "count"), "given"
    found = trained().get(model.name)
    if found is None:
        raise BadInput(
            f"the tokens that {model.name} was trained on are not known here; give them, like --tokens 15T"
        )
    return found.tokens, found.source


def _kinds(words: str) -> tuple[str, ...]:
    from ..decisions.family import KINDS

    found = tuple(dict.fromkeys(w.strip().lower() for w in words.split(",") if w.strip()))
    for word in found:
        if word not in KINDS:
            raise unknown("kind of cache", word, KINDS)
    if not found:
        raise BadInput("no kind of cache is named; give gqa, mla or windowed")
    return found


def _expansions(words: str) -> tuple[int, ...]:
    found = []
    for word in words.split(","):
        number = between(word.strip(), 1, MOST_EXPANSION, "experts", "count")
        if number != int(number):
            raise BadInput(
                f"experts = {word!r} is no whole number; give experts over those a token uses, like 1,8,32"
            )
        found.append(int(number))
    return tuple(dict.fromkeys(found))
