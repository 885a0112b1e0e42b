"""The command `design`. Typer and the standard library only."""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as o

ASKED = "Quality and traffic"
FAMILY = "The family"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        rich_help_panel="Training",
        epilog="Example: rackmath design --quality-of meta-llama/Meta-Llama-3.1-405B --traffic 50M/s --months 12"
        " --on gb200-nvl72",
    )(design)


def design(
    quality_of: Annotated[
        str,
        typer.Option(
            metavar="MODEL",
            help="The model whose loss is to be reached.",
            autocompletion=o.complete_models,
            rich_help_panel=ASKED,
        ),
    ],
    traffic: Annotated[
        str, typer.Option(metavar="TOKENS/S", help="Tokens served, input and output: 50M/s.", rich_help_panel=ASKED)
    ],
    on: o.OneMachine,
    months: Annotated[
        str, typer.Option(metavar="COUNT", help="Months of that traffic.", rich_help_panel=ASKED)
    ] = "12",
    tokens: Annotated[
        str | None,
        typer.Option(
            metavar="COUNT", help="Tokens the model was trained on, where they are not known.", rich_help_panel=ASKED
        ),
    ] = None,
    law: Annotated[
        str, typer.Option(metavar="NAME", help="Law of parameters and tokens.", autocompletion=o.complete_laws)
    ] = "besiroglu",
    routed: Annotated[
        str,
        typer.Option(metavar="NAME", help="Law of what experts are worth.", autocompletion=o.complete_laws),
    ] = "tian",
    extrapolate: o.Extrapolate = False,
    caches: Annotated[
        str, typer.Option(metavar="KINDS", help="gqa, mla, windowed, with commas.", rich_help_panel=FAMILY)
    ] = "gqa,mla,windowed",
    experts: Annotated[
        str,
        typer.Option(
            metavar="COUNTS", help="Experts over those a token uses, with commas; 1: dense.", rich_help_panel=FAMILY
        ),
    ] = "1,8,32",
    isl: o.Isl = "8192",
    osl: o.Osl = "1024",
    cached: o.Cached = "0.5",
    min_interactivity: o.MinInteractivity = "20",
    precision: o.OnePrecision = None,
    price: o.PriceKind = None,
    json: o.Json = False,
    csv: o.Csv = False,
    output: o.File = None,
    explain: o.Explain = False,
) -> int:
    """The cheapest architecture and token count of a given quality: training and serving, in dollars, on a machine.

    Both are this tool's own: the training search and the planner, for every member of a family.
    Exits with 1 where no member can be trained and served.
    """  # fmt: skip
    from . import export
    from .ask_design import design as ask

    out = export.Output.of(json=json, csv=csv, file=output, explain=explain)
    with export.progress("training and serving the family"):
        answer = ask(
            quality_of, on, traffic=traffic, months=months, tokens=tokens, law=law, routed=routed,
            caches=caches, experts=experts, isl=isl, osl=osl, cached=cached,
            min_interactivity=min_interactivity, precision=precision, price=price, extrapolate=extrapolate,
        )  # fmt: skip
    out.deliver(answer)
    return 0
