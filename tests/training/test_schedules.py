"""Pipeline schedules of training: published figures, formulas against simulation, what holds for any schedule."""

import csv
import io
import json
import os
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import rackmath
from rackmath.errors import BadInput
from rackmath.faces import cli
from rackmath.training.orders import FORWARD, INPUT, WEIGHT, Times
from rackmath.training.schedules import (
    SCHEDULES,
    bubble_time,
    chunks,
    in_flight,
    messages,
    possible,
    schedule_named,
    step_time,
    weight_copies,
    why_not,
)
from rackmath.training.simulate import simulate

DATA = Path(os.environ.get("RACKMATH_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
RUNS = DATA / "training" / "reported_runs.csv"

EXACT = ("gpipe", "1f1b", "interleaved", "zb-1p", "zb-h2")
TIMES = [(1, 1, 1), (1, 1.1, 0.9), (1, 1.3, 0.6), (1.2, 0.9, 0.7), (0.5, 1, 1.3), (1, 2.2, 0.8)]

# Zero Bubble (arXiv 2401.10241): Table 3 (hidden size, heads, chunks of one layer, micro-batch), Table 9 (profiled
# milliseconds of F, B, W and a message for each number of micro-batches) and Table 5 (bubble rates).
SHAPES = {"1.5": (2304, 24, 3), "6.2": (4096, 32, 4), "14.6": (5120, 40, 3), "28.3": (6144, 48, 2)}
PROFILED = {
    ("1.5", 8): {24: (18.522, 18.086, 9.337, 0.601), 32: (18.513, 18.086, 9.331, 0.626), 64: (18.546, 18.097, 9.321, 0.762)},
    ("6.2", 8): {24: (29.718, 29.444, 19.927, 0.527), 32: (29.802, 29.428, 19.530, 0.577), 64: (29.935, 29.621, 19.388, 0.535)},
    ("14.6", 16): {48: (11.347, 11.248, 8.132, 0.377), 64: (11.307, 11.254, 8.101, 0.379), 128: (11.325, 11.308, 8.109, 0.378)},
    ("28.3", 32): {96: (10.419, 10.207, 7.715, 0.408), 128: (10.408, 10.204, 7.703, 0.408), 256: (10.402, 10.248, 7.698, 0.460)},
}
RATES = {
    "1f1b": (0.2431, 0.1985, 0.1240, 0.2347, 0.1898, 0.1091, 0.2552, 0.2082, 0.1251, 0.2646, 0.2168, 0.1352),
    "interleaved": (0.1055, 0.0818, 0.0443, 0.0808, 0.0628, 0.0320, 0.1104, 0.0852, 0.0445, 0.1493, 0.1164, 0.0624),
    "zb-1p": (0.1585, 0.1242, 0.0674, 0.1323, 0.1045, 0.0554, 0.1397, 0.1088, 0.0576, 0.1421, 0.1106, 0.0594),
    "zb-h2": (0.1083, 0.0837, 0.0444, 0.0698, 0.0559, 0.0294, 0.0672, 0.0516, 0.0266, 0.0641, 0.0490, 0.0257),
    "zb-2p": (0.0433, 0.0039, 0.0026, 0.0029, 0.0022, 0.0010, 0.0066, 0.0054, 0.0028, 0.0038, 0.0029, 0.0018),
}
SETTINGS = [(model, p, m, t) for (model, p), by in PROFILED.items() for m, t in by.items()]


def times(f=1.0, b=1.0, w=1.0, c=0.0):
    return Times(forward=f, input_grad=b, weight_grad=w, hop=c)


def kept_of(model):
    """M_W over M_B of a layer (Table 1): 32 sbh over sb(34 h + 5 a s), s = 1,024."""
    hidden, heads, _ = SHAPES[model]
    return 32 * hidden / (34 * hidden + 5 * heads * 1024)


# --- published figures --------------------------------------------------------------------------------------------


def test_gpipe_of_the_lecture_section_14c():
    m = np.array([4.0, 8.0, 32.0])
    share = bubble_time("gpipe", 4, m, 1, (1.0, 1.0, 1.0)) / step_time("gpipe", 4, m, 1, (1.0, 1.0, 1.0))
    np.testing.assert_allclose(share, 3 / (m + 3))
    assert [round(100 * float(x)) for x in share] == [43, 27, 9]


@pytest.mark.parametrize("name", ["1f1b", "zb-1p", "zb-h2"])
def test_bubble_rates_of_zero_bubble_table_5(name):
    """36 published rates, to their last digit, from the profiled times of Table 9."""
    for (model, p, m, (f, b, w, c)), rate in zip(SETTINGS, RATES[name], strict=True):
        found = float(bubble_time(name, p, m, 1, (f, b, w), c) / step_time(name, p, m, 1, (f, b, w), c))
        assert found == pytest.approx(rate, abs=6e-5), (model, m)


def test_interleaved_rates_of_zero_bubble_table_5():
    """The order of Megatron-LM shows p messages more than the paper's calculation: up to 0.4 points of a step."""
    for (model, p, m, (f, b, w, c)), rate in zip(SETTINGS, RATES["interleaved"], strict=True):
        v = SHAPES[model][2]
        step = float(step_time("interleaved", p, m, v, (f, b, w), c))
        assert 0 <= 1 - m * (f + b + w) / step - rate < 0.004
        assert 1 - m * (f + b + w) / (step - p * c) == pytest.approx(rate, abs=6e-5)


@pytest.mark.parametrize(("model", "m"), [("1.5", 24), ("1.5", 32), ("1.5", 64), ("6.2", 24), ("6.2", 64), ("14.6", 48)])
def test_automatic_orders_reach_the_rates_of_zero_bubble_table_5(model, m):
    """With the memory of a weight gradient as in Table 1 the simulated ZB-2p has the published rate to the digit."""
    i = next(i for i, row in enumerate(SETTINGS) if row[0] == model and row[2] == m)
    _, p, _, (f, b, w, c) = SETTINGS[i]
    run = simulate("zb-2p", p, m, 1, times(f, b, w, c), kept=kept_of(model))
    assert 1 - m * (f + b + w) / run.step == pytest.approx(RATES["zb-2p"][i], abs=6e-5)
    assert max(run.peaks) <= 2 * p


def test_a_barrier_costs_what_zero_bubble_table_10_measures():
    """Throughput with an all-reduce before the update over that without: 0.904, 0.926 and 0.928 measured."""
    for model, p, m, measured in (("1.5", 8, 24, 13.11 / 14.5), ("6.2", 8, 24, 4.0 / 4.32), ("14.6", 16, 48, 1.68 / 1.81)):
        run = simulate("zb-2p", p, m, 1, times(*PROFILED[model, p][m]), kept=kept_of(model))
        assert run.step / run.makespan == pytest.approx(measured, abs=0.032)


def test_memory_of_the_authors():
    """Zero Bubble, section 2.3; Controllable Memory: p, (p + 2) // 2 and (p + 4) // 3; DeepSeek: PP + 1."""
    for p in range(2, 25):
        m = 4 * p
        for i in range(1, p + 1):
            assert in_flight("zb-1p", p, m, 1, i - 1, kept=0.4) == pytest.approx(p - i + 1 + (i - 1) * 0.4)
            assert in_flight("zb-h2", p, m, 1, i - 1, kept=0.4) == pytest.approx(2 * p - 2 * i + 1 + (2 * i - 2) * 0.4)
        assert [float(in_flight(n, p, m, 2)) for n in ("zb-v", "v-half", "v-min", "dualpipe")] == [p, (p + 2) // 2, (p + 4) // 3, p + 1]
    assert weight_copies("dualpipe") == 2
    assert {weight_copies(n) for n in SCHEDULES if n != "dualpipe"} == {1}


def test_bubbles_of_the_authors():
    """DeepSeek: (PP/2 - 1)(F&B + B - 3W); ZB-V and ZB-2p none for equal times; Narayanan et al.: 1F1B over v."""
    f, b, w = 1.0, 1.1, 0.9
    full = b + w
    assert float(bubble_time("dualpipe", 8, 32, 1, (f, b, w))) == pytest.approx(3 * ((f + full) + full - 3 * w))
    chunk = [x / 2 for x in (f, full, w)]  # DualPipeV on p devices is DualPipe of 2p half as large stages
    folded = (8 - 1) * (chunk[0] + chunk[1] + chunk[1] - 3 * chunk[2])
    assert float(bubble_time("dualpipe-v", 8, 32, 2, (f, b, w))) == pytest.approx(folded)
    assert [float(bubble_time(n, 8, 32, 2, (1.0, 1.0, 1.0))) for n in ("zb-v", "zb-2p", "zb-h2")] == [0, 0, 0]
    for v in (2, 4):
        assert float(bubble_time("interleaved", 8, 32, v, (f, b, w))) == pytest.approx(7 * (f + full) / v)


@pytest.mark.skipif(not RUNS.is_file(), reason=f"needs the reported runs in {RUNS} (set RACKMATH_DATA)")
def test_relative_throughput_of_zero_bubble_table_4():
    """48 measured throughputs, each over ZB-2p's of its setting: formulas with f, b and w by the FLOPs of a GPT."""
    measured, errors = {}, {}
    with RUNS.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if "2401.10241" in row["source"] and row["metric"] == "samples_per_s_per_gpu":
                schedule, m = re.search(r"schedule=([^;]+); microbatches=(\d+)", row["note"]).groups()
                measured[re.search(r"([\d.]+)B", row["model"]).group(1), int(m), schedule] = float(row["value"])
    names = {"1F1B": "1f1b", "1F1B-I": "interleaved", "ZB-1p": "zb-1p", "ZB-2p": "zb-2p"}
    assert len(measured) == 48
    for model, p, m, _ in SETTINGS:
        hidden, _, v = SHAPES[model]
        parts = (24 * hidden + 4 * 1024, 24 * hidden + 8 * 1024, 24 * hidden)
        step = {s: float(step_time(n, p, m, v, parts, kept=kept_of(model))) for s, n in names.items()}
        for s in names:
            found, told = step["ZB-2p"] / step[s], measured[model, m, s] / measured[model, m, "ZB-2p"]
            errors.setdefault(s, []).append(abs(found / told - 1))
    assert np.mean(errors["1F1B"]) < 0.025 and max(errors["1F1B"]) < 0.055  # noqa: PT018
    assert np.mean(errors["ZB-1p"]) < 0.015 and max(errors["ZB-1p"]) < 0.03  # noqa: PT018
    assert np.mean(errors["1F1B-I"]) < 0.04 and max(errors["1F1B-I"]) < 0.075  # noqa: PT018 (messages are not in it)


# --- formulas against simulation ----------------------------------------------------------------------------------


def settings(name, most=8):
    for p in (1, 2, 3, 4, 6, 8):
        for m in (1, 2, p, 2 * p - 1, 2 * p, 3 * p + 1, 4 * p):
            for v in (2, 3) if name == "interleaved" else (1,):
                if p <= most and not why_not(name, p, m, v):
                    yield p, m, v


@pytest.mark.parametrize("name", EXACT)
def test_exact_formulas_are_the_simulation(name):
    found = 0
    for p, m, v in settings(name):
        for f, b, w in TIMES:
            for c in (0, 0.03, 0.3):
                if name == "interleaved" and c > min(f, (f + b + w) / 2) / v:
                    continue  # beyond what the formula promises
                run = simulate(name, p, m, v, times(f, b, w, c))
                assert run.step == pytest.approx(float(step_time(name, p, m, v, (f, b, w), c)), rel=1e-9), (p, m, v)
                found += 1
    assert found > 100


@pytest.mark.parametrize(
    ("name", "equal", "near"),
    [
        ("interleaved", 1e-9, 0.08),
        ("zb-2p", 1e-9, 0.06),
        ("zb-v", 0.02, 0.05),
        ("v-half", 0.05, 0.10),
        ("v-min", 0.05, 0.13),
        ("dualpipe", 1e-9, 0.03),
        ("dualpipe-v", 1e-9, 0.03),
    ],
)
def test_other_formulas_stay_within_what_they_promise(name, equal, near):
    for p in (2, 3, 4, 6, 9):
        m, v = 4 * p, 2
        if why_not(name, p, m, v):
            continue
        step = simulate(name, p, m, v).step
        assert step == pytest.approx(float(step_time(name, p, m, v, (1.0, 1.0, 1.0))), rel=equal)
        for b, w, c in ((1.2, 0.8, 0.0), (0.9, 1.1, 0.05), (1.1, 0.9, 0.1)):
            hop = 1.5 if name == "interleaved" else c  # its formula is exact for short hops
            run = simulate(name, p, m, v, times(1.0, b, w, hop))
            assert run.step == pytest.approx(float(step_time(name, p, m, v, (1.0, b, w), hop)), rel=near), (p, b, w, c)


@pytest.mark.parametrize("name", SCHEDULES)
def test_memory_and_messages_are_the_simulation(name):
    for p, m, v in settings(name, most=6):
        for kept in (1.0, 0.5):
            run = simulate(name, p, m, v, kept=kept)
            said = [float(in_flight(name, p, m, v, d, kept=kept)) for d in range(p)]
            if name != "zb-2p" and (m >= 2 * p or name not in ("v-half", "v-min")):  # else not all need be used
                assert run.peaks == pytest.approx(said), (p, m, kept)
            assert all(peak <= most + 1e-9 for peak, most in zip(run.peaks, said, strict=True))
        if p > 2:
            assert run.sent[p // 2] == float(messages(name, p, m, v))
        assert max(run.sent) <= float(messages(name, p, m, v))


def test_a_column_call_is_its_scalar_calls():
    p, m = np.array([2.0, 4.0, 8.0, 8.0]), np.array([4.0, 16.0, 16.0, 64.0])
    v, c = np.array([2.0, 3.0, 2.0, 4.0]), np.array([0.0, 0.1, 0.7, 2.0])
    f, b, w = np.array([1.0, 1.0, 2.0, 0.5]), np.array([1.0, 2.0, 1.0, 1.0]), np.array([1.0, 0.3, 0.9, 2.0])
    for name in SCHEDULES:
        idle, held = bubble_time(name, p, m, v, (f, b, w), c, kept=0.7), in_flight(name, p, m, v, p - 1, kept=0.7)
        sent, fine = messages(name, p, m, v), possible(name, p, m, v)
        assert np.all(idle >= 0)
        for i in range(4):
            row = (name, p[i], m[i], v[i])
            assert float(bubble_time(*row, (f[i], b[i], w[i]), c[i], kept=0.7)) == idle[i]
            assert float(in_flight(*row, p[i] - 1, kept=0.7)) == held[i]
            assert float(messages(*row)) == sent[i]
            assert bool(fine[i]) == (why_not(*row) == "")


# --- what holds for any schedule ----------------------------------------------------------------------------------


def checked(run, seconds, hop):
    """Every pass once, on its device, one at a time, and none before what it needs has arrived."""
    plan, ends, starts = run.plan, {}, {}
    for d, done in enumerate(run.devices):
        for before, after in pairwise(done):
            assert after.start >= before.end - 1e-9
        for o in done:
            assert (o.kind, o.micro, d, o.chunk) not in ends
            assert o.end - o.start == pytest.approx(seconds[d][o.kind] / plan.chunks)
            starts[o.kind, o.micro, d, o.chunk], ends[o.kind, o.micro, d, o.chunk] = o.start, o.end
    total = 0
    for micro in range(plan.micro_batches):
        way = plan.way(micro)
        assert sorted(d for d, _ in way) == sorted(d for d in range(plan.stages) for _ in range(plan.chunks))
        for (d, k), after in zip(way, [*way[1:], None], strict=True):
            total += 3
            assert starts[WEIGHT, micro, d, k] >= ends[INPUT, micro, d, k] - 1e-9
            if after is None:
                assert starts[INPUT, micro, d, k] >= ends[FORWARD, micro, d, k] - 1e-9
                continue
            wait = hop if after[0] != d else 0.0
            assert starts[FORWARD, micro, *after] >= ends[FORWARD, micro, d, k] + wait - 1e-9
            assert starts[INPUT, micro, d, k] >= ends[INPUT, micro, *after] + wait - 1e-9
    assert total == len(ends)


@pytest.mark.parametrize("name", SCHEDULES)
def test_simulated_steps_are_legal_and_never_beat_the_work(name):
    p, m, v = 4, 12, 2
    uneven = {"F": (1.0, 1.3, 0.8, 1.0), "B": (1.1, 1.0, 1.2, 0.9), "W": (0.9, 0.7, 1.0, 1.4)}
    hop = 0.0 if name.startswith("dualpipe") else 0.15  # a pair's messages leave before its end
    run = simulate(name, p, m, v, Times(forward=uneven["F"], input_grad=uneven["B"], weight_grad=uneven["W"], hop=hop))
    checked(run, [{kind: each[d] for kind, each in uneven.items()} for d in range(p)], hop)
    work = [m * sum(each[d] for each in uneven.values()) for d in range(p)]
    assert run.busy == pytest.approx(work)
    assert max(work) - 1e-9 <= run.step <= run.makespan + 1e-9
    assert all(idle >= -1e-9 for idle in run.idle)


def test_one_slow_device_sets_the_pace():
    """1F1B with one device twice as slow: its 16 micro-batches, the way to it and back, and one wait of 1 for the
    first gradient, which takes the next device 3 while a second forward pass takes 2.
    """
    t = Times(forward=(1, 1, 2, 1), input_grad=(1, 1, 2, 1), weight_grad=(1, 1, 2, 1))
    assert simulate("1f1b", 4, 16, 1, t).makespan == pytest.approx((1 + 1) + 16 * 6 + (2 + 2) + 1)
    with pytest.raises(BadInput, match="2 times were given for 4 stages"):
        simulate("1f1b", 4, 8, 1, Times(forward=(1.0, 2.0)))


def test_order_of_the_schedules():
    for p in (4, 8):
        m = 4 * p
        for f, b, w in ((1, 1, 1), (1, 1.1, 0.9), (1, 1.2, 0.8)):
            step = {n: simulate(n, p, m, 2, times(f, b, w, 0.02)).step for n in SCHEDULES}
            assert step["zb-2p"] <= step["zb-h2"] < step["zb-1p"] < step["interleaved"] < step["1f1b"]
            assert step["zb-v"] < step["v-half"] < step["v-min"]
        held = [max(simulate(n, p, m, 2).peaks) for n in ("v-min", "v-half", "1f1b", "interleaved", "zb-2p", "gpipe")]
        assert held == sorted(set(held))


def test_less_kept_for_the_weight_gradient_never_hurts_zb_2p():
    steps = [simulate("zb-2p", 6, 24, 1, times(1, 1, 0.7, 0.02), kept=k).step for k in (1.0, 0.8, 0.6, 0.4)]
    assert steps == sorted(steps, reverse=True)
    assert steps[-1] < steps[0]


# --- names, needs, the command ------------------------------------------------------------------------------------


def test_names_and_needs():
    assert schedule_named("ZB_1P").name == "zb-1p"
    assert [chunks(n, 4) for n in ("gpipe", "interleaved", "zb-v")] == [1, 4, 2]
    with pytest.raises(BadInput, match="did you mean dualpipe"):
        schedule_named("dualpip")
    assert "multiples of the stages" in why_not("interleaved", 8, 12, 2)
    assert "even number of stages" in why_not("dualpipe", 5, 20, 1)
    assert "even number of micro-batches" in why_not("dualpipe", 4, 9, 1)
    assert not why_not("1f1b", 8, 1, 1)
    with pytest.raises(BadInput, match="at least p micro-batches"):
        simulate("zb-1p", 8, 7)


@pytest.mark.parametrize(
    "words",
    [
        ["nope"],
        ["1f1b", "--stages", "0"],
        ["1f1b", "--stages", "2.5"],
        ["1f1b", "--micro-batches", "-3"],
        ["1f1b", "--forward", "nan"],
        ["1f1b", "--forward", "inf"],
        ["1f1b", "--weight", "0"],
        ["1f1b", "--hop", "-1"],
        ["interleaved", "--micro-batches", "12"],
        ["interleaved", "--chunks", "1"],
        ["zb-2p", "--micro-batches", "8"],
        ["dualpipe", "--stages", "5"],
        ["1f1b", "--forward", "1ms"],
        ["1f1b", "--hop", "3 apples"],
        ["1f1b", "--kept", "0"],
        ["1f1b", "--kept", "110%"],
        ["--stages", "500", "--micro-batches", "500"],
        ["--stages", "8192", "--micro-batches", "1"],
        ["--forward", "1e300"],
        ["--hop", "1e30"],
        ["--weight", "1e-300"],
        ["-o", "x.trace.json"],
        ["1f1b", "-o", "x.trace.json", "--json"],
        ["1f1b", "-o", "x.pdf"],
    ],
)
def test_bad_input_is_one_sentence(words, capsys):
    assert cli.run(["schedule", *words]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: ")
    assert told.err.count("\n") == 1


def test_the_command_says_what_was_computed(capsys, tmp_path):
    ask_for = ["schedule", "zb-1p", "--stages", "4", "--micro-batches", "8", "--hop", "0.05"]
    assert cli.run([*ask_for, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    row = next(row for row in found["compared"] if row["schedule"] == "zb-1p")
    assert row["step"] == pytest.approx(24 + 3 * 1.2)
    assert row["idle_share"] == pytest.approx(3.6 / 27.6)
    assert len(found["operations"]) == 4 * 8 * 3
    assert cli.run([*ask_for, "--csv"]) == 0
    assert len(list(csv.DictReader(io.StringIO(capsys.readouterr().out)))) == 4 * 8 * 3
    assert cli.run([*ask_for, "-o", str(tmp_path / "a.trace.json")]) == 0
    events = json.loads((tmp_path / "a.trace.json").read_text())["traceEvents"]
    done = [e for e in events if e["ph"] == "X"]
    assert sum(e["dur"] for e in done) == pytest.approx(4 * 24 * 1e6)
    assert max(e["ts"] + e["dur"] for e in done) == pytest.approx(max(o["end"] for o in found["operations"]) * 1e6)
    assert cli.run(ask_for) == 0
    told = capsys.readouterr().out
    assert "13.0% of the step idle" in told
    lanes = [line.split()[-1] for line in told.splitlines() if line.startswith("  device ")]
    assert len(lanes) == 4
    assert all(set(lane) == set("FBW·") for lane in lanes)


def test_the_comparison_lists_what_cannot_run(capsys):
    assert cli.run(["schedule", "--stages", "5", "--micro-batches", "12", "--forward", "2ms", "--backward", "2ms", "--weight", "1ms"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "not shown: interleaved needs micro-batches in multiples of the stages" in told
    assert "not shown: dualpipe needs an even number of stages" in told
    assert "idles least" in told


@pytest.mark.parametrize("name", [None, "v-half", "1f1b"])
def test_trees_follow_and_charts_hold_the_same_numbers(name):
    answer = rackmath.schedule(name, stages=4, micro_batches=8, hop=0.1)
    for node in answer.explain().walk():
        assert node.follows(), node.name
    (spec,) = answer.charts
    if name is None:
        points = spec["datasets"]["points"]
        assert len(points) == len([one for one in answer.subject if one.run])
    else:
        bars = [row for row in spec["data"]["values"] if row["kind"] != "idle"]
        assert sum(row["end"] - row["start"] for row in bars) == pytest.approx(sum(row["busy"] for row in answer.devices))
