"""The command `readings`. Typer and the standard library only on import."""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as o

ASK = "Questions"
GIVEN = "Taken as known"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        rich_help_panel=ASK,
        epilog="Example: rackmath readings anthropic/claude-opus-4-6 --on-date 2026-03-01",
    )(readings)


def readings(
    prices: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL|FILE]",
            help="A model with a public price list (anthropic/claude-opus-4-6), or the path of a list of your own.",
            autocompletion=o.complete_lists,
        ),
    ] = None,
    input_: o.InputPrice = None,
    output_: o.OutputPrice = None,
    cache_read: o.CachedPrice = None,
    write_5m: o.Write5mPrice = None,
    write_1h: o.Write1hPrice = None,
    unit: o.PriceUnit = None,
    on_date: Annotated[
        str | None,
        typer.Option(metavar="DAY", help="The list of that day: 2026-03-01. The newest known if not given."),
    ] = None,
    active: Annotated[
        str | None,
        typer.Option(
            metavar="COUNT",
            help="Active parameters: 100B, or low, value and high: 50B,100B,300B (also the default).",
            rich_help_panel=GIVEN,
        ),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(
            "--on",
            metavar="MACHINE",
            help="What it runs on: gb200-nvl72, tpu-v7x, ... The lecture's GPU at $2/h, among others, if not given.",
            autocompletion=o.complete_machines,
            rich_help_panel=GIVEN,
        ),
    ] = None,
    context: Annotated[
        str | None,
        typer.Option(
            metavar="TOKENS",
            help="Context at which reading the cache overtakes computing. The list's own step if not given.",
            rich_help_panel=GIVEN,
        ),
    ] = None,
    mfu: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="Share of the peak that prefill reaches. 0.3 to 0.6 if not given.",
            rich_help_panel=GIVEN,
        ),
    ] = None,
    batch: Annotated[
        str | None,
        typer.Option(
            metavar="COUNT", help="Sequences of a decode pass. 2 to 3 B* if not given.", rich_help_panel=GIVEN
        ),
    ] = None,
    price: o.PriceKind = None,
    sets: o.Sets = None,
    json: o.Json = False,
    csv: o.Csv = False,
    output: o.File = None,
    explain: o.Explain = False,
) -> int:
    """A price list read one equation at a time: cache bytes, MFU, memory tier, batch, margin, and where they clash.

    Every reading stands with its interval and what it assumes. They are point solutions: each takes prices to be
    costs, or all sold at one multiple of cost, so they need not agree, and the conflicts are named.
    """  # fmt: skip
    from . import export
    from .ask_readings import readings as ask

    out = export.Output.of(json=json, csv=csv, file=output, explain=explain)
    out.deliver(
        ask(
            prices, on, on_date=on_date, active=active, context=context, mfu=mfu, batch=batch, price=price,
            sets=o.pairs(sets), unit=unit, input=input_, output=output_, cache_read=cache_read, write_5m=write_5m,
            write_1h=write_1h,
        )
    )  # fmt: skip
    return 0
