"""A question is a frozen dataclass; each field says its unit, limits, choices, help, panel and completion once.

Every face reads them: options of the command line, keyword arguments of Python, forms, JSON Schema and the reference.
Standard library and the ground floor only.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass
from os import PathLike
from types import NoneType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from ..errors import BadInput, shown, unknown
from ..limits import check_size
from ..units import parse

LONGEST_TEXT = 4096
"""Characters of a word that a question takes; a longer one is no name, path or list of names."""


RECORDS = ("models", "machines")
"""What may be given as a record of the package in place of its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """What a field says about itself.

    `unit`: a key of `units.UNITS`, "" for words. `least`, `above`, `most`, `below`: limits in SI, `whole` numbers
    only. `choices`: the words that are taken. `flag`: its option where that is not its name, `also`: further names of
    it; `argument`: given by place.
    `panel`: the group it stands in. `complete`: what its words name: "models", "machines", "engines", "files".
    `repeat` is how a list is written in one word: "," for names, "" where each takes an option of its own. `missing`:
    what to say where a required one is not given.
    """

    help: str
    unit: str = ""
    least: float = -math.inf
    above: float = -math.inf
    most: float = math.inf
    below: float = math.inf
    whole: bool = False
    choices: tuple[str, ...] = ()
    metavar: str = ""
    panel: str = ""
    flag: str = ""
    also: tuple[str, ...] = ()
    argument: bool = False
    complete: str = ""
    repeat: str = ","
    example: str = ""
    missing: str = ""

    @property
    def range(self) -> str:
        """The values that are taken, in words.

        >>> Field(help="", unit="count", least=1, most=576, whole=True).range
        'a whole number from 1 to 576'
        """
        kind = "a whole number" if self.whole else "a number"
        most = f" to {_end(self.most)}" if self.most < math.inf else ""
        if self.above > -math.inf:
            return f"{kind} above {_end(self.above)}{most.replace(' to', ', at most')}"
        last = f" to below {_end(self.below)}" if self.below < math.inf else most
        return f"{kind} from {_end(self.least)}{last}" if self.least > -math.inf else f"{kind}{last and f' up{last}'}"


def _end(value: float) -> str:
    """A limit in few letters.

    >>> _end(1e9), _end(10000.0), _end(0.5)
    ('1e9', '10,000', '0.5')
    """
    if abs(value) >= 1e7:
        return f"{value:g}".replace("e+0", "e").replace("e+", "e")
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


def count(help: str, *, least: float = 0, most: float = 1e9, metavar: str = "COUNT", **more: Any) -> Field:
    """A field of how many."""
    return Field(help=help, unit="count", least=-math.inf if "above" in more else least, most=most, metavar=metavar, **more)


def tokens(help: str, *, least: float = 1, **more: Any) -> Field:
    """A field of tokens: 8192, 8k."""
    return count(help, least=least, metavar="TOKENS", **more)


def seconds(help: str, **more: Any) -> Field:
    """A field of time: 40ms, 2s."""
    return Field(help=help, unit="s", above=0, most=1e9, metavar="TIME", **more)


def speed(help: str, *, most: float = 1e6, **more: Any) -> Field:
    """A field of tokens or requests per second: 20, 20 tok/s, 4/s."""
    return Field(help=help, unit="1/s", above=0, most=most, metavar=more.pop("metavar", "TOK/S"), **more)


def share(help: str, **more: Any) -> Field:
    """A field from 0 to 1: 0.6 or 60%."""
    return Field(help=help, unit="share", least=0, most=1, metavar="SHARE", **more)


def words(help: str, metavar: str = "", **more: Any) -> Field:
    """A field of words."""
    return Field(help=help, metavar=metavar, **more)


def one_of(help: str, *choices: str, **more: Any) -> Field:
    """A field that takes one of a few words."""
    return Field(help=help, choices=choices, metavar="WORD", **more)


def flag(help: str, **more: Any) -> Field:
    """A field that is on or off."""
    return Field(help=help, **more)


@dataclass(frozen=True, slots=True)
class Needs:
    """What an input plays its part with; it stands beside the field: `Annotated[Spare, needs("rate")]`.

    `names`: inputs of which one must be given (a share of zero is none). `among`: where it must be, or hold, one of
    these words. `absent`: it must not be given.
    """

    names: tuple[str, ...]
    among: tuple[str, ...] = ()
    absent: bool = False

    def met(self, values: Mapping[str, Any]) -> bool:
        """Whether the values of a question let the input play its part.

        >>> needs("rate").met({"rate": None}), needs("mode", among=("any",)).met({"mode": "any"})
        (False, True)
        """
        if self.among:
            held = values[self.names[0]]
            words = {_alike(str(w)) for w in (held if isinstance(held, tuple) else (held,))}
            return not words.isdisjoint(map(_alike, self.among))
        return any(values[name] not in (None, (), {}, 0) for name in self.names) != self.absent

    def lacking(self, known: Mapping[str, Spec], values: Mapping[str, Any]) -> str:
        """Why the input plays no part, after its name."""
        zero = [f"{known[name].option} 0" for name in self.names if values[name] == 0 and values[name] is not False]
        return f"with {zero[0]}" if zero else f"{'with' if self.absent else 'without'} {self.words(known)}"

    def words(self, known: Mapping[str, Spec]) -> str:
        """What must be given, or must not, as the command line calls it."""
        options = [f"a {s.place}" if s.field.argument else s.option for s in (known[name] for name in self.names)]
        return _either([f"{options[0]} {self.among[0]}", *self.among[1:]] if self.among else options)


def needs(*names: str, among: tuple[str, ...] = ()) -> Needs:
    """An input plays its part only where one of others is given, or is one of a few words."""
    return Needs(names, among)


def needs_no(name: str) -> Needs:
    """An input plays its part only where another is not given."""
    return Needs((name,), absent=True)


def _either(words: list[str]) -> str:
    """Words of which one is enough.

    >>> _either(["--mode disaggregated", "any"])
    '--mode disaggregated or any'
    """
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


@dataclass(frozen=True, slots=True)
class Spec:
    """A field with its name and type: `kind` is "flag", "number", "text", "pairs" or "any"; `many`: a list.

    `needs`: all that must hold for it to play a part; `condition`: the same in words.
    """

    name: str
    field: Field
    kind: str
    default: Any
    many: bool
    needs: tuple[Needs, ...] = ()
    condition: str = ""

    @property
    def required(self) -> bool:
        return self.default is ...

    @property
    def record(self) -> bool:
        """Whether it may be given as a record of the package, or as what describes one."""
        return self.kind == "any" and self.field.complete in RECORDS

    @property
    def place(self) -> str:
        """The word that stands in its place, where it is given by place."""
        return (self.field.metavar or self.name.upper()).strip("[]")

    @property
    def option(self) -> str:
        """How the command line calls it."""
        return self.place if self.field.argument else self.field.flag or f"--{self.name.replace('_', '-')}"

    def read(self, given: Any) -> Any:
        """Words or a number as the value the question holds; refused in one sentence where it is out of range."""
        if given is None:
            return None if self.default in (..., None) else self.default
        if self.kind == "pairs":
            return _pairs(self, given)
        if self.many:
            return self._list(given)
        return self._one(given)

    def _list(self, given: Any) -> tuple[Any, ...]:
        parts: Iterable[Any] = given if isinstance(given, list | tuple) else [given]
        if self.field.repeat:
            split = ([w.strip() for w in p.split(self.field.repeat)] if isinstance(p, str) else [p] for p in parts)
            parts = [w for words in split for w in words if w != ""]
        found = tuple(dict.fromkeys(self._one(p) for p in parts))
        if not found and self.kind == "number" and given not in ((), []):
            raise BadInput(f"{self.name} is empty; give {self.field.range}, or leave it out")
        if not found and self.field.choices and isinstance(given, str):
            raise BadInput(f"{self.name} is empty; give one or more of {', '.join(self.field.choices)}")
        return found

    def _one(self, given: Any) -> Any:
        of, name = self.field, self.name
        if self.kind == "flag":
            return _flag(name, given)
        if self.kind == "number":
            return self._number(given)
        if isinstance(given, PathLike):
            given = str(given)
        if not isinstance(given, str):
            if self.kind == "any":
                return self._record(given) if self.record else given
            raise BadInput(f"{name} = {shown(given)} is not text; give words")
        if len(given) > LONGEST_TEXT:
            raise BadInput(f"{name} has {len(given):,} characters; give at most {LONGEST_TEXT:,}")
        if of.choices and given not in of.choices:
            match = [c for c in of.choices if _alike(c) == _alike(given)]
            if not match:
                raise unknown(name, given, of.choices)
            return match[0]
        if not given.strip():
            raise BadInput(f"{name} is empty; give {self.field.metavar.lower() or 'a word'}, or leave it out")
        return given

    def _record(self, given: Any) -> Any:
        """A model or a machine itself, or the one that a mapping describes."""
        from ..world import described
        from ..world.machine import Machine
        from ..world.model import Model

        kind, make = (Model, described.model) if self.field.complete == "models" else (Machine, described.machine)
        if isinstance(given, kind):
            return given
        if isinstance(given, Mapping):
            return make(given)
        raise BadInput(f"{self.name} = {shown(given)} is no name; give one, a record, or a description")

    def _number(self, given: Any) -> float | int:
        of, name = self.field, self.name
        value = parse(given, of.unit, name=name, sized=False)
        inside = of.least <= value <= of.most and of.above < value < of.below
        if not inside or (of.whole and value != int(value)):
            raise BadInput(f"{name} = {given} is out of range; give {of.range}")
        check_size(value, given, of.unit, name)
        return int(value) if of.whole or (value == int(value) and abs(value) < 2**53) else value


def _alike(word: str) -> str:
    """A word without its capitals, dashes and low lines.

    >>> _alike("TRTLLM-Max") == _alike("trtllm_max"), _alike("top-k")
    (True, 'topk')
    """
    return word.strip().lower().replace("-", "").replace("_", "")


_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off", "")


def _flag(name: str, given: Any) -> bool:
    if isinstance(given, bool):
        return given
    word = str(given).lower()
    if word not in (*_TRUE, *_FALSE):
        raise BadInput(f"{name} = {shown(given)} is neither true nor false; give one of them")
    return word in _TRUE


def _pairs(spec: Spec, given: Any) -> dict[str, Any]:
    """KEY=VALUE words, or a mapping, as a mapping; a key given twice is refused."""
    if isinstance(given, Mapping):
        return {str(k): v for k, v in given.items()}
    found: dict[str, Any] = {}
    if not isinstance(given, str | list | tuple):
        raise BadInput(f"{spec.name} = {shown(given)} is no mapping; give one, or words like {spec.field.example}")
    for word in [given] if isinstance(given, str) else given:
        key, equals, value = (part.strip() for part in str(word).partition("="))
        if not equals or not key or not value:
            example = spec.field.example
            raise BadInput(f"{spec.option} {shown(word)} is not KEY=VALUE; write it like {spec.option} {example}")
        if key in found:
            raise BadInput(f"{spec.option} names {key} twice; give it once")
        found[key] = value
    return found


def specs(question: type) -> dict[str, Spec]:
    """Every field of a question with what it says about itself; required ones first, arguments before options."""
    hints, found = get_type_hints(question, include_extras=True), {}
    for f in dataclasses.fields(question):
        hint = hints[f.name]
        if get_origin(hint) is not Annotated:
            raise TypeError(f"{question.__name__}.{f.name} says nothing about itself")
        base, field = get_args(hint)[0], next(m for m in get_args(hint)[1:] if isinstance(m, Field))
        inner = [a for a in get_args(base) if a is not NoneType] if NoneType in get_args(base) else [base]
        many = get_origin(inner[0]) is tuple
        of = get_args(inner[0])[0] if many else inner[0]
        kinds = {bool: "flag", Any: "any"}
        kind = "pairs" if get_origin(of) is dict else kinds.get(of, "number" if field.unit else "text")
        default = f.default_factory() if f.default_factory is not MISSING else f.default
        beside = tuple(m for m in get_args(hint)[1:] if isinstance(m, Needs))
        found[f.name] = Spec(f.name, field, kind, ... if default is MISSING else default, many, beside)
    for name, spec in found.items():
        said = " and ".join(f"{'without' if n.absent else 'with'} {n.words(found)}" for n in spec.needs)
        found[name] = dataclasses.replace(spec, condition=f"Only {said}." if said else "")
    return dict(sorted(found.items(), key=lambda kv: (not kv[1].required, not kv[1].field.argument)))


def read(question: type, given: Mapping[str, Any], name: str, *, typed: bool = False) -> Any:
    """The question that words or numbers make; `name` is the command's, for messages.

    An input that plays no part is refused where its value is not its default; where people `typed` it, at any value.
    """
    known = specs(question)
    for key in given:
        if key not in known:
            raise unknown(f"input of {name}", key, known)
    for key, spec in known.items():
        if spec.required and given.get(key) is None:
            instead = f"; {spec.field.missing}" if spec.field.missing else ""
            raise BadInput(f"{name} needs {spec.option}: {_lower(spec.field.help)}{instead}")
    values: dict[str, Any] = {}

    def value(key: str) -> Any:
        """The value of an input, after those it needs."""
        if key not in values:
            spec, word = known[key], given.get(key)
            for need in spec.needs:
                others = {name: value(name) for name in need.names}
                if need.met(others) or word is None:
                    continue
                if typed or spec.read(word) != spec.default:
                    raise BadInput(f"{spec.option} plays no part {need.lacking(known, others)}; leave it out")
            values[key] = spec.read(word)
        return values[key]

    return question(**{key: value(key) for key in known})


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:].rstrip(".")


def asked(question: Any) -> dict[str, Any]:
    """The keyword arguments that make this question again: every field with its value in SI, records as mappings."""
    known = specs(type(question))
    return {name: _plain(getattr(question, name), spec.record) for name, spec in known.items()}


def _plain(value: Any, record: bool) -> Any:
    if not record or value is None or isinstance(value, str):
        return value
    if isinstance(value, tuple):
        return tuple(_plain(one, record) for one in value)
    from ..world.described import described

    return described(value)


def no_part(question: Any, where: str, *names: str) -> None:
    """Refuse inputs that were given and play no part in the question, for a reason of more than `Needs` can say."""
    for name, spec in specs(type(question)).items():
        if name in names and getattr(question, name) != spec.default:
            raise BadInput(f"{spec.option} plays no part {where}; leave it out")
