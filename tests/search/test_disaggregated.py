"""Two pools: rates, waits, the cache on its way, prices, context parallelism and adapters."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import deepseek_v3, llama_70b
from test_properties import EFFICIENCY, ROUNDING, machines, models, precisions

from rackmath.arrays import take
from rackmath.economics.pools import pool_cost
from rackmath.errors import BadInput
from rackmath.kernel.counts import Pass, cache_bytes
from rackmath.layout.footprint import device_cache_bytes, device_weight_bytes, footprint
from rackmath.layout.forward import forward, operations
from rackmath.layout.parallelism import Layout, illegal
from rackmath.questions.resolve import question
from rackmath.search import disaggregated as search
from rackmath.search.grid import layouts
from rackmath.search.pools import decode_of, decode_part, largest_ranks, prefill_layouts, prefill_rows
from rackmath.search.ratio import ratio
from rackmath.serving.disaggregated import batch_for, decode_replica, matched, prefill_replica, transfer
from rackmath.serving.replica import Replica
from rackmath.world import catalog
from rackmath.world.description import build
from rackmath.world.engine import TYPICAL
from rackmath.world.lora import adapter, parse_lora, with_lora
from rackmath.world.model import Lora
from rackmath.world.precision import Precision
from rackmath.world.workload import Objectives, Traffic

QUIET = settings(max_examples=40)
TRAFFICS = st.builds(
    Traffic, isl=st.floats(1, 1e5), osl=st.floats(2, 1e4), cached=st.sampled_from([0.0, 0.5]), utilisation=st.floats(0.1, 1)
)
H200, RACK = catalog.machine("8xh200"), catalog.machine("gb200-nvl72")
FP8 = Precision.uniform("fp8", kv="fp8")


def _pools(model, machine, precision, traffic, pick, load, batch, replicas, *, prompts=1.0):
    every = layouts(model, machine, machine.n_devices)
    a, b = (take(every, k % len(np.asarray(every.tp))) for k in pick)
    given = (model, machine, precision)
    first = prefill_replica(Replica(*given, a, TYPICAL, EFFICIENCY), traffic, load, prompts=prompts)

    def at(size):
        return decode_replica(Replica(*given, b, TYPICAL, EFFICIENCY), traffic, size)

    rate = min(replicas[0] * float(first.rate), replicas[1] * float(at(batch).rate))
    second = at(float(batch_for(rate / replicas[1], at, batch)))
    sent = transfer(model, precision, traffic.isl, machine, a, machine, b, EFFICIENCY)
    return matched(first, second, *replicas, sent, (machine, machine), EFFICIENCY, traffic)


CHOICES = (
    st.tuples(st.integers(0, 9999), st.integers(0, 9999)),
    st.floats(0.05, 0.95),
    st.integers(1, 5000).map(float),
    st.tuples(st.integers(1, 20).map(float), st.integers(1, 20).map(float)),
)


@QUIET
@given(models(), machines(), precisions, TRAFFICS, *CHOICES)
def test_littles_law_closes_over_both_pools_and_the_link(model, machine, precision, traffic, pick, load, batch, n):
    s = _pools(model, machine, precision, traffic, pick, load, batch, n)
    decoding = n[1] * float(s.decode.batch)
    prefilling = float(s.request_rate) * float(s.prefill.ttft_mean)
    sending = float(s.request_rate) * (float(s.transfer.time) + float(s.decode.seat))
    assert float(s.concurrency) == pytest.approx(decoding + prefilling + sending, rel=1e-6)
    assert n[0] * float(s.prefill.rate) == pytest.approx(n[1] * float(s.decode.rate), rel=1e-6)


@QUIET
@given(models(), machines(), precisions, TRAFFICS, *CHOICES)
def test_nothing_beats_the_bound_and_the_charges_sum(model, machine, precision, traffic, pick, load, batch, n):
    s = _pools(model, machine, precision, traffic, pick, load, batch, n)
    assert s.ttft_bound <= s.ttft * ROUNDING
    assert s.decode.tpot_bound <= s.tpot * ROUNDING
    assert s.request_rate_bound >= s.request_rate / ROUNDING
    c = pool_cost(s, (machine, machine), traffic)
    assert c.bound_share <= ROUNDING
    fresh = max(traffic.isl * (1 - traffic.cached), 1.0)
    parts = c.input_mtok * fresh + c.cache_read_mtok * traffic.isl * traffic.cached + c.output_mtok * traffic.osl
    assert parts / 1e6 == pytest.approx(float(c.request), rel=1e-9)
    for value in (s.ttft, s.ttft_mean, s.tpot, s.concurrency, c.request, s.sending, s.receiving):
        assert math.isfinite(value)
        assert value >= 0


@QUIET
@given(models(), machines(), precisions, TRAFFICS, st.integers(0, 9999), st.floats(0.05, 0.95), st.floats(1, 5000))
def test_a_scalar_call_is_a_row_of_a_column_call(model, machine, precision, traffic, pick, load, batch):
    every = layouts(model, machine, machine.n_devices)
    n = len(np.asarray(every.tp))
    row = pick % n
    given = (model, machine, precision)
    one = take(every, row)
    single, several = (Replica(*given, cut, TYPICAL, EFFICIENCY) for cut in (one, every))
    alone = prefill_replica(single, traffic, load, prompts=2.0)
    column = prefill_replica(several, traffic, np.full(n, load), prompts=np.full(n, 2.0))
    for name in ("ttft", "ttft_mean", "rate", "memory", "ttft_bound", "cached_share"):
        found = np.broadcast_to(getattr(column, name), (n,))[row]
        assert float(found) == pytest.approx(float(getattr(alone, name)), rel=1e-12), name
    alone = decode_replica(single, traffic, batch)
    column = decode_replica(several, traffic, np.full(n, batch))
    for name in ("tpot", "rate", "memory", "seat"):
        found = np.broadcast_to(getattr(column, name), (n,))[row]
        assert float(found) == pytest.approx(float(getattr(alone, name)), rel=1e-12), name


def test_a_prefill_replica_by_hand():
    """Llama-3.1-70B, one prompt of 8192 tokens a pass on TP8: capacity is one over the time of that pass."""
    model, layout, traffic = llama_70b(), Layout(tp=8.0), Traffic(isl=8192.0, osl=100.0)
    p = prefill_replica(Replica(model, H200, model.precision, layout, TYPICAL, EFFICIENCY), traffic, 0.8)
    work = Pass(prefill=8192.0, prompt=8192.0)
    one = float(forward(model, H200, model.precision, layout, work, EFFICIENCY).estimate)
    assert float(p.capacity) == pytest.approx(1 / one)
    assert float(p.rate) == pytest.approx(0.8 / one)
    assert float(p.wait) == pytest.approx(0.8 * one / (2 * 0.2))  # M/D/1
    assert float(p.ttft_mean) == pytest.approx(EFFICIENCY.request_overhead + p.wait + one)
    # a prompt of two chunks takes two passes, and a server of two stages starts the next after half
    two = dataclasses.replace(traffic, isl=16384.0)
    q = prefill_replica(Replica(model, H200, model.precision, layout, TYPICAL, EFFICIENCY), two, 0.5)
    assert float(q.chunks) == 2
    assert float(q.service) == pytest.approx(2 * float(q.pace))


def test_decoding_is_a_decode_only_pass():
    model, layout, traffic = llama_70b(), Layout(tp=8.0), Traffic(isl=8192.0, osl=101.0)
    d = decode_replica(Replica(model, H200, model.precision, layout, TYPICAL, EFFICIENCY), traffic, 32.0)
    work = Pass(decode=32.0, context=8192 + 50.5)
    one = float(forward(model, H200, model.precision, layout, work, EFFICIENCY).estimate)
    assert float(d.tpot) == pytest.approx(one)
    assert float(d.rate) == pytest.approx(32 / (100 * one))


def test_the_cache_travels_at_the_narrower_end():
    model = llama_70b()
    size = 8192 * 327_680  # bytes of cache of the prompt, 327,680 a token in BF16
    slow = dataclasses.replace(H200, scaleout_bandwidth=10e9)
    sent = transfer(model, model.precision, 8192.0, slow, Layout(tp=4.0), H200, Layout(tp=8.0), EFFICIENCY)
    assert float(sent.bytes) == pytest.approx(size)
    assert float(sent.least) == pytest.approx(size / (4 * 10e9))
    back = transfer(model, model.precision, 8192.0, H200, Layout(tp=8.0), slow, Layout(tp=2.0), EFFICIENCY)
    assert float(back.least) == pytest.approx(size / (2 * 10e9))


@given(st.floats(0.01, 100), st.floats(0.01, 100), st.floats(0.1, 50), st.floats(0.1, 50))
def test_whole_numbers_of_replicas(a, b, price_a, price_b):
    """Never cheaper than rates matched exactly, within a tenth of it for up to 12 replicas, and never wasteful."""
    x, y, dollars = (float(v) for v in ratio(a, b, price_a, price_b))
    exact = price_a / a + price_b / b
    assert x == int(x) >= 1
    assert y == int(y) >= 1
    assert dollars == pytest.approx((x * price_a + y * price_b) / min(x * a, y * b))
    assert exact * (1 - 1e-12) <= dollars <= exact * 1.1


def test_ratios_as_columns():
    a, b = np.array([2.0, 1.0]), np.array([5.0, 1.0])
    x, y, dollars = ratio(a, b, np.array([1.0, 1.0]), np.array([2.0, 1.0]))
    assert list(zip(x, y, strict=True)) == [(5.0, 2.0), (1.0, 1.0)]
    assert dollars == pytest.approx([0.9, 2.0])


# --- the search -----------------------------------------------------------------------------------------------------


def _question(model="meta-llama/Llama-3.1-70B", on="8xh200", isl=8192.0, osl=1024.0, **changes):
    q, _ = question(model, on, traffic=Traffic(isl=isl, osl=osl))
    return dataclasses.replace(q, **changes)


def test_the_plan_keeps_its_objectives_and_is_the_cheapest_of_a_brute_force():
    q, limits = _question(), Objectives(max_ttft=2.0, max_tpot=0.03)
    best = search.search((q, q), limits).best
    s = best.serving
    assert s.ttft <= limits.max_ttft
    assert s.tpot <= limits.max_tpot
    assert bool(s.fits)
    every, least = layouts(q.model, q.machine, 8), math.inf
    for i in range(len(np.asarray(every.tp))):
        a = take(every, i)
        for load in np.linspace(0.1, 0.95, 18):
            p = prefill_replica(q.replica(q.precisions[0], a), q.traffic, load)
            for j in range(len(np.asarray(every.tp))):
                b = take(every, j)
                batch = np.arange(1.0, 400.0) * float(b.pp)
                d = decode_replica(q.replica(q.precisions[0], b), q.traffic, batch)
                sent = transfer(q.model, q.precisions[0], 8192.0, H200, a, H200, b, q.efficiency)
                good = d.fits & (d.tpot <= limits.max_tpot) & (p.ttft + sent.time <= limits.max_ttft) & p.fits
                if not np.any(good):
                    continue
                price = float(H200.price_per_hour) / 3600
                each = a.gpus * price / p.rate + b.gpus * price / np.max(d.rate[good])
                least = min(least, float(each))
    assert search.pools_cost(best) >= least * (1 - 0.01)  # the brute force has replicas in fractions
    assert search.pools_cost(best) <= least * 1.03


@pytest.mark.parametrize(
    ("model", "on", "prefill_on", "osl", "max_tpot"),
    [("Qwen/Qwen3-30B-A3B", "h100", "h100", 1024.0, 0.1), ("gpt-oss-120b", "h100", "16xh100", 4000.0, 0.01)],
)
def test_no_decode_batch_that_fits_is_passed_over(model, on, prefill_on, osl, max_tpot):
    """A small memory and long prompts: batches that fit only as no prompt is in progress, tried one by one."""
    q, p = (_question(model, one, isl=32000.0, osl=osl) for one in (on, prefill_on))
    limits = Objectives(max_ttft=5.0, max_tpot=max_tpot)
    best = search.search((p, q), limits).best
    hour = float(q.machine.price_per_hour)
    first = prefill_rows(p, q.precisions, float(p.machine.price_per_hour))
    every, least = layouts(q.model, q.machine, q.max_gpus), math.inf
    for j in range(len(np.asarray(every.tp))):
        batch = np.arange(1.0, 513.0) * float(every.dp[j] * every.pp[j])
        rows = decode_part(q, 0, take(every, np.full(len(batch), j)), batch, hour)
        good = np.flatnonzero(rows.time <= limits.max_tpot)
        if len(good):
            k = good[np.argmin(rows.each[good])]
            ttft = first.time + np.maximum(first.link, rows.link[k])
            least = min(least, float(rows.each[k] + first.each[ttft <= limits.max_ttft].min()))
    assert least * (1 - 0.01) <= search.pools_cost(best) <= least * 1.015  # whole replicas may cost a per cent


def test_the_largest_decode_batch_fits_and_one_more_does_not():
    for name, on in (("Qwen/Qwen3-30B-A3B", "h100"), ("meta-llama/Llama-3.1-70B", "8xh200")):
        q = _question(name, on, isl=32000.0)
        every = layouts(q.model, q.machine, q.max_gpus)
        most = largest_ranks(q, q.precisions[0], every)
        rows = np.flatnonzero(most >= 1)
        assert len(rows)
        held = take(every, rows)
        unit = np.asarray(held.dp * held.pp)
        for more, fits in ((0.0, True), (1.0, False)):
            found = decode_of(q, q.precisions[0], held, (most[rows] + more) * unit)
            assert np.all(found.fits == fits)


def test_pools_on_two_kinds_of_machines():
    q = _question()
    other = _question(on="8xmi355x")
    limits = Objectives(max_ttft=2.0, max_tpot=0.03)
    best = search.search((other, q), limits).best
    assert [m.name for m in best.machines] == ["8xmi355x", "8xh200"]
    s = best.serving
    request = s.prefill_gpus * other.machine.price_per_hour + s.decode_gpus * q.machine.price_per_hour
    assert float(best.cost.request) == pytest.approx(float(request / 3600 / s.request_rate))


def test_no_network_no_pools():
    q = _question()
    lone = dataclasses.replace(q, machine=dataclasses.replace(q.machine, scaleout_bandwidth=0.0))
    found = search.search((lone, q), Objectives())
    assert found.best is None
    assert "no scale-out network" in found.reasons[0]


def test_a_narrow_link_stops_a_pair():
    """Caches of 2.7 GB over 0.1 GB/s links: the pools cannot carry what the same pools carry over 50 GB/s."""
    q = _question()
    narrow = dataclasses.replace(q, machine=dataclasses.replace(q.machine, scaleout_bandwidth=0.1e9))
    fast, slow = (search.search((one, one), Objectives()).best for one in (q, narrow))
    assert slow is None or search.pools_cost(slow) > search.pools_cost(fast) * 1.05
    assert slow is None or slow.serving.sending <= 1


def test_one_output_token_needs_no_decode_pool():
    q = _question(osl=1.0)
    assert "nothing to decode" in search.search((q, q), Objectives()).reasons[0]


def test_a_model_that_does_not_fit():
    q = _question(model="deepseek-ai/DeepSeek-V3", on="8xh100")
    assert "holds the model" in search.search((q, q), Objectives()).reasons[0]


def test_out_of_reach_says_by_how_much():
    q = _question()
    found = search.search((q, q), Objectives(max_tpot=1e-4))
    assert found.best is None
    assert "TPOT" in found.reasons[0]
    assert found.nearest is not None


# --- context parallelism --------------------------------------------------------------------------------------------


def test_context_parallelism_divides_attention_and_copies_weights():
    model, traffic = llama_70b(), 131072.0
    one, four = Layout(tp=2.0), Layout(tp=2.0, cp=4.0)
    assert float(four.gpus) == 8
    assert four.label() == "TP2 CP4"
    assert device_weight_bytes(model, FP8, four) == device_weight_bytes(model, FP8, one)
    assert device_cache_bytes(model, FP8, four, traffic) == device_cache_bytes(model, FP8, one, traffic) / 4
    work = Pass(prefill=8192.0, prompt=traffic)
    a, b = ({op.name: op for op in operations(model, H200, FP8, x, work, EFFICIENCY)} for x in (one, four))
    name = "kv attention, prefill"
    assert float(b[name].flops) == pytest.approx(float(a[name].flops) / 4)
    assert "context exchange" in b
    assert "context exchange" not in a
    seconds = float(b["context exchange"].network)
    gathered = (traffic / 2 + 8192) * 2 * 8 * 128 / 2  # bytes: K and V of 8 heads, 128 wide, FP8, over tp = 2
    traffic_alone = gathered * 3 / 4 / (450e9 * EFFICIENCY.link_share)
    assert traffic_alone < seconds < 1.3 * traffic_alone  # and what it takes to start and to cut the message


@QUIET
@given(models(), machines(), precisions, st.sampled_from([1.0, 2.0, 4.0]), st.floats(1e3, 2e5), st.floats(0, 64))
def test_context_parallel_passes_keep_the_bound(model, machine, precision, cp, prompt, decode):
    layout = Layout(cp=cp)
    work = Pass(prefill=prompt, prompt=prompt, decode=decode, context=prompt)
    t = forward(model, machine, precision, layout, work, EFFICIENCY)
    assert t.bound <= t.estimate * ROUNDING
    column = forward(model, machine, precision, Layout(cp=np.array([cp, 8.0])), work, EFFICIENCY)
    assert float(np.broadcast_to(column.estimate, (2,))[0]) == pytest.approx(float(t.estimate), rel=1e-12)


def test_long_prompts_bring_context_parallelism_where_ttft_binds():
    q = _question(isl=100_000.0, osl=500.0)
    tight = search.search((q, q), Objectives(max_ttft=6.0, max_tpot=0.05)).best
    assert tight.serving.prefill.layout.cp > 1
    short = _question(isl=4000.0)
    assert np.all(np.asarray(prefill_layouts(short).cp) == 1)


def test_a_recurrent_state_is_not_split():
    hybrid = build(
        {
            "name": "h",
            "d_model": 1024,
            "vocab": 1000,
            "groups": [
                {
                    "count": 2,
                    "mixer": {"kind": "mamba2", "n_heads": 16, "head_dim": 64, "d_state": 64},
                    "ffn": {"kind": "mlp", "d_ff": 4096},
                }
            ],
        }
    )
    reasons = [r for r, bad in illegal(hybrid, Layout(cp=2.0)).items() if np.any(bad)]
    assert reasons == ["a recurrent state cannot be split over cp"]


# --- adapters -------------------------------------------------------------------------------------------------------


def test_an_adapter_by_hand():
    """Rank 16 on all seven matrices of Llama-3.1-70B: 207 million parameters, 0.41 GB in BF16 each."""
    model = with_lora(llama_70b(), Lora(rank=16, adapters=64))
    one = sum(g.count * sum(m.parameters for m in adapter(g, model.lora)) for g in model.groups)
    by_hand = 80 * 16 * (2 * (8192 + 8192) + 2 * (8192 + 1024) + 3 * (8192 + 28672))
    assert one == by_hand
    added = device_weight_bytes(model, FP8, Layout()) - device_weight_bytes(llama_70b(), FP8, Layout())
    assert float(added) == pytest.approx(64 * 2 * by_hand)


def test_adapters_cost_what_the_batch_uses():
    plain = llama_70b()
    layout = Layout(tp=8.0)

    def op(adapters, decode):
        model = with_lora(plain, Lora(rank=16, adapters=adapters))
        work = Pass(decode=decode, context=1000.0)
        return next(o for o in operations(model, H200, FP8, layout, work, EFFICIENCY) if o.name == "adapters")

    one = float(op(1.0, 64.0).bytes)
    assert float(op(64.0, 1.0).bytes) == pytest.approx(one)  # one sequence reads one adapter, however many there are
    assert float(op(64.0, 64.0).bytes) == pytest.approx(one * 64 * (1 - (63 / 64) ** 64))
    assert float(op(64.0, 64.0).flops) == pytest.approx(float(op(1.0, 64.0).flops))  # tokens, not adapters, multiply
    work = Pass(decode=64.0, context=1000.0)
    with_64 = with_lora(plain, Lora(rank=16, adapters=64.0))
    times = [float(forward(m, H200, FP8, layout, work, EFFICIENCY).estimate) for m in (plain, with_64)]
    assert times[1] > times[0]


def test_adapters_take_room():
    plain, q = llama_70b(), TYPICAL
    many = with_lora(plain, Lora(rank=64, adapters=64))
    room = [footprint(m, H200, FP8, Layout(tp=8.0), q, 8192.0).batch_max for m in (plain, many)]
    assert room[1] < room[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rank=16", "lacks adapters"),
        ("16,64", "write it like rank=16,adapters=64"),
        ("rank=0,adapters=2", "out of range"),
        ("rank=1.5,adapters=2", "whole number"),
        ("rang=8,adapters=2", "did you mean rank"),
        ("rank=8,adapters=2,on=experts", "lora target"),
    ],
)
def test_bad_adapters(text, words):
    with pytest.raises(BadInput, match=words):
        parse_lora(text)


def test_wide_ep_pools_of_deepseek():
    """Their published shape, prefill EP32 and decode EP144 on 8-GPU nodes, fits and keeps their pace."""
    many = dataclasses.replace(catalog.machine("8xh800"), n_devices=144.0)
    model, traffic = deepseek_v3(), Traffic(isl=4989.0, osl=1000.0, cached=0.563)
    first = prefill_replica(Replica(model, many, FP8, Layout(dp=32.0, ep=32.0), TYPICAL, EFFICIENCY), traffic, 0.8)
    second = decode_replica(Replica(model, many, FP8, Layout(dp=144.0, ep=144.0), TYPICAL, EFFICIENCY), traffic, 12_700.0)
    assert bool(first.fits)
    assert bool(second.fits)
    assert 0.02 < float(second.tpot) < 0.1  # they served 20 to 22 tokens per second and user
    assert float(cache_bytes(model, 4989.0, FP8)) < 1e9
