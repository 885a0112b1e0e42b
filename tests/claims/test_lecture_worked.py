"""Worked figures of the lecture and of public facts: the arithmetic must reproduce them.

Figures come from the lecture's own derivations (section numbers in the names) and from published model cards.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
from models import deepseek_v3, llama_70b

from rackmath.economics.cost import cost
from rackmath.economics.fleet import FleetNeed, fleet
from rackmath.kernel import counts
from rackmath.kernel.counts import Pass
from rackmath.kernel.efficiency import default_efficiency
from rackmath.kernel.roofline import balance_batch, drain_time, ratio
from rackmath.layout.collectives import distinct_groups
from rackmath.layout.footprint import device_cache_bytes, device_weight_bytes
from rackmath.layout.forward import forward
from rackmath.layout.parallelism import Layout
from rackmath.questions.resolve import question
from rackmath.search.curve import weights_read
from rackmath.serving.replica import Replica
from rackmath.serving.steady import steady
from rackmath.world import catalog
from rackmath.world.description import build
from rackmath.world.engine import TYPICAL, Engine
from rackmath.world.machine import Machine
from rackmath.world.precision import Precision
from rackmath.world.workload import Traffic


@pytest.mark.parametrize(
    ("peak", "weight_bytes", "bandwidth", "expected"),
    [
        pytest.param(10e15, 0.5, 8e12, 312, id="GB200 FP4"),
        pytest.param(1979e12, 1.0, 3.35e12, 295, id="H100 FP8"),
        pytest.param(989e12, 2.0, 3.35e12, 295, id="H100 BF16"),
        pytest.param(312e12, 2.0, 2.039e12, 153, id="A100 BF16"),
        pytest.param(15e15, 0.5, 8e12, 469, id="GB300 FP4"),
        pytest.param(1979e12, 1.0, 4.8e12, 206, id="H200 FP8"),
    ],
)
def test_multiplies_per_weight_fetched_section_6(peak, weight_bytes, bandwidth, expected):
    assert ratio(peak, weight_bytes, bandwidth) == pytest.approx(expected, abs=1)


@pytest.mark.parametrize(
    ("name", "milliseconds"), [("lecture", 14.4), ("rubin", 13.1), ("a100", 39), ("h100", 24), ("h200", 29), ("8xh200", 29)]
)
def test_drain_times_section_8(name, milliseconds):
    """Of the machines as the catalogue has them, each fitted with its own memory."""
    machine = catalog.machine(name)
    assert drain_time(machine.box, machine.hbm_bandwidth) * 1e3 == pytest.approx(milliseconds, abs=0.5)


def test_optimal_batch_section_5():
    """5,440 with the published parameter counts, 2,400 with the lecture's sparsity of 8."""
    assert balance_batch(300, 671e9, 37e9) == pytest.approx(5440, abs=1)
    assert balance_batch(300, 256, 32) == 2400


def test_weight_floor_of_v3_section_15():
    """25 ms on 8 H100 (arithmetic only), 1.16 ms on a rack of 72 GB200 if every weight is read by one device only.

    A real rack pays more, counted here: 256 experts on 72 devices leave four on the fullest, and each of the nine
    data-parallel groups reads all that is not an expert.
    """

    def floor(on, layout):
        q, _ = question("deepseek-ai/DeepSeek-V3", on, traffic=Traffic(isl=1, osl=1))
        weights, bandwidth = weights_read(q, layout, q.precisions[0]), float(q.machine.hbm_bandwidth)
        every_expert = Pass(decode=1e6, context=1.0)
        time = forward(q.model, q.machine, q.precisions[0], layout, every_expert, q.efficiency)
        assert float(time.memory) > weights / bandwidth
        return q, weights, weights / bandwidth

    _, _, on_8_h100 = floor("8xh100", Layout(tp=8.0))
    assert on_8_h100 == pytest.approx(25e-3, rel=0.02)
    q, held, on_rack = floor("gb200-nvl72", Layout(tp=8.0, dp=9.0, ep=72.0))
    formats = q.precisions[0]
    size = {part: n * formats.of(part).bytes for part, n in counts.parameters(q.model).items() if part != "embedding"}
    shared_by_all = sum(size.values()) / 72 / float(q.machine.hbm_bandwidth)
    assert shared_by_all == pytest.approx(1.16e-3, rel=0.01)
    assert on_rack > shared_by_all
    copied = held - 4 / 256 * size.pop("experts")
    assert sum(size.values()) / 8 < copied < 1.5 * sum(size.values()) / 8  # latent projections and routers in full


@pytest.mark.parametrize(("batch", "share"), [(1, 0.03), (32, 0.64), (64, 0.87), (128, 0.98)])
def test_experts_touched_section_1(batch, share):
    assert float(counts.experts_touched(256.0, 8.0, float(batch))) == pytest.approx(share, abs=0.006)


def test_attention_overtakes_weights_section_1():
    assert counts.context_of_equal_flops(deepseek_v3()) == pytest.approx(4.4e3, rel=0.03)
    assert counts.context_of_equal_flops(llama_70b()) == pytest.approx(53e3, rel=0.02)


def test_kv_bytes_per_token():
    assert counts.kv_bytes_per_token(llama_70b(), Precision.uniform("bf16")) == 327_680
    assert counts.kv_bytes_per_token(deepseek_v3(), Precision.uniform("fp8", kv="bf16")) == 70_272
    assert counts.kv_bytes_per_token(deepseek_v3(), Precision.uniform("fp8", kv="fp8")) == 35_136


def test_v3_counts_its_published_parameters():
    model = deepseek_v3()
    assert counts.total_parameters(model) == pytest.approx(671e9, rel=0.001)
    assert counts.active_parameters(model)["with one"] == pytest.approx(37e9, rel=0.015)


def test_long_context_binds_first_section_2():
    """42 GB per sequence at 128K for Llama-70B in BF16: about 300 sequences in a whole rack of 13.4 TB."""
    per_sequence = float(counts.cache_bytes(llama_70b(), 131072.0, Precision.uniform("bf16")))
    assert per_sequence == pytest.approx(42.9e9, rel=0.01)
    assert (13.4e12 - 141e9) / per_sequence == pytest.approx(309, abs=2)


def test_distinct_devices_of_a_token_section_11():
    assert float(distinct_groups(64.0, 256.0, 8.0)) == pytest.approx(7.68, abs=0.005)
    assert float(distinct_groups(1.0, 256.0, 8.0)) == pytest.approx(1.0)
    assert float(distinct_groups(256.0, 256.0, 8.0)) == pytest.approx(8.0)


def test_pipeline_capacity_table_section_14b():
    """5T parameters in FP8, 2,400 sequences per micro-batch, 100K context, 2 KB per token, 64 devices a stage.

    Weights 78 / 39 / 20 / 10 GB per device for 1, 2, 4 and 8 stages; the cache 7.7 GB always (P cancels).
    """
    layers, d_model, n_experts = 64, 8192, 256
    d_expert = round(5e12 / layers / n_experts / (3 * d_model))
    model = build(
        {
            "name": "five-trillion",
            "d_model": d_model,
            "vocab": 1,
            "precision": {"experts": "fp8", "kv": "fp8"},
            # 2 KB a token: a quarter of the layers keep 64 heads of one key and one value
            "groups": [
                {
                    "count": layers // 4,
                    "mixer": {"kind": "gqa", "n_heads": 64, "n_kv_heads": 64, "head_dim": 1},
                    "ffn": {"kind": "moe", "n_experts": n_experts, "top_k": 8, "d_expert": d_expert},
                },
                {"count": layers - layers // 4, "ffn": {"kind": "moe", "n_experts": n_experts, "top_k": 8, "d_expert": d_expert}},
            ],
        }
    )
    precision = model.precision
    assert counts.kv_bytes_per_token(model) == pytest.approx(2048)
    for stages, gigabytes in ((1, 78), (2, 39), (4, 20), (8, 10)):
        layout = Layout(tp=64.0, pp=float(stages), ep=64.0)
        assert float(device_weight_bytes(model, precision, layout)) / 1e9 == pytest.approx(gigabytes, abs=0.6)
        in_flight = 2400 * stages  # micro-batches in flight grow with the stages
        cache = in_flight * float(device_cache_bytes(model, precision, layout, 1e5)) / 1e9
        assert cache == pytest.approx(7.7, abs=0.05)


def test_deepseek_production_decode_section_21_9():
    """DeepSeek, February 2025: EP144 on 18 nodes of 8 H800, 14,800 output tok/s a node at 20 to 22 tok/s per user.

    In flight 18 x 14,800 / 21 = 12,700 sequences, mean cache 4,989 tokens. Source: deepseek-ai/open-infra-index
    day 6. Decode pool only: prompts arrive with their cache, so prefill is one token.
    """
    h800 = Machine(
        name="144xh800",
        accelerator="H800",
        n_devices=144,
        domain=8,
        peak_bf16=989e12,
        peak_fp8=1979e12,
        hbm_capacity=80e9,
        hbm_bandwidth=3.35e12,
        scaleup_bandwidth=200e9,
        scaleout_bandwidth=50e9,
        scaleup_latency=2e-6,
        scaleout_latency=6e-6,
        power=700,
        price_per_hour=2.0,
    )
    in_flight = 18 * 14_800 / 21
    assert in_flight == pytest.approx(12_700, rel=0.002)
    served = steady(
        Replica(
            deepseek_v3(),
            h800,
            Precision.uniform("fp8", kv="bf16"),
            Layout(tp=1.0, dp=144.0, ep=144.0),
            Engine(memory_share=0.95),
            default_efficiency(),
        ),
        Traffic(isl=4989 - 500, osl=1000, cached=1.0),
        in_flight,
    )
    per_node = float(served.output_tput) / 18
    assert bool(served.fits)
    # nothing fitted: the bound must hold, and the estimate be within a factor of two of what they measured
    assert float(served.tpot_bound) < 1 / 21
    assert 14_800 / 2 < per_node < 14_800 * 2
    print(f"DeepSeek production: {per_node:,.0f} output tok/s a node estimated, 14,800 measured")


def test_money_check_section_9():
    """Eight H800 at $2 an hour and 14,800 tok/s a node: $0.30 per million output tokens, as a fleet and as a request.

    A node is one replica here; 20 nodes serve what 20 times its output needs, and the month's bill is theirs.
    """
    node, osl = catalog.machine("8xh800"), 1000
    traffic = Traffic(isl=1, osl=osl)
    each = 14_800 / osl
    assert node.price_per_hour == pytest.approx(2.0)
    twenty = fleet(each, 8.0, node, traffic, FleetNeed(rate=20 * each, spare=0))
    assert float(twenty.replicas) == 20
    in_a_month = 20 * 14_800 * 730 * 3600
    assert float(twenty.month_dollars) / in_a_month * 1e6 == pytest.approx(0.30, abs=0.005)
    served = steady(Replica(deepseek_v3(), node, Precision.uniform("fp8"), Layout(tp=8.0), TYPICAL, default_efficiency()), traffic, 64.0)
    measured = replace(served, request_rate=each, decode_share=1.0)
    assert float(cost(measured, node, traffic).output_mtok) == pytest.approx(0.30, abs=0.005)


def test_littles_law_closes():
    """The identities of a column; `test_steady_state` holds the times themselves to a simulation."""
    machine = Machine(
        name="8xh200",
        accelerator="H200",
        n_devices=8,
        domain=8,
        peak_bf16=989e12,
        peak_fp8=1979e12,
        hbm_capacity=141e9,
        hbm_bandwidth=4.8e12,
        scaleup_bandwidth=450e9,
        scaleout_bandwidth=50e9,
        price_per_hour=3.0,
    )
    traffic = Traffic(isl=4000, osl=1000)
    s = steady(
        Replica(llama_70b(), machine, Precision.uniform("fp8"), Layout(tp=8.0), TYPICAL, default_efficiency()),
        traffic,
        np.array([1.0, 16.0, 64.0, 200.0]),
    )
    held = s.request_rate * (s.ttft_mean + (traffic.osl - 1) * s.tpot)
    np.testing.assert_allclose(held, s.concurrency, rtol=1e-12)
    np.testing.assert_allclose(s.output_tput / s.request_rate, traffic.osl)
    # a step makes one token for each decoding sequence: tokens per second = batch / tpot, first tokens apart
    np.testing.assert_allclose(s.output_tput * (traffic.osl - 1) / traffic.osl, s.batch / s.tpot)
    assert not math.isnan(float(np.sum(s.concurrency)))
