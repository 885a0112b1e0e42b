"""`rackmath lab memory` and `lab parallel` from recorded figures, which need no PyTorch, and their mistakes."""

import csv
import io
import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rackmath.experiments.results import (
    Curve,
    Depth,
    agreement,
    figures,
    growth,
    predicted_ratio,
    recorded_memory,
    recorded_parallel,
    time_ratio,
)
from rackmath.faces import ask_lab_networks as ask
from rackmath.faces import charts, cli
from rackmath.faces.cli import app

runner = CliRunner()


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

    points = [step("stored", 1, 10, 3.0), step("stored", 4, 40, 3.0), step("reversible", 1, 5, 4.0),
              step("reversible", 4, 5, 4.0)]  # fmt: skip
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
        return [Curve(way="", seed=s, training=(), held_out=at + s / 100) for s in range(4)]

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
    done = runner.invoke(app, ["lab", command, "--recorded"])
    assert done.exit_code == 0
    assert all(len(line) <= int(width) for line in done.output.splitlines())


def test_the_screen_says_what_was_found(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    said = " ".join(runner.invoke(app, ["lab", "memory", "--recorded"]).output.split())
    for words in ("4 layers and at 32", "stored activations grow 7.5x", "fixed point", "agree within the noise"):
        assert words in said
    said = " ".join(runner.invoke(app, ["lab", "parallel", "--recorded"]).output.split())
    for words in (
        "reaches every token of trained networks with residuals",
        "one bit flips 50%",
        "present-80",
        "The best differential",
    ):
        assert words in said


@pytest.mark.parametrize("command", ["memory", "parallel"])
def test_data_and_pictures(command, tmp_path):
    record = json.loads(runner.invoke(app, ["lab", command, "--recorded", "--json"]).output)
    assert record["made"]["torch"].startswith("2.13")
    table = list(csv.DictReader(io.StringIO(runner.invoke(app, ["lab", command, "--recorded", "--csv"]).output)))
    assert len(table) > 10
    file = tmp_path / "lab.svg"
    assert runner.invoke(app, ["lab", command, "--recorded", "-o", str(file)]).exit_code == 0
    assert file.read_text().startswith("<svg")
    tree = runner.invoke(app, ["lab", command, "--recorded", "--explain"]).output
    assert "measured: " in tree


def test_the_chart_of_memory_has_a_line_for_each_way():
    from rackmath.faces.show_lab_memory import memory_chart

    drawn = charts.draw(memory_chart(ask.memory(recorded=True)), width=100, color=False)
    for words in ("reversible", "checkpoint each square root", "stored"):
        assert words in drawn


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["memory", "--depths", "8"], "is one depth"),
        (["memory", "--depths", "4,many"], "not a number"),
        (["memory", "--depths", "4,0"], "out of range"),
        (["memory", "--depths", "4,,8"], "is not a list"),
        (["memory", "--depths", "4,8.5"], "out of range"),
        (["memory", "--width", "30"], "no multiple of the 4 heads"),
        (["memory", "--steps", "-1"], "out of range"),
        (["memory", "--batch", "nan"], "not finite"),
        (["parallel", "--sizes", "0.1,2"], "above 0 to 1"),
        (["parallel", "--sizes", "0"], "above 0 to 1"),
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
    page = (Path(__file__).parents[1] / "docs" / "lab.md").read_text()
    m, f = recorded_memory(), figures()
    quoted = [f"| {time_ratio(m.depths, way):.2f}x |" for way in ("checkpointed", "square root", "reversible")]
    quoted.append(f"{predicted_ratio(m.depths):.2f}x is expected")
    quoted += [f"{d.saved / 1e6:.1f} MB" for d in m.depths if d.layers == 4 and d.way != "residual"]
    quoted += [f"{d.peak / 1e6:.3g} MB |" for d in m.depths if d.layers == 32 and d.way != "residual"]
    quoted += [f"{f[name] * 100:.0f} %" for name in f if name.startswith(("answers", "differential"))]
    quoted += [f"| {n.flipped[-1] * 100:.1f} %" for n in recorded_parallel().nets]
    for words in quoted:
        assert words in page, words
