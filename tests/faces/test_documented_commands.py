"""Every `rackmath ...` line printed in README and docs is a command that exists, and README's own lines run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from rackmath.faces.cli import application, run

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))

FILLED = {"MODEL": "meta-llama/Meta-Llama-3.1-8B", "MACHINE": "8xh100", "NAME": "", "PRICELIST": "", "CLAIM": "4"}
"""Placeholders, with something small in their place; what stands in brackets is left out."""

ELSEWHERE = ("FILE", ".csv", ".json", ".toml", "MINE", "…", "...", "|", "<", "RATE", "path/to", "HF", "$RACKMATH")
"""Signs of a file of the reader's own, or of words left out: such a line cannot be run as it stands."""

SLOW = ("--blind", "validate", "lab ", "train ")
"""Run by their own tests: they take more than a few seconds each."""


ON = [FILLED["MODEL"], "--on", FILLED["MACHINE"]]
REST = {
    "bill": ["anthropic/claude-opus-4-6"],
    "forward": ON,
    "batch": ON,
    "memory": ON,
    "modes": ON,
    "racks": ["Qwen/Qwen3-30B-A3B", "--on", "8xh100"],
    "readings": ["anthropic/claude-opus-4-6"],
    "infer": ["anthropic/claude-opus-4-6", "--draws", "100k"],
    "design": ["--experts", "1,8", "--caches", "gqa"],
}
"""What a table leaves out of a line, and what keeps it quick."""


def lines(page: Path) -> list[str]:
    """The commands of a page: in backticks, fenced or indented, continuations joined, comments and prompts cut."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    found = re.findall(r"`(rackmath [^`\n]+)`", text)
    found += re.findall(r"^(?: {4}|\$ )(rackmath .+?)(?: {3,}.*| +#.*)?$", text, flags=re.M)
    return list(dict.fromkeys(word.strip() for word in found))


def words(line: str) -> list[str] | None:
    """A line as arguments, placeholders filled; None where it is no whole command."""
    if any(sign in line for sign in ELSEWHERE):
        return None
    line = re.sub(r"\[[A-Z|]+\]", "", line)
    for name, value in FILLED.items():
        line = re.sub(rf"\b{name}\b", value, line)
    try:
        found = shlex.split(line)[1:]
    except ValueError:
        return None
    return found if found and re.fullmatch(r"[a-z]+", found[0]) else None


README = [line for line in lines(PAGES[0]) if words(line) and not any(s in line for s in SLOW)]
ALL = [(page.name, line) for page in PAGES for line in lines(page) if words(line)]


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        file, _, heading = target.partition("#")
        if ":" in file:
            continue
        to = (page.parent / file).resolve() if file else page
        assert to.exists(), f"{page.name}: {target}"
        if heading and page.name != "cli.head.md":  # the head of another page
            heads = re.findall(r"^#+ (.+)$", to.read_text(encoding="utf-8"), flags=re.M)
            known = {re.sub(r"[^\w -]", "", head).strip().lower().replace(" ", "-") for head in heads}
            assert heading in known, f"{page.name}: {target}"


def test_commands_are_found():
    assert len(README) > 15
    assert len(ALL) > 80
    for line in ("rackmath allocate --traffic 50M/s --active 100B",):
        assert line in README


@pytest.mark.parametrize(("page", "line"), ALL)
def test_documented_commands_exist_with_their_options(page: str, line: str):
    """Parsed as the command line is, not run: a command or option that is gone, or is not spelt so, fails."""
    import typer

    args = words(line)
    assert args is not None
    command = typer.main.get_command(application(every=True))
    name, *rest = args
    named = command.commands.get(name)  # type: ignore[attr-defined]
    assert named is not None, f"{page}: {line}"
    if rest and hasattr(named, "commands") and rest[0] in named.commands:
        named, rest = named.commands[rest[0]], rest[1:]
    options = {o for p in named.params for o in (*p.opts, *p.secondary_opts)} | {"--help"}
    used = [word.partition("=")[0] for word in rest if re.match(r"--[a-z]|-[a-zA-Z]$", word)]
    if name != "explain":
        assert set(used) <= options, f"{page}: {line}"


@pytest.mark.parametrize("line", README)
def test_every_line_of_the_readme_runs(line: str, capsys: pytest.CaptureFixture[str]):
    args = words(line)
    assert args is not None
    args += ON if args == ["plan", "--mode", "any"] else [word for word in REST.get(args[0], []) if word not in args]
    assert run(args) == 0, capsys.readouterr().err[-500:]
    assert capsys.readouterr().out
