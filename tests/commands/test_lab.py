"""The commands of the lab: networks from recorded figures, which need no PyTorch, ciphers, and their mistakes."""

import csv
import io
import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.testing import CliRunner

import rackmath
from rackmath.errors import BadInput
from rackmath.experiments.ciphers import ciphers
from rackmath.experiments.results import (
    Depth,
    LossCurve,
    agreement,
    figures,
    growth,
    losses,
    predicted_ratio,
    recorded_memory,
    recorded_parallel,
    time_ratio,
)
from rackmath.experiments.study import study
from rackmath.faces import charts, cli
from rackmath.faces.cli import application, run
from rackmath.progress import heard_by

runner = CliRunner()


def told(words):
    return runner.invoke(application(words), words)


def test_recorded_memory_is_constant_in_depth():
    m = recorded_memory()
    assert growth(m.depths, "reversible") == 1.0
    assert growth(m.depths, "stored") > 7
    assert growth(m.depths, "square root") < growth(m.depths, "checkpointed") < growth(m.depths, "stored")


def test_recorded_time_is_that_of_one_more_forward_pass():
    m = recorded_memory()
    assert time_ratio(m.depths) == pytest.approx(predicted_ratio(m.depths), rel=0.1)
    assert time_ratio(m.depths) == pytest.approx(4 / 3, rel=0.15)


def test_ratios_of_known_steps():
    def step(way, layers, saved, seconds):
        return Depth(way=way, layers=layers, saved=saved, peak=saved, forward=1.0, step=seconds)

    points = [step("stored", 1, 10, 3.0), step("stored", 4, 40, 3.0), step("reversible", 1, 5, 4.0), step("reversible", 4, 5, 4.0)]
    assert growth(points, "stored") == 4
    assert growth(points, "reversible") == 1
    assert time_ratio(points) == predicted_ratio(points) == pytest.approx(4 / 3)


def test_recorded_errors_are_of_the_lectures_size():
    at = {r.layers: r.error for r in recorded_memory().rebuilt}[48]
    for precision, lecture in (("fp64", 7e-14), ("fp32", 1e-5), ("fp16", 8e-2)):
        assert lecture / 10 < at[precision] < lecture * 10
    assert at["fixed point"] == 0


def test_recorded_twins_agree_within_noise():
    m = recorded_memory()
    runs = {way: [c for c in m.curves if c.way == way] for way in ("stored", "reversible", "residual")}
    twin = agreement(runs["stored"], runs["reversible"])
    assert twin.within
    assert twin.pairs < 0.1 * twin.noise
    assert agreement(runs["stored"], runs["residual"]).pairs > twin.pairs
    for c in m.curves:
        assert c.training[-1] < c.training[0]


def test_distant_runs_do_not_agree():
    def runs(at):
        return [LossCurve(way="", seed=s, training=(), held_out=at + s / 100) for s in range(4)]

    assert not agreement(runs(2.0), runs(2.1)).within


def test_recorded_networks_and_ciphers_go_opposite_ways():
    f = figures()
    assert f["cipher_flipped"] == pytest.approx(0.5, abs=0.01)
    assert f["net_flipped"] < 0.1
    assert f["touched"] > 0.99
    assert f["answers_gradient"] > f["answers_random"]
    assert f["answers_differential"] > 3 * f["answers_random"]


@pytest.mark.parametrize("command", ["memory", "parallel"])
@pytest.mark.parametrize("width", ["60", "80", "120"])
def test_screens_keep_to_the_terminal(command, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", width)
    done = told(["lab", command, "--recorded"])
    assert done.exit_code == 0
    assert all(len(line) <= int(width) for line in done.output.splitlines())


def test_the_screen_says_what_was_found(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    said = " ".join(told(["lab", "memory", "--recorded"]).output.split())
    for words in ("4 layers and at 32", "stored activations grow 7.5x", "fixed point", "agree within the noise"):
        assert words in said
    said = " ".join(told(["lab", "parallel", "--recorded"]).output.split())
    for words in ("reaches every token of trained networks with residuals", "one bit flips 50%", "present-80", "The best differential"):
        assert words in said


@pytest.mark.parametrize("command", ["memory", "parallel"])
def test_data_and_pictures(command, tmp_path):
    record = json.loads(told(["lab", command, "--recorded", "--json"]).output)
    assert record["made"]["torch"].startswith("2.13")
    table = list(csv.DictReader(io.StringIO(told(["lab", command, "--recorded", "--csv"]).output)))
    assert len(table) > 10
    file = tmp_path / "lab.svg"
    assert told(["lab", command, "--recorded", "-o", str(file)]).exit_code == 0
    assert file.read_text().startswith("<svg")
    tree = told(["lab", command, "--recorded", "--explain"]).output
    assert "measured: " in tree


def test_the_chart_of_memory_has_a_line_for_each_way():
    drawn = charts.draw(dict(rackmath.lab.memory(recorded=True).pictures[0].spec), width=100, color=False)
    for words in ("reversible", "checkpoint each square root", "stored"):
        assert words in drawn


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["memory", "--depths", "8"], "is one depth"),
        (["memory", "--depths", "4,many"], "not a number"),
        (["memory", "--depths", "4,0"], "out of range"),
        (["memory", "--depths", ","], "is empty"),
        (["memory", "--depths", "4,8.5"], "out of range"),
        (["memory", "--width", "30"], "no multiple of the 4 heads"),
        (["memory", "--steps", "-1"], "out of range"),
        (["memory", "--batch", "nan"], "not finite"),
        (["parallel", "--sizes", "0.1,2"], "above 0, at most 1"),
        (["parallel", "--sizes", "0"], "above 0, at most 1"),
        (["parallel", "--sizes", ""], "is empty"),
        (["memory", "--recorded", "--steps", "3"], "--steps plays no part with --recorded"),
        (["parallel", "--recorded", "--seed", "1"], "--seed plays no part with --recorded"),
        (["ciphers", "--pairs", "9"], "--pairs plays no part without --cipher"),
        (["ciphers", "--cipher", "des,aes", "--pairs", "9"], "unless one --cipher is named"),
        (["ciphers", "--sbox", "aes", "--samples", "9"], "without --cipher where an --sbox is shown"),
        (["cipherz"], "did you mean"),
        (["parallel", "--epochs", "0"], "out of range"),
    ],
)
def test_mistakes_are_one_sentence(words, said, capsys):
    assert cli.run(["lab", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.skipif(find_spec("torch") is not None, reason="PyTorch is installed here")
@pytest.mark.parametrize("command", ["memory", "parallel"])
def test_without_pytorch_one_sentence_says_what_to_install(command, capsys):
    assert cli.run(["lab", command]) == 2
    error = capsys.readouterr().err
    assert "pip install 'rackmath[lab]'" in error
    assert "--recorded" in error
    assert error.count("\n") == 1


def test_the_documentation_quotes_the_record():
    page = (Path(__file__).parents[2] / "docs" / "concepts" / "lab.md").read_text()
    m, f = recorded_memory(), figures()
    quoted = [f"| {time_ratio(m.depths, way):.2f}x |" for way in ("checkpointed", "square root", "reversible")]
    quoted.append(f"{predicted_ratio(m.depths):.2f}x is expected")
    quoted += [f"{d.saved / 1e6:.1f} MB" for d in m.depths if d.layers == 4 and d.way != "residual"]
    quoted += [f"{d.peak / 1e6:.3g} MB |" for d in m.depths if d.layers == 32 and d.way != "residual"]
    quoted += [f"{f[name] * 100:.0f} %" for name in f if name.startswith(("answers", "differential"))]
    quoted += [f"| {n.flipped[-1] * 100:.1f} %" for n in recorded_parallel().nets]
    for words in quoted:
        assert words in page, words


def test_empty_lists_from_python_are_refused():
    with pytest.raises(BadInput, match="depths is empty"):
        rackmath.lab.memory(depths=[])
    with pytest.raises(BadInput, match="sizes is empty"):
        rackmath.lab.parallel(sizes=[])


def test_a_group_knows_its_commands():
    assert dir(rackmath.lab) == ["ciphers", "memory", "parallel"]
    assert "nothing here protects data" in rackmath.lab.__doc__
    with pytest.raises(AttributeError, match="did you mean ciphers"):
        rackmath.lab.cipher()
    assert not hasattr(rackmath.lab, "_ipython_display_")


def test_the_help_of_a_group_says_what_it_is_and_lists_its_commands(capsys):
    assert run(["lab", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "nothing here protects data" in said
    assert all(name in said for name in ("ciphers", "memory", "parallel"))


def test_mean_losses_of_known_runs():
    runs = [LossCurve(way="stored", seed=s, training=(4.0 + s, 2.0), held_out=2 + s / 10) for s in range(2)]
    found = losses(runs)
    assert (found.first, found.last) == (4.5, 2.0)
    assert (found.held_out, found.spread) == (pytest.approx(2.05), pytest.approx(0.05 * 2**0.5))
    assert losses([LossCurve(way="stored", seed=s, training=(), held_out=2.0) for s in range(2)]).first is None


def test_who_listens_hears_how_far_a_study_is():
    heard = []
    with heard_by(lambda done, doing: heard.append((done, doing))):
        study(["present"], rounds=2, samples=8, pairs=64)
    shares = [done for done, _ in heard]
    assert shares == sorted(shares)
    assert 0 <= shares[0] <= shares[-1] <= 1
    assert heard[-1][1] == "encrypting pairs, 2 rounds"


# --- ciphers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "--cipher presnt",
        "--cipher aes --rounds 3",
        "--rounds 3",
        "--cipher present --rounds 40",
        "--cipher simon32 --rounds nan",
        "--sbox 1,2,3",
        "--sbox 0,0,1,1",
        "--sbox 0,1,2,nan",
        "--sbox foo",
        "--cipher aes --sbox present",
        "--cipher present --sbox des1",
        "--samples 3",
        "--pairs -1",
        "--limit 0s",
    ],
)
def test_mistakes_end_with_two(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lab", "ciphers", *words.split()]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: ")
    assert told.err.count("\n") == 1


def test_an_unknown_cipher_is_told_the_known_ones_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lab", "ciphers", "--cipher", "rot13"]) == 2
    assert capsys.readouterr().err.count("speck32/64") == 1


def test_an_s_box_alone_explains_its_likeliest_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lab", "ciphers", "--sbox", "present", "--explain"]) == 0
    assert "4 / 16" in capsys.readouterr().out


def test_the_command_gives_json_csv_and_a_tree(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["lab", "ciphers", "--cipher", "simon32", "--rounds", "4", "--samples", "64"]
    assert run([*asked, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["weight"] for one in found["characteristics"]] == [0, 2, 4, 6]
    assert [one["published_weight"] for one in found["characteristics"]] == [0, 2, 4, 6]
    assert found["characteristics"][3]["measured_weight"] == pytest.approx(6, abs=0.2)
    assert any("never for protecting data" in note for note in found["notes"])
    assert run([*asked, "--csv"]) == 0
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(table) == 33
    assert table[4]["weight"] == "6"
    assert run(["explain", *asked]) == 0
    assert "best over 4 rounds" in capsys.readouterr().out


def test_the_command_draws_and_lists_all(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["lab", "ciphers", "--samples", "16"]) == 0
    out = capsys.readouterr().out
    assert all(c.name in out for c in ciphers())
    assert run(["lab", "ciphers", "--cipher", "des", "--samples", "16", "-o", str(tmp_path / "des.svg")]) == 0
    assert "<svg" in (tmp_path / "des.svg").read_text()
    assert run(["lab", "ciphers", "--sbox", "2,0,3,1", "--csv"]) == 0
    assert capsys.readouterr().out.startswith("input,output,count\n0,0,4\n")


def test_help_says_what_it_is_not_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lab", "ciphers", "--help"]) == 0
    assert "never for protecting" in " ".join(capsys.readouterr().out.split())
