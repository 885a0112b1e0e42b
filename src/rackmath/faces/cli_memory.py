"""The command `memory`. Typer and the standard library only on import."""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as o

ASK = "Questions"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        rich_help_panel=ASK,
        epilog="Example: rackmath memory meta-llama/Llama-3.1-70B --on gb200-nvl72",
    )(memory)


def memory(
    model: Annotated[
        str | None,
        typer.Argument(
            help="A model, or none: then drain times of machines are listed.", autocompletion=o.complete_models
        ),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option("--on", help="The machine: 8xh100, gb200-nvl72, ...", autocompletion=o.complete_machines),
    ] = None,
    context: Annotated[
        str | None, typer.Option(help="Tokens of the users that displaced ones are counted in. 8192 if not given.")
    ] = None,
    contexts: Annotated[
        str | None,
        typer.Option(help="Rows of the table: 8k,32k,128k. Powers of two to the model's limit if not given."),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            "--layout",
            help="Such as 'TP8 DP4 EP32 PP2'. If not given, the one with the cheapest tokens for what is asked.",
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
    """How much of the memory weights take, how long it takes to read, and how many users of which context fit.

    The drain time, capacity over bandwidth, is the longest useful memory time of a step: whatever takes longer is
    read twice. It is not a floor: no step is faster than reading the weights once, their share of the memory times
    the drain time. DeepSeek-V3 on gb200-nvl72: 1.2 ms of 23 ms. Without MODEL: drain times of all machines and of
    the tiers behind them, or of one with --on.
    """
    from ..errors import BadInput
    from . import ask_memory, export

    out = export.Output.of(json=json, csv=csv, file=output, explain=explain)
    if model is None:
        if engine or sets or layout or precision or kv or price or context or contexts:
            raise BadInput("a list of drain times takes --on only; name a model for the other options")
        out.deliver(ask_memory.drains(on))
        return 0
    if on is None:
        raise BadInput("no machine was given; name one like --on gb200-nvl72")
    out.deliver(
        ask_memory.memory(
            model, on, context=context, contexts=contexts, extrapolate=extrapolate, layout=layout,
            precision=precision, kv=kv, price=price, engine=engine, sets=o.pairs(sets),
        )
    )  # fmt: skip
    return 0
