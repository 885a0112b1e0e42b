"""The command `infer`. Typer and the standard library only."""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as o

KNOWN = "What is known or believed"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        rich_help_panel="Prices",
        epilog="Example: rackmath infer anthropic/claude-opus-4-6 --know hardware=tpu-v6e --speed 55",
    )(infer)


def infer(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[PRICELIST]",
            help="A model of the price lists (rackmath prices), or a file.",
            autocompletion=o.complete_lists,
        ),
    ] = None,
    input_: o.InputPrice = None,
    output_: o.OutputPrice = None,
    cache_read: o.CachedPrice = None,
    write_5m: o.Write5mPrice = None,
    write_1h: o.Write1hPrice = None,
    unit: o.PriceUnit = None,
    speed: Annotated[
        str | None, typer.Option(help="Measured output speed of a user: 55 tok/s.", rich_help_panel=KNOWN)
    ] = None,
    ttft: Annotated[
        str | None, typer.Option(help="Measured time to first token: 900ms.", rich_help_panel=KNOWN)
    ] = None,
    know: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="What is known: active_params=37e9, total_params, kv_bytes=70kB, layers, hardware=h800,"
            " price_per_hour=2, weights=fp8, attention=mla, batch, idle=30%, margin=60%, ... Repeat it.",
            rich_help_panel=KNOWN,
        ),
    ] = None,
    prior: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=LOW..HIGH",
            help="Another belief of 5 to 95 %: active_params=100e9..600e9. Repeat it.",
            rich_help_panel=KNOWN,
        ),
    ] = None,
    on_date: Annotated[
        str | None, typer.Option(metavar="DAY", help="The list of this day: 2026-03-01.", rich_help_panel=o.CHOICES)
    ] = None,
    source: Annotated[
        str, typer.Option(help="snapshot, or genai-prices (the installed package).", rich_help_panel=o.CHOICES)
    ] = "snapshot",
    seller: Annotated[
        str | None,
        typer.Option(
            help="host of open weights, or maker of a closed model: their markups differ. By the list if not given.",
            rich_help_panel=KNOWN,
        ),
    ] = None,
    anonymous: Annotated[
        bool,
        typer.Option(
            "--anonymous",
            help="Leave out what is known of this seller's machines (Google: TPUs, ...).",
            rich_help_panel=KNOWN,
        ),
    ] = False,
    draws: Annotated[
        str, typer.Option(metavar="COUNT", help="Suppositions drawn.", rich_help_panel=o.CHOICES)
    ] = "2M",
    seed: Annotated[str, typer.Option(help="Start of the random numbers.", rich_help_panel=o.CHOICES)] = "1",
    blind: Annotated[
        bool,
        typer.Option("--blind", help="Run the blind test on open-weight models instead.", rich_help_panel=o.CHOICES),
    ] = False,
    json: o.Json = False,
    csv: o.Csv = False,
    output: o.File = None,
    explain: o.Explain = False,
) -> int:
    """A price list read backwards, all evidence at once: model, machine, batch and margin, with how sure one can be.

    Exits with 1 where the prices lie beyond anything believed. How well this does on known models: docs/infer.md.
    """
    from ..errors import BadInput
    from . import ask_infer, export

    out = export.Output.of(json=json, csv=csv, file=output, explain=explain)
    listed = {
        "input": input_,
        "output": output_,
        "cache_read": cache_read,
        "write_5m": write_5m,
        "write_1h": write_1h,
    }
    if blind:
        others = (name, *listed.values(), know, prior, unit, speed, ttft, on_date, seller, anonymous)
        if any(others) or (source, draws, seed) != ("snapshot", "2M", "1"):
            raise BadInput("--blind reads the lists of open-weight models; leave the rest out")
        if explain:
            raise BadInput("the blind test has no terms to explain; leave --explain out, or name one list")
        with export.progress("reading price lists blind"):
            answer = ask_infer.blind()
        out.deliver(answer)
        return 0
    with export.progress("weighing suppositions"):
        found = ask_infer.infer(
            name, know=o.pairs(know, "--know", "active_params=37e9"),
            prior=o.pairs(prior, "--prior", "active_params=100e9..600e9"), speed=speed, ttft=ttft,
            on_date=on_date, source=source, seller=seller, anonymous=anonymous, draws=draws,
            seed=o.whole(seed, "seed"), unit=unit,
            **listed,
        )  # fmt: skip
    out.deliver(found)
    return 0
