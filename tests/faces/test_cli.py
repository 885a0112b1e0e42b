"""The command line: answers that hold together, exit codes, one sentence for every mistake, files that are whole."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from rackmath.faces import cli

ROOT = Path(__file__).resolve().parents[2]
V3, RACK = "deepseek-ai/DeepSeek-V3", "gb200-nvl72"
LLAMA, NODE = "meta-llama/Llama-3.1-8B", "8xh100"

UNPRICED = """
name = "a card nobody rents out"
peak_bf16 = "300 TFLOP/s"
hbm_capacity = "48 GB"
hbm_bandwidth = "2 TB/s"
domain = 8
scaleup_bandwidth = "50 GB/s"
power = "300 W"
"""


@dataclass
class Said:
    code: int
    out: str
    err: str


Command = Callable[..., Said]


@pytest.fixture
def rackmath(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """One command in this process, 100 columns wide, with an empty catalogue of the user's own."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("RACKMATH_HOME", str(tmp_path / "home"))
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def run(*args: str) -> Said:
        capsys.readouterr()
        code = cli.run(list(args))
        told = capsys.readouterr()
        return Said(code, told.out, told.err)

    return run


def strict(text: str) -> Any:
    """JSON without NaN and Infinity."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


# --- plan -----------------------------------------------------------------------------------------------------------

QUESTIONS = [
    (V3, RACK, "--min-interactivity", "20"),
    (V3, RACK, "--max-ttft", "1s", "--cached", "60%"),
    (V3, "8xh200", "--max-tpot", "60ms", "--kv", "any"),
    (LLAMA, NODE, "--isl", "4k", "--osl", "1k", "--max-tpot", "20ms", "--precision", "any"),
    (LLAMA, NODE, "--isl", "16", "--osl", "64"),
]


@pytest.fixture(params=QUESTIONS, ids=lambda q: " ".join(q))
def answer(request: pytest.FixtureRequest, rackmath: Command) -> dict[str, Any]:
    model, machine, *rest = request.param
    said = rackmath("plan", model, "--on", machine, *rest, "--json")
    assert said.code == 0, said.err
    found: dict[str, Any] = strict(said.out)
    return found


def test_littles_law_closes(answer: dict[str, Any]) -> None:
    s, osl = answer["best"]["estimate"], answer["question"]["osl"]
    decoding = max(osl - 1, 1) * s["tpot"]
    assert s["concurrency"] == pytest.approx(s["request_rate"] * (s["ttft_mean"] + decoding))
    assert s["end_to_end"] == pytest.approx(s["ttft_mean"] + decoding)
    assert answer["best"]["batch"] == pytest.approx(s["request_rate"] * decoding)


def test_throughputs_are_named_and_agree(answer: dict[str, Any]) -> None:
    s, q, gpus = answer["best"]["estimate"], answer["question"], answer["best"]["layout"]["gpus"]
    assert s["interactivity"] == pytest.approx(1 / s["tpot"])
    assert s["tput_per_gpu"] == pytest.approx(s["input_tput_per_gpu"] + s["output_tput_per_gpu"])
    assert s["output_tput_per_gpu"] * gpus == pytest.approx(s["request_rate"] * q["osl"])
    assert s["input_tput_per_gpu"] * gpus == pytest.approx(s["request_rate"] * q["isl"])


def test_no_estimate_beats_its_bound(answer: dict[str, Any]) -> None:
    for chosen in filter(None, (answer["best"], answer["runner_up"])):
        estimate, bound = chosen["estimate"], chosen["bound"]
        for key in ("ttft", "tpot"):
            assert estimate[key] >= bound[key] * (1 - 1e-9), key
        for key in ("interactivity", "request_rate", "tput_per_gpu", "output_tput_per_gpu", "input_tput_per_gpu"):
            assert estimate[key] <= bound[key] * (1 + 1e-9), key
        assert chosen["cost"]["blended_mtok_bound"] <= chosen["cost"]["blended_mtok"]


def test_dollars_add_up(answer: dict[str, Any]) -> None:
    """Input, cached and output charges sum to the request, and a request to the rent of the replica."""
    c, q, best = answer["best"]["cost"], answer["question"], answer["best"]
    charged = (
        c["input_mtok"] * q["isl"] * (1 - q["cached"]) + (c["cache_read_mtok"] or 0) * q["isl"] * q["cached"] + c["output_mtok"] * q["osl"]
    )
    assert charged / 1e6 == pytest.approx(c["request"], rel=1e-6)
    assert c["blended_mtok"] * (q["isl"] + q["osl"]) / 1e6 == pytest.approx(c["request"])
    assert c["request"] * best["estimate"]["request_rate"] * 3600 == pytest.approx(c["replica_hour"])
    assert c["replica_hour"] == pytest.approx(best["layout"]["gpus"] * c["price_per_gpu_hour"])


def test_memory_adds_up_and_fits(answer: dict[str, Any]) -> None:
    m = answer["best"]["memory"]
    assert m["weights"] + m["cache"] + m["reserve"] + m["free"] == pytest.approx(m["capacity"])
    assert m["free"] >= 0


def test_the_best_keeps_the_objectives_and_nothing_on_the_front_is_cheaper(answer: dict[str, Any]) -> None:
    q, best = answer["question"], answer["best"]
    ttft, tpot = (q[k] if q[k] is not None else math.inf for k in ("max_ttft", "max_tpot"))
    tpot = min(tpot, 1 / q["min_interactivity"] if q["min_interactivity"] else math.inf)
    assert best["estimate"]["ttft"] <= ttft
    assert best["estimate"]["tpot"] <= tpot
    allowed = [p for p in answer["front"] if p["ttft"] <= ttft and p["tpot"] <= tpot]
    assert all(p["blended_mtok"] >= best["cost"]["blended_mtok"] * (1 - 2e-3) for p in allowed)


def test_the_front_is_a_front(answer: dict[str, Any]) -> None:
    speeds = [p["interactivity"] for p in answer["front"]]
    dollars = [p["blended_mtok"] for p in answer["front"]]
    assert speeds == sorted(speeds, reverse=True)
    assert all(a > b for a, b in pairwise(dollars))


def test_the_screen_says_what_an_engineer_asks_first(rackmath: Command) -> None:
    said = rackmath("plan", V3, "--on", RACK, "--min-interactivity", "20", "--rate", "30/s")
    assert said.code == 0
    assert said.err == ""
    assert "\x1b" not in said.out
    for words in (
        "cheapest plan",
        "TTFT",
        "TPOT",
        "tok/s/user",
        "input + output",
        "output only",
        "input only",
        "bound",
        "$/M input tokens",
        "$/M output tokens",
        "blended",
        "5 to 95 %",
        "What binds",
        "Memory per GPU",
        "Little's law",
        "Fleet",
        "Pareto front",
        "Runner-up",
    ):
        assert words in said.out, words


def test_the_screen_shows_the_numbers_of_the_json(rackmath: Command) -> None:
    from rackmath.units import show

    args = ("plan", V3, "--on", RACK, "--min-interactivity", "20")
    best = strict(rackmath(*args, "--json").out)["best"]
    screen = rackmath(*args).out
    for value, unit in (
        (best["estimate"]["ttft"], "s"),
        (best["estimate"]["tpot"], "s"),
        (best["bound"]["tpot"], "s"),
        (best["estimate"]["tput_per_gpu"], ""),
        (best["memory"]["weights"], "B"),
        (best["cost"]["output_mtok"], "$"),
    ):
        assert show(value, unit) in screen, (value, unit)
    assert best["layout"]["label"] in screen


@pytest.mark.parametrize("width", [60, 80, 100])
@pytest.mark.parametrize(
    "args",
    [("plan", V3, "--on", RACK, "--min-interactivity", "20"), ("plan", V3, "--on", NODE), ("models", V3), ("machines", RACK)],
    ids=" ".join,
)
def test_no_line_is_wider_than_the_terminal(rackmath: Command, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    said = rackmath(*args)
    assert max(len(line) for line in said.out.splitlines()) <= width


def test_a_narrow_terminal_keeps_the_numbers(rackmath: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from rackmath.units import show

    args = ("plan", LLAMA, "--on", NODE)
    best = strict(rackmath(*args, "--json").out)["best"]
    monkeypatch.setenv("COLUMNS", "44")
    screen = rackmath(*args).out
    for value, unit in ((best["estimate"]["ttft"], "s"), (best["estimate"]["tput_per_gpu"], "")):
        assert show(value, unit) in screen


def test_colour_only_on_a_terminal(rackmath: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    args = ("plan", LLAMA, "--on", NODE)
    plain = rackmath(*args).out
    monkeypatch.setenv("FORCE_COLOR", "1")
    coloured = rackmath(*args).out
    assert "\x1b[" in coloured
    assert "\x1b[" not in plain
    assert rackmath(*args, "-o", str(tmp_path / "plan.txt")).code == 0
    assert "\x1b" not in (tmp_path / "plan.txt").read_text()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in rackmath(*args).out


def test_several_machines_give_the_cheapest_of_them(rackmath: Command) -> None:
    def cost(*on: str) -> tuple[str, float]:
        words = [w for one in on for w in ("--on", one)]
        best = strict(rackmath("plan", LLAMA, *words, "--max-tpot", "20ms", "--json").out)["best"]
        return best["machine"], best["cost"]["request"]

    each = [cost("8xh100"), cost("8xh200"), cost("8xb200")]
    assert cost("8xh100,8xh200", "8xb200") == min(each, key=lambda pair: pair[1])


def test_each_machine_is_compared(rackmath: Command) -> None:
    args = ("plan", LLAMA, "--on", "8xh100,8xh200,t4", "--max-tpot", "20ms")
    rows = {r["machine"]: r for r in strict(rackmath(*args, "--json").out)["machines"]}
    assert set(rows) == {"8xh100", "8xh200", "t4"}
    assert "does not fit" in rows["t4"]["reason"]
    alone = strict(rackmath("plan", LLAMA, "--on", "8xh200", "--max-tpot", "20ms", "--json").out)
    assert rows["8xh200"]["blended_mtok"] == alone["best"]["cost"]["blended_mtok"]
    assert alone["machines"] == []
    screen = rackmath(*args).out
    assert "the cheapest plan on each" in screen
    assert "t4: " in screen


def test_a_fleet_serves_the_rate_with_a_spare(rackmath: Command) -> None:
    found = strict(rackmath("plan", LLAMA, "--on", NODE, "--rate", "30/s", "--spare", "2", "--json").out)
    fleet, best = found["fleet"], found["best"]
    needed = math.ceil(30 / best["estimate"]["request_rate"])
    assert fleet["replicas"] == needed + 2
    assert fleet["devices"] == fleet["replicas"] * best["layout"]["gpus"]
    inside = 8 // best["layout"]["gpus"]
    assert fleet["billed"] == math.ceil(fleet["replicas"] / inside) * 8
    assert fleet["month_dollars"] == pytest.approx(fleet["billed"] * found["setting"]["price_per_gpu_hour"] * 730)
    assert fleet["within_power"]


def test_a_fleet_is_the_cheapest_for_its_rate_not_for_full_replicas(rackmath: Command) -> None:
    args = ("plan", "deepseek-ai/DeepSeek-V3", "--on", "gb200-nvl72", "--rate", "30/s", "--max-tpot", "50ms")
    whole = strict(rackmath(*args, "--json").out)["fleet"]["month_dollars"]
    for gpus in ("8", "12", "16", "64"):
        assert whole <= strict(rackmath(*args, "--gpus", gpus, "--json").out)["fleet"]["month_dollars"] * 1.0051


def test_a_fleet_that_no_power_limit_allows_exits_1(rackmath: Command) -> None:
    args = ("plan", LLAMA, "--on", "8xh100", "--rate", "300/s", "--power-limit", "1kW")
    found = rackmath(*args)
    assert found.code == 1
    assert "draw at least" in found.out


def test_set_changes_the_answer_and_says_so(rackmath: Command) -> None:
    args = ("plan", LLAMA, "--on", NODE, "--gpus", "1", "--json")
    before = strict(rackmath(*args).out)
    after = strict(rackmath(*args, "--set", "machine.hbm_bandwidth=33.5TB/s").out)
    assert after["best"]["cost"]["request"] < before["best"]["cost"]["request"]
    assert any("machine.hbm_bandwidth = 33.5TB/s" in note for note in after["notes"])


def test_a_change_of_precision_says_that_quality_is_not_modelled(rackmath: Command) -> None:
    said = rackmath("plan", LLAMA, "--on", NODE, "--precision", "fp8")
    assert "quality is not modelled" in said.out
    assert "quality is not modelled" not in rackmath("plan", LLAMA, "--on", NODE).out


def test_a_machine_without_a_price_is_unknown_not_free(rackmath: Command, tmp_path: Path) -> None:
    folder = tmp_path / "home" / "machines"
    folder.mkdir(parents=True)
    (folder / "nobodys-card.toml").write_text(UNPRICED)
    found = strict(rackmath("plan", LLAMA, "--on", "4xnobodys-card", "--json").out)
    assert found["best"]["cost"]["output_mtok"] is None
    assert all(p["blended_mtok"] is None for p in found["front"])
    assert dict(found["best"]["movers"])["10 % more FLOP/s"] > -0.1
    said = rackmath("plan", LLAMA, "--on", "4xnobodys-card", "--rate", "5/s")
    assert said.code == 0
    assert "unknown" in said.out
    assert "$0" not in said.out
    both = strict(rackmath("plan", LLAMA, "--on", "4xnobodys-card,8xh100", "--json").out)
    assert both["best"]["machine"] == "8xh100"
    assert rackmath("batch", LLAMA, "--on", "4xnobodys-card").code == 0


# --- nothing fits ---------------------------------------------------------------------------------------------------


def test_v3_does_not_fit_eight_h100(rackmath: Command) -> None:
    """671 GB of weights and an engine do not fit 680 GB: exit 1, by how much, and the nearest plan that does."""
    said = rackmath("plan", V3, "--on", "8xh100")
    text = " ".join(said.out.split())
    assert said.code == 1
    assert "does not fit" in text
    assert "reserved by the typical engine: unfilled 8.50 GB" in text
    assert "short" in text
    assert "-" not in text[text.index("does not fit") : text.index("GB short")].replace("deepseek-ai/DeepSeek-V3", "")
    assert re.search(r"its weights are 67\d GB", text)
    assert re.search(r"\d+\.\d GB short", text)
    found = strict(rackmath("plan", V3, "--on", "8xh100", "--json").out)
    assert found["best"] is None
    assert found["reasons"]


def test_objectives_out_of_reach(rackmath: Command) -> None:
    said = rackmath("plan", V3, "--on", "8xh200", "--max-tpot", "1ms")
    assert said.code == 1
    assert "out of reach" in said.out
    assert "Nearest plan" in said.out
    found = strict(rackmath("plan", V3, "--on", "8xh200", "--max-tpot", "1ms", "--json").out)
    assert found["best"] is None
    assert found["nearest"]["estimate"]["tpot"] > 1e-3
    fastest = min(p["tpot"] for p in found["front"])
    assert found["nearest"]["estimate"]["tpot"] == pytest.approx(fastest, rel=0.05)


# --- bad input ------------------------------------------------------------------------------------------------------

PLAN = ("plan", LLAMA, "--on", NODE)
BAD: list[tuple[tuple[str, ...], str]] = [
    (("plan", "nobody/no-such-model", "--on", NODE), "unknown model 'nobody/no-such-model'"),
    (("plan", "meta-llama/Llama-3.1-8C", "--on", NODE), "Llama-3.1-8B"),
    (("plan", LLAMA, "--on", "8xh10"), "did you mean h100"),
    (("plan", LLAMA), "plan needs --on"),
    (("plan",), "plan needs MODEL"),
    (("plan", LLAMA, "--on", ","), "no machine was given"),
    (("plan", "no/such/config.json", "--on", NODE), "config.json"),
    (("plan", "", "--on", NODE), "model is empty"),
    ((*PLAN, "--set", "machine.hbm_bandwidth=8 TB"), "in bytes, but bytes/s is needed"),
    ((*PLAN, "--set", "machine.hbm_bandwith=8TB/s"), "did you mean hbm_bandwidth"),
    ((*PLAN, "--set", "engine.chunks=3"), "did you mean chunk_tokens"),
    ((*PLAN, "--set", "fridge.temperature=4"), "unknown setting 'fridge.temperature'"),
    ((*PLAN, "--set", "foo"), "is not KEY=VALUE"),
    ((*PLAN, "--set", "engine.chunk_tokens=1k", "--set", "engine.chunk_tokens=2k"), "twice"),
    ((*PLAN, "--isl", "nan"), "isl = 'nan'"),
    ((*PLAN, "--isl", "0"), "isl = 0 is out of range"),
    ((*PLAN, "--osl", "-5"), "osl = -5 is out of range"),
    ((*PLAN, "--isl", "1e400"), "isl"),
    ((*PLAN, "--isl", "9M"), "more than the"),
    ((*PLAN, "--cached", "1.5"), "cached = 1.5"),
    ((*PLAN, "--utilisation", "0"), "utilisation"),
    ((*PLAN, "--max-ttft", "0s"), "a number above 0"),
    ((*PLAN, "--max-tpot", "30"), "has no unit; write it like '30s'"),
    ((*PLAN, "--max-tpot", "-1ms"), "a number above 0"),
    ((*PLAN, "--max-tpot", "40GB"), "in bytes, but s is needed"),
    ((*PLAN, "--min-interactivity", "0"), "a number above 0"),
    ((*PLAN, "--rate", "-1/s"), "rate"),
    ((*PLAN, "--power-limit", "5MW"), "without --rate"),
    ((*PLAN, "--rate", "1/s", "--spare", "1.5"), "a whole number from 0"),
    ((*PLAN, "--rate", "1/s", "--spare", "-1"), "spare"),
    ((*PLAN, "--gpus", "99"), "gpus = 99"),
    ((*PLAN, "--precision", "fp9"), "did you mean fp8"),
    ((*PLAN, "--kv", "fp9"), "did you mean fp8"),
    ((*PLAN, "--price", "cheap"), "price"),
    ((*PLAN, "--max-tpott", "1ms"), "did you mean --max-tpot"),
    ((*PLAN, "--json", "--csv"), "exclude each other"),
    ((*PLAN, "-o", "answer.xls"), "use one of .json"),
    ((*PLAN, "-o", "answer"), "no ending"),
    ((*PLAN, "-o", "/no/such/folder/answer.json"), "does not exist"),
    ((*PLAN, "--json", "-o", "answer.csv"), "contradict"),
    (("forward", LLAMA, "--on", NODE, "--layout", "TP9"), "attention heads do not divide"),
    (("forward", LLAMA, "--on", NODE, "--layout", "XP9"), "write it like 'TP8"),
    (("forward", LLAMA, "--on", NODE, "--layout", "TP16"), "needs 16 devices"),
    (("forward", LLAMA, "--on", NODE, "--batch", "0"), "the pass is empty"),
    (("models", LLAMA, "-o", "a.svg"), "nothing to draw"),
    (("batch", LLAMA, "--on", NODE, "--context", "inf"), "context = 'inf'"),
    (("batch", LLAMA, "--on", NODE, "--context", "0"), "context = 0"),
    (("models", "nope"), "unknown model 'nope'"),
    (("machines", "nope"), "unknown machine 'nope'"),
    (("machines", "9999999xh100"), "devices"),
    (("plann", LLAMA), "did you mean 'plan'"),
    (("explain", "pln", LLAMA), "did you mean plan"),
    (("explain", "models"), "name one of its entries"),
    (("explain", *PLAN, "--csv"), "tree"),
]


@pytest.mark.parametrize(("args", "phrase"), BAD, ids=[" ".join(a) or "-" for a, _ in BAD])
def test_bad_input_is_one_sentence(
    rackmath: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], phrase: str
) -> None:
    monkeypatch.chdir(tmp_path)
    said = rackmath(*args)
    assert said.code == 2
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert phrase in said.err
    assert list(tmp_path.iterdir()) == []


HOSTILE = {
    "truncated": '{"model_type": "llama", "hidden',
    "a list": "[1, 2]",
    "strings for numbers": json.dumps({"model_type": "llama", "hidden_size": "many", "num_hidden_layers": "32"}),
    "negative layers": json.dumps({"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": -3}),
    "nested": "[" * 100_000,
    "unknown family": json.dumps({"model_type": "nobody", "hidden_size": 8}),
    "not text": "\x00\x01",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_hostile_configs_are_one_sentence(rackmath: Command, tmp_path: Path, content: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(content)
    said = rackmath("plan", str(path), "--on", NODE)
    assert said.code == 2
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err


def test_interrupted(rackmath: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rackmath.questions.registry.Command.ask", stop)
    said = rackmath(*PLAN)
    assert said.code == 130
    assert "Traceback" not in said.err


# --- the other commands ---------------------------------------------------------------------------------------------


def test_forward_sums_to_its_estimate(rackmath: Command) -> None:
    args = ("forward", V3, "--on", RACK, "--batch", "2048", "--prefill", "4k")
    found = strict(rackmath(*args, "--json").out)
    t = found["time"]
    assert sum(r["seconds"] for r in found["terms"]) == pytest.approx(t["estimate"])
    assert sum(r["share"] for r in found["terms"]) == pytest.approx(1)
    assert sum(r["flops"] for r in found["terms"]) == pytest.approx(t["flops"])
    assert sum(r["bytes"] for r in found["terms"]) == pytest.approx(t["bytes"])
    assert sum(found["shares"].values()) == pytest.approx(t["estimate"])
    assert t["bound"] == pytest.approx(max(t["compute"], t["memory"], t["network"]))
    assert t["bound"] <= t["per_operation_sum"] <= t["plain_sum"]
    assert t["bound"] <= t["estimate"]
    assert 0 < found["mfu"] < 1
    assert 0 < found["mbu"] < 1
    screen = rackmath(*args)
    assert screen.code == 0
    for words in ("bound", "per-operation sum", "plain sum", "estimate", "MFU", "MBU", "routed experts"):
        assert words in screen.out, words


def test_batch_marks_floor_balance_and_capacity(rackmath: Command) -> None:
    """8,192 tokens lie beyond L* of DeepSeek-V3, so the balance with the cache is infinite: null, and said."""
    args = ("batch", V3, "--on", RACK)
    found = strict(rackmath(*args, "--json").out)
    assert found["balance"] == pytest.approx(found["r"] * 670.1e9 / 36.6e9, rel=0.01)
    assert found["balance_with_cache"] is None
    assert found["balance_context"] < 8192
    assert found["recommended"] == [min(k * found["balance"], found["capacity"]) for k in (2, 3)]
    curve = found["curve"]
    assert all(r["tpot"] >= r["tpot_bound"] for r in curve)
    assert [r["tpot"] for r in curve] == sorted(r["tpot"] for r in curve)
    assert all(r["fits"] == (r["batch"] <= found["capacity"]) for r in curve)
    screen = rackmath(*args).out
    for words in ("floor", "balance point B*", "beyond L*", "recommended batch", "capacity"):
        assert words in screen, words
    assert screen.count("Batch (sequences)") == 2  # two charts


def test_a_model_shows_the_published_numbers(rackmath: Command) -> None:
    text = rackmath("models", V3).out
    for words in ("671,026,404,352", "70,272", "37.6 B", "36.6 B", "35.7 B", "8 of 256 experts"):
        assert words in text, words
    assert "327,680" in rackmath("models", "meta-llama/Llama-3.1-70B").out


def test_a_description_can_be_edited_and_given_back(rackmath: Command, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    assert rackmath("models", LLAMA, "-o", str(path)).code == 0
    same = strict(rackmath("plan", str(path), "--on", NODE, "--json").out)
    assert same["best"] == strict(rackmath("plan", LLAMA, "--on", NODE, "--json").out)["best"]
    described = json.loads(path.read_text())
    described["description"]["groups"][0]["count"] *= 2
    path.write_text(json.dumps(described))
    twice = strict(rackmath("plan", str(path), "--on", NODE, "--json").out)
    assert twice["best"]["cost"]["request"] > 1.5 * same["best"]["cost"]["request"]
    path.write_text(json.dumps(described["description"]))
    assert strict(rackmath("plan", str(path), "--on", NODE, "--json").out)["best"] == twice["best"]


def test_a_machine_shows_sources(rackmath: Command) -> None:
    found = strict(rackmath("machines", RACK, "--json").out)
    assert found["derived"]["r"]["fp4"] == pytest.approx(312.5)
    assert found["values"]["hbm_bandwidth"]["value"] == 8e12
    for name, row in found["values"].items():
        if name != "n_devices":  # named by the preset itself
            assert row["source"], name
            assert isinstance(row["verified"], bool)
    text = rackmath("machines", RACK).out
    assert "drain time" in text
    assert "unverified" in text


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_of_every_command(rackmath: Command) -> None:
    front = rows(rackmath("plan", V3, "--on", RACK, "--csv").out)
    assert len(front) == len(strict(rackmath("plan", V3, "--on", RACK, "--json").out)["front"])
    assert float(front[0]["tpot"]) == pytest.approx(1 / float(front[0]["interactivity"]))
    terms = rows(rackmath("forward", V3, "--on", RACK, "--csv").out)
    assert sum(float(r["share"]) for r in terms) == pytest.approx(1)
    assert len(rows(rackmath("batch", V3, "--on", RACK, "--csv").out)) > 50
    parts = rows(rackmath("models", V3, "--csv").out)
    assert sum(float(r["parameters"]) for r in parts) == 671_026_404_352
    values = {r["name"]: r for r in rows(rackmath("machines", RACK, "--csv").out)}
    assert values["hbm_bandwidth"]["value"] == "8000000000000"
    assert values["hbm_bandwidth"]["unit"] == "bytes/s"
    for kind, known in (("models", V3), ("machines", RACK)):
        listed = [r["name"] for r in rows(rackmath(kind, "--csv").out)]
        assert known in listed
        assert listed == [one["name"] for one in strict(rackmath(kind, "--json").out)[kind]]


# --- files ----------------------------------------------------------------------------------------------------------

BEGINS = {".json": b"{", ".csv": b"layout,", ".txt": b"meta-llama/", ".svg": b"<svg", ".png": b"\x89PNG", ".html": b"<!"}


@pytest.mark.parametrize("suffix", BEGINS)
def test_files_by_their_ending(rackmath: Command, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"plan{suffix}"
    path.write_text("what was there before")
    said = rackmath(*PLAN, "-o", str(path))
    assert (said.code, said.out) == (0, "")
    assert path.read_bytes().startswith(BEGINS[suffix])
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", [".svg", ".png", ".html"])
def test_batch_draws_both_charts(rackmath: Command, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"batch{suffix}"
    assert rackmath("batch", LLAMA, "--on", NODE, "-o", str(path)).code == 0
    data = path.read_bytes()
    if suffix == ".svg":
        text = data.decode()
        assert "Time of a decode step" in text
        assert "Cost of output tokens" in text
    assert len(data) > 5000


def test_a_failed_command_leaves_the_file_alone(rackmath: Command, tmp_path: Path) -> None:
    path = tmp_path / "answer.json"
    path.write_text("precious")
    assert rackmath("plan", LLAMA, "--on", "8xh10", "-o", str(path)).code == 2
    assert path.read_text() == "precious"
    assert rackmath("plan", V3, "--on", "8xh100", "-o", str(path)).code == 1
    assert strict(path.read_text())["best"] is None


# --- help, start, reference -----------------------------------------------------------------------------------------


def _python(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *args], capture_output=True, text=True, timeout=1800, check=False)


def test_the_command_line_starts_without_heavy_imports() -> None:
    heavy = ("numpy", "pydantic", "rich", "rackmath.world", "rackmath.commands", "rackmath.questions.fields")
    found = _python("-c", f"import sys, rackmath.faces.cli; print([m for m in {heavy!r} if m in sys.modules])")
    assert found.stdout.strip() == "[]", found.stderr
    light = tuple(name for name in heavy if name != "rich")
    run = "import sys\nfrom rackmath.faces.cli import run\nrun(['--help'])\n"
    found = _python("-c", f"{run}print([m for m in {light!r} if m in sys.modules])")
    assert found.stdout.splitlines()[-1] == "[]", found.stderr


def test_a_reader_who_leaves_early_is_no_error() -> None:
    code = "from rackmath.faces.cli import main; main()"
    with subprocess.Popen([sys.executable, "-c", code, "machines", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()
        process.wait(timeout=1800)
    assert errors == b""


@pytest.mark.parametrize("command", ["", "plan", "forward", "batch", "models", "machines", "explain"])
def test_help_has_an_example(rackmath: Command, command: str) -> None:
    said = rackmath(*([command] if command else []), "--help")
    assert said.code == 0
    assert "Example: rackmath" in said.out


def test_version(rackmath: Command) -> None:
    from rackmath import __version__

    said = rackmath("--version")
    assert (said.code, said.out) == (0, f"rackmath {__version__}\n")


def test_names_complete() -> None:
    from rackmath.faces.options import complete_machines, complete_models

    assert V3 in complete_models("deepseek-ai/DeepSeek-V")
    assert RACK in complete_machines("gb200")
    assert complete_machines("no such machine") == []


def test_the_reference_is_current() -> None:
    done = _python(str(ROOT / "tools" / "cli_reference.py"), "--check")
    assert done.returncode == 0, f"run python tools/cli_reference.py {done.stderr}"
