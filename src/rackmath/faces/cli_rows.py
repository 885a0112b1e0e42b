"""The command `rows`. Typer and the standard library only."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as o


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(rich_help_panel="Evidence", epilog="Example: rackmath rows results.csv -o predictions.csv")(rows)


def rows(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.csv",
            help="Measured runs: aiconfigurator's silicon sample, InferenceX results, or a table of reported runs.",
            show_default=False,
        ),
    ],
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
    """Predictions beside measured rows: how many are answered, signed errors by cell, and rows that beat the bound.

    Every row is answered or says why not; nothing is fitted on them. How columns are read: docs/measured-rows.md.
    """
    from . import ask_rows, export

    out = export.Output.of(json=json, csv=csv, file=output, explain=explain)
    with export.progress("predicting"):
        answer = ask_rows.rows(file, sets=o.pairs(sets))
    out.deliver(answer)
    return 0
