"""The command `allocate`. Typer and the standard library only."""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as o

MUCH = "How much there is: a budget, or traffic, or both"
COSTS = "What the parts cost"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        rich_help_panel="Training",
        epilog="Example: rackmath allocate --traffic 50M/s --months 2 --active 100B",
    )(allocate)


def allocate(
    budget: Annotated[
        str | None, typer.Option(metavar="DOLLARS", help="Dollars for all three: 100MUSD.", rich_help_panel=MUCH)
    ] = None,
    flops: Annotated[
        str | None,
        typer.Option(
            metavar="COUNT", help="Or FLOP of training that the whole may take: 5e26.", rich_help_panel=MUCH
        ),
    ] = None,
    traffic: Annotated[
        str | None, typer.Option(metavar="TOKENS/S", help="Tokens served: 50M/s, 16B/min.", rich_help_panel=MUCH)
    ] = None,
    months: Annotated[
        str | None,
        typer.Option(metavar="COUNT", help="Months of that traffic, 2 if not given.", rich_help_panel=MUCH),
    ] = None,
    active: Annotated[
        str | None,
        typer.Option(metavar="COUNT", help="Active parameters; solved if not given.", rich_help_panel=MUCH),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(metavar="NAME", help="lecture: its own case.", rich_help_panel=MUCH)
    ] = None,
    law: Annotated[
        str, typer.Option(metavar="NAME", help="The scaling law.", autocompletion=o.complete_laws)
    ] = "besiroglu",
    mode: Annotated[
        str,
        typer.Option(metavar="MODE", help="The rule that intervals are of: equal, exponent, optimum or same-cost."),
    ] = "optimum",
    extrapolate: o.FormerExtrapolate = False,
    shares: Annotated[
        str | None,
        typer.Option(
            metavar="P/R/I",
            help="Pre-training, RL and inference to begin from: 50/25/25. Equal if not given.",
            rich_help_panel=COSTS,
        ),
    ] = None,
    rl_flops: Annotated[
        str | None,
        typer.Option(
            metavar="COUNT", help="FLOP per parameter and RL token, 2 to 6; 3 if not given.", rich_help_panel=COSTS
        ),
    ] = None,
    efficiency: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="Utilisation of decode-heavy work over training's; 0.3 if not given.",
            rich_help_panel=COSTS,
        ),
    ] = None,
    ship: Annotated[
        str, typer.Option(metavar="SHARE", help="Probability that the model is served.", rich_help_panel=COSTS)
    ] = "1",
    input_share: Annotated[
        str, typer.Option(metavar="SHARE", help="Input among the tokens served.", rich_help_panel=COSTS)
    ] = "0",
    cached_share: Annotated[
        str, typer.Option(metavar="SHARE", help="Cached among that input.", rich_help_panel=COSTS)
    ] = "0",
    input_weight: Annotated[
        str | None,
        typer.Option(
            metavar="RATIO",
            help="Cost of an input token over an output token's; 0.2 if not given.",
            rich_help_panel=COSTS,
        ),
    ] = None,
    cached_weight: Annotated[
        str | None,
        typer.Option(metavar="RATIO", help="The same of a cached token; 0.02 if not given.", rich_help_panel=COSTS),
    ] = None,
    mfu: Annotated[
        str | None, typer.Option(metavar="SHARE", help="MFU of training; 0.4 if not given.", rich_help_panel=COSTS)
    ] = None,
    ranges: Annotated[
        list[str] | None,
        typer.Option(
            "--range",
            metavar="KEY=LOW..HIGH",
            help="Ends of an input: efficiency=0.2..0.5. Repeatable.",
            rich_help_panel=COSTS,
        ),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(
            "--on",
            metavar="MACHINE",
            help="Find MFU, efficiency and weights for this machine by search. H100 hours, usual rates if not given.",
            autocompletion=o.complete_machines,
            rich_help_panel=COSTS,
        ),
    ] = None,
    isl: o.Isl = "8192",
    osl: o.Osl = "1024",
    min_interactivity: o.MinInteractivity = "20",
    price: o.PriceKind = None,
    json: o.Json = False,
    csv: o.Csv = False,
    output: o.File = None,
    explain: o.Explain = False,
) -> int:
    """Compute split between pre-training, RL and inference: equal cost, by exponents, and the true optimum.

    With the size and the tokens it asks for, over-training, dollars, intervals, and what the answer depends on.
    --isl, --osl and --min-interactivity describe the requests where --on is given.
    """  # fmt: skip
    from . import export
    from .ask_allocate import allocate as ask

    o.no_extrapolate(extrapolate)
    out = export.Output.of(json=json, csv=csv, file=output, explain=explain)
    with export.progress("searching layouts"):
        answer = ask(
            budget=budget, flops=flops, traffic=traffic, months=months, active=active, law=law, mode=mode,
            shares=shares, rl_flops=rl_flops, efficiency=efficiency, ship=ship, input_share=input_share,
            cached_share=cached_share, input_weight=input_weight, cached_weight=cached_weight, mfu=mfu, on=on,
            isl=isl, osl=osl, min_interactivity=min_interactivity, price=price,
            ranges=o.pairs(ranges, "--range", "efficiency=0.2..0.5"), preset=preset,
        )  # fmt: skip
    out.deliver(answer)
    return 0
