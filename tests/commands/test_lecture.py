"""`rackmath lecture`: the ledger as a table, one claim in full, inputs replaced, errors in one sentence."""

import json
import shlex

import pytest
from typer.testing import CliRunner

import rackmath
from rackmath.claims.ledger import claims
from rackmath.claims.verdicts import evaluate
from rackmath.faces.cli import application, main

runner = CliRunner()


def run(*words):
    return runner.invoke(application(words), [*words])


def findings():
    return [evaluate(claim) for claim in claims()]


def test_the_table_lists_every_claim_on_a_line(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    out = run("lecture").output
    for finding in findings():
        row = next(line for line in out.splitlines() if line.strip().startswith(f"{finding.claim.number} "))
        assert finding.outcome.verdict.removesuffix(", not computed") in row


def test_a_claim_shows_what_its_verdict_rests_on():
    out = run("lecture", "3").output
    for words in ("does not hold", "5,441", "2,400", "technical report", "rackmath batch"):
        assert words in out


def test_agreement_is_said_only_where_the_numbers_agree(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    for finding in findings():
        out = run("lecture", finding.claim.number).output
        agrees, differs = "agrees within" in out, "differs by more than" in out
        if finding.outcome.near is None:
            assert not agrees
            assert not differs
        else:
            apart = abs(finding.outcome.ours / finding.claim.lecture - 1)
            assert agrees == (apart <= finding.claim.tolerance)
            assert differs == (apart > finding.claim.tolerance)
    assert {f.outcome.near for f in findings()} == {None, True, False}


def test_changing_an_input_changes_the_verdict():
    found = json.loads(run("lecture", "4", "--set", "batch=2000", "--json").output)
    assert found["verdict"] == "holds"
    assert found["changed"] == ["batch"]
    assert found["inputs"]["batch"]["source"] == "given by you"


def test_every_computed_claim_names_a_command_that_runs():
    commands = {f.claim.command for f in findings() if f.claim.command}
    for command in sorted(commands):
        program, *words = shlex.split(command)
        assert program == "rackmath"
        assert run(*words).exit_code == 0, command


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lecture", "99"], "unknown claim"),
        (["lecture", "--set", "batch=1"], "without a CLAIM"),
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


def test_the_picture_holds_every_claim_whose_number_differs():
    answer = rackmath.lecture()
    assert sum(answer.counts.values()) == len(answer.claims)
    assert answer.counts.holds == sum(row["verdict"] == "holds" for row in answer.claims)
    drawn = {row["name"].split(" ")[0]: row["points"][0] for row in answer.ratios}
    for row in answer.claims:
        if row["number"] in drawn:
            point = drawn[row["number"]]
            assert point["value"] == pytest.approx(row["ours"] / row["lecture"])
            assert point["kind"] == row["verdict"]
        elif row["ours"] is not None and row["lecture"]:
            assert row["ours"] == pytest.approx(row["lecture"], rel=0.01)
    assert answer.charts[0]["layer"]


def test_one_claim_in_python():
    answer = rackmath.lecture("T2")
    assert answer.verdict == "holds"
    assert answer.claims[0]["title"] == "A train every 20 ms means 40 ms at worst"
    assert rackmath.lecture("4", sets={"batch": 2000}).verdict == "holds"
