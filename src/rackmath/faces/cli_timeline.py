"""The command `timeline`. Typer and the standard library only on import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as o

ASK = "Questions"
TRACE = ".trace.json"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        rich_help_panel=ASK,
        epilog="Example: rackmath timeline deepseek-ai/DeepSeek-V3 --on gb200-nvl72 --layout 'TP1 DP64 EP64'"
        " --batch 2048 -o step.trace.json",
    )(timeline)


def timeline(
    model: o.Model,
    on: o.OneMachine,
    batch: Annotated[str, typer.Option(metavar="COUNT", help="Sequences that decode one token each.")] = "64",
    context: Annotated[str, typer.Option(metavar="TOKENS", help="Tokens already in each sequence.")] = "8192",
    prefill: Annotated[str, typer.Option(metavar="TOKENS", help="Prompt tokens processed in the same pass.")] = "0",
    layout: o.LayoutWords = None,
    micro_batches: Annotated[
        str | None,
        typer.Option(
            metavar="COUNT",
            help="Cut the batch into so many. As many as pipeline stages if not given.",
            rich_help_panel=o.CHOICES,
        ),
    ] = None,
    precision: o.OnePrecision = None,
    kv: o.OneKv = None,
    engine: o.EngineName = None,
    sets: o.Sets = None,
    extrapolate: o.Extrapolate = False,
    trace: Annotated[
        Path | None,
        typer.Option(
            "--trace",
            metavar="FILE",
            help="Also write the step as a Chrome trace, for chrome://tracing or ui.perfetto.dev.",
            rich_help_panel=o.OUTPUT,
        ),
    ] = None,
    json: o.Json = False,
    csv: o.Csv = False,
    output: o.File = None,
    explain: o.Explain = False,
) -> int:
    """What each device does in a step: computing, reading memory, exchanging, hops, bubbles; stage by stage.

    The pieces are the operations of the estimate in order, so every lane adds up to the step. -o FILE.trace.json
    writes a Chrome trace in place of the answer's own JSON.
    """
    from ..errors import BadInput
    from . import ask_timeline, export, show_timeline

    only = output is not None and output.name.lower().endswith(TRACE)
    if only and (json or csv or explain):
        raise BadInput(f"-o {output} asks for a Chrome trace; leave out --json, --csv and --explain")
    out = export.Output.of(json=json, csv=csv, file=None if only else output, explain=explain)
    answer = ask_timeline.timeline(
        model, on, batch=batch, context=context, prefill=prefill, layout=layout, micro_batches=micro_batches,
        precision=precision, kv=kv, engine=engine, sets=o.pairs(sets), extrapolate=extrapolate,
    )  # fmt: skip
    for file in [output] * only + [trace] * (trace is not None):
        assert file is not None
        show_timeline.write_trace(answer, file)
    if not only:
        out.deliver(answer)
    return 0
