"""The search over training layouts and the command `train`."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

import rackmath
from rackmath.errors import Infeasible
from rackmath.faces.cli import run as cli
from rackmath.search.train import CHUNK, Job, cuts, evaluate, legal, moves, run, search, shares, sizes
from rackmath.search.train_nearest import devices_that_fit
from rackmath.training.constants import constants
from rackmath.training.job import Batch, TrainLayout, illegal, layout_of, recipe_named
from rackmath.world import catalog


def job(model: str = "llama-3.1-8b", machine: str = "64xh100", seqs: float = 512.0, **more: object) -> Job:
    given = {
        "model": catalog.model(model),
        "machine": catalog.machine(machine),
        "recipe": recipe_named("bf16"),
        "batch": Batch(seq=8192.0, global_batch=seqs),
        "tokens": 1e12,
        "constants": constants(),
    }
    return Job(**(given | more))  # type: ignore[arg-type]


@pytest.mark.parametrize(("model", "machine"), [("llama-3.1-8b", "64xh100"), ("Qwen/Qwen3-30B-A3B", "64xh200")])
def test_the_fastest_is_the_fastest_of_all_rows(model: str, machine: str) -> None:
    """Every row evaluated alone as scalars: none that is legal and fits beats what the search found."""
    asked = job(model, machine)
    found = search(asked)
    assert found.fastest is not None
    devices = int(asked.machine.n_devices)
    every = cuts(asked.model, asked.machine, asked.batch, devices)
    rng = np.random.default_rng(0)
    tried = 0
    for schedule, recompute in (("1f1b", "none"), ("1f1b", "full"), ("interleaved", "none")):
        columns, _ = legal(asked, replace(every, schedule=schedule, recompute=recompute, zero=1), devices)
        rows = evaluate(asked, columns)
        for i in rng.choice(len(rows.seconds), 12):
            one = run(asked, rows.at(int(i)))
            assert one.seconds == pytest.approx(rows.seconds[i], rel=1e-9)
            assert float(one.memory.peak) == pytest.approx(rows.peak[i], rel=1e-9)
            assert one.seconds >= float(one.step.bound)
            if one.memory.fits:
                tried += 1
                assert one.seconds >= found.fastest.seconds * (1 - 1e-9)
    assert tried > 5


def test_what_is_found_is_legal_fits_and_uses_the_devices() -> None:
    asked = job("meta-llama/Llama-3.3-70B-Instruct", "256xh100")
    found = search(asked)
    assert found.fastest is not None
    assert found.cheapest is not None
    for one in found.front:
        assert not any(illegal(asked.model, one.layout, asked.batch, one.devices).values())
        assert one.memory.fits
        assert one.seconds >= float(one.step.bound)
        assert sum(shares(one.step).values()) == pytest.approx(one.seconds)
    days = [r.days for r in found.front]
    dollars = [r.dollars for r in found.front]
    assert days == sorted(days)
    assert dollars == sorted(dollars, reverse=True)
    assert found.cheapest.dollars == min(dollars)


def test_zero_2_is_not_chosen_under_a_pipeline_unless_asked_for() -> None:
    asked = job("meta-llama/Meta-Llama-3.1-405B", "2048xh100", 2048.0)
    for one in search(asked).front:
        assert float(one.layout.pp) == 1 or one.layout.zero != 2
    only = search(replace(asked, zero=(2,))).fastest
    assert only is not None
    assert only.layout.zero == 2


def test_columns_in_chunks_are_the_same_as_at_once() -> None:
    asked = job("deepseek-ai/DeepSeek-V3", "2048xh100", 4096.0)
    every = cuts(asked.model, asked.machine, asked.batch, 2048)
    columns, _ = legal(asked, replace(every, schedule="1f1b", recompute="full", zero=1), 2048)
    rows = evaluate(asked, columns)
    assert len(rows.seconds) > 1000
    assert len(rows.seconds) < CHUNK or np.isfinite(rows.seconds).all()
    i = len(rows.seconds) - 1
    assert run(asked, rows.at(i)).seconds == pytest.approx(rows.seconds[i], rel=1e-9)


def test_faster_machines_and_more_memory_never_hurt() -> None:
    asked = job("meta-llama/Llama-3.3-70B-Instruct", "128xh100")
    base = search(asked).fastest
    assert base is not None
    for name in ("hbm_bandwidth", "scaleup_bandwidth", "scaleout_bandwidth", "hbm_capacity", "peak_bf16"):
        machine = replace(asked.machine, **{name: getattr(asked.machine, name) * 2})
        better = search(replace(asked, machine=machine)).fastest
        assert better is not None
        assert better.seconds <= base.seconds * (1 + 1e-9), name
    assert all(change < 1e-9 for change in moves(base).values())


def test_days_dollars_and_energy_follow_from_the_step() -> None:
    asked = job(goodput=0.8)
    one = run(asked, layout_of("TP1 DP64 ZeRO1"))
    steps = 1e12 / (512 * 8192)
    assert one.days == pytest.approx(one.seconds * steps / 0.8 / 86400)
    assert one.dollars == pytest.approx(one.days * 24 * 64 * float(asked.machine.price_per_hour))
    watts = 64 * float(asked.machine.power) * asked.machine.overhead_power
    assert one.kwh == pytest.approx(one.days * 24 * watts / 1000)
    # 6 N and causal attention over the peak: counted by hand for Llama-3.1-8B
    flops = 6 * 7.504924672e9 + 3 * 32 * 4 * 4096 * 8192 / 2
    assert one.mfu == pytest.approx(flops * one.tokens_per_device / 989e12, rel=0.01)


def test_limits_are_kept_or_said() -> None:
    asked = job()
    free = search(asked)
    assert free.fastest is not None
    slow = search(replace(asked, max_days=free.fastest.days * 0.5))
    assert slow.fastest is None
    assert slow.leanest is None  # layouts fit: time is short, not memory
    with pytest.raises(Infeasible, match="limits on days and dollars"):
        rackmath.train("llama-3.1-8b", on="64xh100", max_days=free.fastest.days * 0.1)


def test_halves_fill_whole_numbers() -> None:
    assert sizes(catalog.machine("64xh100"))[:3] == [64, 32, 16]
    assert sizes(catalog.machine("12xh100")) == [12, 6, 3]


def test_what_does_not_fit_says_by_how_much_and_what_would(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["train", "meta-llama/Meta-Llama-3.1-405B", "--on", "16xh100"]) == 1
    error = capsys.readouterr().err
    assert "more than it has" in error
    needed = int(error.split("; ")[1].split()[0].replace(",", ""))
    assert search(job("meta-llama/Meta-Llama-3.1-405B", f"{needed}xh100", 512.0)).fastest is not None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--layout", "TP8 PP2 DP8 MB1"], "takes 128 devices, not the 64"),
        (["--layout", "TP3 DP21 MB1"], "takes 63 devices"),
        (["--layout", "TP8 PP3 DP2"], "takes 48 devices"),
        (["--layout", "TP8 DP8 MB3"], "batch does not divide"),
        (["--layout", "TP64 DP1"], "KV heads|attention heads"),
        (["--layout", "TP8 DP8 EP8"], "ep without experts"),
        (["--layout", "TP8 XX8"], "no part of a layout"),
        (["--layout", "TP8 TP8"], "twice"),
        (["--tokens", "nan"], "not finite"),
        (["--tokens", "0"], "out of range"),
        (["--tokens", "-1T"], "out of range"),
        (["--seq", "0"], "out of range"),
        (["--batch-tokens", "100"], "less than one sequence"),
        (["--goodput", "1.5"], "out of range"),
        (["--goodput", "0"], "above 0"),
        (["--schedule", "zb-9"], "unknown schedule"),
        (["--recompute", "some"], "unknown choice of recomputation"),
        (["--zero", "4"], "unknown ZeRO stage"),
        (["--precision", "int3"], "unknown number format"),
        (["--framework", "megatrn"], "did you mean megatron"),
        (["--set", "training.dp=2"], "give 0 to 1"),
        (["--set", "training.dpp=0.5"], "unknown training constant"),
        (["--max-days", "-3"], "above 0"),
        (["--tokens", "1M", "--batch-tokens", "4M"], "4,000,000 tokens is more than the 1,000,000 of the run"),
        (["--tokens", "1e30"], "from 1 to 1e18"),
        (["--layout", "TP1"], "takes 1 device, not"),
        (["--layout", "TP8 DP8 MB512"], "a step has 512 sequences, and dp x micro-batch is 4,096"),
        (["--layout", "TP8 PP2 DP4", "--schedule", "any"], "--schedule 'any' is not one choice"),
        (["--layout", "TP8 PP2 DP4", "--zero", "1,2"], "--zero '1,2' is not one choice"),
        (["--precision", "int4"], "products in int4 are not trained with here"),
        (["--precision", "fp32"], "products in fp32 are not trained with here"),
        (["--set", "training.straggler=1e300"], "is out of range"),
        (["--set", "training.layer=1e30s"], "is out of range"),
    ],
)
def test_bad_words_get_one_sentence(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["train", "llama-3.1-8b", "--on", "64xh100", *words]) == 2
    error = capsys.readouterr().err
    assert re.search(said, error), error
    assert error.count("\n") == 1


def test_a_limit_on_dollars_needs_a_price(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "llama-3.1-8b", "--on", "64xa10", "--max-cost", "1$"]
    assert cli(words) == 2
    assert "no price is known for 64xa10" in capsys.readouterr().err
    assert cli([*words, "--set", "machine.price_per_hour=2$/h"]) == 1
    assert "limits on days and dollars" in capsys.readouterr().err


def test_words_of_a_layout_and_options_beside_it_are_kept() -> None:
    def asked(layout: str, **options: str) -> TrainLayout:
        best = rackmath.train("llama-3.1-8b", on="64xh100", layout=layout, **options).subject.best
        return best.layout

    assert asked("TP8 PP2 DP4 zb-1p ZeRO1 every 4").schedule == "zb-1p"
    assert asked("TP8 PP2 DP4 interleave 2").schedule == "interleaved"
    given = asked("TP8 PP2 DP4 ZeRO1", schedule="zb-h1", zero="2", recompute="every 4")
    assert (given.schedule, given.zero, given.recompute) == ("zb-1p", 2, "every 4")


def test_a_device_that_cannot_multiply_the_format_says_so() -> None:
    said = "does not multiply fp8: products run at the 16-bit peak"
    assert any(said in n for n in rackmath.train("llama-3.1-8b", on="64xa100", precision="fp8").notes)
    assert not any(said in n for n in rackmath.train("llama-3.1-8b", on="64xh100", precision="fp8").notes)


def test_seconds_of_routed_layers_can_be_set() -> None:
    asked = rackmath.train("llama-3.1-8b", on="64xh100", sets={"training.routed_layer": "5ms"})
    assert asked.subject.job.constants.routed_layer == pytest.approx(0.005)


@pytest.mark.parametrize(("machine", "fewer"), [("7xh100", 6), ("gb200-nvl72", 64), ("100000xh100", 65536)])
def test_what_does_not_divide_says_how_many_devices_would(machine: str, fewer: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["train", "llama-3.1-8b", "--on", machine]) == 1
    assert f"{fewer:,} devices would divide" in capsys.readouterr().err
    for n, some in ((fewer, True), (int(catalog.machine(machine).n_devices), False)):
        asked = job(machine=f"{n}xh100")
        every = cuts(asked.model, asked.machine, asked.batch, n)
        assert bool(len(np.asarray(legal(asked, every, n)[0].tp))) == some


def test_the_fewest_devices_that_fit() -> None:
    """One device fewer holds no layout: 3 devices of 80 GB train 8 billion parameters, 2 do not."""

    def on(devices: int) -> Job:
        asked = job(machine=f"{devices}xh100")
        return replace(asked, machine=replace(asked.machine, hbm_capacity=80e9))

    assert search(on(2)).leanest is not None
    assert devices_that_fit(on(2)) == 3
    assert search(on(3)).fastest is not None
    assert devices_that_fit(job(machine="1xh100", batch=Batch(seq=1e8, global_batch=1.0))) is None


@pytest.mark.parametrize(
    ("model", "machine", "precision"),
    [
        ("deepseek-ai/DeepSeek-V3", "256xb200", "nvfp4"),
        ("ai21labs/AI21-Jamba-1.5-Mini", "64xmi300x", "fp8"),
        ("google/gemma-2-27b", "256xtpu-v5p", "bf16"),
        ("openai/gpt-oss-20b", "64xh100", "nvfp4"),
        ("microsoft/phi-2", "64xa10", "mxfp8"),
    ],
)
def test_kinds_of_models_and_machines_stand_above_their_bounds(model: str, machine: str, precision: str) -> None:
    answer = rackmath.train(model, on=machine, seq=4096, precision=precision).subject
    assert answer.found is not None
    for one in answer.found.front:
        assert one.seconds >= float(one.step.bound) > 0
        assert 0 < one.mfu < 1
        assert 0 < float(one.memory.peak) <= float(one.memory.capacity)
        assert min(float(v) for v in one.step.terms.values()) >= 0


def test_costs_below_a_million_are_whole_dollars(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "llama-3.1-8b", "--on", "64xh100"]
    assert cli([*words, "--tokens", "1T"]) == 0
    assert re.search(r"cost +\$\d\d,\d{3} ", capsys.readouterr().out)
    assert cli([*words, "--tokens", "100T"]) == 0
    assert re.search(r"cost +\$\d\.\d+ M ", capsys.readouterr().out)


def test_the_answer_has_its_faces(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "llama-3.1-8b", "--on", "64xh100", "--tokens", "15T"]
    assert cli(words) == 0
    assert "Pareto front, fastest to cheapest" in capsys.readouterr().out
    assert cli([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert sum(found["best"]["terms"].values()) == pytest.approx(found["best"]["step_seconds"])
    assert cli([*words, "--frontier"]) == 0
    assert "reversible blocks" in capsys.readouterr().out
    assert cli(["explain", *words]) == 0
    assert "waiting for the slowest device" in capsys.readouterr().out


def test_every_term_of_the_tree_follows() -> None:
    whole = rackmath.train("llama-3.1-8b", on="64xh100", goodput=0.9).explain()
    assert all(node.follows() for node in whole.walk())


def test_a_batch_in_round_tokens_becomes_sequences_that_divide() -> None:
    answer = rackmath.train("llama-3.1-8b", on="64xh100", batch_tokens="16M")
    assert answer.subject.job.batch.global_batch == 2048
    assert any("2,048 sequences" in note for note in answer.notes)
    exact = rackmath.train("llama-3.1-8b", on="64xh100", batch_tokens=8192 * 448)
    assert exact.subject.job.batch.global_batch == 448


def test_the_field_shows_every_kind_of_layout_with_the_fastest_marked() -> None:
    """No layout left of the rule of memory lies below the fastest, and its interval is drawn through it."""
    answer = rackmath.train("llama-3.1-8b", on="64xh100")
    best, spec = answer.subject.best, answer.charts[0]
    points = spec["datasets"]["points"]
    dots = [p for p in points if p["look"] == "dots"]
    assert {p["series"] for p in dots} == {"no recomputation", "full recomputation"}
    assert 100 < len(dots) < 3000
    fits = [p["y"] for p in dots if p["x"] <= float(best.memory.capacity)]
    assert min(fits) == pytest.approx(best.seconds)
    ends = [p["y"] for p in points if p["series"].startswith("5 to 95 %")]
    assert min(ends) < best.seconds < max(ends)
    assert [m["label"] for m in spec["datasets"]["marks"]] == ["memory of a device", best.layout.label()]


def test_a_sensitivity_is_what_a_better_machine_gives() -> None:
    answer = rackmath.train("llama-3.1-8b", on="64xh100", layout="TP8 DP8 MB1 ZeRO1")
    found = {row["name"]: row["change"] for row in answer.sensitivity}
    assert found == {k: pytest.approx(v) for k, v in moves(answer.subject.best).items() if abs(v) > 0.0005}
    assert answer.rows()[0]["step_seconds"] == pytest.approx(answer.best.step_seconds)
