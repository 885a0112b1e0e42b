"""A model over unequal memories: what lies where, times as sums over them, llama.cpp's own counts, public speeds."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rackmath
from rackmath.errors import BadInput
from rackmath.evidence.host_runs import host_runs
from rackmath.kernel.counts import Pass
from rackmath.kernel.llamacpp import constants
from rackmath.layout import local, spread
from rackmath.layout.footprint import device_weight_bytes, footprint
from rackmath.layout.forward import forward
from rackmath.layout.parallelism import Layout
from rackmath.world import catalog, gguf
from rackmath.world.engine_names import engine

LLAMACPP = engine("llama.cpp")
QWEN, LLAMA = catalog.model("Qwen/Qwen3-30B-A3B"), catalog.model("meta-llama/Llama-3.3-70B-Instruct")
FILES = {model.name: gguf.in_file(model, "q4_k_m") for model in (QWEN, LLAMA)}
CARD = catalog.machine("rtx-4090")
TOKEN = Pass(decode=1.0, context=2000.0)


def passed(model, machine, layout, work=TOKEN):
    return forward(model, machine, FILES[model.name], layout, work, constants(machine, LLAMACPP))


def held(model, machine, layout, context=4096.0):
    return footprint(model, machine, FILES[model.name], layout, LLAMACPP, context)


# --- what lies where ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [QWEN, LLAMA], ids=lambda m: m.name)
@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_nothing_is_lost_between_card_and_host(model, share):
    """Weights and cache on the card and with the host are those of the whole model, wherever the cut is."""
    n, experts = model.n_layers, spread.expert_layers(model)
    whole = held(model, CARD, Layout())
    table = local.host_bytes(model, FILES[model.name])
    layers = float(round(n * share))
    for moved in {0.0, experts * (1 - layers / n)}:
        layout = Layout(host_layers=layers, host_experts=moved)
        if not spread.left(layout):
            continue
        part = held(model, CARD, layout)
        assert part.weights + part.host_weights == pytest.approx(float(whole.weights) + table, rel=1e-6)
        both = float(part.per_sequence) + float(part.host_per_sequence)
        assert both == pytest.approx(float(whole.per_sequence), rel=1e-9)


def test_worked_split_of_a_mixture_of_experts():
    """24 of 48 layers leave their 128 experts of 3 x 2048 x 768 with the host: half of the experts' bytes."""
    part = held(QWEN, CARD, Layout(host_experts=24.0))
    experts = 24 * 128 * 3 * 2048 * 768 * FILES[QWEN.name].experts.bytes
    assert part.host_weights == pytest.approx(experts + local.host_bytes(QWEN, FILES[QWEN.name]), rel=1e-6)
    assert part.host_per_sequence == 0  # the cache stays with the layers on the card


def test_layers_over_cards_are_llamacpp_s_default_split():
    """81 units by free memory, each to the first card whose cumulated share exceeds i / 81, counted one by one."""
    box = catalog.machine("rtx-4090+rtx-3060+rtx-3090")
    free = [float(card.usable) - local.driver_bytes(card) for card in box.cards]
    shares = np.cumsum(free) / sum(free)
    of = [int(np.argmax(shares > i / 81)) for i in range(81)]
    counted = [of.count(card) for card in range(3)]
    counted[-1] -= 1  # the output
    assert [float(n) for n in spread.layers_on(LLAMA, box, Layout(pp=3.0))] == counted
    assert sum(counted) == LLAMA.n_layers


@given(st.integers(0, 80), st.integers(1, 3))
def test_every_layer_lies_somewhere(hosted, pp):
    box = catalog.machine("rtx-4090+rtx-3060+rtx-3090")
    counts = [float(n) for n in spread.layers_on(LLAMA, box, Layout(pp=float(pp), host_layers=float(hosted)))]
    assert sum(counts) + hosted == LLAMA.n_layers
    assert min(counts[:pp]) >= 0
    assert not any(counts[pp:])


# --- time -----------------------------------------------------------------------------------------------------------


def test_a_token_takes_the_sum_over_both_memories():
    """Bound: the card's bytes at its bandwidth and the host's at its own; the estimate is the sum of the places."""
    layout = Layout(host_layers=40.0)
    time = passed(LLAMA, CARD, layout)
    cards, host = spread.parted(LLAMA, layout)
    file = FILES[LLAMA.name]
    here = device_weight_bytes(local.resident(cards), file, Layout())
    there = device_weight_bytes(host, file, Layout())
    cache = 40 * 2001 * 2 * 8 * 128 * 2  # 40 layers read 2,000 entries and write one: 8 heads of 128 keys and values
    least = (here + cache) / CARD.hbm_bandwidth + (there + cache) / CARD.host_bandwidth
    assert float(time.bound) == pytest.approx(float(least), rel=5e-4)  # and the norms
    assert sum(float(s) for _, s in time.places) == pytest.approx(float(time.estimate), rel=1e-9)
    assert [name for name, _ in time.places] == ["GeForce RTX 4090", "the host"]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([QWEN, LLAMA]),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(1.0, 4.0),
    st.sampled_from(["host_bandwidth", "host_compute", "hbm_bandwidth"]),
    st.booleans(),
)
def test_faster_memories_are_never_slower_and_nothing_beats_the_bound(model, a, b, factor, field, prompt):
    n, experts = model.n_layers, spread.expert_layers(model)
    layers = float(round(a * n))
    layout = Layout(host_layers=layers, host_experts=float(math.floor(b * experts * (1 - layers / n))))
    work = Pass(prefill=512.0, prompt=2000.0) if prompt else TOKEN
    slow = passed(model, CARD, layout, work)
    fast = passed(model, replace(CARD, **{field: getattr(CARD, field) * factor}), layout, work)
    assert float(fast.estimate) <= float(slow.estimate) * (1 + 1e-9)
    assert float(fast.bound) <= float(slow.bound) * (1 + 1e-9)
    assert float(slow.bound) <= float(slow.estimate)


def test_the_more_lies_with_the_host_the_slower():
    layers = np.arange(1.0, 81.0)
    times = np.asarray(passed(LLAMA, CARD, Layout(host_layers=layers)).estimate)
    assert (np.diff(times) > 0).all()
    moved = np.asarray(passed(QWEN, CARD, Layout(host_experts=np.arange(1.0, 49.0))).estimate)
    assert (np.diff(moved) > 0).all()
    for i in (0, 40, 79):  # columns are rows
        alone = passed(LLAMA, CARD, Layout(host_layers=float(layers[i])))
        assert float(alone.estimate) == pytest.approx(times[i], rel=1e-9)


def test_unequal_cards_lie_between_equal_ones():
    def speed(name):
        machine = catalog.machine(name)
        return float(passed(LLAMA, machine, Layout(pp=2.0)).estimate)

    assert speed("2xrtx-4090") < speed("rtx-4090+rtx-3090") < speed("2xrtx-3090")


def test_equal_cards_are_a_plain_count():
    assert catalog.machine("rtx-4090+rtx-4090") == catalog.machine("2xrtx-4090")
    box = catalog.machine("rtx-4090 + 2x rtx-3060")
    assert box.name == "rtx-4090+2xrtx-3060"
    assert (box.n_devices, box.hbm_bandwidth) == (3.0, 360e9)


def test_a_set_value_of_unequal_cards_is_refused():
    box = catalog.machine("rtx-4090+rtx-3060")
    with pytest.raises(BadInput, match="its cards differ"):
        catalog.override(box, {"hbm_bandwidth": "1TB/s"})
    assert catalog.override(box, {"host_bandwidth": "50GB/s"}).host_bandwidth == 50e9


@pytest.mark.parametrize("run", host_runs(), ids=lambda run: run.id)
def test_public_speeds_are_met_and_within_the_bound(run):
    assert run.bound > run.measured
    assert 1 / 1.6 < run.predicted / run.measured < 1.6


def test_public_speeds_at_the_median():
    assert statistics.median(abs(run.error) for run in host_runs()) < 0.1


# --- the plan -------------------------------------------------------------------------------------------------------


def planned(model="openai/gpt-oss-120b", on="rtx-4090", **more):
    return rackmath.plan(model, on=on, isl=2000, osl=500, **more)


def test_a_model_that_fits_leaves_nothing_with_the_host():
    for file in ("q4_k_m", "q2_k"):
        best = planned("Qwen/Qwen3-30B-A3B", precision=file).subject.answer.best
        assert (best.layout.host_layers, best.layout.host_experts) == (0.0, 0.0)
    assert "split" not in planned("Qwen/Qwen3-30B-A3B", precision="q4_k_m").to_dict()["best"]


def test_a_mixture_larger_than_the_card_leaves_as_few_experts_as_it_takes():
    answer = planned()
    best, split = answer.subject.answer.best, answer.to_dict()["best"]["split"]
    assert best.layout.host_layers == 0
    moved = best.layout.host_experts
    assert 0 < moved < 36
    less = footprint(best.question.model, best.machine, best.precision, Layout(host_experts=moved - 1), best.question.engine, 2500.0)
    assert not bool(less.holds(1.0, best.layout))
    assert (split["gpu_layers"], split["n_cpu_moe"], split["limit"]) == (37.0, moved, "the host")
    assert sum(split["seconds"].values()) == pytest.approx(best.serving.tpot, rel=1e-6)
    assert best.intervals.tpot.low is None
    assert "no such run was fitted" in best.intervals.reason


def test_a_dense_model_larger_than_the_card_leaves_layers():
    best = planned(LLAMA.name, precision="q4_k_m").subject.answer.best
    assert best.layout.host_experts == 0
    assert 0 < best.layout.host_layers < 80
    assert 1.5 < float(best.serving.interactivity) < 4  # some two tokens a second, as people report


def test_the_user_says_it_in_llamacpp_s_counts():
    best = planned(LLAMA.name, precision="q4_k_m", gpu_layers=21).subject.answer.best
    assert best.layout.host_layers == 60  # of 80 and the output
    more = {"sets": {"machine.host_capacity": "96GB"}}
    assert planned(cpu_moe=True, **more).subject.answer.best.layout.host_experts == 36
    assert planned(n_cpu_moe=30, **more).subject.answer.best.layout.host_experts == 30
    assert "--n-cpu-moe 30" in str(planned(n_cpu_moe=30, launch=True, **more).to_dict())


def test_more_memory_of_the_host_is_what_a_refusal_asks_for():
    large = {"model": "Qwen/Qwen3-235B-A22B", "precision": "q4_k_m"}
    refused = planned(**large)
    assert refused.subject.answer.best is None
    assert "--set machine.host_capacity=128GB" in refused.subject.answer.reasons[0]
    assert planned(**large, sets={"machine.host_capacity": "192GB"}).subject.answer.best is not None


def test_what_cannot_lie_with_a_host_is_refused():
    with pytest.raises(BadInput, match="no routed experts"):
        planned(LLAMA.name, precision="q4_k_m", cpu_moe=True)
    with pytest.raises(BadInput, match="no memory of its own"):
        planned(on="strix halo", n_cpu_moe=4)
    with pytest.raises(BadInput, match=r"name --engine llama\.cpp"):
        planned(on="8xh100", n_cpu_moe=4)
    for bad in (-1, math.nan, math.inf, 1.5):
        with pytest.raises(BadInput):
            planned(n_cpu_moe=bad)


def test_a_server_cuts_unequal_cards_evenly():
    """What each has to hold and read is that of the least."""
    box = rackmath.plan("meta-llama/Llama-3.1-8B", on="rtx-4090+rtx-3090", engine="vllm", isl=1000, osl=100)
    machine = box.subject.answer.best.machine
    assert (machine.cards, float(machine.hbm_bandwidth), machine.n_devices) == ((), 936e9, 2.0)
