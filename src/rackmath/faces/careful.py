"""Commands that refuse an option given twice, of which one would be dropped in silence, and values without end.

Typer and the standard library only.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import typer
from typer.core import TyperCommand


class Careful(TyperCommand):
    """A command that refuses an option given twice, and values that are too many or too long."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and not ctx.resilient_parsing:
            _once(self.make_parser(ctx).parse_args(args=list(args))[2])
        rest: list[str] = super().parse_args(ctx, args)
        if not ctx.resilient_parsing:
            _short(ctx)
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


def _name(param: Any) -> str:
    return next((opt for opt in param.opts if opt.startswith("--")), str(param.opts[0]))
