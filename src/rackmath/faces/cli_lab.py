"""The commands `lab ...`: experiments. Typer and the standard library only on import."""

from __future__ import annotations

from typing import Annotated

import typer

from . import cli_lab_torch
from . import options as o

LAB = "How sure, and why"
CIPHERS = "Ciphers"
EFFORT = "Effort"


def register(app: typer.Typer) -> None:
    """Add the laboratory to the application."""
    lab = typer.Typer(
        help="Experiments on what ciphers and networks share. To learn from; nothing here protects data.",
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    lab.command(epilog="Example: rackmath lab ciphers --cipher present --rounds 5")(ciphers)
    cli_lab_torch.register(lab)
    app.add_typer(lab, name="lab", rich_help_panel=LAB)


def complete_ciphers(incomplete: str) -> list[str]:
    """Ciphers whose names begin with what was typed."""
    from ..experiments.ciphers import ciphers

    return [one.name for one in ciphers() if one.name.startswith(incomplete.lower())]


def ciphers(
    cipher: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CIPHER",
            help="simon32, simon64, speck32, speck64, speck128, des, present, present-128, aes. Repeat it, or"
            " separate with commas. All if not given.",
            autocompletion=complete_ciphers,
            rich_help_panel=CIPHERS,
        ),
    ] = None,
    rounds: Annotated[
        str | None,
        typer.Option(
            metavar="COUNT",
            help="Search the best differential characteristics of so many rounds: of simon32, speck32 or present.",
            rich_help_panel=CIPHERS,
        ),
    ] = None,
    sbox: Annotated[
        str | None,
        typer.Option(
            metavar="S-BOX",
            help="The difference table of an S-box: present, aes, des1 to des8, or its values (C56B90AD3EF84712)."
            " With --cipher present it takes the place of PRESENT's own.",
            rich_help_panel=CIPHERS,
        ),
    ] = None,
    pairs: Annotated[
        str, typer.Option(metavar="COUNT", help="Pairs encrypted for a differential.", rich_help_panel=EFFORT)
    ] = "262144",
    samples: Annotated[
        str, typer.Option(metavar="COUNT", help="Random blocks for the avalanche.", rich_help_panel=EFFORT)
    ] = "512",
    limit: Annotated[
        str, typer.Option(metavar="TIME", help="Longest time of a search.", rich_help_panel=EFFORT)
    ] = "30s",
    seed: Annotated[
        str, typer.Option(metavar="COUNT", help="Where random numbers start.", rich_help_panel=EFFORT)
    ] = "0",
    json: o.Json = False,
    csv: o.Csv = False,
    output: o.File = None,
    explain: o.Explain = False,
) -> int:
    """Avalanche of real ciphers by rounds; difference table and best characteristics of one, held to encryptions.

    For learning how mixing works. These implementations are never for protecting data.
    """
    from . import export
    from .ask_lab_ciphers import ciphers as ask
    from .progress_bar import progress_bar

    out = export.Output.of(json=json, csv=csv, file=output, explain=explain)
    with progress_bar() as hear:
        answer = ask(
            o.machine_names(cipher) if cipher else None, rounds=rounds, sbox=sbox, pairs=pairs, samples=samples,
            limit=limit, seed=seed, progress=hear,
        )  # fmt: skip
    out.deliver(answer)
    return 0
