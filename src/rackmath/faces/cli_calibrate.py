"""The command `calibrate`. Typer and the standard library only."""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as o

RUN = "What the file does not say"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        rich_help_panel="Evidence",
        epilog="Example: rackmath calibrate --from vllm.json --on 8xh100 --tp 8 --save ours; then rackmath plan MODEL"
        " --on 8xh100 --engine ours",
    )(calibrate)


def _size(name: str, help_: str) -> typer.models.OptionInfo:
    found: typer.models.OptionInfo = typer.Option(f"--{name}", metavar="COUNT", help=help_, rich_help_panel=RUN)
    return found


def calibrate(
    files: Annotated[
        list[str],
        typer.Option(
            "--from",
            metavar="FILE",
            help="Results of InferenceX, vLLM bench serve, SGLang bench_serving, GenAI-Perf, AIPerf or llama-bench,"
            " JSON or CSV; recognised by what stands in them. Repeatable; a folder or a pattern means every file.",
            show_default=False,
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="The model that was served.", rich_help_panel=RUN, autocompletion=o.complete_models
        ),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(
            "--on",
            metavar="MACHINE",
            help="The machine it ran on: 8xh100.",
            rich_help_panel=RUN,
            autocompletion=o.complete_machines,
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="ENGINE",
            help="The engine that served it: vllm, sglang, trtllm or atom, with its version or without; typical.",
            rich_help_panel=RUN,
            autocompletion=o.complete_engines,
        ),
    ] = None,
    tp: Annotated[str | None, _size("tp", "Tensor-parallel ranks.")] = None,
    dp: Annotated[str | None, _size("dp", "Attention-data-parallel ranks.")] = None,
    ep: Annotated[str | None, _size("ep", "Expert-parallel ranks.")] = None,
    pp: Annotated[str | None, _size("pp", "Pipeline stages.")] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT", help="Format of the weights: fp8, ... As published if not given.", rich_help_panel=RUN
        ),
    ] = None,
    kv: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT", help="Format of the cache: fp8, ... As published if not given.", rich_help_panel=RUN
        ),
    ] = None,
    isl: Annotated[
        str | None, typer.Option(metavar="TOKENS", help="Mean input tokens of a request.", rich_help_panel=RUN)
    ] = None,
    osl: Annotated[
        str | None, typer.Option(metavar="TOKENS", help="Mean output tokens of a request.", rich_help_panel=RUN)
    ] = None,
    concurrency: Annotated[
        str | None,
        typer.Option(metavar="COUNT", help="Requests that were inside at once.", rich_help_panel=RUN),
    ] = None,
    save: Annotated[
        str | None,
        typer.Option(
            "--save",
            metavar="NAME",
            help="Keep the fit as an engine of this name in ~/.config/rackmath (or $RACKMATH_HOME); --engine NAME"
            " uses it in every command.",
            rich_help_panel=o.OUTPUT,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an engine saved under this name.", rich_help_panel=o.OUTPUT)
    ] = False,
    json: o.Json = False,
    csv: o.Csv = False,
    output: o.File = None,
    explain: o.Explain = False,
) -> int:
    """Fit a few constants of an engine to your own benchmark runs; errors before and after, and of runs left out.

    Each constant starts at its packaged value and is held by the width it may differ by, so three runs do. In files
    that name model, machine and layout themselves (InferenceX) the options pick rows; elsewhere they add what the
    file does not say.
    """
    from . import ask_calibrate, export

    wanted = export.Output.of(json=json, csv=csv, file=output, explain=explain)
    ask_calibrate.check_save(save, force=force)
    with export.progress("fitting"):
        answer = ask_calibrate.calibrate(
            files, model=model, on=on, engine=engine, tp=tp, dp=dp, ep=ep, pp=pp, precision=precision, kv=kv, isl=isl,
            osl=osl, concurrency=concurrency, save=save, force=force,
        )  # fmt: skip
    wanted.deliver(answer)
    return 0
