"""The commands there are: names, groups and one-line summaries, from the heads of their files; none is imported.

A command is a module of `rackmath.commands`, or a folder where one module is too small. Its docstring opens with the
summary and holds the lines `Group: ...` and `Example: ...`; its function `answer` takes the question. A folder whose
docstring has no example is a group of commands: `lab ciphers`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

if TYPE_CHECKING:
    from ..answers.parts import Answer
    from .fields import Spec

GROUPS = ("Serving", "Prices", "Training and size", "How sure, and why", "Catalogue")
"""Groups of commands in the words of README, the most used first."""

FIRST = (
    "plan",
    "fits",
    "memory",
    "batch",
    "forward",
    "context",
    "modes",
    "tiers",
    "racks",
    "quote",
    "prices",
    "bill",
    "infer",
    "train",
    "law",
    "schedule",
    "score",
    "explain",
    "calibrate",
    "validate",
    "models",
    "machines",
)
"""Commands that open their group; the others follow by name."""

HEAD = 2048
"""Bytes at the head of a command's file that hold its summary, group and example."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A command as a list shows it: `name` is "racks" or "lab ciphers"."""

    name: str
    summary: str
    group: str
    example: str
    module: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command with its question and the function that answers it."""

    entry: Entry
    question: type
    answer: Callable[[Any], Answer]
    details: str

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def specs(self) -> dict[str, Spec]:
        """Its inputs."""
        from .fields import specs

        return specs(self.question)

    def ask(self, given: Mapping[str, Any], *, typed: bool = False) -> Answer:
        """The answer to the question that words or numbers make; `typed`: people wrote every one of them."""
        from .fields import asked

        question = self.read(given, typed=typed)
        arguments = asked(question)
        with families(getattr(question, "family", None)):
            return replace(self.answer(question), command=self.name, question=arguments)

    def read(self, given: Mapping[str, Any], *, typed: bool = False) -> Any:
        """The question that words or numbers make; refused in one sentence where it is none."""
        from .fields import read

        return read(self.question, given, self.name, typed=typed)


def families(path: str | None) -> AbstractContextManager[None]:
    """While a question with a file of families is answered, configs are read by its rows too."""
    if path is None:
        return nullcontext()
    from ..world.huggingface.rows import using

    return using(path)


@cache
def entries() -> Mapping[str, Entry]:
    """Every command by name, in the order in which people should meet them.

    >>> entries()["racks"].group
    'Serving'
    """
    root = Path(__file__).parent.parent / "commands"
    found = [one for one in (_entry(path, root) for path in sorted(root.rglob("*.py"))) if one is not None]
    rank = {name: i for i, name in enumerate(FIRST)}
    found.sort(key=lambda e: (GROUPS.index(e.group), rank.get(e.name, len(rank)), e.name))
    return {one.name: one for one in found}


@cache
def groups() -> Mapping[str, str]:
    """Groups of commands and what they are about: the docstring of their folder.

    >>> "nothing here protects data" in groups()["lab"]
    True
    """
    root = Path(__file__).parent.parent / "commands"
    names = dict.fromkeys(name.rpartition(" ")[0] for name in entries() if " " in name)
    return {name: " ".join(_doc(root / name.replace("-", "_") / "__init__.py").split()) for name in names}


def _doc(path: Path) -> str:
    """The docstring at the head of a file, which is not read further."""
    with path.open("rb") as file:
        before, _, doc = file.read(HEAD).decode("utf-8", "ignore").partition('"""')
    return "" if before.strip("r \n") else doc.partition('"""')[0]


def _entry(path: Path, root: Path) -> Entry | None:
    inside = path.relative_to(root).with_suffix("")
    parts = inside.parts[:-1] if inside.name == "__init__" else inside.parts
    doc = _doc(path)
    fields = dict(re.findall(r"^(Group|Example): (.+(?:\n    .+)*)", doc, re.MULTILINE))
    if not parts or "Example" not in fields:
        return None
    return Entry(
        name=" ".join(part.rstrip("_").replace("_", "-") for part in parts),
        summary=doc.strip().partition("\n\n")[0].replace("\n", " "),
        group=fields["Group"].strip(),
        example=" ".join(fields["Example"].split()),
        module=".".join(("rackmath", "commands", *parts)),
    )


@cache
def command(name: str) -> Command:
    """A command by name; its module is imported here."""
    known = entries()
    if name not in known:
        from ..errors import unknown

        raise unknown("command", name, known)
    module = import_module(known[name].module)
    hints = get_type_hints(module.answer)
    question = next(hint for key, hint in hints.items() if key != "return")
    details = re.sub(r"^(Group|Example): .+(?:\n    .+)*\n?", "", module.__doc__ or "", flags=re.MULTILINE)
    return Command(entry=known[name], question=question, answer=module.answer, details=details.strip())


def ask(name: str, /, **given: Any) -> Answer:
    """Words or numbers in, the answer out: the one door of command line, Python, page and tools.

    The answer holds its whole question: `ask(name, **answer.question)` gives it again.

    >>> answer = ask("forward", model="meta-llama/Llama-3.1-8B", on="8xh100", batch="1k", context=4096)
    >>> answer.question["batch"], answer.time["estimate"] > answer.time["bound"]
    (1000, True)
    """
    return command(name).ask(given)
