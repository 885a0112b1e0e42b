"""The command `law`. Typer and the standard library only on import."""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as o

ASK = "Questions"
ASKED = "What is asked: one of these, or two"
ROUTED = "What some laws take beside them"
FIT = "Runs of your own"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        rich_help_panel=ASK,
        epilog="Example: rackmath law besiroglu hoffmann --flops 1e21",
    )(law)


def complete_laws(incomplete: str) -> list[str]:
    """Names of laws that begin with what was typed."""
    from ..scaling.laws import laws

    return [name for name in laws() if name.startswith(incomplete.lower())]


def law(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            help="Laws to ask: besiroglu, hoffmann, clark-s-base, ... All that answer if none is named.",
            autocompletion=complete_laws,
        ),
    ] = None,
    params: Annotated[
        str | None,
        typer.Option(metavar="COUNT", help="Parameters, as the law counts them: 70B.", rich_help_panel=ASKED),
    ] = None,
    tokens: Annotated[
        str | None, typer.Option(metavar="COUNT", help="Tokens trained on: 1.4T.", rich_help_panel=ASKED)
    ] = None,
    flops: Annotated[
        str | None,
        typer.Option(metavar="COUNT", help="Training budget, 6 N D: 5.76e23.", rich_help_panel=ASKED),
    ] = None,
    loss: Annotated[
        str | None, typer.Option(metavar="NATS", help="Loss to reach, in nats per token.", rich_help_panel=ASKED)
    ] = None,
    experts: Annotated[
        str | None,
        typer.Option(metavar="COUNT", help="Experts of a routed layer (clark-...).", rich_help_panel=ROUTED),
    ] = None,
    granularity: Annotated[
        str | None,
        typer.Option(metavar="COUNT", help="Into how many an expert is cut (krajewski-moe).", rich_help_panel=ROUTED),
    ] = None,
    sparsity: Annotated[
        str | None,
        typer.Option(metavar="SHARE", help="Share of experts that rest: 0.9 (abnar).", rich_help_panel=ROUTED),
    ] = None,
    unique: Annotated[
        str | None,
        typer.Option(
            metavar="COUNT", help="Tokens that are new; the rest repeats (muennighoff).", rich_help_panel=ROUTED
        ),
    ] = None,
    extrapolate: o.FormerExtrapolate = False,
    printed: Annotated[
        bool, typer.Option("--printed", help="Use the rounded coefficients of the paper, where they differ.")
    ] = False,
    fit: Annotated[
        str | None,
        typer.Option(metavar="CSV", help="Fit a law to runs: columns N, D, loss.", rich_help_panel=FIT),
    ] = None,
    resamples: Annotated[
        str, typer.Option(metavar="COUNT", help="Fits of resampled runs behind the intervals.", rich_help_panel=FIT)
    ] = "200",
    json: o.Json = False,
    csv: o.Csv = False,
    output: o.File = None,
    explain: o.Explain = False,
) -> int:
    """Scaling laws: the loss of a run, the run of a budget or a loss, what experts are worth; or a law of your runs.

    Two of params, tokens, flops and loss ask for the rest; one alone asks for the compute-optimal run.

    Beyond the runs behind a law its answer is marked and its interval grows. Without a question, laws are listed.
    Exits with 1 where nothing reaches the loss.
    """  # fmt: skip
    from . import export
    from .ask_law import law as ask

    o.no_extrapolate(extrapolate)
    out = export.Output.of(json=json, csv=csv, file=output, explain=explain)
    with export.progress("fitting the law to the runs"):
        answer = ask(
            names or (), params=params, tokens=tokens, flops=flops, loss=loss, experts=experts,
            granularity=granularity, sparsity=sparsity, unique=unique, printed=printed,
            fit=fit, resamples=o.whole(resamples, "resamples"),
        )  # fmt: skip
    out.deliver(answer)
    return 0
