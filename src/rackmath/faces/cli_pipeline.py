"""The command `pipeline`. Typer and the standard library only on import."""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as o

ASK = "Questions"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        rich_help_panel=ASK,
        epilog="Example: rackmath pipeline meta-llama/Llama-3.1-405B --on 8xh100 --context 32k",
    )(pipeline)


def pipeline(
    model: o.Model,
    on: o.OneMachine,
    context: Annotated[str, typer.Option(metavar="TOKENS", help="Tokens in each sequence.")] = "8192",
    batch: Annotated[
        str | None,
        typer.Option(
            metavar="COUNT",
            help="Sequences of a micro-batch, where those stay and users grow with the stages. B*, or as many as fit,"
            " if not given.",
        ),
    ] = None,
    users: Annotated[
        str | None,
        typer.Option(
            metavar="COUNT",
            help="Sequences in all, where those stay and micro-batches shrink. Those of the fewest stages if not"
            " given.",
        ),
    ] = None,
    micro_batches: Annotated[
        str | None,
        typer.Option(
            metavar="COUNT",
            help="Micro-batches under way at once. As many as there are stages if not given; with fewer, stages stand"
            " idle.",
        ),
    ] = None,
    stages: Annotated[
        str | None, typer.Option(metavar="COUNT", help="Look at no more stages than this.", rich_help_panel=o.CHOICES)
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            "--layout",
            metavar="LAYOUT",
            help="The devices of one stage, such as 'TP8' or 'TP1 DP64 EP64'. Within one domain if not given.",
            rich_help_panel=o.CHOICES,
        ),
    ] = None,
    precision: o.OnePrecision = None,
    kv: o.OneKv = None,
    price: o.PriceKind = None,
    engine: o.EngineName = None,
    sets: o.Sets = None,
    extrapolate: o.Extrapolate = False,
    json: o.Json = False,
    csv: o.Csv = False,
    output: o.File = None,
    explain: o.Explain = False,
) -> int:
    """How many pipeline stages a model wants: the fewest that fit, and what each more buys and costs.

    Two readings stand side by side. With fixed micro-batches users grow with the stages, and the cache per GPU
    stays; with fixed users it falls, but the weights serve fewer tokens each time they are read.
    """
    from . import ask_pipeline, export

    out = export.Output.of(json=json, csv=csv, file=output, explain=explain)
    out.deliver(
        ask_pipeline.pipeline(
            model, on, context=context, batch=batch, users=users, micro_batches=micro_batches, stages=stages,
            layout=layout, precision=precision, kv=kv, price=price, engine=engine, sets=o.pairs(sets),
            extrapolate=extrapolate,
        )
    )  # fmt: skip
    return 0
