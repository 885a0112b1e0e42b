"""The command `validate`. Typer and the standard library only."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as o


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(rich_help_panel="How sure, and why", epilog="Example: rackmath validate --data ../shared/data")(
        validate
    )


def validate(
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder with the measured files, in serving/ and training/. RACKMATH_DATA or ../shared/data if not"
            " given.",
            rich_help_panel=o.CHOICES,
        ),
    ] = None,
    peer: Annotated[
        Path | None,
        typer.Option(
            metavar="PEER.csv",
            help="Answers of aiconfigurator, as benchmarks/peer_aiconfigurator.py writes them. Its recorded scores"
            " are shown if not given.",
            rich_help_panel=o.CHOICES,
        ),
    ] = None,
    json: o.Json = False,
    csv: o.Csv = False,
    output: o.File = None,
    explain: o.Explain = False,
) -> int:
    """The published score table, run again: every measured file that is there, scored as `score` does.

    Without the raw files, 2,362 public rows are read from the package aiconfigurator-core, which pip install
    'rackmath[validate]' brings. What the table says in words: docs/trust.md.
    """
    from . import ask_validate, export

    wanted = export.Output.of(json=json, csv=csv, file=output, explain=explain)
    with export.progress("predicting"):
        answer = ask_validate.validate(data, peer=peer)
    wanted.deliver(answer)
    return 0
