"""Options that play no part: a table of which options count only beside which others, and a command that reads it.

An option that was given and changes nothing is refused, since the answer would not be to the question that was asked.
So is an option that was given twice, of which one would be dropped in silence. Typer and the standard library only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand

Given = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """`options` play a part only where `holds`; `not_` says in words where they play none."""

    options: tuple[str, ...]
    not_: str
    holds: Callable[[Given], bool]


PARTS: Mapping[str, tuple[Part, ...]] = {
}  # fmt: skip
"""By the words of a command; options by the names of its parameters."""


class Careful(TyperCommand):
    """A command that refuses an option given twice, and one that plays no part in the question."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and not ctx.resilient_parsing:
            _once(self.make_parser(ctx).parse_args(args=list(args))[2])
        rest: list[str] = super().parse_args(ctx, args)
        if not ctx.resilient_parsing:
            _short(ctx)
            _all_play(ctx)
        return rest


def careful(app: typer.Typer) -> None:
    """Let every command of an application, and of those inside it, be a careful one."""
    for one in app.registered_commands:
        one.cls = Careful
    for group in app.registered_groups:
        if group.typer_instance is not None:
            careful(group.typer_instance)


def _once(order: list[Any]) -> None:
    from ..errors import BadInput

    for param, times in Counter(p for p in order if p.param_type_name == "option").items():
        plain = getattr(param, "is_flag", False) and not param.secondary_opts  # said twice it is the same
        if times > 1 and not param.multiple and not plain:
            raise BadInput(f"{_name(param)} is given {times} times; give it once")


LONGEST = 4096
"""Most letters of one value, as of a path."""
MOST_VALUES = 256
"""Most values of an option that may be repeated."""


def _short(ctx: Any) -> None:
    from ..errors import BadInput

    for param in ctx.command.params:
        given = ctx.params.get(param.name)
        values = given if isinstance(given, list | tuple) else [given]
        name = _name(param) if param.param_type_name == "option" else str(param.name).upper()
        if len(values) > MOST_VALUES:
            raise BadInput(f"{name} is given {len(values):,} times; give it at most {MOST_VALUES} times")
        longest = max((len(str(v)) for v in values if v is not None), default=0)
        if longest > LONGEST:
            raise BadInput(f"{name} has a value of {longest:,} letters; give at most {LONGEST:,}")


def _all_play(ctx: Any) -> None:
    from ..errors import BadInput

    params = {param.name: param for param in ctx.command.params}
    for part in PARTS.get(_words(ctx), ()):
        if part.holds(ctx.params):
            continue
        for name in part.options:
            if _was_given(ctx, name):
                raise BadInput(f"{_name(params[name])} plays no part {part.not_}; leave it out")


def _words(ctx: Any) -> str:
    """The words that call a command, without the program's own name."""
    return f"{_words(ctx.parent)} {ctx.info_name}".strip() if ctx.parent is not None else ""


def _was_given(ctx: Any, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _name(param: Any) -> str:
    return next((opt for opt in param.opts if opt.startswith("--")), str(param.opts[0]))
