"""What is taken where nothing is said: layouts that a person would run."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from rackmath.faces import ask, ask_memory, ask_modes, ask_pipeline, ask_racks, ask_speculate, ask_timeline
from rackmath.faces.cli import run
from rackmath.faces.question import question
from rackmath.kernel.counts import Pass
from rackmath.layout.footprint import footprint
from rackmath.layout.forward import forward
from rackmath.search.grid import Question
from rackmath.search.preferred import Policy, layout_for_pass, legal_layouts, pace, preferred_layout
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
    one = ask.forward(V3, HALL, batch=batch, context=context)
    assert float(one.time.estimate) < 1.035 * best
    drawn = ask_timeline.timeline(V3, HALL, batch=batch, context=context)
    assert drawn.timeline.layout == one.layout


def test_the_measured_load_of_deepseek_takes_all_144_devices() -> None:
    """Not EP9, whose step is 1.8 times as long."""
    taken = ask.forward(V3, HALL, batch=12_686, context=4989)
    assert taken.layout.label() == "TP1 DP144 EP144"
    narrow = ask.forward(V3, HALL, batch=12_686, context=4989, layout="DP144 EP9")
    assert float(narrow.time.estimate) > 1.7 * float(taken.time.estimate)


def test_every_command_takes_the_same_layout() -> None:
    found = {
        "batch": ask.batch(V3, HALL).curve.layout,
        "memory": ask_memory.memory(V3, HALL).memory.layout,
        "context": ask_memory.context(V3, HALL).curves.layout,
        "racks": ask_racks.racks(V3, HALL).racks.cases[0].layout,
        "speculate": ask_speculate.speculate(V3, HALL).curve.layout,
        "cadence": ask_modes.cadence(V3, HALL, occupancy=0.8).layout,
    }
    assert {one.label() for one in found.values() if one} == {"TP1 DP144 EP144"}


def test_the_curve_against_batch_is_within_a_few_percent_of_the_fastest() -> None:
    curve = ask.batch(V3, HALL).curve
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
        return forward(q.model, q.machine, q.precisions[0], layout, work, q.efficiency).estimate * pace(
            q.model, layout
        )

    assert float(step(taken)) <= 1.0301 * np.where(alike, step(every), np.inf).min()


def test_a_stage_is_one_that_its_pipeline_would_run() -> None:
    """Attention of one shared latent head is not cut over the box: 8 ranks would keep 8 copies of the cache."""
    assert ask_pipeline.pipeline(V3, HALL).pipelines.stage.label() == "TP1 DP8 EP8"


def test_a_replica_smaller_than_the_machine_is_named() -> None:
    notes = ask.batch("meta-llama/Llama-3.1-8B", "8xh100").notes
    assert "a replica of 2 devices was chosen, and 8xh100 holds 4: --layout names another cut" in notes
    assert not any("replica" in n for n in ask.batch(LLAMA, "8xh100").notes)


def test_what_does_not_fit_is_still_computed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["batch", "meta-llama/Llama-3.1-405B", "--on", "8xh100", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["layout"]["label"] == "TP8"
