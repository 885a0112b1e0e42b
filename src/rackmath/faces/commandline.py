"""Commands on the command line: their options are the fields of their questions.

Typer and the standard library only; a command's module is imported when that command is called.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from ..questions.registry import Entry, command, entries
from ..questions.registry import groups as groups_known
from . import options as o

OUTPUT: dict[str, tuple[Any, Any]] = {
    "json": (o.Json, False),
    "csv": (o.Csv, False),
    "output": (o.File, None),
    "explain": (o.Explain, False),
    "levels": (o.Levels, None),
}
"""Options that say how an answer is shown; they are no part of a question."""

PLACED: dict[str, tuple[Any, Any]] = {"output": (o.ShortFile, None)}
"""The same where an input of the command bears the long name."""

COMPLETE = {
    "models": o.complete_models,
    "machines": o.complete_machines,
    "engines": o.complete_engines,
    "lists": o.complete_lists,
    "laws": o.complete_laws,
    "ciphers": o.complete_ciphers,
}


def register(app: typer.Typer, words: Iterable[str], *, every: bool = False) -> None:
    """Put the commands of the registry on an application: in full where `words` name them, else as a line of help."""
    said = set(words)
    groups: dict[str, typer.Typer] = {}
    for entry in entries().values():
        group, _, name = entry.name.rpartition(" ")
        on = app
        if group:
            if group not in groups:
                shown = {"help_option_names": ["-h", "--help"]}
                about = groups_known()[group]
                groups[group] = typer.Typer(no_args_is_help=True, help=about, context_settings=shown)
                app.add_typer(groups[group], name=group, rich_help_panel=entry.group)
            on = groups[group]
        full = every or said.issuperset(entry.name.split(" "))
        on.command(name, help=None if full else entry.summary, short_help=entry.summary, rich_help_panel=entry.group)(
            _function(entry) if full else _stub
        )


def _stub() -> None:
    """A command that was not called."""


def _function(entry: Entry) -> Callable[..., int]:
    """The function that typer reads the options of a command from."""
    one = command(entry.name)

    def run(ctx: typer.Context, **given: Any) -> int:
        from . import export

        shown = {name: given.pop(f"shown_{name}") for name in OUTPUT}
        typed = {name: value for name, value in given.items() if _was_typed(ctx, name)}
        levels = shown.pop("levels")
        file: Path | None = shown.pop("output")
        out = export.Output.of(**shown, file=file, levels=o.depth(levels, explain=shown["explain"]))
        with export.progress(f"working out {entry.name}"):
            answer = one.ask(typed, typed=True)
        out.deliver(answer)
        return answer.exit_code

    params = [inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)]
    params += [_parameter(spec) for spec in one.specs.values()]
    own = {spec.option for spec in one.specs.values()}
    params += [
        inspect.Parameter(f"shown_{name}", inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in (OUTPUT | (PLACED if "--output" in own else {})).items()
    ]
    run.__signature__ = inspect.Signature(params)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in params}
    run.__doc__ = f"{example(entry.example)}\n\n{_flowing(one.details)}"
    return run


def example(line: str) -> str:
    """What a help text opens with: a command line that answers."""
    return f"Example: [bold]{line.replace('[', chr(92) + '[')}[/bold]"


def _was_typed(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _flowing(text: str) -> str:
    """Paragraphs without the line breaks of their source, which a terminal sets itself; indented ones stay.

    >>> _flowing("One\\ntwo.\\n\\n  kept\\n  so")
    'One two.\\n\\n  kept\\n  so'
    """
    parts = text.split("\n\n")
    return "\n\n".join(p if any(line.startswith(" ") for line in p.split("\n")) else " ".join(p.split()) for p in parts)


def _parameter(spec: Any) -> inspect.Parameter:
    of = spec.field
    flag = spec.kind == "flag"
    kind: Any = bool if flag else list[str] if spec.many or spec.kind == "pairs" else str
    kind = kind if flag else kind | None  # what is required is asked for by the question, in its own words
    default = None if spec.required else spec.default if flag else _written(spec.default, of.unit)
    shared: dict[str, Any] = {
        "help": " ".join(filter(None, [of.help, _taken(of.choices), "Required." if spec.required else "", spec.condition])),
        "metavar": of.metavar or None,
        "autocompletion": COMPLETE.get(of.complete),
        "rich_help_panel": of.panel or None,
    }
    info = typer.Argument(**shared) if of.argument else typer.Option(spec.option, *of.also, **shared)
    return inspect.Parameter(spec.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info])


def _taken(choices: tuple[str, ...]) -> str:
    return f"One of {', '.join(choices)}." if choices else ""


def _written(default: Any, unit: str = "") -> Any:
    """A default as somebody would type it; None where there is none.

    >>> _written((300, 3600, 5400.0), "s"), _written(0.5), _written(())
    (['5min', '1h', '1.5h'], '0.5', None)
    """
    if default in (None, (), {}):
        return None
    if isinstance(default, tuple):
        return [_written(one, unit) for one in default]
    if unit == "s":
        size, word = next((size, word) for size, word in ((3600, "h"), (60, "min"), (0, "s")) if default >= size)
        return f"{default / (size or 1):g}{word}"
    return f"{default:g}" if isinstance(default, float) else str(default)


def given_of(name: str, line: list[str]) -> dict[str, Any]:
    """The inputs that a command line gives: what its options say, without their defaults.

    >>> given_of("racks", ["rackmath", "racks", "deepseek-ai/DeepSeek-V3", "--on", "144xh800", "--overlap"])
    {'model': 'deepseek-ai/DeepSeek-V3', 'on': '144xh800', 'overlap': True}
    """
    one = command(name)
    words = line[1 + len(name.split(" ")) :]
    options = {spec.option: spec for spec in one.specs.values() if not spec.field.argument}
    places = [spec for spec in one.specs.values() if spec.field.argument]
    found: dict[str, Any] = {}
    while words:
        word = words.pop(0)
        spec = options[word] if word.startswith("-") else places[0] if places[0].many else places.pop(0)
        value: Any = True if spec.kind == "flag" else words.pop(0) if word.startswith("-") else word
        found[spec.name] = [*found.get(spec.name, []), value] if spec.many or spec.kind == "pairs" else value
    return found
