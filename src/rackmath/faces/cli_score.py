"""The command `score`. Typer and the standard library only."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as o


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(rich_help_panel="Evidence", epilog="Example: rackmath score results.csv --out predictions.csv")(score)


def score(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE.csv", help="Measured runs, one a row.", show_default=False),
    ],
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="What the file is: silicon, inferencex, trtllm-static, trtllm-max, mlperf, llamacpp, vllm-log, palm"
            " or training. Recognised by its columns if not given.",
            rich_help_panel=o.CHOICES,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE.csv",
            help="Also write the rows with M_pred, M_lo, M_hi and M_bound for each measured column M.",
            rich_help_panel=o.OUTPUT,
        ),
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Replace a value of engine or efficiency: engine.chunk_tokens=4096. Repeatable.",
            rich_help_panel=o.CHOICES,
        ),
    ] = None,
    json: o.Json = False,
    csv: o.Csv = False,
    output: o.File = None,
    explain: o.Explain = False,
) -> int:
    """Predictions beside measured rows: how many are answered, how far off, and which lie beyond their bound.

    A row is predicted from its query alone, never from its measurement; one that cannot be says why. How columns are
    read: docs/measured-rows.md.
    """
    from . import ask_score, export

    written = ask_score.predictions_file(out)
    wanted = export.Output.of(json=json, csv=csv, file=output, explain=explain)
    with export.progress("predicting"):
        answer = ask_score.score(file, kind=kind, sets=o.pairs(sets))
    if written is not None:
        export.Output(form="csv", file=written).deliver(answer)
    wanted.deliver(answer)
    return 0
