"""The command `racks`. Typer and the standard library only on import."""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as o

ASK = "Questions"
WORK = "Work"
EXPERTS = "Experts"
DOMAINS = "Domain sizes"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(rich_help_panel=ASK, epilog="Example: rackmath racks deepseek-ai/DeepSeek-V3 --on 144xh800")(racks)


def racks(
    model: Annotated[
        str | None,
        typer.Argument(
            help="A model, or none: then link ratios of machines are listed.", autocompletion=o.complete_models
        ),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option("--on", help="The machine: 144xh800, gb200-nvl72, ...", autocompletion=o.complete_machines),
    ] = None,
    phase: Annotated[str, typer.Option(help="decode or prefill.", rich_help_panel=WORK)] = "decode",
    batch: Annotated[
        str | None,
        typer.Option(
            help="Sequences that decode together. 64 for each device, or as many as fit.", rich_help_panel=WORK
        ),
    ] = None,
    tokens: Annotated[
        str | None, typer.Option(help="Prompt tokens that a device prefills in a pass.", rich_help_panel=WORK)
    ] = None,
    context: Annotated[
        str | None, typer.Option(help="Tokens a sequence holds, or of a prompt. 4096.", rich_help_panel=WORK)
    ] = None,
    redundant: Annotated[
        str | None,
        typer.Option(
            help="Second copies of experts. What an even split needs if not given.", rich_help_panel=EXPERTS
        ),
    ] = None,
    experts_per_gpu: Annotated[
        str | None,
        typer.Option(
            help="Slots for routed experts of a layer on each device; those left over hold second copies.",
            rich_help_panel=EXPERTS,
        ),
    ] = None,
    expert_loads: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="JSON of measured loads: a number for each expert, or such a row for each layer.",
            rich_help_panel=EXPERTS,
        ),
    ] = None,
    exchange: Annotated[
        str | None,
        typer.Option(
            help="direct, hierarchical, scale-out or all-gather. The cheapest if not given.", rich_help_panel=EXPERTS
        ),
    ] = None,
    overlap: Annotated[
        bool,
        typer.Option(
            "--overlap",
            help="Two half batches: one computes while the other exchanges, where that pays.",
            rich_help_panel=EXPERTS,
        ),
    ] = False,
    dispatch: Annotated[
        str | None,
        typer.Option(
            help="Format of tokens sent to experts. The experts' operand type if not given.", rich_help_panel=EXPERTS
        ),
    ] = None,
    combine: Annotated[
        str | None, typer.Option(help="Format of results sent back. bf16 if not given.", rich_help_panel=EXPERTS)
    ] = None,
    min_interactivity: Annotated[
        str | None,
        typer.Option(
            help="Tokens per second and user: the smallest domain that gives them is named.", rich_help_panel=DOMAINS
        ),
    ] = None,
    max_domain: Annotated[
        str, typer.Option(metavar="COUNT", help="Largest domain drawn.", rich_help_panel=DOMAINS)
    ] = "576",
    floor_batch: Annotated[
        str,
        typer.Option(metavar="COUNT", help="Sequences decoded by a domain of any size.", rich_help_panel=DOMAINS),
    ] = "256",
    beside: Annotated[
        str,
        typer.Option(
            metavar="MACHINES",
            help="Machines whose weight floors stand side by side.",
            rich_help_panel=DOMAINS,
        ),
    ] = "8xh100,gb200-nvl72,rubin-ultra-nvl576",
    layout: Annotated[
        str | None,
        typer.Option(
            "--layout",
            help="Such as 'DP144 EP144'. If not given, the one with the cheapest tokens for what is asked.",
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
    """Experts over devices and racks: placement, the exchange each way, what crossing a rack costs, domain sizes.

    The same layout is priced as it lies and as it would lie in one domain; their ratio is what crossing costs. Below,
    the same chip in domains of other sizes: all weights read once, the bound, and the estimate with its collectives.
    Without MODEL: scale-up over scale-out bandwidth of every machine, or of one with --on.
    """
    from ..errors import BadInput
    from . import ask_racks, export

    out = export.Output.of(json=json, csv=csv, file=output, explain=explain)
    if model is None:
        work = (phase != "decode", batch, tokens, context, min_interactivity, overlap, exchange, dispatch, combine)
        if any((*work, redundant, experts_per_gpu, expert_loads, layout, precision, kv, price, engine, sets)):
            raise BadInput("a list of link ratios takes --on only; name a model for the other options")
        out.deliver(ask_racks.ratios(on))
        return 0
    if on is None:
        raise BadInput("no machine was given; name one like --on 144xh800")
    out.deliver(
        ask_racks.racks(
            model, on, layout=layout, phase=phase, batch=batch, tokens=tokens, context=context, redundant=redundant,
            experts_per_gpu=experts_per_gpu, expert_loads=expert_loads, exchange=exchange,
            overlap=overlap, dispatch=dispatch, combine=combine, min_interactivity=min_interactivity,
            max_domain=max_domain, floor_batch=floor_batch, beside=beside, precision=precision, kv=kv, price=price,
            engine=engine, sets=o.pairs(sets), extrapolate=extrapolate,
        )
    )  # fmt: skip
    return 0
