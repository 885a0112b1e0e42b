"""The command `schedule`. Typer and the standard library only on import."""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as o

TRAINING = "Training"
TIMES = "Times of one micro-batch on one device"
MEMORY = "Memory"
TRACE = ".trace.json"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        rich_help_panel=TRAINING,
        epilog="Example: rackmath schedule zb-1p --stages 8 --micro-batches 32 --hop 0.05 -o step.svg",
    )(schedule)


def schedule(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="gpipe, 1f1b, interleaved, zb-1p, zb-h2, zb-2p, zb-v, v-half, v-min, dualpipe or dualpipe-v. All"
            " of them side by side if not given.",
        ),
    ] = None,
    stages: Annotated[str, typer.Option(metavar="COUNT", help="Devices of the pipeline, p.")] = "8",
    micro_batches: Annotated[str, typer.Option(metavar="COUNT", help="Micro-batches of a step, m.")] = "32",
    chunks: Annotated[
        str, typer.Option(metavar="COUNT", help="Chunks of layers on a device, v, where the schedule leaves it open.")
    ] = "2",
    forward: Annotated[
        str, typer.Option(metavar="TIME", help="Forward pass, f: 12ms, or a bare number.", rich_help_panel=TIMES)
    ] = "1",
    backward: Annotated[
        str, typer.Option(metavar="TIME", help="Gradient of the input, b.", rich_help_panel=TIMES)
    ] = "1",
    weight: Annotated[
        str, typer.Option(metavar="TIME", help="Gradient of the weights, w.", rich_help_panel=TIMES)
    ] = "1",
    hop: Annotated[
        str, typer.Option(metavar="TIME", help="A message to the next device, c.", rich_help_panel=TIMES)
    ] = "0",
    kept: Annotated[
        str,
        typer.Option(
            metavar="SHARE",
            help="Activations a micro-batch holds until its weight gradient. Others go with the input gradient.",
            rich_help_panel=MEMORY,
        ),
    ] = "1",
    json: o.Json = False,
    csv: o.Csv = False,
    output: o.File = None,
    explain: o.Explain = False,
) -> int:
    """Pipeline schedules of training: idle share, activations held and messages, by formula and by simulation.

    With a NAME also its timeline, device by device; -o FILE.trace.json writes that as a Chrome trace, for
    chrome://tracing or ui.perfetto.dev. Times are all with a unit, or all without.
    """
    from ..errors import BadInput
    from . import ask_schedule, export, show_schedule

    traced = output is not None and output.name.lower().endswith(TRACE)
    if traced and (json or csv or explain):
        raise BadInput(f"-o {output} asks for a Chrome trace; leave out --json, --csv and --explain")
    if traced and name is None:
        raise BadInput(f"-o {output} asks for the trace of one schedule; name it, such as rackmath schedule 1f1b")
    out = export.Output.of(json=json, csv=csv, file=None if traced else output, explain=explain)
    with export.progress("simulating the schedules"):
        answer = ask_schedule.schedule(
            name, stages=stages, micro_batches=micro_batches, chunks=chunks, forward=forward, backward=backward,
            weight=weight, hop=hop, kept=kept,
        )  # fmt: skip
    if traced:
        assert output is not None
        show_schedule.write_trace(answer, output)
    else:
        out.deliver(answer)
    return 0
