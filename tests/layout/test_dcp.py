"""Decode context parallelism: copies of the cache on tensor-parallel ranks, shared token by token."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plans import plan

import rackmath
from rackmath.errors import BadInput
from rackmath.kernel.counts import Pass, cache_bytes
from rackmath.kernel.efficiency import Efficiency, calibrated
from rackmath.layout.footprint import device_cache_bytes, footprint
from rackmath.layout.forward import forward, operations
from rackmath.layout.parallelism import Layout, cache_copies, illegal, shares_cache
from rackmath.questions.resolve import question
from rackmath.search.grid import layouts
from rackmath.search.launch import command
from rackmath.search.pools import prefill_layouts
from rackmath.world import catalog
from rackmath.world.engine import TYPICAL
from rackmath.world.engine_names import engine
from rackmath.world.workload import Traffic

V3, KIMI, QWEN = "deepseek-ai/DeepSeek-V3", "moonshotai/Kimi-K2-Instruct", "Qwen/Qwen3-235B-A22B"
HYBRID = "Qwen/Qwen3.5-9B"


def reasons(name: str, **cuts: float) -> list[str]:
    return [reason for reason, bad in illegal(catalog.model(name), Layout(**cuts)).items() if bad.any()]


# vLLM, docs/serving/context_parallel_deployment.md: the cases of its study, and copies that are left
@pytest.mark.parametrize(
    ("name", "tp", "dcp", "left"), [(V3, 8, 8, 1), (V3, 8, 1, 8), (KIMI, 16, 16, 1), (KIMI, 16, 8, 2), (QWEN, 8, 2, 1), (QWEN, 8, 1, 2)]
)
def test_copies_that_are_left(name: str, tp: float, dcp: float, left: float) -> None:
    model = catalog.model(name)
    assert not reasons(name, tp=tp, dcp=dcp)
    one = device_cache_bytes(model, model.precision, Layout(tp=tp, dcp=dcp), 131072.0)
    assert tp * one == pytest.approx(left * cache_bytes(model, 131072.0))


def test_deepseek_stores_an_eighth_on_each_of_tp8_dcp8() -> None:
    """61 layers x (512 + 64) numbers x 2 bytes = 70,272 bytes a token."""
    model = catalog.model(V3)
    each = [device_cache_bytes(model, model.precision, Layout(tp=8.0, dcp=n), 1e5) / 1e5 for n in (1.0, 2.0, 8.0)]
    assert each == pytest.approx([70272, 35136, 8784])


@pytest.mark.parametrize(
    ("name", "tp", "dcp", "why"),
    [
        (V3, 8, 16, "copies"),
        (V3, 8, 3, "copies"),
        (QWEN, 8, 4, "copies"),
        (QWEN, 4, 2, "copies"),
        ("meta-llama/Llama-3.1-70B", 8, 2, "copies"),
        ("google/gemma-3-27b-it", 32, 2, "window"),
        ("meta-llama/Llama-4-Maverick-17B-128E-Instruct", 16, 2, "window"),
    ],
)
def test_what_engines_refuse(name: str, tp: float, dcp: float, why: str) -> None:
    assert any(why in reason for reason in reasons(name, tp=tp, dcp=dcp))


def test_the_pool_of_the_log_is_as_many_times_as_large() -> None:
    """A public log of TP2 with one KV head: 949,296 tokens, and 1,896,256 with both ranks sharing."""
    pool = [
        rackmath.memory(V3, on="8xh200", layout=cut, engine="vllm@0.19", context=8192).memory.pool_tokens
        for cut in ("TP8 EP8", "TP8 DCP2 EP8", "TP8 DCP8 EP8")
    ]
    assert pool[1] / pool[0] == pytest.approx(1_896_256 / 949_296, rel=2e-3)
    assert pool[2] / pool[0] == pytest.approx(8, rel=2e-3)


def test_a_recurrent_state_is_not_shared() -> None:
    model = catalog.model(HYBRID)
    kv = max(s.heads for g in model.groups if g.mixer for s in g.mixer.streams)
    tp = 2 * kv
    whole, shared = ([float(device_cache_bytes(model, model.precision, Layout(tp=tp, dcp=n), c)) for c in (0.0, 1e5)] for n in (1.0, 2.0))
    assert whole[0] == shared[0] > 0
    assert (shared[1] - shared[0]) == pytest.approx((whole[1] - whole[0]) / 2)


# --- a pass ---------------------------------------------------------------------------------------------------------


def ops(dcp: float, work: Pass, name: str = V3) -> dict[str, object]:
    model, machine = catalog.model(name), catalog.machine("8xh200")
    return {op.name: op for op in operations(model, machine, model.precision, Layout(tp=8.0, dcp=dcp), work, Efficiency())}


def test_a_step_reads_an_eighth_with_as_many_flops() -> None:
    work = Pass(decode=8.0, context=1e5)
    one, shared = (ops(n, work)["latent attention, decode"] for n in (1.0, 8.0))
    assert shared.bytes == pytest.approx(one.bytes / 8)  # type: ignore[attr-defined]
    assert shared.flops == pytest.approx(one.flops)  # type: ignore[attr-defined]


def test_what_ranks_tell_each_other() -> None:
    """128 / 8 heads x 8 of 576 + 512 numbers, and a sum of 4 bytes from each rank; 7/8 crosses the links."""
    work = Pass(decode=8.0, context=1e5)
    model, machine = catalog.model(V3), catalog.machine("8xh200")
    free = Efficiency(link_share=1.0, exchange_latency=0.0, launch=0.0)
    layout = Layout(tp=8.0, dcp=8.0)
    found = [o for o in operations(model, machine, model.precision, layout, work, free) if "shared cache" in o.name]
    sent = 8 * 128 * ((576 + 512) * 2 + 8 * 4) * 7 / 8
    layers = sum(o.layers for o in found)
    assert layers == 61
    for op in found:
        least = sent / float(machine.scaleup_bandwidth)
        assert least < float(op.network) < least + 3 * 10e-6  # three starts
        assert float(op.kernels) == 3
    assert not [o for o in ops(1.0, work) if "shared cache" in o]


def test_prefill_gathers_what_earlier_chunks_left() -> None:
    first = Pass(prefill=8192.0, prompt=8192.0)  # a prompt in one chunk: nothing lies with other ranks
    later = Pass(prefill=8192.0, prompt=131072.0)
    assert float(ops(8.0, first)["shared cache exchange"].network) == 0  # type: ignore[attr-defined]
    assert float(ops(8.0, later)["shared cache exchange"].network) > 0  # type: ignore[attr-defined]


@given(st.sampled_from([1.0, 2.0, 4.0, 8.0]), st.integers(1, 512), st.integers(1, 160_000))
def test_nothing_is_faster_than_its_bound_and_a_column_is_its_rows(dcp: float, batch: int, context: int) -> None:
    model, machine = catalog.model(V3), catalog.machine("8xh200")
    of = calibrated(machine.generation, TYPICAL)
    work = Pass(decode=float(batch), context=float(context), prefill=512.0, prompt=4096.0)
    columns = Layout(tp=np.full(2, 8.0), dcp=np.array([1.0, dcp]))
    both = forward(model, machine, model.precision, columns, work, of)
    for i, n in enumerate((1.0, dcp)):
        one = forward(model, machine, model.precision, Layout(tp=8.0, dcp=n), work, of)
        assert float(one.estimate) >= float(one.bound)
        assert np.broadcast_to(both.estimate, 2)[i] == pytest.approx(float(one.estimate))
        assert np.broadcast_to(both.bound, 2)[i] == pytest.approx(float(one.bound))


def test_a_footprint_is_a_column_too() -> None:
    model, machine = catalog.model(QWEN), catalog.machine("8xh200")
    columns = Layout(tp=np.full(2, 8.0), dcp=np.array([1.0, 2.0]))
    both = footprint(model, machine, model.precision, columns, engine("vllm"), 32768.0)
    each = [
        float(footprint(model, machine, model.precision, Layout(tp=8.0, dcp=n), engine("vllm"), 32768.0).per_sequence) for n in (1.0, 2.0)
    ]
    assert list(np.broadcast_to(both.per_sequence, 2)) == pytest.approx(each)
    assert each[1] == pytest.approx(each[0] / 2)


# --- where it is a choice -------------------------------------------------------------------------------------------


def test_search_keeps_all_copies_or_shares_all() -> None:
    model = catalog.model(V3)
    every = layouts(model, catalog.machine("8xh200"), 8)
    assert set(np.asarray(every.dcp)) == {1.0, 2.0, 4.0, 8.0}
    assert np.all((every.dcp == 1) | (every.dcp == cache_copies(model, every.tp)))
    assert not np.any(np.logical_or.reduce(list(illegal(model, every).values())))
    without = layouts(model, catalog.machine("8xh200"), 8, engine("trtllm"))
    assert np.all(np.asarray(without.dcp) == 1)
    assert len(np.asarray(without.tp)) == np.sum(np.asarray(every.dcp) == 1)


def test_pools_that_prefill_share_no_cache() -> None:
    q, _ = question(V3, "8xh200", traffic=Traffic(isl=100_000, osl=100))
    assert np.all(np.asarray(prefill_layouts(q).dcp) == 1)


def test_which_engine_shares_which_cache() -> None:
    latent, grouped = catalog.model(V3), catalog.model(QWEN)
    shares = {
        name: (shares_cache(engine(name), latent), shares_cache(engine(name), grouped))
        for name in ("vllm", "sglang", "trtllm", "llama.cpp", "typical")
    }
    assert shares == {
        "vllm": (True, True),
        "sglang": (True, False),
        "trtllm": (False, False),
        "llama.cpp": (False, False),
        "typical": (True, True),
    }


def test_a_long_context_in_a_hurry_is_planned_with_a_shared_cache() -> None:
    """Few users with a long context and a strict pace: TP that keeps eight copies runs out of memory and time."""
    given = {"isl": 120_000, "osl": 1000, "min_interactivity": 40, "cached": 0.9}
    with_it = plan(V3, "8xh200", **given).best
    without = plan(V3, "8xh200", engine="trtllm", **given).best
    assert float(with_it.layout.dcp) == 8
    assert without is None or float(without.layout.dcp) == 1


def test_the_command_that_starts_it() -> None:
    best = plan(V3, "8xh200", isl=120_000, osl=1000, min_interactivity=40, cached=0.9).best
    texts = {name: command(name, best.question, best.precision, best.layout, 4.0) for name in ("vllm", "sglang", "trtllm")}
    assert "--decode-context-parallel-size 8" in texts["vllm"].text
    assert "--dcp-size 8" in texts["sglang"].text
    assert any("shared" in said for said in texts["trtllm"].cannot)


@pytest.mark.parametrize(
    ("words", "given", "said"),
    [
        ("TP8 DCP3", {}, "dcp does not divide the copies of the cache"),
        ("TP8 DCP16", {}, "dcp does not divide"),
        ("TP8 DCP0", {}, "dcp = 0"),
        ("TP8 DCP2 DCP4", {}, "twice"),
        ("TP8 DCP8", {"engine": "trtllm"}, "does not share the cache"),
    ],
)
def test_a_cut_that_cannot_be_is_refused(words: str, given: dict[str, str], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        rackmath.forward(V3, on="8xh200", layout=words, batch=8, context=1000, **given)
