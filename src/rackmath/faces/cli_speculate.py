"""The command `speculate`. Typer and the standard library only."""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as o

DRAFTS = "Drafts"

Draft = Annotated[
    str,
    typer.Option(
        metavar="DRAFT",
        help="What makes drafts: mtp (the model's own layers), ngram (free), or the name of a smaller model.",
        rich_help_panel=DRAFTS,
        autocompletion=o.complete_models,
    ),
]
Depth = Annotated[str, typer.Option(metavar="COUNT", help="Drafts before each check.", rich_help_panel=DRAFTS)]
Acceptance = Annotated[
    str,
    typer.Option(
        metavar="SHARE",
        help="Share of drafts that are kept, of those whose predecessors were: 0.7 or 70%.",
        rich_help_panel=DRAFTS,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        rich_help_panel="Questions",
        epilog="Example: rackmath speculate deepseek-ai/DeepSeek-V3 --on 8xh200 --depth 1 --acceptance 0.85",
    )(speculate)


def speculate(
    model: o.Model,
    on: o.OneMachine,
    draft: Draft = "mtp",
    depth: Depth = "3",
    acceptance: Acceptance = "0.7",
    context: Annotated[str, typer.Option(metavar="TOKENS", help="Tokens already in each sequence.")] = "8192",
    contexts: Annotated[
        str | None,
        typer.Option(metavar="TOKENS", help="Contexts to give the break-even batch for: 1k,8k,64k."),
    ] = None,
    layout: o.LayoutWords = None,
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
    """Speculative decoding against plain: speed-up, cost, the batch at which it stops paying, and the best depth.

    Decode steps only. A step makes the drafts one after the other, then one wider pass checks them all; the bound
    counts every draft as kept. Acceptance depends on model, draft and text: it is an input here, not a prediction.
    """
    from . import ask_speculate, export

    out = export.Output.of(json=json, csv=csv, file=output, explain=explain)
    out.deliver(
        ask_speculate.speculate(
            model, on, draft=draft, depth=depth, acceptance=acceptance, context=context, contexts=contexts,
            layout=layout, precision=precision, kv=kv, price=price, engine=engine, sets=o.pairs(sets),
            extrapolate=extrapolate,
        )
    )  # fmt: skip
    return 0
