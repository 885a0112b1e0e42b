"""What is taken where nothing is said: layouts that a person would run."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from plans import plan

import rackmath
from rackmath.faces.cli import run
from rackmath.kernel.counts import Pass
from rackmath.layout.footprint import footprint
from rackmath.layout.forward import forward
from rackmath.questions.resolve import question
from rackmath.search.grid import Question
from rackmath.search.preferred import Policy, layout_for_pass, legal_layouts, pace, preferred_layout
from rackmath.world.huggingface import read_model
from rackmath.world.workload import Traffic

V3 = "deepseek-ai/DeepSeek-V3"
HALL = "144xh800"
LLAMA = "meta-llama/Llama-3.1-70B"


def asked(model: str, on: str, context: float = 8192) -> Question:
    return question(model, on, traffic=Traffic(isl=context, osl=1))[0]


def shortest_step(q: Question, batch: float, context: float) -> float:
    """Seconds of the fastest decode step of a batch on any layout of one stage that holds it."""
    every = legal_layouts(q)
    time = forward(q.model, q.machine, q.precisions[0], every, Pass(decode=batch, context=context), q.efficiency)
    room = footprint(q.model, q.machine, q.precisions[0], every, q.engine, context)
    good = (every.pp == 1) & (room.used(batch, every) <= room.capacity)
    return float(np.where(good, time.estimate, np.inf).min())


# --- DeepSeek-V3 on 144 H800, which its makers ran with 144-way expert parallelism ---------------------------------


@pytest.mark.parametrize(("batch", "context"), [(64, 8192), (4608, 8192), (9216, 4096), (12_686, 4989)])
def test_a_pass_is_within_a_few_percent_of_the_fastest(batch: float, context: float) -> None:
    best = shortest_step(asked(V3, HALL), batch, context)
    one = rackmath.forward(V3, on=HALL, batch=batch, context=context).subject
    assert float(one.time.estimate) < 1.035 * best
    drawn = rackmath.timeline(V3, on=HALL, batch=batch, context=context).subject
    assert drawn.timeline.layout == one.layout


def test_the_measured_load_of_deepseek_takes_all_144_devices() -> None:
    """Not EP9, whose step is 1.8 times as long."""
    taken = rackmath.forward(V3, on=HALL, batch=12_686, context=4989).subject
    assert taken.layout.label() == "TP1 DP144 EP144"
    narrow = rackmath.forward(V3, on=HALL, batch=12_686, context=4989, layout="DP144 EP9").subject
    assert float(narrow.time.estimate) > 1.7 * float(taken.time.estimate)


def test_every_command_takes_the_same_layout() -> None:
    found = {
        "batch": rackmath.batch(V3, on=HALL).subject.layout,
        "memory": rackmath.memory(V3, on=HALL).subject.layout,
        "context": rackmath.context(V3, on=HALL).subject.curves.layout,
        "racks": rackmath.racks(V3, on=HALL).subject.cases[0].layout,
        "speculate": rackmath.speculate(V3, on=HALL).subject.layout,
        "cadence": rackmath.cadence(V3, on=HALL, occupancy=0.8).subject.layout,
    }
    assert {one.label() for one in found.values() if one} == {"TP1 DP144 EP144"}


def test_the_curve_against_batch_is_within_a_few_percent_of_the_fastest() -> None:
    curve = rackmath.batch(V3, on=HALL).subject
    for batch in (4608, 9216):
        step = float(np.interp(batch, curve.batch, np.asarray(curve.time.estimate)))
        assert step < 1.04 * shortest_step(asked(V3, HALL), batch, 8192)


# --- others that are known from practice --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "on", "label"),
    [
        (LLAMA, "8xh100", "TP8"),
        (V3, "8xh200", "TP1 DP8 EP8"),
        (V3, "gb200-nvl72", "TP1 DP72 EP72"),
        (V3, "16xh100", "TP1 DP16 EP16"),
        ("openai/gpt-oss-120b", "8xh100", "TP1 DP8 EP8"),
        ("openai/gpt-oss-120b", "h200", "TP1"),
        ("meta-llama/Llama-3.1-405B", "16xh100", "TP8 PP2"),
        ("Qwen/Qwen3-0.6B", "8xh100", "TP1"),
    ],
)
def test_layouts_of_a_filled_machine(model: str, on: str, label: str) -> None:
    q = asked(model, on)
    assert preferred_layout(q, q.precisions[0], 8192, Policy()).label() == label


@pytest.mark.parametrize("on", ["8xh100", "144xh800", "gb200-nvl72", "6xh100", "l40s", "16xmi300x"])
@pytest.mark.parametrize("model", [V3, LLAMA, "Qwen/Qwen3-30B-A3B"])
@pytest.mark.parametrize("batch", [1, 64, 700])
def test_no_layout_of_the_same_stages_is_much_faster(model: str, on: str, batch: float) -> None:
    q = asked(model, on)
    taken = layout_for_pass(q, q.precisions[0], Pass(decode=batch, context=8192))
    room = footprint(q.model, q.machine, q.precisions[0], taken, q.engine, 8192)
    if not room.used(batch, taken) <= room.capacity:
        return  # arithmetic only
    every = legal_layouts(q)
    rooms = footprint(q.model, q.machine, q.precisions[0], every, q.engine, 8192)
    holds = np.asarray(rooms.used(batch, every) <= rooms.capacity)
    assert taken.pp == np.asarray(every.pp)[holds].min()
    alike = holds & (every.pp == taken.pp)

    def step(layout: Any) -> Any:
        work = Pass(decode=batch / layout.pp, context=8192)
        return forward(q.model, q.machine, q.precisions[0], layout, work, q.efficiency).estimate * pace(q.model, layout)

    assert float(step(taken)) <= 1.0301 * np.where(alike, step(every), np.inf).min()


def test_a_stage_is_one_that_its_pipeline_would_run() -> None:
    """Attention of one shared latent head is not cut over the box: 8 ranks would keep 8 copies of the cache."""
    assert rackmath.pipeline(V3, on=HALL).subject.stage.label() == "TP1 DP8 EP8"


def test_a_replica_smaller_than_the_machine_is_named() -> None:
    notes = rackmath.batch("meta-llama/Llama-3.1-8B", on="8xh100").notes
    assert "a replica of 2 devices was chosen, and 8xh100 holds 4: --layout names another cut" in notes
    assert not any("replica" in n for n in rackmath.batch(LLAMA, on="8xh100").notes)


def test_what_does_not_fit_is_still_computed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["batch", "meta-llama/Llama-3.1-405B", "--on", "8xh100", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["layout"]["label"] == "TP8"


# --- lengths: one rule for every command that takes one ------------------------------------------------------------

QWEN = ("Qwen/Qwen3-30B-A3B", "--on", "8xh100")  # made for 40,960 tokens
LENGTHS = {
    "plan": ("--isl", "200000", "--osl", "1000"),
    "plan --mode disaggregated": ("--isl", "200000", "--osl", "1000"),
    "quote": ("--isl", "200000"),
    "forward": ("--context", "200000"),
    "forward --context 1": ("--prefill", "200000"),
    "batch": ("--context", "200000"),
    "memory": ("--contexts", "200000"),
    "context": ("--max-context", "200000"),
    "timeline": ("--context", "200000", "--batch", "4"),
    "speculate --draft ngram": ("--context", "200000"),
    "speculate --draft ngram --context 1k": ("--contexts", "1k,200k"),
    "pipeline": ("--context", "200000"),
    "racks": ("--context", "200000"),
    "cadence --occupancy 0.5": ("--isl", "200000"),
    "modes": ("--isl", "200000"),
    "tiers": ("--context", "200000"),
}


@pytest.mark.parametrize("command", LENGTHS)
def test_a_length_beyond_the_model_is_refused_and_the_error_names_both_ways_out(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    verb, *rest = command.split()
    words = [verb, *QWEN, *rest, *LENGTHS[command]]
    assert run(words) == 2
    said = " ".join(capsys.readouterr().err.split())
    asked_for = LENGTHS[command][0][2:].replace("-", "_")
    assert "more than the 40,960 that Qwen/Qwen3-30B-A3B was made for; shorten" in said
    assert asked_for in said.partition("shorten")[2].partition(",")[0]
    assert "--extrapolate" in said
    assert "--set model.max_context=2" in said
    assert run([*words, "--extrapolate", "--json"]) == 0
    notes = " ".join(json.loads(capsys.readouterr().out)["notes"])
    assert "beyond 40,960 tokens this is arithmetic only" in notes
    assert run([*words, "--set", "model.max_context=262144", "--json"]) == 0
    notes = " ".join(json.loads(capsys.readouterr().out)["notes"])
    assert "max_context set to 262144 (was 40960)" in notes
    assert "beyond" not in notes


@pytest.mark.parametrize(
    ("scaling", "limit"),
    [
        (None, 40960),
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}, 131072),
        ({"type": "yarn", "factor": 2, "original_max_position_embeddings": 32768}, 65536),
        ({"rope_type": "linear", "factor": 2.0}, 81920),
        ({"rope_type": "dynamic", "factor": 4.0}, 163840),
        ({"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 8192}, 40960),
        ({"rope_type": "longrope", "factor": 32.0, "original_max_position_embeddings": 4096}, 40960),
        ({"type": "mrope", "mrope_section": [16, 24, 24]}, 40960),
        ({"rope_type": "yarn", "factor": None}, 40960),
        ({"full_attention": {"rope_type": "linear", "factor": 8.0}}, 40960),
    ],
)
@pytest.mark.parametrize("key", ["rope_scaling", "rope_parameters"])
def test_scaled_positions_of_a_config_reach_as_far_as_engines_let_them(key: str, scaling: Any, limit: int) -> None:
    config = {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "intermediate_size": 128,
        "vocab_size": 1000,
        "max_position_embeddings": 40960,
        key: scaling,
    }
    assert read_model(config).max_context == limit


# --- levels of a tree ---------------------------------------------------------------------------------------------

TREES = ("plan", "forward", "batch", "memory", "context", "racks", "timeline", "pipeline", "tiers", "quote", "modes")


@pytest.mark.parametrize("command", TREES)
def test_every_tree_has_levels(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [command, LLAMA, "--on", "8xh200", "--explain"]

    def depth(tree: str) -> int:
        heads = (re.match(r"[│ ]*[├└]", line) for line in tree.splitlines())
        return max(len(head.group()) // 4 + 1 for head in heads if head)

    trees = []
    for more in ([], ["--levels", "1"], ["--levels", "2"]):
        assert run([*words, *more]) == 0
        trees.append(capsys.readouterr().out)
    assert [depth(tree) for tree in trees[1:]] == [1, 2]
    assert depth(trees[0]) > 2
    assert run(["explain", *words[:-1], "--levels", "1"]) == 0
    assert capsys.readouterr().out == trees[1]
    assert run([*words[:-1], "--levels", "2"]) == 2
    assert "give --explain" in capsys.readouterr().err
    assert run([*words, "--levels", "0"]) == 2


# --- objectives ---------------------------------------------------------------------------------------------------


def test_a_plan_without_an_objective_says_what_it_is_best_at_and_offers_a_quicker_one() -> None:
    answer = plan(LLAMA, "8xh200")
    said = next(note for note in answer.notes if note.startswith("no objective was given"))
    assert "the plan with the cheapest tokens" in said
    assert "add --min-interactivity 30, at $" in said
    quick = plan(LLAMA, "8xh200", min_interactivity=30)
    assert f"${float(quick.best.cost.blended_mtok):.3f}" in said
    assert not any("no objective" in note for note in quick.notes)
