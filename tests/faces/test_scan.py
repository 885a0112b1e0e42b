"""A seeded sample of the scan: every model, command, vendor and form once, none failing or printing nonsense."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import scan
from scan import Run
from typer.main import get_command

from rackmath.faces.cli import app
from rackmath.questions.registry import entries
from rackmath.world import catalog

SAMPLE = scan.sample()


def commands() -> set[str]:
    """Names of all commands, those of groups with the group's before them."""
    found = set(entries())
    for name, one in get_command(app).commands.items():  # type: ignore[attr-defined]
        found |= {f"{name} {inner}" for inner in one.commands} if hasattr(one, "commands") else {name}
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scan")


def test_the_scan_knows_every_command() -> None:
    assert set(scan.COMMANDS) == commands()


def test_the_whole_scan_is_the_product() -> None:
    runs = scan.everything()
    assert len(set(runs)) == len(runs)
    several = Counter((r.command, r.form) for r in runs if r.command in scan.ON_A_MACHINE)
    assert set(several.values()) == {len(scan.models()) * len(scan.vendors())}
    assert len(several) == 3 * len(scan.ON_A_MACHINE)


def test_the_sample_covers_models_commands_vendors_and_forms() -> None:
    assert {r.model for r in SAMPLE if r.model} == set(scan.models())
    assert {(r.command, r.form) for r in SAMPLE} == {(c, f) for c in commands() for f in scan.FORMS}
    vendor = {name: v for v, names in scan.vendors().items() for name in names}
    assert {vendor[r.machine] for r in SAMPLE if r.machine} == set(scan.vendors())


@pytest.mark.parametrize("run", SAMPLE, ids=lambda run: " ".join(run.words))
def test_it_is_an_answer_or_a_refusal_in_a_sentence(run: Run, folder: Path) -> None:
    with scan.prepared(folder):
        code, wrong = scan.outcome(run)
    assert not wrong, f"{wrong} (exit code {code})"


def test_a_fault_is_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a command that fails, warns or divides by nothing, the scan says so."""

    def fails(*args: object, **options: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(catalog, "model", fails)
    with scan.prepared(folder):
        code, wrong = scan.outcome(Run("forward", "text", "Qwen/Qwen3-0.6B", "h100"))
    assert code not in (0, 1, 2)
    assert wrong


def test_a_stopped_scan_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [Run("law", "text"), Run("machines", "json", machine="h100"), Run("models", "text", "Qwen/Qwen3-0.6B")]
    for name, value in (("RECORD", tmp_path / "runs.csv"), ("PAGE", tmp_path / "scan.md")):
        monkeypatch.setattr(scan, name, value)
    monkeypatch.setattr(scan, "remembered", lambda: None)
    monkeypatch.setattr(scan, "everything", lambda: runs[:1])
    scan.scan(float("inf"))
    monkeypatch.setattr(scan, "everything", lambda: runs)
    scan.scan(float("inf"))
    found = scan.recorded()
    assert [(r["command"], r["code"], r["wrong"]) for r in found] == [("law", "0", ""), ("machines", "0", ""), ("models", "0", "")]
    assert "3 of 3 runs (100.0%)" in scan.page(found, len(runs))
