"""A step laid out in time: lanes without gaps that add up to the estimate, bubbles, traces, and bad input."""

import itertools
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rackmath
from rackmath.answers.terms import Term
from rackmath.errors import BadInput
from rackmath.faces import cli
from rackmath.kernel.efficiency import default_efficiency
from rackmath.layout.parallelism import Layout
from rackmath.serving.pieces import KINDS, NETWORK
from rackmath.serving.timeline import lane, pass_of, timeline, totals
from rackmath.serving.trace import trace
from rackmath.world import catalog

V3, LLAMA = "deepseek-ai/DeepSeek-V3", "meta-llama/Llama-3.1-70B"
CASES = [
    (V3, "gb200-nvl72", "TP1 DP64 EP64", 2048, 0, None),
    (V3, "gb200-nvl72", "TP1 DP64 EP64", 2048, 8192, None),
    (V3, "gb200-nvl72", "TP1 DP8 EP8 PP8", 1024, 0, None),
    (V3, "gb200-nvl72", "TP1 DP8 EP8 PP8", 1024, 0, 6),
    (V3, "gb200-nvl72", "TP1 DP8 EP8 PP8", 1024, 2048, 13),
    (LLAMA, "8xh100", "TP8", 64, 0, None),
    (LLAMA, "8xh100", "TP2 PP4", 64, 0, None),
    (LLAMA, "8xh100", "TP2 PP4", 3, 0, None),
    (LLAMA, "8xh100", "TP1", 64, 0, 2),
]


def made(case):
    model, machine, layout, batch, prefill, micro = case
    found = rackmath.timeline(model, on=machine, layout=layout, batch=batch, prefill=prefill, micro_batches=micro)
    return found.subject.timeline


@pytest.mark.parametrize("case", CASES)
def test_every_lane_adds_up_to_the_step_without_gaps(case):
    t = made(case)
    for stage in range(t.stages):
        for layerwise in (False, True):
            found = lane(t, stage, layerwise=layerwise)
            assert sum(s.seconds for s in found) == pytest.approx(t.step, rel=1e-9)
            assert found[0].start == pytest.approx(0.0, abs=1e-9 * t.step)
            for one, after in itertools.pairwise(found):
                assert after.start == pytest.approx(one.end, abs=1e-9 * t.step)
        assert sum(totals(t, stage).values()) == pytest.approx(t.step, rel=1e-9)


@pytest.mark.parametrize("case", [c for c in CASES if c[5] is None and c[3] > 4])
def test_the_step_is_the_estimate_times_the_fullest_stage(case):
    t = made(case)
    fullest = max(t.stage_layers) * t.stages / sum(t.stage_layers)
    assert t.step == pytest.approx(float(t.time.estimate) * fullest, rel=1e-12)
    assert t.step >= float(t.time.bound)
    way = sum(b.seconds for b in t.blocks) + t.hop * (t.stages - 1)
    assert way == pytest.approx(float(t.time.estimate), rel=1e-9)


def test_one_stage_is_the_pass_of_forward_resource_by_resource():
    t = made(CASES[1])
    answer = rackmath.forward(V3, on="gb200-nvl72", batch=2048, prefill=8192, layout="TP1 DP64 EP64").subject
    shares, found = answer.time.shares, totals(t, 0)
    assert t.step == pytest.approx(float(answer.time.estimate), rel=1e-12)
    for kind in ("compute", "weights", "cache", "overhead"):
        assert found[kind] == pytest.approx(float(shares[kind]), rel=1e-9, abs=1e-15)
    assert sum(found[k] for k in NETWORK) == pytest.approx(float(shares["network"]), rel=1e-9)
    assert found["idle"] == 0


def test_two_half_batches_still_add_up():
    """What one half hides of the other's exchange is in no lane, as it is in no estimate."""
    words = {"layout": "TP1 DP64 EP64", "batch": 65536, "context": 512}
    plain = rackmath.timeline(V3, on="gb200-nvl72", **words).subject.timeline
    halves = rackmath.timeline(V3, on="gb200-nvl72", **words, sets={"efficiency.overlap": 1}).subject.timeline
    assert halves.step < plain.step
    assert halves.step == pytest.approx(float(halves.time.estimate), rel=1e-9)
    assert sum(totals(halves, 0).values()) == pytest.approx(halves.step, rel=1e-9)
    assert totals(halves, 0)["all-to-all"] < totals(plain, 0)["all-to-all"]


def test_idle_time_is_what_the_theory_of_pipelines_says():
    """m of P micro-batches leave a stage idle for 1 - m/P of the time; m >= P leave the fullest stage none."""
    even = made((LLAMA, "8xh100", "TP2 PP4", 64, 0, None))
    assert all(totals(even, s)["idle"] == 0 for s in range(4))
    few = made((LLAMA, "8xh100", "TP2 PP4", 64, 0, 3))
    for s in range(4):
        assert totals(few, s)["idle"] / few.step == pytest.approx(1 / 4, rel=1e-9)
    uneven = made((V3, "gb200-nvl72", "TP1 DP8 EP8 PP8", 1024, 0, None))  # 61 layers: five stages of 8, three of 7
    idle = [totals(uneven, s)["idle"] / uneven.step for s in range(8)]
    assert idle[:5] == [0] * 5
    assert idle[5:] == pytest.approx([1 / 8] * 3, rel=0.01)


def test_more_micro_batches_than_stages_wait_for_their_turn():
    t = made((LLAMA, "8xh100", "TP2 PP4", 64, 0, 8))
    assert t.step == pytest.approx(8 * t.busy[0], rel=1e-9)
    assert t.step > float(t.time.estimate)


def test_a_micro_batch_goes_through_the_stages_in_order():
    t = made((LLAMA, "8xh100", "TP2 PP4", 64, 0, None))
    for stage in range(3):
        here = next(s for s in lane(t, stage) if s.micro == 0 and s.piece.name == "step overhead")
        after = next(s for s in lane(t, stage + 1) if s.micro == 0 and s.piece.name == "step overhead")
        assert after.start - here.start == pytest.approx(t.busy[stage] + t.hop, rel=1e-9)


@settings(max_examples=40)
@given(
    pp=st.sampled_from([1, 2, 3, 4, 5, 7, 8, 80]),
    micro=st.integers(1, 12),
    batch=st.integers(12, 4096),
    context=st.integers(1, 100_000),
    prefill=st.sampled_from([0, 1, 4096]),
)
def test_lanes_conserve_time_whatever_the_cut(pp, micro, batch, context, prefill):
    """Every lane adds up to the step; the step is no quicker than the bound, nor than the busiest stage's work."""
    model, machine = catalog.model(LLAMA), replace(catalog.machine("8xh100"), n_devices=80)
    layout = Layout(tp=1.0, pp=float(pp))
    work = pass_of(layout, float(batch), float(context), float(prefill), micro)
    t = timeline(model, machine, model.precision, layout, default_efficiency(), work, micro_batches=micro)
    assert t.step >= float(t.time.bound)
    assert t.step >= micro * max(t.busy) * (1 - 1e-9)
    for stage in range(0, pp, max(1, pp // 3)):
        found = totals(t, stage)
        assert sum(found.values()) == pytest.approx(t.step, rel=1e-9)
        work_done = t.step - found["idle"] - found["hop"]
        assert work_done == pytest.approx(micro * t.busy[stage], rel=1e-6)


def test_dispatch_comes_before_the_experts_and_combine_after():
    block = next(b for b in made(CASES[0]).blocks if b.layers == 58)
    names = [p.name for p in block.pieces if p.kind != "overhead"]
    assert names.index("dispatch") + 1 == names.index("routed experts") == names.index("combine") - 1
    tensor = made((V3, "gb200-nvl72", "TP8 EP8", 64, 0, None))  # every device holds every token: one all-reduce
    kinds = {p.kind for b in tensor.blocks for p in b.pieces}
    assert "all-reduce" in kinds
    assert "all-to-all" not in kinds


def test_trace_loads_and_conserves_time(tmp_path):
    t = made(CASES[3])
    events = trace(t)["traceEvents"]
    drawn = [e for e in events if e["ph"] == "X"]
    for stage in range(t.stages):
        step = [e for e in drawn if e["pid"] == stage and e["tid"] == 0]
        assert sum(e["dur"] for e in step) == pytest.approx(t.step * 1e6, rel=1e-9)
        for track in range(4):
            row = sorted((e for e in drawn if e["pid"] == stage and e["tid"] == track), key=lambda e: e["ts"])
            for one, after in itertools.pairwise(row):  # events of one track never overlap
                assert one["ts"] + one["dur"] <= after["ts"] + 1e-6
            assert all(e["ts"] >= 0 and e["ts"] + e["dur"] <= t.step * 1e6 * (1 + 1e-9) for e in row)
    hops = [e for e in drawn if e["name"] == "hop" and e["tid"] == 3]
    assert sum(e["dur"] for e in hops) == pytest.approx(t.hop * 1e6 * 7 * t.micro_batches, rel=1e-6)
    assert all(e["cat"] in KINDS for e in drawn)


def test_files(tmp_path, capsys):
    ask_for = ["timeline", LLAMA, "--on", "8xh100", "--layout", "TP2 PP4"]
    both = tmp_path / "step.json"
    one = tmp_path / "step.trace.json"
    assert cli.run([*ask_for, "-o", str(both)]) == 0
    assert cli.run([*ask_for, "-o", str(one)]) == 0
    record = json.loads(both.read_text())
    assert record["micro_batches"] == 4
    assert len(record["stages"]) == 4
    assert all(sum(s["seconds"].values()) == pytest.approx(record["step"]) for s in record["stages"])
    assert {"ph", "ts", "dur", "pid", "tid", "name"} <= set(json.loads(one.read_text())["traceEvents"][-1])
    again = tmp_path / "again.trace.json"
    assert cli.run([*ask_for, "-o", str(again)]) == 0
    assert again.read_text() == one.read_text()
    picture = tmp_path / "step.svg"
    assert cli.run([*ask_for, "-o", str(picture)]) == 0
    assert "stage 4" in picture.read_text()
    assert cli.run([*ask_for, "-o", str(again), "--json"]) == 2
    assert "Chrome trace" in capsys.readouterr().err


def test_screen_and_tree(capsys):
    assert cli.run(["timeline", V3, "--on", "gb200-nvl72", "--layout", "TP1 DP8 EP8 PP8", "--micro-batches", "6"]) == 0
    out = capsys.readouterr().out
    assert "stage 8" in out
    assert "mla + moe" in out
    assert "25% of the time" in out
    tree = rackmath.timeline(V3, on="gb200-nvl72", layout="TP1 DP8 EP8 PP8", batch=64).explain()
    assert all(isinstance(node, Term) and node.follows() for node in tree.walk())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--layout", "TP1 PP200"], "more stages than layers"),
        (["--batch", "0"], "empty"),
        (["--micro-batches", "65"], "need as many sequences"),
        (["--micro-batches", "0"], "out of range"),
        (["--micro-batches", "1.5"], "whole number"),
        (["--set", "machine.scaleup_bandwidth=0GB/s"], "not above zero"),
        (["--layout", "TP16"], "needs 16 devices"),
    ],
)
def test_bad_input(words, said, capsys):
    assert cli.run(["timeline", LLAMA, "--on", "8xh100", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_devices_that_cannot_talk():
    box = catalog.machine("8xh100")
    mute = replace(box, scaleup_bandwidth=0.0)
    with pytest.raises(BadInput, match="no bandwidth between its devices"):
        rackmath.timeline(LLAMA, on=mute, layout="TP8")
    split = replace(box, domain=4, scaleout_bandwidth=0.0)
    with pytest.raises(BadInput, match="no network between its domains"):
        rackmath.timeline(LLAMA, on=split, layout="TP4 PP2")
    alone = rackmath.timeline(LLAMA, on=mute, layout="TP1", precision="fp8", batch=1)
    assert alone.subject.timeline.stages == 1


def test_one_device():
    t = rackmath.timeline("meta-llama/Llama-3.1-8B", on="h100", batch=4).subject.timeline
    found = totals(t, 0)
    assert sum(found.values()) == pytest.approx(float(t.time.estimate))
    assert all(found[k] == 0 for k in (*NETWORK, "idle"))
