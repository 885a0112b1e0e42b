"""`rackmath lecture`: the ledger as a table, one claim in full, inputs replaced, errors in one sentence."""

import json
import shlex

import pytest
from typer.testing import CliRunner

from rackmath.faces.ask_lecture import lecture
from rackmath.faces.cli import app, main

runner = CliRunner()


def test_the_table_lists_every_claim_on_a_line(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    out = runner.invoke(app, ["lecture"]).output
    for finding in lecture().findings:
        row = next(line for line in out.splitlines() if line.strip().startswith(f"{finding.claim.number} "))
        assert finding.outcome.verdict.removesuffix(", not computed") in row


def test_a_claim_shows_what_its_verdict_rests_on():
    out = runner.invoke(app, ["lecture", "3"]).output
    for words in ("does not hold", "5,441", "2,400", "technical report", "rackmath batch"):
        assert words in out


def test_agreement_is_said_only_where_the_numbers_agree(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    for finding in lecture().findings:
        out = runner.invoke(app, ["lecture", finding.claim.number]).output
        agrees, differs = "agrees within" in out, "differs by more than" in out
        if finding.outcome.near is None:
            assert not agrees
            assert not differs
        else:
            apart = abs(finding.outcome.ours / finding.claim.lecture - 1)
            assert agrees == (apart <= finding.claim.tolerance)
            assert differs == (apart > finding.claim.tolerance)
    assert {f.outcome.near for f in lecture().findings} == {None, True, False}


def test_changing_an_input_changes_the_verdict():
    found = json.loads(runner.invoke(app, ["lecture", "4", "--set", "batch=2000", "--json"]).output)
    assert found["verdict"] == "holds"
    assert found["changed"] == ["batch"]
    assert found["inputs"]["batch"]["source"] == "given by you"


def test_every_computed_claim_names_a_command_that_runs():
    commands = {f.claim.command for f in lecture().findings if f.claim.command}
    for command in sorted(commands):
        program, *words = shlex.split(command)
        assert program == "rackmath"
        assert runner.invoke(app, words).exit_code == 0, command


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lecture", "99"], "unknown claim"),
        (["lecture", "--set", "batch=1"], "without the number of a CLAIM"),
        (["lecture", "4", "--set", "bach=1"], "did you mean batch"),
        (["lecture", "4", "--set", "batch"], "batch"),
    ],
)
def test_mistakes_are_one_sentence(words, said, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["rackmath", *words])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err
