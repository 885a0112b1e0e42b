"""The command `lecture`. Typer and the standard library only on import."""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as o


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(rich_help_panel="Catalogue", epilog="Example: rackmath lecture 4 --set batch=2000")(lecture)


def lecture(
    number: Annotated[
        str | None, typer.Argument(metavar="[CLAIM]", help="The number of a claim, like 4 or T1; none lists all.")
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="INPUT=VALUE", help="Replace an input of the claim. Repeatable."),
    ] = None,
    json: o.Json = False,
    csv: o.Csv = False,
    output: o.File = None,
    explain: o.Explain = False,
) -> int:
    """The lecture's claims held to account: its number, ours, and the verdict computed from the inputs."""
    from . import ask_lecture, export

    out = export.Output.of(json=json, csv=csv, file=output, explain=explain, charts=False)
    out.deliver(ask_lecture.lecture(number, sets=o.pairs(sets)))
    return 0
