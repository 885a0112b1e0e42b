"""Bytes of caches as engines keep and read them, against published figures and engines' own logs."""

from __future__ import annotations

import numpy as np
import pytest

from rackmath.faces import ask
from rackmath.kernel.counts import Pass, attended_entries, attended_sum, read_bytes
from rackmath.kernel.efficiency import calibrated
from rackmath.layout.forward import forward
from rackmath.layout.parallelism import Layout
from rackmath.world import catalog

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
