"""Bytes of caches as engines keep and read them, against published figures and engines' own logs."""

from __future__ import annotations

import numpy as np
import pytest

from rackmath.faces import ask
from rackmath.kernel.counts import Pass, attended_entries, attended_sum, read_bytes
from rackmath.kernel.efficiency import calibrated
from rackmath.layout.footprint import device_weight_bytes, footprint
from rackmath.layout.forward import forward
from rackmath.layout.parallelism import Layout
from rackmath.world import catalog
from rackmath.world.engine import engine as engine_named

V4 = ("deepseek-ai/DeepSeek-V4-Flash", "deepseek-ai/DeepSeek-V4-Pro")


# --- chunked attention ----------------------------------------------------------------------------------------------


def test_chunked_layers_read_everything_inside_the_first_chunk() -> None:
    maverick = catalog.model("meta-llama/Llama-4-Maverick-17B-128E-Instruct")
    each = 2 * 8 * 128 * 2  # keys and values of 8 heads of 128 in BF16, per token and layer
    assert float(read_bytes(maverick, 8000.0)) == 48 * each * 8000  # 1,573 MB
    assert float(read_bytes(maverick, 100e3)) == each * (12 * 100e3 + 36 * 4096)


def test_a_prompt_over_several_chunks_attends_to_whole_ones_and_the_one_begun() -> None:
    maverick = catalog.model("meta-llama/Llama-4-Maverick-17B-128E-Instruct")
    stream = next(s for g in maverick.groups if g.mixer for s in g.mixer.streams if s.chunk < np.inf)
    every = np.arange(20000) % 8192  # entries before each token of its own chunk
    assert float(attended_sum(stream, 20000.0)) == pytest.approx(every.sum(), rel=1e-3)
    assert float(attended_entries(stream, 8192.0)) == 8192


# --- buffers that are multiplied with nothing ---------------------------------------------------------------------


@pytest.mark.parametrize("name", V4)
@pytest.mark.parametrize("machine", ["8xh200", "gb200-nvl72", "8xmi355x"])
def test_a_pass_with_a_buffer_of_no_flops_has_a_time(name: str, machine: str) -> None:
    model, on = catalog.model(name), catalog.machine(machine)
    work = Pass(decode=np.array([0.0, 8.0]), context=4000.0, prefill=np.array([4096.0, 0.0]), prompt=4096.0)
    for generation in ("", "hopper"):
        time = forward(model, on, model.precision, Layout(tp=8.0), work, calibrated(generation))
        assert np.all(np.isfinite(time.estimate))
        assert np.all(time.estimate > time.bound)


@pytest.mark.parametrize("name", V4)
def test_v4_is_planned(name: str) -> None:
    answer = ask.plan(name, "8xh200", isl=4000, osl=500)
    assert np.isfinite(float(answer.best.serving.tpot))


# --- weights as engines load them -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("machine", "engine", "logged", "within"),
    [
        ("h100", "vllm 0.10.1", 65.97, 0.002),  # vllm-project/vllm#23278, through Marlin
        ("h100", "vllm 0.14.1", 64.38, 0.002),  # vllm-project/vllm#33155, through Triton
        ("dgx-spark", "trtllm", 63.52, 0.005),  # a public log of TensorRT-LLM 1.1.0rc3
    ],
)
def test_experts_of_gpt_oss_are_padded_where_an_engine_pads_them(
    machine: str, engine: str, logged: float, within: float
) -> None:
    model = catalog.model("openai/gpt-oss-120b")
    held = footprint(model, catalog.machine(machine), model.precision, Layout(), engine_named(engine), 1000.0)
    assert float(held.weights) / 2**30 == pytest.approx(logged, rel=within)


def test_padding_is_of_the_part_a_device_holds() -> None:
    model, on = catalog.model("openai/gpt-oss-120b"), catalog.machine("8xh100")
    marlin = engine_named("vllm 0.10.1")
    for tp in (1.0, 8.0):  # 2880 / 8 = 360, rounded up to 384 beside 3072
        held = footprint(model, on, model.precision, Layout(tp=tp), marlin, 1000.0).weights
        plain = device_weight_bytes(model, model.precision, Layout(tp=tp))
        wide = 36 * 128 * 3 * (3072 * np.ceil(2880 / tp / 128) * 128 - 2880 * 2880 / tp) * (0.5 + 1 / 32)
        assert float(held - plain) == pytest.approx(wide)


def test_what_needs_no_padding_gets_none() -> None:
    for name, machine in (("deepseek-ai/DeepSeek-V4-Flash", "h200"), ("meta-llama/Llama-3.1-8B", "h100")):
        model, on = catalog.model(name), catalog.machine(machine)
        held = footprint(model, on, model.precision, Layout(), engine_named("vllm"), 1000.0)
        assert float(held.weights) == pytest.approx(float(device_weight_bytes(model, model.precision, Layout())))
