"""A page of the reference for each command, made of its question: what it answers, an example, every input."""

from __future__ import annotations

from ..questions.fields import Spec
from ..questions.registry import Command


def page(one: Command) -> str:
    """The page of a command in Markdown."""
    panels: dict[str, list[Spec]] = {}
    for spec in one.specs.values():
        panels.setdefault(spec.field.panel, []).append(spec)
    parts = [f"# rackmath {one.name}", one.details, f"```sh\n{one.entry.example}\n```"]
    for name, found in panels.items():
        rows = "\n".join(_row(spec) for spec in found)
        title = [f"## {name}"] if name else []
        parts += [*title, f"| input | option | what | values | default |\n|---|---|---|---|---|\n{rows}"]
    return "\n\n".join(parts) + "\n"


def _row(spec: Spec) -> str:
    of = spec.field
    values = ", ".join(of.choices) or (f"{of.unit}: {of.range}" if spec.kind == "number" else spec.kind)
    default = "required" if spec.required else _default(spec.default)
    what = " ".join(filter(None, [of.help, spec.condition]))
    cells = (f"`{spec.name}`", f"`{spec.option}`", what, values, default)
    return "| " + " | ".join(text.replace("|", "\\|") for text in cells) + " |"


def _default(value: object) -> str:
    return "" if value in (None, (), {}, False) else f"`{value}`"
