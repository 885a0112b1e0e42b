"""Room for cache beside what engines logged: within 3 % or a tenth of a GiB, and no false "does not fit"."""

import csv
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import plan

import rackmath
from rackmath.evidence.memory_logs import Log, found, logs
from rackmath.layout.footprint import Footprint, footprint, seats
from rackmath.layout.parallelism import Layout
from rackmath.layout.reserve import largest_step, reserve, share_in_force
from rackmath.world import catalog
from rackmath.world.engine import GIB
from rackmath.world.engine_names import engine
from rackmath.world.precision import Precision

CASES = Path(os.environ.get("RACKMATH_DATA") or Path(__file__).parents[3] / "shared" / "data").parent / "cases"
ROWS = {log.id: log for log in logs()}
KV_ROWS = ("L1", "L2", "L4", "L6", "L7", "L9", "A2", "A3b", "A11")
LLAMA = "meta-llama/Llama-3.1-8B-Instruct"


@pytest.mark.parametrize("name", KV_ROWS)
def test_room_within_three_percent_of_the_log(name: str) -> None:
    log = ROWS[name]
    assert found(log).room == pytest.approx(log.room, rel=0.03)


@pytest.mark.parametrize("log", [one for one in logs() if not one.why], ids=lambda one: one.id)
def test_room_weights_and_peak_of_every_log_that_adds_up(log: Log) -> None:
    """Two decimals are printed and some rooms derived to 0.3 GiB, so small rooms are asked for to 0.1 GiB."""
    one = found(log)
    assert one.room == pytest.approx(log.room, rel=0.03, abs=0.1 * GIB)
    if math.isfinite(log.weights) and log.engine.name == "vllm":  # the others are differences of free memory
        assert one.weights == pytest.approx(log.weights, rel=0.008, abs=0.04 * GIB)
    if math.isfinite(log.activation) and "activations" in one.terms and log.engine.name == "vllm":
        assert one.terms["activations"] == pytest.approx(log.activation, abs=0.3 * GIB)


def test_logs_left_out_say_why() -> None:
    left = {log.id: log.why for log in logs() if log.why}
    assert set(left) == {"VL4", "VL8", "TR2"}
    assert all(len(why) > 40 for why in left.values())


@pytest.mark.skipif(not (CASES / "kv-logs.csv").is_file(), reason="the raw logs are not here")
def test_the_figures_are_those_of_the_logs() -> None:
    raw: dict[str, dict[str, str]] = {}
    for name in ("kv-logs.csv", "engine-logs.csv"):
        with (CASES / name).open(encoding="utf-8", newline="") as file:
            raw |= {row["id"]: row for row in csv.DictReader(file)}
    compared = [log for log in logs() if log.id in raw]
    assert len(compared) > 15
    for log in compared:
        row = raw[log.id]
        assert log.room == pytest.approx(float(row["room_GiB"]) * GIB), log.id
        if row["weights_GiB"]:
            assert log.weights == pytest.approx(float(row["weights_GiB"]) * GIB), log.id
        if row["memory_share"]:
            assert log.engine.memory_share == float(row["memory_share"]), log.id


def test_a_log_on_the_command() -> None:
    """The setting of a log as a person states it; terms sum up to the reserve, and all to what the driver shows."""
    answer = rackmath.memory(LLAMA, on="h100", layout="TP1", engine="vllm@0.19.0", context=8192, sets={"engine.memory_share": 0.95})
    held = answer.record["memory"]
    assert held["capacity"] == 79.19 * GIB
    assert held["room"] == pytest.approx(58.11 * GIB, rel=0.03)
    assert held["pool_tokens"] == pytest.approx(476_016, rel=0.01)
    assert sum(held["terms"].values()) == pytest.approx(held["reserve"])
    assert held["weights"] + held["reserve"] + held["room"] == pytest.approx(held["capacity"])
    narrow = rackmath.memory(
        LLAMA, on="h100", layout="TP1", engine="vllm@0.19.0", context=8192, kv="fp8", sets={"engine.memory_share": 0.95}
    )
    assert narrow.memory.pool_tokens == pytest.approx(952_032, rel=0.01)


def test_a_sampler_that_sorts_takes_more() -> None:
    """vLLM's peak fell from 5.6 to 2.2 GiB between 0.16 and 0.17, for Qwen3 32B on an H100."""
    model, machine = catalog.model("Qwen/Qwen3-32B"), catalog.machine("h100")

    def peak(version: str) -> float:
        e = engine(f"vllm@{version}")
        return float(reserve(model, machine, Precision(name="bf16"), Layout(), e, 0.0, 8192.0)["activations"]) / GIB

    assert peak("0.16") == pytest.approx(5.64, abs=0.05)
    assert peak("0.17") == pytest.approx(2.23, abs=0.1)
    assert engine("vllm").graph_copies > 0 == engine("vllm@0.20").graph_copies  # the newest, where none is named


def test_small_devices_take_smaller_steps() -> None:
    steps = {name: largest_step(engine("vllm@0.19"), catalog.machine(name), 8192.0) for name in ("h100", "a100", "l4")}
    assert {name: tuple(map(float, step)) for name, step in steps.items()} == {"h100": (8192, 1024), "a100": (2048, 256), "l4": (2048, 256)}
    assert float(largest_step(engine("vllm@0.6"), catalog.machine("rtx-3090"), 20000.0)[0]) == 20000


def test_share_by_rule_on_known_devices() -> None:
    """SGLang's own rule: 0.8 to 0.93 on servers' devices, and a set share is taken as it is."""
    for name, tp in (("h100", 1), ("h100", 8), ("h200", 8), ("b200", 8), ("l4", 1)):
        share = float(share_in_force(engine("sglang"), catalog.machine(name), Layout(tp=float(tp))))
        assert 0.75 < share < 0.95
    assert share_in_force(replace(engine("sglang"), memory_share=0.7), catalog.machine("h100"), Layout()) == 0.7


def _holds(share: float, chunk: float, name: str = "vllm", tp: float = 1.0) -> Footprint:
    e = replace(engine(name), memory_share=share, step_tokens=chunk)
    return footprint(catalog.model(LLAMA), catalog.machine("8xh100"), Precision(name="bf16"), Layout(tp=tp), e, 8192.0)


@settings(max_examples=40, deadline=None)
@given(
    st.floats(0.3, 0.98),
    st.floats(0.3, 0.98),
    st.floats(512, 65536),
    st.floats(512, 65536),
    st.sampled_from(["vllm", "vllm@0.6", "sglang", "trtllm", "typical", "atom"]),
    st.sampled_from([1.0, 2.0, 8.0]),
)
def test_room_rises_with_the_share_and_falls_with_the_step(
    share: float, other: float, chunk: float, wider: float, name: str, tp: float
) -> None:
    low, high = sorted((share, other))
    assert float(_holds(low, chunk, name, tp).room) <= float(_holds(high, chunk, name, tp).room) * (1 + 1e-12)
    few, many = sorted((chunk, wider))
    assert float(_holds(share, few, name, tp).room) >= float(_holds(share, many, name, tp).room) * (1 - 1e-12)
    one = _holds(share, chunk, name, tp)
    assert float(sum(one.terms.values())) == pytest.approx(float(one.reserved))
    assert all(float(value) >= 0 for value in one.terms.values())
    assert float(one.weights + one.reserved + one.room) == pytest.approx(float(one.capacity))


@pytest.mark.parametrize("name", ["vllm", "vllm@0.6", "sglang", "trtllm", "typical"])
@pytest.mark.parametrize("model", [LLAMA, "Qwen/Qwen3-30B-A3B", "deepseek-ai/DeepSeek-V3"])
def test_a_column_is_its_rows(name: str, model: str) -> None:
    m, machine, e = catalog.model(model), catalog.machine("8xh200"), engine(name)
    tp, pp = np.array([1.0, 2.0, 4.0, 8.0]), np.array([2.0, 1.0, 2.0, 1.0])
    both = footprint(m, machine, m.precision, Layout(tp=tp, pp=pp), e, 8192.0, 2000.0)
    for i in range(4):
        one = footprint(m, machine, m.precision, Layout(tp=tp[i], pp=pp[i]), e, 8192.0, 2000.0)
        for field in ("weights", "reserved", "room", "batch_max"):
            column = np.broadcast_to(getattr(both, field), 4)
            assert column[i] == pytest.approx(float(getattr(one, field)))


@given(st.floats(0, 100), st.floats(0.1, 10), st.floats(0, 10), st.integers(0, 8))
def test_seats_fill_the_room_and_no_more(room: float, each: float, prompt: float, prompts: int) -> None:
    def used(n: float) -> float:
        return n * each + (min(prompts, n) * prompt if n > 1 else 0.0)

    n = float(seats(room, each, prompt, float(prompts)))
    assert used(n) <= room * (1 + 1e-9) or n == 0
    assert used(n + 1) > room * (1 - 1e-9) or n + 1 == 2


def test_what_people_asked_fits() -> None:
    """Runs that were reported to take place; `plan` said they were short of negative bytes."""

    for name, fmt, isl, osl in (("Qwen/Qwen3-30B-A3B", "q4_k_m", 2000, 500), ("google/gemma-3-27b-it", "q4_0", 2000, 300)):
        assert plan(name, "rtx-4090", precision=fmt, isl=isl, osl=osl).best is not None
