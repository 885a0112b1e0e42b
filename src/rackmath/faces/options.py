"""Options of the command line, each written once: names, help texts, completion.

Typer and the standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

import typer

OUTPUT = "Output"


PLAIN = re.compile(r"[\w.][\w.:/@+-]*")
"""Names that a shell completes: nothing in them means anything to it."""


def _completion(listing: str) -> Callable[[str], list[str]]:
    """Names of the catalogue that begin with what was typed; the catalogue is opened only when a shell asks."""

    def complete(incomplete: str) -> list[str]:
        from ..world import catalog

        try:
            found: Iterable[str] = (one.name for one in getattr(catalog, listing)())
            return [name for name in found if name.lower().startswith(incomplete.lower()) and PLAIN.fullmatch(name)]
        except Exception:  # a broken user file must not break the shell
            return []

    return complete


complete_models = _completion("models")
complete_machines = _completion("machines")


def complete_lists(incomplete: str) -> list[str]:
    """Names of price lists that begin with what was typed."""
    from ..economics.pricelist import sold

    return [name for name in sold() if name.lower().startswith(incomplete.lower())]


def complete_engines(incomplete: str) -> list[str]:
    """Engines whose names begin with what was typed."""
    from ..world.engine import titles
    from ..world.saved import names

    return [name for name in (*titles(), *names()) if name.lower().startswith(incomplete.lower())]


def complete_ciphers(incomplete: str) -> list[str]:
    """Names of ciphers that begin with what was typed."""
    from ..experiments.ciphers import ciphers

    return [one.name for one in ciphers() if one.name.startswith(incomplete.lower())]


def complete_laws(incomplete: str) -> list[str]:
    """Names of laws that begin with what was typed."""
    from ..scaling.laws import laws

    return [name for name in laws() if name.startswith(incomplete.lower())]


Json = Annotated[bool, typer.Option("--json", help="Print JSON, in SI units.", rich_help_panel=OUTPUT)]
Csv = Annotated[bool, typer.Option("--csv", help="Print the table of the answer as CSV.", rich_help_panel=OUTPUT)]
File = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        help="Write a file instead; its ending says which kind: .json .csv .txt, and .svg .png .html for charts.",
        rich_help_panel=OUTPUT,
    ),
]
ShortFile = Annotated[Path | None, typer.Option("-o", metavar="FILE", help=File.__metadata__[0].help, rich_help_panel=OUTPUT)]
Explain = Annotated[bool, typer.Option("--explain", help="Show the answer as a tree of named terms with sources.", rich_help_panel=OUTPUT)]

Levels = Annotated[str | None, typer.Option("--levels", metavar="COUNT", help="Show so many levels of --explain.", rich_help_panel=OUTPUT)]


def depth(levels: str | None, *, explain: bool) -> int | None:
    """Levels of the tree of --explain; None for all of them."""
    from ..errors import BadInput

    if levels is None:
        return None
    if not explain:
        raise BadInput("levels are those of the tree that --explain shows; give --explain with them")
    found = whole(levels, "levels")
    if not 1 <= found <= 1000:
        raise BadInput(f"levels = {levels!r} is out of range; give a whole number from 1 to 1000")
    return found


def whole(given: str, name: str) -> int:
    """A whole number.

    >>> whole("2", "spare")
    2
    """
    from ..errors import BadInput
    from ..units import parse

    number = parse(given, "count", name=name)
    if number != int(number):
        raise BadInput(f"{name} = {given!r} is not a whole number")
    return int(number)
