"""Bytes of caches as engines keep and read them, against published figures and engines' own logs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from plans import plan

from rackmath.kernel.counts import Pass, attended_entries, attended_sum, read_bytes
from rackmath.kernel.efficiency import calibrated
from rackmath.layout.footprint import device_cache_bytes, device_weight_bytes, footprint
from rackmath.layout.forward import forward
from rackmath.layout.pages import ahead_of, request_bytes
from rackmath.layout.parallelism import Layout
from rackmath.serving.speculative import beside, own_layers
from rackmath.world import catalog
from rackmath.world.description import build
from rackmath.world.engine_names import engine as engine_named

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


# --- buffers that are multiplied with nothing -----------------------------------------------------------------------


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
    answer = plan(name, "8xh200", isl=4000, osl=500)
    assert np.isfinite(float(answer.best.serving.tpot))


# --- weights as engines load them -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("machine", "engine", "logged", "within"),
    [
        ("h100", "vllm 0.10.1", 65.97, 0.002),  # vllm-project/vllm#23278, through Marlin
        ("h100", "vllm 0.14.1", 64.38, 0.002),  # vllm-project/vllm#33155, through Triton
        ("dgx-spark", "trtllm", 63.52, 0.005),  # a public log of TensorRT-LLM 1.1.0rc3
    ],
)
def test_experts_of_gpt_oss_are_padded_where_an_engine_pads_them(machine: str, engine: str, logged: float, within: float) -> None:
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


# --- whole blocks ---------------------------------------------------------------------------------------------------

GIB = 2.0**30


def admitted(name: str, engine: str, tp: float, context: float, chunk: float) -> float:
    """Bytes that one request of `context` tokens needs on a device while it is prefilled in steps of `chunk`."""
    model, how = catalog.model(name), replace(engine_named(engine), chunk_tokens=chunk)
    return float(request_bytes(model, model.precision.with_kv("fp8"), Layout(tp=tp), how, context, ahead_of(how, context)))


def test_one_request_of_deepseek_v4_needs_what_vllm_says() -> None:
    """vllm-project/vllm#44376: 6.66 GiB for 30,000 tokens, 5.44 GiB for 13,528, in steps of 16,384 tokens."""
    name, how = V4[0], "vllm 0.22"
    assert admitted(name, how, 2.0, 30000.0, 16384.0) / GIB == pytest.approx(6.66, abs=0.005)
    assert admitted(name, how, 2.0, 13528.0, 16384.0) / GIB == pytest.approx(5.44, abs=0.005)


def test_the_pool_of_deepseek_v4_is_as_large_as_logged() -> None:
    """A public log of vLLM 0.26.1: 50.57 GiB on each of four devices, 4,096 tokens a step, 5,791,869 tokens."""
    one = admitted(V4[0], "vllm 0.26.1", 4.0, 600000.0, 4096.0)
    assert 50.57 * GIB / one * 600000 == pytest.approx(5791869, rel=5e-4)


def test_most_of_what_v4_takes_is_the_same_for_any_length() -> None:
    model, vllm = catalog.model(V4[0]), engine_named("vllm")
    narrow = model.precision.with_kv("fp8")
    sizes = request_bytes(model, narrow, Layout(), vllm, np.array([256.0, 2048.0, 65536.0]))
    bare = device_cache_bytes(model, narrow, Layout(), np.array([256.0, 2048.0, 65536.0]))
    fixed = sizes - bare
    assert np.all(fixed > 5e6)
    assert fixed[2] < 3 * fixed[1]  # type: ignore[index]


def hybrid(**facts: Any) -> Any:
    """92 layers: 23 of attention with 4,096 bytes a token each, 69 with a state of 4.12 MiB in 16 bits."""
    mixers = (
        {"kind": "gqa", "n_heads": 32, "n_kv_heads": 4, "head_dim": 256},
        {"kind": "gated_delta", "n_k_heads": 16, "n_v_heads": 128, "d_k": 128, "d_v": 128, "state_bytes": 2},
    )
    groups = [{"count": n, "mixer": mixer} for n, mixer in zip((23, 69), mixers, strict=True)]
    return build({"name": "hybrid", "d_model": 4096, "vocab": 1000, "groups": groups, **facts})


def test_a_hybrid_rounds_its_state_to_pages() -> None:
    """A log of vLLM: 23 x 10 + 69 pages of 4.125 MiB for 10,240 tokens, of 1,056 tokens each."""
    model = hybrid()
    page = 1056 * 4096
    held = request_bytes(model, model.precision, Layout(), engine_named("vllm"), np.array([10240.0, 10560.0, 10561.0]))
    assert np.allclose(held / page, [23 * 10 + 69, 23 * 10 + 69, 23 * 11 + 69])
    apart = request_bytes(model, model.precision, Layout(), engine_named("sglang"), 10240.0)
    assert float(apart) == pytest.approx(float(device_cache_bytes(model, model.precision, Layout(), 10240.0)))


@pytest.mark.parametrize(("engine", "tokens"), [("vllm", 16), ("sglang", 1), ("trtllm", 32), ("typical", 16)])
def test_sequences_hold_whole_blocks(engine: str, tokens: int) -> None:
    model, lengths = catalog.model("meta-llama/Llama-3.1-8B"), np.array([1.0, 100.0, 8192.0, 8193.0])
    held = request_bytes(model, model.precision, Layout(tp=2.0), engine_named(engine), lengths)
    whole = np.ceil(lengths / tokens) * tokens
    assert np.allclose(held, device_cache_bytes(model, model.precision, Layout(tp=2.0), whole))


@pytest.mark.parametrize("name", ["openai/gpt-oss-120b", "google/gemma-3-27b-it", *V4, "Qwen/Qwen3-Next-80B-A3B-Instruct"])
@pytest.mark.parametrize("engine", ["vllm 0.20", "vllm", "sglang", "trtllm", "typical"])
def test_blocks_hold_what_is_in_them(name: str, engine: str) -> None:
    """Never less than the entries themselves, more for more tokens, a column as its rows."""
    model, how = catalog.model(name), engine_named(engine)
    lengths, tp = np.geomspace(1, 1e5, 40), np.repeat([1.0, 2.0], 20)
    held = request_bytes(model, model.precision, Layout(tp=tp), how, lengths, ahead_of(how, lengths))
    decode = request_bytes(model, model.precision, Layout(tp=tp), how, lengths)
    assert np.all(decode >= device_cache_bytes(model, model.precision, Layout(tp=tp), lengths) * (1 - 1e-12))
    assert np.all(held >= decode)
    one = request_bytes(model, model.precision, Layout(tp=2.0), how, float(lengths[-1]))
    assert float(one) == pytest.approx(float(decode[-1]))  # type: ignore[index]
    for part in (decode[:20], decode[20:]):  # type: ignore[index]
        assert np.all(np.diff(part) >= 0)


# --- drafts ---------------------------------------------------------------------------------------------------------


def test_the_layer_that_drafts_has_a_cache_and_weights() -> None:
    """DeepSeek V3's 62nd layer: 1,152 bytes a token in BF16, and 11.6e9 parameters in FP8."""
    model, on = catalog.model("deepseek-ai/DeepSeek-V3"), catalog.machine("8xh200")
    layout = Layout(dp=8.0, ep=8.0)
    plain = footprint(model, on, model.precision, layout, engine_named("sglang"), 8192.0)
    drafts = own_layers(model, model.precision, depth=1.0, acceptance=0.8)
    held = beside(plain, drafts, layout, 8192.0)
    assert float(held.per_sequence - plain.per_sequence) == 1152 * 8192
    one = 256 / 8 * 3 * 7168 * 2048
    assert float(held.weights - plain.weights) > one
    assert float(held.batch_max) < float(plain.batch_max)
