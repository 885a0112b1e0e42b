"""Write docs/cli.md: the hand-written docs/cli.head.md, and every command with its page under docs/commands.

python tools/cli_reference.py            rewrite docs/cli.md
python tools/cli_reference.py --check    exit 1 if it is not current
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from rackmath.faces.cli import application
from rackmath.questions.registry import GROUPS, entries

DOCS = Path(__file__).resolve().parent.parent / "docs"


def reference() -> str:
    """The whole page: the hand-written head, a table of commands for each group, sections of those without a page."""
    root: Any = typer.main.get_command(application(every=True))
    head = (DOCS / "cli.head.md").read_text(encoding="utf-8").rstrip()
    return "\n\n".join([head, *_groups(), *_sections(root)]) + "\n"


def _groups() -> Iterator[str]:
    """The commands of each group with what they answer."""
    for group in GROUPS:
        found = [one for one in entries().values() if one.group == group]
        if found:
            rows = [f"| [`{one.name}`](commands/{one.name.replace(' ', '-')}.md) | {one.summary} |" for one in found]
            yield "\n".join([f"## {group}", "", "| command | what it answers |", "|---|---|", *rows])


def _sections(group: Any, before: str = "") -> Iterator[str]:
    """The commands of a group in order, those of a group inside it under both names."""
    for name, one in group.commands.items():
        if hasattr(one, "commands"):
            yield from _sections(one, f"{before}{name} ")
        elif f"{before}{name}" not in entries():
            yield _section(f"{before}{name}", one)


def _section(name: str, command: Any) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    usage = " ".join(["rackmath", name, *(_word(a) for a in arguments), "[OPTIONS]" if options else "..."])
    example, _, about = command.help.strip().partition("\n\n") if not command.epilog else ("", "", command.help)
    lines = [f"## {name}", "", about.strip(), "", f"    {usage}", ""]
    for a in arguments:
        lines += [f"`{a.metavar}`: {a.help}", ""]
    if options:
        lines += ["| option | value | meaning | default |", "|---|---|---|---|"]
        lines += [_row(o) for o in options]
        lines.append("")
    lines.append(_example(command.epilog or example))
    return "\n".join(lines)


def _word(argument: Any) -> str:
    return str(argument.metavar) if argument.required else f"[{argument.metavar}]"


def _row(option: Any) -> str:
    names = ", ".join(f"`{n}`" for n in option.opts)
    value = "" if option.is_flag else str(option.metavar or "")
    default = "" if option.is_flag or option.default is None else f"`{option.default}`"
    meaning = option.help + (" Required." if option.required else "")
    return f"| {names} | {value} | {meaning.replace('|', chr(92) + '|')} | {default} |"


def _example(epilog: str) -> str:
    return "    " + re.sub(r"Example: |\[/?bold\]", "", epilog)


def main() -> int:
    target, text = DOCS / "cli.md", reference()
    if "--check" in sys.argv[1:]:
        return 0 if target.exists() and target.read_text(encoding="utf-8") == text else 1
    target.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
