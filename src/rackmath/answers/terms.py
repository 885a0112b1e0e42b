"""The tree behind an answer: named terms with value, unit, formula with its numbers put in, and source of each input.

A formula is never written down by hand: it is the term's rule and its children, so it cannot disagree with them,
and `Term.follows` checks that the value is what the rule makes of the children's values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..units import show


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One named term. `rule` says how the value follows from the children; without one it is an input or a heading.

    Rules: "sum"; "difference" (the first minus the others); "product"; "quotient" (the first over the others);
    "max"; "root of squares" and "root of fourth powers": of the sum of the children's. Children without a value stand
    beside the formula.

    >>> hour = Term(name="price", value=4.0, unit="$/h", source="a price list")
    >>> both = Term(name="replica", value=32.0, unit="$/h", rule="product", children=(count("GPUs", 8), hour))
    >>> both.formula, both.worked, both.follows()
    ('GPUs x price', '8 x $4.00/h', True)
    """

    name: str
    value: float | None = None
    unit: str = ""
    rule: str = ""
    children: tuple[Term, ...] = ()
    source: str = ""
    note: str = ""

    @property
    def terms(self) -> tuple[Term, ...]:
        """The children a rule counts."""
        return tuple(c for c in self.children if c.value is not None) if self.rule else self.children

    @property
    def formula(self) -> str:
        """The rule in the children's names."""
        return _joined(self.rule, [c.name for c in self.terms])

    @property
    def worked(self) -> str:
        """The rule with the children's values put in."""
        return _joined(self.rule, [c.shown for c in self.terms])

    @property
    def shown(self) -> str:
        """The value with its unit."""
        if self.value is None:
            return ""
        if self.unit == "share":
            return f"{self.value:.4g}"
        if self.unit.startswith("$"):
            return show(self.value, self.unit)
        if self.unit in ("s", "B", "B/s", "FLOP", "FLOP/s", "W", "params", "tok/s"):
            return show(self.value, self.unit).removesuffix(" params")
        size = abs(self.value)
        if not math.isfinite(self.value):
            number = show(self.value)
        elif size >= 1e13:
            number = f"{self.value:.4g}"
        elif self.value == round(self.value):
            number = f"{self.value:,.0f}"
        else:
            number = f"{self.value:,.1f}" if size >= 1000 else f"{self.value:.4g}"
        return f"{number} {self.unit}".strip()

    def follows(self, tolerance: float = 1e-6) -> bool:
        """Whether the value is what the rule makes of the children; True where there is no rule."""
        if not self.rule:
            return True
        found = _apply(self.rule, [float(c.value) for c in self.terms if c.value is not None])
        return self.value is not None and math.isclose(found, self.value, rel_tol=tolerance, abs_tol=1e-15)

    def walk(self) -> Iterator[Term]:
        """This node and everything below it."""
        yield self
        for child in self.children:
            yield from child.walk()

    def to_depth(self, depth: int) -> Term:
        """The tree with at most so many levels below this node; a term cut there keeps its value and its formula.

        >>> total("a", "", product("b", "", count("c", 2), count("d", 3))).to_depth(1).children[0].worked
        '2 x 3'
        """
        if depth <= 0 and len(self.terms) > LONGEST:
            return replace(self, children=(), rule="", note=self.note or f"{self.rule} of {len(self.terms)} terms")
        if depth <= 0:
            numbers = (Term(name=c.name, value=c.value, unit=c.unit) for c in self.terms)
            return replace(self, children=tuple(numbers) if self.rule else ())
        return replace(self, children=tuple(child.to_depth(depth - 1) for child in self.children))

    def record(self) -> dict[str, Any]:
        """The tree as plain data; a term that was already given in full is marked `repeated`."""
        return _record(self, set())


_ROOTS = {"root of squares": ("√", "²", 2), "root of fourth powers": ("∜", "⁴", 4)}
_SIGNS = {"sum": " + ", "difference": " − ", "product": " x "}


def _joined(rule: str, parts: Sequence[str]) -> str:
    if not rule:
        return ""
    if rule in _SIGNS:
        return _SIGNS[rule].join(parts)
    if rule == "max":
        return f"max({', '.join(parts)})"
    if rule in _ROOTS:
        sign, power, _ = _ROOTS[rule]
        return f"{sign}({' + '.join(f'{part}{power}' for part in parts)})"
    below = " x ".join(parts[1:])
    return f"{parts[0]} / ({below})" if len(parts) > 2 else f"{parts[0]} / {below}"


def _apply(rule: str, values: Sequence[float]) -> float:
    if rule == "sum":
        return math.fsum(values)
    if rule == "product":
        return math.prod(values)
    if rule == "difference":
        return values[0] - math.fsum(values[1:])
    if rule == "quotient":
        return values[0] / math.prod(values[1:])
    if rule == "max":
        return max(values)
    if rule in _ROOTS:
        power = _ROOTS[rule][2]
        return float(math.fsum(v**power for v in values) ** (1 / power))
    raise ValueError(f"no rule is called {rule!r}")


def _record(node: Term, seen: set[int]) -> dict[str, Any]:
    record: dict[str, Any] = {"name": node.name, "value": node.value, "unit": node.unit}
    if node.rule:
        record |= {"rule": node.rule, "formula": node.formula, "worked": node.worked}
    record |= {key: text for key, text in (("source", node.source), ("note", node.note)) if text}
    if node.children and id(node) in seen:
        return record | {"repeated": True}
    seen.add(id(node))
    if node.children:
        record["children"] = [_record(child, seen) for child in node.children]
    return record


LONGEST = 6
"""A formula of more terms than this is left to the branches below it."""


def given(name: str, value: float, unit: str = "", *, by: str = "given") -> Term:
    """An input of the question."""
    return Term(name=name, value=float(value), unit=unit, source=by)


def count(name: str, value: float, note: str = "") -> Term:
    """A pure number that follows from the choice or from the model."""
    return Term(name=name, value=float(value), note=note)


def product(name: str, unit: str, *children: Term, note: str = "") -> Term:
    """A node whose value is the product of its children's."""
    return _made("product", name, unit, children, note)


def quotient(name: str, unit: str, *children: Term, note: str = "") -> Term:
    return _made("quotient", name, unit, children, note)


def total(name: str, unit: str, *children: Term, note: str = "") -> Term:
    return _made("sum", name, unit, children, note)


def difference(name: str, unit: str, *children: Term, note: str = "") -> Term:
    return _made("difference", name, unit, children, note)


def root(power: int, name: str, unit: str, *children: Term, note: str = "") -> Term:
    """The root of the children's squares, or of their fourth powers: close to the larger, never below it."""
    return _made({2: "root of squares", 4: "root of fourth powers"}[power], name, unit, children, note)


def _made(rule: str, name: str, unit: str, children: Sequence[Term], note: str) -> Term:
    value = _apply(rule, [float(c.value) for c in children if c.value is not None])
    return Term(name=name, value=value, unit=unit, rule=rule, children=tuple(children), note=note)


def stated(rule: str, name: str, value: float, unit: str, *children: Term, note: str = "") -> Term:
    """A node whose value comes from the answer itself; the children say how it was made, and a test compares."""
    return Term(name=name, value=float(value), unit=unit, rule=rule, children=tuple(children), note=note)
