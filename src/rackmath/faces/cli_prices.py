"""The command `prices`. Typer and the standard library only on import."""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as o

CATALOGUE = "Catalogue"
WHICH = "Which"


def complete_lists(incomplete: str) -> list[str]:
    """Names of price lists that begin with what was typed."""
    from ..economics.pricelist import sold

    return [name for name in sold() if name.lower().startswith(incomplete.lower())]


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(rich_help_panel=CATALOGUE, epilog="Example: rackmath prices anthropic/claude-opus-4-6")(prices)


def prices(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="A price list (claude-opus-4-6), an open model for all its hosts (openai/gpt-oss-120b), or the path"
            " of a list of your own (.toml, .json, .csv).",
            autocompletion=complete_lists,
        ),
    ] = None,
    provider: Annotated[
        str | None, typer.Option(metavar="NAME", help="Lists of this provider only.", rich_help_panel=WHICH)
    ] = None,
    open_: Annotated[
        bool, typer.Option("--open", help="Models of the catalogue with open weights only.", rich_help_panel=WHICH)
    ] = False,
    machines: Annotated[
        bool, typer.Option("--machines", help="Prices of device-hours instead.", rich_help_panel=WHICH)
    ] = False,
    on_date: Annotated[
        str | None,
        typer.Option(metavar="DAY", help="Prices in force on a day: 2026-03-01.", rich_help_panel=WHICH),
    ] = None,
    source: Annotated[
        str,
        typer.Option(
            metavar="SOURCE",
            help="snapshot: shipped with this package. genai-prices: an installed copy of that package.",
            rich_help_panel=WHICH,
        ),
    ] = "snapshot",
    json: o.Json = False,
    csv: o.Csv = False,
    output: o.File = None,
    explain: o.Explain = False,
) -> int:
    """Public API price lists, all of them or one, the hosts of an open model, or what device-hours cost."""
    from . import export
    from .ask_prices import prices as ask

    out = export.Output.of(json=json, csv=csv, file=output, explain=explain, charts=not machines)
    out.deliver(ask(name, provider=provider, open_weights=open_, machines=machines, on_date=on_date, source=source))
    return 0
