"""The commands `lab memory` and `lab parallel`. Typer and the standard library only on import."""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as o

NETWORK = "Network"
EFFORT = "Effort"

Recorded = Annotated[
    bool,
    typer.Option(
        "--recorded", help="Show figures measured before; needs no PyTorch. Other options then change nothing."
    ),
]
Seed = Annotated[str, typer.Option(metavar="COUNT", help="Where random numbers start.", rich_help_panel=EFFORT)]


def register(lab: typer.Typer) -> None:
    """Add the commands that run networks to the laboratory."""
    lab.command(epilog="Example: rackmath lab memory --depths 4,8,16,32 --steps 200")(memory)
    lab.command(epilog="Example: rackmath lab parallel --recorded -o parallel.svg")(parallel)


def memory(
    depths: Annotated[
        str, typer.Option(metavar="COUNTS", help="Numbers of layers, by commas.", rich_help_panel=NETWORK)
    ] = "2,4,8,16",
    width: Annotated[
        str, typer.Option(metavar="COUNT", help="Width of a stream, a multiple of 4.", rich_help_panel=NETWORK)
    ] = "64",
    context: Annotated[
        str, typer.Option(metavar="TOKENS", help="Tokens of a sequence.", rich_help_panel=NETWORK)
    ] = "64",
    batch: Annotated[str, typer.Option(metavar="COUNT", help="Sequences of a step.", rich_help_panel=NETWORK)] = "8",
    steps: Annotated[
        str,
        typer.Option(
            metavar="COUNT",
            help="Also train three small networks for so many steps on text that Python brings along.",
            rich_help_panel=EFFORT,
        ),
    ] = "0",
    seeds: Annotated[
        str, typer.Option(metavar="COUNT", help="Runs of each, for the noise.", rich_help_panel=EFFORT)
    ] = "4",
    recorded: Recorded = False,
    json: o.Json = False,
    csv: o.Csv = False,
    output: o.File = None,
    explain: o.Explain = False,
) -> int:
    """Reversible networks measured: memory and time against depth, error of the rebuilt input, loss curves.

    A transformer is trained a step at each depth: with activations stored, checkpointed, and rebuilt by inverting.
    """
    from . import export
    from .ask_lab_networks import memory as ask
    from .progress_bar import progress_bar

    out = export.Output.of(json=json, csv=csv, file=output, explain=explain)
    with progress_bar() as hear:
        answer = ask(
            depths=depths, width=width, context=context, batch=batch, steps=steps, seeds=seeds, recorded=recorded,
            progress=hear,
        )  # fmt: skip
    out.deliver(answer)
    return 0


def parallel(
    sizes: Annotated[
        str,
        typer.Option(metavar="SHARES", help="Changes per pixel to attack with, by commas.", rich_help_panel=NETWORK),
    ] = "0.05,0.1,0.2,0.3",
    epochs: Annotated[
        str, typer.Option(metavar="COUNT", help="Passes over the digits in training.", rich_help_panel=EFFORT)
    ] = "20",
    seed: Seed = "0",
    recorded: Recorded = False,
    json: o.Json = False,
    csv: o.Csv = False,
    output: o.File = None,
    explain: o.Explain = False,
) -> int:
    """Networks under a cryptanalyst's questions: how one pixel spreads, and which difference changes the answer.

    Small networks learn handwritten digits; the same is asked of them, of untrained ones and of ciphers.
    """
    from . import export
    from .ask_lab_networks import parallel as ask
    from .progress_bar import progress_bar

    out = export.Output.of(json=json, csv=csv, file=output, explain=explain)
    with progress_bar() as hear:
        answer = ask(sizes=sizes, epochs=epochs, seed=seed, recorded=recorded, progress=hear)
    out.deliver(answer)
    return 0
