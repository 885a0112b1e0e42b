"""Write docs/commands/NAME.md of every command and docs/keys.json, from the answers to the commands' examples.

python tools/command_pages.py [NAME]...  rewrite them, or those of a few commands
python tools/command_pages.py --check    exit 1 where one is not current, or keys changed without a line of CHANGELOG
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from rackmath.answers.parts import Answer
from rackmath.answers.record import keys
from rackmath.faces import docs
from rackmath.faces.commandline import given_of
from rackmath.questions.registry import command, entries

ROOT = Path(__file__).resolve().parent.parent
PAGES, KEYS, CHANGES = ROOT / "docs" / "commands", ROOT / "docs" / "keys.json", ROOT / "CHANGELOG.md"

Keys = Mapping[str, Mapping[str, str]]


def example(name: str) -> Answer:
    """The answer to a command's own example."""
    return command(name).ask(given_of(name, shlex.split(entries()[name].example)))


def path(name: str) -> Path:
    """The page of a command."""
    return PAGES / f"{name.replace(' ', '-')}.md"


def page(name: str, answer: Answer) -> str:
    """The text of the page of a command."""
    head = "<!-- generated: python tools/command_pages.py -->\n\n"
    more = ROOT / "docs" / "concepts" / f"{name.partition(' ')[0]}.md"
    see = f"How it is worked out, and what it rests on: [{more.stem}](../concepts/{more.name})." if more.exists() else ""
    return head + docs.page(command(name), answer, see)


def keys_of(answer: Answer) -> dict[str, str]:
    """The keys of an answer without those of its question, which are the inputs."""
    return keys({key: value for key, value in answer.record.items() if key != "question"})


def keys_text(found: Keys) -> str:
    """The content of docs/keys.json."""
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def unsaid(before: Keys, after: Keys, added: str, whole: str = "") -> list[str]:
    """Commands whose keys changed while no added line of CHANGELOG names them; of new ones, no line at all.

    >>> old, new = {"racks": {"a": "number"}}, {"racks": {"b": "number"}}
    >>> unsaid(old, new, "- `racks` gives b"), unsaid(old, new, "- other"), unsaid(old, old, "")
    ([], ['racks'], [])
    """
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return [name for name in changed if not named(name, added if name in before else added + whole)]


def named(name: str, text: str) -> bool:
    """Whether a text names a command."""
    ways = (f"`{name}", f"rackmath {name}", f"rackmath.{name.replace(' ', '.')}")
    return any(way in text for way in ways)


def git(*words: str) -> str:
    """What git says; nothing where there is no history."""
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


def base() -> tuple[str, bool]:
    """The commit that keys are compared with, and whether it is where this branch left main.

    On main itself it is the one before their last change; a line may then be older than that change.
    """
    here, left = git("rev-parse", "HEAD").strip(), git("merge-base", "HEAD", "origin/main").strip()
    if left and (left != here or git("status", "--porcelain", str(KEYS))):
        return left, True
    last = git("log", "-1", "--format=%H", "--", str(KEYS)).strip()
    return f"{last}~1" if last else "", False


def unsaid_here() -> list[str]:
    """The same for the working tree against its base; nothing where that is not known."""
    since, branched = base()
    before = git("show", f"{since}:docs/keys.json") if since else ""
    if not before:
        return []
    old = set(git("show", f"{since}:CHANGELOG.md").splitlines())
    text = CHANGES.read_text(encoding="utf-8")
    unreleased = text.partition("\n## ")[2].partition("\n## ")[0]
    added = "\n".join(line for line in text.splitlines() if line not in old) if branched else unreleased
    return unsaid(json.loads(before), json.loads(KEYS.read_text(encoding="utf-8")), added, text)


def faults(answers: Mapping[str, Answer]) -> Iterator[str]:
    """What is not as it should be, a sentence each."""
    for name, answer in answers.items():
        if not path(name).exists() or path(name).read_text(encoding="utf-8") != page(name, answer):
            yield f"{path(name).relative_to(ROOT)} is not current; run python tools/command_pages.py"
    if {one.name for one in PAGES.glob("*.md")} != {path(name).name for name in entries()}:
        yield "docs/commands does not hold a page for each command; run python tools/command_pages.py"
    known = json.loads(KEYS.read_text(encoding="utf-8"))
    if any(known.get(name) != keys_of(answer) for name, answer in answers.items()) or known.keys() != entries().keys():
        yield "docs/keys.json is not current; run python tools/command_pages.py"
    for name in unsaid_here():
        yield f"keys of {name} changed and CHANGELOG.md says nothing of it; add a line that names `{name}`"


def main() -> int:
    few = [word for word in sys.argv[1:] if not word.startswith("-")]
    answers = {name: example(name) for name in few or entries()}
    if "--check" in sys.argv[1:]:
        found = list(faults(answers))
        print("\n".join(found))
        return 1 if found else 0
    PAGES.mkdir(exist_ok=True)
    for gone in {one.name for one in PAGES.glob("*.md")} - {path(name).name for name in entries()}:
        (PAGES / gone).unlink()
    for name, answer in answers.items():
        path(name).write_text(page(name, answer), encoding="utf-8")
    found = json.loads(KEYS.read_text(encoding="utf-8")) | {name: keys_of(one) for name, one in answers.items()}
    KEYS.write_text(keys_text({name: found[name] for name in entries() if name in found}), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
