"""The command line: words in, a command's answer in the middle, `export` out. No arithmetic here.

Importing this module loads typer and the standard library only, so that `rackmath --help` is quick.
How it ends, and with which exit code: `endings`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from ..questions.registry import FIRST, GROUPS, entries
from . import commandline, endings
from .careful import careful

ABOUT: dict[str, Any] = {
    "name": "rackmath",
    "help": commandline.example("rackmath plan deepseek-ai/DeepSeek-V3 --on gb200-nvl72 --min-interactivity 20")
    + "\n\nLatency, throughput, memory and cost of serving and training large language models, from first principles."
    " Every command's --help opens with an example.",
    "context_settings": {"help_option_names": ["-h", "--help"]},
    "no_args_is_help": True,
    "pretty_exceptions_enable": False,
    "rich_markup_mode": "rich",
}

app = typer.Typer(**ABOUT)


def application(words: Iterable[str] = (), *, every: bool = False) -> typer.Typer:
    """The application with the options of the commands that `words` name, or of every command."""
    made = typer.Typer(**ABOUT)
    made.registered_callback = app.registered_callback
    made.registered_commands += app.registered_commands
    commandline.register(made, words, every=every)
    made.registered_commands.sort(key=_place)
    careful(made)
    return made


def _place(one: Any) -> tuple[int, int]:
    """Where a command stands in the help: groups in README's order, the most used of each first."""
    name = one.name or one.callback.__name__.rstrip("_")
    group = GROUPS.index(one.rich_help_panel) if one.rich_help_panel in GROUPS else len(GROUPS)
    return group, FIRST.index(name) if name in FIRST else len(FIRST)


ASK = "How sure, and why"


def _version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        typer.echo(f"rackmath {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)] = False,
) -> None:
    pass


@app.command(
    "explain",
    rich_help_panel=ASK,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    help=commandline.example("rackmath explain plan meta-llama/Llama-3.1-8B --on 8xh100")
    + "\n\nAny answer as a tree of named terms: value, unit, formula with its numbers, source of each input."
    + "\n\nTakes a command with its own arguments.",
    short_help="Any answer as a tree of named terms: value, unit, formula with its numbers, source of each input.",
)
def explain_(
    context: typer.Context,
    command: Annotated[str, typer.Argument(metavar="COMMAND", help="Any command that answers.")] = "",
    levels: Annotated[str | None, typer.Option(metavar="COUNT", help="Show so many levels of terms. All if not given.")] = None,
) -> int:
    """The answer of another command as a tree of terms."""
    from ..errors import unknown

    known = list(dict.fromkeys(name.split(" ")[0] for name in entries()))
    if command in ("", "-h", "--help"):
        typer.echo(context.get_help())
        return 0
    if command not in known:
        raise unknown("command", command, known, hint="; explain takes a command with its own arguments")
    line = [command, *context.args, "--explain", *([] if levels is None else ["--levels", levels])]
    done = application(line)(args=line, standalone_mode=False)
    return done if isinstance(done, int) else 0


def run(args: list[str] | None = None) -> int:
    """The exit code of one command; every mistake becomes one sentence on stderr."""
    endings.sane_width()
    _left_out()  # what an earlier command of this process met is not this one's
    words = [*(sys.argv[1:] if args is None else args), *os.environ.get("COMP_WORDS", "").split()]
    try:
        return endings.code_of(lambda: application(words)(args=args, prog_name="rackmath", standalone_mode=False))
    finally:
        for sentence in _left_out():
            endings.complain(f"left out {sentence}", "warning")


def _left_out() -> tuple[str, ...]:
    """The files of the user that were left out since the last call, if the command looked at any."""
    overlay = sys.modules.get("rackmath.world.overlay")
    return () if overlay is None else tuple(overlay.warnings())


def main() -> None:
    """The command line as a process."""
    endings.process(run)
