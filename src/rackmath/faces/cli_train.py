"""The command `train`. Typer and the standard library only."""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as o

RUN = "The run"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        rich_help_panel="Training",
        epilog="Example: rackmath train meta-llama/Meta-Llama-3.1-405B --on 16384xh100 --tokens 15.6T"
        " --batch-tokens 16M",
    )(train)


def train(
    model: o.Model,
    on: o.OneMachine,
    tokens: Annotated[
        str, typer.Option(metavar="TOKENS", help="Tokens of the whole run.", rich_help_panel=RUN)
    ] = "1T",
    seq: Annotated[str, typer.Option(metavar="TOKENS", help="Tokens of a sequence.", rich_help_panel=RUN)] = "8192",
    batch_tokens: Annotated[
        str, typer.Option(metavar="TOKENS", help="Tokens of an optimizer step.", rich_help_panel=RUN)
    ] = "4M",
    layout: Annotated[
        str | None,
        typer.Option(
            metavar="WORDS",
            help="One layout instead of a search: 'TP8 PP16 DP128 interleave 4 MB1 ZeRO1 SP', CP2, EP8, 'every 4'.",
            rich_help_panel=o.CHOICES,
        ),
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(
            help="Pipeline schedules, with commas, or any (rackmath schedule lists them). 1f1b and interleaved if not"
            " given.",
            rich_help_panel=o.CHOICES,
        ),
    ] = None,
    recompute: Annotated[
        str | None,
        typer.Option(
            help="none, selective, full, 'every 4', reversible, offload, with commas, or any. The first three if not"
            " given.",
            rich_help_panel=o.CHOICES,
        ),
    ] = None,
    zero: Annotated[
        str | None, typer.Option(help="ZeRO stages, with commas. 1,2,3 if not given.", rich_help_panel=o.CHOICES)
    ] = None,
    precision: Annotated[
        str, typer.Option(help="Format of products: bf16, fp8, mxfp8 or nvfp4.", rich_help_panel=o.CHOICES)
    ] = "bf16",
    framework: Annotated[
        str, typer.Option(help="Software whose constants are used.", rich_help_panel=o.CHOICES)
    ] = "typical",
    goodput: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="Share of paid time in which steps count, after failures and checkpoints. From the number of devices"
            " if not given.",
            rich_help_panel=RUN,
        ),
    ] = None,
    max_days: Annotated[
        str | None, typer.Option(metavar="DAYS", help="The run takes no longer: 60.", rich_help_panel=o.OBJECTIVES)
    ] = None,
    max_cost: Annotated[
        str | None, typer.Option(metavar="DOLLARS", help="It costs no more: 50M$.", rich_help_panel=o.OBJECTIVES)
    ] = None,
    frontier: Annotated[
        bool,
        typer.Option("--frontier", help="Also memory against compute: what is kept, recomputed, reversed or moved."),
    ] = False,
    price: o.PriceKind = None,
    sets: o.Sets = None,
    json: o.Json = False,
    csv: o.Csv = False,
    output: o.File = None,
    explain: o.Explain = False,
) -> int:
    """A training run: the fastest and the cheapest layout, step time, MFU, days, dollars, memory, and what binds.

    Exits with 1 where nothing fits, and says by how much and what would do. --set training.dp=0.9 changes a constant.
    """
    from . import ask_train, export

    out = export.Output.of(json=json, csv=csv, file=output, explain=explain)
    with export.progress("searching layouts"):
        answer = ask_train.train(
            model, on, tokens=tokens, seq=seq, batch_tokens=batch_tokens, layout=layout, schedule=schedule,
            recompute=recompute, zero=zero, precision=precision, framework=framework, goodput=goodput,
            max_days=max_days, max_cost=max_cost, frontier=frontier, price=price, sets=o.pairs(sets),
        )  # fmt: skip
    if answer.best is None:
        raise ask_train.why_not(answer)
    out.deliver(answer)
    return 0
