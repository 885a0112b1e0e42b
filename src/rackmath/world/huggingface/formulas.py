"""Small formulas over the keys of a config.json, as rows of `families.toml` write them.

A formula is a key, a number, or arithmetic of both: `4 * n_embd`, `head_dim or split(hidden_size, n_head)`. Besides
keys it knows `i` (the layer, counted from 0) and `n` (how many layers). `a or b` is the first that is neither absent
nor 0, `a if b else c` a choice; `i in listed` and `listed[i]` look into a list, `attn_config.kv_n_heads` into a
section. A key that is absent or null may be tested, not computed with. Nothing else of Python is understood, and
nothing is run.
"""

from __future__ import annotations

import ast
import functools
import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import BadInput, shown
from .config import Config

LONGEST = 300
"""Most letters of a formula."""

_BEYOND = 1e18
"""No number in a formula may exceed this."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a formula looks keys up in: a config, the layer `i` and the number of layers `n`.

    >>> Facts(Config({"n_embd": 768, "listed": [3, 5]}, "gpt2"), i=1, n=12).value("4 * n_embd + listed[i]")
    3077
    """

    config: Config
    i: int = 0
    n: int = 0

    def value(self, formula: object) -> Any:
        """The value of a formula; a number or a flag is its own."""
        if isinstance(formula, bool | int | float):
            return formula
        if not isinstance(formula, str):
            raise BadInput(f"{self.config.name}: {shown(formula)} is not a formula; write it as text")
        return compiled(formula)(self)

    def look(self, key: str) -> Any:
        """The value of a key; None where it is absent or null."""
        if key in ("i", "n"):
            return self.i if key == "i" else self.n
        found: Any = self.config.raw
        for part in key.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        return found


_Node = Callable[[Facts], Any]


@functools.cache
def compiled(formula: str) -> _Node:
    """A function of facts from a formula, or one sentence about what in it is not understood."""
    if len(formula) > LONGEST:
        raise BadInput(f"the formula {shown(formula)} has more than {LONGEST} letters; give a shorter one")
    try:
        return _node(ast.parse(formula.strip(), mode="eval").body)
    except BadInput:
        raise
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise BadInput(f"the formula {shown(formula)} is not one; write a key, or arithmetic of keys") from None


def keys(formula: object) -> Iterator[str]:
    """The keys a formula looks up, without `i`, `n` and the functions.

    >>> sorted(keys("head_dim or split(hidden_size, n_head)"))
    ['head_dim', 'hidden_size', 'n_head']
    """
    if isinstance(formula, str):
        tree = ast.parse(formula.strip(), mode="eval")
        found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        yield from found - {"i", "n", *_FUNCTIONS}


# --- what a formula may hold ----------------------------------------------------------------------------------------

_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_ORDER: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def _split(facts: Facts, whole: float, part: float) -> float:
    if not part or whole % part:
        said = f"num_attention_heads = {part:g} does not divide hidden_size = {whole:g}"
        raise BadInput(f"{facts.config.name}: {said}; correct the config")
    return whole // part


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "split": _split,
    "up": lambda facts, value, multiple: -(-int(value) // int(multiple)) * int(multiple),
    "ceil": lambda facts, value: math.ceil(value),
    "int": lambda facts, value: int(value),
    "max": lambda facts, *values: max(values),
    "min": lambda facts, *values: min(values),
}
"""`split` divides heads evenly, `up` rounds up to a multiple; each takes numbers."""


def _node(node: ast.expr) -> _Node:
    for kind, made in _MAKERS.items():
        if isinstance(node, kind):
            found: _Node = made(node)
            return found
    raise BadInput(f"a formula cannot hold {shown(ast.unparse(node))}; write keys, numbers and + - * / // %")


def _constant(node: ast.Constant) -> _Node:
    value = node.value
    if not isinstance(value, bool | int | float | str) or (isinstance(value, int | float) and abs(value) > _BEYOND):
        raise BadInput(f"a formula cannot hold {shown(value)}; write keys, numbers and + - * / // %")
    return lambda facts: value


def _key(node: ast.expr) -> _Node:
    name = {"true": True, "false": False, "none": None}
    path = _path(node)
    if path in name:
        return lambda facts: name[path]
    return lambda facts: facts.look(path)


def _path(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_path(node.value)}.{node.attr}"
    raise BadInput(f"a formula cannot hold {shown(ast.unparse(node))}; a key of a section is section.key")


def _number(node: ast.expr) -> _Node:
    """The value of a part that must be a number."""
    inner, text = _node(node), ast.unparse(node)

    def number(facts: Facts) -> Any:
        value = inner(facts)
        if value is None:
            key = next(iter(keys(text)), text)
            raise BadInput(f"{facts.config.name}: the config lacks {key!r}, which its family needs; add it")
        if not isinstance(value, bool | int | float):
            raise facts.config.bad(text, value, "is not a number; correct the config")
        if not abs(value) <= _BEYOND:
            raise facts.config.bad(text, value, "is out of range; correct the config")
        return value

    return number


def _binary(node: ast.BinOp) -> _Node:
    do = _ARITHMETIC.get(type(node.op))
    if do is None:
        raise BadInput(f"a formula cannot hold {shown(ast.unparse(node))}; it knows + - * / // %")
    left, right, text = _number(node.left), _number(node.right), ast.unparse(node)

    def binary(facts: Facts) -> Any:
        a, b = left(facts), right(facts)
        if b == 0 and not isinstance(node.op, ast.Add | ast.Sub | ast.Mult):
            raise BadInput(f"{facts.config.name}: {text} divides by 0; correct the config")
        return do(a, b)

    return binary


def _unary(node: ast.UnaryOp) -> _Node:
    if isinstance(node.op, ast.Not):
        inner = _node(node.operand)
        return lambda facts: not inner(facts)
    if isinstance(node.op, ast.USub):
        number = _number(node.operand)
        return lambda facts: -number(facts)
    raise BadInput(f"a formula cannot hold {shown(ast.unparse(node))}; write keys, numbers and + - * / // %")


def _boolean(node: ast.BoolOp) -> _Node:
    parts = [_node(value) for value in node.values]
    until = isinstance(node.op, ast.Or)

    def boolean(facts: Facts) -> Any:
        found = None
        for part in parts:
            found = part(facts)
            if bool(found) is until:
                break
        return found

    return boolean


def _choice(node: ast.IfExp) -> _Node:
    test, yes, no = _node(node.test), _node(node.body), _node(node.orelse)
    return lambda facts: yes(facts) if test(facts) else no(facts)


def _compare(node: ast.Compare) -> _Node:
    if len(node.ops) != 1:
        raise BadInput(f"a formula cannot hold {shown(ast.unparse(node))}; compare two values at a time")
    op, right = node.ops[0], node.comparators[0]
    if type(op) in _ORDER:
        a, b, do = _number(node.left), _number(right), _ORDER[type(op)]
        return lambda facts: do(a(facts), b(facts))
    left, other = _node(node.left), _node(right)
    if isinstance(op, ast.Eq | ast.NotEq):
        return lambda facts: (left(facts) == other(facts)) is isinstance(op, ast.Eq)
    if isinstance(op, ast.In | ast.NotIn):
        return lambda facts: (left(facts) in _listed(facts, other, right)) is isinstance(op, ast.In)
    raise BadInput(f"a formula cannot hold {shown(ast.unparse(node))}; it knows ==, !=, <, <=, >, >= and in")


def _listed(facts: Facts, node: _Node, where: ast.expr) -> Sequence[Any]:
    found = node(facts)
    if found is None:
        return ()
    if isinstance(found, str) or not isinstance(found, Sequence):
        raise facts.config.bad(ast.unparse(where), found, "is not a list; correct the config")
    return found


def _item(node: ast.Subscript) -> _Node:
    listed, at = _node(node.value), _number(node.slice)

    def item(facts: Facts) -> Any:
        found = listed(facts)
        if not isinstance(found, list | tuple):  # one value for all layers, or none
            return found
        index = at(facts)
        if isinstance(index, float) or not 0 <= index < len(found):
            raise facts.config.bad(ast.unparse(node.value), found, f"has no entry {index}; correct the config")
        return found[index]

    return item


def _call(node: ast.Call) -> _Node:
    do = _FUNCTIONS.get(node.func.id) if isinstance(node.func, ast.Name) else None
    if do is None or node.keywords or not node.args:
        raise BadInput(f"a formula cannot hold {shown(ast.unparse(node))}; it knows {', '.join(_FUNCTIONS)}")
    parts = [_number(part) for part in node.args]

    def call(facts: Facts) -> Any:
        try:
            return do(facts, *(part(facts) for part in parts))
        except (TypeError, ZeroDivisionError, OverflowError, ValueError) as error:
            if isinstance(error, BadInput):
                raise
            raise BadInput(f"{facts.config.name}: {ast.unparse(node)} cannot be worked out; correct it") from None

    return call


_MAKERS: Mapping[type[ast.expr], Callable[[Any], _Node]] = {
    ast.Constant: _constant,
    ast.Name: _key,
    ast.Attribute: _key,
    ast.BinOp: _binary,
    ast.UnaryOp: _unary,
    ast.BoolOp: _boolean,
    ast.IfExp: _choice,
    ast.Compare: _compare,
    ast.Subscript: _item,
    ast.Call: _call,
}
