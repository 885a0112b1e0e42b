"""The command `modes`. Typer and the standard library only on import."""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as o

ASK = "Questions"
MODES = "Modes"
BACKWARDS = "Backwards"

SomeModel = Annotated[
    str | None,
    typer.Argument(
        help="A model of the catalogue, or the path of a config.json or description.",
        autocompletion=o.complete_models,
    ),
]
SomeMachine = Annotated[
    str | None,
    typer.Option("--on", help="The machine: 8xh100, gb200-nvl72, ...", autocompletion=o.complete_machines),
]
ListOutput = Annotated[
    str | None,
    typer.Option(
        help="A listed price in dollars per million output tokens, for the margin.", rich_help_panel=o.TRAFFIC
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        rich_help_panel=ASK,
        epilog="Example: rackmath modes deepseek-ai/DeepSeek-V3 --on gb200-nvl72 --price-ratio 6 --speed-ratio 2.5",
    )(modes)


def modes(
    model: SomeModel = None,
    on: SomeMachine = None,
    isl: o.Isl = "8192",
    osl: o.Osl = "1024",
    cached: o.Cached = "0",
    normal_speed: Annotated[
        str | None,
        typer.Option(help="tok/s/user of the normal mode; 20 if nothing is given.", rich_help_panel=MODES),
    ] = None,
    batch: Annotated[
        str | None,
        typer.Option(help="Sequences of the normal mode, in place of a speed.", rich_help_panel=MODES),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            help="Layout of the normal mode, with --batch. If not given, the one that decodes the batch fastest.",
            rich_help_panel=MODES,
        ),
    ] = None,
    tokens_per_pass: Annotated[
        str,
        typer.Option(
            help="Tokens a sequence keeps from a speculative pass; 1 for none. Drafting itself is not charged.",
            rich_help_panel=MODES,
        ),
    ] = "1.8",
    draft_tokens: Annotated[
        str | None,
        typer.Option(
            help="Tokens drafted for a pass. As few as those kept allow if not given.", rich_help_panel=MODES
        ),
    ] = None,
    idle: Annotated[
        str,
        typer.Option(help="Share of paid hours that interactive traffic leaves idle.", rich_help_panel=MODES),
    ] = "0.4",
    filled: Annotated[
        str, typer.Option(help="Share of the idle hours that batch work fills.", rich_help_panel=MODES)
    ] = "1",
    electricity: Annotated[
        str, typer.Option(help="Dollars per kWh, the floor of batch work's price.", rich_help_panel=MODES)
    ] = "0.10",
    price_ratio: Annotated[
        str | None, typer.Option(help="Fast output price over normal: 6.", rich_help_panel=BACKWARDS)
    ] = None,
    speed_ratio: Annotated[
        str | None, typer.Option(help="Fast output speed over normal: 2.5.", rich_help_panel=BACKWARDS)
    ] = None,
    input_price_ratio: Annotated[
        str | None, typer.Option(help="Fast input price over normal: 6.", rich_help_panel=BACKWARDS)
    ] = None,
    list_input: Annotated[
        str | None,
        typer.Option(
            help="A listed price in dollars per million input tokens, for the margin.", rich_help_panel=o.TRAFFIC
        ),
    ] = None,
    list_output: ListOutput = None,
    precision: o.OnePrecision = None,
    kv: o.OneKv = None,
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
    """Fast, slow and batch modes: what they reach, must cost and can save; or a price and speed ratio read backwards.

    Prices are at cost. The ratios alone need no model: rackmath modes --price-ratio 6 --speed-ratio 2.5
    """
    from . import export
    from .ask_modes import modes as ask

    out = export.Output.of(json=json, csv=csv, file=output, explain=explain)
    out.deliver(
        ask(
            model, on, isl=isl, osl=osl, cached=cached, normal_speed=normal_speed, batch=batch, layout=layout,
            tokens_per_pass=tokens_per_pass, draft_tokens=draft_tokens, idle=idle, filled=filled,
            electricity=electricity, price_ratio=price_ratio, speed_ratio=speed_ratio,
            input_price_ratio=input_price_ratio, list_input=list_input, list_output=list_output,
            precision=precision, kv=kv, gpus=gpus, price=price, engine=engine, sets=o.pairs(sets),
            extrapolate=extrapolate,
        )
    )  # fmt: skip
    return 0
