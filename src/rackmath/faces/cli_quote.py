"""The command `quote`. Typer and the standard library only on import."""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as o

ASK = "Prices"
TERMS = "Terms"
TIERS = "Tiers"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        rich_help_panel=ASK,
        epilog="Example: rackmath quote deepseek-ai/DeepSeek-V3 --on gb200-nvl72 --margin 40% --compare",
    )(quote)


def quote(
    model: o.Model,
    on: o.OneMachine,
    margin: Annotated[
        str, typer.Option(metavar="SHARE", help="Gross margin, 1 - cost / price: 40%.", rich_help_panel=TERMS)
    ] = "0",
    idle: Annotated[
        str,
        typer.Option(
            metavar="SHARE", help="Share of paid hours that interactive traffic leaves idle.", rich_help_panel=TERMS
        ),
    ] = "0.4",
    rounded: Annotated[
        bool,
        typer.Option(
            "--round/--exact", help="List prices in two significant digits, or exactly.", rich_help_panel=TERMS
        ),
    ] = True,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare", help="Put public lists of hosts of this model beside the quote.", rich_help_panel=TERMS
        ),
    ] = False,
    isl: o.Isl = "8192",
    osl: o.Osl = "1024",
    cached: o.Cached = "50%",
    max_ttft: o.MaxTtft = None,
    min_interactivity: o.MinInteractivity = "20",
    long_isl: Annotated[
        str | None,
        typer.Option(
            metavar="TOKENS",
            help="Input tokens that the long tier is computed for; 128k or the model's limit if not given.",
            rich_help_panel=TIERS,
        ),
    ] = None,
    long_step: Annotated[
        str,
        typer.Option(
            metavar="SHARE",
            help="A long tier is needed where cost has grown by this share over what standard prices charge.",
            rich_help_panel=TIERS,
        ),
    ] = "50%",
    long_above: Annotated[
        str | None,
        typer.Option(
            metavar="TOKENS",
            help="Input tokens above which long prices hold: 200k. The next round number, or none, if not given.",
            rich_help_panel=TIERS,
        ),
    ] = None,
    fast: Annotated[
        str, typer.Option(metavar="TIMES", help="Speed of the fast tier over standard.", rich_help_panel=TIERS)
    ] = "2",
    filled: Annotated[
        str,
        typer.Option(metavar="SHARE", help="Share of the idle hours that batch work fills.", rich_help_panel=TIERS),
    ] = "1",
    electricity: Annotated[
        str,
        typer.Option(
            metavar="PRICE", help="Dollars per kWh, for the least price of batch work.", rich_help_panel=TIERS
        ),
    ] = "0.10",
    reuse: Annotated[
        str | None,
        typer.Option(
            metavar="COUNT",
            help="Hits expected of a token written to the cache; as the cached share implies if not given.",
            rich_help_panel=TIERS,
        ),
    ] = None,
    max_fetch: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="How long a hit may wait for its cache; the median TTFT if not given.",
            rich_help_panel=TIERS,
        ),
    ] = None,
    precision: o.PrecisionList = None,
    kv: o.KvList = None,
    gpus: o.Gpus = None,
    price: o.PriceKind = None,
    engine: o.EngineName = None,
    sets: o.Sets = None,
    extrapolate: o.Extrapolate = False,
    json: o.Json = False,
    csv: o.Csv = False,
    output: o.File = None,
    explain: o.Explain = False,
) -> int:
    """An API price list from cost: input, cached reads and writes, output; long, fast and batch tiers.

    Each price with its cost, interval and floor, and what would move it. Exits with 1 where nothing can serve it.
    """
    from . import export
    from .ask_quote import quote as ask

    out = export.Output.of(json=json, csv=csv, file=output, explain=explain)
    with export.progress("planning the tiers of the list"):
        answer = ask(
            model, on, margin=margin, idle=idle, rounded=rounded, compare=compare, isl=isl, osl=osl, cached=cached,
            max_ttft=max_ttft, min_interactivity=min_interactivity, long_isl=long_isl, long_step=long_step,
            long_above=long_above,
            fast=fast, filled=filled, electricity=electricity, reuse=reuse, max_fetch=max_fetch,
            precision=precision, kv=kv, gpus=gpus, price=price, engine=engine, sets=o.pairs(sets),
            extrapolate=extrapolate,
        )  # fmt: skip
    out.deliver(answer)
    return 0
